//! Templates and certificate authorities: what they say, what may be changed, and what that changes.

use serde_json::{Value, json};
use support::TestServer;
use support::story::enroll;

use super::enrollment::template_id;
use super::permissions::caller;

#[tokio::test(flavor = "multi_thread")]
async fn templates_are_listed_and_read() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let rows = admin.get("/Templates?sq.sortField=CommonName&sq.sortAscending=1&sq.returnLimit=1").await;
    assert_eq!(rows.headers["x-total-count"], "2");
    let rows = rows.ok();
    assert_eq!((rows.as_array().unwrap().len(), &rows[0]["CommonName"]), (1, &json!("TLSServerClient")));
    assert_eq!(
        (&rows[0]["KeyRetention"], &rows[0]["AllowedEnrollmentTypes"]),
        (&json!("Indefinite"), &json!(7))
    );
    assert_eq!(rows[0]["ExtendedKeyUsages"][1]["DisplayName"], "Client Authentication");
    assert_eq!(admin.get("/Templates?PageReturned=3").await.ok(), json!([]));
    let id = template_id(admin, "TLSServer").await;
    let one = admin.get(&format!("/Templates/{id}")).await.ok();
    assert_eq!(one["KeyAlgorithms"]["KeyInfo"]["ECDSA"]["bit_lengths"], json!([256, 384]));
    assert_eq!(one["TemplatePolicy"]["AllowKeyReuse"], false);
    assert!(one["KeyAlgorithms"]["PrimaryKeyAlgorithms"].is_array());
    for path in ["/Templates/999", "/Templates/x"] {
        assert!(admin.get(path).await.refused(404).contains("not found"));
    }
    assert!(admin.query("/Templates", "Colour -eq 1").await.refused(400).contains("Colour"));
    let parts = admin.get("/Templates/SubjectParts").await.ok();
    assert!(
        parts.as_array().unwrap().contains(&json!({"SubjectPart": "CN", "SubjectPartName": "Common Name"}))
    );
    let other = caller(&server, &["/certificates/enrollment/pfx/"]).await;
    for path in ["/Templates", "/Templates/1", "/Templates/Settings", "/CertificateAuthority"] {
        other.get(path).await.refused(403);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_template_is_felt_by_the_next_enrollment() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let id = template_id(admin, "TLSServer").await;
    let change = json!({"Id": id, "FriendlyName": "Web servers", "ValidityDays": 10, "KeyRetention": "None",
        "TemplatePolicy": {"RSAValidKeySizes": [], "ECCValidCurves": ["1.3.132.0.34"]},
        "TemplateDefaults": [{"SubjectPart": "O", "Value": "Example, Inc."}],
        "TemplateRegexes": [{"SubjectPart": "CN", "Regex": "www\\..+", "Error": "Only www."}]});
    let changed = admin.put("/Templates", &change).await.ok();
    assert_eq!((&changed["DisplayName"], &changed["KeyRetention"]), (&json!("Web servers"), &json!("None")));
    assert_eq!((&changed["KeySize"], &changed["Curve"]), (&json!("384"), &json!("1.3.132.0.34")));
    assert_eq!(changed["AllowedEnrollmentTypes"], 7, "what is left out stays");
    let certificate = enroll(admin, &["www.example.test"]).await;
    let found = admin.get(&format!("/Certificates/{certificate}?includeHasPrivateKey=true")).await.ok();
    assert_eq!(
        found["IssuedDN"],
        "CN=www.example.test,O=\"Example, Inc.\"".replace('"', "").replace(", Inc", "\\, Inc")
    );
    assert_eq!((found["KeySizeInBits"].as_i64(), &found["HasPrivateKey"]), (Some(384), &json!(false)));
    assert!(found["Lifespan"].as_i64().is_some_and(|days| days == 10), "{}", found["Lifespan"]);
    let body = json!({"Subject": "CN=shop.example.test", "Template": "TLSServer"});
    assert!(admin.post("/Enrollment/PFX", &body).await.refused(400).contains("Only www."));

    for (change, words) in [
        (json!({}), "Id is required"),
        (json!({"Id": id, "KeyRetention": "AfterExpiration"}), "KeyRetention: "),
        (json!({"Id": id, "AllowedRequesters": ["Nobody"]}), "AllowedRequesters: role 'Nobody'"),
        (
            json!({"Id": id, "TemplateRegexes": [{"SubjectPart": "CN", "Regex": "("}]}),
            "TemplateRegexes[0].Regex: ",
        ),
        (json!({"Id": id, "TemplatePolicy": {"RSAValidKeySizes": [1024]}}), "RSAValidKeySizes"),
        (json!({"Id": id, "AllowedEnrollmentTypes": "many"}), "AllowedEnrollmentTypes"),
        (
            json!({"Id": id, "EnrollmentFields": [{"Name": "Zone", "DataType": 2}]}),
            "EnrollmentFields[0].DataType",
        ),
    ] {
        assert!(admin.put("/Templates", &change).await.refused(400).contains(words), "{words}");
    }
    admin.put("/Templates", &json!({"Id": 999})).await.refused(404);
    let reader = caller(&server, &["/pki/read/"]).await;
    reader.put("/Templates", &json!({"Id": id})).await.refused(403);
    assert_eq!(reader.get(&format!("/Templates/{id}")).await.ok()["DisplayName"], "Web servers");
    // What was read can be sent back.
    let read = admin.get(&format!("/Templates/{id}")).await.ok();
    assert_eq!(admin.put("/Templates", &read).await.ok(), read);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_hold_for_templates_that_do_not_say_otherwise() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let before = admin.get("/Templates/Settings").await.ok();
    assert_eq!(before["TemplatePolicy"]["AllowWildcards"], true);
    let change = json!({"TemplatePolicy": {"AllowWildcards": false}});
    assert_eq!(
        admin.put("/Templates/Settings", &change).await.ok()["TemplatePolicy"]["AllowWildcards"],
        false
    );
    let body = |template: &str| json!({"Subject": "CN=*.example.test", "Template": template});
    assert!(admin.post("/Enrollment/PFX", &body("TLSServer")).await.refused(400).contains("wildcard"));
    let id = template_id(admin, "TLSServerClient").await;
    admin.put("/Templates", &json!({"Id": id, "TemplatePolicy": {"AllowWildcards": true}})).await.ok();
    admin.post("/Enrollment/PFX", &body("TLSServerClient")).await.ok();
    for (change, words) in [
        (json!({"TemplatePolicy": {"RSAValidKeySizes": [2048]}}), "TemplatePolicy: "),
        (json!({"TemplateDefaults": [{"SubjectPart": "SAN", "Value": "x"}]}), "TemplateDefaults[0]."),
        (json!({"TemplateRegexes": [{"SubjectPart": "X", "Regex": "x"}]}), "TemplateRegexes[0]."),
    ] {
        assert!(admin.put("/Templates/Settings", &change).await.refused(400).contains(words), "{words}");
    }
    let tenant = admin.get("/CertificateAuthority").await.ok()[0]["ConfigurationTenant"].clone();
    let import = admin.post("/Templates/Import", &json!({"ConfigurationTenant": tenant})).await;
    assert_eq!(import.status, 204);
    assert!(
        admin
            .post("/Templates/Import", &json!({"ConfigurationTenant": "x"}))
            .await
            .refused(400)
            .contains("tenant")
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_are_embedded_and_say_so() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let rows = admin.get("/CertificateAuthority").await;
    assert_eq!(rows.headers["x-total-count"], "3");
    let rows = rows.ok();
    let issuing =
        rows.as_array().unwrap().iter().find(|one| one["UseForEnrollment"] == true).unwrap().clone();
    assert_eq!((&issuing["CAType"], &issuing["AllowedEnrollmentTypes"]), (&json!(1), &json!(7)));
    assert!(issuing["ExplicitPassword"].is_null() && issuing["Standalone"] == false);
    let id = issuing["Id"].as_i64().unwrap();
    assert_eq!(admin.get(&format!("/CertificateAuthority/{id}")).await.ok(), issuing);
    let host = issuing["HostName"].as_str().unwrap();
    let name = issuing["LogicalName"].as_str().unwrap();
    let full = json!({"Subject": "CN=www.example.test", "Template": "TLSServer", "CertificateAuthority": format!("{host}\\{name}")});
    admin.post("/Enrollment/PFX", &full).await.ok();

    let test = admin.post("/CertificateAuthority/Test", &json!({"LogicalName": name})).await.ok();
    assert_eq!(test["Success"], true, "{test}");
    let number = crl_number(&server).await;
    let publish = json!({"CertificateAuthorityLogicalName": name, "CertificateAuthorityHostName": host});
    assert_eq!(admin.post("/CertificateAuthority/PublishCRL", &publish).await.status, 204);
    assert!(crl_number(&server).await > number);
    admin
        .post("/CertificateAuthority/PublishCRL", &json!({"CertificateAuthorityLogicalName": "x"}))
        .await
        .refused(404);
    admin.post("/CertificateAuthority/PublishCRL", &json!({})).await.refused(400);

    assert_eq!(
        admin.put("/CertificateAuthority", &issuing).await.ok(),
        issuing,
        "what was read can be sent back"
    );
    let changed =
        admin.put("/CertificateAuthority", &json!({"Id": id, "AllowedEnrollmentTypes": 2})).await.ok();
    assert_eq!(changed["AllowedEnrollmentTypes"], 2);
    assert!(admin.post("/Enrollment/PFX", &full).await.refused(400).contains("does not enroll by PFX"));
    for (change, status, words) in [
        (json!({"Id": id, "LogicalName": "Other"}), 400, "LogicalName: "),
        (json!({"Id": id, "CAType": 0}), 400, "CAType: "),
        (json!({"Id": id, "EnforceUniqueDN": true}), 400, "EnforceUniqueDN: "),
        (json!({"Id": id, "AllowedEnrollmentTypes": 9}), 400, "AllowedEnrollmentTypes: "),
        (json!({"Id": id, "AllowedRequesters": ["Nobody"]}), 400, "AllowedRequesters: "),
        (json!({"Id": 999}), 404, "not found"),
        (json!({}), 400, "Id is required"),
    ] {
        assert!(admin.put("/CertificateAuthority", &change).await.refused(status).contains(words), "{words}");
    }
    assert!(admin.post("/CertificateAuthority", &issuing).await.refused(400).contains("cannot be added"));
    assert!(admin.delete(&format!("/CertificateAuthority/{id}")).await.refused(400).contains("embedded"));
    admin.delete("/CertificateAuthority/999").await.refused(404);
    let reader = caller(&server, &["/pki/read/"]).await;
    reader.put("/CertificateAuthority", &json!({"Id": id})).await.refused(403);
    reader.delete(&format!("/CertificateAuthority/{id}")).await.refused(403);
    let _: Value = reader.get("/CertificateAuthority").await.ok();
    server.stop().await;
}

async fn crl_number(server: &TestServer) -> i64 {
    sqlx::query_scalar("SELECT crl_number FROM authorities WHERE kind = 'issuing'")
        .fetch_one(server.database())
        .await
        .unwrap()
}
