//! Store properties: the JSON object inside a string, matched to the type's definitions, secrets apart
//! (operator contract, chapter 3.4).

use std::collections::BTreeMap;

use sealift_protocol::operator::certificate_stores::MaskedSecret;
use sealift_protocol::{Secret, StoreId};
use serde_json::{Map, Value};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::certificate_stores::error::Error;
use crate::certificate_stores::store_type::TypeRow;
use crate::certificate_stores::store_type::definition::{Definition, Kind, find};
use crate::floor::Floor;
use crate::sealing::Place;

/// Most properties of a store.
const MAX_PROPERTIES: usize = 100;

/// A secret as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GivenSecret {
    /// The secret itself.
    New(Secret),
    /// Its mask, or the GUID that stands for it: what is stored stays.
    Kept,
}

/// Properties as they were sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Given {
    /// Name to text.
    pub(super) plain: Map<String, Value>,
    /// Secret ones by name.
    pub(super) secrets: BTreeMap<String, GivenSecret>,
}

/// What is stored of secret properties: the GUIDs that stand for them, and the sealed object.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) guids: Value,
    pub(super) sealed: Option<Vec<u8>>,
}

impl Default for Held {
    fn default() -> Self {
        Self { guids: Value::Object(Map::new()), sealed: None }
    }
}

/// Reads the JSON object inside the string and matches it to the type's definitions.
///
/// # Errors
/// [`Error::Invalid`] names the property.
pub(super) fn read(store_type: &TypeRow, text: Option<&str>, held: &Held) -> Result<Given, Error> {
    let invalid = |reason: String| Error::Invalid(format!("Properties: {reason}"));
    let members: BTreeMap<String, Value> = match text {
        None => BTreeMap::new(),
        Some(text) => serde_json::from_str(text).map_err(|_| {
            invalid(
                "must be a JSON object inside a string, such as \"{\\\"Name\\\":\\\"value\\\"}\"".to_owned(),
            )
        })?,
    };
    if members.len() > MAX_PROPERTIES {
        return Err(invalid(format!("more than {MAX_PROPERTIES}")));
    }
    let definitions = store_type.definitions();
    let mut given = Given::default();
    for (name, value) in members {
        let known = find(&definitions, &name).ok_or_else(|| {
            let names: Vec<_> = definitions.iter().map(|definition| definition.name.as_str()).collect();
            let name: String = name.chars().take(64).collect();
            let (kind, names) = (&store_type.short_name, names.join(", "));
            invalid(format!("'{name}' is no property of type {kind}; it has {names}"))
        })?;
        let Some(text) = unwrapped(&known.name, value).map_err(invalid)? else { continue };
        if known.kind == Kind::Secret {
            given.secrets.insert(known.name.clone(), secret(known, text, held).map_err(invalid)?);
        } else {
            known.check(&text).map_err(invalid)?;
            given.plain.insert(known.name.clone(), Value::String(text));
        }
    }
    require(store_type, &definitions, &given)?;
    Ok(given)
}

/// Refuses when a required property is missing that has a meaning beside the others.
fn require(store_type: &TypeRow, definitions: &[Definition], given: &Given) -> Result<(), Error> {
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    let mut texts: BTreeMap<String, String> = given.plain.iter().filter_map(text).collect();
    // What depends on a secret depends on whether there is one.
    texts.extend(given.secrets.keys().map(|name| (name.clone(), "given".to_owned())));
    let absent = definitions.iter().find(|known| {
        known.is_required() && !texts.contains_key(&known.name) && known.applies(definitions, &texts)
    });
    match absent {
        None => Ok(()),
        Some(absent) => {
            let (name, kind) = (&absent.name, &store_type.short_name);
            Err(Error::Invalid(format!("Properties: {name} is required by type {kind}")))
        }
    }
}

/// The text in a value: plain, or wrapped as `{"value": ...}` or `{"SecretValue": ...}`, once or twice, in any case.
fn unwrapped(name: &str, mut value: Value) -> Result<Option<String>, String> {
    for _ in 0..3 {
        let Value::Object(members) = value else { break };
        let mut inner = Value::Null;
        for (member, content) in members {
            match member.to_ascii_lowercase().as_str() {
                "value" | "secretvalue" if inner.is_null() => inner = content,
                "provider" | "providerid" if content.as_i64().is_some_and(|provider| provider != 0) => {
                    return Err(format!(
                        "{name}: secrets in outside providers are not supported; send SecretValue"
                    ));
                }
                _ => {}
            }
        }
        value = inner;
    }
    match value {
        Value::Null => Ok(None),
        // Empty text counts as not given.
        Value::String(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        _ => Err(format!("{name} must be a text")),
    }
}

fn secret(known: &Definition, text: String, held: &Held) -> Result<GivenSecret, String> {
    let guid = held.guids[&known.name].as_str();
    let mask = text == MaskedSecret::MASK;
    if mask || guid.is_some_and(|guid| guid.eq_ignore_ascii_case(&text)) {
        return match guid {
            Some(_) => Ok(GivenSecret::Kept),
            None => Err(format!("{} holds the mask of a secret; send the secret itself", known.name)),
        };
    }
    known.check(&text)?;
    Ok(GivenSecret::New(Secret::new(text)))
}

fn place(store: &StoreId) -> Place<'_> {
    Place { table: "certificate_stores", row: store, column: "sealed_properties" }
}

