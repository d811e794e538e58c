//! Every statement of this slice, but for the filtered lists where their fields stand.

pub(super) mod containers;
pub(super) mod served;
pub(super) mod servers;
pub(super) mod stores;
pub(super) mod types;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sealift_protocol::agent::jobs::KnownEntry;
use sealift_protocol::agent::leases::LeaseKey;
use sealift_protocol::{AgentId, JobId, StoreId};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::inventory::Entry;
use super::list::EntryRow;
use super::published::ListableJob;
use super::store::NewStore;
use super::target::StoreFacts;
use super::work::StoreRow;
pub(super) use types::{store_type, store_type_by_name};

fn uuids(stores: &[StoreId]) -> Vec<Uuid> {
    stores.iter().map(|store| store.uuid()).collect()
}

pub(super) async fn store_facts(
    db: &mut PgConnection,
    stores: &[StoreId],
) -> Result<Vec<StoreFacts>, sqlx::Error> {
    sqlx::query_as!(
        StoreFacts,
        r#"-- name: store_facts
        SELECT s.id AS "id: StoreId", s.agent_id AS "agent_id: AgentId", a.client_machine AS agent_machine,
            a.status AS agent_status, a.speaks_extensions,
            EXISTS (SELECT 1 FROM unnest(a.capabilities) AS known
                WHERE lower(known) = lower('CertStores.' || t.capability || '.Management')) AS "capable!",
            s.client_machine, s.store_path, s.container_id, s.approved, s.create_if_missing, s.store_type,
            t.short_name, t.capability, t.supports_add, t.supports_remove, t.supports_create,
            a.speaks_extensions AS can_plan, t.supports_enrollment, t.private_key, t.custom_alias, t.entry_password, t.entry_parameters
        FROM certificate_stores s
        JOIN store_types t ON t.id = s.store_type
        JOIN agents a ON a.id = s.agent_id
        WHERE s.id = ANY($1)"#,
        &uuids(stores),
    )
    .fetch_all(db)
    .await
}

pub(super) async fn store_rows(
    db: &mut PgConnection,
    stores: &[StoreId],
) -> Result<Vec<StoreRow>, sqlx::Error> {
    sqlx::query_as!(
        StoreRow,
        r#"-- name: store_rows
        SELECT s.id AS "id: StoreId", t.short_name, s.store_type, s.client_machine, s.store_path, s.properties,
            s.sealed_properties, t.properties AS definitions, s.sealed_password, s.inventory_version,
            v.sealed_under AS "login_under?", v.sealed_username AS "sealed_username?",
            v.sealed_password AS "sealed_login_password?", v.use_ssl AS "login_with_ssl?"
        FROM certificate_stores s JOIN store_types t ON t.id = s.store_type
        -- A login of another container's is not for this store.
        LEFT JOIN store_servers v ON t.server_required AND v.server_type = t.id
            AND lower(v.name) = lower(s.client_machine) AND v.container_id IS NOT DISTINCT FROM s.container_id
        WHERE s.id = ANY($1)"#,
        &uuids(stores),
    )
    .fetch_all(db)
    .await
}

/// Which of these aliases are taken, with the thumbprint of the certificate that has them.
pub(super) async fn taken_aliases(
    db: &mut PgConnection,
    aliases: &[(StoreId, String)],
) -> Result<HashMap<(StoreId, String), Option<String>>, sqlx::Error> {
    let stores: Vec<Uuid> = aliases.iter().map(|(store, _)| store.uuid()).collect();
    let names: Vec<String> = aliases.iter().map(|(_, alias)| alias.clone()).collect();
    let rows = sqlx::query!(
        r#"-- name: taken_aliases
        SELECT e.store_id AS "store_id: StoreId", wanted.alias AS "alias!", c.thumbprint AS "thumbprint?"
        FROM unnest($1::uuid[], $2::text[]) AS wanted(store, alias)
        JOIN store_entries e ON e.store_id = wanted.store AND lower(e.alias) = lower(wanted.alias)
        LEFT JOIN store_entry_certificates ec ON ec.entry_id = e.id AND ec.chain_level = 0
        LEFT JOIN certificates c ON c.id = ec.certificate_id"#,
        &stores,
        &names,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.store_id, row.alias), row.thumbprint)).collect())
}

