//! Acknowledge, reschedule and unschedule, and what the lists say before and after.

use chrono::TimeDelta;
use sealift_protocol::agent::leases::{LeasedJob, Outcome, Work};
use serde_json::{Value, json};
use support::story::{addition, enroll};
use support::{RawAgent, TestServer};

use super::permissions::caller;

/// A server with an agent, a store and a certificate.
struct Scene {
    server: TestServer,
    agent: RawAgent,
    store: String,
    certificate: i64,
}

impl Scene {
    async fn begin() -> Self {
        let server = TestServer::start().await;
        let agent = RawAgent::enroll(&server, "web1.example.test").await;
        let store = agent.store(&server, 2, "/etc/tls/site.pem").await;
        let certificate = enroll(&server.admin, &["www.example.test"]).await;
        Self { server, agent, store, certificate }
    }

    /// Asks for an addition; answers the id of its job.
    async fn add(&self) -> String {
        let body = addition(self.certificate, &[&self.store]);
        let ids = self.server.admin.post("/CertificateStores/Certificates/Add", &body).await.ok();
        ids[0].as_str().unwrap().to_owned()
    }

    /// Asks for an addition, takes it and ends it; answers its row in history.
    async fn ended(&self, outcome: Outcome, message: &str) -> Value {
        let job = self.add().await;
        let leased = self.take(&job).await;
        self.agent.complete(&leased, outcome, message).await;
        self.history(&format!("JobId -eq \"{job}\"")).await.remove(0)
    }

    /// Leases until this job is there, ending what comes before it.
    async fn take(&self, job: &str) -> LeasedJob {
        for _ in 0..10 {
            for leased in self.agent.lease(0).await {
                if leased.job_id.to_string() == job {
                    return leased;
                }
                self.agent.complete(&leased, Outcome::Failure, "not this one").await;
            }
        }
        panic!("job {job} does not come");
    }

    async fn history(&self, query: &str) -> Vec<Value> {
        let rows = self.server.admin.query("/OrchestratorJobs/JobHistory", query).await.ok();
        rows.as_array().unwrap().clone()
    }

    async fn scheduled(&self, query: &str) -> Vec<Value> {
        let rows = self.server.admin.query("/OrchestratorJobs/ScheduledJobs", query).await.ok();
        rows.as_array().unwrap().clone()
    }

    async fn post(&self, call: &str, body: Value) -> support::client::Answer {
        self.server.admin.post(&format!("/OrchestratorJobs/{call}"), &body).await
    }

