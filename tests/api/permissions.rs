//! Who may call what: every route without credentials, without permission, and scoped grants.

use reqwest::{Method, StatusCode};
use sealift_server::startup::routes;
use serde_json::json;
use support::client::Credentials;
use support::story::{addition, enroll};
use support::{Client, RawAgent, TestServer};

/// A caller with a token whose role has these permissions.
pub(crate) async fn caller(server: &TestServer, permissions: &[&str]) -> Client {
    let name = format!("role-{}", uuid::Uuid::new_v4());
    let role = json!({"Name": name, "Description": "for a test", "Permissions": permissions});
    server.admin.post("/Security/Roles", &role).await.ok();
    let token = server.admin.post("/Security/ApiTokens", &json!({"Name": name, "Roles": [name]})).await.ok();
    server.admin.with(Credentials::Token(token["Token"].as_str().expect("a token").to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_refused_without_credentials_and_without_permission() {
    let server = TestServer::start().await;
    let nobody = server.admin.with(Credentials::None);
    let wrong = server.admin.with(Credentials::Basic("admin".to_owned(), "wrong password".to_owned()));
    let powerless = caller(&server, &["/ssh/user/"]).await;
    let (mut guarded, mut open) = (0, Vec::new());
    for route in routes() {
        let path = route.path.replace("{id}", "1").replace("{name}", "x").replace("{file}", "index.html");
        let method: Method = route.method.parse().unwrap();
        let body = || json!({"Nothing": true});
        if route.public {
            open.push(format!("{method} {}", route.path));
            continue;
        }
        for (client, expected) in [(&nobody, 401), (&wrong, 401)] {
            let answer = client.send(client.request(method.clone(), &path).json(&body())).await;
            answer.refused(expected);
            assert!(answer.headers.contains_key("www-authenticate"), "{method} {path}");
        }
        if let Some(permission) = route.permission {
            let answer = powerless.send(powerless.request(method.clone(), &path).json(&body())).await;
            assert!(answer.refused(403).contains(permission), "{method} {path}: {}", answer.text);
        }
        guarded += 1;
    }
    assert!(guarded > 25, "{guarded} routes were tried");
    assert_eq!(
        open,
        [
            "GET /healthz",
            "GET /readyz",
            "GET /openapi.json",
            "GET /reference",
            "GET /reference/{file}",
            "GET /crl/{name}",
            "GET /ca/root.pem"
        ],
        "what needs no credentials is on this list on purpose"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_for_one_container_is_no_grant_for_another() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let mut stores = Vec::new();
    for (container, path) in [("East", "/a.pem"), ("West", "/b.pem")] {
        let made = server.admin.post("/CertificateStoreContainers", &json!({"Name": container})).await.ok();
        let body = json!({"ClientMachine": agent.machine, "StorePath": path, "CertStoreType": 2, "AgentId": agent.id,
            "ContainerId": made["Id"]});
        let store = server.admin.post("/CertificateStores", &body).await.ok();
        stores.push((made["Id"].as_i64().unwrap(), store["Id"].as_str().unwrap().to_owned()));
    }
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    let ((east, in_east), (_, in_west)) = (stores[0].clone(), stores[1].clone());
    let operator = caller(
        &server,
        &[
            "/certificates/collections/read/",
            &format!("/certificate_stores/schedule/{east}/"),
            &format!("/certificate_stores/read/{east}/"),
        ],
    )
    .await;
    let add = |stores: &[&str]| addition(certificate, stores);
    operator.post("/CertificateStores/Certificates/Add", &add(&[&in_east])).await.ok();
    for refused in [vec![in_west.as_str()], vec![in_east.as_str(), in_west.as_str()]] {
        let answer = operator.post("/CertificateStores/Certificates/Add", &add(&refused)).await;
        assert!(answer.refused(403).contains(&in_west));
    }
    let seen = operator.get("/CertificateStores").await.ok();
    assert_eq!(seen.as_array().unwrap().len(), 1);
    assert_eq!(operator.get(&format!("/CertificateStores/{in_west}")).await.status, StatusCode::FORBIDDEN);
    operator.get(&format!("/CertificateStores/{in_east}")).await.ok();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_for_one_collection_reaches_its_certificates_only() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 2, "/a.pem").await;
    let inside = enroll(&server.admin, &["shop.example.test"]).await;
    let outside = enroll(&server.admin, &["other.example.test"]).await;
    let collection = json!({"Name": "Shop", "Query": "IssuedCN -startswith \"shop.\""});
    let collection = server.admin.post("/CertificateCollections", &collection).await.ok();
    let id = collection["Id"].as_i64().unwrap();
    let grant = format!("/certificates/collections/read/{id}/");
    let operator = caller(&server, &[&grant, "/certificate_stores/schedule/"]).await;
    let add = |certificate: i64, collection: i64| {
        let mut body = addition(certificate, &[&store]);
        body["CollectionId"] = json!(collection);
        body
    };
    operator.post("/CertificateStores/Certificates/Add", &add(inside, id)).await.ok();
    // What is outside the collection is not even admitted to exist.
    for (certificate, collection, status) in [(outside, id, 404), (inside, 0, 403), (inside, id + 1, 403)] {
        let answer =
            operator.post("/CertificateStores/Certificates/Add", &add(certificate, collection)).await;
        answer.refused(status);
    }
    operator.get(&format!("/Certificates/{inside}?collectionId={id}")).await.ok();
    assert_eq!(
        operator.get(&format!("/Certificates/{outside}?collectionId={id}")).await.status,
        StatusCode::NOT_FOUND
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_grants_what_he_does_not_have() {
    let server = TestServer::start().await;
    let deputy = caller(&server, &["/security/modify/", "/security/read/", "/agents/management/read/"]).await;
    let role = |permissions: &[&str]| json!({"Name": "r", "Description": "d", "Permissions": permissions});
    deputy.post("/Security/Roles", &role(&["/"])).await.refused(403);
    deputy.post("/Security/Roles", &role(&["/certificate_stores/schedule/"])).await.refused(403);
    deputy.post("/Security/Roles", &role(&["/agents/management/read/"])).await.ok();
    let token = json!({"Name": "t", "Roles": ["Administrators"]});
    deputy.post("/Security/ApiTokens", &token).await.refused(403);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_stops_working_at_once() {
    let server = TestServer::start().await;
    let made = server
        .admin
        .post("/Security/ApiTokens", &json!({"Name": "t", "Roles": ["Administrators"]}))
        .await
        .ok();
    let client = server.admin.with(Credentials::Token(made["Token"].as_str().unwrap().to_owned()));
    client.get("/Agents").await.ok();
    let listed = server.admin.get("/Security/ApiTokens").await;
    assert!(!listed.text.contains(made["Token"].as_str().unwrap()), "a token is shown once");
    let id = made["Id"].as_i64().unwrap();
    assert_eq!(
        server.admin.delete(&format!("/Security/ApiTokens/{id}")).await.status,
        StatusCode::NO_CONTENT
    );
    client.get("/Agents").await.refused(401);
    server.stop().await;
}
