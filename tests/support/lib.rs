//! What the test programs stand on: a real Postgres, real servers, real agents, and clients that speak to them.
//!
//! Everything is started on free ports with a database of its own, and ends with the test.

#![expect(
    clippy::expect_used,
    reason = "only tests use this library: what they cannot stand on ends them, and the text says what it was"
)]

pub mod agent;
pub mod client;
pub mod examples;
pub mod invariants;
pub mod machine;
pub mod oidc;
pub mod postgres;
pub mod programs;
pub mod python;
pub mod random;
pub mod server;
pub mod statement_proxy;
pub mod story;
pub mod tls_listener;

pub use agent::RawAgent;
pub use client::Client;
pub use machine::Machine;
pub use server::TestServer;

/// How long something that must happen may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Looks again and again until `look` sees something; fails when it does not come to pass.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
    loop {
        ticks.tick().await;
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
    }
}

/// Whether directories of tests stay for a look at them: `SEALIFT_TEST_KEEP`.
pub fn keep() -> bool {
    std::env::var_os("SEALIFT_TEST_KEEP").is_some()
}
