//! Logins to the machines of stores (operator contract, chapters 6.2 and 6.3; releases up to 12 have them).

use serde::{Deserialize, Serialize};

use super::{MaskedSecret, SecretValue};

/// One entry of `GET /CertificateStores/Server`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Server {
    /// The entry.
    pub id: i64,
    /// The login's name, masked.
    pub username: MaskedSecret,
    /// The login's password, masked.
    pub password: MaskedSecret,
    /// Whether agents speak TLS to the machine.
    #[serde(rename = "UseSSL")]
    pub use_ssl: bool,
    /// The `ServerRegistration` of a store type.
    pub server_type: i32,
    /// Client machine of the stores that use it.
    pub name: String,
}

/// An entry as answered when it is made or changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct ServerChanged {
    /// The entry.
    pub id: i64,
    /// Whether agents speak TLS to the machine.
    #[serde(rename = "UseSSL")]
    pub use_ssl: bool,
    /// The `ServerRegistration` of a store type.
    pub server_type: i32,
    /// Client machine of the stores that use it.
    pub name: String,
}

/// `POST /CertificateStores/Server`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateServer {
    /// The login's name.
    pub username: Option<SecretValue>,
    /// The login's password.
    pub password: Option<SecretValue>,
    /// Whether agents speak TLS to the machine.
    #[serde(rename = "UseSSL")]
    pub use_ssl: Option<bool>,
    /// The `ServerRegistration` of a store type.
    pub server_type: Option<i32>,
    /// Client machine of the stores that use it.
    pub name: Option<String>,
    /// The container whose permissions decide about it.
    pub container: Option<i64>,
}

/// `PUT /CertificateStores/Server`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateServer {
    /// The entry.
    pub id: Option<i64>,
    /// The login's name.
    pub username: Option<SecretValue>,
    /// The login's password.
    pub password: Option<SecretValue>,
    /// Whether agents speak TLS to the machine.
    #[serde(rename = "UseSSL")]
    pub use_ssl: Option<bool>,
    /// Client machine of the stores that use it.
    pub name: Option<String>,
    /// The container whose permissions decide about it.
    pub container: Option<i64>,
}
