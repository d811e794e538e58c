//! A TLS server on a Central Certificate Store share, which chooses its certificate as IIS does.
//!
//! At each handshake it takes the name that the client sends (SNI), opens `{name}.pfx` in the share, else the
//! wildcard file made by replacing the leftmost label with `_`, and serves what the file holds. Nothing is kept
//! between handshakes, so a replaced file counts from the next one on. Over the connection it answers any HTTP
//! request, as often as the client asks.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use sealift_pki::{Limits, Pkcs12};
use sealift_protocol::Secret;

/// Connections that are served at a time; more are closed at once.
const CONNECTIONS: usize = 256;
/// How long a connection may say nothing.
const IDLE: Duration = Duration::from_secs(120);
/// Largest head of a request, in bytes.
const HEAD_BYTES: usize = 16 * 1024;

/// A running listener. It ends when dropped; connections that are open then end with their clients.
pub struct TlsListener {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl TlsListener {
    /// Begins to serve the files of a share, which all have this password.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn start(address: SocketAddr, share: &Path, password: Secret) -> Result<Self> {
        let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let share = Arc::new(Share { directory: share.to_owned(), password });
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(share);
        let ended = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ended);
        let thread = std::thread::spawn(move || accept(&listener, &Arc::new(config), &told));
        Ok(Self { address, ended, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread, which looks at `ended` after each connection.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, config: &Arc<ServerConfig>, ended: &AtomicBool) {
    let open = Arc::new(AtomicUsize::new(0));
    for (number, socket) in (1_u64..).zip(listener.incoming()) {
        if ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(socket) = socket else { continue };
        if open.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS {
            open.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let (config, open) = (Arc::clone(config), Arc::clone(&open));
        std::thread::spawn(move || {
            if let Err(error) = converse(socket, config, number) {
                eprintln!("connection {number}: {error}");
            }
            open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// Answers requests until the client leaves.
fn converse(socket: TcpStream, config: Arc<ServerConfig>, number: u64) -> io::Result<()> {
    socket.set_read_timeout(Some(IDLE))?;
    socket.set_write_timeout(Some(IDLE))?;
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, socket);
    let mut received = Vec::new();
    for request in 1_u64.. {
        let end = loop {
            if let Some(at) = received.windows(4).position(|end| end == b"\r\n\r\n") {
                break at + 4;
            }
            let mut buffer = [0; 1024];
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                // Clients that close the socket without saying so over TLS have ended, too.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Ok(count) => received.extend_from_slice(&buffer[..count]),
                Err(error) => return Err(error),
            }
            if received.len() > HEAD_BYTES {
                return Err(io::Error::other("the head of the request is too long"));
            }
        };
        received.drain(..end);
        let name = stream.conn.server_name().unwrap_or_default().to_owned();
        let body = format!("answered for {name} on connection {number}, request {request}\n");
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes())?;
        stream.flush()?;
    }
    Ok(())
}

/// The directory with the files, and the one password of all.
struct Share {
    directory: PathBuf,
    password: Secret,
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({})", self.directory.display())
    }
}

impl ResolvesServerCert for Share {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?;
        match self.certified_key(name) {
            Ok(found) => found.map(Arc::new),
            Err(error) => {
                eprintln!("nothing to serve for {name}: {error:#}");
                None
            }
        }
    }
}

impl Share {
    /// What a handshake with this name gets; none when there is no file for it.
    fn certified_key(&self, name: &str) -> Result<Option<CertifiedKey>> {
        // TLS has checked that this is a DNS name, so it cannot lead out of the directory.
        for file in file_names(name) {
            let path = self.directory.join(file);
            let bytes = match std::fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).with_context(|| path.display().to_string()),
            };
            return open(&bytes, &self.password).map(Some).with_context(|| path.display().to_string());
        }
        Ok(None)
    }
}

/// The files that may serve a name: its own, then the wildcard of one label. International names are written in
/// Unicode.
fn file_names(name: &str) -> impl Iterator<Item = String> {
    let (name, _) = idna::domain_to_unicode(name);
    let wildcard = name.split_once('.').map(|(_, rest)| format!("_.{rest}.pfx"));
    [Some(format!("{name}.pfx")), wildcard].into_iter().flatten()
}

fn open(bytes: &[u8], password: &Secret) -> Result<CertifiedKey> {
    let entry = Pkcs12::decode(bytes, password.expose(), Limits::STORE)?;
    let key = entry.key.context("the file holds no private key")?;
    ensure!(!entry.certificates.is_empty(), "the file holds no certificate");
    let chain = entry.certificates.iter().map(|one| CertificateDer::from(one.der().to_vec())).collect();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_pkcs8_der().to_vec()));
    Ok(CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_served_by_its_own_file_or_the_wildcard_of_one_label() {
        let names = |name| file_names(name).collect::<Vec<_>>();
        assert_eq!(names("shop.example.test"), ["shop.example.test.pfx", "_.example.test.pfx"]);
        assert_eq!(names("a.b.example.test"), ["a.b.example.test.pfx", "_.b.example.test.pfx"]);
        assert_eq!(names("SHOP.example.test"), ["shop.example.test.pfx", "_.example.test.pfx"]);
        assert_eq!(names("xn--mnchen-3ya.example.test")[0], "münchen.example.test.pfx");
        assert_eq!(names("localhost"), ["localhost.pfx"]);
    }
}
