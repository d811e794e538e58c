//! One TLS handshake that takes any certificate and remembers the chain. The server must still prove that it has the
//! key. No reason that is told here holds anything of what the other side sent.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, ProtocolVersion, SignatureScheme};
use sealift_pki::Certificate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::locked;

/// Most bytes that a server may send before the handshake is done.
const MAX_BYTES: usize = 256 * 1024;

/// What a server showed.
pub(super) struct Seen {
    pub(super) leaf: Certificate,
    pub(super) chain: Vec<Certificate>,
    /// `1.2` or `1.3`.
    pub(super) protocol: &'static str,
}

/// A handshake with the first address that takes the connection.
pub(super) async fn with_any(
    addresses: &[SocketAddr],
    name: &str,
    version: Option<&str>,
) -> Result<Seen, String> {
    let mut reason = "it has no address".to_owned();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return shake(stream, name, version).await,
            Err(error) => reason = unconnected(&error).to_owned(),
        }
    }
    Err(reason)
}

fn unconnected(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::ConnectionRefused => "the connection was refused",
        ErrorKind::TimedOut => "no answer in time",
        _ => "it cannot be reached",
    }
}

async fn shake(mut stream: TcpStream, name: &str, version: Option<&str>) -> Result<Seen, String> {
    let versions = match version {
        None => vec![&TLS12, &TLS13],
        Some("1.2") => vec![&TLS12],
        Some("1.3") => vec![&TLS13],
        Some(_) => return Err("no such version is known here".to_owned()),
    };
    let name = ServerName::try_from(name.to_owned()).map_err(|_| "its server name is none".to_owned())?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let recorder = Arc::new(Recorder {
        shown: Mutex::default(),
        proved: AtomicBool::new(false),
        algorithms: provider.signature_verification_algorithms,
    });
    let failed = |_| "the handshake cannot be begun".to_owned();
    let mut settings = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Recorder>::clone(&recorder))
        .with_no_client_auth();
    settings.resumption = Resumption::disabled();
    let mut connection = ClientConnection::new(Arc::new(settings), name).map_err(failed)?;
    let ended = drive(&mut stream, &mut connection).await;
    // A server that wants a certificate of the client may end the handshake after it has shown and proved its own.
    if !recorder.proved.load(Ordering::Acquire) {
        return Err(ended.err().unwrap_or("it showed no certificate").to_owned());
    }
    let unreadable = |_| "it showed a certificate that cannot be read".to_owned();
    let shown = locked(&recorder.shown).clone();
    let mut shown = shown.iter().map(|der| Certificate::parse(der));
    let leaf = shown.next().ok_or("it showed no certificate")?.map_err(unreadable)?;
    let chain = shown.collect::<Result<_, _>>().map_err(unreadable)?;
    let protocol = match (connection.protocol_version(), version) {
        (Some(ProtocolVersion::TLSv1_3), _) | (None, Some("1.3")) => "1.3",
        _ => "1.2",
    };
    Ok(Seen { leaf, chain, protocol })
}

/// Carries bytes to and fro until the handshake is done.
async fn drive(stream: &mut TcpStream, connection: &mut ClientConnection) -> Result<(), &'static str> {
    let mut buffer = vec![0; 16 * 1024];
    let mut received = 0;
    while connection.is_handshaking() {
        let mut out = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut out).map_err(|_| "the handshake failed")?;
        }
        stream.write_all(&out).await.map_err(|_| "the connection was closed")?;
        if !connection.is_handshaking() {
            break;
        }
        let length = stream.read(&mut buffer).await.map_err(|_| "the connection was closed")?;
        received += length;
        if length == 0 || received > MAX_BYTES {
            return Err("the connection ended before the handshake");
        }
        let mut rest = &buffer[..length];
        while !rest.is_empty() {
            connection.read_tls(&mut rest).map_err(|_| "the handshake failed")?;
            connection.process_new_packets().map_err(|error| named(&error))?;
        }
    }
    Ok(())
}

fn named(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::AlertReceived(_) => "the server ended the handshake with an alert",
        rustls::Error::InvalidMessage(_) => "it does not speak TLS",
        rustls::Error::PeerIncompatible(_) => "it does not speak this version of TLS",
        _ => "the handshake failed",
    }
}

/// Takes every chain and remembers it.
#[derive(Debug)]
struct Recorder {
    shown: Mutex<Vec<Vec<u8>>>,
    proved: AtomicBool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Recorder {
    fn judged(
        &self,
        result: Result<HandshakeSignatureValid, rustls::Error>,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.proved.store(result.is_ok(), Ordering::Release);
        result
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        *locked(&self.shown) = chain.map(|der| der.to_vec()).collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.judged(verify_tls12_signature(message, certificate, signed, &self.algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.judged(verify_tls13_signature(message, certificate, signed, &self.algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
