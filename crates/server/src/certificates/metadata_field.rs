//! Metadata fields: what operators may say about certificates (operator contract, 8.6).

use chrono::{DateTime, Utc};
use sealift_protocol::operator::metadata_fields::{MetadataField, WriteMetadataField};
use serde_json::Value;
use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::error::Error;
use super::fields::{self, Known};
use super::metadata_value::{self, MULTIPLE_CHOICE, STRING};
use super::queries::metadata::{self as queries, FieldRow};
use crate::http::filter_sql::{Asker, Field, Kind, push_filter};
use crate::http::list::ListQuery;
use crate::http::problem::shortened;
use crate::security::{Principal, audit, permission};

/// Most metadata fields that there may be.
const MAX_FIELDS: usize = 500;
/// Most fields of one deletion.
const MAX_DELETED: usize = 100;
/// Users of a field are counted up to here.
const MAX_COUNTED: i64 = 10_000;
/// Most characters of the texts of a field (operator contract, 8.6).
const MAX_NAME: usize = 256;
const MAX_DESCRIPTION: usize = 1_024;
const MAX_HINT: usize = 128;
const MAX_VALIDATION: usize = 4_000;
const MAX_MESSAGE: usize = 1_024;
const MAX_OPTIONS: usize = 4_000;
const MAX_DEFAULT: usize = 100;

/// Names of types, by number from 1.
const TYPES: [&str; 7] = ["String", "Integer", "Date", "Boolean", "MultipleChoice", "BigText", "Email"];
/// Names of what enrollment makes of a field, by number from 0.
const ENROLLMENT: [&str; 3] = ["Optional", "Required", "Hidden"];

/// What filters and sort orders of the list may name.
pub(super) const FIELDS: &[Field] = &[
    Field { name: "Id", sql: "id", kind: Kind::Number },
    Field { name: "Name", sql: "name", kind: Kind::Text },
    Field { name: "Description", sql: "description", kind: Kind::Text },
    Field { name: "DataType", sql: "data_type", kind: Kind::Number },
    Field { name: "Enrollment", sql: "enrollment", kind: Kind::Number },
    Field { name: "DisplayOrder", sql: "display_order", kind: Kind::Number },
];

/// Lists the fields, in the order in which they are shown.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    query: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<MetadataField>, i64), Error> {
    caller.require(permission::METADATA_TYPES_READ)?;
    let asker = Asker { name: caller.name(), now };
    let (rows, total) = queries::list(db, query, &asker).await?;
    Ok((rows.into_iter().map(answered).collect(), total))
}

/// Answers one field, by its id or, when the text is no number, by its name.
pub(super) async fn get(
    db: &mut PgConnection,
    caller: &Principal,
    id_or_name: &str,
) -> Result<MetadataField, Error> {
    caller.require(permission::METADATA_TYPES_READ)?;
    let id = id_or_name.parse::<i64>();
    let fields = queries::all(db).await?;
    let found = fields.into_iter().find(|field| match &id {
        Ok(id) => field.id == *id,
        Err(_) => field.name.eq_ignore_ascii_case(id_or_name),
    });
    found.map(answered).ok_or_else(|| Error::FieldNotFound(shortened(id_or_name)))
}

/// Whether a certificate has a value of a field.
pub(super) async fn in_use(db: &mut PgConnection, caller: &Principal, id: i64) -> Result<bool, Error> {
    caller.require(permission::METADATA_TYPES_READ)?;
    let field = find(&queries::all(db).await?, id)?;
    Ok(queries::users(db, &field.name, 1).await? > 0)
}

fn find(fields: &[FieldRow], id: i64) -> Result<FieldRow, Error> {
    let found = fields.iter().find(|field| field.id == id).cloned();
    found.ok_or_else(|| Error::FieldNotFound(id.to_string()))
}

