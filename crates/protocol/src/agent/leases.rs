//! Leases: how our own agent gets jobs, keeps them, and reports them.
//!
//! A lease is a timed right to one attempt of a job, proved by its token. Every later call about the attempt
//! carries the token, and the server checks it in the very statement that changes the job, so a report from
//! an attempt that was given up can never be taken for a newer one's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::verification::{Evidence, Verification};
use crate::{JobId, Secret, StoreId};

/// Most jobs that one [`LeaseRequest`] may ask for.
pub const MAX_JOBS: u16 = 100;
/// Longest time a [`LeaseRequest`] is held, in seconds.
pub const MAX_WAIT_SECONDS: u16 = 60;
/// Most completions in one [`CompleteRequest`], steps in one [`StepsRequest`] and leases in one [`RenewRequest`].
pub const MAX_BATCH: usize = 100;
/// Longest message of a completion or step, in characters; longer ones are cut.
pub const MAX_MESSAGE: usize = 4_000;
/// Most steps that one attempt may report.
pub const MAX_STEPS: usize = 64;
/// Longest [`LeaseRequest::host_name`], in characters; longer ones are cut.
pub const MAX_HOST_NAME: usize = 256;
/// Most bytes of a log that [`FetchLogWork`] asks for.
pub const MAX_LOG_BYTES: u32 = 1_000_000;

/// Names the reason of an answer of status 409 to [`LeaseRequest`], whose body is empty.
pub const REFUSAL_HEADER: &str = "sealift-refusal";
/// [`REFUSAL_HEADER`]: another process of this agent has begun since. One that lives says so with
/// [`LeaseRequest::contested`].
pub const REFUSED_SUPERSEDED: &str = "superseded";
/// [`REFUSAL_HEADER`]: the identity of this agent is at work elsewhere; an operator has been told.
pub const REFUSED_CLONED: &str = "cloned";

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// `Sealift/Lease`: asks for due jobs, and waits for them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LeaseRequest {
    /// At most this many, 1 to [`MAX_JOBS`].
    pub max_jobs: u16,
    /// How long the server may hold the call when nothing is due, 0 to [`MAX_WAIT_SECONDS`].
    pub wait_seconds: u16,
    /// Chosen at random when the agent's process starts. One process of an agent works at a time.
    pub instance: Uuid,
    /// What tells the machine of the process from others: 64 hexadecimal digits, a hash of its names; empty when
    /// nothing is known of it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// The machine's own name, for people; at most [`MAX_HOST_NAME`] characters.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host_name: String,
    /// Set after a call was refused as [`REFUSED_SUPERSEDED`]: the process lives all the same. Only a process that
    /// heard that refusal can say so, so a call that was long under way proves nothing.
    #[serde(skip_serializing_if = "is_false")]
    pub contested: bool,
    /// Whether the machine's administrator has drained the agent: it wants no jobs.
    #[serde(skip_serializing_if = "is_false")]
    pub drained: bool,
    /// How far the agent's clock is ahead of the server's, in seconds; absent while nothing was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_offset_seconds: Option<i32>,
    /// Set on the first call of a process and after every call whose answer did not arrive: leases of this
    /// agent that are not in [`LeaseRequest::holding`] are given up, so that their jobs are leased anew at once.
    pub recover: bool,
    /// Jobs whose leases the agent holds or has results of that are not heard yet; read with `recover` only.
    pub holding: Vec<JobId>,
}

/// The answer to [`LeaseRequest`]: empty when nothing became due in time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LeaseAnswer {
    /// The jobs, to be run in this order where they touch the same store.
    pub jobs: Vec<LeasedJob>,
    /// A pause the server asks for before the next call, in seconds; 0 normally.
    pub pause_seconds: u32,
}

