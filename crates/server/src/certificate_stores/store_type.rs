//! Store types as clients see them (operator contract, chapter 6.8).

use sealift_protocol::operator::certificate_stores::{
    PasswordOptions, StoreType, StoreTypeProperty, SupportedOperations,
};
use serde_json::Value;
use uuid::Uuid;

/// A row of the table of types.
#[derive(Debug, Clone)]
pub(super) struct TypeRow {
    pub(super) id: i32,
    pub(super) short_name: String,
    pub(super) name: String,
    pub(super) capability: String,
    pub(super) supports_add: bool,
    pub(super) supports_remove: bool,
    pub(super) supports_create: bool,
    pub(super) private_key: i16,
    pub(super) custom_alias: i16,
    pub(super) entry_password: bool,
    pub(super) store_password: bool,
    pub(super) properties: Value,
    pub(super) entry_parameters: Value,
    pub(super) inventory_job_type: Uuid,
    pub(super) management_job_type: Uuid,
}

impl TypeRow {
    /// The definitions of the properties that stores of this type have.
    pub(super) fn definitions(&self) -> Vec<StoreTypeProperty> {
        serde_json::from_value(self.properties.clone()).unwrap_or_default()
    }
}

impl From<TypeRow> for StoreType {
    fn from(row: TypeRow) -> Self {
        let entry_parameters = match &row.entry_parameters {
            Value::Array(parameters) => parameters.clone(),
            _ => Vec::new(),
        };
        Self {
            properties: row.definitions(),
            entry_parameters,
            name: row.name,
            short_name: row.short_name,
            capability: row.capability,
            store_type: row.id,
            import_type: 0,
            local_store: true,
            supported_operations: SupportedOperations {
                add: row.supports_add,
                create: row.supports_create,
                discovery: false,
                enrollment: false,
                remove: row.supports_remove,
            },
            password_options: PasswordOptions {
                entry_supported: row.entry_password,
                store_required: row.store_password,
                style: "Default".to_owned(),
            },
            private_key_allowed: permitted(row.private_key),
            job_properties: Vec::new(),
            server_required: false,
            power_shell: false,
            blueprint_allowed: false,
            custom_alias_allowed: permitted(row.custom_alias),
            inventory_endpoint: "/AnyInventory/Update".to_owned(),
            inventory_job_type: row.inventory_job_type,
            management_job_type: row.management_job_type,
        }
    }
}

fn permitted(number: i16) -> String {
    match number {
        0 => "Forbidden",
        1 => "Optional",
        _ => "Required",
    }
    .to_owned()
}
