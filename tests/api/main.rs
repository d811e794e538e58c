//! The operator API and the agents' door, slice by slice, over real TLS against a real server and Postgres.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "every function here belongs to a test, and what a test cannot read ends it"
)]

mod agents_door;
mod bad_input;
mod certificate_changes;
mod certificate_content;
mod certificate_import;
mod certificate_reading;
mod collections;
mod deployment;
mod inventory;
mod job_times;
mod metadata_fields;
mod permissions;
mod published_protocol;
mod reference;
mod retries;
mod secrets;
mod transport;
