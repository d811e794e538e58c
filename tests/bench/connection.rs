//! A kept HTTPS connection that costs little: the load shares its processors with what it measures.
//!
//! It speaks just as much HTTP/1.1 as the server answers to: one call at a time, bodies with a known length.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Longest wait for an answer: more than a poll is held.
const PATIENCE: Duration = Duration::from_secs(120);
/// Room for an answer; it grows when it has to.
const ROOM: usize = 4 * 1024;

/// Where the server is, and whom to trust.
pub(crate) struct Door {
    address: SocketAddr,
    roots: Arc<RootCertStore>,
}

impl Door {
    /// From the server's address and the file with its root certificate.
    pub(crate) fn new(base_url: &str, ca_file: &str) -> Result<Self> {
        let address = base_url.strip_prefix("https://").context("the server does not serve HTTPS")?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca_file).context("the root certificate cannot be read")?)?;
        Ok(Self {
            address: address.parse().context("the server's address has no port")?,
            roots: Arc::new(roots),
        })
    }

    /// What connections with this identity need; `None` for operators.
    pub(crate) fn tls(
        &self,
        identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    ) -> Result<TlsConnector> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&self.roots));
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key)?,
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// A connection.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    host: String,
    sent: Vec<u8>,
    received: Vec<u8>,
}

/// An answer, until the next call.
pub(crate) struct Answer<'a> {
    status: u16,
    body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// The body of a success.
    pub(crate) fn body(self) -> Result<&'a [u8]> {
        match self.status {
            200 | 204 => Ok(self.body),
            status => bail!("the server answered {status}: {}", String::from_utf8_lossy(self.body)),
        }
    }
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(door: &Door, tls: &TlsConnector) -> Result<Self> {
        let stream = TcpStream::connect(door.address).await.context("the server cannot be reached")?;
        stream.set_nodelay(true)?;
        let stream = tls.connect(ServerName::from(door.address.ip()), stream).await.context("no TLS")?;
        let host = door.address.to_string();
        Ok(Self { stream, host, sent: Vec::new(), received: Vec::with_capacity(ROOM) })
    }

    /// Sends a call and waits for its answer. `headers` end with a line break each.
    pub(crate) async fn call(&mut self, line: &str, headers: &str, body: &[u8]) -> Result<Answer<'_>> {
        self.sent.clear();
        write!(
            self.sent,
            "{line} HTTP/1.1\r\nhost: {}\r\n{headers}content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.host,
            body.len()
        )?;
        self.sent.extend_from_slice(body);
        self.stream.write_all(&self.sent).await?;
        self.stream.flush().await?;
        self.received.clear();
        let (status, range) =
            tokio::time::timeout(PATIENCE, self.receive()).await.context("the server does not answer")??;
        Ok(Answer { status, body: &self.received[range] })
    }

    async fn receive(&mut self) -> Result<(u16, std::ops::Range<usize>)> {
        let mut whole = None;
        loop {
            let some = self.stream.read_buf(&mut self.received).await?;
            ensure!(some > 0, "the server closed the connection");
            if whole.is_none() {
                whole = head(&self.received)?;
            }
            if let Some((status, start, length)) = whole
                && self.received.len() >= start + length
            {
                return Ok((status, start..start + length));
            }
        }
    }
}

/// Status, start and length of the body, once the whole head is there.
fn head(received: &[u8]) -> Result<Option<(u16, usize, usize)>> {
    let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&received[..end])?;
    let status: u16 = text.get(9..12).context("no status")?.parse()?;
    let length = text.lines().skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    match length {
        Some(length) => Ok(Some((status, end + 4, length?))),
        None if status == 204 => Ok(Some((status, end + 4, 0))),
        None => bail!("an answer of unknown length"),
    }
}

#[test]
fn an_answer_is_read_by_its_head() {
    let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\ndate: x\r\n\r\n{}";
    assert_eq!(head(whole).unwrap(), Some((200, 47, 2)));
    assert_eq!(head(&whole[..40]).unwrap(), None);
    assert_eq!(head(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap(), Some((204, 27, 0)));
    assert!(head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
}
