//! One process works under an agent's identity at a time, whatever was copied where; and an operator hears of copies.

use chrono::TimeDelta;
use reqwest::StatusCode;
use sealift_protocol::agent::leases::{LeaseRequest, REFUSED_CLONED, REFUSED_SUPERSEDED};
use sealift_server::scheduler::Sweep;
use serde_json::{Value, json};
use support::story::{addition, enroll};
use support::{RawAgent, TestServer, postgres};
use uuid::Uuid;

/// A process of an agent, on a machine that names itself so.
#[derive(Clone)]
struct Process {
    agent: RawAgent,
    instance: Uuid,
    host: &'static str,
}

impl Process {
    fn begin(agent: &RawAgent, host: &'static str) -> Self {
        Self { agent: agent.clone(), instance: Uuid::new_v4(), host }
    }

    /// Asks for jobs; answers how many there were, or why it gets none.
    async fn ask(&self, contested: bool) -> Result<usize, String> {
        let digit = self.host.len() % 10;
        let request = LeaseRequest {
            max_jobs: 10,
            instance: self.instance,
            recover: true,
            host: digit.to_string().repeat(64),
            host_name: self.host.to_owned(),
            contested,
            ..LeaseRequest::default()
        };
        let (status, refusal, answer) = self.agent.ask(&request).await;
        match refusal {
            Some(refusal) => {
                assert_eq!((status, answer), (StatusCode::CONFLICT, Value::Null), "refusals have no body");
                Err(refusal)
            }
            None => Ok(answer["Jobs"].as_array().unwrap().len()),
        }
    }
}

fn refused(why: &str) -> Result<usize, String> {
    Err(why.to_owned())
}

async fn seen(server: &TestServer, agent: &RawAgent) -> Value {
    server.admin.get(&format!("/Agents/{}", agent.id)).await.ok()["CloneSeen"].clone()
}

