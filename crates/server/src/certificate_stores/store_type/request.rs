//! A store type as a client asks for it, checked: every name and number read, every bound kept.

use sealift_protocol::operator::certificate_stores::{
    RequestedEntryParameter, RequestedProperty, RequiredWhen, StoreTypeRequest, SupportedOperations,
};
use serde_json::Value;

use super::TypeRow;
use super::definition::{Definition, Kind, MAX_VALUE, find};
use crate::certificate_stores::error::Error;

/// `PrivateKeyAllowed` and `CustomAliasAllowed`, by number.
pub(super) const PERMITTED: [&str; 3] = ["Forbidden", "Optional", "Required"];
/// `PasswordOptions.Style`, by number.
pub(super) const STYLES: [&str; 2] = ["Default", "Custom"];
const FORMATS: [&str; 2] = ["PFX", "PEM"];
const PATH_TYPES: [&str; 3] = ["Freeform", "Fixed", "MultipleChoice"];
/// Longest short name, capability, name, and name of a property, in characters.
const MAX_SHORT_NAME: usize = 10;
const MAX_CAPABILITY: usize = 220;
const MAX_NAME: usize = 256;
/// Most properties, and most entry parameters.
const MAX_DEFINITIONS: usize = 100;
/// Most job properties.
const MAX_JOB_PROPERTIES: usize = 100;

/// What types whose agents log in to the store's machine have in any case (chapter 3.4).
const SERVER_PROPERTIES: [(&str, &str, Kind, Option<&str>); 3] = [
    ("ServerUsername", "Server Username", Kind::Secret, None),
    ("ServerPassword", "Server Password", Kind::Secret, None),
    ("ServerUseSsl", "Use SSL", Kind::Bool, Some("true")),
];

/// A checked type that has no id yet, or is to replace one.
#[derive(Debug, Clone)]
pub(in crate::certificate_stores) struct NewType {
    pub(in crate::certificate_stores) name: String,
    pub(in crate::certificate_stores) short_name: String,
    pub(in crate::certificate_stores) capability: String,
    pub(in crate::certificate_stores) local_store: bool,
    pub(in crate::certificate_stores) operations: SupportedOperations,
    pub(in crate::certificate_stores) private_key: i16,
    pub(in crate::certificate_stores) custom_alias: i16,
    pub(in crate::certificate_stores) entry_password: bool,
    pub(in crate::certificate_stores) store_password: bool,
    pub(in crate::certificate_stores) password_style: i16,
    pub(in crate::certificate_stores) certificate_format: i16,
    pub(in crate::certificate_stores) store_path_type: String,
    pub(in crate::certificate_stores) store_path_value: String,
    pub(in crate::certificate_stores) server_required: bool,
    pub(in crate::certificate_stores) power_shell: bool,
    pub(in crate::certificate_stores) blueprint_allowed: bool,
    pub(in crate::certificate_stores) job_properties: Vec<String>,
    pub(in crate::certificate_stores) properties: Vec<Definition>,
    pub(in crate::certificate_stores) entry_parameters: Vec<Definition>,
}

impl NewType {
    /// Reads and checks a request.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the member.
    pub(super) fn parse(request: &StoreTypeRequest) -> Result<Self, Error> {
        let name = text("Name", request.name.as_deref(), MAX_NAME)?;
        let short_name = word("ShortName", request.short_name.as_deref(), MAX_SHORT_NAME)?;
        let capability = match &request.capability {
            None => short_name.clone(),
            given => word("Capability", given.as_deref(), MAX_CAPABILITY)?,
        };
        let passwords = &request.password_options;
        let mut properties = properties(&request.properties)?;
        if request.server_required {
            add_server_properties(&mut properties);
        }
        let path_type = request.store_path_type.as_deref();
        let path_value = request.store_path_value.clone().unwrap_or_default();
        Ok(Self {
            name,
            short_name,
            capability,
            local_store: request.local_store,
            operations: request.supported_operations.clone(),
            private_key: one_of("PrivateKeyAllowed", request.private_key_allowed.as_deref(), &PERMITTED)?,
            custom_alias: one_of("CustomAliasAllowed", request.custom_alias_allowed.as_deref(), &PERMITTED)?,
            entry_password: passwords.entry_supported,
            store_password: passwords.store_required,
            password_style: one_of("PasswordOptions.Style", Some(&passwords.style), &STYLES)?,
            certificate_format: one_of("CertificateFormat", request.certificate_format.as_deref(), &FORMATS)?,
            store_path_type: store_path_type(path_type, &path_value)?,
            store_path_value: path_value,
            server_required: request.server_required,
            power_shell: request.power_shell,
            blueprint_allowed: request.blueprint_allowed,
            job_properties: job_properties(&request.job_properties)?,
            properties,
            entry_parameters: parameters(&request.entry_parameters)?,
        })
    }

