//! The audit log and the licence (operator contract, chapters 9.6 and 9.9).

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// A line of the audit log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct AuditEntry {
    /// The line.
    pub id: i64,
    /// When it was done.
    pub timestamp: Timestamp,
    /// What was done, for people.
    pub message: String,
    /// What shows that the line was not changed since; base64.
    pub signature: String,
    /// Kind of the thing, as a number (chapter 9.6).
    pub category: i32,
    /// What was done, as a number (chapter 9.6).
    pub operation: i32,
    /// 0 information, 1 warning, 2 failure.
    pub level: i32,
    /// Who did it.
    pub user: String,
    /// Kind of the thing.
    pub entity_type: String,
    /// The thing.
    pub audit_identifier: String,
    /// The thing, by what never changes of it.
    pub immutable_identifier: String,
}

/// `GET /License`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct License {
    /// The version that this server's clients are told.
    pub keyfactor_version: String,
    /// What it is licensed as.
    pub license_data: LicenseData,
}

/// What a server is licensed as.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct LicenseData {
    /// Name of the licence.
    pub license_id: String,
    /// Who it is given to.
    pub customer: Customer,
    /// Since when; absent, as nobody issues it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub issued_date: Option<Timestamp>,
    /// Until when; absent, as it does not end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expiration_date: Option<Timestamp>,
    /// What it covers.
    pub licensed_products: Vec<LicensedProduct>,
}

/// Who a licence is given to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Customer {
    /// Its name.
    pub name: String,
    /// Its number.
    pub id: i32,
}

/// A product that a licence covers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct LicensedProduct {
    /// The product.
    pub product_id: String,
    /// Its name for people.
    pub display_name: String,
    /// First number of its version.
    pub major_rev: String,
    /// Second number of its version.
    pub minor_rev: String,
    /// What is switched on apart; nothing, since everything is.
    pub licensed_features: Vec<LicensedFeature>,
}

/// A feature that is licensed apart.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct LicensedFeature {
    /// The feature.
    #[serde(rename = "FeatureID")]
    pub feature_id: String,
    /// Its name for people.
    pub display_name: String,
    /// Whether it is switched on.
    pub enabled: bool,
    /// How many.
    pub quantity: i32,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expiration_date: Option<Timestamp>,
}
