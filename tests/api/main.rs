//! The operator API and the agents' door, slice by slice, over real TLS against a real server and Postgres.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "every function here belongs to a test, and what a test cannot read ends it"
)]

mod agent_administration;
mod agents_door;
mod approval;
mod audit;
mod bad_input;
mod blueprints;
mod certificate_changes;
mod certificate_content;
mod certificate_import;
mod certificate_reading;
mod cloned_agents;
mod collections;
mod conformance;
mod containers;
mod custom_jobs;
mod deployment;
mod discovery;
mod drained_agents;
mod dry_runs;
mod enrollment;
mod identity_provider;
mod inventory;
mod job_changes;
mod job_times;
mod lease_races;
mod metadata_fields;
mod odd_requests;
mod permissions;
mod proof;
mod published_outcomes;
mod query_language;
mod query_table;
mod reenrollment;
mod reference;
mod renewal;
mod retries;
mod roles;
mod secrets;
mod simulation;
mod store_changes;
mod store_logins;
mod store_types;
mod templates;
mod transport;
mod waiting;
