//! Revocation (`POST /Certificates/Revoke` and `/RevokeAll`, operator contract 8.2): all certificates of a call, or none.
//! A certificate on hold may be taken off it again, or be revoked for good; any other revocation stays.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use sealift_pki::{RevocationReason, SerialNumber};
use sealift_protocol::Timestamp;
use sealift_protocol::operator::certificates::{Revoke, RevokeAll, RevokeReason, Revoked};
use sqlx::PgConnection;

use super::error::Error;
use super::record::ACTIVE;
use super::search::{self, Chosen};
use super::{queries, supply};
use crate::authority;
use crate::security::{Principal, audit, permission};

/// Most certificates in one call.
const MAX_CERTIFICATES: usize = 1_000;
/// Most characters of a comment.
const MAX_COMMENT: usize = 1_000;
/// How far the clock of a caller may be ahead of ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(10);
/// State of a revoked certificate.
const REVOKED: i16 = 2;
/// Reason code of a hold.
const HOLD: i16 = RevocationReason::CertificateHold as i16;

/// What a call does to certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// Revokes them, or puts them on hold.
    Revoke(RevocationReason),
    /// Takes them off hold.
    Release,
}

/// A call that was checked.
#[derive(Debug)]
struct Asked {
    deed: Deed,
    comment: Option<String>,
    at: DateTime<Utc>,
}

/// What happens to the serial numbers of one authority.
#[derive(Debug, Default)]
struct Serials {
    /// Taken off hold.
    released: Vec<SerialNumber>,
    /// Revoked, those that were on hold before among them.
    revoked: Vec<SerialNumber>,
}

/// Revokes certificates that our authorities issued. Those that are revoked already stay as they are.
///
/// # Errors
/// [`Error::Invalid`], [`Error::NotRevocable`], and a missing permission.
pub(super) async fn revoke(
    db: &mut PgConnection,
    caller: &Principal,
    request: Revoke,
    now: DateTime<Utc>,
) -> Result<Revoked, Error> {
    let collection_id = request.collection_id.filter(|id| *id != 0);
    let ids = checked_ids(request.certificate_ids)?;
    let asked = checked(request.reason, request.comment, request.effective_date, now)?;
    supply::require_each(db, caller, permission::CERTIFICATES_REVOKE, &ids, collection_id, now).await?;
    revoke_these(db, caller, ids, &asked, now).await
}

