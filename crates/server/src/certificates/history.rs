//! What callers did with a certificate: the lines of the audit log about it (operator contract, 8.2).

use chrono::{DateTime, Utc};
use sealift_protocol::operator::certificates::CertificateOperation;
use sqlx::PgConnection;

use super::error::Error;
use super::queries::{self, access};
use super::{search, supply};
use crate::http::filter_sql::{Asker, Field, Kind};
use crate::http::list::ListQuery;
use crate::security::Principal;

/// What filters and sort orders may name.
pub(super) const FIELDS: &[Field] = &[
    Field { name: "Id", sql: "id", kind: Kind::Number },
    Field { name: "OperationStart", sql: "at", kind: Kind::Time },
    Field { name: "OperationEnd", sql: "at", kind: Kind::Time },
    Field { name: "Username", sql: "actor", kind: Kind::Text },
    Field { name: "Comment", sql: "message", kind: Kind::Text },
];

/// Names of operations by the contract's numbers (9.6), from 1.
const ACTIONS: [&str; 25] = [
    "Created",
    "Updated",
    "Deleted",
    "Approved",
    "Denied",
    "Revoked",
    "Downloaded",
    "Deleted private key",
    "Renewed",
    "Encountered",
    "Scheduled replacement",
    "Recovered",
    "Imported",
    "Removed from hold",
    "Scheduled add",
    "Scheduled removal",
    "Download with private key",
    "Scheduled",
    "Reset",
    "Disapproved",
    "Restarted",
    "Sent",
    "Failed",
    "Completed",
    "Rejected",
];

/// Lists what was done with a certificate, the newest first.
///
/// # Errors
/// [`Error::NotFound`], a missing permission.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    query: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<CertificateOperation>, i64), Error> {
    supply::require_readable(db, caller, id, search::collection_id(query)?, now).await?;
    if queries::facts(db, &[id]).await?.is_empty() {
        return Err(Error::NotFound(id.to_string()));
    }
    let asker = Asker { name: caller.name(), now };
    let (rows, total) = access::deeds(db, id, query, &asker).await?;
    Ok((rows.into_iter().map(answered).collect(), total))
}

fn answered(row: access::DeedRow) -> CertificateOperation {
    CertificateOperation {
        id: row.id,
        operation_start: row.at.into(),
        operation_end: row.at.into(),
        username: row.actor,
        comment: row.message,
        action: action(row.operation).to_owned(),
    }
}

fn action(number: i16) -> &'static str {
    let position = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    position.and_then(|position| ACTIONS.get(position)).copied().unwrap_or("Unknown")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::audit::Operation;

    #[test]
    fn actions_are_named_by_the_contracts_numbers() {
        assert_eq!(action(Operation::Revoked as i16), "Revoked");
        assert_eq!(action(Operation::Recovered as i16), "Recovered");
        assert_eq!(action(Operation::ScheduledAdd as i16), "Scheduled add");
        assert_eq!((action(0), action(26), action(-1)), ("Unknown", "Unknown", "Unknown"));
    }
}
