//! Delivery of certificates to stores (operator contract, chapters 4.3 and 4.4).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{JobId, Secret, StoreId, Timestamp};

/// `POST /Enrollment/PFX/Deploy`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Deploy {
    /// Where the certificate goes.
    pub stores: Vec<DeployStore>,
    /// Secures the entry in stores that have a password for each entry.
    pub password: Option<Secret>,
    /// The certificate; 0 means not given.
    pub certificate_id: Option<i64>,
    /// The enrollment request, when issuance waited for approval; 0 means not given.
    pub request_id: Option<i64>,
    /// When the jobs run; past or absent means now.
    pub job_time: Option<Timestamp>,
    /// The older form of [`Deploy::stores`].
    pub store_ids: Vec<StoreId>,
    /// Alias, overwrite and properties by store type, for [`Deploy::store_ids`].
    pub store_types: Vec<DeployStoreType>,
    /// Ours: the agents only say what they would do, in the evidence of their jobs, and change nothing.
    pub dry_run: bool,
}

/// One target of a [`Deploy`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct DeployStore {
    /// The store.
    pub store_id: Option<StoreId>,
    /// Name of the entry.
    pub alias: Option<String>,
    /// Whether an entry of the same alias may be replaced.
    pub overwrite: bool,
    /// Entry parameter values.
    pub properties: BTreeMap<String, Value>,
}

/// What applies to all stores of one type in the older form.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct DeployStoreType {
    /// Store type id.
    pub store_type_id: Option<i32>,
    /// Name of the entry.
    pub alias: Option<String>,
    /// Whether an entry of the same alias may be replaced.
    pub overwrite: bool,
    /// Entry parameter values, as a list of objects.
    pub properties: Vec<BTreeMap<String, Value>>,
}

/// `POST /Enrollment/PFX/Replace`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Replace {
    /// The certificate that is replaced wherever inventories found it.
    pub existing_certificate_id: Option<i64>,
    /// The new certificate; 0 means not given.
    pub certificate_id: Option<i64>,
    /// The enrollment request of the new certificate; 0 means not given.
    pub request_id: Option<i64>,
    /// Secures the entry in stores that have a password for each entry.
    pub password: Option<Secret>,
    /// When the jobs run; past or absent means now.
    pub job_time: Option<Timestamp>,
}

/// The answer to [`Deploy`] and [`Replace`]: each store judged by itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Deployed {
    /// A job was created, or will be once the request is issued. Says nothing of its outcome.
    pub successful_stores: Vec<StoreId>,
    /// No job could be created, and none will be.
    pub failed_stores: Vec<StoreId>,
    /// Ours: the job of each successful store.
    pub jobs: Vec<DeployedJob>,
    /// Ours: why each failed store failed.
    pub failures: Vec<DeployFailure>,
}

/// The job made for one store.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct DeployedJob {
    /// The store.
    pub store_id: StoreId,
    /// The job.
    pub job_id: JobId,
}

/// Why a store got no job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct DeployFailure {
    /// The store.
    pub store_id: StoreId,
    /// Stable code.
    pub error_code: String,
    /// For the reader.
    pub message: String,
}
