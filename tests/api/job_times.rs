//! When jobs may be leased.

use chrono::TimeDelta;
use serde_json::json;
use support::story::{addition, enroll};
use support::{RawAgent, TestServer};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_leased_at_its_time_and_not_before() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 2, "/etc/tls/a.pem").await;
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    let at = (server.clock.now() + TimeDelta::hours(3)).to_rfc3339();
    let body = json!({"Stores": [{"StoreId": store}], "Password": "t7!Qz-example", "CertificateId": certificate,
        "JobTime": at});
    server.admin.post("/Enrollment/PFX/Deploy", &body).await.ok();
    assert!(agent.lease(0).await.is_empty());
    server.clock.advance(TimeDelta::hours(3) - TimeDelta::seconds(30));
    assert!(agent.lease(0).await.is_empty(), "30 s early");
    // A poll that is held over the moment gets the job by itself: nothing but the clock moves.
    let held = tokio::spawn({
        let agent = agent.clone();
        async move { agent.lease(50).await }
    });
    while !server.holds(&agent).await {
        tokio::task::yield_now().await;
    }
    let before = std::time::Instant::now();
    server.clock.advance(TimeDelta::seconds(31));
    let jobs = held.await.unwrap();
    assert_eq!(jobs.len(), 1);
    assert!(before.elapsed() < std::time::Duration::from_secs(1), "within a second after its time");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_poll_asks_the_database_nothing() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    assert!(agent.lease(0).await.is_empty(), "the first poll of a process says who it is");
    assert!(agent.lease(0).await.is_empty(), "the first poll after that looks");
    let before = server.parts.floor.database.main.size();
    server.parts.floor.database.main.close().await;
    assert!(before > 0);
    for _ in 0..3 {
        assert!(agent.lease(0).await.is_empty(), "answered with the database closed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_poll_is_woken_by_the_commit() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 2, "/etc/tls/a.pem").await;
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    assert!(agent.lease(0).await.is_empty());
    let held = tokio::spawn({
        let agent = agent.clone();
        async move { agent.lease(50).await }
    });
    while !server.holds(&agent).await {
        tokio::task::yield_now().await;
    }
    server.admin.post("/CertificateStores/Certificates/Add", &addition(certificate, &[&store])).await.ok();
    assert_eq!(held.await.unwrap().len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_inventory_becomes_due_again_and_again() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 2, "/etc/tls/a.pem").await;
    let body = json!({"StoreIds": [store], "Schedule": {"Interval": {"Minutes": 60}}});
    let answer = server.admin.post("/CertificateStores/Schedule", &body).await;
    assert_eq!(answer.status.as_u16(), 204);
    for _ in 0..3 {
        server.sweep(sealift_server::scheduler::Sweep::DueInventories).await;
        assert!(agent.lease(0).await.is_empty());
        server.clock.advance(TimeDelta::minutes(61));
        server.sweep(sealift_server::scheduler::Sweep::DueInventories).await;
        assert_eq!(super::deployment::work_off(&agent).await.len(), 1);
    }
    server.stop().await;
}
