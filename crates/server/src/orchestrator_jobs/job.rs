//! What a job is, before it runs.

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use sealift_protocol::{AgentId, JobId, RequestId, StoreId};
use serde_json::Value;
use uuid::Uuid;

/// The kind of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub(crate) enum JobType {
    /// Reads a store.
    Inventory = 1,
    /// Changes a store.
    Management = 2,
    /// Makes a key in a store and a request for it.
    Reenrollment = 3,
    /// Looks for stores.
    Discovery = 4,
    /// Fetches the log of the agent itself.
    FetchLogs = 5,
    /// As an operator described it, for agents that bring a program for it.
    Custom = 6,
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
    /// Makes a key in it, and has it certified.
    Reenrollment = 6,
    /// Looks for stores.
    Discovery = 7,
    /// Fetches the log of the agent; works on no store. A number of ours, as the next.
    FetchLogs = 9,
    /// Runs a custom job; works on no store.
    Custom = 10,
}

impl Operation {
    pub(crate) fn from_number(number: i16) -> Option<Self> {
        [
            Self::Inventory,
            Self::Add,
            Self::Remove,
            Self::Create,
            Self::Reenrollment,
            Self::Discovery,
            Self::FetchLogs,
            Self::Custom,
        ]
        .into_iter()
        .find(|known| *known as i16 == number)
    }

    pub(crate) const fn job_type(self) -> JobType {
        match self {
            Self::Inventory => JobType::Inventory,
            Self::Add | Self::Remove | Self::Create => JobType::Management,
            Self::Reenrollment => JobType::Reenrollment,
            Self::Discovery => JobType::Discovery,
            Self::FetchLogs => JobType::FetchLogs,
            Self::Custom => JobType::Custom,
        }
    }
}

impl Operation {
    /// Whether a job works on no store; then its own id stands in place of one.
    pub(crate) const fn is_alone(self) -> bool {
        matches!(self, Self::FetchLogs | Self::Custom)
    }
}

/// The id of the inventory that follows a change. It follows from the change's, so that it can be named before it is
/// there; as old as the change, so that it stays near it in indexes.
pub(crate) fn inventory_after(change: JobId) -> JobId {
    let mut input = b"inventory after ".to_vec();
    input.extend_from_slice(change.uuid().as_bytes());
    let hash = digest(&SHA256, &input);
    let mut bytes = *change.uuid().as_bytes();
    bytes[6..].copy_from_slice(&hash.as_ref()[..10]);
    // Version 7 and the variant of RFC 9562.
    bytes[6] = bytes[6] & 0x0f | 0x70;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    JobId::from(Uuid::from_bytes(bytes))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inventory_after_a_change_has_one_id_of_the_same_age() {
        let (change, other) = (JobId::generate(), JobId::generate());
        let inventory = inventory_after(change);
        assert_eq!(inventory, inventory_after(change));
        assert_ne!(inventory, inventory_after(other));
        assert_eq!(inventory.uuid().get_version_num(), 7);
        assert_eq!(inventory.uuid().as_bytes()[..6], change.uuid().as_bytes()[..6]);
    }
}
