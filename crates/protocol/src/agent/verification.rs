//! What a change is proved by: what a TLS client sees afterwards, and what was put back when it saw something else.
//!
//! Installed and verified are separate facts. *Installed*: the store was read back and holds what was asked for.
//! *Verified*: a handshake with each target of the store showed that certificate. Both travel in [`Evidence`].

use serde::{Deserialize, Serialize};

/// Most targets of one store.
pub const MAX_TARGETS: usize = 64;
/// Longest time for all handshakes of one attempt, in seconds.
pub const MAX_VERIFICATION_SECONDS: u16 = 600;
/// Most names, files or notes in one list of a [`Plan`].
pub const MAX_PLAN_ITEMS: usize = 200;

/// How the result of a change is proved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Verification {
    /// Where a client connects to; at most [`MAX_TARGETS`].
    pub targets: Vec<Target>,
    /// Whether the agent adds a target for each DNS name of the certificate: that name, on port 443 of its own
    /// machine. Meant for a Central Certificate Store, where names choose files.
    pub derive_from_names: bool,
    /// What to do when a target shows something else.
    pub on_mismatch: OnMismatch,
    /// Time for all handshakes with their repeats, 1 to [`MAX_VERIFICATION_SECONDS`].
    pub deadline_seconds: u16,
}

/// One server to connect to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Target {
    /// Name or address to connect to.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The name offered in the handshake (RFC 6066, 3); the host when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Versions of TLS that must be spoken, `1.2` or `1.3`; each is tried. Any when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<String>,
}

/// What to do when a target shows something else than what was installed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum OnMismatch {
    /// Leave the change in place; the job ends as a warning.
    #[default]
    Warn,
    /// Leave the change in place; the job fails.
    Fail,
    /// Put back what was there, and fail.
    Restore,
}

/// What one target showed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct TargetResult {
    /// The target.
    #[serde(flatten)]
    pub target: Target,
    /// Whether it showed the wanted certificate and chain, under every wanted version.
    pub matches: bool,
    /// SHA-1 thumbprint of the certificate it showed, in upper-case hex; absent when there was no handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbprint: Option<String>,
    /// Thumbprints of the chain beyond it, as shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
    /// The version of TLS that was spoken, `1.2` or `1.3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// What differs, or why there was no handshake; for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How often it was tried.
    pub tries: u16,
    /// Time until the last answer, in milliseconds.
    pub elapsed_milliseconds: u64,
}

/// Whether what is served was looked at, and what came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Verified {
    /// The store names no target.
    #[default]
    NotAsked,
    /// Every target showed the wanted certificate.
    Verified,
    /// Installed, but at least one target showed something else, or nothing.
    NotVerified,
}

/// What an attempt found and proved, beside its outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Evidence {
    /// Whether the store was read back and holds what was asked for.
    pub installed: bool,
    /// Whether it is served.
    pub verified: Verified,
    /// Thumbprint of the certificate in the entry before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Thumbprint of the certificate in the entry now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// What each target showed, at most [`MAX_TARGETS`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetResult>,
    /// What was put back, when something was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored: Option<Restored>,
    /// What would be changed, of a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
}

/// How putting the old state back went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Restored {
    /// Whether the store holds again what it held, as read back.
    pub complete: bool,
    /// Whether the after-change command succeeded again; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_succeeded: Option<bool>,
    /// What each target showed afterwards, held against the old certificate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetResult>,
    /// For people.
    pub message: String,
}

/// What a job would do: the result of a dry run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Plan {
    /// Whether the job would change anything.
    pub changes: bool,
    /// The certificate there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<PlannedCertificate>,
    /// The certificate there afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<PlannedCertificate>,
    /// Files that would be written or removed.
    pub files: Vec<String>,
    /// Names that the new certificate has and the old one lacks.
    pub names_gained: Vec<String>,
    /// Names that the old certificate has and the new one lacks.
    pub names_lost: Vec<String>,
    /// The command that would run afterwards, as the agent's own configuration has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_change: Option<String>,
    /// Targets that would be looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Target>,
    /// What would stop the job or deserves a look, each a sentence.
    pub notes: Vec<String>,
}

/// A certificate in a [`Plan`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct PlannedCertificate {
    /// SHA-1 thumbprint in upper-case hex.
    pub thumbprint: String,
    /// Distinguished name.
    pub subject: String,
    /// End of its life, RFC 3339.
    pub not_after: String,
    /// Its DNS names.
    pub names: Vec<String>,
}
