//! The conformance checks of the agent protocol, chapter 16, line by line: what an agent that is not ours sends, as raw
//! JSON over TLS, and exactly what it is answered. A test is named after the line that it is of; lines 6 to 10 and what
//! belongs to jobs of lines 13 and 14 are in `jobs`.

mod identity;
mod jobs;
mod raw;
mod reenrollment;
mod registration;
mod transport;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use sealift_pki::{Certificate, CertificateRequest, DistinguishedName, KeyAlgorithm, PrivateKey, pem};
use serde_json::{Value, json};
use support::TestServer;
use support::client::http;

pub(crate) const PEM_INVENTORY: &str = "a809ce1f-1eea-4738-a38e-15708c89c981";
pub(crate) const PEM_MANAGEMENT: &str = "1d411b36-ae72-433f-9f3f-8593e836a1af";

/// An agent of the published protocol with a client certificate.
pub(crate) struct PublishedAgent {
    pub(crate) id: String,
    pub(crate) machine: String,
    pub(super) token: String,
    pub(crate) capabilities: Value,
    pub(super) http: reqwest::Client,
    pub(super) door: String,
    /// Certificate and key as PEM.
    pub(super) identity: String,
}

pub(super) fn csr(machine: &str, key: &PrivateKey) -> String {
    let subject = DistinguishedName::parse(&format!("CN={machine},O=Own words")).unwrap();
    STANDARD.encode(CertificateRequest::create(key, &subject, &[]).unwrap().der())
}

pub(super) fn registration(machine: &str, csr: Value, agent_id: &str, capabilities: &Value) -> Value {
    json!({"AgentPlatform": 5, "AgentVersion": 563_031_557_799_936_u64,
        "TenantId": "00000000-0000-0000-0000-000000000000", "ClientMachine": machine, "CSR": csr,
        "AgentId": agent_id, "Capabilities": capabilities, "ClientParameters": {}})
}

pub(super) async fn send(
    http: &reqwest::Client,
    door: &str,
    path: &str,
    body: &Value,
) -> (StatusCode, Value) {
    let answer = http.post(format!("{door}/{path}")).json(body).send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success() || text.is_empty(), "an error with a body: {status} {text}");
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// One registration of an agent without certificate, with a new key and these client parameters.
pub(super) async fn first_try(
    server: &TestServer,
    machine: &str,
    capabilities: &Value,
    parameters: Value,
) -> (PrivateKey, Value) {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let mut request = registration(machine, json!(csr(machine, &key)), "", capabilities);
    request["ClientParameters"] = parameters;
    let anonymous = http(&server.ready.ca_file, None);
    let (status, answer) = send(&anonymous, &server.ready.agent_url, "Session/Register", &request).await;
    assert_eq!(status, StatusCode::OK);
    (key, answer)
}

impl PublishedAgent {
    /// First enrollment: pending three times, approved, then the second registration over the new certificate. The key
    /// is new on every try.
    pub(crate) async fn enroll(server: &TestServer, machine: &str, capabilities: Value) -> Self {
        for _ in 0..3 {
            let (_, pending) = first_try(server, machine, &capabilities, json!({})).await;
            assert_eq!(pending["Result"]["Status"], 3);
            assert_eq!(pending["Session"], Value::Null, "no id before the certificate");
        }
        let waiting = format!("ClientMachine -eq \"{machine}\" AND Status -eq 1");
        let listed = server.admin.query("/Agents", &waiting).await.ok();
        assert_eq!(listed.as_array().unwrap().len(), 1, "one agent, whatever its keys");
        server.admin.post("/Agents/Approve", &json!([listed[0]["AgentId"]])).await;
        let (key, first) = first_try(server, machine, &capabilities, json!({})).await;
        let mut agent = Self::accepted(server, machine, capabilities, &key, &first);
        agent.register().await;
        agent
    }

    /// The agent that was given this answer to its request for a certificate.
    pub(super) fn accepted(
        server: &TestServer,
        machine: &str,
        capabilities: Value,
        key: &PrivateKey,
        answer: &Value,
    ) -> Self {
        assert_eq!(answer["Result"], json!({"Status": 1, "Error": null}), "{answer}");
        let der = STANDARD.decode(answer["Session"]["Certificate"].as_str().unwrap()).unwrap();
        assert!(key.matches(&Certificate::parse(&der).unwrap()), "the certificate is for the key that asked");
        let identity = format!("{}{}", pem::encode("CERTIFICATE", &der), *key.to_pem());
        Self {
            id: answer["Session"]["AgentId"].as_str().unwrap().to_owned(),
            machine: machine.to_owned(),
            token: String::new(),
            capabilities,
            http: http(&server.ready.ca_file, Some(&identity)),
            door: server.ready.agent_url.clone(),
            identity,
        }
    }

