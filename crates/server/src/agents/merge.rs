//! An operator says that two agents are one. An agent of the published protocol that lost its identity comes back
//! under another name and as another agent (agent protocol, chapters 4.4 and 4.7); merged, the old one goes on under
//! its id, with its stores and history, as the new one.

use chrono::{DateTime, Utc};
use sealift_protocol::AgentId;
use sqlx::PgConnection;

use super::agent::Status;
use super::error::Error;
use super::queries::{self, MergeRow};
use super::reset;
use crate::http::Failure;
use crate::security::audit::{self, Line, Operation};
use crate::security::{Principal, permission};

/// Stores that a refusal names.
const MAX_NAMED: i64 = 5;

/// Moves the identity of the new agent onto the old one's row, and deletes the new one's. After the commit, have the
/// directory forget both. The new agent's jobs belong to the queue, which calls this in its own transaction.
pub(crate) async fn merge(
    db: &mut PgConnection,
    caller: &Principal,
    old: AgentId,
    new: AgentId,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    caller.require(permission::AGENTS_MODIFY)?;
    if old == new {
        return Err(Error::Invalid("NewAgentId must name another agent".to_owned()).into());
    }
    reset::existing(db, &[old, new]).await?;
    let rows = queries::merged(db, &[old, new]).await?;
    let (Some(kept), Some(taken)) =
        (rows.iter().find(|row| row.id == old), rows.iter().find(|row| row.id == new))
    else {
        return Err(Error::NotFound(vec![old, new]).into());
    };
    fit(kept, taken)?;
    let served = queries::served(db, new, MAX_NAMED).await?;
    if !served.is_empty() {
        let stores =
            served.iter().map(|store| format!("{} - {}", store.client_machine, store.store_path)).collect();
        return Err(Error::InUse { agent: new, stores }.into());
    }
    queries::delete(db, new).await?;
    queries::take_over(db, old, taken, now).await?;
    queries::delete_sessions(db, &[old]).await?;
    let message = format!(
        "Agent {new} on {} was merged into agent {old} on {}, which goes on with its identity",
        taken.client_machine, kept.client_machine
    );
    audit::record(db, &[Line::new(caller, Operation::Updated, "Agent", old, message)], now).await?;
    Ok(())
}

fn fit(kept: &MergeRow, taken: &MergeRow) -> Result<(), Error> {
    let refuse = |row: &MergeRow, reason: &str| {
        Err(Error::Invalid(format!("agent {} on {} {reason}", row.id, row.client_machine)))
    };
    if kept.speaks_extensions != taken.speaks_extensions {
        return refuse(taken, "is of another kind");
    }
    for row in [kept, taken] {
        if row.status != Status::Approved.number() {
            return refuse(row, "is not approved");
        }
    }
    // Before that, its agent would be told an id that it has on file from before, and discard its identity (4.4).
    if taken.certificate.is_none() || taken.last_thumbprint_used != taken.thumbprint {
        return refuse(taken, "was not seen with an identity of its own yet; wait until it was");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_approved_agents_of_one_kind_become_one_once_the_new_one_was_seen() {
        let row = |speaks_extensions, status: Status, seen: Option<&str>| MergeRow {
            id: AgentId::generate(),
            client_machine: "edge-1".to_owned(),
            username: String::new(),
            platform: 5,
            version: String::new(),
            speaks_extensions,
            status: status.number(),
            capabilities: Vec::new(),
            key_fingerprint: Some(vec![1; 32]),
            certificate: Some(vec![1]),
            thumbprint: Some("A".to_owned()),
            legacy_thumbprint: None,
            last_thumbprint_used: seen.map(str::to_owned),
            identity_expires_at: None,
            last_seen_at: None,
        };
        let old = row(false, Status::Approved, None);
        assert!(fit(&old, &row(false, Status::Approved, Some("A"))).is_ok());
        for unfit in [
            row(true, Status::Approved, Some("A")),
            row(false, Status::New, Some("A")),
            row(false, Status::Approved, None),
            MergeRow { certificate: None, ..row(false, Status::Approved, Some("A")) },
        ] {
            assert!(fit(&old, &unfit).is_err());
        }
        assert!(
            fit(&row(false, Status::Disapproved, None), &row(false, Status::Approved, Some("A"))).is_err()
        );
    }
}
