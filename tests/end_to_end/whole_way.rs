//! The main job, whole: enrolled, added, written by real agents, read back, seen in history, inventory and
//! locations, and found in no log.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use sealift_pki::pem;
use sealift_pki::pkcs12::{Limits, Pkcs12};
use serde_json::{Value, json};
use support::machine::STORE_PASSWORD;
use support::programs::Process;
use support::story::{addition, enroll, enrollment};
use support::{Client, Machine, TestServer, eventually};

/// Waits until a job has ended for good; answers its rows, oldest first.
pub(crate) async fn ended(admin: &Client, job: &str) -> Vec<Value> {
    eventually("the job ends", async || {
        let rows = admin.query("/OrchestratorJobs/JobHistory", &format!("JobId -eq \"{job}\"")).await;
        if !rows.status.is_success() {
            return None;
        }
        let mut rows = rows.body.as_array()?.clone();
        rows.sort_by_key(|row| row["JobHistoryId"].as_i64());
        rows.last().is_some_and(|row| row["Status"] == 3).then_some(rows)
    })
    .await
}

/// Waits until inventory shows this thumbprint in a store.
pub(crate) async fn inventoried(admin: &Client, store: &str, thumbprint: &str) {
    eventually("the inventory shows the certificate", async || {
        let entries = admin.get(&format!("/CertificateStores/{store}/Inventory")).await;
        entries.text.contains(thumbprint).then_some(())
    })
    .await;
}

/// The machine's PEM store holds the certificate, its chain and its key.
fn holds_pem(machine: &Machine, thumbprint: &str) {
    let served =
        pem::certificates(&std::fs::read_to_string(machine.path("stores/site.pem")).unwrap()).unwrap();
    assert_eq!(served[0].thumbprint().to_string(), thumbprint);
    assert_eq!(served.len(), 2, "the chain goes along");
    assert!(std::fs::read_to_string(machine.path("stores/site.key")).unwrap().contains("PRIVATE KEY"));
}

/// The PFX file holds the certificate, for us and for OpenSSL.
fn holds_pfx(path: &Path, thumbprint: &str) {
    let pfx = Pkcs12::decode(&std::fs::read(path).unwrap(), STORE_PASSWORD, Limits::STORE).unwrap();
    assert_eq!(pfx.certificates[0].thumbprint().to_string(), thumbprint);
    let openssl = Command::new("openssl")
        .args(["pkcs12", "-noout", "-passin", &format!("pass:{STORE_PASSWORD}"), "-in"])
        .arg(path)
        .output()
        .unwrap();
    assert!(openssl.status.success(), "{}", String::from_utf8_lossy(&openssl.stderr));
}