/// Opens the secret properties of a store.
pub(in crate::certificate_stores) fn open(
    floor: &Floor,
    store: StoreId,
    sealed: Option<&[u8]>,
) -> Result<BTreeMap<String, Secret>, crate::sealing::Error> {
    let Some(sealed) = sealed else { return Ok(BTreeMap::new()) };
    let text = floor.sealing.open_text(place(&store), sealed)?;
    Ok(serde_json::from_str(text.expose()).unwrap_or_default())
}

/// Seals what was given together with what is kept.
pub(super) fn seal(floor: &Floor, store: StoreId, given: &Given, held: &Held) -> Result<Held, Error> {
    let mut stored = open(floor, store, held.sealed.as_deref())?;
    let mut guids = Map::new();
    let mut secrets: BTreeMap<&String, Secret> = BTreeMap::new();
    for (name, secret) in &given.secrets {
        let (secret, guid) = match secret {
            GivenSecret::New(secret) => (Some(secret.clone()), None),
            GivenSecret::Kept => (stored.remove(name), held.guids[name].as_str()),
        };
        let Some(secret) = secret else { continue };
        let guid = guid.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
        guids.insert(name.clone(), Value::String(guid));
        secrets.insert(name, secret);
    }
    let sealed = match secrets.is_empty() {
        true => None,
        false => {
            let text = serde_json::to_vec(&secrets).map(Zeroizing::new);
            let text = text.map_err(|_| Error::Invalid("Properties cannot be kept".to_owned()))?;
            Some(floor.sealing.seal(place(&store), &text)?)
        }
    };
    Ok(Held { guids: Value::Object(guids), sealed })
}

/// The text of a store's properties in an answer; secrets as their GUIDs, or by id as masked objects.
pub(in crate::certificate_stores) fn shown(properties: &Value, guids: &Value, by_id: bool) -> String {
    let mut all = match properties {
        Value::Object(members) => members.clone(),
        _ => Map::new(),
    };
    for (name, guid) in guids.as_object().into_iter().flatten() {
        let value = match by_id {
            true => serde_json::to_value(MaskedSecret::new(true)).unwrap_or_default(),
            false => guid.clone(),
        };
        all.insert(name.clone(), value);
    }
    Value::Object(all).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::certificate_stores::store_type::tests::store_type;

    fn given(text: &str, held: &Held) -> Result<Given, String> {
        let definitions = json!([
            {"Name": "KeyPath", "Type": "String", "Required": true},
            {"Name": "Chain", "Type": "Bool", "DefaultValue": "true", "Required": false},
            {"Name": "Mode", "Type": "MultipleChoice", "DefaultValue": "a,b", "Required": false},
            {"Name": "Login", "Type": "Secret", "Required": false},
            {"Name": "Node", "Type": "String", "DependsOn": "Primary", "Required": true},
            {"Name": "Primary", "Type": "Bool", "Required": false}]);
        let store_type = TypeRow { properties: definitions, ..store_type() };
        read(&store_type, Some(text), held).map_err(|error| error.to_string())
    }

    #[test]
    fn properties_are_matched_to_the_type() {
        let read = |text: &str| given(text, &Held::default());
        let plain = read(r#"{"keypath":"/a","Chain":{"value":"false"},"mode":"B","login":""}"#).unwrap();
        assert_eq!(Value::Object(plain.plain), json!({"KeyPath": "/a", "Chain": "false", "Mode": "B"}));
        assert!(plain.secrets.is_empty());
        for (text, reason) in [
            ("[]", "JSON object"),
            ("{}", "KeyPath is required"),
            (r#"{"KeyPath":"a","Color":"x"}"#, "'Color' is no property"),
            (r#"{"KeyPath":"a","Chain":"maybe"}"#, "true or false"),
            (r#"{"KeyPath":"a","Mode":"c"}"#, "one of a,b"),
            (r#"{"KeyPath":"a\nb"}"#, "control characters"),
            (r#"{"KeyPath":"a","Primary":true}"#, "Node is required"),
            (r#"{"KeyPath":["a"]}"#, "KeyPath must be a text"),
            (r#"{"KeyPath":"a","Login":{"value":{"Provider":9}}}"#, "outside providers"),
            (r#"{"KeyPath":"a","Login":"********************"}"#, "mask"),
        ] {
            assert!(read(text).unwrap_err().contains(reason), "{text}");
        }
    }

    #[test]
    fn secrets_are_told_from_their_masks() {
        let guid = Uuid::new_v4().to_string();
        let held = Held { guids: json!({"Login": guid}), sealed: None };
        let read = |login: Value| {
            let text = json!({"KeyPath": "/a", "Login": login}).to_string();
            given(&text, &held).unwrap().secrets["Login"].clone()
        };
        assert_eq!(read(json!({"Value": {"SecretValue": "x"}})), GivenSecret::New(Secret::new("x")));
        assert_eq!(read(json!("x")), GivenSecret::New(Secret::new("x")));
        for kept in
            [json!(guid), json!(MaskedSecret::MASK), serde_json::to_value(MaskedSecret::new(true)).unwrap()]
        {
            assert_eq!(read(kept), GivenSecret::Kept);
        }
    }
}
