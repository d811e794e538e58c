//! Collections: saved certificate queries that can carry permissions (operator contract, 8.5).

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// A collection as it is read.
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
    /// Always false: no collection is made by the server.
    pub automated: bool,
    /// The query.
    pub content: String,
    /// Of certificates that share a name, lists show the newest: 0 none, 1 common name, 2 distinguished name.
    pub duplication_field: i32,
    /// Whether a dashboard shows it.
    pub show_on_dashboard: bool,
    /// Whether the caller marked it.
    pub favorite: bool,
    /// How many certificates it held when they were last counted; 10001 stands for more than 10000.
    pub estimated_cert_count: i32,
    /// When they were counted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_estimated: Option<Timestamp>,
}

/// A collection as it is answered to those who wrote it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct WrittenCollection {
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
    /// As in [`Collection`].
    pub duplication_field: i32,
    /// Whether a dashboard shows it.
    pub show_on_dashboard: bool,
    /// Whether the caller marked it.
    pub favorite: bool,
    /// As in [`Collection`].
    pub estimated_cert_count: i32,
    /// As in [`Collection`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_estimated: Option<Timestamp>,
}

/// `POST`, `PUT` and `POST /Copy` below `/CertificateCollections`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct WriteCollection {
    /// The collection that is changed; only `PUT` has it.
    pub id: Option<i64>,
    /// Its name, at most 100 characters.
    pub name: Option<String>,
    /// What it is for, at most 1,000 characters.
    pub description: Option<String>,
    /// The query; empty means every certificate.
    pub query: Option<String>,
    /// As in [`Collection`].
    pub duplication_field: Option<i32>,
    /// Whether a dashboard shows it.
    pub show_on_dashboard: Option<bool>,
    /// Whether the caller marks it.
    pub favorite: Option<bool>,
    /// The collection from which members that are not given are taken; 0 means none.
    pub copy_from_id: Option<i64>,
}

/// `PUT /CertificateCollections/{id}/Favorite`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct MarkCollection {
    /// Whether the caller wants to see it among its own.
    pub show_in_navigator: Option<bool>,
}

/// A collection by name, as `GET /CertificateCollections/CollectionList` and `/NavItems` answer it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct CollectionName {
    /// The collection.
    pub id: i64,
    /// Its name.
    pub name: String,
}
