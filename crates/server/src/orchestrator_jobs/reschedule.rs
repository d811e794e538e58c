//! Failed jobs are tried anew: under the same id, so that job history shows old and new attempts together, and with
//! attempt numbers that go on.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sealift_protocol::operator::orchestrator_jobs::SelectAttempts;
use sealift_protocol::{AgentId, JobId, StoreId};
use serde_json::Value;
use sqlx::PgConnection;

use super::error::Error;
use super::history;
use super::job::{JobType, Operation};
use super::queries;
use super::selection::{MAX_SELECTED, Selection, missing};
use crate::http::Failure;
use crate::security::audit::{self, Line};
use crate::security::{Principal, permission};

/// What history calls an attempt that may be tried anew; the rest is decided one by one.
const FITTING: &str = " AND result = 4 AND status IN (3, 4)";

/// A failed attempt, with what is known now of its job's store and agent.
#[derive(Debug, Clone)]
pub(super) struct FailedRow {
    pub(super) id: i64,
    pub(super) job_id: JobId,
    pub(super) store_id: StoreId,
    pub(super) operation: i16,
    pub(super) attempt: i16,
    pub(super) status: i16,
    pub(super) result: i16,
    pub(super) certificate_id: Option<i64>,
    pub(super) details: Value,
    pub(super) had_secret: bool,
    pub(super) store_type: String,
    pub(super) started_at: DateTime<Utc>,
    /// The agent that serves the store now, or else the one that ran the job.
    pub(super) agent_id: AgentId,
    /// None: the agent is gone.
    pub(super) agent_status: Option<i16>,
    pub(super) agent_machine: Option<String>,
    /// None: the store is gone, or there never was one.
    pub(super) client_machine: Option<String>,
    pub(super) store_path: Option<String>,
    pub(super) store_approved: Option<bool>,
    pub(super) container_id: Option<i64>,
    /// In short, of a job that still comes again.
    pub(super) recurrence: Option<String>,
    /// The job waits or runs already.
    pub(super) living: bool,
}

/// Tries failed jobs anew, now. Answers the agents to ring after the commit.
pub(super) async fn reschedule(
    db: &mut PgConnection,
    caller: &Principal,
    request: SelectAttempts,
    max_attempts: i16,
    now: DateTime<Utc>,
) -> Result<Vec<AgentId>, Failure> {
    caller.require(permission::AGENTS_MODIFY)?;
    let (rows, chosen) = match Selection::parse("JobAuditIds", request.job_audit_ids, request.query)? {
        Selection::Ids(ids) => {
            let rows = queries::failed(db, &ids).await?;
            let unknown = missing(&ids, |id| rows.iter().any(|row| row.id == *id));
            if !unknown.is_empty() {
                return Err(Error::NotFound("a finished attempt with history id", unknown).into());
            }
            (rows, true)
        }
        Selection::Query(query) => {
            let ids = history::matching(db, caller, &query, FITTING, MAX_SELECTED, now).await?;
            let ids = ids.ok_or(Error::TooMany(MAX_SELECTED, "rescheduled"))?;
            let mut rows = queries::failed(db, &ids).await?;
            rows.retain(|row| decide(row).is_ok());
            (rows, false)
        }
    };
    for row in &rows {
        authorize(row, caller)?;
    }
    let refusals: Vec<String> = rows.iter().filter_map(|row| decide(row).err()).collect();
    if chosen && !refusals.is_empty() {
        return Err(Error::NotEligible { done: "rescheduled", reasons: refusals }.into());
    }
    // Several attempts of one job: the newest stands for it.
    let newest: BTreeMap<JobId, &FailedRow> = rows.iter().map(|row| (row.job_id, row)).collect();
    let (runs, jobs): (Vec<&FailedRow>, Vec<&FailedRow>) = newest
        .into_values()
        .partition(|row| Operation::from_number(row.operation) == Some(Operation::Custom));
    queries::insert_again(db, &jobs, caller.name(), max_attempts, now).await?;
    let runs: Vec<JobId> = runs.iter().map(|row| row.job_id).collect();
    queries::insert_runs(db, &runs, max_attempts, now).await?;
    let line = |row: &FailedRow| {
        let message =
            format!("Job {} of agent {} was rescheduled after attempt {}", row.job_id, row.machine(), row.id);
        Line::new(caller, audit::Operation::Restarted, "OrchestratorJob", row.job_id, message)
    };
    audit::record(db, &rows.iter().map(line).collect::<Vec<_>>(), now).await?;
    Ok(rows.iter().map(|row| row.agent_id).collect::<BTreeSet<_>>().into_iter().collect())
}

impl FailedRow {
    fn machine(&self) -> &str {
        self.agent_machine.as_deref().unwrap_or("that is gone")
    }

    fn job_type(&self) -> Option<JobType> {
        Operation::from_number(self.operation).map(Operation::job_type)
    }
}

