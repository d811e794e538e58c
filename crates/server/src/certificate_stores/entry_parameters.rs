//! Entry parameters: what a call says of one entry, matched to the definitions of the store's type
//! (operator contract, chapters 4.1 and 6.8).

use std::collections::BTreeMap;

use sealift_protocol::Secret;
use serde_json::Value;

use super::error::Error;
use super::store_type::definition::{Definition, Kind, find};
use super::target::StoreFacts;

/// Most values of one target.
const MAX_FIELDS: usize = 50;

/// What the parameters are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// An addition, with a private key or without.
    Add { private_key: bool },
    /// A removal.
    Remove,
    /// A reenrollment.
    Reenrollment,
}

/// Values under their declared names.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) plain: BTreeMap<String, String>,
    pub(super) secrets: BTreeMap<String, Secret>,
}

/// Matches values to the declared parameters, whatever the case of their names. What is not given is taken from
/// `known`, what the last inventory said of the entry; then from the type's default, unless it is required: a value
/// that decides where a certificate goes is said by someone, not guessed.
///
/// # Errors
/// [`Error::Invalid`] names the parameter.
pub(super) fn read(
    store: &StoreFacts,
    member: &str,
    given: &BTreeMap<String, Value>,
    known: Option<&Value>,
    occasion: Occasion,
) -> Result<Fields, Error> {
    let invalid =
        |reason: String| Error::Invalid(format!("{member} for certificate store {}: {reason}", store.id));
    if given.len() > MAX_FIELDS {
        return Err(invalid(format!("more than {MAX_FIELDS} values")));
    }
    let definitions = Definition::list(&store.entry_parameters);
    let mut fields = Fields::default();
    for (name, value) in given {
        let Some(known) = find(&definitions, name) else {
            let name: String = name.chars().take(64).collect();
            return Err(invalid(format!("'{name}' is no entry parameter of type {}", store.short_name)));
        };
        let text = match value {
            Value::Null => continue,
            Value::String(text) if text.is_empty() => continue,
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            _ => return Err(invalid(format!("{} must be a text", known.name))),
        };
        if let Err(reason) = known.check(&text) {
            return Err(invalid(reason));
        }
        match known.kind {
            Kind::Secret => drop(fields.secrets.insert(known.name.clone(), Secret::new(text))),
            _ => drop(fields.plain.insert(known.name.clone(), text)),
        }
    }
    complete(&definitions, &mut fields, known, occasion).map_err(invalid)?;
    Ok(fields)
}

/// Fills in what is known and what has a default, and refuses when something required is missing.
fn complete(
    definitions: &[Definition],
    fields: &mut Fields,
    known: Option<&Value>,
    occasion: Occasion,
) -> Result<(), String> {
    for definition in definitions.iter().filter(|definition| definition.kind != Kind::Secret) {
        let reported = known.and_then(|known| known[&definition.name].as_str());
        if let Some(reported) = reported.filter(|text| !text.is_empty() && definition.check(text).is_ok()) {
            fields.plain.entry(definition.name.clone()).or_insert_with(|| reported.to_owned());
        }
    }
    for definition in definitions {
        let name = &definition.name;
        let there = fields.plain.contains_key(name) || fields.secrets.contains_key(name);
        if there || !definition.applies(definitions, &fields.plain) {
            continue;
        }
        if definition.required_on(occasion) {
            let occasion = match occasion {
                Occasion::Add { .. } => "an addition",
                Occasion::Remove => "a removal",
                Occasion::Reenrollment => "a reenrollment",
            };
            return Err(format!("{name} is required for {occasion}"));
        }
        if let Some(default) = definition.fallback().filter(|_| definition.kind != Kind::Secret) {
            fields.plain.insert(name.clone(), default.to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::certificate_stores::target::tests::facts;

    fn read_with(given: Value, known: Option<&Value>, occasion: Occasion) -> Result<Fields, String> {
        let required = json!({"OnAdd": true, "OnRemove": true});
        let store = StoreFacts {
            short_name: "IISU".to_owned(),
            entry_parameters: json!([
                {"Name": "SiteName", "Type": "String", "DefaultValue": "Default Web Site", "RequiredWhen": required},
                {"Name": "Port", "Type": "String", "DefaultValue": "443"},
                {"Name": "Protocol", "Type": "MultipleChoice", "DefaultValue": "https", "Options": "https,http"},
                {"Name": "Pin", "Type": "Secret", "RequiredWhen": {"HasPrivateKey": true}}]),
            ..facts()
        };
        let given = serde_json::from_value(given).unwrap();
        read(&store, "JobFields", &given, known, occasion).map_err(|error| error.to_string())
    }

    #[test]
    fn values_get_their_declared_names_and_defaults() {
        let add = Occasion::Add { private_key: false };
        let fields =
            read_with(json!({"siteName": "Intranet", "PORT": 8443, "Protocol": ""}), None, add).unwrap();
        let expected = [("Port", "8443"), ("Protocol", "https"), ("SiteName", "Intranet")];
        assert_eq!(fields.plain, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn what_is_required_depends_on_the_occasion() {
        let add = |private_key| Occasion::Add { private_key };
        for (given, occasion, reason) in [
            (json!({}), add(false), "SiteName is required for an addition"),
            (json!({}), Occasion::Remove, "SiteName is required for a removal"),
            (json!({"SiteName": "a"}), add(true), "Pin is required"),
            (json!({"SiteName": "a", "Protocol": "ftp"}), add(false), "Protocol must be one of https,http"),
            (json!({"Color": "a"}), add(false), "'Color' is no entry parameter of type IISU"),
            (json!({"SiteName": {}}), add(false), "SiteName must be a text"),
        ] {
            let error = read_with(given, None, occasion).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        assert!(read_with(json!({}), None, Occasion::Reenrollment).is_ok());
        let fields = read_with(json!({"SiteName": "a", "Pin": "1234"}), None, add(true)).unwrap();
        assert_eq!(fields.secrets["Pin"].expose(), "1234");
        assert!(!fields.plain.contains_key("Pin"));
    }

    #[test]
    fn a_removal_knows_what_the_inventory_said() {
        let known = json!({"SiteName": "Shop", "Port": "444", "Other": "x"});
        let fields = read_with(json!({"Port": "445"}), Some(&known), Occasion::Remove).unwrap();
        assert_eq!((fields.plain["SiteName"].as_str(), fields.plain["Port"].as_str()), ("Shop", "445"));
        assert!(!fields.plain.contains_key("Other"));
    }
}
