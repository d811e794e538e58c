//! Templates and certificate authorities as operators see them (operator contract, chapters 9.7 and 9.8).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A rule for a part of the subject.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct SubjectRule {
    /// Part of the subject, such as `CN`; `SAN` for the names beside it.
    pub subject_part: String,
    /// What each value must match; a part that is missing counts as an empty text.
    pub regex: String,
    /// What is said when it does not.
    pub error: Option<String>,
}

/// The value of a part of the subject that an enrollment leaves out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct SubjectDefault {
    /// Part of the subject, such as `O`.
    pub subject_part: String,
    /// Its value.
    pub value: String,
}

/// What else an enrollment must or may tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct EnrollmentField {
    /// Its number in the template, from 1.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What may be chosen, for `DataType` 2.
    pub options: Vec<String>,
    /// 1 text, 2 choice.
    pub data_type: i32,
}

/// What keys and names a template allows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct TemplatePolicy {
    /// The template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_id: Option<i64>,
    /// Sizes of RSA keys; in a change, the sizes that are allowed from now on.
    #[serde(rename = "RSAValidKeySizes", skip_serializing_if = "Option::is_none")]
    pub rsa_valid_key_sizes: Option<Vec<i64>>,
    /// Object identifiers of curves; in a change, the curves that are allowed from now on.
    #[serde(rename = "ECCValidCurves", skip_serializing_if = "Option::is_none")]
    pub ecc_valid_curves: Option<Vec<String>>,
    /// Whether a renewal may keep the key.
    pub allow_key_reuse: Option<bool>,
    /// Whether names may begin with `*.`.
    pub allow_wildcards: Option<bool>,
    /// Whether a DNS name is required.
    #[serde(rename = "RFCEnforcement")]
    pub rfc_enforcement: Option<bool>,
    /// Kinds of key by family; ignored in a change.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub key_info: BTreeMap<String, KeyKind>,
}

/// Kinds of key of one family. Its names are the contract's exception.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct KeyKind {
    /// Sizes in bits.
    pub bit_lengths: Vec<u32>,
    /// Object identifiers of curves.
    pub curves: Vec<String>,
}

/// What certificates of a template are for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct TemplateKeyUsage {
    /// Its number in the template, from 1.
    pub id: i64,
    /// Object identifier.
    pub oid: String,
    /// For people.
    pub display_name: String,
}

/// Kinds of key of a template.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct TemplateKeyAlgorithms {
    /// The template.
    pub template_id: i64,
    /// By family.
    pub key_info: BTreeMap<String, KeyKind>,
    /// Families, the default first.
    pub primary_key_algorithms: Vec<String>,
}

/// A template of `GET /Templates`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Template {
    /// Its id.
    pub id: i64,
    /// Short name, used in enrollment.
    pub common_name: String,
    /// For people.
    pub template_name: String,
    /// Always empty: the embedded authority's templates have no object identifier.
    pub oid: String,
    /// Bits of the default key.
    pub key_size: String,
    /// Kind of the default key.
    pub key_type: String,
    /// Families of keys that are allowed.
    pub key_types: String,
    /// Where it belongs.
    pub forest_root: String,
    /// Where it belongs.
    pub configuration_tenant: String,
    /// For people.
    pub friendly_name: String,
    /// For people.
    pub display_name: String,
    /// `Indefinite`, or `None` when keys are not kept.
    pub key_retention: String,
    /// Always null: keys are kept until they are deleted.
    pub key_retention_days: Option<i32>,
    /// Always false: the authority keeps no keys.
    pub key_archival: bool,
    /// What else an enrollment must or may tell.
    pub enrollment_fields: Vec<EnrollmentField>,
    /// 1 PFX, 2 CSR, 4 CSR generation, added up.
    pub allowed_enrollment_types: i32,
    /// Rules for parts of the subject.
    pub template_regexes: Vec<SubjectRule>,
    /// Whether only some roles may use it.
    pub use_allowed_requesters: bool,
    /// Names of those roles.
    pub allowed_requesters: Vec<String>,
    /// Whether someone must approve.
    pub requires_approval: bool,
    /// Bits of the key usage, as in certificates.
    pub key_usage: i32,
    /// What its certificates are for.
    pub extended_key_usages: Vec<TemplateKeyUsage>,
    /// Whether a certificate may be renewed by one call.
    pub allow_one_click_renewals: bool,
    /// Always 3.
    pub manageability: i32,
    /// Ours: days that its certificates live.
    pub validity_days: i32,
}

/// A template of `GET /Templates/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct TemplateDetails {
    /// What lists show, too.
    #[serde(flatten)]
    pub template: Template,
    /// Always empty: metadata fields have one meaning for all templates.
    pub metadata_fields: Vec<Value>,
    /// Values of parts of the subject that an enrollment leaves out.
    pub template_defaults: Vec<SubjectDefault>,
    /// What keys and names are allowed, the settings for all templates included.
    pub template_policy: TemplatePolicy,
    /// Whether a DNS name is required.
    #[serde(rename = "RFCEnforcement")]
    pub rfc_enforcement: bool,
    /// Object identifier of the default key's curve.
    pub curve: Option<String>,
    /// Kinds of key.
    pub key_algorithms: TemplateKeyAlgorithms,
}