/// One attempt of a job, handed to the agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LeasedJob {
    /// The job.
    pub job_id: JobId,
    /// History id of this attempt.
    pub audit_id: i64,
    /// Which attempt this is, from 1.
    pub attempt: u16,
    /// Proves the lease.
    pub lease_token: Uuid,
    /// How long the lease lasts from receipt, in seconds; renew at a third of it.
    pub lease_seconds: u32,
    /// The store to work on.
    pub store: StoreDescription,
    /// What to do.
    pub work: Work,
    /// How the result is proved; absent where the store names nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verification: Option<Verification>,
    /// Whether the agent only says what it would do, in [`Evidence::plan`], and changes nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// A store as its agent needs to know it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StoreDescription {
    /// The store.
    pub store_id: StoreId,
    /// Short name of its type, for example `PEM`.
    pub store_type: String,
    /// Where it is.
    pub path: String,
    /// Opens it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub password: Option<Secret>,
    /// Store type properties.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// Opaque text of the inventory the server holds; see [`super::inventory::InventoryPage::base`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub inventory_version: Option<String>,
}

/// What to do with a store.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "Kind", rename_all = "PascalCase")]
pub enum Work {
    /// Read the store and upload what is in it.
    Inventory,
    /// Put a certificate into the store.
    Add(AddWork),
    /// Take an entry out of the store.
    Remove(RemoveWork),
    /// Make the empty store.
    Create,
    /// Look for stores of the type, and report their paths with [`DiscoveredStores`]. Only agents with the capability
    /// `CertStores.<type>.Discovery` get this.
    Discover(DiscoverWork),
    /// Make a key in the store and have it certified with [`EnrollRequest`]. Only agents with the capability
    /// `CertStores.<type>.Reenrollment` get this.
    Reenroll(ReenrollWork),
    /// Send the end of the agent's own log, in [`Completion::log`]. The store beside it is nobody's. Only agents with
    /// the capability `Custom.FetchLogs` get this.
    FetchLog(FetchLogWork),
}

/// A key to be made on the agent's machine, which it never leaves.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ReenrollWork {
    /// Distinguished name for the request; the server checks it again.
    pub subject: String,
    /// DNS names for the request.
    pub dns_names: Vec<String>,
    /// Key to make, as templates name them: `P-256`, `RSA-2048` and so on.
    pub key_algorithm: String,
    /// Name of the entry; the driver chooses when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Whether an entry of the same alias may be replaced.
    pub overwrite: bool,
    /// Values of the store type's entry parameters.
    pub job_fields: BTreeMap<String, String>,
}

/// `Sealift/Enroll`: the request of a running reenrollment. Repeated with the same key it is answered the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnrollRequest {
    /// The lease.
    #[serde(flatten)]
    pub lease: LeaseKey,
    /// Base64 DER of the PKCS#10 request.
    #[serde(rename = "CSR")]
    pub csr: String,
}

/// The answer to [`EnrollRequest`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EnrollAnswer {
    /// Base64 DER, end entity first, then its chain without the root; empty when there is none.
    pub certificates: Vec<String>,
    /// Why there is none; for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// How much of the log is wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FetchLogWork {
    /// Most bytes, counted from the end of the log.
    pub max_bytes: u32,
}

/// Where to look for stores. The store beside it names their type; it has no path.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DiscoverWork {
    /// The machine to look at.
    pub client_machine: String,
    /// Directories to look in; all when empty.
    pub directories: Vec<String>,
    /// Directories to leave out.
    pub ignored_directories: Vec<String>,
    /// Extensions of files, without a dot; any when empty.
    pub extensions: Vec<String>,
    /// Parts of file names; any when empty.
    pub name_patterns: Vec<String>,
    /// Whether symbolic links are followed.
    pub follow_symbolic_links: bool,
    /// Whether the agent looks as older ones do.
    pub compatibility: bool,
    /// Login to the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_username: Option<Secret>,
    /// Its password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_password: Option<Secret>,
    /// Whether the agent speaks TLS to the machine.
    pub server_use_ssl: bool,
}

/// Most paths in one [`DiscoveredStores`]; an agent that found more sends several.
pub const MAX_DISCOVERED: usize = 1_000;

/// `Sealift/Discovered`: paths of stores that a running discovery found. What is known already is passed over.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DiscoveredStores {
    /// The lease.
    pub lease: LeaseKey,
    /// Where the stores are, at most [`MAX_DISCOVERED`].
    pub store_paths: Vec<String>,
}

/// The answer to [`DiscoveredStores`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DiscoveredAnswer {
    /// False when the lease is not the agent's any more; nothing was stored then.
    pub stored: bool,
    /// Stores that were new, and now wait for approval.
    pub new_stores: u32,
}