/// What the last inventories said of entries, by store and alias as asked for.
pub(super) async fn known_parameters(
    db: &mut PgConnection,
    aliases: &[(StoreId, String)],
) -> Result<HashMap<(StoreId, String), Value>, sqlx::Error> {
    let stores: Vec<Uuid> = aliases.iter().map(|(store, _)| store.uuid()).collect();
    let names: Vec<String> = aliases.iter().map(|(_, alias)| alias.clone()).collect();
    let rows = sqlx::query!(
        r#"-- name: known_parameters
        SELECT e.store_id AS "store_id: StoreId", wanted.alias AS "alias!", e.parameters
        FROM unnest($1::uuid[], $2::text[]) AS wanted(store, alias)
        JOIN store_entries e ON e.store_id = wanted.store AND lower(e.alias) = lower(wanted.alias)"#,
        &stores,
        &names,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.store_id, row.alias), row.parameters)).collect())
}

/// False when there is a store at that place already.
pub(super) async fn insert_store(
    db: &mut PgConnection,
    store: &NewStore<'_>,
    inventory_job: JobId,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "-- name: insert_store
        INSERT INTO certificate_stores (id, agent_id, client_machine, store_path, store_type, container_id, approved,
            create_if_missing, properties, sealed_password, inventory_schedule, next_inventory_at, inventory_job_id,
            created_at, secret_properties, sealed_properties, verification)
        VALUES ($1, $2, $3, $4, $5, $6, true, $7, $8, $9, $10, $11,
            CASE WHEN $10::jsonb IS NULL THEN NULL ELSE $12::uuid END, $13, $14, $15, $16)
        ON CONFLICT (agent_id, lower(client_machine), store_path, store_type) DO NOTHING",
        store.id.uuid(),
        store.agent_id.uuid(),
        store.client_machine,
        store.store_path,
        store.store_type,
        store.container_id,
        store.create_if_missing,
        store.properties,
        store.sealed_password,
        store.schedule,
        store.next_inventory_at,
        inventory_job.uuid(),
        now,
        store.secret_properties,
        store.sealed_properties,
        store.verification,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn set_schedule(
    db: &mut PgConnection,
    stores: &[StoreId],
    schedule: Option<&Value>,
    next: Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: set_schedule
        UPDATE certificate_stores SET inventory_schedule = $2, next_inventory_at = $3,
            inventory_job_id = CASE WHEN $2::jsonb IS NULL THEN NULL
                ELSE coalesce(inventory_job_id, gen_random_uuid()) END
        WHERE id = ANY($1)",
        &uuids(stores),
        schedule,
        next,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Stores whose inventory is due and that have none waiting, locked.
pub(super) async fn lock_due_inventories(
    db: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(StoreId, Value)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"-- name: lock_due_inventories
        SELECT id AS "id: StoreId", inventory_schedule AS "schedule!" FROM certificate_stores
        WHERE next_inventory_at <= $1 AND approved
        ORDER BY next_inventory_at LIMIT $2 FOR UPDATE SKIP LOCKED"#,
        now,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.schedule)).collect())
}

