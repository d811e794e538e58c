//! What is particular to a Central Certificate Store: one file for each name, and files of other people.

use std::fs::{create_dir, read};

use tempfile::TempDir;

use super::*;
use crate::{Secret, conformance::material::Material};

struct Store {
    scratch: TempDir,
    settings: Settings,
}

impl Store {
    fn new() -> Self {
        let scratch = TempDir::new().unwrap();
        let path = scratch.path().join("ccs");
        create_dir(&path).unwrap();
        let settings = Settings { password: Some(Secret::new("pw-1")), ..Settings::new(path) };
        Self { scratch, settings }
    }

    fn open(&self) -> CentralCertificateStore {
        CentralCertificateStore::open(self.settings.clone()).unwrap()
    }

    fn open_with(&self, password: Option<&str>, properties: &[(&str, &str)]) -> CentralCertificateStore {
        let properties =
            properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let password = password.map(Secret::new);
        CentralCertificateStore::open(Settings { password, properties, ..self.settings.clone() }).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.settings.path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn file(&self, name: &str) -> PathBuf {
        self.settings.path.join(name)
    }
}

#[test]
fn every_name_has_its_file_with_the_same_content() {
    let store = Store::new();
    let new = Material::new().entry(&[
        "fabrikam.test",
        "*.fabrikam.test",
        "WWW.Fabrikam.Test",
        "xn--mnchen-3ya.test",
    ]);
    let added = store.open().add(new, Overwrite::Refuse).unwrap();
    assert_eq!(added.entry.alias.as_str(), "fabrikam.test.pfx");
    assert_eq!(
        store.names(),
        ["_.fabrikam.test.pfx", "fabrikam.test.pfx", "münchen.test.pfx", "www.fabrikam.test.pfx"]
    );
    assert_eq!(added.files.len(), 4);
    let first = read(&added.files[0]).unwrap();
    assert!(added.files.iter().all(|file| read(file).unwrap() == first));
    let aliases: Vec<String> =
        store.open().inventory().unwrap().entries.iter().map(|entry| entry.alias.to_string()).collect();
    assert_eq!(aliases, store.names());
}

#[test]
fn addresses_have_no_file_and_a_certificate_without_names_is_refused() {
    let store = Store::new();
    let refused = store.open().add(Material::new().entry(&[]), Overwrite::Allow);
    assert!(matches!(refused, Err(Error::Entry { .. })), "{refused:?}");
    assert_eq!(store.names(), [""; 0]);
}

#[test]
fn one_unsafe_name_refuses_the_whole_certificate() {
    let store = Store::new();
    for name in ["../evil.test", "a_b.test", "nul.test", "evil.test."] {
        let refused = store.open().add(Material::new().entry(&["good.test", name]), Overwrite::Allow);
        let Err(Error::UnsafeName { name: said, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(said, name);
    }
    assert_eq!(store.names(), [""; 0]);
}

#[test]
fn one_taken_name_refuses_the_whole_certificate_without_leave() {
    let store = Store::new();
    let material = Material::new();
    store.open().add(material.entry(&["b.example.test"]), Overwrite::Refuse).unwrap();
    let before = read(store.file("b.example.test.pfx")).unwrap();
    let wide = material.entry(&["a.example.test", "b.example.test", "c.example.test"]);
    let refused = store.open().add(wide.clone(), Overwrite::Refuse);
    let Err(Error::AlreadyExists { place, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(place, "b.example.test.pfx");
    assert_eq!(store.names(), ["b.example.test.pfx"]);
    assert_eq!(read(store.file("b.example.test.pfx")).unwrap(), before);
    assert_eq!(store.open().add(wide, Overwrite::Allow).unwrap().files.len(), 3);
}

#[test]
fn missing_files_of_a_present_certificate_are_added_without_leave() {
    let store = Store::new();
    let new = Material::new().entry(&["a.example.test", "b.example.test"]);
    store.open().add(new.clone(), Overwrite::Refuse).unwrap();
    fs::remove_file(store.file("b.example.test.pfx")).unwrap();
    let again = store.open().add(new, Overwrite::Refuse).unwrap();
    assert!(again.changed && again.replaced.is_none());
    assert_eq!(store.names(), ["a.example.test.pfx", "b.example.test.pfx"]);
}

#[test]
fn files_under_another_password_are_reported_and_replaced_only_when_told() {
    let store = Store::new();
    let material = Material::new();
    store.open_with(Some("other"), &[]).add(material.entry(&["a.example.test"]), Overwrite::Refuse).unwrap();
    store.open().add(material.entry(&["b.example.test"]), Overwrite::Refuse).unwrap();
    let inventory = store.open().inventory().unwrap();
    assert_eq!((inventory.entries.len(), inventory.unreadable.len()), (1, 1));
    assert_eq!(inventory.unreadable[0].name, "a.example.test.pfx");

    let before = read(store.file("a.example.test.pfx")).unwrap();
    let new = material.entry(&["a.example.test", "b.example.test"]);
    let told = [("ReplaceUnreadable", "true")];
    for (properties, overwrite) in [(&[][..], Overwrite::Allow), (&told[..], Overwrite::Refuse)] {
        let refused = store.open_with(Some("pw-1"), properties).add(new.clone(), overwrite);
        assert!(
            matches!(refused, Err(Error::NotRewritable { .. } | Error::AlreadyExists { .. })),
            "{refused:?}"
        );
        assert_eq!(read(store.file("a.example.test.pfx")).unwrap(), before);
    }
    store.open_with(Some("pw-1"), &told).add(new, Overwrite::Allow).unwrap();
    assert_eq!(store.open().inventory().unwrap().unreadable, []);
}

#[test]
fn no_password_and_an_empty_one_are_the_same() {
    let store = Store::new();
    store.open_with(None, &[]).add(Material::new().entry(&["a.example.test"]), Overwrite::Refuse).unwrap();
    assert_eq!(store.open_with(Some(""), &[]).inventory().unwrap().entries.len(), 1);
}

#[test]
fn removing_goes_by_file_name_or_by_certificate() {
    let store = Store::new();
    let material = Material::new();
    let (one, other) =
        (material.entry(&["a.example.test", "*.a.example.test"]), material.entry(&["b.example.test"]));
    store.open().add(one.clone(), Overwrite::Refuse).unwrap();
    store.open().add(other, Overwrite::Refuse).unwrap();
    assert!(store.open().remove(&Alias::parse("_.a.example.test").unwrap()).unwrap().changed);
    assert_eq!(store.names(), ["a.example.test.pfx", "b.example.test.pfx"]);
    store.open().add(one.clone(), Overwrite::Refuse).unwrap();

    // One of its names was given to another certificate since: that file is kept.
    let newer = material.entry(&["a.example.test"]);
    store.open().add(newer, Overwrite::Allow).unwrap();
    let removed = store.open().remove(&one.certificates[0].thumbprint().into()).unwrap();
    assert_eq!(removed.files.len(), 1);
    assert_eq!(store.names(), ["a.example.test.pfx", "b.example.test.pfx"]);
    assert!(store.open().remove(&Alias::parse("A.pfx").unwrap()).is_ok_and(|removed| !removed.changed));
}

#[test]
fn odd_files_that_were_listed_can_be_removed() {
    let store = Store::new();
    store.open().add(Material::new().entry(&["a.example.test"]), Overwrite::Refuse).unwrap();
    fs::rename(store.file("a.example.test.pfx"), store.file("My Old Certificate.PFX")).unwrap();
    let entries = store.open().inventory().unwrap().entries;
    assert_eq!(entries[0].alias.as_str(), "My Old Certificate.PFX");
    assert!(store.open().remove(&entries[0].alias).unwrap().changed);
    assert_eq!(store.names(), [""; 0]);
}

#[cfg(unix)]
#[test]
fn links_in_the_store_lead_nowhere_else() {
    use std::os::unix::{ffi::OsStrExt as _, fs::symlink};

    let store = Store::new();
    let outside = store.scratch.path().join("outside.pfx");
    atomic_file::write(&outside, b"untouched", SECRET_MODE).unwrap();
    symlink(&outside, store.file("a.example.test.pfx")).unwrap();
    symlink(store.scratch.path().join("absent"), store.file("b.example.test.pfx")).unwrap();
    for name in ["a.example.test", "b.example.test"] {
        assert!(
            store
                .open_with(Some("pw-1"), &[("replaceUnreadable", "true")])
                .add(Material::new().entry(&[name]), Overwrite::Allow)
                .is_err()
        );
    }
    assert_eq!(store.open().inventory().unwrap().unreadable.len(), 2);
    assert!(store.open().remove(&Alias::parse("a.example.test").unwrap()).unwrap().changed);
    assert!(store.open().remove(&Alias::parse("b.example.test").unwrap()).unwrap().changed);
    assert_eq!(read(&outside).unwrap(), b"untouched");
    let nameless = std::ffi::OsStr::from_bytes(b"\xff.pfx");
    atomic_file::write(&store.settings.path.join(nameless), b"x", SECRET_MODE).unwrap();
    assert_eq!(store.open().inventory().unwrap().unreadable.len(), 1);
}

#[test]
fn the_directory_is_made_only_where_it_may_be() {
    let store = Store::new();
    let inside = Settings::new(store.scratch.path().join("new"));
    CentralCertificateStore::open(inside.clone()).unwrap().create().unwrap();
    assert!(inside.path.is_dir());
    let elsewhere = Settings {
        allowed_directories: vec![store.settings.path.clone()],
        ..Settings::new(store.scratch.path().join("elsewhere"))
    };
    let refused = CentralCertificateStore::open(elsewhere.clone()).unwrap().create();
    assert!(matches!(refused, Err(Error::OutsideAllowedDirectories { .. })));
    assert!(!elsewhere.path.exists());
}
