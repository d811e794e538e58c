//! Statements about claims, the identities among them, and the providers that make them.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};
use uuid::{Uuid, uuid};

use super::{listing, number};
use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind};
use crate::http::list::ListQuery;

/// The provider of this server's own users, as the migration makes it.
pub(in crate::security) const LOCAL: Uuid = uuid!("5ea11f70-0000-4000-8000-000000000002");

/// A provider.
#[derive(Debug, Clone)]
pub(in crate::security) struct ProviderRow {
    pub(in crate::security) id: Uuid,
    pub(in crate::security) scheme: String,
    pub(in crate::security) display_name: String,
    pub(in crate::security) issuer: Option<String>,
}

/// A claim with its provider.
#[derive(Debug, Clone, FromRow)]
pub(in crate::security) struct ClaimRow {
    pub(in crate::security) id: i64,
    pub(in crate::security) description: String,
    pub(in crate::security) claim_type: i16,
    pub(in crate::security) claim_value: String,
    pub(in crate::security) provider_id: Uuid,
    pub(in crate::security) scheme: String,
    pub(in crate::security) display_name: String,
}

/// A claim that has a role.
pub(in crate::security) struct MemberRow {
    pub(in crate::security) role_id: i64,
    pub(in crate::security) id: i64,
    pub(in crate::security) description: String,
    pub(in crate::security) claim_type: i16,
    pub(in crate::security) claim_value: String,
    pub(in crate::security) provider_id: Uuid,
    pub(in crate::security) scheme: String,
    pub(in crate::security) display_name: String,
}

/// A role that a claim has.
#[derive(Debug, Clone)]
pub(in crate::security) struct HeldRole {
    pub(in crate::security) claim_id: i64,
    pub(in crate::security) id: i64,
    pub(in crate::security) name: String,
    pub(in crate::security) description: String,
    pub(in crate::security) enabled: bool,
    pub(in crate::security) permission_set_id: Uuid,
    pub(in crate::security) permissions: Vec<String>,
}

/// What the claims of a caller lead to.
pub(in crate::security) struct Standing {
    pub(in crate::security) roles: Vec<String>,
    pub(in crate::security) permissions: Vec<String>,
}

/// Claims to be found or made.
#[derive(Debug, Default)]
pub(in crate::security) struct Wanted {
    pub(in crate::security) providers: Vec<Uuid>,
    pub(in crate::security) types: Vec<i16>,
    pub(in crate::security) values: Vec<String>,
    pub(in crate::security) descriptions: Vec<String>,
}

/// An identity, as listed.
#[derive(Debug, Clone, FromRow)]
pub(in crate::security) struct IdentityRow {
    pub(in crate::security) id: i64,
    pub(in crate::security) name: String,
    pub(in crate::security) logs_in: bool,
}

pub(in crate::security) const CLAIM_FIELDS: &[Field] = &[
    Field { name: "Id", sql: "c.id", kind: Kind::Number },
    Field {
        name: "ClaimType",
        sql: "(ARRAY['User', 'Group', 'Computer', 'OAuthOid', 'OAuthRole', 'OAuthSubject', 'OAuthClientId'])[c.claim_type + 1]",
        kind: Kind::Text,
    },
    Field { name: "ClaimValue", sql: "c.claim_value", kind: Kind::Text },
    Field { name: "Description", sql: "c.description", kind: Kind::Text },
    Field { name: "ProviderAuthenticationScheme", sql: "p.scheme", kind: Kind::Text },
];

pub(in crate::security) const IDENTITY_FIELDS: &[Field] = &[
    Field { name: "Id", sql: "c.id", kind: Kind::Number },
    Field { name: "AccountName", sql: "c.claim_value", kind: Kind::Text },
    Field { name: "Name", sql: "c.claim_value", kind: Kind::Text },
];

pub(in crate::security) async fn providers(db: &mut PgConnection) -> Result<Vec<ProviderRow>, sqlx::Error> {
    sqlx::query_as!(
        ProviderRow,
        "-- name: providers
        SELECT id, scheme, display_name, issuer FROM identity_providers ORDER BY kind, scheme"
    )
    .fetch_all(db)
    .await
}

