//! Containers: named groups of stores, also known as applications (operator contract, chapter 6.7).

mod assignment;
mod change;

use chrono::{DateTime, Utc};
use sealift_protocol::operator::certificate_stores::{Container, ContainerDetails};
use serde_json::Value;
use sqlx::{FromRow, PgConnection};

use super::error::Error;
use super::{list, queries, schedule};
use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind};
use crate::http::list::ListQuery;
use crate::http::listing::{Column, Listing, Order};
use crate::http::problem::shortened;
use crate::security::{Principal, permission};
pub(super) use assignment::assign;
pub(super) use change::{create, delete, update};

pub(super) const FIELDS: &[Field] = &[
    Field { name: "Id", sql: "c.id", kind: Kind::Number },
    Field { name: "Name", sql: "c.name", kind: Kind::Text },
    Field { name: "CertStoreType", sql: "c.store_type", kind: Kind::Number },
    Field { name: "HasSchedule", sql: "(c.schedule IS NOT NULL)", kind: Kind::Flag },
    Field { name: "OverwriteSchedules", sql: "c.overwrite_schedules", kind: Kind::Flag },
];

/// A container as it stands.
#[derive(Debug, Clone, Default)]
pub(super) struct ContainerRow {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) store_type: i32,
    pub(super) schedule: Option<Value>,
    pub(super) overwrite_schedules: bool,
}

impl ContainerRow {
    /// Refuses stores of a type that the container is not for.
    pub(super) fn require_type(&self, store_type: i32, short_name: &str) -> Result<(), Error> {
        if self.store_type == -1 || self.store_type == store_type {
            return Ok(());
        }
        let (id, name, own) = (self.id, &self.name, self.store_type);
        Err(Error::Invalid(format!(
            "ContainerId: container {id} ('{name}') is for stores of type {own}, and this store is of type {short_name} ({store_type})"
        )))
    }
}

#[derive(FromRow)]
struct ListRow {
    id: i64,
    name: String,
    store_type: i32,
    schedule: Option<Value>,
    overwrite_schedules: bool,
    stores: i64,
}

/// One page of the containers that the caller may see, by name.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    query: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<Container>, i64), Failure> {
    let asker = Asker { name: caller.name(), now };
    let listing = Listing {
        name: "containers",
        columns: "c.id, c.name, c.store_type, c.schedule, c.overwrite_schedules,
            (SELECT count(*) FROM certificate_stores s WHERE s.container_id = c.id) AS stores",
        from: " FROM containers c WHERE true",
        fields: FIELDS,
        order: Order { by: Column { sql: "c.name", kind: Kind::Text }, descending: false },
        key: Column { sql: "c.id", kind: Kind::Number },
        narrow: list::visible(caller, "c.id"),
    };
    let (rows, total): (Vec<ListRow>, i64) = listing.page(db, query, &asker).await?;
    let containers = rows.into_iter().map(|row| Container {
        id: row.id,
        name: row.name,
        overwrite_schedules: row.overwrite_schedules,
        schedule: row.schedule.as_ref().and_then(schedule::text),
        cert_store_type: row.store_type,
        store_count: row.stores,
    });
    Ok((containers.collect(), total))
}

/// A container by the id in a path.
pub(super) async fn by_path(db: &mut PgConnection, path: &str) -> Result<ContainerRow, Failure> {
    let unknown = || Failure::not_found(format_args!("container '{}'", shortened(path)));
    let id = path.parse().map_err(|_| unknown())?;
    load(db, id).await?.ok_or_else(unknown)
}

/// A container by its id.
pub(super) async fn load(db: &mut PgConnection, id: i64) -> Result<Option<ContainerRow>, sqlx::Error> {
    queries::containers::load(db, id).await
}

/// A container with its stores, for a caller who may read it.
pub(super) async fn details(
    db: &mut PgConnection,
    caller: &Principal,
    path: &str,
    now: DateTime<Utc>,
) -> Result<ContainerDetails, Failure> {
    let row = by_path(db, path).await?;
    caller.require_for(permission::STORES_READ, Some(row.id))?;
    let schedule = row.schedule.as_ref().and_then(|schedule| schedule::shown(schedule, now));
    with_stores(db, row, schedule, now).await
}

async fn with_stores(
    db: &mut PgConnection,
    row: ContainerRow,
    schedule: Option<sealift_protocol::operator::schedule::Schedule>,
    now: DateTime<Utc>,
) -> Result<ContainerDetails, Failure> {
    Ok(ContainerDetails {
        certificate_stores: list::in_container(db, row.id, now).await?,
        id: row.id,
        name: row.name,
        overwrite_schedules: row.overwrite_schedules,
        schedule,
        cert_store_type: row.store_type,
    })
}
