//! Bad input: each gets a 4xx that names the member and the reason, and changes nothing.

use serde_json::{Value, json};
use support::story::{addition, enroll};
use support::{RawAgent, TestServer};

const ADD: &str = "/CertificateStores/Certificates/Add";
const DEPLOY: &str = "/Enrollment/PFX/Deploy";

struct Scene {
    server: TestServer,
    agent: RawAgent,
    pem: String,
    certificate: i64,
}

impl Scene {
    async fn set() -> Self {
        let server = TestServer::start_with(&[("limits.body_bytes", "2000000")]).await;
        let agent = RawAgent::enroll(&server, "web1.example.test").await;
        let pem = agent.store(&server, 2, "/etc/tls/a.pem").await;
        let certificate = enroll(&server.admin, &["www.example.test"]).await;
        Self { server, agent, pem, certificate }
    }

    /// Posts what must be refused with this status and a message that holds these words.
    async fn refuse(&self, path: &str, body: &Value, status: u16, words: &[&str]) {
        let answer = self.server.admin.post(path, body).await;
        let message = answer.refused(status).to_owned();
        for word in words {
            assert!(message.contains(word), "'{message}' lacks '{word}'");
        }
        let jobs: i64 =
            sqlx::query_scalar("SELECT count(*) FROM jobs").fetch_one(self.server.database()).await.unwrap();
        assert_eq!(jobs, 0, "nothing was changed by {path} {body:.200}");
    }

