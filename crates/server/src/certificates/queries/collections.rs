//! Statements about collections.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Members;
use crate::certificates::collection;
use crate::certificates::error::Error;
use crate::http::filter_sql::{Asker, Kind};
use crate::http::list::ListQuery;
use crate::http::listing::{Column, Listing, Narrow, Order};

/// A collection.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(in crate::certificates) struct CollectionRow {
    pub(in crate::certificates) id: i64,
    pub(in crate::certificates) name: String,
    pub(in crate::certificates) description: Option<String>,
    pub(in crate::certificates) query: String,
    pub(in crate::certificates) duplication_field: i16,
    pub(in crate::certificates) show_on_dashboard: bool,
    pub(in crate::certificates) estimated_count: i32,
    pub(in crate::certificates) estimated_at: Option<DateTime<Utc>>,
    /// Whether the caller marked it.
    #[sqlx(default)]
    pub(in crate::certificates) favorite: bool,
}

/// A collection to be made, or what one is to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::certificates) struct NewCollection {
    pub(in crate::certificates) name: String,
    pub(in crate::certificates) description: Option<String>,
    pub(in crate::certificates) query: String,
    pub(in crate::certificates) duplication_field: i16,
    pub(in crate::certificates) show_on_dashboard: bool,
}

/// A role with a permission that is narrowed to a collection.
pub(in crate::certificates) struct GrantRow {
    pub(in crate::certificates) role: String,
    pub(in crate::certificates) permission: String,
}

/// A collection by its id or, without one, by its name.
pub(in crate::certificates) async fn collection(
    db: &mut PgConnection,
    id: Option<i64>,
    name: Option<&str>,
    caller: &str,
) -> sqlx::Result<Option<CollectionRow>> {
    sqlx::query_as!(
        CollectionRow,
        r#"-- name: collection
        SELECT id, name, description, query, duplication_field, show_on_dashboard, estimated_count, estimated_at,
            EXISTS (SELECT 1 FROM collection_favorites f WHERE f.collection_id = collections.id AND f.caller = $3)
                AS "favorite!"
        FROM collections WHERE id = $1 OR $1::bigint IS NULL AND lower(name) = lower($2)"#,
        id,
        name,
        caller
    )
    .fetch_optional(db)
    .await
}

/// What members of a collection are.
pub(in crate::certificates) async fn members_of(
    db: &mut PgConnection,
    id: i64,
) -> sqlx::Result<Option<Members>> {
    sqlx::query_as!(
        Members,
        "-- name: members_of\nSELECT query, duplication_field FROM collections WHERE id = $1",
        id
    )
    .fetch_optional(db)
    .await
}

/// Makes a collection; `None` when its name is taken.
pub(in crate::certificates) async fn insert(
    db: &mut PgConnection,
    new: &NewCollection,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "-- name: insert_collection
        INSERT INTO collections (name, description, query, duplication_field, show_on_dashboard, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (lower(name)) DO NOTHING RETURNING id",
        new.name,
        new.description,
        new.query,
        new.duplication_field,
        new.show_on_dashboard,
        now
    )
    .fetch_optional(db)
    .await
}

