//! Who may pass the agents' door, and that a refused call changes nothing.

use reqwest::StatusCode;
use sealift_pki::{KeyAlgorithm, PrivateKey};
use sealift_protocol::agent::leases::{Disposition, LeaseKey, LeaseRequest, Outcome};
use sealift_protocol::agent::paths;
use serde_json::json;
use support::agent::{register, registration};
use support::client::http;
use support::story::{addition, enroll};
use support::{RawAgent, TestServer};

async fn jobs(server: &TestServer) -> (i64, i64) {
    let count = |table: &'static str| {
        sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
            .fetch_one(server.database())
    };
    (count("jobs").await.unwrap(), count("job_history").await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_and_old_tokens_and_other_agents_jobs_are_refused() {
    let server = TestServer::start().await;
    let (owner, other) = (
        RawAgent::enroll(&server, "web1.example.test").await,
        RawAgent::enroll(&server, "web2.example.test").await,
    );
    let store = owner.store(&server, 2, "/etc/tls/a.pem").await;
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    server.admin.post("/CertificateStores/Certificates/Add", &addition(certificate, &[&store])).await.ok();
    let leased = owner.lease(0).await.remove(0);
    let before = jobs(&server).await;
    let right = LeaseKey { job_id: leased.job_id, lease_token: leased.lease_token };
    let wrong = LeaseKey { lease_token: uuid::Uuid::new_v4(), ..right };
    assert_eq!(owner.complete_key(wrong, Outcome::Success, "").await, Disposition::Stale);
    assert_eq!(other.complete_key(right, Outcome::Success, "").await, Disposition::Stale);
    assert!(other.lease(0).await.is_empty());
    let (_, body) = other.call(paths::RENEW, &json!({"Leases": [right]})).await;
    assert_eq!(body["Renewed"], json!([]));
    assert_eq!(jobs(&server).await, before, "nothing changed");
    assert_eq!(owner.complete_key(right, Outcome::Success, "").await, Disposition::Recorded);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_approval_gets_nothing() {
    let server = TestServer::start().await;
    let anonymous = http(&server.ready.ca_file, None);
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let request = registration("web9.example.test", &key, None);
    for _ in 0..2 {
        let pending = register(&server, &anonymous, &request).await;
        assert_eq!(pending.result.status, 3);
        assert!(pending.session.is_none(), "no id is revealed before approval");
    }
    let listed = server.admin.query("/Agents", "ClientMachine -eq \"web9.example.test\"").await.ok();
    assert_eq!(listed.as_array().unwrap().len(), 1, "the same agent both times");
    assert_eq!(listed[0]["Status"], 1);
    let body = serde_json::to_value(LeaseRequest { max_jobs: 1, ..LeaseRequest::default() }).unwrap();
    let door = format!("{}/{}", server.ready.agent_url, paths::LEASE);
    let refused = anonymous.post(door).json(&body).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(refused.text().await.unwrap(), "", "errors at the door have no body");

    let id = listed[0]["AgentId"].as_str().unwrap();
    assert_eq!(server.admin.post("/Agents/Approve", &json!([id])).await.status, StatusCode::NO_CONTENT);
    let approved = register(&server, &anonymous, &request).await;
    let session = approved.session.expect("a session");
    assert_eq!(session.agent_id, id);
    assert!(session.certificate.is_some());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disapproved_agent_is_shut_out_at_once() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 2, "/etc/tls/a.pem").await;
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    server.admin.post("/CertificateStores/Certificates/Add", &addition(certificate, &[&store])).await.ok();
    let leased = agent.lease(0).await.remove(0);
    server.admin.post("/Agents/Disapprove", &json!([agent.id])).await;
    let before = jobs(&server).await;
    let completion = json!({"Completions": [{"JobId": leased.job_id, "LeaseToken": leased.lease_token,
        "Outcome": "Success", "Message": ""}]});
    for (path, body) in [
        (paths::LEASE, json!({"MaxJobs": 1})),
        (paths::COMPLETE, completion),
        (paths::RENEW, json!({"Leases": []})),
        (paths::STEPS, json!({"Attempts": []})),
    ] {
        assert_eq!(agent.call(path, &body).await.0, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(jobs(&server).await, before, "nothing changed");
    let refused =
        server.admin.post("/CertificateStores/Certificates/Add", &addition(certificate, &[&store])).await;
    assert!(refused.refused(400).contains("not approved"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_time_token_works_once() {
    let server = TestServer::start().await;
    let token = server.admin.post("/Agents/EnrollmentTokens", &json!({})).await.ok();
    let token = token["Token"].as_str().unwrap();
    let anonymous = http(&server.ready.ca_file, None);
    let key = || PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let first = register(&server, &anonymous, &registration("a.example.test", &key(), Some(token))).await;
    assert!(first.session.is_some());
    let second = register(&server, &anonymous, &registration("b.example.test", &key(), Some(token))).await;
    assert!(second.session.is_none());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_and_oversized_calls_are_refused_with_empty_bodies() {
    let server = TestServer::start_with(&[("limits.agent_body_bytes", "65536")]).await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    for (path, body) in [
        (paths::LEASE, json!({"MaxJobs": 0})),
        (paths::LEASE, json!({"MaxJobs": 101})),
        (paths::LEASE, json!({"MaxJobs": 1, "WaitSeconds": 61})),
        (paths::COMPLETE, json!({"Completions": 5})),
        (paths::INVENTORY, json!({})),
    ] {
        let (status, answer) = agent.call(path, &body).await;
        assert_eq!((status, answer), (StatusCode::BAD_REQUEST, serde_json::Value::Null), "{path} {body}");
    }
    let (status, _) = agent.call(paths::LEASE, &json!({"Pad": "x".repeat(70_000)})).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    server.stop().await;
}
