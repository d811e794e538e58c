//! Calls to the server's agent door: one connection kept alive, every call with a time limit and a size limit, and
//! each way to fail told apart by what the caller can do about it.
//!
//! Nothing but the configured authorities is trusted, no redirect is followed, and the proxy variables of the
//! environment are not read. Bodies of failed calls are not looked at; the protocol leaves them empty.

use std::error::Error as StdError;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{DATE, RETRY_AFTER};
use rustls::AlertDescription;
use sealift_protocol::agent::inventory::{InventoryAnswer, InventoryPage};
use sealift_protocol::agent::leases::{
    CompleteAnswer, CompleteRequest, EnrollAnswer, EnrollRequest, LeaseRequest, REFUSAL_HEADER,
    REFUSED_CLONED, REFUSED_SUPERSEDED, RenewAnswer, RenewRequest, StepsRequest,
};
use sealift_protocol::agent::paths;
use sealift_protocol::agent::registration::{Register, Registered};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::clock_offset::ClockOffset;
use crate::configuration::Configuration;
use crate::identity::{Identity, wall_clock};
use crate::locked;

/// Time to a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a whole call that is answered at once.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// What a held call may take beyond the time it is held.
const HELD_CALL_MARGIN: Duration = Duration::from_secs(20);
/// Largest answer that is read.
pub(crate) const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// How often the kernel probes a silent connection; costs the process nothing.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Largest file of authorities.
const MAX_CA_FILE_BYTES: u64 = 1024 * 1024;

/// Why the client cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The file of authorities cannot be used.
    #[error("ca_file {path}: {reason}; write the PEM certificates of the server's authority there", path = path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The TLS library refused the settings or the identity.
    #[error("the connection to the server cannot be set up: {reason}")]
    Client {
        /// What it said.
        reason: String,
    },
}

/// Why a call failed, by what can be done about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// No answer: network, TLS, time limit.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The server does not accept our certificate or us.
    #[error("the server does not accept this agent's identity ({0})")]
    NotAccepted(String),
    /// The server asks to come back later.
    #[error("the server is busy (status {status})")]
    Busy {
        /// 429 or 503.
        status: u16,
        /// The pause it asked for.
        retry_after: Option<Duration>,
    },
    /// Another process of this agent has begun since ours.
    #[error("a newer process of this agent has taken its place")]
    Superseded,
    /// Another process works under our identity.
    #[error(
        "ANOTHER PROCESS WORKS UNDER THIS IDENTITY, so this one gets no jobs; if this machine took the other's place, have \
         an operator approve the agent anew; if not, remove the copied data_dir and register this machine by itself"
    )]
    Cloned,
    /// The call was given up, since the agent was drained or resumed meanwhile.
    #[error("the agent was drained or resumed meanwhile")]
    DrainChanged,
    /// The server takes offence at this very call; repeating it will not help.
    #[error("the server refused the call (status {0})")]
    Refused(u16),
    /// The server failed, or something between answered in its place.
    #[error("the server failed (status {0})")]
    Failed(u16),
    /// Success, with something that is no answer of ours.
    #[error("the answer cannot be read: {0}; is a proxy answering in place of the server?")]
    Unreadable(String),
}

