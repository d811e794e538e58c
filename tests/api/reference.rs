//! The OpenAPI document: it is whole, its examples work, and people can read it.

use std::collections::BTreeSet;

use reqwest::Method;
use sealift_server::startup::{openapi, routes};
use serde_json::Value;
use support::TestServer;
use support::client::Credentials;
use support::examples::{addressed, spoken, words};

/// Every `$ref` below a value.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str().filter(|_| name == "$ref") {
                    Some(target) => drop(found.insert(target.to_owned())),
                    None => references(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_operation_is_described_and_every_reference_leads_somewhere() {
    let document = openapi();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for route in routes() {
        let operation = &document["paths"][route.path][route.method.to_lowercase()];
        let place = format!("{} {}", route.method, route.path);
        assert!(
            operation["summary"].as_str().is_some_and(|text| text.ends_with('.')),
            "{place} has no summary"
        );
        assert!(ids.insert(operation["operationId"].to_string()), "{place}: its id is taken");
        assert_eq!(operation["requestBody"].is_object(), route.takes_body, "{place}");
        assert_eq!(
            route.example.is_some(),
            route.takes_body,
            "{place}: a body needs an example, and no other does"
        );
        assert_eq!(operation["security"].is_array(), !route.public, "{place}");
        for part in route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            let parameters = operation["parameters"].as_array().unwrap();
            assert!(parameters.iter().any(|parameter| parameter["name"] == part), "{place}: {part}");
        }
    }
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for target in found {
        let name = target.strip_prefix("#/components/schemas/").unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{target} leads nowhere");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_works_as_it_stands() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let words = words(&server).await;
    // What is revoked, deleted or shut out by an example comes last.
    let mut routes = routes();
    routes.sort_by_key(|route| {
        route.method == "DELETE"
            || ["/Certificates/Revoke", "/Agents/Disapprove", "/Agents/Reset"].contains(&route.path)
    });
    let mut sent = 0;
    for route in routes {
        let Some(example) = route.example else { continue };
        let body = spoken(example, &words);
        assert!(!body.contains("{{"), "{}: this test does not know a word of {example}", route.path);
        let body: Value =
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{}: {error}", route.path));
        let method: Method = route.method.parse().unwrap();
        let path = spoken(&addressed(route.path), &words);
        let answer = admin.send(admin.request(method, &path).json(&body)).await;
        assert!(answer.status.is_success(), "{} {}: {}", route.method, route.path, answer.text);
        sent += 1;
    }
    assert!(sent > 12, "{sent} examples were sent");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_and_its_page_are_served_to_anyone() {
    let server = TestServer::start().await;
    let nobody = server.admin.with(Credentials::None);
    let served = nobody.get("/openapi.json").await.ok();
    assert_eq!(served["paths"], openapi()["paths"]);
    assert_eq!(served["servers"][0]["url"], "/KeyfactorAPI");
    let page = nobody.get("/reference").await;
    assert!(page.status.is_success() && page.text.contains("swagger-ui"), "{}", page.status);
    let script = nobody.get("/reference/swagger-initializer.js").await;
    assert!(script.text.contains("../openapi.json"), "{}", script.text);
    assert_eq!(nobody.get("/reference/nothing.js").await.status, 404);
    server.stop().await;
}
