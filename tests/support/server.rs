//! A server in this process: real socket, real database, and a clock that tests can move.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealift_server::clock::Clock;
use sealift_server::configuration::Configuration;
use sealift_server::scheduler::Sweep;
use sealift_server::startup::{Application, Parts, Ready, Running};
use sqlx::PgPool;
use tempfile::TempDir;

use crate::agent::RawAgent;
use crate::client::Client;
use crate::postgres;

/// A server that is built, not yet serving, in a directory and with some keys set; or why it would not start.
///
/// # Errors
/// What [`Application::build`] says.
pub async fn build(
    directory: &std::path::Path,
    settings: &[(&'static str, String)],
) -> Result<Application, sealift_server::startup::Error> {
    let mut options: BTreeMap<&str, String> = BTreeMap::from([
        ("data_dir", directory.join("data").display().to_string()),
        ("listen", "127.0.0.1:0".to_owned()),
        ("workers", "1".to_owned()),
    ]);
    options.extend(settings.iter().map(|(key, value)| (*key, value.clone())));
    let configuration = Configuration::load(None, std::iter::empty(), &options).expect("a configuration");
    Application::build(configuration, Clock::system()).await
}

/// A running server. Stop it with [`TestServer::stop`]; dropped, it ends with the test's runtime.
pub struct TestServer {
    /// Where it is.
    pub ready: Ready,
    /// Its clock.
    pub clock: Clock,
    /// Its shared parts, for sweeps by name.
    pub parts: Arc<Parts>,
    /// Its first administrator.
    pub admin: Client,
    directory: TempDir,
    running: Option<Running>,
}

impl TestServer {
    /// A server with the default configuration.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A server with some keys set, dotted, as in `jobs.lease_seconds`.
    pub async fn start_with(settings: &[(&'static str, &str)]) -> Self {
        Self::launch(settings, Client::administrator).await
    }

    /// A second replica of a server, on the same database, whose address the first was started with.
    pub async fn beside(first: &Self, database_url: &str) -> Self {
        let key = first.data_dir().join("sealing.key").display().to_string();
        let settings = [("database.url", database_url), ("sealing.key_file", key.as_str())];
        Self::launch(&settings, |ready| first.admin.at(ready)).await
    }

    async fn launch(settings: &[(&'static str, &str)], administrator: impl FnOnce(&Ready) -> Client) -> Self {
        let directory =
            tempfile::Builder::new().prefix("sealift-test-server-").tempdir().expect("a directory");
        let mut options: BTreeMap<&str, String> = BTreeMap::from([
            ("data_dir", directory.path().join("data").display().to_string()),
            ("listen", "127.0.0.1:0".to_owned()),
            ("database.url", postgres::database().await.expose().to_owned()),
            ("database.connections", "6".to_owned()),
            ("database.report_connections", "2".to_owned()),
            ("workers", "1".to_owned()),
        ]);
        options.extend(settings.iter().map(|(key, value)| (*key, (*value).to_owned())));
        let configuration = Configuration::load(None, std::iter::empty(), &options).expect("a configuration");
        let clock = Clock::system();
        let application = Application::build(configuration, clock.clone()).await.expect("the server starts");
        let (ready, parts) = (application.ready().clone(), Arc::clone(application.parts()));
        let running = application.start().await.expect("the server serves");
        let admin = administrator(&ready);
        Self { ready, clock, parts, admin, directory, running: Some(running) }
    }

    /// Runs a sweep once.
    pub async fn sweep(&self, sweep: Sweep) {
        sweep.run(&self.parts).await.expect("the sweep runs");
    }

    /// Whether a poll of this agent is held.
    pub async fn holds(&self, agent: &RawAgent) -> bool {
        self.parts.holds(&agent.id)
    }

    /// The server's database.
    pub fn database(&self) -> &PgPool {
        &self.parts.floor.database.main
    }

    /// The server's data directory.
    pub fn data_dir(&self) -> std::path::PathBuf {
        self.directory.path().join("data")
    }

    /// Ends it, sweeps and all; answers its directory, in which another server can go on with the same keys.
    pub async fn retire(mut self) -> TempDir {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
        self.directory
    }

    /// Ends it.
    pub async fn stop(mut self) {
        if let Some(running) = self.running.take() {
            running.abort().await;
        }
    }
}