impl CallError {
    /// The pause that the server asked for.
    pub(crate) const fn asked_pause(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// What answered at the door.
#[derive(Debug)]
pub(crate) struct Probe {
    /// Status of the answer, which may be a refusal.
    pub(crate) status: u16,
    /// Its `Date`.
    pub(crate) date: Option<String>,
}

/// The only speaker to the server.
pub(crate) struct ServerClient {
    base: String,
    authorities: Vec<reqwest::Certificate>,
    proxy: Option<String>,
    client: Mutex<reqwest::Client>,
    clock: ClockOffset,
    heard: Mutex<Option<Instant>>,
}

impl ServerClient {
    /// Prepares calls without an identity.
    pub(crate) fn new(configuration: &Configuration) -> Result<Self, SetupError> {
        let authorities = read_authorities(configuration)?;
        let client = build(&authorities, configuration.proxy.as_deref(), None)?;
        Ok(Self {
            base: configuration.server_url.clone(),
            authorities,
            proxy: configuration.proxy.clone(),
            client: Mutex::new(client),
            clock: ClockOffset::default(),
            heard: Mutex::default(),
        })
    }

    /// Uses the identity, or none, from the next call on. Calls under way end over the connection they began on.
    pub(crate) fn identify(&self, identity: Option<&Identity>) -> Result<(), SetupError> {
        let client = build(&self.authorities, self.proxy.as_deref(), identity)?;
        *locked(&self.client) = client;
        Ok(())
    }

    /// `Session/Register` as the one we are.
    pub(crate) async fn register(&self, request: &Register) -> Result<Registered, CallError> {
        decode(&self.call(paths::REGISTER, request, CALL_TIMEOUT).await?)
    }

    /// `Session/Register` without a client certificate.
    pub(crate) async fn register_anonymously(&self, request: &Register) -> Result<Registered, CallError> {
        let client = build(&self.authorities, self.proxy.as_deref(), None)
            .map_err(|error| CallError::Unreachable(error.to_string()))?;
        decode(&self.call_with(&client, paths::REGISTER, request, CALL_TIMEOUT).await?)
    }

    /// `Sealift/Lease`: the bare answer, since a job that we do not understand must not hide the others.
    pub(crate) async fn lease(&self, request: &LeaseRequest) -> Result<Zeroizing<Vec<u8>>, CallError> {
        let held = Duration::from_secs(request.wait_seconds.into());
        self.call(paths::LEASE, request, held + HELD_CALL_MARGIN).await
    }

    /// `Sealift/Renew`.
    pub(crate) async fn renew(&self, request: &RenewRequest) -> Result<RenewAnswer, CallError> {
        decode(&self.call(paths::RENEW, request, CALL_TIMEOUT).await?)
    }

    /// `Sealift/Steps`; the answer says nothing.
    pub(crate) async fn steps(&self, request: &StepsRequest) -> Result<(), CallError> {
        self.call(paths::STEPS, request, CALL_TIMEOUT).await.map(drop)
    }

    /// `Sealift/Complete`.
    pub(crate) async fn complete(&self, request: &CompleteRequest) -> Result<CompleteAnswer, CallError> {
        decode(&self.call(paths::COMPLETE, request, CALL_TIMEOUT).await?)
    }

    /// `Sealift/Enroll`.
    pub(crate) async fn enroll(&self, request: &EnrollRequest) -> Result<EnrollAnswer, CallError> {
        decode(&self.call(paths::ENROLL, request, CALL_TIMEOUT).await?)
    }

    /// `Sealift/Inventory`.
    pub(crate) async fn inventory(&self, page: &InventoryPage) -> Result<InventoryAnswer, CallError> {
        decode(&self.call(paths::INVENTORY, page, CALL_TIMEOUT).await?)
    }

    /// Whether anything answers at the door, without an identity.
    pub(crate) async fn probe(&self) -> Result<Probe, CallError> {
        let client = build(&self.authorities, self.proxy.as_deref(), None)
            .map_err(|error| CallError::Unreachable(error.to_string()))?;
        let url = format!("{}/{}", self.base, paths::HEARTBEAT);
        // A call that the door does not know, so that it has no effect.
        let asked = client.get(url).json(&()).timeout(CONNECT_TIMEOUT).send().await;
        let answer = asked.map_err(|error| unreached(&error))?;
        let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        Ok(Probe { status: answer.status().as_u16(), date })
    }

    /// How far our clock is ahead of the server's.
    pub(crate) const fn clock(&self) -> &ClockOffset {
        &self.clock
    }

    /// Seconds since the last answer that was no refusal.
    pub(crate) fn heard_seconds_ago(&self) -> Option<u64> {
        locked(&self.heard).map(|heard| heard.elapsed().as_secs())
    }

    async fn call(
        &self,
        path: &str,
        request: &impl Serialize,
        limit: Duration,
    ) -> Result<Zeroizing<Vec<u8>>, CallError> {
        let client = locked(&self.client).clone();
        self.call_with(&client, path, request, limit).await
    }

    async fn call_with(
        &self,
        client: &reqwest::Client,
        path: &str,
        request: &impl Serialize,
        limit: Duration,
    ) -> Result<Zeroizing<Vec<u8>>, CallError> {
        let url = format!("{}/{path}", self.base);
        let answer =
            client.post(url).json(request).timeout(limit).send().await.map_err(|error| unreached(&error))?;
        if let Some(date) = answer.headers().get(DATE).and_then(|date| date.to_str().ok()) {
            self.clock.note(date, wall_clock());
        }
        judge(&answer)?;
        *locked(&self.heard) = Some(Instant::now());
        read_bounded(answer).await
    }
}

/// Reads an answer. The message says where it went wrong and never what stood there, which may be a secret.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(body).map_err(|error| {
        let (line, column, kind) = (error.line(), error.column(), error.classify());
        CallError::Unreadable(format!("{} bytes, {kind:?} error in line {line}, column {column}", body.len()))
    })
}

