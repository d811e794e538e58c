//! Enrollment requests that wait for approval, and the workflow they run through (operator contract, chapter 9.10).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;

/// A request of `GET /Workflow/Certificates/Pending` and its siblings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct CertificateRequest {
    /// The `KeyfactorRequestId` of the enrollment's answer.
    pub id: i64,
    /// The same, as the authority names it.
    #[serde(rename = "CARequestId")]
    pub ca_request_id: String,
    /// Common name asked for.
    pub common_name: Option<String>,
    /// Subject asked for.
    pub distinguished_name: String,
    /// When it was asked for.
    pub submission_date: Timestamp,
    /// `host\logical`.
    pub certificate_authority: String,
    /// For people.
    pub template: String,
    /// Who asked.
    pub requester: String,
    /// 1 issued, 3 denied, 5 pending.
    pub state: i32,
    /// The same as a word and its number.
    pub state_string: String,
    /// Metadata of the certificate to be.
    pub metadata: BTreeMap<String, String>,
}

/// The answer of `GET /Workflow/Certificates/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct CertificateRequestDetails {
    /// What lists show, too.
    #[serde(flatten)]
    pub request: CertificateRequest,
    /// Why it was denied.
    pub denial_comment: Option<String>,
    /// Bits of the key.
    pub key_length: i32,
    /// Alternative names asked for.
    #[serde(rename = "SANs")]
    pub sans: Vec<String>,
    /// Stores that are to get the certificate.
    pub cert_stores: Vec<RequestStore>,
    /// Object identifier of the key's curve.
    pub curve: Option<String>,
}

/// A store of a [`CertificateRequestDetails`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct RequestStore {
    /// Alias in the store; empty when the agent chooses it.
    pub entry_name: String,
    /// The store's machine.
    pub client_machine: String,
    /// The store's path.
    pub store_path: String,
}

/// `POST /Workflow/Certificates/Deny`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct DenyRequests {
    /// Why, for those who asked.
    pub comment: Option<String>,
    /// The requests.
    pub certificate_request_ids: Vec<i64>,
}

/// The answer of `POST /Workflow/Certificates/Approve` and `/Deny`: each request judged by itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct RequestDecisions {
    /// What could not be done, with the reason as the comment.
    pub failures: Vec<RequestDecision>,
    /// What was denied.
    pub denials: Vec<RequestDecision>,
    /// What was issued.
    pub successes: Vec<RequestDecision>,
}

/// One request of [`RequestDecisions`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct RequestDecision {
    /// The request, as the authority counts it.
    #[serde(rename = "CARowId")]
    pub ca_row_id: i64,
    /// The same as a text.
    #[serde(rename = "CARequestId")]
    pub ca_request_id: String,
    /// The authority's host.
    #[serde(rename = "CAHost")]
    pub ca_host: String,
    /// The authority's name.
    #[serde(rename = "CALogicalName")]
    pub ca_logical_name: String,
    /// The request.
    pub keyfactor_request_id: i64,
    /// What happened, or why it could not.
    pub comment: String,
    /// Ours: the certificate that was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_id: Option<i64>,
}

/// A workflow instance of `GET /Workflow/Instances`: one for each enrollment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct WorkflowInstance {
    /// The `WorkflowInstanceId` of the enrollment's answer.
    pub id: Uuid,
    /// 2 suspended until it is approved, 4 complete, 5 rejected.
    pub status: i32,
    /// The step it stands at; null when it is over.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub current_step_id: Option<Uuid>,
    /// For people.
    pub status_message: String,
    /// What it runs through.
    pub definition: WorkflowDefinition,
    /// The step, for people.
    pub current_step_display_name: Option<String>,
    /// The step, for programs.
    pub current_step_unique_name: Option<String>,
    /// For people.
    pub title: String,
    /// When it changed last.
    pub last_modified: Timestamp,
    /// When it began.
    pub start_date: Timestamp,
    /// The `WorkflowReferenceId` of the enrollment's answer.
    pub reference_id: i64,
}

/// What a [`WorkflowInstance`] runs through: the one way of every enrollment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase")]
pub struct WorkflowDefinition {
    /// Its id.
    pub id: Uuid,
    /// For people.
    pub display_name: String,
    /// Its version.
    pub version: i32,
    /// What begins it.
    pub workflow_type: String,
}

/// `POST /Workflow/Instances/{id}/Signals`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct WorkflowSignal {
    /// `ApprovalStatus`, or with the name of the step before a dot.
    pub signal_key: Option<String>,
    /// `Approved`: true or false; `Comment`: a text.
    pub data: Option<SignalData>,
}

/// What a [`WorkflowSignal`] says.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct SignalData {
    /// Whether the request is approved.
    pub approved: Option<bool>,
    /// Why, for those who asked.
    pub comment: Option<String>,
}