/// Writes a collection, which is to be counted anew. The caller has looked whether its name is taken.
pub(in crate::certificates) async fn update(
    db: &mut PgConnection,
    id: i64,
    new: &NewCollection,
) -> sqlx::Result<()> {
    sqlx::query!(
        "-- name: update_collection
        UPDATE collections SET name = $2, description = $3, query = $4, duplication_field = $5,
            show_on_dashboard = $6, estimated_at = CASE WHEN query = $4 THEN estimated_at END
        WHERE id = $1",
        id,
        new.name,
        new.description,
        new.query,
        new.duplication_field,
        new.show_on_dashboard
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes a collection.
pub(in crate::certificates) async fn delete(db: &mut PgConnection, id: i64) -> sqlx::Result<()> {
    sqlx::query!("-- name: delete_collection\nDELETE FROM collections WHERE id = $1", id).execute(db).await?;
    Ok(())
}

/// Holds a collection until the transaction ends; false when there is none.
pub(in crate::certificates) async fn lock(db: &mut PgConnection, id: i64) -> sqlx::Result<bool> {
    let row =
        sqlx::query!("-- name: lock_collection\nSELECT id FROM collections WHERE id = $1 FOR UPDATE", id)
            .fetch_optional(db)
            .await?;
    Ok(row.is_some())
}

/// The roles that have a permission narrowed to a collection.
pub(in crate::certificates) async fn grants(db: &mut PgConnection, id: i64) -> sqlx::Result<Vec<GrantRow>> {
    sqlx::query_as!(
        GrantRow,
        r#"-- name: collection_grants
        SELECT r.name AS role, p.permission AS "permission!"
        FROM roles r, unnest(r.permissions) AS p (permission)
        WHERE p.permission LIKE '/certificates/collections/%' AND p.permission LIKE '%/' || $1::bigint::text || '/'
        ORDER BY r.id, p.permission"#,
        id
    )
    .fetch_all(db)
    .await
}

/// Marks a collection for a caller, or takes the mark away.
pub(in crate::certificates) async fn mark(
    db: &mut PgConnection,
    id: i64,
    caller: &str,
    marked: bool,
) -> sqlx::Result<()> {
    match marked {
        true => {
            sqlx::query!(
                "-- name: mark_collection
                INSERT INTO collection_favorites (collection_id, caller) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                id,
                caller
            )
            .execute(db)
            .await?;
        }
        false => {
            sqlx::query!(
                "-- name: unmark_collection
                DELETE FROM collection_favorites WHERE collection_id = $1 AND caller = $2",
                id,
                caller
            )
            .execute(db)
            .await?;
        }
    }
    Ok(())
}

/// Which collections a list is about.
#[derive(Clone, Copy)]
pub(in crate::certificates) struct Listed<'a> {
    /// These only, where some are given.
    pub(in crate::certificates) only: Option<&'a [i64]>,
    /// Those only that the caller marked.
    pub(in crate::certificates) marked: bool,
    pub(in crate::certificates) asker: Asker<'a>,
}

/// One page of collections, and how many match.
pub(in crate::certificates) async fn list(
    db: &mut PgConnection,
    listed: &Listed<'_>,
    list: &ListQuery,
) -> Result<(Vec<CollectionRow>, i64), Error> {
    let mut narrow: Vec<Narrow> =
        listed.only.map(|ids| Narrow::Among("id", ids.to_vec())).into_iter().collect();
    if listed.marked {
        let caller = listed.asker.name;
        narrow.push(Narrow::Written {
            told: format!("marked {caller}"),
            write: Box::new(move |sql| {
                sql.push(" AND id IN (SELECT f.collection_id FROM collection_favorites f WHERE f.caller = ");
                sql.push_bind(caller.to_owned()).push(")");
                Ok(())
            }),
        });
    }
    let listing = Listing {
        name: "collections",
        columns: "id, name, description, query, duplication_field, show_on_dashboard, estimated_count, estimated_at",
        from: " FROM collections WHERE true",
        fields: collection::FIELDS,
        order: Order { by: Column { sql: "name", kind: Kind::Text }, descending: false },
        key: Column { sql: "id", kind: Kind::Number },
        narrow,
    };
    let (mut rows, total): (Vec<CollectionRow>, i64) = listing.page(db, list, &listed.asker).await?;
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let marked = marked(db, &ids, listed.asker.name).await?;
    for row in &mut rows {
        row.favorite = marked.contains(&row.id);
    }
    Ok((rows, total))
}

async fn marked(db: &mut PgConnection, ids: &[i64], caller: &str) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        "-- name: marked_collections
        SELECT collection_id FROM collection_favorites WHERE collection_id = ANY ($1) AND caller = $2",
        ids,
        caller
    )
    .fetch_all(db)
    .await
}

/// Id and query of some collections.
pub(in crate::certificates) async fn queries_of(
    db: &mut PgConnection,
    ids: &[i64],
) -> sqlx::Result<Vec<(i64, String)>> {
    let rows = sqlx::query!(
        "-- name: queries_of\nSELECT id, query FROM collections WHERE id = ANY ($1) ORDER BY id",
        ids
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.query)).collect())
}