/// Makes a field.
///
/// # Errors
/// What is wrong with a member, [`Error::FieldTaken`], a missing permission.
pub(super) async fn create(
    db: &mut PgConnection,
    caller: &Principal,
    request: WriteMetadataField,
    now: DateTime<Utc>,
) -> Result<MetadataField, Error> {
    caller.require(permission::METADATA_TYPES_MODIFY)?;
    queries::lock(db).await?;
    let fields = queries::all(db).await?;
    if fields.len() >= MAX_FIELDS {
        return Err(Error::InUse(format!("there are {MAX_FIELDS} metadata fields; delete one first")));
    }
    let last = fields.iter().map(|field| field.display_order).max().unwrap_or(-1);
    let before = FieldRow { display_order: last.saturating_add(1), allow_api: true, ..FieldRow::default() };
    let mut new = checked(request, before)?;
    new.id = queries::insert(db, &new, now).await?.ok_or_else(|| Error::FieldTaken(new.name.clone()))?;
    tell(db, caller, audit::Operation::Created, &new, "was made", now).await?;
    Ok(answered(new))
}

/// Changes a field. Its name may change, and certificates follow; its type only while no certificate has a value.
///
/// # Errors
/// What is wrong with a member, [`Error::FieldNotFound`], [`Error::FieldTaken`], [`Error::InUse`], a missing
/// permission.
pub(super) async fn update(
    db: &mut PgConnection,
    caller: &Principal,
    request: WriteMetadataField,
    now: DateTime<Utc>,
) -> Result<MetadataField, Error> {
    caller.require(permission::METADATA_TYPES_MODIFY)?;
    let required = || Error::Invalid { member: "Id", reason: "it is required".to_owned() };
    let id = request.id.filter(|id| *id != 0).ok_or_else(required)?;
    queries::lock(db).await?;
    let mut fields = queries::all(db).await?;
    let before = find(&fields, id)?;
    let after = checked(request, before.clone())?;
    if fields.iter().any(|other| other.id != id && other.name.eq_ignore_ascii_case(&after.name)) {
        return Err(Error::FieldTaken(after.name));
    }
    let used = queries::users(db, &before.name, MAX_COUNTED + 1).await?;
    if after.data_type != before.data_type && used > 0 {
        let reason = format!("DataType: {} have a value of this field; clear them first", counted(used));
        return Err(Error::InUse(reason));
    }
    fields.iter_mut().filter(|field| field.id == id).for_each(|field| *field = after.clone());
    require_queries_work(db, caller, &fields, now).await?;
    queries::update(db, &after).await?;
    if after.name != before.name && used > 0 {
        queries::rename_everywhere(db, &before.name, &after.name).await?;
    }
    tell(db, caller, audit::Operation::Updated, &after, "was changed", now).await?;
    Ok(answered(after))
}

/// Deletes fields, all or none. Where certificates have values, `force` takes these away.
///
/// # Errors
/// [`Error::FieldNotFound`], [`Error::InUse`], a missing permission.
pub(super) async fn delete(
    db: &mut PgConnection,
    caller: &Principal,
    mut ids: Vec<i64>,
    force: bool,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    caller.require(permission::METADATA_TYPES_MODIFY)?;
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() || ids.len() > MAX_DELETED {
        let reason = format!("expected a list of 1 to {MAX_DELETED} ids");
        return Err(Error::Invalid { member: "the body", reason });
    }
    queries::lock(db).await?;
    let fields = queries::all(db).await?;
    let deleted = ids.iter().map(|id| find(&fields, *id)).collect::<Result<Vec<_>, _>>()?;
    if !force {
        for field in &deleted {
            let used = queries::users(db, &field.name, MAX_COUNTED + 1).await?;
            if used > 0 {
                let who = counted(used);
                let reason = format!(
                    "the metadata field '{}' is in use: {who} have a value of it; clear them, or call with force=true",
                    field.name
                );
                return Err(Error::InUse(reason));
            }
        }
    }
    let kept: Vec<FieldRow> = fields.into_iter().filter(|field| !ids.contains(&field.id)).collect();
    require_queries_work(db, caller, &kept, now).await?;
    let names: Vec<String> = deleted.iter().map(|field| field.name.clone()).collect();
    queries::clear_everywhere(db, &names).await?;
    queries::delete(db, &ids).await?;
    for field in &deleted {
        tell(db, caller, audit::Operation::Deleted, field, "was deleted", now).await?;
    }
    Ok(())
}

