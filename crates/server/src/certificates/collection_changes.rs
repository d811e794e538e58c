//! Making, changing, copying and deleting collections (operator contract, 8.5). A grant for a collection means
//! whatever its query finds, so whoever changes a query must have every such grant himself, everywhere.

use chrono::{DateTime, Utc};
use sealift_protocol::operator::collections::{MarkCollection, WriteCollection, WrittenCollection};
use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::collection;
use super::error::Error;
use super::fields::Known;
use super::queries::collections::{self as queries, CollectionRow, NewCollection};
use super::queries::metadata;
use crate::http::Failure;
use crate::http::filter_sql::{AnyField, Asker, push_filter};
use crate::security::{Principal, audit, permission};

/// Most characters of a name.
const MAX_NAME: usize = 100;
/// Most characters of a description.
const MAX_DESCRIPTION: usize = 1_000;
/// Longest query, in bytes.
const MAX_QUERY: usize = 4_000;
/// Most roles that a refusal names.
const MAX_NAMED: usize = 5;

/// Makes a collection. What is not given is taken from the collection to copy, where one is named; its grants are not
/// copied, since roles hold them.
///
/// # Errors
/// What is wrong with a member, [`Error::CollectionTaken`], [`Error::CollectionNotFound`], a missing permission.
pub(super) async fn create(
    db: &mut PgConnection,
    caller: &Principal,
    request: WriteCollection,
    now: DateTime<Utc>,
) -> Result<WrittenCollection, Error> {
    caller.require(permission::COLLECTIONS_MODIFY)?;
    // Together with changes of metadata fields, which must not break a query that is just being saved.
    metadata::lock(db).await?;
    let before = match request.copy_from_id.filter(|id| *id != 0) {
        Some(id) => Some(collection::by_id(db, caller, id).await?),
        None => None,
    };
    let favorite = request.favorite;
    let known = Known::load(db).await?;
    let asker = Asker { name: caller.name(), now };
    let new = checked(request, before.as_ref(), &known.fields(), &asker)?;
    let inserted = queries::insert(db, &new, now).await?;
    let id = inserted.ok_or_else(|| Error::CollectionTaken(new.name.clone()))?;
    if let Some(marked) = favorite {
        queries::mark(db, id, caller.name(), marked).await?;
    }
    tell(db, caller, audit::Operation::Created, id, format!("collection '{}' was made", new.name), now)
        .await?;
    written(db, caller, id).await
}

/// Copies a collection: as [`create`], with a source that must be named.
///
/// # Errors
/// As [`create`].
pub(super) async fn copy(
    db: &mut PgConnection,
    caller: &Principal,
    request: WriteCollection,
    now: DateTime<Utc>,
) -> Result<WrittenCollection, Error> {
    caller.require(permission::COLLECTIONS_MODIFY)?;
    if request.copy_from_id.is_none_or(|id| id == 0) {
        let reason = "it is required: the collection to copy".to_owned();
        return Err(Error::Invalid { member: "CopyFromId", reason });
    }
    create(db, caller, request, now).await
}

/// Changes a collection; members that are not given stay as they were.
///
/// # Errors
/// As [`create`]; a permission that others have for this collection and the caller does not have everywhere.
pub(super) async fn update(
    db: &mut PgConnection,
    caller: &Principal,
    request: WriteCollection,
    now: DateTime<Utc>,
) -> Result<WrittenCollection, Error> {
    caller.require(permission::COLLECTIONS_MODIFY)?;
    let required = || Error::Invalid { member: "Id", reason: "it is required".to_owned() };
    let id = request.id.filter(|id| *id != 0).ok_or_else(required)?;
    metadata::lock(db).await?;
    let before = queries::collection(db, Some(id), None, caller.name()).await?;
    let before = before.ok_or_else(|| Error::CollectionNotFound(id.to_string()))?;
    let favorite = request.favorite;
    let known = Known::load(db).await?;
    let asker = Asker { name: caller.name(), now };
    let after = checked(request, Some(&before), &known.fields(), &asker)?;
    if after.query != before.query {
        for grant in queries::grants(db, id).await? {
            let everywhere = grant.permission.strip_suffix(&format!("{id}/")).unwrap_or(&grant.permission);
            caller.require(everywhere)?;
        }
    }
    let namesake = queries::collection(db, None, Some(&after.name), caller.name()).await?;
    if namesake.is_some_and(|other| other.id != id) {
        return Err(Error::CollectionTaken(after.name));
    }
    queries::update(db, id, &after).await?;
    if let Some(marked) = favorite {
        queries::mark(db, id, caller.name(), marked).await?;
    }
    tell(db, caller, audit::Operation::Updated, id, format!("collection '{}' was changed", after.name), now)
        .await?;
    written(db, caller, id).await
}

