//! Revocation, and the lists that tell of it.
//!
//! A list is signed by whoever holds the authority's row: the sweep when one is due, or a reader that finds none.
//! A revocation marks the row after the serial numbers, so that it waits for a list under way and asks for the next.

use chrono::{DateTime, TimeDelta, Utc};
use sealift_pki::{RevocationList, RevocationReason, RevokedCertificate, SerialNumber};
use sqlx::PgConnection;

use super::error::Error;
use super::issue::CLOCK_SKEW;
use super::{Authority, Held, Kind, queries};
use crate::floor::Floor;
use crate::http::problem::shortened;

/// How long a list is valid.
pub(super) const VALIDITY: TimeDelta = TimeDelta::days(7);
/// How long before its end a list is replaced.
pub(super) const RENEWAL: TimeDelta = TimeDelta::days(2);
/// Most certificates on one list.
const MAX_REVOKED: i64 = 100_000;

/// Puts certificates on the next revocation list of their authority. Answers how many were not revoked before.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn revoke(
    db: &mut PgConnection,
    authority_id: i64,
    serials: &[SerialNumber],
    reason: RevocationReason,
    at: DateTime<Utc>,
) -> Result<u64, Error> {
    let serials: Vec<Vec<u8>> = serials.iter().map(|serial| serial.as_bytes().to_vec()).collect();
    let changed = queries::revoke_serials(db, authority_id, &serials, reason as i16, at).await?;
    queries::mark_list_stale(db, authority_id).await?;
    Ok(changed)
}

/// Takes certificates off hold: the next revocation list of their authority does not name them any more. Those that
/// were revoked for another reason stay revoked. Answers how many were released.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn release(
    db: &mut PgConnection,
    authority_id: i64,
    serials: &[SerialNumber],
) -> Result<u64, Error> {
    let serials: Vec<Vec<u8>> = serials.iter().map(|serial| serial.as_bytes().to_vec()).collect();
    let hold = RevocationReason::CertificateHold as i16;
    let changed = queries::release_serials(db, authority_id, &serials, hold).await?;
    queries::mark_list_stale(db, authority_id).await?;
    Ok(changed)
}

/// The list of a name such as `issuing.crl`, as DER; signed now when there is none that is valid.
pub(super) async fn current(floor: &Floor, authority: &Authority, name: &str) -> Result<Vec<u8>, Error> {
    let unknown = |reason| Error::NoSuchList { name: shortened(name), reason };
    let kind = name.strip_suffix(".crl").and_then(Kind::parse);
    let kind = kind.ok_or_else(|| unknown("there are root.crl, issuing.crl and agents.crl"))?;
    let held = authority.held(kind);
    let now = floor.now();
    let mut connection = floor.database.main.acquire().await?;
    if let Some(list) = valid_list(&mut connection, held, now).await? {
        return Ok(list);
    }
    if held.issuer.is_none() {
        return Err(unknown("the key of this authority is held elsewhere, and so is its list"));
    }
    let mut transaction = sqlx::Connection::begin(&mut *connection).await?;
    if let Some(before) = queries::take_missing_list(&mut transaction, held.id, now).await? {
        let list = sign_next(&mut transaction, held, before, now).await?;
        transaction.commit().await?;
        return Ok(list);
    }
    // Another server signed it while this one waited.
    let list = valid_list(&mut transaction, held, now).await?;
    list.ok_or_else(|| unknown("its authority is not in the database any more"))
}

async fn valid_list(
    db: &mut PgConnection,
    held: &Held,
    now: DateTime<Utc>,
) -> Result<Option<Vec<u8>>, Error> {
    let row = queries::newest_list(db, held.id).await?;
    Ok(row.filter(|row| row.crl_next_update.is_some_and(|until| now < until)).and_then(|row| row.crl))
}

/// Signs and stores the list after number `before`. The caller holds the authority's row.
pub(super) async fn sign_next(
    db: &mut PgConnection,
    held: &Held,
    before: i64,
    now: DateTime<Utc>,
) -> Result<Vec<u8>, Error> {
    let rows = queries::revoked(db, held.id, now, MAX_REVOKED + 1).await?;
    if i64::try_from(rows.len()).unwrap_or(i64::MAX) > MAX_REVOKED {
        return Err(Error::ListTooLong { name: held.name.clone(), limit: MAX_REVOKED });
    }
    let number = before + 1;
    let list = RevocationList {
        number: number.unsigned_abs(),
        this_update: now - CLOCK_SKEW,
        next_update: now + VALIDITY,
        revoked: rows.into_iter().map(entry).collect(),
    };
    let der = list.sign(held.signer()?)?;
    let signed =
        queries::SignedList { authority_id: held.id, number, der: &der, next_update: list.next_update };
    match queries::store_list(db, &signed).await? {
        true => Ok(der),
        false => Err(Error::Unusable {
            name: held.name.clone(),
            reason:
                "its revocation list was replaced while the next one was signed; it is signed again by itself"
                    .to_owned(),
        }),
    }
}

fn entry(row: queries::RevokedRow) -> RevokedCertificate {
    RevokedCertificate {
        serial_number: SerialNumber::from_bytes(&row.serial),
        revoked_at: row.revoked_at,
        reason: RevocationReason::from_code(row.revoke_reason.into())
            .unwrap_or(RevocationReason::Unspecified),
    }
}
