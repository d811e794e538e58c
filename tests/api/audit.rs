//! The audit log: what callers did, found again, unchanged or not; and the licence.

use serde_json::{Value, json};
use support::TestServer;

use crate::permissions::caller;

async fn make_role(server: &TestServer, name: &str) -> i64 {
    let role = json!({"Name": name, "Description": "d", "Permissions": ["AgentManagement:Read"]});
    server.admin.post("/Security/Roles", &role).await.ok()["Id"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_found_again() {
    let server = TestServer::start().await;
    let auditor = caller(&server, &["Auditing:Read"]).await;
    let (one, other) = (make_role(&server, "One").await, make_role(&server, "Other").await);
    server.admin.delete(&format!("/Security/Roles/{one}")).await;
    auditor.get("/Agents").await.refused(403);

    let filter = format!("EntityType -eq \"Role\" AND Name -eq \"{one}\" AND Category -eq 2011");
    let found = auditor.query("/Audit", &filter).await;
    assert_eq!(found.headers["x-total-count"], "2");
    let lines = found.ok();
    assert_eq!((&lines[0]["Operation"], &lines[1]["Operation"]), (&json!(3), &json!(1)), "newest first");
    for member in
        ["Id", "Timestamp", "Message", "Signature", "Level", "User", "AuditIdentifier", "ImmutableIdentifier"]
    {
        assert!(!lines[0][member].is_null(), "{member}");
    }
    assert_eq!((&lines[0]["User"], &lines[0]["Level"]), (&json!("admin"), &json!(0)));

    let refused =
        auditor.query("/Audit", "Level -eq 1 AND Message -contains \"Authorization Failure\"").await.ok();
    assert!(refused[0]["Message"].as_str().unwrap().contains("GET /agents"), "{refused}");
    let older = auditor.get("/Audit?SortField=Id&SortAscending=0&ReturnLimit=1").await.ok();
    assert!(older[0]["Message"].as_str().unwrap().contains("first of this installation"));

    let related = auditor.query("/Audit/RelatedEntities", "Operation -eq 3").await.ok();
    let ids: Vec<_> = related.as_array().unwrap().iter().map(|line| &line["AuditIdentifier"]).collect();
    assert!(ids.len() == 2 && ids.iter().all(|id| **id == json!(one.to_string())), "{ids:?} {other}");

    let line = auditor.get(&format!("/Audit/{}", lines[0]["Id"])).await.ok();
    assert_eq!(line, lines[0]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_was_changed_shows_it() {
    let server = TestServer::start().await;
    let id = make_role(&server, "One").await;
    let line = server.admin.query("/Audit", &format!("Name -eq \"{id}\"")).await.ok()[0]["Id"].clone();
    let validate = || async { server.admin.get(&format!("/Audit/{line}/Validate")).await.ok() };
    assert_eq!(validate().await, json!(true));
    for (column, value) in [
        ("actor", "'someone'"),
        ("operation", "2"),
        ("level", "2"),
        ("entity_id", "'99'"),
        ("entity_type", "'Agent'"),
        ("message", "message || '.'"),
        ("at", "at + interval '1 second'"),
        ("signature", "sha256('x')"),
    ] {
        let number = line.as_i64().unwrap();
        let statement = format!("UPDATE audit_log SET {column} = {value} WHERE id = {number}");
        let read = format!("SELECT {column}::text FROM audit_log WHERE id = {number}");
        let whole: String =
            sqlx::query_scalar(sqlx::AssertSqlSafe(read)).fetch_one(server.database()).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(server.database()).await.unwrap();
        assert_eq!(validate().await, json!(false), "{column}");
        let kind = match column {
            "operation" | "level" => "::text::smallint",
            "at" => "::text::timestamptz",
            "signature" => "::text::bytea",
            _ => "",
        };
        let back = format!("UPDATE audit_log SET {column} = $1{kind} WHERE id = {number}");
        sqlx::query(sqlx::AssertSqlSafe(back)).bind(whole).execute(server.database()).await.unwrap();
        assert_eq!(validate().await, json!(true), "{column} as it was");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_can_be_downloaded() {
    let server = TestServer::start().await;
    make_role(&server, "Quoted \"role\", with a comma").await;
    let csv = server.admin.query("/Audit/Download", "EntityType -eq \"Role\"").await.ok();
    let csv = csv.as_str().unwrap();
    assert_eq!(csv.lines().count(), 2);
    assert!(
        csv.starts_with("Id,Timestamp,User,") && csv.contains("\"Role 'Quoted \"\"role\"\", with a comma'"),
        "{csv}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_of_the_log_is_refused() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    assert!(admin.query("/Audit", "Color -eq 1").await.refused(400).contains("ActingUser"));
    assert!(admin.query("/Audit/Download", "Level -eq x").await.refused(400).contains("Level"));
    admin.get("/Audit/999999").await.refused(404);
    admin.get("/Audit/last").await.refused(404);
    admin.get("/Audit/999999/Validate").await.refused(404);
    let past: Value = admin.get("/Audit?PageReturned=1000").await.ok();
    assert_eq!(past, json!([]));
    let poor = caller(&server, &["/security/read/"]).await;
    for path in ["/Audit", "/Audit/1", "/Audit/1/Validate", "/Audit/Download", "/Audit/RelatedEntities"] {
        assert!(poor.get(path).await.refused(403).contains("/auditing/read/"), "{path}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_licence_is_what_it_is() {
    let server = TestServer::start().await;
    let license = server.admin.get("/License").await.ok();
    assert_eq!(license["KeyfactorVersion"], "25.4.1");
    assert_eq!(license["LicenseData"]["LicenseId"], "Apache-2.0");
    assert_eq!(license["LicenseData"]["LicensedProducts"][0]["LicensedFeatures"], json!([]));
    assert!(license["LicenseData"].get("ExpirationDate").is_none());
    server.admin.with(support::client::Credentials::None).get("/License").await.refused(401);
    server.stop().await;
}
