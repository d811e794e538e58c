//! Custom jobs, from their type to their result, over the published protocol; and the retrieval of logs.

use chrono::TimeDelta;
use sealift_server::scheduler::Sweep;
use serde_json::{Value, json};
use support::{RawAgent, TestServer};

use super::conformance::{PublishedAgent, pem_capabilities};
use super::permissions::caller;

const RESTART: &str = "Restart";

fn restart_type() -> Value {
    json!({"JobTypeName": RESTART, "Description": "Restarts a service.", "JobTypeFields": [
        {"Name": "Service", "Type": 1, "Required": true},
        {"Name": "Tries", "Type": "Int", "DefaultValue": "3"},
        {"Name": "Token", "Type": 5}]})
}

async fn server_with_type() -> (TestServer, Value) {
    let server = TestServer::start().await;
    let made = server.admin.post("/JobTypes/Custom", &restart_type()).await.ok();
    (server, made)
}

fn with_restart() -> Value {
    json!(["CertStores.PEM.Inventory", "Custom.Restart", "Custom.FetchLogs"])
}

async fn history(server: &TestServer, job: &Value) -> Vec<Value> {
    let rows = server.admin.query("/OrchestratorJobs/JobHistory", &format!("JobId -eq {job}")).await.ok();
    rows.as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_job_reaches_its_agent_with_its_values_and_its_result_is_kept() {
    let (server, made) = server_with_type().await;
    let mut agent = PublishedAgent::enroll(&server, "edge-1", with_restart()).await;
    let body = json!({"AgentId": agent.id, "JobTypeName": "restart",
        "JobFields": {"service": "httpd", "TOKEN": "canary-token"}});
    let answer = server.admin.post("/OrchestratorJobs/Custom", &body).await;
    assert!(!answer.text.contains("canary"), "{}", answer.text);
    let job = answer.ok();
    assert_eq!((&job["OrchestratorId"], &job["JobTypeName"]), (&json!(agent.id), &json!(RESTART)));
    assert_eq!(job["Schedule"], json!({"Immediate": true}));
    assert!(job["RequestTimestamp"].as_str().unwrap().ends_with('Z'));
    let fields = job["JobFields"].as_array().unwrap();
    assert!(fields.contains(&json!({"JobTypeField": "Service", "Value": "httpd"})));
    assert!(fields.contains(&json!({"JobTypeField": "Tries", "Value": "3"})));
    assert!(fields.contains(&json!({"JobTypeField": "Token", "Value": "*".repeat(20)})));

    let waiting =
        server.admin.query("/OrchestratorJobs/ScheduledJobs", &format!("Id -eq {}", job["JobId"])).await;
    assert!(!waiting.text.contains("canary"));
    assert_eq!(waiting.body[0]["JobType"], RESTART);
    let list = agent.register().await;
    assert_eq!((list.len(), &list[0]["JobTypeId"], &list[0]["JobId"]), (1, &made["Id"], &job["JobId"]));
    let configured = agent.configure(&list[0]).await;
    assert_eq!(
        configured["Job"]["JobProperties"],
        json!({"Service": "httpd", "Tries": "3", "Token": "canary-token"})
    );
    let endpoint = list[0]["CompletionEndpoint"].as_str().unwrap();
    let result = json!({"Status": 2, "AuditId": configured["AuditId"], "JobId": job["JobId"], "Message": "restarted",
        "Data": "pid 4711"});
    let (_, heard) = agent.call(endpoint, result).await;
    assert!(heard["InventoryJob"].is_null(), "no store was changed");

    let rows = history(&server, &job["JobId"]).await;
    assert_eq!((rows.len(), &rows[0]["Result"], &rows[0]["JobType"]), (1, &json!(2), &json!(RESTART)));
    assert_eq!((&rows[0]["StorePath"], rows[0].get("StoreId")), (&json!(""), None));
    let data = server
        .admin
        .get(&format!("/OrchestratorJobs/JobStatus/Data?jobHistoryId={}", rows[0]["JobHistoryId"]))
        .await;
    assert_eq!(data.ok(), json!({"JobHistoryId": rows[0]["JobHistoryId"], "Data": "pid 4711"}));
    let sealed: Vec<u8> =
        sqlx::query_scalar("SELECT sealed_data FROM job_data").fetch_one(server.database()).await.unwrap();
    assert!(!sealed.windows(4).any(|window| window == b"4711"), "not readable in the database");
    assert!(agent.register().await.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_without_the_capability_get_no_custom_job() {
    let (server, _) = server_with_type().await;
    let able = PublishedAgent::enroll(&server, "edge-1", with_restart()).await;
    let ours = RawAgent::enroll(&server, "web1.example.test").await;
    let fields = json!({"Service": "httpd"});
    let body = json!({"AgentId": ours.id, "JobTypeName": RESTART, "JobFields": fields});
    let answer = server.admin.post("/OrchestratorJobs/Custom", &body).await;
    assert!(answer.refused(400).contains("does not report the capability Custom.Restart"));
    let unknown = uuid::Uuid::new_v4().to_string();
    let body = json!({"AgentId": unknown, "JobTypeName": RESTART, "JobFields": fields});
    server.admin.post("/OrchestratorJobs/Custom", &body).await.refused(404);

    let body =
        json!({"OrchestratorIds": [able.id, ours.id, unknown], "JobTypeName": RESTART, "JobFields": fields});
    let answer = server.admin.post("/OrchestratorJobs/Custom/Bulk", &body).await.ok();
    let pairs = answer["OrchestratorJobPairs"].as_array().unwrap();
    assert_eq!((pairs.len(), &pairs[0]["OrchestratorId"]), (1, &json!(able.id)));
    let failed = answer["FailedOrchestratorIds"].as_array().unwrap();
    assert!(failed.len() == 2 && failed.contains(&json!(ours.id)) && failed.contains(&json!(unknown)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_make_no_sense_are_refused_and_schedule_nothing() {
    let (server, _) = server_with_type().await;
    let agent = PublishedAgent::enroll(&server, "edge-1", with_restart()).await;
    let good = json!({"AgentId": agent.id, "JobTypeName": RESTART, "JobFields": {"Service": "httpd"}});
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    for (body, status, named) in [
        (with("AgentId", Value::Null), 400, "AgentId is required"),
        (with("AgentId", json!("x")), 400, "AgentId: 'x'"),
        (with("JobTypeName", Value::Null), 400, "JobTypeName is required"),
        (with("JobTypeName", json!("Other")), 404, "custom job type Other was not found"),
        (with("JobFields", json!({})), 400, "JobFields.Service is required"),
        (with("JobFields", json!({"Service": "x", "Tries": "many"})), 400, "JobFields.Tries"),
        (with("JobFields", json!({"Service": "x", "Speed": "1"})), 400, "JobFields.Speed"),
        (with("Schedule", json!({"Off": true})), 400, "Schedule"),
        (with("Schedule", json!({"Interval": {"Minutes": 0}})), 400, "Interval.Minutes"),
        (
            with("Schedule", json!({"Monthly": {"Day": 32, "Time": "2026-01-01T00:00:00Z"}})),
            400,
            "Monthly.Day",
        ),
        (with("Schedule", json!({"Immediate": true, "Interval": {"Minutes": 5}})), 400, "exactly one member"),
    ] {
        let answer = server.admin.post("/OrchestratorJobs/Custom", &body).await;
        assert!(answer.refused(status).contains(named), "{}", answer.text);
    }
    let bulk = json!({"OrchestratorIds": [], "JobTypeName": RESTART});
    server.admin.post("/OrchestratorJobs/Custom/Bulk", &bulk).await.refused(400);
    let waiting: i64 =
        sqlx::query_scalar("SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM recurring_jobs)")
            .fetch_one(server.database())
            .await
            .unwrap();
    assert_eq!(waiting, 0);
    let reader = caller(&server, &["/agents/management/read/"]).await;
    reader.post("/OrchestratorJobs/Custom", &good).await.refused(403);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weekly_job_comes_again_under_one_id_until_it_is_unscheduled() {
    let (server, made) = server_with_type().await;
    let mut agent = PublishedAgent::enroll(&server, "edge-1", with_restart()).await;
    let body = json!({"AgentId": agent.id, "JobTypeName": RESTART, "JobFields": {"Service": "httpd"},
        "Schedule": {"Weekly": {"Days": ["Sunday", 3], "Time": "2026-01-01T03:15:00Z"}}});
    let job = server.admin.post("/OrchestratorJobs/Custom", &body).await.ok();
    assert_eq!(job["Schedule"]["Weekly"]["Days"], json!(["Sunday", "Wednesday"]), "as it was given");
    assert!(agent.register().await.is_empty(), "not before its time");
    for round in 1..=3 {
        server.clock.advance(TimeDelta::days(7));
        server.sweep(Sweep::RecurringJobs).await;
        server.sweep(Sweep::RecurringJobs).await;
        let list = agent.register().await;
        assert_eq!((list.len(), &list[0]["JobId"]), (1, &job["JobId"]), "round {round}");
        let configured = agent.configure(&list[0]).await;
        let status = if round == 3 { 4 } else { 2 };
        agent.complete(&list[0], configured["AuditId"].clone(), status, "").await;
    }
    let rows = history(&server, &job["JobId"]).await;
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["Schedule"]["Weekly"]["Days"], json!(["Sunday", "Wednesday"]));
    let weekly =
        server.admin.query("/OrchestratorJobs/JobHistory", "ScheduleType -eq \"W_14_03:15\"").await.ok();
    assert_eq!(weekly.as_array().unwrap().len(), 3);
    let shown =
        server.admin.query("/OrchestratorJobs/ScheduledJobs", &format!("Id -eq {}", job["JobId"])).await.ok();
    assert_eq!(shown[0]["Schedule"]["Weekly"]["Days"], json!(["Sunday", "Wednesday"]));

    // A type that is in use stays; the job says so.
    let path = format!("/JobTypes/Custom/{}", made["Id"].as_str().unwrap());
    let refused = server.admin.delete(&path).await;
    assert!(refused.refused(400).contains(job["JobId"].as_str().unwrap()));
    let gone = json!({"JobIds": [job["JobId"]]});
    assert_eq!(server.admin.post("/OrchestratorJobs/Unschedule", &gone).await.status.as_u16(), 204);
    server.clock.advance(TimeDelta::days(14));
    server.sweep(Sweep::ReleaseRetries).await;
    server.sweep(Sweep::RecurringJobs).await;
    assert!(agent.register().await.is_empty(), "it comes no more");
    let last = history(&server, &job["JobId"]).await;
    assert!(last.iter().all(|row| row["Status"] == 3), "and no attempt is awaited: {last:?}");
    assert_eq!(server.admin.delete(&path).await.status.as_u16(), 204);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_of_a_weekly_job_is_rescheduled_and_that_of_a_daily_one_is_not() {
    let (server, _) = server_with_type().await;
    let mut agent = PublishedAgent::enroll(&server, "edge-1", with_restart()).await;
    let mut jobs = Vec::new();
    for schedule in [
        json!({"Monthly": {"Day": 31, "Time": "2026-01-01T00:10:00Z"}}),
        json!({"Daily": {"Time": "2026-01-01T00:10:00Z"}}),
    ] {
        let body = json!({"AgentId": agent.id, "JobTypeName": RESTART, "JobFields": {"Service": "x"},
            "Schedule": schedule});
        jobs.push(server.admin.post("/OrchestratorJobs/Custom", &body).await.ok()["JobId"].clone());
    }
    server.clock.advance(TimeDelta::days(40));
    server.sweep(Sweep::RecurringJobs).await;
    for job in agent.register().await {
        let configured = agent.configure(&job).await;
        // Three of a native agent's words for "no" means no.
        agent.complete(&job, configured["AuditId"].clone(), 3, "refused").await;
    }
    let mut audits = Vec::new();
    for job in &jobs {
        audits.push(history(&server, job).await[0]["JobHistoryId"].clone());
    }
    let answer = server.admin.post("/OrchestratorJobs/Reschedule", &json!({"JobAuditIds": audits})).await;
    assert!(answer.refused(400).contains("weekly or monthly"));
    let answer =
        server.admin.post("/OrchestratorJobs/Reschedule", &json!({"JobAuditIds": [audits[0]]})).await;
    assert_eq!(answer.status.as_u16(), 204);
    let list = agent.register().await;
    assert_eq!((list.len(), &list[0]["JobId"]), (1, &jobs[0]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn types_are_made_changed_listed_and_deleted() {
    let (server, made) = server_with_type().await;
    let id = made["Id"].as_str().unwrap().to_owned();
    assert_eq!(made["JobTypeFields"][1]["Type"], 2, "numbers in answers");
    let taken = server.admin.post("/JobTypes/Custom", &json!({"JobTypeName": "RESTART"})).await;
    assert!(taken.refused(400).contains("'RESTART' exists already"));
    for (body, named) in [
        (json!({}), "JobTypeName"),
        (json!({"JobTypeName": "FetchLogs"}), "FetchLogs"),
        (json!({"JobTypeName": "x", "JobTypeFields": [{"Name": "a", "Type": 9}]}), "JobTypeFields[0].Type"),
        (json!({"JobTypeName": "x".repeat(101)}), "JobTypeName"),
    ] {
        assert!(server.admin.post("/JobTypes/Custom", &body).await.refused(400).contains(named));
    }
    let listed = server.admin.query("/JobTypes/Custom", "JobTypeName -contains \"start\"").await;
    assert_eq!((listed.headers["x-total-count"].as_bytes(), &listed.body[0]["Id"]), (&b"1"[..], &made["Id"]));
    let put = |body: Value| {
        let client = server.admin.clone();
        async move {
            let request = client.request(reqwest::Method::PUT, "/JobTypes/Custom").json(&body);
            client.send(request).await
        }
    };
    let changed = put(json!({"Id": id, "JobTypeName": "Reload", "Description": "d"})).await.ok();
    assert_eq!((&changed["Id"], &changed["JobTypeName"]), (&made["Id"], &json!("Reload")));
    assert_eq!(changed["JobTypeFields"], json!([]));
    put(json!({"JobTypeName": "Reload"})).await.refused(400);
    put(json!({"Id": uuid::Uuid::new_v4().to_string(), "JobTypeName": "Reload"})).await.refused(404);
    server.admin.post("/JobTypes/Custom", &restart_type()).await.ok();
    assert!(put(json!({"Id": id, "JobTypeName": RESTART})).await.refused(400).contains("exists already"));
    let path = format!("/JobTypes/Custom/{id}");
    assert_eq!(server.admin.get(&path).await.ok()["JobTypeName"], "Reload");
    assert_eq!(server.admin.delete(&path).await.status.as_u16(), 204);
    assert!(server.admin.get(&path).await.refused(404).contains("not found"));
    server.admin.delete("/JobTypes/Custom/nonsense").await.refused(404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_sends_its_log_and_only_where_it_can() {
    let server = TestServer::start().await;
    let mut agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let fetch = format!("/Agents/{}/FetchLogs", agent.id);
    for _ in 0..2 {
        assert_eq!(server.admin.post(&fetch, &Value::Null).await.status.as_u16(), 204);
    }
    let list = agent.register().await;
    assert_eq!(list.len(), 1, "one retrieval at a time");
    assert_eq!(list[0]["JobTypeId"], "0d8cf0c8-56ca-4b8a-b16a-c062018e170d");
    let configured = agent.configure(&list[0]).await;
    assert!(configured["MaxCharactersToReturn"].as_i64().unwrap() > 100_000);
    let log = "[2026-11-22 02:03:25] - [INFO]    - canary-password\n";
    let body = json!({"Status": 2, "AuditId": configured["AuditId"], "JobId": list[0]["JobId"], "Message": "",
        "Log": log});
    agent.call(list[0]["CompletionEndpoint"].as_str().unwrap(), body).await;
    let row = history(&server, &list[0]["JobId"]).await.remove(0);
    assert_eq!((&row["JobType"], &row["Result"]), (&json!("FetchLogs"), &json!(2)));
    assert!(!row.to_string().contains("canary"), "a log is no message");
    let path = format!("/OrchestratorJobs/JobStatus/Data?jobHistoryId={}", row["JobHistoryId"]);
    assert_eq!(server.admin.get(&path).await.ok()["Data"], log);
    caller(&server, &["/certificate_stores/read/"]).await.get(&path).await.refused(403);
    server.admin.get("/OrchestratorJobs/JobStatus/Data").await.refused(400);
    server.admin.get("/OrchestratorJobs/JobStatus/Data?jobHistoryId=x").await.refused(400);
    server.admin.get("/OrchestratorJobs/JobStatus/Data?jobHistoryId=99999999").await.refused(404);

    let ours = RawAgent::enroll(&server, "web1.example.test").await;
    let answer = server.admin.post(&format!("/Agents/{}/FetchLogs", ours.id), &Value::Null).await;
    assert!(answer.refused(400).contains("Custom.FetchLogs"));
    let answer = server.admin.post("/Agents/nonsense/FetchLogs", &Value::Null).await;
    assert!(answer.refused(404).contains("not found"));
    server.stop().await;
}
