//! Containers, also known as applications (operator contract, chapter 6.7).

use serde::{Deserialize, Serialize};

use super::CertificateStore;
use crate::operator::schedule::Schedule;

/// A container in a list: a named group of stores that can carry permissions and a schedule.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    /// The container.
    pub id: i64,
    /// Its name, unique.
    pub name: String,
    /// Whether its schedule replaces that of its stores.
    #[serde(default)]
    pub overwrite_schedules: bool,
    /// Its inventory schedule as a short text, such as `I_60` or `D_03:15`; null without one.
    #[serde(default)]
    pub schedule: Option<String>,
    /// The store type it is meant for; -1 for any.
    pub cert_store_type: i32,
    /// How many stores it holds.
    pub store_count: i64,
}

/// A container by its id, and as it is answered when it is made or changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct ContainerDetails {
    /// The container.
    pub id: i64,
    /// Its name, unique.
    pub name: String,
    /// Whether its schedule replaces that of its stores.
    pub overwrite_schedules: bool,
    /// Its inventory schedule; left out without one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schedule: Option<Schedule>,
    /// The store type it is meant for; -1 for any.
    pub cert_store_type: i32,
    /// Its stores, at most 1000 of them.
    pub certificate_stores: Vec<CertificateStore>,
}

/// `POST /CertificateStoreContainers` and `POST /Applications`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateContainer {
    /// Its name.
    pub name: Option<String>,
    /// Whether its schedule replaces that of its stores; otherwise only stores without one take it.
    pub overwrite_schedules: bool,
    /// Inventory schedule for its stores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// The store type it is meant for; any when absent.
    pub cert_store_type: Option<i32>,
}

/// `PUT /CertificateStoreContainers` and `PUT /Applications`: what is not sent is cleared.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateContainer {
    /// The container.
    pub id: Option<i64>,
    /// Its name.
    pub name: Option<String>,
    /// Whether its schedule replaces that of its stores.
    pub overwrite_schedules: bool,
    /// Inventory schedule for its stores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// The store type it is meant for; any when absent.
    pub cert_store_type: Option<i32>,
}
