//! Statements of what attempts sent back, and of log retrieval.

use chrono::{DateTime, Utc};
use sealift_protocol::agent::leases::LeaseKey;
use sealift_protocol::{AgentId, JobId};
use sqlx::PgConnection;

use crate::orchestrator_jobs::leases::LiveReenrollment;

/// A job that works on no store, as it is listed to its agent.
pub(in crate::orchestrator_jobs) struct AloneRow {
    pub(in crate::orchestrator_jobs) id: JobId,
    pub(in crate::orchestrator_jobs) operation: i16,
    pub(in crate::orchestrator_jobs) job_type_id: Option<String>,
}

/// Stores results; one that is there already stays.
pub(in crate::orchestrator_jobs) async fn insert_data(
    db: &mut PgConnection,
    results: &[(i64, Vec<u8>)],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let (ids, sealed): (Vec<i64>, Vec<Vec<u8>>) = results.iter().cloned().unzip();
    sqlx::query!(
        "-- name: insert_data
        INSERT INTO job_data (history_id, sealed_data, stored_at)
        SELECT id, sealed, $3 FROM unnest($1::bigint[], $2::bytea[]) AS d(id, sealed)
        ON CONFLICT (history_id) DO NOTHING",
        &ids,
        &sealed,
        now
    )
    .execute(db)
    .await
    .map(drop)
}

/// The sealed result of an attempt, if it brought one; `None` when there is no such attempt.
pub(in crate::orchestrator_jobs) async fn data(
    db: &mut PgConnection,
    history_id: i64,
) -> Result<Option<Option<Vec<u8>>>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- name: data
        SELECT (SELECT sealed_data FROM job_data WHERE history_id = $1) AS sealed FROM (
            SELECT 1 FROM job_history WHERE id = $1
            UNION ALL
            SELECT 1 FROM jobs WHERE history_id = $1 AND state = 2
        ) AS attempt LIMIT 1"#,
        history_id
    )
    .fetch_optional(db)
    .await
}

pub(in crate::orchestrator_jobs) async fn delete_old_data(
    db: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "-- name: delete_old_data
        DELETE FROM job_data WHERE history_id = ANY (ARRAY(
            SELECT history_id FROM job_data WHERE stored_at < $1 ORDER BY stored_at LIMIT $2))",
        before,
        limit
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// The history id of a running retrieval of an agent's log.
pub(in crate::orchestrator_jobs) async fn running_log(
    db: &mut PgConnection,
    agent: AgentId,
    lease: LeaseKey,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- name: running_log
        SELECT history_id AS "history_id!" FROM jobs
        WHERE id = $1 AND lease_token = $2 AND agent_id = $3 AND state = 2 AND operation = 9"#,
        lease.job_id.uuid(),
        lease.lease_token,
        agent.uuid()
    )
    .fetch_optional(db)
    .await
}

/// Whether a retrieval of an agent's log waits or runs.
pub(in crate::orchestrator_jobs) async fn is_fetching(
    db: &mut PgConnection,
    agent: AgentId,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- name: is_fetching
        SELECT EXISTS (SELECT 1 FROM jobs WHERE agent_id = $1 AND operation = 9) AS "fetching!""#,
        agent.uuid()
    )
    .fetch_one(db)
    .await
}

/// Due jobs of an agent that work on no store and that it says it can run.
pub(in crate::orchestrator_jobs) async fn listable_alone(
    db: &mut PgConnection,
    agent: AgentId,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<AloneRow>, sqlx::Error> {
    sqlx::query_as!(
        AloneRow,
        r#"-- name: listable_alone
        SELECT j.id AS "id: JobId", j.operation, j.details ->> 'JobTypeId' AS job_type_id
        FROM jobs j JOIN agents a ON a.id = j.agent_id AND a.status = 2 AND a.drained_at IS NULL
        WHERE j.agent_id = $1 AND j.state = 1 AND j.run_at <= $2 AND j.operation IN (9, 10)
            AND EXISTS (SELECT 1 FROM unnest(a.capabilities) AS known
                WHERE lower(known) = lower('Custom.' || CASE j.operation WHEN 9 THEN 'FetchLogs' ELSE j.store_type END))
        ORDER BY j.run_at, j.id LIMIT $3"#,
        agent.uuid(),
        now,
        limit
    )
    .fetch_all(db)
    .await
}

pub(in crate::orchestrator_jobs) async fn live_reenrollment(
    db: &mut PgConnection,
    agent: AgentId,
    lease: LeaseKey,
) -> Result<Option<LiveReenrollment>, sqlx::Error> {
    sqlx::query_as!(
        LiveReenrollment,
        r#"-- name: live_reenrollment
        SELECT details, requested_by, client_machine, store_path,
            CASE WHEN inventoried THEN certificate_id END AS "certificate_id"
        FROM jobs
        WHERE id = $1 AND lease_token = $2 AND agent_id = $3 AND state = 2 AND operation = 6
            AND EXISTS (SELECT 1 FROM agents WHERE agents.id = $3 AND agents.status = 2)
        FOR UPDATE"#,
        lease.job_id.uuid(),
        lease.lease_token,
        agent.uuid(),
    )
    .fetch_optional(db)
    .await
}

pub(in crate::orchestrator_jobs) async fn mark_enrolled(
    db: &mut PgConnection,
    agent: AgentId,
    lease: LeaseKey,
    certificate_id: i64,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "-- name: mark_enrolled
        UPDATE jobs SET inventoried = true, certificate_id = $4
        WHERE id = $1 AND lease_token = $2 AND agent_id = $3 AND state = 2 AND operation = 6",
        lease.job_id.uuid(),
        lease.lease_token,
        agent.uuid(),
        certificate_id,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}
