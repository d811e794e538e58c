//! What is particular to PEM files: layout, several files, foreign content, boundaries.

use std::fs::{create_dir, read_to_string};

use tempfile::TempDir;

use super::*;
use crate::conformance::material::Material;

struct Store {
    _scratch: TempDir,
    home: PathBuf,
    settings: Settings,
}

impl Store {
    fn new(properties: &[(&str, &str)]) -> Self {
        let scratch = TempDir::new().unwrap();
        let home = std::fs::canonicalize(scratch.path()).unwrap().join("home");
        create_dir(&home).unwrap();
        let properties =
            properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let settings = Settings { properties, ..Settings::new(home.join("site.pem")) };
        Self { _scratch: scratch, home, settings }
    }

    fn open(&self) -> PemFile {
        PemFile::open(self.settings.clone()).unwrap()
    }

    fn text(&self, name: &str) -> String {
        read_to_string(self.home.join(name)).unwrap()
    }

    fn put(&self, name: &str, text: &str) {
        atomic_file::write(&self.home.join(name), text.as_bytes(), PUBLIC_MODE).unwrap();
    }
}

fn trusted(certificate: &Certificate) -> NewEntry {
    NewEntry { alias: None, certificates: vec![certificate.clone()], private_key: None, entry_password: None }
}

fn labels(text: &str) -> Vec<String> {
    sealift_pki::pem::read(text).unwrap().iter().map(|block| block.label().to_owned()).collect()
}

#[test]
fn one_file_holds_leaf_chain_key_and_then_the_rest() {
    let store = Store::new(&[]);
    store.put("site.pem", "# by hand\n-----BEGIN DH PARAMETERS-----\nAQID\n-----END DH PARAMETERS-----\n");
    let material = Material::new();
    store.open().add(trusted(&Material::new().root()), Overwrite::Refuse).unwrap();
    store.open().add(material.entry(&["www.example.test"]), Overwrite::Refuse).unwrap();
    let text = store.text("site.pem");
    let expected =
        ["CERTIFICATE", "CERTIFICATE", "CERTIFICATE", "PRIVATE KEY", "DH PARAMETERS", "CERTIFICATE"];
    assert_eq!(labels(&text), expected);
    assert_eq!(store.open().inventory().unwrap().entries.len(), 2);
}

#[test]
fn key_and_chain_go_to_their_own_files_and_away_with_the_identity() {
    let store = Store::new(&[("PRIVATEKEYPATH", "site.key"), ("chainpath", "chain.pem")]);
    let added = store.open().add(Material::new().entry(&["www.example.test"]), Overwrite::Refuse).unwrap();
    assert_eq!(labels(&store.text("site.pem")), ["CERTIFICATE"]);
    assert_eq!(labels(&store.text("site.key")), ["PRIVATE KEY"]);
    assert_eq!(labels(&store.text("chain.pem")), ["CERTIFICATE", "CERTIFICATE"]);
    assert_eq!(added.files.len(), 3);
    assert!(store.open().remove(&added.entry.alias).unwrap().changed);
    assert_eq!(store.text("site.pem"), "");
    assert!(!store.home.join("site.key").exists() && !store.home.join("chain.pem").exists());
}

#[test]
fn the_chain_can_be_left_out() {
    let store = Store::new(&[("includeChain", "False")]);
    let new = Material::new().entry(&["www.example.test"]);
    assert_eq!(
        store.open().add(new.clone(), Overwrite::Refuse).unwrap().entry.certificates,
        new.certificates[..1]
    );
    assert!(!store.open().add(new, Overwrite::Refuse).unwrap().changed);
    assert!(PemFile::open(Store::new(&[("includeChain", "maybe")]).settings).is_err());
}

