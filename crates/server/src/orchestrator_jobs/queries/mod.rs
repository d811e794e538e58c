//! Every statement of the queue, but for the lists in `history.rs` and `scheduled.rs`.

mod changes;
mod custom;
mod evidence;
mod results;
mod steps;
mod waiting;

pub(super) use changes::*;
pub(super) use custom::*;
pub(super) use evidence::*;
pub(super) use results::*;
pub(super) use steps::*;
pub(super) use waiting::waited_for;

use chrono::{DateTime, Utc};
use sealift_protocol::agent::leases::{LeaseKey, Outcome};
use sealift_protocol::agent::verification::Verified;
use sealift_protocol::{AgentId, JobId, StoreId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::job::{Cause, NewJob};
use super::leases::{Finished, Leased, LiveLease, Report, clean_code, clean_message};
use super::published::{JobPlace, RunningAttempt};
use super::retry::retry;

pub(super) async fn insert_jobs(
    db: &mut PgConnection,
    jobs: &[(Cause, NewJob)],
    max_attempts: i16,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let column = |value: fn(&(Cause, NewJob)) -> Uuid| jobs.iter().map(value).collect::<Vec<_>>();
    let text = |value: fn(&(Cause, NewJob)) -> &str| {
        jobs.iter().map(|job| value(job).to_owned()).collect::<Vec<_>>()
    };
    let details: Vec<_> = jobs.iter().map(|(_, job)| job.details.clone()).collect();
    let secrets: Vec<_> = jobs.iter().map(|(_, job)| job.sealed_secret.clone()).collect();
    let certificates: Vec<_> = jobs.iter().map(|(_, job)| job.certificate_id).collect();
    sqlx::query!(
        "-- name: insert_jobs
        INSERT INTO jobs (id, request_id, agent_id, store_id, job_type, operation, state, max_attempts, run_at,
            scheduled, requested_at, requested_by, certificate_id, details, sealed_secret, agent_machine,
            client_machine, store_path, store_type)
        SELECT id, request_id, agent_id, store_id, job_type, operation, 1, $17, run_at, scheduled, $18, requested_by,
            certificate_id, details, sealed_secret, agent_machine, client_machine, store_path, store_type
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::smallint[], $6::smallint[],
            $7::timestamptz[], $8::boolean[], $9::text[], $10::bigint[], $11::jsonb[], $12::bytea[], $13::text[],
            $14::text[], $15::text[], $16::text[])
            AS j(id, request_id, agent_id, store_id, job_type, operation, run_at, scheduled, requested_by,
                certificate_id, details, sealed_secret, agent_machine, client_machine, store_path, store_type)
        -- The inventory after a change has an id that follows from the change's; one that waits already will do.
        ON CONFLICT (id) DO NOTHING",
        &column(|(_, job)| job.id.uuid()),
        &column(|(cause, _)| cause.request_id.uuid()),
        &column(|(_, job)| job.agent_id.uuid()),
        &column(|(_, job)| job.store_id.uuid()),
        &jobs.iter().map(|(_, job)| job.operation.job_type() as i16).collect::<Vec<_>>(),
        &jobs.iter().map(|(_, job)| job.operation as i16).collect::<Vec<_>>(),
        &jobs.iter().map(|(_, job)| job.run_at).collect::<Vec<_>>(),
        &jobs.iter().map(|(_, job)| job.scheduled).collect::<Vec<_>>(),
        &text(|(cause, _)| &cause.requested_by),
        &certificates as &[Option<i64>],
        &details,
        &secrets as &[Option<Vec<u8>>],
        &text(|(_, job)| &job.agent_machine),
        &text(|(_, job)| &job.client_machine),
        &text(|(_, job)| &job.store_path),
        &text(|(_, job)| &job.store_type),
        max_attempts,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn unfinished(
    db: &mut PgConnection,
    agent: AgentId,
    store: StoreId,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- name: unfinished
        SELECT count(*) AS "count!" FROM jobs WHERE agent_id = $1 AND store_id = $2"#,
        agent.uuid(),
        store.uuid(),
    )
    .fetch_one(db)
    .await
}

pub(super) async fn withdraw(
    db: &mut PgConnection,
    stores: &[(AgentId, StoreId)],
) -> Result<(), sqlx::Error> {
    let (agents, stores): (Vec<Uuid>, Vec<Uuid>) =
        stores.iter().map(|(agent, store)| (agent.uuid(), store.uuid())).unzip();
    sqlx::query!(
        "-- name: withdraw
        DELETE FROM jobs USING unnest($1::uuid[], $2::uuid[]) AS gone(agent, store)
        WHERE agent_id = gone.agent AND store_id = gone.store AND state <> 2",
        &agents,
        &stores,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn lease(
    db: &mut PgConnection,
    (agent, instance): (AgentId, Uuid),
    now: DateTime<Utc>,
    until: DateTime<Utc>,
    window: i64,
    limit: i64,
) -> Result<Vec<Leased>, sqlx::Error> {
    // The head of each store's queue within the window; the window is a prefix of the agent's queue, so the
    // head there is the head. The array form is evaluated once and always uses the key; NOT IN is one hashed look at
    // the occupied stores, where NOT EXISTS was one for each due job.
    let mut leased = sqlx::query_as!(
        Leased,
        r#"-- name: lease
        WITH due AS MATERIALIZED (
            SELECT id, store_id, run_at FROM jobs
            WHERE agent_id = $1 AND state = 1 AND run_at <= $2
            ORDER BY run_at, id LIMIT $4
        ), heads AS (
            SELECT DISTINCT ON (store_id) id, run_at FROM due
            WHERE store_id NOT IN (SELECT store_id FROM jobs WHERE agent_id = $1 AND state IN (2, 5))
            ORDER BY store_id, run_at, id
        )
        UPDATE jobs SET state = 2, attempt = attempt + 1, lease_token = gen_random_uuid(), lease_until = $3,
            started_at = $2, history_id = nextval('job_history_id'), inventoried = false,
            verification = CASE WHEN operation <= 6 THEN
                (SELECT s.verification FROM certificate_stores s WHERE s.id = jobs.store_id) END
        WHERE id = ANY (ARRAY(
                SELECT id FROM jobs
                WHERE id = ANY (ARRAY(SELECT id FROM heads ORDER BY run_at, id LIMIT $5)) AND state = 1
                FOR UPDATE SKIP LOCKED))
            AND EXISTS (SELECT 1 FROM agents
                WHERE agents.id = $1 AND agents.status = 2 AND agents.drained_at IS NULL AND agents.instance = $6)
        RETURNING id AS "id: JobId", history_id AS "history_id!", attempt, lease_token AS "lease_token!",
            store_id AS "store_id: StoreId", operation, certificate_id, details, sealed_secret, run_at, verification"#,
        agent.uuid(),
        now,
        until,
        window,
        limit,
        instance,
    )
    .fetch_all(db)
    .await?;
    leased.sort_by_key(|job| (job.run_at, job.id));
    Ok(leased)
}

pub(super) async fn count_waiting(
    db: &mut PgConnection,
    agent: AgentId,
    now: DateTime<Utc>,
    bound: i64,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- name: count_waiting
        SELECT count(*) AS "count!" FROM (
            SELECT 1 FROM jobs WHERE agent_id = $1 AND state = 1 AND run_at <= $2 LIMIT $3) AS waiting"#,
        agent.uuid(),
        now,
        bound,
    )
    .fetch_one(db)
    .await
}

pub(super) async fn next_due(
    db: &mut PgConnection,
    agent: AgentId,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- name: next_due
        SELECT run_at FROM jobs WHERE agent_id = $1 AND state = 1 AND run_at > $2 ORDER BY run_at, id LIMIT 1",
        agent.uuid(),
        now,
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn due_agents(
    db: &mut PgConnection,
    agents: &[AgentId],
    now: DateTime<Utc>,
) -> Result<Vec<AgentId>, sqlx::Error> {
    let agents: Vec<Uuid> = agents.iter().map(|agent| agent.uuid()).collect();
    sqlx::query_scalar!(
        r#"-- name: due_agents
        SELECT agent AS "agent!: AgentId" FROM unnest($1::uuid[]) AS held(agent)
        WHERE EXISTS (SELECT 1 FROM jobs
            WHERE agent_id = agent AND state = 1 AND run_at <= $2)
            AND EXISTS (SELECT 1 FROM agents WHERE agents.id = agent AND agents.drained_at IS NULL)"#,
        &agents,
        now,
    )
    .fetch_all(db)
    .await
}

fn keys(leases: &[LeaseKey]) -> (Vec<Uuid>, Vec<Uuid>) {
    leases.iter().map(|lease| (lease.job_id.uuid(), lease.lease_token)).unzip()
}

pub(super) async fn renew(
    db: &mut PgConnection,
    agent: AgentId,
    leases: &[LeaseKey],
    until: DateTime<Utc>,
) -> Result<Vec<JobId>, sqlx::Error> {
    let (jobs, tokens) = keys(leases);
    sqlx::query_scalar!(
        r#"-- name: renew
        UPDATE jobs SET lease_until = greatest(lease_until, $4)
        FROM unnest($2::uuid[], $3::uuid[]) AS kept(job, token)
        WHERE id = kept.job AND lease_token = kept.token AND state = 2 AND agent_id = $1
            AND EXISTS (SELECT 1 FROM agents WHERE agents.id = $1 AND agents.status = 2)
        RETURNING id AS "id: JobId""#,
        agent.uuid(),
        &jobs,
        &tokens,
        until,
    )
    .fetch_all(db)
    .await
}

pub(super) async fn finish(
    db: &mut PgConnection,
    reports: &[Report],
    retry_seconds: u32,
    now: DateTime<Utc>,
) -> Result<Vec<Finished>, sqlx::Error> {
    let agents: Vec<Uuid> = reports.iter().map(|report| report.agent.uuid()).collect();
    let (jobs, tokens) = keys(&reports.iter().map(|report| report.lease).collect::<Vec<_>>());
    let results: Vec<i16> = reports.iter().map(|report| result(report.outcome)).collect();
    let retries: Vec<i16> = reports.iter().map(|report| retry(report) as i16).collect();
    let messages: Vec<String> = reports.iter().map(|report| clean_message(&report.message)).collect();
    let codes: Vec<Option<String>> =
        reports.iter().map(|report| report.error_code.as_deref().map(clean_code)).collect();
    let evidence = || reports.iter().map(|report| report.evidence.as_ref());
    let installed: Vec<Option<bool>> = evidence().map(|told| told.map(|told| told.installed)).collect();
    let verified: Vec<Option<i16>> = evidence().map(|told| told.map(|told| proof(told.verified))).collect();
    sqlx::query_file_as!(
        Finished,
        "src/orchestrator_jobs/finish.sql",
        &agents,
        &jobs,
        &tokens,
        &results,
        &retries,
        &messages,
        &codes as &[Option<String>],
        f64::from(retry_seconds),
        now,
        &installed as &[Option<bool>],
        &verified as &[Option<i16>],
    )
    .fetch_all(db)
    .await
}

fn proof(verified: Verified) -> i16 {
    match verified {
        Verified::NotAsked => 0,
        Verified::Verified => 1,
        Verified::NotVerified => 2,
    }
}

fn result(outcome: Outcome) -> i16 {
    match outcome {
        Outcome::Success => 2,
        Outcome::Warning => 3,
        Outcome::TransientFailure | Outcome::Failure => 4,
    }
}

pub(super) async fn expire(
    db: &mut PgConnection,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<Finished>, sqlx::Error> {
    sqlx::query_file_as!(Finished, "src/orchestrator_jobs/expire.sql", limit, now).fetch_all(db).await
}

pub(super) async fn release_retries(
    db: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Vec<AgentId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- name: release_retries
        UPDATE jobs SET state = 1, retry_at = NULL WHERE state = 5 AND retry_at <= $1
        RETURNING agent_id AS "agent_id: AgentId""#,
        now,
    )
    .fetch_all(db)
    .await
}

pub(super) async fn recorded(
    db: &mut PgConnection,
    leases: &[(AgentId, LeaseKey)],
) -> Result<Vec<LeaseKey>, sqlx::Error> {
    let agents: Vec<Uuid> = leases.iter().map(|(agent, _)| agent.uuid()).collect();
    let (jobs, tokens) = keys(&leases.iter().map(|(_, lease)| *lease).collect::<Vec<_>>());
    sqlx::query_as!(
        LeaseKey,
        r#"-- name: recorded
        SELECT job_id AS "job_id: JobId", lease_token AS "lease_token!" FROM job_history
        JOIN unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS reported(agent, job, token)
            ON job_id = reported.job AND lease_token = reported.token AND agent_id = reported.agent"#,
        &agents,
        &jobs,
        &tokens,
    )
    .fetch_all(db)
    .await
}

pub(super) async fn abandon(
    db: &mut PgConnection,
    agent: AgentId,
    held: &[JobId],
    only: Option<JobId>,
    now: DateTime<Utc>,
) -> Result<Vec<Finished>, sqlx::Error> {
    let held: Vec<Uuid> = held.iter().map(|job| job.uuid()).collect();
    let only = only.map(JobId::uuid);
    sqlx::query_file_as!(Finished, "src/orchestrator_jobs/abandon.sql", agent.uuid(), &held, now, only)
        .fetch_all(db)
        .await
}

/// One job, whatever its agent's other jobs: a change only when no earlier change of its store waits, for the agent
/// picks the order of its list itself. These agents prove nothing, and would do what a dry run only asks about.
pub(super) async fn lease_one(
    db: &mut PgConnection,
    agent: AgentId,
    job: JobId,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Option<Leased>, sqlx::Error> {
    sqlx::query_as!(
        Leased,
        r#"-- name: lease_one
        UPDATE jobs SET state = 2, attempt = attempt + 1, lease_token = gen_random_uuid(), lease_until = $4,
            started_at = $3, history_id = nextval('job_history_id'), inventoried = false, verification = NULL
        WHERE id = $2 AND agent_id = $1 AND state = 1 AND run_at <= $3
            AND details ->> 'DryRun' IS NULL
            AND NOT EXISTS (SELECT 1 FROM jobs other
                WHERE other.agent_id = $1 AND other.store_id = jobs.store_id AND other.state IN (2, 5))
            AND (operation = 1 OR NOT EXISTS (SELECT 1 FROM jobs earlier
                WHERE earlier.agent_id = $1 AND earlier.store_id = jobs.store_id AND earlier.state = 1
                    AND earlier.operation <> 1 AND (earlier.run_at, earlier.id) < (jobs.run_at, jobs.id)))
            AND EXISTS (SELECT 1 FROM agents WHERE agents.id = $1 AND agents.status = 2 AND agents.drained_at IS NULL)
        RETURNING id AS "id: JobId", history_id AS "history_id!", attempt, lease_token AS "lease_token!",
            store_id AS "store_id: StoreId", operation, certificate_id, details, sealed_secret, run_at, verification"#,
        agent.uuid(),
        job.uuid(),
        now,
        until,
    )
    .fetch_optional(db)
    .await
}

/// The running attempt with this history id, and whether an update was stored for it.
pub(super) async fn running_attempt(
    db: &mut PgConnection,
    agent: AgentId,
    job: JobId,
    history_id: i64,
) -> Result<Option<RunningAttempt>, sqlx::Error> {
    sqlx::query_as!(
        RunningAttempt,
        r#"-- name: running_attempt
        SELECT lease_token AS "lease_token!", operation, history_id AS "history_id!", inventoried, attempt < max_attempts AS "again!" FROM jobs
        WHERE id = $2 AND agent_id = $1 AND state = 2 AND history_id = $3"#,
        agent.uuid(),
        job.uuid(),
        history_id,
    )
    .fetch_optional(db)
    .await
}

/// Where a job of this agent was to work, if there ever was such a job.
pub(super) async fn path_of(
    db: &mut PgConnection,
    agent: AgentId,
    jobs: &[JobId],
) -> Result<Option<JobPlace>, sqlx::Error> {
    let jobs: Vec<Uuid> = jobs.iter().map(|job| job.uuid()).collect();
    sqlx::query_as!(
        JobPlace,
        r#"-- name: path_of
        SELECT client_machine AS "client_machine!", store_path AS "store_path!" FROM (
            (SELECT client_machine, store_path FROM jobs WHERE id = ANY($2) AND agent_id = $1 LIMIT 1)
            UNION ALL
            (SELECT client_machine, store_path FROM job_history WHERE job_id = ANY($2) AND agent_id = $1 LIMIT 1)
        ) AS known LIMIT 1"#,
        agent.uuid(),
        &jobs,
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn mark_inventoried(
    db: &mut PgConnection,
    agent: AgentId,
    lease: LeaseKey,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "-- name: mark_inventoried
        UPDATE jobs SET inventoried = true
        WHERE id = $1 AND lease_token = $2 AND agent_id = $3 AND state = 2 AND operation = 1",
        lease.job_id.uuid(),
        lease.lease_token,
        agent.uuid(),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn live_discovery(
    db: &mut PgConnection,
    agent: AgentId,
    lease: LeaseKey,
) -> Result<Option<serde_json::Value>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- name: live_discovery
        SELECT details FROM jobs
        WHERE id = $1 AND lease_token = $2 AND agent_id = $3 AND state = 2 AND operation = 7
            AND EXISTS (SELECT 1 FROM agents WHERE agents.id = $3 AND agents.status = 2)
        FOR UPDATE"#,
        lease.job_id.uuid(),
        lease.lease_token,
        agent.uuid(),
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn live_inventory_lease(
    db: &mut PgConnection,
    agent: AgentId,
    lease: LeaseKey,
) -> Result<Option<LiveLease>, sqlx::Error> {
    sqlx::query_as!(
        LiveLease,
        r#"-- name: live_inventory_lease
        SELECT store_id AS "store_id: StoreId", history_id AS "history_id!" FROM jobs
        WHERE id = $1 AND lease_token = $2 AND agent_id = $3 AND state = 2 AND operation = 1
            AND EXISTS (SELECT 1 FROM agents WHERE agents.id = $3 AND agents.status = 2)
        FOR UPDATE"#,
        lease.job_id.uuid(),
        lease.lease_token,
        agent.uuid(),
    )
    .fetch_optional(db)
    .await
}
