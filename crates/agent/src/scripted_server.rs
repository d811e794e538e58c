//! Test support: an agent door over a real socket with real TLS, whose answers a test scripts. HTTP/1.1 only.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use sealift_pki::{
    AuthorityProfile, Certificate, CertificateRequest, DistinguishedName, ExtendedKeyUsage, Issuer,
    KeyAlgorithm, LeafProfile, PrivateKey, SerialNumber, SubjectAlternativeName, SubjectPublicKey,
};
use sealift_stores::atomic_file;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use uuid::Uuid;

use crate::identity::wall_clock;
use crate::{Agent, Configuration, LogFile, Stop, locked};

/// One call that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Path below the virtual directory.
    pub(crate) path: String,
    pub(crate) body: Value,
    /// The certificate that the client showed.
    pub(crate) client: Option<Certificate>,
}

/// What the test wants to be answered.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Json(Value),
    /// Status, further header lines, body.
    Raw(u16, &'static str, String),
    /// Nothing for as long as the connection lasts.
    Held,
}

type Script = Box<dyn FnMut(&Call) -> Answer + Send>;

/// A running door.
pub(crate) struct ScriptedServer {
    pub(crate) url: String,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) authority: Arc<Issuer>,
    calls: Arc<Mutex<Vec<Call>>>,
    arrived: Arc<Notify>,
    answered: Arc<Notify>,
}

impl ScriptedServer {
    /// Starts a door that answers as the script says.
    pub(crate) async fn start(script: impl FnMut(&Call) -> Answer + Send + 'static) -> Self {
        Self::start_with_protocols(&[], script).await
    }

    /// Starts a door that offers protocols which it may not be able to speak.
    pub(crate) async fn start_with_protocols(
        protocols: &[&[u8]],
        script: impl FnMut(&Call) -> Answer + Send + 'static,
    ) -> Self {
        let authority = Arc::new(authority());
        let acceptor = acceptor(&authority, protocols);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            url: format!("https://localhost:{}/KeyfactorAgents", listener.local_addr().unwrap().port()),
            directory: tempfile::tempdir().unwrap(),
            authority,
            calls: Arc::default(),
            arrived: Arc::default(),
            answered: Arc::default(),
        };
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let (calls, arrived) = (Arc::clone(&server.calls), Arc::clone(&server.arrived));
        let answered = Arc::clone(&server.answered);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, script) = (acceptor.clone(), Arc::clone(&script));
                let (calls, arrived, answered) =
                    (Arc::clone(&calls), Arc::clone(&arrived), Arc::clone(&answered));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    while let Some(call) = read_call(&mut stream).await {
                        locked(&calls).push(call.clone());
                        arrived.notify_one();
                        let answer = locked(&script)(&call);
                        let written = write_answer(&mut stream, answer).await;
                        answered.notify_one();
                        if written.is_none() {
                            return;
                        }
                    }
                });
            }
        });
        server
    }

    /// Every call so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        locked(&self.calls).clone()
    }

    /// Waits until something happened: a call, or its answer.
    pub(crate) async fn changed(&self) {
        self.answered.notified().await;
    }

    /// Waits until so many calls to a path have arrived, and returns them.
    pub(crate) async fn wait_for(&self, path: &str, count: usize) -> Vec<Call> {
        loop {
            let calls: Vec<Call> = self.calls().into_iter().filter(|call| call.path == path).collect();
            if calls.len() >= count {
                return calls;
            }
            self.arrived.notified().await;
        }
    }

    /// Files of the test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    /// Settings of an agent for this door; further lines are appended.
    pub(crate) fn configuration(&self, lines: &str) -> Configuration {
        let ca_file = self.path("ca.pem");
        atomic_file::write(&ca_file, self.authority.certificate().to_pem().as_bytes(), 0o600).unwrap();
        let text = format!(
            "server_url = '{}'\nca_file = '{}'\ndata_dir = '{}'\nname = 'web1.example.test'\n{lines}",
            self.url,
            ca_file.display(),
            self.path("state").display(),
        );
        let file = self.path("agent.toml");
        atomic_file::write(&file, text.as_bytes(), 0o600).unwrap();
        Configuration::load(Some(&file), []).unwrap()
    }

    /// An agent without identity, and what tells it to stop.
    pub(crate) fn agent(&self, lines: &str) -> (Agent, watch::Sender<bool>) {
        let (tell, told) = watch::channel(false);
        (Agent::prepare(self.configuration(lines), Stop(told), LogFile::default()).unwrap(), tell)
    }

    /// An agent with an identity that is valid from and to the given days from now.
    pub(crate) fn known_agent(&self, lines: &str, from: i64, to: i64) -> (Agent, watch::Sender<bool>) {
        let (agent, tell) = self.agent(lines);
        let key = agent.identity_files.staged_key().unwrap();
        let certificate = client_certificate(&self.authority, &SubjectPublicKey::from(&key), from, to);
        let identity = agent
            .identity_files
            .accept(AGENT_ID, &certificate, wall_clock() + TimeDelta::days(from))
            .unwrap();
        agent.client.identify(Some(&identity)).unwrap();
        *locked(&agent.identity) = Some(identity);
        (agent, tell)
    }
}