/// `PUT /Templates`: what is left out stays as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
#[expect(
    missing_docs,
    reason = "each member is explained at the same name of `Template` and `TemplateDetails`"
)]
pub struct UpdateTemplate {
    pub id: Option<i64>,
    pub friendly_name: Option<String>,
    pub key_retention: Option<Value>,
    pub key_retention_days: Option<i32>,
    pub key_archival: Option<bool>,
    pub enrollment_fields: Option<Vec<EnrollmentField>>,
    pub allowed_enrollment_types: Option<i32>,
    pub template_regexes: Option<Vec<SubjectRule>>,
    pub use_allowed_requesters: Option<bool>,
    pub allowed_requesters: Option<Vec<String>>,
    pub requires_approval: Option<bool>,
    pub allow_one_click_renewals: Option<bool>,
    pub metadata_fields: Option<Vec<Value>>,
    pub template_defaults: Option<Vec<SubjectDefault>>,
    pub template_policy: Option<TemplatePolicy>,
    pub validity_days: Option<i32>,
}

/// The settings for all templates (`GET` and `PUT /Templates/Settings`). A template's own come before them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct TemplateSettings {
    /// Rules for parts of the subject; in a change, those that stay when absent.
    pub template_regexes: Option<Vec<SubjectRule>>,
    /// Values of parts of the subject that an enrollment leaves out; likewise.
    pub template_defaults: Option<Vec<SubjectDefault>>,
    /// What names are allowed, and whether keys may be kept; likewise.
    pub template_policy: Option<TemplatePolicy>,
}

/// A part of the subject of `GET /Templates/SubjectParts`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct SubjectPart {
    /// As rules name it.
    pub subject_part: String,
    /// For people.
    pub subject_part_name: String,
}

/// `POST /Templates/Import`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct ImportTemplates {
    /// The tenant whose templates are taken over.
    pub configuration_tenant: Option<String>,
}

/// A certificate authority of `GET /CertificateAuthority` (chapter 9.7). Only embedded ones exist, so members about
/// connections to others are empty.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the member names are the contract's; chapter 9.7 lists them")]
pub struct CertificateAuthority {
    pub id: i64,
    pub logical_name: String,
    pub host_name: String,
    pub delegate: bool,
    pub delegate_enrollment: bool,
    pub forest_root: String,
    pub configuration_tenant: String,
    pub remote: bool,
    pub agent: Option<String>,
    pub standalone: bool,
    pub monitor_thresholds: bool,
    pub issuance_max: Option<i32>,
    pub issuance_min: Option<i32>,
    pub denial_max: Option<i32>,
    pub failure_max: Option<i32>,
    #[serde(rename = "RFCEnforcement")]
    pub rfc_enforcement: bool,
    pub properties: String,
    pub allowed_enrollment_types: i32,
    pub key_retention: i32,
    pub key_retention_days: Option<i32>,
    pub explicit_credentials: bool,
    pub subscriber_terms: bool,
    pub explicit_user: Option<String>,
    pub explicit_password: Option<Value>,
    pub use_allowed_requesters: bool,
    pub allowed_requesters: Vec<String>,
    #[serde(rename = "CAType")]
    pub ca_type: i32,
    pub auth_certificate: Option<Value>,
    #[serde(rename = "EnforceUniqueDN")]
    pub enforce_unique_dn: bool,
    pub allow_one_click_renewals: bool,
    pub new_end_entity_on_renew_and_reissue: bool,
    #[serde(rename = "UseCAConnector")]
    pub use_ca_connector: bool,
    pub connector_pool: Option<String>,
    pub agent_name: Option<String>,
    pub agent_username: Option<String>,
    #[serde(rename = "TokenURL")]
    pub token_url: Option<String>,
    pub client_id: Option<String>,
    pub scope: Option<String>,
    pub audience: Option<String>,
    pub client_secret: Option<Value>,
    pub certificate_cleanup_enabled: bool,
    pub time_after_expiration: Option<i32>,
    pub time_after_expiration_units: Option<i32>,
    pub delete_with_archived_key: bool,
    pub use_for_enrollment: bool,
}

/// `PUT /CertificateAuthority`, `POST /CertificateAuthority` and `POST /CertificateAuthority/Test`: what may be
/// changed of an embedded authority, and what tells it from another.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
#[expect(missing_docs, reason = "each member is explained at the same name of `CertificateAuthority`")]
pub struct ChangeAuthority {
    pub id: Option<i64>,
    pub logical_name: Option<String>,
    pub host_name: Option<String>,
    #[serde(rename = "CAType")]
    pub ca_type: Option<i32>,
    pub standalone: Option<bool>,
    pub delegate: Option<bool>,
    pub monitor_thresholds: Option<bool>,
    #[serde(rename = "EnforceUniqueDN")]
    pub enforce_unique_dn: Option<bool>,
    #[serde(rename = "RFCEnforcement")]
    pub rfc_enforcement: Option<bool>,
    pub allowed_enrollment_types: Option<i32>,
    pub subscriber_terms: Option<bool>,
    pub use_allowed_requesters: Option<bool>,
    pub allowed_requesters: Option<Vec<String>>,
    pub allow_one_click_renewals: Option<bool>,
}

/// The answer of `POST /CertificateAuthority/Test`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct AuthorityTest {
    /// Whether it can sign.
    pub success: bool,
    /// What was found.
    pub message: String,
}

/// `POST /CertificateAuthority/PublishCRL`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct PublishList {
    /// The authority's name.
    pub certificate_authority_logical_name: Option<String>,
    /// Its host.
    pub certificate_authority_host_name: Option<String>,
}
