//! Logins to the machines of stores, and what agents are told of IIS stores: properties, logins, entry parameters.

use serde_json::{Value, json};
use support::TestServer;
use support::story::enroll;

use crate::conformance::PublishedAgent;
use crate::permissions::caller;

const PATH: &str = "/CertificateStores/Server";

fn entry(name: &str) -> Value {
    json!({"Name": name, "ServerType": 105, "UseSSL": false, "Username": {"SecretValue": "deployer"},
        "Password": {"SecretValue": "canary-9b2e"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_are_made_changed_and_listed_masked() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let made = admin.post(PATH, &entry("iis1")).await.ok();
    let id = made["Id"].clone();
    assert_eq!(made, json!({"Id": id, "UseSSL": false, "ServerType": 105, "Name": "iis1"}));
    let listed = admin.get(PATH).await;
    assert_eq!(listed.body[0]["Password"]["Value"], "********************");
    assert!(!listed.text.contains("canary"));
    let mut change = entry("iis2");
    change["Id"] = id.clone();
    change["UseSSL"] = json!(true);
    let changed = admin.put(PATH, &change).await.ok();
    assert_eq!(changed, json!({"Id": id, "UseSSL": true, "ServerType": 105, "Name": "iis2"}));
    for (body, status, word) in [
        (json!({"Name": "x", "ServerType": 105, "UseSSL": true}), 400, "Username is required"),
        (json!({"ServerType": 105}), 400, "Name is required"),
        (json!({"Name": "x", "ServerType": 2, "UseSSL": true}), 400, "ServerRegistration 2"),
        (entry("IIS2"), 400, "already exists"),
    ] {
        let answer = admin.post(PATH, &body).await;
        assert!(answer.refused(status).contains(word), "{}", answer.text);
        assert!(!answer.text.contains("canary"));
    }
    change["Id"] = json!(9_999);
    assert!(admin.put(PATH, &change).await.refused(404).contains("not found"));
    let narrow = caller(&server, &["/certificate_stores/modify/1/"]).await;
    change["Id"] = id;
    narrow.put(PATH, &change).await.refused(403);
    narrow.post(PATH, &entry("iis3")).await.refused(403);
    let type_in_use = admin.delete("/CertificateStoreTypes/105").await;
    assert!(type_in_use.refused(400).contains("1 server entries"), "{}", type_in_use.text);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_told_properties_logins_and_entry_parameters() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let capabilities = json!(["CertStores.IISU.Inventory", "CertStores.IISU.Management"]);
    let mut agent = PublishedAgent::enroll(&server, "uo-1", capabilities).await;
    admin.post(PATH, &entry("IIS1")).await.ok();
    let properties =
        json!({"WinRM Protocol": "https", "WinRM Port": "5986", "ServerUseSsl": "true"}).to_string();
    let store = json!({"ClientMachine": "iis1", "StorePath": "My", "CertStoreType": 105, "AgentId": agent.id,
        "Properties": properties});
    let store = admin.post("/CertificateStores", &store).await.ok()["Id"].clone();
    let certificate = enroll(admin, &["www.example.test"]).await;
    let add = |fields: Value| {
        json!({"CertificateId": certificate, "Schedule": {"Immediate": true}, "CertificateStores":
            [{"CertificateStoreId": store, "JobFields": fields}]})
    };
    let path = "/CertificateStores/Certificates/Add";
    for (fields, word) in [
        (json!({"IPAddress": "*", "Protocol": "https"}), "SiteName is required for an addition"),
        (json!({"SiteName": "a", "IPAddress": "*", "Protocol": "ftp"}), "https,http"),
        (json!({"SiteName": "a", "IPAddress": "*", "Protocol": "https", "Color": "red"}), "'Color'"),
    ] {
        let answer = admin.post(path, &add(fields)).await;
        assert!(answer.refused(400).contains(word), "{}", answer.text);
    }
    let fields = json!({"siteName": "Intranet", "ipAddress": "*", "protocol": "https", "port": 8443});
    admin.post(path, &add(fields)).await.ok();
    let list = agent.register().await;
    let job = agent.configure(&list[0]).await["Job"].clone();
    assert_eq!(
        job["JobProperties"],
        json!({"IPAddress": "*", "Port": "8443", "Protocol": "https", "SiteName": "Intranet", "SniFlag": "0"}),
        "declared names, and the type's defaults"
    );
    let told: Value = serde_json::from_str(job["Properties"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&told["ServerUsername"], &told["ServerPassword"]),
        (&json!("deployer"), &json!("canary-9b2e"))
    );
    assert_eq!((&told["ServerUseSsl"], &told["spnwithport"]), (&json!("true"), &json!("false")));
    let dump: Vec<String> =
        sqlx::query_scalar("SELECT j::text FROM jobs j UNION ALL SELECT v::text FROM store_servers v")
            .fetch_all(server.database())
            .await
            .unwrap();
    assert!(!dump.join("").contains("canary"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_knows_the_binding_from_the_inventory() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let capabilities = json!(["CertStores.IISU.Inventory", "CertStores.IISU.Management"]);
    let mut agent = PublishedAgent::enroll(&server, "uo-1", capabilities).await;
    let properties =
        json!({"WinRM Protocol": "https", "WinRM Port": "5986", "ServerUseSsl": "true"}).to_string();
    let store = json!({"ClientMachine": "iis1", "StorePath": "My", "CertStoreType": 105, "AgentId": agent.id,
        "Properties": properties});
    let store = admin.post("/CertificateStores", &store).await.ok()["Id"].clone();
    let remove = |alias: &str, fields: Value| {
        json!({"Schedule": {"Immediate": true}, "CertificateStores":
            [{"CertificateStoreId": store, "Alias": alias, "JobFields": fields}]})
    };
    let path = "/CertificateStores/Certificates/Remove";
    let answer = admin.post(path, &remove("A", json!({}))).await;
    assert!(answer.refused(400).contains("IPAddress is required for a removal"), "{}", answer.text);
    let parameters = json!({"SiteName": "Shop", "IPAddress": "10.0.0.1", "Protocol": "https", "Port": "444"});
    sqlx::query("INSERT INTO store_entries (store_id, alias, private_key_entry, parameters, seen_in) VALUES ($1, 'A', true, $2, 1)")
        .bind(store.as_str().unwrap().parse::<uuid::Uuid>().unwrap())
        .bind(&parameters)
        .execute(server.database())
        .await
        .unwrap();
    admin.post(path, &remove("a", json!({"HostName": "shop.example.test"}))).await.ok();
    let list = agent.register().await;
    let job = agent.configure(&list[0]).await["Job"].clone();
    let mut expected = parameters;
    expected["HostName"] = json!("shop.example.test");
    expected["SniFlag"] = json!("0");
    assert_eq!(job["JobProperties"], expected);
    server.stop().await;
}
