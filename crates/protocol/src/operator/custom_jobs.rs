//! Custom jobs and their types (operator contract, chapter 5.5).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::schedule::Schedule;
use crate::{AgentId, JobId, Timestamp};

/// A kind of custom job, as answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct CustomJobType {
    /// Its id, by which agents know it too.
    pub id: Uuid,
    /// Its name; agents that can run it report the capability `Custom.` and this name.
    pub job_type_name: String,
    /// For people.
    pub description: String,
    /// What a job of this type is told.
    pub job_type_fields: Vec<JobTypeField>,
}

/// One parameter of a kind of custom job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct JobTypeField {
    /// Its name.
    pub name: String,
    /// 1 text, 2 whole number, 3 time, 4 true or false, 5 secret.
    #[serde(rename = "Type")]
    pub kind: i32,
    /// Its value where a job gives none.
    #[serde(default)]
    pub default_value: Option<String>,
    /// Whether a job must give a value.
    #[serde(default)]
    pub required: bool,
}

/// `POST` and `PUT /JobTypes/Custom`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct SaveCustomJobType {
    /// `PUT` only: which one.
    pub id: Option<String>,
    /// Its name.
    pub job_type_name: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// What a job of this type is told.
    pub job_type_fields: Vec<SaveJobTypeField>,
}

/// One parameter of [`SaveCustomJobType`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct SaveJobTypeField {
    /// Its name.
    pub name: Option<String>,
    /// 1 to 5, or `String`, `Int`, `DateTime`, `Bool`, `Secret`.
    #[serde(rename = "Type")]
    pub kind: Option<String>,
    /// Its value where a job gives none.
    pub default_value: Option<String>,
    /// Whether a job must give a value.
    pub required: bool,
}

/// `POST /OrchestratorJobs/Custom`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct ScheduleCustomJob {
    /// Who is to run it.
    pub agent_id: Option<String>,
    /// Name of its type.
    pub job_type_name: Option<String>,
    /// When; immediately when absent.
    pub schedule: Option<Schedule>,
    /// Values of its fields.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
    pub job_fields: BTreeMap<String, serde_json::Value>,
}

/// `POST /OrchestratorJobs/Custom/Bulk`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct ScheduleCustomJobs {
    /// Who are to run it.
    pub orchestrator_ids: Vec<String>,
    /// Name of its type.
    pub job_type_name: Option<String>,
    /// When; immediately when absent.
    pub schedule: Option<Schedule>,
    /// Values of its fields.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
    pub job_fields: BTreeMap<String, serde_json::Value>,
}

/// A field of a scheduled custom job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct JobFieldValue {
    /// Name of the field.
    pub job_type_field: String,
    /// Its value; that of a secret is masked.
    pub value: String,
}

/// A custom job that was scheduled.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct CustomJob {
    /// The job; the same for all its runs.
    pub job_id: JobId,
    /// Who is to run it.
    pub orchestrator_id: AgentId,
    /// Name of its type.
    pub job_type_name: String,
    /// When.
    pub schedule: Schedule,
    /// Values of its fields.
    pub job_fields: Vec<JobFieldValue>,
    /// When it was asked for.
    pub request_timestamp: Timestamp,
}

/// Custom jobs that were scheduled with one call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct CustomJobs {
    /// Each agent with its job.
    pub orchestrator_job_pairs: Vec<OrchestratorJobPair>,
    /// Agents that do not exist, are not approved, or cannot run it.
    pub failed_orchestrator_ids: Vec<AgentId>,
    /// Name of their type.
    pub job_type_name: String,
    /// When.
    pub schedule: Schedule,
    /// Values of their fields.
    pub job_fields: Vec<JobFieldValue>,
    /// When they were asked for.
    pub request_timestamp: Timestamp,
}

/// One agent with its job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct OrchestratorJobPair {
    /// The job.
    pub job_id: JobId,
    /// The agent.
    pub orchestrator_id: AgentId,
}
