//! Statements about metadata fields.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::certificates::error::Error;
use crate::certificates::metadata_field;
use crate::http::filter_sql::{Asker, Kind};
use crate::http::list::ListQuery;
use crate::http::listing::{Column, Listing, Order};

/// A metadata field.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub(in crate::certificates) struct FieldRow {
    pub(in crate::certificates) id: i64,
    pub(in crate::certificates) name: String,
    pub(in crate::certificates) description: String,
    pub(in crate::certificates) data_type: i16,
    pub(in crate::certificates) hint: Option<String>,
    pub(in crate::certificates) validation: Option<String>,
    pub(in crate::certificates) enrollment: i16,
    pub(in crate::certificates) message: Option<String>,
    pub(in crate::certificates) options: Option<String>,
    pub(in crate::certificates) default_value: Option<String>,
    pub(in crate::certificates) display_order: i32,
    pub(in crate::certificates) allow_api: bool,
    pub(in crate::certificates) explicit_update: bool,
}

const COLUMNS: &str = "id, name, description, data_type, hint, validation, enrollment, message, options,
    default_value, display_order, allow_api, explicit_update";

/// One page of metadata fields, and how many match.
pub(in crate::certificates) async fn list(
    db: &mut PgConnection,
    list: &ListQuery,
    asker: &Asker<'_>,
) -> Result<(Vec<FieldRow>, i64), Error> {
    let listing = Listing {
        name: "metadata_fields",
        columns: COLUMNS,
        from: " FROM metadata_fields WHERE true",
        fields: metadata_field::FIELDS,
        order: Order { by: Column { sql: "display_order", kind: Kind::Number }, descending: false },
        key: Column { sql: "id", kind: Kind::Number },
        narrow: Vec::new(),
    };
    Ok(listing.page(db, list, asker).await?)
}

/// Every metadata field.
pub(in crate::certificates) async fn all(db: &mut PgConnection) -> sqlx::Result<Vec<FieldRow>> {
    sqlx::query_as!(
        FieldRow,
        "-- name: all_metadata_fields
        SELECT id, name, description, data_type, hint, validation, enrollment, message, options, default_value,
            display_order, allow_api, explicit_update
        FROM metadata_fields ORDER BY display_order, id"
    )
    .fetch_all(db)
    .await
}

/// Holds the whole table until the transaction ends, so that nobody changes fields or collections beside.
pub(in crate::certificates) async fn lock(db: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!(
        "-- name: lock_metadata_fields\nLOCK TABLE metadata_fields, collections IN SHARE ROW EXCLUSIVE MODE"
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Makes a field; `None` when its name is taken.
pub(in crate::certificates) async fn insert(
    db: &mut PgConnection,
    new: &FieldRow,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "-- name: insert_metadata_field
        INSERT INTO metadata_fields (name, description, data_type, hint, validation, enrollment, message, options,
            default_value, display_order, allow_api, explicit_update, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ON CONFLICT (lower(name)) DO NOTHING RETURNING id",
        new.name,
        new.description,
        new.data_type,
        new.hint,
        new.validation,
        new.enrollment,
        new.message,
        new.options,
        new.default_value,
        new.display_order,
        new.allow_api,
        new.explicit_update,
        now
    )
    .fetch_optional(db)
    .await
}

/// Writes a field. The caller has looked whether its name is taken.
pub(in crate::certificates) async fn update(db: &mut PgConnection, field: &FieldRow) -> sqlx::Result<()> {
    sqlx::query!(
        "-- name: update_metadata_field
        UPDATE metadata_fields SET name = $2, description = $3, data_type = $4, hint = $5, validation = $6,
            enrollment = $7, message = $8, options = $9, default_value = $10, display_order = $11, allow_api = $12,
            explicit_update = $13
        WHERE id = $1",
        field.id,
        field.name,
        field.description,
        field.data_type,
        field.hint,
        field.validation,
        field.enrollment,
        field.message,
        field.options,
        field.default_value,
        field.display_order,
        field.allow_api,
        field.explicit_update
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes fields.
pub(in crate::certificates) async fn delete(db: &mut PgConnection, ids: &[i64]) -> sqlx::Result<()> {
    sqlx::query!("-- name: delete_metadata_fields\nDELETE FROM metadata_fields WHERE id = ANY ($1)", ids)
        .execute(db)
        .await?;
    Ok(())
}

/// How many certificates have a value of a field, up to a bound.
pub(in crate::certificates) async fn users(
    db: &mut PgConnection,
    name: &str,
    bound: i64,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"-- name: users_of_metadata_field
        SELECT count(*) AS "count!" FROM (SELECT 1 FROM certificates WHERE metadata ? $1 LIMIT $2) AS bounded"#,
        name,
        bound
    )
    .fetch_one(db)
    .await
}

/// Takes values of fields from every certificate.
pub(in crate::certificates) async fn clear_everywhere(
    db: &mut PgConnection,
    names: &[String],
) -> sqlx::Result<()> {
    sqlx::query!(
        "-- name: clear_metadata\nUPDATE certificates SET metadata = metadata - $1::text[] WHERE metadata ?| $1",
        names
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Gives the values of a field another name, in every certificate.
pub(in crate::certificates) async fn rename_everywhere(
    db: &mut PgConnection,
    from: &str,
    to: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "-- name: rename_metadata
        UPDATE certificates SET metadata = (metadata - $1::text) || jsonb_build_object($2::text, metadata -> $1)
        WHERE metadata ? $1",
        from,
        to
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Name and query of every collection that has a query.
pub(in crate::certificates) async fn queries(db: &mut PgConnection) -> sqlx::Result<Vec<(String, String)>> {
    let rows =
        sqlx::query!("-- name: queries\nSELECT name, query FROM collections WHERE query <> '' ORDER BY id")
            .fetch_all(db)
            .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.query)).collect())
}
