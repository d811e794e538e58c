//! Statements that change or delete certificates on record.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// A certificate that is to be deleted, with one thing that keeps it from that.
pub(in crate::certificates) struct RemovableRow {
    pub(in crate::certificates) id: i64,
    pub(in crate::certificates) thumbprint: String,
    pub(in crate::certificates) has_key: bool,
    /// Machine and path of a store that holds it.
    pub(in crate::certificates) store: Option<String>,
    /// An unfinished job that is about it.
    pub(in crate::certificates) job: Option<String>,
}

/// Loads certificates with what uses them, and holds them until the transaction ends.
pub(in crate::certificates) async fn lock_removable(
    db: &mut PgConnection,
    ids: &[i64],
) -> sqlx::Result<Vec<RemovableRow>> {
    sqlx::query_as!(
        RemovableRow,
        r#"-- name: lock_removable
        SELECT c.id, c.thumbprint,
            EXISTS (SELECT 1 FROM certificate_keys k WHERE k.certificate_id = c.id) AS "has_key!",
            (SELECT s.client_machine || ' ' || s.store_path
             FROM store_entry_certificates p
             JOIN store_entries e ON e.id = p.entry_id
             JOIN certificate_stores s ON s.id = e.store_id
             WHERE p.certificate_id = c.id ORDER BY e.id LIMIT 1) AS store,
            j.job AS "job?"
        FROM certificates c
        LEFT JOIN (SELECT certificate_id, min(id::text) AS job FROM jobs WHERE certificate_id = ANY ($1)
                   GROUP BY certificate_id) j ON j.certificate_id = c.id
        WHERE c.id = ANY ($1)
        ORDER BY c.id FOR UPDATE OF c"#,
        ids
    )
    .fetch_all(db)
    .await
}

/// Deletes certificates with their keys.
pub(in crate::certificates) async fn delete_certificates(
    db: &mut PgConnection,
    ids: &[i64],
) -> sqlx::Result<()> {
    sqlx::query!("-- name: delete_certificates\nDELETE FROM certificates WHERE id = ANY ($1)", ids)
        .execute(db)
        .await?;
    Ok(())
}

/// Deletes the private keys of certificates.
pub(in crate::certificates) async fn delete_keys(db: &mut PgConnection, ids: &[i64]) -> sqlx::Result<()> {
    sqlx::query!("-- name: delete_keys\nDELETE FROM certificate_keys WHERE certificate_id = ANY ($1)", ids)
        .execute(db)
        .await?;
    Ok(())
}

/// A role by its id or, without one, by its name.
pub(in crate::certificates) async fn role(
    db: &mut PgConnection,
    id: Option<i64>,
    name: Option<&str>,
) -> sqlx::Result<Option<(i64, String)>> {
    let row = sqlx::query!(
        "-- name: role
        SELECT id, name FROM roles WHERE id = $1 OR $1::bigint IS NULL AND lower(name) = lower($2)",
        id,
        name
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.id, row.name)))
}

/// Sets the owner; false when there is no such certificate.
pub(in crate::certificates) async fn set_owner(
    db: &mut PgConnection,
    id: i64,
    role_id: i64,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "-- name: set_owner\nUPDATE certificates SET owner_role_id = $2 WHERE id = $1",
        id,
        role_id
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Changes metadata: `added` where nothing is there, `replaced` whatever is there, then `cleared` away. Answers the ids
/// of the certificates that there are.
pub(in crate::certificates) async fn change_metadata(
    db: &mut PgConnection,
    ids: &[i64],
    added: &serde_json::Value,
    replaced: &serde_json::Value,
    cleared: &[String],
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        "-- name: change_metadata
        UPDATE certificates SET metadata = (($2::jsonb || metadata) || $3::jsonb) - $4::text[]
        WHERE id IN (SELECT id FROM certificates WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE)
        RETURNING id",
        ids,
        added,
        replaced,
        cleared
    )
    .fetch_all(db)
    .await
}

/// The metadata of certificates, by id.
pub(in crate::certificates) async fn metadata_of(
    db: &mut PgConnection,
    ids: &[i64],
) -> sqlx::Result<Vec<(i64, serde_json::Value)>> {
    let rows =
        sqlx::query!("-- name: metadata_of\nSELECT id, metadata FROM certificates WHERE id = ANY ($1)", ids)
            .fetch_all(db)
            .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.metadata)).collect())
}

/// Collections that were not counted since a time, those never counted first.
pub(in crate::certificates) async fn uncounted(
    db: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<(i64, String)>> {
    let rows = sqlx::query!(
        "-- name: uncounted
        SELECT id, query FROM collections WHERE estimated_at IS NULL OR estimated_at < $1
        ORDER BY estimated_at NULLS FIRST, id LIMIT $2",
        before,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.query)).collect())
}

/// Keeps how many certificates a collection holds.
pub(in crate::certificates) async fn keep_count(
    db: &mut PgConnection,
    id: i64,
    count: i32,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "-- name: keep_count\nUPDATE collections SET estimated_count = $2, estimated_at = $3 WHERE id = $1",
        id,
        count,
        now
    )
    .execute(db)
    .await?;
    Ok(())
}
