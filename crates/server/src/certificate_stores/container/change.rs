//! Making, changing and deleting containers.

use chrono::{DateTime, Utc};
use sealift_protocol::operator::certificate_stores::{ContainerDetails, CreateContainer, UpdateContainer};
use sealift_protocol::operator::schedule::Schedule;
use sqlx::PgConnection;

use super::{ContainerRow, by_path, load, with_stores};
use crate::certificate_stores::error::Error;
use crate::certificate_stores::queries::{self, containers};
use crate::certificate_stores::schedule::plan;
use crate::certificate_stores::store::bounded;
use crate::http::Failure;
use crate::security::{Principal, audit, permission};

/// Longest name.
const MAX_NAME: usize = 256;

/// Makes a container.
pub(in crate::certificate_stores) async fn create(
    db: &mut PgConnection,
    caller: &Principal,
    request: &CreateContainer,
    now: DateTime<Utc>,
) -> Result<ContainerDetails, Failure> {
    let row = made(db, caller, request, now).await?;
    let schedule = row.schedule.as_ref().and(request.schedule.clone());
    with_stores(db, row, schedule, now).await
}

/// Makes a container and answers its row.
pub(super) async fn made(
    db: &mut PgConnection,
    caller: &Principal,
    request: &CreateContainer,
    now: DateTime<Utc>,
) -> Result<ContainerRow, Failure> {
    caller.require(permission::STORES_MODIFY)?;
    let name = bounded("Name", request.name.as_deref(), MAX_NAME)?;
    let mut row = ContainerRow {
        id: 0,
        name: name.to_owned(),
        store_type: store_type(db, request.cert_store_type).await?,
        schedule: plan(request.schedule.as_ref(), now)?.schedule,
        overwrite_schedules: request.overwrite_schedules,
    };
    let id = containers::insert(db, &row, now).await?;
    row.id = id.ok_or_else(|| Error::Exists(format!("a container named '{name}'")))?;
    let message = format!("made container '{name}'");
    let line = audit::Line::new(caller, audit::Operation::Created, "Container", row.id, message);
    audit::record(db, &[line], now).await?;
    Ok(row)
}

/// The type that a container is for: -1 for any.
async fn store_type(db: &mut PgConnection, given: Option<i32>) -> Result<i32, Failure> {
    let id = given.unwrap_or(-1);
    if id != -1 && queries::store_type(db, id).await?.is_none() {
        return Err(Error::Invalid(format!("CertStoreType: store type {id} was not found")).into());
    }
    Ok(id)
}

/// Changes a container: what is not sent is cleared. A schedule goes to its stores: to all of them where it overwrites,
/// else to those that have none.
pub(in crate::certificate_stores) async fn update(
    db: &mut PgConnection,
    caller: &Principal,
    request: &UpdateContainer,
    now: DateTime<Utc>,
) -> Result<ContainerDetails, Failure> {
    let id = request.id.ok_or_else(|| Error::Invalid("Id is required".to_owned()))?;
    let old = load(db, id).await?.ok_or_else(|| Failure::not_found(format_args!("container {id}")))?;
    caller.require_for(permission::STORES_MODIFY, Some(id))?;
    let name = bounded("Name", request.name.as_deref(), MAX_NAME)?;
    let plan = plan(request.schedule.as_ref(), now)?;
    let row = ContainerRow {
        id,
        name: name.to_owned(),
        store_type: store_type(db, request.cert_store_type).await?,
        schedule: plan.schedule.clone(),
        overwrite_schedules: request.overwrite_schedules,
    };
    refuse_misfits(db, &row).await?;
    containers::update(db, &row).await.map_err(|error| taken(error, name))?;
    if let Some(schedule) = &plan.schedule {
        containers::schedule_stores(db, id, schedule, plan.next, row.overwrite_schedules).await?;
    }
    let message = match old.name == row.name {
        true => format!("changed container '{name}'"),
        false => format!("changed container '{}', now '{name}'", old.name),
    };
    let line = audit::Line::new(caller, audit::Operation::Updated, "Container", id, message);
    audit::record(db, &[line], now).await?;
    let schedule: Option<Schedule> = plan.schedule.and(request.schedule.clone());
    with_stores(db, row, schedule, now).await
}

/// A container can be narrowed to a type only when all of its stores are of it.
async fn refuse_misfits(db: &mut PgConnection, row: &ContainerRow) -> Result<(), Failure> {
    let others = match row.store_type {
        -1 => 0,
        store_type => containers::stores_of_other_types(db, row.id, store_type).await?,
    };
    match others {
        0 => Ok(()),
        others => Err(Error::InUse(format!(
            "CertStoreType: container '{}' holds {others} stores of other types; move them first",
            row.name
        ))
        .into()),
    }
}

/// Deletes a container that holds nothing.
pub(in crate::certificate_stores) async fn delete(
    db: &mut PgConnection,
    caller: &Principal,
    path: &str,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let row = by_path(db, path).await?;
    caller.require_for(permission::STORES_MODIFY, Some(row.id))?;
    containers::lock(db, row.id).await?;
    let usage = containers::usage(db, row.id).await?;
    if usage.stores + usage.servers > 0 {
        let (name, example) = (&row.name, usage.example.unwrap_or_default());
        let message = match usage.stores {
            0 => format!("container '{name}' is used by {} server entries; change them first", usage.servers),
            stores => format!(
                "container '{name}' holds {stores} certificate stores, such as {example}; move or delete them first"
            ),
        };
        return Err(Error::InUse(message).into());
    }
    containers::delete(db, row.id).await?;
    let message = format!("deleted container '{}'", row.name);
    let line = audit::Line::new(caller, audit::Operation::Deleted, "Container", row.id, message);
    audit::record(db, &[line], now).await?;
    Ok(())
}

fn taken(error: sqlx::Error, name: &str) -> Failure {
    match error.as_database_error().and_then(|error| error.constraint()) {
        Some("containers_name") => Error::Exists(format!("a container named '{name}'")).into(),
        _ => error.into(),
    }
}
