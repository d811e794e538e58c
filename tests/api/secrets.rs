//! Canaries: what was given as a secret is found nowhere in the clear.

use serde_json::json;
use support::story::{addition, enrollment};
use support::{RawAgent, TestServer};

/// Every value of every column of every table, as text.
async fn whole_database(server: &TestServer) -> String {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'
         AND table_type = 'BASE TABLE'",
    )
    .fetch_all(server.database())
    .await
    .unwrap();
    let mut dump = String::new();
    for table in tables {
        let rows: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT row_to_json(t)::text FROM {table} t")))
                .fetch_all(server.database())
                .await
                .unwrap();
        dump.extend(rows);
    }
    dump
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_database_or_in_an_error() {
    use base64::Engine as _;
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let canary = "canary-7f3a9";
    let body = json!({"ClientMachine": "web1.example.test", "StorePath": "/srv/ccs", "CertStoreType": 103,
        "AgentId": agent.id, "Password": {"SecretValue": format!("{canary}-store")}});
    let store = server.admin.post("/CertificateStores", &body).await.ok()["Id"].as_str().unwrap().to_owned();
    sqlx::query("UPDATE store_types SET entry_password = true WHERE id = 103")
        .execute(server.database())
        .await
        .unwrap();
    let enrolled = enrollment(&server.admin, &["www.example.test"]).await;
    let certificate = enrolled["CertificateInformation"]["KeyfactorId"].as_i64().unwrap();
    let mut add = addition(certificate, &[&store]);
    add["CertificateStores"][0]["EntryPassword"] = json!({"SecretValue": format!("{canary}-entry")});
    server.admin.post("/CertificateStores/Certificates/Add", &add).await.ok();
    let user = json!({"Name": "ops", "Password": format!("{canary}-user"), "Roles": ["Administrators"]});
    server.admin.post("/Security/Users", &user).await.ok();
    let token = server
        .admin
        .post("/Security/ApiTokens", &json!({"Name": "t", "Roles": ["Administrators"]}))
        .await
        .ok();
    let token = token["Token"].as_str().unwrap().to_owned();
    let one_time = server.admin.post("/Agents/EnrollmentTokens", &json!({})).await.ok();
    let one_time = one_time["Token"].as_str().unwrap().to_owned();

    let job = agent.lease(0).await.remove(0);
    let sealift_protocol::agent::leases::Work::Add(work) = &job.work else { panic!("an addition") };
    assert_eq!(job.store.password.as_ref().unwrap().expose(), format!("{canary}-store"));
    assert_eq!(work.entry_password.as_ref().unwrap().expose(), format!("{canary}-entry"));
    let key = work.private_key.as_ref().unwrap().expose();
    let key = base64::engine::general_purpose::STANDARD.decode(key).unwrap();
    assert!(!format!("{job:?}").contains(canary), "Debug shows nothing");

    let dump = whole_database(&server).await;
    assert!(dump.contains("www.example.test"), "the dump is a dump");
    // The middle of the key: what comes before is the same in every key of its kind.
    let key_part = hex(&key[key.len() / 2..key.len() / 2 + 24]);
    let pfx = enrolled["CertificateInformation"]["Password"].as_str().unwrap();
    for secret in [canary, &hex(canary.as_bytes()), &token, &one_time, &key_part, pfx] {
        assert!(!dump.contains(secret), "{secret} is in the database");
    }
    for file in std::fs::read_dir(server.data_dir()).unwrap().flatten() {
        let content = std::fs::read(file.path()).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&content).contains(canary), "{}", file.path().display());
    }

    let wrong =
        json!({"CertificateId": "x", "CertificateStores": [{"EntryPassword": {"SecretValue": canary}}]});
    let mut answers = vec![server.admin.post("/CertificateStores/Certificates/Add", &wrong).await];
    let odd =
        json!({"Subject": "CN=a.example.test", "Template": "Nope", "Password": format!("{canary}\u{7}")});
    answers.push(server.admin.post("/Enrollment/PFX", &odd).await);
    let store = json!({"ClientMachine": "m", "StorePath": "/a", "CertStoreType": 103, "AgentId": agent.id,
        "Password": {"SecretValue": format!("{canary}\u{1f600}")}});
    answers.push(server.admin.post("/CertificateStores", &store).await);
    answers.push(server.admin.get(&format!("/CertificateStores/{}", uuid::Uuid::new_v4())).await);
    for answer in answers {
        assert!(answer.status.is_client_error());
        assert!(!answer.text.contains(canary), "{}", answer.text);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_approval_is_sealed() {
    use base64::Engine as _;
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 103, "/srv/ccs").await;
    let entries_have_passwords = "UPDATE store_types SET entry_password = true WHERE id = 103";
    sqlx::query(entries_have_passwords).execute(server.database()).await.unwrap();
    let template = super::enrollment::template_id(admin, "TLSServer").await;
    admin.put("/Templates", &json!({"Id": template, "RequiresApproval": true})).await.ok();
    let canary = "canary-2b8d1";
    let body = json!({"Subject": "CN=www.example.test", "Template": "TLSServer", "Password": format!("{canary}-file"),
        "Stores": [{"StoreId": store}]});
    let answer = super::enrollment::enroll_as(admin, "/Enrollment/PFX", "STORE", "2", &body).await.ok();
    let id = answer["CertificateInformation"]["KeyfactorRequestId"].clone();
    let deploy =
        json!({"RequestId": id, "Password": format!("{canary}-entry"), "Stores": [{"StoreId": store}]});
    admin.post("/Enrollment/PFX/Deploy", &deploy).await.ok();
    let before = whole_database(&server).await;
    admin.post("/Workflow/Certificates/Approve", &json!([id])).await.ok();
    let job = agent.lease(0).await.remove(0);
    let sealift_protocol::agent::leases::Work::Add(work) = &job.work else { panic!("an addition") };
    assert_eq!(work.entry_password.as_ref().unwrap().expose(), format!("{canary}-file"));
    let key = work.private_key.as_ref().unwrap().expose();
    let key = base64::engine::general_purpose::STANDARD.decode(key).unwrap();
    let key_part = hex(&key[key.len() / 2..key.len() / 2 + 24]);
    for dump in [before, whole_database(&server).await] {
        assert!(dump.contains("www.example.test"), "the dump is a dump");
        for secret in [canary, &hex(canary.as_bytes()), &key_part] {
            assert!(!dump.contains(secret), "{secret} is in the database");
        }
    }
    server.stop().await;
}
