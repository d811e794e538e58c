//! Agents that take no new jobs: by an operator's word, by their machine's administrator's, or by both. And the log that
//! our own agents send.

use reqwest::StatusCode;
use sealift_protocol::Secret;
use sealift_protocol::agent::leases::{
    CompleteRequest, Completion, LeaseKey, LeaseRequest, MAX_LOG_BYTES, Outcome, Work,
};
use sealift_protocol::agent::paths;
use serde_json::{Value, json};
use support::story::{addition, enroll};
use support::{RawAgent, TestServer};

use super::permissions::caller;

async fn drained(server: &TestServer, agent: &RawAgent) -> Value {
    server.admin.get(&format!("/Agents/{}", agent.id)).await.ok()["Drained"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_agent_finishes_what_it_has_and_its_jobs_wait() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    let add = async |path: &str| {
        let store = agent.store(&server, 2, path).await;
        let body = addition(certificate, &[&store]);
        server.admin.post("/CertificateStores/Certificates/Add", &body).await.ok();
    };
    add("/etc/tls/a.pem").await;
    let held = agent.lease(0).await.remove(0);
    let ids = json!([agent.id]);
    for _ in 0..2 {
        assert_eq!(server.admin.post("/Agents/Drain", &ids).await.status, StatusCode::NO_CONTENT);
    }
    let shown = drained(&server, &agent).await;
    assert_eq!((&shown["By"], &shown["OnMachine"]), (&json!("admin"), &json!(false)));
    add("/etc/tls/b.pem").await;
    assert!(agent.lease(0).await.is_empty());
    let filter = format!("AgentId -eq \"{}\"", agent.id);
    let waiting = server.admin.query("/OrchestratorJobs/ScheduledJobs", &filter).await;
    assert!(waiting.text.contains("agent_drained"), "{}", waiting.text);
    let key = json!([{"JobId": held.job_id, "LeaseToken": held.lease_token}]);
    let (_, renewed) = agent.call(paths::RENEW, &json!({"Leases": key})).await;
    assert_eq!(renewed["Renewed"], json!([held.job_id]), "what it has, it keeps");
    agent.complete(&held, Outcome::Success, "").await;
    assert!(agent.lease(0).await.is_empty(), "neither the new job nor the inventory that follows");

    // A poll that is held meanwhile is answered as soon as the agent takes jobs again.
    let waiting = tokio::spawn({
        let agent = agent.clone();
        async move { agent.lease(60).await.len() }
    });
    support::eventually("the poll is held", async || server.holds(&agent).await.then_some(())).await;
    assert_eq!(server.admin.post("/Agents/Resume", &ids).await.status, StatusCode::NO_CONTENT);
    assert_eq!(waiting.await.unwrap(), 2);
    assert_eq!(drained(&server, &agent).await, Value::Null);
    let audited: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM audit_log WHERE message LIKE '%was drained%' OR message LIKE '%was resumed%'",
    )
    .fetch_one(server.database())
    .await
    .unwrap();
    assert_eq!(audited, 2, "each change once");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn either_word_drains_and_both_must_be_taken_back() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 2, "/etc/tls/a.pem").await;
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    server.admin.post("/CertificateStores/Certificates/Add", &addition(certificate, &[&store])).await.ok();
    let says = async |drained: bool| {
        let request = LeaseRequest { max_jobs: 10, drained, ..LeaseRequest::default() };
        agent.ask(&request).await.2["Jobs"].as_array().unwrap().len()
    };
    assert_eq!(says(true).await, 0);
    assert_eq!(drained(&server, &agent).await["OnMachine"], json!(true));
    server.admin.post("/Agents/Drain", &json!([agent.id])).await.ok();
    server.admin.post("/Agents/Resume", &json!([agent.id])).await.ok();
    assert_eq!(says(true).await, 0, "the machine's own word holds");
    server.admin.post("/Agents/Drain", &json!([agent.id])).await.ok();
    assert_eq!(says(false).await, 0, "the operator's word holds");
    assert_eq!(drained(&server, &agent).await["OnMachine"], json!(false));
    server.admin.post("/Agents/Resume", &json!([agent.id])).await.ok();
    assert_eq!(says(false).await, 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_are_not_there_and_callers_without_permission_change_nothing() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let unknown = json!([agent.id, "0d6c4f43-0c5d-4b0e-8a5e-0b7a4e0f9c11"]);
    for path in ["/Agents/Drain", "/Agents/Resume"] {
        assert!(server.admin.post(path, &unknown).await.refused(404).contains("0d6c4f43"));
        server.admin.post(path, &json!(["web1"])).await.refused(400);
        server.admin.post(path, &json!([])).await.refused(400);
        let reader = caller(&server, &["/agents/management/read/"]).await;
        reader.post(path, &json!([agent.id])).await.refused(403);
    }
    assert_eq!(drained(&server, &agent).await, Value::Null);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_agents_send_their_log_with_the_report_and_it_is_kept_sealed() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll_with(&server, "web1.example.test", &["Custom.FetchLogs"]).await;
    let fetch = format!("/Agents/{}/FetchLogs", agent.id);
    assert_eq!(server.admin.post(&fetch, &Value::Null).await.status, StatusCode::NO_CONTENT);
    let job = agent.lease(0).await.remove(0);
    assert!(matches!(&job.work, Work::FetchLog(wanted) if wanted.max_bytes == MAX_LOG_BYTES));
    let lease = LeaseKey { job_id: job.job_id, lease_token: job.lease_token };
    let log = "a line with canary-log\n".repeat(1000);
    let report = |lease| Completion {
        log: Some(Secret::new(log.as_str())),
        ..Completion::new(lease, Outcome::Success, "the last lines")
    };
    let wrong = LeaseKey { lease_token: uuid::Uuid::new_v4(), ..lease };
    for lease in [wrong, lease, lease] {
        let request = CompleteRequest { completions: vec![report(lease)] };
        assert_eq!(agent.call(paths::COMPLETE, &request).await.0, StatusCode::OK);
    }
    let path = format!("/OrchestratorJobs/JobStatus/Data?jobHistoryId={}", job.audit_id);
    assert_eq!(server.admin.get(&path).await.ok()["Data"], json!(log));
    let kept: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT sealed_data FROM job_data").fetch_all(server.database()).await.unwrap();
    assert_eq!(kept.len(), 1, "a report that is repeated or out of place adds nothing");
    assert!(!kept[0].windows(6).any(|part| part == b"canary"));

    // A report of another kind of job brings no log.
    let store = agent.store(&server, 2, "/etc/tls/a.pem").await;
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    let added =
        server.admin.post("/CertificateStores/Certificates/Add", &addition(certificate, &[&store])).await;
    if added.status.is_success() {
        let other = agent.lease(0).await.remove(0);
        let lease = LeaseKey { job_id: other.job_id, lease_token: other.lease_token };
        agent.call(paths::COMPLETE, &CompleteRequest { completions: vec![report(lease)] }).await;
    }
    let kept: i64 =
        sqlx::query_scalar("SELECT count(*) FROM job_data").fetch_one(server.database()).await.unwrap();
    assert_eq!(kept, 1);
    server.stop().await;
}