pub(in crate::security) async fn insert_provider(
    db: &mut PgConnection,
    provider: &ProviderRow,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: insert_provider
        INSERT INTO identity_providers (id, scheme, display_name, kind, issuer) VALUES ($1, $2, $3, 1, $4)",
        provider.id,
        provider.scheme,
        provider.display_name,
        provider.issuer
    )
    .execute(db)
    .await
    .map(drop)
}

pub(in crate::security) async fn update_provider(
    db: &mut PgConnection,
    provider: &ProviderRow,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: update_provider
        UPDATE identity_providers SET scheme = $2, display_name = $3 WHERE id = $1",
        provider.id,
        provider.scheme,
        provider.display_name
    )
    .execute(db)
    .await
    .map(drop)
}

pub(in crate::security) async fn claim(
    db: &mut PgConnection,
    id: i64,
) -> Result<Option<ClaimRow>, sqlx::Error> {
    sqlx::query_as!(
        ClaimRow,
        "-- name: claim
        SELECT c.id, c.description, c.claim_type, c.claim_value, c.provider_id, p.scheme, p.display_name
        FROM claims c JOIN identity_providers p ON p.id = c.provider_id WHERE c.id = $1",
        id
    )
    .fetch_optional(db)
    .await
}

/// Makes the claims that there are none of yet; how many it made.
pub(in crate::security) async fn insert_claims(
    db: &mut PgConnection,
    wanted: &Wanted,
    now: DateTime<Utc>,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "-- name: insert_claims
        INSERT INTO claims (provider_id, claim_type, claim_value, description, created_at)
        SELECT provider_id, claim_type, claim_value, description, $5
        FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::text[])
            AS wanted (provider_id, claim_type, claim_value, description)
        ON CONFLICT DO NOTHING",
        &wanted.providers,
        &wanted.types,
        &wanted.values,
        &wanted.descriptions,
        now
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Ids of the claims that there are, names of this server's own users in any case.
pub(in crate::security) async fn find_claims(
    db: &mut PgConnection,
    wanted: &Wanted,
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- name: find_claims
        SELECT DISTINCT c.id FROM unnest($1::uuid[], $2::smallint[], $3::text[])
            AS wanted (provider_id, claim_type, claim_value)
        JOIN claims c ON c.provider_id = wanted.provider_id AND c.claim_type = wanted.claim_type
            AND (c.claim_value = wanted.claim_value
                OR (c.provider_id = $4 AND lower(c.claim_value) = lower(wanted.claim_value)))
        ORDER BY c.id",
        &wanted.providers,
        &wanted.types,
        &wanted.values,
        LOCAL
    )
    .fetch_all(db)
    .await
}

/// Those of some ids that are identities.
pub(in crate::security) async fn identities(
    db: &mut PgConnection,
    ids: &[i64],
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- name: identities\nSELECT id FROM claims WHERE id = ANY ($1) AND provider_id = $2",
        ids,
        LOCAL
    )
    .fetch_all(db)
    .await
}

pub(in crate::security) async fn describe_claim(
    db: &mut PgConnection,
    id: i64,
    description: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!("-- name: describe_claim\nUPDATE claims SET description = $2 WHERE id = $1", id, description)
        .execute(db)
        .await
        .map(drop)
}

pub(in crate::security) async fn delete_claim(db: &mut PgConnection, id: i64) -> Result<(), sqlx::Error> {
    sqlx::query!("-- name: delete_claim\nDELETE FROM claims WHERE id = $1", id).execute(db).await.map(drop)
}

/// The user that logs in by a claim.
pub(in crate::security) async fn user_of_claim(
    db: &mut PgConnection,
    id: i64,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!("-- name: user_of_claim\nSELECT name FROM users WHERE claim_id = $1", id)
        .fetch_optional(db)
        .await
}

/// Whether a user that may log in has this name.
pub(in crate::security) async fn can_log_in(db: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- name: can_log_in
        SELECT EXISTS (SELECT 1 FROM users WHERE lower(name) = lower($1) AND enabled) AS "can!""#,
        name
    )
    .fetch_one(db)
    .await
}

