//! An agent that speaks the agents' door by hand, for tests of the door itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use sealift_pki::{CertificateRequest, DistinguishedName, KeyAlgorithm, PrivateKey, pem};
use sealift_protocol::agent::leases::{
    CompleteAnswer, CompleteRequest, Completion, Disposition, LeaseAnswer, LeaseKey, LeaseRequest, LeasedJob,
    Outcome, REFUSAL_HEADER,
};
use sealift_protocol::agent::registration::{Register, Registered, pack_version, parameters};
use sealift_protocol::agent::verification::Evidence;
use sealift_protocol::agent::{VIRTUAL_DIRECTORY, paths};
use serde::Serialize;
use serde_json::{Value, json};

use crate::client::http;
use crate::server::TestServer;

/// An agent with an identity.
#[derive(Clone)]
pub struct RawAgent {
    /// Its id.
    pub id: String,
    /// Its machine.
    pub machine: String,
    http: reqwest::Client,
    door: String,
    /// One process, whatever its calls.
    instance: uuid::Uuid,
    key_pem: String,
    certificate_pem: String,
}

/// A registration request of our own agent.
pub fn registration(machine: &str, key: &PrivateKey, token: Option<&str>) -> Register {
    let capability = |store: &str, job: &str| format!("CertStores.{store}.{job}");
    let capabilities = ["PEM", "PKCS12", "JKS", "CCS"]
        .iter()
        .flat_map(|store| [capability(store, "Inventory"), capability(store, "Management")])
        .collect();
    registration_with(machine, key, token, capabilities)
}

/// A registration request of an agent with these capabilities.
pub fn registration_with(
    machine: &str,
    key: &PrivateKey,
    token: Option<&str>,
    capabilities: Vec<String>,
) -> Register {
    let subject = DistinguishedName::parse(&format!("CN={machine}")).expect("a name");
    let request = CertificateRequest::create(key, &subject, &[]).expect("a request");
    let mut client_parameters =
        std::collections::BTreeMap::from([(parameters::EXTENSIONS.to_owned(), "1".to_owned())]);
    client_parameters.extend(token.map(|token| (parameters::ENROLLMENT_TOKEN.to_owned(), token.to_owned())));
    Register {
        agent_platform: 5,
        agent_version: pack_version(0, 1, 0, 0),
        tenant_id: uuid::Uuid::nil().to_string(),
        client_machine: machine.to_owned(),
        csr: Some(STANDARD.encode(request.der())),
        agent_id: String::new(),
        capabilities,
        client_parameters,
    }
}

impl RawAgent {
    /// Registers with a one-time token, which approves it.
    pub async fn enroll(server: &TestServer, machine: &str) -> Self {
        Self::register(server, machine, |key, token| registration(machine, key, Some(token))).await
    }

    /// The same, with these capabilities, such as `CertStores.PEM.Discovery`.
    pub async fn enroll_with(server: &TestServer, machine: &str, capabilities: &[&str]) -> Self {
        let capabilities: Vec<String> = capabilities.iter().map(|name| (*name).to_owned()).collect();
        let request = |key: &PrivateKey, token: &str| {
            registration_with(machine, key, Some(token), capabilities.clone())
        };
        Self::register(server, machine, request).await
    }

