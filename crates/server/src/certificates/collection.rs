//! Collections: saved certificate queries that can carry permissions.

use chrono::{DateTime, Utc};
use sealift_protocol::operator::certificates::{Collection, CreateCollection};
use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::error::Error;
use super::{fields, queries};
use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind, push_filter};
use crate::http::list::ListQuery;
use crate::http::problem::shortened;
use crate::security::{Principal, audit, permission};

/// Most characters of a name.
const MAX_NAME: usize = 100;
/// Most characters of a description.
const MAX_DESCRIPTION: usize = 1_000;
/// Longest query, in bytes.
const MAX_QUERY: usize = 4_000;

/// What filters and sort orders of the list of collections may name.
pub(super) const FIELDS: &[Field] = &[
    Field { name: "Id", sql: "id", kind: Kind::Number },
    Field { name: "Name", sql: "name", kind: Kind::Text },
    Field { name: "Description", sql: "description", kind: Kind::Text },
    Field { name: "Content", sql: "query", kind: Kind::Text },
    Field { name: "Query", sql: "query", kind: Kind::Text },
];

/// Lists the collections by which the caller may read certificates.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    query: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<Collection>, i64), Error> {
    let scopes = caller.scopes(permission::CERTIFICATES_READ);
    let only = if caller.permits(permission::CERTIFICATES_READ) { None } else { Some(scopes.as_slice()) };
    let asker = Asker { name: caller.name(), now };
    let (rows, total) = queries::collections(db, only, query, &asker).await?;
    Ok((rows.into_iter().map(answered).collect(), total))
}

/// Answers one collection, by its id or, when the text is no number, by its name.
pub(super) async fn get(
    db: &mut PgConnection,
    caller: &Principal,
    id_or_name: &str,
) -> Result<Collection, Error> {
    let row = match id_or_name.parse() {
        Ok(id) => queries::collection(db, id).await?,
        Err(_) => queries::collection_by_name(db, id_or_name).await?,
    };
    match row {
        Some(row) => {
            caller.require_for(permission::CERTIFICATES_READ, Some(row.id))?;
            Ok(answered(row))
        }
        None => {
            // A caller that may not read all learns no more than that it may not read this one.
            caller.require(permission::CERTIFICATES_READ)?;
            Err(Error::CollectionNotFound(shortened(id_or_name)))
        }
    }
}

/// Makes a collection.
pub(super) async fn create(
    db: &mut PgConnection,
    caller: &Principal,
    request: CreateCollection,
    now: DateTime<Utc>,
) -> Result<Collection, Error> {
    caller.require(permission::COLLECTIONS_MODIFY)?;
    let new = checked(request, &Asker { name: caller.name(), now })?;
    let inserted = queries::insert_collection(db, &new, now).await?;
    let id = inserted.ok_or_else(|| Error::CollectionTaken(new.name.clone()))?;
    let message = format!("collection '{}' was made", new.name);
    let line = audit::Line::new(caller, audit::Operation::Created, "CertificateCollection", id, message);
    audit::record(db, &[line], now).await?;
    Ok(answered(queries::CollectionRow {
        id,
        name: new.name,
        description: new.description,
        query: new.query,
    }))
}

/// Those of some certificates that a collection holds now.
pub(super) async fn held_of(
    db: &mut PgConnection,
    caller: &Principal,
    collection_id: i64,
    certificate_ids: &[i64],
    now: DateTime<Utc>,
) -> Result<Vec<i64>, Error> {
    let query = query_of(db, collection_id).await?;
    queries::members(db, certificate_ids, &query, &Asker { name: caller.name(), now }).await
}

/// The query of a collection.
pub(super) async fn query_of(db: &mut PgConnection, collection_id: i64) -> Result<String, Error> {
    let row = queries::collection(db, collection_id).await?;
    row.map(|row| row.query).ok_or_else(|| Error::CollectionNotFound(collection_id.to_string()))
}

fn checked(request: CreateCollection, asker: &Asker<'_>) -> Result<queries::NewCollection, Error> {
    let invalid = |member, reason: String| Err(Error::Invalid { member, reason });
    let name = request.name.as_deref().map(str::trim).unwrap_or_default().to_owned();
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return invalid(
            "Name",
            format!("expected 1 to {MAX_NAME} characters, none of them a control character"),
        );
    }
    let description = request.description;
    if description
        .as_deref()
        .is_some_and(|text| text.chars().count() > MAX_DESCRIPTION || text.contains('\0'))
    {
        return invalid("Description", format!("expected at most {MAX_DESCRIPTION} characters"));
    }
    let query = request.query.unwrap_or_default();
    if query.len() > MAX_QUERY || query.contains('\0') {
        return invalid("Query", format!("expected at most {MAX_QUERY} bytes"));
    }
    let mut sql = QueryBuilder::<Postgres>::new("");
    push_filter(&mut sql, fields::CERTIFICATES, Some(&query), asker).map_err(|failure: Failure| {
        Error::Invalid { member: "Query", reason: failure.message().to_owned() }
    })?;
    Ok(queries::NewCollection { name, description, query })
}

fn answered(row: queries::CollectionRow) -> Collection {
    Collection {
        id: row.id,
        name: row.name,
        description: row.description,
        content: row.query.clone(),
        query: row.query,
        duplication_field: 0,
        show_on_dashboard: false,
        favorite: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, query: &str) -> Result<queries::NewCollection, Error> {
        let request = CreateCollection {
            name: Some(name.to_owned()),
            description: None,
            query: Some(query.to_owned()),
        };
        checked(request, &Asker { name: "me", now: DateTime::UNIX_EPOCH })
    }

    #[test]
    fn a_query_that_would_never_run_is_refused_when_it_is_saved() {
        assert!(check("Web", "IssuedCN -endswith \".example.test\" AND NotAfter -lt %TODAY+30%").is_ok());
        assert!(check("All", "").is_ok());
        for query in ["Color -eq 1", "IssuedCN", "NotAfter -contains 3", "(IssuedCN -eq \"a\""] {
            let refused = check("Web", query).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(refused.starts_with("Query: "), "{query}: {refused}");
        }
    }

    #[test]
    fn names_have_bounds() {
        for name in ["", "  ", "a\nb", &"n".repeat(101)] {
            assert!(matches!(check(name, ""), Err(Error::Invalid { member: "Name", .. })), "{name:?}");
        }
        assert_eq!(check(" Web ", "").unwrap().name, "Web");
    }
}
