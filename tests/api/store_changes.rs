//! Certificate stores that are changed and deleted, and what their types demand of them.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::story::{addition, enroll};
use support::{RawAgent, TestServer};

use crate::permissions::caller;

const PATH: &str = "/CertificateStores";
const MASK: &str = "********************";

/// What a store of type IISU must say.
fn login(more: &Value) -> String {
    let mut properties = json!({"WinRM Protocol": "https", "WinRM Port": "5986", "ServerUseSsl": "true"});
    properties.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    properties.to_string()
}

fn iis(agent: &RawAgent, machine: &str, more: &Value) -> Value {
    json!({"ClientMachine": machine, "StorePath": "my", "CertStoreType": 105, "AgentId": agent.id,
        "Properties": login(more), "Approved": false})
}

fn properties(store: &Value) -> Value {
    serde_json::from_str(store["Properties"].as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_replaces_what_was_said_of_a_store() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let container = admin.post("/Applications", &json!({"Name": "Farm"})).await.ok()["Id"].clone();
    let body = json!({"ClientMachine": agent.machine, "Storepath": "/a.p12", "CertStoreType": 102,
        "AgentId": agent.id, "ContainerId": container, "Properties": "{\"encryption\": {\"value\": \"3des\"}}",
        "InventorySchedule": {"Interval": {"Minutes": 60}}, "Password": {"SecretValue": "store-password"}});
    let made = admin.post(PATH, &body).await.ok();
    let id = made["Id"].as_str().unwrap();
    assert_eq!((&made["Approved"], &made["AgentAssigned"]), (&json!(true), &json!(true)));
    assert!(
        made.get("Password").is_none_or(Value::is_null) && made["SetNewPasswordAllowed"] == true,
        "{made}"
    );
    let read = admin.get(&format!("{PATH}/{id}")).await.ok();
    assert_eq!((&read["Password"]["Value"], &read["Password"]["HasValue"]), (&json!(MASK), &json!(true)));
    assert_eq!(read["ReenrollmentStatus"]["Data"], false);

    // As clients do: read, change, send back, read-only members and the literal method `Put` included.
    let mut back = read.clone();
    back["CreateIfMissing"] = json!(true);
    back["ClientMachine"] = json!("elsewhere.example.test");
    back["Password"] = Value::Null;
    let request = admin.request(Method::from_bytes(b"Put").unwrap(), PATH).json(&back);
    let changed = admin.send(request).await.ok();
    assert_eq!((&changed["CreateIfMissing"], &changed["ContainerId"]), (&json!(true), &container));
    assert_eq!(changed["ClientMachine"], agent.machine.as_str(), "the place stays");
    assert_eq!(properties(&changed), json!({"Encryption": "3des"}));

    let jobs = agent.lease(0).await;
    assert_eq!(jobs[0].store.password.as_ref().unwrap().expose(), "store-password", "the password stays");
    let cleared = admin.put(PATH, &json!({"Id": id, "AgentId": agent.id})).await.ok();
    assert_eq!((&cleared["ContainerId"], &cleared["InventorySchedule"]), (&Value::Null, &json!({})));
    assert_eq!((&cleared["CreateIfMissing"], properties(&cleared)), (&json!(false), json!({})));
    assert_eq!(cleared["CertStoreInventoryJobId"], Value::Null);
    let now = admin.get(&format!("{PATH}/{id}")).await.ok();
    assert_eq!(now["Password"]["HasValue"], true);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_are_not_possible() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let other = RawAgent::enroll(&server, "web2.example.test").await;
    let store = agent.store(&server, 2, "/a.pem").await;
    let unknown = uuid::Uuid::new_v4().to_string();
    let before = admin.get(&format!("{PATH}/{store}")).await.ok();
    for (body, status, word) in [
        (json!({}), 400, "Id is required"),
        (json!({"Id": "x"}), 400, "Id"),
        (json!({"Id": unknown}), 404, unknown.as_str()),
        (json!({"Id": store, "CertStoreType": 103}), 400, "CertStoreType"),
        (json!({"Id": store, "AgentId": unknown}), 400, "AgentId"),
        (json!({"Id": store, "ContainerId": 9_999}), 400, "ContainerId"),
        (json!({"Id": store, "Properties": "[]"}), 400, "Properties"),
        (json!({"Id": store, "Properties": "{\"IncludeChain\": \"perhaps\"}"}), 400, "IncludeChain"),
        (json!({"Id": store, "InventorySchedule": {"Interval": {"Minutes": 0}}}), 400, "Interval.Minutes"),
        (json!({"Id": store, "Password": {"SecretValue": "x", "Provider": 7}}), 400, "Provider"),
    ] {
        let answer = admin.put(PATH, &body).await;
        assert!(answer.refused(status).contains(word), "{}", answer.text);
    }
    assert_eq!(admin.get(&format!("{PATH}/{store}")).await.ok(), before);
    // Another agent serves it only when nothing waits for the one before.
    let inventory = json!({"StoreIds": [store], "Schedule": {"Immediate": true}});
    admin.post("/CertificateStores/Schedule", &inventory).await;
    let moved = json!({"Id": store, "AgentId": other.id});
    assert!(admin.put(PATH, &moved).await.refused(400).contains("1 jobs"));
    let job = agent.lease(0).await.remove(0);
    let key = sealift_protocol::agent::leases::LeaseKey { job_id: job.job_id, lease_token: job.lease_token };
    agent.complete_key(key, sealift_protocol::agent::leases::Outcome::Failure, "no").await;
    assert_eq!(admin.put(PATH, &moved).await.ok()["AgentId"], other.id.as_str());

    let container = admin.post("/Applications", &json!({"Name": "Farm"})).await.ok()["Id"].clone();
    let narrow = caller(&server, &[&format!("/certificate_stores/modify/{container}/")]).await;
    narrow.put(PATH, &json!({"Id": store, "ContainerId": container})).await.refused(403);
    narrow.delete(&format!("{PATH}/{store}")).await.refused(403);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_stores_are_gone_with_what_waited_for_them() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let mut stores = Vec::new();
    for path in ["/a.pem", "/b.pem", "/c.pem", "/d.pem"] {
        stores.push(agent.store(&server, 2, path).await);
    }
    let certificate = enroll(admin, &["www.example.test"]).await;
    let all: Vec<&str> = stores.iter().map(String::as_str).collect();
    admin.post("/CertificateStores/Certificates/Add", &addition(certificate, &all)).await.ok();
    assert_eq!(admin.delete(&format!("{PATH}/{}", stores[0])).await.status, StatusCode::NO_CONTENT);
    assert!(admin.get(&format!("{PATH}/{}", stores[0])).await.refused(404).contains("not found"));
    assert!(admin.delete(&format!("{PATH}/{}", stores[0])).await.refused(404).contains("not found"));
    let delete = async |body: Value| admin.send(admin.request(Method::DELETE, PATH).json(&body)).await;
    let answer = delete(json!([stores[1], uuid::Uuid::new_v4(), stores[2]])).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "unknown ones are passed over: {}", answer.text);
    delete(json!([])).await.refused(400);
    assert!(delete(json!(["x"])).await.refused(400).contains("[0]"));
    assert_eq!(admin.get(PATH).await.ok().as_array().unwrap().len(), 1);
    let waiting = admin.get("/OrchestratorJobs/ScheduledJobs").await.ok();
    assert_eq!(waiting.as_array().unwrap().len(), 1, "{waiting}");

    let container = admin.post("/Applications", &json!({"Name": "Farm"})).await.ok()["Id"].clone();
    let inside = json!({"ClientMachine": agent.machine, "StorePath": "/e.pem", "CertStoreType": 2,
        "AgentId": agent.id, "ContainerId": container});
    let inside = admin.post(PATH, &inside).await.ok()["Id"].clone();
    let narrow = caller(&server, &[&format!("/certificate_stores/modify/{container}/")]).await;
    let both = narrow.request(Method::DELETE, PATH).json(&json!([inside, stores[3]]));
    narrow.send(both).await.refused(403);
    assert_eq!(admin.get(PATH).await.ok().as_array().unwrap().len(), 2, "all or none");
    let own = narrow.request(Method::DELETE, PATH).json(&json!([inside]));
    assert!(narrow.send(own).await.status.is_success());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_properties_are_kept_masked_and_never_answered() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let canary = "canary-4c1d";
    let secret = json!({"ServerUsername": canary, "serverPassword": {"value": {"SecretValue": canary}}});
    let made = admin.post(PATH, &iis(&agent, "iis1", &secret)).await.ok();
    let id = made["Id"].as_str().unwrap().to_owned();
    assert_eq!(made["Storepath"], "My", "as the type spells it");
    let guid = properties(&made)["ServerPassword"].as_str().unwrap().to_owned();
    assert_eq!(guid.len(), 36, "{made}");
    let listed = admin.query(PATH, "StorePath -eq \"My\"").await;
    assert_eq!(properties(&listed.body[0])["ServerPassword"], guid.as_str());
    let read = admin.get(&format!("{PATH}/{id}")).await;
    let masked = properties(&read.body)["ServerPassword"].clone();
    assert_eq!((&masked["Value"], &masked["HasValue"]), (&json!(MASK), &json!(true)));
    for answer in [&listed, &read] {
        assert!(!answer.text.contains(canary));
    }
    let dump: Vec<String> = sqlx::query_scalar("SELECT s::text FROM certificate_stores s")
        .fetch_all(server.database())
        .await
        .unwrap();
    assert!(!dump.join("").contains(canary));

    // Sent back as it was read, a secret stays; sent by its GUID, too; left out, it goes.
    let mut back = read.body.clone();
    let changed = admin.put(PATH, &back).await.ok();
    assert_eq!(properties(&changed)["ServerPassword"], guid.as_str());
    back["Properties"] = json!(login(&json!({"ServerPassword": guid})));
    let changed = admin.put(PATH, &back).await.ok();
    assert_eq!(properties(&changed)["ServerPassword"], guid.as_str());
    assert!(properties(&changed).get("ServerUsername").is_none());
    back["Properties"] = json!(login(&json!({"ServerUsername": MASK})));
    assert!(admin.put(PATH, &back).await.refused(400).contains("mask"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_that_their_type_does_not_allow() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let body = |change: &dyn Fn(&mut Value)| {
        let mut body = iis(&agent, "iis1", &json!({}));
        change(&mut body);
        body
    };
    let without = |name: &str| {
        let mut properties: Value = serde_json::from_str(&login(&json!({}))).unwrap();
        properties.as_object_mut().unwrap().remove(name);
        json!(properties.to_string())
    };
    for (body, words) in [
        (body(&|b| b["StorePath"] = json!("Root")), "Storepath: stores of type IISU"),
        (body(&|b| b["Properties"] = without("WinRM Port")), "WinRM Port is required"),
        (body(&|b| b["Properties"] = Value::Null), "is required by type IISU"),
        (body(&|b| b["Properties"] = json!(login(&json!({"WinRM Protocol": "telnet"})))), "https,http,ssh"),
        (body(&|b| b["Properties"] = json!(login(&json!({"spnwithport": "maybe"})))), "spnwithport"),
        (body(&|b| b["Properties"] = json!(login(&json!({"ServerPassword": MASK})))), "mask"),
        (
            body(&|b| b["Properties"] = json!(login(&json!({"ServerPassword": {"value": {"Provider": 9}}})))),
            "providers",
        ),
        (body(&|b| b["Properties"] = json!("nonsense")), "JSON object inside a string"),
    ] {
        let answer = admin.post(PATH, &body).await;
        assert!(answer.refused(400).contains(words), "{}", answer.text);
    }
    assert_eq!(admin.get(PATH).await.ok(), json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_change_and_are_never_answered() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let (pem, p12) = (agent.store(&server, 2, "/a.pem").await, agent.store(&server, 102, "/a.p12").await);
    let path = "/CertificateStores/Password";
    for new in [json!("first-new"), json!({"secretvalue": "second-new"})] {
        let answer = admin.put(path, &json!({"CertStoreId": p12, "NewPassword": new})).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    }
    let unknown = uuid::Uuid::new_v4().to_string();
    for (body, status, word) in [
        (json!({"CertStoreId": pem, "NewPassword": "x"}), 400, "no password"),
        (json!({"CertStoreId": p12}), 400, "NewPassword is required"),
        (json!({"CertStoreId": p12, "NewPassword": 7}), 400, "NewPassword"),
        (json!({"CertStoreId": p12, "NewPassword": "a\u{7}b"}), 400, "control characters"),
        (json!({"CertStoreId": p12, "NewPassword": {"Provider": 1}}), 400, "Provider"),
        (json!({"NewPassword": "x"}), 400, "CertStoreId is required"),
        (json!({"CertStoreId": unknown, "NewPassword": "x"}), 404, unknown.as_str()),
    ] {
        let answer = admin.put(path, &body).await;
        assert!(answer.refused(status).contains(word), "{}", answer.text);
    }
    let inventory = json!({"StoreIds": [p12], "Schedule": {"Immediate": true}});
    admin.post("/CertificateStores/Schedule", &inventory).await;
    let job = agent.lease(0).await.remove(0);
    assert_eq!(job.store.password.unwrap().expose(), "second-new");
    let narrow = caller(&server, &["/certificate_stores/modify/1/"]).await;
    narrow.put(path, &json!({"CertStoreId": p12, "NewPassword": "x"})).await.refused(403);
    server.stop().await;
}

async fn admin_first(server: &TestServer) -> uuid::Uuid {
    server.admin.get(PATH).await.ok()[0]["Id"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_stores_are_filtered_as_clients_ask() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    agent.store(&server, 2, "/a.pem").await;
    agent.store(&server, 103, "/srv/ccs").await;
    for (filter, count) in [
        ("Category -eq 2", 1),
        ("CertStoreType -eq \"103\"", 1),
        ("ClientMachine -eq \"WEB1.example.test\" AND StorePath -eq \"/a.pem\"", 1),
        ("AgentAvailable -eq true", 2),
        ("ContainerId -eq NULL", 2),
        ("HasInventoryScheduled -eq true", 0),
        ("PrivateKeyAllowed -eq 2", 1),
        ("Approved -ne true", 0),
    ] {
        let found = server.admin.query(PATH, filter).await.ok();
        assert_eq!(found.as_array().unwrap().len(), count, "{filter}");
    }
    let store = admin_first(&server).await;
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    sqlx::query("WITH entry AS (INSERT INTO store_entries (store_id, alias, private_key_entry, seen_in)
            VALUES ($1, 'a', true, 1) RETURNING id)
        INSERT INTO store_entry_certificates (entry_id, chain_level, certificate_id) SELECT id, 0, $2 FROM entry")
        .bind(store)
        .bind(certificate)
        .execute(server.database())
        .await
        .unwrap();
    for (filter, count) in [
        (format!("CertificateId -eq {certificate}"), 1),
        (format!("CertificateId -ne {certificate}"), 1),
        ("CertificateId -eq NULL".to_owned(), 1),
        ("CertificateId -eq 99999".to_owned(), 0),
    ] {
        let found = server.admin.query(PATH, &filter).await.ok();
        assert_eq!(found.as_array().unwrap().len(), count, "{filter}");
    }
    let sorted = server.admin.get(&format!("{PATH}?SortField=CertificateId")).await;
    assert!(sorted.refused(400).contains("SortField"), "{}", sorted.text);
    let path = format!("{PATH}?certificateStoreQuery.pageReturned=2&certificateStoreQuery.returnLimit=50");
    assert_eq!(server.admin.get(&path).await.ok(), json!([]));
    server.stop().await;
}
