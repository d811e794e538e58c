//! The agents' door: the published agent protocol, and our own agent's extensions to it.
//!
//! Every call is a `POST` of JSON below a virtual directory. Calls of the published protocol are in
//! [`registration`], [`jobs`] and [`reenrollment`]; what only our agent speaks is in [`leases`], [`inventory`] and
//! [`verification`], below `Sealift/`, and is offered only over a connection with the agent's client certificate.

pub mod error_catalogue;
pub mod inventory;
pub mod jobs;
pub mod leases;
pub mod reenrollment;
pub mod registration;
pub mod verification;

/// The virtual directory in which the door stands unless configured otherwise.
pub const VIRTUAL_DIRECTORY: &str = "KeyfactorAgents";

/// Paths of the door, relative to the virtual directory.
pub mod paths {
    /// Registration of the published protocol.
    pub const REGISTER: &str = "Session/Register";
    /// Heartbeat of the published protocol.
    pub const HEARTBEAT: &str = "Session/Heartbeat";
    /// Details of a job of the published protocol; the path is the server's own choice.
    pub const CONFIGURE: &str = "Jobs/{id}/Configure";
    /// Details of a reenrollment: a path of its own, for agents crash when it is answered with an HTTP error.
    pub const REENROLL: &str = "Jobs/{id}/Reenroll";
    /// Has the request of a reenrollment of the published protocol signed.
    pub const ENROLL_JOB: &str = "Jobs/{id}/Enroll";
    /// Uploads what an inventory of the published protocol found.
    pub const UPDATE: &str = "Jobs/{id}/Update";
    /// Reports the end of a job of the published protocol.
    pub const COMPLETE_JOB: &str = "Jobs/{id}/Complete";
    /// Long poll: waits for due jobs and leases them.
    pub const LEASE: &str = "Sealift/Lease";
    /// Renews leases.
    pub const RENEW: &str = "Sealift/Renew";
    /// Reports steps of running jobs.
    pub const STEPS: &str = "Sealift/Steps";
    /// Reports finished jobs, several at once.
    pub const COMPLETE: &str = "Sealift/Complete";
    /// Reports stores that a discovery found.
    pub const DISCOVERED: &str = "Sealift/Discovered";
    /// Uploads one page of an inventory.
    pub const INVENTORY: &str = "Sealift/Inventory";
    /// Has the request of a reenrollment signed.
    pub const ENROLL: &str = "Sealift/Enroll";
}
