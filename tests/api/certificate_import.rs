//! Certificates coming in: import in every form, with stores and without, and analysis.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealift_pki::{
    AuthorityProfile, Certificate, DistinguishedName, Encryption, ExtendedKeyUsage, Issuer, KeyAlgorithm,
    LeafProfile, Pkcs12, PrivateKey, SerialNumber, SubjectAlternativeName, SubjectPublicKey,
};
use sealift_protocol::agent::leases::Work;
use serde_json::{Value, json};
use support::story::enroll;
use support::{RawAgent, TestServer};

use super::permissions::caller;

const IMPORT: &str = "/Certificates/Import";
const PASSWORD: &str = "t7!Qz-example";

/// A certificate of an authority that is not ours, with its key and the chain above it.
pub(crate) struct Foreign {
    pub(crate) leaf: Certificate,
    pub(crate) key: PrivateKey,
    pub(crate) issuing: Certificate,
    pub(crate) root: Certificate,
}

impl Foreign {
    pub(crate) fn new(server: &TestServer, name: &str) -> Self {
        let now = server.clock.now();
        let profile = |name: &str| AuthorityProfile {
            subject: DistinguishedName::from_common_name(name).unwrap(),
            serial_number: SerialNumber::from_random(*uuid::Uuid::new_v4().as_bytes()),
            not_before: now - chrono::TimeDelta::days(1),
            not_after: now + chrono::TimeDelta::days(300),
            crl_distribution_point: None,
        };
        let root = Issuer::self_signed_root(&profile("Foreign root")).unwrap();
        let issuing = root.subordinate(&profile("Foreign issuing")).unwrap();
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let leaf = LeafProfile {
            subject: DistinguishedName::from_common_name(name).unwrap(),
            subject_alternative_names: vec![SubjectAlternativeName::Dns(name.to_owned())],
            serial_number: SerialNumber::from_random(*uuid::Uuid::new_v4().as_bytes()),
            not_before: now - chrono::TimeDelta::minutes(5),
            not_after: now + chrono::TimeDelta::days(90),
            extended_key_usages: vec![ExtendedKeyUsage::ServerAuthentication],
            crl_distribution_point: None,
        };
        let leaf = issuing.sign(&leaf, &SubjectPublicKey::from(&key)).unwrap();
        Self { leaf, key, issuing: issuing.certificate().clone(), root: root.certificate().clone() }
    }

