//! Statements of custom jobs: their types, and those that come again.

use chrono::{DateTime, Utc};
use sealift_protocol::operator::custom_jobs::JobTypeField;
use sealift_protocol::{AgentId, JobId};
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::http::Failure;
use crate::http::filter_sql::{Asker, Kind};
use crate::http::list::ListQuery;
use crate::http::listing::{Column, Listing, Order};
use crate::orchestrator_jobs::custom::{FIELDS, JobTypeRow};
use crate::orchestrator_jobs::job::{Cause, NewJob};

/// When a custom job comes again.
pub(in crate::orchestrator_jobs) struct NewRecurring {
    pub(in crate::orchestrator_jobs) job_type: Uuid,
    pub(in crate::orchestrator_jobs) schedule: Value,
    pub(in crate::orchestrator_jobs) recurrence: String,
    pub(in crate::orchestrator_jobs) next_at: DateTime<Utc>,
}

/// A recurring job that is due.
pub(in crate::orchestrator_jobs) struct DueRow {
    pub(in crate::orchestrator_jobs) id: JobId,
    pub(in crate::orchestrator_jobs) agent_id: AgentId,
    pub(in crate::orchestrator_jobs) schedule: Value,
    pub(in crate::orchestrator_jobs) next_at: DateTime<Utc>,
}

#[derive(FromRow)]
struct TypeRow {
    id: Uuid,
    name: String,
    description: String,
    fields: Json<Vec<JobTypeField>>,
}

impl From<TypeRow> for JobTypeRow {
    fn from(row: TypeRow) -> Self {
        Self { id: row.id, name: row.name, description: row.description, fields: row.fields.0 }
    }
}

/// One page of types, and how many match.
pub(in crate::orchestrator_jobs) async fn custom_types(
    db: &mut PgConnection,
    list: &ListQuery,
    asker: &Asker<'_>,
) -> Result<(Vec<JobTypeRow>, i64), Failure> {
    let listing = Listing {
        name: "custom_types",
        columns: "id, name, description, fields",
        from: " FROM custom_job_types WHERE true",
        fields: FIELDS,
        order: Order { by: Column { sql: "name", kind: Kind::Text }, descending: false },
        key: Column { sql: "id", kind: Kind::Guid },
        narrow: Vec::new(),
    };
    let (rows, total): (Vec<TypeRow>, i64) = listing.page(db, list, asker).await?;
    Ok((rows.into_iter().map(JobTypeRow::from).collect(), total))
}

/// A type, locked against deletion.
pub(in crate::orchestrator_jobs) async fn custom_type(
    db: &mut PgConnection,
    id: Uuid,
) -> Result<Option<JobTypeRow>, sqlx::Error> {
    let row = sqlx::query_as!(
        TypeRow,
        r#"-- name: custom_type
        SELECT id, name, description, fields AS "fields: Json<Vec<JobTypeField>>" FROM custom_job_types
        WHERE id = $1 FOR NO KEY UPDATE"#,
        id
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(JobTypeRow::from))
}

/// A type by its name, locked against deletion while a job of it is made.
pub(in crate::orchestrator_jobs) async fn custom_type_named(
    db: &mut PgConnection,
    name: &str,
) -> Result<Option<JobTypeRow>, sqlx::Error> {
    let row = sqlx::query_as!(
        TypeRow,
        r#"-- name: custom_type_named
        SELECT id, name, description, fields AS "fields: Json<Vec<JobTypeField>>" FROM custom_job_types
        WHERE lower(name) = lower($1) FOR SHARE"#,
        name
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(JobTypeRow::from))
}

