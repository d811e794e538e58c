//! Reading certificates: members, filters, flags, places, history, validation, and who may do what.

use serde_json::{Value, json};
use support::client::Credentials;
use support::story::{addition, enroll};
use support::{RawAgent, TestServer};

use super::permissions::caller;

async fn found(server: &TestServer, filter: &str) -> Vec<i64> {
    let rows = server.admin.query("/Certificates", filter).await.ok();
    rows.as_array().unwrap().iter().map(|row| row["Id"].as_i64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_object_has_every_member_of_the_contract() {
    let server = TestServer::start().await;
    let id = enroll(&server.admin, &["www.example.test"]).await;
    let record = server.admin.get(&format!("/Certificates/{id}")).await.ok();
    for member in [
        "Id",
        "Thumbprint",
        "SerialNumber",
        "IssuedDN",
        "IssuedCN",
        "IssuedOU",
        "IssuedEmail",
        "IssuerDN",
        "ImportDate",
        "NotBefore",
        "NotAfter",
        "PrincipalId",
        "PrincipalName",
        "RequesterName",
        "OwnerRoleId",
        "OwnerRoleName",
        "TemplateId",
        "TemplateName",
        "CertState",
        "CertStateString",
        "KeySizeInBits",
        "KeyType",
        "KeyTypeString",
        "KeyAlgorithm",
        "AltKeyAlgorithm",
        "AltKeySizeInBits",
        "AltKeyType",
        "AltKeyTypeString",
        "AltSigningAlgorithm",
        "HasAltPrivateKey",
        "RequesterId",
        "CertRequestId",
        "KeyUsage",
        "SigningAlgorithm",
        "RevocationComment",
        "CertificateAuthorityId",
        "CertificateAuthorityName",
        "ArchivedKey",
        "HasPrivateKey",
        "KeyRecoverable",
        "ContentBytes",
        "ExtendedKeyUsages",
        "SubjectAltNameElements",
        "CRLDistributionPoints",
        "LocationsCount",
        "SSLLocations",
        "Locations",
        "Metadata",
        "CARowIndex",
        "CARecordId",
        "DetailedKeyUsage",
        "Curve",
        "IsCACertificate",
        "PathLengthConstraint",
        "EnrollmentPatternId",
        "Lifespan",
    ] {
        assert!(record.get(member).is_some(), "{member} is missing");
    }
    assert_eq!(record["HasPrivateKey"], false, "not asked for");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_know_the_fields_that_clients_name_and_metadata_fields() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let one = enroll(admin, &["one.example.test"]).await;
    let two = enroll(admin, &["two.example.test"]).await;
    let record = admin.get(&format!("/Certificates/{one}")).await.ok();
    let text = |member: &str| record[member].as_str().unwrap().to_owned();
    for filter in [
        format!("Thumbprint -eq \"{}\"", text("Thumbprint").to_lowercase()),
        "IssuedCN -eq \"one.example.test\"".to_owned(),
        "IssuedDN -eq \"CN=one.example.test\"".to_owned(),
        format!("CertID -eq {one}"),
        format!("CertId -eq \"{one}\" AND IssuerDN -eq \"{}\"", text("IssuerDN")),
        format!("SerialNumber -eq \"{}\" AND TemplateName -eq \"TLS server\"", text("SerialNumber")),
        format!("CertId -le {one} AND NotBefore -le \"2999-01-01\" AND NotAfter -ge %TODAY%"),
        format!("CA -ne NULL AND CertRequestId -ne NULL AND OwnerRoleName -eq NULL AND CertId -lt {two}"),
        "RequesterName -eq %ME% AND CN -startswith \"one\"".to_owned(),
    ] {
        assert_eq!(found(&server, &filter).await, [one], "{filter}");
    }
    for (name, kind) in [("Owner", 1), ("Seats", 2), ("Due", 3), ("Live", 4)] {
        let field = json!({"Name": name, "Description": "for a test", "DataType": kind});
        admin.post("/MetadataFields", &field).await.ok();
    }
    let metadata = json!({"Owner": "Web team", "Seats": 12, "Due": "2026-05-04", "Live": true});
    admin.put("/Certificates/Metadata", &json!({"Id": two, "Metadata": metadata})).await.ok();
    for filter in [
        "Owner -contains \"web\"",
        "owner -ne NULL",
        "Seats -gt 9",
        "Due -ge \"2026-05-04\" AND Due -lt \"2026-05-05\"",
        "Live -eq true",
    ] {
        assert_eq!(found(&server, filter).await, [two], "{filter}");
    }
    // A value from before a field had its type is no value of it, and breaks no list.
    sqlx::query(
        "UPDATE certificates SET metadata = '{\"Seats\": \"many\", \"Due\": \"2026-02-31\"}' WHERE id = $1",
    )
    .bind(one)
    .execute(server.database())
    .await
    .unwrap();
    assert_eq!(found(&server, "Seats -ne NULL").await, [two]);
    assert_eq!(found(&server, "Due -eq \"2026-03-03\"").await, [one]);
    let path = "/Certificates?SortField=Seats&SortAscending=1&includeMetadata=true";
    assert_eq!(admin.get(path).await.ok().as_array().unwrap().len(), 2);
    let refused = admin.query("/Certificates", "Colour -eq \"red\"").await;
    assert!(refused.refused(400).contains("Colour"));
    admin.query("/Certificates", "Seats -eq \"many\"").await.refused(400);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_told_by_store_type() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let stores = [agent.store(&server, 2, "/a.pem").await, agent.store(&server, 2, "/b.pem").await];
    let id = enroll(admin, &["www.example.test"]).await;
    let path = format!("/Certificates/Locations/{id}");
    assert_eq!(admin.get(&path).await.ok(), json!({"Details": []}));
    let add = addition(id, &[&stores[0], &stores[1]]);
    admin.post("/CertificateStores/Certificates/Add", &add).await.ok();
    super::deployment::work_off(&agent).await;
    let places = admin.get(&format!("{path}?collectionId=0")).await.ok();
    let details = &places["Details"][0];
    assert_eq!(
        (&details["StoreType"], &details["StoreTypeId"], &details["StoreCount"]),
        (&json!("PEM"), &json!(2), &json!(2))
    );
    let place = &details["Locations"][0];
    assert_eq!((&place["ClientMachine"], &place["Alias"]), (&json!("web1.example.test"), &json!("entry")));
    assert_eq!((&place["CertificateId"], &place["StoreTypeId"]), (&json!(id), &json!(2)));
    assert!(place["AgentPool"].is_null() && stores.contains(&place["StoreId"].as_str().unwrap().to_owned()));
    admin.get("/Certificates/Locations/99999").await.refused(404);
    admin.get("/Certificates/Locations/x").await.refused(404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn validation_says_what_is_wrong() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let id = enroll(admin, &["www.example.test"]).await;
    let path = format!("/Certificates/{id}/Validate");
    let good = admin.get(&path).await.ok();
    assert_eq!(good["Valid"], true, "{good}");
    assert_eq!(good["Results"].as_object().unwrap().len(), 6);
    admin.post("/Certificates/Revoke", &json!({"CertificateIds": [id], "Reason": 1})).await.ok();
    let bad = admin.get(&path).await.ok();
    assert_eq!((&bad["Valid"], &bad["Results"]["NotTimeValid"]), (&json!(false), &json!("Pass")));
    assert!(bad["Results"]["Revoked"].as_str().unwrap().starts_with("Fail: "));
    admin.get("/Certificates/99999/Validate").await.refused(404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_who_may_do_what_with_a_certificate() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let inside = enroll(admin, &["shop.example.test"]).await;
    let outside = enroll(admin, &["other.example.test"]).await;
    let collection = json!({"Name": "Shop", "Query": "IssuedCN -startswith \"shop.\""});
    let collection = admin.post("/CertificateCollections", &collection).await.ok()["Id"].as_i64().unwrap();
    let grant = format!("/certificates/collections/read/{collection}/");
    let role = json!({"Name": "Shopkeepers", "Description": "", "Permissions": [grant]});
    admin.post("/Security/Roles", &role).await.ok();
    let token =
        admin.post("/Security/ApiTokens", &json!({"Name": "till", "Roles": ["Shopkeepers"]})).await.ok();
    let till = admin.with(Credentials::Token(token["Token"].as_str().unwrap().to_owned()));

    let security = admin.get(&format!("/Certificates/{inside}/Security")).await.ok();
    let roles = security["Roles"].as_array().unwrap().clone();
    assert!(roles.contains(&json!({"Name": "Shopkeepers", "Permissions": ["Read"]})), "{security}");
    let own = till.get(&format!("/Certificates/{inside}/Security?collectionId={collection}")).await.ok();
    assert_eq!(own["Roles"], json!(roles));
    let security = admin.get(&format!("/Certificates/{outside}/Security")).await.ok();
    assert!(!security.to_string().contains("Shopkeepers"));

    let audit = admin.get(&format!("/Certificates/IdentityAudit/{inside}")).await.ok();
    let audit = audit.as_array().unwrap();
    let find = |name: &str| audit.iter().find(|one| one["AccountName"] == name).expect("a caller");
    assert_eq!(find("till")["IdentityType"], "ApiToken");
    assert_eq!(find("till")["Permissions"], json!([{"Name": "Read", "GrantedBy": ["Shopkeepers"]}]));
    assert_eq!(find("admin")["Permissions"].as_array().unwrap().len(), 6);
    till.get(&format!("/Certificates/IdentityAudit/{inside}")).await.refused(403);
    for path in
        ["/Certificates/99999/Security", "/Certificates/IdentityAudit/99999", "/Certificates/99999/History"]
    {
        admin.get(path).await.refused(404);
    }
    for part in ["Security", "History", "Validate"] {
        till.get(&format!("/Certificates/{inside}/{part}?collectionId={collection}")).await.ok();
        till.get(&format!("/Certificates/{inside}/{part}")).await.refused(403);
        till.get(&format!("/Certificates/{outside}/{part}?collectionId={collection}")).await.refused(404);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_listed_as_comma_separated_values() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    admin.post("/MetadataFields", &json!({"Name": "Owner", "Description": "who", "DataType": 1})).await.ok();
    let (one, two) = (enroll(admin, &["one.example.test"]).await, enroll(admin, &["two.example.test"]).await);
    let set = json!({"Id": one, "Metadata": {"Owner": "=1+1, \"x\""}});
    admin.put("/Certificates/Metadata", &set).await.ok();
    let listed = admin.get("/Certificates/CSV?SortName=CertId&SortOrder=1&Query=").await;
    let Value::String(text) = listed.ok() else { panic!("a JSON text") };
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("Id,Thumbprint,") && lines[0].ends_with(",Owner"));
    assert!(
        lines[1].starts_with(&format!("{two},")) && lines[2].ends_with(",\"'=1+1, \"\"x\"\"\""),
        "{text}"
    );
    let request = admin.request(reqwest::Method::GET, "/Certificates/CSV?Query=Owner -ne NULL");
    let plain = admin.send(request.header("accept", "text/csv")).await;
    assert_eq!(plain.text.lines().count(), 2, "{}", plain.text);
    assert_eq!(plain.headers["content-type"], "text/csv; charset=utf-8");
    admin.get("/Certificates/CSV?Query=Color -eq 1").await.refused(400);
    admin.get("/Certificates/CSV?SortName=Color").await.refused(400);
    let nobody = caller(&server, &["/certificates/collections/read/77/"]).await;
    nobody.get("/Certificates/CSV").await.refused(403);
    server.stop().await;
}
