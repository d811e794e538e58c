//! Metadata of certificates: values of the fields that operators defined (operator contract, 8.2).

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use sealift_protocol::operator::certificates::{MetadataChange, UpdateAllMetadata, UpdateMetadata};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::error::Error;
use super::metadata_value::{MAX_VALUES, checked};
use super::queries::changes;
use super::queries::metadata::{self, FieldRow};
use super::search::{self, Chosen};
use super::supply;
use crate::http::list::ListQuery;
use crate::http::problem::shortened;
use crate::security::{Principal, audit, permission};

/// Most certificates whose metadata one call changes.
const MAX_CERTIFICATES: usize = 10_000;

/// A field that every enrollment must tell (operator contract, 3.5).
const REQUIRED: i16 = 1;

/// What becomes of metadata: field to text.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Changes {
    /// Set where nothing is there.
    added: BTreeMap<String, String>,
    /// Set whatever is there.
    replaced: BTreeMap<String, String>,
    /// Taken away.
    cleared: Vec<String>,
}

impl Changes {
    /// Whether nothing changes.
    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.replaced.is_empty() && self.cleared.is_empty()
    }

    /// The fields that change, for the audit log. Their values stay out of it.
    fn names(&self) -> String {
        let names = self.added.keys().chain(self.replaced.keys()).chain(&self.cleared);
        names.map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// Checks values against the fields that operators defined.
///
/// # Errors
/// [`Error::InvalidPart`] that names the field.
pub(super) async fn admit(db: &mut PgConnection, given: BTreeMap<String, Value>) -> Result<Changes, Error> {
    if given.is_empty() {
        return Ok(Changes::default());
    }
    let fields = metadata::all(db).await?;
    decide(&fields, given.into_iter().map(|(name, value)| (name, value, true)), |name| {
        format!("Metadata.{}", shortened(name))
    })
}

/// The metadata of a certificate that is about to be made: checked values under the fields' own names, and the defaults
/// of required fields that are left out.
///
/// # Errors
/// [`Error::InvalidPart`] that names the field, also for a required one without a value.
pub(crate) async fn metadata_of_new(
    db: &mut PgConnection,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Error> {
    complete(&metadata::all(db).await?, given)
}

fn complete(
    fields: &[FieldRow],
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Error> {
    let member = |name: &str| format!("Metadata.{}", shortened(name));
    let values = given.iter().map(|(name, text)| (name.clone(), Value::String(text.clone()), true));
    let mut metadata = decide(fields, values, member)?.replaced;
    for field in fields.iter().filter(|field| field.enrollment == REQUIRED) {
        if metadata.contains_key(&field.name) {
            continue;
        }
        let default = field.default_value.clone().map(Value::String);
        let Some(default) = default.and_then(|default| checked(field, &default).ok().flatten()) else {
            let reason = "this metadata field is required".to_owned();
            return Err(Error::InvalidPart { member: member(&field.name), reason });
        };
        metadata.insert(field.name.clone(), default);
    }
    Ok(metadata)
}

/// Sorts checked values into what is set and what is taken away.
fn decide(
    fields: &[FieldRow],
    given: impl Iterator<Item = (String, Value, bool)>,
    member: impl Fn(&str) -> String,
) -> Result<Changes, Error> {
    let mut changes = Changes::default();
    let mut seen: Vec<i64> = Vec::new();
    for (name, value, overwrite) in given {
        let refuse = |reason: &str| Error::InvalidPart { member: member(&name), reason: reason.to_owned() };
        let field = fields.iter().find(|field| field.name.eq_ignore_ascii_case(&name));
        let field = field.ok_or_else(|| refuse("there is no metadata field of this name"))?;
        if !field.allow_api {
            return Err(refuse("this metadata field may not be changed through the API"));
        }
        if seen.contains(&field.id) {
            return Err(refuse("this metadata field is named twice"));
        }
        seen.push(field.id);
        if seen.len() > MAX_VALUES {
            return Err(refuse(&format!("at most {MAX_VALUES} fields fit in one call")));
        }
        match checked(field, &value).map_err(|reason| refuse(&reason))? {
            Some(text) if overwrite => drop(changes.replaced.insert(field.name.clone(), text)),
            Some(text) => drop(changes.added.insert(field.name.clone(), text)),
            // Clearing without leave to overwrite changes nothing.
            None if overwrite => changes.cleared.push(field.name.clone()),
            None => {}
        }
    }
    Ok(changes)
}

/// Writes checked values; answers the certificates that there are.
pub(super) async fn write(db: &mut PgConnection, ids: &[i64], changes: &Changes) -> Result<Vec<i64>, Error> {
    let (added, replaced) = (json!(changes.added), json!(changes.replaced));
    Ok(changes::change_metadata(db, ids, &added, &replaced, &changes.cleared).await?)
}

async fn write_and_tell(
    db: &mut PgConnection,
    caller: &Principal,
    ids: &[i64],
    changes: &Changes,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let written: HashSet<i64> = write(db, ids, changes).await?.into_iter().collect();
    if let Some(missing) = ids.iter().find(|id| !written.contains(id)) {
        return Err(Error::NotFound(missing.to_string()));
    }
    let message = format!("metadata was changed: {}", changes.names());
    let line =
        |id: &i64| audit::Line::new(caller, audit::Operation::Updated, "Certificate", id, message.clone());
    audit::record(db, &ids.iter().map(line).collect::<Vec<_>>(), now).await?;
    Ok(())
}

/// Changes the metadata of one certificate.
///
/// # Errors
/// What is wrong with a member, [`Error::NotFound`], a missing permission.
pub(super) async fn update(
    db: &mut PgConnection,
    caller: &Principal,
    request: UpdateMetadata,
    collection_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let given = |id: Option<i64>| id.filter(|id| *id != 0);
    let collection_id = collection_id.or(given(request.collection_id));
    let id = given(request.id).or(given(request.certificate_id));
    let id = id.ok_or_else(|| Error::Invalid { member: "Id", reason: "it is required".to_owned() })?;
    let permission = permission::CERTIFICATES_METADATA;
    supply::require_each(db, caller, permission, &[id], collection_id, now).await?;
    let changes = admit(db, request.metadata).await?;
    if changes.is_empty() {
        return Err(Error::Invalid { member: "Metadata", reason: "it names no field to change".to_owned() });
    }
    write_and_tell(db, caller, &[id], &changes, now).await
}

/// Changes the metadata of many certificates, all or none: those of a list, or those that match.
///
/// # Errors
/// What is wrong with a member, [`Error::NotFound`], a missing permission.
pub(super) async fn update_all(
    db: &mut PgConnection,
    caller: &Principal,
    request: UpdateAllMetadata,
    collection_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let invalid = |member, reason: String| Error::Invalid { member, reason };
    let permission = permission::CERTIFICATES_METADATA;
    let collection_id = collection_id.or(request.collection_id.filter(|id| *id != 0));
    let ids = match (&request.query, request.certificate_ids.is_empty()) {
        (Some(_), false) => {
            return Err(invalid("Query", "give it or CertificateIds, not both".to_owned()));
        }
        (query, true) => {
            let query = query.as_deref();
            let limit = MAX_CERTIFICATES;
            let chosen = Chosen { permission, query, collection_id, revoked: true, expired: true, limit };
            search::choose(db, caller, &chosen, now).await?
        }
        (None, false) => {
            let mut ids = request.certificate_ids;
            ids.sort_unstable();
            ids.dedup();
            if ids.len() > MAX_CERTIFICATES {
                let reason = format!("expected at most {MAX_CERTIFICATES} certificates");
                return Err(invalid("CertificateIds", reason));
            }
            supply::require_each(db, caller, permission, &ids, collection_id, now).await?;
            ids
        }
    };
    let fields = metadata::all(db).await?;
    let changes = decide(&fields, named(request.metadata)?.into_iter(), |name| {
        format!("Metadata, field '{}'", shortened(name))
    })?;
    if changes.is_empty() {
        return Err(invalid("Metadata", "it names no field to change".to_owned()));
    }
    write_and_tell(db, caller, &ids, &changes, now).await
}

fn named(given: Vec<MetadataChange>) -> Result<Vec<(String, Value, bool)>, Error> {
    let name = |(index, change): (usize, MetadataChange)| match change.metadata_name {
        Some(name) => Ok((name, change.value, change.overwrite_existing)),
        None => {
            let member = format!("Metadata[{index}].MetadataName");
            Err(Error::InvalidPart { member, reason: "it is required".to_owned() })
        }
    };
    given.into_iter().enumerate().map(name).collect()
}

/// Whether a certificate has this value of a metadata field.
///
/// # Errors
/// A parameter that is missing, [`Error::FieldNotFound`], [`Error::NotFound`], a missing permission.
pub(super) async fn compare(
    db: &mut PgConnection,
    caller: &Principal,
    query: &ListQuery,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let required = |member| Error::Invalid { member, reason: "it is required".to_owned() };
    let id = query.number("certificateId")?.ok_or_else(|| required("certificateId"))?;
    supply::require_readable(db, caller, id, search::collection_id(query)?, now).await?;
    let name = query.parameter("metadataFieldName").ok_or_else(|| required("metadataFieldName"))?;
    let value = query.parameter("value").ok_or_else(|| required("value"))?;
    let fields = metadata::all(db).await?;
    let field = fields.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    let field = field.ok_or_else(|| Error::FieldNotFound(shortened(name)))?;
    let mut found = changes::metadata_of(db, &[id]).await?;
    let (_, metadata) = found.pop().ok_or_else(|| Error::NotFound(id.to_string()))?;
    // What is no value of the field equals none.
    let value = checked(field, &Value::String(value.to_owned())).unwrap_or_default();
    Ok(value.is_some() && metadata[&field.name].as_str() == value.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Vec<FieldRow> {
        let field = |id, name: &str, data_type, allow_api| FieldRow {
            id,
            name: name.to_owned(),
            data_type,
            allow_api,
            ..FieldRow::default()
        };
        vec![field(1, "Owner", 1, true), field(2, "Seats", 2, true), field(3, "Locked", 1, false)]
    }

    fn run(given: &[(&str, Value, bool)]) -> Result<Changes, String> {
        let given =
            given.iter().map(|(name, value, overwrite)| ((*name).to_owned(), value.clone(), *overwrite));
        decide(&fields(), given, |name| format!("Metadata.{name}")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_new_certificate_has_what_is_required() {
        let field = |name: &str, enrollment, default: Option<&str>| FieldRow {
            id: i64::from(enrollment) + 10 * i64::from(default.is_some()),
            name: name.to_owned(),
            data_type: 1,
            enrollment,
            default_value: default.map(str::to_owned),
            allow_api: true,
            ..FieldRow::default()
        };
        let fields =
            [field("Owner", REQUIRED, None), field("Zone", REQUIRED, Some("inside")), field("Note", 0, None)];
        let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let read = |given: &[(&str, &str)]| complete(&fields, &pairs(given));
        assert_eq!(read(&[("owner", "web")]).unwrap(), pairs(&[("Owner", "web"), ("Zone", "inside")]));
        for (given, member) in
            [(&[][..], "Metadata.Owner: "), (&[("Owner", "a"), ("Color", "b")], "Metadata.Color: ")]
        {
            assert!(read(given).unwrap_err().to_string().starts_with(member), "{member}");
        }
    }

    #[test]
    fn values_are_set_added_or_cleared_under_the_declared_name() {
        let changes = run(&[("owner", json!("web"), true), ("SEATS", json!(7), false)]).unwrap();
        assert_eq!(changes.replaced, BTreeMap::from([("Owner".to_owned(), "web".to_owned())]));
        assert_eq!(changes.added, BTreeMap::from([("Seats".to_owned(), "7".to_owned())]));
        let changes = run(&[("Owner", json!(""), true), ("Seats", Value::Null, false)]).unwrap();
        assert_eq!((changes.cleared, changes.added.len()), (vec!["Owner".to_owned()], 0));
    }

    #[test]
    fn each_refusal_names_the_field() {
        for (given, name) in [
            (vec![("Unknown", json!("x"), true)], "Metadata.Unknown: "),
            (vec![("Seats", json!("many"), true)], "Metadata.Seats: "),
            (vec![("Locked", json!("x"), true)], "Metadata.Locked: "),
            (vec![("Owner", json!("a"), true), ("owner", json!("b"), true)], "Metadata.owner: "),
        ] {
            let refused = run(&given).unwrap_err();
            assert!(refused.starts_with(name), "{refused}");
        }
    }
}
