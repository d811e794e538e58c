//! Deleting certificates and private keys (operator contract, 8.2). What a store holds or a job is about stays: a single
//! deletion is refused and says what uses it, a deletion of many passes over it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::error::Error;
use super::queries::changes::{self, RemovableRow};
use super::search::{self, Chosen};
use super::supply;
use crate::security::{Principal, audit, permission};

/// Most certificates of one call.
const MAX_CERTIFICATES: usize = 10_000;

/// What is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The certificate, and its private key with it.
    Certificate,
    /// The private key alone.
    PrivateKey,
}

/// Deletes one.
///
/// # Errors
/// [`Error::NotFound`], [`Error::KeyMissing`], [`Error::InUse`], a missing permission.
pub(super) async fn one(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    part: Part,
    collection_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let permission = permission::CERTIFICATES_DELETE;
    supply::require_each(db, caller, permission, &[id], collection_id, now).await?;
    let row = changes::lock_removable(db, &[id]).await?.pop();
    let row = row.ok_or_else(|| Error::NotFound(id.to_string()))?;
    if let Some(reason) = used(&row, part) {
        return Err(Error::InUse(reason));
    }
    if part == Part::PrivateKey && !row.has_key {
        return Err(Error::KeyMissing(id));
    }
    delete(db, caller, &[row], part, now).await
}

/// Deletes those of some certificates that nothing uses.
///
/// # Errors
/// [`Error::Invalid`] for an empty list or one that is too long, a missing permission for any of them.
pub(super) async fn many(
    db: &mut PgConnection,
    caller: &Principal,
    mut ids: Vec<i64>,
    part: Part,
    collection_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() || ids.len() > MAX_CERTIFICATES {
        let reason = format!("expected a list of 1 to {MAX_CERTIFICATES} certificate ids");
        return Err(Error::Invalid { member: "the body", reason });
    }
    let permission = permission::CERTIFICATES_DELETE;
    supply::require_each(db, caller, permission, &ids, collection_id, now).await?;
    delete_unused(db, caller, &ids, part, now).await
}

/// Deletes those of the certificates that match which nothing uses; revoked and expired ones, too.
///
/// # Errors
/// What is wrong with the query, a missing permission.
pub(super) async fn matching(
    db: &mut PgConnection,
    caller: &Principal,
    query: &str,
    collection_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let chosen = Chosen {
        permission: permission::CERTIFICATES_DELETE,
        query: Some(query),
        collection_id,
        revoked: true,
        expired: true,
        limit: MAX_CERTIFICATES,
    };
    let ids = search::choose(db, caller, &chosen, now).await?;
    delete_unused(db, caller, &ids, Part::Certificate, now).await
}

async fn delete_unused(
    db: &mut PgConnection,
    caller: &Principal,
    ids: &[i64],
    part: Part,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let unused = |row: &RemovableRow| used(row, part).is_none() && (part == Part::Certificate || row.has_key);
    let rows: Vec<_> = changes::lock_removable(db, ids).await?.into_iter().filter(unused).collect();
    delete(db, caller, &rows, part, now).await
}

/// What keeps a certificate or a key from being deleted. A key in a store is a copy, so only jobs need the one here.
fn used(row: &RemovableRow, part: Part) -> Option<String> {
    let what = match part {
        Part::Certificate => format!("certificate {}", row.id),
        Part::PrivateKey => format!("the private key of certificate {}", row.id),
    };
    match (&row.job, &row.store) {
        (Some(job), _) => {
            Some(format!("{what} is in use: the job {job} is about it; wait for it or cancel it"))
        }
        (None, Some(store)) if part == Part::Certificate => {
            Some(format!("{what} is in use: the certificate store {store} holds it; remove it there first"))
        }
        _ => None,
    }
}

async fn delete(
    db: &mut PgConnection,
    caller: &Principal,
    rows: &[RemovableRow],
    part: Part,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let (operation, what) = match part {
        Part::Certificate => {
            changes::delete_certificates(db, &ids).await?;
            (audit::Operation::Deleted, "certificate")
        }
        Part::PrivateKey => {
            changes::delete_keys(db, &ids).await?;
            (audit::Operation::DeletedPrivateKey, "the private key of certificate")
        }
    };
    let line = |row: &RemovableRow| {
        let message = format!("{what} {} with thumbprint {} was deleted", row.id, row.thumbprint);
        audit::Line::new(caller, operation, "Certificate", row.id, message)
    };
    Ok(audit::record(db, &rows.iter().map(line).collect::<Vec<_>>(), now).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_uses_a_certificate_is_named() {
        let row = |store: Option<&str>, job: Option<&str>| RemovableRow {
            id: 7,
            thumbprint: "AA".repeat(20),
            has_key: true,
            store: store.map(str::to_owned),
            job: job.map(str::to_owned),
        };
        assert_eq!(used(&row(None, None), Part::Certificate), None);
        let held = row(Some("web1 /etc/tls"), None);
        assert!(used(&held, Part::Certificate).unwrap().contains("web1 /etc/tls"));
        assert_eq!(used(&held, Part::PrivateKey), None);
        let waiting = row(None, Some("job-1"));
        assert!(used(&waiting, Part::PrivateKey).unwrap().contains("job-1"));
    }
}
