//! Successors: which renewal there is, renewal by one call, and replacement in the stores that hold a certificate.

use sealift_pki::{KeyAlgorithm, PrivateKey};
use sealift_protocol::agent::leases::Work;
use serde_json::{Value, json};
use support::story::enroll;
use support::{RawAgent, TestServer};

use super::deployment::work_off;
use super::enrollment::{csr, template_id};
use super::permissions::caller;

const RENEW: &str = "/Enrollment/Renew";
const REPLACE: &str = "/Enrollment/PFX/Replace";

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_has_the_same_names_and_another_key() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let old = enroll(admin, &["www.example.test", "shop.example.test"]).await;
    let before = admin.get(&format!("/Certificates/{old}")).await.ok();
    let thumbprint = before["Thumbprint"].as_str().unwrap();
    for path in [format!("Id/{old}"), format!("Thumbprint/{}", thumbprint.to_lowercase())] {
        let available = admin.get(&format!("/Enrollment/AvailableRenewal/{path}?collectionId=0")).await.ok();
        assert_eq!(available, json!({"AvailableRenewalType": 2, "Message": ""}));
    }
    let body = json!({"Thumbprint": thumbprint, "CertificateId": 0, "Timestamp": "2026-05-04T09:30:00Z"});
    let renewed = admin.post(RENEW, &body).await.ok();
    assert_eq!(
        (&renewed["RequestDisposition"], &renewed["KeyfactorRequestId"]),
        (&json!("ISSUED"), &json!(0))
    );
    assert_eq!(renewed["Password"], "");
    let new = renewed["KeyfactorId"].as_i64().unwrap();
    let after = admin.get(&format!("/Certificates/{new}?includeHasPrivateKey=true")).await.ok();
    assert_eq!((&after["IssuedDN"], &after["TemplateId"]), (&before["IssuedDN"], &before["TemplateId"]));
    assert_eq!(after["SubjectAltNameElements"], before["SubjectAltNameElements"]);
    assert_eq!((&after["HasPrivateKey"], &after["Thumbprint"]), (&json!(true), &renewed["Thumbprint"]));
    assert_ne!(public_key(&after), public_key(&before));

    let same_key = json!({"CertificateId": old, "ReuseKey": true});
    assert!(admin.post(RENEW, &same_key).await.refused(400).contains("ReuseKey"));
    let template = template_id(admin, "TLSServer").await;
    admin.put("/Templates", &json!({"Id": template, "TemplatePolicy": {"AllowKeyReuse": true}})).await.ok();
    let renewed = admin.post(RENEW, &same_key).await.ok();
    let after = admin.get(&format!("/Certificates/{}", renewed["KeyfactorId"])).await.ok();
    assert_eq!(public_key(&after), public_key(&before));
    server.stop().await;
}

