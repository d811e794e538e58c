//! Enrollment with a key that the server makes (operator contract, chapter 4.5).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::DeployStore;
use crate::{Secret, StoreId, Timestamp};

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
    /// An enrollment pattern, instead of the template that it stands for.
    pub enrollment_pattern_id: Option<i64>,
    /// `host\logical` or the logical name alone; chosen by the server when empty.
    pub certificate_authority: Option<String>,
    /// Kind of name to the names: `dns`, `ip`, `ip4`, `ip6`, `uri`, `rfc822`, `directory`, `registeredid`,
    /// `ms_ntprincipalname`, `ms_ntdsreplication`, or `other` as `OID:UTF8:text`.
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
    /// Field of the template's enrollment fields to value.
    pub additional_enrollment_fields: BTreeMap<String, Value>,
    /// The certificate that the new one follows; null when it follows none, and never 0.
    pub renewal_certificate_id: Option<i64>,
    /// `RSA`, `ECC` or `Ed25519`; the template's default when absent.
    pub key_type: Option<String>,
    /// Bits of an RSA or elliptic curve key.
    pub key_length: Option<i64>,
    /// Object identifier of the curve.
    pub curve: Option<String>,
    /// 3DES with SHA-1 instead of AES-256 with SHA-256 in the PKCS#12.
    pub use_legacy_encryption: bool,
    /// In PEM, a line with the subject above each certificate.
    pub include_subject_header: Option<bool>,
    /// The role that owns the certificate.
    pub owner_role_id: Option<i64>,
    /// The role that owns the certificate, by name.
    pub owner_role_name: Option<String>,
    /// Version 2: deliver at once, as in [`super::Deploy`].
    pub stores: Vec<DeployStore>,
    /// Version 2, with a renewal: deliver to all stores that hold the certificate that is followed.
    pub install_into_existing_certificate_stores: bool,
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
    /// Base64 of the PKCS#12 or, by format, PEM, ZIP or JKS; empty while pending.
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
    /// The workflow that the request ran through.
    #[serde(default)]
    pub workflow_instance_id: Option<Uuid>,
    /// Its number.
    #[serde(default)]
    pub workflow_reference_id: i64,
    /// Stores of the certificate that is followed that could get no job.
    pub store_ids_invalid_for_renewal: Vec<StoreId>,
    /// Whether the chain could not be completed.
    pub chain_failed_to_build: bool,
}
