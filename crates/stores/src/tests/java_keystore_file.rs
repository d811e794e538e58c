//! What is particular to a Java keystore: lower-case aliases, keys under passwords of their own, and its password.

use std::{path::Path, process::Command};

use tempfile::TempDir;

use super::*;
use crate::conformance::material::Material;

const PASSWORD: &str = "Secret1";

fn settings(scratch: &TempDir) -> Settings {
    Settings {
        password: Some(crate::Secret::new(PASSWORD)),
        ..Settings::new(scratch.path().join("keystore.jks"))
    }
}

fn open(scratch: &TempDir) -> JavaKeystoreFile {
    JavaKeystoreFile::open(settings(scratch))
}

fn named(mut entry: NewEntry, alias: &str) -> NewEntry {
    entry.alias = Some(Alias::parse(alias).unwrap());
    entry
}

fn aliases(scratch: &TempDir) -> Vec<String> {
    let entries = open(scratch).inventory().unwrap().entries;
    entries.iter().map(|entry| entry.alias.to_string()).collect()
}

fn keytool(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("keytool")
        .args(arguments)
        .args(["-storetype", "JKS", "-storepass", PASSWORD, "-keystore", "keystore.jks"])
        .current_dir(directory)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

#[test]
fn aliases_are_lower_case_for_java() {
    let scratch = TempDir::new().unwrap();
    let material = Material::new();
    open(&scratch).add(named(material.entry(&["www.example.test"]), "Front"), Overwrite::Refuse).unwrap();
    open(&scratch).add(material.entry(&["Shop.Example.Test"]), Overwrite::Refuse).unwrap();
    assert_eq!(aliases(&scratch), ["front", "shop.example.test"]);
    let said = keytool(scratch.path(), &["-list", "-alias", "FRONT"]);
    assert!(said.contains("PrivateKeyEntry"), "{said}");
    let renewed = named(material.entry(&["www.example.test"]), "FRONT");
    let refused = open(&scratch).add(renewed.clone(), Overwrite::Refuse);
    assert!(matches!(refused, Err(Error::AlreadyExists { .. })));
    let added = open(&scratch).add(renewed.clone(), Overwrite::Allow).unwrap();
    assert_eq!((added.entry.alias.as_str(), added.entry.certificates), ("front", renewed.certificates));
    assert_eq!(aliases(&scratch), ["front", "shop.example.test"]);
}

#[test]
fn a_keystore_of_keytool_keeps_its_other_entries() {
    let scratch = TempDir::new().unwrap();
    let path = scratch.path();
    for (alias, key_password) in [("same", PASSWORD), ("other", "another-password")] {
        let name = format!("CN={alias}.example.test");
        let make = ["-genkeypair", "-keyalg", "EC", "-alias", alias, "-dname", &name];
        keytool(path, &[&make[..], &["-keypass", key_password]].concat());
    }
    let before = open(&scratch).inventory().unwrap();
    assert_eq!(before.unreadable, []);
    assert!(before.entries.iter().all(|entry| entry.has_private_key), "{before:?}");
    open(&scratch).add(Material::new().entry(&["ours.example.test"]), Overwrite::Refuse).unwrap();
    let after = open(&scratch).inventory().unwrap().entries;
    assert_eq!([&after[..1], &after[2..]].concat(), before.entries);
    for (alias, key_password) in
        [("same", PASSWORD), ("other", "another-password"), ("ours.example.test", PASSWORD)]
    {
        let said = keytool(path, &["-certreq", "-alias", alias, "-keypass", key_password]);
        assert!(said.contains("BEGIN NEW CERTIFICATE REQUEST"), "{said}");
    }
}

#[test]
fn a_key_that_comes_later_joins_its_certificate() {
    let scratch = TempDir::new().unwrap();
    let new = Material::new().entry(&["www.example.test"]);
    let bare = NewEntry { private_key: None, ..new.clone() };
    assert!(!open(&scratch).add(bare.clone(), Overwrite::Refuse).unwrap().entry.has_private_key);
    assert!(open(&scratch).add(new, Overwrite::Refuse).unwrap().entry.has_private_key);
    let again = open(&scratch).add(bare, Overwrite::Refuse).unwrap();
    assert!(!again.changed && again.entry.has_private_key, "the key is not lost");
}

#[test]
fn a_store_without_a_password_is_refused() {
    let scratch = TempDir::new().unwrap();
    let mut store = JavaKeystoreFile::open(Settings { password: None, ..settings(&scratch) });
    let refused = store.create().unwrap_err();
    assert!(matches!(refused, Error::Property { property: "store password", .. }), "{refused}");
    assert!(store.inventory().is_err());
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[test]
fn a_file_of_another_kind_is_named_and_left_alone() {
    let scratch = TempDir::new().unwrap();
    let make = ["-genkeypair", "-keyalg", "EC", "-alias", "a", "-dname", "CN=a", "-storetype", "PKCS12"];
    let output = Command::new("keytool")
        .args(make)
        .args(["-storepass", PASSWORD, "-keystore", "keystore.jks"])
        .current_dir(scratch.path())
        .output()
        .unwrap();
    assert!(output.status.success());
    let before = std::fs::read(scratch.path().join("keystore.jks")).unwrap();
    let refused = open(&scratch).add(Material::new().entry(&["www.example.test"]), Overwrite::Allow);
    assert!(refused.unwrap_err().to_string().contains("PKCS#12"));
    assert_eq!(std::fs::read(scratch.path().join("keystore.jks")).unwrap(), before);
}
