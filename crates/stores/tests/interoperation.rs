//! Stores written here, opened by the programs that will read them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    path::Path,
    process::{Command, Output},
};

use sealift_pki::{KeyAlgorithm, pem};
use sealift_stores::{Overwrite, Secret, Settings, conformance::material::Material, open};
use tempfile::TempDir;

const KINDS: [KeyAlgorithm; 4] =
    [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa(2048)];

fn run(directory: &Path, program: &str, arguments: &[&str]) -> Output {
    let output =
        Command::new(program).args(arguments).current_dir(directory).env("LC_ALL", "C").output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    output
}

fn text(output: Output) -> String {
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn openssl_reads_pem_stores() {
    for kind in KINDS {
        let scratch = TempDir::new().unwrap();
        let mut settings = Settings::new(scratch.path().join("site.pem"));
        settings.properties.insert("privateKeyPath".to_owned(), "site.key".to_owned());
        let new = Material::new().entry_with(kind, &["www.example.test"]);
        open("PEM", settings).unwrap().add(new.clone(), Overwrite::Refuse).unwrap();
        let of_key = text(run(scratch.path(), "openssl", &["pkey", "-in", "site.key", "-pubout"]));
        let of_certificate =
            text(run(scratch.path(), "openssl", &["x509", "-in", "site.pem", "-noout", "-pubkey"]));
        assert_eq!(of_key, of_certificate, "{kind}");
        let all = run(
            scratch.path(),
            "openssl",
            &["crl2pkcs7", "-nocrl", "-certfile", "site.pem", "-out", "all.p7"],
        );
        drop(all);
        let all = text(run(scratch.path(), "openssl", &["pkcs7", "-in", "all.p7", "-print_certs"]));
        assert_eq!(pem::certificates(&all).unwrap(), new.certificates, "{kind}");
    }
}

#[test]
fn openssl_and_keytool_read_pkcs12_and_ccs_stores() {
    for encryption in ["aes256", "3des"] {
        for kind in KINDS {
            let scratch = TempDir::new().unwrap();
            let path = scratch.path();
            let new = Material::new().entry_with(kind, &["www.example.test", "*.example.test"]);
            for (store_type, store_path) in [("PKCS12", path.join("keystore.p12")), ("CCS", path.to_owned())]
            {
                let mut settings =
                    Settings { password: Some(Secret::new("Secret1")), ..Settings::new(store_path) };
                settings.properties.insert("encryption".to_owned(), encryption.to_owned());
                open(store_type, settings).unwrap().add(new.clone(), Overwrite::Refuse).unwrap();
            }
            for name in ["keystore.p12", "www.example.test.pfx", "_.example.test.pfx"] {
                let arguments = ["pkcs12", "-in", name, "-nodes", "-passin", "pass:Secret1"];
                let said = text(run(path, "openssl", &arguments));
                assert_eq!(pem::certificates(&said).unwrap(), new.certificates, "{kind} {name}");
                assert!(said.contains("BEGIN PRIVATE KEY"), "{kind} {name}");
            }
            // One Java start for each encryption and family is enough.
            if matches!(kind, KeyAlgorithm::EcdsaP256 | KeyAlgorithm::Rsa(_)) {
                let list = [
                    "-list",
                    "-v",
                    "-storetype",
                    "PKCS12",
                    "-storepass",
                    "Secret1",
                    "-keystore",
                    "keystore.p12",
                ];
                let said = text(run(path, "keytool", &list));
                assert!(said.contains("PrivateKeyEntry") && said.contains("chain length: 3"), "{said}");
            }
        }
    }
}

#[test]
fn a_keystore_of_java_is_extended_and_java_still_reads_all_of_it() {
    let scratch = TempDir::new().unwrap();
    let path = scratch.path();
    let common = ["-storetype", "PKCS12", "-storepass", "Secret1", "-keystore", "keystore.p12"];
    let make = ["-genkeypair", "-alias", "theirs", "-keyalg", "EC", "-dname", "CN=theirs.example.test"];
    run(path, "keytool", &[&make[..], &common[..]].concat());
    let settings =
        Settings { password: Some(Secret::new("Secret1")), ..Settings::new(path.join("keystore.p12")) };
    let mut store = open("PKCS12", settings).unwrap();
    store.add(Material::new().entry(&["ours.example.test"]), Overwrite::Refuse).unwrap();
    let said = text(run(path, "keytool", &[&["-list"][..], &common[..]].concat()));
    assert!(
        said.contains("theirs,") && said.contains("ours.example.test,") && said.contains("2 entries"),
        "{said}"
    );
}

#[test]
fn java_takes_every_kind_of_key_out_of_a_java_keystore() {
    let scratch = TempDir::new().unwrap();
    let path = scratch.path();
    let settings =
        Settings { password: Some(Secret::new("Secret1")), ..Settings::new(path.join("keystore.jks")) };
    for kind in KINDS {
        let new = Material::new().entry_with(kind, &[&format!("{kind}.example.test").replace(' ', "-")]);
        open("JKS", settings.clone()).unwrap().add(new, Overwrite::Refuse).unwrap();
    }
    let source = ["-srckeystore", "keystore.jks", "-srcstoretype", "JKS", "-srcstorepass", "Secret1"];
    let target = ["-destkeystore", "all.p12", "-deststoretype", "PKCS12", "-deststorepass", "Secret1"];
    run(path, "keytool", &[&["-importkeystore", "-noprompt"][..], &source[..], &target[..]].concat());
    let said = text(run(path, "openssl", &["pkcs12", "-in", "all.p12", "-nodes", "-passin", "pass:Secret1"]));
    assert_eq!(said.matches("BEGIN PRIVATE KEY").count(), KINDS.len(), "{said}");
}
