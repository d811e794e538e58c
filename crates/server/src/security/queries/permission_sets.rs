//! Statements about permission sets.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};
use uuid::{Uuid, uuid};

use super::listing;
use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind};
use crate::http::list::ListQuery;
use crate::http::listing::Column;

/// The built-in set that bounds nothing, as the migration makes it.
pub(in crate::security) const GLOBAL: Uuid = uuid!("5ea11f70-0000-4000-8000-000000000001");

/// A permission set.
#[derive(Debug, Clone, FromRow)]
pub(in crate::security) struct SetRow {
    pub(in crate::security) id: Uuid,
    pub(in crate::security) name: String,
    pub(in crate::security) built_in: bool,
    pub(in crate::security) permissions: Vec<String>,
}

/// A role of a set.
pub(in crate::security) struct SetRole {
    pub(in crate::security) name: String,
    pub(in crate::security) permissions: Vec<String>,
}

pub(in crate::security) const SET_FIELDS: &[Field] = &[
    Field { name: "Id", sql: "id", kind: Kind::Guid },
    Field { name: "Name", sql: "name", kind: Kind::Text },
];

pub(in crate::security) async fn set(db: &mut PgConnection, id: Uuid) -> Result<Option<SetRow>, sqlx::Error> {
    sqlx::query_as!(
        SetRow,
        "-- name: permission_set
        SELECT id, name, built_in, permissions FROM permission_sets WHERE id = $1",
        id
    )
    .fetch_optional(db)
    .await
}

/// The sets to which roles of these names belong.
pub(in crate::security) async fn sets_of_roles(
    db: &mut PgConnection,
    names: &[String],
) -> Result<Vec<SetRow>, sqlx::Error> {
    sqlx::query_as!(
        SetRow,
        "-- name: sets_of_roles
        SELECT id, name, built_in, permissions FROM permission_sets
        WHERE id IN (SELECT permission_set_id FROM roles WHERE name = ANY ($1)) ORDER BY name",
        names
    )
    .fetch_all(db)
    .await
}

/// The roles of a set.
pub(in crate::security) async fn roles_of_set(
    db: &mut PgConnection,
    id: Uuid,
) -> Result<Vec<SetRole>, sqlx::Error> {
    sqlx::query_as!(
        SetRole,
        "-- name: roles_of_set
        SELECT name, permissions FROM roles WHERE permission_set_id = $1 ORDER BY name",
        id
    )
    .fetch_all(db)
    .await
}

/// Whether another set has this name.
pub(in crate::security) async fn set_name_taken(
    db: &mut PgConnection,
    name: &str,
    except: Uuid,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- name: set_name_taken
        SELECT EXISTS (SELECT 1 FROM permission_sets WHERE lower(name) = lower($1) AND id <> $2) AS "taken!""#,
        name,
        except
    )
    .fetch_one(db)
    .await
}

pub(in crate::security) async fn insert_set(
    db: &mut PgConnection,
    set: &SetRow,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: insert_set
        INSERT INTO permission_sets (id, name, permissions, created_at) VALUES ($1, $2, $3, $4)",
        set.id,
        set.name,
        &set.permissions,
        now
    )
    .execute(db)
    .await
    .map(drop)
}

pub(in crate::security) async fn update_set(db: &mut PgConnection, set: &SetRow) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: update_set\nUPDATE permission_sets SET name = $2, permissions = $3 WHERE id = $1",
        set.id,
        set.name,
        &set.permissions
    )
    .execute(db)
    .await
    .map(drop)
}

pub(in crate::security) async fn delete_set(db: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("-- name: delete_set\nDELETE FROM permission_sets WHERE id = $1", id)
        .execute(db)
        .await
        .map(drop)
}

/// One page of permission sets, and how many match.
pub(in crate::security) async fn list_sets(
    db: &mut PgConnection,
    list: &ListQuery,
    asker: &Asker<'_>,
) -> Result<(Vec<SetRow>, i64), Failure> {
    let from = " FROM permission_sets WHERE true";
    let key = Column { sql: "id", kind: Kind::Guid };
    listing("list_sets", "id, name, built_in, permissions", from, SET_FIELDS, key).page(db, list, asker).await
}
