//! What certificates may be like: kinds of keys, names, sizes.

use sealift_pki::KeyAlgorithm;

use super::{Suite, directory, snapshot, whole};
use crate::{Alias, Overwrite, atomic_file};

pub(super) fn key_kinds(suite: &Suite<'_>) {
    let kinds =
        [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa(2048)];
    for kind in kinds {
        let (settings, mut store) = suite.created();
        let new = suite.material.entry_with(kind, &["www.example.test"]);
        store.add(new.clone(), Overwrite::Refuse).unwrap();
        let entries = whole(suite.open(&settings).as_ref());
        assert_eq!(entries.len(), 1, "{kind}");
        assert!(entries[0].has_private_key && entries[0].certificates == new.certificates, "{kind}");
    }
}

pub(super) fn wildcards(suite: &Suite<'_>) {
    let (_, mut store) = suite.created();
    let new =
        suite.material.entry(&["example.test", "*.example.test", "WWW.Example.Test", "www.example.test"]);
    let added = store.add(new.clone(), Overwrite::Refuse).unwrap();
    assert_eq!(added.entry.certificates, new.certificates);
    assert!(!store.add(new, Overwrite::Refuse).unwrap().changed);
    assert!(added.files.iter().all(|file| !file.to_string_lossy().contains('*')));
}

pub(super) fn big(suite: &Suite<'_>) {
    let (settings, mut store) = suite.created();
    let names: Vec<String> = (0..100).map(|number| format!("host-{number}.example.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let new = suite.material.entry(&names);
    let added = store.add(new.clone(), Overwrite::Refuse).unwrap();
    assert_eq!(added.entry.certificates, new.certificates);
    let entries = whole(suite.open(&settings).as_ref());
    assert!(entries.iter().all(|entry| entry.certificates == new.certificates));
    assert_eq!(entries.len(), if suite.is("CCS") { names.len() } else { 1 });
}

pub(super) fn hostile(suite: &Suite<'_>) {
    let names = [
        "../evil",
        "../../evil",
        "/tmp/evil",
        "..\\evil",
        "a/../../evil",
        "..",
        ".evil",
        "nul",
        "a:b",
        "*.*",
    ];
    let (settings, mut store) = suite.created();
    let outside = directory(&settings).parent().unwrap().join("outside");
    std::fs::create_dir(&outside).unwrap();
    atomic_file::write(&outside.join("canary.pfx"), b"untouched", atomic_file::PUBLIC_MODE).unwrap();
    let before = snapshot(directory(&settings).parent().unwrap());
    for name in names {
        // Whether it is refused depends on whether the store type makes files of names.
        if let Ok(added) = store.add(suite.material.entry(&["www.example.test", name]), Overwrite::Allow) {
            let home = std::fs::canonicalize(directory(&settings)).unwrap();
            assert!(added.files.iter().all(|file| file.parent() == Some(&home)), "{name}: {:?}", added.files);
        }
    }
    for alias in
        ["../outside/canary.pfx", "../outside/canary", "..", "/etc/hostname", "..\\outside\\canary", "a:b"]
    {
        if let Ok(removed) = store.remove(&Alias::parse(alias).unwrap()) {
            assert!(!removed.changed, "{alias}");
        }
    }
    let home = directory(&settings);
    let mut after = snapshot(home.parent().unwrap());
    after.retain(|path, _| before.contains_key(path) && !path.starts_with(&home));
    let mut expected = before;
    expected.retain(|path, _| !path.starts_with(&home));
    assert_eq!(after, expected);
    let siblings: Vec<_> =
        std::fs::read_dir(home.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(siblings.iter().all(|path| *path == outside || *path == home), "{siblings:?}");
}
