//! An operator takes agents back to their first contact, or out altogether. Their jobs belong to the queue, which
//! calls these functions in its own transaction.

use chrono::{DateTime, Utc};
use sealift_protocol::AgentId;
use sqlx::PgConnection;

use super::error::Error;
use super::queries::{self, StandingRow};
use crate::http::Failure;
use crate::security::audit::{self, Line, Operation};
use crate::security::{Principal, permission};

/// Stores that a refusal names.
const MAX_NAMED: i64 = 5;

/// Takes all these agents back to their first contact, or none when one does not exist: they lose their identities
/// and sessions, and wait for approval. After the commit, have the directory forget them.
pub(crate) async fn reset(
    db: &mut PgConnection,
    caller: &Principal,
    ids: &[AgentId],
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    caller.require(permission::AGENTS_MODIFY)?;
    let standings = existing(db, ids).await?;
    queries::reset(db, ids, now).await?;
    queries::delete_sessions(db, ids).await?;
    let line = |agent: &StandingRow| {
        let message = format!("Agent {} on {} was reset", agent.id, agent.client_machine);
        Line::new(caller, Operation::Reset, "Agent", agent.id, message)
    };
    audit::record(db, &standings.iter().map(line).collect::<Vec<_>>(), now).await?;
    Ok(())
}

/// Deletes an agent that serves no store. After the commit, have the directory forget it.
pub(crate) async fn delete(
    db: &mut PgConnection,
    caller: &Principal,
    id: AgentId,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    caller.require(permission::AGENTS_MODIFY)?;
    let standings = existing(db, &[id]).await?;
    let served = queries::served(db, id, MAX_NAMED).await?;
    if !served.is_empty() {
        let places =
            served.iter().map(|store| format!("{} - {}", store.client_machine, store.store_path)).collect();
        return Err(Error::InUse { agent: id, stores: places }.into());
    }
    queries::delete(db, id).await?;
    let line = |agent: &StandingRow| {
        let message = format!("Agent {} on {} was deleted", agent.id, agent.client_machine);
        Line::new(caller, Operation::Deleted, "Agent", agent.id, message)
    };
    audit::record(db, &standings.iter().map(line).collect::<Vec<_>>(), now).await?;
    Ok(())
}

/// These agents, locked; refused when one does not exist.
pub(super) async fn existing(db: &mut PgConnection, ids: &[AgentId]) -> Result<Vec<StandingRow>, Failure> {
    let standings = queries::standings(db, ids).await?;
    let missing = |id: &AgentId| !standings.iter().any(|standing| standing.id == *id);
    let unknown: Vec<_> = ids.iter().copied().filter(missing).collect();
    if unknown.is_empty() { Ok(standings) } else { Err(Error::NotFound(unknown).into()) }
}
