//! Reenrollment as the published protocol has it: the key is made on the agent's machine (agent protocol, chapter 10).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::registration::CallResult;
use crate::Secret;

/// The details of a reenrollment. Its members stand at the top level, not under `Job` (chapter 10.1).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReenrollmentConfigured {
    /// Success, or why not. An HTTP error in place of it crashes agents.
    pub result: CallResult,
    /// History id of this attempt, below 2^53.
    pub audit_id: i64,
    /// True drops the job.
    pub job_cancelled: bool,
    /// `RSA` or `ECC`.
    pub key_type: String,
    /// In bits.
    pub key_size: u32,
    /// Distinguished name for the request; a wish, for the server chooses the certificate's.
    pub subject: String,
    /// Always null: agents have randomness of their own.
    pub entropy: Option<String>,
    /// Machine of the store.
    pub client_machine: String,
    /// Path of the store; always sent.
    pub store_path: String,
    /// Opens the store, and protects the key in it.
    pub store_password: Option<Secret>,
    /// Where the request goes, relative to the virtual directory.
    pub enroll_endpoint: String,
    /// Null, or JSON inside a string that has `separatePrivateKey` as a string.
    pub properties: Option<Secret>,
    /// Names for agents of the newer model: kind to list (chapter 12.1).
    #[serde(rename = "SANs", skip_serializing_if = "BTreeMap::is_empty", default)]
    pub sans: BTreeMap<String, Vec<String>>,
    /// Name of the entry, for agents of the newer model.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub alias: Option<String>,
    /// Whether an entry of that name may be replaced, for agents of the newer model.
    #[serde(default)]
    pub overwrite: bool,
    /// Values of entry parameters (chapter 12.1). Some may be secret.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub job_properties: BTreeMap<String, Secret>,
}

/// An enroll call (chapter 10.2).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EnrollCall {
    /// The session.
    pub session_token: Option<String>,
    /// The job; the path names it, too.
    pub job_id: Option<String>,
    /// Base64 DER of the PKCS#10 request.
    #[serde(rename = "CSRText")]
    pub csr_text: Option<String>,
}

/// The answer to [`EnrollCall`]. Never a success without a certificate: the agent would throw its key away and report
/// success (chapter 10.2).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Enrolled {
    /// Success, or why not.
    pub result: CallResult,
    /// Base64 DER of one certificate, without armour.
    pub certificate: Option<String>,
}
