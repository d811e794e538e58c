//! Statements of what attempts found and proved.

use chrono::{DateTime, Utc};
use sealift_protocol::agent::leases::LeaseKey;
use sealift_protocol::{AgentId, JobId};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::orchestrator_jobs::evidence::Expectation;
use crate::orchestrator_jobs::leases::Finished;

/// What running attempts were to prove, where that was anything.
pub(in crate::orchestrator_jobs) async fn expectations(
    db: &mut PgConnection,
    leases: &[(AgentId, LeaseKey)],
) -> Result<Vec<Expectation>, sqlx::Error> {
    let agents: Vec<Uuid> = leases.iter().map(|(agent, _)| agent.uuid()).collect();
    let (jobs, tokens) = super::keys(&leases.iter().map(|(_, lease)| *lease).collect::<Vec<_>>());
    sqlx::query_as!(
        Expectation,
        r#"-- name: expectations
        SELECT j.id AS "job_id: JobId", j.lease_token AS "lease_token!", j.verification AS "verification!",
            c.thumbprint AS "thumbprint?", c.dns_names AS "names?"
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS r(agent, job, token)
        JOIN jobs j ON j.id = r.job AND j.lease_token = r.token AND j.agent_id = r.agent AND j.state = 2
        LEFT JOIN certificates c ON c.id = j.certificate_id
        WHERE j.verification IS NOT NULL"#,
        &agents,
        &jobs,
        &tokens,
    )
    .fetch_all(db)
    .await
}

pub(in crate::orchestrator_jobs) async fn insert_evidence(
    db: &mut PgConnection,
    rows: &[(&Finished, Value)],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let ids: Vec<i64> = rows.iter().map(|(attempt, _)| attempt.history_id).collect();
    let jobs: Vec<Uuid> = rows.iter().map(|(attempt, _)| attempt.job_id.uuid()).collect();
    let attempts: Vec<i16> = rows.iter().map(|(attempt, _)| attempt.attempt).collect();
    let evidence: Vec<Value> = rows.iter().map(|(_, evidence)| evidence.clone()).collect();
    sqlx::query!(
        "-- name: insert_evidence
        INSERT INTO attempt_evidence (history_id, job_id, attempt, evidence, stored_at)
        SELECT id, job, attempt, evidence, $5
        FROM unnest($1::bigint[], $2::uuid[], $3::smallint[], $4::jsonb[]) AS e(id, job, attempt, evidence)
        ON CONFLICT (history_id) DO NOTHING",
        &ids,
        &jobs,
        &attempts,
        &evidence,
        now,
    )
    .execute(db)
    .await
    .map(drop)
}

/// What the attempts of a job brought, the oldest first.
pub(in crate::orchestrator_jobs) async fn evidence_of(
    db: &mut PgConnection,
    job: JobId,
) -> Result<Vec<(i64, i16, Value)>, sqlx::Error> {
    let rows = sqlx::query!(
        "-- name: evidence_of
        SELECT history_id, attempt, evidence FROM attempt_evidence WHERE job_id = $1 ORDER BY history_id",
        job.uuid()
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.history_id, row.attempt, row.evidence)).collect())
}

/// Deletes evidence that came before a time, at most so much. How much it was.
pub(in crate::orchestrator_jobs) async fn delete_old_evidence(
    db: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "-- name: delete_old_evidence
        DELETE FROM attempt_evidence WHERE history_id = ANY (ARRAY(
            SELECT history_id FROM attempt_evidence WHERE stored_at < $1 ORDER BY stored_at LIMIT $2))",
        before,
        limit
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Deletes steps that came before a time, at most so many. How many there were.
pub(in crate::orchestrator_jobs) async fn delete_old_steps(
    db: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "-- name: delete_old_steps
        DELETE FROM job_steps USING (
            SELECT job_id, attempt, ordinal FROM job_steps WHERE received_at < $1 ORDER BY received_at LIMIT $2) AS old
        WHERE job_steps.job_id = old.job_id AND job_steps.attempt = old.attempt AND job_steps.ordinal = old.ordinal",
        before,
        limit
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
