//! Requests that wait for approval: nothing that was acknowledged is lost, and each is decided once.

use reqwest::Method;
use sealift_pki::{KeyAlgorithm, PrivateKey};
use sealift_protocol::agent::leases::Work;
use serde_json::{Value, json};
use support::client::Client;
use support::{RawAgent, TestServer};

use super::enrollment::{csr, define_owner, enroll_as, template_id};
use super::permissions::caller;

/// A server whose template asks for approval.
async fn strict() -> TestServer {
    let server = TestServer::start().await;
    define_owner(&server.admin).await;
    let id = template_id(&server.admin, "TLSServer").await;
    server.admin.put("/Templates", &json!({"Id": id, "RequiresApproval": true})).await.ok();
    server
}

async fn ask(client: &Client, name: &str, more: Value) -> Value {
    let mut body = json!({"Subject": format!("CN={name}"), "Template": "TLSServer", "Password": "correct horse",
        "SANs": {"dns": [name]}, "Metadata": {"Owner": "web"}, "Timestamp": "2026-05-04T09:30:00Z"});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    enroll_as(client, "/Enrollment/PFX", "STORE", "2", &body).await.ok()
}

fn request_id(answer: &Value) -> i64 {
    answer["CertificateInformation"]["KeyfactorRequestId"].as_i64().unwrap()
}