/// The claims that have some roles, in one query.
pub(in crate::security) async fn members(
    db: &mut PgConnection,
    roles: &[i64],
) -> Result<Vec<MemberRow>, sqlx::Error> {
    sqlx::query_as!(
        MemberRow,
        "-- name: members
        SELECT rc.role_id, c.id, c.description, c.claim_type, c.claim_value, c.provider_id, p.scheme, p.display_name
        FROM role_claims rc JOIN claims c ON c.id = rc.claim_id JOIN identity_providers p ON p.id = c.provider_id
        WHERE rc.role_id = ANY ($1) ORDER BY rc.role_id, c.id",
        roles
    )
    .fetch_all(db)
    .await
}

/// The roles that some claims have, in one query.
pub(in crate::security) async fn roles_of(
    db: &mut PgConnection,
    claims: &[i64],
) -> Result<Vec<HeldRole>, sqlx::Error> {
    sqlx::query_as!(
        HeldRole,
        "-- name: roles_of
        SELECT rc.claim_id, r.id, r.name, r.description, r.enabled, r.permission_set_id, r.permissions
        FROM role_claims rc JOIN roles r ON r.id = rc.role_id WHERE rc.claim_id = ANY ($1) ORDER BY rc.claim_id, r.id",
        claims
    )
    .fetch_all(db)
    .await
}

/// The roles and permissions to which the claims of a caller lead.
pub(in crate::security) async fn standing(
    db: &mut PgConnection,
    provider: Uuid,
    types: &[i16],
    values: &[String],
) -> Result<Standing, sqlx::Error> {
    sqlx::query_as!(
        Standing,
        r#"-- name: standing
        WITH held AS (
            SELECT DISTINCT r.id, r.name, r.permissions FROM unnest($2::smallint[], $3::text[]) AS made (claim_type, claim_value)
            JOIN claims c ON c.provider_id = $1 AND c.claim_type = made.claim_type AND c.claim_value = made.claim_value
            JOIN role_claims rc ON rc.claim_id = c.id JOIN roles r ON r.id = rc.role_id WHERE r.enabled
        )
        SELECT ARRAY(SELECT name FROM held ORDER BY name) AS "roles!",
            ARRAY(SELECT DISTINCT granted FROM held CROSS JOIN unnest(permissions) AS granted) AS "permissions!""#,
        provider,
        types,
        values
    )
    .fetch_one(db)
    .await
}

/// Those of some containers that exist, with their names.
pub(in crate::security) async fn containers(
    db: &mut PgConnection,
    ids: &[i64],
) -> Result<Vec<(i64, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        "-- name: containers\nSELECT id, name FROM containers WHERE id = ANY ($1) ORDER BY id",
        ids
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
}

/// Those of some collections that exist, with their names.
pub(in crate::security) async fn collections(
    db: &mut PgConnection,
    ids: &[i64],
) -> Result<Vec<(i64, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        "-- name: collections\nSELECT id, name FROM collections WHERE id = ANY ($1) ORDER BY id",
        ids
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
}

/// One page of claims, and how many match.
pub(in crate::security) async fn list_claims(
    db: &mut PgConnection,
    list: &ListQuery,
    asker: &Asker<'_>,
) -> Result<(Vec<ClaimRow>, i64), Failure> {
    let from = " FROM claims c JOIN identity_providers p ON p.id = c.provider_id WHERE true";
    let columns = "c.id, c.description, c.claim_type, c.claim_value, c.provider_id, p.scheme, p.display_name";
    listing("list_claims", columns, from, CLAIM_FIELDS, number("c.id")).page(db, list, asker).await
}

/// One page of identities, and how many match.
pub(in crate::security) async fn list_identities(
    db: &mut PgConnection,
    list: &ListQuery,
    asker: &Asker<'_>,
) -> Result<(Vec<IdentityRow>, i64), Failure> {
    let columns = "c.id, c.claim_value AS name,
        EXISTS (SELECT 1 FROM users u WHERE u.claim_id = c.id AND u.enabled) AS logs_in";
    let from = format!(" FROM claims c WHERE c.provider_id = '{LOCAL}'");
    listing("list_identities", columns, &from, IDENTITY_FIELDS, number("c.id")).page(db, list, asker).await
}
