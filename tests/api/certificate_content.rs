//! Certificates going out: download and recovery, in every format, by every name, and for whom.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use sealift_pki::{Certificate, EntryKey, JavaKeystore, Limits, Pkcs12, PrivateKey, encrypted_key, pem};
use serde_json::{Value, json};
use support::client::Answer;
use support::story::enroll;
use support::{Client, TestServer};

use super::permissions::caller;

const DOWNLOAD: &str = "/Certificates/Download";
const RECOVER: &str = "/Certificates/Recover";
const PASSWORD: &str = "t7!Qz-example";

/// Posts with `x-certificateformat`.
async fn ask(client: &Client, path: &str, format: &str, body: &Value) -> Answer {
    let request = client.request(Method::POST, path).header("x-certificateformat", format);
    client.send(request.json(body)).await
}

/// What a call handed out.
fn bytes(answer: &Value, member: &str) -> Vec<u8> {
    STANDARD.decode(answer[member].as_str().expect("base64")).unwrap()
}

/// Lets OpenSSL read a file and answers what it says.
fn openssl(arguments: &[&str], file: &[u8]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::File::create(&path).and_then(|mut to| std::io::Write::write_all(&mut to, file)).unwrap();
    let output =
        std::process::Command::new("openssl").args(arguments).arg("-in").arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_downloaded_in_every_format_by_every_name() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let id = enroll(admin, &["www.example.test"]).await;
    let record = admin.get(&format!("/Certificates/{id}")).await.ok();
    let leaf = Certificate::parse(&bytes(&record, "ContentBytes")).unwrap();
    let chain = [leaf.clone(), Certificate::parse(&chain_of(&server)[0]).unwrap()];

    // As the Go client asks: PKCS#7, end entity first, with the chain.
    let body = json!({"CertID": id, "IncludeChain": true, "ChainOrder": "EndEntityFirst"});
    let answer = ask(admin, DOWNLOAD, "P7B", &body).await;
    assert_eq!(answer.headers["x-certificatefile"], "www.example.test.p7b");
    assert_eq!(answer.headers["api-supported-versions"], "1.0, 2");
    let bag = bytes(&answer.ok(), "Content");
    let printed = openssl(&["pkcs7", "-inform", "DER", "-print_certs"], &bag);
    let found = pem::certificates(&printed).unwrap();
    assert_eq!((found.len(), &found[..2]), (3, &chain[..]), "leaf, issuing authority and root");

    let body = json!({"CertId": id, "IncludeChain": true, "ChainOrder": "RootFirst"});
    let text = ask(admin, DOWNLOAD, "pem", &body).await.ok();
    let text = String::from_utf8(bytes(&text, "Content")).unwrap();
    let mut turned = pem::certificates(&text).unwrap();
    turned.reverse();
    assert_eq!(turned, found);

    let by_name = [
        json!({"Thumbprint": leaf.thumbprint().to_string().to_lowercase()}),
        json!({"SerialNumber": leaf.serial_number().to_string(), "IssuerDN": leaf.issuer().to_string()}),
        json!({"SerialNumber": record["SerialNumber"], "IssuerDN": record["IssuerDN"], "CertID": 0}),
        json!({"CertID": id, "Thumbprint": record["Thumbprint"]}),
    ];
    for body in by_name {
        let answer = ask(admin, DOWNLOAD, "DER", &body).await;
        assert_eq!(answer.headers["x-certificatefile"], "www.example.test.cer");
        assert_eq!(bytes(&answer.ok(), "Content"), leaf.der(), "{body}");
    }
    let plain = admin.post(DOWNLOAD, &json!({"CertID": id})).await.ok();
    assert_eq!(String::from_utf8(bytes(&plain, "Content")).unwrap(), leaf.to_pem(), "PEM without the header");
    let history = admin.get(&format!("/Certificates/{id}/History?ReturnLimit=1")).await.ok();
    assert_eq!((&history[0]["Action"], &history[0]["Username"]), (&json!("Downloaded"), &json!("admin")));
    server.stop().await;
}

