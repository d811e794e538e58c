//! Statements of what is served.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sealift_protocol::StoreId;
use serde_json::Value;
use sqlx::PgConnection;

use super::uuids;
use crate::certificate_stores::served::{NewServed, ServedRow};
use crate::orchestrator_jobs::offered;

/// What stores say of verification, where they do.
pub(in crate::certificate_stores) async fn settings(
    db: &mut PgConnection,
    stores: &[StoreId],
) -> Result<HashMap<StoreId, Value>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"-- name: verification_of
        SELECT id AS "id: StoreId", verification AS "verification!" FROM certificate_stores
        WHERE id = ANY ($1) AND verification IS NOT NULL"#,
        &uuids(stores),
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.verification)).collect())
}

/// Keeps results, unless a newer attempt has told of the same target. The targets differ from each other.
pub(in crate::certificate_stores) async fn upsert(
    db: &mut PgConnection,
    found: &[NewServed],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let stores: Vec<StoreId> = found.iter().map(|served| served.store_id).collect();
    let text = |value: fn(&NewServed) -> String| found.iter().map(value).collect::<Vec<_>>();
    let optional = |value: fn(&NewServed) -> Option<String>| found.iter().map(value).collect::<Vec<_>>();
    sqlx::query!(
        "-- name: upsert_served
        INSERT INTO store_served (store_id, host, port, server_name, wanted, thumbprint, matches, protocol, reason,
            history_id, seen_at)
        SELECT s.store, s.host, s.port, s.server_name, s.wanted, s.thumbprint, s.matches, s.protocol, s.reason,
            s.history_id, $11
        FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::boolean[],
                $8::text[], $9::text[], $10::bigint[])
            AS s(store, host, port, server_name, wanted, thumbprint, matches, protocol, reason, history_id)
        JOIN certificate_stores ON certificate_stores.id = s.store
        ON CONFLICT (store_id, host, port, server_name) DO UPDATE SET
            wanted = coalesce(excluded.wanted, store_served.wanted), thumbprint = excluded.thumbprint,
            matches = excluded.matches, protocol = excluded.protocol, reason = excluded.reason,
            history_id = excluded.history_id, seen_at = excluded.seen_at
        WHERE store_served.history_id <= excluded.history_id",
        &uuids(&stores),
        &text(|served| served.result.target.host.clone()),
        &found.iter().map(|served| i32::from(served.result.target.port)).collect::<Vec<_>>(),
        &text(|served| offered(&served.result.target).to_owned()),
        &optional(|served| served.wanted.clone()) as &[Option<String>],
        &optional(|served| served.result.thumbprint.clone()) as &[Option<String>],
        &found.iter().map(|served| served.result.matches).collect::<Vec<_>>(),
        &optional(|served| served.result.protocol.clone()) as &[Option<String>],
        &optional(|served| served.result.reason.clone()) as &[Option<String>],
        &found.iter().map(|served| served.history_id).collect::<Vec<_>>(),
        now,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Deletes the oldest results of stores that have more than `limit`.
pub(in crate::certificate_stores) async fn trim(
    db: &mut PgConnection,
    stores: &[StoreId],
    limit: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: trim_served
        DELETE FROM store_served USING (
            SELECT store_id, host, port, server_name,
                row_number() OVER (PARTITION BY store_id ORDER BY history_id DESC, host, port, server_name) AS position
            FROM store_served WHERE store_id = ANY ($1)) AS known
        WHERE known.position > $2 AND store_served.store_id = known.store_id AND store_served.host = known.host
            AND store_served.port = known.port AND store_served.server_name = known.server_name",
        &uuids(stores),
        limit,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Deletes the results of targets that a store no longer names.
pub(in crate::certificate_stores) async fn keep_only(
    db: &mut PgConnection,
    store: StoreId,
    targets: &[(String, i32, String)],
) -> Result<(), sqlx::Error> {
    let hosts: Vec<String> = targets.iter().map(|target| target.0.clone()).collect();
    let ports: Vec<i32> = targets.iter().map(|target| target.1).collect();
    let names: Vec<String> = targets.iter().map(|target| target.2.clone()).collect();
    sqlx::query!(
        "-- name: keep_only_served
        DELETE FROM store_served WHERE store_id = $1 AND NOT EXISTS (
            SELECT 1 FROM unnest($2::text[], $3::integer[], $4::text[]) AS kept(host, port, name)
            WHERE kept.host = store_served.host AND kept.port = store_served.port
                AND kept.name = store_served.server_name)",
        store.uuid(),
        &hosts,
        &ports,
        &names,
    )
    .execute(db)
    .await
    .map(drop)
}

pub(in crate::certificate_stores) async fn of_store(
    db: &mut PgConnection,
    store: StoreId,
    limit: i64,
) -> Result<Vec<ServedRow>, sqlx::Error> {
    sqlx::query_as!(
        ServedRow,
        "-- name: served_of_store
        SELECT host, port, server_name, matches, thumbprint, protocol, reason, seen_at FROM store_served
        WHERE store_id = $1 ORDER BY matches, host, port, server_name LIMIT $2",
        store.uuid(),
        limit,
    )
    .fetch_all(db)
    .await
}
