//! Statements about roles and who has them.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::{listing, number};
use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind};
use crate::http::list::ListQuery;

/// A role.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub(in crate::security) struct RoleRow {
    pub(in crate::security) id: i64,
    pub(in crate::security) name: String,
    pub(in crate::security) description: String,
    pub(in crate::security) email_address: Option<String>,
    pub(in crate::security) immutable: bool,
    pub(in crate::security) enabled: bool,
    pub(in crate::security) private: bool,
    pub(in crate::security) permission_set_id: Uuid,
    pub(in crate::security) permissions: Vec<String>,
}

/// Someone or something that has a role, to be named in a refusal.
pub(in crate::security) struct HolderRow {
    pub(in crate::security) kind: String,
    pub(in crate::security) name: String,
}

pub(in crate::security) const ROLE_FIELDS: &[Field] = &[
    Field { name: "Id", sql: "id", kind: Kind::Number },
    Field { name: "Name", sql: "name", kind: Kind::Text },
    Field { name: "Description", sql: "description", kind: Kind::Text },
    Field { name: "EmailAddress", sql: "email_address", kind: Kind::Text },
    Field { name: "Immutable", sql: "immutable", kind: Kind::Flag },
    Field { name: "Enabled", sql: "enabled", kind: Kind::Flag },
    Field { name: "PermissionSetId", sql: "permission_set_id", kind: Kind::Guid },
];

pub(in crate::security) async fn roles_by_name(
    db: &mut PgConnection,
    names: &[String],
) -> Result<Vec<RoleRow>, sqlx::Error> {
    sqlx::query_as!(
        RoleRow,
        "-- name: roles_by_name
        SELECT id, name, description, email_address, immutable, enabled, private, permission_set_id, permissions
        FROM roles WHERE lower(name) IN (SELECT lower(asked) FROM unnest($1::text[]) AS asked)",
        names
    )
    .fetch_all(db)
    .await
}

pub(in crate::security) async fn roles_by_id(
    db: &mut PgConnection,
    ids: &[i64],
) -> Result<Vec<RoleRow>, sqlx::Error> {
    sqlx::query_as!(
        RoleRow,
        "-- name: roles_by_id
        SELECT id, name, description, email_address, immutable, enabled, private, permission_set_id, permissions
        FROM roles WHERE id = ANY ($1)",
        ids
    )
    .fetch_all(db)
    .await
}

pub(in crate::security) async fn role(
    db: &mut PgConnection,
    id: i64,
) -> Result<Option<RoleRow>, sqlx::Error> {
    sqlx::query_as!(
        RoleRow,
        "-- name: role
        SELECT id, name, description, email_address, immutable, enabled, private, permission_set_id, permissions
        FROM roles WHERE id = $1",
        id
    )
    .fetch_optional(db)
    .await
}

/// The roles whose permissions are narrowed to a container: each that holds one of these paths.
pub(in crate::security) async fn roles_holding(
    db: &mut PgConnection,
    paths: &[String],
) -> Result<Vec<RoleRow>, sqlx::Error> {
    sqlx::query_as!(
        RoleRow,
        "-- name: roles_holding
        SELECT id, name, description, email_address, immutable, enabled, private, permission_set_id, permissions
        FROM roles WHERE permissions && $1 ORDER BY id",
        paths
    )
    .fetch_all(db)
    .await
}

/// Stores a role, whose `id` is not looked at; `None` when its name is taken.
pub(in crate::security) async fn insert_role(
    db: &mut PgConnection,
    role: &RoleRow,
    now: DateTime<Utc>,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- name: insert_role
        INSERT INTO roles (name, description, email_address, enabled, private, permission_set_id, permissions, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (lower(name)) DO NOTHING RETURNING id",
        role.name,
        role.description,
        role.email_address,
        role.enabled,
        role.private,
        role.permission_set_id,
        &role.permissions,
        now
    )
    .fetch_optional(db)
    .await
}

/// Whether another role has this name.
pub(in crate::security) async fn role_name_taken(
    db: &mut PgConnection,
    name: &str,
    except: i64,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- name: role_name_taken
        SELECT EXISTS (SELECT 1 FROM roles WHERE lower(name) = lower($1) AND id <> $2) AS "taken!""#,
        name,
        except
    )
    .fetch_one(db)
    .await
}