/// Neither the agent's log nor its arguments hold a secret. Says how much memory it holds, too.
fn tells_no_secret(machine: &Machine, agent: &Process) {
    let log = machine.log();
    assert!(!log.contains(STORE_PASSWORD) && !log.contains("PRIVATE KEY"), "{log}");
    let arguments = std::fs::read_to_string(format!("/proc/{}/cmdline", agent.id())).unwrap();
    assert!(!arguments.contains(STORE_PASSWORD));
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.id())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    println!("an agent at rest holds {kilobytes} kB");
    assert!(kilobytes < 20 * 1024, "more than 20 MB");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_add_reaches_two_machines_and_is_seen_everywhere() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let touch = |name: &str| format!("[\"/usr/bin/touch\", \"{name}\"]");
    let marks = tempfile::tempdir().unwrap();
    let mark = marks.path().join("reloaded");
    let install = |name: &'static str, command: String| {
        let server = &server;
        async move {
            Machine::install(admin, &server.ready.agent_url, &server.ready.ca_file, name, &command).await
        }
    };
    let web = install("web1.example.test", touch(mark.to_str().unwrap())).await;
    let farm = install("farm.example.test", String::new()).await;
    let (web_agent, farm_agent) = (web.start(), farm.start());
    let properties = json!({"PrivateKeyPath": web.path("stores/site.key")});
    let pem_store = web.store(admin, 2, "stores/site.pem", properties).await;
    let ccs_store = farm.store(admin, 103, "stores/ccs", json!({})).await;
    let enrolled = enrollment(admin, &["shop.example.test", "www.example.test", "*.example.test"]).await;
    let information = &enrolled["CertificateInformation"];
    let thumbprint = information["Thumbprint"].as_str().unwrap().to_owned();
    let certificate = information["KeyfactorId"].as_i64().unwrap();
    let add = addition(certificate, &[&pem_store, &ccs_store]);
    let jobs: Vec<String> =
        serde_json::from_value(admin.post("/CertificateStores/Certificates/Add", &add).await.ok()).unwrap();
    assert_eq!(jobs.len(), 2);
    for (job, (machine, path)) in jobs.iter().zip([(&web, "stores/site.pem"), (&farm, "stores/ccs")]) {
        let rows = ended(admin, job).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(rows[0]["Result"], 2, "{rows:?}");
        assert_eq!(rows[0]["ClientMachine"], json!(machine.name));
        assert_eq!(rows[0]["StorePath"], json!(machine.path(path)));
        let steps = admin.get(&format!("/OrchestratorJobs/{job}/Steps")).await.ok();
        let codes: BTreeSet<&str> =
            steps.as_array().unwrap().iter().map(|s| s["Code"].as_str().unwrap()).collect();
        assert!(codes.contains("written") && codes.contains("read_back"), "{codes:?}");
    }
    inventoried(admin, &pem_store, &thumbprint).await;
    inventoried(admin, &ccs_store, &thumbprint).await;
    let found = admin.get(&format!("/Certificates/{certificate}?includeLocations=true")).await.ok();
    let places: BTreeSet<&str> =
        found["Locations"].as_array().unwrap().iter().map(|l| l["StoreMachine"].as_str().unwrap()).collect();
    assert_eq!(places, BTreeSet::from(["farm.example.test", "web1.example.test"]));

    holds_pem(&web, &thumbprint);
    assert!(mark.exists(), "the command after a change ran");
    for file in ["shop.example.test.pfx", "www.example.test.pfx", "_.example.test.pfx"] {
        holds_pfx(&farm.path("stores/ccs").join(file), &thumbprint);
    }

    let remove = json!({"CertificateStores": [{"CertificateStoreId": ccs_store, "Alias": "www.example.test.pfx"}],
        "Schedule": {"Immediate": true}});
    let removed = admin.post("/CertificateStores/Certificates/Remove", &remove).await.ok();
    assert_eq!(ended(admin, removed[0].as_str().unwrap()).await[0]["Result"], 2);
    assert!(!farm.path("stores/ccs/www.example.test.pfx").exists());
    assert!(farm.path("stores/ccs/shop.example.test.pfx").exists());

    tells_no_secret(&web, &web_agent);
    tells_no_secret(&farm, &farm_agent);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_agent_was_not_allowed_is_refused_and_says_so() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let machine =
        Machine::install(admin, &server.ready.agent_url, &server.ready.ca_file, "web1.example.test", "")
            .await;
    let _agent = machine.start();
    let certificate = enroll(admin, &["www.example.test"]).await;
    for path in ["elsewhere.pem", "stores/../elsewhere.pem"] {
        let store = machine.store(admin, 2, path, json!({})).await;
        let added =
            admin.post("/CertificateStores/Certificates/Add", &addition(certificate, &[&store])).await.ok();
        let rows = ended(admin, added[0].as_str().unwrap()).await;
        assert_eq!((rows.len(), rows[0]["Result"].as_i64()), (1, Some(4)), "{rows:?}");
        assert_eq!(rows[0]["ErrorCode"], "store_not_allowed", "{rows:?}");
        assert!(!machine.path("elsewhere.pem").exists());
    }
    server.stop().await;
}