/// DER of the authorities between a leaf and the root, as the database has them.
fn chain_of(server: &TestServer) -> Vec<Vec<u8>> {
    let statement = "SELECT certificate FROM authorities WHERE kind = 'issuing'";
    let found = sqlx::query_scalar::<_, Vec<u8>>(statement).fetch_all(server.database());
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(found)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_that_are_not_possible() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let id = enroll(admin, &["www.example.test"]).await;
    let other = enroll(admin, &["other.example.test"]).await;
    let other = admin.get(&format!("/Certificates/{other}")).await.ok();
    for (format, body, status, word) in [
        ("PEM", json!({}), 400, "CertID"),
        ("PEM", json!({"CertID": "seven"}), 400, "CertID"),
        ("PEM", json!({"CertID": 99_999}), 404, "was not found"),
        ("PEM", json!({"Thumbprint": "XY"}), 400, "Thumbprint"),
        ("PEM", json!({"Thumbprint": "A".repeat(40)}), 404, "was not found"),
        ("PEM", json!({"SerialNumber": "0A"}), 400, "IssuerDN"),
        ("PEM", json!({"SerialNumber": "0A", "IssuerDN": "CN=nobody"}), 404, "was not found"),
        ("PEM", json!({"CertID": id, "Thumbprint": other["Thumbprint"]}), 404, "was not found"),
        ("PEM", json!({"CertID": id, "ChainOrder": "sideways"}), 400, "ChainOrder"),
        ("DER", json!({"CertID": id, "IncludeChain": true}), 400, "IncludeChain"),
    ] {
        let answer = ask(admin, DOWNLOAD, format, &body).await;
        assert!(answer.refused(status).contains(word), "{body}: {}", answer.text);
    }
    let answer = ask(admin, DOWNLOAD, "PFX", &json!({"CertID": id})).await;
    answer.refused(400);
    assert_eq!(answer.body["ErrorCode"], "0xA0110008");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_recovered_under_the_password_of_the_call() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let id = enroll(admin, &["www.example.test"]).await;
    let record = admin.get(&format!("/Certificates/{id}")).await.ok();
    let leaf = Certificate::parse(&bytes(&record, "ContentBytes")).unwrap();

    let body = json!({"CertID": id, "IncludeChain": true, "Password": PASSWORD});
    let answer = ask(admin, RECOVER, "PFX", &body).await;
    assert_eq!(answer.headers["x-certificatefile"], "www.example.test.pfx");
    let answer = answer.ok();
    assert_eq!(answer["FileName"], "www.example.test.pfx");
    let entry = Pkcs12::decode(&bytes(&answer, "PFX"), PASSWORD, Limits::UPLOAD).unwrap();
    assert_eq!((entry.certificates.len(), &entry.certificates[0]), (3, &leaf));
    assert!(entry.key.unwrap().matches(&leaf));

    let mut legacy = body.clone();
    legacy["UseLegacyEncryption"] = json!(true);
    let file = bytes(&ask(admin, RECOVER, "pfx", &legacy).await.ok(), "PFX");
    assert!(Pkcs12::decode(&file, PASSWORD, Limits::UPLOAD).is_ok());
    let described = std::process::Command::new("openssl").arg("version").output().unwrap();
    assert!(described.status.success());

    let answer = ask(admin, RECOVER, "JKS", &body).await;
    assert_eq!(answer.headers["x-certificatefile"], "www.example.test.jks");
    let store = JavaKeystore::decode(&bytes(&answer.ok(), "PFX"), PASSWORD).unwrap();
    let entry = &store.entries[0];
    assert_eq!((entry.alias.as_str(), entry.certificates.len()), ("www.example.test", 3));
    assert_eq!(entry.certificates[0], leaf);
    assert!(matches!(&entry.key, Some(EntryKey::Open(key)) if key.matches(&leaf)));

    // Without the header it is PEM, still in the member PFX.
    let text = admin.post(RECOVER, &json!({"Thumbprint": record["Thumbprint"], "Password": PASSWORD})).await;
    let text = String::from_utf8(bytes(&text.ok(), "PFX")).unwrap();
    assert_eq!(pem::certificates(&text).unwrap(), std::slice::from_ref(&leaf));
    assert!(!text.contains("BEGIN PRIVATE KEY"));
    let block = pem::read(&text).unwrap().pop().unwrap();
    let key: PrivateKey = encrypted_key::from_der(block.content().unwrap(), PASSWORD, 600_000).unwrap();
    assert!(key.matches(&leaf));
    let history = admin.get(&format!("/Certificates/{id}/History")).await;
    assert!(history.text.contains("Recovered") && !history.text.contains(PASSWORD));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_key_is_told_before_an_unknown_format() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let id = enroll(admin, &["www.example.test"]).await;
    let body = json!({"CertID": id, "Password": PASSWORD});
    for format in ["STORE", "ZIP", "DER"] {
        let answer = ask(admin, RECOVER, format, &body).await;
        answer.refused(400);
        assert_eq!(answer.body["ErrorCode"], "0xA0110008", "{format}");
    }
    for (password, word) in
        [(json!(null), "required"), (json!("short"), "8 to 256"), (json!("tab\tinside"), "character 4")]
    {
        let answer = ask(admin, RECOVER, "PFX", &json!({"CertID": id, "Password": password})).await;
        let message = answer.refused(400);
        assert!(message.starts_with("Password: ") && message.contains(word), "{message}");
    }
    admin.delete(&format!("/Certificates/PrivateKey/{id}")).await.ok();
    for format in ["STORE", "PFX"] {
        let answer = ask(admin, RECOVER, format, &body).await;
        answer.refused(400);
        assert_eq!(answer.body["ErrorCode"], "0xA0110002", "{format}");
    }
    ask(admin, RECOVER, "PFX", &json!({"CertID": 99_999, "Password": PASSWORD})).await.refused(404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_of_a_collection_hand_out_its_certificates_only() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let inside = enroll(admin, &["shop.example.test"]).await;
    let outside = enroll(admin, &["other.example.test"]).await;
    let collection = json!({"Name": "Shop", "Query": "IssuedCN -startswith \"shop.\""});
    let collection = admin.post("/CertificateCollections", &collection).await.ok()["Id"].as_i64().unwrap();
    let reader = caller(&server, &[&format!("/certificates/collections/read/{collection}/")]).await;
    let keeper =
        caller(&server, &[&format!("/certificates/collections/private_key/read/{collection}/")]).await;
    let thumbprint = admin.get(&format!("/Certificates/{outside}")).await.ok()["Thumbprint"].clone();
    for (client, path) in [(&reader, DOWNLOAD), (&keeper, RECOVER)] {
        let scoped = format!("{path}?collectionId={collection}");
        let body = json!({"CertID": inside, "Password": PASSWORD});
        client.post(&scoped, &body).await.ok();
        client.post(path, &body).await.refused(403);
        client.post(&format!("{path}?collectionId=0"), &body).await.refused(403);
        // What is outside is not even admitted to exist, whatever it is called by.
        for body in [json!({"CertID": outside}), json!({"Thumbprint": thumbprint})] {
            let answer = client.post(&scoped, &body).await;
            assert!(answer.refused(404).contains("was not found"));
        }
    }
    // To read is not to recover.
    reader
        .post(&format!("{RECOVER}?collectionId={collection}"), &json!({"CertID": inside}))
        .await
        .refused(403);
    server.stop().await;
}
