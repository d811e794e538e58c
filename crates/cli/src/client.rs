//! The operator API as this program calls it: one connection, bounded answers, failures in its own words.

use std::error::Error;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use sealift_protocol::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::failure::{Failure, Refusal};
use crate::server_address::ServerAddress;
use crate::settings::{Credential, Server};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call may take: a call for ten thousand stores is judged store by store.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);
/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The version of the operator API that is spoken.
const API_VERSION: &str = "1";

/// A query: names and values, not yet escaped.
pub(crate) type Query = Vec<(&'static str, String)>;

/// One server and the credential for it.
pub(crate) struct Client {
    http: reqwest::Client,
    server: ServerAddress,
    credential: Credential,
}

/// What the server answered to a call it carried out.
pub(crate) struct Answer {
    body: Zeroizing<Vec<u8>>,
    total: Option<u64>,
    product_version: Option<String>,
}

impl Answer {
    /// The body as it came. It may hold a secret.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// How many rows the whole list has, where the answer is a page of one.
    pub(crate) fn total(&self) -> Option<u64> {
        self.total
    }

    /// What the server calls its version.
    pub(crate) fn product_version(&self) -> Option<&str> {
        self.product_version.as_deref()
    }

    /// The body as a value.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Failure::Operation(format!(
                "the server did what was asked, but its answer is not understood ({}); \
                 the versions of server and program may differ, --json shows the answer",
                place(&error)
            ))
        })
    }
}

impl Client {
    /// A client for the server; connects with the first call.
    pub(crate) fn new(server: Server, credential: Credential) -> Result<Self, Failure> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            // Following a redirect would turn a POST into a GET, or carry the credential elsewhere.
            .redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = &server.authority {
            builder = builder.tls_certs_only(trusted(pem)?);
        } else if !server.address.is_https() {
            // A machine without any CA certificates can still talk to itself.
            builder = builder.tls_certs_only([]);
        }
        if server.address.is_loopback() {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| Failure::Unreachable {
            server: server.address.to_string(),
            reason: root_cause(&error),
            next: "give the CA certificate that the server is trusted by with --ca-file",
        })?;
        Ok(Self { http, server: server.address, credential })
    }

    /// The server's address.
    pub(crate) fn server(&self) -> &ServerAddress {
        &self.server
    }

    /// Reads.
    pub(crate) async fn get(&self, path: &[&str], query: &Query) -> Result<Answer, Failure> {
        self.send(self.request(Method::GET, path, query)).await
    }

    /// Creates or acts.
    pub(crate) async fn post<B: Serialize>(&self, path: &[&str], body: &B) -> Result<Answer, Failure> {
        self.send(self.request(Method::POST, path, &Query::new()).json(body)).await
    }

    /// Replaces.
    pub(crate) async fn put<B: Serialize>(&self, path: &[&str], body: &B) -> Result<Answer, Failure> {
        self.send(self.request(Method::PUT, path, &Query::new()).json(body)).await
    }

    /// Creates or acts, with the form in which a certificate is wanted.
    pub(crate) async fn post_for_format<B: Serialize>(
        &self,
        path: &[&str],
        format: &'static str,
        body: &B,
    ) -> Result<Answer, Failure> {
        let request = self.request(Method::POST, path, &Query::new());
        self.send(request.header("x-certificateformat", format).json(body)).await
    }

    /// Removes.
    pub(crate) async fn delete(&self, path: &[&str]) -> Result<Answer, Failure> {
        self.send(self.request(Method::DELETE, path, &Query::new())).await
    }

    fn request(&self, method: Method, path: &[&str], query: &Query) -> RequestBuilder {
        let request = self
            .http
            .request(method, self.server.endpoint(path, query))
            .header("accept", "application/json")
            .header("x-keyfactor-requested-with", "APIClient")
            .header("x-keyfactor-api-version", API_VERSION);
        match &self.credential {
            Credential::Token(token) => request.bearer_auth(token.expose()),
            Credential::Basic { username, password } => request.basic_auth(username, Some(password.expose())),
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer, Failure> {
        let mut response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let header = |name| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let total = header("x-total-count").and_then(|value| value.parse().ok());
        let product_version = header("x-keyfactor-product-version");
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Failure::Operation(format!(
                    "the answer is longer than {ANSWER_BYTES_MAX} bytes; ask for less with --limit or --query"
                )));
            }
            body.extend_from_slice(&chunk);
        }
        if status == StatusCode::OK || status == StatusCode::NO_CONTENT {
            return Ok(Answer { body, total, product_version });
        }
        Err(Failure::Refused(Refusal {
            status: status.as_u16(),
            server: self.server.to_string(),
            problem: serde_json::from_slice::<Problem>(&body).ok(),
        }))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        if error.is_builder() {
            return Failure::Usage(format!(
                "the call cannot be written: {}; check the token or credentials that were given",
                root_cause(error)
            ));
        }
        let (reason, next) = if is_tls(error) {
            (
                format!("TLS: {}", root_cause(error)),
                "give the CA certificate that the server is trusted by with --ca-file",
            )
        } else if error.is_timeout() {
            ("no answer in time".to_owned(), "check the address, and that the server is running")
        } else {
            (root_cause(error), "check the address, and that the server is running")
        };
        Failure::Unreachable { server: self.server.to_string(), reason, next }
    }
}

