//! What a caller may enroll, and by which rules (operator contract, chapter 4.9).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::operator::authority::{
    EnrollmentField, KeyKind, SubjectDefault, SubjectRule, TemplateKeyUsage, TemplatePolicy,
};

/// The answer of `GET /Enrollment/PFX/Context/My` and `GET /Enrollment/CSR/Context/My`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct EnrollmentContext {
    /// Templates that the caller may use.
    pub templates: Vec<ContextTemplate>,
    /// Always empty: the embedded authority issues by templates alone.
    #[serde(rename = "StandaloneCAs")]
    pub standalone_cas: Vec<ContextAuthority>,
}

/// A template of an [`EnrollmentContext`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct ContextTemplate {
    /// Its id.
    pub id: i64,
    /// Its short name.
    pub name: String,
    /// For people.
    pub display_name: String,
    /// The configuration tenant.
    pub forest: String,
    /// Bits of the default key.
    pub key_size: String,
    /// Kind of the default key.
    pub key_type: String,
    /// Whether someone must approve.
    pub requires_approval: bool,
    /// Whether a DNS name is required.
    #[serde(rename = "RFCEnforcement")]
    pub rfc_enforcement: bool,
    /// Authorities that issue by it.
    #[serde(rename = "CAs")]
    pub cas: Vec<ContextAuthority>,
    /// What else an enrollment must or may tell.
    pub enrollment_fields: Vec<EnrollmentField>,
    /// Always empty: metadata fields have one meaning for all templates.
    pub metadata_fields: Vec<Value>,
    /// Rules for parts of the subject.
    pub regexes: Vec<ContextRegex>,
    /// What its certificates are for.
    pub extended_key_usages: Vec<TemplateKeyUsage>,
    /// Object identifier of the default key's curve.
    pub curve: Option<String>,
}

/// An authority of a [`ContextTemplate`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct ContextAuthority {
    /// `host\logical`.
    pub name: String,
    /// Whether a DNS name is required.
    #[serde(rename = "RFCEnforcement")]
    pub rfc_enforcement: bool,
    /// Whether callers must accept terms first.
    pub subscriber_terms: bool,
}

/// A rule for a part of the subject, as a [`ContextTemplate`] shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct ContextRegex {
    /// The template.
    pub template_id: i64,
    /// Part of the subject, such as `CN`.
    pub subject_part: String,
    /// What it must match.
    pub regex: String,
    /// What is said when it does not.
    pub error: String,
}

/// The answer of `GET /Enrollment/Settings/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct EnrollmentSettings {
    /// Rules for parts of the subject.
    pub template_regexes: Vec<SubjectRule>,
    /// Values of parts that an enrollment leaves out.
    pub template_defaults: Vec<SubjectDefault>,
    /// What keys and names are allowed.
    pub template_policy: TemplatePolicy,
}

/// A pattern of `GET /EnrollmentPatterns`: one stands for each template, with its id.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct EnrollmentPattern {
    /// Its id.
    pub id: i64,
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// The template that it stands for.
    pub template: PatternTemplate,
    /// Always true: it is its template's only one.
    pub template_default: bool,
    /// Always false: there is no directory.
    #[serde(rename = "UseADPermissions")]
    pub use_ad_permissions: bool,
    /// Roles that may use it; empty for everyone who may enroll.
    pub associated_roles: Vec<PatternRole>,
    /// Authorities that issue by it.
    pub certificate_authorities: Vec<PatternAuthority>,
    /// 1 PFX, 2 CSR, 4 CSR generation, added up.
    pub allowed_enrollment_types: i32,
    /// Rules for parts of the subject.
    pub regexes: Vec<SubjectRule>,
    /// Always empty: metadata fields have one meaning for all patterns.
    pub metadata_fields: Vec<Value>,
    /// Always true: the embedded authority alone issues.
    #[serde(rename = "RestrictCAs")]
    pub restrict_cas: bool,
    /// What keys and names are allowed.
    pub policies: PatternPolicies,
    /// Values of parts that an enrollment leaves out.
    pub defaults: Vec<SubjectDefault>,
    /// What else an enrollment must or may tell.
    pub enrollment_fields: Vec<EnrollmentField>,
}

/// The template of an [`EnrollmentPattern`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct PatternTemplate {
    /// Its id.
    pub id: i64,
    /// For people.
    pub template_name: String,
    /// Its short name.
    pub common_name: String,
    /// Where it belongs.
    pub configuration_tenant: String,
    /// Whether someone must approve.
    pub requires_approval: bool,
    /// For people.
    pub friendly_name: String,
}

/// A role of an [`EnrollmentPattern`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct PatternRole {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
}

/// An authority of an [`EnrollmentPattern`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct PatternAuthority {
    /// Its id.
    pub id: i64,
    /// Its logical name.
    pub logical_name: String,
    /// Where it is.
    pub host_name: String,
}

/// What an [`EnrollmentPattern`] allows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct PatternPolicies {
    /// Whether a renewal may keep the key.
    pub allow_key_reuse: bool,
    /// Whether names may begin with `*.`.
    pub allow_wildcards: bool,
    /// Whether a DNS name is required.
    #[serde(rename = "RFCEnforcement")]
    pub rfc_enforcement: bool,
    /// Whether an owner is required; always `Optional`.
    pub certificate_owner_role: String,
    /// Always null.
    pub default_certificate_owner_role_id: Option<i64>,
    /// Always null.
    pub default_certificate_owner_role_name: Option<String>,
    /// Always true: a caller may name any owner.
    pub default_certificate_owner_override: bool,
    /// Kinds of key by family.
    pub key_info: BTreeMap<String, KeyKind>,
    /// Families of keys, the default first.
    pub primary_key_algorithms: Vec<String>,
    /// Always empty.
    pub alternative_key_algorithms: Vec<String>,
}
