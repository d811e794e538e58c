//! Lists for operators: what ran and runs, and the steps of one job. What waits is in `scheduled.rs`.

use chrono::{DateTime, Utc};
use sealift_protocol::agent::error_catalogue::find;
use sealift_protocol::operator::orchestrator_jobs::{JobHistoryRow, JobStep};
use sealift_protocol::operator::schedule::Schedule;
use sealift_protocol::{AgentId, JobId, StoreId, Timestamp};
use sqlx::{FromRow, PgConnection, QueryBuilder};

use super::evidence::verified;
use super::recurrence::from_short;
use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind, push_filter};
use crate::http::list::ListQuery;
use crate::http::listing::{Column, Listing, Order};
use crate::security::Principal;
use crate::security::permission;

/// Finished attempts and running ones, as one table.
const ATTEMPTS: &str = " FROM (
    SELECT id, job_id, agent_id, nullif(store_id, job_id) AS store_id, job_type, attempt, status, result, scheduled,
        recurrence, run_at, requested_by,
        started_at, finished_at, certificate_id, agent_machine, client_machine, store_path, store_type, message,
        error_code, installed, verified, details ->> 'DryRun' IS NOT NULL AS dry_run
    FROM job_history
    UNION ALL
    SELECT history_id, id, agent_id, nullif(store_id, id), job_type, attempt, 2::smallint, 0::smallint, scheduled,
        recurrence, run_at,
        requested_by, started_at, NULL::timestamptz, certificate_id, agent_machine, client_machine, store_path,
        store_type, ''::text, NULL::text, NULL::boolean, NULL::smallint, details ->> 'DryRun' IS NOT NULL
    FROM jobs WHERE state = 2
) AS attempts WHERE true";

/// What a job is called: short name of the store type and the kind of job, or the name of a custom job's type.
pub(super) const JOB_TYPE: &str =
    "CASE job_type WHEN 1 THEN store_type || 'Inventory' WHEN 2 THEN store_type || 'Management'
    WHEN 3 THEN store_type || 'Reenrollment' WHEN 4 THEN store_type || 'Discovery' WHEN 5 THEN 'FetchLogs'
    ELSE store_type END";

const HISTORY_KEY: Column = Column { sql: "id", kind: Kind::Number };

pub(super) const HISTORY_FIELDS: &[Field] = &[
    Field { name: "JobHistoryId", sql: "id", kind: Kind::Number },
    Field { name: "JobId", sql: "job_id", kind: Kind::Guid },
    Field { name: "AgentId", sql: "agent_id", kind: Kind::Guid },
    Field { name: "Agent", sql: "agent_machine", kind: Kind::Text },
    Field { name: "AgentMachine", sql: "agent_machine", kind: Kind::Text },
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
    Field { name: "Installed", sql: "installed", kind: Kind::Flag },
    Field { name: "Verified", sql: VERIFIED, kind: Kind::Text },
    Field { name: "DryRun", sql: "dry_run", kind: Kind::Flag },
    Field { name: "ScheduleType", sql: SCHEDULE_TYPE, kind: Kind::Text },
];

const VERIFIED: &str =
    "CASE verified WHEN 0 THEN 'NotAsked' WHEN 1 THEN 'Verified' WHEN 2 THEN 'NotVerified' END";

/// Null for immediate, `O_` and the time for once, `I_`, `D_`, `W_` or `M_` and so on for what comes again, as the
/// contract's filters expect.
const SCHEDULE_TYPE: &str = "coalesce(recurrence,
    CASE WHEN scheduled THEN 'O_' || to_char(run_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI') END)";

#[derive(FromRow)]
struct AttemptRow {
    id: i64,
    job_id: JobId,
    agent_id: AgentId,
    store_id: Option<StoreId>,
    job_type: String,
    attempt: i16,
    status: i16,
    result: i16,
    scheduled: bool,
    recurrence: Option<String>,
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
    installed: Option<bool>,
    verified: Option<i16>,
    dry_run: bool,
}

/// When a job was to run, as an answer given `now` shows it.
pub(super) fn schedule(
    recurrence: Option<&str>,
    scheduled: bool,
    run_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<Schedule> {
    let recurring = recurrence.and_then(|text| from_short(text, now));
    recurring.or_else(|| scheduled.then(|| Schedule::exactly_once(run_at.into())))
}

impl AttemptRow {
    fn shown(self, now: DateTime<Utc>) -> JobHistoryRow {
        let row = self;
        JobHistoryRow {
            job_history_id: row.id,
            agent_machine: row.agent_machine,
            job_id: row.job_id,
            schedule: schedule(row.recurrence.as_deref(), row.scheduled, row.run_at, now),
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
            remedy: row.error_code.as_deref().and_then(find).map(|entry| entry.remedy.to_owned()),
            error_code: row.error_code,
            requested_by: Some(row.requested_by),
            installed: row.installed,
            verified: verified(row.verified),
            dry_run: row.dry_run,
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
        "id, job_id, agent_id, store_id, {JOB_TYPE} AS job_type, attempt, status, result, scheduled, recurrence, run_at,
            requested_by, started_at, finished_at, certificate_id, agent_machine, client_machine, store_path, message,
            error_code, installed, verified, dry_run"
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
    Ok((rows.into_iter().map(|row| row.shown(now)).collect(), total))
}

/// History ids of the finished attempts that match a query and a condition on the columns; `None` when there are more
/// than `limit`.
pub(super) async fn matching(
    db: &mut PgConnection,
    caller: &Principal,
    filter: &str,
    condition: &'static str,
    limit: usize,
    now: DateTime<Utc>,
) -> Result<Option<Vec<i64>>, Failure> {
    let asker = Asker { name: caller.name(), now };
    let mut sql = QueryBuilder::new(format!(
        "-- name: matching_attempts\nSELECT id{ATTEMPTS} AND finished_at IS NOT NULL{condition}"
    ));
    push_filter(&mut sql, HISTORY_FIELDS, Some(filter), &asker)?;
    sql.push(" ORDER BY id LIMIT ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX) + 1);
    let ids: Vec<i64> = sql.build_query_scalar().fetch_all(db).await?;
    Ok((ids.len() <= limit).then_some(ids))
}

#[derive(FromRow)]
struct StepRow {
    attempt: i16,
    ordinal: i16,
    code: String,
    message: String,
    elapsed_ms: i64,
    duration_ms: Option<i64>,
    before: Option<String>,
    after: Option<String>,
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
        SELECT attempt, ordinal, code, message, elapsed_ms, duration_ms, before, after, received_at FROM job_steps
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
            duration_milliseconds: row.duration_ms,
            before: row.before,
            after: row.after,
            received: row.received_at.into(),
        })
        .collect())
}