/// Jobs on a store need the permission for its container; a search for stores needs it everywhere.
fn authorize(row: &FailedRow, caller: &Principal) -> Result<(), Failure> {
    match row.job_type() {
        Some(JobType::FetchLogs | JobType::Custom) => Ok(()),
        _ => caller.require_for(permission::STORES_SCHEDULE, row.container_id),
    }
}

/// Whether a job may be tried anew (chapter 5.4), and can.
fn decide(row: &FailedRow) -> Result<(), String> {
    let refuse = |reason: &str| Err(format!("attempt {} of job {}: {reason}", row.id, row.job_id));
    if row.result != 4 || !matches!(row.status, 3 | 4) {
        return refuse("it did not fail for good");
    }
    if row.living {
        return refuse("the job waits or runs already");
    }
    match row.job_type() {
        None | Some(JobType::Inventory) => {
            return refuse("inventories are not rescheduled; schedule one for the certificate store");
        }
        Some(JobType::FetchLogs) => {
            return refuse("log retrieval is not rescheduled; ask for the logs again");
        }
        Some(JobType::Custom) => {
            let rhythm = row.recurrence.as_deref().unwrap_or_default();
            if !(rhythm.starts_with("W_") || rhythm.starts_with("M_")) {
                return refuse("only custom jobs that come weekly or monthly are rescheduled");
            }
        }
        Some(JobType::Discovery) => {
            let known = ["JKS", "PEM", "F5"];
            if !known.iter().any(|known| row.store_type.to_ascii_uppercase().starts_with(known)) {
                return refuse("discovery is rescheduled only for the store types JKS, PEM and F5");
            }
        }
        Some(JobType::Management | JobType::Reenrollment) if row.store_path.is_none() => {
            return refuse("its certificate store was deleted");
        }
        Some(JobType::Management | JobType::Reenrollment) if row.store_approved != Some(true) => {
            return refuse("its certificate store is not approved");
        }
        Some(JobType::Management | JobType::Reenrollment) => {}
    }
    if row.had_secret && row.job_type() != Some(JobType::Custom) {
        return refuse("it carried a password that is not kept; ask for the change anew");
    }
    match row.agent_status {
        Some(2) => Ok(()),
        Some(_) => refuse("its agent is not approved"),
        None => refuse("its agent no longer exists"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(operation: Operation) -> FailedRow {
        FailedRow {
            id: 7,
            job_id: JobId::generate(),
            store_id: StoreId::generate(),
            operation: operation as i16,
            attempt: 5,
            status: 3,
            result: 4,
            certificate_id: None,
            details: Value::Null,
            had_secret: false,
            store_type: "PEM".to_owned(),
            started_at: DateTime::UNIX_EPOCH,
            agent_id: AgentId::generate(),
            agent_status: Some(2),
            agent_machine: Some("web1".to_owned()),
            client_machine: Some("web1".to_owned()),
            store_path: Some("/a.pem".to_owned()),
            store_approved: Some(true),
            container_id: None,
            recurrence: None,
            living: false,
        }
    }

    #[test]
    fn what_failed_for_good_on_a_store_that_is_there_may_be_tried_anew() {
        for operation in [
            Operation::Add,
            Operation::Remove,
            Operation::Create,
            Operation::Reenrollment,
            Operation::Discovery,
        ] {
            assert_eq!(decide(&failed(operation)), Ok(()), "{operation:?}");
            assert_eq!(decide(&FailedRow { status: 4, ..failed(operation) }), Ok(()));
        }
        let weekly = FailedRow { recurrence: Some("W_1_03:15".to_owned()), ..failed(Operation::Custom) };
        assert_eq!(decide(&FailedRow { had_secret: true, store_path: None, ..weekly }), Ok(()));
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        let add = || failed(Operation::Add);
        let custom = || failed(Operation::Custom);
        for (row, reason) in [
            (FailedRow { result: 3, ..add() }, "did not fail"),
            (FailedRow { status: 5, ..add() }, "did not fail for good"),
            (FailedRow { living: true, ..add() }, "waits or runs already"),
            (FailedRow { had_secret: true, ..add() }, "password"),
            (FailedRow { store_path: None, ..add() }, "was deleted"),
            (FailedRow { store_approved: Some(false), ..add() }, "not approved"),
            (FailedRow { agent_status: Some(3), ..add() }, "agent is not approved"),
            (FailedRow { agent_status: None, ..add() }, "no longer exists"),
            (failed(Operation::Inventory), "inventories"),
            (failed(Operation::FetchLogs), "log retrieval"),
            (custom(), "weekly or monthly"),
            (FailedRow { recurrence: Some("D_03:15".to_owned()), ..custom() }, "weekly or monthly"),
            (FailedRow { store_type: "IISU".to_owned(), ..failed(Operation::Discovery) }, "only for"),
        ] {
            let refusal = decide(&row).unwrap_err();
            assert!(refusal.contains(reason) && refusal.contains("attempt 7"), "{refusal}");
        }
    }
}
