//! Store types (operator contract, chapter 6.8). Enumerations are names in answers; requests may send numbers, too.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// A store type as answered; unset members are left out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the member names are the contract's; chapter 6.8 explains them")]
pub struct StoreType {
    pub name: String,
    pub short_name: String,
    pub capability: String,
    pub store_type: i32,
    pub import_type: i32,
    pub local_store: bool,
    pub supported_operations: SupportedOperations,
    pub properties: Vec<StoreTypeProperty>,
    pub entry_parameters: Vec<EntryParameter>,
    pub password_options: PasswordOptions,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub store_path_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub store_path_value: Option<String>,
    pub private_key_allowed: String,
    pub certificate_format: i32,
    pub job_properties: Vec<String>,
    pub server_required: bool,
    pub power_shell: bool,
    pub blueprint_allowed: bool,
    pub custom_alias_allowed: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub server_registration: Option<i32>,
    pub inventory_endpoint: String,
    pub inventory_job_type: Uuid,
    pub management_job_type: Uuid,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub discovery_job_type: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub enrollment_job_type: Option<Uuid>,
}

/// What jobs a store type has.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
#[expect(missing_docs, reason = "the names say all")]
pub struct SupportedOperations {
    pub add: bool,
    pub create: bool,
    pub discovery: bool,
    pub enrollment: bool,
    pub remove: bool,
}

/// What passwords a store type has.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct PasswordOptions {
    /// Entries have passwords of their own.
    pub entry_supported: bool,
    /// The store needs a password.
    pub store_required: bool,
    /// `Default` or `Custom`.
    pub style: String,
}

/// One property that stores of a type have.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct StoreTypeProperty {
    /// Follows from the type and the property's place.
    pub id: i64,
    /// The type.
    pub store_type_id: i32,
    /// Its name.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// `String`, `Bool`, `MultipleChoice` or `Secret`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// The property without which it has no meaning.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub depends_on: Option<String>,
    /// Its default; for a choice, the choices.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub default_value: Option<String>,
    /// Whether a store must have it.
    pub required: bool,
    /// When that is checked.
    pub validation_options: ValidationOptions,
}

/// When a property is checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct ValidationOptions {
    /// 1 for a required property, 0 otherwise.
    pub on_creation: i32,
}

/// One parameter that entries of a store have.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct EntryParameter {
    /// The type.
    pub store_type_id: i32,
    /// Its name, as drivers read it.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// `String`, `Bool`, `MultipleChoice` or `Secret`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// When it must be given.
    pub required_when: RequiredWhen,
    /// The parameter without which it has no meaning.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub depends_on: Option<String>,
    /// Taken when it is not given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub default_value: Option<String>,
    /// The choices, separated by commas.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub options: Option<String>,
}

/// When an entry parameter must be given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct RequiredWhen {
    /// When a private key goes along.
    pub has_private_key: bool,
    /// When a certificate is added.
    pub on_add: bool,
    /// When an entry is removed.
    pub on_remove: bool,
    /// When the agent makes the key.
    pub on_reenrollment: bool,
}

/// `POST` and `PUT /CertificateStoreTypes`: what is not sent is reset.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
#[expect(missing_docs, reason = "the member names are the contract's; chapter 6.8 explains them")]
pub struct StoreTypeRequest {
    pub name: Option<String>,
    pub short_name: Option<String>,
    pub capability: Option<String>,
    /// Read by `PUT` alone.
    pub store_type: Option<i32>,
    pub local_store: bool,
    pub supported_operations: SupportedOperations,
    pub properties: Vec<RequestedProperty>,
    pub entry_parameters: Vec<RequestedEntryParameter>,
    pub password_options: PasswordOptions,
    pub store_path_type: Option<String>,
    pub store_path_value: Option<String>,
    pub private_key_allowed: Option<String>,
    pub certificate_format: Option<String>,
    pub job_properties: Vec<String>,
    pub server_required: bool,
    pub power_shell: bool,
    pub blueprint_allowed: bool,
    pub custom_alias_allowed: Option<String>,
}

/// A store property as a client defines it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct RequestedProperty {
    /// Its name.
    pub name: Option<String>,
    /// Its name for people; its name when absent.
    pub display_name: Option<String>,
    /// 0 `String`, 1 `Bool`, 2 `MultipleChoice`, 3 `Secret`.
    #[serde(rename = "Type")]
    pub kind: Option<String>,
    /// The property without which it has no meaning.
    pub depends_on: Option<String>,
    /// Its default; for a choice, the choices.
    pub default_value: Option<String>,
    /// Whether a store must have it.
    pub required: bool,
}

/// An entry parameter as a client defines it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct RequestedEntryParameter {
    /// Its name, as drivers read it.
    pub name: Option<String>,
    /// Its name for people; its name when absent.
    pub display_name: Option<String>,
    /// 0 `String`, 1 `Bool`, 2 `MultipleChoice`, 3 `Secret`.
    #[serde(rename = "Type")]
    pub kind: Option<String>,
    /// Four booleans, or their sum as flags: 1 `HasPrivateKey`, 2 `OnAdd`, 4 `OnRemove`, 8 `OnReenrollment`.
    pub required_when: Option<Value>,
    /// The parameter without which it has no meaning.
    pub depends_on: Option<String>,
    /// Taken when it is not given.
    pub default_value: Option<String>,
    /// The choices, separated by commas.
    pub options: Option<String>,
}
