//! Types of custom jobs: made, changed, listed and deleted by operators.

use chrono::{DateTime, Utc};
use sealift_protocol::operator::custom_jobs::{CustomJobType, SaveCustomJobType};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{JobTypeRow, fields};
use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind};
use crate::http::list::ListQuery;
use crate::http::problem::shortened;
use crate::orchestrator_jobs::error::Error;
use crate::orchestrator_jobs::queries;
use crate::security::audit::{self, Line, Operation};
use crate::security::{Principal, permission};

/// Longest name, so that capabilities stay within their bound.
const MAX_NAME: usize = 100;
/// Longest description, in characters.
const MAX_DESCRIPTION: usize = 1_000;

pub(in crate::orchestrator_jobs) const FIELDS: &[Field] = &[
    Field { name: "JobTypeName", sql: "name", kind: Kind::Text },
    Field { name: "Id", sql: "id", kind: Kind::Guid },
    Field { name: "Description", sql: "description", kind: Kind::Text },
];

impl From<JobTypeRow> for CustomJobType {
    fn from(row: JobTypeRow) -> Self {
        Self {
            id: row.id,
            job_type_name: row.name,
            description: row.description,
            job_type_fields: row.fields,
        }
    }
}

/// One page of types, and how many match.
pub(in crate::orchestrator_jobs) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<CustomJobType>, i64), Failure> {
    caller.require(permission::AGENTS_READ)?;
    let (rows, total) = queries::custom_types(db, list, &Asker { name: caller.name(), now }).await?;
    Ok((rows.into_iter().map(CustomJobType::from).collect(), total))
}

/// One type.
pub(in crate::orchestrator_jobs) async fn get(
    db: &mut PgConnection,
    caller: &Principal,
    id: &str,
) -> Result<CustomJobType, Failure> {
    caller.require(permission::AGENTS_READ)?;
    Ok(find(db, id).await?.into())
}

/// Makes a type.
pub(in crate::orchestrator_jobs) async fn create(
    db: &mut PgConnection,
    caller: &Principal,
    request: SaveCustomJobType,
    now: DateTime<Utc>,
) -> Result<CustomJobType, Failure> {
    caller.require(permission::AGENTS_MODIFY)?;
    let row = parse(Uuid::now_v7(), request)?;
    if !queries::insert_custom_type(db, &row, now).await? {
        return Err(Error::TypeExists(row.name).into());
    }
    record(db, caller, Operation::Created, &row, now).await?;
    Ok(row.into())
}

/// Changes a type. Jobs that were scheduled before keep the name and the values that they were given.
pub(in crate::orchestrator_jobs) async fn update(
    db: &mut PgConnection,
    caller: &Principal,
    request: SaveCustomJobType,
    now: DateTime<Utc>,
) -> Result<CustomJobType, Failure> {
    caller.require(permission::AGENTS_MODIFY)?;
    let id = request.id.clone().ok_or_else(|| Error::Invalid("Id is required".to_owned()))?;
    let known = find(db, &id).await?;
    let row = parse(known.id, request)?;
    if !queries::update_custom_type(db, &row).await? {
        return Err(Error::TypeExists(row.name).into());
    }
    record(db, caller, Operation::Updated, &row, now).await?;
    Ok(row.into())
}

/// Deletes a type that no scheduled job is of.
pub(in crate::orchestrator_jobs) async fn delete(
    db: &mut PgConnection,
    caller: &Principal,
    id: &str,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    caller.require(permission::AGENTS_MODIFY)?;
    let row = find(db, id).await?;
    let (count, job) = queries::jobs_of_custom_type(db, row.id).await?;
    if let Some(job) = job {
        return Err(Error::TypeInUse { name: row.name, count, job: job.to_string() }.into());
    }
    queries::delete_custom_type(db, row.id).await?;
    record(db, caller, Operation::Deleted, &row, now).await
}

/// A type by its id, locked against deletion; what is no GUID names none.
async fn find(db: &mut PgConnection, id: &str) -> Result<JobTypeRow, Failure> {
    let unknown = || Error::NotFound("custom job type", vec![shortened(id)]);
    let id = Uuid::try_parse(id.trim()).map_err(|_| unknown())?;
    Ok(queries::custom_type(db, id).await?.ok_or_else(unknown)?)
}

fn parse(id: Uuid, request: SaveCustomJobType) -> Result<JobTypeRow, Error> {
    let name = request.job_type_name.unwrap_or_default().trim().to_owned();
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(Error::Invalid(format!("JobTypeName must be 1 to {MAX_NAME} printable characters")));
    }
    if name.eq_ignore_ascii_case("FetchLogs") {
        return Err(Error::Invalid("JobTypeName 'FetchLogs' is taken by log retrieval".to_owned()));
    }
    let description = request.description.unwrap_or_default();
    if description.chars().count() > MAX_DESCRIPTION || description.contains('\0') {
        return Err(Error::Invalid(format!("Description must be at most {MAX_DESCRIPTION} characters")));
    }
    Ok(JobTypeRow { id, name, description, fields: fields::declarations(request.job_type_fields)? })
}

async fn record(
    db: &mut PgConnection,
    caller: &Principal,
    operation: Operation,
    row: &JobTypeRow,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let message = format!("Custom job type '{}' was {}", row.name, format!("{operation:?}").to_lowercase());
    let line = Line::new(caller, operation, "CustomJobType", row.id, message);
    Ok(audit::record(db, &[line], now).await?)
}
