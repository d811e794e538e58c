//! Who looks from outside, and believes nothing but TLS: `openssl s_client`, and a client that keeps its connection.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sealift_pki::Certificate;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::hosts::Host;
use crate::narration::Narration;
use crate::stage::Stage;

/// Largest answer that is read, in bytes.
const ANSWER_BYTES: usize = 64 * 1024;

/// What one handshake showed.
pub(crate) struct Seen {
    /// What openssl prints of the certificate.
    pub(crate) lines: Vec<String>,
}

impl Seen {
    /// The value of a line such as `serial=…`.
    pub(crate) fn value(&self, name: &str) -> &str {
        let start = format!("{}=", name.to_lowercase());
        let line = self.lines.iter().find(|line| line.to_lowercase().starts_with(&start));
        line.and_then(|line| line.split_once('=')).map_or("", |(_, value)| value)
    }

    /// The SHA-1 fingerprint as the server writes thumbprints.
    pub(crate) fn thumbprint(&self) -> String {
        self.value("sha1 Fingerprint").replace(':', "")
    }
}

/// Lets openssl make a handshake with this name, and verify chain and name.
pub(crate) async fn s_client(
    stage: &Stage,
    narration: Option<&Narration>,
    host: &Host,
    name: &str,
) -> Result<Seen> {
    let pipe = format!(
        "openssl s_client -connect {} -servername {name} -CAfile server/ca.pem -verify_hostname {name} \
         -verify_return_error </dev/null 2>/dev/null | openssl x509 -noout -subject -issuer -serial -fingerprint -dates",
        host.address
    );
    if let Some(narration) = narration {
        narration.command(&pipe);
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", &pipe]).current_dir(stage.directory()).kill_on_drop(true).stderr(Stdio::null());
    let output = shell.output().await.context("sh does not start")?;
    ensure!(output.status.success(), "openssl does not accept what {} serves for {name}", host.machine);
    Ok(Seen { lines: String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect() })
}

/// A TLS connection that stays open, with a verified certificate.
pub(crate) struct OpenConnection {
    stream: TlsStream<TcpStream>,
    name: String,
    /// Serial number of the certificate it was opened with.
    pub(crate) serial: String,
}

impl OpenConnection {
    /// Connects, trusting the authority in the file alone.
    pub(crate) async fn open(ca_file: &Path, host: &Host, name: &str) -> Result<Self> {
        let mut anchors = RootCertStore::empty();
        anchors.add(CertificateDer::from_pem_file(ca_file)?)?;
        let config = ClientConfig::builder().with_root_certificates(anchors).with_no_client_auth();
        let socket = TcpStream::connect(host.address).await?;
        let server = ServerName::try_from(name.to_owned())?;
        let stream = TlsConnector::from(Arc::new(config)).connect(server, socket).await;
        let stream = stream.with_context(|| format!("TLS with {} for {name}", host.machine))?;
        let peer = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let serial = Certificate::parse(peer.context("no certificate")?)?.serial_number().to_string();
        Ok(Self { stream, name: name.to_owned(), serial })
    }

    /// Sends a request up to its last line end, so that the server is in the middle of it.
    pub(crate) async fn begin_request(&mut self) -> Result<()> {
        self.stream.write_all(format!("GET / HTTP/1.1\r\nHost: {}\r\n", self.name).as_bytes()).await?;
        Ok(self.stream.flush().await?)
    }

    /// Ends the request and reads the answer; answers its body.
    pub(crate) async fn finish_request(&mut self) -> Result<String> {
        self.stream.write_all(b"\r\n").await?;
        self.stream.flush().await?;
        let mut received = Vec::new();
        loop {
            if let Some(body) = body_of(&received)? {
                return Ok(body);
            }
            ensure!(received.len() < ANSWER_BYTES, "the answer is too long");
            let count = self.stream.read_buf(&mut received).await?;
            ensure!(count > 0, "the connection was closed before the answer");
        }
    }

    /// A whole request.
    pub(crate) async fn request(&mut self) -> Result<String> {
        self.begin_request().await?;
        self.finish_request().await
    }
}

/// The body of an answer that has come whole.
fn body_of(received: &[u8]) -> Result<Option<String>> {
    let text = String::from_utf8_lossy(received);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(None) };
    ensure!(head.starts_with("HTTP/1.1 200 "), "refused: {}", head.lines().next().unwrap_or_default());
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(str::to_owned));
    let length: usize = length.context("an answer without length")?.trim().parse()?;
    Ok(body.get(..length).map(|body| body.trim_end().to_owned()))
}