fn counted(users: i64) -> String {
    match users {
        1 => "1 certificate".to_owned(),
        users if users > MAX_COUNTED => format!("more than {MAX_COUNTED} certificates"),
        users => format!("{users} certificates"),
    }
}

/// Refuses fields with which the query of a collection would not run any more.
async fn require_queries_work(
    db: &mut PgConnection,
    caller: &Principal,
    fields: &[FieldRow],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let known = Known::of(fields);
    let (fields, asker) = (known.fields(), Asker { name: caller.name(), now });
    for (name, query) in queries::queries(db).await? {
        let mut sql = QueryBuilder::<Postgres>::new("");
        if let Err(failure) = push_filter(&mut sql, &fields, Some(&query), &asker) {
            let reason = format!(
                "the collection '{name}' uses the metadata field; change its query first ({})",
                failure.message()
            );
            return Err(Error::InUse(reason));
        }
    }
    Ok(())
}

async fn tell(
    db: &mut PgConnection,
    caller: &Principal,
    operation: audit::Operation,
    field: &FieldRow,
    done: &str,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let message = format!("metadata field '{}' {done}", field.name);
    let line = audit::Line::new(caller, operation, "MetadataField", field.id, message);
    Ok(audit::record(db, &[line], now).await?)
}

/// What a field becomes. Texts that are not given are none afterwards; places and flags stay as they were.
fn checked(request: WriteMetadataField, before: FieldRow) -> Result<FieldRow, Error> {
    let invalid = |member, reason: String| Error::Invalid { member, reason };
    let required = |member| Error::Invalid { member, reason: "it is required".to_owned() };
    let name = request.name.ok_or_else(|| required("Name"))?;
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    if name.len() > MAX_NAME || !name.chars().all(allowed) {
        return Err(invalid("Name", format!("expected 1 to {MAX_NAME} letters, digits, '-' and '_'")));
    }
    if fields::is_built_in(&name) || ["AND", "OR", "NOT", "NULL"].contains(&name.to_uppercase().as_str()) {
        return Err(invalid("Name", "the query language has another meaning for this name".to_owned()));
    }
    let description = bounded("Description", request.description, MAX_DESCRIPTION)?;
    let data_type = number("DataType", request.data_type.as_deref(), &TYPES, 1)?;
    let enrollment = match request.enrollment.as_deref() {
        None => before.enrollment,
        given => number("Enrollment", given, &ENROLLMENT, 0)?,
    };
    let field = FieldRow {
        id: before.id,
        description: description.ok_or_else(|| required("Description"))?,
        data_type,
        hint: bounded("Hint", request.hint, MAX_HINT)?,
        validation: bounded("Validation", request.validation, MAX_VALIDATION)?,
        enrollment,
        message: bounded("Message", request.message, MAX_MESSAGE)?,
        // Clients send choices along with other types, where they mean nothing.
        options: bounded("Options", request.options, MAX_OPTIONS)?.filter(|_| data_type == MULTIPLE_CHOICE),
        default_value: bounded("DefaultValue", request.default_value, MAX_DEFAULT)?,
        display_order: request.display_order.unwrap_or(before.display_order),
        allow_api: request.allow_api.unwrap_or(before.allow_api),
        explicit_update: request.explicit_update.unwrap_or(before.explicit_update),
        name,
    };
    if data_type == MULTIPLE_CHOICE
        && metadata_value::choices(field.options.as_deref().unwrap_or_default()).is_empty()
    {
        return Err(invalid("Options", "type MultipleChoice needs choices, with commas between".to_owned()));
    }
    if let Some(pattern) = &field.validation {
        if data_type != STRING {
            return Err(invalid("Validation", "only type String has a regular expression".to_owned()));
        }
        metadata_value::compile(pattern).map_err(|reason| invalid("Validation", reason))?;
    }
    if let Some(value) = &field.default_value {
        let fits = metadata_value::checked(&field, &Value::String(value.clone()));
        fits.map_err(|reason| invalid("DefaultValue", reason))?;
    }
    Ok(field)
}

