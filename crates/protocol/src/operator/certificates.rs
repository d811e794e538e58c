//! Certificates as operators see them (operator contract, chapter 8).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::certificate_stores::ServedTarget;
use crate::{StoreId, Timestamp};

pub use crate::operator::revoke_reason::RevokeReason;

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
    pub alt_key_algorithm: Option<String>,
    pub alt_key_size_in_bits: i32,
    pub alt_key_type: i32,
    pub alt_key_type_string: Option<String>,
    pub alt_signing_algorithm: Option<String>,
    pub has_alt_private_key: bool,
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
    /// Ours: what the targets of the store showed that show this certificate, or should.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub served: Vec<ServedTarget>,
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

/// `POST /Certificates/Revoke` (chapter 8.2).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Revoke {
    /// The certificates; all are revoked or none.
    pub certificate_ids: Vec<i64>,
    /// Why, by number or name (chapter 3.5); 0 when absent.
    pub reason: Option<RevokeReason>,
    /// What the revoker says about it.
    pub comment: Option<String>,
    /// When the certificates lost their validity; now when absent.
    pub effective_date: Option<Timestamp>,
    /// The collection by which the caller may revoke; 0 means not given.
    pub collection_id: Option<i64>,
}

/// `POST /Certificates/RevokeAll` (chapter 8.2).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct RevokeAll {
    /// Which certificates; all are revoked or none.
    pub query: Option<String>,
    /// Why, by number or name (chapter 3.5).
    pub reason: Option<RevokeReason>,
    /// What the revoker says about it.
    pub comment: Option<String>,
    /// When the certificates lost their validity; now when absent.
    pub effective_date: Option<Timestamp>,
    /// Whether the query also finds revoked certificates, such as those on hold.
    pub include_revoked: bool,
    /// Whether the query also finds expired certificates.
    pub include_expired: bool,
}

/// The answer to [`Revoke`] and [`RevokeAll`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Revoked {
    /// The certificates of the call; those that were revoked before included.
    pub revoked_ids: Vec<i64>,
    /// Always empty: no revocation waits for approval.
    pub suspended_certs: Vec<serde_json::Value>,
}

/// The answer of `GET /Certificates/Locations/{id}` (chapter 8.2).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Locations {
    /// One element for each store type that holds the certificate.
    pub details: Vec<LocationDetails>,
}

/// Where stores of one type hold a certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct LocationDetails {
    /// Short name of the store type.
    pub store_type: String,
    /// Store type id.
    pub store_type_id: i32,
    /// In how many places.
    pub store_count: i64,
    /// The places.
    pub locations: Vec<DetailedLocation>,
}

/// One place of [`LocationDetails`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct DetailedLocation {
    /// The store.
    pub store_id: StoreId,
    /// Short name of the store type.
    pub store_type: String,
    /// Store type id.
    pub store_type_id: i32,
    /// The certificate.
    pub certificate_id: i64,
    /// Machine of the store.
    pub client_machine: String,
    /// Path of the store.
    pub store_path: String,
    /// Always null: there are no pools of agents.
    pub agent_pool: Option<String>,
    /// Alias of the entry.
    pub alias: String,
    /// Always null: networks are not scanned.
    #[serde(rename = "IPAddress")]
    pub ip_address: Option<String>,
    /// Always null.
    pub port: Option<i32>,
    /// Always null.
    pub network_name: Option<String>,
    /// Ours: what the targets of the store showed that show this certificate, or should.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub served: Vec<ServedTarget>,
}

/// One element of `GET /Certificates/{id}/History`: something that a caller did with the certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct CertificateOperation {
    /// Its number.
    pub id: i64,
    /// When it began.
    pub operation_start: Timestamp,
    /// When it ended, which is at once.
    pub operation_end: Timestamp,
    /// Who did it.
    pub username: String,
    /// What was done, in words.
    pub comment: String,
    /// What was done, by name, such as `Revoked`.
    pub action: String,
}

/// The answer of `GET /Certificates/{id}/Security`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct CertificateSecurity {
    /// The roles that may do something with the certificate.
    pub roles: Vec<CertificateRole>,
}

/// What a role may do with a certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct CertificateRole {
    /// Name of the role.
    pub name: String,
    /// Such as `Read` and `Revoke`.
    pub permissions: Vec<String>,
}

/// The answer of `GET /Certificates/{id}/Validate`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Validation {
    /// Whether every check passed.
    pub valid: bool,
    /// Check by check: `Pass`, or `Fail` with the reason.
    pub results: BTreeMap<String, String>,
}

/// One element of `GET /Certificates/IdentityAudit/{id}`: a caller that may do something with the certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct IdentityAccess {
    /// The caller's number among its kind.
    pub id: i64,
    /// Its name.
    pub account_name: String,
    /// `User` or `ApiToken`.
    pub identity_type: String,
    /// Always null: callers have no Windows identity.
    #[serde(rename = "SID")]
    pub sid: Option<String>,
    /// What it may do.
    pub permissions: Vec<AccessPermission>,
}

/// One permission of an [`IdentityAccess`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct AccessPermission {
    /// Such as `Read`.
    pub name: String,
    /// The roles that give it.
    pub granted_by: Vec<String>,
}

/// `PUT /Certificates/{id}/Owner`: one of the two.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct ChangeOwner {
    /// Name of the role that is to own the certificate.
    pub new_role_name: Option<String>,
    /// Its id; 0 means not given.
    pub new_role_id: Option<i64>,
}

/// `PUT /Certificates/Metadata`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateMetadata {
    /// The certificate.
    pub id: Option<i64>,
    /// The certificate, by its newer name.
    pub certificate_id: Option<i64>,
    /// Field to value; null or empty text clears a field, and fields that are not named stay.
    pub metadata: BTreeMap<String, serde_json::Value>,
    /// The collection by which the caller may change metadata; 0 means not given.
    pub collection_id: Option<i64>,
}

/// `PUT /Certificates/Metadata/All`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateAllMetadata {
    /// Which certificates, in the query language; this or `CertificateIds`.
    pub query: Option<String>,
    /// Which certificates.
    pub certificate_ids: Vec<i64>,
    /// What is set.
    pub metadata: Vec<MetadataChange>,
    /// The collection by which the caller may change metadata; 0 means not given.
    pub collection_id: Option<i64>,
}

/// One change of [`UpdateAllMetadata`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct MetadataChange {
    /// The field.
    pub metadata_name: Option<String>,
    /// Its value; null or empty text clears it.
    pub value: serde_json::Value,
    /// Whether a value that is there is replaced.
    pub overwrite_existing: bool,
}