/// Deletes a collection that no role has a permission for.
///
/// # Errors
/// [`Error::CollectionNotFound`], [`Error::InUse`], a missing permission.
pub(super) async fn delete(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    caller.require(permission::COLLECTIONS_MODIFY)?;
    if !queries::lock(db, id).await? {
        return Err(Error::CollectionNotFound(id.to_string()));
    }
    let row = queries::collection(db, Some(id), None, caller.name()).await?;
    let row = row.ok_or_else(|| Error::CollectionNotFound(id.to_string()))?;
    let mut roles: Vec<String> = queries::grants(db, id).await?.into_iter().map(|grant| grant.role).collect();
    roles.dedup();
    if !roles.is_empty() {
        let more = if roles.len() > MAX_NAMED { ", ..." } else { "" };
        roles.truncate(MAX_NAMED);
        let reason = format!(
            "the collection '{}' is in use: these roles have permissions for it: {}{more}",
            row.name,
            roles.join(", ")
        );
        return Err(Error::InUse(reason));
    }
    queries::delete(db, id).await?;
    tell(db, caller, audit::Operation::Deleted, id, format!("collection '{}' was deleted", row.name), now)
        .await
}

/// Marks a collection for the caller alone, or takes the mark away.
///
/// # Errors
/// [`Error::Invalid`], [`Error::CollectionNotFound`], a missing permission.
pub(super) async fn mark(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    request: &MarkCollection,
) -> Result<(), Error> {
    let required = || Error::Invalid { member: "ShowInNavigator", reason: "it is required".to_owned() };
    let row = collection::by_id(db, caller, id).await?;
    let marked = request.show_in_navigator.ok_or_else(required)?;
    Ok(queries::mark(db, row.id, caller.name(), marked).await?)
}

async fn tell(
    db: &mut PgConnection,
    caller: &Principal,
    operation: audit::Operation,
    id: i64,
    message: String,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let line = audit::Line::new(caller, operation, "CertificateCollection", id, message);
    Ok(audit::record(db, &[line], now).await?)
}

async fn written(db: &mut PgConnection, caller: &Principal, id: i64) -> Result<WrittenCollection, Error> {
    let row = queries::collection(db, Some(id), None, caller.name()).await?;
    let row = row.ok_or_else(|| Error::CollectionNotFound(id.to_string()))?;
    Ok(WrittenCollection {
        id: row.id,
        name: row.name,
        description: row.description,
        content: row.query.clone(),
        query: row.query,
        duplication_field: row.duplication_field.into(),
        show_on_dashboard: row.show_on_dashboard,
        favorite: row.favorite,
        estimated_cert_count: row.estimated_count,
        last_estimated: row.estimated_at.map(Into::into),
    })
}

