//! Statements about logins to the machines of stores.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::certificate_stores::server::{SealedLogin, ServerRow};

pub(in crate::certificate_stores) async fn insert(
    db: &mut PgConnection,
    row: &ServerRow,
    login: &SealedLogin,
    now: DateTime<Utc>,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        "-- name: insert_store_server
        INSERT INTO store_servers (server_type, name, use_ssl, container_id, sealed_username, sealed_password,
            sealed_under, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id",
        row.server_type,
        row.name,
        row.use_ssl,
        row.container_id,
        login.username,
        login.password,
        row.sealed_under,
        now,
    )
    .fetch_one(db)
    .await
}

pub(in crate::certificate_stores) async fn lock(
    db: &mut PgConnection,
    id: i64,
) -> Result<Option<ServerRow>, sqlx::Error> {
    sqlx::query_as!(
        ServerRow,
        "-- name: lock_store_server
        SELECT id, server_type, name, use_ssl, container_id, sealed_under FROM store_servers WHERE id = $1 FOR UPDATE",
        id,
    )
    .fetch_optional(db)
    .await
}

pub(in crate::certificate_stores) async fn update(
    db: &mut PgConnection,
    row: &ServerRow,
    login: &SealedLogin,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: update_store_server
        UPDATE store_servers SET name = $2, use_ssl = $3, container_id = $4, sealed_username = $5, sealed_password = $6
        WHERE id = $1",
        row.id,
        row.name,
        row.use_ssl,
        row.container_id,
        login.username,
        login.password,
    )
    .execute(db)
    .await?;
    Ok(())
}
