//! Who may call what: every route without credentials, without permission, with each permission alone, and with a
//! permission for another container or collection. The routes come from the server's own list, so a new one cannot
//! be forgotten.

use std::cmp::Reverse;

use reqwest::{Method, RequestBuilder, StatusCode};
use sealift_server::startup::{RouteFacts, routes};
use serde_json::{Value, json};
use support::client::{Answer, Credentials};
use support::story::{addition, enroll};
use support::{Client, RawAgent, TestServer};

use support::examples::{Words, addressed, spoken, words};

/// Routes that any caller with credentials may call, with what a caller without permissions is answered: they tell a
/// caller of itself or of nothing that is private, or judge by themselves.
const ANYONE: &[(&str, u16)] = &[
    ("GET /Status/Endpoints", 200),
    ("GET /Status/HealthCheck", 204),
    ("GET /License", 200),
    ("GET /Security/My", 200),
    ("GET /PermissionSets/My", 200),
    ("GET /Enrollment/Settings/{id}", 403),
    ("GET /Workflow/Instances/{id}", 404),
];

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
    let (mut guarded, mut open, mut for_anyone) = (0, Vec::new(), Vec::new());
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
        } else {
            let answer = powerless.send(powerless.request(method.clone(), &path)).await;
            for_anyone.push((format!("{method} {}", route.path), answer.status.as_u16()));
        }
        guarded += 1;
    }
    assert!(guarded > 25, "{guarded} routes were tried");
    let known: Vec<_> = ANYONE.iter().map(|(route, status)| ((*route).to_owned(), *status)).collect();
    assert_eq!(for_anyone, known, "what needs no permission is on this list on purpose");
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

/// Routes whose permission can be narrowed, but not here: they are about no one container or collection, so a
/// caller needs it everywhere. Each with the reason. A route that is in none of these lists is tried inside and
/// outside a scope.
const EVERYWHERE: &[(&str, &str)] = &[
    ("PUT /CertificateStores/DiscoveryJob", "what will be found is in no container yet"),
    ("POST /CertificateStores/Server", "a log-in serves the stores of every container"),
    ("PUT /CertificateStores/Server", "a log-in serves the stores of every container"),
    ("POST /CertificateStoreContainers", "a new container is in no other"),
    ("POST /Applications", "a new container is in no other"),
    ("POST /CertificateStoreTypes", "a type serves the stores of every container"),
    ("PUT /CertificateStoreTypes", "a type serves the stores of every container"),
    ("DELETE /CertificateStoreTypes", "a type serves the stores of every container"),
    ("DELETE /CertificateStoreTypes/{id}", "a type serves the stores of every container"),
];

/// Routes that tell nothing of what is in a container or collection, so that a caller that has the permission for
/// any may call them. Each with the reason.
const ANYWHERE: &[(&str, &str)] = &[
    ("GET /CertificateStoreTypes", "types are the same for every container"),
    ("GET /CertificateStoreTypes/{id}", "types are the same for every container"),
    ("GET /CertificateStoreTypes/Name/{name}", "types are the same for every container"),
];

/// Bodies for routes whose example would leave the scope, with words as in examples.
const BODIES: &[(&str, &str)] = &[
    (
        "POST /CertificateStores",
        r#"{"ClientMachine": "web1.example.test", "Storepath": "/etc/tls/inside.pem", "CertStoreType": 2,
            "AgentId": "{{agent}}", "ContainerId": {{container}}}"#,
    ),
    ("PUT /CertificateStores", r#"{"Id": "{{store}}", "CertStoreType": 2, "ContainerId": {{container}}}"#),
    (
        "PUT /CertificateStores/AssignContainer",
        r#"{"KeystoreIds": ["{{store}}"], "CertStoreContainerId": {{container}}}"#,
    ),
];

/// Queries for routes that do not answer without one, with words as in examples.
const QUERIES: &[(&str, &str)] = &[(
    "GET /Certificates/Metadata/Compare",
    "certificateId={{certificate}}&metadataFieldName={{metadata_field}}&value=x",
)];

/// Whether a route is in a list.
fn listed(list: &[(&str, &str)], route: &RouteFacts) -> bool {
    let key = format!("{} {}", route.method, route.path);
    list.iter().any(|(known, _)| *known == key)
}

