//! Statements that change certificate stores.

use chrono::{DateTime, Utc};
use sealift_protocol::{AgentId, StoreId};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::uuids;
use crate::certificate_stores::store::{ApprovedStore, ChangedStore, HeldStore};

/// Stores as they stand, locked until the transaction ends; unknown ones are left out.
pub(in crate::certificate_stores) async fn lock(
    db: &mut PgConnection,
    ids: &[StoreId],
) -> Result<Vec<HeldStore>, sqlx::Error> {
    sqlx::query_as!(
        HeldStore,
        r#"-- name: lock_stores
        SELECT id AS "id: StoreId", agent_id AS "agent_id: AgentId", client_machine, store_path, store_type,
            container_id, approved, create_if_missing, properties, secret_properties, sealed_properties,
            sealed_password IS NOT NULL AS "has_password!", inventory_schedule, verification
        FROM certificate_stores WHERE id = ANY($1) ORDER BY id FOR UPDATE"#,
        &uuids(ids),
    )
    .fetch_all(db)
    .await
}

pub(in crate::certificate_stores) async fn update(
    db: &mut PgConnection,
    store: &ChangedStore,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: update_store
        UPDATE certificate_stores SET agent_id = $2, container_id = $3, create_if_missing = $4, properties = $5,
            secret_properties = $6, sealed_properties = $7,
            sealed_password = CASE WHEN $8 THEN $9 ELSE sealed_password END,
            inventory_schedule = $10, next_inventory_at = $11, verification = $12,
            inventory_job_id = CASE WHEN $10::jsonb IS NULL THEN NULL
                ELSE coalesce(inventory_job_id, gen_random_uuid()) END
        WHERE id = $1",
        store.id.uuid(),
        store.agent_id.uuid(),
        store.container_id,
        store.create_if_missing,
        store.properties,
        store.secret_properties,
        store.sealed_properties,
        store.password.is_some(),
        store.password.clone().flatten(),
        store.schedule,
        store.next_inventory_at,
        store.verification,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Inserts what a discovery found, not approved; known places are passed over. The number of new stores.
pub(in crate::certificate_stores) async fn insert_discovered(
    db: &mut PgConnection,
    agent: AgentId,
    client_machine: &str,
    store_type: i32,
    ids: &[StoreId],
    paths: &[String],
    now: DateTime<Utc>,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "-- name: insert_discovered
        INSERT INTO certificate_stores (id, agent_id, client_machine, store_path, store_type, approved,
            create_if_missing, properties, created_at)
        SELECT id, $2, $3, path, $4, false, false, '{}', $6 FROM unnest($1::uuid[], $5::text[]) AS found(id, path)
        WHERE EXISTS (SELECT 1 FROM store_types WHERE store_types.id = $4)
        ON CONFLICT (agent_id, lower(client_machine), store_path, store_type) DO NOTHING",
        &uuids(ids),
        agent.uuid(),
        client_machine,
        store_type,
        paths,
        now,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

pub(in crate::certificate_stores) async fn set_password(
    db: &mut PgConnection,
    id: StoreId,
    sealed: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: set_store_password\nUPDATE certificate_stores SET sealed_password = $2 WHERE id = $1",
        id.uuid(),
        sealed,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Approves stores, in one statement.
pub(in crate::certificate_stores) async fn approve(
    db: &mut PgConnection,
    stores: &[ApprovedStore],
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = stores.iter().map(|store| store.id.uuid()).collect();
    let containers: Vec<Option<i64>> = stores.iter().map(|store| store.container_id).collect();
    let plain: Vec<Value> = stores.iter().map(|store| store.properties.clone()).collect();
    let guids: Vec<Value> = stores.iter().map(|store| store.secret_properties.clone()).collect();
    let sealed: Vec<Option<Vec<u8>>> = stores.iter().map(|store| store.sealed_properties.clone()).collect();
    let passwords: Vec<Option<Vec<u8>>> = stores.iter().map(|store| store.sealed_password.clone()).collect();
    let schedules: Vec<Option<Value>> = stores.iter().map(|store| store.schedule.clone()).collect();
    let nexts: Vec<Option<DateTime<Utc>>> = stores.iter().map(|store| store.next_inventory_at).collect();
    sqlx::query!(
        "-- name: approve_stores
        UPDATE certificate_stores SET approved = true, container_id = a.container,
            properties = a.properties, secret_properties = a.guids, sealed_properties = a.sealed,
            sealed_password = coalesce(a.password, sealed_password),
            inventory_schedule = a.schedule, next_inventory_at = a.next,
            inventory_job_id = CASE WHEN a.schedule IS NULL THEN NULL
                ELSE coalesce(inventory_job_id, gen_random_uuid()) END
        FROM unnest($1::uuid[], $2::bigint[], $3::jsonb[], $4::jsonb[], $5::bytea[], $6::bytea[], $7::jsonb[],
            $8::timestamptz[]) AS a(store, container, properties, guids, sealed, password, schedule, next)
        WHERE id = a.store",
        &ids,
        &containers as &[Option<i64>],
        &plain,
        &guids,
        &sealed as &[Option<Vec<u8>>],
        &passwords as &[Option<Vec<u8>>],
        &schedules as &[Option<Value>],
        &nexts as &[Option<DateTime<Utc>>],
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes stores with what was read from them.
pub(in crate::certificate_stores) async fn delete(
    db: &mut PgConnection,
    ids: &[StoreId],
) -> Result<(), sqlx::Error> {
    sqlx::query!("-- name: delete_stores\nDELETE FROM certificate_stores WHERE id = ANY($1)", &uuids(ids))
        .execute(db)
        .await?;
    Ok(())
}
