//! The server: decides, records and answers.
//!
//! Slices, each with its own tables, rules and routes, stand on a floor that knows none of them; see
//! ARCHITECTURE.md, section 4. A slice may call only slices listed before it:
//! security, authority, agents, certificates, orchestrator_jobs, certificate_stores, enrollment, agent_api.

pub mod clock;
pub mod configuration;
pub mod database;
pub mod floor;
pub(crate) mod http;
pub mod sealing;

pub mod security;

pub mod authority;

pub mod agents;

pub mod certificates;

pub mod orchestrator_jobs;

pub mod certificate_stores;

pub mod blueprints;

pub mod enrollment;

pub(crate) mod agent_api;

pub mod scheduler;
pub mod startup;