/// A caller with every permission, those that can be narrowed only for one container and one collection.
async fn narrowed_caller(server: &TestServer, container: &str, collection: &str) -> Client {
    let grants: Vec<String> = sealift_server::startup::permissions()
        .into_iter()
        .map(|(permission, scope)| match scope {
            Some("container") => format!("{permission}{container}/"),
            Some(_) => format!("{permission}{collection}/"),
            None => permission.to_owned(),
        })
        .collect();
    caller(server, &grants.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// The call of a route about what the fixtures made, all of which is in one container and one collection.
fn call(client: &Client, route: &RouteFacts, words: &Words) -> RequestBuilder {
    let key = format!("{} {}", route.method, route.path);
    let own =
        |list: &[(&str, &'static str)]| list.iter().find(|(known, _)| *known == key).map(|(_, text)| *text);
    let collection = spoken("{{collection}}", words);
    let query = spoken(own(QUERIES).unwrap_or_default(), words);
    let path = format!("{}?{query}", spoken(&addressed(route.path), words));
    let request = client
        .request(route.method.parse().unwrap(), path.trim_end_matches('?'))
        .query(&[("collectionId", &collection)]);
    let Some(example) = own(BODIES).or(route.example) else { return request };
    let mut body: Value = serde_json::from_str(&spoken(example, words)).unwrap();
    if let Some(members) = body.as_object_mut().filter(|members| !members.contains_key("CollectionId")) {
        members.insert("CollectionId".to_owned(), json!(collection.parse::<i64>().unwrap()));
    }
    request.json(&body)
}

/// Reading comes first, what destroys last, and a part before the whole.
fn last_what_destroys(route: &RouteFacts) -> (bool, bool, bool, Reverse<usize>) {
    let destroys = ["Revoke", "Disapprove", "Remove", "Delete"].iter().any(|word| route.path.contains(word));
    (route.method != "GET", route.method == "DELETE", destroys, Reverse(route.path.len()))
}

/// Every route whose permission can be narrowed, by a caller that has it for the container and the collection that
/// everything is in, and by one that has it for others. The rest of the routes cannot tell containers apart: for
/// them `every_permission_opens_its_routes_and_no_other` says who may call.
#[tokio::test(flavor = "multi_thread")]
async fn a_scope_ends_where_it_ends_on_every_route() {
    let server = TestServer::start().await;
    let words = words(&server).await;
    let container = spoken("{{container}}", &words);
    let moved = "UPDATE certificate_stores SET container_id = $1";
    let number: i64 = container.parse().unwrap();
    sqlx::query(moved).bind(number).execute(server.database()).await.unwrap();
    let empty = json!({"Name": "Nothing", "Query": "IssuedCN -eq \"nothing.example.test\""});
    let nothing = server.admin.post("/CertificateCollections", &empty).await.ok()["Id"].to_string();
    let nowhere = server.admin.post("/CertificateStoreContainers", &json!({"Name": "Nowhere"})).await.ok();
    let insider = narrowed_caller(&server, &container, &spoken("{{collection}}", &words)).await;
    let outsider = narrowed_caller(&server, &nowhere["Id"].to_string(), &nothing).await;

    let mut routes: Vec<_> = routes().into_iter().filter(|route| route.scope.is_some()).collect();
    assert!(routes.len() > 15, "{} routes can be narrowed", routes.len());
    routes.sort_by_key(last_what_destroys);
    let mut findings = Vec::new();
    // The outsider first, and everywhere: nothing it does may change what the insider finds.
    for route in &routes {
        let answer = outsider.send(call(&outsider, route, &words)).await;
        let fine = match answer.status.as_u16() {
            200 if listed(ANYWHERE, route) => true,
            403 => !listed(ANYWHERE, route),
            // What is outside a scope is not even admitted to exist.
            404 => !listed(EVERYWHERE, route),
            200 if route.method == "GET" => {
                nothing_in_common(&answer, &insider.send(call(&insider, route, &words)).await)
            }
            _ => false,
        };
        findings.extend((!fine).then(|| finding(route, "outside its scope", &answer)));
    }
    for route in &routes {
        let answer = insider.send(call(&insider, route, &words)).await;
        let fine = match answer.status.as_u16() {
            403 => listed(EVERYWHERE, route),
            _ if listed(EVERYWHERE, route) => false,
            _ if route.method == "GET" || route.example.is_some() => answer.status.is_success(),
            status => status != 401,
        };
        findings.extend((!fine).then(|| finding(route, "inside its scope", &answer)));
    }
    for (known, _) in EVERYWHERE.iter().chain(ANYWHERE).chain(BODIES).chain(QUERIES) {
        let there = routes.iter().any(|route| format!("{} {}", route.method, route.path) == *known);
        findings
            .extend((!there).then(|| format!("{known} is in a list here and no route that can be narrowed")));
    }
    assert!(
        findings.is_empty(),
        "{} findings. A route that needs its permission everywhere gets a line in EVERYWHERE; one that tells \
         nothing of containers and collections gets one in ANYWHERE; one whose example would leave its scope gets one \
         in BODIES, and one that does not answer without a query gets one in QUERIES:\n{}",
        findings.len(),
        findings.join("\n")
    );
    server.stop().await;
}

fn finding(route: &RouteFacts, place: &str, answer: &Answer) -> String {
    let permission = route.permission.unwrap_or_default();
    let (status, text) = (answer.status, &answer.text);
    format!("{} {} with {permission} {place}: {status} {text:.300}", route.method, route.path)
}

/// Whether two lists share no element.
fn nothing_in_common(one: &Answer, other: &Answer) -> bool {
    match (one.body.as_array(), other.body.as_array()) {
        (Some(one), Some(other)) => one.iter().all(|element| !other.contains(element)),
        _ => false,
    }
}

/// Each permission alone: its routes are not refused for want of it, and those of others are.
#[tokio::test(flavor = "multi_thread")]
async fn every_permission_opens_its_routes_and_no_other() {
    let server = TestServer::start().await;
    let guarded: Vec<_> = routes().into_iter().filter(|route| route.permission.is_some()).collect();
    let mut permissions: Vec<_> = guarded.iter().filter_map(|route| route.permission).collect();
    permissions.sort_unstable();
    permissions.dedup();
    assert!(permissions.len() > 8, "{permissions:?}");
    let mut findings = Vec::new();
    for permission in permissions {
        let holder = caller(&server, &[permission]).await;
        for route in &guarded {
            // Something that does not exist, and a body that says nothing: nothing is changed by a call that is let in.
            let path =
                route.path.replace("{id}", "999999").replace("{name}", "x").replace("{thumbprint}", "AB");
            let request =
                holder.request(route.method.parse().unwrap(), &path).json(&json!({"Nothing": true}));
            let answer = holder.send(request).await;
            let needs = format!(": {}", route.permission.unwrap_or_default());
            let for_want = answer.status == 403
                && answer.body["Message"].as_str().is_some_and(|text| text.ends_with(&needs));
            if for_want == (route.permission == Some(permission)) {
                findings.push(format!(
                    "{} {} with {permission}: {} {:.200}",
                    route.method, route.path, answer.status, answer.text
                ));
            }
        }
    }
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
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
