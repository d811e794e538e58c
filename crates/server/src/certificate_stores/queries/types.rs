//! Statements about store types.

use serde_json::Value;
use sqlx::PgConnection;

use crate::certificate_stores::store_type::{Definition, NewType, TypeRow, Usage};

/// The type with this id or this short name.
async fn one(
    db: &mut PgConnection,
    id: Option<i32>,
    short_name: Option<&str>,
) -> Result<Option<TypeRow>, sqlx::Error> {
    sqlx::query_as!(
        TypeRow,
        "-- name: store_type
        SELECT id, short_name, name, capability, local_store, supports_add, supports_remove, supports_create,
            supports_discovery, supports_enrollment, private_key, custom_alias, entry_password, store_password,
            password_style, certificate_format, store_path_type, store_path_value, server_required, power_shell,
            blueprint_allowed, job_properties, properties, entry_parameters, inventory_job_type, management_job_type,
            discovery_job_type, enrollment_job_type
        FROM store_types WHERE id = $1 OR lower(short_name) = lower($2)",
        id,
        short_name,
    )
    .fetch_optional(db)
    .await
}

pub(in crate::certificate_stores) async fn store_type(
    db: &mut PgConnection,
    id: i32,
) -> Result<Option<TypeRow>, sqlx::Error> {
    one(db, Some(id), None).await
}

pub(in crate::certificate_stores) async fn store_type_by_name(
    db: &mut PgConnection,
    short_name: &str,
) -> Result<Option<TypeRow>, sqlx::Error> {
    one(db, None, Some(short_name)).await
}

/// The types with these ids, locked until the transaction ends.
pub(in crate::certificate_stores) async fn lock(
    db: &mut PgConnection,
    ids: &[i32],
) -> Result<Vec<TypeRow>, sqlx::Error> {
    sqlx::query_as!(
        TypeRow,
        "-- name: lock_store_types
        SELECT id, short_name, name, capability, local_store, supports_add, supports_remove, supports_create,
            supports_discovery, supports_enrollment, private_key, custom_alias, entry_password, store_password,
            password_style, certificate_format, store_path_type, store_path_value, server_required, power_shell,
            blueprint_allowed, job_properties, properties, entry_parameters, inventory_job_type, management_job_type,
            discovery_job_type, enrollment_job_type
        FROM store_types WHERE id = ANY($1) ORDER BY id FOR UPDATE",
        ids,
    )
    .fetch_all(db)
    .await
}

/// How much uses each of these types.
pub(in crate::certificate_stores) async fn usage(
    db: &mut PgConnection,
    ids: &[i32],
) -> Result<Vec<Usage>, sqlx::Error> {
    sqlx::query_as!(
        Usage,
        r#"-- name: store_type_usage
        SELECT t.id, (SELECT count(*) FROM certificate_stores s WHERE s.store_type = t.id) AS "stores!",
            (SELECT count(*) FROM containers c WHERE c.store_type = t.id AND c.store_type <> -1) AS "containers!",
            (SELECT count(*) FROM store_servers v WHERE v.server_type = t.id) AS "servers!"
        FROM store_types t WHERE t.id = ANY($1)"#,
        ids,
    )
    .fetch_all(db)
    .await
}

fn json(definitions: &[Definition]) -> Value {
    serde_json::to_value(definitions).unwrap_or_else(|_| Value::Array(Vec::new()))
}

/// The new type's id.
pub(in crate::certificate_stores) async fn insert(
    db: &mut PgConnection,
    new: &NewType,
) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(
        "-- name: insert_store_type
        INSERT INTO store_types (id, short_name, name, capability, local_store, supports_add, supports_remove,
            supports_create, supports_discovery, supports_enrollment, private_key, custom_alias, entry_password,
            store_password, password_style, certificate_format, store_path_type, store_path_value, server_required,
            power_shell, blueprint_allowed, job_properties, properties, entry_parameters, inventory_job_type,
            management_job_type, discovery_job_type, enrollment_job_type)
        VALUES (nextval('store_type_id'), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
            $18, $19, $20, $21, $22, $23, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid())
        RETURNING id",
        new.short_name,
        new.name,
        new.capability,
        new.local_store,
        new.operations.add,
        new.operations.remove,
        new.operations.create,
        new.operations.discovery,
        new.operations.enrollment,
        new.private_key,
        new.custom_alias,
        new.entry_password,
        new.store_password,
        new.password_style,
        new.certificate_format,
        new.store_path_type,
        new.store_path_value,
        new.server_required,
        new.power_shell,
        new.blueprint_allowed,
        &new.job_properties,
        json(&new.properties),
        json(&new.entry_parameters),
    )
    .fetch_one(db)
    .await
}

pub(in crate::certificate_stores) async fn update(
    db: &mut PgConnection,
    id: i32,
    new: &NewType,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: update_store_type
        UPDATE store_types SET short_name = $2, name = $3, capability = $4, local_store = $5, supports_add = $6,
            supports_remove = $7, supports_create = $8, supports_discovery = $9, supports_enrollment = $10,
            private_key = $11, custom_alias = $12, entry_password = $13, store_password = $14, password_style = $15,
            certificate_format = $16, store_path_type = $17, store_path_value = $18, server_required = $19,
            power_shell = $20, blueprint_allowed = $21, job_properties = $22, properties = $23, entry_parameters = $24
        WHERE id = $1",
        id,
        new.short_name,
        new.name,
        new.capability,
        new.local_store,
        new.operations.add,
        new.operations.remove,
        new.operations.create,
        new.operations.discovery,
        new.operations.enrollment,
        new.private_key,
        new.custom_alias,
        new.entry_password,
        new.store_password,
        new.password_style,
        new.certificate_format,
        new.store_path_type,
        new.store_path_value,
        new.server_required,
        new.power_shell,
        new.blueprint_allowed,
        &new.job_properties,
        json(&new.properties),
        json(&new.entry_parameters),
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(in crate::certificate_stores) async fn delete(
    db: &mut PgConnection,
    ids: &[i32],
) -> Result<(), sqlx::Error> {
    sqlx::query!("-- name: delete_store_types\nDELETE FROM store_types WHERE id = ANY($1)", ids)
        .execute(db)
        .await?;
    Ok(())
}
