//! The agents' door: registration, leases, steps, inventories and completions.
//!
//! Our own agent leases jobs by long poll (`poll.rs`); agents of the published protocol get a list with their session
//! and fetch each job's configuration (`published/`). Both end in the same queue.
//!
//! It owns nothing. It knows the caller by its client certificate, bounds and checks what it says, and hands
//! each result to the slice that owns it, in one transaction. Errors have empty bodies: agents of the
//! published protocol append what they read to their next answer.

mod completion;
mod direct;
mod identity;
mod pace;
mod poll;
mod published;
mod registration;
mod routes;
mod wire;

pub(crate) use completion::{Completions, start_completions};
pub(crate) use direct::{complete, lease, renew, upload_page};
pub(crate) use identity::PeerCertificate;
pub(crate) use pace::Pace;
pub(crate) use routes::endpoints;
