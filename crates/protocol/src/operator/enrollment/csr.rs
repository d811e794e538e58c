//! Enrollment with a certificate request of the caller's own (operator contract, chapters 4.8 and 4.9).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{Secret, Timestamp};

/// `POST /Enrollment/CSR`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct EnrollCsr {
    /// The request: PEM, with or without its armour, or base64 of DER.
    #[serde(rename = "CSR")]
    pub csr: Option<String>,
    /// Short name of the template.
    pub template: Option<String>,
    /// An enrollment pattern, instead of the template that it stands for.
    pub enrollment_pattern_id: Option<i64>,
    /// `host\logical` or the logical name alone; chosen by the server when empty.
    pub certificate_authority: Option<String>,
    /// Names beside those in the request, as in an enrollment with a key of the server's.
    #[serde(rename = "SANs")]
    pub sans: BTreeMap<String, Vec<String>>,
    /// Metadata field to value.
    pub metadata: BTreeMap<String, Value>,
    /// Field of the template's enrollment fields to value.
    pub additional_enrollment_fields: BTreeMap<String, Value>,
    /// Whether the chain goes into the answer.
    pub include_chain: bool,
    /// The client's time; not relied on.
    pub timestamp: Option<Timestamp>,
    /// The private key of the request, to be kept with the certificate: PEM, or base64 of PKCS#8.
    pub private_key: Option<Secret>,
    /// In PEM, the line with the subject above each certificate; there when absent.
    pub include_subject_header: Option<bool>,
    /// The role that owns the certificate.
    pub owner_role_id: Option<i64>,
    /// The role that owns the certificate, by name.
    pub owner_role_name: Option<String>,
}

/// The answer to [`EnrollCsr`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct EnrolledCsr {
    /// The certificate.
    pub certificate_information: CsrInformation,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
}

/// The certificate of an [`EnrolledCsr`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct CsrInformation {
    /// Upper-case hexadecimal.
    pub serial_number: String,
    /// Issuer.
    #[serde(rename = "IssuerDN")]
    pub issuer_dn: String,
    /// SHA-1, upper-case hexadecimal.
    pub thumbprint: String,
    /// Certificate id; 0 while pending. The capital D is the contract's.
    #[serde(rename = "KeyfactorID")]
    pub keyfactor_id: i64,
    /// PEM texts or base64 of DER, end entity first; empty while pending.
    pub certificates: Vec<String>,
    /// 0 when issued at once.
    pub keyfactor_request_id: i64,
    /// `ISSUED` or `PENDING`.
    pub request_disposition: String,
    /// Free text.
    pub disposition_message: String,
    /// Always null.
    pub enrollment_context: Option<Value>,
    /// The workflow that the request ran through.
    pub workflow_instance_id: Option<Uuid>,
    /// Its number.
    pub workflow_reference_id: i64,
}

/// `POST /Enrollment/CSR/Parse`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct ParseCsr {
    /// The request, as in [`EnrollCsr`].
    #[serde(rename = "CSR")]
    pub csr: Option<String>,
}
