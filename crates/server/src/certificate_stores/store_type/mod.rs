//! Store types: their rows, lists of them, and how clients see them (operator contract, chapter 6.8).

mod change;
pub(super) mod definition;
mod numeric;
mod request;

use chrono::{DateTime, Utc};
use sealift_protocol::operator::certificate_stores::{
    EntryParameter, PasswordOptions, StoreType, StoreTypeProperty, SupportedOperations, ValidationOptions,
};
use serde_json::Value;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::error::Error;
use super::queries;
use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind};
use crate::http::list::ListQuery;
use crate::http::listing::{Column, Listing, Order};
use crate::http::problem::shortened;
use crate::security::Principal;
pub(super) use change::{Usage, create, delete, delete_many, update};
pub(super) use definition::Definition;
pub(super) use numeric::numbered;
pub(super) use request::NewType;

/// Types below this are part of the contract, and cannot be changed or deleted.
const FIRST_CUSTOM: i32 = 102;

/// A row of the table of types.
#[derive(Debug, Clone, FromRow)]
pub(super) struct TypeRow {
    pub(super) id: i32,
    pub(super) short_name: String,
    pub(super) name: String,
    pub(super) capability: String,
    pub(super) local_store: bool,
    pub(super) supports_add: bool,
    pub(super) supports_remove: bool,
    pub(super) supports_create: bool,
    pub(super) supports_discovery: bool,
    pub(super) supports_enrollment: bool,
    pub(super) private_key: i16,
    pub(super) custom_alias: i16,
    pub(super) entry_password: bool,
    pub(super) store_password: bool,
    pub(super) password_style: i16,
    pub(super) certificate_format: i16,
    pub(super) store_path_type: String,
    pub(super) store_path_value: String,
    pub(super) server_required: bool,
    pub(super) power_shell: bool,
    pub(super) blueprint_allowed: bool,
    pub(super) job_properties: Vec<String>,
    pub(super) properties: Value,
    pub(super) entry_parameters: Value,
    pub(super) inventory_job_type: Uuid,
    pub(super) management_job_type: Uuid,
    pub(super) discovery_job_type: Uuid,
    pub(super) enrollment_job_type: Uuid,
}

const COLUMNS: &str =
    "id, short_name, name, capability, local_store, supports_add, supports_remove, supports_create,
    supports_discovery, supports_enrollment, private_key, custom_alias, entry_password, store_password,
    password_style, certificate_format, store_path_type, store_path_value, server_required, power_shell,
    blueprint_allowed, job_properties, properties, entry_parameters, inventory_job_type, management_job_type,
    discovery_job_type, enrollment_job_type";
const FROM: &str = " FROM store_types WHERE true";

pub(super) const FIELDS: &[Field] = &[
    Field { name: "StoreType", sql: "id", kind: Kind::Number },
    Field { name: "Id", sql: "id", kind: Kind::Number },
    Field { name: "Name", sql: "name", kind: Kind::Text },
    Field { name: "ShortName", sql: "short_name", kind: Kind::Text },
    Field { name: "Capability", sql: "capability", kind: Kind::Text },
    Field { name: "LocalStore", sql: "local_store", kind: Kind::Flag },
    Field { name: "ServerRequired", sql: "server_required", kind: Kind::Flag },
    Field { name: "PrivateKeyAllowed", sql: "private_key", kind: Kind::Number },
];

impl TypeRow {
    /// The definitions of the properties that stores of this type have.
    pub(super) fn definitions(&self) -> Vec<Definition> {
        Definition::list(&self.properties)
    }

    /// The store path as it is kept: one of those that the type allows.
    pub(super) fn store_path(&self, path: &str) -> Result<String, Error> {
        let allowed: Vec<String> = match self.store_path_type.as_str() {
            "MultipleChoice" => serde_json::from_str(&self.store_path_value).unwrap_or_default(),
            "Fixed" => vec![self.store_path_value.clone()],
            _ => Vec::new(),
        };
        if allowed.iter().all(String::is_empty) {
            return Ok(path.to_owned());
        }
        let found = allowed.iter().find(|known| known.eq_ignore_ascii_case(path)).cloned();
        found.ok_or_else(|| {
            let (name, allowed) = (&self.short_name, allowed.join(", "));
            Error::Invalid(format!("Storepath: stores of type {name} have one of these paths: {allowed}"))
        })
    }
}

/// One page of types, by id.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<StoreType>, i64), Failure> {
    let asker = Asker { name: caller.name(), now };
    let key = Column { sql: "id", kind: Kind::Number };
    let listing = Listing {
        name: "store_types",
        columns: COLUMNS,
        from: FROM,
        fields: FIELDS,
        order: Order { by: key, descending: false },
        key,
        narrow: Vec::new(),
    };
    let (rows, total): (Vec<TypeRow>, i64) = listing.page(db, list, &asker).await?;
    Ok((rows.into_iter().map(StoreType::from).collect(), total))
}

/// One type by the id in a path.
pub(super) async fn by_id(db: &mut PgConnection, path: &str) -> Result<StoreType, Failure> {
    let unknown = || Failure::not_found(format_args!("store type '{}'", shortened(path)));
    let id = path.parse().map_err(|_| unknown())?;
    Ok(queries::store_type(db, id).await?.ok_or_else(unknown)?.into())
}

