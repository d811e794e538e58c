//! Every SQL statement of the slice: users and tokens here, the rest in files of their own.

pub(super) mod audit;
pub(super) mod claims;
pub(super) mod permission_sets;
pub(super) mod roles;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind};
use crate::http::list::ListQuery;
use crate::http::listing::{Column, Listing, Order};

/// Held by every transaction that changes users, roles or tokens, which are few.
const LOCK: i64 = 0x5ea1_1f70_0001;

/// A user, to log in.
pub(super) struct LogIn {
    pub(super) name: String,
    pub(super) password_hash: String,
    pub(super) enabled: bool,
    pub(super) roles: Vec<String>,
    pub(super) permissions: Vec<String>,
}

/// An API token, to be admitted.
pub(super) struct Admission {
    pub(super) name: String,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) roles: Vec<String>,
    pub(super) permissions: Vec<String>,
}

/// A user, as listed.
#[derive(Debug, Clone, FromRow)]
pub(super) struct UserRow {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) roles: Vec<String>,
}

/// An API token, as listed.
#[derive(Debug, Clone, FromRow)]
pub(super) struct TokenRow {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) roles: Vec<String>,
    pub(super) expires_at: DateTime<Utc>,
}

/// What a user or a token can do, before it is taken away.
pub(super) struct Holder {
    pub(super) name: String,
    pub(super) permissions: Vec<String>,
}

/// An API token to be stored.
pub(super) struct NewToken<'a> {
    pub(super) name: &'a str,
    pub(super) hash: &'a [u8],
    pub(super) created_by: &'a str,
    pub(super) expires_at: DateTime<Utc>,
}

pub(super) async fn lock(db: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query_scalar!("-- name: lock\nSELECT pg_advisory_xact_lock($1)", LOCK).fetch_one(db).await.map(drop)
}

pub(super) async fn ping(db: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query_scalar!("-- name: ping\nSELECT 1").fetch_one(db).await.map(drop)
}

pub(super) async fn load_user(db: &mut PgConnection, name: &str) -> Result<Option<LogIn>, sqlx::Error> {
    sqlx::query_as!(
        LogIn,
        r#"-- name: load_user
        SELECT u.name, u.password_hash, u.enabled,
            ARRAY(SELECT r.name FROM role_claims rc JOIN roles r ON r.id = rc.role_id
                  WHERE rc.claim_id = u.claim_id AND r.enabled ORDER BY r.name) AS "roles!",
            ARRAY(SELECT DISTINCT granted FROM role_claims rc JOIN roles r ON r.id = rc.role_id
                  CROSS JOIN unnest(r.permissions) AS granted
                  WHERE rc.claim_id = u.claim_id AND r.enabled) AS "permissions!"
        FROM users u WHERE lower(u.name) = lower($1)"#,
        name
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn load_token(
    db: &mut PgConnection,
    hash: &[u8],
    now: DateTime<Utc>,
) -> Result<Option<Admission>, sqlx::Error> {
    sqlx::query_as!(
        Admission,
        r#"-- name: load_token
        SELECT t.name, t.expires_at,
            ARRAY(SELECT r.name FROM api_token_roles tr JOIN roles r ON r.id = tr.role_id
                  WHERE tr.token_id = t.id AND r.enabled ORDER BY r.name) AS "roles!",
            ARRAY(SELECT DISTINCT granted FROM api_token_roles tr JOIN roles r ON r.id = tr.role_id
                  CROSS JOIN unnest(r.permissions) AS granted WHERE tr.token_id = t.id AND r.enabled) AS "permissions!"
        FROM api_tokens t WHERE t.token_hash = $1 AND t.revoked_at IS NULL AND t.expires_at > $2"#,
        hash,
        now
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn any_user(db: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- name: any_user
        SELECT EXISTS (SELECT 1 FROM users) AS "any!""#
    )
    .fetch_one(db)
    .await
}

/// Who has a name: `user`, `token` (a living one), `provider` (callers of an identity provider are named so), or
/// nobody.
pub(super) async fn name_taken_by(
    db: &mut PgConnection,
    name: &str,
    now: DateTime<Utc>,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- name: name_taken_by
        SELECT CASE
            WHEN EXISTS (SELECT 1 FROM users WHERE lower(name) = lower($1)) THEN 'user'
            WHEN EXISTS (SELECT 1 FROM api_tokens
                         WHERE lower(name) = lower($1) AND revoked_at IS NULL AND expires_at > $2) THEN 'token'
            WHEN EXISTS (SELECT 1 FROM identity_providers
                         WHERE kind = 1 AND starts_with(lower($1), lower(scheme) || chr(92))) THEN 'provider'
        END"#,
        name,
        now
    )
    .fetch_one(db)
    .await
}

pub(super) async fn insert_user(
    db: &mut PgConnection,
    name: &str,
    claim_id: i64,
    password_hash: &str,
    now: DateTime<Utc>,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        "-- name: insert_user
        INSERT INTO users (name, claim_id, password_hash, created_at) VALUES ($1, $2, $3, $4) RETURNING id",
        name,
        claim_id,
        password_hash,
        now
    )
    .fetch_one(db)
    .await
}

pub(super) async fn user_holding(db: &mut PgConnection, id: i64) -> Result<Option<Holder>, sqlx::Error> {
    sqlx::query_as!(
        Holder,
        r#"-- name: user_holding
        SELECT u.name, ARRAY(SELECT DISTINCT granted FROM role_claims rc JOIN roles r ON r.id = rc.role_id
            CROSS JOIN unnest(r.permissions) AS granted WHERE rc.claim_id = u.claim_id) AS "permissions!"
        FROM users u WHERE u.id = $1"#,
        id
    )
    .fetch_optional(db)
    .await
}

/// Whether some user that can log in has every permission.
pub(super) async fn any_administrator(db: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- name: any_administrator
        SELECT EXISTS (SELECT 1 FROM users u JOIN role_claims rc ON rc.claim_id = u.claim_id
            JOIN roles r ON r.id = rc.role_id
            WHERE u.enabled AND r.enabled AND '/' = ANY (r.permissions)) AS "any!""#
    )
    .fetch_one(db)
    .await
}

