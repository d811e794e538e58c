//! What is particular to a PKCS#12 file: aliases, and entries beside the one that changes.

use tempfile::TempDir;

use super::*;
use crate::conformance::material::Material;

fn settings(scratch: &TempDir) -> Settings {
    Settings {
        password: Some(crate::Secret::new("Secret1")),
        ..Settings::new(scratch.path().join("keystore.p12"))
    }
}

fn open(scratch: &TempDir) -> Pkcs12File {
    Pkcs12File::open(settings(scratch)).unwrap()
}

fn named(mut entry: NewEntry, alias: &str) -> NewEntry {
    entry.alias = Some(Alias::parse(alias).unwrap());
    entry
}

fn aliases(scratch: &TempDir) -> Vec<String> {
    let entries = open(scratch).inventory().unwrap().entries;
    entries.iter().map(|entry| entry.alias.to_string()).collect()
}

#[test]
fn aliases_are_chosen_or_the_common_name_and_compared_without_case() {
    let scratch = TempDir::new().unwrap();
    let material = Material::new();
    open(&scratch).add(named(material.entry(&["www.example.test"]), "Front"), Overwrite::Refuse).unwrap();
    open(&scratch).add(material.entry(&["shop.example.test"]), Overwrite::Refuse).unwrap();
    assert_eq!(aliases(&scratch), ["Front", "shop.example.test"]);
    let renewed = material.entry(&["www.example.test"]);
    let refused = open(&scratch).add(named(renewed.clone(), "FRONT"), Overwrite::Refuse);
    assert!(matches!(refused, Err(Error::AlreadyExists { .. })));
    let added = open(&scratch).add(named(renewed.clone(), "front"), Overwrite::Allow).unwrap();
    assert_eq!((added.entry.alias.as_str(), added.entry.certificates), ("Front", renewed.certificates));
    assert_eq!(aliases(&scratch), ["Front", "shop.example.test"]);
}

#[test]
fn other_entries_stay_as_they_are() {
    let scratch = TempDir::new().unwrap();
    let material = Material::new();
    let trusted =
        NewEntry { certificates: vec![material.root()], private_key: None, ..material.entry(&["unused"]) };
    open(&scratch).add(trusted, Overwrite::Refuse).unwrap();
    for name in ["a.example.test", "b.example.test", "c.example.test"] {
        open(&scratch).add(material.entry(&[name]), Overwrite::Refuse).unwrap();
    }
    let before = open(&scratch).inventory().unwrap().entries;
    assert_eq!(before.len(), 4);
    open(&scratch).add(material.entry(&["b.example.test"]), Overwrite::Allow).unwrap();
    let after = open(&scratch).inventory().unwrap().entries;
    let unchanged = |index: usize| before[index] == after[index];
    assert!(unchanged(0) && unchanged(1) && !unchanged(2) && unchanged(3), "{before:?} {after:?}");
    open(&scratch).remove(&before[1].alias).unwrap();
    assert_eq!(open(&scratch).inventory().unwrap().entries, [&after[..1], &after[2..]].concat());
}

#[test]
fn a_key_that_comes_later_joins_its_certificate() {
    let scratch = TempDir::new().unwrap();
    let new = Material::new().entry(&["www.example.test"]);
    let bare = NewEntry { private_key: None, ..new.clone() };
    assert!(!open(&scratch).add(bare.clone(), Overwrite::Refuse).unwrap().entry.has_private_key);
    assert!(open(&scratch).add(new, Overwrite::Refuse).unwrap().entry.has_private_key);
    let again = open(&scratch).add(bare, Overwrite::Refuse).unwrap();
    assert!(
        !again.changed && again.entry.has_private_key,
        "the key is not lost by adding the certificate alone"
    );
}

#[test]
fn a_file_with_more_than_can_be_written_back_is_not_rewritten() {
    let scratch = TempDir::new().unwrap();
    let new = Material::new().entry(&["www.example.test"]);
    open(&scratch).add(new.clone(), Overwrite::Refuse).unwrap();
    let output = std::process::Command::new("keytool")
        .args(["-genseckey", "-alias", "secret", "-keyalg", "AES", "-keysize", "256", "-storetype", "PKCS12"])
        .args(["-storepass", "Secret1", "-keystore"])
        .arg(scratch.path().join("keystore.p12"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let before = std::fs::read(scratch.path().join("keystore.p12")).unwrap();
    assert_eq!(aliases(&scratch), ["www.example.test"]);
    let other = open(&scratch).add(Material::new().entry(&["other.example.test"]), Overwrite::Allow);
    assert!(matches!(other, Err(Error::NotRewritable { .. })), "{other:?}");
    assert!(matches!(
        open(&scratch).remove(&Alias::parse("www.example.test").unwrap()),
        Err(Error::NotRewritable { .. })
    ));
    assert!(!open(&scratch).add(new, Overwrite::Refuse).unwrap().changed);
    assert_eq!(std::fs::read(scratch.path().join("keystore.p12")).unwrap(), before);
}

#[test]
fn an_unknown_encryption_is_refused() {
    let properties = [("encryption".to_owned(), "rc2".to_owned())].into();
    let refused = Pkcs12File::open(Settings { properties, ..Settings::new("/nowhere/keystore.p12") });
    assert!(matches!(refused, Err(Error::Property { property: "encryption", .. })));
}
