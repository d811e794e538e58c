//! Every SQL statement of the slice.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// A row of `authorities`, without its revocation list.
pub(super) struct AuthorityRow {
    pub(super) id: i64,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) certificate: Vec<u8>,
    pub(super) sealed_key: Option<Vec<u8>>,
}

/// A row of `templates`.
pub(super) struct TemplateRow {
    pub(super) id: i64,
    pub(super) short_name: String,
    pub(super) validity_days: i32,
    pub(super) key_algorithms: Vec<String>,
    pub(super) extended_key_usages: Vec<String>,
    pub(super) allowed_roles: Vec<String>,
    pub(super) allow_wildcards: bool,
}

/// A revoked certificate of an authority.
pub(super) struct RevokedRow {
    pub(super) serial: Vec<u8>,
    pub(super) revoked_at: DateTime<Utc>,
    pub(super) revoke_reason: i16,
}

/// A newest revocation list.
pub(super) struct ListRow {
    pub(super) crl: Option<Vec<u8>>,
    pub(super) crl_next_update: Option<DateTime<Utc>>,
}

pub(super) async fn lock_founding(db: &mut PgConnection, key: i64) -> sqlx::Result<()> {
    sqlx::query!("-- name: lock_founding\nSELECT pg_advisory_xact_lock($1)", key).execute(db).await?;
    Ok(())
}

pub(super) async fn authorities(db: &mut PgConnection) -> sqlx::Result<Vec<AuthorityRow>> {
    sqlx::query_as!(
        AuthorityRow,
        "-- name: authorities
        SELECT id, kind, name, certificate, sealed_key FROM authorities ORDER BY id"
    )
    .fetch_all(db)
    .await
}

/// Reserves ids: keys are sealed to their row, so its id must be known before it is written.
pub(super) async fn reserve_authority_ids(db: &mut PgConnection, count: i32) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"-- name: reserve_authority_ids
        SELECT nextval(pg_get_serial_sequence('authorities', 'id')) AS "id!" FROM generate_series(1, $1::integer)"#,
        count
    )
    .fetch_all(db)
    .await
}

/// Columns of new authorities, one element for each.
#[derive(Default)]
pub(super) struct NewAuthorities {
    pub(super) ids: Vec<i64>,
    pub(super) kinds: Vec<String>,
    pub(super) names: Vec<String>,
    pub(super) parents: Vec<Option<i64>>,
    pub(super) certificates: Vec<Vec<u8>>,
    pub(super) sealed_keys: Vec<Option<Vec<u8>>>,
}

