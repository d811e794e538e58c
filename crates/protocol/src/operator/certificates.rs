//! Certificates as operators see them (operator contract, chapter 8).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{StoreId, Timestamp};

/// A certificate of `GET /Certificates` and `GET /Certificates/{id}` (chapter 8.1).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the member names are the contract's; chapter 8.1 explains them")]
pub struct Certificate {
    pub id: i64,
    pub thumbprint: String,
    pub serial_number: String,
    #[serde(rename = "IssuedDN")]
    pub issued_dn: Option<String>,
    #[serde(rename = "IssuedCN")]
    pub issued_cn: Option<String>,
    #[serde(rename = "IssuedOU")]
    pub issued_ou: Option<String>,
    pub issued_email: Option<String>,
    #[serde(rename = "IssuerDN")]
    pub issuer_dn: Option<String>,
    pub import_date: Timestamp,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub principal_id: Option<String>,
    pub principal_name: Option<String>,
    pub requester_name: Option<String>,
    pub owner_role_id: Option<i64>,
    pub owner_role_name: Option<String>,
    pub template_id: Option<i64>,
    pub template_name: Option<String>,
    pub cert_state: i32,
    pub cert_state_string: String,
    pub key_size_in_bits: i32,
    pub key_type: i32,
    pub key_type_string: String,
    pub key_algorithm: Option<String>,
    pub requester_id: Option<i64>,
    pub cert_request_id: Option<i64>,
    pub key_usage: i32,
    pub signing_algorithm: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub revocation_eff_date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub revocation_reason: Option<i32>,
    pub revocation_comment: Option<String>,
    pub certificate_authority_id: Option<i64>,
    pub certificate_authority_name: Option<String>,
    pub archived_key: bool,
    pub has_private_key: bool,
    pub key_recoverable: bool,
    pub content_bytes: String,
    pub extended_key_usages: Vec<ExtendedKeyUsage>,
    pub subject_alt_name_elements: Vec<SubjectAltNameElement>,
    #[serde(rename = "CRLDistributionPoints")]
    pub crl_distribution_points: Vec<CrlDistributionPoint>,
    pub locations_count: Vec<LocationCount>,
    #[serde(rename = "SSLLocations")]
    pub ssl_locations: Vec<serde_json::Value>,
    pub locations: Vec<Location>,
    pub metadata: BTreeMap<String, String>,
    #[serde(rename = "CARowIndex")]
    pub ca_row_index: Option<i64>,
    #[serde(rename = "CARecordId")]
    pub ca_record_id: Option<String>,
    pub detailed_key_usage: DetailedKeyUsage,
    pub curve: Option<String>,
    #[serde(rename = "IsCACertificate")]
    pub is_ca_certificate: bool,
    pub path_length_constraint: Option<i32>,
    pub enrollment_pattern_id: Option<i64>,
    pub lifespan: i64,
}

/// One purpose of a certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct ExtendedKeyUsage {
    /// Position, from 1.
    pub id: i64,
    /// Object identifier.
    pub oid: String,
    /// Its usual name; the identifier where it has none.
    pub display_name: String,
}

/// One subject alternative name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct SubjectAltNameElement {
    /// Position, from 1.
    pub id: i64,
    /// The name.
    pub value: String,
    /// Its kind (chapter 3.5): 2 DNS, 6 URI, 7 IP address, 1 mail.
    #[serde(rename = "Type")]
    pub kind: i32,
    /// SHA-256 of the value, base64.
    pub value_hash: String,
}

/// Where revocation lists are published.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct CrlDistributionPoint {
    /// Position, from 1.
    pub id: i64,
    /// The address.
    pub url: String,
    /// SHA-256 of the address, base64.
    pub url_hash: String,
}

/// How many stores of one type hold a certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct LocationCount {
    /// Short name of the store type.
    #[serde(rename = "Type")]
    pub kind: String,
    /// How many.
    pub count: i64,
}

/// One place where a certificate was found by inventory.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Location {
    /// Machine of the store.
    pub store_machine: String,
    /// Path of the store.
    pub store_path: String,
    /// Store type id.
    pub store_type: i32,
    /// Alias of the entry.
    pub alias: String,
    /// 0 for the end entity, higher for members of its chain.
    pub chain_level: i32,
    /// The store.
    pub cert_store_id: StoreId,
}

/// The key usage bits, one by one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the names are those of RFC 5280, 4.2.1.3")]
pub struct DetailedKeyUsage {
    pub crl_sign: bool,
    pub data_encipherment: bool,
    pub decipher_only: bool,
    pub digital_signature: bool,
    pub encipher_only: bool,
    pub key_agreement: bool,
    pub key_cert_sign: bool,
    pub key_encipherment: bool,
    pub non_repudiation: bool,
    pub hex_code: String,
}

/// A collection: a saved certificate query that can carry permissions (chapter 8.5).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Collection {
    /// The collection.
    pub id: i64,
    /// Its name, unique.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The query.
    pub query: String,
    /// The query again, as the contract answers it.
    pub content: String,
    /// Always 0: no duplicates are dropped.
    pub duplication_field: i32,
    /// Always false.
    pub show_on_dashboard: bool,
    /// Always false.
    pub favorite: bool,
}

/// `POST /CertificateCollections`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateCollection {
    /// Its name, at most 100 characters.
    pub name: Option<String>,
    /// What it is for, at most 1,000 characters.
    pub description: Option<String>,
    /// The query; empty means every certificate.
    pub query: Option<String>,
}

/// `POST /Certificates/Revoke` (chapter 8.2).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Revoke {
    /// The certificates; all are revoked or none.
    pub certificate_ids: Vec<i64>,
    /// Why, by number (chapter 3.5); 0 when absent.
    pub reason: Option<i64>,
    /// What the revoker says about it.
    pub comment: Option<String>,
    /// When the certificates lost their validity; now when absent.
    pub effective_date: Option<Timestamp>,
    /// The collection by which the caller may revoke; 0 means not given.
    pub collection_id: Option<i64>,
}

/// The answer to [`Revoke`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Revoked {
    /// The certificates of the call; those that were revoked before included.
    pub revoked_ids: Vec<i64>,
    /// Always empty: no revocation waits for approval.
    pub suspended_certs: Vec<serde_json::Value>,
}