/// What a collection becomes; members that are not given are those of the one before.
fn checked(
    request: WriteCollection,
    before: Option<&CollectionRow>,
    fields: &[AnyField<'_>],
    asker: &Asker<'_>,
) -> Result<NewCollection, Error> {
    let invalid = |member, reason: String| Err(Error::Invalid { member, reason });
    let name = request.name.as_deref().map(str::trim).unwrap_or_default().to_owned();
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return invalid(
            "Name",
            format!("expected 1 to {MAX_NAME} characters, none of them a control character"),
        );
    }
    let description = request.description.or_else(|| before.and_then(|row| row.description.clone()));
    let description = description.filter(|text| !text.trim().is_empty());
    if description
        .as_deref()
        .is_some_and(|text| text.chars().count() > MAX_DESCRIPTION || text.contains('\0'))
    {
        return invalid("Description", format!("expected at most {MAX_DESCRIPTION} characters"));
    }
    let query = request.query.or_else(|| before.map(|row| row.query.clone())).unwrap_or_default();
    if query.len() > MAX_QUERY || query.contains('\0') {
        return invalid("Query", format!("expected at most {MAX_QUERY} bytes"));
    }
    let mut sql = QueryBuilder::<Postgres>::new("");
    push_filter(&mut sql, fields, Some(&query), asker).map_err(|failure: Failure| Error::Invalid {
        member: "Query",
        reason: failure.message().to_owned(),
    })?;
    let duplication_field = match request.duplication_field {
        None => before.map_or(0, |row| row.duplication_field),
        Some(number @ 0..=4) => i16::try_from(number).unwrap_or(0),
        Some(_) => {
            let reason = "expected 0 none, 1 common name, 2 distinguished name, or 3 principal name";
            return invalid("DuplicationField", reason.to_owned());
        }
    };
    let show_on_dashboard =
        request.show_on_dashboard.unwrap_or_else(|| before.is_some_and(|row| row.show_on_dashboard));
    Ok(NewCollection { name, description, query, duplication_field, show_on_dashboard })
}

#[cfg(test)]
mod tests {
    use super::super::fields::CERTIFICATES;
    use super::*;

    fn check(request: WriteCollection, before: Option<&CollectionRow>) -> Result<NewCollection, Error> {
        checked(request, before, CERTIFICATES, &Asker { name: "me", now: DateTime::UNIX_EPOCH })
    }

    fn named(name: &str, query: Option<&str>) -> WriteCollection {
        WriteCollection {
            name: Some(name.to_owned()),
            query: query.map(str::to_owned),
            ..WriteCollection::default()
        }
    }

    #[test]
    fn a_query_that_would_never_run_is_refused_when_it_is_saved() {
        let good = "IssuedCN -endswith \".example.test\" AND NotAfter -lt %TODAY+30%";
        assert!(check(named("Web", Some(good)), None).is_ok());
        assert!(check(named("All", Some("")), None).is_ok());
        for query in ["Color -eq 1", "IssuedCN", "NotAfter -contains 3", "(IssuedCN -eq \"a\""] {
            let refused = check(named("Web", Some(query)), None).err().map(|error| error.to_string());
            assert!(
                refused.as_deref().is_some_and(|text| text.starts_with("Query: ")),
                "{query}: {refused:?}"
            );
        }
    }

    #[test]
    fn names_and_numbers_have_bounds() {
        for name in ["", "  ", "a\nb", &"n".repeat(101)] {
            assert!(matches!(check(named(name, None), None), Err(Error::Invalid { member: "Name", .. })));
        }
        assert_eq!(check(named(" Web ", None), None).unwrap().name, "Web");
        let odd = WriteCollection { duplication_field: Some(5), ..named("Web", None) };
        assert!(matches!(check(odd, None), Err(Error::Invalid { member: "DuplicationField", .. })));
    }

    #[test]
    fn what_is_not_given_stays() {
        let before = CollectionRow {
            id: 1,
            name: "Web".to_owned(),
            description: Some("servers".to_owned()),
            query: "IssuedCN -eq \"a\"".to_owned(),
            duplication_field: 1,
            show_on_dashboard: true,
            estimated_count: 0,
            estimated_at: None,
            favorite: false,
        };
        let after = check(named("Web 2", None), Some(&before)).unwrap();
        assert_eq!((after.query.as_str(), after.duplication_field), (before.query.as_str(), 1));
        let cleared = WriteCollection { description: Some(" ".to_owned()), ..named("Web", None) };
        assert_eq!(check(cleared, Some(&before)).unwrap().description, None);
    }
}
