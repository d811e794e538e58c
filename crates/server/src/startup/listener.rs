//! TLS of the one listener: its own certificate, renewed while it runs, and client certificates that are
//! asked for and not required, since operators have none and new agents have none yet.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};

use super::Error;
use crate::authority::Authority;
use crate::floor::Floor;

/// A certificate of the embedded authority is renewed this long before its end.
const RENEW_BEFORE: TimeDelta = TimeDelta::days(30);

/// The listener's TLS.
pub(crate) struct Tls {
    config: Arc<ServerConfig>,
    current: Arc<Current>,
    names: Vec<String>,
}

#[derive(Debug)]
struct Current(RwLock<(Arc<CertifiedKey>, Option<DateTime<Utc>>)>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).0))
    }
}

impl Tls {
    /// Reads the operator's certificate, or has one issued.
    pub(super) async fn open(floor: &Floor, authority: &Authority, bound: SocketAddr) -> Result<Self, Error> {
        let names = names(floor, bound);
        let settings = &floor.configuration.tls;
        let first = match settings.certificate_file.as_os_str().is_empty() {
            true => issue(floor, authority, &names).await?,
            false => (read(&settings.certificate_file, &settings.key_file)?, None),
        };
        let current = Arc::new(Current(RwLock::new(first)));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut anchors = RootCertStore::empty();
        anchors.add(CertificateDer::from(authority.agents_anchor().to_vec())).map_err(refused)?;
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(refused)?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        Ok(Self { config: Arc::new(config), current, names })
    }

    /// For the listener.
    pub(super) fn config(&self) -> ServerConfig {
        (*self.config).clone()
    }

    /// Renews a certificate of the embedded authority when its end is near.
    pub(crate) async fn renew(&self, floor: &Floor, authority: &Authority) -> Result<(), Error> {
        let ends = self.current.0.read().unwrap_or_else(PoisonError::into_inner).1;
        if ends.is_some_and(|ends| ends - RENEW_BEFORE <= floor.now()) {
            let next = issue(floor, authority, &self.names).await?;
            *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = next;
            tracing::info!("the listener's certificate was renewed");
        }
        Ok(())
    }
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::Tls(error.to_string())
}

/// The configured names, the host of the public address, and the listening address.
fn names(floor: &Floor, bound: SocketAddr) -> Vec<String> {
    let mut names = floor.configuration.tls.names.clone();
    let host = floor.public_url.split("://").nth(1).unwrap_or_default();
    let host = host.split('/').next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    names.push(host.trim_matches(['[', ']']).to_owned());
    if !bound.ip().is_unspecified() {
        names.push(bound.ip().to_string());
    }
    names.retain(|name| !name.is_empty());
    names.sort();
    names.dedup();
    names
}

async fn issue(
    floor: &Floor,
    authority: &Authority,
    names: &[String],
) -> Result<(Arc<CertifiedKey>, Option<DateTime<Utc>>), Error> {
    let mut transaction = floor.database.main.begin().await.map_err(refused)?;
    let issued = authority.issue_listener(&mut transaction, names, floor.now()).await?;
    transaction.commit().await.map_err(refused)?;
    let chain = issued.chain.into_iter().map(CertificateDer::from).collect();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(issued.key.to_vec()));
    Ok((certified(chain, key)?, Some(issued.not_after)))
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, Error> {
    let named =
        |path: &Path, error: &dyn std::fmt::Display| Error::Tls(format!("{}: {error}", path.display()));
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(certificate).map_err(|error| named(certificate, &error))?.collect();
    let chain = chain.map_err(|error| named(certificate, &error))?;
    if chain.is_empty() {
        return Err(named(certificate, &"it holds no certificate"));
    }
    certified(chain, PrivateKeyDer::from_pem_file(key).map_err(|error| named(key, &error))?)
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, Error> {
    let key = aws_lc_rs::sign::any_supported_type(&key).map_err(refused)?;
    let certified = CertifiedKey::new(chain, key);
    certified
        .keys_match()
        .map_err(|error| Error::Tls(format!("key and certificate do not belong together: {error}")))?;
    Ok(Arc::new(certified))
}
