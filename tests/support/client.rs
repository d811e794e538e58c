//! A client of the operator API, over real TLS.

use std::path::Path;

use reqwest::{Certificate, Method, RequestBuilder, StatusCode};
use sealift_server::startup::Ready;
use serde_json::Value;

/// How a client says who it is.
#[derive(Clone)]
pub enum Credentials {
    /// Nothing.
    None,
    /// HTTP Basic.
    Basic(String, String),
    /// An API token.
    Token(String),
}

/// A client of one server.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base_url: String,
    credentials: Credentials,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: reqwest::header::HeaderMap,
    /// Its body; null when it is empty or no JSON.
    pub body: Value,
    /// Its body as text.
    pub text: String,
}

impl Answer {
    /// The body of a success.
    pub fn ok(self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.text);
        self.body
    }

    /// The message of a refusal with this status, in the contract's error body.
    pub fn refused(&self, status: u16) -> &str {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        let code = self.body["ErrorCode"].as_str().expect("an error code");
        assert!(code.len() == 10 && code.starts_with("0x"), "{code}");
        self.body["Message"].as_str().expect("a message")
    }
}

impl Client {
    /// The first administrator of a server.
    pub fn administrator(ready: &Ready) -> Self {
        let text = std::fs::read_to_string(&ready.credentials_file).expect("credentials");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let text = |name: &str| value[name].as_str().expect("a text").to_owned();
        Self::new(&ready.base_url, &ready.ca_file, Credentials::Basic(text("Username"), text("Password")))
    }

    /// A client with credentials of its own.
    pub fn new(base_url: &str, ca_file: &Path, credentials: Credentials) -> Self {
        Self { http: http(ca_file, None), base_url: base_url.to_owned(), credentials }
    }

    /// Another replica with the same credentials.
    pub fn at(&self, ready: &Ready) -> Self {
        Self::new(&ready.base_url, &ready.ca_file, self.credentials.clone())
    }

    /// The same server with other credentials.
    pub fn with(&self, credentials: Credentials) -> Self {
        Self { credentials, ..self.clone() }
    }

    /// A request to a path.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base_url));
        match &self.credentials {
            Credentials::None => request,
            Credentials::Basic(name, password) => request.basic_auth(name, Some(password)),
            Credentials::Token(token) => request.bearer_auth(token),
        }
    }

    /// Sends a request and reads the answer.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.expect("the server answers");
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("a body");
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status, headers, body, text }
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// `GET` of a list with a filter.
    pub async fn query(&self, path: &str, filter: &str) -> Answer {
        self.send(self.request(Method::GET, path).query(&[("QueryString", filter)])).await
    }

    /// `POST`.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// `PUT`.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    /// `DELETE` with a body.
    pub async fn delete_these(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::DELETE, path).json(body)).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }
}

/// An HTTP client that trusts one authority, with a client certificate where one is given (PEM, key included).
pub fn http(ca_file: &Path, identity: Option<&str>) -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let pem = std::fs::read(ca_file).expect("the CA file");
    let mut builder = reqwest::Client::builder()
        .tls_certs_only([Certificate::from_pem(&pem).expect("a certificate")])
        .no_proxy();
    if let Some(identity) = identity {
        builder = builder.identity(reqwest::Identity::from_pem(identity.as_bytes()).expect("an identity"));
    }
    builder.build().expect("a client")
}
