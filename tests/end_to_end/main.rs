//! Stories through real processes: servers, agents, Postgres, files.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "every function here belongs to a test, and what a test cannot read ends it"
)]

mod agent_operations;
mod canaries;
mod documentation;
mod imported_authority;
mod kills_of_agents;
mod kills_of_approvals;
mod kills_of_servers;
mod python_clients;
mod schemathesis;
mod whole_way;
