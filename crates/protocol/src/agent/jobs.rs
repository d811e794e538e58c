//! Jobs as the published protocol lists, configures and completes them (agent protocol, chapters 6 to 9).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::registration::CallResult;
use crate::{JobId, Secret};

/// One entry of a session's job list (chapter 6.1).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedJob {
    /// The job.
    pub job_id: JobId,
    /// GUID of its type.
    pub job_type_id: Uuid,
    /// Where its details are, relative to the virtual directory.
    pub configuration_endpoint: String,
    /// Where its end is reported.
    pub completion_endpoint: String,
    /// Null: now.
    pub schedule: Option<String>,
    /// Always null.
    pub cron: Option<String>,
    /// 3 for an add, 5 otherwise.
    pub priority: i32,
}

/// A configure call (chapter 7.1).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Configure {
    /// The session.
    pub session_token: Option<String>,
    /// The job; the path names it, too.
    pub job_id: Option<String>,
}

/// The answer to [`Configure`] (chapters 7.2, 8.1 and 9.1).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Configured {
    /// Success, or why not.
    pub result: CallResult,
    /// History id of this attempt, below 2^53.
    pub audit_id: i64,
    /// True drops the job.
    pub job_cancelled: bool,
    /// Inventory only: where the update goes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub inventory_endpoint: Option<String>,
    /// Log retrieval only: most characters of the log to send, from its end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_characters_to_return: Option<u32>,
    /// The details.
    pub job: ConfiguredJob,
}

/// Details of a configured job; members of other job types are left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ConfiguredJob {
    /// Machine of the store.
    pub client_machine: String,
    /// Path of the store; always sent.
    pub store_path: String,
    /// Opens the store.
    pub store_password: Option<Secret>,
    /// Store type id.
    pub store_type: i32,
    /// Store type id, by its older name.
    pub category: i32,
    /// Inventory: what the server believes is there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub inventory: Option<Vec<KnownEntry>>,
    /// Management: 2 add, 3 remove, 4 create.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub operation_type: Option<i32>,
    /// Management: name of the entry; never null on the wire.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub alias: Option<String>,
    /// Management: thumbprint of the certificate that is replaced.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub thumbprint: Option<String>,
    /// Management: base64 DER of one certificate, or PKCS#12; never null on the wire.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub entry_contents: Option<Secret>,
    /// Management add: whether the contents are a PKCS#12.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub private_key_entry: Option<bool>,
    /// Management add: password of one entry in the store.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub entry_password: Option<Secret>,
    /// Management add: opens the contents.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pfx_password: Option<Secret>,
    /// Management add: whether an entry of the same alias may be replaced.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub overwrite: Option<bool>,
    /// Store type properties: JSON inside a string. Some may be secret.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub properties: Option<Secret>,
    /// Management: values of entry parameters (chapter 12.1). Some may be secret.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub job_properties: BTreeMap<String, Secret>,
}

/// What the server believes is in a store (chapter 8.1).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KnownEntry {
    /// Never null.
    pub alias: String,
    /// Whether it has a private key.
    pub private_key_entry: bool,
    /// Its certificates.
    pub thumbprints: Vec<String>,
}

/// An inventory update (chapter 8.2).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct InventoryUpdate {
    /// The session.
    pub session_token: Option<String>,
    /// The job; the path names it, too.
    pub job_id: Option<String>,
    /// The items; a difference against what [`ConfiguredJob::inventory`] said.
    pub inventory: Vec<InventoryItem>,
}

/// One item of an [`InventoryUpdate`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct InventoryItem {
    /// Name of the entry.
    pub alias: String,
    /// 0 unknown (the list is the whole truth), 1 added, 2 modified, 3 removed, 4 unchanged.
    pub item_status: i32,
    /// Whether it has a private key.
    pub private_key_entry: bool,
    /// Whether positions in the list are chain levels.
    pub use_chain_level: bool,
    /// Base64 DER, end entity first.
    pub certificates: Vec<String>,
    /// What the driver says beside that; only agents of the newer model send it (chapter 12).
    pub parameters: BTreeMap<String, String>,
}

/// A completion (chapter 7.3).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CompleteJob {
    /// 1 in process, 2 success, 3 warning, 4 failure.
    pub status: i32,
    /// Echo of [`Configured::audit_id`]; may come back as a float.
    pub audit_id: f64,
    /// The job; the path names it, too.
    pub job_id: Option<String>,
    /// Free text.
    pub message: Option<String>,
    /// Log retrieval only: the log (chapter 11). It can hold passwords.
    pub log: Option<Secret>,
    /// Custom jobs only: their result. No source tells how agents name it; this is our choice.
    pub data: Option<Secret>,
    /// The session.
    pub session_token: Option<String>,
}

/// The answer to an update or a completion.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Accepted {
    /// Success, or why not.
    pub result: CallResult,
    /// The inventory job that follows, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub inventory_job: Option<JobId>,
}
