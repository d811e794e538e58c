//! What was given as a secret is in no log of a server that logs everything, and in no process argument.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealift_server::startup::Ready;
use serde_json::json;
use support::client::Credentials;
use support::programs::ServerProcess;
use support::story::{addition, enrollment};
use support::{Client, Machine, postgres};

use super::whole_way::ended;

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_log_of_a_server_that_logs_everything() {
    let directory = tempfile::tempdir().unwrap();
    let url = postgres::database().await;
    let (data, log) = (directory.path().join("data"), directory.path().join("server.log"));
    let server = {
        let (url, log) = (url.expose().to_owned(), log.clone());
        tokio::task::spawn_blocking(move || {
            let environment = [("DATABASE_URL", url.as_str()), ("SEALIFT_LOG__FILTER", "trace")];
            ServerProcess::start(&data, "127.0.0.1:0", &environment, &log)
        })
        .await
        .unwrap()
    };
    let text = |name: &str| server.text(name).to_owned();
    let ready = Ready {
        base_url: text("BaseUrl"),
        agent_url: text("AgentUrl"),
        ca_file: text("CaFile").into(),
        process_id: server.process.id(),
        credentials_file: text("CredentialsFile").into(),
    };
    let admin = Client::administrator(&ready);
    let machine = Machine::install(&admin, &ready.agent_url, &ready.ca_file, "web1.example.test", "").await;
    let mut agent = machine.start();

    let canary = "canary-51c0ffee";
    let body = json!({"ClientMachine": "web1.example.test", "StorePath": machine.path("stores/ccs"),
        "CertStoreType": 103, "AgentId": machine.agent_id(&admin).await,
        "Password": {"SecretValue": format!("{canary}-store")}});
    let store = admin.post("/CertificateStores", &body).await.ok()["Id"].as_str().unwrap().to_owned();
    let enrolled = enrollment(&admin, &["www.example.test"]).await;
    let information = &enrolled["CertificateInformation"];
    let add = addition(information["KeyfactorId"].as_i64().unwrap(), &[&store]);
    let added = admin.post("/CertificateStores/Certificates/Add", &add).await.ok();
    assert_eq!(ended(&admin, added[0].as_str().unwrap()).await[0]["Result"], 2);
    let token =
        admin.post("/Security/ApiTokens", &json!({"Name": "t", "Roles": ["Administrators"]})).await.ok();
    let token = token["Token"].as_str().unwrap();
    admin.with(Credentials::Token(token.to_owned())).get("/Agents").await.ok();
    let wrong = Credentials::Basic("admin".to_owned(), format!("{canary}-wrong"));
    admin.with(wrong.clone()).get("/Agents").await.refused(401);
    admin.post("/Security/Users", &json!({"Name": "x", "Password": format!("{canary}-u\u{7}")})).await;
    agent.terminate();

    let arguments = std::fs::read(format!("/proc/{}/cmdline", server.process.id())).unwrap();
    let mut process = server.process;
    assert!(process.terminate().success(), "it stops when told to");
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("TRACE"), "everything is logged");
    let credentials = std::fs::read_to_string(&ready.credentials_file).unwrap();
    let credentials: serde_json::Value = serde_json::from_str(&credentials).unwrap();
    let password = credentials["Password"].as_str().unwrap();
    let one_time = std::fs::read_to_string(machine.path("token")).unwrap();
    let basic = STANDARD.encode(format!("admin:{password}"));
    let Credentials::Basic(_, wrong) = wrong else { unreachable!() };
    let wrong = STANDARD.encode(format!("admin:{wrong}"));
    let pfx = information["Pkcs12Blob"].as_str().unwrap();
    let pfx_password = information["Password"].as_str().unwrap();
    for secret in
        [canary, token, password, &one_time, &basic, &wrong, &pfx[200..260], pfx_password, url.expose()]
    {
        assert!(!log.contains(secret), "a secret is in the log: {}", place(&log, secret));
        assert!(!String::from_utf8_lossy(&arguments).contains(secret));
    }
    assert!(!Path::new("/proc").join(ready.process_id.to_string()).join("exe").exists(), "it is gone");
}

/// The beginning of the line that holds a text, which tells who wrote it.
fn place<'a>(log: &'a str, secret: &str) -> &'a str {
    let line = log.lines().find(|line| line.contains(secret)).unwrap_or_default();
    line.get(..line.len().min(90)).unwrap_or_default()
}
