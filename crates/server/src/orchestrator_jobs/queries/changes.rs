//! Statements of what operators do with jobs: acknowledge, reschedule, unschedule; and what goes with an agent.

use chrono::{DateTime, Utc};
use sealift_protocol::{AgentId, JobId, StoreId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::orchestrator_jobs::job::Operation;
use crate::orchestrator_jobs::reschedule::FailedRow;

/// Attempts of a job that is tried anew have at most this number, as the table has it; beyond, numbers begin again.
const MAX_ATTEMPT: i16 = 100;

/// A finished attempt.
#[derive(Debug)]
pub(in crate::orchestrator_jobs) struct AttemptRow {
    pub(in crate::orchestrator_jobs) id: i64,
    pub(in crate::orchestrator_jobs) job_id: JobId,
    pub(in crate::orchestrator_jobs) result: i16,
    pub(in crate::orchestrator_jobs) status: i16,
    pub(in crate::orchestrator_jobs) agent_machine: String,
    pub(in crate::orchestrator_jobs) store_path: String,
}

impl AttemptRow {
    /// Where it ran, for people.
    pub(in crate::orchestrator_jobs) fn place(&self) -> String {
        match self.store_path.as_str() {
            "" => self.agent_machine.clone(),
            path => format!("{} - {path}", self.agent_machine),
        }
    }
}

/// A job that waits, runs, or comes again.
#[derive(Debug)]
pub(in crate::orchestrator_jobs) struct WaitingRow {
    pub(in crate::orchestrator_jobs) id: JobId,
    pub(in crate::orchestrator_jobs) agent_id: AgentId,
    pub(in crate::orchestrator_jobs) agent_machine: String,
    pub(in crate::orchestrator_jobs) job_type: i16,
    pub(in crate::orchestrator_jobs) running: bool,
    pub(in crate::orchestrator_jobs) recurring: bool,
}

pub(super) fn uuids<T: Copy + Into<Uuid>>(ids: &[T]) -> Vec<Uuid> {
    ids.iter().map(|id| (*id).into()).collect()
}

/// Finished attempts, locked.
pub(in crate::orchestrator_jobs) async fn attempts(
    db: &mut PgConnection,
    ids: &[i64],
) -> Result<Vec<AttemptRow>, sqlx::Error> {
    sqlx::query_as!(
        AttemptRow,
        r#"-- name: attempts
        SELECT id, job_id AS "job_id: JobId", result, status, agent_machine, store_path FROM job_history
        WHERE id = ANY ($1) ORDER BY id FOR UPDATE"#,
        ids
    )
    .fetch_all(db)
    .await
}

pub(in crate::orchestrator_jobs) async fn acknowledge(
    db: &mut PgConnection,
    ids: &[i64],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: acknowledge
        UPDATE job_history SET status = 4 WHERE id = ANY ($1) AND status IN (3, 5) AND result IN (3, 4)",
        ids
    )
    .execute(db)
    .await
    .map(drop)
}

/// Jobs by their ids, locked; a job that comes again is found by either row, and the schedule of an inventory by the
/// id under which it is shown.
pub(in crate::orchestrator_jobs) async fn waiting(
    db: &mut PgConnection,
    ids: &[JobId],
) -> Result<Vec<WaitingRow>, sqlx::Error> {
    let ids = uuids(ids);
    sqlx::query_as!(
        WaitingRow,
        r#"-- name: waiting
        WITH living AS MATERIALIZED (
            SELECT id, agent_id, agent_machine, job_type, state FROM jobs WHERE id = ANY ($1) ORDER BY id FOR UPDATE
        ), recurring AS MATERIALIZED (
            SELECT id, agent_id, agent_machine FROM recurring_jobs WHERE id = ANY ($1) ORDER BY id FOR UPDATE
        )
        SELECT id AS "id!: JobId", agent_id AS "agent_id!: AgentId", agent_machine AS "agent_machine!",
            job_type AS "job_type!", state = 2 AS "running!",
            EXISTS (SELECT 1 FROM recurring WHERE recurring.id = living.id) AS "recurring!"
        FROM living
        UNION ALL
        SELECT id, agent_id, agent_machine, 6::smallint, false, true FROM recurring
        WHERE NOT EXISTS (SELECT 1 FROM living WHERE living.id = recurring.id)
        UNION ALL
        SELECT inventory_job_id, agent_id, client_machine, 1::smallint, false, true FROM certificate_stores
        WHERE inventory_job_id = ANY ($1)"#,
        &ids
    )
    .fetch_all(db)
    .await
}

/// Takes jobs that do not run out of the queue, and what comes again out of its rhythm. The last attempt of a job that
/// would have been tried again was its last.
pub(in crate::orchestrator_jobs) async fn withdraw_jobs(
    db: &mut PgConnection,
    ids: &[JobId],
) -> Result<(), sqlx::Error> {
    super::stop_recurring(db, ids).await?;
    let ids = uuids(ids);
    sqlx::query!(
        "-- name: withdraw_jobs
        WITH gone AS (
            DELETE FROM jobs WHERE id = ANY ($1) AND state IN (1, 5) RETURNING history_id
        )
        UPDATE job_history SET status = 3 WHERE status = 5
            AND id = ANY (ARRAY(SELECT history_id FROM gone WHERE history_id IS NOT NULL))",
        &ids
    )
    .execute(db)
    .await
    .map(drop)
}

