//! Leases that end, failures that may pass, and reports that come late or twice.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::StatusCode;
use sealift_protocol::agent::leases::{
    Completion, Disposition, LeaseKey, LeaseRequest, LeasedJob, Outcome, RenewAnswer, RenewRequest,
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

/// Ends an attempt with a code.
async fn fail(agent: &RawAgent, job: &LeasedJob, outcome: Outcome, code: &str) {
    let lease = LeaseKey { job_id: job.job_id, lease_token: job.lease_token };
    let completion =
        Completion { error_code: Some(code.to_owned()), ..Completion::new(lease, outcome, code) };
    assert_eq!(agent.report(completion).await, Disposition::Recorded);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_class_of_the_code_decides_about_another_attempt() {
    let server = TestServer::start_with(&[("jobs.max_attempts", "4")]).await;
    let (agent, job) = one_job(&server, "web1.example.test").await;
    // An interruption is no failure of the work: no pause, but an attempt all the same.
    fail(&agent, &agent.lease(0).await.remove(0), Outcome::Failure, "agent_stopping").await;
    let second = agent.lease(0).await.remove(0);
    assert_eq!(second.attempt, 2);
    fail(&agent, &second, Outcome::Failure, "read_back_mismatch").await;
    assert!(agent.lease(0).await.is_empty(), "after a pause");
    let waiting = server.admin.query("/OrchestratorJobs/ScheduledJobs", "Status -eq 5").await.ok();
    assert_eq!(waiting[0]["WaitingReasonCode"], "retry");
    let reason = waiting[0]["WaitingReason"].as_str().unwrap();
    assert!(
        reason.starts_with("attempt 2 failed with read_back_mismatch; the next one is due at "),
        "{reason}"
    );
    server.clock.advance(TimeDelta::minutes(2));
    server.sweep(Sweep::ReleaseRetries).await;
    // Whatever the agent hopes: what can never succeed is not tried again.
    fail(&agent, &agent.lease(0).await.remove(0), Outcome::TransientFailure, "entry_refused").await;
    let rows = history(&server, &job).await;
    let facts: Vec<_> = rows.iter().map(|row| (row["Status"].as_i64(), row["ErrorCode"].as_str())).collect();
    assert_eq!(
        facts,
        [
            (Some(5), Some("agent_stopping")),
            (Some(5), Some("read_back_mismatch")),
            (Some(3), Some("entry_refused"))
        ]
    );
    assert_eq!(rows[2]["Remedy"], "change the certificate or alias to what the store type takes");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interruptions_end_with_the_last_attempt() {
    let server = TestServer::start_with(&[("jobs.max_attempts", "3")]).await;
    let (agent, job) = one_job(&server, "web1.example.test").await;
    for _ in 0..3 {
        fail(&agent, &agent.lease(0).await.remove(0), Outcome::TransientFailure, "agent_stopping").await;
    }
    let rows = history(&server, &job).await;
    let states: Vec<_> = rows.iter().map(|row| row["Status"].as_i64().unwrap()).collect();
    assert_eq!(states, [5, 5, 3]);
    server.stop().await;
}

/// Fails the fourth attempt of a new job after a statement was run for its certificate and store, and answers how many
/// seconds its next attempt is away.
async fn pause_after(server: &TestServer, machine: &str, statement: &'static str) -> i64 {
    let (agent, _) = one_job(server, machine).await;
    let job = agent.lease(0).await.remove(0);
    let id = job.job_id.uuid();
    for statement in ["UPDATE jobs SET attempt = 4, max_attempts = 9 WHERE id = $1", statement] {
        sqlx::query(statement).bind(id).execute(server.database()).await.unwrap();
    }
    fail(&agent, &job, Outcome::TransientFailure, "internal_error").await;
    let retry_at: DateTime<Utc> = sqlx::query_scalar("SELECT retry_at FROM jobs WHERE id = $1")
        .bind(id)
        .fetch_one(server.database())
        .await
        .unwrap();
    (retry_at - server.clock.now()).num_seconds()
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_shorten_as_the_end_of_a_certificate_nears() {
    let server = TestServer::start_with(&[("jobs.retry_seconds", "600")]).await;
    let far = pause_after(&server, "web1.example.test", "SELECT $1::uuid").await;
    assert!((1_790..=3_600).contains(&far), "up to an hour while the end is far: {far}");
    let statement = "UPDATE certificates SET not_after = jobs.started_at + interval '5 hours'
        FROM jobs WHERE jobs.id = $1 AND certificates.id = jobs.certificate_id";
    let near = pause_after(&server, "web2.example.test", statement).await;
    assert!((365..=750).contains(&near), "a twenty-fourth of what is left: {near}");
    // The certificate in the store ends, and the new one does not.
    let statement = "WITH entry AS (
            INSERT INTO store_entries (store_id, alias, private_key_entry, seen_in)
            SELECT store_id, 'a', true, 1 FROM jobs WHERE id = $1 RETURNING id
        ), old AS (
            INSERT INTO certificates (sha256, thumbprint, serial_number, issued_dn, issuer_dn, not_before, not_after,
                key_type, key_bits, signing_algorithm, content, dns_names, imported_at)
            SELECT sha256('old'), repeat('A', 40), '1', 'CN=old', 'CN=old', started_at,
                started_at + interval '1 hour', 3, 256, 'none', '', '{}', started_at FROM jobs WHERE id = $1
            RETURNING id
        )
        INSERT INTO store_entry_certificates SELECT entry.id, 0, old.id FROM entry, old";
    let replaced = pause_after(&server, "web3.example.test", statement).await;
    assert!((295..=600).contains(&replaced), "at least the first pause: {replaced}");
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
