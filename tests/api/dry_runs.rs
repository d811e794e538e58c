//! Dry runs: jobs whose agents only say what they would do.

use sealift_protocol::agent::leases::{Outcome, Work};
use sealift_protocol::agent::verification::{Evidence, Plan, PlannedCertificate};
use serde_json::json;
use support::story::{addition, enroll};
use support::{RawAgent, TestServer};

use crate::conformance::PublishedAgent;
use crate::permissions::caller;

const ADD: &str = "/CertificateStores/Certificates/Add";
const REMOVE: &str = "/CertificateStores/Certificates/Remove";

fn plan() -> Evidence {
    let plan = Plan {
        changes: true,
        after: Some(PlannedCertificate {
            subject: "CN=www.example.test".to_owned(),
            ..PlannedCertificate::default()
        }),
        files: vec!["/etc/tls/a.pem".to_owned()],
        names_lost: vec!["old.example.test".to_owned()],
        ..Plan::default()
    };
    Evidence { plan: Some(plan), ..Evidence::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_comes_back_as_evidence_and_nothing_follows() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 2, "/etc/tls/a.pem").await;
    let certificate = enroll(admin, &["www.example.test"]).await;
    let mut add = addition(certificate, &[&store]);
    add["DryRun"] = json!(true);
    let deploy = json!({"Stores": [{"StoreId": store, "Overwrite": true}], "CertificateId": certificate,
        "Password": "a-password", "DryRun": true});
    let remove = json!({"CertificateStores": [{"CertificateStoreId": store, "Alias": "a"}],
        "Schedule": {"Immediate": true}, "DryRun": true});
    for (path, body) in [(ADD, add), ("/Enrollment/PFX/Deploy", deploy), (REMOVE, remove)] {
        admin.post(path, &body).await.ok();
        let waiting = admin.get("/OrchestratorJobs/ScheduledJobs").await.ok();
        assert_eq!(waiting[0]["DryRun"], true, "{waiting}");
        let leased = agent.lease(0).await.remove(0);
        assert!(leased.dry_run && matches!(leased.work, Work::Add(_) | Work::Remove(_)), "{path}");
        agent.prove(&leased, Outcome::Success, plan()).await;
        let evidence = admin.get(&format!("/OrchestratorJobs/{}/Evidence", leased.job_id)).await.ok();
        assert_eq!(evidence[0]["Plan"]["Files"], json!(["/etc/tls/a.pem"]));
        assert_eq!(evidence[0]["Plan"]["NamesLost"], json!(["old.example.test"]));
        let filter = format!("JobHistoryId -eq {} AND DryRun -eq true", leased.audit_id);
        let row = admin.query("/OrchestratorJobs/JobHistory", &filter).await.ok()[0].clone();
        assert_eq!((&row["DryRun"], &row["Result"]), (&json!(true), &json!(2)));
        assert!(agent.lease(0).await.is_empty(), "no inventory follows what changed nothing");
    }
    let audit = admin.query("/Audit", "Message -contains \"dry run\"").await;
    assert!(audit.status.is_success());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_runs_need_what_the_real_call_needs_and_an_agent_that_can_plan() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 2, "/etc/tls/a.pem").await;
    let certificate = enroll(admin, &["www.example.test"]).await;
    let mut add = addition(certificate, &[&store]);
    add["DryRun"] = json!(true);
    let reader = caller(&server, &["/certificate_stores/read/", "/certificates/collections/read/"]).await;
    assert!(reader.post(ADD, &add).await.refused(403).contains("/certificate_stores/schedule/"));

    let capabilities = json!(["CertStores.PEM.Inventory", "CertStores.PEM.Management"]);
    let edge = PublishedAgent::enroll(&server, "edge-1", capabilities).await;
    let store = edge.store(&server, "/etc/edge/tls/a.pem").await;
    let mut add = addition(certificate, &[&store]);
    add["DryRun"] = json!(true);
    assert!(admin.post(ADD, &add).await.refused(400).contains("cannot make dry runs"));
    let remove = json!({"CertificateStores": [{"CertificateStoreId": store, "Alias": "a"}], "DryRun": true,
        "Schedule": {"Immediate": true}});
    assert!(admin.post(REMOVE, &remove).await.refused(400).contains("cannot make dry runs"));
    server.stop().await;
}
