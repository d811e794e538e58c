//! Adding and deploying certificates, up to what agents get and operators see.

use sealift_protocol::agent::inventory::{InventoryPage, StoreEntry};
use sealift_protocol::agent::leases::{Disposition, LeaseKey, LeasedJob, Outcome, Work};
use sealift_protocol::agent::paths;
use serde_json::{Value, json};
use support::story::{addition, enroll, enrollment};
use support::{RawAgent, TestServer};

/// Uploads what a store holds after `certificates` were put there.
pub(crate) async fn upload(agent: &RawAgent, job: &LeasedJob, alias: &str, certificates: Vec<String>) {
    let page = InventoryPage {
        lease: LeaseKey { job_id: job.job_id, lease_token: job.lease_token },
        base: None,
        version: uuid::Uuid::new_v4().to_string(),
        page: 1,
        last: true,
        entries: vec![StoreEntry {
            alias: alias.to_owned(),
            certificates,
            private_key_entry: true,
            parameters: [("PrivateKeyEntry".to_owned(), "Yes".to_owned())].into(),
        }],
        removed: Vec::new(),
    };
    let (status, body) = agent.call(paths::INVENTORY, &page).await;
    assert_eq!((status.as_u16(), body["Disposition"].as_str()), (200, Some("Stored")));
}

