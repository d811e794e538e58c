//! `kill -9` of the server, and of Postgres, between any two statements of a claim and of a completion: nothing
//! that was acknowledged is lost, no job runs twice with effect, history tells each attempt.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use sealift_pki::pem;
use sealift_server::database::embedded::{EmbeddedPostgres, Options};
use sealift_server::startup::Ready;
use serde_json::{Value, json};
use support::programs::{ServerProcess, append};
use support::random::{self, Random};
use support::statement_proxy::{Moment, StatementProxy};
use support::story::{addition, enrollment};
use support::{Client, Machine, eventually};

use super::whole_way::inventoried;

/// Statements from the claim of a job to the end of its inventory, roughly.
const STATEMENTS: u32 = 30;

pub(super) struct Scene {
    directory: tempfile::TempDir,
    postgres: EmbeddedPostgres,
    pub(super) proxy: StatementProxy,
    url: String,
    listen: String,
    pub(super) server: ServerProcess,
    pub(super) admin: Client,
}

pub(super) fn kill(process: u32) {
    let _ = Command::new("kill").args(["-KILL", &process.to_string()]).status();
}

impl Scene {
    pub(super) async fn set() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("sealift-test-kills-")
            .disable_cleanup(support::keep())
            .tempdir()
            .unwrap();
        let (root, options) = (directory.path().join("postgres"), Options::from_environment());
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let postgres = tokio::task::spawn_blocking(move || EmbeddedPostgres::start(&root, &options))
            .await
            .unwrap()
            .unwrap();
        let direct = postgres.url();
        sealift_server::database::migrate(&sealift_protocol::Secret::new(direct.expose())).await.unwrap();
        let (front, rest) = direct.expose().rsplit_once('@').unwrap();
        let (place, database) = rest.split_once('/').unwrap();
        let proxy = StatementProxy::start(place.parse::<SocketAddr>().unwrap()).await;
        let database = database.split('?').next().unwrap();
        let url = format!("{front}@{}/{database}?sslmode=disable", proxy.address);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listen = port.to_string();
        let server = start(directory.path(), &listen, &url).await;
        let ready: Value = server.ready.clone();
        let text = |name: &str| ready[name].as_str().unwrap().to_owned();
        let admin = Client::administrator(&Ready {
            base_url: text("BaseUrl"),
            agent_url: text("AgentUrl"),
            ca_file: text("CaFile").into(),
            process_id: server.process.id(),
            credentials_file: text("CredentialsFile").into(),
        });
        Self { directory, postgres, proxy, url, listen, server, admin }
    }

    /// Puts back what was struck. A killed process may take a moment to be gone, so it is waited for.
    pub(super) async fn restore(&mut self, victim: Victim) {
        if matches!(victim, Victim::Server) {
            self.server.process.kill();
            self.server = start(self.directory.path(), &self.listen, &self.url).await;
        }
    }
}

async fn start(directory: &Path, listen: &str, url: &str) -> ServerProcess {
    let (data, log) = (directory.join("data"), directory.join("server.log"));
    let (listen, url) = (listen.to_owned(), url.to_owned());
    drop(append(&log));
    tokio::task::spawn_blocking(move || {
        let environment = [
            ("DATABASE_URL", url.as_str()),
            ("SEALIFT_JOBS__MAX_ATTEMPTS", "100"),
            ("SEALIFT_JOBS__RETRY_SECONDS", "1"),
            ("SEALIFT_JOBS__LEASE_SECONDS", "30"),
        ];
        ServerProcess::start(&data, &listen, &environment, &log)
    })
    .await
    .unwrap()
}

