//! Reenrollment: the agent makes the key, and only its request travels (line 11), for agents that are not ours and for
//! ours alike.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use reqwest::StatusCode;
use sealift_pki::{
    Certificate, CertificateRequest, DistinguishedName, KeyAlgorithm, PrivateKey, SubjectAlternativeName,
};
use sealift_protocol::agent::leases::{Disposition, EnrollAnswer, LeaseKey, Outcome, Work};
use sealift_protocol::agent::paths;
use sealift_server::scheduler::Sweep;
use serde_json::{Value, json};
use support::examples::template_id;
use support::{RawAgent, TestServer};

use super::{PEM_INVENTORY, PublishedAgent, added, aliases, history, pem_capabilities};

const PEM_REENROLLMENT: &str = "aa015d10-cffc-41f7-a9a4-c9615f6f3bdf";

/// A request that asks for what it should not get.
fn request(key: &PrivateKey) -> String {
    let subject = DistinguishedName::parse("CN=bank.example.test,O=Own words").unwrap();
    let names = [SubjectAlternativeName::Dns("bank.example.test".to_owned())];
    STANDARD.encode(CertificateRequest::create(key, &subject, &names).unwrap().der())
}

fn key(algorithm: KeyAlgorithm) -> PrivateKey {
    PrivateKey::generate(algorithm).unwrap()
}

async fn schedule(server: &TestServer, store: &str) {
    let body = json!({"KeystoreId": store, "SubjectName": "CN=www.example.test,O=Example\\, Ltd.,C=NO",
        "SANs": {"dns": ["shop.example.test"], "ip": ["192.0.2.7"]}, "CertificateTemplate": "TLSServer"});
    let answer = server.admin.post("/CertificateStores/Reenrollment", &body).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
}

impl PublishedAgent {
    /// The reenrollment of a list, configured.
    async fn reenroll(&mut self) -> (Vec<Value>, Value) {
        let list = self.register().await;
        assert_eq!(list[0]["JobTypeId"], PEM_REENROLLMENT, "{list:?}");
        let endpoint = list[0]["ConfigurationEndpoint"].as_str().unwrap();
        let (status, configured) = self.call(endpoint, json!({"JobId": list[0]["JobId"]})).await;
        assert_eq!(status, StatusCode::OK);
        (list, configured)
    }

    async fn enroll_at(&self, configured: &Value, csr: &str) -> Value {
        let endpoint = configured["EnrollEndpoint"].as_str().unwrap();
        let (status, answer) = self.call(endpoint, json!({"CSRText": csr})).await;
        assert_eq!(status, StatusCode::OK);
        answer
    }
}

