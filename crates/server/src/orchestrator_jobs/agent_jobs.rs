//! What an operator does with an agent and its jobs at once: reset, deletion, and the retrieval of its log.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sealift_protocol::agent::leases::{FetchLogWork, LeasedJob, MAX_LOG_BYTES, StoreDescription, Work};
use sealift_protocol::{AgentId, JobId, StoreId};
use serde_json::Value;
use sqlx::PgConnection;

use super::error::Error;
use super::job::{Cause, NewJob, Operation};
use super::leases::Leased;
use super::{queries, schedule};
use crate::agents::{self, AgentFacts, Status};
use crate::http::Failure;
use crate::security::audit::{self, Line};
use crate::security::{Principal, permission};

/// The capability of agents that send their log.
const FETCH_LOGS: &str = "Custom.FetchLogs";

/// Takes agents back to their first contact and their jobs out of the queue. Schedules of inventories belong to the
/// stores and stay: their jobs wait until the agent is approved again.
pub(super) async fn reset(
    db: &mut PgConnection,
    caller: &Principal,
    ids: &[AgentId],
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    agents::reset(db, caller, ids, now).await?;
    Ok(queries::drop_jobs_of(db, ids, now).await?)
}

/// Deletes an agent that serves no store, with its jobs; its job history stays.
pub(super) async fn delete(
    db: &mut PgConnection,
    caller: &Principal,
    id: AgentId,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    agents::delete(db, caller, id, now).await?;
    Ok(queries::drop_jobs_of(db, &[id], now).await?)
}

/// Merges a new agent into an old one; what was scheduled for the new one is dropped with it.
pub(super) async fn merge(
    db: &mut PgConnection,
    caller: &Principal,
    old: AgentId,
    new: AgentId,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    agents::merge(db, caller, old, new, now).await?;
    Ok(queries::drop_jobs_of(db, &[new], now).await?)
}

/// Schedules the retrieval of an agent's log; one that waits or runs already will do. Whether to ring the agent after
/// the commit.
pub(super) async fn fetch_logs(
    db: &mut PgConnection,
    caller: &Principal,
    id: AgentId,
    max_attempts: i16,
    now: DateTime<Utc>,
) -> Result<bool, Failure> {
    caller.require(permission::AGENTS_MODIFY)?;
    let facts = agents::facts(db, &[id]).await?;
    let agent = facts.first().ok_or_else(|| agents::Error::NotFound(vec![id]))?;
    able(agent)?;
    if queries::is_fetching(db, id).await? {
        return Ok(false);
    }
    let job = JobId::generate();
    let new = NewJob {
        id: job,
        agent_id: id,
        store_id: StoreId::from(job.uuid()),
        operation: Operation::FetchLogs,
        run_at: now,
        scheduled: false,
        certificate_id: None,
        details: Value::Object(serde_json::Map::new()),
        sealed_secret: None,
        agent_machine: agent.client_machine.clone(),
        client_machine: agent.client_machine.clone(),
        store_path: String::new(),
        store_type: String::new(),
    };
    schedule(db, &[(Cause::call(caller.name()), new)], max_attempts, now).await?;
    let message = format!("Retrieval of the log of agent {id} on {} was scheduled", agent.client_machine);
    let line = Line::new(caller, audit::Operation::Scheduled, "OrchestratorJob", job, message);
    audit::record(db, &[line], now).await?;
    Ok(true)
}

/// A leased retrieval of a log, as our own agent is told of it; `None` for jobs of other kinds.
pub(crate) fn log_retrieval(leased: &Leased, lease_seconds: u32) -> Option<LeasedJob> {
    (Operation::from_number(leased.operation)? == Operation::FetchLogs).then(|| LeasedJob {
        job_id: leased.id,
        audit_id: leased.history_id,
        attempt: u16::try_from(leased.attempt).unwrap_or(u16::MAX),
        lease_token: leased.lease_token,
        lease_seconds,
        store: StoreDescription {
            store_id: leased.store_id,
            store_type: String::new(),
            path: String::new(),
            password: None,
            properties: BTreeMap::new(),
            inventory_version: None,
        },
        work: Work::FetchLog(FetchLogWork { max_bytes: MAX_LOG_BYTES }),
        verification: None,
        dry_run: false,
    })
}

fn able(agent: &AgentFacts) -> Result<(), Error> {
    let refuse = |reason: &str| {
        Err(Error::NotCapable(format!("agent {} on {} {reason}", agent.id, agent.client_machine)))
    };
    if agent.status != Status::Approved {
        return refuse("is not approved");
    }
    match agent.capabilities.iter().any(|known| known.eq_ignore_ascii_case(FETCH_LOGS)) {
        true => Ok(()),
        false => refuse("does not send its log: it does not report the capability Custom.FetchLogs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_approved_agent_that_says_so_is_asked_for_its_log() {
        let agent = |status, capability: &str| AgentFacts {
            id: AgentId::generate(),
            client_machine: "web1".to_owned(),
            status,
            capabilities: vec![capability.to_owned()],
        };
        assert!(able(&agent(Status::Approved, "Custom.FetchLogs")).is_ok());
        assert!(able(&agent(Status::Approved, "CertStores.PEM.Inventory")).is_err());
        assert!(able(&agent(Status::Disapproved, "Custom.FetchLogs")).is_err());
    }
}