    pub(crate) fn pfx(&self) -> String {
        let certificates = vec![self.leaf.clone(), self.issuing.clone(), self.root.clone()];
        let entry = Pkcs12 { key: Some(self.key.clone()), certificates, friendly_name: None };
        STANDARD.encode(entry.encode(PASSWORD, Encryption::Aes256Sha256, 2_048).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pfx_is_put_on_record_with_key_chain_and_metadata_and_goes_to_stores() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let (pem, unknown) = (agent.store(&server, 2, "/etc/tls/a.pem").await, uuid::Uuid::new_v4().to_string());
    let field = json!({"Name": "Owner", "Description": "who", "DataType": 1});
    admin.post("/MetadataFields", &field).await.ok();
    let foreign = Foreign::new(&server, "import.example.test");
    let body = json!({"Certificate": foreign.pfx(), "Password": PASSWORD, "Metadata": {"owner": "web team"},
        "StoreIds": [pem, unknown], "StoreTypes": [{"StoreTypeId": 2, "Overwrite": true, "Properties": []}],
        "Schedule": "2020-01-01T00:00:00Z"});
    let answer = admin.post(IMPORT, &body).await;
    assert!(!answer.text.contains(PASSWORD));
    let answer = answer.ok();
    assert_eq!(answer["Thumbprint"], foreign.leaf.thumbprint().to_string());
    assert_eq!((&answer["ImportStatus"], &answer["JobStatus"]), (&json!(5), &json!(3)));
    assert_eq!(answer["InvalidKeystores"][0]["KeystoreId"], json!(unknown));
    assert_eq!(answer["InvalidKeystores"][0]["Reason"], 1);
    let id = answer["CertificateId"].as_i64().unwrap();
    let path = format!("/Certificates/{id}?includeMetadata=true&includeHasPrivateKey=true");
    let record = admin.get(&path).await.ok();
    assert_eq!(record["Metadata"], json!({"Owner": "web team"}));
    assert_eq!(
        (&record["HasPrivateKey"], &record["IssuedCN"]),
        (&json!(true), &json!("import.example.test"))
    );
    assert!(record["CertificateAuthorityId"].is_null());

    // The agent gets the key and the chain as it was imported, without the root.
    let jobs = agent.lease(0).await;
    assert_eq!(jobs[0].job_id.to_string(), answer["JobIds"][0].as_str().unwrap());
    let Work::Add(add) = &jobs[0].work else { panic!("an addition") };
    let expected = [&foreign.leaf, &foreign.issuing].map(|one| STANDARD.encode(one.der()));
    assert_eq!(add.certificates, expected);
    assert!(add.private_key.is_some() && add.overwrite);

    // So does whoever downloads it, with the root; and it is not trusted here.
    let download = json!({"CertID": id, "IncludeChain": true});
    let content = admin.post("/Certificates/Download", &download).await.ok()["Content"].clone();
    let text = String::from_utf8(STANDARD.decode(content.as_str().unwrap()).unwrap()).unwrap();
    let chain = [foreign.leaf.clone(), foreign.issuing.clone(), foreign.root.clone()];
    assert_eq!(sealift_pki::pem::certificates(&text).unwrap(), chain);
    let validation = admin.get(&format!("/Certificates/{id}/Validate")).await.ok();
    assert_eq!(
        (&validation["Valid"], &validation["Results"]["NotSignatureValid"]),
        (&json!(false), &json!("Pass"))
    );
    assert!(validation["Results"]["UntrustedRoot"].as_str().unwrap().starts_with("Fail: "));

    // Once more: it is known, and keeps its id.
    let again = admin.post(IMPORT, &json!({"Certificate": foreign.pfx(), "Password": PASSWORD})).await.ok();
    assert_eq!(
        (&again["CertificateId"], &again["ImportStatus"], &again["JobStatus"]),
        (&json!(id), &json!(6), &json!(1))
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn der_and_pem_are_imported_with_and_without_a_key() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let import = async |text: String, password: Option<&str>| {
        admin.post(IMPORT, &json!({"Certificate": text, "Password": password})).await.ok()["ImportStatus"]
            .clone()
    };
    let one = Foreign::new(&server, "der.example.test");
    assert_eq!(import(STANDARD.encode(one.leaf.der()), None).await, 1);
    let pem = format!("{}{}", one.key.to_pem().as_str(), one.leaf.to_pem());
    assert_eq!(import(STANDARD.encode(&pem), None).await, 6, "known now, and its key comes");
    let two = Foreign::new(&server, "pem.example.test");
    let key = sealift_pki::encrypted_key::to_pem(&two.key, PASSWORD, 2_048).unwrap();
    let text = format!("{}{}{key}", two.leaf.to_pem(), two.issuing.to_pem());
    assert_eq!(import(text, Some(PASSWORD)).await, 5, "PEM text as it is");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_that_are_not_possible_change_nothing() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let before = enroll(admin, &["www.example.test"]).await;
    let foreign = Foreign::new(&server, "import.example.test");
    let pfx = foreign.pfx();
    let other = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let mixed = format!("{}{}", other.to_pem().as_str(), foreign.leaf.to_pem());
    let store = uuid::Uuid::new_v4();
    for (body, word) in [
        (json!({}), "Certificate: it is required"),
        (json!({"Certificate": "not base64!"}), "Certificate: "),
        (json!({"Certificate": "AAAA"}), "Certificate: "),
        (json!({"Certificate": pfx}), "Password: it is required"),
        (json!({"Certificate": pfx, "Password": "wrong password"}), "Password: wrong password"),
        (json!({"Certificate": STANDARD.encode(absurd_pfx(&server)), "Password": PASSWORD}), "iterations"),
        (json!({"Certificate": STANDARD.encode([0x30; 100_000]), "Password": PASSWORD}), "Certificate: "),
        (json!({"Certificate": STANDARD.encode(&mixed)}), "belongs to none"),
        (json!({"Certificate": pfx, "Password": PASSWORD, "Metadata": {"Unknown": "x"}}), "Metadata.Unknown"),
        (json!({"Certificate": pfx, "Password": PASSWORD, "StoreIds": ["web1"]}), "StoreIds[0]"),
        (json!({"Certificate": pfx, "Password": PASSWORD, "StoreIds": [store, store]}), "StoreIds[1]"),
        (json!({"Certificate": pfx, "Password": PASSWORD, "Schedule": {"Immediate": true}}), "Schedule"),
    ] {
        let answer = admin.post(IMPORT, &body).await;
        assert!(answer.refused(400).contains(word), "{word}: {}", answer.text);
        assert!(!answer.text.contains("wrong password\"") && !answer.text.contains(PASSWORD));
    }
    let listed = admin.get("/Certificates").await;
    assert_eq!(listed.headers["x-total-count"], "1", "{before} only");
    server.stop().await;
}

/// A PKCS#12 file whose key derivation would hold a processor for minutes.
fn absurd_pfx(server: &TestServer) -> Vec<u8> {
    let foreign = Foreign::new(server, "absurd.example.test");
    let entry = Pkcs12 { key: None, certificates: vec![foreign.leaf], friendly_name: None };
    let mut bytes = entry.encode(PASSWORD, Encryption::Aes256Sha256, 65_793).unwrap();
    // INTEGER of three octets: 65,793 is 0x010101, 8,323,329 is 0x7F0101.
    let places: Vec<usize> =
        bytes.windows(5).enumerate().filter(|(_, at)| *at == [2, 3, 1, 1, 1]).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at + 2] = 0x7f;
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_metadata_and_stores_need_permissions_of_their_own() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 2, "/etc/tls/a.pem").await;
    admin.post("/MetadataFields", &json!({"Name": "Owner", "Description": "who", "DataType": 1})).await.ok();
    let foreign = Foreign::new(&server, "import.example.test");
    let importer = caller(&server, &["/certificates/import/"]).await;
    let with_key = json!({"Certificate": foreign.pfx(), "Password": PASSWORD});
    assert!(importer.post(IMPORT, &with_key).await.refused(403).contains("private_key/import"));
    let der = STANDARD.encode(foreign.leaf.der());
    let body = json!({"Certificate": der, "StoreIds": [store], "Metadata": {"Owner": "web"}});
    let answer = importer.post(IMPORT, &body).await;
    assert!(!answer.text.contains("web1.example.test"), "{}", answer.text);
    let answer = answer.ok();
    assert_eq!((&answer["InvalidKeystores"][0]["Reason"], &answer["JobStatus"]), (&json!(2), &json!(3)));
    // Now it is on record, and what is said about it is no longer the importer's.
    assert!(importer.post(IMPORT, &body).await.refused(403).contains("metadata/modify"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn analysis_tells_what_a_file_holds_and_keeps_nothing() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let foreign = Foreign::new(&server, "import.example.test");
    let body = json!({"Certificate": foreign.pfx(), "Password": PASSWORD});
    let found = admin.post("/Certificates/Analyze", &body).await.ok();
    let told: Vec<(&Value, &Value)> =
        found.as_array().unwrap().iter().map(|one| (&one["IssuedDN"], &one["IsEndEntity"])).collect();
    assert_eq!(
        told,
        [
            (&json!("CN=import.example.test"), &json!(true)),
            (&json!("CN=Foreign issuing"), &json!(false)),
            (&json!("CN=Foreign root"), &json!(false))
        ]
    );
    assert_eq!(admin.get("/Certificates").await.headers["x-total-count"], "0");
    admin.post("/Certificates/Analyze", &json!({"Certificate": "?"})).await.refused(400);
    let refused = admin.post("/Certificates/Analyze", &json!({"Certificate": foreign.pfx()})).await;
    assert!(refused.refused(400).starts_with("Password: "));
    server.stop().await;
}
