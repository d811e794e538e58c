//! Reenrollment: the job in which an agent makes the key, as operators schedule it.

use reqwest::StatusCode;
use serde_json::{Value, json};
use support::{RawAgent, TestServer};

use crate::permissions::caller;

const PATH: &str = "/CertificateStores/Reenrollment";

#[tokio::test(flavor = "multi_thread")]
async fn a_reenrollment_is_recorded_and_handed_out() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let able = ["CertStores.PEM.Inventory", "CertStores.PEM.Management", "CertStores.PEM.ReEnrollment"];
    let agent = RawAgent::enroll_with(&server, "web1.example.test", &able).await;
    let store = agent.store(&server, 2, "/etc/tls/a.pem").await;
    let status = admin.get(&format!("/CertificateStores/{store}")).await.ok()["ReenrollmentStatus"].clone();
    let expected = json!({"Data": true, "AgentId": agent.id, "Message": "", "JobProperties": null,
        "CustomAliasAllowed": 0, "EntryParameters": []});
    assert_eq!(status, expected);
    let body = json!({"KeystoreId": store, "SubjectName": "CN=www.example.test,O=Example", "AgentGuid": agent.id,
        "Alias": "", "JobProperties": {}, "CertificateAuthority": "", "CertificateTemplate": "tlsserver"});
    let answer = admin.post(PATH, &body).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    let jobs = admin.get("/OrchestratorJobs/ScheduledJobs").await.ok();
    assert_eq!(
        (&jobs[0]["JobType"], &jobs[0]["Target"]),
        (&json!("PEMReenrollment"), &json!("/etc/tls/a.pem"))
    );
    let details: Value =
        sqlx::query_scalar("SELECT details FROM jobs").fetch_one(server.database()).await.unwrap();
    assert_eq!(
        details,
        json!({"Subject": "CN=www.example.test,O=Example", "Names": [["dns", "www.example.test"]],
        "Key": "P-256", "Template": "TLSServer"})
    );
    assert_eq!(agent.lease(0).await.len(), 1, "the door hands it out");
    let audit: i64 =
        sqlx::query_scalar("SELECT count(*) FROM audit_log WHERE message LIKE '%reenrollment of CN=www%'")
            .fetch_one(server.database())
            .await
            .unwrap();
    assert_eq!(audit, 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reenrollments_that_are_not_possible() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let able = RawAgent::enroll_with(&server, "web2.example.test", &["CertStores.PEM.Reenrollment"]).await;
    let store = agent.store(&server, 2, "/a.pem").await;
    let p12 = agent.store(&server, 102, "/a.p12").await;
    let fit = able.store(&server, 2, "/a.pem").await;
    let status = admin.get(&format!("/CertificateStores/{store}")).await.ok()["ReenrollmentStatus"].clone();
    assert!(status["Message"].as_str().unwrap().contains("CertStores.PEM.Reenrollment"), "{status}");
    let unknown = uuid::Uuid::new_v4().to_string();
    let body = |store: &str, change: &dyn Fn(&mut Value)| {
        let mut body = json!({"KeystoreId": store, "SubjectName": "CN=www.example.test"});
        change(&mut body);
        body
    };
    for (body, status, word) in [
        (body(&store, &|_| {}), 400, "web1.example.test"),
        (body(&p12, &|_| {}), 400, "PKCS12"),
        (body(&unknown, &|_| {}), 404, unknown.as_str()),
        (body(&fit, &|b| b["KeystoreId"] = Value::Null), 400, "KeystoreId is required"),
        (body(&fit, &|b| b["AgentGuid"] = json!(agent.id)), 400, "AgentGuid"),
        (body(&fit, &|b| b["SubjectName"] = json!("")), 400, "SubjectName is required"),
        (body(&fit, &|b| b["SubjectName"] = json!("www")), 400, "SubjectName"),
        (body(&fit, &|b| b["Alias"] = json!("mine")), 400, "Alias"),
        (body(&fit, &|b| b["JobProperties"] = json!({"Site": "x"})), 400, "JobProperties"),
        (body(&fit, &|b| b["CertificateTemplate"] = json!("Nope")), 400, "Nope"),
        (body(&fit, &|b| b["CertificateAuthority"] = json!("Nope")), 400, "Nope"),
    ] {
        let answer = admin.post(PATH, &body).await;
        assert!(answer.refused(status).contains(word), "{}", answer.text);
    }
    let narrow = caller(&server, &["/certificate_stores/schedule/1/"]).await;
    narrow.post(PATH, &body(&fit, &|_| {})).await.refused(403);
    assert_eq!(admin.get("/OrchestratorJobs/ScheduledJobs").await.ok(), json!([]));
    server.stop().await;
}