/// The rows of a job once it has ended for good, however often the server fails to answer meanwhile.
async fn ended(admin: &Client, job: &str) -> Vec<Value> {
    eventually("the job ends", async || {
        let request = admin
            .request(reqwest::Method::GET, "/OrchestratorJobs/JobHistory")
            .query(&[("QueryString", format!("JobId -eq \"{job}\""))]);
        let rows: Value = request.send().await.ok()?.json().await.ok()?;
        let mut rows = rows.as_array()?.clone();
        rows.sort_by_key(|row| row["JobHistoryId"].as_i64());
        rows.last().is_some_and(|row| row["Status"] == 3).then_some(rows)
    })
    .await
}

#[derive(Clone, Copy)]
pub(super) enum Victim {
    Server,
    Postgres,
}

async fn strike_again_and_again(victim: Victim, kills: u32) {
    let mut random = Random::seeded("kills of servers");
    let mut scene = Scene::set().await;
    let machine = {
        let (agent, ca) = (scene.server.text("AgentUrl").to_owned(), scene.server.text("CaFile").to_owned());
        Machine::install(&scene.admin, &agent, Path::new(&ca), "web1.example.test", "").await
    };
    let _agent = machine.start();
    let store = machine.store(&scene.admin, 2, "stores/site.pem", json!({})).await;
    let (mut struck, mut round, mut attempts) = (0, 0, 0);
    while struck < kills {
        round += 1;
        assert!(round < kills * 3, "most strikes fall after the job has ended");
        let enrolled = enrollment(&scene.admin, &["www.example.test"]).await;
        let information = &enrolled["CertificateInformation"];
        let thumbprint = information["Thumbprint"].as_str().unwrap().to_owned();
        let mut add = addition(information["KeyfactorId"].as_i64().unwrap(), &[&store]);
        add["CertificateStores"][0]["Overwrite"] = json!(true);
        let process = match victim {
            Victim::Server => scene.server.process.id(),
            Victim::Postgres => scene.postgres.process_id().unwrap(),
        };
        let moment = if random.below(2) == 0 { Moment::Before } else { Moment::After };
        let count = 1 + random.below(STATEMENTS);
        let added = scene.admin.post("/CertificateStores/Certificates/Add", &add).await.ok();
        let job = added[0].as_str().unwrap().to_owned();
        scene.proxy.arm(count, moment, move || kill(process));
        // Struck or not, the job must come to its end.
        let mut restored = false;
        let early = tokio::select! {
            rows = ended(&scene.admin, &job) => Some(rows),
            () = dead(process) => None,
        };
        let rows = match early {
            Some(rows) => rows,
            None => {
                restored = true;
                scene.restore(victim).await;
                ended(&scene.admin, &job).await
            }
        };
        let fallen = !scene.proxy.disarm();
        struck += u32::from(fallen);
        let place = format!("{moment:?} statement {count}");
        assert_eq!(rows.last().unwrap()["Result"], 2, "{place}: {rows:?}");
        for (index, row) in rows.iter().enumerate() {
            assert_eq!(row["Attempt"], json!(index + 1), "{place}: each attempt once, in order: {rows:?}");
        }
        attempts += rows.len();
        let held =
            pem::certificates(&std::fs::read_to_string(machine.path("stores/site.pem")).unwrap()).unwrap();
        assert_eq!(held[0].thumbprint().to_string(), thumbprint, "{place}");
        if fallen && !restored {
            scene.restore(victim).await;
        }
        inventoried(&scene.admin, &store, &thumbprint).await;
    }
    println!("{struck} kills in {round} jobs, {attempts} attempts");
}

/// Returns once a process is gone, and never if it has been gone when first looked at.
async fn dead(process: u32) {
    let gone = || !Path::new(&format!("/proc/{process}/stat")).exists() || zombie(process);
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(10));
    while !gone() {
        ticks.tick().await;
    }
    ticks.tick().await;
}

fn zombie(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|text| text.contains(") Z "))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_between_any_two_statements_loses_nothing() {
    strike_again_and_again(Victim::Server, random::times(30)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_killed_between_any_two_statements_loses_nothing() {
    strike_again_and_again(Victim::Postgres, random::times(10)).await;
}