    /// A registration over its certificate, as it is answered.
    pub(super) async fn register_with(&self, csr: Value) -> Value {
        let request = registration(&self.machine, csr, &self.id, &self.capabilities);
        let (status, answer) = send(&self.http, &self.door, "Session/Register", &request).await;
        assert_eq!(status, StatusCode::OK);
        answer
    }

    /// One `Register` of a pass; answers the list.
    pub(crate) async fn register(&mut self) -> Vec<Value> {
        let answer = self.register_with(Value::Null).await;
        assert_eq!(answer["Result"]["Status"], 1, "{answer}");
        let session = &answer["Session"];
        self.token = session["Token"].as_str().unwrap().to_owned();
        assert!(self.token.len() <= 36 && session["AgentId"].as_str().unwrap().len() <= 36);
        session["Jobs"].as_array().unwrap().clone()
    }

    pub(crate) async fn configure(&self, job: &Value) -> Value {
        let endpoint = job["ConfigurationEndpoint"].as_str().unwrap();
        let (status, answer) = self.call(endpoint, json!({"JobId": job["JobId"]})).await;
        assert_eq!(status, StatusCode::OK);
        assert!(answer["Job"]["StorePath"].is_string());
        answer
    }

    pub(crate) async fn complete(&self, job: &Value, audit: Value, status: i32, message: &str) -> Value {
        let body = json!({"Status": status, "AuditId": audit, "JobId": job["JobId"], "Message": message});
        let (status, answer) = self.call(job["CompletionEndpoint"].as_str().unwrap(), body).await;
        assert_eq!((status, &answer["Result"]["Status"]), (StatusCode::OK, &json!(1)));
        answer
    }

    pub(super) async fn update(&self, job: &Value, configured: &Value, items: Value) -> Value {
        let body = json!({"JobId": job["JobId"], "Inventory": items});
        let (status, answer) = self.call(configured["InventoryEndpoint"].as_str().unwrap(), body).await;
        assert_eq!(status, StatusCode::OK);
        answer["Result"]["Status"].clone()
    }

    pub(crate) async fn call(&self, endpoint: &str, mut body: Value) -> (StatusCode, Value) {
        body["SessionToken"] = json!(self.token);
        send(&self.http, &self.door, endpoint, &body).await
    }

    pub(crate) async fn store(&self, server: &TestServer, path: &str) -> String {
        let body = json!({"ClientMachine": self.machine, "StorePath": path, "CertStoreType": 2,
            "AgentId": self.id, "Properties": "{}"});
        server.admin.post("/CertificateStores", &body).await.ok()["Id"].as_str().unwrap().to_owned()
    }
}

/// The agents of a machine, as operators see them.
pub(super) async fn agents_on(server: &TestServer, machine: &str) -> Vec<Value> {
    let listed = server.admin.query("/Agents", &format!("ClientMachine -eq \"{machine}\"")).await.ok();
    listed.as_array().unwrap().clone()
}

pub(crate) fn pem_capabilities() -> Value {
    json!([
        "CertStores.PEM.Inventory",
        "CertStores.PEM.Management",
        "CertStores.PEM.Reenrollment",
        "Custom.FetchLogs"
    ])
}

pub(super) async fn inventory_now(server: &TestServer, store: &str) {
    let body = json!({"StoreIds": [store], "Schedule": {"Immediate": true}});
    assert!(server.admin.post("/CertificateStores/Schedule", &body).await.status.is_success());
}

pub(super) async fn aliases(server: &TestServer, store: &str) -> Vec<String> {
    let entries = server.admin.get(&format!("/CertificateStores/{store}/Inventory")).await.ok();
    entries.as_array().unwrap().iter().map(|entry| entry["Name"].as_str().unwrap().to_owned()).collect()
}

pub(super) async fn history(server: &TestServer, job: &Value) -> Vec<Value> {
    let request = server.admin.request(reqwest::Method::GET, "/OrchestratorJobs/JobHistory").query(&[
        ("QueryString", format!("JobId -eq {job}").as_str()),
        ("SortField", "JobHistoryId"),
        ("SortAscending", "0"),
    ]);
    server.admin.send(request).await.ok().as_array().unwrap().clone()
}

pub(super) async fn der_of(server: &TestServer, certificate: i64) -> (String, String) {
    let certificate = server.admin.get(&format!("/Certificates/{certificate}")).await.ok();
    let text = |name: &str| certificate[name].as_str().unwrap().to_owned();
    (text("ContentBytes"), text("Thumbprint"))
}

pub(super) fn added(alias: &str, der: &str) -> Value {
    json!({"Alias": alias, "ItemStatus": 1, "PrivateKeyEntry": false, "UseChainLevel": false,
        "Certificates": [der]})
}
