//! Errors, large bodies and busy loops on the wire (lines 12 and 13 of chapter 16; chapters 2.2, 2.4 and 6.3), and that
//! private keys are kept from agents that cannot open sealed payloads, where the operator wants that.

use chrono::TimeDelta;
use serde_json::{Value, json};
use support::story::{addition, enroll};
use support::{RawAgent, TestServer};

use super::raw::RawConnection;
use super::{PublishedAgent, pem_capabilities};

#[tokio::test(flavor = "multi_thread")]
async fn line_12_error_paths_give_empty_bodies_and_messages_are_short() {
    let server = TestServer::start_with(&[("limits.agent_body_bytes", "65536")]).await;
    let agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let unknown = json!({"SessionToken": "b1b0a6f4-6a0f-4a43-9a57-6d5d0c9d3b77"}).to_string();
    let large = "x".repeat(70_000);
    for (method, path, body, status) in [
        (
            "POST",
            "/KeyfactorAgents/Jobs/0d6c4f43-0c5d-4b0e-8a5e-0b7a4e0f9c11/Configure",
            unknown.as_str(),
            401,
        ),
        ("POST", "/KeyfactorAgents/Nowhere", "{}", 404),
        ("POST", "/KeyfactorAgents", "{}", 404),
        ("POST", "/KeyfactorAgents/Jobs/%00/Configure", "{}", 404),
        ("GET", "/KeyfactorAgents/Session/Register", "", 405),
        ("PUT", "/KeyfactorAgents/Sealift/Lease", "{}", 405),
        ("POST", "/KeyfactorAgents/Session/Register", "not JSON", 400),
        ("POST", "/KeyfactorAgents/Session/Heartbeat", "", 400),
        ("POST", "/KeyfactorAgents/Session/Register", large.as_str(), 413),
    ] {
        let mut raw = RawConnection::open(&server, &agent.identity).await;
        let (head, answer) = raw.call(method, path, body).await;
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{method} {path}: {head}");
        assert!(head.contains("content-length: 0"), "{method} {path}: {head}");
        assert!(
            answer.is_empty() && !head.contains("transfer-encoding") && !head.contains("content-encoding")
        );
    }
    let long = json!(["y".repeat(5_000)]);
    let mut body = super::registration("edge-1", json!("AAAA".repeat(9_000)), &agent.id, &agent.capabilities);
    for (member, value) in
        [("CSR", body["CSR"].clone()), ("Capabilities", long), ("ClientMachine", json!("é".repeat(900)))]
    {
        body["CSR"] = Value::Null;
        body[member] = value;
        let (_, answer) = super::send(&agent.http, &agent.door, "Session/Register", &body).await;
        let error = &answer["Result"]["Error"];
        assert_eq!(answer["Result"]["Status"], 3, "{member}");
        let length = error["Message"].as_str().unwrap().len() + error["CodeString"].as_str().unwrap().len();
        assert!(length <= 932, "{member}: {length}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_09_and_12_sixteen_mebibytes_are_taken_after_100_continue() {
    let server = TestServer::start().await;
    let mut agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let store = agent.store(&server, "/etc/edge/tls/a.pem").await;
    super::inventory_now(&server, &store).await;
    server.admin.post(&format!("/Agents/{}/FetchLogs", agent.id), &Value::Null).await.ok();
    let list = agent.register().await;
    let inventory = list.iter().find(|job| job["JobTypeId"] == super::PEM_INVENTORY).unwrap();
    let logs = list.iter().find(|job| job["JobTypeId"] != super::PEM_INVENTORY).unwrap();
    let update = agent.configure(inventory).await;
    let fetch = agent.configure(logs).await;
    assert!(fetch["MaxCharactersToReturn"].as_u64().unwrap() > 0);
    let completion = json!({"SessionToken": agent.token, "JobId": logs["JobId"], "Status": 2,
        "AuditId": fetch["AuditId"].as_f64().unwrap(), "Message": "", "Log": ""});
    for (endpoint, mut body, pad) in [
        (
            update["InventoryEndpoint"].as_str().unwrap(),
            json!({"SessionToken": agent.token, "Inventory": []}),
            "Pad",
        ),
        (logs["CompletionEndpoint"].as_str().unwrap(), completion, "Log"),
    ] {
        body[pad] = json!("");
        let room = 16 * 1024 * 1024 - body.to_string().len();
        body[pad] = json!("x".repeat(room));
        let text = body.to_string();
        assert_eq!(text.len(), 16 * 1024 * 1024);
        let mut raw = RawConnection::open(&server, &agent.identity).await;
        let head = format!(
            "POST /KeyfactorAgents/{endpoint} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\
             Expect: 100-continue\r\n\r\n",
            text.len()
        );
        raw.write(head.as_bytes()).await;
        let (interim, _) = raw.read().await;
        assert!(interim.starts_with("http/1.1 100"), "{interim}");
        raw.write(text.as_bytes()).await;
        let (head, answer) = raw.read().await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["Result"], json!({"Status": 1, "Error": null}));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_loop_is_stopped_with_an_empty_429() {
    let settings = [("limits.agent_calls_per_second", "1"), ("limits.agent_call_burst", "20")];
    let server = TestServer::start_with(&settings).await;
    let agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let mut raw = RawConnection::open(&server, &agent.identity).await;
    let beat = json!({"SessionToken": agent.token}).to_string();
    let mut refused = None;
    for _ in 0..200 {
        let (head, answer) = raw.call("POST", "/KeyfactorAgents/Session/Heartbeat", &beat).await;
        if !head.starts_with("http/1.1 200") {
            refused = Some((head, answer));
            break;
        }
    }
    let (head, answer) = refused.expect("a busy loop is refused");
    assert!(
        head.starts_with("http/1.1 429") && head.contains("content-length: 0") && answer.is_empty(),
        "{head}"
    );
    PublishedAgent::enroll(&server, "edge-2", pem_capabilities()).await;
    server.clock.advance(TimeDelta::minutes(1));
    let (head, _) = raw.call("POST", "/KeyfactorAgents/Session/Heartbeat", &beat).await;
    assert!(head.starts_with("http/1.1 200"), "after a while it may call again: {head}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_14_a_heartbeat_with_an_unknown_token_or_of_another_certificate_is_over_and_no_error() {
    let server = TestServer::start().await;
    let owner = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let thief = PublishedAgent::enroll(&server, "edge-2", pem_capabilities()).await;
    let beat = async |agent: &PublishedAgent, token: Value| {
        let body = json!({"AgentPlatform": 5, "ClientMachine": agent.machine, "SessionToken": token});
        super::send(&agent.http, &agent.door, "Session/Heartbeat", &body).await.1
    };
    let answer = |valid: bool| json!({"Result": {"Status": 1, "Error": null}, "SessionValid": valid, "HeartbeatInterval": 5});
    assert_eq!(beat(&owner, json!(owner.token)).await, answer(true));
    for unknown in [json!(uuid::Uuid::new_v4()), json!("x"), json!(""), Value::Null] {
        assert_eq!(beat(&owner, unknown).await, answer(false));
    }
    assert_eq!(
        beat(&thief, json!(owner.token)).await,
        answer(false),
        "line 13: a replay from another certificate"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn private_keys_can_be_kept_from_agents_that_cannot_open_sealed_payloads() {
    let server = TestServer::start_with(&[("agents.keys_to_published", "false")]).await;
    let published = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let ours = RawAgent::enroll(&server, "web1.example.test").await;
    let (theirs, own) = (published.store(&server, "/a.pem").await, ours.store(&server, 2, "/a.pem").await);
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    let add = "/CertificateStores/Certificates/Add";
    let refused = server.admin.post(add, &addition(certificate, &[&theirs])).await;
    assert!(refused.refused(400).contains("reenrollment"), "{}", refused.text);
    server.admin.post(add, &addition(certificate, &[&own])).await.ok();
    let mut keyless = addition(certificate, &[&theirs]);
    keyless["CertificateStores"][0]["IncludePrivateKey"] = json!(false);
    server.admin.post(add, &keyless).await.ok();
    for (id, sealed) in [(&published.id, false), (&ours.id, true)] {
        let shown = server.admin.get(&format!("/Agents/{id}")).await.ok();
        assert_eq!(shown["TakesSealedPayloads"], sealed);
    }
    server.stop().await;
}
