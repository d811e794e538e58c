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
//! Its id is no proof. Only an approved agent gets an identity from the authority (`registration/`); every
//! later call is admitted by the certificate's thumbprint (`directory.rs`).

mod agent;
mod approval;
mod capability;
mod directory;
mod enrollment_token;
mod error;
mod list;
mod queries;
pub(crate) mod registration;
mod routes;
pub(crate) mod session;
pub(crate) mod sweep;

pub(crate) use agent::{Status, facts};
pub(crate) use directory::Directory;
pub(crate) use routes::endpoints;
