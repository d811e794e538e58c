//! Certificates going out and coming in: download, recovery, import and analysis (operator contract, 8.3 and 8.4).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::enrollment::DeployStoreType;
use crate::{JobId, Secret, StoreId, Timestamp};

/// `POST /Certificates/Download`: a certificate by its id, its thumbprint, or its serial number and issuer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Download {
    /// Its id; 0 means not given.
    #[serde(rename = "CertID")]
    pub cert_id: Option<i64>,
    /// SHA-1, hexadecimal.
    pub thumbprint: Option<String>,
    /// Hexadecimal; together with `IssuerDN`.
    pub serial_number: Option<String>,
    /// Distinguished name of the issuer.
    #[serde(rename = "IssuerDN")]
    pub issuer_dn: Option<String>,
    /// Whether the certificates of its issuers come along.
    pub include_chain: bool,
    /// `EndEntityFirst`, which is the default, or `RootFirst`.
    pub chain_order: Option<String>,
}

/// The answer to [`Download`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Downloaded {
    /// Base64 of DER, PEM text or PKCS#7, as `x-certificateformat` asked for.
    pub content: String,
}

/// `POST /Certificates/Recover`: a certificate as in [`Download`], with its private key.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Recover {
    /// Its id; 0 means not given.
    #[serde(rename = "CertID")]
    pub cert_id: Option<i64>,
    /// SHA-1, hexadecimal.
    pub thumbprint: Option<String>,
    /// Hexadecimal; together with `IssuerDN`.
    pub serial_number: Option<String>,
    /// Distinguished name of the issuer.
    #[serde(rename = "IssuerDN")]
    pub issuer_dn: Option<String>,
    /// Whether the certificates of its issuers come along.
    pub include_chain: bool,
    /// `EndEntityFirst`, which is the default, or `RootFirst`.
    pub chain_order: Option<String>,
    /// What the key is put under, 8 to 256 characters.
    pub password: Option<Secret>,
    /// Whether PKCS#12 is written for Windows Server 2016 and older.
    pub use_legacy_encryption: bool,
}

/// The answer to [`Recover`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Recovered {
    /// Base64 of PKCS#12 or PEM text, as `x-certificateformat` asked for.
    #[serde(rename = "PFX")]
    pub pfx: Secret,
    /// The name under which it may be saved.
    pub file_name: String,
}

/// `POST /Certificates/Import`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct ImportCertificate {
    /// Base64 of DER, PEM text or PKCS#12.
    pub certificate: Option<Secret>,
    /// Password of the PKCS#12, or of an encrypted key in PEM text.
    pub password: Option<Secret>,
    /// Metadata field to value.
    pub metadata: BTreeMap<String, Value>,
    /// Stores that are to get the certificate.
    pub store_ids: Vec<StoreId>,
    /// Alias, overwrite and properties by store type, for `StoreIds`.
    pub store_types: Vec<DeployStoreType>,
    /// When the stores get it; past or absent means now.
    pub schedule: Option<Timestamp>,
}

/// The answer to [`ImportCertificate`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Imported {
    /// Flags: 1 the certificate was put on record, 2 it was known before, 4 its private key was stored.
    pub import_status: i32,
    /// 1 no store was named, 2 every store that was named gets a job, 3 some do not.
    pub job_status: i32,
    /// Stores that get no job, and why.
    pub invalid_keystores: Vec<InvalidKeystore>,
    /// SHA-1, upper-case hexadecimal.
    pub thumbprint: String,
    /// Ours: the certificate's id.
    pub certificate_id: i64,
    /// Ours: the jobs that were made, in the order of `StoreIds`.
    pub job_ids: Vec<JobId>,
}

/// A store of an [`ImportCertificate`] that gets no job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct InvalidKeystore {
    /// The store.
    pub keystore_id: StoreId,
    /// Its machine; null for a store that is not known.
    pub client_machine: Option<String>,
    /// Its path; null for a store that is not known.
    pub store_path: Option<String>,
    /// The alias that was asked for.
    pub alias: Option<String>,
    /// 1 not known, 2 not permitted, 3 not fit for the certificate.
    pub reason: i32,
    /// The reason in words.
    pub explanation: String,
}

/// `POST /Certificates/Analyze`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Analyze {
    /// Base64 of DER, PEM text or PKCS#12.
    pub certificate: Option<Secret>,
    /// Password of the PKCS#12, or of an encrypted key in PEM text.
    pub password: Option<Secret>,
}

/// One certificate of an [`Analyze`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Analyzed {
    /// Subject.
    #[serde(rename = "IssuedDN")]
    pub issued_dn: String,
    /// Issuer.
    #[serde(rename = "IssuerDN")]
    pub issuer_dn: String,
    /// SHA-1, upper-case hexadecimal.
    pub thumbprint: String,
    /// End of validity.
    pub not_after: Timestamp,
    /// Start of validity.
    pub not_before: Timestamp,
    /// Its metadata, where it is on record and the caller may read all certificates.
    pub metadata: BTreeMap<String, String>,
    /// Whether it signs no others.
    pub is_end_entity: bool,
}
