//! What TLS clients are shown where stores say to look: ours, told by agents after each change and inventory.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What one target of a store showed last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct ServedTarget {
    /// Name or address that was connected to.
    pub host: String,
    /// Port.
    pub port: i32,
    /// Name that was offered in the handshake.
    pub server_name: String,
    /// Whether the certificate was shown: below a certificate that one, below a store the one it should be.
    pub matches: bool,
    /// SHA-1 thumbprint of what was shown; absent when there was no handshake.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub thumbprint: Option<String>,
    /// Version of TLS that was spoken.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub protocol: Option<String>,
    /// What differs, or why there was no handshake.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// When the result came, by the server's clock.
    pub seen_at: Timestamp,
}
