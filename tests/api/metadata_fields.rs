//! Metadata fields: their types and bounds, and what keeps them from being changed or deleted.

use serde_json::{Value, json};
use support::TestServer;
use support::story::enroll;

use super::permissions::caller;

const FIELDS: &str = "/MetadataFields";

#[tokio::test(flavor = "multi_thread")]
async fn a_field_is_made_read_changed_and_deleted() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    assert_eq!(admin.get(FIELDS).await.ok(), json!([]));
    // Before the field is required, or the certificate would have its default.
    let certificate = enroll(admin, &["www.example.test"]).await;
    let body = json!({"Name": "Stage", "Description": "where it runs", "DataType": 5, "Hint": "Production",
        "Enrollment": 1, "Options": "Production, Test", "DefaultValue": "test", "Validation": "", "Message": "",
        "AllowAPI": true, "ExplicitUpdate": false});
    let made = admin.post(FIELDS, &body).await.ok();
    let id = made["Id"].as_i64().unwrap();
    assert_eq!(
        (&made["DataType"], &made["Enrollment"], &made["DisplayOrder"]),
        (&json!(5), &json!(1), &json!(0))
    );
    for path in [format!("{FIELDS}/{id}"), format!("{FIELDS}/stage")] {
        assert_eq!(admin.get(&path).await.ok(), made);
    }
    let camel = json!({"name": "Team", "description": "who", "dataType": "String", "validation": "^[a-z]+$"});
    let team = admin.post(FIELDS, &camel).await.ok();
    assert_eq!((&team["DisplayOrder"], &team["AllowAPI"]), (&json!(1), &json!(true)));
    let listed = admin.get(&format!("{FIELDS}?pq.returnLimit=1&pq.pageReturned=2")).await;
    assert_eq!(listed.headers["x-total-count"], "2");
    assert_eq!(listed.ok()[0]["Name"], "Team");
    assert_eq!(admin.query(FIELDS, "DataType -eq 5").await.ok()[0]["Name"], "Stage");

    assert_eq!(admin.get(&format!("{FIELDS}/{id}/InUse")).await.ok(), json!(false));
    let set = json!({"Id": certificate, "Metadata": {"Stage": "TEST", "Team": "web"}});
    admin.put("/Certificates/Metadata", &set).await.ok();
    assert_eq!(admin.get(&format!("{FIELDS}/{id}/InUse")).await.ok(), json!(true));
    // A new name goes along to the certificates.
    let renamed = json!({"Id": id, "Name": "Environment", "Description": "where it runs", "DataType": 5,
        "Options": "Production,Test"});
    let renamed = admin.put(FIELDS, &renamed).await.ok();
    assert_eq!((&renamed["Hint"], &renamed["Enrollment"]), (&Value::Null, &json!(1)));
    let metadata = async || {
        admin.get(&format!("/Certificates/{certificate}?includeMetadata=true")).await.ok()["Metadata"].clone()
    };
    assert_eq!(metadata().await, json!({"Environment": "Test", "Team": "web"}));

    for (path, status) in [(format!("{FIELDS}/{id}"), 400), (format!("{FIELDS}/99999"), 404)] {
        let refused = admin.delete(&path).await;
        let message = refused.refused(status);
        assert!(status == 404 || message.contains("1 certificate"), "{message}");
    }
    let many = json!([id, team["Id"]]);
    admin.delete_these(FIELDS, &many).await.refused(400);
    assert_eq!(admin.get(FIELDS).await.ok().as_array().unwrap().len(), 2, "all or none");
    admin.delete_these(FIELDS, &json!([id, 99_999])).await.refused(404);
    assert_eq!(admin.delete_these(&format!("{FIELDS}?force=true"), &many).await.status, 204);
    assert_eq!(metadata().await, json!({}));
    for body in [json!([]), json!(null), json!(["x"])] {
        admin.delete_these(FIELDS, &body).await.refused(400);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_fields_are_refused_by_member() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let owner = json!({"Name": "Owner", "Description": "who", "DataType": 1});
    let with = |member: &str, value: Value| {
        let mut body = owner.clone();
        body[member] = value;
        body
    };
    let id = admin.post(FIELDS, &owner).await.ok()["Id"].as_i64().unwrap();
    for (member, value, word) in [
        ("Name", json!("OWNER"), "exists already"),
        ("Name", json!(null), "Name"),
        ("Name", json!("Cost center"), "Name"),
        ("Name", json!("x'); DROP TABLE metadata_fields; --"), "Name"),
        ("Name", json!("Thumbprint"), "Name"),
        ("Description", json!(""), "Description"),
        ("DataType", json!(9), "DataType"),
        ("DataType", json!({"Type": 1}), "DataType"),
        ("Validation", json!("(((a{1000}){1000}){1000}){1000}"), "Validation"),
        ("Validation", json!("(?=a)"), "Validation"),
        ("Hint", json!("x".repeat(129)), "Hint"),
        ("DisplayOrder", json!("last"), "DisplayOrder"),
    ] {
        let body = with(member, value);
        assert!(admin.post(FIELDS, &body).await.refused(400).contains(word), "{body}");
    }
    assert!(admin.put(FIELDS, &owner).await.refused(400).contains("Id"));
    admin.put(FIELDS, &with("Id", json!(99_999))).await.refused(404);
    admin.get(&format!("{FIELDS}/Nobody")).await.refused(404);
    admin.get(&format!("{FIELDS}/99999/InUse")).await.refused(404);

    // Its type stays while a certificate has a value, and so does its name while a collection asks for it.
    let certificate = enroll(admin, &["www.example.test"]).await;
    admin.put("/Certificates/Metadata", &json!({"Id": certificate, "Metadata": {"Owner": "web"}})).await.ok();
    let mut typed = with("Id", json!(id));
    typed["DataType"] = json!(2);
    assert!(admin.put(FIELDS, &typed).await.refused(400).contains("1 certificate"));
    let collection = json!({"Name": "Web", "Query": "owner -eq \"web\""});
    admin.post("/CertificateCollections", &collection).await.ok();
    let mut renamed = with("Id", json!(id));
    renamed["Name"] = json!("Team");
    assert!(admin.put(FIELDS, &renamed).await.refused(400).contains("collection 'Web'"));
    assert!(
        admin.delete(&format!("{FIELDS}/{id}?force=true")).await.refused(400).contains("collection 'Web'")
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_checked_by_their_field() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let certificate = enroll(admin, &["www.example.test"]).await;
    for body in [
        json!({"Name": "Code", "Description": "d", "DataType": 1, "Validation": "^(a+)+$", "Message": "Only a."}),
        json!({"Name": "Mail", "Description": "d", "DataType": "Email"}),
        json!({"Name": "Fixed", "Description": "d", "DataType": 1, "AllowAPI": false}),
    ] {
        admin.post(FIELDS, &body).await.ok();
    }
    let set = async |name: &str, value: &str| {
        let body = json!({"Id": certificate, "Metadata": {name: value}});
        admin.put("/Certificates/Metadata", &body).await
    };
    set("Code", "aaa").await.ok();
    // A pattern that would keep a backtracking engine busy for years.
    let refused = set("Code", &format!("{}!", "a".repeat(3_000))).await;
    assert_eq!(refused.refused(400), "Metadata.Code: Only a.");
    set("Mail", "nobody").await.refused(400);
    set("Mail", "web@example.test").await.ok();
    assert!(set("Fixed", "x").await.refused(400).contains("API"));
    let reader = caller(&server, &["/metadata/types/read/"]).await;
    reader.get(FIELDS).await.ok();
    reader.post(FIELDS, &json!({"Name": "A", "Description": "d", "DataType": 1})).await.refused(403);
    server.stop().await;
}
