//! An operator brings an issuing authority of his own: taken before the first start, and never after it.

use std::path::Path;
use std::process::{Command, Output};

use sealift_pki::{AuthorityProfile, DistinguishedName, Issuer, SerialNumber, pem};
use sealift_server::startup::Ready;
use support::machine::write;
use support::programs::{self, ServerProcess};
use support::story::enrollment;
use support::{Client, postgres};

fn profile(name: &str, number: u8) -> AuthorityProfile {
    AuthorityProfile {
        subject: DistinguishedName::from_common_name(name).unwrap(),
        serial_number: SerialNumber::from_random([number; 16]),
        not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2036-01-01T00:00:00Z".parse().unwrap(),
        crl_distribution_point: None,
    }
}

fn import(directory: &Path, url: &str) -> Output {
    Command::new(programs::path("sealift-server"))
        .arg("import-authority")
        .arg("--data-dir")
        .arg(directory.join("data"))
        .arg("--root")
        .arg(directory.join("root.pem"))
        .arg("--issuing")
        .arg(directory.join("issuing.pem"))
        .arg("--issuing-key")
        .arg(directory.join("issuing.key"))
        .env("DATABASE_URL", url)
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_of_the_operators_own_signs_once_it_was_imported() {
    let directory = tempfile::tempdir().unwrap();
    let root = Issuer::self_signed_root(&profile("Own Root", 1)).unwrap();
    let issuing = root.subordinate(&profile("Own Issuing", 2)).unwrap();
    write(&directory.path().join("root.pem"), &root.certificate().to_pem());
    write(&directory.path().join("issuing.pem"), &issuing.certificate().to_pem());
    write(&directory.path().join("issuing.key"), &issuing.key().to_pem());
    let url = postgres::database().await.expose().to_owned();
    let place = directory.path().to_owned();
    let (server, again) = tokio::task::spawn_blocking(move || {
        let done = import(&place, &url);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let environment = [("DATABASE_URL", url.as_str())];
        let server =
            ServerProcess::start(&place.join("data"), "127.0.0.1:0", &environment, &place.join("server.log"));
        (server, import(&place, &url))
    })
    .await
    .unwrap();
    assert_eq!(again.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(complaint.contains("import before the first start"), "{complaint}");

    let text = |name: &str| server.text(name).to_owned();
    let ready = Ready {
        base_url: text("BaseUrl"),
        agent_url: text("AgentUrl"),
        ca_file: text("CaFile").into(),
        process_id: server.process.id(),
        credentials_file: text("CredentialsFile").into(),
    };
    let trusted = pem::certificates(&std::fs::read_to_string(&ready.ca_file).unwrap()).unwrap();
    assert_eq!(trusted[0].thumbprint(), root.certificate().thumbprint(), "clients trust the imported root");
    let enrolled = enrollment(&Client::administrator(&ready), &["www.example.test"]).await;
    assert_eq!(enrolled["CertificateInformation"]["IssuerDN"], "CN=Own Issuing");
}