/// Lines of the audit log about copies and moves.
async fn told(server: &TestServer) -> Vec<String> {
    let told =
        "SELECT message FROM audit_log WHERE message LIKE '%second process%' OR message LIKE '%moved to%'
        OR message LIKE '%approved to work%' ORDER BY id";
    sqlx::query_scalar(told).fetch_all(server.database()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_on_another_machine_gets_nothing_until_an_operator_says_that_the_agent_moved() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 2, "/etc/tls/a.pem").await;
    let (original, copy) = (Process::begin(&agent, "web1"), Process::begin(&agent, "other"));
    assert_eq!(original.ask(false).await, Ok(0));
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    server.admin.post("/CertificateStores/Certificates/Add", &addition(certificate, &[&store])).await.ok();
    for contested in [false, true, false] {
        assert_eq!(copy.ask(contested).await, refused(REFUSED_CLONED));
    }
    let mark = seen(&server, &agent).await;
    assert_eq!((&mark["HostName"], &mark["Address"]), (&json!("other"), &json!("127.0.0.1")));
    assert_eq!(told(&server).await.len(), 1, "once, not with each call: {:?}", told(&server).await);
    assert_eq!(original.ask(false).await, Ok(1), "the original works on");

    // Another process of the copy's machine is told the same, and the operator not again.
    let again = Process::begin(&agent, "other");
    assert_eq!(again.ask(false).await, refused(REFUSED_CLONED));
    assert_eq!(told(&server).await.len(), 1);

    server.admin.post("/Agents/Approve", &json!([agent.id])).await.ok();
    assert_eq!(seen(&server, &agent).await, Value::Null);
    assert_eq!(original.ask(false).await, refused(REFUSED_CLONED), "the place is the other machine's now");
    assert_eq!(copy.ask(false).await, Ok(1), "with the lease that the original lost");
    assert_eq!(original.ask(false).await, refused(REFUSED_CLONED));
    let told = told(&server).await;
    assert!(told[1].contains("'other'") && told[2].contains("'web1'"), "{told:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_fell_silent_is_followed_by_another() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let (original, next) = (Process::begin(&agent, "web1"), Process::begin(&agent, "other"));
    assert_eq!(original.ask(false).await, Ok(0));
    server.clock.advance(TimeDelta::seconds(150));
    assert_eq!(original.ask(false).await, Ok(0));
    server.sweep(Sweep::LastSeen).await;
    server.clock.advance(TimeDelta::seconds(150));
    assert_eq!(next.ask(false).await, refused(REFUSED_CLONED), "heard 150 seconds ago");
    // What the copy asks for does not keep the original's place.
    server.sweep(Sweep::LastSeen).await;
    server.clock.advance(TimeDelta::seconds(40));
    assert_eq!(next.ask(false).await, Ok(0));
    assert_eq!(seen(&server, &agent).await, Value::Null, "it was no copy after all");
    let told = told(&server).await;
    assert!(told.last().unwrap().contains("moved to the machine that names itself 'other'"), "{told:?}");
    assert_eq!(original.ask(false).await, refused(REFUSED_SUPERSEDED));
    assert_eq!(original.ask(true).await, refused(REFUSED_CLONED), "the place is taken, and two live");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_works_at_once_and_of_two_that_live_the_newer_is_the_copy() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let processes: Vec<_> = (0..4).map(|_| Process::begin(&agent, "web1")).collect();
    for process in &processes {
        assert_eq!(process.ask(false).await, Ok(0), "each start takes the place at once");
    }
    // A call of a process that was killed arrives late.
    assert_eq!(processes[0].ask(false).await, refused(REFUSED_SUPERSEDED));
    assert_eq!(processes[3].ask(false).await, Ok(0));
    assert_eq!(seen(&server, &agent).await, Value::Null);
    // One that lives objects.
    assert_eq!(processes[2].ask(true).await, Ok(0));
    assert_eq!(processes[3].ask(false).await, refused(REFUSED_CLONED));
    assert_eq!(processes[3].ask(true).await, refused(REFUSED_CLONED));
    assert_eq!(processes[2].ask(false).await, Ok(0));
    assert_eq!(seen(&server, &agent).await["HostName"], "web1");
    assert_eq!(told(&server).await.len(), 1);
    // The one in place is restarted, and the copy stays out.
    let next = Process::begin(&agent, "web1");
    assert_eq!(next.ask(false).await, Ok(0));
    assert_eq!(processes[3].ask(false).await, refused(REFUSED_CLONED));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_decides_alike() {
    let url = postgres::database().await.expose().to_owned();
    let one = TestServer::start_with(&[("database.url", &url)]).await;
    let two = TestServer::beside(&one, &url).await;
    let agent = RawAgent::enroll(&one, "web1.example.test").await;
    let elsewhere = agent.at(&two);
    let original = Process::begin(&agent, "web1");
    let moved = Process { agent: elsewhere.clone(), ..original.clone() };
    assert_eq!(original.ask(false).await, Ok(0));
    assert_eq!(moved.ask(false).await, Ok(0), "the same process at the other replica");
    assert_eq!(Process::begin(&elsewhere, "other").ask(false).await, refused(REFUSED_CLONED));

    // A restart at the other replica; this one still remembers the process before, which gets no job from it.
    let store = agent.store(&one, 2, "/etc/tls/a.pem").await;
    let restarted = Process::begin(&elsewhere, "web1");
    assert_eq!(restarted.ask(false).await, Ok(0));
    let certificate = enroll(&one.admin, &["www.example.test"]).await;
    one.admin.post("/CertificateStores/Certificates/Add", &addition(certificate, &[&store])).await.ok();
    assert!(matches!(original.ask(false).await, Ok(0) | Err(_)), "no job for the process before");
    one.sweep(Sweep::RefreshAgents).await;
    assert_eq!(original.ask(false).await, refused(REFUSED_SUPERSEDED));
    two.sweep(Sweep::RingDue).await;
    assert_eq!(restarted.ask(false).await, Ok(1));
    two.stop().await;
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_a_machine_and_a_clock_is_bounded_and_shown() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let asked = LeaseRequest { max_jobs: 1, host: "no hash".to_owned(), ..LeaseRequest::default() };
    assert_eq!(agent.ask(&asked).await.0, StatusCode::BAD_REQUEST);
    let asked = LeaseRequest {
        max_jobs: 1,
        host_name: "web1\nforged".to_owned(),
        clock_offset_seconds: Some(-91),
        ..LeaseRequest::default()
    };
    assert_eq!(agent.ask(&asked).await.0, StatusCode::OK);
    server.sweep(Sweep::LastSeen).await;
    let shown = server.admin.get(&format!("/Agents/{}", agent.id)).await.ok();
    assert_eq!((&shown["HostName"], &shown["ClockOffsetSeconds"]), (&json!("web1forged"), &json!(-91)));
    server.stop().await;
}