fn bounded(member: &'static str, text: Option<String>, most: usize) -> Result<Option<String>, Error> {
    let text = text.filter(|text| !text.trim().is_empty());
    match text.as_deref().is_some_and(|text| text.chars().count() > most || text.contains('\0')) {
        true => Err(Error::Invalid { member, reason: format!("expected at most {most} characters") }),
        false => Ok(text),
    }
}

/// A number that was given as one or by its name.
fn number(member: &'static str, given: Option<&str>, names: &[&str], first: i16) -> Result<i16, Error> {
    let refuse = || {
        let last = usize::try_from(first).unwrap_or(0) + names.len() - 1;
        let reason = format!("expected {first} to {last}, or one of {}", names.join(", "));
        Error::Invalid { member, reason }
    };
    let given = given.map(str::trim).ok_or_else(refuse)?;
    let position = names.iter().position(|name| name.eq_ignore_ascii_case(given));
    let number = match position.map(i16::try_from) {
        Some(Ok(position)) => position + first,
        _ => given.parse().map_err(|_| refuse())?,
    };
    let position = number.checked_sub(first).and_then(|position| usize::try_from(position).ok());
    position.filter(|position| *position < names.len()).map(|_| number).ok_or_else(refuse)
}

fn answered(row: FieldRow) -> MetadataField {
    MetadataField {
        id: row.id,
        name: row.name,
        description: row.description,
        data_type: row.data_type.into(),
        hint: row.hint,
        validation: row.validation,
        enrollment: row.enrollment.into(),
        message: row.message,
        options: row.options,
        default_value: row.default_value,
        display_order: row.display_order,
        allow_api: row.allow_api,
        explicit_update: row.explicit_update,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> WriteMetadataField {
        let text = |text: &str| Some(text.to_owned());
        WriteMetadataField {
            name: text("Owner"),
            description: text("Who answers for it"),
            data_type: text("1"),
            ..WriteMetadataField::default()
        }
    }

    fn refusal(change: impl FnOnce(&mut WriteMetadataField)) -> String {
        let mut request = request();
        change(&mut request);
        checked(request, FieldRow::default()).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn types_are_read_by_number_and_name() {
        for (given, expected) in [("3", 3), ("date", 3), ("MultipleChoice", 5), (" 7 ", 7)] {
            assert_eq!(number("DataType", Some(given), &TYPES, 1).unwrap(), expected);
        }
        for given in ["0", "8", "-1", "32767", "-32768", "Text", ""] {
            assert!(number("DataType", Some(given), &TYPES, 1).is_err(), "{given}");
        }
    }

    #[test]
    fn each_refusal_names_its_member() {
        let text = |text: &str| Some(text.to_owned());
        let refusals = [
            ("Name: ", refusal(|field| field.name = None)),
            ("Name: ", refusal(|field| field.name = text("Cost center"))),
            ("Name: ", refusal(|field| field.name = text("o'); --"))),
            ("Name: ", refusal(|field| field.name = text("issuedcn"))),
            ("Name: ", refusal(|field| field.name = text("not"))),
            ("Description: ", refusal(|field| field.description = None)),
            ("Description: ", refusal(|field| field.description = Some("x".repeat(1_025)))),
            ("DataType: ", refusal(|field| field.data_type = None)),
            ("Enrollment: ", refusal(|field| field.enrollment = text("3"))),
            ("Options: ", refusal(|field| field.data_type = text("5"))),
            ("Validation: ", refusal(|field| field.validation = text("("))),
            (
                "Validation: ",
                refusal(|field| {
                    field.data_type = text("2");
                    field.validation = text("^1$");
                }),
            ),
            (
                "DefaultValue: ",
                refusal(|field| {
                    field.data_type = text("Integer");
                    field.default_value = text("many");
                }),
            ),
        ];
        for (member, refusal) in refusals {
            assert!(refusal.starts_with(member), "{member}: {refusal}");
        }
        assert_eq!(refusal(|_| {}), "");
    }
}
