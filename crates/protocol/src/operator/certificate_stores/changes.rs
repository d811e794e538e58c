//! Changes to certificate stores (operator contract, chapters 6.3 to 6.6).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SecretValue;
use crate::agent::verification::Verification;
use crate::operator::schedule::Schedule;
use crate::{AgentId, Secret, StoreId, Timestamp};

/// `PUT /CertificateStores`: what is not sent is cleared, but for the agent, the password and the verification, which are
/// kept. Machine and path of a store never change; they may be sent, and are ignored.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateCertificateStore {
    /// The store.
    pub id: Option<StoreId>,
    /// The container to put it into; none when absent.
    pub container_id: Option<i64>,
    /// Its type, which never changes.
    pub cert_store_type: Option<i32>,
    /// Whether to create the store when it is missing.
    pub create_if_missing: bool,
    /// A JSON object inside a string. A secret that is sent as its mask or its GUID is kept.
    pub properties: Option<String>,
    /// The agent that serves it.
    pub agent_id: Option<AgentId>,
    /// The schedule of its inventory.
    pub inventory_schedule: Option<Schedule>,
    /// Its password.
    pub password: Option<SecretValue>,
    /// Ours: how its agent proves that what is stored is served; kept when absent, and ended by an empty one.
    pub verification: Option<Verification>,
}

/// One store of `POST /CertificateStores/Approve`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct ApproveStore {
    /// The store.
    pub id: Option<StoreId>,
    /// The container to put it into.
    pub container_id: Option<i64>,
    /// Its type, which never changes.
    pub cert_store_type: Option<i32>,
    /// A JSON object inside a string; what it has is kept when absent.
    pub properties: Option<String>,
    /// Its password.
    pub password: Option<SecretValue>,
}

/// `PUT /CertificateStores/Password`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct ChangePassword {
    /// The store.
    pub cert_store_id: Option<StoreId>,
    /// A text, or an object with `SecretValue`.
    pub new_password: Option<NewPassword>,
}

/// A password that comes as a text or as an object.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct NewPassword(pub SecretValue);

impl<'de> Deserialize<'de> for NewPassword {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = match Value::deserialize(deserializer)? {
            Value::String(text) => {
                return Ok(Self(SecretValue {
                    secret_value: Some(Secret::new(text)),
                    ..SecretValue::default()
                }));
            }
            Value::Object(members) => members,
            _ => return Err(serde::de::Error::custom("expected a text or an object with SecretValue")),
        };
        let mut secret = SecretValue::default();
        for (name, value) in members {
            match (name.to_ascii_lowercase().as_str(), value) {
                ("secretvalue", Value::String(text)) => secret.secret_value = Some(Secret::new(text)),
                ("provider", Value::Number(number)) => secret.provider = number.as_i64(),
                _ => {}
            }
        }
        Ok(Self(secret))
    }
}

/// `PUT /CertificateStores/AssignContainer`: into a container that is there, or into a new one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct AssignContainer {
    /// The stores.
    pub keystore_ids: Vec<StoreId>,
    /// The container.
    pub cert_store_container_id: Option<i64>,
    /// Name of a container to make.
    pub new_container_name: Option<String>,
    /// The store type it is meant for; any when absent.
    pub new_container_type: Option<i32>,
}

/// `POST /CertificateStores/Reenrollment`: the agent makes a key in the store, and only the request travels.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Reenroll {
    /// The store.
    pub keystore_id: Option<StoreId>,
    /// Subject of the request that the agent makes.
    pub subject_name: Option<String>,
    /// The agent; it must be the one that serves the store.
    pub agent_guid: Option<AgentId>,
    /// Name of the entry.
    pub alias: Option<String>,
    /// Values of the store type's entry parameters.
    pub job_properties: BTreeMap<String, Value>,
    /// `host\logical name` of the authority.
    pub certificate_authority: Option<String>,
    /// Short name of the template; the first that takes requests when absent.
    pub certificate_template: Option<String>,
    /// Ours: names beside the subject, kind to list, as in an enrollment.
    #[serde(rename = "SANs")]
    pub sans: BTreeMap<String, Vec<String>>,
    /// Ours: the key to make, as templates name them; the template's first when absent.
    pub key_algorithm: Option<String>,
}

/// `PUT /CertificateStores/DiscoveryJob`: an agent looks for stores of a type.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct ScheduleDiscovery {
    /// Store type id.
    #[serde(rename = "Type")]
    pub store_type: Option<i32>,
    /// The machine to look at.
    pub client_machine: Option<String>,
    /// The agent that looks.
    pub agent_id: Option<AgentId>,
    /// When; now when absent.
    pub job_execution_timestamp: Option<Timestamp>,
    /// When, if no timestamp is given.
    pub keyfactor_schedule: Option<Schedule>,
    /// Directories to look in, separated by commas.
    pub dirs: Option<String>,
    /// Directories to leave out, separated by commas.
    pub ignored_dirs: Option<String>,
    /// Extensions of files, separated by commas.
    pub extensions: Option<String>,
    /// Parts of file names, separated by commas.
    pub name_patterns: Option<String>,
    /// Whether symbolic links are followed.
    #[serde(rename = "SymLinks")]
    pub symbolic_links: bool,
    /// Whether the agent looks as older ones do.
    pub compatibility: bool,
    /// Login to the machine.
    pub server_username: Option<SecretValue>,
    /// Its password.
    pub server_password: Option<SecretValue>,
    /// Whether the agent speaks TLS to the machine.
    pub server_use_ssl: bool,
}
