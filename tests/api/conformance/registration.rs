//! Registration in every state of chapter 4 (lines 1 to 5).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use sealift_pki::{Certificate, KeyAlgorithm, PrivateKey, pem};
use sealift_server::scheduler::Sweep;
use serde_json::{Value, json};
use support::TestServer;
use support::client::http;
use support::story::{addition, enroll};

use super::{
    PEM_INVENTORY, PEM_MANAGEMENT, PublishedAgent, agents_on, csr, first_try, pem_capabilities, registration,
};

fn members(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn line_01_register_without_csr_with_empty_and_with_known_agent_id() {
    let server = TestServer::start().await;
    let anonymous = http(&server.ready.ca_file, None);
    let register = async |login: bool, agent_id: &str| {
        let body = registration("edge-1", Value::Null, agent_id, &pem_capabilities());
        let mut request = anonymous.post(format!("{}/Session/Register", server.ready.agent_url)).json(&body);
        if login {
            let text = std::fs::read_to_string(&server.ready.credentials_file).unwrap();
            let known: Value = serde_json::from_str(&text).unwrap();
            request = request.basic_auth(known["Username"].as_str().unwrap(), known["Password"].as_str());
        }
        request.send().await.unwrap().json::<Value>().await.unwrap()
    };
    let refused = register(false, "").await;
    assert_eq!((&refused["Result"]["Status"], &refused["Session"]), (&json!(3), &Value::Null));
    assert!(agents_on(&server, "edge-1").await.is_empty(), "nobody is nobody's agent");

    let pending = register(true, "").await;
    assert_eq!((&pending["Result"]["Status"], &pending["Session"]), (&json!(3), &Value::Null));
    let id = agents_on(&server, "edge-1").await[0]["AgentId"].clone();
    server.admin.post("/Agents/Approve", &json!([id])).await;
    let mut tokens = Vec::new();
    // Empty on every run, known, and one that is another's or none: the login decides, not the id.
    for agent_id in ["", "", id.as_str().unwrap(), "5f2d7a90-3c1e-4b0a-9d57-0e8f6a1b2c33", "no guid"] {
        let answer = register(true, agent_id).await;
        assert_eq!(answer["Result"], json!({"Status": 1, "Error": null}));
        let session = &answer["Session"];
        assert_eq!(
            members(session),
            [
                "AgentId",
                "Certificate",
                "ClientMachine",
                "ClientParameters",
                "HeartbeatInterval",
                "Jobs",
                "Token"
            ]
        );
        assert_eq!((&session["AgentId"], &session["ClientMachine"]), (&id, &json!("edge-1")));
        assert_eq!((&session["Certificate"], &session["Jobs"]), (&Value::Null, &json!([])));
        assert_eq!((&session["HeartbeatInterval"], &session["ClientParameters"]), (&json!(5), &json!({})));
        let token = session["Token"].as_str().unwrap().to_owned();
        assert_eq!((token.len(), tokens.contains(&token)), (36, false));
        tokens.push(token);
    }
    assert_eq!(agents_on(&server, "edge-1").await.len(), 1, "one agent, whatever it says of its id");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_02_first_enrollment_pending_three_times_then_approved_then_second_register() {
    let server = TestServer::start().await;
    // `enroll` checks each of the three pending answers; the key is new every time.
    let agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let mut second = registration("edge-1", Value::Null, &agent.id, &agent.capabilities);
    second["ClientParameters"] = json!({"RegistrationRequest": "registration-enroll-stores"});
    let answer =
        agent.http.post(format!("{}/Session/Register", agent.door)).json(&second).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!((&answer["Result"]["Status"], &answer["Session"]["AgentId"]), (&json!(1), &json!(agent.id)));
    assert_eq!(answer["Session"]["Certificate"], Value::Null, "none was asked for");
    let der = pem::read(&agent.identity).unwrap();
    let identity = Certificate::parse(der[0].content().unwrap()).unwrap();
    assert!(identity.not_before() <= server.clock.now() - TimeDelta::hours(15), "back-dated by 15 hours");
    assert_eq!(identity.common_name(), Some(agent.id.as_str()), "not the subject of the request");

    // Who was disapproved stays so, whatever key it makes.
    first_try(&server, "edge-2", &pem_capabilities(), json!({})).await;
    let waiting = agents_on(&server, "edge-2").await[0]["AgentId"].clone();
    server.admin.post("/Agents/Disapprove", &json!([waiting])).await;
    let (_, refused) = first_try(&server, "edge-2", &pem_capabilities(), json!({})).await;
    assert!(refused["Result"]["Error"]["Message"].as_str().unwrap().contains("disapproved"), "{refused}");
    assert_eq!(agents_on(&server, "edge-2").await.len(), 1);
    server.stop().await;

    // Where a name and an address are not enough, each key waits by itself.
    let strict = TestServer::start_with(&[("agents.enroll_by_name", "false")]).await;
    for _ in 0..2 {
        first_try(&strict, "edge-3", &pem_capabilities(), json!({})).await;
    }
    assert_eq!(agents_on(&strict, "edge-3").await.len(), 2);
    let token = strict.admin.post("/Agents/EnrollmentTokens", &json!({"ClientMachine": "edge-3"})).await.ok();
    let parameters = json!({"enrollmenttoken": token["Token"]});
    let (key, answer) = first_try(&strict, "edge-3", &pem_capabilities(), parameters).await;
    PublishedAgent::accepted(&strict, "edge-3", pem_capabilities(), &key, &answer).register().await;
    strict.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_03_enrollment_repeated_after_a_failed_second_register_gets_a_new_linked_id() {
    let server = TestServer::start().await;
    let old = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    // Its second registration failed: it begins anew, with the old id on file and another key.
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let again = registration("edge-1", json!(csr("edge-1", &key)), &old.id, &old.capabilities);
    let anonymous = http(&server.ready.ca_file, None);
    let register = async || {
        let answer =
            anonymous.post(format!("{}/Session/Register", old.door)).json(&again).send().await.unwrap();
        answer.json::<Value>().await.unwrap()
    };
    let pending = register().await;
    assert_eq!((&pending["Result"]["Status"], &pending["Session"]), (&json!(3), &Value::Null));
    let known = agents_on(&server, "edge-1").await;
    assert_eq!(known.len(), 2);
    let new = known.iter().find(|agent| agent["AgentId"] != json!(old.id)).unwrap();
    assert_eq!(
        (&new["PreviousAgentId"], &new["Status"]),
        (&json!(old.id), &json!(1)),
        "an operator sees the link"
    );
    server.admin.post("/Agents/Approve", &json!([new["AgentId"]])).await;
    let answer = register().await;
    assert_eq!(answer["Session"]["AgentId"], new["AgentId"]);
    assert_ne!(
        answer["Session"]["AgentId"],
        json!(old.id),
        "the same id would have it discard its certificate"
    );
    PublishedAgent::accepted(&server, "edge-1", pem_capabilities(), &key, &answer).register().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_04_renewal_by_codes_7_and_8_with_and_without_token() {
    let server = TestServer::start().await;
    let mut agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    let store = agent.store(&server, "/etc/edge/tls/a.pem").await;
    super::inventory_now(&server, &store).await;
    for (wish, code, has_session) in [("Requested", "A0100007", true), ("Required", "A0100008", false)] {
        let body = json!({"OrchestratorIds": [agent.id], "Status": wish});
        server.admin.post("/Agents/SetAuthCertificateReenrollment", &body).await.ok();
        let asked = agent.register_with(Value::Null).await;
        assert_eq!(
            (&asked["Result"]["Status"], &asked["Result"]["Error"]["CodeString"]),
            (&json!(2), &json!(code))
        );
        assert_eq!(asked["Session"].is_object(), has_session, "{wish}");
        if has_session {
            assert_eq!(asked["Session"]["AgentId"], json!(agent.id), "an id with every token");
            agent.token = asked["Session"]["Token"].as_str().unwrap().to_owned();
            let (_, beat) = agent.call("Session/Heartbeat", json!({"ClientMachine": "edge-1"})).await;
            assert_eq!(beat["Result"]["Status"], 1, "the session is usable");
        }
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let renewed = agent.register_with(json!(csr("anything", &key))).await;
        let renewed_agent = PublishedAgent::accepted(&server, "edge-1", pem_capabilities(), &key, &renewed);
        assert_eq!(renewed_agent.id, agent.id, "the same agent");
        assert_eq!(
            renewed["Session"]["Jobs"].as_array().unwrap().len(),
            1,
            "and its jobs with the certificate"
        );
        // Its answer may have been lost: the old one counts until the new one was seen.
        assert_eq!(agent.register_with(Value::Null).await["Result"]["Status"], 1);
        let old = std::mem::replace(&mut agent, renewed_agent);
        agent.token = renewed["Session"]["Token"].as_str().unwrap().to_owned();
        let (status, _) = agent.call("Session/Heartbeat", json!({})).await;
        assert_eq!(status, 200, "jobs go over the new one");
        server.sweep(Sweep::LastSeen).await;
        let request = registration("edge-1", Value::Null, &old.id, &old.capabilities);
        let (status, _) = super::send(&old.http, &old.door, "Session/Register", &request).await;
        assert_eq!(status, 401, "the old one counts no more");
        assert_eq!(agent.register().await.len(), 1);
        let shown = server.admin.get(&format!("/Agents/{}", agent.id)).await.ok();
        assert_eq!(
            (&shown["AuthCertificateReenrollment"], &shown["LegacyThumbprint"]),
            (&json!("None"), &json!(""))
        );
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_04_an_identity_near_its_end_is_renewed_under_the_same_id_without_a_token() {
    let server = TestServer::start().await;
    // TLS judges certificates by the machine's clock, so the past is moved, and the renewal happens today.
    server.clock.advance(TimeDelta::days(-61));
    let agent = PublishedAgent::enroll(&server, "edge-1", pem_capabilities()).await;
    server.clock.advance(TimeDelta::days(61));
    let asked = agent.register_with(Value::Null).await;
    assert_eq!(asked["Result"]["Status"], 2);
    assert_eq!(asked["Result"]["Error"]["CodeString"], "A0100007");
    assert_eq!(asked["Session"], Value::Null);
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let renewed = agent.register_with(json!(csr("anything", &key))).await;
    assert_eq!(renewed["Session"]["AgentId"], json!(agent.id), "the same agent");
    let der = STANDARD.decode(renewed["Session"]["Certificate"].as_str().unwrap()).unwrap();
    let certificate = Certificate::parse(&der).unwrap();
    assert!(certificate.not_before() <= server.clock.now() - TimeDelta::hours(15), "back-dated");
    assert_eq!(
        agent.register_with(Value::Null).await["Result"]["Status"],
        1,
        "the answer may have been lost"
    );
    PublishedAgent::accepted(&server, "edge-1", pem_capabilities(), &key, &renewed).register().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_05_capabilities_are_guids_or_names_in_any_case() {
    let server = TestServer::start().await;
    let made = json!({"Name": "A type of ours", "ShortName": "OWN", "Capability": "Own",
        "SupportedOperations": {"Add": true, "Remove": true, "Enrollment": true}});
    server.admin.post("/CertificateStoreTypes", &made).await.ok();
    let own: Vec<uuid::Uuid> = sqlx::query_scalar(
        "SELECT unnest(ARRAY[inventory_job_type, management_job_type]) FROM store_types WHERE short_name = 'OWN'",
    )
    .fetch_all(server.database())
    .await
    .unwrap();
    let capabilities = json!([
        PEM_INVENTORY.to_uppercase(),
        PEM_MANAGEMENT,
        "0D8CF0C8-56CA-4B8A-B16A-C062018E170D",
        own[0].to_string().to_uppercase(),
        own[1].to_string(),
        "certstores.jks.MANAGEMENT"
    ]);
    let mut agent = PublishedAgent::enroll(&server, "edge-1", capabilities).await;
    let shown = server.admin.get(&format!("/Agents/{}", agent.id)).await.ok();
    assert_eq!(shown["Capabilities"], json!(["PEM", "LOGS", "Own", "jks"]));
    // Names in any case are capabilities all the same.
    let body = json!({"ClientMachine": "edge-1", "StorePath": "/a.jks", "CertStoreType": 0, "AgentId": agent.id,
        "Properties": "{}", "Password": {"SecretValue": "store-password"}});
    let store = server.admin.post("/CertificateStores", &body).await.ok()["Id"].as_str().unwrap().to_owned();
    let certificate = enroll(&server.admin, &["www.example.test"]).await;
    server.admin.post("/CertificateStores/Certificates/Add", &addition(certificate, &[&store])).await.ok();
    let list = agent.register().await;
    assert_eq!(list.len(), 1, "no inventory follows: it cannot do that");
    assert_eq!(list[0]["JobTypeId"], "b614f9e2-c56b-421c-b548-03d42eb32f8a");
    server.stop().await;
}
