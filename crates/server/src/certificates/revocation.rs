//! Revocation (`POST /Certificates/Revoke`, operator contract 8.2): all certificates of a call, or none.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sealift_pki::{RevocationReason, SerialNumber};
use sealift_protocol::operator::certificates::{Revoke, Revoked};
use sqlx::PgConnection;

use super::error::Error;
use super::record::ACTIVE;
use super::{queries, supply};
use crate::authority;
use crate::security::{Principal, audit, permission};

/// Most certificates in one call.
const MAX_CERTIFICATES: usize = 1_000;
/// Most characters of a comment.
const MAX_COMMENT: usize = 1_000;
/// State of a revoked certificate.
const REVOKED: i16 = 2;

/// A call that was checked.
#[derive(Debug)]
struct Asked {
    /// Sorted, without doubles.
    ids: Vec<i64>,
    reason: RevocationReason,
    comment: Option<String>,
    at: DateTime<Utc>,
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
    let asked = checked(request, now)?;
    supply::require_each(db, caller, permission::CERTIFICATES_REVOKE, &asked.ids, collection_id, now).await?;
    let rows = queries::lock_certificates(db, &asked.ids).await?;
    let serials = decide(&asked.ids, &rows)?;
    let (reason, comment) = (asked.reason as i16, asked.comment.as_deref());
    queries::revoke_certificates(db, &asked.ids, reason, comment, asked.at).await?;
    for (authority_id, serials) in serials {
        authority::revoke(db, authority_id, &serials, asked.reason, asked.at).await?;
    }
    let changed = rows.iter().filter(|row| row.state == ACTIVE);
    let line = |row: &queries::RevocableRow| {
        let message = format!("certificate {} was revoked for reason {reason}", row.id);
        audit::Line::new(caller, audit::Operation::Revoked, "Certificate", row.id, message)
    };
    audit::record(db, &changed.map(line).collect::<Vec<_>>(), now).await?;
    Ok(Revoked { revoked_ids: asked.ids, suspended_certs: Vec::new() })
}

fn checked(request: Revoke, now: DateTime<Utc>) -> Result<Asked, Error> {
    let invalid = |member, reason: String| Error::Invalid { member, reason };
    let mut ids = request.certificate_ids;
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() || ids.len() > MAX_CERTIFICATES {
        return Err(invalid("CertificateIds", format!("expected 1 to {MAX_CERTIFICATES} certificates")));
    }
    // A hold would have to be lifted again, and a list of removals published: neither is done here.
    let reason = match request.reason.unwrap_or(0) {
        code @ 0..=5 => RevocationReason::from_code(code),
        _ => None,
    };
    let reason =
        reason.ok_or_else(|| invalid("Reason", "expected 0 to 5; holds are not supported".to_owned()))?;
    let comment = request.comment;
    if comment.as_deref().is_some_and(|text| text.chars().count() > MAX_COMMENT || text.contains('\0')) {
        return Err(invalid("Comment", format!("expected at most {MAX_COMMENT} characters")));
    }
    let at = request.effective_date.map_or(now, |date| date.utc());
    if at > now {
        return Err(invalid(
            "EffectiveDate",
            "it is in the future; leave it out, or call again then".to_owned(),
        ));
    }
    Ok(Asked { ids, reason, comment, at })
}

/// The serial numbers to be listed, by authority; or why some certificates cannot be revoked.
fn decide(ids: &[i64], rows: &[queries::RevocableRow]) -> Result<BTreeMap<i64, Vec<SerialNumber>>, Error> {
    let mut serials: BTreeMap<i64, Vec<SerialNumber>> = BTreeMap::new();
    let mut reasons: Vec<String> = ids
        .iter()
        .filter(|id| !rows.iter().any(|row| row.id == **id))
        .map(|id| format!("certificate {id} was not found"))
        .collect();
    for row in rows {
        match (row.authority_id, row.state, SerialNumber::parse(&row.serial_number)) {
            (Some(authority_id), ACTIVE, Ok(serial)) => serials.entry(authority_id).or_default().push(serial),
            (Some(_), REVOKED, _) => {}
            _ => reasons
                .push(format!("certificate {} was not issued to a web server by this authority", row.id)),
        }
    }
    match reasons.is_empty() {
        true => Ok(serials),
        false => Err(Error::NotRevocable(reasons)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: i64, state: i16, authority_id: Option<i64>) -> queries::RevocableRow {
        queries::RevocableRow { id, state, authority_id, serial_number: "40AB".to_owned() }
    }

    fn now() -> DateTime<Utc> {
        "2026-05-04T09:30:00Z".parse().unwrap()
    }

    #[test]
    fn only_our_own_are_revoked_and_all_or_none() {
        let serials = decide(&[1, 2], &[row(1, ACTIVE, Some(7)), row(2, REVOKED, Some(7))]).unwrap();
        assert_eq!(serials.get(&7).map(Vec::len), Some(1));
        let refused = decide(&[1, 2, 3], &[row(1, ACTIVE, Some(7)), row(2, ACTIVE, None)]).unwrap_err();
        let Error::NotRevocable(reasons) = refused else { panic!("{refused}") };
        assert_eq!(reasons.len(), 2);
        assert!(reasons[0].contains("3 was not found") && reasons[1].contains("certificate 2"));
    }

    #[test]
    fn calls_are_checked_member_by_member() {
        let call = Revoke { certificate_ids: vec![3, 1, 3], ..Revoke::default() };
        let asked = checked(call.clone(), now()).unwrap();
        assert_eq!((asked.ids, asked.reason, asked.at), (vec![1, 3], RevocationReason::Unspecified, now()));
        for (member, call) in [
            ("CertificateIds", Revoke::default()),
            ("CertificateIds", Revoke { certificate_ids: (0..1_001).collect(), ..Revoke::default() }),
            ("Reason", Revoke { reason: Some(6), ..call.clone() }),
            ("Reason", Revoke { reason: Some(-1), ..call.clone() }),
            ("Comment", Revoke { comment: Some("x".repeat(1_001)), ..call.clone() }),
            (
                "EffectiveDate",
                Revoke { effective_date: Some((now() + chrono::TimeDelta::days(1)).into()), ..call },
            ),
        ] {
            let refused = checked(call, now()).unwrap_err().to_string();
            assert!(refused.starts_with(member), "{refused}");
        }
    }
}
