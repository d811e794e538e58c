//! Collections: saved certificate queries that can carry permissions. Here they are read, and asked what they hold.

use chrono::{DateTime, Utc};
use sealift_protocol::operator::collections::{Collection, CollectionName};
use sqlx::PgConnection;

use super::error::Error;
use super::fields::Known;
use super::queries::collections::{CollectionRow, Listed};
use super::queries::{self, Members};
use crate::http::filter_sql::{Asker, Field, Kind};
use crate::http::list::ListQuery;
use crate::http::problem::shortened;
use crate::security::{Principal, permission};

/// What filters and sort orders of the list of collections may name.
pub(super) const FIELDS: &[Field] = &[
    Field { name: "Id", sql: "id", kind: Kind::Number },
    Field { name: "Name", sql: "name", kind: Kind::Text },
    Field { name: "Description", sql: "description", kind: Kind::Text },
    Field { name: "Content", sql: "query", kind: Kind::Text },
    Field { name: "Query", sql: "query", kind: Kind::Text },
    Field { name: "DuplicationField", sql: "duplication_field", kind: Kind::Number },
    Field { name: "ShowOnDashboard", sql: "show_on_dashboard", kind: Kind::Flag },
    Field { name: "EstimatedCertCount", sql: "estimated_count", kind: Kind::Number },
    Field { name: "LastEstimated", sql: "estimated_at", kind: Kind::Time },
];

/// Lists the collections by which the caller may read certificates.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    query: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<Collection>, i64), Error> {
    let (rows, total) = rows(db, caller, query, false, now).await?;
    Ok((rows.into_iter().map(answered).collect(), total))
}

/// Names the collections by which the caller may read certificates; with `marked`, those that it marked.
pub(super) async fn names(
    db: &mut PgConnection,
    caller: &Principal,
    query: &ListQuery,
    marked: bool,
    now: DateTime<Utc>,
) -> Result<(Vec<CollectionName>, i64), Error> {
    let (rows, total) = rows(db, caller, query, marked, now).await?;
    Ok((rows.into_iter().map(|row| CollectionName { id: row.id, name: row.name }).collect(), total))
}

async fn rows(
    db: &mut PgConnection,
    caller: &Principal,
    query: &ListQuery,
    marked: bool,
    now: DateTime<Utc>,
) -> Result<(Vec<CollectionRow>, i64), Error> {
    let scopes = caller.scopes(permission::CERTIFICATES_READ);
    let only = if caller.permits(permission::CERTIFICATES_READ) { None } else { Some(scopes.as_slice()) };
    let listed = Listed { only, marked, asker: Asker { name: caller.name(), now } };
    queries::collections::list(db, &listed, query).await
}

/// Answers one collection, by its id or, when the text is no number, by its name.
pub(super) async fn get(
    db: &mut PgConnection,
    caller: &Principal,
    id_or_name: &str,
) -> Result<Collection, Error> {
    let id = id_or_name.parse().ok();
    let row = match id_or_name.contains('\0') {
        true => None,
        false => queries::collections::collection(db, id, Some(id_or_name), caller.name()).await?,
    };
    readable(caller, row, id_or_name).map(answered)
}

/// A collection that the caller may read.
pub(super) async fn by_id(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
) -> Result<CollectionRow, Error> {
    let row = queries::collections::collection(db, Some(id), None, caller.name()).await?;
    readable(caller, row, &id.to_string())
}

fn readable(
    caller: &Principal,
    row: Option<CollectionRow>,
    id_or_name: &str,
) -> Result<CollectionRow, Error> {
    match row {
        Some(row) => {
            caller.require_for(permission::CERTIFICATES_READ, Some(row.id))?;
            Ok(row)
        }
        None => {
            // A caller that may not read all learns no more than that it may not read this one.
            caller.require(permission::CERTIFICATES_READ)?;
            Err(Error::CollectionNotFound(shortened(id_or_name)))
        }
    }
}

/// Those of some certificates that a collection holds now.
pub(super) async fn held_of(
    db: &mut PgConnection,
    caller: &Principal,
    collection_id: i64,
    certificate_ids: &[i64],
    now: DateTime<Utc>,
) -> Result<Vec<i64>, Error> {
    let Members { query, .. } = members_of(db, collection_id).await?;
    let known = Known::load(db).await?;
    let asker = Asker { name: caller.name(), now };
    queries::members(db, certificate_ids, &query, &known.fields(), &asker).await
}

/// What the members of a collection are.
pub(super) async fn members_of(db: &mut PgConnection, collection_id: i64) -> Result<Members, Error> {
    let found = queries::collections::members_of(db, collection_id).await?;
    found.ok_or_else(|| Error::CollectionNotFound(collection_id.to_string()))
}

fn answered(row: CollectionRow) -> Collection {
    Collection {
        id: row.id,
        name: row.name,
        description: row.description,
        automated: false,
        content: row.query,
        duplication_field: row.duplication_field.into(),
        show_on_dashboard: row.show_on_dashboard,
        favorite: row.favorite,
        estimated_cert_count: row.estimated_count,
        last_estimated: row.estimated_at.map(Into::into),
    }
}
