//! Definitions of store properties and of entry parameters, and what a value must be to fit one.

use std::collections::BTreeMap;

use sealift_protocol::operator::certificate_stores::RequiredWhen;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::certificate_stores::entry_parameters::Occasion;

/// Longest value, in characters.
pub(in crate::certificate_stores) const MAX_VALUE: usize = 4_000;

/// What a value is; the numbers are the contract's (chapter 3.5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::certificate_stores) enum Kind {
    /// Any text.
    #[default]
    String = 0,
    /// `true` or `false`.
    Bool = 1,
    /// One of some texts.
    MultipleChoice = 2,
    /// A text that must not be seen.
    Secret = 3,
}

impl Kind {
    const ALL: [(Self, &'static str); 4] = [
        (Self::String, "String"),
        (Self::Bool, "Bool"),
        (Self::MultipleChoice, "MultipleChoice"),
        (Self::Secret, "Secret"),
    ];

    /// Reads a name in any case, or a number.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let known = |(kind, name): &&(Self, &str)| {
            name.eq_ignore_ascii_case(text) || (*kind as i16).to_string() == text
        };
        Self::ALL.iter().find(known).map(|(kind, _)| *kind)
    }

    /// Its name on the wire.
    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("String", |(_, name)| name)
    }
}

/// One property or parameter, as a store type's row has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::certificate_stores) struct Definition {
    pub(in crate::certificate_stores) name: String,
    pub(super) display_name: String,
    #[serde(rename = "Type")]
    pub(in crate::certificate_stores) kind: Kind,
    pub(super) depends_on: Option<String>,
    pub(super) default_value: Option<String>,
    /// Of properties.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) required: Option<bool>,
    /// Of parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) options: Option<String>,
    /// Of parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) required_when: Option<RequiredWhen>,
}

impl Definition {
    /// Reads the list in a row of a store type.
    pub(in crate::certificate_stores) fn list(rows: &Value) -> Vec<Self> {
        match rows {
            Value::Array(rows) if !rows.is_empty() => {
                serde_json::from_value(Value::Array(rows.clone())).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// Whether a store must have this property.
    pub(in crate::certificate_stores) fn is_required(&self) -> bool {
        self.required.unwrap_or_default()
    }

    /// Whether an entry must have this parameter then.
    pub(in crate::certificate_stores) fn required_on(&self, occasion: Occasion) -> bool {
        let when = self.required_when.unwrap_or_default();
        match occasion {
            Occasion::Add { private_key } => when.on_add || private_key && when.has_private_key,
            Occasion::Remove => when.on_remove,
            Occasion::Reenrollment => when.on_reenrollment,
        }
    }

    /// The choices of a multiple choice. Those of a property stand in its default.
    fn choices(&self) -> Vec<&str> {
        let text = self.options.as_deref().or(self.default_value.as_deref()).unwrap_or_default();
        text.split(',').map(str::trim).filter(|choice| !choice.is_empty()).collect()
    }

    /// What is taken when nothing is given: of choices the first one, unless the default is one of them.
    pub(in crate::certificate_stores) fn fallback(&self) -> Option<&str> {
        let default = self.default_value.as_deref().filter(|text| !text.is_empty())?;
        if self.kind != Kind::MultipleChoice {
            return Some(default);
        }
        let choices = self.choices();
        choices.iter().find(|choice| **choice == default).or(choices.first()).copied()
    }

    /// Refuses a value that does not fit.
    pub(in crate::certificate_stores) fn check(&self, text: &str) -> Result<(), String> {
        let name = &self.name;
        // Keys in PEM form are secrets with line feeds.
        let forbidden = |c: char| c.is_control() && (self.kind != Kind::Secret || !"\r\n\t".contains(c));
        if text.chars().count() > MAX_VALUE || text.chars().any(forbidden) {
            return Err(format!("{name} is longer than {MAX_VALUE} characters or holds control characters"));
        }
        match self.kind {
            Kind::Bool if !["true", "false"].contains(&text.to_ascii_lowercase().as_str()) => {
                Err(format!("{name} must be true or false"))
            }
            Kind::MultipleChoice => {
                let choices = self.choices();
                // A type may be defined without choices; then any will do.
                match choices.is_empty() || choices.iter().any(|choice| choice.eq_ignore_ascii_case(text)) {
                    true => Ok(()),
                    false => Err(format!("{name} must be one of {}", choices.join(","))),
                }
            }
            _ => Ok(()),
        }
    }

    /// Whether it has a meaning beside these values: what it depends on is given, and not false.
    pub(in crate::certificate_stores) fn applies(
        &self,
        all: &[Self],
        given: &BTreeMap<String, String>,
    ) -> bool {
        let Some(parent) = &self.depends_on else { return true };
        let Some(parent) = all.iter().find(|other| other.name.eq_ignore_ascii_case(parent)) else {
            return true;
        };
        let value = given.get(&parent.name).map(String::as_str).or_else(|| parent.fallback());
        value.is_some_and(|value| !value.is_empty() && !value.eq_ignore_ascii_case("false"))
    }
}

/// Finds the definition with this name, in any case.
pub(in crate::certificate_stores) fn find<'a>(
    definitions: &'a [Definition],
    name: &str,
) -> Option<&'a Definition> {
    definitions.iter().find(|definition| definition.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(name: &str, kind: Kind, default: &str) -> Definition {
        let default_value = Some(default.to_owned());
        Definition { name: name.to_owned(), kind, default_value, ..Definition::default() }
    }

    #[test]
    fn kinds_are_read_as_names_and_numbers() {
        for (text, kind) in [("string", Kind::String), ("1", Kind::Bool), (" Secret", Kind::Secret)] {
            assert_eq!(Kind::parse(text), Some(kind), "{text}");
        }
        assert_eq!((Kind::parse("4"), Kind::parse("Date")), (None, None));
        assert_eq!(Kind::MultipleChoice.name(), "MultipleChoice");
    }

    #[test]
    fn values_must_fit() {
        let choice = definition("Mode", Kind::MultipleChoice, "a, b");
        assert!(choice.check("B").is_ok());
        assert_eq!(choice.check("c").unwrap_err(), "Mode must be one of a,b");
        assert_eq!(choice.fallback(), Some("a"));
        let parameter = Definition {
            options: Some("https,http".to_owned()),
            ..definition("P", Kind::MultipleChoice, "http")
        };
        assert_eq!(parameter.fallback(), Some("http"));
        assert!(definition("Mode", Kind::MultipleChoice, "").check("anything").is_ok());
        assert!(definition("Flag", Kind::Bool, "").check("True").is_ok());
        assert!(definition("Flag", Kind::Bool, "").check("1").is_err());
        assert!(definition("Key", Kind::Secret, "").check("-----BEGIN\nAA").is_ok());
        assert!(definition("Key", Kind::String, "").check("a\nb").is_err());
        assert!(definition("Key", Kind::String, "").check(&"x".repeat(MAX_VALUE + 1)).is_err());
    }

    #[test]
    fn what_depends_on_something_false_does_not_apply() {
        let parent = definition("Online", Kind::Bool, "false");
        let child = Definition { depends_on: Some("online".to_owned()), ..Definition::default() };
        let all = [parent];
        let given = |text: &str| BTreeMap::from([("Online".to_owned(), text.to_owned())]);
        assert!(!child.applies(&all, &BTreeMap::new()) && !child.applies(&all, &given("False")));
        assert!(child.applies(&all, &given("true")));
        let orphan = Definition { depends_on: Some("Nothing".to_owned()), ..Definition::default() };
        assert!(orphan.applies(&all, &BTreeMap::new()));
    }
}
