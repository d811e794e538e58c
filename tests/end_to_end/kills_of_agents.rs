//! `kill -9` of the agent at each step of a job: no store is ever torn, the job is finished by the next agent
//! process, and history tells each attempt.

use std::path::Path;

use sealift_pki::{PrivateKey, pem};
use serde_json::{Value, json};
use support::random::{self, Random};
use support::story::{addition, enrollment};
use support::{Machine, TestServer};

use super::whole_way::{ended, inventoried};

/// System calls that change something or tell somebody, and how many of each one thread makes in a job, roughly.
const CALLS: [(&str, u32); 6] = [
    ("fsync", 6),
    ("rename,renameat,renameat2", 4),
    ("openat", 24),
    ("write", 12),
    ("sendto,writev", 8),
    ("unlink,unlinkat", 2),
];
/// Kills in the suite; more by `SEALIFT_TEST_KILLS`.
const KILLS: u32 = 160;

/// The thumbprint of what a PEM store holds, which must be whole: a leaf, its chain and its key.
fn whole(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let certificates = pem::certificates(&text).unwrap();
    let key = PrivateKey::from_pem(&text[text.find("-----BEGIN PRIVATE KEY").expect("a key")..]).unwrap();
    assert!(key.matches(&certificates[0]), "key and certificate belong together");
    assert_eq!(certificates.len(), 2);
    certificates[0].thumbprint().to_string()
}

/// Each attempt stands once and in order; the last one succeeded, and the agent's death ended each other one.
fn each_attempt_is_told(rows: &[Value], place: &str) {
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(row["Attempt"], json!(index + 1), "{place}: each attempt once, in order: {rows:?}");
    }
    let (last, killed) = rows.split_last().unwrap();
    assert_eq!(last["Result"], 2, "{place}: {rows:?}");
    let restarted = |row: &Value| row["Status"] == 5 && row["ErrorCode"] == "agent_restarted";
    assert!(killed.iter().all(restarted), "{place}: {rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_at_any_step_leaves_a_whole_store_and_no_job_behind() {
    let kills = random::times(KILLS);
    let mut random = Random::seeded("kills of agents");
    let server = TestServer::start_with(&[("jobs.max_attempts", "100")]).await;
    let admin = &server.admin;
    let machine =
        Machine::install(admin, &server.ready.agent_url, &server.ready.ca_file, "web1.example.test", "")
            .await;
    let mut agent = machine.start();
    let store = machine.store(admin, 2, "stores/site.pem", json!({})).await;
    let path = machine.path("stores/site.pem");
    let mut before: Option<String> = None;
    let (mut struck, mut attempts) = (0, 0);
    let mut round = 0;
    while struck < kills {
        round += 1;
        assert!(round < kills * 4 + 20, "most strikes fall after the job has ended");
        let enrolled = enrollment(admin, &["www.example.test"]).await;
        let information = &enrolled["CertificateInformation"];
        let thumbprint = information["Thumbprint"].as_str().unwrap().to_owned();
        let mut add = addition(information["KeyfactorId"].as_i64().unwrap(), &[&store]);
        add["CertificateStores"][0]["Overwrite"] = json!(true);
        agent.kill();
        let added = admin.post("/CertificateStores/Certificates/Add", &add).await.ok();
        let job = added[0].as_str().unwrap();
        let (calls, most) = CALLS[random.below(CALLS.len() as u32) as usize];
        let count = 1 + random.below(most);
        let mut doomed = machine.start_doomed(calls, count);
        let died = support::eventually("the agent dies or the job ends", async || {
            if !doomed.runs() {
                return Some(true);
            }
            let waiting: i64 =
                sqlx::query_scalar("SELECT count(*) FROM jobs").fetch_one(server.database()).await.unwrap();
            (waiting == 0).then_some(false)
        })
        .await;
        doomed.kill();
        struck += u32::from(died);
        if path.exists() {
            let now = whole(&path);
            assert!(
                now == thumbprint || Some(&now) == before.as_ref(),
                "{calls} {count}: neither old nor new"
            );
        } else {
            assert!(before.is_none(), "{calls} {count}: the store is gone");
        }
        agent = machine.start();
        let rows = ended(admin, job).await;
        each_attempt_is_told(&rows, &format!("{calls} {count}"));
        attempts += rows.len();
        assert_eq!(whole(&path), thumbprint);
        inventoried(admin, &store, &thumbprint).await;
        before = Some(thumbprint);
    }
    let leftovers: Vec<_> = std::fs::read_dir(machine.path("stores"))
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".part"))
        .collect();
    println!(
        "{struck} kills in {round} jobs, {attempts} attempts, {} temporary files await their sweep",
        leftovers.len()
    );
    assert!(attempts as u32 > round, "some kills fell into a job");
    server.stop().await;
}