    async fn audited(&self, text: &str) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM audit_log WHERE message LIKE '%' || $1 || '%'")
            .bind(text)
            .fetch_one(self.server.database())
            .await
            .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_and_warnings_are_acknowledged_by_id_and_nothing_else_is() {
    let scene = Scene::begin().await;
    let failed = scene.ended(Outcome::Failure, "no such directory").await;
    let warned = scene.ended(Outcome::Warning, "look at it").await;
    let done = scene.ended(Outcome::Success, "done").await;
    let id = |row: &Value| row["JobHistoryId"].as_i64().unwrap();

    // One that does not fit spoils the call, and nothing is changed.
    let answer = scene.post("Acknowledge", json!({"JobAuditIds": [id(&failed), id(&done)]})).await;
    assert!(answer.refused(400).contains(&format!("attempt {}", id(&done))));
    assert_eq!(answer.body["FailedOperations"].as_array().unwrap().len(), 1);
    let answer = scene.post("Acknowledge", json!({"JobAuditIds": [id(&failed), 987_654_321]})).await;
    assert!(answer.refused(404).contains("987654321 was not found"));
    for both in [
        json!({}),
        json!({"JobAuditIds": []}),
        json!({"JobAuditIds": [1], "Query": "Result -eq 4"}),
        json!({"Query": "Nonsense -eq 4"}),
    ] {
        scene.post("Acknowledge", both).await.refused(400);
    }
    let answer = scene.post("Acknowledge", json!({"JobAuditIds": ["x"]})).await;
    assert!(answer.refused(400).contains("JobAuditIds"), "{}", answer.text);
    assert_eq!(scene.history("Status -eq 4").await.len(), 0);

    let answer = scene.post("Acknowledge", json!({"JobAuditIds": [id(&failed), id(&warned)]})).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
    let rows = scene.history("Status -eq 4").await;
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row["Result"] == 3 || row["Result"] == 4), "the result stays");
    assert_eq!(scene.audited("was acknowledged").await, 2);
    let again = scene.post("Acknowledge", json!({"JobAuditIds": [id(&failed)]})).await;
    assert!(again.refused(400).contains("acknowledged already"));
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_acknowledges_what_fits_of_its_matches() {
    let scene = Scene::begin().await;
    scene.ended(Outcome::Failure, "no such directory").await;
    scene.ended(Outcome::Failure, "another reason").await;
    scene.ended(Outcome::Success, "no such problem").await;
    let answer = scene.post("Acknowledge", json!({"Query": "Message -contains \"no such\""})).await;
    assert_eq!(answer.status.as_u16(), 204);
    let rows = scene.history("Status -eq 4").await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["Message"], "no such directory");
    let reader = caller(&scene.server, &["/agents/management/read/"]).await;
    let body = json!({"Query": "Result -eq 4"});
    assert!(
        reader
            .post("/OrchestratorJobs/Acknowledge", &body)
            .await
            .refused(403)
            .contains("/agents/management/modify/")
    );
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_change_is_rescheduled_under_its_id_and_works_the_second_time() {
    let scene = Scene::begin().await;
    let row = scene.ended(Outcome::Failure, "disk full").await;
    let (job, audit) = (row["JobId"].as_str().unwrap().to_owned(), row["JobHistoryId"].as_i64().unwrap());
    scene.post("Acknowledge", json!({"JobAuditIds": [audit]})).await.ok();
    assert_eq!(scene.post("Reschedule", json!({"JobAuditIds": [audit]})).await.status.as_u16(), 204);
    let waiting = scene.scheduled(&format!("Id -eq \"{job}\"")).await;
    assert_eq!((waiting.len(), &waiting[0]["JobType"]), (1, &json!("PEMManagement")));
    // While it waits it is not rescheduled once more.
    let twice = scene.post("Reschedule", json!({"JobAuditIds": [audit]})).await;
    assert!(twice.refused(400).contains("waits or runs already"));

    let leased = scene.take(&job).await;
    assert_eq!(leased.attempt, 2, "attempt numbers go on");
    let Work::Add(add) = &leased.work else { panic!("the same addition") };
    assert!(add.private_key.is_some());
    scene.agent.complete(&leased, Outcome::Success, "done").await;
    let rows = scene.history(&format!("JobId -eq \"{job}\"")).await;
    let results: Vec<_> = rows.iter().map(|row| (row["Attempt"].as_i64(), row["Result"].as_i64())).collect();
    assert_eq!(results, [(Some(2), Some(2)), (Some(1), Some(4))]);
    assert_eq!(scene.audited("was rescheduled").await, 1);
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_rescheduled_is_refused_and_named() {
    let scene = Scene::begin().await;
    let done = scene.ended(Outcome::Success, "done").await;
    let failed = scene.ended(Outcome::Failure, "no").await;
    let id = |row: &Value| row["JobHistoryId"].as_i64().unwrap();
    let answer = scene.post("Reschedule", json!({"JobAuditIds": [id(&failed), id(&done)]})).await;
    assert!(answer.refused(400).contains("did not fail for good"));
    assert!(scene.scheduled(&format!("Id -eq {}", failed["JobId"])).await.is_empty(), "all or none");
    scene.post("Reschedule", json!({"JobAuditIds": [987_654_321]})).await.refused(404);
    // Inventories are not rescheduled.
    let body = json!({"StoreIds": [scene.store], "Schedule": {"Immediate": true}});
    scene.server.admin.post("/CertificateStores/Schedule", &body).await.ok();
    let inventory = scene.scheduled("JobType -eq \"PEMInventory\"").await.remove(0);
    let leased = scene.take(inventory["Id"].as_str().unwrap()).await;
    scene.agent.complete(&leased, Outcome::Failure, "unreadable").await;
    let row = scene.history(&format!("JobId -eq {}", inventory["Id"])).await.remove(0);
    let answer = scene.post("Reschedule", json!({"JobAuditIds": [id(&row)]})).await;
    assert!(answer.refused(400).contains("inventories are not rescheduled"));
    // A query passes over what does not fit.
    let answer = scene.post("Reschedule", json!({"Query": "Result -eq 4 OR Result -eq 2"})).await;
    assert_eq!(answer.status.as_u16(), 204);
    assert_eq!(scene.scheduled(&format!("Id -eq {}", failed["JobId"])).await.len(), 1);
    assert!(scene.scheduled(&format!("Id -eq {}", inventory["Id"])).await.is_empty());
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rescheduling_needs_the_permission_for_the_container_of_every_store() {
    let scene = Scene::begin().await;
    let first = scene.ended(Outcome::Failure, "no").await;
    let made = scene.server.admin.post("/CertificateStoreContainers", &json!({"Name": "East"})).await.ok();
    let east = made["Id"].as_i64().unwrap();
    let operator = caller(
        &scene.server,
        &["/agents/management/modify/", &format!("/certificate_stores/schedule/{east}/")],
    )
    .await;
    let body = json!({"JobAuditIds": [first["JobHistoryId"]]});
    let refused = operator.post("/OrchestratorJobs/Reschedule", &body).await;
    assert!(refused.refused(403).contains("/certificate_stores/schedule/"));
    assert!(scene.scheduled(&format!("Id -eq {}", first["JobId"])).await.is_empty());
    let refused = operator.post("/OrchestratorJobs/Reschedule", &json!({"Query": "Result -eq 4"})).await;
    refused.refused(403);
    sqlx::query("UPDATE certificate_stores SET container_id = $1")
        .bind(east)
        .execute(scene.server.database())
        .await
        .unwrap();
    assert_eq!(operator.post("/OrchestratorJobs/Reschedule", &body).await.status.as_u16(), 204);
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_jobs_are_unscheduled_and_running_ones_and_inventories_are_not() {
    let scene = Scene::begin().await;
    let (first, second) = (scene.add().await, scene.add().await);
    let leased = scene.take(&first).await;
    let answer = scene.post("Unschedule", json!({"JobIds": [first, second]})).await;
    assert!(answer.refused(400).contains(&format!("job {first} is running")));
    assert_eq!(scene.scheduled(&format!("Id -eq \"{second}\"")).await.len(), 1, "all or none");
    let unknown = uuid::Uuid::new_v4();
    let answer = scene.post("Unschedule", json!({"JobIds": [second, unknown]})).await;
    assert!(answer.refused(404).contains(&unknown.to_string()));
    let answer = scene.post("Unschedule", json!({"JobIds": ["nonsense"]})).await;
    assert!(answer.refused(400).contains("JobIds[0]"), "{}", answer.text);
    scene.post("Unschedule", json!({})).await.refused(400);

    assert_eq!(scene.post("Unschedule", json!({"JobIds": [second]})).await.status.as_u16(), 204);
    assert!(scene.scheduled(&format!("Id -eq \"{second}\"")).await.is_empty());
    assert_eq!(scene.audited("was unscheduled").await, 1);

    // A job that waits for its next attempt: the attempt before was its last, and the store is free.
    scene.agent.complete(&leased, Outcome::TransientFailure, "busy").await;
    let row = scene.history(&format!("JobId -eq \"{first}\"")).await.remove(0);
    assert_eq!(row["Status"], 5);
    let answer = scene.post("Unschedule", json!({"Query": "Status -eq 5"})).await;
    assert_eq!(answer.status.as_u16(), 204);
    let row = scene.history(&format!("JobId -eq \"{first}\"")).await.remove(0);
    assert_eq!((&row["Status"], &row["Result"]), (&json!(3), &json!(4)), "nobody waits for it any more");
    let third = scene.add().await;
    assert_eq!(scene.take(&third).await.attempt, 1);

    let body =
        json!({"StoreIds": [scene.store], "Schedule": {"Daily": {"Time": "2026-01-01T03:15:00+02:00"}}});
    scene.server.admin.post("/CertificateStores/Schedule", &body).await.ok();
    let daily = scene.scheduled("JobType -eq \"PEMInventory\"").await.remove(0);
    let time = daily["Schedule"]["Daily"]["Time"].as_str().unwrap();
    assert!(time.ends_with("T01:15:00Z") && !time.starts_with("2026-01-01"), "today's date: {daily}");
    let answer = scene.post("Unschedule", json!({"JobIds": [daily["Id"]]})).await;
    assert!(answer.refused(400).contains("inventory schedule"), "{}", answer.text);
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lists_show_and_filter_schedules() {
    let scene = Scene::begin().await;
    let at = scene.server.clock.now() + TimeDelta::hours(2);
    let mut body = addition(scene.certificate, &[&scene.store]);
    body["Schedule"] = json!({"ExactlyOnce": {"Time": at.to_rfc3339()}});
    let ids = scene.server.admin.post("/CertificateStores/Certificates/Add", &body).await.ok();
    let waiting = scene.scheduled(&format!("AgentId -eq \"{}\"", scene.agent.id)).await;
    assert_eq!(waiting[0]["Id"], ids[0]);
    assert!(waiting[0]["Schedule"]["ExactlyOnce"]["Time"].as_str().unwrap().ends_with('Z'));
    assert!(waiting[0]["WaitingReason"].as_str().unwrap().starts_with("before its time"));
    assert!(waiting[0]["Requested"].is_string() && waiting[0]["Target"] == "/etc/tls/site.pem");
    scene.server.clock.advance(TimeDelta::hours(3));
    let leased = scene.take(ids[0].as_str().unwrap()).await;
    scene.agent.complete(&leased, Outcome::Failure, "no").await;
    assert_eq!(scene.history("ScheduleType -startswith \"O_\"").await.len(), 1);
    let immediate = scene.ended(Outcome::Failure, "no").await;
    assert!(immediate.get("Schedule").is_none(), "left out when there is none");
    let rows = scene.history("ScheduleType -eq NULL AND JobType -eq \"PEMManagement\" AND AgentMachine -eq \"web1.example.test\"").await;
    assert_eq!(rows.len(), 1);
    scene.server.stop().await;
}
