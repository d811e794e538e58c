//! The certificate half of an import, and the analysis before one (operator contract, 8.2 and 8.4). Delivery to stores
//! belongs to `certificate_stores`, which has the route.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sealift_protocol::Secret;
use sealift_protocol::operator::certificate_content::{Analyze, Analyzed};
use serde_json::Value;
use sqlx::PgConnection;

use super::error::Error;
use super::given::{self, Given};
use super::metadata;
use super::queries::{changes, content};
use super::record::{self, NewCertificate};
use crate::floor::Floor;
use crate::security::{Principal, audit, permission};

/// What an import hands in. No `Debug`: it may hold a private key.
pub(crate) struct ImportCall {
    /// Base64 of DER, PEM text or PKCS#12.
    pub(crate) certificate: Option<Secret>,
    /// Password of what is encrypted inside.
    pub(crate) password: Option<Secret>,
    /// Metadata field to value.
    pub(crate) metadata: BTreeMap<String, Value>,
}

/// A call whose file was opened. No `Debug`: it may hold a private key.
pub(crate) struct Opened {
    given: Given,
    metadata: BTreeMap<String, Value>,
}

/// A certificate that was imported.
#[derive(Debug, Clone)]
pub(crate) struct ImportedCertificate {
    /// Its id.
    pub(crate) id: i64,
    /// SHA-1, upper-case hexadecimal.
    pub(crate) thumbprint: String,
    /// Whether it was on record before.
    pub(crate) known: bool,
    /// Whether its private key came along.
    pub(crate) with_key: bool,
}

/// Opens what an import hands in; slow, so before a transaction begins.
///
/// # Errors
/// What is wrong with `Certificate` or `Password`, [`Error::Busy`], a missing permission.
pub(crate) async fn open(caller: &Principal, call: ImportCall) -> Result<Opened, Error> {
    caller.require(permission::CERTIFICATES_IMPORT)?;
    let given = given::read(call.certificate, call.password).await?;
    if given.key.is_some() {
        caller.require(permission::PRIVATE_KEYS_IMPORT)?;
    }
    Ok(Opened { given, metadata: call.metadata })
}

/// Puts the certificate on record, with those above it that came along, its private key and its metadata. One that is
/// on record keeps its record; metadata that is given then needs the permission to change it.
///
/// # Errors
/// What is wrong with the metadata, a missing permission, and what recording fails with.
pub(crate) async fn import(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    opened: Opened,
    now: DateTime<Utc>,
) -> Result<ImportedCertificate, Error> {
    let Opened { given: Given { leaf, above, key }, metadata } = opened;
    let changes = metadata::admit(db, metadata).await?;
    let known = !content::by_sha256(db, &[leaf.sha256().to_vec()]).await?.is_empty();
    if known && !changes.is_empty() {
        caller.require(permission::CERTIFICATES_METADATA)?;
    }
    let thumbprint = leaf.thumbprint().to_string();
    let mut new = vec![NewCertificate {
        requester: Some(caller.name().to_owned()),
        ..NewCertificate::from(leaf.clone())
    }];
    new.extend(above.into_iter().map(NewCertificate::from));
    let ids = record::record(db, &new, now).await?;
    let id = ids.first().copied().ok_or(sqlx::Error::RowNotFound)?;
    if let Some(key) = &key {
        record::store_key(db, &floor.sealing, id, key, now).await?;
    }
    if !changes.is_empty() {
        metadata::write(db, &[id], &changes).await?;
    }
    let with = if key.is_some() { "with its private key" } else { "without a private key" };
    let message = format!("certificate {} with thumbprint {thumbprint} was imported {with}", leaf.subject());
    let line = audit::Line::new(caller, audit::Operation::Imported, "Certificate", id, message);
    audit::record(db, &[line], now).await?;
    Ok(ImportedCertificate { id, thumbprint, known, with_key: key.is_some() })
}

/// Says what a file holds, without putting anything on record.
pub(super) async fn analyze(
    db: &mut PgConnection,
    caller: &Principal,
    given: Given,
) -> Result<Vec<Analyzed>, Error> {
    let certificates: Vec<_> = std::iter::once(given.leaf).chain(given.above).collect();
    let mut metadata: BTreeMap<Vec<u8>, BTreeMap<String, String>> = BTreeMap::new();
    if caller.permits(permission::CERTIFICATES_READ) {
        let hashes: Vec<Vec<u8>> = certificates.iter().map(|one| one.sha256().to_vec()).collect();
        let known = content::by_sha256(db, &hashes).await?;
        let ids: Vec<i64> = known.iter().map(|(id, _)| *id).collect();
        for (id, value) in changes::metadata_of(db, &ids).await? {
            let hash = known.iter().find(|(known, _)| *known == id).map(|(_, hash)| hash.clone());
            metadata.extend(hash.map(|hash| (hash, serde_json::from_value(value).unwrap_or_default())));
        }
    }
    let answer = certificates.into_iter().map(|one| Analyzed {
        issued_dn: one.subject().to_string(),
        issuer_dn: one.issuer().to_string(),
        thumbprint: one.thumbprint().to_string(),
        not_after: one.not_after().into(),
        not_before: one.not_before().into(),
        metadata: metadata.remove(one.sha256().as_slice()).unwrap_or_default(),
        is_end_entity: !one.is_authority(),
    });
    Ok(answer.collect())
}

/// Opens a file that is to be analyzed.
pub(super) async fn open_for_analysis(caller: &Principal, request: Analyze) -> Result<Given, Error> {
    caller.require(permission::CERTIFICATES_IMPORT)?;
    given::read(request.certificate, request.password).await
}
