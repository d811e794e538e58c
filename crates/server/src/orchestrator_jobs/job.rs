//! What a job is, before it runs.

use chrono::{DateTime, Utc};
use sealift_protocol::{AgentId, JobId, RequestId, StoreId};
use serde_json::Value;

/// The kind of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub(crate) enum JobType {
    /// Reads a store.
    Inventory = 1,
    /// Changes a store.
    Management = 2,
}

/// What a job does to its store; the numbers are the agent protocol's (chapter 9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub(crate) enum Operation {
    /// Reads it.
    Inventory = 1,
    /// Adds a certificate.
    Add = 2,
    /// Removes an entry.
    Remove = 3,
    /// Makes it.
    Create = 4,
}

impl Operation {
    pub(crate) fn from_number(number: i16) -> Option<Self> {
        [Self::Inventory, Self::Add, Self::Remove, Self::Create]
            .into_iter()
            .find(|known| *known as i16 == number)
    }

    pub(crate) const fn job_type(self) -> JobType {
        match self {
            Self::Inventory => JobType::Inventory,
            _ => JobType::Management,
        }
    }
}

/// A job to be put into the queue.
#[derive(Debug, Clone)]
pub(crate) struct NewJob {
    pub(crate) id: JobId,
    pub(crate) agent_id: AgentId,
    pub(crate) store_id: StoreId,
    pub(crate) operation: Operation,
    /// Not before this; also its place in the queue.
    pub(crate) run_at: DateTime<Utc>,
    /// Asked for at a time, not immediately.
    pub(crate) scheduled: bool,
    pub(crate) certificate_id: Option<i64>,
    /// Never a secret.
    pub(crate) details: Value,
    /// Sealed to table `jobs`, this id, column `sealed_secret`.
    pub(crate) sealed_secret: Option<Vec<u8>>,
    pub(crate) agent_machine: String,
    pub(crate) client_machine: String,
    pub(crate) store_path: String,
    pub(crate) store_type: String,
}

/// Who or what made a group of jobs.
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    pub(crate) request_id: RequestId,
    pub(crate) requested_by: String,
}

impl Cause {
    /// A new call by this caller.
    pub(crate) fn call(requested_by: &str) -> Self {
        Self { request_id: RequestId::generate(), requested_by: requested_by.to_owned() }
    }
}