    /// The members that differ from a type that stores have, and that they would not outlive.
    pub(super) fn fixed_by_stores(&self, old: &TypeRow) -> Vec<String> {
        let mut changed = Vec::new();
        let mut note = |differs: bool, member: &str| {
            if differs {
                changed.push(member.to_owned());
            }
        };
        note(self.short_name != old.short_name, "ShortName");
        note(self.capability != old.capability, "Capability");
        note(self.private_key != old.private_key, "PrivateKeyAllowed");
        note(self.custom_alias != old.custom_alias, "CustomAliasAllowed");
        note(self.entry_password != old.entry_password, "PasswordOptions.EntrySupported");
        note(self.store_password != old.store_password, "PasswordOptions.StoreRequired");
        note(self.server_required != old.server_required, "ServerRequired");
        note(self.store_path_type != old.store_path_type, "StorePathType");
        note(self.store_path_value != old.store_path_value, "StorePathValue");
        let before = old.definitions();
        for definition in &before {
            let after = find(&self.properties, &definition.name);
            let kept =
                after.is_some_and(|after| after.kind == definition.kind && after.name == definition.name);
            note(!kept, &format!("Properties: {}", definition.name));
        }
        for definition in self.properties.iter().filter(|definition| definition.required == Some(true)) {
            let already = find(&before, &definition.name).is_some_and(|old| old.required == Some(true));
            note(!already, &format!("Properties: {} (newly required)", definition.name));
        }
        changed
    }
}

/// A text that is there, trimmed and within bounds.
fn text(member: &str, given: Option<&str>, limit: usize) -> Result<String, Error> {
    let given = given.map(str::trim).filter(|text| !text.is_empty());
    let given = given.ok_or_else(|| Error::Invalid(format!("{member} is required")))?;
    if given.chars().count() > limit || given.chars().any(char::is_control) {
        let message = format!("{member} is longer than {limit} characters or holds control characters");
        return Err(Error::Invalid(message));
    }
    Ok(given.to_owned())
}

/// A name that becomes part of capability names, which are parted by dots.
fn word(member: &str, given: Option<&str>, limit: usize) -> Result<String, Error> {
    let given = text(member, given, limit)?;
    match given.chars().all(|c| c.is_ascii_alphanumeric() || " -_".contains(c)) {
        true => Ok(given),
        false => Err(Error::Invalid(format!(
            "{member} may hold letters, digits, blanks, hyphens and underscores only"
        ))),
    }
}

/// The number of a name in any case, or of a number; the first one when absent.
fn one_of(member: &str, given: Option<&str>, names: &[&str]) -> Result<i16, Error> {
    let Some(given) = given.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(0) };
    let fits =
        |(number, name): &(usize, &&str)| name.eq_ignore_ascii_case(given) || number.to_string() == given;
    let found = names.iter().enumerate().find(fits).and_then(|(number, _)| i16::try_from(number).ok());
    found.ok_or_else(|| Error::Invalid(format!("{member} must be one of {}", names.join(", "))))
}

fn store_path_type(given: Option<&str>, value: &str) -> Result<String, Error> {
    let invalid = |message: &str| Err(Error::Invalid(message.to_owned()));
    if value.chars().count() > MAX_VALUE || value.chars().any(char::is_control) {
        return invalid("StorePathValue is longer than 4000 characters or holds control characters");
    }
    let Some(given) = given.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(String::new()) };
    let Some(known) = PATH_TYPES.iter().find(|known| known.eq_ignore_ascii_case(given)) else {
        return invalid("StorePathType must be empty or one of Freeform, Fixed, MultipleChoice");
    };
    let choices: Option<Vec<String>> = serde_json::from_str(value).ok();
    match *known {
        "MultipleChoice" if choices.is_none_or(|choices| choices.is_empty()) => {
            invalid("StorePathValue must be a JSON array of texts, such as [\"My\",\"WebHosting\"]")
        }
        known => Ok(known.to_owned()),
    }
}

fn job_properties(given: &[String]) -> Result<Vec<String>, Error> {
    if given.len() > MAX_JOB_PROPERTIES {
        return Err(Error::Invalid(format!("JobProperties has more than {MAX_JOB_PROPERTIES} names")));
    }
    let name =
        |(index, given): (usize, &String)| text(&format!("JobProperties[{index}]"), Some(given), MAX_NAME);
    given.iter().enumerate().map(name).collect()
}

