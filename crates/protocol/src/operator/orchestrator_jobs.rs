//! Job history (operator contract, chapter 5).

use serde::{Deserialize, Serialize};

use super::schedule::Schedule;
use crate::agent::error_catalogue::FailureClass;
use crate::agent::verification::{Evidence, Verified};
use crate::{AgentId, JobId, Secret, StoreId, Timestamp};

/// One row of `GET /OrchestratorJobs/JobHistory`: one attempt of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct JobHistoryRow {
    /// Grows with time; the "audit id" of other calls.
    pub job_history_id: i64,
    /// The agent's machine.
    pub agent_machine: String,
    /// The job; the same for all its attempts.
    pub job_id: JobId,
    /// When it was to run, or when it comes again; left out for immediate jobs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schedule: Option<Schedule>,
    /// Short name of the store type and the kind of job, for example `PEMManagement`; `FetchLogs`; or the name of a
    /// custom job's type.
    pub job_type: String,
    /// Start of the attempt.
    pub operation_start: Timestamp,
    /// End of the attempt; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub operation_end: Option<Timestamp>,
    /// What happened, for people.
    pub message: String,
    /// See [`JobResult`].
    pub result: i32,
    /// See [`JobStatus`].
    pub status: i32,
    /// Where the store is on its machine.
    pub store_path: String,
    /// The machine of the store.
    pub client_machine: String,
    /// Ours: which attempt this is, from 1.
    pub attempt: i32,
    /// Ours: the store; absent where the job works on none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub store_id: Option<StoreId>,
    /// Ours: the agent.
    pub agent_id: AgentId,
    /// Ours: the certificate, where the job is about one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub certificate_id: Option<i64>,
    /// Ours: stable code of what went wrong.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error_code: Option<String>,
    /// Ours: what to do about the error code, where it is one of the catalogue.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remedy: Option<String>,
    /// Ours: who asked for the job.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub requested_by: Option<String>,
    /// Ours: whether the agent read back what was asked for; absent where it did not say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub installed: Option<bool>,
    /// Ours: whether TLS clients are shown it; absent where the agent did not say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verified: Option<Verified>,
    /// Ours: whether the agent only said what it would do.
    #[serde(default)]
    pub dry_run: bool,
}

/// A job that is not finished, or comes again: one row of `GET /OrchestratorJobs/ScheduledJobs`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct ScheduledJob {
    /// The job.
    pub id: JobId,
    /// The machine of the store.
    pub client_machine: String,
    /// Where the store is on its machine.
    pub target: String,
    /// When it is to run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schedule: Option<Schedule>,
    /// When it was asked for.
    pub requested: Timestamp,
    /// As in job history.
    pub job_type: String,
    /// Ours: see [`JobStatus`].
    pub status: i32,
    /// Ours: attempts begun so far.
    pub attempt: i32,
    /// Ours: why it is not running; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waiting_reason: Option<String>,
    /// Ours: the same as a stable code, such as `agent_silent`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waiting_reason_code: Option<String>,
    /// Ours: whether the agent is only to say what it would do.
    #[serde(default)]
    pub dry_run: bool,
}

/// One step of an attempt, as the agent reported it: ours, `GET /OrchestratorJobs/{id}/Steps`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct JobStep {
    /// Which attempt, from 1.
    pub attempt: i32,
    /// Position within the attempt.
    pub ordinal: i32,
    /// Stable code, for example `written`.
    pub code: String,
    /// For people.
    pub message: String,
    /// Milliseconds since the agent took the job up.
    pub elapsed_milliseconds: i64,
    /// How long the step took, in milliseconds; absent for steps that only say that something is so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duration_milliseconds: Option<i64>,
    /// What was there before, in few words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<String>,
    /// What was there afterwards.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<String>,
    /// When the server received it.
    pub received: Timestamp,
}

/// What one attempt found and proved: ours, `GET /OrchestratorJobs/{id}/Evidence`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct AttemptEvidence {
    /// The attempt.
    pub job_history_id: i64,
    /// Which attempt of its job, from 1.
    pub attempt: i32,
    /// What the agent told, made fit.
    #[serde(flatten)]
    pub evidence: Evidence,
}

/// A stable code with which attempts end: ours, `GET /OrchestratorJobs/ErrorCodes`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct ErrorCode {
    /// The code.
    pub code: String,
    /// What can be expected of another try.
    pub class: FailureClass,
    /// What happened.
    pub meaning: String,
    /// What to do about it.
    pub remedy: String,
}

/// Where a job stands (chapter 3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub enum JobStatus {
    /// Not known.
    Unknown = 0,
    /// Not begun, or to be tried again.
    Waiting = 1,
    /// An agent has it.
    InProcess = 2,
    /// Ended for good.
    Completed = 3,
    /// A person has seen the failure.
    Acknowledged = 4,
    /// This attempt ended; another follows.
    CompletedWillRetry = 5,
}

/// How an attempt ended (chapter 3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub enum JobResult {
    /// Not ended, or not known.
    Unknown = 0,
    /// Done and read back.
    Success = 2,
    /// Done, with something to look at.
    Warning = 3,
    /// Not done.
    Failure = 4,
}

/// `POST /OrchestratorJobs/Acknowledge` and `Reschedule`: attempts by their history ids, or by a query; one of both.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct SelectAttempts {
    /// History ids.
    pub job_audit_ids: Vec<i64>,
    /// A query of the fields of job history.
    pub query: Option<String>,
}

/// `POST /OrchestratorJobs/Unschedule`: jobs by their ids, or by a query; one of both.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct SelectJobs {
    /// Jobs.
    pub job_ids: Vec<JobId>,
    /// A query of the fields of scheduled jobs.
    pub query: Option<String>,
}

/// `GET /OrchestratorJobs/JobStatus/Data`: what an attempt sent back beside its message.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct JobData {
    /// The attempt.
    pub job_history_id: i64,
    /// The result of a custom job, or the log of an agent; empty when it sent nothing.
    pub data: Secret,
}