/// A certificate to put into a store.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AddWork {
    /// Name of the entry; the driver chooses when absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub alias: Option<String>,
    /// Base64 DER, end entity first, then its chain without the root.
    pub certificates: Vec<String>,
    /// Base64 DER of the PKCS#8 private key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub private_key: Option<Secret>,
    /// Password of the entry, where the store has one for each.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub entry_password: Option<Secret>,
    /// Whether an entry of the same alias may be replaced.
    pub overwrite: bool,
    /// Whether the store is created when it is missing.
    #[serde(default)]
    pub create_if_missing: bool,
    /// Values of the store type's entry parameters.
    #[serde(default)]
    pub job_fields: BTreeMap<String, String>,
}

/// An entry to take out of a store.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RemoveWork {
    /// Name of the entry.
    pub alias: String,
    /// Values of the store type's entry parameters.
    #[serde(default)]
    pub job_fields: BTreeMap<String, String>,
}

/// Names one lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LeaseKey {
    /// The job.
    pub job_id: JobId,
    /// Proves the lease.
    pub lease_token: Uuid,
}

/// `Sealift/Renew`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RenewRequest {
    /// The leases to keep, at most [`MAX_BATCH`].
    pub leases: Vec<LeaseKey>,
}

/// The answer to [`RenewRequest`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RenewAnswer {
    /// Kept.
    pub renewed: Vec<JobId>,
    /// Not the agent's any more: stop before the next change.
    pub lost: Vec<JobId>,
    /// How long the renewed leases last from receipt, in seconds.
    pub lease_seconds: u32,
}

/// `Sealift/Steps`: what happened so far in running attempts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct StepsRequest {
    /// The attempts.
    pub attempts: Vec<AttemptSteps>,
}

/// Steps of one attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttemptSteps {
    /// The lease.
    #[serde(flatten)]
    pub lease: LeaseKey,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// One step of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Step {
    /// Position within the attempt, from 1; repeats are ignored.
    pub ordinal: u16,
    /// Stable code: lower-case words with underscores, at most 40 characters.
    pub code: String,
    /// For people; no secret, at most [`MAX_MESSAGE`] characters.
    pub message: String,
    /// Milliseconds since the agent took the job up, by its own monotonic clock.
    pub elapsed_milliseconds: u64,
    /// How long the step itself took, in milliseconds; absent for steps that only say that something is so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duration_milliseconds: Option<u64>,
    /// What was there before, in few words such as a thumbprint.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<String>,
    /// What is there now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<String>,
}

/// `Sealift/Complete`: finished attempts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CompleteRequest {
    /// At most [`MAX_BATCH`].
    pub completions: Vec<Completion>,
}

/// How one attempt ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Completion {
    /// The lease.
    #[serde(flatten)]
    pub lease: LeaseKey,
    /// How it ended.
    pub outcome: Outcome,
    /// What happened, for people; no secret.
    pub message: String,
    /// Stable code of what went wrong; absent with success.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error_code: Option<String>,
    /// The whole list of steps; those already reported are ignored.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// What was found and proved; absent where nothing was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub evidence: Option<Evidence>,
    /// The log that a [`FetchLogWork`] asked for, redacted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub log: Option<Secret>,
}

impl Completion {
    /// A completion that says no more than its outcome and message.
    pub fn new(lease: LeaseKey, outcome: Outcome, message: impl Into<String>) -> Self {
        Self {
            lease,
            outcome,
            message: message.into(),
            error_code: None,
            steps: Vec::new(),
            evidence: None,
            log: None,
        }
    }
}

/// How an attempt ended, from the agent's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Done and read back.
    Success,
    /// Done and read back, with something to look at.
    Warning,
    /// Not done; trying again can help.
    TransientFailure,
    /// Not done; trying again without a person's help cannot.
    Failure,
}

/// The answer to [`CompleteRequest`], in its order.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CompleteAnswer {
    /// One for each completion.
    pub receipts: Vec<Receipt>,
}

/// What became of one completion. Whatever it says, the agent need not send it again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Receipt {
    /// The job.
    pub job_id: JobId,
    /// What became of it.
    pub disposition: Disposition,
}

/// What the server did with a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Disposition {
    /// Recorded now, or before with the same token.
    Recorded,
    /// The lease was not the agent's any more; nothing was changed.
    Stale,
}
