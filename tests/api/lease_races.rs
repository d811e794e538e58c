//! Leases that end while their reports are under way: whoever comes first wins whole, and a report that lost changes
//! nothing. And what one agent was handed is of no use to another.

use chrono::TimeDelta;
use reqwest::StatusCode;
use sealift_protocol::agent::inventory::InventoryPage;
use sealift_protocol::agent::leases::{Disposition, LeaseKey, LeasedJob, Outcome, RenewRequest};
use sealift_protocol::agent::paths;
use sealift_server::scheduler::Sweep;
use serde_json::json;
use support::invariants::{Snapshot, Watch, waiting_jobs_say_why};
use support::random::{self, Random};
use support::story::{addition, enroll};
use support::{RawAgent, TestServer};

/// Races in the suite.
const RACES: u32 = 1_000;
/// Races that are run at the same time.
const AT_ONCE: usize = 25;
/// The most times that one agent reports the same attempt at the same time.
const CONNECTIONS: u32 = 3;

#[derive(Debug, Default)]
struct Outcomes {
    races: u32,
    recorded: u32,
    expired: u32,
    stale_reports: u32,
    stale_accepted: u32,
}

/// Takes every due job and ends it, so that the next round begins with an empty queue.
async fn drain(server: &TestServer, agent: &RawAgent) {
    loop {
        server.clock.advance(TimeDelta::hours(2));
        server.sweep(Sweep::ExpireLeases).await;
        server.sweep(Sweep::ReleaseRetries).await;
        let jobs = agent.lease(0).await;
        for job in &jobs {
            agent.complete(job, Outcome::Failure, "drained").await;
        }
        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM jobs").fetch_one(server.database()).await.unwrap();
        if left == 0 {
            return;
        }
    }
}

/// Reports one attempt so many times at once, after so many turns of the others; what each report was answered.
async fn report(agent: RawAgent, job: LeasedJob, turns: u32, times: u32) -> Vec<Disposition> {
    let mut calls = Vec::new();
    for time in 0..times {
        let (agent, job) = (agent.clone(), job.clone());
        calls.push(tokio::spawn(async move {
            for _ in 0..turns * (time + 1) {
                tokio::task::yield_now().await;
            }
            agent.complete(&job, Outcome::Success, "raced").await
        }));
    }
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    answers
}

