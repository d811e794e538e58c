//! Parameters of custom jobs: their declarations, and values that fit them.

use std::collections::BTreeMap;

use sealift_protocol::operator::custom_jobs::{JobFieldValue, JobTypeField, SaveJobTypeField};
use sealift_protocol::{Secret, Timestamp};
use serde_json::Value;

use crate::http::problem::shortened;
use crate::orchestrator_jobs::error::Error;

/// Most parameters of a type.
const MAX_FIELDS: usize = 50;
/// Longest name of a parameter, in characters.
const MAX_NAME: usize = 100;
/// Longest value, in characters.
const MAX_VALUE: usize = 4_000;
/// What stands for a secret in answers (chapter 3.3).
const MASK: &str = "********************";

/// Kinds of parameters; the names are not confirmed by any source.
const KINDS: [(i32, &str); 5] = [(1, "String"), (2, "Int"), (3, "DateTime"), (4, "Bool"), (SECRET, "Secret")];
const SECRET: i32 = 5;

/// Reads the declarations of a type.
pub(super) fn declarations(given: Vec<SaveJobTypeField>) -> Result<Vec<JobTypeField>, Error> {
    if given.len() > MAX_FIELDS {
        return Err(Error::Invalid(format!("JobTypeFields must be at most {MAX_FIELDS}")));
    }
    let mut fields: Vec<JobTypeField> = Vec::with_capacity(given.len());
    for (index, field) in given.into_iter().enumerate() {
        let field = declaration(field)
            .map_err(|reason| Error::Invalid(format!("JobTypeFields[{index}].{reason}")))?;
        if fields.iter().any(|other| other.name.eq_ignore_ascii_case(&field.name)) {
            let message = format!("JobTypeFields[{index}].Name: '{}' is there twice", shortened(&field.name));
            return Err(Error::Invalid(message));
        }
        fields.push(field);
    }
    Ok(fields)
}

fn declaration(given: SaveJobTypeField) -> Result<JobTypeField, String> {
    let name = given.name.unwrap_or_default().trim().to_owned();
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(format!("Name must be 1 to {MAX_NAME} printable characters"));
    }
    let text = given.kind.unwrap_or_default();
    let kind = KINDS
        .iter()
        .find(|(number, name)| number.to_string() == text.trim() || name.eq_ignore_ascii_case(text.trim()));
    let (kind, _) = kind.ok_or_else(|| {
        format!("Type must be 1 String, 2 Int, 3 DateTime, 4 Bool or 5 Secret, not '{}'", shortened(&text))
    })?;
    let default_value = given.default_value.filter(|value| !value.is_empty());
    if let Some(value) = &default_value {
        if *kind == SECRET {
            return Err("DefaultValue: a secret has none, or it would be readable here".to_owned());
        }
        check(*kind, value).map_err(|reason| format!("DefaultValue {reason}"))?;
    }
    Ok(JobTypeField { name, kind: *kind, default_value, required: given.required })
}

/// The values of one job, secrets apart.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) open: BTreeMap<String, String>,
    pub(super) secret: BTreeMap<String, Secret>,
}

impl Values {
    /// Reads the values that a call gives, under the declared spelling of their names.
    pub(super) fn parse(declared: &[JobTypeField], given: &BTreeMap<String, Value>) -> Result<Self, Error> {
        let refuse = |name: &str, reason: &str| Err(Error::Invalid(format!("JobFields.{name} {reason}")));
        if let Some(unknown) =
            given.keys().find(|name| !declared.iter().any(|field| field.name.eq_ignore_ascii_case(name)))
        {
            return refuse(&shortened(unknown), "is no field of this job type");
        }
        let mut values = Self::default();
        for field in declared {
            let sent: Vec<&Value> = given
                .iter()
                .filter(|(name, _)| field.name.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
                .collect();
            if sent.len() > 1 {
                return refuse(&field.name, "is given twice in different spellings");
            }
            let value = match sent.first() {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text.clone()).filter(|text| !text.is_empty()),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
                Some(_) => return refuse(&field.name, "must be a text"),
            };
            let Some(value) = value.or_else(|| field.default_value.clone()) else {
                if field.required {
                    return refuse(&field.name, "is required");
                }
                continue;
            };
            if let Err(reason) = check(field.kind, &value) {
                return refuse(&field.name, &reason);
            }
            if field.kind == SECRET {
                values.secret.insert(field.name.clone(), Secret::new(value));
            } else {
                values.open.insert(field.name.clone(), value);
            }
        }
        Ok(values)
    }

