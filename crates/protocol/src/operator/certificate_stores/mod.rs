//! Certificate stores, their inventory, and the jobs that add and remove certificates
//! (operator contract, chapters 4.1, 4.2 and 6).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::schedule::Schedule;
use crate::agent::verification::Verification;
use crate::{AgentId, JobId, Secret, StoreId, Timestamp};

mod changes;
mod containers;
mod served;
mod servers;
mod store_types;

pub use changes::{
    ApproveStore, AssignContainer, ChangePassword, NewPassword, Reenroll, ScheduleDiscovery,
    UpdateCertificateStore,
};
pub use containers::{Container, ContainerDetails, CreateContainer, UpdateContainer};
pub use served::ServedTarget;
pub use servers::{CreateServer, Server, ServerChanged, UpdateServer};
pub use store_types::{
    EntryParameter, PasswordOptions, RequestedEntryParameter, RequestedProperty, RequiredWhen, StoreType,
    StoreTypeProperty, StoreTypeRequest, SupportedOperations, ValidationOptions,
};

/// `POST /CertificateStores/Certificates/Add`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct AddCertificate {
    /// The certificate to place.
    pub certificate_id: Option<i64>,
    /// Where it goes; one job for each.
    pub certificate_stores: Vec<AddToStore>,
    /// When the jobs run.
    pub schedule: Option<Schedule>,
    /// The collection that carries the caller's right to read the certificate; 0 means none.
    pub collection_id: Option<i64>,
    /// Ours: the agents only say what they would do, in the evidence of their jobs, and change nothing.
    pub dry_run: bool,
}

/// One target of [`AddCertificate`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct AddToStore {
    /// The store.
    pub certificate_store_id: Option<StoreId>,
    /// Name of the entry, where the store type lets the caller choose.
    pub alias: Option<String>,
    /// Values of the store type's entry parameters.
    pub job_fields: BTreeMap<String, Value>,
    /// Whether an entry of the same alias may be replaced.
    pub overwrite: bool,
    /// Password of the entry, where the store type has one for each.
    pub entry_password: Option<SecretValue>,
    /// Password of the PKCS#12 handed to the agent; the server makes one when absent.
    pub pfx_password: Option<Secret>,
    /// Whether the private key goes along, where the store type leaves the choice.
    pub include_private_key: bool,
}

/// `POST /CertificateStores/Certificates/Remove`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct RemoveCertificate {
    /// What to remove, and where; one job for each.
    pub certificate_stores: Vec<RemoveFromStore>,
    /// When the jobs run.
    pub schedule: Option<Schedule>,
    /// The collection that carries the caller's right; 0 means none.
    pub collection_id: Option<i64>,
    /// Ours: the agents only say what they would do, in the evidence of their jobs, and change nothing.
    pub dry_run: bool,
}

/// One target of [`RemoveCertificate`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct RemoveFromStore {
    /// The store.
    pub certificate_store_id: Option<StoreId>,
    /// The inventory entry's name.
    pub alias: Option<String>,
    /// Values of the store type's entry parameters.
    pub job_fields: BTreeMap<String, Value>,
}

/// A secret in a request (chapter 3.2).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct SecretValue {
    /// The secret itself.
    pub secret_value: Option<Secret>,
    /// The id of an outside provider that holds the secret; not supported, and refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<i64>,
}

/// A secret in an answer (chapter 3.3): never the value, only whether there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct MaskedSecret {
    /// Twenty asterisks; null when nothing is stored.
    pub value: Option<String>,
    /// All zeros: secrets have no type of their own.
    pub secret_type_guid: String,
    /// Always null.
    pub instance_id: Option<String>,
    /// Always null.
    pub instance_guid: Option<String>,
    /// Always empty.
    pub provider_type_parameter_values: Vec<String>,
    /// Always null.
    pub provider_id: Option<i64>,
    /// Always false.
    pub is_managed: bool,
    /// Always 0.
    pub secret_type: i32,
    /// Always null.
    pub remote_provider_name: Option<String>,
    /// Whether a secret is stored.
    pub has_value: bool,
}

impl MaskedSecret {
    /// What stands in answers for a secret. Clients that read a store, change it and send it back return it.
    pub const MASK: &str = "********************";

    /// The mask for a secret that is or is not stored.
    pub fn new(has_value: bool) -> Self {
        Self {
            value: has_value.then(|| Self::MASK.to_owned()),
            secret_type_guid: uuid::Uuid::nil().to_string(),
            instance_id: None,
            instance_guid: None,
            provider_type_parameter_values: Vec::new(),
            provider_id: None,
            is_managed: false,
            secret_type: 0,
            remote_provider_name: None,
            has_value,
        }
    }
}

