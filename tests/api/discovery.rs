//! Discovery: scheduled for an agent, reported by it, and what it found approved.

use reqwest::StatusCode;
use sealift_protocol::agent::leases::{DiscoveredStores, Disposition, LeaseKey, Outcome, Work};
use sealift_protocol::agent::paths;
use serde_json::{Value, json};
use support::{RawAgent, TestServer};

use crate::permissions::caller;

const PATH: &str = "/CertificateStores/DiscoveryJob";
const ABLE: [&str; 3] = ["CertStores.PEM.Inventory", "CertStores.PEM.Management", "CertStores.PEM.Discovery"];

fn request(agent: &RawAgent) -> Value {
    json!({"Type": "2", "ClientMachine": "web9.example.test", "AgentId": agent.id, "Dirs": "/etc/tls, /srv",
        "Extensions": "pem,crt", "SymLinks": "true", "ServerUseSsl": "false",
        "ServerUsername": {"SecretValue": "deployer"}, "ServerPassword": {"SecretValue": "canary-51ab"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_discovery_finds_waits_for_approval() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll_with(&server, "web1.example.test", &ABLE).await;
    let answer = admin.put(PATH, &request(&agent)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    let waiting = admin.get("/OrchestratorJobs/ScheduledJobs").await.ok();
    assert_eq!(
        (&waiting[0]["JobType"], &waiting[0]["Target"]),
        (&json!("PEMDiscovery"), &json!("/etc/tls,/srv"))
    );
    let job: String =
        sqlx::query_scalar("SELECT j::text FROM jobs j").fetch_one(server.database()).await.unwrap();
    assert!(!job.contains("canary"));

    let job = agent.lease(0).await.remove(0);
    let Work::Discover(work) = &job.work else { panic!("a discovery") };
    assert_eq!(
        (work.directories.join(" "), work.extensions.join(" ")),
        ("/etc/tls /srv".to_owned(), "pem crt".to_owned())
    );
    assert_eq!(work.server_password.as_ref().unwrap().expose(), "canary-51ab");
    assert!(work.follow_symbolic_links && !format!("{job:?}").contains("canary"));
    let lease = LeaseKey { job_id: job.job_id, lease_token: job.lease_token };
    let found = |lease: LeaseKey, paths: &[&str]| DiscoveredStores {
        lease,
        store_paths: paths.iter().map(|path| (*path).to_owned()).collect(),
    };
    let (status, body) =
        agent.call(paths::DISCOVERED, &found(lease, &["/etc/tls/a.pem", "/srv/b.pem"])).await;
    assert_eq!((status, body), (StatusCode::OK, json!({"Stored": true, "NewStores": 2})));
    let (_, body) = agent.call(paths::DISCOVERED, &found(lease, &["/srv/b.pem"])).await;
    assert_eq!(body["NewStores"], 0, "what is known is passed over");
    let stale = LeaseKey { lease_token: uuid::Uuid::new_v4(), ..lease };
    let (_, body) = agent.call(paths::DISCOVERED, &found(stale, &["/srv/c.pem"])).await;
    assert_eq!(body["Stored"], false);
    let (status, _) = agent.call(paths::DISCOVERED, &found(lease, &["/a\nb"])).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(agent.complete(&job, Outcome::Success, "found 2").await, Disposition::Recorded);
    assert_eq!(admin.get("/OrchestratorJobs/JobHistory").await.ok()[0]["JobType"], "PEMDiscovery");

    let stores = admin.query("/CertificateStores", "Approved -eq false").await.ok();
    let ids: Vec<&str> =
        stores.as_array().unwrap().iter().map(|store| store["Id"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), &stores[0]["ClientMachine"]), (2, &json!("web9.example.test")));
    let schedule = json!({"StoreIds": ids, "Schedule": {"Immediate": true}});
    assert!(admin.post("/CertificateStores/Schedule", &schedule).await.refused(400).contains("approve"));
    let container = admin.post("/Applications", &json!({"Name": "Found"})).await.ok()["Id"].clone();
    let approval = json!([{"Id": ids[0], "ContainerId": container, "CertStoreType": 2,
        "Properties": "{\"IncludeChain\": \"false\"}"}, {"Id": ids[1]}]);
    let answer = admin.post("/CertificateStores/Approve", &approval).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    let first = admin.get(&format!("/CertificateStores/{}", ids[0])).await.ok();
    assert_eq!((&first["Approved"], &first["ContainerId"]), (&json!(true), &container));
    assert_eq!(first["Properties"], "{\"IncludeChain\":\"false\"}");
    assert!(admin.post("/CertificateStores/Schedule", &schedule).await.status.is_success());
    // A repeat changes nothing.
    admin.post("/CertificateStores/Approve", &json!([{"Id": ids[0]}])).await;
    assert_eq!(admin.get(&format!("/CertificateStores/{}", ids[0])).await.ok()["ContainerId"], container);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn discoveries_that_are_not_possible() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll_with(&server, "web1.example.test", &ABLE).await;
    let other = RawAgent::enroll(&server, "web2.example.test").await;
    let unknown = uuid::Uuid::new_v4().to_string();
    let body = |change: &dyn Fn(&mut Value)| {
        let mut body = request(&agent);
        change(&mut body);
        body
    };
    for (body, word) in [
        (body(&|b| b["AgentId"] = json!(other.id)), "web2.example.test does not have the capability"),
        (body(&|b| b["AgentId"] = json!(unknown)), unknown.as_str()),
        (body(&|b| b["AgentId"] = Value::Null), "AgentId is required"),
        (body(&|b| b["Type"] = json!(103)), "CCS does not support discovery"),
        (body(&|b| b["Type"] = json!(9_999)), "9999"),
        (body(&|b| b["Type"] = json!("PEM")), "Type"),
        (body(&|b| b["ClientMachine"] = json!("")), "ClientMachine is required"),
        (body(&|b| b["Dirs"] = json!("a\nb")), "Dirs"),
        (body(&|b| b["KeyfactorSchedule"] = json!({"Interval": {"Minutes": 5}})), "Schedule"),
        (body(&|b| b["ServerPassword"] = json!({"Provider": 3})), "ServerPassword"),
    ] {
        let answer = admin.put(PATH, &body).await;
        assert!(answer.refused(400).contains(word), "{}", answer.text);
        assert!(!answer.text.contains("canary"));
    }
    admin.post("/Agents/Disapprove", &json!([agent.id])).await;
    assert!(admin.put(PATH, &request(&agent)).await.refused(400).contains("not approved"));
    caller(&server, &["/certificate_stores/modify/1/"]).await.put(PATH, &request(&agent)).await.refused(403);
    assert_eq!(admin.get("/OrchestratorJobs/ScheduledJobs").await.ok(), json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn approvals_that_are_not_possible_approve_nothing() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll_with(&server, "web1.example.test", &ABLE).await;
    admin.put(PATH, &request(&agent)).await;
    let job = agent.lease(0).await.remove(0);
    let lease = LeaseKey { job_id: job.job_id, lease_token: job.lease_token };
    let found = DiscoveredStores { lease, store_paths: vec!["/a.pem".to_owned(), "/b.pem".to_owned()] };
    agent.call(paths::DISCOVERED, &found).await;
    let stores = admin.get("/CertificateStores").await.ok();
    let (a, b) = (&stores[0]["Id"], &stores[1]["Id"]);
    let unknown = uuid::Uuid::new_v4().to_string();
    let path = "/CertificateStores/Approve";
    for (body, status, word) in [
        (json!([]), 400, "list"),
        (json!([{"CertStoreType": 2}]), 400, "[0].Id"),
        (json!([{"Id": a}, {"Id": unknown}]), 404, unknown.as_str()),
        (json!([{"Id": a}, {"Id": a}]), 400, "twice"),
        (json!([{"Id": a}, {"Id": b, "CertStoreType": 103}]), 400, "CertStoreType"),
        (json!([{"Id": a}, {"Id": b, "ContainerId": 9_999}]), 400, "ContainerId"),
        (json!([{"Id": a}, {"Id": b, "Properties": "{\"Color\": \"red\"}"}]), 400, "Color"),
    ] {
        let answer = admin.post(path, &body).await;
        assert!(answer.refused(status).contains(word), "{}", answer.text);
    }
    // What discovery does not know must come with the approval.
    let kind = json!({"Name": "Needy", "ShortName": "NEEDY", "Capability": "PEM2", "SupportedOperations":
        {"Discovery": true}, "Properties": [{"Name": "Partition", "Type": "String", "Required": true}]});
    let kind = admin.post("/CertificateStoreTypes", &kind).await.ok()["StoreType"].clone();
    let able = RawAgent::enroll_with(&server, "web2.example.test", &["CertStores.PEM2.Discovery"]).await;
    let mut needy = request(&able);
    needy["Type"] = kind.clone();
    admin.put(PATH, &needy).await;
    let job = able.lease(0).await.remove(0);
    let lease = LeaseKey { job_id: job.job_id, lease_token: job.lease_token };
    able.call(paths::DISCOVERED, &DiscoveredStores { lease, store_paths: vec!["/n".to_owned()] }).await;
    let needy =
        admin.query("/CertificateStores", &format!("CertStoreType -eq {kind}")).await.ok()[0]["Id"].clone();
    assert!(admin.post(path, &json!([{"Id": needy}])).await.refused(400).contains("Partition is required"));
    let whole = json!([{"Id": needy, "Properties": "{\"partition\": \"a\"}"}]);
    assert!(admin.post(path, &whole).await.status.is_success());
    let unapproved = admin.query("/CertificateStores", "Approved -eq false").await.ok();
    assert_eq!(unapproved.as_array().unwrap().len(), 2);
    caller(&server, &["/certificate_stores/modify/1/"])
        .await
        .post(path, &json!([{"Id": a}]))
        .await
        .refused(403);
    server.stop().await;
}
