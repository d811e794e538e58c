//! Jobs over the published agent protocol: a session, a list, and echoes (lines 6 to 10, 13 and 14).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use reqwest::StatusCode;
use sealift_pki::{Limits, Pkcs12};
use sealift_server::scheduler::Sweep;
use serde_json::{Value, json};
use support::TestServer;
use support::story::{addition, enroll};

use super::{
    PEM_INVENTORY, PEM_MANAGEMENT, PublishedAgent, added, aliases, der_of, history, inventory_now,
    pem_capabilities,
};

#[tokio::test(flavor = "multi_thread")]
async fn line_10_an_addition_is_told_whole_and_one_pass_reports_the_new_state() {
    let server = TestServer::start().await;
    let mut agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let store = agent.store(&server, "/etc/edge/tls/ca-bundle.pem").await;
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    let (der, thumbprint) = der_of(&server, certificate).await;
    let body = json!({"CertificateId": certificate, "Schedule": {"Immediate": true},
        "CertificateStores": [{"CertificateStoreId": store}]});
    let ids = server.admin.post("/CertificateStores/Certificates/Add", &body).await.ok();

    let list = agent.register().await;
    assert_eq!(list.len(), 2, "the change, and the inventory that follows it");
    assert_eq!((&list[0]["JobId"], &list[0]["JobTypeId"]), (&ids[0], &json!(PEM_MANAGEMENT)));
    assert_eq!((&list[0]["Priority"], &list[1]["JobTypeId"]), (&json!(3), &json!(PEM_INVENTORY)));
    let early = agent.configure(&list[1]).await;
    assert_eq!(early["JobCancelled"], true, "not before the change");
    assert_eq!(
        early["Job"]["StorePath"], "/etc/edge/tls/ca-bundle.pem",
        "or it would be reported as refused"
    );

    let change = agent.configure(&list[0]).await;
    assert_eq!((&change["Result"]["Status"], &change["JobCancelled"]), (&json!(1), &json!(false)));
    let job = &change["Job"];
    assert_eq!((&job["OperationType"], &job["PrivateKeyEntry"]), (&json!(2), &json!(false)));
    assert_eq!((&job["EntryContents"], &job["Alias"]), (&json!(der), &json!("")));
    assert!(serde_json::from_str::<Value>(job["Properties"].as_str().unwrap()).unwrap().is_object());
    // Numbers pass through a double on the agent's side.
    let audit = json!(change["AuditId"].as_f64().unwrap());
    let done = agent.complete(&list[0], audit, 2, "").await;
    assert_eq!(done["InventoryJob"], list[1]["JobId"]);

    let inventory = agent.configure(&list[1]).await;
    assert_eq!(inventory["Job"]["Inventory"], json!([]));
    assert_eq!(agent.update(&list[1], &inventory, json!([added(&thumbprint.to_lowercase(), &der)])).await, 1);
    agent.complete(&list[1], inventory["AuditId"].clone(), 2, "").await;
    assert_eq!(aliases(&server, &store).await, [thumbprint]);
    let located = server.admin.get(&format!("/Certificates/{certificate}?includeLocations=true")).await.ok();
    assert_eq!(located["Locations"][0]["StorePath"], "/etc/edge/tls/ca-bundle.pem");
    for job in &list {
        let rows = history(&server, &job["JobId"]).await;
        assert_eq!((rows.len(), &rows[0]["Status"], &rows[0]["Result"]), (1, &json!(3), &json!(2)));
    }
    assert!(agent.register().await.is_empty(), "nothing is listed twice");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_10_a_key_travels_as_pkcs12_under_a_password_of_its_own() {
    let server = TestServer::start().await;
    let mut agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let store = agent.store(&server, "/etc/edge/tls/site.pem").await;
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    server.admin.post("/CertificateStores/Certificates/Add", &addition(certificate, &[&store])).await.ok();
    let list = agent.register().await;
    let job = agent.configure(&list[0]).await["Job"].clone();
    assert_eq!(job["PrivateKeyEntry"], true);
    let bytes = STANDARD.decode(job["EntryContents"].as_str().unwrap()).unwrap();
    let opened = Pkcs12::decode(&bytes, job["PfxPassword"].as_str().unwrap(), Limits::UPLOAD).unwrap();
    let leaf = opened.certificates.first().unwrap();
    assert!(opened.key.unwrap().matches(leaf));
    assert_eq!(leaf.common_name(), Some("www.example.test"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_10_a_native_agent_is_not_told_of_a_key_in_a_file_of_its_own() {
    let server = TestServer::start().await;
    let mut agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let properties = json!({"PrivateKeyPath": "/etc/edge/tls/site.key", "IncludeChain": "false"}).to_string();
    let body = json!({"ClientMachine": "edge-1", "StorePath": "/etc/edge/tls/site.pem", "CertStoreType": 2,
        "AgentId": agent.id, "Properties": properties});
    let store = server.admin.post("/CertificateStores", &body).await.ok()["Id"].as_str().unwrap().to_owned();
    let removal = json!({"CertificateStores": [{"CertificateStoreId": store, "Alias": "a"}],
        "Schedule": {"Immediate": true}});
    server.admin.post("/CertificateStores/Certificates/Remove", &removal).await.ok();
    let list = agent.register().await;
    let job = agent.configure(&list[0]).await["Job"].clone();
    assert_eq!(job["OperationType"], 3);
    let told: Value = serde_json::from_str(job["Properties"].as_str().unwrap()).unwrap();
    assert_eq!(told, json!({"IncludeChain": "false"}));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_06_only_due_jobs_that_the_agent_can_run_are_listed() {
    let server = TestServer::start().await;
    // GUIDs, as releases before 2.16.1 send them, in another case.
    let capabilities = json!([PEM_INVENTORY.to_uppercase(), PEM_MANAGEMENT]);
    let mut agent = PublishedAgent::enroll(&server, "edge-1", capabilities).await;
    let store = agent.store(&server, "/etc/edge/tls/a.pem").await;
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    let later = server.clock.now() + TimeDelta::hours(1);
    let mut body = addition(certificate, &[&store]);
    body["Schedule"] = json!({"ExactlyOnce": {"Time": later}});
    server.admin.post("/CertificateStores/Certificates/Add", &body).await.ok();
    assert!(agent.register().await.is_empty(), "before its time");
    server.clock.advance(TimeDelta::minutes(61));
    let list = agent.register().await;
    assert_eq!(list.len(), 2);
    assert!(list.iter().all(|job| job["Schedule"].is_null() && job["Cron"].is_null()));
    agent.capabilities = json!(["CertStores.PEM.Inventory"]);
    assert!(agent.register().await.is_empty(), "it cannot run changes any more");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_07_configuring_twice_begins_a_second_attempt_and_old_reports_count_no_more() {
    let server = TestServer::start().await;
    let mut agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let store = agent.store(&server, "/etc/edge/tls/a.pem").await;
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    server.admin.post("/CertificateStores/Certificates/Add", &addition(certificate, &[&store])).await.ok();
    let list = agent.register().await;
    let first = agent.configure(&list[0]).await["AuditId"].clone();
    let second = agent.configure(&list[0]).await["AuditId"].clone();
    assert_ne!(first, second);
    agent.complete(&list[0], first, 2, "late").await;
    agent.complete(&list[0], json!(0), 3, "no path").await;
    agent.complete(&list[0], json!(999_999), 2, "never given").await;
    assert_eq!(history(&server, &list[0]["JobId"]).await.last().unwrap()["Status"], 2, "still in process");
    for _ in 0..2 {
        agent.complete(&list[0], second.clone(), 2, "done\n").await;
    }
    let rows = history(&server, &list[0]["JobId"]).await;
    let facts: Vec<_> = rows.iter().map(|row| (&row["Status"], &row["Result"])).collect();
    assert_eq!(facts, [(&json!(5), &json!(4)), (&json!(3), &json!(2))]);
    assert_eq!(rows[1]["Message"], "done");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_08_an_attempt_that_goes_silent_ends_and_the_next_pass_gets_the_job_again() {
    let server = TestServer::start().await;
    let mut agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let store = agent.store(&server, "/etc/edge/tls/a.pem").await;
    inventory_now(&server, &store).await;
    let list = agent.register().await;
    agent.configure(&list[0]).await;
    assert!(agent.register().await.is_empty(), "its attempt may still run");
    server.clock.advance(TimeDelta::minutes(16));
    server.sweep(Sweep::ExpireLeases).await;
    server.clock.advance(TimeDelta::minutes(1));
    server.sweep(Sweep::ReleaseRetries).await;
    assert_eq!(agent.register().await[0]["JobId"], list[0]["JobId"]);
    assert_eq!(history(&server, &list[0]["JobId"]).await[0]["ErrorCode"], "lease_expired");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_09_what_an_inventory_says_is_believed_only_with_a_stored_update() {
    let server = TestServer::start().await;
    let mut agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let store = agent.store(&server, "/etc/edge/tls/a.pem").await;
    let (one, first) = der_of(&server, enroll(&server.admin, &["one.example.test"]).await).await;
    let (two, second) = der_of(&server, enroll(&server.admin, &["two.example.test"]).await).await;

    inventory_now(&server, &store).await;
    let job = agent.register().await.remove(0);
    let configured = agent.configure(&job).await;
    agent.complete(&job, configured["AuditId"].clone(), 2, "").await;
    let rows = history(&server, &job["JobId"]).await;
    assert_eq!((&rows[0]["Result"], &rows[0]["ErrorCode"]), (&json!(4), &json!("inventory_missing")));

    // The same alias twice, and one certificate that is none.
    server.clock.advance(TimeDelta::minutes(2));
    server.sweep(Sweep::ReleaseRetries).await;
    let job = agent.register().await.remove(0);
    let configured = agent.configure(&job).await;
    let items = json!([
        added(&first, &one),
        added(&first.to_lowercase(), &one),
        added(&second, &two),
        added("x", "AAAA")
    ]);
    assert_eq!(agent.update(&job, &configured, items).await, 1);
    agent.complete(&job, configured["AuditId"].clone(), 2, "").await;
    let mut expected = vec![first.clone(), second.clone(), "x".to_owned()];
    expected.sort_by_key(|alias| alias.to_lowercase());
    assert_eq!(aliases(&server, &store).await, expected);

    // The whole truth again, without one of them; an update that comes after the end changes nothing.
    inventory_now(&server, &store).await;
    let job = agent.register().await.remove(0);
    let configured = agent.configure(&job).await;
    assert_eq!(agent.update(&job, &configured, json!([added(&second, &two)])).await, 1);
    agent.complete(&job, configured["AuditId"].clone(), 2, "").await;
    assert_eq!(agent.update(&job, &configured, json!([])).await, 3, "an error in the answer, not in HTTP");
    assert_eq!(aliases(&server, &store).await, [second]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_09_a_large_store_is_read_as_a_difference() {
    let server = TestServer::start().await;
    let mut agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let store = agent.store(&server, "/etc/edge/tls/bundle.pem").await;
    let (der, _) = der_of(&server, enroll(&server.admin, &["www.example.test"]).await).await;
    inventory_now(&server, &store).await;
    let job = agent.register().await.remove(0);
    let configured = agent.configure(&job).await;
    // Some ten megabytes in one body.
    let items: Vec<Value> = (0..9_000).map(|number| added(&format!("entry-{number:05}"), &der)).collect();
    assert!(serde_json::to_string(&items).unwrap().len() > 7_000_000);
    assert_eq!(agent.update(&job, &configured, json!(items)).await, 1);
    agent.complete(&job, configured["AuditId"].clone(), 2, "").await;

    inventory_now(&server, &store).await;
    let job = agent.register().await.remove(0);
    let configured = agent.configure(&job).await;
    let known = configured["Job"]["Inventory"].as_array().unwrap();
    assert_eq!(known.len(), 9_000);
    assert!(known.iter().all(|entry| entry["Alias"].is_string() && entry["Thumbprints"][0].is_string()));
    let unchanged = |entry: &Value| json!({"Alias": entry["Alias"], "ItemStatus": 4, "Certificates": []});
    let mut items: Vec<Value> = known.iter().skip(1).map(unchanged).collect();
    items.push(json!({"Alias": known[0]["Alias"], "ItemStatus": 3, "Certificates": []}));
    items.push(added("new", &der));
    assert_eq!(agent.update(&job, &configured, json!(items)).await, 1);
    agent.complete(&job, configured["AuditId"].clone(), 2, "").await;
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM store_entries").fetch_one(server.database()).await.unwrap();
    assert_eq!(count, 9_000);
    let gone = known[0]["Alias"].as_str().unwrap();
    let rest = server.admin.get(&format!("/CertificateStores/{store}/Inventory?ReturnLimit=3")).await.ok();
    assert!(rest.as_array().unwrap().iter().all(|entry| entry["Name"] != gone));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_08_statuses_are_read_as_agents_mean_them() {
    let server = TestServer::start().await;
    let mut agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    let cases = [
        (2, "", 3, 2),
        (3, "WARNING: Certificate with thumbprint AB was already present in store", 3, 3),
        (3, "Attempting to manage a certificate store that does not exist yet.", 3, 4),
        (4, "Error writing cert to store", 5, 4),
        (1, "", 3, 3),
        (0, "", 5, 4),
    ];
    for (number, (status, message, job_status, result)) in cases.into_iter().enumerate() {
        let store = agent.store(&server, &format!("/etc/edge/tls/{number}.pem")).await;
        let ids = server
            .admin
            .post("/CertificateStores/Certificates/Add", &addition(certificate, &[&store]))
            .await
            .ok();
        let list = agent.register().await;
        let job = list.iter().find(|job| job["JobId"] == ids[0]).unwrap();
        let audit = agent.configure(job).await["AuditId"].clone();
        agent.complete(job, audit, status, message).await;
        let row = history(&server, &ids[0]).await.remove(0);
        assert_eq!(
            (&row["Status"], &row["Result"]),
            (&json!(job_status), &json!(result)),
            "{status} {message}"
        );
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_10_a_removal_and_an_addition_keep_their_order_whatever_the_agent_picks_first() {
    let server = TestServer::start().await;
    let mut agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let store = agent.store(&server, "/etc/edge/tls/a.pem").await;
    let (_, thumbprint) = der_of(&server, enroll(&server.admin, &["old.example.test"]).await).await;
    let removal = json!({"CertificateStores": [{"CertificateStoreId": store, "Alias": thumbprint}],
        "Schedule": {"Immediate": true}});
    let removal = server.admin.post("/CertificateStores/Certificates/Remove", &removal).await.ok();
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    let addition = server
        .admin
        .post("/CertificateStores/Certificates/Add", &addition(certificate, &[&store]))
        .await
        .ok();
    let list = agent.register().await;
    let find = |id: &Value| list.iter().find(|job| job["JobId"] == *id).unwrap();
    let early = agent.configure(find(&addition[0])).await;
    assert_eq!(early["JobCancelled"], true, "an addition may not overtake the removal before it");
    let configured = agent.configure(find(&removal[0])).await;
    assert_eq!(configured["Job"]["OperationType"], 3);
    assert_eq!(configured["Job"]["Alias"], json!(thumbprint));
    assert_eq!(agent.configure(find(&addition[0])).await["JobCancelled"], true, "one at a time");
    agent.complete(find(&removal[0]), configured["AuditId"].clone(), 2, "").await;
    assert_eq!(agent.configure(find(&addition[0])).await["JobCancelled"], false);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_13_a_session_counts_only_with_its_certificate_and_only_for_its_own_jobs() {
    let server = TestServer::start().await;
    let mut owner = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let mut thief = PublishedAgent::enroll(&server, "edge-2", pem_capabilities()).await;
    let store = owner.store(&server, "/etc/edge/tls/a.pem").await;
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    server.admin.post("/CertificateStores/Certificates/Add", &addition(certificate, &[&store])).await.ok();
    let list = owner.register().await;
    let endpoint = list[0]["ConfigurationEndpoint"].as_str().unwrap();
    let (status, body) = thief.call(endpoint, json!({"JobId": list[0]["JobId"]})).await;
    assert_eq!((status, &body["JobCancelled"]), (StatusCode::OK, &json!(true)), "another agent's job");
    assert_eq!(body["Job"]["StorePath"], "", "and nothing of it is told");
    thief.token.clone_from(&owner.token);
    assert_eq!(thief.call(endpoint, json!({})).await.0, StatusCode::UNAUTHORIZED, "another agent's session");
    for token in ["", "no-guid", "00000000-0000-0000-0000-000000000000"] {
        thief.token = token.to_owned();
        assert_eq!(thief.call(endpoint, json!({})).await.0, StatusCode::UNAUTHORIZED, "{token}");
    }
    let audit = owner.configure(&list[0]).await["AuditId"].clone();
    thief.register().await;
    thief.complete(&list[0], audit, 2, "stolen").await;
    assert_eq!(history(&server, &list[0]["JobId"]).await[0]["Status"], 2, "still in process");
    let (status, _) = owner.call("Jobs/no-guid/Configure", json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    server.admin.post("/Agents/Disapprove", &json!([owner.id])).await;
    assert_eq!(owner.call(endpoint, json!({})).await.0, StatusCode::UNAUTHORIZED);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_14_a_heartbeat_tells_a_looping_agent_of_new_work() {
    let server = TestServer::start().await;
    let mut agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let store = agent.store(&server, "/etc/edge/tls/a.pem").await;
    let heartbeat = async |agent: &PublishedAgent| {
        let body = json!({"AgentPlatform": 5, "TenantId": "", "ClientMachine": agent.machine});
        let (status, body) = agent.call("Session/Heartbeat", body).await;
        assert_eq!((status, &body["Result"]["Status"]), (StatusCode::OK, &json!(1)));
        assert_eq!(body["HeartbeatInterval"], 5, "minutes");
        body["SessionValid"].clone()
    };
    assert_eq!(heartbeat(&agent).await, true);
    inventory_now(&server, &store).await;
    assert_eq!(heartbeat(&agent).await, false);
    let list = agent.register().await;
    let configured = agent.configure(&list[0]).await;
    assert_eq!(heartbeat(&agent).await, true, "what runs is nothing new");
    agent.update(&list[0], &configured, json!([])).await;
    agent.complete(&list[0], configured["AuditId"].clone(), 2, "").await;
    agent.token = "anything".to_owned();
    assert_eq!(heartbeat(&agent).await, false);
    server.stop().await;
}
