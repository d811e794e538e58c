//! Store types: the ready-made ones, and those that clients make, change and delete.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{RawAgent, TestServer};

use crate::permissions::caller;

const PATH: &str = "/CertificateStoreTypes";

/// A type as a client's catalogue has it.
fn load_balancer() -> Value {
    json!({
        "Name": "Load balancer", "ShortName": "LB", "Capability": "LB", "StoreType": 0, "ImportType": 7,
        "LocalStore": false, "ServerRequired": true, "PowerShell": false, "BlueprintAllowed": true,
        "SupportedOperations": {"Add": true, "Create": false, "Discovery": true, "Enrollment": false, "Remove": true},
        "PasswordOptions": {"EntrySupported": false, "StoreRequired": false, "Style": "Default"},
        "PrivateKeyAllowed": "Optional", "CustomAliasAllowed": "Required", "StorePathType": "", "StorePathValue": "",
        "JobProperties": [],
        "Properties": [
            {"Name": "PrimaryNode", "DisplayName": "Primary Node", "Type": "String",
                "DependsOn": "PrimaryNodeOnlineRequired", "DefaultValue": "", "Required": true},
            {"Name": "PrimaryNodeOnlineRequired", "DisplayName": "Online", "Type": "Bool", "DependsOn": "",
                "DefaultValue": "", "Required": false}],
        "EntryParameters": [
            {"Name": "SSLProfiles", "DisplayName": "SSL Profiles", "Type": "string",
                "RequiredWhen": {"HasPrivateKey": false, "OnAdd": true, "OnRemove": false, "OnReenrollment": false},
                "DependsOn": "", "DefaultValue": "", "Options": ""}]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ready_made_types_for_iis_are_those_of_the_contract() {
    let server = TestServer::start().await;
    let types = server.admin.get(PATH).await.ok();
    let named = |name: &str| types.as_array().unwrap().iter().find(|one| one["ShortName"] == name).unwrap();
    for (name, operations, key, path) in [
        ("WinCert", [true, true, true], "Optional", Value::Null),
        ("IISU", [true, true, true], "Required", json!("[\"My\",\"WebHosting\"]")),
        ("WinSql", [true, true, false], "Optional", json!("My")),
        ("WinAdfs", [true, false, false], "Required", json!("My")),
    ] {
        let one = named(name);
        let supported = &one["SupportedOperations"];
        let found = ["Add", "Remove", "Enrollment"].map(|operation| supported[operation] == true);
        assert_eq!(found, operations, "{name}");
        assert_eq!(
            (supported["Create"].clone(), supported["Discovery"].clone()),
            (json!(false), json!(false))
        );
        assert_eq!(
            (&one["PrivateKeyAllowed"], &one["CustomAliasAllowed"]),
            (&json!(key), &json!("Forbidden"))
        );
        assert_eq!((&one["StorePathValue"], &one["Capability"]), (&path, &json!(name)));
        assert_eq!((&one["ServerRequired"], &one["ServerRegistration"]), (&json!(true), &one["StoreType"]));
        assert_eq!(one["EnrollmentJobType"].is_string(), operations[2], "{name}");
        assert!(one.get("DiscoveryJobType").is_none(), "{name}");
        assert_eq!(
            one["PasswordOptions"],
            json!({"EntrySupported": false, "StoreRequired": false, "Style": "Default"})
        );
    }
    let port = named("IISU")["Properties"].as_array().unwrap()[2].clone();
    assert_eq!(
        port,
        json!({"Id": 105_003, "StoreTypeId": 105, "Name": "WinRM Port", "DisplayName": "WinRM Port",
            "Type": "String", "DefaultValue": "5986", "Required": true, "ValidationOptions": {"OnCreation": 1}})
    );
    let protocol = named("IISU")["EntryParameters"].as_array().unwrap()[5].clone();
    assert_eq!(
        protocol,
        json!({"StoreTypeId": 105, "Name": "Protocol", "DisplayName": "Protocol", "Type": "MultipleChoice",
            "RequiredWhen": {"HasPrivateKey": false, "OnAdd": true, "OnRemove": true, "OnReenrollment": true},
            "DefaultValue": "https", "Options": "https,http"})
    );
    assert_eq!(server.admin.get(&format!("{PATH}/0")).await.ok()["ShortName"], "JKS");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_is_made_changed_and_deleted() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let made = admin.post(PATH, &load_balancer()).await.ok();
    let id = made["StoreType"].as_i64().unwrap();
    assert!(id >= 108, "{made}");
    assert_eq!(
        (&made["ImportType"], &made["InventoryEndpoint"]),
        (&json!(0), &json!("/AnyInventory/Update"))
    );
    assert!(made.get("StorePathType").is_none() && made["DiscoveryJobType"].is_string(), "{made}");
    let names: Vec<_> =
        made["Properties"].as_array().unwrap().iter().map(|one| one["Name"].as_str().unwrap()).collect();
    let own = ["PrimaryNode", "PrimaryNodeOnlineRequired"];
    assert_eq!(names, [own.as_slice(), &["ServerUsername", "ServerPassword", "ServerUseSsl"]].concat());
    assert_eq!(admin.get(&format!("{PATH}/Name/lb")).await.ok(), json!([made]));
    assert_eq!(admin.get(&format!("{PATH}/{id}")).await.ok(), made);

    let mut change = load_balancer();
    change["StoreType"] = json!(id);
    change["Name"] = json!("Other name");
    change["Properties"] = json!([]);
    change["ServerRequired"] = json!(false);
    let changed = admin.put(PATH, &change).await.ok();
    assert_eq!((&changed["Name"], &changed["Properties"]), (&json!("Other name"), &json!([])));
    assert_eq!(changed["InventoryJobType"], made["InventoryJobType"], "job types stay");

    assert_eq!(admin.delete(&format!("{PATH}/{id}")).await.status, StatusCode::NO_CONTENT);
    assert!(admin.delete(&format!("{PATH}/{id}")).await.refused(404).contains("not found"));
    let again = admin.post(PATH, &load_balancer()).await.ok();
    assert!(again["StoreType"].as_i64().unwrap() > id, "ids are not used again");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn types_that_cannot_be() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    admin.post(PATH, &load_balancer()).await.ok();
    let refuse = async |change: &dyn Fn(&mut Value), words: &[&str]| {
        let mut body = load_balancer();
        body["ShortName"] = json!("LB2");
        body["Capability"] = json!("LB2");
        change(&mut body);
        let answer = admin.post(PATH, &body).await;
        let message = answer.refused(400);
        assert!(words.iter().all(|word| message.contains(word)), "{message}: {words:?}");
    };
    refuse(&|b| b["ShortName"] = json!("lb"), &["'lb'", "already exists"]).await;
    refuse(&|b| b["Capability"] = json!("LB"), &["capability 'LB'", "already exists"]).await;
    refuse(&|b| b["ShortName"] = json!("12345678901"), &["ShortName", "10"]).await;
    refuse(&|b| b["ShortName"] = json!(null), &["ShortName is required"]).await;
    refuse(&|b| b["Name"] = json!(""), &["Name is required"]).await;
    refuse(&|b| b["Capability"] = json!("A.B"), &["Capability"]).await;
    refuse(&|b| b["PrivateKeyAllowed"] = json!(3), &["PrivateKeyAllowed", "Forbidden, Optional, Required"])
        .await;
    refuse(&|b| b["Properties"][0]["Type"] = json!("Date"), &["Properties[0].Type"]).await;
    refuse(&|b| b["Properties"][1]["Name"] = json!("primarynode"), &["Properties[1]", "twice"]).await;
    refuse(&|b| b["EntryParameters"] = json!("x"), &["EntryParameters"]).await;
    refuse(&|b| b["StorePathType"] = json!("MultipleChoice"), &["StorePathValue"]).await;
    refuse(&|b| b["Properties"] = vec![json!({"Name": "x"}); 101].into(), &["Properties", "100"]).await;

    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let numbers = json!({"Name": "n", "ShortName": "NUM", "PrivateKeyAllowed": "2", "CustomAliasAllowed": 1});
    let used = admin.post(PATH, &numbers).await.ok();
    assert_eq!(
        (&used["PrivateKeyAllowed"], &used["CustomAliasAllowed"]),
        (&json!("Required"), &json!("Optional"))
    );
    let id = used["StoreType"].as_i64().unwrap();
    agent.store(&server, i32::try_from(id).unwrap(), "/a").await;
    let told = admin.delete(&format!("{PATH}/{id}")).await;
    assert!(told.refused(400).contains("1 certificate stores"), "{}", told.text);
    let change = |change: Value| {
        let mut body = json!({"StoreType": id, "Name": "n", "ShortName": "NUM", "PrivateKeyAllowed": 2,
            "CustomAliasAllowed": 1});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        body
    };
    let fixed = change(json!({"ShortName": "OTHER", "Properties": [{"Name": "New", "Required": true}]}));
    let told = admin.put(PATH, &fixed).await;
    assert!(told.refused(400).contains("ShortName, Capability, Properties: New"), "{}", told.text);
    admin.put(PATH, &change(json!({"Name": "m", "Properties": [{"Name": "New"}]}))).await.ok();
    for (body, status) in
        [(change(json!({"StoreType": 2})), 400), (change(json!({"StoreType": 99_999})), 404)]
    {
        admin.put(PATH, &body).await.refused(status);
    }
    assert!(admin.delete(&format!("{PATH}/2")).await.refused(400).contains("built in"));
    admin.delete(&format!("{PATH}/x")).await.refused(404);

    // Of many, those that can go do.
    let free = admin.get(&format!("{PATH}/Name/LB")).await.ok()[0]["StoreType"].clone();
    let body = json!([id, free, 2, 99_999]);
    let answer = admin.send(admin.request(Method::DELETE, PATH).json(&body)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    admin.get(&format!("{PATH}/Name/LB")).await.refused(404);
    admin.get(&format!("{PATH}/{id}")).await.ok();
    admin.send(admin.request(Method::DELETE, PATH).json(&json!([]))).await.refused(400);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_can_be_told_to_send_numbers() {
    let server = TestServer::start_with(&[("numeric_store_types", "true")]).await;
    let admin = &server.admin;
    let iis = admin.get(&format!("{PATH}/105")).await.ok();
    assert_eq!((&iis["PrivateKeyAllowed"], &iis["PasswordOptions"]["Style"]), (&json!(2), &json!(0)));
    assert_eq!(
        (&iis["Properties"][3]["Type"], &iis["EntryParameters"][5]["RequiredWhen"]),
        (&json!(3), &json!(14))
    );
    assert_eq!(admin.get(PATH).await.ok()[5], iis);
    assert_eq!(admin.get(&format!("{PATH}/Name/IISU")).await.ok(), json!([iis]));
    let made = admin.post(PATH, &load_balancer()).await.ok();
    assert_eq!(
        (&made["CustomAliasAllowed"], &made["EntryParameters"][0]["RequiredWhen"]),
        (&json!(2), &json!(2))
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_types_have_pages_and_filters() {
    let server = TestServer::start().await;
    let page = async |number: u32| {
        let path = format!("{PATH}?cstquery.pageReturned={number}&cstquery.returnLimit=5");
        server.admin.get(&path).await
    };
    let first = page(1).await;
    assert_eq!(first.headers["x-total-count"], "8");
    assert_eq!(first.body.as_array().unwrap().len() + page(2).await.body.as_array().unwrap().len(), 8);
    assert_eq!(page(3).await.ok(), json!([]), "clients read until a page is empty");
    let found = server.admin.query(PATH, "ShortName -eq \"iisu\"").await.ok();
    assert_eq!(found[0]["StoreType"], 105);
    // A right for one container is none for types.
    let narrow = caller(&server, &["/certificate_stores/read/1/", "/certificate_stores/modify/1/"]).await;
    narrow.get(PATH).await.ok();
    narrow.post(PATH, &load_balancer()).await.refused(403);
    narrow.delete(&format!("{PATH}/104")).await.refused(403);
    server.stop().await;
}
