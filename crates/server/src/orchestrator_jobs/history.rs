//! Lists for operators: what ran and runs, what waits, and the steps of one job.

use chrono::{DateTime, Utc};
use sealift_protocol::operator::orchestrator_jobs::{JobHistoryRow, JobStep, ScheduledJob};
use sealift_protocol::operator::schedule::Schedule;
use sealift_protocol::{AgentId, JobId, StoreId, Timestamp};
use sqlx::{FromRow, PgConnection};

use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind};
use crate::http::list::ListQuery;
use crate::http::listing::{Column, Listing, Order};
use crate::security::Principal;
use crate::security::permission;

/// Finished attempts and running ones, as one table.
const ATTEMPTS: &str = " FROM (
    SELECT id, job_id, agent_id, store_id, job_type, attempt, status, result, scheduled, run_at, requested_by,
        started_at, finished_at, certificate_id, agent_machine, client_machine, store_path, store_type, message,
        error_code
    FROM job_history
    UNION ALL
    SELECT history_id, id, agent_id, store_id, job_type, attempt, 2::smallint, 0::smallint, scheduled, run_at,
        requested_by, started_at, NULL::timestamptz, certificate_id, agent_machine, client_machine, store_path,
        store_type, ''::text, NULL::text
    FROM jobs WHERE state = 2
) AS attempts WHERE true";

const JOB_TYPE: &str =
    "store_type || CASE job_type WHEN 1 THEN 'Inventory' WHEN 2 THEN 'Management' WHEN 3 THEN 'Reenrollment'
    ELSE 'Discovery' END";

const HISTORY_KEY: Column = Column { sql: "id", kind: Kind::Number };

pub(super) const HISTORY_FIELDS: &[Field] = &[
    Field { name: "JobHistoryId", sql: "id", kind: Kind::Number },
    Field { name: "JobId", sql: "job_id", kind: Kind::Guid },
    Field { name: "AgentId", sql: "agent_id", kind: Kind::Guid },
    Field { name: "Agent", sql: "agent_machine", kind: Kind::Text },
    Field { name: "StoreId", sql: "store_id", kind: Kind::Guid },
    Field { name: "ClientMachine", sql: "client_machine", kind: Kind::Text },
    Field { name: "TargetPath", sql: "store_path", kind: Kind::Text },
    Field { name: "StorePath", sql: "store_path", kind: Kind::Text },
    Field { name: "JobType", sql: JOB_TYPE, kind: Kind::Text },
    Field { name: "Result", sql: "result", kind: Kind::Number },
    Field { name: "Status", sql: "status", kind: Kind::Number },
    Field { name: "Message", sql: "message", kind: Kind::Text },
    Field { name: "ErrorCode", sql: "error_code", kind: Kind::Text },
    Field { name: "OperationStart", sql: "started_at", kind: Kind::Time },
    Field { name: "OperationEnd", sql: "finished_at", kind: Kind::Time },
    Field { name: "CertificateId", sql: "certificate_id", kind: Kind::Number },
    Field { name: "RequestedBy", sql: "requested_by", kind: Kind::Text },
    Field { name: "ScheduleType", sql: SCHEDULE_TYPE, kind: Kind::Text },
];

/// Null for immediate, `O_` and the time for once, as the contract's filters expect.
const SCHEDULE_TYPE: &str =
    "CASE WHEN scheduled THEN 'O_' || to_char(run_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI') END";

#[derive(FromRow)]
struct AttemptRow {
    id: i64,
    job_id: JobId,
    agent_id: AgentId,
    store_id: StoreId,
    job_type: String,
    attempt: i16,
    status: i16,
    result: i16,
    scheduled: bool,
    run_at: DateTime<Utc>,
    requested_by: String,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    certificate_id: Option<i64>,
    agent_machine: String,
    client_machine: String,
    store_path: String,
    message: String,
    error_code: Option<String>,
}

impl From<AttemptRow> for JobHistoryRow {
    fn from(row: AttemptRow) -> Self {
        Self {
            job_history_id: row.id,
            agent_machine: row.agent_machine,
            job_id: row.job_id,
            schedule: row.scheduled.then(|| Schedule::exactly_once(row.run_at.into())),
            job_type: row.job_type,
            operation_start: row.started_at.into(),
            operation_end: row.finished_at.map(Timestamp::from),
            message: row.message,
            result: row.result.into(),
            status: row.status.into(),
            store_path: row.store_path,
            client_machine: row.client_machine,
            attempt: row.attempt.into(),
            store_id: row.store_id,
            agent_id: row.agent_id,
            certificate_id: row.certificate_id,
            error_code: row.error_code,
            requested_by: Some(row.requested_by),
        }
    }
}

/// One page of job history, newest first unless asked otherwise, and the number of matching rows, counted up
/// to a bound.
pub(super) async fn job_history(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<JobHistoryRow>, i64), Failure> {
    caller.require(permission::AGENTS_READ)?;
    let columns = format!(
        "id, job_id, agent_id, store_id, {JOB_TYPE} AS job_type, attempt, status, result, scheduled, run_at,
            requested_by, started_at, finished_at, certificate_id, agent_machine, client_machine, store_path, message,
            error_code"
    );
    let listing = Listing {
        name: "job_history",
        columns: &columns,
        from: ATTEMPTS,
        fields: HISTORY_FIELDS,
        order: Order { by: HISTORY_KEY, descending: true },
        key: HISTORY_KEY,
        narrow: Vec::new(),
    };
    let asker = Asker { name: caller.name(), now };
    let (rows, total): (Vec<AttemptRow>, i64) = listing.page(db, list, &asker).await?;
    Ok((rows.into_iter().map(JobHistoryRow::from).collect(), total))
}