fn judge(answer: &reqwest::Response) -> Result<(), CallError> {
    let status = answer.status();
    match status {
        _ if status.is_success() => Ok(()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(CallError::NotAccepted(format!("status {}", status.as_u16())))
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            let seconds =
                answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            Err(CallError::Busy { status: status.as_u16(), retry_after: seconds.map(Duration::from_secs) })
        }
        StatusCode::CONFLICT => {
            let said = answer.headers().get(REFUSAL_HEADER).and_then(|value| value.to_str().ok());
            Err(match said {
                Some(REFUSED_SUPERSEDED) => CallError::Superseded,
                Some(REFUSED_CLONED) => CallError::Cloned,
                _ => CallError::Refused(status.as_u16()),
            })
        }
        StatusCode::REQUEST_TIMEOUT => Err(CallError::Failed(status.as_u16())),
        _ if status.is_client_error() => Err(CallError::Refused(status.as_u16())),
        _ => Err(CallError::Failed(status.as_u16())),
    }
}

async fn read_bounded(mut answer: reqwest::Response) -> Result<Zeroizing<Vec<u8>>, CallError> {
    let announced = answer.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    // Room for the whole answer at once where its length is known, so that growing leaves no copies behind.
    let mut body = Zeroizing::new(Vec::with_capacity(announced.min(MAX_ANSWER_BYTES)));
    while let Some(chunk) = answer.chunk().await.map_err(|error| unreached(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(CallError::Unreadable(format!("more than {MAX_ANSWER_BYTES} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn read_authorities(configuration: &Configuration) -> Result<Vec<reqwest::Certificate>, SetupError> {
    let path = &configuration.ca_file;
    let refused = |reason: String| SetupError::Authorities { path: path.clone(), reason };
    if fs::metadata(path).map_err(|error| refused(error.to_string()))?.len() > MAX_CA_FILE_BYTES {
        return Err(refused(format!("larger than {MAX_CA_FILE_BYTES} bytes")));
    }
    let text = fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    let certificates = sealift_pki::pem::certificates(&text).map_err(|error| refused(error.to_string()))?;
    if certificates.is_empty() {
        return Err(refused("holds no certificate".to_owned()));
    }
    let readable = certificates.iter().map(|certificate| reqwest::Certificate::from_der(certificate.der()));
    readable.collect::<Result<_, _>>().map_err(|error| refused(described(&error)))
}

fn build(
    authorities: &[reqwest::Certificate],
    proxy: Option<&str>,
    identity: Option<&Identity>,
) -> Result<reqwest::Client, SetupError> {
    let failed = |error: reqwest::Error| SetupError::Client { reason: described(&error) };
    let mut builder = reqwest::Client::builder()
        .https_only(true)
        .tls_certs_only(authorities.to_vec())
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_keepalive(KEEPALIVE)
        .tcp_nodelay(true)
        .user_agent(concat!("sealift-agent/", env!("CARGO_PKG_VERSION")));
    if let Some(proxy) = proxy {
        builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(failed)?);
    }
    if let Some(identity) = identity {
        builder =
            builder.identity(reqwest::Identity::from_pem(identity.to_pem().as_bytes()).map_err(failed)?);
    }
    builder.build().map_err(failed)
}

fn unreached(error: &reqwest::Error) -> CallError {
    match refused_identity(error) {
        Some(alert) => CallError::NotAccepted(alert),
        None => CallError::Unreachable(described(error)),
    }
}

/// The TLS alert with which the server refused our certificate, if that is what happened.
fn refused_identity(error: &(dyn StdError + 'static)) -> Option<String> {
    const REFUSALS: [AlertDescription; 8] = [
        AlertDescription::BadCertificate,
        AlertDescription::UnsupportedCertificate,
        AlertDescription::CertificateRevoked,
        AlertDescription::CertificateExpired,
        AlertDescription::CertificateUnknown,
        AlertDescription::UnknownCA,
        AlertDescription::AccessDenied,
        AlertDescription::CertificateRequired,
    ];
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let inner = inner.map(|inner| inner as &(dyn StdError + 'static));
        if let Some(rustls::Error::AlertReceived(alert)) = inner.unwrap_or(error).downcast_ref() {
            return REFUSALS.contains(alert).then(|| format!("TLS alert {alert:?}"));
        }
        // HTTP/2 passes on only the words of the error.
        let words = error.to_string();
        if let Some(alert) = REFUSALS.iter().find(|alert| words.ends_with(&format!("fatal alert: {alert:?}")))
        {
            return Some(format!("TLS alert {alert:?}"));
        }
        next = inner.or_else(|| error.source());
    }
    None
}

/// The whole chain of causes in one line, without the URL, which every call shares.
fn described(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    if causes.is_empty() {
        causes.push(error.to_string());
    }
    if error.is_timeout() {
        causes.insert(0, "no answer in time".to_owned());
    }
    causes.dedup();
    causes.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted_server::{Answer, ScriptedServer};

    async fn answered(answer: Answer) -> CallError {
        let server = ScriptedServer::start(move |_| answer.clone()).await;
        let client = ServerClient::new(&server.configuration("")).unwrap();
        client.renew(&RenewRequest::default()).await.unwrap_err()
    }

    #[tokio::test]
    async fn failures_are_told_apart_by_what_can_be_done() {
        let raw = |status, headers| answered(Answer::Raw(status, headers, String::new()));
        assert!(matches!(raw(401, "").await, CallError::NotAccepted(_)));
        assert!(matches!(raw(403, "").await, CallError::NotAccepted(_)));
        assert!(matches!(raw(400, "").await, CallError::Refused(400)));
        assert!(matches!(raw(408, "").await, CallError::Failed(408)));
        assert!(matches!(raw(500, "").await, CallError::Failed(500)));
        assert!(matches!(
            raw(302, "Location: https://other.example.test/\r\n").await,
            CallError::Failed(302)
        ));
        let busy = raw(503, "Retry-After: 7\r\n").await;
        assert_eq!(busy.asked_pause(), Some(Duration::from_secs(7)));
        assert!(matches!(raw(429, "Retry-After: soon\r\n").await, CallError::Busy { retry_after: None, .. }));
    }

    #[tokio::test]
    async fn what_is_no_answer_of_ours_is_an_error_that_shows_nothing_of_it() {
        let page = "<html>canary-page</html>".to_owned();
        for answer in [
            Answer::Raw(200, "Content-Type: text/html\r\n", page),
            Answer::Raw(200, "", String::new()),
            Answer::Json(serde_json::json!({ "LeaseSeconds": "canary-number" })),
            Answer::Raw(200, "", "x".repeat(MAX_ANSWER_BYTES + 1)),
        ] {
            let error = answered(answer).await;
            assert!(matches!(error, CallError::Unreadable(_)), "{error}");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }

    #[tokio::test]
    async fn only_the_configured_authority_is_trusted() {
        let (one, other) =
            (ScriptedServer::start(|_| Answer::Held).await, ScriptedServer::start(|_| Answer::Held).await);
        let configuration = Configuration { server_url: other.url.clone(), ..one.configuration("") };
        let error =
            ServerClient::new(&configuration).unwrap().renew(&RenewRequest::default()).await.unwrap_err();
        assert!(
            matches!(&error, CallError::Unreachable(reason) if reason.contains("certificate")),
            "{error}"
        );
        assert!(other.calls().is_empty());
    }

    #[tokio::test]
    async fn a_refused_certificate_is_recognised_under_both_versions_of_http() {
        for protocols in [&[][..], &[&b"h2"[..]]] {
            let server = ScriptedServer::start_with_protocols(protocols, |_| Answer::Held).await;
            let (agent, _tell) = server.known_agent("", -90, -1);
            let error = agent.client.renew(&RenewRequest::default()).await.unwrap_err();
            assert!(
                matches!(&error, CallError::NotAccepted(alert) if alert.contains("CertificateExpired")),
                "{error:?}"
            );
        }
    }

    #[test]
    fn a_file_without_authorities_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let variables = [("SERVER_URL", "https://a.example.test"), ("CA_FILE", path.to_str().unwrap())];
        let variables = variables.map(|(key, value)| (format!("SEALIFT_AGENT_{key}"), value.to_owned()));
        let configuration = Configuration::load(None, variables).unwrap();
        for text in [None, Some("no certificate at all")] {
            if let Some(text) = text {
                sealift_stores::atomic_file::write(&path, text.as_bytes(), 0o600).unwrap();
            }
            let error = ServerClient::new(&configuration).err().unwrap();
            assert!(error.to_string().contains("ca.pem"), "{error}");
        }
    }
}
