//! The codes with which attempts end where agents of the published protocol name none, and where a job cannot be told.

use serde_json::{Value, json};
use support::story::{addition, enroll};
use support::{RawAgent, TestServer};

use crate::conformance::{PublishedAgent, pem_capabilities};

const ADD: &str = "/CertificateStores/Certificates/Add";

async fn last(server: &TestServer, job: &Value) -> Value {
    let filter = format!("JobId -eq {job}");
    server.admin.query("/OrchestratorJobs/JobHistory", &filter).await.ok()[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_of_agents_become_codes_with_a_remedy() {
    let server = TestServer::start().await;
    let mut agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    let mut found = Vec::new();
    for (number, (status, message)) in
        [(3, "does not exist yet"), (3, "already there"), (1, ""), (4, "no space")].into_iter().enumerate()
    {
        let store = agent.store(&server, &format!("/etc/edge/tls/{number}.pem")).await;
        let ids = server.admin.post(ADD, &addition(certificate, &[&store])).await.ok();
        let list = agent.register().await;
        let job = list.iter().find(|job| job["JobId"] == ids[0]).unwrap();
        let audit = agent.configure(job).await["AuditId"].clone();
        agent.complete(job, audit, status, message).await;
        let row = last(&server, &ids[0]).await;
        assert!(row["Remedy"].is_string(), "{row}");
        found.push((row["ErrorCode"].as_str().unwrap().to_owned(), row["Status"].as_i64().unwrap()));
    }
    let found: Vec<(&str, i64)> = found.iter().map(|(code, status)| (code.as_str(), *status)).collect();
    assert_eq!(
        found,
        [("refused_by_agent", 3), ("agent_warning", 3), ("agent_unsure", 3), ("agent_failure", 5)],
        "only a failure that may pass is repeated"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_key_has_gone_ends_for_good() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 2, "/etc/tls/a.pem").await;
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    let ids = server.admin.post(ADD, &addition(certificate, &[&store])).await.ok();
    // No call takes it while the job waits; a database brought back from before may lack it.
    sqlx::query("DELETE FROM certificate_keys").execute(server.database()).await.unwrap();
    assert!(agent.lease(0).await.is_empty());
    let row = last(&server, &ids[0]).await;
    assert_eq!((&row["ErrorCode"], &row["Status"]), (&json!("job_not_possible"), &json!(3)));
    server.stop().await;
}
