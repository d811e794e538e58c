//! What other slices ask about certificates: facts to decide by, bundles to deliver, and whether a caller may.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use zeroize::Zeroizing;

use super::error::Error;
use super::{chain, collection, queries, record};
use crate::authority::Authority;
use crate::floor::Floor;
use crate::http::Failure;
use crate::security::{Principal, permission};

/// What other slices decide by.
#[derive(Debug, Clone)]
pub(crate) struct CertificateFacts {
    /// The certificate.
    pub(crate) id: i64,
    /// SHA-1, upper-case hexadecimal.
    pub(crate) thumbprint: String,
    /// Whether the server keeps its private key.
    pub(crate) has_key: bool,
}

/// What an agent needs to put a certificate into a store. No `Debug`: it holds a private key.
#[derive(Clone)]
pub(crate) struct Bundle {
    /// DER, leaf first, then its chain without the root.
    pub(crate) certificates: Vec<Vec<u8>>,
    /// PKCS#8 DER, where the server keeps the key.
    pub(crate) private_key: Option<Zeroizing<Vec<u8>>>,
}

/// Facts about certificates, in no particular order; unknown ids are left out.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn facts(db: &mut PgConnection, ids: &[i64]) -> Result<Vec<CertificateFacts>, Error> {
    Ok(queries::facts(db, ids).await?)
}

/// Certificates with chain and private key, by id; unknown ids are left out. The caller hands them to nobody but an
/// agent that has a job for them.
///
/// # Errors
/// [`Error::Sealing`], [`Error::Database`].
pub(crate) async fn bundles(
    db: &mut PgConnection,
    floor: &Floor,
    authority: &Authority,
    ids: &[i64],
) -> Result<HashMap<i64, Bundle>, Error> {
    let rows = queries::contents(db, ids).await?;
    let strangers: Vec<i64> =
        rows.iter().filter(|row| row.authority_id.is_none()).map(|row| row.id).collect();
    let mut issuers = chain::issuers(db, &strangers).await?;
    let mut bundles = HashMap::with_capacity(ids.len());
    for row in rows {
        let open = |sealed: Vec<u8>| floor.sealing.open(record::key_place(&row.id), &sealed);
        let private_key = row.sealed_key.map(open).transpose()?;
        let certificates = match row.authority_id {
            Some(id) => {
                let mut certificates = vec![row.content];
                certificates.extend(authority.chain(id));
                certificates
            }
            None => chain::without_root(row.id, &row.content, issuers.remove(&row.id).unwrap_or_default())?,
        };
        bundles.insert(row.id, Bundle { certificates, private_key });
    }
    Ok(bundles)
}

/// Refuses a caller that may not read this certificate: it needs the permission everywhere, or for a collection
/// that it names and that holds the certificate. Whether the certificate exists is not looked at for a caller that
/// may read all.
///
/// # Errors
/// 403 without the permission, 404 when the collection does not exist or does not hold the certificate.
pub(crate) async fn require_readable(
    db: &mut PgConnection,
    caller: &Principal,
    certificate_id: i64,
    collection_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let collection_id = collection_id.filter(|id| *id != 0);
    let permission = permission::CERTIFICATES_READ;
    Ok(require_each(db, caller, permission, &[certificate_id], collection_id, now).await?)
}

/// Refuses a caller that lacks a permission for one of some certificates, as [`require_readable`] does.
pub(super) async fn require_each(
    db: &mut PgConnection,
    caller: &Principal,
    permission: &str,
    certificate_ids: &[i64],
    collection_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    if caller.permits(permission) {
        return Ok(());
    }
    caller.require_for(permission, collection_id)?;
    let held = match collection_id {
        Some(id) => collection::held_of(db, caller, id, certificate_ids, now).await?,
        None => Vec::new(),
    };
    let held: HashSet<i64> = held.into_iter().collect();
    match certificate_ids.iter().find(|id| !held.contains(id)) {
        None => Ok(()),
        Some(id) => Err(Error::NotFound(id.to_string())),
    }
}