async fn listed(client: &Client, state: &str) -> Vec<i64> {
    let rows = client.get(&format!("/Workflow/Certificates/{state}?pagedQuery.returnLimit=1000")).await.ok();
    rows.as_array().unwrap().iter().map(|row| row["Id"].as_i64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_with_its_key_and_is_issued_once() {
    let server = strict().await;
    let admin = &server.admin;
    let answer = ask(admin, "www.example.test", json!({})).await;
    let information = &answer["CertificateInformation"];
    assert_eq!(
        (&information["RequestDisposition"], &information["KeyfactorId"]),
        (&json!("PENDING"), &json!(0))
    );
    assert_eq!((&information["Pkcs12Blob"], &information["Password"]), (&json!(""), &Value::Null));
    let id = request_id(&answer);
    assert!(id > 0 && information["WorkflowReferenceId"] == id);
    assert_eq!(listed(admin, "Pending").await, [id]);
    assert!(listed(admin, "Denied").await.is_empty() && listed(admin, "ExternalValidation").await.is_empty());
    let details = admin.get(&format!("/Workflow/Certificates/{id}")).await.ok();
    assert_eq!(details["CommonName"], "www.example.test");
    assert_eq!((&details["State"], &details["StateString"]), (&json!(5), &json!("Pending (5)")));
    assert_eq!(
        (&details["SANs"], &details["Metadata"]["Owner"]),
        (&json!(["www.example.test"]), &json!("web"))
    );
    assert!(details["SubmissionDate"].as_str().unwrap().ends_with('Z'));
    let plain: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM enrollment_requests WHERE position('\\x3082'::bytea IN sealed_key) = 1",
    )
    .fetch_one(server.database())
    .await
    .unwrap();
    assert_eq!(plain, 0, "the key waits sealed");

    let body = json!([id, 999]);
    let decided = admin.post("/Workflow/Certificates/Approve", &body).await.ok();
    assert_eq!(decided["Successes"][0]["KeyfactorRequestId"], id);
    assert_eq!(decided["Failures"][0]["KeyfactorRequestId"], 999);
    let certificate = decided["Successes"][0]["CertificateId"].as_i64().unwrap();
    let polled = admin.query("/Certificates", &format!("CertRequestId -eq {id}")).await.ok();
    assert_eq!((&polled[0]["Id"], &polled[0]["CertRequestId"]), (&json!(certificate), &json!(id)));
    let again = admin.post("/Workflow/Certificates/Approve", &json!([id, id])).await.ok();
    assert_eq!(again["Successes"].as_array().unwrap().len(), 1);
    assert_eq!(again["Successes"][0]["CertificateId"], certificate);
    let found = admin
        .get(&format!("/Certificates/{certificate}?includeMetadata=true&includeHasPrivateKey=true"))
        .await
        .ok();
    assert_eq!((&found["HasPrivateKey"], &found["Metadata"]["Owner"]), (&json!(true), &json!("web")));
    assert_eq!(found["RequesterName"], details["Requester"]);
    assert!(listed(admin, "Pending").await.is_empty());
    let (issued, keys): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM certificates), (SELECT count(*) FROM enrollment_requests WHERE sealed_key IS NOT NULL)",
    )
    .fetch_one(server.database())
    .await
    .unwrap();
    assert_eq!((issued, keys), (1, 0), "one certificate, and its key waits no more");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_approve_at_once_issue_one_certificate() {
    let server = strict().await;
    let id = request_id(&ask(&server.admin, "www.example.test", json!({})).await);
    let mut ids = std::collections::BTreeSet::new();
    let mut set = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let admin = server.admin.clone();
        set.spawn(async move { admin.post("/Workflow/Certificates/Approve", &json!([id])).await.ok() });
    }
    while let Some(decided) = set.join_next().await {
        ids.insert(decided.unwrap()["Successes"][0]["CertificateId"].as_i64().unwrap());
    }
    assert_eq!(ids.len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_wait_with_their_request() {
    let server = strict().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let (first, second) =
        (agent.store(&server, 2, "/etc/tls/a.pem").await, agent.store(&server, 103, "/srv/ccs").await);
    let unknown = uuid::Uuid::new_v4().to_string();
    let answer =
        ask(admin, "www.example.test", json!({"Stores": [{"StoreId": first}, {"StoreId": unknown}]})).await;
    assert_eq!(answer["SuccessfulStores"], json!([first]));
    let id = request_id(&answer);
    let deploy = json!({"RequestId": id, "CertificateId": 0, "Password": "t7!Qz-example",
        "Stores": [{"StoreId": second, "Overwrite": true}]});
    let deployed = admin.post("/Enrollment/PFX/Deploy", &deploy).await.ok();
    assert_eq!((&deployed["SuccessfulStores"], &deployed["Jobs"]), (&json!([second]), &json!([])));
    assert!(agent.lease(0).await.is_empty(), "nothing is delivered before it is issued");
    let details = admin.get(&format!("/Workflow/Certificates/{id}")).await.ok();
    let paths: Vec<&str> = details["CertStores"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["StorePath"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["/etc/tls/a.pem", "/srv/ccs"]);

    admin.post("/Workflow/Certificates/Approve", &json!([id])).await.ok();
    let jobs = agent.lease(0).await;
    assert_eq!(jobs.len(), 2);
    for job in &jobs {
        let Work::Add(add) = &job.work else { panic!("an addition") };
        assert!(add.private_key.is_some() && add.certificates.len() == 2);
        assert_eq!(add.overwrite, job.store.store_type == "CCS");
    }
    let left: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM enrollment_deliveries WHERE outcome IS NULL OR sealed_password IS NOT NULL",
    )
    .fetch_one(server.database())
    .await
    .unwrap();
    assert_eq!(left, 0);
    // Now that it is issued, the request stands for its certificate.
    let third = agent.store(&server, 2, "/etc/tls/c.pem").await;
    let deploy = json!({"RequestId": id, "Stores": [{"StoreId": third}], "Password": "t7!Qz-example"});
    let deployed = admin.post("/Enrollment/PFX/Deploy", &deploy).await.ok();
    assert_eq!(deployed["Jobs"][0]["StoreId"], json!(third));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_request_is_over() {
    let server = strict().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 2, "/etc/tls/a.pem").await;
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let pfx = request_id(&ask(admin, "www.example.test", json!({"Stores": [{"StoreId": store}]})).await);
    let by_csr = admin
        .post(
            "/Enrollment/CSR",
            &json!({"CSR": csr(&key, "shop.example.test", &[]), "Template": "TLSServer"}),
        )
        .await
        .ok();
    assert_eq!(by_csr["CertificateInformation"]["Certificates"], json!([]));
    let by_csr = request_id(&by_csr);
    let denied = json!({"Comment": "not ours", "CertificateRequestIds": [pfx, 999]});
    let denied = admin.post("/Workflow/Certificates/Deny", &denied).await.ok();
    assert_eq!(denied["Denials"][0]["KeyfactorRequestId"], pfx);
    assert_eq!(denied["Failures"][0]["KeyfactorRequestId"], 999);
    assert_eq!(listed(admin, "Denied").await, [pfx]);
    assert_eq!(admin.get(&format!("/Workflow/Certificates/{pfx}")).await.ok()["DenialComment"], "not ours");
    let approved = admin.post("/Workflow/Certificates/Approve", &json!([pfx, by_csr])).await.ok();
    assert_eq!(approved["Failures"][0]["KeyfactorRequestId"], pfx);
    assert_eq!(approved["Successes"][0]["KeyfactorRequestId"], by_csr);
    let deploy = json!({"RequestId": pfx, "Stores": [{"StoreId": store}], "Password": "t7!Qz-example"});
    assert!(admin.post("/Enrollment/PFX/Deploy", &deploy).await.refused(400).contains("was denied"));
    assert!(agent.lease(0).await.is_empty());
    let kept: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM enrollment_requests WHERE sealed_key IS NOT NULL OR csr IS NOT NULL",
    )
    .fetch_one(server.database())
    .await
    .unwrap();
    assert_eq!(kept, 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_need_their_permission_and_a_list_of_ids() {
    let server = strict().await;
    let id = request_id(&ask(&server.admin, "www.example.test", json!({})).await);
    let reader = caller(&server, &["/workflows/management/read/"]).await;
    assert_eq!(listed(&reader, "Pending").await, [id]);
    reader.post("/Workflow/Certificates/Approve", &json!([id])).await.refused(403);
    reader.post("/Workflow/Certificates/Deny", &json!({"CertificateRequestIds": [id]})).await.refused(403);
    let decider = caller(&server, &["/workflows/management/participate/"]).await;
    decider.get("/Workflow/Certificates/Pending").await.refused(403);
    for (path, body) in [
        ("/Workflow/Certificates/Approve", json!([])),
        ("/Workflow/Certificates/Approve", json!(["one"])),
        ("/Workflow/Certificates/Approve", json!({"Ids": [1]})),
        ("/Workflow/Certificates/Approve", json!((0..101).collect::<Vec<i64>>())),
        ("/Workflow/Certificates/Deny", json!({"Comment": "x"})),
        ("/Workflow/Certificates/Deny", json!({"Comment": "x".repeat(2_001), "CertificateRequestIds": [id]})),
    ] {
        server.admin.post(path, &body).await.refused(400);
    }
    server.admin.get("/Workflow/Certificates/999").await.refused(404);
    assert_eq!(listed(&server.admin, "Pending").await, [id], "nothing was decided");
    let others = caller(&server, &["/certificates/enrollment/pfx/", "/certificate_stores/schedule/"]).await;
    let deploy =
        json!({"RequestId": id, "Stores": [{"StoreId": uuid::Uuid::new_v4()}], "Password": "t7!Qz-example"});
    others.post("/Enrollment/PFX/Deploy", &deploy).await.refused(403);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_are_requests_under_another_name() {
    let server = strict().await;
    let admin = &server.admin;
    let mut instances = Vec::new();
    for name in ["a.example.test", "b.example.test", "c.example.test"] {
        let answer = ask(admin, name, json!({})).await;
        instances.push(answer["CertificateInformation"]["WorkflowInstanceId"].as_str().unwrap().to_owned());
    }
    for list in ["/Workflow/Instances", "/Workflow/Instances/My", "/Workflow/Instances/AssignedToMe"] {
        let rows = admin.get(list).await;
        assert_eq!(rows.headers["x-total-count"], "3", "{list}");
        assert_eq!(rows.ok()[0]["Status"], 2);
    }
    let path = |index: usize, end: &str| format!("/Workflow/Instances/{}{end}", instances[index]);
    let one = admin.get(&path(0, "")).await.ok();
    assert_eq!(one["CurrentStepUniqueName"], "RequireApproval");
    assert_eq!(one["Definition"]["WorkflowType"], "Enrollment");
    let signal = |approved: Value| json!({"SignalKey": "RequireApproval.ApprovalStatus", "Data": {"Approved": approved, "Comment": "no"}});
    assert!(admin.delete(&path(0, "")).await.refused(400).contains("still waits"));
    assert_eq!(admin.post(&path(0, "/Signals"), &signal(json!(true))).await.status, 204);
    assert_eq!(
        admin.post(&path(0, "/Signals"), &signal(json!(true))).await.status,
        204,
        "a repeat says the same"
    );
    admin.post(&path(0, "/Signals"), &signal(json!(false))).await.refused(400);
    assert_eq!(admin.post(&path(1, "/Signals"), &signal(json!(false))).await.status, 204);
    admin
        .post(&path(2, "/Signals"), &json!({"SignalKey": "Other", "Data": {"Approved": true}}))
        .await
        .refused(400);
    admin.post(&path(2, "/Signals"), &json!({"SignalKey": "ApprovalStatus"})).await.refused(400);
    assert_eq!(admin.post(&path(2, "/Stop"), &json!({})).await.status, 204);
    admin.post(&path(2, "/Restart"), &json!({})).await.refused(400);
    for (index, status) in [(0, 4), (1, 5), (2, 5)] {
        assert_eq!(admin.get(&path(index, "")).await.ok()["Status"], status, "{index}");
    }
    admin.delete(&path(0, "")).await.refused(400);
    assert_eq!(admin.delete(&path(1, "")).await.status, 204);
    admin.get(&path(1, "")).await.refused(404);
    admin.get("/Workflow/Instances/nothing").await.refused(404);
    let other = caller(&server, &["/workflows/instances/read_my/"]).await;
    assert_eq!(other.get("/Workflow/Instances/My").await.ok(), json!([]));
    other.get(&path(0, "")).await.refused(403);
    other.get("/Workflow/Instances").await.refused(403);
    let powerless = other.send(other.request(Method::POST, &path(2, "/Stop"))).await;
    powerless.refused(403);
    server.stop().await;
}