/// The id of agents in tests.
pub(crate) const AGENT_ID: &str = "5f2d7a90-3c1e-4b0a-9d57-0e8f6a1b2c33";

/// An answer that accepts a registration, with a certificate where it asked for one.
pub(crate) fn accept(authority: &Issuer, call: &Call) -> Answer {
    let certificate = call.body["CSR"].as_str().map(|csr| {
        let request = CertificateRequest::parse(&STANDARD.decode(csr).unwrap()).unwrap();
        client_certificate(authority, request.public_key(), 0, 90)
    });
    Answer::Json(serde_json::json!({
        "Result": { "Status": 1, "Error": null },
        "Session": { "Token": Uuid::new_v4(), "AgentId": AGENT_ID, "Certificate": certificate, "Jobs": [] },
    }))
}

/// A pending answer.
pub(crate) fn pending() -> Answer {
    Answer::Json(serde_json::json!({
        "Result": { "Status": 3, "Error": { "CodeString": "pending", "Message": "waiting for approval" } },
        "Session": null, "RetryAfterSeconds": 0,
    }))
}

/// Base64 DER of a client certificate, valid from and to the given days from now.
pub(crate) fn client_certificate(authority: &Issuer, key: &SubjectPublicKey, from: i64, to: i64) -> String {
    let usage = ExtendedKeyUsage::ClientAuthentication;
    STANDARD.encode(leaf(authority, key, "agent", usage, (from, to)).der())
}

/// A certificate and key for a host, as an add job carries them.
pub(crate) fn host_certificate(authority: &Issuer, name: &str) -> (Certificate, PrivateKey) {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let usage = ExtendedKeyUsage::ServerAuthentication;
    (leaf(authority, &SubjectPublicKey::from(&key), name, usage, (0, 90)), key)
}

/// The certificate that a request asks for.
pub(crate) fn certify(authority: &Issuer, csr: &str) -> Certificate {
    let request = CertificateRequest::parse(&STANDARD.decode(csr).unwrap()).unwrap();
    let Some(SubjectAlternativeName::Dns(name)) = request.subject_alternative_names().first() else {
        panic!()
    };
    leaf(authority, request.public_key(), name, ExtendedKeyUsage::ServerAuthentication, (0, 90))
}

/// A root that signs leaves itself.
pub(crate) fn authority() -> Issuer {
    Issuer::self_signed_root(&AuthorityProfile {
        subject: DistinguishedName::from_common_name("Test Root").unwrap(),
        serial_number: SerialNumber::from_random(Uuid::new_v4().into_bytes()),
        not_before: wall_clock() - TimeDelta::days(400),
        not_after: wall_clock() + TimeDelta::days(400),
        crl_distribution_point: None,
    })
    .unwrap()
}

fn leaf(
    authority: &Issuer,
    key: &SubjectPublicKey,
    name: &str,
    usage: ExtendedKeyUsage,
    days: (i64, i64),
) -> Certificate {
    let profile = LeafProfile {
        subject: DistinguishedName::from_common_name(name).unwrap(),
        subject_alternative_names: vec![SubjectAlternativeName::Dns(name.to_owned())],
        serial_number: SerialNumber::from_random(Uuid::new_v4().into_bytes()),
        not_before: wall_clock() + TimeDelta::days(days.0) - TimeDelta::minutes(5),
        not_after: wall_clock() + TimeDelta::days(days.1),
        extended_key_usages: vec![usage],
        crl_distribution_point: None,
    };
    authority.sign(&profile, key).unwrap()
}

fn acceptor(authority: &Issuer, protocols: &[&[u8]]) -> TlsAcceptor {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let usage = ExtendedKeyUsage::ServerAuthentication;
    let certificate = leaf(authority, &SubjectPublicKey::from(&key), "localhost", usage, (0, 90));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.certificate().der().to_vec())).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .unwrap();
    let mut settings = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from(certificate.der().to_vec())],
            PrivateKeyDer::Pkcs8(key.to_pkcs8_der().to_vec().into()),
        )
        .unwrap();
    settings.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    TlsAcceptor::from(Arc::new(settings))
}

async fn read_call(stream: &mut TlsStream<TcpStream>) -> Option<Call> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok())?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    Some(Call {
        path: head.split(' ').nth(1)?.strip_prefix("/KeyfactorAgents/")?.to_owned(),
        body: serde_json::from_slice(&body).ok()?,
        client: shown.map(|der| Certificate::parse(der).unwrap()),
    })
}

async fn write_answer(stream: &mut TlsStream<TcpStream>, answer: Answer) -> Option<()> {
    let (status, headers, body) = match answer {
        Answer::Json(body) => (200, "Content-Type: application/json\r\n", body.to_string()),
        Answer::Raw(status, headers, body) => (status, headers, body),
        Answer::Held => {
            stream.read_u8().await.ok();
            return None;
        }
    };
    let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body.as_bytes()).await.ok()?;
    stream.flush().await.ok()
}

/// What a file of the test holds.
pub(crate) fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
