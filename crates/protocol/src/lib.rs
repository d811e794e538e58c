//! The words that cross a wire: identifiers, requests, responses, job payloads and the paths of both doors.
//!
//! Two doors share this crate. [`operator`] is the REST API for automation and people, compatible with
//! Keyfactor Command; [`agent`] is the door for agents, compatible with the published agent protocol and
//! extended for our own agent. The crate holds no rule, no SQL and no file access: what a value means is
//! decided in the server and in the agent.

pub mod agent;
mod ids;
pub mod operator;
mod problem;
mod secret;
mod timestamp;

pub use ids::{AgentId, InvalidId, JobId, RequestId, StoreId};
pub use problem::{FailedOperation, Problem};
pub use secret::Secret;
pub use timestamp::{InvalidTimestamp, Timestamp};
