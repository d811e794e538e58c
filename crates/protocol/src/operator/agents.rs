//! Agents as operators see them (operator contract, chapter 7).

use serde::{Deserialize, Serialize};

use uuid::Uuid;

use crate::{AgentId, Secret, Timestamp};

/// One agent of `GET /Agents`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Agent {
    /// The agent.
    pub agent_id: AgentId,
    /// Its machine.
    pub client_machine: String,
    /// The account it registered with.
    pub username: String,
    /// 5 native, 7 Universal Orchestrator; ours reports 5 (chapter 3.5).
    pub agent_platform: i32,
    /// Four parts.
    pub version: String,
    /// 1 new, 2 approved, 3 disapproved.
    pub status: i32,
    /// When the server last heard it; left out before the first time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_seen: Option<Timestamp>,
    /// Bare capability names, such as `PEM`.
    pub capabilities: Vec<String>,
    /// Name of the blueprint that was applied last; null when none was.
    pub blueprint: Option<String>,
    /// Thumbprint of its identity; empty when it has none.
    pub thumbprint: String,
    /// Thumbprint of the identity before; empty when there is none.
    pub legacy_thumbprint: String,
    /// Thumbprint it was last seen with.
    pub last_thumbprint_used: String,
    /// `None`, `Requested` or `Required`.
    pub auth_certificate_reenrollment: String,
    /// Always null.
    pub last_error_code: Option<i64>,
    /// Always null.
    pub last_error_message: Option<String>,
    /// The job types that its capabilities stand for.
    #[serde(default)]
    pub job_types: Vec<AgentJobType>,
    /// Ours: SHA-256 of the public key it asked with, to compare before approving.
    #[serde(default)]
    pub key_fingerprint: String,
    /// Ours: when its identity expires.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub identity_expires: Option<Timestamp>,
    /// Ours: the machine that works under its identity, by the machine's own name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub host_name: Option<String>,
    /// Ours: a second process that used its identity and was refused. Approving the agent anew clears it, and lets the
    /// machine named here take its place.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clone_seen: Option<CloneSeen>,
    /// Ours: since when it takes no new jobs, and who said so; left out while it takes them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub drained: Option<Drained>,
    /// Ours: how far its clock is ahead of the server's, in seconds, as it measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clock_offset_seconds: Option<i32>,
    /// Ours: the agent of the same machine that it probably is, which asked for a first identity again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous_agent_id: Option<AgentId>,
    /// Ours: whether what it is sent can be sealed to it. Agents of the published protocol cannot open such payloads.
    #[serde(default)]
    pub takes_sealed_payloads: bool,
}

/// A process that used the identity of an agent at work.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct CloneSeen {
    /// When it was refused last, an hour more or less.
    pub seen: Timestamp,
    /// The address it called from.
    pub address: String,
    /// Its machine's own name.
    pub host_name: String,
}

/// That an agent takes no new jobs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct Drained {
    /// Since when.
    pub since: Timestamp,
    /// The operator who said so; left out when none did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
    /// Whether it was said on the agent's own machine.
    pub on_machine: bool,
}

/// Ours: `POST /Agents/{id}/Merge`. The agent of the path keeps its id, stores and history, and goes on as the new one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct MergeAgent {
    /// The agent whose identity is taken over, and which is no agent of its own any more.
    pub new_agent_id: Option<AgentId>,
}

/// A kind of job that an agent can run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct AgentJobType {
    /// Name of the store type and what is done with it, for example `PEM file Inventory`.
    pub name: String,
    /// Short name of the store type; empty for a job that works on no store.
    pub cert_store_type_short_name: String,
    /// `Inventory`, `Management`, `Discovery` or `Reenrollment`; empty for a job that works on no store.
    pub cert_store_job_type: String,
    /// By which the store type and the agent protocol know it.
    pub job_type_id: Uuid,
}

/// `POST /Agents/SetAuthCertificateReenrollment`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct SetReenrollment {
    /// The agents, as GUIDs.
    pub orchestrator_ids: Vec<String>,
    /// `None`, `Requested` or `Required`, or 0 to 2.
    pub status: Option<String>,
}

/// Its answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct ReenrollmentAnswer {
    /// Agents that do not exist, are not approved, or have no certificate to renew.
    pub failed_orchestrator_ids: Vec<AgentId>,
    /// What was set for the others: 0 none, 1 requested, 2 required.
    pub status: i32,
}

/// One agent pool. This server keeps none.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct AgentPool {
    /// The pool.
    pub agent_pool_id: Option<Uuid>,
    /// Its name.
    pub name: Option<String>,
    /// Agents that discover.
    pub discover_agents_count: i64,
    /// Agents that monitor.
    pub monitor_agents_count: i64,
    /// Its agents.
    pub agents: Vec<AgentPoolAgent>,
}

/// An agent that is, or could be, in a pool.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct AgentPoolAgent {
    /// The agent.
    pub agent_id: AgentId,
    /// Whether it discovers for the pool.
    #[serde(default)]
    pub enable_discover: bool,
    /// Whether it monitors for the pool.
    #[serde(default)]
    pub enable_monitor: bool,
    /// Four parts.
    #[serde(default)]
    pub version: String,
    /// Whether it could discover.
    #[serde(default)]
    pub allows_discover: bool,
    /// Whether it could monitor.
    #[serde(default)]
    pub allows_monitor: bool,
    /// Its machine.
    #[serde(default)]
    pub client_machine: String,
}

/// Ours: `POST /Agents/EnrollmentTokens`. The token approves the one agent that presents it, or gives a known
/// agent a new identity.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateEnrollmentToken {
    /// The machine it is for; any when absent.
    pub client_machine: Option<String>,
    /// The known agent that it gives a new identity, whatever name it comes under; then no machine may be named.
    pub agent_id: Option<AgentId>,
    /// How long it may be used, in minutes; 60 when absent, 10,080 at most.
    pub valid_minutes: Option<i64>,
}

/// The answer: shown once, stored only as a hash.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct EnrollmentToken {
    /// The token.
    pub token: Secret,
    /// When it stops working.
    pub expires: Timestamp,
}
