//! Blueprints: made of one agent, applied to others.

use serde_json::{Value, json};
use support::{RawAgent, TestServer};

use super::permissions::caller;

async fn stores_of(server: &TestServer, agent: &str) -> Vec<Value> {
    let stores = server.admin.query("/CertificateStores", &format!("AgentId -eq \"{agent}\"")).await.ok();
    stores.as_array().unwrap().clone()
}

fn generate(agent: &str, name: &str) -> String {
    format!("/AgentBluePrint/GenerateBluePrint?agentId={agent}&name={name}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blueprint_carries_stores_and_schedules_to_other_agents() {
    let server = TestServer::start().await;
    let model = RawAgent::enroll(&server, "web1.example.test").await;
    let other = RawAgent::enroll(&server, "web2.example.test").await;
    let body = json!({"ClientMachine": model.machine, "StorePath": "/etc/tls/site.pem", "CertStoreType": 2,
        "AgentId": model.id, "Properties": "{\"PrivateKeyPath\":\"/etc/tls/site.key\"}",
        "InventorySchedule": {"Daily": {"Time": "2026-01-01T03:15:00Z"}}});
    server.admin.post("/CertificateStores", &body).await.ok();
    // A store with a password is left out.
    model.store(&server, 103, "/srv/ccs").await;

    let made = server.admin.post(&generate(&model.id, "Web"), &Value::Null).await.ok();
    assert_eq!(made["Name"], "Web");
    assert_eq!(
        made["RequiredCapabilities"],
        json!(["CertStores.PEM.Inventory", "CertStores.PEM.Management"])
    );
    let id = made["AgentBlueprintId"].as_str().unwrap();
    assert_eq!(server.admin.get("/AgentBluePrint").await.headers["x-total-count"], "1");
    assert_eq!(server.admin.get(&format!("/AgentBluePrint/{id}")).await.ok()["Name"], "Web");
    let stores = server.admin.get(&format!("/AgentBluePrint/{id}/Stores")).await.ok();
    assert_eq!(stores.as_array().unwrap().len(), 1);
    assert_eq!(
        (&stores[0]["StorePath"], &stores[0]["CertStoreType"]),
        (&json!("/etc/tls/site.pem"), &json!(2))
    );
    let jobs = server.admin.get(&format!("/AgentBluePrint/{id}/Jobs")).await.ok();
    assert_eq!(jobs[0]["JobTypeName"], "PEMInventory");
    assert_eq!(jobs[0]["AgentBlueprintStoreId"], stores[0]["AgentBlueprintStoreId"]);

    let apply = format!("/AgentBluePrint/ApplyBlueprint?templateId={id}");
    for _ in 0..2 {
        assert_eq!(server.admin.post(&apply, &json!([other.id])).await.status.as_u16(), 204);
        let set_up = stores_of(&server, &other.id).await;
        assert_eq!(set_up.len(), 1, "once, however often it is applied");
        assert_eq!(set_up[0]["ClientMachine"], "web2.example.test");
        assert!(set_up[0]["Properties"].as_str().unwrap().contains("/etc/tls/site.key"));
        assert!(set_up[0]["InventorySchedule"]["Daily"].is_object());
    }
    let shown = server.admin.get(&format!("/Agents/{}", other.id)).await.ok();
    assert_eq!(shown["Blueprint"], "Web");
    let path = format!("/AgentBluePrint/{id}");
    assert_eq!(server.admin.delete(&path).await.status.as_u16(), 204);
    assert!(server.admin.get(&path).await.refused(404).contains("not found"));
    assert_eq!(stores_of(&server, &other.id).await.len(), 1, "what was set up stays");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_as_a_whole() {
    let server = TestServer::start().await;
    let model = RawAgent::enroll(&server, "web1.example.test").await;
    let other = RawAgent::enroll(&server, "web2.example.test").await;
    let unable = RawAgent::enroll_with(&server, "web3.example.test", &["CertStores.PEM.Inventory"]).await;
    model.store(&server, 2, "/etc/tls/site.pem").await;
    let made = server.admin.post(&generate(&model.id, "Web"), &Value::Null).await.ok();
    let apply =
        format!("/AgentBluePrint/ApplyBlueprint?templateId={}", made["AgentBlueprintId"].as_str().unwrap());
    let refused = server.admin.post(&apply, &json!([other.id, unable.id])).await;
    assert!(refused.refused(400).contains("CertStores.PEM.Management"), "{}", refused.text);
    assert!(stores_of(&server, &other.id).await.is_empty());
    server.admin.post(&apply, &json!([other.id, uuid::Uuid::new_v4()])).await.refused(404);
    server.admin.post(&apply, &json!([])).await.refused(400);
    server.admin.post("/AgentBluePrint/ApplyBlueprint", &json!([other.id])).await.refused(400);
    server.admin.post("/AgentBluePrint/ApplyBlueprint?templateId=x", &json!([other.id])).await.refused(404);
    // Stores are made with the caller's own permission for them.
    let operator = caller(&server, &["/agents/management/modify/"]).await;
    assert!(
        operator.post(&apply, &json!([other.id])).await.refused(403).contains("/certificate_stores/modify/")
    );
    let refused = operator.post(&generate(&model.id, "Mine"), &Value::Null).await;
    assert!(refused.refused(403).contains("/certificate_stores/read/"));

    assert!(
        server.admin.post(&generate(&model.id, "WEB"), &Value::Null).await.refused(400).contains("exists")
    );
    server.admin.post(&generate("x", "Other"), &Value::Null).await.refused(400);
    server.admin.post(&generate(&uuid::Uuid::new_v4().to_string(), "Other"), &Value::Null).await.refused(404);
    server.admin.post(&generate(&model.id, ""), &Value::Null).await.refused(400);
    assert!(stores_of(&server, &other.id).await.is_empty());
    server.stop().await;
}