fn public_key(certificate: &Value) -> Vec<u8> {
    use base64::Engine as _;
    let der = base64::engine::general_purpose::STANDARD.decode(certificate["ContentBytes"].as_str().unwrap());
    sealift_pki::Certificate::parse(&der.unwrap()).unwrap().public_key().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn renewals_that_are_not_there_are_refused_with_the_reason() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let by_csr = admin
        .post("/Enrollment/CSR", &json!({"CSR": csr(&key, "www.example.test", &[]), "Template": "TLSServer"}))
        .await
        .ok()["CertificateInformation"]["KeyfactorID"]
        .as_i64()
        .unwrap();
    let available = async |id: i64| admin.get(&format!("/Enrollment/AvailableRenewal/Id/{id}")).await.ok();
    assert_eq!(available(by_csr).await["AvailableRenewalType"], 1);
    assert!(
        admin.post(RENEW, &json!({"CertificateId": by_csr})).await.refused(400).starts_with("Template: ")
    );
    admin.post(RENEW, &json!({"CertificateId": by_csr, "Template": "TLSServer"})).await.ok();
    let revoked = enroll(admin, &["old.example.test"]).await;
    admin.post("/Certificates/Revoke", &json!({"CertificateIds": [revoked], "Reason": 4})).await.ok();
    assert_eq!(available(revoked).await["AvailableRenewalType"], 0);
    for body in
        [json!({"CertificateId": revoked}), json!({"CertificateId": revoked, "Template": "TLSServer"})]
    {
        assert!(admin.post(RENEW, &body).await.refused(400).contains("revoked"));
    }
    let template = template_id(admin, "TLSServer").await;
    admin.put("/Templates", &json!({"Id": template, "AllowOneClickRenewals": false})).await.ok();
    let other = enroll(admin, &["other.example.test"]).await;
    assert_eq!(available(other).await["AvailableRenewalType"], 1);
    for (body, words) in [
        (json!({}), "CertificateId or Thumbprint is required"),
        (json!({"Thumbprint": "xyz"}), "Thumbprint: "),
        (json!({"CertificateId": other}), "name a template"),
        (json!({"CertificateId": other, "Template": "Nothing"}), "Template: 'Nothing'"),
        (json!({"CertificateId": other, "CertificateAuthority": "x"}), "CertificateAuthority: "),
    ] {
        assert!(admin.post(RENEW, &body).await.refused(400).contains(words), "{words}");
    }
    assert!(admin.post(RENEW, &json!({"CertificateId": 999})).await.refused(404).contains("not found"));
    admin.get("/Enrollment/AvailableRenewal/Id/x").await.refused(404);
    admin.get(&format!("/Enrollment/AvailableRenewal/Thumbprint/{}", "A".repeat(40))).await.refused(404);
    let enroller = caller(&server, &["/certificates/enrollment/pfx/"]).await;
    enroller.post(RENEW, &json!({"CertificateId": other})).await.refused(403);
    enroller.get(&format!("/Enrollment/AvailableRenewal/Id/{other}")).await.refused(403);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_is_enough_to_renew_what_it_holds() {
    let server = TestServer::start().await;
    let shop = enroll(&server.admin, &["shop.example.test"]).await;
    let other = enroll(&server.admin, &["www.example.test"]).await;
    let collection = json!({"Name": "Shop", "Query": "IssuedCN -startswith \"shop.\""});
    let collection = server.admin.post("/CertificateCollections", &collection).await.ok()["Id"].clone();
    let operator = caller(
        &server,
        &["/certificates/enrollment/pfx/", &format!("/certificates/collections/read/{collection}/")],
    )
    .await;
    let path = format!("{RENEW}?collectionId={collection}");
    operator.post(&path, &json!({"CertificateId": shop})).await.ok();
    operator.post(&path, &json!({"CertificateId": other})).await.refused(404);
    operator.post(RENEW, &json!({"CertificateId": shop})).await.refused(403);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_replaced_wherever_it_is() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let (pem, ccs) =
        (agent.store(&server, 2, "/etc/tls/a.pem").await, agent.store(&server, 103, "/srv/ccs").await);
    let (old, new) = (enroll(admin, &["www.example.test"]).await, enroll(admin, &["www.example.test"]).await);
    let stores = json!([{"StoreId": pem}, {"StoreId": ccs}]);
    admin
        .post(
            "/Enrollment/PFX/Deploy",
            &json!({"CertificateId": old, "Stores": stores, "Password": "t7!Qz-example"}),
        )
        .await
        .ok();
    assert_eq!(work_off(&agent).await.len(), 4);
    let thumbprint = admin.get(&format!("/Certificates/{old}")).await.ok()["Thumbprint"].clone();

    let body = json!({"ExistingCertificateId": old, "CertificateId": new, "RequestId": 0});
    let replaced = admin.post(REPLACE, &body).await.ok();
    assert_eq!(replaced["SuccessfulStores"].as_array().unwrap().len(), 2);
    assert_eq!(replaced["FailedStores"], json!([]));
    for job in work_off(&agent).await {
        if let Work::Add(add) = &job.work {
            assert!(add.overwrite && add.private_key.is_some());
            assert_eq!(add.alias.as_deref(), Some("entry"), "the alias that inventory found");
            assert_eq!(add.job_fields.get("RenewalThumbprint").map(String::as_str), thumbprint.as_str());
        }
    }
    let found = admin.get(&format!("/Certificates/{new}?includeLocations=true")).await.ok();
    assert_eq!(found["Locations"].as_array().unwrap().len(), 2);
    let empty = admin.post(REPLACE, &body).await.ok();
    assert_eq!(empty["SuccessfulStores"], json!([]), "the old one is nowhere any more");

    let renewed = admin
        .post(RENEW, &json!({"CertificateId": new, "InstallIntoExistingCertificateStores": true}))
        .await
        .ok();
    assert_eq!(renewed["SuccessfulStores"].as_array().unwrap().len(), 2);
    for (body, words) in [
        (json!({"CertificateId": new}), "ExistingCertificateId is required"),
        (json!({"ExistingCertificateId": old}), "CertificateId or RequestId is required"),
        (json!({"ExistingCertificateId": old, "CertificateId": new, "RequestId": 1}), "one of the two"),
        (json!({"ExistingCertificateId": old, "CertificateId": old}), "cannot replace itself"),
        (
            json!({"ExistingCertificateId": 999, "CertificateId": new}),
            "ExistingCertificateId: certificate 999",
        ),
        (json!({"ExistingCertificateId": old, "RequestId": 999}), "RequestId: enrollment request 999"),
    ] {
        assert!(admin.post(REPLACE, &body).await.refused(400).contains(words), "{words}");
    }
    let operator = caller(&server, &["/certificates/enrollment/pfx/", "/certificate_stores/schedule/"]).await;
    operator.post(REPLACE, &body).await.refused(403);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_may_wait_for_approval() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 2, "/etc/tls/a.pem").await;
    let old = enroll(admin, &["www.example.test"]).await;
    let deploy = json!({"CertificateId": old, "Stores": [{"StoreId": store}], "Password": "t7!Qz-example"});
    admin.post("/Enrollment/PFX/Deploy", &deploy).await.ok();
    work_off(&agent).await;
    let template = template_id(admin, "TLSServer").await;
    admin.put("/Templates", &json!({"Id": template, "RequiresApproval": true})).await.ok();
    let renewed = admin.post(RENEW, &json!({"CertificateId": old})).await.ok();
    assert_eq!((&renewed["RequestDisposition"], &renewed["KeyfactorId"]), (&json!("PENDING"), &json!(0)));
    let request = renewed["KeyfactorRequestId"].clone();
    let replaced =
        admin.post(REPLACE, &json!({"ExistingCertificateId": old, "RequestId": request})).await.ok();
    assert_eq!(replaced["SuccessfulStores"], json!([store]));
    admin.post("/Workflow/Certificates/Approve", &json!([request])).await.ok();
    let done = work_off(&agent).await;
    assert!(done.iter().any(|job| matches!(&job.work, Work::Add(add) if add.overwrite)));
    server.stop().await;
}
