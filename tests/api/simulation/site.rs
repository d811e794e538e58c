//! What the runs of one thread share: a database, servers on it, agents and their stores, and certificates.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sealift_protocol::{AgentId, Secret, StoreId};
use sealift_server::clock::Clock;
use sealift_server::configuration::Configuration;
use sealift_server::startup::{Application, Replica};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use support::statement_proxy::StatementProxy;
use support::story::enrollment;
use support::{RawAgent, TestServer};

/// Servers on the database.
pub(super) const SERVERS: usize = 2;
/// Agents, each with its stores.
const AGENTS: usize = 2;
const STORES: usize = 2;
const CERTIFICATES: usize = 4;
/// Length of a lease.
pub(super) const LEASE: TimeDelta = TimeDelta::seconds(30);
/// The most attempts of a job.
const ATTEMPTS: &str = "4";

/// A server and the way to its database.
pub(super) struct Seat {
    pub(super) replica: Replica,
    pub(super) proxy: StatementProxy,
    pub(super) clock: Clock,
    /// The process that serves its connection.
    backend: i32,
    /// Holds what the server stands on.
    _application: Application,
}

/// An agent as the database knows it.
#[derive(Clone)]
pub(super) struct Post {
    pub(super) id: AgentId,
    pub(super) stores: Vec<StoreId>,
}

/// A certificate that can be added.
#[derive(Clone)]
pub(super) struct Enrolled {
    pub(super) id: i64,
    /// Base64 DER.
    pub(super) der: String,
}

pub(super) struct Site {
    pub(super) seats: Vec<Seat>,
    pub(super) posts: Vec<Post>,
    pub(super) certificates: Vec<Enrolled>,
    /// Looks at the tables without a server between.
    pub(super) observer: PgConnection,
    _directory: tempfile::TempDir,
}

/// When every run begins.
pub(super) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_830_000_000, 0).unwrap()
}

impl Site {
    pub(super) async fn set() -> Self {
        let server = TestServer::start().await;
        let mut posts = Vec::new();
        for number in 0..AGENTS {
            let agent = RawAgent::enroll(&server, &format!("web{number}.example.test")).await;
            let mut stores = Vec::new();
            for store in 0..STORES {
                stores.push(agent.store(&server, 2, &format!("/etc/tls/{store}.pem")).await.parse().unwrap());
            }
            posts.push(Post { id: agent.id.parse().unwrap(), stores });
        }
        let mut certificates = Vec::new();
        for number in 0..CERTIFICATES {
            let name = format!("www{number}.example.test");
            let enrolled = enrollment(&server.admin, &[&name]).await;
            certificates.push(enrolled_certificate(&server, &enrolled).await);
        }
        let url = server.parts.floor.configuration.database.url.expose().to_owned();
        let directory = server.retire().await;
        let mut observer = PgConnection::connect(&url).await.unwrap();
        let mut seats = Vec::new();
        for _ in 0..SERVERS {
            seats.push(seat(directory.path(), &url).await);
        }
        // Nothing is lost when the machine dies: what a run commits is not wanted afterwards.
        let database: String =
            sqlx::query_scalar("SELECT current_database()").fetch_one(&mut observer).await.unwrap();
        let relax = format!("ALTER DATABASE {database} SET synchronous_commit = off");
        sqlx::query(sqlx::AssertSqlSafe(relax)).execute(&mut observer).await.unwrap();
        Self { seats, posts, certificates, observer, _directory: directory }
    }

    /// Forgets what earlier runs did.
    pub(super) async fn clear(&mut self, seed: u64) {
        for statement in [
            "DELETE FROM jobs",
            "DELETE FROM job_history",
            "DELETE FROM job_steps",
            "DELETE FROM store_entries",
            "UPDATE certificate_stores SET inventory_version = NULL, inventoried_at = NULL",
        ] {
            sqlx::query(statement).execute(&mut self.observer).await.unwrap();
        }
        for number in 0..self.seats.len() {
            self.restart(number, seed).await;
        }
    }

    /// A server begins anew after a crash; its database's random numbers follow from the seed too.
    pub(super) async fn restart(&mut self, number: usize, seed: u64) {
        let seat = &mut self.seats[number];
        seat.replica = seat.replica.restarted();
        let seed = (seed % 1_000_003) as f64 / 1_000_003.0;
        let (backend,): (i32,) = sqlx::query_as("SELECT pg_backend_pid() FROM setseed($1)")
            .bind(seed)
            .fetch_one(&seat.replica.parts().floor.database.main)
            .await
            .unwrap();
        seat.backend = backend;
    }

    /// Waits until Postgres has noticed that a server's connection is gone, and let its locks go.
    pub(super) async fn until_gone(&mut self, number: usize) {
        let backend = self.seats[number].backend;
        loop {
            let lives: bool =
                sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = $1)")
                    .bind(backend)
                    .fetch_one(&mut self.observer)
                    .await
                    .unwrap();
            if !lives {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

async fn enrolled_certificate(server: &TestServer, enrolled: &Value) -> Enrolled {
    let id = enrolled["CertificateInformation"]["KeyfactorId"].as_i64().unwrap();
    let der: Vec<u8> = sqlx::query_scalar("SELECT content FROM certificates WHERE id = $1")
        .bind(id)
        .fetch_one(server.database())
        .await
        .unwrap();
    use base64::Engine as _;
    Enrolled { id, der: base64::engine::general_purpose::STANDARD.encode(der) }
}

/// A server that never listens, with one connection through a proxy of its own, and a clock that stands.
async fn seat(directory: &std::path::Path, url: &str) -> Seat {
    let (front, rest) = url.rsplit_once('@').unwrap();
    let (place, database) = rest.split_once('/').unwrap();
    let database = database.split('?').next().unwrap();
    let proxy = StatementProxy::start(place.parse().unwrap()).await;
    let url = format!("{front}@{}/{database}?sslmode=disable", proxy.address);
    let options = std::collections::BTreeMap::from([
        ("data_dir", directory.join("data").display().to_string()),
        ("listen", "127.0.0.1:0".to_owned()),
        ("plain_http", "true".to_owned()),
        ("database.url", Secret::new(url.as_str()).expose().to_owned()),
        ("database.connections", "1".to_owned()),
        ("database.report_connections", "1".to_owned()),
        ("jobs.lease_seconds", LEASE.num_seconds().to_string()),
        ("jobs.retry_seconds", "5".to_owned()),
        ("jobs.max_attempts", ATTEMPTS.to_owned()),
    ]);
    let configuration = Configuration::load(None, std::iter::empty(), &options).unwrap();
    let clock = Clock::standing(start());
    let application = Application::build(configuration, clock.clone()).await.unwrap();
    let replica = Replica::of(&application);
    assert!(Arc::strong_count(replica.parts()) > 1);
    Seat { replica, proxy, clock, backend: 0, _application: application }
}
