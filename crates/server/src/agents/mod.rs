//! Agents: how they become known, approved and trusted, what they can do, and when they were last seen.
//!
//! ```text
//! first contact ----------------------> New ---- an operator approves ----> Approved
//!     |                                  |                                   |    ^
//!     | with a one-time enrollment token | an operator disapproves           |    | an operator approves
//!     +--------> Approved                +--------> Disapproved <------------+----+
//! ```
//!
//! An agent proves who it is by its client certificate, or by a request signed with the key it is known by.
//! Its id is no proof. A token that an operator made for one agent gives that agent a new identity, whatever it lost.
//! Only an approved agent gets an identity from the authority (`registration/`); every later call is admitted by the certificate's thumbprint (`directory.rs`). An operator can take an agent back to
//! *New* (`reset.rs`), have it renew its identity (`reenrollment.rs`), or have it take no new jobs (`drain.rs`). One
//! process works under an identity at a time (`instance.rs`).

mod agent;
mod approval;
mod capability;
mod directory;
mod drain;
mod enrollment_token;
mod error;
mod instance;
mod list;
mod merge;
mod pools;
mod queries;
mod reenrollment;
pub(crate) mod registration;
mod reset;
mod routes;
pub(crate) mod session;
pub(crate) mod sweep;

pub(crate) use agent::{AgentFacts, Status, facts, set_blueprint};
pub(crate) use approval::ids;
pub(crate) use capability::FETCH_LOGS;
pub(crate) use directory::{Directory, Identity};
pub(crate) use drain::{drain, resume, say_drained};
pub(crate) use error::Error;
pub(crate) use instance::{Admission, Arrival, admit};
pub(crate) use merge::merge;
pub(crate) use reset::{delete, reset};
pub(crate) use routes::endpoints;
