//! Leases that end, failures that may pass, and reports that come late or twice.

use chrono::TimeDelta;
use reqwest::StatusCode;
use sealift_protocol::agent::leases::{
    Disposition, LeaseKey, LeaseRequest, Outcome, RenewAnswer, RenewRequest,
};
use sealift_protocol::agent::paths;
use sealift_server::scheduler::Sweep;
use serde_json::{Value, json};
use support::story::{addition, enroll};
use support::{RawAgent, TestServer};

async fn one_job(server: &TestServer, machine: &str) -> (RawAgent, String) {
    let agent = RawAgent::enroll(server, machine).await;
    let store = agent.store(server, 2, "/etc/tls/a.pem").await;
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    let ids = server
        .admin
        .post("/CertificateStores/Certificates/Add", &addition(certificate, &[&store]))
        .await
        .ok();
    (agent, ids[0].as_str().unwrap().to_owned())
}

async fn history(server: &TestServer, job: &str) -> Vec<Value> {
    let request = server.admin.request(reqwest::Method::GET, "/OrchestratorJobs/JobHistory").query(&[
        ("pq.queryString", format!("JobId -eq \"{job}\"").as_str()),
        ("pq.sortField", "JobHistoryId"),
        ("pq.sortAscending", "0"),
    ]);
    server.admin.send(request).await.ok().as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_ends_gives_the_job_to_the_next_attempt_and_the_late_report_is_refused() {
    let server = TestServer::start().await;
    let (agent, job) = one_job(&server, "web1.example.test").await;
    let first = agent.lease(0).await.remove(0);
    assert_eq!(history(&server, &job).await[0]["Status"], 2, "in process");
    server.clock.advance(TimeDelta::seconds(301));
    server.sweep(Sweep::ExpireLeases).await;
    assert!(agent.lease(0).await.is_empty(), "its next attempt is not due yet");
    server.clock.advance(TimeDelta::seconds(31));
    server.sweep(Sweep::ReleaseRetries).await;
    let second = agent.lease(0).await.remove(0);
    assert_eq!((second.attempt, second.job_id), (2, first.job_id));
    assert_eq!(agent.complete(&first, Outcome::Success, "late").await, Disposition::Stale);
    assert_eq!(agent.complete(&second, Outcome::Success, "done").await, Disposition::Recorded);
    let rows = history(&server, &job).await;
    let facts: Vec<_> = rows
        .iter()
        .map(|row| (row["Attempt"].as_i64(), row["Status"].as_i64(), row["Result"].as_i64()))
        .collect();
    assert_eq!(facts, [(Some(1), Some(5), Some(4)), (Some(2), Some(3), Some(2))]);
    assert_eq!(rows[0]["ErrorCode"], "lease_expired");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_repeated_gets_the_same_answer_and_changes_nothing() {
    let server = TestServer::start().await;
    let (agent, job) = one_job(&server, "web1.example.test").await;
    let leased = agent.lease(0).await.remove(0);
    for _ in 0..3 {
        assert_eq!(agent.complete(&leased, Outcome::Success, "done").await, Disposition::Recorded);
    }
    assert_eq!(history(&server, &job).await.len(), 1);
    let inventories: i64 =
        sqlx::query_scalar("SELECT count(*) FROM jobs").fetch_one(server.database()).await.unwrap();
    assert_eq!(inventories, 1, "one inventory follows, not three");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_lease_lives_on() {
    let server = TestServer::start().await;
    let (agent, _) = one_job(&server, "web1.example.test").await;
    let leased = agent.lease(0).await.remove(0);
    let key = LeaseKey { job_id: leased.job_id, lease_token: leased.lease_token };
    for _ in 0..3 {
        server.clock.advance(TimeDelta::seconds(200));
        let (status, body) = agent.call(paths::RENEW, &RenewRequest { leases: vec![key] }).await;
        assert_eq!(status, StatusCode::OK);
        let answer: RenewAnswer = serde_json::from_value(body).unwrap();
        assert_eq!(answer.renewed, [leased.job_id]);
        server.sweep(Sweep::ExpireLeases).await;
    }
    assert_eq!(agent.complete(&leased, Outcome::Success, "done").await, Disposition::Recorded);
    let (_, body) = agent.call(paths::RENEW, &RenewRequest { leases: vec![key] }).await;
    assert_eq!(body["Lost"], json!([leased.job_id]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_that_may_pass_are_repeated_and_the_last_one_is_final() {
    let server = TestServer::start_with(&[("jobs.max_attempts", "3")]).await;
    let (agent, job) = one_job(&server, "web1.example.test").await;
    for attempt in 1..=3 {
        let leased = agent.lease(0).await.remove(0);
        assert_eq!(leased.attempt, attempt);
        agent.complete(&leased, Outcome::TransientFailure, "disk full").await;
        server.clock.advance(TimeDelta::hours(1));
        server.sweep(Sweep::ReleaseRetries).await;
    }
    let rows = history(&server, &job).await;
    let states: Vec<_> = rows.iter().map(|row| row["Status"].as_i64().unwrap()).collect();
    assert_eq!(states, [5, 5, 3]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_needs_a_person_is_not_repeated() {
    let server = TestServer::start().await;
    let (agent, job) = one_job(&server, "web1.example.test").await;
    let leased = agent.lease(0).await.remove(0);
    agent.complete(&leased, Outcome::Failure, "wrong password").await;
    let rows = history(&server, &job).await;
    assert_eq!((rows.len(), rows[0]["Status"].as_i64(), rows[0]["Result"].as_i64()), (1, Some(3), Some(4)));
    assert_eq!(rows[0]["Message"], "wrong password");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_begins_anew_gets_its_jobs_back_at_once() {
    let server = TestServer::start().await;
    let (agent, job) = one_job(&server, "web1.example.test").await;
    let lost = agent.lease(0).await.remove(0);
    let request = LeaseRequest { max_jobs: 10, recover: true, ..LeaseRequest::default() };
    let (status, body) = agent.call(paths::LEASE, &request).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["Jobs"][0]["JobId"], json!(lost.job_id));
    assert_eq!(body["Jobs"][0]["Attempt"], 2);
    // What it still holds is left alone.
    let request =
        LeaseRequest { max_jobs: 10, recover: true, holding: vec![lost.job_id], ..LeaseRequest::default() };
    let (_, body) = agent.call(paths::LEASE, &request).await;
    assert_eq!(body["Jobs"], json!([]));
    let rows = history(&server, &job).await;
    assert_eq!(
        (rows[0]["ErrorCode"].as_str(), rows[0]["Status"].as_i64()),
        (Some("agent_restarted"), Some(5))
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inventory_that_uploaded_nothing_is_no_success() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 2, "/etc/tls/a.pem").await;
    let body = json!({"StoreIds": [store], "Schedule": {"Immediate": true}});
    server.admin.post("/CertificateStores/Schedule", &body).await;
    let leased = agent.lease(0).await.remove(0);
    agent.complete(&leased, Outcome::Success, "all fine").await;
    let rows = history(&server, &leased.job_id.to_string()).await;
    assert_eq!(
        (rows[0]["Result"].as_i64(), rows[0]["ErrorCode"].as_str()),
        (Some(4), Some("inventory_missing"))
    );
    server.stop().await;
}
