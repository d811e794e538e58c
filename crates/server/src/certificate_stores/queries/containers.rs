//! Statements about containers.

use chrono::{DateTime, Utc};
use sealift_protocol::StoreId;
use serde_json::Value;
use sqlx::PgConnection;

use super::uuids;
use crate::certificate_stores::container::ContainerRow;

/// What uses a container.
#[derive(Debug)]
pub(in crate::certificate_stores) struct Usage {
    pub(in crate::certificate_stores) stores: i64,
    pub(in crate::certificate_stores) servers: i64,
    /// One of the stores.
    pub(in crate::certificate_stores) example: Option<String>,
}

pub(in crate::certificate_stores) async fn load(
    db: &mut PgConnection,
    id: i64,
) -> Result<Option<ContainerRow>, sqlx::Error> {
    sqlx::query_as!(
        ContainerRow,
        "-- name: container
        SELECT id, name, store_type, schedule, overwrite_schedules FROM containers WHERE id = $1",
        id,
    )
    .fetch_optional(db)
    .await
}

/// Keeps stores from being put into it until the transaction ends.
pub(in crate::certificate_stores) async fn lock(db: &mut PgConnection, id: i64) -> Result<(), sqlx::Error> {
    sqlx::query!("-- name: lock_container\nSELECT id FROM containers WHERE id = $1 FOR UPDATE", id)
        .fetch_optional(db)
        .await?;
    Ok(())
}

/// The new container's id; `None` when the name is taken.
pub(in crate::certificate_stores) async fn insert(
    db: &mut PgConnection,
    row: &ContainerRow,
    now: DateTime<Utc>,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- name: insert_container
        INSERT INTO containers (name, store_type, schedule, overwrite_schedules, created_at)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (lower(name)) DO NOTHING RETURNING id",
        row.name,
        row.store_type,
        row.schedule,
        row.overwrite_schedules,
        now,
    )
    .fetch_optional(db)
    .await
}

pub(in crate::certificate_stores) async fn update(
    db: &mut PgConnection,
    row: &ContainerRow,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: update_container
        UPDATE containers SET name = $2, store_type = $3, schedule = $4, overwrite_schedules = $5 WHERE id = $1",
        row.id,
        row.name,
        row.store_type,
        row.schedule,
        row.overwrite_schedules,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(in crate::certificate_stores) async fn delete(db: &mut PgConnection, id: i64) -> Result<(), sqlx::Error> {
    sqlx::query!("-- name: delete_container\nDELETE FROM containers WHERE id = $1", id).execute(db).await?;
    Ok(())
}

pub(in crate::certificate_stores) async fn usage(
    db: &mut PgConnection,
    id: i64,
) -> Result<Usage, sqlx::Error> {
    sqlx::query_as!(
        Usage,
        r#"-- name: container_usage
        SELECT (SELECT count(*) FROM certificate_stores WHERE container_id = $1) AS "stores!",
            (SELECT count(*) FROM store_servers WHERE container_id = $1) AS "servers!",
            (SELECT client_machine || ' - ' || store_path FROM certificate_stores
                WHERE container_id = $1 ORDER BY id LIMIT 1) AS example"#,
        id,
    )
    .fetch_one(db)
    .await
}

pub(in crate::certificate_stores) async fn stores_of_other_types(
    db: &mut PgConnection,
    id: i64,
    store_type: i32,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- name: stores_of_other_types
        SELECT count(*) AS "count!" FROM certificate_stores WHERE container_id = $1 AND store_type <> $2"#,
        id,
        store_type,
    )
    .fetch_one(db)
    .await
}

pub(in crate::certificate_stores) async fn assign(
    db: &mut PgConnection,
    stores: &[StoreId],
    container: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: assign_container\nUPDATE certificate_stores SET container_id = $2 WHERE id = ANY($1)",
        &uuids(stores),
        container,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Gives the container's schedule to its stores: to all of them, or to those without one.
pub(in crate::certificate_stores) async fn schedule_stores(
    db: &mut PgConnection,
    container: i64,
    schedule: &Value,
    next: Option<DateTime<Utc>>,
    all: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: schedule_stores_of_container
        UPDATE certificate_stores SET inventory_schedule = $2, next_inventory_at = $3,
            inventory_job_id = coalesce(inventory_job_id, gen_random_uuid())
        WHERE container_id = $1 AND (inventory_schedule IS NULL OR $4 AND inventory_schedule <> $2)",
        container,
        schedule,
        next,
        all,
    )
    .execute(db)
    .await?;
    Ok(())
}