/// One type by its short name.
pub(super) async fn by_name(db: &mut PgConnection, name: &str) -> Result<StoreType, Failure> {
    let unknown = || Failure::not_found(format_args!("store type '{}'", shortened(name)));
    Ok(queries::store_type_by_name(db, name).await?.ok_or_else(unknown)?.into())
}

impl From<TypeRow> for StoreType {
    fn from(row: TypeRow) -> Self {
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Self {
            properties: row
                .definitions()
                .into_iter()
                .enumerate()
                .map(|(place, definition)| property(row.id, place, definition))
                .collect(),
            entry_parameters: entry_parameters(row.id, &row.entry_parameters),
            store_path_type: given(&row.store_path_type),
            store_path_value: given(&row.store_path_value),
            name: row.name,
            short_name: row.short_name,
            capability: row.capability,
            store_type: row.id,
            import_type: 0,
            local_store: row.local_store,
            supported_operations: SupportedOperations {
                add: row.supports_add,
                create: row.supports_create,
                discovery: row.supports_discovery,
                enrollment: row.supports_enrollment,
                remove: row.supports_remove,
            },
            password_options: PasswordOptions {
                entry_supported: row.entry_password,
                store_required: row.store_password,
                style: if row.password_style == 1 { "Custom" } else { "Default" }.to_owned(),
            },
            private_key_allowed: request::PERMITTED[usize::try_from(row.private_key).unwrap_or(0).min(2)]
                .to_owned(),
            certificate_format: row.certificate_format.into(),
            job_properties: row.job_properties,
            server_required: row.server_required,
            power_shell: row.power_shell,
            blueprint_allowed: row.blueprint_allowed,
            custom_alias_allowed: request::PERMITTED[usize::try_from(row.custom_alias).unwrap_or(0).min(2)]
                .to_owned(),
            server_registration: row.server_required.then_some(row.id),
            inventory_endpoint: "/AnyInventory/Update".to_owned(),
            inventory_job_type: row.inventory_job_type,
            management_job_type: row.management_job_type,
            discovery_job_type: row.supports_discovery.then_some(row.discovery_job_type),
            enrollment_job_type: row.supports_enrollment.then_some(row.enrollment_job_type),
        }
    }
}

fn property(store_type: i32, place: usize, definition: Definition) -> StoreTypeProperty {
    let required = definition.required.unwrap_or_default();
    StoreTypeProperty {
        id: i64::from(store_type) * 1_000 + i64::try_from(place).unwrap_or_default() + 1,
        store_type_id: store_type,
        name: definition.name,
        display_name: definition.display_name,
        kind: definition.kind.name().to_owned(),
        depends_on: definition.depends_on,
        default_value: definition.default_value,
        required,
        validation_options: ValidationOptions { on_creation: i32::from(required) },
    }
}

/// The entry parameters in a row, as clients see them.
pub(super) fn entry_parameters(store_type: i32, rows: &Value) -> Vec<EntryParameter> {
    let parameter = |definition: Definition| EntryParameter {
        store_type_id: store_type,
        name: definition.name,
        display_name: definition.display_name,
        kind: definition.kind.name().to_owned(),
        required_when: definition.required_when.unwrap_or_default(),
        depends_on: definition.depends_on,
        default_value: definition.default_value,
        options: definition.options,
    };
    Definition::list(rows).into_iter().map(parameter).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A type like PEM, without properties.
    pub(in crate::certificate_stores) fn store_type() -> TypeRow {
        TypeRow {
            id: 2,
            short_name: "PEM".to_owned(),
            name: String::new(),
            capability: String::new(),
            local_store: true,
            supports_add: true,
            supports_remove: true,
            supports_create: true,
            supports_discovery: false,
            supports_enrollment: false,
            private_key: 1,
            custom_alias: 0,
            entry_password: false,
            store_password: false,
            password_style: 0,
            certificate_format: 0,
            store_path_type: String::new(),
            store_path_value: String::new(),
            server_required: false,
            power_shell: false,
            blueprint_allowed: false,
            job_properties: Vec::new(),
            properties: Value::Array(Vec::new()),
            entry_parameters: Value::Array(Vec::new()),
            inventory_job_type: Uuid::nil(),
            management_job_type: Uuid::nil(),
            discovery_job_type: Uuid::nil(),
            enrollment_job_type: Uuid::nil(),
        }
    }

    #[test]
    fn paths_are_those_that_the_type_allows() {
        let choice = TypeRow {
            store_path_type: "MultipleChoice".to_owned(),
            store_path_value: r#"["My","WebHosting"]"#.to_owned(),
            ..store_type()
        };
        assert_eq!(choice.store_path("webhosting").unwrap(), "WebHosting");
        assert!(choice.store_path("Root").unwrap_err().to_string().contains("My, WebHosting"));
        let fixed = TypeRow {
            store_path_type: "Fixed".to_owned(),
            store_path_value: "My".to_owned(),
            ..store_type()
        };
        assert!(fixed.store_path("my").is_ok() && fixed.store_path("WebHosting").is_err());
        assert_eq!(store_type().store_path("/a").unwrap(), "/a");
    }
}
