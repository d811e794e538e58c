//! The certificates above a certificate: from our own authorities, and from those on record for others'.

use std::collections::HashMap;

use sealift_pki::Certificate;
use sqlx::PgConnection;

use super::error::Error;
use super::queries::content;
use crate::authority::Authority;

/// Most levels that are looked up.
const MAX_DEPTH: i32 = 8;
/// Most certificates that are looked at for all chains of a call.
const MAX_CANDIDATES: i64 = 1_000;

/// What may stand above some certificates, by their ids; not in order, and not verified.
pub(super) async fn issuers(
    db: &mut PgConnection,
    ids: &[i64],
) -> Result<HashMap<i64, Vec<Certificate>>, Error> {
    let mut found: HashMap<i64, Vec<Certificate>> = HashMap::new();
    if ids.is_empty() {
        return Ok(found);
    }
    for row in content::issuers(db, ids, MAX_DEPTH, MAX_CANDIDATES).await? {
        found.entry(row.leaf_id).or_default().push(parse(row.leaf_id, &row.content)?);
    }
    Ok(found)
}

/// The chain of a certificate as far as it is known: the certificate first, and its root last.
pub(super) async fn whole(
    db: &mut PgConnection,
    authority: &Authority,
    id: i64,
    certificate: &Certificate,
) -> Result<Vec<Certificate>, Error> {
    let mut candidates = issuers(db, &[id]).await?.remove(&id).unwrap_or_default();
    candidates.extend(authority.certificates());
    sealift_pki::chain::from_leaf(certificate, &candidates).map_err(|source| Error::Unreadable { id, source })
}

/// DER of a certificate and of those above it, without the root.
pub(super) fn without_root(id: i64, der: &[u8], issuers: Vec<Certificate>) -> Result<Vec<Vec<u8>>, Error> {
    let leaf = parse(id, der)?;
    let chain =
        sealift_pki::chain::from_leaf(&leaf, &issuers).map_err(|source| Error::Unreadable { id, source })?;
    let wanted = |(index, one): &(usize, Certificate)| *index == 0 || !one.is_self_issued();
    Ok(chain.into_iter().enumerate().filter(wanted).map(|(_, one)| one.der().to_vec()).collect())
}

/// A certificate of the database.
pub(super) fn parse(id: i64, der: &[u8]) -> Result<Certificate, Error> {
    Certificate::parse(der).map_err(|source| Error::Unreadable { id, source })
}
