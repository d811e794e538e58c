//! Store types for clients that read enumerations as numbers only (operator contract, chapter 1.8). One answer cannot
//! please them and the Go clients, which read names only, so a configuration key decides.

use serde::Serialize;
use serde_json::Value;

use super::definition::Kind;
use super::request::{PERMITTED, STYLES};

/// Store types, or whatever holds entry parameters, with numbers for names.
pub(in crate::certificate_stores) fn numbered<T: Serialize>(answer: &T) -> Value {
    let mut value = serde_json::to_value(answer).unwrap_or_default();
    renumber(&mut value);
    value
}

fn renumber(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(renumber),
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                let number = match (name.as_str(), &*member) {
                    ("PrivateKeyAllowed" | "CustomAliasAllowed", Value::String(text)) => {
                        place(&PERMITTED, text)
                    }
                    ("Style", Value::String(text)) => place(&STYLES, text),
                    ("Type", Value::String(text)) => Kind::parse(text).map(|kind| kind as u64),
                    ("RequiredWhen", Value::Object(_)) => Some(flags(member)),
                    _ => None,
                };
                match number {
                    Some(number) => *member = number.into(),
                    None => renumber(member),
                }
            }
        }
        _ => {}
    }
}

fn place(names: &[&str], text: &str) -> Option<u64> {
    names.iter().position(|name| *name == text).and_then(|place| u64::try_from(place).ok())
}

/// The sum of flags that requests may send, too.
fn flags(when: &Value) -> u64 {
    let names = ["HasPrivateKey", "OnAdd", "OnRemove", "OnReenrollment"];
    names.iter().enumerate().filter(|(_, name)| when[**name] == true).map(|(place, _)| 1 << place).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_become_numbers_wherever_they_stand() {
        let named = json!([{"Name": "Forbidden", "PrivateKeyAllowed": "Required", "CustomAliasAllowed": "Forbidden",
            "PasswordOptions": {"Style": "Custom"}, "Properties": [{"Name": "Secret", "Type": "Secret"}],
            "EntryParameters": [{"Type": "MultipleChoice", "RequiredWhen": {"HasPrivateKey": false, "OnAdd": true,
                "OnRemove": true, "OnReenrollment": false}}]}]);
        let expected = json!([{"Name": "Forbidden", "PrivateKeyAllowed": 2, "CustomAliasAllowed": 0,
            "PasswordOptions": {"Style": 1}, "Properties": [{"Name": "Secret", "Type": 3}],
            "EntryParameters": [{"Type": 2, "RequiredWhen": 6}]}]);
        assert_eq!(numbered(&named), expected);
    }
}
