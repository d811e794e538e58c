//! The query language over HTTP: a table of queries with the rows that they find.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use sealift_pki::{KeyAlgorithm, PrivateKey};
use sealift_protocol::agent::leases::Outcome;
use serde_json::{Value, json};
use support::agent::{register, registration};
use support::client::http;
use support::story::addition;
use support::{Client, RawAgent, TestServer};

use super::query_table::{AGENTS, CERTIFICATES, HISTORY, REFUSED, STORES, Table};

type Words = BTreeMap<String, String>;

async fn enroll(server: &TestServer, name: &str, template: &str, words: &mut Words) -> i64 {
    let domain = if name == "gamma" { "other.test" } else { "example.test" };
    let body = json!({"Subject": format!("CN={name}.{domain}"), "Template": template,
        "SANs": {"dns": [format!("www.{name}.{domain}")]}, "Timestamp": "2026-05-04T09:30:00Z"});
    let request = server.admin.request(reqwest::Method::POST, "/Enrollment/PFX");
    let made = server.admin.send(request.header("x-certificateformat", "STORE").json(&body)).await.ok();
    let facts = &made["CertificateInformation"];
    let id = facts["KeyfactorId"].as_i64().unwrap();
    words.insert(format!("{{{name}.id}}"), id.to_string());
    words.insert(format!("{{{name}.serial}}"), facts["SerialNumber"].as_str().unwrap().to_owned());
    words.insert(format!("{{{name}.thumbprint}}"), facts["Thumbprint"].as_str().unwrap().to_owned());
    id
}

/// What a row is called in the table.
fn name(list: &str, row: &Value) -> String {
    let text = |member: &str| row[member].as_str().unwrap_or_else(|| panic!("{member} of {row}")).to_owned();
    let first = |text: String| text.split('.').next().unwrap_or_default().to_owned();
    let file = |path: String| first(path.rsplit('/').next().unwrap_or_default().to_owned());
    match list.split('?').next().unwrap_or_default() {
        "/Certificates" => first(text("IssuedCN")),
        "/CertificateStores" => file(text("Storepath")),
        "/Agents" => first(text("ClientMachine")),
        _ => file(text("StorePath")),
    }
}

async fn check(admin: &Client, words: &Words, (list, queries): Table) -> usize {
    for (query, expected) in queries {
        let query = words.iter().fold((*query).to_owned(), |text, (word, value)| text.replace(word, value));
        let request = admin.request(reqwest::Method::GET, list).query(&[("QueryString", &query)]);
        let answer = admin.send(request).await;
        let total = answer.headers.get("x-total-count").map(|total| total.to_str().unwrap().to_owned());
        let rows = answer.ok();
        let mut found: Vec<_> = rows.as_array().unwrap().iter().map(|row| name(list, row)).collect();
        found.sort();
        assert_eq!(found.join(" "), *expected, "{list}: {query}");
        assert_eq!(total, Some(found.len().to_string()), "{list}: {query}");
    }
    queries.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_find_what_the_table_says() {
    let server = TestServer::start().await;
    let mut words = Words::new();
    // Before the clock moves: TLS judges identities by the real time.
    let (web1, web2) = (
        RawAgent::enroll(&server, "web1.example.test").await,
        RawAgent::enroll(&server, "web2.example.test").await,
    );
    let ten_days = TimeDelta::days(10);
    let alpha = enroll(&server, "alpha", "TLSServer", &mut words).await;
    server.clock.advance(ten_days);
    enroll(&server, "beta", "TLSServer", &mut words).await;
    server.clock.advance(ten_days);
    enroll(&server, "gamma", "TLSServer", &mut words).await;
    let delta = enroll(&server, "delta", "TLSServerClient", &mut words).await;
    let revocation =
        json!({"CertificateIds": [delta], "Reason": 4, "Comment": "replaced", "CollectionId": 0});
    server.admin.post("/Certificates/Revoke", &revocation).await.ok();
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let request = registration("web3.example.test", &key, None);
    register(&server, &http(&server.ready.ca_file, None), &request).await;
    words.extend([("{web1}".to_owned(), web1.id.clone()), ("{web2}".to_owned(), web2.id.clone())]);
    let east = server.admin.post("/CertificateStoreContainers", &json!({"Name": "East"})).await.ok();
    words.insert("{East}".to_owned(), east["Id"].to_string());
    let a = web1.store(&server, 2, "/etc/tls/a.pem").await;
    let b = web1.store(&server, 2, "/etc/tls/b.pem").await;
    let body = json!({"ClientMachine": web2.machine, "StorePath": "/etc/tls/c.pem", "CertStoreType": 2,
        "AgentId": web2.id, "ContainerId": east["Id"]});
    let c = server.admin.post("/CertificateStores", &body).await.ok()["Id"].as_str().unwrap().to_owned();
    web2.store(&server, 103, "/srv/share/d").await;
    let schedule = json!({"StoreIds": [b], "Schedule": {"Daily": {"Time": "2026-01-01T03:00:00Z"}}});
    assert!(server.admin.post("/CertificateStores/Schedule", &schedule).await.status.is_success());
    server.admin.post("/CertificateStores/Certificates/Add", &addition(alpha, &[&a, &c])).await.ok();
    for (agent, outcome, message) in
        [(&web1, Outcome::Success, "installed"), (&web2, Outcome::Failure, "no space left on the disk")]
    {
        let job = agent.lease(0).await.remove(0);
        agent.complete(&job, outcome, message).await;
    }
    let mut checked = REFUSED.len();
    for table in [CERTIFICATES, STORES, AGENTS, HISTORY] {
        checked += check(&server.admin, &words, table).await;
    }
    for (query, reason) in REFUSED {
        let answer = server.admin.query("/Certificates", query).await;
        assert!(answer.refused(400).contains(reason), "{query}: {}", answer.text);
    }
    assert!(checked >= 150, "{checked} queries");
    server.stop().await;
}
