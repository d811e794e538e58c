//! An operator's word on agents: approved or disapproved.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sealift_protocol::AgentId;
use sqlx::PgConnection;

use super::agent::Status;
use super::error::Error;
use super::queries;
use super::reset;
use crate::http::Failure;
use crate::http::problem::shortened;
use crate::security::audit::{self, Line, Operation};
use crate::security::{Principal, permission};

/// Agents of one call.
const MAX_AGENTS: usize = 1_000;

/// The agents that a call names, each once.
pub(crate) fn ids(texts: &[String]) -> Result<Vec<AgentId>, Error> {
    if texts.is_empty() || texts.len() > MAX_AGENTS {
        return Err(Error::Invalid(format!("the body must be a list of 1 to {MAX_AGENTS} agent ids")));
    }
    let mut ids = BTreeSet::new();
    for (index, text) in texts.iter().enumerate() {
        let refuse = |_| Error::Invalid(format!("element {}: '{}' is no GUID", index + 1, shortened(text)));
        ids.insert(text.trim().parse::<AgentId>().map_err(refuse)?);
    }
    Ok(ids.into_iter().collect())
}

/// Sets the status of all these agents, or of none when one does not exist. After the commit, have the
/// directory forget them.
pub(super) async fn set_status(
    db: &mut PgConnection,
    caller: &Principal,
    ids: &[AgentId],
    status: Status,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    caller.require(permission::AGENTS_MODIFY)?;
    let standings = reset::existing(db, ids).await?;
    let changed: Vec<_> =
        standings.into_iter().filter(|standing| standing.status != status.number()).collect();
    let changed_ids: Vec<_> = changed.iter().map(|standing| standing.id).collect();
    queries::set_status(db, &changed_ids, status.number(), now).await?;
    if status == Status::Approved {
        clear_clones(db, caller, ids, now).await?;
    }
    if status == Status::Disapproved {
        queries::delete_sessions(db, &changed_ids).await?;
    }
    let (operation, word) = match status {
        Status::Approved => (Operation::Approved, "approved"),
        Status::Disapproved | Status::New => (Operation::Disapproved, "disapproved"),
    };
    let line = |agent: &queries::StandingRow| {
        let message = format!("Agent {} on {} was {word}", agent.id, agent.client_machine);
        Line::new(caller, operation, "Agent", agent.id, message)
    };
    audit::record(db, &changed.iter().map(line).collect::<Vec<_>>(), now).await?;
    Ok(())
}

/// Forgets copies that were seen of agents, and lets the machine of the copy take the place of the one at work.
async fn clear_clones(
    db: &mut PgConnection,
    caller: &Principal,
    ids: &[AgentId],
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let cleared = queries::clear_clones(db, ids, now).await?;
    let line = |agent: &queries::ClearedRow| {
        let message = format!(
            "Agent {} on {} was approved to work on the machine that names itself '{}'",
            agent.id, agent.client_machine, agent.host_name
        );
        Line::new(caller, Operation::Approved, "Agent", agent.id, message)
    };
    audit::record(db, &cleared.iter().map(line).collect::<Vec<_>>(), now).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_once_each_and_bad_ones_are_named_by_their_place() {
        let id = "0d6c4f43-0c5d-4b0e-8a5e-0b7a4e0f9c11".to_owned();
        assert_eq!(ids(&[id.clone(), id.to_uppercase()]).unwrap().len(), 1);
        assert!(ids(&[id.clone(), "web1".to_owned()]).unwrap_err().to_string().contains("element 2: 'web1'"));
        assert!(ids(&[]).is_err());
        assert!(ids(&vec![id; MAX_AGENTS + 1]).is_err());
    }
}
