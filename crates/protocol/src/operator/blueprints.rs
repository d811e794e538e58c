//! Blueprints of agents (operator contract, chapter 7.1).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::schedule::Schedule;
use crate::Timestamp;

/// What one agent serves, to be set up for others.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Blueprint {
    /// Its id.
    pub agent_blueprint_id: Uuid,
    /// Its name.
    pub name: String,
    /// What an agent must be able to do, such as `CertStores.PEM.Management`.
    pub required_capabilities: Vec<String>,
    /// When it was made.
    pub last_modified: Timestamp,
}

/// A certificate store of a blueprint.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct BlueprintStore {
    /// Its id.
    pub agent_blueprint_store_id: Uuid,
    /// The blueprint.
    pub agent_blueprint_id: Uuid,
    /// Where on the machine of an agent.
    pub store_path: String,
    /// The container to put it into.
    pub container_id: Option<i64>,
    /// Store type id.
    pub cert_store_type: i32,
    /// Name of the store type; null when it was deleted.
    pub cert_store_type_name: Option<String>,
    /// Always true: only approved stores are taken.
    pub approved: bool,
    /// Whether the store is created when it is missing.
    pub create_if_missing: bool,
    /// A JSON object inside a string.
    pub properties: String,
}

/// A job of a blueprint: the scheduled inventory of one of its stores.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct BlueprintJob {
    /// Its id.
    pub agent_blueprint_job_id: Uuid,
    /// The blueprint.
    pub agent_blueprint_id: Uuid,
    /// The store.
    pub agent_blueprint_store_id: Uuid,
    /// Short name of the store type and `Inventory`.
    pub job_type_name: String,
    /// When it runs.
    pub keyfactor_schedule: Schedule,
}
