//! Every SQL statement of the slice.

use chrono::{DateTime, Utc};
use sealift_protocol::AgentId;
use serde_json::Value;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind};
use crate::http::list::ListQuery;
use crate::http::listing::{Column, Listing, Order};

pub(super) const FIELDS: &[Field] = &[
    Field { name: "Name", sql: "name", kind: Kind::Text },
    Field { name: "AgentBlueprintId", sql: "id", kind: Kind::Guid },
    Field { name: "LastModified", sql: "modified_at", kind: Kind::Time },
];

/// A blueprint.
#[derive(Debug, FromRow)]
pub(super) struct BlueprintRow {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) required_capabilities: Vec<String>,
    pub(super) modified_at: DateTime<Utc>,
}

/// A store of a blueprint.
#[derive(Debug)]
pub(super) struct BlueprintStoreRow {
    pub(super) id: Uuid,
    pub(super) store_path: String,
    pub(super) store_type: i32,
    pub(super) type_name: Option<String>,
    pub(super) short_name: Option<String>,
    pub(super) container_id: Option<i64>,
    pub(super) create_if_missing: bool,
    pub(super) properties: Value,
    pub(super) inventory_job_id: Uuid,
    pub(super) inventory_schedule: Option<Value>,
}

/// A store of an agent, as a blueprint takes it over.
#[derive(Debug)]
pub(super) struct CopiedStoreRow {
    pub(super) store_path: String,
    pub(super) store_type: i32,
    pub(super) container_id: Option<i64>,
    pub(super) create_if_missing: bool,
    pub(super) properties: Value,
    pub(super) inventory_schedule: Option<Value>,
    pub(super) capability: String,
}

/// Where an agent has a store.
#[derive(Debug)]
pub(super) struct PresentRow {
    pub(super) agent_id: AgentId,
    pub(super) client_machine: String,
    pub(super) store_path: String,
    pub(super) store_type: i32,
}

/// One page of blueprints, and how many match.
pub(super) async fn list(
    db: &mut PgConnection,
    list: &ListQuery,
    asker: &Asker<'_>,
) -> Result<(Vec<BlueprintRow>, i64), Failure> {
    let listing = Listing {
        name: "blueprints",
        columns: "id, name, required_capabilities, modified_at",
        from: " FROM blueprints WHERE true",
        fields: FIELDS,
        order: Order { by: Column { sql: "name", kind: Kind::Text }, descending: false },
        key: Column { sql: "id", kind: Kind::Guid },
        narrow: Vec::new(),
    };
    listing.page(db, list, asker).await
}

pub(super) async fn blueprint(db: &mut PgConnection, id: Uuid) -> Result<Option<BlueprintRow>, sqlx::Error> {
    sqlx::query_as!(
        BlueprintRow,
        "-- name: blueprint\nSELECT id, name, required_capabilities, modified_at FROM blueprints WHERE id = $1",
        id
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn stores(
    db: &mut PgConnection,
    blueprint: Uuid,
) -> Result<Vec<BlueprintStoreRow>, sqlx::Error> {
    sqlx::query_as!(
        BlueprintStoreRow,
        r#"-- name: blueprint_stores
        SELECT s.id, s.store_path, s.store_type, t.name AS "type_name?", t.short_name AS "short_name?", s.container_id,
            s.create_if_missing, s.properties, s.inventory_job_id, s.inventory_schedule
        FROM blueprint_stores s LEFT JOIN store_types t ON t.id = s.store_type
        WHERE s.blueprint_id = $1 ORDER BY s.store_path, s.id"#,
        blueprint
    )
    .fetch_all(db)
    .await
}

/// The approved stores of an agent that hold no secret.
pub(super) async fn copied_stores(
    db: &mut PgConnection,
    agent: AgentId,
    limit: i64,
) -> Result<Vec<CopiedStoreRow>, sqlx::Error> {
    sqlx::query_as!(
        CopiedStoreRow,
        "-- name: copied_stores
        SELECT s.store_path, s.store_type, s.container_id, s.create_if_missing, s.properties, s.inventory_schedule,
            t.capability
        FROM certificate_stores s JOIN store_types t ON t.id = s.store_type
        WHERE s.agent_id = $1 AND s.approved AND s.sealed_password IS NULL AND s.sealed_properties IS NULL
        ORDER BY s.id LIMIT $2",
        agent.uuid(),
        limit
    )
    .fetch_all(db)
    .await
}

pub(super) async fn present(
    db: &mut PgConnection,
    agents: &[AgentId],
) -> Result<Vec<PresentRow>, sqlx::Error> {
    let agents: Vec<Uuid> = agents.iter().map(|agent| agent.uuid()).collect();
    sqlx::query_as!(
        PresentRow,
        r#"-- name: present
        SELECT agent_id AS "agent_id: AgentId", client_machine, store_path, store_type FROM certificate_stores
        WHERE agent_id = ANY ($1)"#,
        &agents
    )
    .fetch_all(db)
    .await
}

/// Whether the name was free.
pub(super) async fn insert(db: &mut PgConnection, row: &BlueprintRow) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "-- name: insert_blueprint
        INSERT INTO blueprints (id, name, required_capabilities, modified_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (lower(name)) DO NOTHING",
        row.id,
        row.name,
        &row.required_capabilities,
        row.modified_at
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn insert_stores(
    db: &mut PgConnection,
    blueprint: Uuid,
    stores: &[CopiedStoreRow],
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = stores.iter().map(|_| Uuid::now_v7()).collect();
    let jobs: Vec<Uuid> = stores.iter().map(|_| Uuid::now_v7()).collect();
    let paths: Vec<String> = stores.iter().map(|store| store.store_path.clone()).collect();
    let types: Vec<i32> = stores.iter().map(|store| store.store_type).collect();
    let containers: Vec<Option<i64>> = stores.iter().map(|store| store.container_id).collect();
    let create: Vec<bool> = stores.iter().map(|store| store.create_if_missing).collect();
    let properties: Vec<Value> = stores.iter().map(|store| store.properties.clone()).collect();
    let schedules: Vec<Option<Value>> = stores.iter().map(|store| store.inventory_schedule.clone()).collect();
    sqlx::query!(
        "-- name: insert_blueprint_stores
        INSERT INTO blueprint_stores (id, blueprint_id, store_path, store_type, container_id, create_if_missing,
            properties, inventory_job_id, inventory_schedule)
        SELECT id, $9, store_path, store_type, container_id, create_if_missing, properties, job_id, schedule
        FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::bigint[], $5::boolean[], $6::jsonb[], $7::uuid[],
            $8::jsonb[])
            AS s(id, store_path, store_type, container_id, create_if_missing, properties, job_id, schedule)",
        &ids,
        &paths,
        &types,
        &containers as &[Option<i64>],
        &create,
        &properties,
        &jobs,
        &schedules as &[Option<Value>],
        blueprint
    )
    .execute(db)
    .await
    .map(drop)
}

pub(super) async fn delete(db: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("-- name: delete_blueprint\nDELETE FROM blueprints WHERE id = $1", id)
        .execute(db)
        .await
        .map(drop)
}
