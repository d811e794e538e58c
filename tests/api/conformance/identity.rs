//! Identities that are lost or expired: id, stores and history stay (chapters 4.4 and 4.7).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use sealift_pki::{KeyAlgorithm, PrivateKey, pem};
use sealift_protocol::agent::leases::Outcome;
use sealift_protocol::agent::paths;
use serde_json::{Value, json};
use support::agent::{register, registration};
use support::client::http;
use support::story::{addition, enroll};
use support::{RawAgent, TestServer};

use super::{PublishedAgent, agents_on, csr, first_try, history, inventory_now, pem_capabilities};
use crate::permissions::caller;

async fn token_for(server: &TestServer, agent: &str) -> Value {
    server.admin.post("/Agents/EnrollmentTokens", &json!({"AgentId": agent})).await.ok()["Token"].clone()
}

/// Adds a certificate to a store; answers the job's id.
async fn add(server: &TestServer, store: &str) -> Value {
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    let path = "/CertificateStores/Certificates/Add";
    server.admin.post(path, &addition(certificate, &[store])).await.ok()[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_identity_of_a_published_agent_is_recovered_under_its_id_by_a_token() {
    let server = TestServer::start().await;
    let mut agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let store = agent.store(&server, "/a.pem").await;
    let job = add(&server, &store).await;
    let list = agent.register().await;
    let audit = agent.configure(&list[0]).await["AuditId"].clone();
    agent.complete(&list[0], audit, 2, "").await;
    // TLS judges certificates by the machine's clock: what is issued in the past has expired today.
    server.clock.advance(TimeDelta::days(-95));
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let renewed = agent.register_with(json!(csr("edge-1", &key))).await;
    let agent = PublishedAgent::accepted(&server, "edge-1", pem_capabilities(), &key, &renewed);
    server.clock.advance(TimeDelta::days(95));
    let body = json!({"SessionToken": agent.token});
    let refused = agent.http.post(format!("{}/Session/Heartbeat", agent.door)).json(&body).send().await;
    assert!(refused.is_err_and(|error| error.status().is_none()), "TLS refuses it");

    // It renamed itself, and begins anew with another key.
    let renamed = "edge-1_20261125063000";
    let parameters = json!({"EnrollmentToken": token_for(&server, &agent.id).await});
    let (key, answer) = first_try(&server, renamed, &agent.capabilities, parameters.clone()).await;
    let mut back = PublishedAgent::accepted(&server, renamed, agent.capabilities.clone(), &key, &answer);
    assert_eq!(back.id, agent.id);
    inventory_now(&server, &store).await;
    assert_eq!(back.register().await[0]["JobTypeId"], super::PEM_INVENTORY, "its stores are its own");
    assert_eq!(history(&server, &job).await[0]["Result"], 2, "and so is its history");
    let shown = server.admin.get(&format!("/Agents/{}", agent.id)).await.ok();
    assert_eq!((&shown["ClientMachine"], &shown["LegacyThumbprint"]), (&json!("edge-1"), &json!("")));
    assert!(agents_on(&server, renamed).await.is_empty(), "no second agent");
    let (_, again) = first_try(&server, renamed, &agent.capabilities, parameters).await;
    assert_eq!(again["Session"], Value::Null, "once");
    let audited: i64 =
        sqlx::query_scalar("SELECT count(*) FROM audit_log WHERE message LIKE '%got a new identity%'")
            .fetch_one(server.database())
            .await
            .unwrap();
    assert_eq!(audited, 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_identity_of_our_own_agent_is_recovered_by_its_key_or_by_a_token() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 2, "/a.pem").await;
    let job = add(&server, &store).await;
    let leased = agent.lease(0).await.remove(0);
    agent.complete(&leased, Outcome::Success, "").await;
    let anonymous = http(&server.ready.ca_file, None);
    let new = || PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    server.clock.advance(TimeDelta::days(-95));
    let held = new();
    let renewal = registration("web1.example.test", &held, None);
    let (_, renewed) = agent.call(paths::REGISTER, &renewal).await;
    assert_eq!(renewed["Session"]["AgentId"], json!(agent.id));
    let der = STANDARD.decode(renewed["Session"]["Certificate"].as_str().unwrap()).unwrap();
    server.clock.advance(TimeDelta::days(95));
    let expired = format!("{}{}", pem::encode("CERTIFICATE", &der), *held.to_pem());
    let url = format!("{}/{}", server.ready.agent_url, paths::REGISTER);
    let refused = http(&server.ready.ca_file, Some(&expired)).post(url).json(&renewal).send().await;
    assert!(refused.is_err_and(|error| error.status().is_none()), "TLS refuses it");
    // The key that it holds is known: a request signed by it is enough, as it always was.
    let session = register(&server, &anonymous, &renewal).await.session.unwrap();
    assert_eq!(session.agent_id, agent.id);
    // What was lost with its directory is found by the token alone; even when it waited as another agent before.
    let key = new();
    let waiting = register(&server, &anonymous, &registration("web1.example.test", &key, None)).await;
    assert!(waiting.session.is_none());
    let known = agents_on(&server, "web1.example.test").await;
    assert!(known.iter().any(|one| one["PreviousAgentId"] == json!(agent.id)), "{known:?}");
    let token = token_for(&server, &agent.id).await;
    let request = registration("web1.example.test", &key, token.as_str());
    let session = register(&server, &anonymous, &request).await.session.unwrap();
    assert_eq!(session.agent_id, agent.id);
    assert_eq!(agents_on(&server, "web1.example.test").await.len(), 1, "one agent again");
    // The key that it has now is enough later: the certificate is made out anew, under the same id.
    server.clock.advance(TimeDelta::days(95));
    let request = registration("web1.example.test", &key, None);
    let later = register(&server, &anonymous, &request).await.session.unwrap();
    assert_eq!(later.agent_id, agent.id);
    assert_ne!(later.certificate, session.certificate);
    assert_eq!(history(&server, &job).await[0]["Result"], 2);

    let disapproved = token_for(&server, &agent.id).await;
    server.admin.post("/Agents/Disapprove", &json!([agent.id])).await;
    let request = registration("web1.example.test", &new(), disapproved.as_str());
    assert!(
        register(&server, &anonymous, &request).await.session.is_none(),
        "no token helps who was disapproved"
    );
    for (body, status) in [
        (json!({"AgentId": uuid::Uuid::new_v4()}), 404),
        (json!({"AgentId": agent.id, "ClientMachine": "web1"}), 400),
    ] {
        server.admin.post("/Agents/EnrollmentTokens", &body).await.refused(status);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_came_back_as_another_is_merged_into_the_old_one() {
    let server = TestServer::start().await;
    let old = PublishedAgent::enroll(&server, "edge_01", pem_capabilities()).await;
    let store = old.store(&server, "/a.pem").await;
    let mut new = PublishedAgent::enroll(&server, "edge_20261125063000", pem_capabilities()).await;
    let shown = server.admin.get(&format!("/Agents/{}", new.id)).await.ok();
    assert_eq!(shown["PreviousAgentId"], json!(old.id), "what an operator is offered");
    let merge = async |into: &str, new: Value| {
        server.admin.post(&format!("/Agents/{into}/Merge"), &json!({"NewAgentId": new})).await
    };
    let ours = RawAgent::enroll(&server, "web1.example.test").await;
    for (into, taken, status) in [
        (old.id.as_str(), json!(old.id), 400),
        (old.id.as_str(), Value::Null, 400),
        (old.id.as_str(), json!(ours.id), 400),
        (old.id.as_str(), json!(uuid::Uuid::new_v4()), 404),
        ("nonsense", json!(new.id), 404),
    ] {
        merge(into, taken).await.refused(status);
    }
    let spare = new.store(&server, "/b.pem").await;
    assert!(merge(&old.id, json!(new.id)).await.refused(400).contains("/b.pem"));
    server.admin.delete(&format!("/CertificateStores/{spare}")).await.ok();
    let reader = caller(&server, &["/agents/management/read/"]).await;
    reader.post(&format!("/Agents/{}/Merge", old.id), &json!({"NewAgentId": new.id})).await.refused(403);

    assert_eq!(merge(&old.id, json!(new.id)).await.status.as_u16(), 204);
    server.admin.get(&format!("/Agents/{}", new.id)).await.refused(404);
    inventory_now(&server, &store).await;
    let list = new.register().await;
    assert_eq!(list.len(), 1, "the old one's stores");
    let session = new.register_with(Value::Null).await["Session"].clone();
    assert_eq!(session["AgentId"], json!(old.id));
    let shown = server.admin.get(&format!("/Agents/{}", old.id)).await.ok();
    assert_eq!((&shown["ClientMachine"], &shown["Status"]), (&json!("edge_01"), &json!(2)));
    let request = super::registration("edge_01", Value::Null, &old.id, &old.capabilities);
    let (status, _) = super::send(&old.http, &old.door, "Session/Register", &request).await;
    assert_eq!(status, 401, "what it held before counts no more");
    server.stop().await;
}
