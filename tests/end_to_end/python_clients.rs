//! The public Python clients, unmodified, through the main story: `tests/python/` tells it, once for each.

use std::process::Stdio;

use serde_json::Value;
use support::machine::STORE_PASSWORD;
use support::{Machine, TestServer, python};

const MACHINE: &str = "web1.example.test";

/// Runs a story beside a server and an agent of its own. It ends by itself: all its waits are bounded.
async fn tells(environment: &'static str, file: &'static str) {
    let server = TestServer::start().await;
    let machine =
        Machine::install(&server.admin, &server.ready.agent_url, &server.ready.ca_file, MACHINE, "").await;
    let _agent = machine.start();
    machine.agent_id(&server.admin).await;
    // These clients can read store types of a server that is told to send numbers.
    let numeric = TestServer::start_with(&[("numeric_store_types", "true")]).await;
    let credentials = |server: &TestServer| -> Value {
        serde_json::from_str(&std::fs::read_to_string(&server.ready.credentials_file).unwrap()).unwrap()
    };
    let (credentials, numeric_credentials) = (credentials(&server), credentials(&numeric));
    let settings = [
        ("SEALIFT_URL", format!("{}/KeyfactorAPI", server.ready.base_url)),
        ("SEALIFT_CA_FILE", server.ready.ca_file.display().to_string()),
        ("SEALIFT_USERNAME", credentials["Username"].as_str().unwrap().to_owned()),
        ("SEALIFT_PASSWORD", credentials["Password"].as_str().unwrap().to_owned()),
        ("SEALIFT_NUMERIC_URL", format!("{}/KeyfactorAPI", numeric.ready.base_url)),
        ("SEALIFT_NUMERIC_CA_FILE", numeric.ready.ca_file.display().to_string()),
        ("SEALIFT_NUMERIC_PASSWORD", numeric_credentials["Password"].as_str().unwrap().to_owned()),
        ("SEALIFT_MACHINE", MACHINE.to_owned()),
        ("SEALIFT_STORES", machine.path("stores").display().to_string()),
        ("SEALIFT_STORE_PASSWORD", STORE_PASSWORD.to_owned()),
    ];
    let told = tokio::task::spawn_blocking(move || {
        python::program(environment, file).envs(settings).stdin(Stdio::null()).output().unwrap()
    });
    let told = told.await.unwrap();
    let text = String::from_utf8_lossy(&told.stdout).into_owned() + &String::from_utf8_lossy(&told.stderr);
    println!("{text}");
    assert!(told.status.success(), "{file} failed:\n{text}\nagent:\n{}", machine.log());
    numeric.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keyfactor_v_1_client_goes_the_whole_way() {
    tells("v-1-client", "v_1_client.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keyfactor_command_sdk_goes_the_whole_way() {
    tells("command-sdk", "command_sdk.py").await;
}