    fn add(&self, change: impl FnOnce(&mut Value)) -> Value {
        let mut body = addition(self.certificate, &[&self.pem]);
        change(&mut body);
        body
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn additions_that_are_not_possible() {
    let scene = Scene::set().await;
    let unknown = uuid::Uuid::new_v4().to_string();
    scene
        .refuse(
            ADD,
            &scene.add(|b| b["CertificateId"] = json!(99_999)),
            400,
            &["CertificateId", "was not found"],
        )
        .await;
    scene
        .refuse(ADD, &scene.add(|b| b["CertificateId"] = json!(null)), 400, &["CertificateId is required"])
        .await;
    scene.refuse(ADD, &scene.add(|b| b["CertificateId"] = json!("many")), 400, &["CertificateId"]).await;
    scene.refuse(ADD, &addition(scene.certificate, &[&unknown]), 404, &[&unknown, "was not found"]).await;
    scene.refuse(ADD, &addition(scene.certificate, &[&scene.pem, &unknown]), 404, &[&unknown]).await;
    scene
        .refuse(
            ADD,
            &addition(scene.certificate, &["web1"]),
            400,
            &["CertificateStores[0].CertificateStoreId"],
        )
        .await;
    scene
        .refuse(
            ADD,
            &addition(scene.certificate, &[&scene.pem, &scene.pem]),
            400,
            &["CertificateStores[1]", "twice"],
        )
        .await;
    scene.refuse(ADD, &addition(scene.certificate, &[]), 400, &["CertificateStores", "at least one"]).await;
    scene.refuse(ADD, &scene.add(|b| b["Schedule"] = json!(null)), 400, &["Schedule is required"]).await;
    let once = |time: &str| json!({"ExactlyOnce": {"Time": time}});
    scene
        .refuse(
            ADD,
            &scene.add(|b| b["Schedule"] = once("tomorrow")),
            400,
            &["Schedule.ExactlyOnce.Time", "tomorrow"],
        )
        .await;
    scene
        .refuse(ADD, &scene.add(|b| b["Schedule"] = once("2026-02-30T00:00:00Z")), 400, &["2026-02-30"])
        .await;
    let ids: Vec<String> = (0..10_001).map(|_| uuid::Uuid::new_v4().to_string()).collect();
    let many = addition(scene.certificate, &ids.iter().map(String::as_str).collect::<Vec<_>>());
    scene.refuse(ADD, &many, 400, &["10001", "10000"]).await;
    let alias = |b: &mut Value| b["CertificateStores"][0]["Alias"] = json!("mine");
    scene.refuse(ADD, &scene.add(alias), 400, &["Alias", "chooses the alias itself"]).await;
    let fields = |b: &mut Value| b["CertificateStores"][0]["JobFields"] = json!({"SiteName": "x"});
    scene.refuse(ADD, &scene.add(fields), 400, &["JobFields", "SiteName"]).await;
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_that_is_taken_needs_overwrite() {
    let scene = Scene::set().await;
    let store = scene.agent.store(&scene.server, 102, "/etc/tls/a.p12").await;
    let add = |overwrite: bool| {
        let mut body = addition(scene.certificate, &[&store]);
        body["CertificateStores"][0]["Alias"] = json!("Site");
        body["CertificateStores"][0]["Overwrite"] = json!(overwrite);
        body
    };
    sqlx::query("INSERT INTO store_entries (store_id, alias, private_key_entry, seen_in) VALUES ($1::uuid, 'site', true, 1)")
        .bind(uuid::Uuid::parse_str(&store).unwrap())
        .execute(scene.server.database())
        .await
        .unwrap();
    scene.refuse(ADD, &add(false), 400, &["Site", "Overwrite"]).await;
    scene.server.admin.post(ADD, &add(true)).await.ok();
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_and_agents_that_are_not_ready() {
    let scene = Scene::set().await;
    let database = scene.server.database();
    let run = |statement: &'static str| sqlx::query(statement).execute(database);
    run("UPDATE store_types SET private_key = 0 WHERE id = 2").await.unwrap();
    scene.refuse(ADD, &scene.add(|_| {}), 400, &["PEM", "cannot hold private keys"]).await;
    run("UPDATE store_types SET private_key = 2 WHERE id = 2").await.unwrap();
    run("DELETE FROM certificate_keys").await.unwrap();
    scene.refuse(ADD, &scene.add(|_| {}), 400, &["needs a private key"]).await;
    run("UPDATE store_types SET private_key = 1, supports_add = false WHERE id = 2").await.unwrap();
    let plain = |b: &mut Value| b["CertificateStores"][0]["IncludePrivateKey"] = json!(false);
    scene.refuse(ADD, &scene.add(plain), 400, &["does not support adding"]).await;
    run("UPDATE store_types SET supports_add = true WHERE id = 2").await.unwrap();
    run("UPDATE certificate_stores SET approved = false").await.unwrap();
    scene.refuse(ADD, &scene.add(plain), 400, &["not approved"]).await;
    run("UPDATE certificate_stores SET approved = true").await.unwrap();
    run("UPDATE agents SET capabilities = '{CertStores.PEM.Inventory}'").await.unwrap();
    scene.refuse(ADD, &scene.add(plain), 400, &["web1.example.test", "CertStores.PEM.Management"]).await;
    run("UPDATE agents SET status = 1").await.unwrap();
    scene.refuse(ADD, &scene.add(plain), 400, &["web1.example.test", "not approved"]).await;
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deployments_that_are_not_possible() {
    let scene = Scene::set().await;
    let body = |change: &dyn Fn(&mut Value)| {
        let mut body = json!({"Stores": [{"StoreId": scene.pem}], "Password": "t7!Qz-example",
            "CertificateId": scene.certificate});
        change(&mut body);
        body
    };
    scene
        .refuse(DEPLOY, &body(&|b| b["CertificateId"] = json!(0)), 400, &["CertificateId or RequestId"])
        .await;
    scene
        .refuse(DEPLOY, &body(&|b| b["CertificateId"] = json!(99_999)), 400, &["CertificateId", "not found"])
        .await;
    scene.refuse(DEPLOY, &body(&|b| b["JobTime"] = json!("noon")), 400, &["JobTime", "noon"]).await;
    scene.refuse(DEPLOY, &body(&|b| b["Stores"] = json!([])), 400, &["Stores"]).await;
    scene
        .refuse(DEPLOY, &body(&|b| b["Stores"][0]["StoreId"] = json!("")), 400, &["Stores[0].StoreId"])
        .await;
    let twice = json!([{"StoreId": scene.pem}, {"StoreId": scene.pem}]);
    scene.refuse(DEPLOY, &body(&|b| b["Stores"] = twice.clone()), 400, &["Stores[1]", "twice"]).await;
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_too_large_or_no_json() {
    let scene = Scene::set().await;
    let answer = scene.server.admin.post(ADD, &json!({"Pad": "x".repeat(2_000_001)})).await;
    assert!(answer.refused(413).contains("2000000 bytes"));
    for text in ["", "{", "nonsense", "[1, 2]"] {
        let request = scene.server.admin.request(reqwest::Method::POST, ADD).body(text.to_owned());
        scene.server.admin.send(request).await.refused(400);
    }
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_that_cannot_be_made() {
    let scene = Scene::set().await;
    let body = |change: &dyn Fn(&mut Value)| {
        let mut body = json!({"ClientMachine": "web1.example.test", "StorePath": "/srv/ccs", "CertStoreType": 103,
            "AgentId": scene.agent.id, "Password": {"SecretValue": "store-password"}});
        change(&mut body);
        body
    };
    let path = "/CertificateStores";
    scene.refuse(path, &body(&|b| b["ClientMachine"] = json!("")), 400, &["ClientMachine is required"]).await;
    scene.refuse(path, &body(&|b| b["StorePath"] = json!("/a\nb")), 400, &["Storepath"]).await;
    scene.refuse(path, &body(&|b| b["CertStoreType"] = json!(9_999)), 400, &["CertStoreType", "9999"]).await;
    let unknown = uuid::Uuid::new_v4().to_string();
    scene.refuse(path, &body(&|b| b["AgentId"] = json!(unknown)), 400, &["AgentId", &unknown]).await;
    scene.refuse(path, &body(&|b| b["ContainerId"] = json!(77)), 400, &["ContainerId", "77"]).await;
    scene.refuse(path, &body(&|b| b["Password"] = json!(null)), 400, &["Password is required"]).await;
    for password in ["a\u{7}b", "\u{1f600}", &"x".repeat(257)] {
        let secret = json!({"SecretValue": password});
        scene.refuse(path, &body(&|b| b["Password"] = secret.clone()), 400, &["Password"]).await;
    }
    let interval = json!({"Interval": {"Minutes": 0}});
    scene
        .refuse(path, &body(&|b| b["InventorySchedule"] = interval.clone()), 400, &["Interval.Minutes"])
        .await;
    scene
        .refuse(
            path,
            &body(&|b| b["Properties"] = json!("{\"Color\":\"red\"}")),
            400,
            &["Properties", "Color"],
        )
        .await;
    scene.server.admin.post(path, &body(&|_| {})).await.ok();
    let again = scene.server.admin.post(path, &body(&|_| {})).await;
    assert!(again.refused(400).contains("already exists"));
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn enrollments_that_are_not_possible() {
    let scene = Scene::set().await;
    let body = |change: &dyn Fn(&mut Value)| {
        let mut body = json!({"Subject": "CN=www.example.test", "Template": "TLSServer", "Password": "long-enough-1",
            "SANs": {"dns": ["www.example.test"]}});
        change(&mut body);
        body
    };
    let path = "/Enrollment/PFX";
    scene.refuse(path, &body(&|b| b["Subject"] = json!("")), 400, &["Subject"]).await;
    scene.refuse(path, &body(&|b| b["Subject"] = json!("www.example.test")), 400, &["Subject"]).await;
    scene.refuse(path, &body(&|b| b["Template"] = json!("Nope")), 400, &["Template", "Nope"]).await;
    scene.refuse(path, &body(&|b| b["SANs"] = json!({"dns": ["a b"]})), 400, &["SANs"]).await;
    scene.refuse(path, &body(&|b| b["SANs"] = json!({"dns": ["../../etc/passwd"]})), 400, &["SANs"]).await;
    scene.refuse(path, &body(&|b| b["SANs"] = json!({"color": ["red"]})), 400, &["SANs", "color"]).await;
    scene.refuse(path, &body(&|b| b["Password"] = json!("a\u{7}bcdefghijk")), 400, &["Password"]).await;
    scene.refuse(path, &body(&|b| b["KeyLength"] = json!(512)), 400, &["Key"]).await;
    scene
        .refuse(
            path,
            &body(&|b| b["CertificateAuthority"] = json!("Other CA")),
            400,
            &["CertificateAuthority"],
        )
        .await;
    scene.server.stop().await;
}