pub(in crate::security) async fn update_role(
    db: &mut PgConnection,
    role: &RoleRow,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: update_role
        UPDATE roles SET name = $2, description = $3, email_address = $4, enabled = $5, private = $6,
            permission_set_id = $7, permissions = $8
        WHERE id = $1",
        role.id,
        role.name,
        role.description,
        role.email_address,
        role.enabled,
        role.private,
        role.permission_set_id,
        &role.permissions
    )
    .execute(db)
    .await
    .map(drop)
}

/// Writes what several roles grant from now on, in one statement.
pub(in crate::security) async fn update_permissions(
    db: &mut PgConnection,
    roles: &[RoleRow],
) -> Result<(), sqlx::Error> {
    let ids: Vec<_> = roles.iter().map(|role| role.id).collect();
    // Arrays of arrays must be rectangular, so each set travels as one text; paths hold no blank.
    let sets: Vec<_> = roles.iter().map(|role| role.permissions.join(" ")).collect();
    sqlx::query!(
        "-- name: update_permissions
        UPDATE roles SET permissions = string_to_array(changed.paths, ' ')
        FROM unnest($1::bigint[], $2::text[]) AS changed (id, paths) WHERE roles.id = changed.id",
        &ids,
        &sets
    )
    .execute(db)
    .await
    .map(drop)
}

/// The built-in role with every permission, made or restored.
pub(in crate::security) async fn upsert_administrators(
    db: &mut PgConnection,
    name: &str,
    now: DateTime<Utc>,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        "-- name: upsert_administrators
        INSERT INTO roles (name, description, immutable, permissions, created_at)
        VALUES ($1, 'Every permission', true, '{/}', $2)
        ON CONFLICT (lower(name)) DO UPDATE SET immutable = true, enabled = true, permissions = '{/}' RETURNING id",
        name,
        now
    )
    .fetch_one(db)
    .await
}

/// The users and the living tokens that have a role, at most ten.
pub(in crate::security) async fn holders(
    db: &mut PgConnection,
    id: i64,
) -> Result<Vec<HolderRow>, sqlx::Error> {
    sqlx::query_as!(
        HolderRow,
        r#"-- name: holders
        SELECT 'user' AS "kind!", u.name AS "name!" FROM role_claims rc JOIN users u ON u.claim_id = rc.claim_id
            WHERE rc.role_id = $1
        UNION ALL
        SELECT 'API token', t.name FROM api_token_roles tr JOIN api_tokens t ON t.id = tr.token_id WHERE tr.role_id = $1
        LIMIT 10"#,
        id
    )
    .fetch_all(db)
    .await
}

pub(in crate::security) async fn delete_role(db: &mut PgConnection, id: i64) -> Result<(), sqlx::Error> {
    sqlx::query!("-- name: delete_role\nDELETE FROM roles WHERE id = $1", id).execute(db).await.map(drop)
}

/// Takes a role from every claim of a provider, or of all, and gives it to these.
pub(in crate::security) async fn replace_members(
    db: &mut PgConnection,
    role_id: i64,
    provider: Option<Uuid>,
    claims: &[i64],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: take_role
        DELETE FROM role_claims rc USING claims c
        WHERE rc.role_id = $1 AND c.id = rc.claim_id AND ($2::uuid IS NULL OR c.provider_id = $2)
            AND NOT c.id = ANY ($3)",
        role_id,
        provider,
        claims
    )
    .execute(&mut *db)
    .await?;
    give_roles(db, &[role_id], claims).await
}

/// Gives each of some roles to each of some claims.
pub(in crate::security) async fn give_roles(
    db: &mut PgConnection,
    roles: &[i64],
    claims: &[i64],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: give_roles
        INSERT INTO role_claims (role_id, claim_id)
        SELECT role_id, claim_id FROM unnest($1::bigint[]) AS role_id CROSS JOIN unnest($2::bigint[]) AS claim_id
        ON CONFLICT DO NOTHING",
        roles,
        claims
    )
    .execute(db)
    .await
    .map(drop)
}

/// One page of roles, and how many match.
pub(in crate::security) async fn list_roles(
    db: &mut PgConnection,
    list: &ListQuery,
    asker: &Asker<'_>,
) -> Result<(Vec<RoleRow>, i64), Failure> {
    let columns =
        "id, name, description, email_address, immutable, enabled, private, permission_set_id, permissions";
    listing("list_roles", columns, " FROM roles WHERE true", ROLE_FIELDS, number("id"))
        .page(db, list, asker)
        .await
}