/// Leases and reports against the end of the leases; judges each job by its history.
async fn race(server: &TestServer, agent: &RawAgent, random: &mut Random, outcomes: &mut Outcomes) {
    let jobs: Vec<LeasedJob> = agent.lease(0).await;
    assert_eq!(jobs.len(), AT_ONCE);
    server.clock.advance(TimeDelta::seconds(301));
    let mut reports = Vec::new();
    for job in &jobs {
        let (turns, times) = (random.below(400), 1 + random.below(CONNECTIONS));
        reports.push(tokio::spawn(report(agent.clone(), job.clone(), turns, times)));
    }
    // Two replicas sweep at the same time, and the retries of what they end become due meanwhile.
    let sweeps = async {
        for _ in 0..3 {
            tokio::join!(server.sweep(Sweep::ExpireLeases), server.sweep(Sweep::ExpireLeases));
            server.clock.advance(TimeDelta::seconds(61));
            server.sweep(Sweep::ReleaseRetries).await;
        }
    };
    let again = async {
        let mut leased = Vec::new();
        for _ in 0..3 {
            leased.extend(agent.lease(0).await);
        }
        leased
    };
    let ((), second) = tokio::join!(sweeps, again);
    let mut answers = Vec::new();
    for report in reports {
        answers.push(report.await.unwrap());
    }
    let now = Snapshot::take(&mut server.database().acquire().await.unwrap()).await;
    for (job, answers) in jobs.iter().zip(answers) {
        outcomes.races += 1;
        let rows = now.attempts(job.job_id.uuid());
        let first = rows.first().expect("the attempt has ended one way or the other");
        let recorded = first.lease_token == Some(job.lease_token);
        assert_eq!(recorded, first.result == 2, "{first:?}");
        match recorded {
            true => outcomes.recorded += 1,
            false => {
                assert_eq!(first.error_code.as_deref(), Some("lease_expired"), "{first:?}");
                outcomes.expired += 1;
            }
        }
        for answer in answers {
            outcomes.stale_reports += u32::from(answer == Disposition::Stale);
            outcomes.stale_accepted += u32::from(answer == Disposition::Recorded && !recorded);
            assert_eq!(answer == Disposition::Recorded, recorded, "{first:?}");
        }
        let anew: Vec<_> = second.iter().filter(|leased| leased.job_id == job.job_id).collect();
        assert!(!recorded || anew.is_empty(), "what was recorded was handed out again: {first:?}");
        // A repeat long after gets the answer of the race, whatever the job's next attempt does.
        let late = agent.complete(job, Outcome::Success, "late").await;
        assert_eq!(late == Disposition::Recorded, recorded);
        outcomes.stale_accepted += u32::from(late == Disposition::Recorded && !recorded);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_ends_while_it_is_reported_is_never_both() {
    let rounds = random::races(RACES).div_ceil(AT_ONCE as u32);
    let mut random = Random::seeded("lease races");
    let server = TestServer::start_with(&[("jobs.retry_seconds", "1")]).await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let mut stores = Vec::new();
    for number in 0..AT_ONCE {
        stores.push(agent.store(&server, 2, &format!("/etc/tls/{number}.pem")).await);
    }
    let stores: Vec<&str> = stores.iter().map(String::as_str).collect();
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    let mut watch = Watch::new(server.database());
    let mut outcomes = Outcomes::default();
    for round in 0..rounds {
        let ids = server
            .admin
            .post("/CertificateStores/Certificates/Add", &addition(certificate, &stores))
            .await
            .ok();
        ids.as_array().unwrap().iter().for_each(|id| watch.acknowledged(id.as_str().unwrap()));
        race(&server, &agent, &mut random, &mut outcomes).await;
        watch.look(&format!("round {round}")).await;
        waiting_jobs_say_why(&server.admin).await;
        drain(&server, &agent).await;
    }
    watch.all_ended("the end").await;
    println!("{outcomes:?}, {} looks at the tables", watch.looks());
    assert_eq!(outcomes.stale_accepted, 0);
    assert!(outcomes.recorded > 0 && outcomes.expired > 0, "both sides win now and then: {outcomes:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_was_handed_is_of_no_use_to_another() {
    let server = TestServer::start().await;
    let owner = RawAgent::enroll(&server, "web1.example.test").await;
    let other = RawAgent::enroll(&server, "web2.example.test").await;
    let store = owner.store(&server, 2, "/etc/tls/a.pem").await;
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    let body = json!({"StoreIds": [store], "Schedule": {"Immediate": true}});
    server.admin.post("/CertificateStores/Schedule", &body).await;
    server.admin.post("/CertificateStores/Certificates/Add", &addition(certificate, &[&store])).await.ok();
    for _ in 0..2 {
        assert!(other.lease(0).await.is_empty(), "a job goes to its own agent alone");
        let job = owner.lease(0).await.remove(0);
        let key = LeaseKey { job_id: job.job_id, lease_token: job.lease_token };
        assert!(other.lease(0).await.is_empty());
        let before = Snapshot::take(&mut server.database().acquire().await.unwrap()).await;
        assert_eq!(other.complete(&job, Outcome::Success, "stolen").await, Disposition::Stale);
        let (_, answer) = other.call(paths::RENEW, &RenewRequest { leases: vec![key] }).await;
        assert_eq!(answer["Lost"], json!([job.job_id]));
        let page = InventoryPage {
            lease: key,
            base: None,
            version: "stolen".to_owned(),
            page: 1,
            last: true,
            entries: Vec::new(),
            removed: Vec::new(),
        };
        let (status, answer) = other.call(paths::INVENTORY, &page).await;
        assert_eq!((status, &answer["Disposition"]), (StatusCode::OK, &json!("Stale")));
        let after = Snapshot::take(&mut server.database().acquire().await.unwrap()).await;
        assert_eq!((before.jobs, before.history), (after.jobs, after.history), "nothing was changed");
        owner.complete(&job, Outcome::Failure, "ended").await;
    }
    server.stop().await;
}
