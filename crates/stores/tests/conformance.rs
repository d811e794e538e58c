//! Every driver passes the suite, in each of its forms.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use sealift_stores::{Settings, conformance};
use tempfile::TempDir;

/// Runs the suite with stores of this file name and these properties, each in a directory of its own.
fn run(store_type: &str, name: &str, properties: &[(&str, &str)]) {
    let scratch = TempDir::new().unwrap();
    conformance::run(store_type, || {
        let directory = TempDir::new_in(&scratch).unwrap().keep().join("home");
        std::fs::create_dir(&directory).unwrap();
        let properties =
            properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Settings { properties, ..Settings::new(directory.join(name)) }
    });
}

#[test]
fn pem_in_one_file() {
    run("PEM", "site.pem", &[]);
}

#[test]
fn pem_with_a_key_file() {
    run("PEM", "site.pem", &[("PrivateKeyPath", "site.key")]);
}

#[test]
fn pem_with_a_key_file_and_a_chain_file() {
    run("PEM", "site.pem", &[("privateKeyPath", "site.key"), ("chainPath", "chain.pem")]);
}

#[test]
fn pkcs12() {
    run("PKCS12", "keystore.p12", &[]);
}

#[test]
fn pkcs12_for_old_readers() {
    run("PKCS12", "keystore.p12", &[("Encryption", "3DES")]);
}

#[test]
fn java_keystore() {
    run("JKS", "keystore.jks", &[]);
}

#[test]
fn central_certificate_store() {
    run("CCS", "ccs", &[]);
}

#[test]
fn central_certificate_store_for_old_windows() {
    run("CCS", "ccs", &[("encryption", "3des")]);
}
