//! What operators do with agents: reset, deletion, renewal of certificates; and what answers say of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealift_pki::{KeyAlgorithm, PrivateKey, pem};
use sealift_protocol::agent::leases::Outcome;
use sealift_protocol::agent::paths;
use serde_json::{Value, json};
use support::agent::{register, registration};
use support::client::http;
use support::story::{addition, enroll};
use support::{RawAgent, TestServer};

use super::conformance::{PublishedAgent, pem_capabilities};
use super::permissions::caller;

async fn status(server: &TestServer, agent: &str) -> Value {
    server.admin.get(&format!("/Agents/{agent}")).await.ok()["Status"].clone()
}

fn lease_request() -> Value {
    json!({"MaxJobs": 1, "WaitSeconds": 0, "Instance": uuid::Uuid::new_v4(), "Recover": false, "Holding": []})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_agent_is_new_without_identity_and_jobs_and_can_come_back() {
    let server = TestServer::start().await;
    let anonymous = http(&server.ready.ca_file, None);
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let request = registration("web1.example.test", &key, None);
    register(&server, &anonymous, &request).await;
    let listed = server.admin.query("/Agents", "ClientMachine -eq \"web1.example.test\"").await.ok();
    let id = listed[0]["AgentId"].as_str().unwrap().to_owned();
    server.admin.post("/Agents/Approve", &json!([id])).await.ok();
    let session = register(&server, &anonymous, &request).await.session.unwrap();
    let der = STANDARD.decode(session.certificate.unwrap()).unwrap();
    let known =
        http(&server.ready.ca_file, Some(&format!("{}{}", pem::encode("CERTIFICATE", &der), *key.to_pem())));
    let lease = || async {
        let url = format!("{}/{}", server.ready.agent_url, paths::LEASE);
        known.post(url).json(&lease_request()).send().await.unwrap().status().as_u16()
    };
    assert_eq!(lease().await, 200);

    let body = json!({"ClientMachine": "web1.example.test", "StorePath": "/a.pem", "CertStoreType": 2, "AgentId": id});
    let store = server.admin.post("/CertificateStores", &body).await.ok()["Id"].as_str().unwrap().to_owned();
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    server.admin.post("/CertificateStores/Certificates/Add", &addition(certificate, &[&store])).await.ok();
    assert_eq!(server.admin.post(&format!("/Agents/{id}/Reset"), &Value::Null).await.status.as_u16(), 204);

    assert_eq!(lease().await, 401, "its certificate counts no more");
    let agent = server.admin.get(&format!("/Agents/{id}")).await.ok();
    assert_eq!((&agent["Status"], &agent["Thumbprint"]), (&json!(1), &json!("")));
    let waiting =
        server.admin.query("/OrchestratorJobs/ScheduledJobs", &format!("AgentId -eq \"{id}\"")).await;
    assert_eq!(waiting.body, json!([]));
    let audited: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_log WHERE message LIKE '%was reset'")
        .fetch_one(server.database())
        .await
        .unwrap();
    assert_eq!(audited, 1);

    // The same key asks again, waits, and is approved under the same id.
    assert!(register(&server, &anonymous, &request).await.session.is_none());
    server.admin.post("/Agents/Approve", &json!([id])).await.ok();
    let back = register(&server, &anonymous, &request).await.session.unwrap();
    assert_eq!(back.agent_id, id);
    assert!(back.certificate.is_some_and(|new| new != STANDARD.encode(&der)), "a new identity");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_attempt_of_a_reset_agent_ends_in_history() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let other = RawAgent::enroll(&server, "web2.example.test").await;
    let store = agent.store(&server, 2, "/a.pem").await;
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    let ids = server
        .admin
        .post("/CertificateStores/Certificates/Add", &addition(certificate, &[&store]))
        .await
        .ok();
    let leased = agent.lease(0).await.remove(0);
    // One that does not exist spoils the call.
    let unknown = uuid::Uuid::new_v4();
    let answer = server.admin.post("/Agents/Reset", &json!([agent.id, unknown])).await;
    assert!(answer.refused(404).contains("not found"));
    assert_eq!(status(&server, &agent.id).await, 2);
    for bad in [json!([]), json!(["x"]), json!({})] {
        server.admin.post("/Agents/Reset", &bad).await.refused(400);
    }
    let reader = caller(&server, &["/agents/management/read/"]).await;
    reader.post("/Agents/Reset", &json!([agent.id])).await.refused(403);

    assert_eq!(server.admin.post("/Agents/Reset", &json!([agent.id, other.id])).await.status.as_u16(), 204);
    assert_eq!((status(&server, &agent.id).await, status(&server, &other.id).await), (json!(1), json!(1)));
    let rows =
        server.admin.query("/OrchestratorJobs/JobHistory", &format!("JobId -eq {}", ids[0])).await.ok();
    assert_eq!((&rows[0]["Status"], &rows[0]["ErrorCode"]), (&json!(3), &json!("agent_reset")));
    let completions = json!({"Completions": [{"JobId": leased.job_id, "LeaseToken": leased.lease_token,
        "Outcome": Outcome::Success, "Message": "late"}]});
    assert_eq!(agent.call(paths::COMPLETE, &completions).await.0, 401);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_deleted_once_it_serves_no_store() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let idle = RawAgent::enroll(&server, "web2.example.test").await;
    agent.store(&server, 2, "/etc/tls/a.pem").await;
    let path = |id: &str| format!("/Agents/{id}");
    let answer = server.admin.delete(&path(&agent.id)).await;
    assert!(answer.refused(400).contains("web1.example.test - /etc/tls/a.pem"), "{}", answer.text);
    assert_eq!(server.admin.delete(&path(&idle.id)).await.status.as_u16(), 204);
    assert!(server.admin.get(&path(&idle.id)).await.refused(404).contains("not found"));
    assert_eq!(idle.call(paths::LEASE, &lease_request()).await.0, 401);
    server.admin.delete(&path(&idle.id)).await.refused(404);
    server.admin.delete(&path("nonsense")).await.refused(404);
    let reader = caller(&server, &["/agents/management/read/"]).await;
    reader.delete(&path(&agent.id)).await.refused(403);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_asked_to_renew_and_those_that_must_get_no_job_before() {
    let server = TestServer::start().await;
    let ours = RawAgent::enroll(&server, "web1.example.test").await;
    let mut published = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let unknown = uuid::Uuid::new_v4();
    let set = |ids: Value, status: Value| {
        let client = server.admin.clone();
        async move {
            let body = json!({"OrchestratorIds": ids, "Status": status});
            client.post("/Agents/SetAuthCertificateReenrollment", &body).await
        }
    };
    let answer = set(json!([ours.id, published.id, unknown]), json!("Required")).await.ok();
    assert_eq!(answer, json!({"FailedOrchestratorIds": [unknown], "Status": 2}));
    let shown = server.admin.get(&format!("/Agents/{}", ours.id)).await.ok();
    assert_eq!(shown["AuthCertificateReenrollment"], "Required");
    assert_eq!(ours.call(paths::LEASE, &lease_request()).await.0, 403, "no job before");

    // Registering over the old certificate is answered with the code that agents renew by.
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let mut bare = registration("web1.example.test", &key, None);
    let request = bare.csr.take();
    let (_, told) = ours.call(paths::REGISTER, &bare).await;
    assert_eq!(
        (&told["Result"]["Error"]["CodeString"], &told["Session"]),
        (&json!("A0100008"), &Value::Null)
    );
    bare.csr = request;
    let (_, renewed) = ours.call(paths::REGISTER, &bare).await;
    assert!(renewed["Session"]["Certificate"].is_string(), "{renewed}");
    assert_eq!(ours.call(paths::LEASE, &lease_request()).await.0, 200, "the old one still opens the door");
    let shown = server.admin.get(&format!("/Agents/{}", ours.id)).await.ok();
    assert_eq!(shown["AuthCertificateReenrollment"], "None", "done");

    assert_eq!(set(json!([published.id]), json!("none")).await.ok()["Status"], 0);
    published.register().await;
    for (ids, status, named) in [
        (json!([ours.id]), json!("Soon"), "Status must be"),
        (json!([ours.id]), Value::Null, "Status is required"),
        (json!([]), json!("Required"), "1 to"),
        (json!(["x"]), json!("Required"), "'x'"),
    ] {
        assert!(set(ids, status).await.refused(400).contains(named));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_tell_capabilities_and_job_types_and_that_there_are_no_pools() {
    let server = TestServer::start().await;
    let agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let shown = server.admin.get(&format!("/Agents/{}", agent.id)).await.ok();
    assert_eq!(shown["Capabilities"], json!(["PEM", "LOGS"]));
    let types = shown["JobTypes"].as_array().unwrap();
    assert!(types.contains(&json!({"Name": "PEM file Inventory", "CertStoreTypeShortName": "PEM",
        "CertStoreJobType": "Inventory", "JobTypeId": "a809ce1f-1eea-4738-a38e-15708c89c981"})));
    assert!(types.iter().any(|one| one["JobTypeId"] == "0d8cf0c8-56ca-4b8a-b16a-c062018e170d"));

    let pools = server.admin.get("/AgentPools").await;
    assert_eq!((pools.headers["x-total-count"].as_bytes(), &pools.body), (&b"0"[..], &json!([])));
    assert_eq!(server.admin.get("/AgentPools/Agents").await.body, json!([]));
    sqlx::query("UPDATE agents SET capabilities = capabilities || '{SSL}'")
        .execute(server.database())
        .await
        .unwrap();
    let able = server.admin.get("/AgentPools/Agents").await.body;
    assert_eq!((&able[0]["AgentId"], &able[0]["AllowsMonitor"]), (&json!(agent.id), &json!(true)));
    let refused = server.admin.post("/AgentPools", &json!({"Name": "East"})).await;
    assert!(refused.refused(400).contains("SSL discovery"));
    server.admin.get(&format!("/AgentPools/{}", uuid::Uuid::new_v4())).await.refused(404);
    server.admin.delete("/AgentPools/1").await.refused(404);
    server.stop().await;
}