/// Whether the name was free.
pub(in crate::orchestrator_jobs) async fn insert_custom_type(
    db: &mut PgConnection,
    row: &JobTypeRow,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "-- name: insert_custom_type
        INSERT INTO custom_job_types (id, name, description, fields, created_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (lower(name)) DO NOTHING",
        row.id,
        row.name,
        row.description,
        Json(&row.fields) as _,
        now
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether the name was free. The look and the change are one statement; two changes at the same moment meet the index.
pub(in crate::orchestrator_jobs) async fn update_custom_type(
    db: &mut PgConnection,
    row: &JobTypeRow,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "-- name: update_custom_type
        UPDATE custom_job_types SET name = $2, description = $3, fields = $4
        WHERE id = $1 AND NOT EXISTS
            (SELECT 1 FROM custom_job_types other WHERE lower(other.name) = lower($2) AND other.id <> $1)",
        row.id,
        row.name,
        row.description,
        Json(&row.fields) as _
    )
    .execute(db)
    .await;
    match done {
        Ok(done) => Ok(done.rows_affected() == 1),
        Err(error) if is_name_taken(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_name_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.constraint()) == Some("custom_job_types_name")
}

pub(in crate::orchestrator_jobs) async fn delete_custom_type(
    db: &mut PgConnection,
    id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!("-- name: delete_custom_type\nDELETE FROM custom_job_types WHERE id = $1", id)
        .execute(db)
        .await
        .map(drop)
}

/// How many jobs of a type are scheduled, and one of them.
pub(in crate::orchestrator_jobs) async fn jobs_of_custom_type(
    db: &mut PgConnection,
    id: Uuid,
) -> Result<(i64, Option<JobId>), sqlx::Error> {
    let row = sqlx::query!(
        r#"-- name: jobs_of_custom_type
        SELECT count(*) AS "count!", (array_agg(id))[1] AS "one: JobId" FROM (
            SELECT id FROM jobs WHERE operation = 10 AND details ->> 'JobTypeId' = $2
            UNION
            SELECT id FROM recurring_jobs WHERE job_type_id = $1
        ) AS living"#,
        id,
        id.to_string()
    )
    .fetch_one(db)
    .await?;
    Ok((row.count, row.one))
}

pub(in crate::orchestrator_jobs) async fn insert_recurring(
    db: &mut PgConnection,
    cause: &Cause,
    jobs: &[NewJob],
    rhythm: &NewRecurring,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.id.uuid()).collect();
    let agents: Vec<Uuid> = jobs.iter().map(|job| job.agent_id.uuid()).collect();
    let details: Vec<Value> = jobs.iter().map(|job| job.details.clone()).collect();
    let secrets: Vec<Option<Vec<u8>>> = jobs.iter().map(|job| job.sealed_secret.clone()).collect();
    let machines: Vec<String> = jobs.iter().map(|job| job.agent_machine.clone()).collect();
    let type_name = jobs.first().map(|job| job.store_type.clone()).unwrap_or_default();
    sqlx::query!(
        "-- name: insert_recurring
        INSERT INTO recurring_jobs (id, request_id, agent_id, job_type_id, schedule, recurrence, next_at, requested_at,
            requested_by, details, sealed_secret, agent_machine, type_name)
        SELECT id, $6, agent_id, $7, $8, $9, $10, $11, $12, details, sealed_secret, agent_machine, $13
        FROM unnest($1::uuid[], $2::uuid[], $3::jsonb[], $4::bytea[], $5::text[])
            AS j(id, agent_id, details, sealed_secret, agent_machine)",
        &ids,
        &agents,
        &details,
        &secrets as &[Option<Vec<u8>>],
        &machines,
        cause.request_id.uuid(),
        rhythm.job_type,
        rhythm.schedule,
        rhythm.recurrence,
        rhythm.next_at,
        now,
        cause.requested_by,
        type_name
    )
    .execute(db)
    .await
    .map(drop)
}

/// Recurring jobs that are due, locked; those that another replica is starting are passed over.
pub(in crate::orchestrator_jobs) async fn lock_due_recurring(
    db: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<DueRow>, sqlx::Error> {
    sqlx::query_as!(
        DueRow,
        r#"-- name: lock_due_recurring
        SELECT id AS "id: JobId", agent_id AS "agent_id: AgentId", schedule, next_at FROM recurring_jobs
        WHERE next_at <= $1 ORDER BY next_at LIMIT $2 FOR UPDATE SKIP LOCKED"#,
        now,
        limit
    )
    .fetch_all(db)
    .await
}

/// Puts runs of recurring jobs into the queue, under the jobs' ids; a run that lives already will do.
pub(in crate::orchestrator_jobs) async fn insert_runs(
    db: &mut PgConnection,
    ids: &[JobId],
    max_attempts: i16,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    sqlx::query!(
        "-- name: insert_runs
        INSERT INTO jobs (id, request_id, agent_id, store_id, job_type, operation, state, max_attempts, run_at,
            scheduled, recurrence, requested_at, requested_by, details, sealed_secret, agent_machine, client_machine,
            store_path, store_type)
        SELECT id, request_id, agent_id, id, 6, 10, 1, $2, $3, true, recurrence, requested_at, requested_by, details,
            sealed_secret, agent_machine, agent_machine, '', type_name
        FROM recurring_jobs WHERE id = ANY ($1)
        ON CONFLICT (id) DO NOTHING",
        &ids,
        max_attempts,
        now
    )
    .execute(db)
    .await
    .map(drop)
}

pub(in crate::orchestrator_jobs) async fn set_next(
    db: &mut PgConnection,
    nexts: &[(JobId, DateTime<Utc>)],
) -> Result<(), sqlx::Error> {
    let (ids, times): (Vec<Uuid>, Vec<DateTime<Utc>>) =
        nexts.iter().map(|(id, next)| (id.uuid(), *next)).unzip();
    sqlx::query!(
        "-- name: set_next
        UPDATE recurring_jobs SET next_at = due.next
        FROM unnest($1::uuid[], $2::timestamptz[]) AS due(id, next) WHERE recurring_jobs.id = due.id",
        &ids,
        &times
    )
    .execute(db)
    .await
    .map(drop)
}

pub(in crate::orchestrator_jobs) async fn stop_recurring(
    db: &mut PgConnection,
    ids: &[JobId],
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    sqlx::query!("-- name: stop_recurring\nDELETE FROM recurring_jobs WHERE id = ANY ($1)", &ids)
        .execute(db)
        .await
        .map(drop)
}
