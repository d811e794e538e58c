//! Renewal of certificates (operator contract, chapters 4.6 and 4.7).

use serde::{Deserialize, Serialize};

use crate::{Secret, StoreId, Timestamp};

/// `POST /Enrollment/Renew`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Renew {
    /// The certificate; 0 means not given.
    pub certificate_id: Option<i64>,
    /// The certificate, by its SHA-1 thumbprint.
    pub thumbprint: Option<String>,
    /// The client's time; not relied on.
    pub timestamp: Option<Timestamp>,
    /// As in an enrollment; the certificate's own when absent.
    pub certificate_authority: Option<String>,
    /// Short name of a template; the certificate's own when absent.
    pub template: Option<String>,
    /// Ours: keep the private key instead of making a new one. The template must allow it.
    pub reuse_key: bool,
    /// Ours: deliver the successor to all stores that hold the certificate.
    pub install_into_existing_certificate_stores: bool,
    /// Ours: when those jobs run; past or absent means now.
    pub job_time: Option<Timestamp>,
}

/// The answer to [`Renew`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Renewed {
    /// Certificate id; 0 while pending.
    pub keyfactor_id: i64,
    /// 0 when issued at once.
    pub keyfactor_request_id: i64,
    /// SHA-1, upper-case hexadecimal.
    pub thumbprint: String,
    /// Upper-case hexadecimal.
    pub serial_number: String,
    /// Issuer.
    #[serde(rename = "IssuerDN")]
    pub issuer_dn: String,
    /// `ISSUED` or `PENDING`.
    pub request_disposition: String,
    /// Free text.
    pub disposition_message: String,
    /// Always empty: the key stays with the server.
    pub password: Secret,
    /// Ours: stores that got a job, or will get one once the request is issued.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub successful_stores: Vec<StoreId>,
    /// Ours: stores that could get none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub store_ids_invalid_for_renewal: Vec<StoreId>,
}

/// The answer of `GET /Enrollment/AvailableRenewal/...`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct AvailableRenewal {
    /// 0 none, 1 by a new enrollment that starts from the certificate, 2 by [`Renew`].
    pub available_renewal_type: i32,
    /// Why not more.
    pub message: String,
}