/// Failed attempts with what is known now of their jobs, oldest first.
pub(in crate::orchestrator_jobs) async fn failed(
    db: &mut PgConnection,
    ids: &[i64],
) -> Result<Vec<FailedRow>, sqlx::Error> {
    sqlx::query_as!(
        FailedRow,
        r#"-- name: failed
        SELECT h.id, h.job_id AS "job_id: JobId", h.store_id AS "store_id: StoreId", h.operation, h.attempt, h.status,
            h.result, h.certificate_id, h.details, h.had_secret, h.store_type, h.started_at,
            coalesce(s.agent_id, h.agent_id) AS "agent_id!: AgentId", a.status AS "agent_status?",
            a.client_machine AS "agent_machine?", coalesce(s.client_machine, d.client_machine) AS client_machine,
            coalesce(s.store_path, d.store_path) AS store_path, s.approved AS "store_approved?",
            s.container_id, r.recurrence AS "recurrence?",
            EXISTS (SELECT 1 FROM jobs WHERE jobs.id = h.job_id) AS "living!"
        FROM job_history h
        LEFT JOIN certificate_stores s ON s.id = h.store_id
        LEFT JOIN agents a ON a.id = coalesce(s.agent_id, h.agent_id)
        LEFT JOIN recurring_jobs r ON r.id = h.job_id
        -- A search for stores has no store of its own, and keeps the names it was asked for with.
        LEFT JOIN LATERAL (SELECT h.client_machine, h.store_path WHERE h.operation = 7) AS d ON true
        WHERE h.id = ANY ($1) ORDER BY h.id"#,
        ids
    )
    .fetch_all(db)
    .await
}

/// Puts jobs back into the queue whose attempts are over.
pub(in crate::orchestrator_jobs) async fn insert_again(
    db: &mut PgConnection,
    rows: &[&FailedRow],
    caller: &str,
    max_attempts: i16,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let goes_on = |row: &FailedRow| row.attempt.saturating_add(max_attempts) <= MAX_ATTEMPT;
    let attempt = |row: &FailedRow| if goes_on(row) { row.attempt } else { 0 };
    let text = |value: fn(&FailedRow) -> Option<&String>| {
        rows.iter().map(|row| value(row).cloned().unwrap_or_default()).collect::<Vec<_>>()
    };
    let uuid = |value: fn(&FailedRow) -> Uuid| rows.iter().map(|row| value(row)).collect::<Vec<_>>();
    let job_type =
        |row: &&FailedRow| Operation::from_number(row.operation).map_or(0, |known| known.job_type() as i16);
    let details: Vec<_> = rows.iter().map(|row| row.details.clone()).collect();
    let certificates: Vec<_> = rows.iter().map(|row| row.certificate_id).collect();
    sqlx::query!(
        "-- name: insert_again
        INSERT INTO jobs (id, request_id, agent_id, store_id, job_type, operation, state, attempt, max_attempts, run_at,
            scheduled, requested_at, requested_by, certificate_id, details, agent_machine, client_machine, store_path,
            store_type, started_at, history_id)
        SELECT id, $15, agent_id, store_id, job_type, operation, 1, attempt, attempt + $16, $17, false, $17, $18,
            certificate_id, details, agent_machine, client_machine, store_path, store_type,
            CASE WHEN attempt > 0 THEN started_at END, CASE WHEN attempt > 0 THEN history_id END
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::smallint[], $5::smallint[], $6::smallint[], $7::bigint[],
            $8::jsonb[], $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[], $14::bigint[])
            AS j(id, agent_id, store_id, job_type, operation, attempt, certificate_id, details, agent_machine,
                client_machine, store_path, store_type, started_at, history_id)
        ON CONFLICT (id) DO NOTHING",
        &uuid(|row| row.job_id.uuid()),
        &uuid(|row| row.agent_id.uuid()),
        &uuid(|row| row.store_id.uuid()),
        &rows.iter().map(job_type).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.operation).collect::<Vec<_>>(),
        &rows.iter().map(|row| attempt(row)).collect::<Vec<_>>(),
        &certificates as &[Option<i64>],
        &details,
        &text(|row| row.agent_machine.as_ref()),
        &text(|row| row.client_machine.as_ref()),
        &text(|row| row.store_path.as_ref()),
        &text(|row| Some(&row.store_type)),
        &rows.iter().map(|row| row.started_at).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.id).collect::<Vec<_>>(),
        Uuid::now_v7(),
        max_attempts,
        now,
        caller,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Takes everything of these agents out of the queue. Attempts that run end as failed: their agents cannot report them
/// any more.
pub(in crate::orchestrator_jobs) async fn drop_jobs_of(
    db: &mut PgConnection,
    agents: &[AgentId],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let agents = uuids(agents);
    sqlx::query!("-- name: stop_recurring_of\nDELETE FROM recurring_jobs WHERE agent_id = ANY ($1)", &agents)
        .execute(&mut *db)
        .await?;
    sqlx::query!(
        "-- name: settle_history_of
        UPDATE job_history SET status = 3 WHERE status = 5
            AND id = ANY (ARRAY(SELECT history_id FROM jobs WHERE agent_id = ANY ($1) AND history_id IS NOT NULL))",
        &agents
    )
    .execute(&mut *db)
    .await?;
    sqlx::query_file!("src/orchestrator_jobs/drop_jobs_of.sql", &agents, now).execute(db).await.map(drop)
}