/// Where an answer is not as expected. Most of the parser's messages quote a value, which may be a secret.
fn place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("missing field") {
        text
    } else {
        format!("line {}, column {}", error.line(), error.column())
    }
}

fn trusted(pem: &str) -> Result<Vec<reqwest::Certificate>, Failure> {
    match reqwest::Certificate::from_pem_bundle(pem.as_bytes()) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(Failure::Usage(
            "the CA file holds no certificate; expected PEM that begins with -----BEGIN CERTIFICATE-----"
                .to_owned(),
        )),
    }
}

/// The error and all it was caused by, the outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let error: &'a (dyn Error + 'static) = *error;
        // An I/O error that wraps another answers with that one's source, and would hide the wrapped one.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// The innermost cause. The outer ones only say that a request was sent, and name its URL.
fn root_cause(error: &reqwest::Error) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

fn is_tls(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| cause.is::<rustls::Error>())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::responder::{Reply, Responder};

    async fn refused(reply: Reply) -> Failure {
        let client = Responder::start(vec![reply]).client();
        client.get(&["Agents"], &Query::new()).await.err().unwrap()
    }

    #[tokio::test]
    async fn a_refusal_carries_the_servers_words() {
        let body = r#"{"ErrorCode":"0xA0140002","Message":"Agent not found."}"#;
        let failure = refused(Reply::new(404, body)).await;
        assert_eq!(failure.exit_code(), 5);
        assert_eq!(failure.to_string(), "0xA0140002: Agent not found; list what exists to find the right id");
    }

    #[tokio::test]
    async fn a_page_of_a_proxy_is_not_taken_for_an_answer() {
        assert_eq!(refused(Reply::new(502, "<html>Bad Gateway</html>")).await.exit_code(), 3);
        let moved = refused(Reply::new(302, "").with_header("location", "/elsewhere")).await;
        assert!(moved.to_string().contains("--server"), "{moved}");
        let responder = Responder::start(vec![Reply::new(200, "<html>Welcome</html>")]);
        let answer = responder.client().get(&["Agents"], &Query::new()).await.unwrap();
        let failure = answer.read::<Vec<String>>().unwrap_err();
        assert_eq!(failure.exit_code(), 1);
        assert!(!failure.to_string().contains("Welcome"), "{failure}");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_unreachable() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let failure = failure_of(&format!("http://{address}")).await;
        assert_eq!(failure.exit_code(), 3);
        assert!(failure.to_string().contains("refused"), "{failure}");
        assert!(!failure.to_string().contains("canary"), "{failure}");
    }

    #[tokio::test]
    async fn a_server_that_speaks_no_tls_is_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let read = stream.read(&mut [0; 64]).unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            read
        });
        let failure = failure_of(&format!("https://{address}")).await;
        assert!(thread.join().unwrap() > 0);
        assert_eq!(failure.exit_code(), 3);
        assert!(failure.to_string().contains("TLS: "), "{failure}");
    }

    async fn failure_of(address: &str) -> Failure {
        let address = ServerAddress::parse(address).unwrap();
        let credential = Credential::Basic {
            username: "admin".to_owned(),
            password: sealift_protocol::Secret::new("canary"),
        };
        match Client::new(Server { address, authority: None }, credential) {
            Ok(client) => client.get(&["Agents"], &Query::new()).await.err().unwrap(),
            Err(failure) => failure,
        }
    }

    #[test]
    fn a_ca_file_without_certificates_is_refused() {
        assert_eq!(trusted("no PEM").unwrap_err().exit_code(), 2);
    }
}