pub(super) const SCHEDULED_FIELDS: &[Field] = &[
    Field { name: "Id", sql: "id", kind: Kind::Guid },
    Field { name: "JobId", sql: "id", kind: Kind::Guid },
    Field { name: "AgentId", sql: "agent_id", kind: Kind::Guid },
    Field { name: "StoreId", sql: "store_id", kind: Kind::Guid },
    Field { name: "ClientMachine", sql: "client_machine", kind: Kind::Text },
    Field { name: "Target", sql: "store_path", kind: Kind::Text },
    Field { name: "JobType", sql: JOB_TYPE, kind: Kind::Text },
    Field { name: "Requested", sql: "requested_at", kind: Kind::Time },
];

#[derive(FromRow)]
struct LivingRow {
    id: JobId,
    client_machine: String,
    store_path: String,
    job_type: String,
    state: i16,
    attempt: i16,
    scheduled: bool,
    run_at: DateTime<Utc>,
    retry_at: Option<DateTime<Utc>>,
    requested_at: DateTime<Utc>,
    agent_status: Option<i16>,
    agent_machine: String,
    last_seen_at: Option<DateTime<Utc>>,
    behind: Option<JobId>,
}

impl LivingRow {
    /// Why the job is not running.
    fn waiting_reason(&self, now: DateTime<Utc>) -> Option<String> {
        if self.state == 2 {
            return None;
        }
        let agent = &self.agent_machine;
        Some(match (self.agent_status, self.retry_at) {
            (None, _) => format!("its agent {agent} no longer exists"),
            (Some(1), _) => format!("its agent {agent} is not approved yet"),
            (Some(3), _) => format!("its agent {agent} is disapproved"),
            (_, Some(retry_at)) => {
                format!(
                    "attempt {} failed; the next one is due at {}",
                    self.attempt,
                    Timestamp::from(retry_at)
                )
            }
            _ if self.run_at > now => format!("before its time, {}", Timestamp::from(self.run_at)),
            _ => match (self.behind, self.last_seen_at) {
                (Some(job), _) => format!("behind job {job} on the same store"),
                (None, Some(seen)) => {
                    format!("for its agent {agent}, last seen at {}", Timestamp::from(seen))
                }
                (None, None) => format!("for its agent {agent}, which has not been seen yet"),
            },
        })
    }
}

/// One page of jobs that are not finished.
pub(super) async fn scheduled_jobs(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<ScheduledJob>, i64), Failure> {
    caller.require(permission::AGENTS_READ)?;
    let columns = format!(
        "id, client_machine, store_path, {JOB_TYPE} AS job_type, state, attempt, scheduled, run_at, retry_at,
            requested_at, agent_machine, (SELECT a.status FROM agents a WHERE a.id = jobs.agent_id) AS agent_status,
            (SELECT a.last_seen_at FROM agents a WHERE a.id = jobs.agent_id) AS last_seen_at,
            (SELECT other.id FROM jobs AS other WHERE other.agent_id = jobs.agent_id
                AND other.store_id = jobs.store_id AND other.id <> jobs.id AND other.state IN (2, 5) LIMIT 1) AS behind"
    );
    let key = Column { sql: "id", kind: Kind::Guid };
    let listing = Listing {
        name: "scheduled_jobs",
        columns: &columns,
        from: " FROM jobs WHERE true",
        fields: SCHEDULED_FIELDS,
        order: Order { by: key, descending: false },
        key,
        narrow: Vec::new(),
    };
    let asker = Asker { name: caller.name(), now };
    let (rows, total): (Vec<LivingRow>, i64) = listing.page(db, list, &asker).await?;
    let jobs = rows
        .into_iter()
        .map(|row| ScheduledJob {
            waiting_reason: row.waiting_reason(now),
            id: row.id,
            client_machine: row.client_machine,
            target: row.store_path,
            schedule: row.scheduled.then(|| Schedule::exactly_once(row.run_at.into())),
            requested: row.requested_at.into(),
            job_type: row.job_type,
            status: row.state.into(),
            attempt: row.attempt.into(),
        })
        .collect();
    Ok((jobs, total))
}

#[derive(FromRow)]
struct StepRow {
    attempt: i16,
    ordinal: i16,
    code: String,
    message: String,
    elapsed_ms: i64,
    received_at: DateTime<Utc>,
}

/// The steps of a job, in order. A job without steps has an empty list.
pub(super) async fn steps(
    db: &mut PgConnection,
    caller: &Principal,
    job: JobId,
) -> Result<Vec<JobStep>, Failure> {
    caller.require(permission::AGENTS_READ)?;
    let rows: Vec<StepRow> = sqlx::query_as(
        "-- name: steps
        SELECT attempt, ordinal, code, message, elapsed_ms, received_at FROM job_steps
        WHERE job_id = $1 ORDER BY attempt, ordinal",
    )
    .bind(job.uuid())
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| JobStep {
            attempt: row.attempt.into(),
            ordinal: row.ordinal.into(),
            code: row.code,
            message: row.message,
            elapsed_milliseconds: row.elapsed_ms,
            received: row.received_at.into(),
        })
        .collect())
}
