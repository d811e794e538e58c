//! What a machine's administrator and an operator do with a real agent: copies of its directory, draining, its log, the
//! doctor, and one writer at a time.

use std::process::{Command, Output};

use serde_json::{Value, json};
use support::story::{addition, enroll};
use support::{Client, Machine, TestServer, eventually, programs};

use super::whole_way::ended;

async fn machine(server: &TestServer, name: &str, after_change: &str) -> Machine {
    let (url, ca) = (&server.ready.agent_url, &server.ready.ca_file);
    Machine::install(&server.admin, url, ca, name, after_change).await
}

/// Runs a command of the agent's program on its configuration.
fn agent(machine: &Machine, arguments: &[&str]) -> Output {
    let mut command = Command::new(programs::path("sealift-agent"));
    command.args(arguments).arg("--config").arg(machine.configuration()).output().unwrap()
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

async fn add(admin: &Client, certificate: i64, store: &str) -> String {
    let mut body = addition(certificate, &[store]);
    body["CertificateStores"][0]["Overwrite"] = json!(true);
    admin.post("/CertificateStores/Certificates/Add", &body).await.ok()[0].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_agents_on_copies_of_one_directory_the_second_is_refused() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let original = machine(&server, "web1.example.test", "").await;
    let first = original.start();
    let store = original.store(admin, 2, "stores/site.pem", json!({})).await;
    // The copy: the directory with the identity, and a configuration that names it.
    let copied = original.path("copied");
    assert!(
        Command::new("cp").arg("-a").arg(original.path("agent")).arg(&copied).status().unwrap().success()
    );
    let text = std::fs::read_to_string(original.configuration()).unwrap();
    let text = text.replace(original.path("agent").to_str().unwrap(), copied.to_str().unwrap());
    support::machine::write(&original.path("copy.toml"), &text);
    let mut second = programs::start_agent(&original.path("copy.toml"), &original.path("copy.log"));

    let mark = eventually("the copy is seen", async || {
        let agents = admin.query("/Agents", "ClientMachine -eq \"web1.example.test\"").await.ok();
        Some(agents[0]["CloneSeen"].clone()).filter(|mark| !mark.is_null())
    })
    .await;
    assert_eq!(mark["Address"], "127.0.0.1", "{mark}");
    eventually("the copy says so itself", async || {
        let log = std::fs::read_to_string(original.path("copy.log")).unwrap();
        log.contains("ANOTHER PROCESS WORKS UNDER THIS IDENTITY").then_some(())
    })
    .await;
    let audited: i64 =
        sqlx::query_scalar("SELECT count(*) FROM audit_log WHERE message LIKE '%second process%'")
            .fetch_one(server.database())
            .await
            .unwrap();
    assert_eq!(audited, 1);
    let certificate = enroll(admin, &["www.example.test"]).await;
    let rows = ended(admin, &add(admin, certificate, &store).await).await;
    assert_eq!(rows[0]["Result"], 2, "the original works: {rows:?}");
    assert!(
        !std::fs::read_to_string(original.path("copy.log")).unwrap().contains("adding a certificate begins")
    );

    // The original ends, and an operator says that the copy is the agent now.
    drop(first);
    let id = original.agent_id(admin).await;
    admin.post("/Agents/Approve", &json!([id])).await.ok();
    let rows = ended(admin, &add(admin, certificate, &store).await).await;
    assert_eq!(rows.last().unwrap()["Result"], 2, "{rows:?}");
    assert!(second.terminate().success());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_drained_and_resumed_on_its_machine_and_by_an_operator() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let web = machine(&server, "web1.example.test", "").await;
    assert_eq!(agent(&web, &["status"]).status.code(), Some(1), "the directory is not there yet");
    let mut process = web.start();
    let store = web.store(admin, 2, "stores/site.pem", json!({})).await;
    let certificate = enroll(admin, &["www.example.test"]).await;
    let running = json_of(&agent(&web, &["status", "--json"]));
    assert_eq!((&running["Running"], &running["Drained"]), (&json!(true), &json!(false)));
    assert_eq!(running["Name"], "web1.example.test");

    let said = json_of(&agent(&web, &["drain", "--json"]));
    assert_eq!(said["Drained"], json!(true));
    let shown = async |drained: bool| {
        eventually("the server knows", async || {
            let agents = admin.query("/Agents", "ClientMachine -eq \"web1.example.test\"").await.ok();
            (agents[0]["Drained"].is_object() == drained).then_some(())
        })
        .await;
    };
    shown(true).await;
    let job = add(admin, certificate, &store).await;
    // A restart changes nothing about it.
    assert!(process.terminate().success());
    let stopped = agent(&web, &["status", "--json"]);
    assert_eq!((stopped.status.code(), &json_of(&stopped)["Drained"]), (Some(1), &json!(true)));
    let mut process = web.start();
    eventually("the agent answers", async || {
        json_of(&agent(&web, &["status", "--json"]))["HeardSecondsAgo"].is_u64().then_some(())
    })
    .await;
    assert!(!web.path("stores/site.pem").exists(), "the job waits");
    assert!(agent(&web, &["resume"]).status.success());
    assert_eq!(ended(admin, &job).await[0]["Result"], 2);
    shown(false).await;

    let id = web.agent_id(admin).await;
    admin.post("/Agents/Drain", &json!([id])).await.ok();
    let job = add(admin, certificate, &store).await;
    shown(true).await;
    let history = admin.query("/OrchestratorJobs/JobHistory", &format!("JobId -eq \"{job}\"")).await.ok();
    assert_eq!(history, json!([]));
    admin.post("/Agents/Resume", &json!([id])).await.ok();
    assert_eq!(ended(admin, &job).await[0]["Result"], 2);
    assert!(process.terminate().success());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_reads_the_log_of_a_real_agent_without_its_secrets() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    // A command that says a secret when it fails: its words reach the log.
    let web = machine(
        &server,
        "web1.example.test",
        r#"["/bin/sh", "-c", "echo password=canary-word >&2; exit 1"]"#,
    )
    .await;
    let mut process = web.start();
    let store = web.store(admin, 2, "stores/site.pem", json!({})).await;
    let certificate = enroll(admin, &["www.example.test"]).await;
    let rows = ended(admin, &add(admin, certificate, &store).await).await;
    assert_eq!(rows[0]["ErrorCode"], "after_change_failed", "{rows:?}");
    let id = web.agent_id(admin).await;
    admin.post(&format!("/Agents/{id}/FetchLogs"), &Value::Null).await.ok();
    let row = eventually("the log comes", async || {
        let rows =
            admin.query("/OrchestratorJobs/JobHistory", "JobType -eq \"FetchLogs\" AND Status -eq 3").await;
        rows.body.as_array()?.first().cloned()
    })
    .await;
    assert_eq!(row["Result"], 2, "{row}");
    let path = format!("/OrchestratorJobs/JobStatus/Data?jobHistoryId={}", row["JobHistoryId"]);
    let log = admin.get(&path).await.ok()["Data"].as_str().unwrap().to_owned();
    assert!(log.contains("the agent starts") && log.contains("adding a certificate failed"), "{log}");
    assert!(log.lines().count() > 3 && !log.contains("canary"), "{log}");
    let kept = std::fs::read_to_string(web.path("agent/log/agent.log")).unwrap();
    assert!(kept.contains("the agent starts"));
    assert!(process.terminate().success());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_and_a_tool_write_one_after_another() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let (one, two) =
        (machine(&server, "one.example.test", "").await, machine(&server, "two.example.test", "").await);
    // The second agent may write into the first one's directory, too.
    let text = std::fs::read_to_string(two.configuration()).unwrap();
    let text = text.replace(two.path("stores").to_str().unwrap(), one.path("stores").to_str().unwrap());
    std::fs::remove_file(two.configuration()).unwrap();
    support::machine::write(&two.configuration(), &text);
    let (mut first, mut second) = (one.start(), two.start());
    let path = one.path("stores/site.pem");
    let mut stores = Vec::new();
    for machine in [&one, &two] {
        let body = json!({"ClientMachine": machine.name, "StorePath": path, "CertStoreType": 2,
            "AgentId": machine.agent_id(admin).await, "Properties": "{}"});
        stores.push(admin.post("/CertificateStores", &body).await.ok()["Id"].as_str().unwrap().to_owned());
    }
    // A tool of the operator's holds the directory.
    let lock = std::fs::File::open(one.path("stores")).unwrap();
    lock.lock().unwrap();
    let certificate = enroll(admin, &["www.example.test"]).await;
    let jobs = [add(admin, certificate, &stores[0]).await, add(admin, certificate, &stores[1]).await];
    for machine in [&one, &two] {
        eventually("the agent waits for the tool", async || {
            machine.log().contains("another process writes there").then_some(())
        })
        .await;
    }
    assert!(!path.exists(), "nobody wrote meanwhile");
    drop(lock);
    for job in &jobs {
        assert_eq!(ended(admin, job).await[0]["Result"], 2);
    }
    assert!(first.terminate().success() && second.terminate().success());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_a_machine_in_order_and_says_what_is_not() {
    let server = TestServer::start().await;
    let web = machine(&server, "web1.example.test", "[\"/bin/true\"]").await;
    let mut process = web.start();
    web.agent_id(&server.admin).await;
    eventually("the agent works", async || {
        json_of(&agent(&web, &["status", "--json"]))["HeardSecondsAgo"].is_u64().then_some(())
    })
    .await;
    let before = std::fs::read(web.path("agent/identity.json")).unwrap();
    let seen = agent(&web, &["doctor"]);
    let text = String::from_utf8(seen.stdout.clone()).unwrap();
    assert_eq!(seen.status.code(), Some(0), "{text}");
    for subject in [
        "configuration",
        "data_dir",
        "store",
        "after_change",
        "agent",
        "outbox",
        "journal",
        "identity",
        "server",
        "clock",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(&format!("ok       {subject}"))),
            "{subject}: {text}"
        );
    }
    assert_eq!(std::fs::read(web.path("agent/identity.json")).unwrap(), before);
    assert!(process.runs());
    assert!(process.terminate().success());
    assert_eq!(agent(&web, &["doctor"]).status.code(), Some(1), "no agent runs");
    server.stop().await;
    let broken = agent(&web, &["doctor", "--json"]);
    assert_eq!(broken.status.code(), Some(2));
    let findings = json_of(&broken);
    let problem = findings.as_array().unwrap().iter().find(|one| one["Severity"] == "problem").unwrap();
    assert_eq!(problem["Subject"], "server", "{findings}");
    // The authority's file went with the server's directory.
    assert!(problem["Message"].as_str().unwrap().contains("ca_file"), "{problem}");
    assert!(problem["Remedy"].is_string(), "{problem}");
}
