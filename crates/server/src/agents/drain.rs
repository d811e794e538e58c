//! Agents that take no new jobs: they finish what they have, and their jobs wait. An operator says so of an agent, or the
//! agent says so itself, when its machine's administrator did; it takes jobs again when neither holds.

use chrono::{DateTime, Utc};
use sealift_protocol::AgentId;
use sqlx::PgConnection;

use super::directory::{Directory, Identity};
use super::queries::{self, DrainedRow};
use super::reset;
use crate::floor::Floor;
use crate::http::Failure;
use crate::security::audit::{self, Line, Operation};
use crate::security::{Principal, permission};

/// Has all these agents take no new jobs, or none when one does not exist.
pub(crate) async fn drain(
    db: &mut PgConnection,
    caller: &Principal,
    ids: &[AgentId],
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    caller.require(permission::AGENTS_MODIFY)?;
    reset::existing(db, ids).await?;
    let drained = queries::drain(db, ids, caller.name(), now).await?;
    record(db, caller, &drained, "drained: it finishes what it has and takes no new jobs", now).await
}

/// Takes that back for all these agents, or for none when one does not exist. After the commit, ring them.
pub(crate) async fn resume(
    db: &mut PgConnection,
    caller: &Principal,
    ids: &[AgentId],
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    caller.require(permission::AGENTS_MODIFY)?;
    reset::existing(db, ids).await?;
    let resumed = queries::resume(db, ids).await?;
    record(db, caller, &resumed, "resumed: it takes jobs again", now).await
}

async fn record(
    db: &mut PgConnection,
    caller: &Principal,
    changed: &[DrainedRow],
    word: &str,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let line = |agent: &DrainedRow| {
        let message = format!("Agent {} on {} was {word}", agent.id, agent.client_machine);
        Line::new(caller, Operation::Updated, "Agent", agent.id, message)
    };
    audit::record(db, &changed.iter().map(line).collect::<Vec<_>>(), now).await?;
    Ok(())
}

/// Takes over what an agent says of itself, where that is new.
pub(crate) async fn say_drained(
    floor: &Floor,
    directory: &Directory,
    identity: &Identity,
    drained: bool,
) -> Result<(), Failure> {
    if identity.drained_on_machine == drained {
        return Ok(());
    }
    let mut db = floor.database.main.acquire().await?;
    if queries::set_drained_on_machine(&mut db, identity.agent_id, drained, floor.now()).await? {
        let word = if drained { "drained" } else { "resumed" };
        tracing::info!(agent.id = %identity.agent_id, "the agent was {word} on its own machine");
    }
    directory.forget(&[identity.agent_id]);
    Ok(())
}
