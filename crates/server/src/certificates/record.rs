//! Putting certificates on record, and keeping their private keys.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sealift_pki::{Certificate, KeyAlgorithm, PrivateKey};
use sqlx::PgConnection;

use super::error::Error;
use super::queries;
use crate::sealing::{Place, SealingKey};

/// How often recording is tried when other servers record the same certificates at the same moment.
const MAX_ATTEMPTS: usize = 4;
/// Most characters of a common name that are kept apart; the certificate keeps all of it.
const MAX_COMMON_NAME: usize = 256;
/// Most characters of a distinguished name or a DNS name that are kept apart.
const MAX_NAME: usize = 4_096;

/// State of a certificate that may be used.
pub(super) const ACTIVE: i16 = 1;
/// State of a certificate that signs others.
pub(super) const AUTHORITY: i16 = 6;

/// A certificate to be put on record. `From<Certificate>` is for those that inventory found.
#[derive(Debug, Clone)]
pub(crate) struct NewCertificate {
    /// The certificate.
    pub(crate) certificate: Certificate,
    /// Which of our authorities issued it.
    pub(crate) authority_id: Option<i64>,
    /// By which template.
    pub(crate) template_id: Option<i64>,
    /// Name of the caller that asked for it.
    pub(crate) requester: Option<String>,
    /// Metadata field to text.
    pub(crate) metadata: BTreeMap<String, String>,
}

impl From<Certificate> for NewCertificate {
    fn from(certificate: Certificate) -> Self {
        Self {
            certificate,
            authority_id: None,
            template_id: None,
            requester: None,
            metadata: BTreeMap::new(),
        }
    }
}

/// Puts certificates on record and answers their ids in the same order. One that is known keeps its record and its
/// id; one that is given twice gets one record. A batch that brings nothing new writes nothing.
///
/// # Errors
/// [`Error::Database`], [`Error::Contended`].
pub(crate) async fn record(
    db: &mut PgConnection,
    certificates: &[NewCertificate],
    now: DateTime<Utc>,
) -> Result<Vec<i64>, Error> {
    if certificates.is_empty() {
        return Ok(Vec::new());
    }
    let columns = columns(certificates);
    for _ in 0..MAX_ATTEMPTS {
        // What another transaction recorded after this statement began is neither inserted nor seen by it: such
        // a certificate has no id yet, and the next statement sees it.
        let ids: Option<Vec<i64>> =
            queries::record_certificates(db, &columns, now).await?.into_iter().collect();
        if let Some(ids) = ids {
            return Ok(ids);
        }
    }
    Err(Error::Contended(MAX_ATTEMPTS))
}

/// Keeps the private key of a certificate, sealed. A key that is there already stays.
///
/// # Errors
/// [`Error::Sealing`], [`Error::Database`].
pub(crate) async fn store_key(
    db: &mut PgConnection,
    sealing: &SealingKey,
    certificate_id: i64,
    key: &PrivateKey,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let sealed = sealing.seal(key_place(&certificate_id), &key.to_pkcs8_der())?;
    queries::insert_key(db, certificate_id, &sealed, now).await?;
    Ok(())
}

/// Where the private key of a certificate is kept.
pub(super) fn key_place(certificate_id: &i64) -> Place<'_> {
    Place { table: "certificate_keys", row: certificate_id, column: "sealed_key" }
}

fn columns(certificates: &[NewCertificate]) -> queries::CertificateColumns {
    let mut columns = queries::CertificateColumns::default();
    for new in certificates {
        let certificate = &new.certificate;
        columns.sha256.push(certificate.sha256().to_vec());
        columns.thumbprint.push(certificate.thumbprint().to_string());
        columns.serial_number.push(certificate.serial_number().to_string());
        columns.issued_dn.push(text(&certificate.subject().to_string(), MAX_NAME));
        columns.issued_cn.push(certificate.common_name().map(|name| text(name, MAX_COMMON_NAME)));
        columns.issuer_dn.push(text(&certificate.issuer().to_string(), MAX_NAME));
        columns.not_before.push(certificate.not_before());
        columns.not_after.push(certificate.not_after());
        columns.key_type.push(key_type(certificate.key_algorithm()));
        columns.key_bits.push(i32::try_from(certificate.key_algorithm().bits()).unwrap_or(i32::MAX));
        columns.signing_algorithm.push(certificate.signature_algorithm().to_owned());
        columns.content.push(certificate.der().to_vec());
        columns.dns_names.push(dns_names(certificate).into());
        columns.authority_id.push(new.authority_id);
        columns.template_id.push(new.template_id);
        columns.requester.push(new.requester.clone());
        columns.state.push(if certificate.is_authority() { AUTHORITY } else { ACTIVE });
        columns.metadata.push(serde_json::json!(new.metadata));
    }
    columns
}

fn dns_names(certificate: &Certificate) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in certificate.dns_names() {
        let name = text(&name.to_lowercase(), MAX_NAME);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// At most so many characters, without zero bytes: the database's texts hold none, and names in certificates that
/// were found may hold anything.
fn text(from: &str, length: usize) -> String {
    from.chars().take(length).map(|letter| if letter == '\0' { '\u{fffd}' } else { letter }).collect()
}

/// The contract's number of a kind of key (3.5). Those above 4 are not confirmed by any source.
fn key_type(algorithm: KeyAlgorithm) -> i16 {
    match algorithm {
        KeyAlgorithm::Rsa(_) => 1,
        KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384 | KeyAlgorithm::EcdsaP521 => 3,
        KeyAlgorithm::Ed25519 => 6,
        KeyAlgorithm::Unknown => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fit_their_columns() {
        assert_eq!(text("a\0b", 10), "a\u{fffd}b");
        assert_eq!(text(&"é".repeat(300), MAX_COMMON_NAME).chars().count(), MAX_COMMON_NAME);
    }
}
