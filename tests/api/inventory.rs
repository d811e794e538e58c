//! What agents upload, and what the server makes of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealift_pki::{AuthorityProfile, DistinguishedName, Issuer};
use sealift_protocol::agent::inventory::{InventoryPage, StoreEntry};
use sealift_protocol::agent::leases::{LeaseKey, LeasedJob, Outcome};
use sealift_protocol::agent::paths;
use serde_json::json;
use support::{RawAgent, TestServer};

fn certificate(name: &str) -> String {
    let profile = AuthorityProfile {
        subject: DistinguishedName::parse(&format!("CN={name}")).unwrap(),
        serial_number: sealift_pki::SerialNumber::from_random(*uuid::Uuid::new_v4().as_bytes()),
        not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2036-01-01T00:00:00Z".parse().unwrap(),
        crl_distribution_point: None,
    };
    STANDARD.encode(Issuer::self_signed_root(&profile).unwrap().certificate().der())
}

fn entry(alias: &str, certificate: &str) -> StoreEntry {
    StoreEntry {
        alias: alias.to_owned(),
        certificates: vec![certificate.to_owned()],
        private_key_entry: false,
        parameters: Default::default(),
    }
}

struct Uploader {
    server: TestServer,
    agent: RawAgent,
    store: String,
}

impl Uploader {
    async fn start() -> Self {
        let server = TestServer::start().await;
        let agent = RawAgent::enroll(&server, "web1.example.test").await;
        let store = agent.store(&server, 2, "/etc/tls/a.pem").await;
        Self { server, agent, store }
    }

    async fn lease(&self) -> LeasedJob {
        let body = json!({"StoreIds": [self.store], "Schedule": {"Immediate": true}});
        self.server.admin.post("/CertificateStores/Schedule", &body).await;
        self.agent.lease(0).await.remove(0)
    }

    async fn send(&self, job: &LeasedJob, page: InventoryPage) -> String {
        let lease = LeaseKey { job_id: job.job_id, lease_token: job.lease_token };
        let (_, body) = self.agent.call(paths::INVENTORY, &InventoryPage { lease, ..page }).await;
        body["Disposition"].as_str().unwrap_or_default().to_owned()
    }

    async fn aliases(&self) -> Vec<String> {
        let entries =
            self.server.admin.get(&format!("/CertificateStores/{}/Inventory", self.store)).await.ok();
        entries.as_array().unwrap().iter().map(|entry| entry["Name"].as_str().unwrap().to_owned()).collect()
    }
}

fn page(base: Option<&str>, version: &str, page: u32, last: bool, entries: Vec<StoreEntry>) -> InventoryPage {
    InventoryPage {
        lease: LeaseKey { job_id: sealift_protocol::JobId::generate(), lease_token: uuid::Uuid::nil() },
        base: base.map(str::to_owned),
        version: version.to_owned(),
        page,
        last,
        entries,
        removed: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_apply_to_what_they_were_made_from_and_to_nothing_else() {
    let uploader = Uploader::start().await;
    let (one, two) = (certificate("one"), certificate("two"));
    let job = uploader.lease().await;
    assert!(job.store.inventory_version.is_none());
    let full = page(None, "v1", 1, true, vec![entry("a", &one), entry("b", &two)]);
    assert_eq!(uploader.send(&job, full.clone()).await, "Stored");
    assert_eq!(uploader.send(&job, full).await, "Stored", "a repeat changes nothing");
    uploader.agent.complete(&job, Outcome::Success, "").await;
    assert_eq!(uploader.aliases().await, ["a", "b"]);

    let job = uploader.lease().await;
    assert_eq!(job.store.inventory_version.as_deref(), Some("v1"));
    let stray = page(Some("v0"), "v2", 1, true, vec![entry("c", &one)]);
    assert_eq!(uploader.send(&job, stray).await, "SendEverything");
    let mut difference = page(Some("v1"), "v2", 1, true, vec![entry("c", &one)]);
    difference.removed = vec!["A".to_owned()];
    assert_eq!(uploader.send(&job, difference).await, "Stored");
    uploader.agent.complete(&job, Outcome::Success, "").await;
    assert_eq!(uploader.aliases().await, ["b", "c"]);
    uploader.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_is_followed_by_a_whole_one() {
    let uploader = Uploader::start().await;
    let one = certificate("one");
    let job = uploader.lease().await;
    assert_eq!(uploader.send(&job, page(None, "v1", 1, true, vec![entry("a", &one)])).await, "Stored");
    uploader.agent.complete(&job, Outcome::Success, "").await;

    let job = uploader.lease().await;
    assert_eq!(uploader.send(&job, page(Some("v1"), "v2", 1, false, vec![entry("b", &one)])).await, "Stored");
    uploader.agent.complete(&job, Outcome::Failure, "the machine went down").await;

    let job = uploader.lease().await;
    assert!(job.store.inventory_version.is_none(), "what the server holds is neither v1 nor v2");
    assert_eq!(uploader.send(&job, page(Some("v1"), "v3", 1, true, vec![])).await, "SendEverything");
    assert_eq!(uploader.send(&job, page(None, "v3", 1, false, vec![entry("c", &one)])).await, "Stored");
    assert_eq!(uploader.send(&job, page(None, "v3", 2, true, vec![entry("d", &one)])).await, "Stored");
    uploader.agent.complete(&job, Outcome::Success, "").await;
    assert_eq!(uploader.aliases().await, ["c", "d"]);
    uploader.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_holder_of_the_lease_uploads() {
    let uploader = Uploader::start().await;
    let job = uploader.lease().await;
    uploader.agent.complete(&job, Outcome::Failure, "gave up").await;
    assert_eq!(
        uploader.send(&job, page(None, "v1", 1, true, vec![entry("a", &certificate("x"))])).await,
        "Stale"
    );
    assert!(uploader.aliases().await.is_empty());
    uploader.server.stop().await;
}