    /// As an answer shows them.
    pub(super) fn shown(&self) -> Vec<JobFieldValue> {
        let open = self.open.iter().map(|(name, value)| (name, value.as_str()));
        let secret = self.secret.keys().map(|name| (name, MASK));
        open.chain(secret)
            .map(|(name, value)| JobFieldValue { job_type_field: name.clone(), value: value.to_owned() })
            .collect()
    }
}

/// Whether a value is one of its kind.
fn check(kind: i32, value: &str) -> Result<(), String> {
    if value.chars().count() > MAX_VALUE {
        return Err(format!("must be at most {MAX_VALUE} characters"));
    }
    let fits = match kind {
        2 => value.trim().parse::<i64>().is_ok(),
        3 => value.trim().parse::<Timestamp>().is_ok(),
        4 => ["true", "false"].iter().any(|word| value.trim().eq_ignore_ascii_case(word)),
        _ => true,
    };
    match (fits, kind) {
        (true, _) => Ok(()),
        (false, 2) => Err("must be a whole number".to_owned()),
        (false, 3) => Err("must be a time such as 2026-05-04T09:30:00Z".to_owned()),
        (false, _) => Err("must be true or false".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(name: &str, kind: &str, default: Option<&str>, required: bool) -> SaveJobTypeField {
        SaveJobTypeField {
            name: Some(name.to_owned()),
            kind: Some(kind.to_owned()),
            default_value: default.map(str::to_owned),
            required,
        }
    }

    fn declared() -> Vec<JobTypeField> {
        declarations(vec![
            field("Service", "1", None, true),
            field("Port", "int", Some("443"), false),
            field("At", "3", None, false),
            field("Force", "Bool", None, false),
            field("Token", "5", None, false),
        ])
        .unwrap()
    }

    fn given(value: Value) -> BTreeMap<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn values_are_kept_under_the_declared_names_and_secrets_apart() {
        let sent = given(json!({"service": "httpd", "FORCE": true, "token": "canary", "At": ""}));
        let values = Values::parse(&declared(), &sent).unwrap();
        let open: Vec<_> = values.open.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(open, [("Force", "true"), ("Port", "443"), ("Service", "httpd")]);
        assert_eq!(values.secret["Token"].expose(), "canary");
        let shown = serde_json::to_string(&values.shown()).unwrap();
        assert!(!shown.contains("canary") && shown.contains(MASK), "{shown}");
        assert!(!format!("{values:?}").contains("canary"));
    }

    #[test]
    fn values_that_do_not_fit_are_named() {
        for (sent, named) in [
            (json!({}), "JobFields.Service is required"),
            (json!({"Service": "x", "Prot": "1"}), "JobFields.Prot is no field"),
            (json!({"Service": "x", "Port": "https"}), "JobFields.Port must be a whole number"),
            (json!({"Service": "x", "At": "soon"}), "JobFields.At must be a time"),
            (json!({"Service": "x", "Force": "maybe"}), "JobFields.Force must be true or false"),
            (json!({"Service": ["x"]}), "JobFields.Service must be a text"),
            (json!({"Service": "x", "SERVICE": "y"}), "JobFields.Service is given twice"),
            (json!({"Service": "x".repeat(4_001)}), "JobFields.Service must be at most"),
        ] {
            let refusal = Values::parse(&declared(), &given(sent)).unwrap_err().to_string();
            assert!(refusal.starts_with(named), "{refusal}");
        }
    }

    #[test]
    fn declarations_that_make_no_sense_are_named() {
        for (fields, named) in [
            (vec![field("", "1", None, false)], "JobTypeFields[0].Name"),
            (vec![field("A", "6", None, false)], "JobTypeFields[0].Type"),
            (vec![field("A", "", None, false)], "JobTypeFields[0].Type"),
            (vec![field("A", "2", Some("x"), false)], "JobTypeFields[0].DefaultValue must be a whole"),
            (vec![field("A", "5", Some("x"), false)], "JobTypeFields[0].DefaultValue: a secret"),
            (vec![field("A", "1", None, false), field("a", "1", None, false)], "JobTypeFields[1].Name"),
        ] {
            let refusal = declarations(fields).unwrap_err().to_string();
            assert!(refusal.starts_with(named), "{refusal}");
        }
        assert!(declarations(vec![field("A", "1", None, false); MAX_FIELDS + 1]).is_err());
    }
}