    async fn register(
        server: &TestServer,
        machine: &str,
        request: impl Fn(&PrivateKey, &str) -> Register,
    ) -> Self {
        let token = server.admin.post("/Agents/EnrollmentTokens", &json!({})).await.ok();
        let token = token["Token"].as_str().expect("a token").to_owned();
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).expect("a key");
        let anonymous = http(&server.ready.ca_file, None);
        let answer = register(server, &anonymous, &request(&key, &token)).await;
        let session = answer.session.expect("a session");
        let der = STANDARD.decode(session.certificate.expect("a certificate")).expect("base64");
        let certificate_pem = pem::encode("CERTIFICATE", &der);
        let key_pem = key.to_pem().to_string();
        let identity = format!("{certificate_pem}{key_pem}");
        Self {
            id: session.agent_id,
            machine: machine.to_owned(),
            http: http(&server.ready.ca_file, Some(&identity)),
            door: server.ready.agent_url.clone(),
            instance: uuid::Uuid::new_v4(),
            key_pem,
            certificate_pem,
        }
    }

    /// Its identity as PEM, key included.
    pub fn identity(&self) -> String {
        format!("{}{}", self.certificate_pem, self.key_pem)
    }

    /// Makes a store that this agent serves; answers its id.
    pub async fn store(&self, server: &TestServer, kind: i32, path: &str) -> String {
        let mut body = json!({"ClientMachine": self.machine, "StorePath": path, "CertStoreType": kind,
            "AgentId": self.id, "Properties": "{}"});
        if kind != 2 {
            body["Password"] = json!({"SecretValue": "store-password"});
        }
        let store = server.admin.post("/CertificateStores", &body).await.ok();
        store["Id"].as_str().expect("an id").to_owned()
    }

    /// Calls the door; the status and, where there is one, the body.
    pub async fn call<T: Serialize>(&self, path: &str, body: &T) -> (StatusCode, Value) {
        let answer =
            self.http.post(format!("{}/{path}", self.door)).json(body).send().await.expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Leases due jobs, waiting for at most so many seconds.
    pub async fn lease(&self, wait_seconds: u16) -> Vec<LeasedJob> {
        let request =
            LeaseRequest { max_jobs: 100, wait_seconds, instance: self.instance, ..LeaseRequest::default() };
        let (status, body) = self.call(paths::LEASE, &request).await;
        assert_eq!(status, StatusCode::OK);
        serde_json::from_value::<LeaseAnswer>(body).expect("a lease answer").jobs
    }

    /// The same agent at another replica of its server.
    pub fn at(&self, server: &TestServer) -> Self {
        let http = http(&server.ready.ca_file, Some(&self.identity()));
        Self { http, door: server.ready.agent_url.clone(), ..self.clone() }
    }

    /// Asks for jobs in any words; the status, why it was refused, and the answer.
    pub async fn ask(&self, request: &LeaseRequest) -> (StatusCode, Option<String>, Value) {
        let address = format!("{}/{}", self.door, paths::LEASE);
        let answer = self.http.post(address).json(request).send().await.expect("an answer");
        let refusal =
            answer.headers().get(REFUSAL_HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (status, text) = (answer.status(), answer.text().await.expect("a body"));
        (status, refusal, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Reports one attempt.
    pub async fn complete(&self, job: &LeasedJob, outcome: Outcome, message: &str) -> Disposition {
        self.complete_key(LeaseKey { job_id: job.job_id, lease_token: job.lease_token }, outcome, message)
            .await
    }

    /// Reports by lease.
    pub async fn complete_key(&self, lease: LeaseKey, outcome: Outcome, message: &str) -> Disposition {
        self.report(Completion::new(lease, outcome, message)).await
    }

    /// Reports one attempt with what it found and proved.
    pub async fn prove(&self, job: &LeasedJob, outcome: Outcome, evidence: Evidence) -> Disposition {
        let lease = LeaseKey { job_id: job.job_id, lease_token: job.lease_token };
        let evidence = Some(evidence);
        self.report(Completion { evidence, ..Completion::new(lease, outcome, "told with evidence") }).await
    }

    /// Sends a report as it is.
    pub async fn report(&self, completion: Completion) -> Disposition {
        let (status, body) =
            self.call(paths::COMPLETE, &CompleteRequest { completions: vec![completion] }).await;
        assert_eq!(status, StatusCode::OK);
        serde_json::from_value::<CompleteAnswer>(body).expect("receipts").receipts[0].disposition
    }
}

/// Sends a registration.
pub async fn register(server: &TestServer, http: &reqwest::Client, request: &Register) -> Registered {
    let address = format!("{}/{}", server.ready.agent_url, paths::REGISTER);
    assert!(address.contains(VIRTUAL_DIRECTORY));
    let answer = http.post(address).json(request).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    answer.json().await.expect("a registration answer")
}
