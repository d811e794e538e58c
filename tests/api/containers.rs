//! Containers by both their names: schedules that their stores take, and what keeps them from going.

use reqwest::StatusCode;
use serde_json::{Value, json};
use support::{RawAgent, TestServer};

use crate::permissions::caller;

async fn put_into(server: &TestServer, container: &Value, stores: &[&str]) -> Value {
    let body = json!({"KeystoreIds": stores, "CertStoreContainerId": container});
    server.admin.put("/CertificateStores/AssignContainer", &body).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_made_read_changed_and_deleted_by_both_names() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    for (path, other) in
        [("/CertificateStoreContainers", "/Applications"), ("/Applications", "/CertificateStoreContainers")]
    {
        let body = json!({"Name": "Farm", "OverwriteSchedules": true,
            "Schedule": {"Daily": {"Time": "2020-01-02T03:15:00Z"}}});
        let made = admin.post(path, &body).await.ok();
        let id = made["Id"].as_i64().unwrap();
        let expected = json!({"Id": id, "Name": "Farm", "OverwriteSchedules": true, "CertStoreType": -1,
            "Schedule": {"Daily": {"Time": "2020-01-02T03:15:00Z"}}, "CertificateStores": []});
        assert_eq!(made, expected, "the schedule is echoed");
        let read = admin.get(&format!("{other}/{id}")).await.ok();
        let time = read["Schedule"]["Daily"]["Time"].as_str().unwrap();
        let today = server.clock.now().date_naive().to_string();
        assert_eq!(time, format!("{today}T03:15:00Z"), "later it has today's date");
        let listed = admin.query(other, "Name -eq \"farm\" AND HasSchedule -eq true").await.ok();
        assert_eq!(
            listed,
            json!([{"Id": id, "Name": "Farm", "OverwriteSchedules": true, "Schedule": "D_03:15",
                "CertStoreType": -1, "StoreCount": 0}])
        );
        let changed = admin.put(path, &json!({"Id": id, "Name": "Farm two", "CertStoreType": 2})).await.ok();
        assert_eq!((&changed["Name"], &changed["CertStoreType"]), (&json!("Farm two"), &json!(2)));
        assert!(changed.get("Schedule").is_none() && changed["OverwriteSchedules"] == false, "{changed}");
        assert_eq!(admin.delete(&format!("{other}/{id}")).await.status, StatusCode::NO_CONTENT);
        assert!(admin.get(&format!("{path}/{id}")).await.refused(404).contains("not found"));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_that_cannot_be() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 2, "/a.pem").await;
    let path = "/CertificateStoreContainers";
    let made = admin.post(path, &json!({"Name": "Farm"})).await.ok()["Id"].clone();
    let other = admin.post(path, &json!({"Name": "Other"})).await.ok()["Id"].clone();
    for (body, word) in [
        (json!({"Name": ""}), "Name is required"),
        (json!({"Name": "x".repeat(257)}), "Name"),
        (json!({"Name": "FARM"}), "already exists"),
        (json!({"Name": "New", "CertStoreType": 9_999}), "CertStoreType"),
        (json!({"Name": "New", "Schedule": {"Interval": {"Minutes": 0}}}), "Interval.Minutes"),
    ] {
        let answer = admin.post(path, &body).await;
        assert!(answer.refused(400).contains(word), "{}", answer.text);
    }
    for (body, status, word) in [
        (json!({"Name": "x"}), 400, "Id is required"),
        (json!({"Id": 9_999, "Name": "x"}), 404, "not found"),
        (json!({"Id": other, "Name": "farm"}), 400, "already exists"),
    ] {
        let answer = admin.put(path, &body).await;
        assert!(answer.refused(status).contains(word), "{}", answer.text);
    }
    put_into(&server, &made, &[&store]).await;
    let answer = admin.delete(&format!("{path}/{made}")).await;
    assert!(answer.refused(400).contains("web1.example.test - /a.pem"), "{}", answer.text);
    let answer = admin.put(path, &json!({"Id": made, "Name": "Farm", "CertStoreType": 103})).await;
    assert!(answer.refused(400).contains("1 stores of other types"), "{}", answer.text);
    for bad in ["x", "9999", "-1"] {
        admin.delete(&format!("{path}/{bad}")).await.refused(404);
    }
    // A grant for one container is none for another.
    let narrow = format!("/certificate_stores/modify/{other}/");
    let narrow = caller(&server, &[&narrow, &narrow.replace("modify", "read")]).await;
    narrow.put(path, &json!({"Id": made, "Name": "Mine"})).await.refused(403);
    narrow.get(&format!("{path}/{made}")).await.refused(403);
    narrow.delete(&format!("/Applications/{made}")).await.refused(403);
    narrow.post("/Applications", &json!({"Name": "Mine"})).await.refused(403);
    narrow.put(path, &json!({"Id": other, "Name": "Mine"})).await.ok();
    assert_eq!(narrow.get(path).await.ok().as_array().unwrap().len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_take_the_schedule_of_their_container() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let (bare, own) = (agent.store(&server, 2, "/a.pem").await, agent.store(&server, 2, "/b.pem").await);
    let every = |minutes: i64| json!({"Interval": {"Minutes": minutes}});
    let schedule = json!({"StoreIds": [own], "Schedule": every(5)});
    admin.post("/CertificateStores/Schedule", &schedule).await;
    let minutes = async |store: &str| {
        admin.get(&format!("/CertificateStores/{store}")).await.ok()["InventorySchedule"]["Interval"]["Minutes"].clone()
    };
    let container =
        admin.post("/Applications", &json!({"Name": "Farm", "Schedule": every(60)})).await.ok()["Id"].clone();
    let moved = put_into(&server, &container, &[&own, &bare]).await;
    assert_eq!((&moved[0]["Id"], &moved[1]["ContainerName"]), (&json!(own), &json!("Farm")));
    assert_eq!((minutes(&bare).await, minutes(&own).await), (json!(60), json!(5)));
    let overwriting =
        json!({"Id": container, "Name": "Farm", "OverwriteSchedules": true, "Schedule": every(30)});
    admin.put("/Applications", &overwriting).await.ok();
    assert_eq!((minutes(&bare).await, minutes(&own).await), (json!(30), json!(30)));
    let body = json!({"ClientMachine": agent.machine, "StorePath": "/c.pem", "CertStoreType": 2,
        "AgentId": agent.id, "ContainerId": container, "InventorySchedule": every(7)});
    let made = admin.post("/CertificateStores", &body).await.ok();
    assert_eq!(made["InventorySchedule"], every(30), "the container overwrites");
    let details = admin.get(&format!("/Applications/{container}")).await.ok();
    assert_eq!(details["CertificateStores"].as_array().unwrap().len(), 3);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn assignments_are_all_or_none() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let (pem, ccs) = (agent.store(&server, 2, "/a.pem").await, agent.store(&server, 103, "/srv/ccs").await);
    let path = "/CertificateStores/AssignContainer";
    let for_pem =
        admin.post("/Applications", &json!({"Name": "Pem", "CertStoreType": 2})).await.ok()["Id"].clone();
    let unknown = uuid::Uuid::new_v4().to_string();
    for (body, status, word) in [
        (json!({"KeystoreIds": [pem, ccs], "CertStoreContainerId": for_pem}), 400, "CCS"),
        (json!({"KeystoreIds": [pem, unknown], "CertStoreContainerId": for_pem}), 404, unknown.as_str()),
        (json!({"KeystoreIds": [], "CertStoreContainerId": for_pem}), 400, "KeystoreIds"),
        (json!({"KeystoreIds": [pem]}), 400, "NewContainerName"),
        (
            json!({"KeystoreIds": [pem], "CertStoreContainerId": for_pem, "NewContainerName": "x"}),
            400,
            "exclude",
        ),
        (json!({"KeystoreIds": [pem], "CertStoreContainerId": 9_999}), 400, "9999"),
        (json!({"KeystoreIds": [ccs], "NewContainerName": "New", "NewContainerType": 2}), 400, "CCS"),
    ] {
        let answer = admin.put(path, &body).await;
        assert!(answer.refused(status).contains(word), "{}", answer.text);
    }
    assert_eq!(admin.get("/Applications").await.ok().as_array().unwrap().len(), 1, "no container was made");
    assert_eq!(admin.get(&format!("/CertificateStores/{pem}")).await.ok()["ContainerId"], Value::Null);
    let body = json!({"KeystoreIds": [pem, ccs], "CertStoreContainerId": 0, "NewContainerName": "Both"});
    let moved = admin.put(path, &body).await.ok();
    assert_eq!(moved[1]["ContainerName"], "Both");
    // The caller needs the right for where the stores are and for where they go.
    let both = moved[0]["ContainerId"].as_i64().unwrap();
    let narrow = caller(&server, &[&format!("/certificate_stores/modify/{both}/")]).await;
    let away = json!({"KeystoreIds": [pem], "CertStoreContainerId": for_pem});
    narrow.put(path, &away).await.refused(403);
    let other = agent.store(&server, 2, "/b.pem").await;
    narrow.put(path, &json!({"KeystoreIds": [other], "CertStoreContainerId": both})).await.refused(403);
    server.stop().await;
}