#[test]
fn trusted_certificates_survive_a_new_identity_and_the_reverse() {
    let store = Store::new(&[("privateKeyPath", "site.key")]);
    let (material, roots) = (Material::new(), [Material::new().root(), Material::new().root()]);
    store.open().add(material.entry(&["www.example.test"]), Overwrite::Refuse).unwrap();
    for root in &roots {
        assert!(store.open().add(trusted(root), Overwrite::Refuse).unwrap().changed);
        assert!(!store.open().add(trusted(root), Overwrite::Refuse).unwrap().changed);
    }
    let key = store.text("site.key");
    store.open().add(material.entry(&["www.example.test"]), Overwrite::Allow).unwrap();
    assert_ne!(store.text("site.key"), key);
    assert_eq!(store.open().inventory().unwrap().entries.len(), 3);

    let replacement = Material::new().root();
    let named = NewEntry { alias: Some(roots[0].thumbprint().into()), ..trusted(&replacement) };
    assert!(matches!(store.open().add(named.clone(), Overwrite::Refuse), Err(Error::AlreadyExists { .. })));
    assert_eq!(store.open().add(named, Overwrite::Allow).unwrap().replaced, Some(roots[0].thumbprint()));
    assert_eq!(store.open().inventory().unwrap().entries.len(), 3);
}

#[test]
fn a_trusted_certificate_becomes_the_identity_when_its_key_comes() {
    let store = Store::new(&[]);
    let new = Material::new().entry(&["www.example.test"]);
    store.open().add(trusted(&new.certificates[0]), Overwrite::Refuse).unwrap();
    let added = store.open().add(new, Overwrite::Refuse).unwrap();
    assert!(added.changed && added.replaced.is_none());
    assert_eq!(store.open().inventory().unwrap().entries, [added.entry]);
}

#[test]
fn an_issuer_right_behind_the_leaf_is_its_chain_and_can_be_removed() {
    let store = Store::new(&[("privateKeyPath", "site.key")]);
    let new = Material::new().entry(&["www.example.test"]);
    let bare = NewEntry { certificates: new.certificates[..1].to_vec(), ..new.clone() };
    store.open().add(bare, Overwrite::Refuse).unwrap();
    let added = store.open().add(trusted(&new.certificates[1]), Overwrite::Refuse).unwrap();
    assert_eq!(added.entry.certificates, [new.certificates[1].clone()]);
    let entries = store.open().inventory().unwrap().entries;
    assert_eq!(entries[0].certificates, new.certificates[..2]);
    assert!(store.open().remove(&added.entry.alias).unwrap().changed);
    assert_eq!(store.open().inventory().unwrap().entries[0].certificates, new.certificates[..1]);
}