/// Runs whatever an agent gets, as an agent with a store in memory would, until nothing more comes.
pub(crate) async fn work_off(agent: &RawAgent) -> Vec<LeasedJob> {
    let mut done = Vec::new();
    let mut placed = std::collections::HashMap::new();
    loop {
        let jobs = agent.lease(0).await;
        if jobs.is_empty() {
            return done;
        }
        for job in jobs {
            match &job.work {
                Work::Add(add) => {
                    placed.insert(job.store.store_id, add.certificates.clone());
                }
                Work::Inventory => {
                    upload(
                        agent,
                        &job,
                        "entry",
                        placed.get(&job.store.store_id).cloned().unwrap_or_default(),
                    )
                    .await;
                }
                Work::Remove(_)
                | Work::Create
                | Work::Discover(_)
                | Work::Reenroll(_)
                | Work::FetchLog(_) => {}
            }
            assert_eq!(agent.complete(&job, Outcome::Success, "done").await, Disposition::Recorded);
            done.push(job);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_add_to_two_stores_is_two_jobs_and_both_are_seen_everywhere() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let pem = agent.store(&server, 2, "/etc/tls/site.pem").await;
    let ccs = agent.store(&server, 103, "/srv/ccs").await;
    let certificate = enroll(&server.admin, &["www.example.test", "*.example.test"]).await;
    let added =
        server.admin.post("/CertificateStores/Certificates/Add", &addition(certificate, &[&pem, &ccs])).await;
    let ids: Vec<String> = serde_json::from_value(added.ok()).unwrap();
    assert_eq!(ids.len(), 2);

    let done = work_off(&agent).await;
    assert_eq!(done.len(), 4, "two additions, and an inventory after each");
    for job in done.iter().filter(|job| matches!(job.work, Work::Add(_))) {
        let Work::Add(add) = &job.work else { unreachable!() };
        assert!(ids.contains(&job.job_id.to_string()));
        assert_eq!(add.certificates.len(), 2, "leaf and issuing authority, without the root");
        assert!(add.private_key.is_some());
        assert_eq!(job.store.password.is_some(), job.store.store_type == "CCS");
    }

    for (id, path) in ids.iter().zip(["/etc/tls/site.pem", "/srv/ccs"]) {
        let rows =
            server.admin.query("/OrchestratorJobs/JobHistory", &format!("JobId -eq \"{id}\"")).await.ok();
        let row = &rows.as_array().unwrap()[0];
        assert_eq!((row["Result"].as_i64(), row["Status"].as_i64()), (Some(2), Some(3)));
        assert_eq!(
            (row["StorePath"].as_str(), row["ClientMachine"].as_str()),
            (Some(path), Some("web1.example.test"))
        );
        assert!(row["OperationStart"].as_str().unwrap() <= row["OperationEnd"].as_str().unwrap());
    }
    let thumbprint =
        server.admin.get(&format!("/Certificates/{certificate}")).await.ok()["Thumbprint"].clone();
    for store in [&pem, &ccs] {
        let entries = server.admin.get(&format!("/CertificateStores/{store}/Inventory")).await;
        assert_eq!(entries.headers["x-total-count"], "1");
        let entries = entries.ok();
        assert_eq!(entries[0]["Name"], "entry");
        assert_eq!(entries[0]["Certificates"][0]["Thumbprint"], thumbprint);
    }
    let found = server.admin.get(&format!("/Certificates/{certificate}?includeLocations=true")).await.ok();
    let mut places: Vec<&str> = found["Locations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|place| place["StorePath"].as_str().unwrap())
        .collect();
    places.sort_unstable();
    assert_eq!(places, ["/etc/tls/site.pem", "/srv/ccs"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_judges_each_store_by_itself() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let good = agent.store(&server, 2, "/etc/tls/a.pem").await;
    let forbidden = agent.store(&server, 2, "/etc/tls/b.pem").await;
    let container = server.admin.post("/CertificateStoreContainers", &json!({"Name": "East"})).await.ok();
    let container = container["Id"].as_i64().unwrap();
    sqlx::query("UPDATE certificate_stores SET container_id = $1 WHERE id::text = $2")
        .bind(container)
        .bind(&good)
        .execute(server.database())
        .await
        .unwrap();
    let operator = super::permissions::caller(
        &server,
        &["/certificates/enrollment/pfx/", &format!("/certificate_stores/schedule/{container}/")],
    )
    .await;
    let certificate = enroll(&operator, &["www.example.test"]).await;
    let unknown = uuid::Uuid::new_v4().to_string();
    let body = json!({"Stores": [{"StoreId": good}, {"StoreId": unknown}, {"StoreId": forbidden}],
        "Password": "t7!Qz-example", "CertificateId": certificate, "RequestId": 0, "JobTime": "2020-01-01T00:00:00Z"});
    let answer = operator.post("/Enrollment/PFX/Deploy", &body).await.ok();
    assert_eq!(answer["SuccessfulStores"], json!([good]));
    assert_eq!(answer["FailedStores"], json!([unknown, forbidden]));
    assert_eq!(answer["Jobs"][0]["StoreId"], json!(good));
    let codes: Vec<&Value> = answer["Failures"].as_array().unwrap().iter().map(|f| &f["ErrorCode"]).collect();
    assert_eq!(codes, ["0xA0170001", "0xA0140002"]);
    let waiting: i64 =
        sqlx::query_scalar("SELECT count(*) FROM jobs").fetch_one(server.database()).await.unwrap();
    assert_eq!(waiting, 1, "one job only");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_form_of_deploy_still_works() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 2, "/etc/tls/a.pem").await;
    let enrolled = enrollment(&server.admin, &["www.example.test"]).await;
    let request = enrolled["CertificateInformation"]["WorkflowReferenceId"].clone();
    let body = json!({"StoreIds": [store], "StoreTypes": [{"StoreTypeId": 2, "Overwrite": true, "Properties": []}],
        "Password": "t7!Qz-example", "CertificateId": 0, "RequestId": request});
    let answer = server.admin.post("/Enrollment/PFX/Deploy", &body).await.ok();
    assert_eq!(answer["SuccessfulStores"], json!([store]));
    let job = agent.lease(0).await.remove(0);
    let Work::Add(add) = job.work else { panic!("an addition") };
    assert!(add.overwrite);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_one_store_run_one_at_a_time_and_in_order() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let (a, b) = (agent.store(&server, 2, "/a.pem").await, agent.store(&server, 2, "/b.pem").await);
    let (first, second) = (
        enroll(&server.admin, &["one.example.test"]).await,
        enroll(&server.admin, &["two.example.test"]).await,
    );
    for certificate in [first, second] {
        let added =
            server.admin.post("/CertificateStores/Certificates/Add", &addition(certificate, &[&a, &b])).await;
        added.ok();
    }
    let leased = agent.lease(0).await;
    assert_eq!(leased.len(), 2, "one of each store");
    assert!(agent.lease(0).await.is_empty(), "the others wait behind them");
    // An attempt that failed and will be repeated still holds its store: the newer certificate must not overtake.
    agent.complete(&leased[0], Outcome::TransientFailure, "disk full").await;
    assert!(agent.lease(0).await.is_empty());
    assert_eq!(agent.complete(&leased[1], Outcome::Success, "done").await, Disposition::Recorded);
    let next = agent.lease(0).await;
    assert_eq!(next.len(), 1);
    assert!(matches!(next[0].work, Work::Inventory), "what was changed is read back before the next change");
    server.stop().await;
}