/// A certificate store as answered (chapter 6.1). `Storepath` has a lower-case p on the wire.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct CertificateStore {
    /// The store.
    pub id: StoreId,
    /// `<ClientMachine> - <StorePath>`.
    pub display_name: String,
    /// Its container.
    pub container_id: Option<i64>,
    /// Its container's name; empty in lists and null by id when there is none.
    pub container_name: Option<String>,
    /// The machine that holds it.
    pub client_machine: String,
    /// Where on that machine.
    #[serde(rename = "Storepath")]
    pub store_path: String,
    /// The recurring inventory job, where there is one.
    pub cert_store_inventory_job_id: Option<JobId>,
    /// Store type id.
    pub cert_store_type: i32,
    /// Whether jobs may be made for it.
    pub approved: bool,
    /// Whether the store is created when it is missing.
    pub create_if_missing: bool,
    /// A JSON object inside a string (chapter 3.4).
    pub properties: String,
    /// The agent that serves it.
    pub agent_id: AgentId,
    /// Whether it has an agent.
    pub agent_assigned: bool,
    /// The schedule of its inventory; an empty object in the answer to its making when there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub inventory_schedule: Option<Schedule>,
    /// Whether an agent can make a key for it; only when asked for by id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reenrollment_status: Option<ReenrollmentStatus>,
    /// Whether its password can be changed.
    pub set_new_password_allowed: bool,
    /// Its password, masked; only when asked for by id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub password: Option<MaskedSecret>,
    /// Ours: how its agent proves that what is stored is served; absent when it does not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verification: Option<Verification>,
    /// Ours: whether a target showed something else when it was last looked at.
    #[serde(default)]
    pub served_differs: bool,
    /// Ours: what its targets showed last; only when asked for by id.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub served: Vec<ServedTarget>,
}

/// Whether a reenrollment of a store is possible (chapter 6.1).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct ReenrollmentStatus {
    /// Whether it is possible now.
    pub data: bool,
    /// The agent that would do it.
    pub agent_id: Option<AgentId>,
    /// Why it is not possible; empty when it is.
    pub message: String,
    /// Always null.
    pub job_properties: Option<String>,
    /// 0 forbidden, 1 optional, 2 required: a number here, a name in store types.
    pub custom_alias_allowed: i32,
    /// What may be said of the new entry.
    pub entry_parameters: Vec<EntryParameter>,
}

/// `POST /CertificateStores`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateCertificateStore {
    /// The container to put it into.
    pub container_id: Option<i64>,
    /// The machine that holds it.
    pub client_machine: Option<String>,
    /// Where on that machine; `Storepath` and `StorePath` are both read.
    pub store_path: Option<String>,
    /// Store type id.
    pub cert_store_type: Option<i32>,
    /// Whether to create the store when it is missing; makes a job where the type can.
    pub create_if_missing: bool,
    /// A JSON object inside a string.
    pub properties: Option<String>,
    /// The agent that serves it.
    pub agent_id: Option<AgentId>,
    /// The schedule of its inventory.
    pub inventory_schedule: Option<Schedule>,
    /// Its password.
    pub password: Option<SecretValue>,
    /// Ours: how its agent proves that what is stored is served.
    pub verification: Option<Verification>,
}

/// One entry of a store's inventory (chapter 6.2).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct InventoryEntry {
    /// Its alias.
    pub name: String,
    /// The certificates of the entry, end entity first.
    pub certificates: Vec<InventoryCertificate>,
    /// What the agent reported beside them.
    pub parameters: BTreeMap<String, String>,
    /// The store.
    pub cert_store_id: StoreId,
    /// The entry's own id.
    pub cert_store_inventory_item_id: i64,
}

/// A certificate inside an inventory entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct InventoryCertificate {
    /// Certificate id.
    pub id: i64,
    /// Subject.
    #[serde(rename = "IssuedDN")]
    pub issued_dn: String,
    /// Upper-case hexadecimal.
    pub serial_number: String,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// For example `SHA-256withRSA`.
    pub signing_algorithm: String,
    /// Issuer.
    #[serde(rename = "IssuerDN")]
    pub issuer_dn: String,
    /// SHA-1, upper-case hexadecimal.
    pub thumbprint: String,
    /// The entry's own id, the same for all its certificates.
    pub cert_store_inventory_item_id: i64,
    /// 1 while active (chapter 3.5).
    pub cert_state: i32,
    /// Always empty here.
    pub metadata: BTreeMap<String, String>,
}

/// `POST /CertificateStores/Schedule`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct ScheduleInventory {
    /// The stores.
    pub store_ids: Vec<StoreId>,
    /// When to read them; absent, empty or `Off` removes the schedule.
    pub schedule: Option<Schedule>,
}