/// Deletes a user, and the claim that it made with the roles given to it.
pub(super) async fn delete_user(db: &mut PgConnection, id: i64) -> Result<(), sqlx::Error> {
    let claim =
        sqlx::query_scalar!("-- name: delete_user\nDELETE FROM users WHERE id = $1 RETURNING claim_id", id)
            .fetch_optional(&mut *db)
            .await?;
    match claim {
        Some(claim) => claims::delete_claim(db, claim).await,
        None => Ok(()),
    }
}

pub(super) async fn insert_token(
    db: &mut PgConnection,
    token: &NewToken<'_>,
    roles: &[i64],
    now: DateTime<Utc>,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- name: insert_token
        WITH made AS (
            INSERT INTO api_tokens (name, token_hash, created_by, created_at, expires_at)
            VALUES ($1, $2, $3, $4, $5) RETURNING id
        ), given AS (
            INSERT INTO api_token_roles (token_id, role_id)
            SELECT made.id, role_id FROM made, unnest($6::bigint[]) AS role_id
        )
        SELECT id AS "id!" FROM made"#,
        token.name,
        token.hash,
        token.created_by,
        now,
        token.expires_at,
        roles
    )
    .fetch_one(db)
    .await
}

pub(super) async fn token_holding(db: &mut PgConnection, id: i64) -> Result<Option<Holder>, sqlx::Error> {
    sqlx::query_as!(
        Holder,
        r#"-- name: token_holding
        SELECT t.name, ARRAY(SELECT DISTINCT granted FROM api_token_roles tr JOIN roles r ON r.id = tr.role_id
            CROSS JOIN unnest(r.permissions) AS granted WHERE tr.token_id = t.id) AS "permissions!"
        FROM api_tokens t WHERE t.id = $1 AND t.revoked_at IS NULL"#,
        id
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn revoke_token(
    db: &mut PgConnection,
    id: i64,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: revoke_token
        WITH taken AS (DELETE FROM api_token_roles WHERE token_id = $1)
        UPDATE api_tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL",
        id,
        now
    )
    .execute(db)
    .await
    .map(drop)
}

/// Takes the roles of tokens that have expired, so that they do not keep roles from being deleted.
pub(super) async fn retire_tokens(db: &mut PgConnection, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "-- name: retire_tokens
        DELETE FROM api_token_roles tr USING api_tokens t WHERE t.id = tr.token_id AND t.expires_at <= $1",
        now
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

pub(super) const USER_FIELDS: &[Field] = &[
    Field { name: "Id", sql: "id", kind: Kind::Number },
    Field { name: "Name", sql: "name", kind: Kind::Text },
];

pub(super) const TOKEN_FIELDS: &[Field] = &[
    Field { name: "Id", sql: "id", kind: Kind::Number },
    Field { name: "Name", sql: "name", kind: Kind::Text },
    Field { name: "Expires", sql: "expires_at", kind: Kind::Time },
];

/// One page of users, and how many match.
pub(super) async fn list_users(
    db: &mut PgConnection,
    list: &ListQuery,
    asker: &Asker<'_>,
) -> Result<(Vec<UserRow>, i64), Failure> {
    let columns = "id, name, ARRAY(SELECT r.name FROM role_claims rc JOIN roles r ON r.id = rc.role_id
        WHERE rc.claim_id = users.claim_id ORDER BY r.name) AS roles";
    listing("list_users", columns, " FROM users WHERE true", USER_FIELDS, number("id"))
        .page(db, list, asker)
        .await
}

/// One page of API tokens that were not revoked, and how many match.
pub(super) async fn list_tokens(
    db: &mut PgConnection,
    list: &ListQuery,
    asker: &Asker<'_>,
) -> Result<(Vec<TokenRow>, i64), Failure> {
    let columns = "id, name, expires_at, ARRAY(SELECT r.name FROM api_token_roles tr
        JOIN roles r ON r.id = tr.role_id WHERE tr.token_id = api_tokens.id ORDER BY r.name) AS roles";
    let from = " FROM api_tokens WHERE revoked_at IS NULL";
    listing("list_tokens", columns, from, TOKEN_FIELDS, number("id")).page(db, list, asker).await
}

/// A list, by its key.
fn listing<'a>(
    name: &'static str,
    columns: &'a str,
    from: &'a str,
    fields: &'a [Field],
    key: Column<'a>,
) -> Listing<'a> {
    Listing {
        name,
        columns,
        from,
        fields,
        order: Order { by: key, descending: false },
        key,
        narrow: Vec::new(),
    }
}

/// A key that is a number.
const fn number(sql: &str) -> Column<'_> {
    Column { sql, kind: Kind::Number }
}
