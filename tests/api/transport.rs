//! How the wire really is: paths, methods, headers, lists.

use reqwest::{Method, StatusCode};
use serde_json::json;
use support::client::Credentials;
use support::{RawAgent, TestServer};

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_methods_mean_the_same_in_any_case() {
    let server = TestServer::start().await;
    for path in
        ["/Agents", "/agents", "/KeyfactorAPI/Agents", "/keyfactorapi/AGENTS/", "/KeyfactorAPI//Agents"]
    {
        let answer = server.admin.get(path).await;
        assert_eq!(
            (answer.status, answer.headers["x-total-count"].to_str().unwrap()),
            (StatusCode::OK, "0"),
            "{path}"
        );
    }
    let odd = Method::from_bytes(b"Get").unwrap();
    let request =
        server.admin.request(odd, "/Agents").header("content-type", "application/json").body("null");
    assert_eq!(server.admin.send(request).await.status, StatusCode::OK, "a body on GET is ignored");
    server.admin.get("/NoSuchThing").await.refused(404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_the_contracts_headers() {
    let server = TestServer::start_with(&[("product_version", "12.3.4")]).await;
    let nobody = server.admin.with(Credentials::None);
    for answer in [
        server.admin.get("/Agents").await,
        nobody.get("/Agents").await,
        server.admin.get("/NoSuchThing").await,
    ] {
        assert_eq!(answer.headers["x-keyfactor-product-version"], "12.3.4");
        assert_eq!(answer.headers["api-supported-versions"], "1.0");
        assert_eq!(answer.headers["content-type"], "application/json; charset=utf-8");
        let id = answer.headers["x-keyfactor-correlation-id"].to_str().unwrap();
        assert!(uuid::Uuid::try_parse(id).is_ok());
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged_filtered_and_sorted() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    for number in 0..7 {
        agent.store(&server, 2, &format!("/etc/tls/{number}.pem")).await;
    }
    let paths = |body: serde_json::Value| -> Vec<String> {
        body.as_array().unwrap().iter().map(|store| store["Storepath"].as_str().unwrap().to_owned()).collect()
    };
    let page = "/CertificateStores?certificateStoreQuery.pageReturned=2&certificateStoreQuery.returnLimit=3&SortField=StorePath";
    let answer = server.admin.get(page).await;
    assert_eq!(answer.headers["x-total-count"], "7");
    assert_eq!(paths(answer.ok()), ["/etc/tls/3.pem", "/etc/tls/4.pem", "/etc/tls/5.pem"]);
    let beyond = server.admin.get("/CertificateStores?PageReturned=9&ReturnLimit=3").await;
    assert_eq!(beyond.headers["x-total-count"], "7");
    assert_eq!(beyond.ok(), json!([]));
    let descending =
        server.admin.get("/CertificateStores?SortField=StorePath&SortAscending=1&ReturnLimit=1").await.ok();
    assert_eq!(paths(descending), ["/etc/tls/6.pem"]);
    let filtered = server
        .admin
        .query("/CertificateStores", r#"StorePath -endswith "2.PEM" OR storepath -contains "/3""#);
    assert_eq!(paths(filtered.await.ok()).len(), 2);
    let refused = server.admin.query("/CertificateStores", "StorePath -like \"x\"").await;
    assert!(refused.refused(400).contains("character 11"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_found_by_its_name() {
    let server = TestServer::start().await;
    for name in ["East", "West", "North"] {
        server.admin.post("/CertificateStoreContainers", &json!({"Name": name})).await.ok();
    }
    for path in ["/CertificateStoreContainers", "/Applications"] {
        let found = server.admin.query(path, "Name -eq \"west\"").await.ok();
        assert_eq!((found.as_array().unwrap().len(), found[0]["Name"].as_str()), (1, Some("West")));
    }
    server.admin.post("/Applications", &json!({"Name": "EAST"})).await.refused(400);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_endpoints_lists_what_the_caller_may_use() {
    let server = TestServer::start().await;
    let all: Vec<String> = serde_json::from_value(server.admin.get("/Status/Endpoints").await.ok()).unwrap();
    assert!(all.contains(&"POST /CertificateStores/Certificates/Add".to_owned()), "{all:?}");
    let reader = super::permissions::caller(&server, &["/agents/management/read/"]).await;
    let few: Vec<String> = serde_json::from_value(reader.get("/Status/Endpoints").await.ok()).unwrap();
    assert!(
        few.contains(&"GET /Agents".to_owned()) && !few.contains(&"POST /Agents/Approve".to_owned()),
        "{few:?}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_lists_and_the_root_are_public() {
    let server = TestServer::start().await;
    let nobody = server.admin.with(Credentials::None);
    for name in ["root", "issuing", "agents"] {
        let answer = nobody.get(&format!("/crl/{name}.crl")).await;
        assert_eq!(answer.headers["content-type"], "application/pkix-crl", "{name}");
    }
    assert!(nobody.get("/ca/root.pem").await.text.starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(nobody.get("/healthz").await.text, "alive\n");
    assert_eq!(nobody.get("/readyz").await.text, "ready\n");
    server.stop().await;
}