fn refused(answer: &Value) -> &str {
    assert_eq!((&answer["Result"]["Status"], &answer["Certificate"]), (&json!(3), &Value::Null), "{answer}");
    answer["Result"]["Error"]["Message"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn line_11_a_reenrollment_is_told_at_the_top_level_and_ends_with_a_certificate_for_the_agents_key() {
    let server = TestServer::start().await;
    let mut agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let body = json!({"ClientMachine": "edge-1", "StorePath": "/etc/edge/tls/site.pem", "CertStoreType": 2,
        "AgentId": agent.id, "Properties": "{\"PrivateKeyPath\":{\"value\":\"/etc/edge/tls/site.key\"}}"});
    let store = server.admin.post("/CertificateStores", &body).await.ok()["Id"].as_str().unwrap().to_owned();
    schedule(&server, &store).await;
    let (list, configured) = agent.reenroll().await;
    assert_eq!(
        (list.len(), &list[1]["JobTypeId"]),
        (2, &json!(PEM_INVENTORY)),
        "the inventory that follows it"
    );
    assert_eq!(list[0]["Priority"], 5);
    assert!(configured.get("Job").is_none(), "its members stand at the top level");
    for (member, expected) in [
        ("Result", json!({"Status": 1, "Error": null})),
        ("JobCancelled", json!(false)),
        ("KeyType", json!("ECC")),
        ("KeySize", json!(256)),
        ("Subject", json!("CN=www.example.test,O=Example  Ltd.,C=NO")),
        ("Entropy", Value::Null),
        ("ClientMachine", json!("edge-1")),
        ("StorePath", json!("/etc/edge/tls/site.pem")),
        ("StorePassword", Value::Null),
    ] {
        assert_eq!(configured.get(member), Some(&expected), "{member}");
    }
    let properties: Value = serde_json::from_str(configured["Properties"].as_str().unwrap()).unwrap();
    assert_eq!(properties, json!({"separatePrivateKey": "true", "privateKeyPath": "/etc/edge/tls/site.key"}));
    assert!((1..1 << 53).contains(&configured["AuditId"].as_i64().unwrap()));

    let made = key(KeyAlgorithm::EcdsaP256);
    let answer = agent.enroll_at(&configured, &request(&made)).await;
    assert_eq!(answer["Result"], json!({"Status": 1, "Error": null}));
    let der = STANDARD.decode(answer["Certificate"].as_str().unwrap()).unwrap();
    let certificate = Certificate::parse(&der).unwrap();
    assert!(made.matches(&certificate), "for the agent's key");
    assert_eq!(certificate.common_name(), Some("www.example.test"), "the subject is the job's");
    assert_eq!(certificate.subject().organization(), Some("Example, Ltd."), "whole");
    assert_eq!(certificate.dns_names(), ["www.example.test", "shop.example.test"], "and so are its names");
    assert_eq!(certificate.subject_alternative_names().len(), 3);
    let again = agent.enroll_at(&configured, &request(&made)).await;
    assert_eq!(
        again["Certificate"], answer["Certificate"],
        "the same key of the same attempt: the same certificate"
    );
    assert!(
        refused(&agent.enroll_at(&configured, &request(&key(KeyAlgorithm::EcdsaP256))).await)
            .contains("another key")
    );

    let done = agent.complete(&list[0], configured["AuditId"].clone(), 2, "").await;
    assert_eq!(done["InventoryJob"], list[1]["JobId"]);
    assert!(refused(&agent.enroll_at(&configured, &request(&made)).await).contains("not running any more"));
    let row = history(&server, &list[0]["JobId"]).await.remove(0);
    assert_eq!((&row["Status"], &row["Result"]), (&json!(3), &json!(2)));
    let inventory = agent.configure(&list[1]).await;
    let thumbprint = certificate.thumbprint().to_string();
    let items = json!([added(&thumbprint, answer["Certificate"].as_str().unwrap())]);
    assert_eq!(agent.update(&list[1], &inventory, items).await, 1);
    agent.complete(&list[1], inventory["AuditId"].clone(), 2, "").await;
    assert_eq!(aliases(&server, &store).await, [thumbprint.as_str()]);
    let found = server.admin.query("/Certificates", &format!("Thumbprint -eq \"{thumbprint}\"")).await.ok();
    assert_eq!(found.as_array().unwrap().len(), 1);
    let id = &found[0]["Id"];
    let shown = server.admin.get(&format!("/Certificates/{id}?includeHasPrivateKey=true")).await.ok();
    assert_eq!((&shown["HasPrivateKey"], &shown["RequesterName"]), (&json!(false), &json!("admin")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_11_key_mismatch_policy_and_pending_are_refused_and_success_without_enroll_is_none() {
    let server = TestServer::start().await;
    let mut agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let store = agent.store(&server, "/etc/edge/tls/site.pem").await;
    schedule(&server, &store).await;
    let (list, first) = agent.reenroll().await;
    // Properties without a separate key.
    let properties: Value = serde_json::from_str(first["Properties"].as_str().unwrap()).unwrap();
    assert_eq!(properties, json!({"separatePrivateKey": "false"}));
    let good = request(&key(KeyAlgorithm::EcdsaP256));
    let mut forged = STANDARD.decode(&good).unwrap();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    refused(&agent.enroll_at(&first, &STANDARD.encode(forged)).await);
    for none in ["", "AAAA", "no base64", "-----BEGIN CERTIFICATE REQUEST-----"] {
        refused(&agent.enroll_at(&first, none).await);
    }
    let policy = agent.enroll_at(&first, &request(&key(KeyAlgorithm::Ed25519))).await;
    assert!(refused(&policy).contains("TLSServer"), "{policy}");
    let template = template_id(&server.admin, "TLSServer").await;
    let approval = |wanted: bool| json!({"Id": template, "RequiresApproval": wanted});
    server.admin.put("/Templates", &approval(true)).await.ok();
    let pending = agent.enroll_at(&first, &good).await;
    assert!(refused(&pending).contains("approval"), "pending is an error: {pending}");
    server.admin.put("/Templates", &approval(false)).await.ok();
    let issued: i64 =
        sqlx::query_scalar("SELECT count(*) FROM certificates").fetch_one(server.database()).await.unwrap();
    assert_eq!(issued, 0, "nothing was issued");

    // As after an answer that was lost: the agent says that it is done.
    agent.complete(&list[0], first["AuditId"].clone(), 2, "").await;
    let row = history(&server, &list[0]["JobId"]).await.remove(0);
    assert_eq!(
        (&row["Status"], &row["Result"], &row["ErrorCode"]),
        (&json!(5), &json!(4), &json!("enrollment_missing"))
    );
    server.clock.advance(TimeDelta::minutes(2));
    server.sweep(Sweep::ReleaseRetries).await;
    let (list, second) = agent.reenroll().await;
    assert_ne!(second["AuditId"], first["AuditId"]);
    assert!(refused(&agent.enroll_at(&first, &good).await).contains("not running"), "the attempt before");
    assert_eq!(agent.enroll_at(&second, &good).await["Result"]["Status"], 1);
    // Configured again: another attempt, and another certificate.
    let (_, third) = agent.call(list[0]["ConfigurationEndpoint"].as_str().unwrap(), json!({})).await;
    refused(&agent.enroll_at(&second, &good).await);
    agent.complete(&list[0], third["AuditId"].clone(), 2, "").await;
    let row = history(&server, &list[0]["JobId"]).await.pop().unwrap();
    assert_eq!(row["ErrorCode"], "enrollment_missing", "the certificate of another attempt is no proof");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_11_a_reenrollment_is_never_answered_with_an_http_error() {
    let server = TestServer::start_with(&[("limits.agent_body_bytes", "65536")]).await;
    let mut agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let mut thief = PublishedAgent::enroll(&server, "edge-2", pem_capabilities()).await;
    let store = agent.store(&server, "/etc/edge/tls/site.pem").await;
    schedule(&server, &store).await;
    let list = agent.register().await;
    thief.register().await;
    let endpoint = format!("{}/{}", agent.door, list[0]["ConfigurationEndpoint"].as_str().unwrap());
    let stolen = json!({"SessionToken": agent.token}).to_string();
    let unknown = json!({"SessionToken": uuid::Uuid::new_v4()}).to_string();
    let theirs = json!({"SessionToken": thief.token}).to_string();
    let large = json!({"SessionToken": agent.token, "Pad": "x".repeat(70_000)}).to_string();
    for (http, body, status) in [
        (&agent.http, unknown, 3),
        (&thief.http, stolen, 3),
        (&agent.http, String::new(), 3),
        (&agent.http, "not JSON".to_owned(), 3),
        (&agent.http, large, 3),
        (&thief.http, theirs, 1),
    ] {
        let answer = http.post(&endpoint).body(body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{body:.60}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!((&answer["Result"]["Status"], &answer["JobCancelled"]), (&json!(status), &json!(true)));
        assert_eq!(
            (&answer["AuditId"], &answer["StorePath"]),
            (&json!(0), &json!("")),
            "and nothing is told"
        );
    }
    for path in ["no-guid", "5f2d7a90-3c1e-4b0a-9d57-0e8f6a1b2c33"] {
        let (status, answer) = agent.call(&format!("Jobs/{path}/Reenroll"), json!({})).await;
        assert_eq!((status, &answer["JobCancelled"]), (StatusCode::OK, &json!(true)));
    }
    let (_, configured) = agent.reenroll().await;
    assert_eq!(configured["JobCancelled"], false, "it stayed in the queue");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_agent_gets_the_same_over_its_lease() {
    let server = TestServer::start().await;
    let able = ["CertStores.PEM.Inventory", "CertStores.PEM.Management", "CertStores.PEM.Reenrollment"];
    let agent = RawAgent::enroll_with(&server, "web1.example.test", &able).await;
    let other = RawAgent::enroll_with(&server, "web2.example.test", &able).await;
    let store = agent.store(&server, 2, "/etc/tls/site.pem").await;
    schedule(&server, &store).await;
    let job = agent.lease(0).await.remove(0);
    let Work::Reenroll(work) = &job.work else { panic!("{:?}", job.work) };
    assert_eq!(work.subject, "CN=www.example.test,O=Example\\, Ltd.,C=NO");
    assert_eq!(work.dns_names, ["www.example.test", "shop.example.test"]);
    assert_eq!((work.key_algorithm.as_str(), work.overwrite), ("P-256", true));
    let lease = LeaseKey { job_id: job.job_id, lease_token: job.lease_token };
    let made = key(KeyAlgorithm::EcdsaP256);
    let enroll = async |agent: &RawAgent, lease: LeaseKey, csr: String| {
        let body = json!({"JobId": lease.job_id, "LeaseToken": lease.lease_token, "CSR": csr});
        let (status, answer) = agent.call(paths::ENROLL, &body).await;
        assert_eq!(status, StatusCode::OK);
        serde_json::from_value::<EnrollAnswer>(answer).unwrap()
    };
    let wrong = LeaseKey { lease_token: uuid::Uuid::new_v4(), ..lease };
    for (who, lease, csr) in
        [(&other, lease, request(&made)), (&agent, wrong, request(&made)), (&agent, lease, "x".to_owned())]
    {
        let answer = enroll(who, lease, csr).await;
        assert!(answer.certificates.is_empty() && answer.refused.is_some());
    }
    let answer = enroll(&agent, lease, request(&made)).await;
    assert_eq!((answer.certificates.len(), &answer.refused), (2, &None), "with its chain, without the root");
    let leaf = Certificate::parse(&STANDARD.decode(&answer.certificates[0]).unwrap()).unwrap();
    assert!(made.matches(&leaf) && leaf.common_name() == Some("www.example.test"));
    assert_eq!(enroll(&agent, lease, request(&made)).await.certificates, answer.certificates);
    assert!(enroll(&agent, lease, request(&key(KeyAlgorithm::EcdsaP256))).await.refused.is_some());
    assert_eq!(agent.complete(&job, Outcome::Success, "installed").await, Disposition::Recorded);
    let after = agent.lease(0).await.remove(0);
    assert!(matches!(after.work, Work::Inventory), "what was installed is read back");
    assert!(enroll(&agent, lease, request(&made)).await.refused.is_some(), "after the end");

    // A success without a certificate is none.
    agent.complete(&after, Outcome::Failure, "").await;
    schedule(&server, &store).await;
    let job = agent.lease(0).await.remove(0);
    agent.complete(&job, Outcome::Success, "installed").await;
    let row = history(&server, &json!(job.job_id)).await.remove(0);
    assert_eq!((&row["Result"], &row["ErrorCode"]), (&json!(4), &json!("enrollment_missing")));
    server.stop().await;
}
