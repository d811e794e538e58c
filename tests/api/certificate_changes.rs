//! What changes certificates on record: revocation, holds, metadata, owners, deletion.

use serde_json::{Value, json};
use support::story::{addition, enroll};
use support::{Client, RawAgent, TestServer};

use super::permissions::caller;

/// How many serial numbers are on the newest list of the issuing authority.
async fn listed(server: &TestServer) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM issued_serials WHERE revoked_at IS NOT NULL AND revoke_reason IS NOT NULL",
    )
    .fetch_one(server.database())
    .await
    .unwrap()
}

async fn state(client: &Client, id: i64) -> (Value, Value, Value) {
    let record = client.get(&format!("/Certificates/{id}")).await.ok();
    (record["CertState"].clone(), record["RevocationReason"].clone(), record["RevocationComment"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_lifted_or_becomes_final() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let (one, two) = (enroll(admin, &["one.example.test"]).await, enroll(admin, &["two.example.test"]).await);
    let revoke = async |reason: Value, ids: &[i64]| {
        let body = json!({"CertificateIds": ids, "Reason": reason, "Comment": "for a test",
            "EffectiveDate": "2020-01-01T00:00:00Z", "CollectionId": 0});
        admin.post("/Certificates/Revoke", &body).await
    };
    let held = revoke(json!("CertificateHold"), &[one, two]).await.ok();
    assert_eq!((&held["RevokedIds"], &held["SuspendedCerts"]), (&json!([one, two]), &json!([])));
    assert_eq!(state(admin, one).await, (json!(2), json!(6), json!("for a test")));
    assert_eq!(listed(&server).await, 2);
    revoke(json!(-1), &[one]).await.ok();
    assert_eq!(state(admin, one).await, (json!(1), Value::Null, Value::Null));
    assert_eq!(listed(&server).await, 1);
    revoke(json!("1"), &[two]).await.ok();
    assert_eq!(state(admin, two).await.1, 1);
    assert_eq!(
        admin.get(&format!("/Certificates/{two}")).await.ok()["RevocationEffDate"],
        "2020-01-01T00:00:00Z"
    );
    // What is final stays, and what is not on hold cannot be taken off it; then nothing of the call happens.
    revoke(json!(6), &[two]).await.ok();
    assert_eq!(state(admin, two).await.1, 1);
    let refused = revoke(json!(-1), &[one, two]).await;
    assert!(refused.refused(400).contains("not on hold"));
    assert_eq!(refused.body["FailedOperations"].as_array().unwrap().len(), 2);
    revoke(json!("because"), &[one]).await.refused(400);
    revoke(json!(10), &[one]).await.refused(400);
    let history = admin.get(&format!("/Certificates/{one}/History?SortField=Id&SortAscending=0")).await.ok();
    let actions: Vec<&str> =
        history.as_array().unwrap().iter().map(|line| line["Action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["Created", "Revoked", "Removed from hold"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_match_are_revoked_within_the_collection() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let mut shops = Vec::new();
    for name in ["a.shop.test", "b.shop.test"] {
        shops.push(enroll(admin, &[name]).await);
    }
    let other = enroll(admin, &["a.other.test"]).await;
    let collection = json!({"Name": "Shop", "Query": "IssuedCN -endswith \".shop.test\""});
    let collection = admin.post("/CertificateCollections", &collection).await.ok()["Id"].as_i64().unwrap();
    let revoker = caller(&server, &[&format!("/certificates/collections/revoke/{collection}/")]).await;
    let path = format!("/Certificates/RevokeAll?collectionId={collection}");
    let body = json!({"Query": "IssuedCN -startswith \"a.\"", "Reason": 4, "Comment": "moved"});
    revoker.post("/Certificates/RevokeAll", &body).await.refused(403);
    let revoked = revoker.post(&path, &body).await.ok();
    assert_eq!(revoked["RevokedIds"], json!([shops[0]]));
    assert_eq!(state(admin, other).await.0, 1);
    // What is on hold is found only when revoked certificates are asked for.
    let hold = json!({"Query": "IssuedCN -startswith \"b.\"", "Reason": 6, "Comment": "lost"});
    assert_eq!(revoker.post(&path, &hold).await.ok()["RevokedIds"], json!([shops[1]]));
    let release = |revoked: bool| json!({"Query": "IssuedCN -startswith \"b.\"", "Reason": -1, "Comment": "found", "IncludeRevoked": revoked});
    assert_eq!(revoker.post(&path, &release(false)).await.ok()["RevokedIds"], json!([]));
    assert_eq!(revoker.post(&path, &release(true)).await.ok()["RevokedIds"], json!([shops[1]]));
    assert_eq!(state(admin, shops[1]).await.0, 1);
    for (body, word) in [
        (json!({"Reason": 4, "Comment": "moved"}), "Query"),
        (json!({"Query": "IssuedCN -ne NULL", "Comment": "moved"}), "Reason"),
        (json!({"Query": "IssuedCN -ne NULL", "Reason": 4}), "Comment"),
        (json!({"Query": " ", "Reason": 4, "Comment": "moved"}), "Query"),
        (json!({"Query": "Color -eq 1", "Reason": 4, "Comment": "moved"}), "Color"),
        (json!({"Query": "IssuedCN -ne NULL", "Reason": 12, "Comment": "moved"}), "Reason"),
        (
            json!({"Query": "IssuedCN -ne NULL", "Reason": 4, "Comment": "moved",
                "EffectiveDate": "2999-01-01T00:00:00Z"}),
            "EffectiveDate",
        ),
    ] {
        assert!(admin.post("/Certificates/RevokeAll", &body).await.refused(400).contains(word), "{body}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_changed_for_one_and_for_many() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    for (name, kind) in [("Owner", 1), ("Seats", 2), ("Due", 3), ("Live", 4)] {
        let field = json!({"Name": name, "Description": "for a test", "DataType": kind});
        admin.post("/MetadataFields", &field).await.ok();
    }
    let (one, two) = (enroll(admin, &["one.example.test"]).await, enroll(admin, &["two.example.test"]).await);
    let metadata = async |id: i64| {
        admin.get(&format!("/Certificates/{id}?includeMetadata=true")).await.ok()["Metadata"].clone()
    };
    let update = async |body: Value| admin.put("/Certificates/Metadata", &body).await;
    let answer = update(json!({"Id": one, "Metadata": {"owner": "web", "Seats": "007", "Live": true}})).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
    assert_eq!(metadata(one).await, json!({"Owner": "web", "Seats": "7", "Live": "true"}));
    // As camel-case clients of newer versions write it; what is empty is cleared.
    update(json!({"certificateId": one, "metadata": {"Owner": "", "due": "2026-05-04T10:00:00Z"}}))
        .await
        .ok();
    assert_eq!(metadata(one).await, json!({"Seats": "7", "Live": "true", "Due": "2026-05-04"}));

    let all = async |body: Value| admin.put("/Certificates/Metadata/All", &body).await;
    let change = |name: &str, value: &str, overwrite: bool| json!({"MetadataName": name, "Value": value, "OverwriteExisting": overwrite});
    let changes = json!([change("Seats", "9", false), change("Owner", "ops", true)]);
    all(json!({"Query": "IssuedCN -endswith \".example.test\"", "Metadata": changes})).await.ok();
    assert_eq!(metadata(one).await["Seats"], "7", "not overwritten");
    assert_eq!(metadata(two).await, json!({"Seats": "9", "Owner": "ops"}));
    all(json!({"CertificateIds": [one, two], "Metadata": [change("Owner", "", true)]})).await.ok();
    assert_eq!(metadata(two).await, json!({"Seats": "9"}));

    for (path, body, word) in [
        ("", json!({"Metadata": {"Owner": "x"}}), "Id"),
        ("", json!({"Id": one, "Metadata": {}}), "Metadata"),
        ("", json!({"Id": one, "Metadata": {"Color": "red"}}), "Metadata.Color"),
        ("", json!({"Id": one, "Metadata": {"Owner": "x", "Seats": "many"}}), "Metadata.Seats"),
        ("", json!({"Id": one, "Metadata": {"Due": "2026-02-30"}}), "Metadata.Due"),
        ("/All", json!({"Metadata": [change("Owner", "x", true)]}), "Query"),
        ("/All", json!({"CertificateIds": [one], "Query": "IssuedCN -eq \"a\"", "Metadata": []}), "Query"),
        ("/All", json!({"CertificateIds": [one], "Metadata": [{"Value": "x"}]}), "Metadata[0].MetadataName"),
        ("/All", json!({"CertificateIds": [one], "Metadata": [change("Color", "x", true)]}), "Color"),
    ] {
        let answer = admin.put(&format!("/Certificates/Metadata{path}"), &body).await;
        assert!(answer.refused(400).contains(word), "{body}: {}", answer.text);
    }
    update(json!({"Id": 99_999, "Metadata": {"Owner": "x"}})).await.refused(404);
    let none = json!({"CertificateIds": [one, 99_999], "Metadata": [change("Owner", "x", true)]});
    all(none).await.refused(404);
    assert_eq!(metadata(one).await.get("Owner"), None, "all or none");

    for (value, expected) in [("7", true), ("07", true), ("8", false), ("many", false)] {
        let path = format!(
            "/Certificates/Metadata/Compare?certificateId={one}&metadataFieldName=seats&value={value}"
        );
        assert_eq!(admin.get(&path).await.ok(), json!(expected), "{value}");
    }
    admin.get(&format!("/Certificates/Metadata/Compare?certificateId={one}&value=1")).await.refused(400);
    let path = format!("/Certificates/Metadata/Compare?certificateId={one}&metadataFieldName=Color&value=1");
    admin.get(&path).await.refused(404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_for_a_collection_changes_its_certificates_only() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    admin.post("/MetadataFields", &json!({"Name": "Owner", "Description": "who", "DataType": 1})).await.ok();
    let inside = enroll(admin, &["shop.example.test"]).await;
    let outside = enroll(admin, &["other.example.test"]).await;
    let collection = json!({"Name": "Shop", "Query": "IssuedCN -startswith \"shop.\""});
    let collection = admin.post("/CertificateCollections", &collection).await.ok()["Id"].as_i64().unwrap();
    let grant = |name: &str| format!("/certificates/collections/{name}/{collection}/");
    let deputy = caller(
        &server,
        &[&grant("metadata/modify"), &grant("change_owner"), &grant("delete"), &grant("revoke")],
    )
    .await;
    let role = json!({"Name": "Shopkeepers", "Description": "", "Permissions": ["/agents/management/read/"]});
    admin.post("/Security/Roles", &role).await.ok();
    let metadata = |id: i64| json!({"Id": id, "CollectionId": collection, "Metadata": {"Owner": "shop"}});
    let owner = json!({"NewRoleName": "shopkeepers"});
    let query = format!("collectionId={collection}");
    deputy.put("/Certificates/Metadata", &metadata(inside)).await.ok();
    deputy.put(&format!("/Certificates/{inside}/Owner?{query}"), &owner).await.ok();
    let both = json!({"CertificateIds": [inside, outside], "Reason": 4, "CollectionId": collection});
    let many = json!({"CertificateIds": [inside, outside], "Metadata":
        [{"MetadataName": "Owner", "Value": "x", "OverwriteExisting": true}]});
    for refused in [
        deputy.put("/Certificates/Metadata", &metadata(outside)).await,
        deputy.put(&format!("/Certificates/Metadata/All?{query}"), &many).await,
        deputy.put(&format!("/Certificates/{outside}/Owner?{query}"), &owner).await,
        deputy.delete(&format!("/Certificates/{outside}?{query}")).await,
        deputy.delete(&format!("/Certificates/PrivateKey/{outside}?{query}")).await,
        deputy.delete_these(&format!("/Certificates?{query}"), &json!([inside, outside])).await,
        deputy.post("/Certificates/Revoke", &both).await,
    ] {
        assert!(refused.refused(404).contains(&outside.to_string()), "{}", refused.text);
    }
    deputy
        .put("/Certificates/Metadata", &json!({"Id": inside, "Metadata": {"Owner": "x"}}))
        .await
        .refused(403);
    deputy.delete(&format!("/Certificates/{inside}")).await.refused(403);
    let record = admin.get(&format!("/Certificates/{inside}?includeMetadata=true")).await.ok();
    assert_eq!(
        (&record["OwnerRoleName"], &record["Metadata"]["Owner"]),
        (&json!("Shopkeepers"), &json!("shop"))
    );
    // By a query, only what the collection holds is touched.
    deputy
        .delete_these(&format!("/Certificates/Query?{query}"), &json!("IssuedCN -endswith \".example.test\""))
        .await
        .ok();
    admin.get(&format!("/Certificates/{inside}")).await.refused(404);
    admin.get(&format!("/Certificates/{outside}")).await.ok();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_becomes_the_owner() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let id = enroll(admin, &["www.example.test"]).await;
    let role = json!({"Name": "Web team", "Description": "", "Permissions": ["/agents/management/read/"]});
    let role = admin.post("/Security/Roles", &role).await.ok()["Id"].as_i64().unwrap();
    let path = format!("/Certificates/{id}/Owner");
    assert_eq!(admin.put(&path, &json!({"NewRoleId": role})).await.status, 204);
    let found = admin.query("/Certificates", "OwnerRoleName -eq \"web team\"").await.ok();
    assert_eq!((&found[0]["Id"], &found[0]["OwnerRoleId"]), (&json!(id), &json!(role)));
    for (body, word) in [
        (json!({}), "NewRoleName"),
        (json!({"NewRoleId": 99_999}), "role '99999' was not found"),
        (json!({"NewRoleName": "Nobody"}), "role 'Nobody' was not found"),
        (json!({"NewRoleName": "Web team", "NewRoleId": role}), "not both"),
    ] {
        assert!(admin.put(&path, &body).await.refused(400).contains(word), "{body}");
    }
    admin.put("/Certificates/99999/Owner", &json!({"NewRoleId": role})).await.refused(404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_use_is_not_deleted() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 2, "/etc/tls/a.pem").await;
    let (used, free, other) = (
        enroll(admin, &["used.example.test"]).await,
        enroll(admin, &["free.example.test"]).await,
        enroll(admin, &["other.example.test"]).await,
    );
    let job = admin.post("/CertificateStores/Certificates/Add", &addition(used, &[&store])).await.ok();
    let job = job[0].as_str().unwrap();
    for path in [format!("/Certificates/{used}"), format!("/Certificates/PrivateKey/{used}")] {
        assert!(admin.delete(&path).await.refused(400).contains(job), "{path}");
    }
    super::deployment::work_off(&agent).await;
    let refused = admin.delete(&format!("/Certificates/{used}")).await;
    assert!(refused.refused(400).contains("web1.example.test /etc/tls/a.pem"), "{}", refused.text);
    // Of many, what is in use and what is not there are passed over.
    let many = admin.delete_these("/Certificates", &json!([used, free, 99_999])).await;
    assert_eq!((many.status.as_u16(), many.text.as_str()), (204, ""));
    admin.get(&format!("/Certificates/{free}")).await.refused(404);
    admin.get(&format!("/Certificates/{used}")).await.ok();
    assert_eq!(admin.delete_these("/Certificates/PrivateKey", &json!([used])).await.status, 204);
    let record = admin.get(&format!("/Certificates/{used}?includeHasPrivateKey=true")).await.ok();
    assert_eq!(record["HasPrivateKey"], false);
    let refused = admin.delete(&format!("/Certificates/PrivateKey/{used}")).await;
    refused.refused(400);
    assert_eq!(refused.body["ErrorCode"], "0xA0110002");
    for body in [json!([]), json!(null), json!(["x"]), json!({"Ids": [1]})] {
        admin.delete_these("/Certificates", &body).await.refused(400);
    }
    for body in [json!(""), json!("Color -eq 1"), json!([1])] {
        admin.delete_these("/Certificates/Query", &body).await.refused(400);
    }
    // The body of a DELETE of one is not looked at, as the Go client sends one.
    let gone = admin.delete_these(&format!("/Certificates/{other}"), &json!(null)).await;
    assert_eq!(gone.status, 204);
    admin.delete(&format!("/Certificates/{other}")).await.refused(404);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM certificate_keys")
        .fetch_one(server.database())
        .await
        .unwrap();
    assert_eq!(left, 0, "keys go with their certificates");
    server.stop().await;
}
