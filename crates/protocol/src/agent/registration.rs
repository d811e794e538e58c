//! Registration and heartbeat (agent protocol, chapters 3 to 5).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::AgentId;

/// `Session/Register`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Register {
    /// 5 for native agents, ours included (chapter 4.1).
    pub agent_platform: i32,
    /// Four 16-bit parts, packed high to low.
    pub agent_version: u64,
    /// All zeros.
    pub tenant_id: String,
    /// The configured name of the agent.
    pub client_machine: String,
    /// Base64 DER of a PKCS#10 request, when the agent wants its certificate.
    #[serde(rename = "CSR")]
    pub csr: Option<String>,
    /// The id given earlier; empty the first time.
    pub agent_id: String,
    /// Names such as `CertStores.PEM.Inventory`, or their GUIDs.
    pub capabilities: Vec<String>,
    /// Free parameters; ours are named in [`parameters`].
    pub client_parameters: BTreeMap<String, String>,
}

/// Names of the client parameters that our own agent sends.
pub mod parameters {
    /// The version of our extensions that the agent speaks; its presence asks for them.
    pub const EXTENSIONS: &str = "SealiftExtensions";
    /// A one-time enrollment token, which approves the agent.
    pub const ENROLLMENT_TOKEN: &str = "EnrollmentToken";
}

/// Packs a four-part version as [`Register::agent_version`] wants it.
pub const fn pack_version(major: u16, minor: u16, micro: u16, build: u16) -> u64 {
    (major as u64) << 48 | (minor as u64) << 32 | (micro as u64) << 16 | build as u64
}

/// The four-part text of a packed version.
pub fn version_text(packed: u64) -> String {
    let part = |shift: u32| (packed >> shift) & 0xffff;
    format!("{}.{}.{}.{}", part(48), part(32), part(16), part(0))
}

/// The answer to [`Register`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Registered {
    /// Success, or why not.
    pub result: CallResult,
    /// The session; null while approval is pending.
    #[serde(default)]
    pub session: Option<Session>,
    /// Ours: when to try again while pending, in seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry_after_seconds: Option<u32>,
}

/// A session of the published protocol.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Session {
    /// Opaque, at most 36 characters.
    pub token: String,
    /// The agent's id, at most 36 characters.
    pub agent_id: String,
    /// The agent's name.
    #[serde(default)]
    pub client_machine: String,
    /// Minutes between heartbeats.
    #[serde(default)]
    pub heartbeat_interval: u32,
    /// Base64 DER of the agent's certificate, when a CSR was answered.
    #[serde(default)]
    pub certificate: Option<String>,
    /// Always empty.
    #[serde(default)]
    pub client_parameters: BTreeMap<String, String>,
    /// Jobs that are due now; empty for agents that lease.
    #[serde(default)]
    pub jobs: Vec<super::jobs::ListedJob>,
}

impl Session {
    /// The agent's id as a value; `None` when it is no GUID.
    pub fn agent(&self) -> Option<AgentId> {
        self.agent_id.parse().ok()
    }
}

/// The `Result` object of every answer (chapter 3).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CallResult {
    /// 1 success, 2 warning, 3 error.
    pub status: i32,
    /// Details; null with success.
    #[serde(default)]
    pub error: Option<CallError>,
}

impl CallResult {
    /// The message of a call must stay well below 1,000 characters, or old agents crash (chapter 2.6).
    pub const MESSAGE_LIMIT: usize = 900;
    /// Longest symbolic code.
    pub const CODE_LIMIT: usize = 32;

    /// The call was accepted.
    pub const fn success() -> Self {
        Self { status: 1, error: None }
    }

    /// The call was refused.
    pub fn error(code: &str, message: &str) -> Self {
        let error = CallError {
            code: 0,
            code_string: Some(Self::cut(code, Self::CODE_LIMIT)),
            h_result: None,
            message: Some(Self::cut(message, Self::MESSAGE_LIMIT)),
        };
        Self { status: 3, error: Some(error) }
    }

    /// As many whole characters as fit into so many bytes: agents count bytes.
    pub fn cut(text: &str, bytes: usize) -> String {
        let fits = text.char_indices().take_while(|(at, letter)| at + letter.len_utf8() <= bytes);
        fits.map(|(_, letter)| letter).collect()
    }
}

/// Details of a refused call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CallError {
    /// Always 0.
    #[serde(default)]
    pub code: i64,
    /// Symbolic code, looked at first.
    #[serde(default)]
    pub code_string: Option<String>,
    /// Never set.
    #[serde(default, rename = "HResult")]
    pub h_result: Option<String>,
    /// For the log.
    #[serde(default)]
    pub message: Option<String>,
}

/// `Session/Heartbeat`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Heartbeat {
    /// See [`Register::agent_platform`].
    pub agent_platform: i32,
    /// The configured name of the agent.
    pub client_machine: String,
    /// The session; a text that is no token is an unknown session.
    pub session_token: Option<String>,
}

/// The answer to [`Heartbeat`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HeartbeatAnswer {
    /// Success.
    pub result: CallResult,
    /// False makes the agent register again.
    pub session_valid: bool,
    /// Minutes.
    pub heartbeat_interval: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_pack_as_published() {
        assert_eq!(pack_version(2, 19, 0, 0), 563_031_557_799_936);
        assert_eq!(version_text(563_031_557_799_936), "2.19.0.0");
    }
}
