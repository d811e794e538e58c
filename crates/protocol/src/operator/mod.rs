//! Requests and answers of the operator API, one file for each slice of the server that owns them.
//!
//! Member names follow the contract to the letter, odd spellings included. Requests are lenient by
//! construction: every member may be absent, and the server says which one it misses.

pub mod agents;
pub mod audit;
pub mod authority;
pub mod blueprints;
pub mod certificate_content;
pub mod certificate_stores;
pub mod certificates;
pub mod collections;
pub mod custom_jobs;
pub mod enrollment;
pub mod metadata_fields;
pub mod orchestrator_jobs;
pub mod revoke_reason;
pub mod roles;
pub mod schedule;
pub mod security;