#[test]
fn stray_keys_are_reported_kept_and_replaced_only_with_leave() {
    let store = Store::new(&[]);
    let material = Material::new();
    let stray = material.entry(&["stray.example.test"]).private_key.unwrap();
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAQID\n-----END ENCRYPTED PRIVATE KEY-----\n";
    store.put("site.pem", &format!("{}{encrypted}", *stray.to_pem()));
    assert_eq!(store.open().inventory().unwrap().unreadable.len(), 2);
    store.open().add(trusted(&material.root()), Overwrite::Refuse).unwrap();
    assert_eq!(labels(&store.text("site.pem")), ["PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "CERTIFICATE"]);
    let new = material.entry(&["www.example.test"]);
    assert!(matches!(store.open().add(new.clone(), Overwrite::Refuse), Err(Error::AlreadyExists { .. })));
    store.open().add(new, Overwrite::Allow).unwrap();
    assert_eq!(store.open().inventory().unwrap().unreadable, []);
    assert!(!store.text("site.pem").contains("ENCRYPTED"));
}

#[test]
fn keys_in_old_forms_and_in_the_wrong_file_are_found_and_not_lost() {
    let store = Store::new(&[("privateKeyPath", "site.key")]);
    let new = Material::new().entry(&["www.example.test"]);
    let key = new.private_key.clone().unwrap();
    store
        .put("site.pem", &format!("{}{}", new.certificates[0].to_pem(), *key.to_pem()).replace('\n', "\r\n"));
    let entries = store.open().inventory().unwrap().entries;
    assert!(entries.len() == 1 && entries[0].has_private_key);
    store.open().add(trusted(&Material::new().root()), Overwrite::Refuse).unwrap();
    assert!(store.text("site.pem").contains("PRIVATE KEY"), "the only copy of the key stays");
    assert!(store.open().add(new, Overwrite::Refuse).unwrap().changed, "the chain is new");
    assert!(!store.text("site.pem").contains("PRIVATE KEY"));
    assert!(store.text("site.key").contains("PRIVATE KEY"));
}

#[test]
fn properties_and_links_cannot_lead_out() {
    let outside = TempDir::new().unwrap();
    let outside = std::fs::canonicalize(outside.path()).unwrap();
    let key = outside.join("site.key");
    for path in [key.to_str().unwrap(), "../site.key", "../../etc/ssl/site.key"] {
        let store = Store::new(&[("privateKeyPath", path)]);
        let refused = store.open().add(Material::new().entry(&["www.example.test"]), Overwrite::Allow);
        assert!(
            matches!(
                refused,
                Err(Error::OutsideAllowedDirectories { .. } | Error::File { action: "finding", .. })
            ),
            "{refused:?}"
        );
    }
    for (one, other) in [("site.pem", "chain.pem"), ("x.pem", "x.pem")] {
        let store = Store::new(&[("privateKeyPath", one), ("chainPath", other)]);
        assert!(matches!(store.open().inventory(), Err(Error::Property { .. })));
    }
}

#[cfg(unix)]
#[test]
fn a_link_is_followed_within_the_allowed_directories_only() {
    use std::os::unix::fs::symlink;

    let store = Store::new(&[]);
    create_dir(store.home.join("releases")).unwrap();
    store.put("releases/site.pem", "");
    symlink("releases/site.pem", store.home.join("site.pem")).unwrap();
    let new = Material::new().entry(&["www.example.test"]);
    let added = store.open().add(new.clone(), Overwrite::Refuse).unwrap();
    assert_eq!(added.files, [store.home.join("releases/site.pem")]);
    assert!(store.home.join("site.pem").is_symlink() && !store.text("releases/site.pem").is_empty());

    let outside = store.home.parent().unwrap().join("outside.pem");
    atomic_file::write(&outside, b"", PUBLIC_MODE).unwrap();
    std::fs::remove_file(store.home.join("site.pem")).unwrap();
    symlink(&outside, store.home.join("site.pem")).unwrap();
    let refused = store.open().add(new.clone(), Overwrite::Allow);
    assert!(matches!(refused, Err(Error::OutsideAllowedDirectories { .. })), "{refused:?}");
    assert_eq!(read_to_string(&outside).unwrap(), "");

    let wider = Settings {
        allowed_directories: vec![store.home.parent().unwrap().to_owned()],
        ..store.settings.clone()
    };
    PemFile::open(wider).unwrap().add(new.clone(), Overwrite::Refuse).unwrap();
    assert!(!read_to_string(&outside).unwrap().is_empty());

    let elsewhere =
        Settings { allowed_directories: vec![store.home.join("releases")], ..store.settings.clone() };
    let refused = PemFile::open(elsewhere).unwrap().add(new, Overwrite::Allow);
    assert!(matches!(refused, Err(Error::OutsideAllowedDirectories { .. })));
}

#[test]
fn a_store_path_that_is_no_file_is_refused() {
    let store = Store::new(&[]);
    create_dir(store.home.join("site.pem")).unwrap();
    assert!(matches!(store.open().inventory(), Err(Error::File { .. })));
    let huge = Store::new(&[]);
    huge.put("site.pem", "");
    let file = std::fs::File::options().write(true).open(huge.home.join("site.pem")).unwrap();
    file.set_len(paths::MAX_FILE_BYTES + 1).unwrap();
    assert!(matches!(huge.open().inventory(), Err(Error::FileTooLarge { .. })));
}
