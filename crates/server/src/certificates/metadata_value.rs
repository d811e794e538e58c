//! Whether a value fits a metadata field, and the one form in which it is kept.

use chrono::NaiveDate;
use regex::{Regex, RegexBuilder};
use sealift_protocol::Timestamp;
use serde_json::Value;

use super::queries::metadata::FieldRow;

/// Most fields of one call.
pub(super) const MAX_VALUES: usize = 100;
/// Most characters of a value.
const MAX_VALUE: usize = 4_000;
/// Largest compiled form of a regular expression, in bytes. The engine takes time in proportion to its input.
const MAX_REGEX: usize = 256 * 1024;

/// Types of fields, by number.
pub(super) const STRING: i16 = 1;
const INTEGER: i16 = 2;
const DATE: i16 = 3;
const BOOLEAN: i16 = 4;
/// One of some choices.
pub(super) const MULTIPLE_CHOICE: i16 = 5;
const EMAIL: i16 = 7;

/// Compiles the regular expression of a field.
///
/// # Errors
/// What is wrong with it.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_REGEX)
        .build()
        .map_err(|error| error.to_string().lines().last().unwrap_or("it cannot be read").to_owned())
}

/// The choices of a field.
pub(super) fn choices(options: &str) -> Vec<&str> {
    options.split(',').map(str::trim).filter(|choice| !choice.is_empty()).collect()
}

/// The text that is kept for a value; `None` when the value is unset.
///
/// # Errors
/// What was expected instead.
pub(super) fn checked(field: &FieldRow, value: &Value) -> Result<Option<String>, String> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Array(_) | Value::Object(_) => return Err("expected a text".to_owned()),
    };
    if text.trim().is_empty() {
        return Ok(None);
    }
    if text.chars().count() > MAX_VALUE || text.contains('\0') {
        return Err(format!("expected at most {MAX_VALUE} characters"));
    }
    fitted(field, text).map(Some)
}

fn fitted(field: &FieldRow, text: String) -> Result<String, String> {
    let bare = text.trim();
    match field.data_type {
        STRING => match &field.validation {
            Some(pattern) if !compile(pattern)?.is_match(&text) => Err(match &field.message {
                Some(message) => message.clone(),
                None => "it does not match the field's regular expression".to_owned(),
            }),
            _ => Ok(text),
        },
        INTEGER => bare
            .parse::<i64>()
            .map(|number| number.to_string())
            .map_err(|_| "expected a whole number".to_owned()),
        DATE => date(bare).ok_or_else(|| "expected a date, such as 2026-05-04".to_owned()),
        BOOLEAN => match bare.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok("true".to_owned()),
            "false" | "0" => Ok("false".to_owned()),
            _ => Err("expected true or false".to_owned()),
        },
        MULTIPLE_CHOICE => {
            let options = choices(field.options.as_deref().unwrap_or_default());
            let known = options.iter().find(|choice| choice.eq_ignore_ascii_case(bare));
            known
                .map(|choice| (*choice).to_owned())
                .ok_or_else(|| format!("expected one of {}", options.join(", ")))
        }
        EMAIL => match bare.split([',', ';']).all(is_address) {
            true => Ok(bare.to_owned()),
            false => Err("expected e-mail addresses, with commas between".to_owned()),
        },
        _ => Ok(text),
    }
}

fn date(text: &str) -> Option<String> {
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .or_else(|| text.parse::<Timestamp>().ok().map(|time| time.utc().date_naive()))?;
    // Four digits, as filters and other readers expect.
    let text = day.format("%Y-%m-%d").to_string();
    (text.len() == 10).then_some(text)
}

fn is_address(text: &str) -> bool {
    match text.trim().rsplit_once('@') {
        Some((local, domain)) => {
            let plain =
                |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c == '@');
            plain(local) && plain(domain)
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(data_type: i16) -> FieldRow {
        let options = (data_type == MULTIPLE_CHOICE).then(|| "Gold, Silver".to_owned());
        FieldRow { name: "F".to_owned(), data_type, options, ..FieldRow::default() }
    }

    #[test]
    fn values_have_one_form() {
        for (data_type, given, kept) in [
            (1, json!(" a "), Some(" a ")),
            (1, json!(7), Some("7")),
            (2, json!("007"), Some("7")),
            (3, json!("2026-05-04T23:00:00Z"), Some("2026-05-04")),
            (3, json!("2026-05-04"), Some("2026-05-04")),
            (4, json!("TRUE"), Some("true")),
            (4, json!(false), Some("false")),
            (5, json!("gold"), Some("Gold")),
            (7, json!("web@example.test, ops@example.test"), Some("web@example.test, ops@example.test")),
            (2, json!(""), None),
            (5, Value::Null, None),
        ] {
            assert_eq!(checked(&field(data_type), &given).unwrap().as_deref(), kept, "{given}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (data_type, given) in [
            (1, json!(["a"])),
            (1, json!("x".repeat(4_001))),
            (2, json!("1.5")),
            (3, json!("2026-02-30")),
            (3, json!("+12345-01-01")),
            (4, json!("yes")),
            (5, json!("Bronze")),
            (7, json!("web@")),
            (7, json!("a@b,c")),
        ] {
            assert!(checked(&field(data_type), &given).is_err(), "{given}");
        }
    }

    #[test]
    fn regular_expressions_are_bounded() {
        let mut digits = field(STRING);
        digits.validation = Some(r"^\d{4}$".to_owned());
        assert!(checked(&digits, &json!("1234")).is_ok());
        digits.message = Some("Four digits, please.".to_owned());
        assert_eq!(checked(&digits, &json!("12")).unwrap_err(), "Four digits, please.");
        assert!(compile("(").is_err());
        assert!(compile(r"((a{1000}){1000}){1000}").is_err());
        // Backtracking engines never come to an end with this one.
        digits.validation = Some("^(a+)+$".to_owned());
        assert!(checked(&digits, &json!(format!("{}!", "a".repeat(3_000)))).is_err());
    }
}