/// A schedule that has no next time is over, and goes.
pub(super) async fn set_next_inventories(
    db: &mut PgConnection,
    stores: &[StoreId],
    nexts: &[Option<DateTime<Utc>>],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: set_next_inventories
        UPDATE certificate_stores SET next_inventory_at = due.next,
            inventory_schedule = CASE WHEN due.next IS NOT NULL THEN inventory_schedule END,
            inventory_job_id = CASE WHEN due.next IS NOT NULL THEN inventory_job_id END
        FROM unnest($1::uuid[], $2::timestamptz[]) AS due(store, next) WHERE id = due.store",
        &uuids(stores),
        nexts as &[Option<DateTime<Utc>>],
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The version of the inventory that the server holds, the store locked; the outer `None`: no such store.
pub(super) async fn lock_inventory_version(
    db: &mut PgConnection,
    store: StoreId,
) -> Result<Option<Option<String>>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- name: lock_inventory_version
        SELECT inventory_version FROM certificate_stores WHERE id = $1 FOR UPDATE",
        store.uuid(),
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn set_inventory_version(
    db: &mut PgConnection,
    store: StoreId,
    version: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: set_inventory_version
        UPDATE certificate_stores SET inventory_version = $2,
            inventoried_at = CASE WHEN $2::text IS NULL THEN inventoried_at ELSE $3 END
        WHERE id = $1",
        store.uuid(),
        version,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that a store was found unchanged; false when this is no live lease of its inventory, or the server holds
/// another version.
pub(super) async fn touch_unchanged(
    db: &mut PgConnection,
    agent: AgentId,
    lease: LeaseKey,
    version: &str,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "-- name: touch_unchanged
        UPDATE certificate_stores s SET inventoried_at = $5 FROM jobs j
        WHERE j.id = $1 AND j.lease_token = $2 AND j.agent_id = $3 AND j.state = 2 AND j.operation = 1
            AND s.id = j.store_id AND s.inventory_version = $4
            AND EXISTS (SELECT 1 FROM agents WHERE agents.id = $3 AND agents.status = 2)",
        lease.job_id.uuid(),
        lease.lease_token,
        agent.uuid(),
        version,
        now,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn delete_entries(
    db: &mut PgConnection,
    store: StoreId,
    aliases: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: delete_entries
        DELETE FROM store_entries WHERE store_id = $1 AND lower(alias) IN (SELECT lower(gone) FROM unnest($2::text[]) AS g(gone))",
        store.uuid(),
        aliases,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn delete_unseen(
    db: &mut PgConnection,
    store: StoreId,
    history_id: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: delete_unseen
        DELETE FROM store_entries WHERE store_id = $1 AND seen_in <> $2",
        store.uuid(),
        history_id,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Ids of the entries by their alias.
pub(super) async fn upsert_entries(
    db: &mut PgConnection,
    store: StoreId,
    history_id: i64,
    entries: &[Entry],
) -> Result<HashMap<String, i64>, sqlx::Error> {
    let aliases: Vec<String> = entries.iter().map(|entry| entry.alias.clone()).collect();
    let keys: Vec<bool> = entries.iter().map(|entry| entry.private_key_entry).collect();
    let parameters: Vec<Value> = entries.iter().map(|entry| entry.parameters.clone()).collect();
    let rows = sqlx::query!(
        r#"-- name: upsert_entries
        INSERT INTO store_entries (store_id, alias, private_key_entry, parameters, seen_in)
        SELECT $1, alias, key, parameters, $2
        FROM unnest($3::text[], $4::boolean[], $5::jsonb[]) AS e(alias, key, parameters)
        ON CONFLICT (store_id, lower(alias)) DO UPDATE SET alias = excluded.alias,
            private_key_entry = excluded.private_key_entry, parameters = excluded.parameters,
            seen_in = excluded.seen_in
        RETURNING id, alias"#,
        store.uuid(),
        history_id,
        &aliases,
        &keys,
        &parameters,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.alias, row.id)).collect())
}

pub(super) async fn replace_entry_certificates(
    db: &mut PgConnection,
    entries: &[i64],
    members: &[(i64, i16, i64)],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: delete_entry_certificates
        DELETE FROM store_entry_certificates WHERE entry_id = ANY($1)",
        entries,
    )
    .execute(&mut *db)
    .await?;
    let entry_ids: Vec<i64> = members.iter().map(|member| member.0).collect();
    let levels: Vec<i16> = members.iter().map(|member| member.1).collect();
    let certificates: Vec<i64> = members.iter().map(|member| member.2).collect();
    sqlx::query!(
        "-- name: insert_entry_certificates
        INSERT INTO store_entry_certificates (entry_id, chain_level, certificate_id)
        SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::bigint[])",
        &entry_ids,
        &levels,
        &certificates,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Marks entries as seen by this attempt.
pub(super) async fn keep_entries(
    db: &mut PgConnection,
    store: StoreId,
    history_id: i64,
    aliases: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: keep_entries
        UPDATE store_entries SET seen_in = $2
        WHERE store_id = $1 AND lower(alias) IN (SELECT lower(kept) FROM unnest($3::text[]) AS k(kept))",
        store.uuid(),
        history_id,
        aliases,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The entries of a store with their thumbprints, at most `limit`.
pub(super) async fn known_entries(
    db: &mut PgConnection,
    store: StoreId,
    limit: i64,
) -> Result<Vec<KnownEntry>, sqlx::Error> {
    sqlx::query_as!(
        KnownEntry,
        r#"-- name: known_entries
        SELECT e.alias, e.private_key_entry, ARRAY(
                SELECT c.thumbprint FROM store_entry_certificates ec JOIN certificates c ON c.id = ec.certificate_id
                WHERE ec.entry_id = e.id ORDER BY ec.chain_level) AS "thumbprints!"
        FROM store_entries e WHERE e.store_id = $1 ORDER BY e.id LIMIT $2"#,
        store.uuid(),
        limit,
    )
    .fetch_all(db)
    .await
}

/// Due jobs that an agent is capable of, on stores that are free, in the order of the queue.
pub(super) async fn listable_jobs(
    db: &mut PgConnection,
    agent: AgentId,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<ListableJob>, sqlx::Error> {
    sqlx::query_as!(
        ListableJob,
        r#"-- name: listable_jobs
        SELECT j.id AS "id: JobId", j.operation, t.inventory_job_type, t.management_job_type, t.enrollment_job_type,
            EXISTS (SELECT 1 FROM unnest(a.capabilities) AS known
                WHERE lower(known) = lower('CertStores.' || t.capability || '.Inventory')) AS "can_inventory!"
        FROM jobs j
        JOIN certificate_stores s ON s.id = j.store_id
        JOIN store_types t ON t.id = s.store_type
        JOIN agents a ON a.id = j.agent_id AND a.status = 2 AND a.drained_at IS NULL
        WHERE j.agent_id = $1 AND j.state = 1 AND j.run_at <= $2 AND j.operation IN (1, 2, 3, 4, 6)
            AND EXISTS (SELECT 1 FROM unnest(a.capabilities) AS known
                WHERE lower(known) = lower('CertStores.' || t.capability || CASE j.operation
                    WHEN 1 THEN '.Inventory' WHEN 6 THEN '.Reenrollment' ELSE '.Management' END))
            -- These agents would do what a dry run only asks about.
            AND j.details ->> 'DryRun' IS NULL
            AND NOT EXISTS (SELECT 1 FROM jobs other
                WHERE other.agent_id = $1 AND other.store_id = j.store_id AND other.state IN (2, 5))
        ORDER BY j.run_at, j.id LIMIT $3"#,
        agent.uuid(),
        now,
        limit,
    )
    .fetch_all(db)
    .await
}

pub(super) async fn entries(
    db: &mut PgConnection,
    store: StoreId,
    limit: i64,
    offset: i64,
) -> Result<Vec<EntryRow>, sqlx::Error> {
    sqlx::query_as!(
        EntryRow,
        r#"-- name: entries
        SELECT e.id, e.alias, e.parameters, c.id AS "certificate_id?", c.issued_dn AS "issued_dn?",
            c.serial_number AS "serial_number?", c.not_before AS "not_before?", c.not_after AS "not_after?",
            c.signing_algorithm AS "signing_algorithm?", c.issuer_dn AS "issuer_dn?", c.thumbprint AS "thumbprint?",
            c.state AS "state?"
        FROM (SELECT * FROM store_entries WHERE store_id = $1 ORDER BY lower(alias) LIMIT $2 OFFSET $3) AS e
        LEFT JOIN store_entry_certificates ec ON ec.entry_id = e.id
        LEFT JOIN certificates c ON c.id = ec.certificate_id
        ORDER BY lower(e.alias), ec.chain_level"#,
        store.uuid(),
        limit,
        offset,
    )
    .fetch_all(db)
    .await
}

pub(super) async fn count_entries(
    db: &mut PgConnection,
    store: StoreId,
    bound: i64,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- name: count_entries
        SELECT count(*) AS "count!" FROM (SELECT 1 FROM store_entries WHERE store_id = $1 LIMIT $2) AS bounded"#,
        store.uuid(),
        bound,
    )
    .fetch_one(db)
    .await
}
