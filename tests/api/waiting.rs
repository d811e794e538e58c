//! Why a job is not running, as the list of scheduled jobs tells it.

use chrono::TimeDelta;
use sealift_protocol::agent::leases::Outcome;
use sealift_server::scheduler::Sweep;
use serde_json::{Value, json};
use support::story::{addition, enroll};
use support::{RawAgent, TestServer};

const ADD: &str = "/CertificateStores/Certificates/Add";

/// The code and the sentence of a job.
async fn reason(server: &TestServer, job: &Value) -> (String, String) {
    let filter = format!("Id -eq \"{}\"", job.as_str().unwrap());
    let row = server.admin.query("/OrchestratorJobs/ScheduledJobs", &filter).await.ok()[0].clone();
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    (text("WaitingReasonCode"), text("WaitingReason"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reason_has_a_code_and_a_sentence() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let (one, two) =
        (agent.store(&server, 2, "/etc/tls/a.pem").await, agent.store(&server, 2, "/etc/tls/b.pem").await);
    let certificate = enroll(admin, &["www.example.test"]).await;
    let add = async |store: &str| admin.post(ADD, &addition(certificate, &[store])).await.ok()[0].clone();
    let (first, second) = (add(&one).await, add(&one).await);
    agent.lease(0).await;
    let third = add(&two).await;
    server.sweep(Sweep::LastSeen).await;
    assert_eq!(reason(&server, &first).await, (String::new(), String::new()), "it runs");
    let (code, text) = reason(&server, &second).await;
    assert_eq!(
        (code.as_str(), text),
        ("behind", format!("behind job {} on the same store", first.as_str().unwrap()))
    );
    let (code, text) = reason(&server, &third).await;
    assert_eq!(code, "lane_busy");
    assert!(text.contains(first.as_str().unwrap()), "{text}");

    let mut later = addition(certificate, &[&two]);
    let at = server.clock.now() + TimeDelta::hours(2);
    later["Schedule"] = json!({"ExactlyOnce": {"Time": at.to_rfc3339()}});
    let later = admin.post(ADD, &later).await.ok()[0].clone();
    assert_eq!(reason(&server, &later).await.0, "before_time");

    server.clock.advance(TimeDelta::minutes(10));
    let (code, text) = reason(&server, &third).await;
    assert_eq!(code, "agent_silent");
    assert!(text.starts_with("for its agent web1.example.test, silent since "), "{text}");

    let set = async |statement: &'static str| {
        sqlx::query(statement).execute(server.database()).await.unwrap();
    };
    set("UPDATE agents SET capabilities = '{CertStores.PEM.Inventory}'").await;
    let (code, text) = reason(&server, &third).await;
    assert_eq!(code, "not_capable");
    assert!(text.ends_with("lacks the capability CertStores.PEM.Management"), "{text}");
    set("UPDATE agents SET reenrollment = 2, capabilities = '{CertStores.PEM.Management}'").await;
    assert_eq!(reason(&server, &third).await.0, "identity_renewal_required");
    admin.post("/Agents/Disapprove", &json!([agent.id])).await.ok();
    assert_eq!(reason(&server, &third).await.0, "agent_disapproved");
    set("UPDATE agents SET status = 1").await;
    assert_eq!(reason(&server, &third).await.0, "agent_not_approved");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_there_will_take_the_job() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 2, "/etc/tls/a.pem").await;
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    agent.lease(0).await;
    server.sweep(Sweep::LastSeen).await;
    let job = server.admin.post(ADD, &addition(certificate, &[&store])).await.ok()[0].clone();
    assert_eq!(reason(&server, &job).await.0, "agent_asked");
    let leased = agent.lease(0).await.remove(0);
    agent.complete(&leased, Outcome::Failure, "no").await;
    server.stop().await;
}
