//! Collections: made, changed, copied, marked, counted and deleted, and what carries permissions.

use sealift_server::scheduler::Sweep;
use serde_json::{Value, json};
use support::TestServer;
use support::story::enroll;

use super::permissions::caller;

const COLLECTIONS: &str = "/CertificateCollections";

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_is_made_read_changed_copied_and_deleted() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let shop = enroll(admin, &["shop.example.test"]).await;
    enroll(admin, &["other.example.test"]).await;
    let body = json!({"Name": "Shop", "Description": "the shop", "Query": "IssuedCN -startswith \"shop.\"",
        "DuplicationField": 1, "ShowOnDashboard": true, "Favorite": true});
    let made = admin.post(COLLECTIONS, &body).await.ok();
    let id = made["Id"].as_i64().unwrap();
    assert_eq!((&made["Query"], &made["Content"]), (&body["Query"], &body["Query"]));
    assert!(made.get("Automated").is_none() && made["Favorite"] == true);

    let read = admin.get(&format!("{COLLECTIONS}/{id}")).await.ok();
    assert!(read.get("Query").is_none());
    assert_eq!((&read["Automated"], &read["Content"]), (&json!(false), &body["Query"]));
    assert_eq!((&read["DuplicationField"], &read["ShowOnDashboard"]), (&json!(1), &json!(true)));
    assert_eq!((&read["EstimatedCertCount"], read.get("LastEstimated")), (&json!(0), None));
    assert_eq!(admin.get(&format!("{COLLECTIONS}/shop")).await.ok(), read, "by its name, too");
    server.sweep(Sweep::CountCollections).await;
    let counted = admin.get(&format!("{COLLECTIONS}?pq.queryString=Name -eq \"Shop\"")).await;
    assert_eq!(counted.headers["x-total-count"], "1");
    let counted = counted.ok();
    assert_eq!(counted[0]["EstimatedCertCount"], 1);
    assert!(counted[0]["LastEstimated"].is_string());

    let changed = json!({"Id": id, "Name": "Shops", "DuplicationField": 0, "Description": " "});
    let changed = admin.put(COLLECTIONS, &changed).await.ok();
    assert_eq!((&changed["Query"], &changed["DuplicationField"]), (&body["Query"], &json!(0)));
    assert!(changed["Description"].is_null());
    let copied = admin.post(&format!("{COLLECTIONS}/Copy"), &json!({"CopyFromId": id, "Name": "Copy"})).await;
    let copied = copied.ok();
    assert_eq!((&copied["Query"], &copied["Favorite"]), (&body["Query"], &json!(false)));
    let list = admin.get(&format!("{COLLECTIONS}/CollectionList")).await.ok();
    assert_eq!(list, json!([{"Id": copied["Id"], "Name": "Copy"}, {"Id": id, "Name": "Shops"}]));
    let members = admin.get(&format!("/Certificates?CollectionId={id}")).await.ok();
    assert_eq!((members.as_array().unwrap().len(), &members[0]["Id"]), (1, &json!(shop)));

    let gone = admin.delete(&format!("{COLLECTIONS}/{id}")).await;
    assert_eq!((gone.status.as_u16(), gone.text.as_str()), (204, ""));
    assert!(!gone.headers.contains_key("content-type"));
    for path in [format!("{COLLECTIONS}/{id}"), format!("{COLLECTIONS}/Shops")] {
        assert!(admin.get(&path).await.refused(404).contains("not found"));
    }
    admin.delete(&format!("{COLLECTIONS}/{id}")).await.refused(404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_collections_are_refused_by_member() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let id = admin.post(COLLECTIONS, &json!({"Name": "Web"})).await.ok()["Id"].as_i64().unwrap();
    admin.post(COLLECTIONS, &json!({"Name": "Other"})).await.ok();
    for (body, word) in [
        (json!({}), "Name"),
        (json!({"Name": "web"}), "exists already"),
        (json!({"Name": "x".repeat(101)}), "Name"),
        (json!({"Name": "A", "Description": "x".repeat(1_001)}), "Description"),
        (json!({"Name": "A", "Query": "Color -eq 1"}), "Query"),
        (json!({"Name": "A", "Query": "IssuedCN"}), "Query"),
        (json!({"Name": "A", "DuplicationField": 9}), "DuplicationField"),
        (json!({"Name": "A", "ShowOnDashboard": "perhaps"}), "ShowOnDashboard"),
    ] {
        assert!(admin.post(COLLECTIONS, &body).await.refused(400).contains(word), "{body}");
    }
    admin.post(COLLECTIONS, &json!({"Name": "A", "CopyFromId": 99_999})).await.refused(404);
    let copy = format!("{COLLECTIONS}/Copy");
    assert!(admin.post(&copy, &json!({"Name": "A"})).await.refused(400).contains("CopyFromId"));
    assert!(admin.put(COLLECTIONS, &json!({"Name": "A"})).await.refused(400).contains("Id"));
    assert!(admin.put(COLLECTIONS, &json!({"Id": id})).await.refused(400).contains("Name"));
    assert!(
        admin.put(COLLECTIONS, &json!({"Id": id, "Name": "OTHER"})).await.refused(400).contains("exists")
    );
    admin.put(COLLECTIONS, &json!({"Id": 99_999, "Name": "A"})).await.refused(404);
    admin.put(&format!("{COLLECTIONS}/x/Favorite"), &json!({"ShowInNavigator": true})).await.refused(404);
    admin.put(&format!("{COLLECTIONS}/{id}/Favorite"), &json!({})).await.refused(400);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_is_of_the_caller_alone() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let make =
        async |name: &str| admin.post(COLLECTIONS, &json!({"Name": name})).await.ok()["Id"].as_i64().unwrap();
    let (one, two) = (make("One").await, make("Two").await);
    let reader = caller(&server, &[&format!("/certificates/collections/read/{one}/")]).await;
    let mark = |id: i64| format!("{COLLECTIONS}/{id}/Favorite");
    assert_eq!(reader.put(&mark(one), &json!({"ShowInNavigator": true})).await.status, 204);
    reader.put(&mark(two), &json!({"ShowInNavigator": true})).await.refused(403);
    let marked = format!("{COLLECTIONS}/NavItems");
    assert_eq!(reader.get(&marked).await.ok(), json!([{"Id": one, "Name": "One"}]));
    assert_eq!(admin.get(&marked).await.ok(), json!([]));
    assert_eq!(reader.get(&format!("{COLLECTIONS}/CollectionList")).await.ok().as_array().unwrap().len(), 1);
    assert_eq!(reader.get(COLLECTIONS).await.ok()[0]["Favorite"], true);
    reader.put(&mark(one), &json!({"ShowInNavigator": false})).await.ok();
    assert_eq!(reader.get(&marked).await.ok(), json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_carries_grants_is_changed_only_by_who_has_them_everywhere() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let secret = enroll(admin, &["secret.example.test"]).await;
    let body = json!({"Name": "Shop", "Query": "IssuedCN -startswith \"shop.\""});
    let id = admin.post(COLLECTIONS, &body).await.ok()["Id"].as_i64().unwrap();
    let grant = format!("/certificates/collections/read/{id}/");
    let role = json!({"Name": "Shopkeepers", "Description": "", "Permissions": [grant]});
    let role = admin.post("/Security/Roles", &role).await.ok()["Id"].as_i64().unwrap();
    let deputy = caller(&server, &["/certificates/collections/modify/", &grant]).await;
    let wider = json!({"Id": id, "Name": "Shop", "Query": "IssuedCN -ne NULL"});
    assert!(deputy.put(COLLECTIONS, &wider).await.refused(403).contains("/certificates/collections/read/"));
    deputy.put(COLLECTIONS, &json!({"Id": id, "Name": "Shop", "Description": "mine"})).await.ok();
    let keeper = caller(&server, &["/certificates/collections/modify/"]).await;
    keeper.put(COLLECTIONS, &json!({"Id": id, "Name": "Shop", "Description": "ours"})).await.ok();
    deputy.get(&format!("/Certificates/{secret}?collectionId={id}")).await.refused(404);
    let refused = admin.delete(&format!("{COLLECTIONS}/{id}")).await;
    assert!(refused.refused(400).contains("Shopkeepers"), "{}", refused.text);
    admin.put(COLLECTIONS, &wider).await.ok();
    deputy.get(&format!("/Certificates/{secret}?collectionId={id}")).await.ok();
    admin.delete(&format!("/Security/Roles/{role}")).await.ok();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_certificates_with_the_same_name_the_newest_is_shown() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let mut ids = Vec::new();
    for name in ["www.example.test", "www.example.test", "other.example.test"] {
        ids.push(enroll(admin, &[name]).await);
        server.clock.advance(chrono::TimeDelta::minutes(10));
    }
    let listed = async |kind: i32| {
        let body =
            json!({"Name": format!("By {kind}"), "Query": "IssuedCN -ne NULL", "DuplicationField": kind});
        let id = admin.post(COLLECTIONS, &body).await.ok()["Id"].as_i64().unwrap();
        let rows: Value = admin.get(&format!("/Certificates?collectionId={id}")).await.ok();
        rows.as_array().unwrap().iter().map(|row| row["Id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(listed(0).await, ids);
    for kind in [1, 2] {
        assert_eq!(listed(kind).await, ids[1..], "{kind}");
    }
    assert_eq!(listed(3).await, ids, "no certificate has a principal name");
    server.stop().await;
}
