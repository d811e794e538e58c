//! Certificate stores, their types and containers, what is in them, and the jobs that change them.
//!
//! Operators ask here for additions, removals and inventories; the jobs themselves live in
//! `orchestrator_jobs`. What agents read from stores is reconciled in `inventory`.

mod add;
mod container;
mod discovery;
mod entry_parameters;
mod error;
mod import;
mod inventory;
mod job_secrets;
mod list;
pub(crate) mod published;
mod queries;
mod reenrollment;
mod remove;
mod routes;
mod schedule;
mod served;
mod server;
mod store;
mod store_type;
pub mod sweep;
mod target;
mod verification;
mod work;

pub(crate) use discovery::{checked as checked_discovery, store_discovered};
pub(crate) use error::Error;
pub(crate) use inventory::{Upload, follow_with_inventory, store_page};
pub(crate) use reenrollment::{Certified, certify};
pub(crate) use routes::{Adds, endpoints, start_adds, submit_add};
pub(crate) use served::note_served;
pub(crate) use store::create as create_store;
pub(crate) use target::{Placement, StoreFacts, decide_add, load_facts};
pub(crate) use work::{Broken, describe};