/// What properties and parameters have alike.
struct Shared<'a> {
    name: Option<&'a str>,
    display_name: Option<&'a str>,
    kind: Option<&'a str>,
    depends_on: &'a Option<String>,
    default_value: &'a Option<String>,
}

fn definition(list: &str, index: usize, shared: &Shared<'_>) -> Result<Definition, Error> {
    let member = |name: &str| format!("{list}[{index}].{name}");
    let name = text(&member("Name"), shared.name, MAX_NAME)?;
    let display_name = match shared.display_name {
        None => name.clone(),
        given => text(&member("DisplayName"), given, MAX_NAME)?,
    };
    let kind = Kind::parse(shared.kind.unwrap_or("String")).ok_or_else(|| {
        Error::Invalid(format!("{} must be one of String, Bool, MultipleChoice, Secret", member("Type")))
    })?;
    let depends_on = shared.depends_on.clone().map(|text| text.trim().to_owned());
    let definition = Definition {
        name,
        display_name,
        kind,
        depends_on: depends_on.filter(|text| !text.is_empty()),
        default_value: shared.default_value.clone(),
        ..Definition::default()
    };
    let default = definition.default_value.as_deref().unwrap_or_default();
    let fits = match kind {
        Kind::MultipleChoice => Definition { kind: Kind::String, ..definition.clone() }.check(default),
        Kind::Bool if default.is_empty() => Ok(()),
        _ => definition.check(default),
    };
    fits.map_err(|reason| Error::Invalid(format!("{}: {reason}", member("DefaultValue"))))?;
    Ok(definition)
}

/// Refuses too many, and two of one name.
fn checked(list: &str, definitions: Vec<Definition>) -> Result<Vec<Definition>, Error> {
    for (index, definition) in definitions.iter().enumerate() {
        if find(&definitions[..index], &definition.name).is_some() {
            return Err(Error::Invalid(format!("{list}[{index}]: '{}' is named twice", definition.name)));
        }
        let own = definition.depends_on.as_ref().is_some_and(|on| on.eq_ignore_ascii_case(&definition.name));
        if own {
            return Err(Error::Invalid(format!("{list}[{index}].DependsOn: it cannot depend on itself")));
        }
    }
    Ok(definitions)
}

fn bounded<T>(list: &str, given: &[T]) -> Result<(), Error> {
    match given.len() > MAX_DEFINITIONS {
        true => Err(Error::Invalid(format!("{list} has more than {MAX_DEFINITIONS} entries"))),
        false => Ok(()),
    }
}

fn properties(given: &[RequestedProperty]) -> Result<Vec<Definition>, Error> {
    bounded("Properties", given)?;
    let one = |(index, given): (usize, &RequestedProperty)| {
        let shared = Shared {
            name: given.name.as_deref(),
            display_name: given.display_name.as_deref(),
            kind: given.kind.as_deref(),
            depends_on: &given.depends_on,
            default_value: &given.default_value,
        };
        let definition = definition("Properties", index, &shared)?;
        Ok(Definition { required: Some(given.required), ..definition })
    };
    checked("Properties", given.iter().enumerate().map(one).collect::<Result<_, Error>>()?)
}

fn parameters(given: &[RequestedEntryParameter]) -> Result<Vec<Definition>, Error> {
    bounded("EntryParameters", given)?;
    let one = |(index, given): (usize, &RequestedEntryParameter)| {
        let shared = Shared {
            name: given.name.as_deref(),
            display_name: given.display_name.as_deref(),
            kind: given.kind.as_deref(),
            depends_on: &given.depends_on,
            default_value: &given.default_value,
        };
        let definition = definition("EntryParameters", index, &shared)?;
        let options = given.options.clone().filter(|text| !text.trim().is_empty());
        if options
            .as_ref()
            .is_some_and(|text| text.chars().count() > MAX_VALUE || text.chars().any(char::is_control))
        {
            let message = format!("EntryParameters[{index}].Options is too long or holds control characters");
            return Err(Error::Invalid(message));
        }
        let required_when = Some(required_when(index, given.required_when.as_ref())?);
        Ok(Definition { options, required_when, ..definition })
    };
    checked("EntryParameters", given.iter().enumerate().map(one).collect::<Result<_, Error>>()?)
}

