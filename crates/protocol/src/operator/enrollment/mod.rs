//! Enrollment and deployment (operator contract, chapters 4.3 and 4.5).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{JobId, Secret, StoreId, Timestamp};

/// `POST /Enrollment/PFX`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct EnrollPfx {
    /// Distinguished name of the new certificate.
    pub subject: Option<String>,
    /// Password of the PKCS#12; made by the server when absent, and then answered.
    pub password: Option<Secret>,
    /// Short name of the template.
    pub template: Option<String>,
    /// `host\logical` or the logical name alone; chosen by the server when empty.
    pub certificate_authority: Option<String>,
    /// Kind of name (`dns`, `ip`, `ip4`, `ip6`, `uri`, `rfc822`) to the names.
    #[serde(rename = "SANs")]
    pub sans: BTreeMap<String, Vec<String>>,
    /// The client's time; recorded, not relied on.
    pub timestamp: Option<Timestamp>,
    /// Whether the chain goes into the answer.
    pub include_chain: bool,
    /// `EndEntityFirst` or `RootFirst`.
    pub chain_order: Option<String>,
    /// Friendly name inside the PKCS#12.
    pub custom_friendly_name: Option<String>,
    /// Metadata field to value.
    pub metadata: BTreeMap<String, Value>,
    /// `RSA`, `ECC` or `Ed25519`; the template's default when absent.
    pub key_type: Option<String>,
    /// Bits of an RSA or elliptic curve key.
    pub key_length: Option<i64>,
    /// Object identifier of the curve.
    pub curve: Option<String>,
    /// 3DES with SHA-1 instead of AES-256 with SHA-256 in the PKCS#12.
    pub use_legacy_encryption: bool,
    /// Version 2: deliver at once, as in [`Deploy`].
    pub stores: Vec<DeployStore>,
    /// Version 2: when those jobs run.
    pub job_time: Option<Timestamp>,
}

/// The answer to [`EnrollPfx`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct EnrolledPfx {
    /// Version 2 only: the stores that got a job; null when none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successful_stores: Option<Vec<StoreId>>,
    /// The certificate.
    pub certificate_information: PfxInformation,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
}

/// The certificate of an [`EnrolledPfx`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct PfxInformation {
    /// Upper-case hexadecimal.
    pub serial_number: String,
    /// Issuer.
    #[serde(rename = "IssuerDN")]
    pub issuer_dn: String,
    /// SHA-1, upper-case hexadecimal.
    pub thumbprint: String,
    /// Certificate id; 0 while pending.
    pub keyfactor_id: i64,
    /// Base64 of the PKCS#12 or, by format, PEM.
    pub pkcs12_blob: Secret,
    /// The password the server made; null when the caller chose it.
    pub password: Option<Secret>,
    /// 0 when issued at once.
    pub keyfactor_request_id: i64,
    /// `ISSUED` or `PENDING`.
    pub request_disposition: String,
    /// Free text.
    pub disposition_message: String,
    /// Always null.
    pub enrollment_context: Option<Value>,
    /// Always empty.
    pub store_ids_invalid_for_renewal: Vec<StoreId>,
    /// Whether the chain could not be completed.
    pub chain_failed_to_build: bool,
}

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

/// The answer to [`Deploy`]: each store judged by itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Deployed {
    /// A job was created. Says nothing of its outcome.
    pub successful_stores: Vec<StoreId>,
    /// No job could be created.
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