pub(super) async fn insert_authorities(
    db: &mut PgConnection,
    new: &NewAuthorities,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "-- name: insert_authorities
        INSERT INTO authorities (id, kind, name, parent_id, certificate, sealed_key, created_at)
        OVERRIDING SYSTEM VALUE
        SELECT id, kind, name, parent_id, certificate, sealed_key, $7
        FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bytea[], $6::bytea[])
            AS new (id, kind, name, parent_id, certificate, sealed_key)",
        &new.ids,
        &new.kinds,
        &new.names,
        &new.parents as &[Option<i64>],
        &new.certificates,
        &new.sealed_keys as &[Option<Vec<u8>>],
        now
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn template_by_name(
    db: &mut PgConnection,
    short_name: &str,
) -> sqlx::Result<Option<TemplateRow>> {
    sqlx::query_as!(
        TemplateRow,
        "-- name: template_by_name
        SELECT id, short_name, validity_days, key_algorithms, extended_key_usages, allowed_roles, allow_wildcards
        FROM templates WHERE lower(short_name) = lower($1)",
        short_name
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn template_names(db: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("-- name: template_names\nSELECT short_name FROM templates ORDER BY id LIMIT 50")
        .fetch_all(db)
        .await
}

pub(super) async fn insert_serial(
    db: &mut PgConnection,
    authority_id: i64,
    certificate: &sealift_pki::Certificate,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "-- name: insert_serial
        INSERT INTO issued_serials (authority_id, serial, subject, issued_at, not_after) VALUES ($1, $2, $3, $4, $5)",
        authority_id,
        certificate.serial_number().as_bytes(),
        certificate.subject().to_string(),
        now,
        certificate.not_after()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Marks serial numbers as revoked; those that were before keep their time and reason. Answers how many changed.
pub(super) async fn revoke_serials(
    db: &mut PgConnection,
    authority_id: i64,
    serials: &[Vec<u8>],
    reason: i16,
    at: DateTime<Utc>,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "-- name: revoke_serials
        UPDATE issued_serials SET revoked_at = $4, revoke_reason = $3
        WHERE authority_id = $1 AND serial = ANY ($2) AND revoked_at IS NULL",
        authority_id,
        serials,
        reason,
        at
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

pub(super) async fn release_serials(
    db: &mut PgConnection,
    authority_id: i64,
    serials: &[Vec<u8>],
    hold: i16,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "-- name: release_serials
        UPDATE issued_serials SET revoked_at = NULL, revoke_reason = NULL
        WHERE authority_id = $1 AND serial = ANY ($2) AND revoke_reason = $3",
        authority_id,
        serials,
        hold
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Waits for a list that is being signed, which may or may not hold the revocation, and asks for the next one.
pub(super) async fn mark_list_stale(db: &mut PgConnection, authority_id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "-- name: mark_list_stale\nUPDATE authorities SET crl_stale = true WHERE id = $1",
        authority_id
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn newest_list(db: &mut PgConnection, authority_id: i64) -> sqlx::Result<Option<ListRow>> {
    sqlx::query_as!(
        ListRow,
        "-- name: newest_list
        SELECT crl, crl_next_update FROM authorities WHERE id = $1",
        authority_id
    )
    .fetch_optional(db)
    .await
}

/// Takes the right to sign the next list of an authority when one is due; answers the number of the list before.
/// Nothing when none is due, or when another server is signing it. Issuing goes on meanwhile.
pub(super) async fn take_due_list(
    db: &mut PgConnection,
    authority_id: i64,
    due_until: DateTime<Utc>,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "-- name: take_due_list
        SELECT crl_number FROM authorities
        WHERE id = $1 AND (crl IS NULL OR crl_stale OR crl_next_update <= $2)
        FOR NO KEY UPDATE SKIP LOCKED",
        authority_id,
        due_until
    )
    .fetch_optional(db)
    .await
}

/// As [`take_due_list`] when none was ever signed or the newest has run out, but waits for another server.
pub(super) async fn take_missing_list(
    db: &mut PgConnection,
    authority_id: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "-- name: take_missing_list
        SELECT crl_number FROM authorities
        WHERE id = $1 AND (crl IS NULL OR crl_next_update <= $2)
        FOR NO KEY UPDATE",
        authority_id,
        now
    )
    .fetch_optional(db)
    .await
}

/// Revoked certificates whose life is not over yet.
pub(super) async fn revoked(
    db: &mut PgConnection,
    authority_id: i64,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<RevokedRow>> {
    sqlx::query_as!(
        RevokedRow,
        r#"-- name: revoked
        SELECT serial, revoked_at AS "revoked_at!", revoke_reason AS "revoke_reason!"
        FROM issued_serials
        WHERE authority_id = $1 AND revoked_at IS NOT NULL AND not_after > $2
        ORDER BY revoked_at, serial LIMIT $3"#,
        authority_id,
        now,
        limit
    )
    .fetch_all(db)
    .await
}

/// A revocation list that was signed.
pub(super) struct SignedList<'a> {
    pub(super) authority_id: i64,
    pub(super) number: i64,
    pub(super) der: &'a [u8],
    pub(super) next_update: DateTime<Utc>,
}

/// Stores a list if the one before it is still the newest.
pub(super) async fn store_list(db: &mut PgConnection, list: &SignedList<'_>) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "-- name: store_list
        UPDATE authorities SET crl = $3, crl_number = $2::bigint, crl_next_update = $4, crl_stale = false
        WHERE id = $1 AND crl_number + 1 = $2::bigint",
        list.authority_id,
        list.number,
        list.der,
        list.next_update
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}