/// Revokes the certificates that match a query.
///
/// # Errors
/// As [`revoke`], and with more matches than one call may revoke.
pub(super) async fn revoke_all(
    db: &mut PgConnection,
    caller: &Principal,
    request: RevokeAll,
    collection_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<Revoked, Error> {
    let required = |member| Error::Invalid { member, reason: "it is required".to_owned() };
    let reason = request.reason.ok_or_else(|| required("Reason"))?;
    let comment = request.comment.ok_or_else(|| required("Comment"))?;
    let asked = checked(Some(reason), Some(comment), request.effective_date, now)?;
    let chosen = Chosen {
        permission: permission::CERTIFICATES_REVOKE,
        query: request.query.as_deref(),
        collection_id,
        revoked: request.include_revoked,
        expired: request.include_expired,
        limit: MAX_CERTIFICATES,
    };
    let ids = search::choose(db, caller, &chosen, now).await?;
    revoke_these(db, caller, ids, &asked, now).await
}

async fn revoke_these(
    db: &mut PgConnection,
    caller: &Principal,
    ids: Vec<i64>,
    asked: &Asked,
    now: DateTime<Utc>,
) -> Result<Revoked, Error> {
    let rows = queries::lock_certificates(db, &ids).await?;
    let (serials, changed) = decide(asked.deed, &ids, &rows)?;
    let (operation, done) = match asked.deed {
        Deed::Revoke(reason) => {
            let code = reason as i16;
            queries::revoke_certificates(db, &ids, code, asked.comment.as_deref(), asked.at).await?;
            (audit::Operation::Revoked, format!("was revoked for reason {code}"))
        }
        Deed::Release => {
            queries::release_certificates(db, &ids).await?;
            (audit::Operation::RemovedFromHold, "was taken off hold".to_owned())
        }
    };
    for (authority_id, Serials { released, revoked }) in serials {
        if !released.is_empty() {
            authority::release(db, authority_id, &released).await?;
        }
        if let Deed::Revoke(reason) = asked.deed
            && !revoked.is_empty()
        {
            authority::revoke(db, authority_id, &revoked, reason, asked.at).await?;
        }
    }
    let line =
        |id: &i64| audit::Line::new(caller, operation, "Certificate", id, format!("certificate {id} {done}"));
    audit::record(db, &changed.iter().map(line).collect::<Vec<_>>(), now).await?;
    Ok(Revoked { revoked_ids: ids, suspended_certs: Vec::new() })
}

fn checked_ids(mut ids: Vec<i64>) -> Result<Vec<i64>, Error> {
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() || ids.len() > MAX_CERTIFICATES {
        let reason = format!("expected 1 to {MAX_CERTIFICATES} certificates");
        return Err(Error::Invalid { member: "CertificateIds", reason });
    }
    Ok(ids)
}

fn checked(
    reason: Option<RevokeReason>,
    comment: Option<String>,
    effective_date: Option<Timestamp>,
    now: DateTime<Utc>,
) -> Result<Asked, Error> {
    let invalid = |member, reason: String| Err(Error::Invalid { member, reason });
    let deed = match reason.map_or(0, |reason| reason.0) {
        // Both numbers of the contract for taking off a list, which only a hold can be.
        -1 | 7 | 8 => Some(Deed::Release),
        999 => Some(Deed::Revoke(RevocationReason::Unspecified)),
        code @ 0..=6 => RevocationReason::from_code(code).map(Deed::Revoke),
        _ => None,
    };
    let Some(deed) = deed else {
        return invalid("Reason", "expected 0 to 6, -1 to take off hold, or 999 for unknown".to_owned());
    };
    if comment.as_deref().is_some_and(|text| text.chars().count() > MAX_COMMENT || text.contains('\0')) {
        return invalid("Comment", format!("expected at most {MAX_COMMENT} characters"));
    }
    let at = effective_date.map_or(now, Timestamp::utc);
    if at > now + CLOCK_SKEW {
        return invalid("EffectiveDate", "it is in the future; leave it out, or call again then".to_owned());
    }
    Ok(Asked { deed, comment, at: at.min(now) })
}

/// What happens to which serial numbers, by authority, and to which certificates; or why some cannot be changed so.
fn decide(
    deed: Deed,
    ids: &[i64],
    rows: &[queries::RevocableRow],
) -> Result<(BTreeMap<i64, Serials>, Vec<i64>), Error> {
    let (mut serials, mut changed) = (BTreeMap::<i64, Serials>::new(), Vec::new());
    let mut reasons: Vec<String> = ids
        .iter()
        .filter(|id| rows.binary_search_by_key(id, |row| &row.id).is_err())
        .map(|id| format!("certificate {id} was not found"))
        .collect();
    for row in rows {
        let (Some(authority_id), ACTIVE | REVOKED, Ok(serial)) =
            (row.authority_id, row.state, SerialNumber::parse(&row.serial_number))
        else {
            reasons.push(format!("certificate {} was not issued to a web server by this authority", row.id));
            continue;
        };
        let held = row.revoke_reason == Some(HOLD);
        let of_authority = serials.entry(authority_id).or_default();
        match deed {
            Deed::Release if !held => {
                reasons.push(format!("certificate {} is not on hold", row.id));
                continue;
            }
            Deed::Release => of_authority.released.push(serial),
            Deed::Revoke(reason) if held && reason as i16 != HOLD => {
                of_authority.released.push(serial.clone());
                of_authority.revoked.push(serial);
            }
            Deed::Revoke(_) if row.state == ACTIVE => of_authority.revoked.push(serial),
            Deed::Revoke(_) => continue,
        }
        changed.push(row.id);
    }
    match reasons.is_empty() {
        true => Ok((serials, changed)),
        false => Err(Error::NotRevocable(reasons)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: i64, state: i16, authority_id: Option<i64>) -> queries::RevocableRow {
        let revoke_reason = (state == REVOKED).then_some(4);
        queries::RevocableRow { id, state, authority_id, serial_number: "40AB".to_owned(), revoke_reason }
    }

    fn held(id: i64) -> queries::RevocableRow {
        queries::RevocableRow { revoke_reason: Some(HOLD), ..row(id, REVOKED, Some(7)) }
    }

    fn now() -> DateTime<Utc> {
        "2026-05-04T09:30:00Z".parse().unwrap()
    }

    const GONE: Deed = Deed::Revoke(RevocationReason::Superseded);

    #[test]
    fn only_our_own_are_revoked_and_all_or_none() {
        let rows = [row(1, ACTIVE, Some(7)), row(2, REVOKED, Some(7))];
        let (serials, changed) = decide(GONE, &[1, 2], &rows).unwrap();
        assert_eq!((serials[&7].revoked.len(), serials[&7].released.len(), changed), (1, 0, vec![1]));
        let refused = decide(GONE, &[1, 2, 3], &[row(1, ACTIVE, Some(7)), row(2, ACTIVE, None)]).unwrap_err();
        let Error::NotRevocable(reasons) = refused else { panic!("{refused}") };
        assert_eq!(reasons.len(), 2);
        assert!(reasons[0].contains("3 was not found") && reasons[1].contains("certificate 2"));
    }

    #[test]
    fn a_hold_can_be_lifted_or_become_final_and_nothing_else_can_be_lifted() {
        let (serials, changed) = decide(Deed::Release, &[1], &[held(1)]).unwrap();
        assert_eq!((serials[&7].released.len(), serials[&7].revoked.len(), changed), (1, 0, vec![1]));
        let (serials, _) = decide(GONE, &[1], &[held(1)]).unwrap();
        assert_eq!((serials[&7].released.len(), serials[&7].revoked.len()), (1, 1));
        let again = Deed::Revoke(RevocationReason::CertificateHold);
        assert!(decide(again, &[1], &[held(1)]).unwrap().1.is_empty());
        for row in [row(1, ACTIVE, Some(7)), row(1, REVOKED, Some(7))] {
            assert!(matches!(decide(Deed::Release, &[1], &[row]), Err(Error::NotRevocable(_))));
        }
    }

    #[test]
    fn calls_are_checked_member_by_member() {
        assert_eq!(checked_ids(vec![3, 1, 3]).unwrap(), [1, 3]);
        assert!(checked_ids(Vec::new()).is_err() && checked_ids((0..1_001).collect()).is_err());
        let ahead = Some((now() + TimeDelta::minutes(1)).into());
        assert_eq!(checked(None, None, ahead, now()).unwrap().at, now());
        let reason = |number| checked(Some(RevokeReason(number)), None, None, now()).map(|asked| asked.deed);
        assert_eq!(reason(999).unwrap(), Deed::Revoke(RevocationReason::Unspecified));
        assert_eq!(reason(6).unwrap(), Deed::Revoke(RevocationReason::CertificateHold));
        for number in [-1, 7, 8] {
            assert_eq!(reason(number).unwrap(), Deed::Release);
        }
        assert!(reason(9).unwrap_err().to_string().starts_with("Reason"));
        let long = checked(None, Some("x".repeat(1_001)), None, now()).unwrap_err();
        assert!(long.to_string().starts_with("Comment"));
        let future = checked(None, None, Some((now() + TimeDelta::days(1)).into()), now()).unwrap_err();
        assert!(future.to_string().starts_with("EffectiveDate"));
    }
}