/// Four booleans by name, or a sum of flags as generated clients send it. Which flag is which, no source says; it is
/// taken to be the order of the names.
fn required_when(index: usize, given: Option<&Value>) -> Result<RequiredWhen, Error> {
    let refuse = || {
        Error::Invalid(format!(
            "EntryParameters[{index}].RequiredWhen must be an object with HasPrivateKey, OnAdd, OnRemove and OnReenrollment"
        ))
    };
    let mut required = RequiredWhen::default();
    match given {
        None | Some(Value::Null) => {}
        Some(Value::Number(flags)) => {
            let flags = flags.as_u64().filter(|flags| *flags < 16).ok_or_else(refuse)?;
            required.has_private_key = flags & 1 != 0;
            required.on_add = flags & 2 != 0;
            required.on_remove = flags & 4 != 0;
            required.on_reenrollment = flags & 8 != 0;
        }
        Some(Value::Object(members)) => {
            for (name, value) in members {
                let flag = match value {
                    Value::Bool(flag) => *flag,
                    Value::Null => false,
                    Value::String(text) => text.parse::<bool>().map_err(|_| refuse())?,
                    _ => return Err(refuse()),
                };
                match name.to_ascii_lowercase().as_str() {
                    "hasprivatekey" => required.has_private_key = flag,
                    "onadd" => required.on_add = flag,
                    "onremove" => required.on_remove = flag,
                    "onreenrollment" => required.on_reenrollment = flag,
                    _ => {}
                }
            }
        }
        Some(_) => return Err(refuse()),
    }
    Ok(required)
}

fn add_server_properties(properties: &mut Vec<Definition>) {
    for (name, display_name, kind, default) in SERVER_PROPERTIES {
        if find(properties, name).is_none() {
            properties.push(Definition {
                name: name.to_owned(),
                display_name: display_name.to_owned(),
                kind,
                default_value: default.map(str::to_owned),
                required: Some(false),
                ..Definition::default()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> StoreTypeRequest {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn names_and_numbers_are_read_alike() {
        let new = NewType::parse(&request(
            r#"{"Name": "Mine", "ShortName": "MINE", "PrivateKeyAllowed": "required", "CustomAliasAllowed": "1",
                "ServerRequired": true, "Properties": [{"Name": "ServerUseSsl", "Type": "Bool", "Required": true}],
                "EntryParameters": [{"Name": "Site", "Type": "0", "RequiredWhen": {"onAdd": true}},
                    {"Name": "Port", "RequiredWhen": 12}]}"#,
        ))
        .unwrap();
        assert_eq!((new.private_key, new.custom_alias, new.capability.as_str()), (2, 1, "MINE"));
        let names: Vec<_> = new.properties.iter().map(|property| property.name.as_str()).collect();
        assert_eq!(names, ["ServerUseSsl", "ServerUsername", "ServerPassword"]);
        let when: Vec<_> =
            new.entry_parameters.iter().map(|parameter| parameter.required_when.unwrap()).collect();
        assert!(when[0].on_add && !when[0].on_remove && when[1].on_remove && when[1].on_reenrollment);
    }

    #[test]
    fn refusals_name_the_member() {
        let base = r#""Name": "Mine", "ShortName": "MINE""#;
        for (more, member) in [
            (r#""ShortName": null"#.to_owned(), "Name"),
            (r#""Name": "x", "ShortName": "A.B""#.to_owned(), "ShortName"),
            (r#""Name": "x", "ShortName": "12345678901""#.to_owned(), "ShortName"),
            (format!(r#"{base}, "PrivateKeyAllowed": "Maybe""#), "PrivateKeyAllowed"),
            (format!(r#"{base}, "StorePathType": "MultipleChoice""#), "StorePathValue"),
            (format!(r#"{base}, "StorePathType": "Anything""#), "StorePathType"),
            (format!(r#"{base}, "Properties": [{{"Type": "Bool"}}]"#), "Properties[0].Name"),
            (format!(r#"{base}, "Properties": [{{"Name": "A"}}, {{"Name": "a"}}]"#), "Properties[1]"),
            (format!(r#"{base}, "Properties": [{{"Name": "A", "Type": "Date"}}]"#), "Properties[0].Type"),
            (format!(r#"{base}, "Properties": [{{"Name": "A", "DependsOn": "A"}}]"#), "DependsOn"),
            (format!(r#"{base}, "EntryParameters": [{{"Name": "A", "RequiredWhen": []}}]"#), "RequiredWhen"),
        ] {
            let error = NewType::parse(&request(&format!("{{{more}}}"))).unwrap_err().to_string();
            assert!(error.contains(member), "{more}: {error}");
        }
    }
}
