//! Creating, adding, replacing and removing.

use super::{Suite, directory, snapshot, thumbprints, whole};
use crate::{Alias, Error, NewEntry, Overwrite, Permission, Secret};

pub(super) fn create(suite: &Suite<'_>) {
    let (settings, mut store) = suite.created();
    assert_eq!(whole(store.as_ref()), []);
    let before = snapshot(&directory(&settings));
    store.create().unwrap();
    assert_eq!(snapshot(&directory(&settings)), before);
}

pub(super) fn missing(suite: &Suite<'_>) {
    let settings = suite.settings();
    let mut store = suite.open(&settings);
    assert!(matches!(store.inventory(), Err(Error::StoreMissing { .. })));
    match store.remove(&Alias::parse("www.example.test").unwrap()) {
        Ok(removed) => assert!(!removed.changed),
        Err(error) => assert!(matches!(error, Error::StoreMissing { .. }), "{error}"),
    }
}

pub(super) fn add(suite: &Suite<'_>) {
    let (settings, mut store) = suite.created();
    let new = suite.material.entry(&["www.example.test", "shop.example.test"]);
    let added = store.add(new.clone(), Overwrite::Refuse).unwrap();
    assert!(added.changed);
    assert_eq!(added.replaced, None);
    assert_eq!(added.entry.certificates, new.certificates);
    assert!(added.entry.has_private_key);
    assert!(!added.files.is_empty() && added.files.iter().all(|file| file.is_file()));
    let entries = whole(suite.open(&settings).as_ref());
    assert!(entries.contains(&added.entry), "{entries:?}");
    #[cfg(unix)]
    for file in added.files.iter().filter(|file| may_hold_key(file)) {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o077, 0, "{}", file.display());
    }
}

/// Everything but certificates in the clear.
#[cfg(unix)]
fn may_hold_key(file: &std::path::Path) -> bool {
    let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
    !text.starts_with("-----BEGIN CERTIFICATE") || text.contains("PRIVATE KEY")
}

pub(super) fn add_again(suite: &Suite<'_>) {
    let (settings, mut store) = suite.created();
    let new = suite.material.entry(&["www.example.test"]);
    let first = store.add(new.clone(), Overwrite::Refuse).unwrap();
    let before = snapshot(&directory(&settings));
    for overwrite in [Overwrite::Refuse, Overwrite::Allow] {
        let again = suite.open(&settings).add(new.clone(), overwrite).unwrap();
        assert!(!again.changed);
        assert_eq!(
            (again.entry, again.replaced, again.files),
            (first.entry.clone(), None, first.files.clone())
        );
    }
    let leaf_alone = NewEntry { certificates: new.certificates[..1].to_vec(), ..new };
    assert!(!store.add(leaf_alone, Overwrite::Allow).unwrap().changed, "the chain that is there is kept");
    assert_eq!(snapshot(&directory(&settings)), before);
}

pub(super) fn overwrite(suite: &Suite<'_>) {
    let (settings, mut store) = suite.created();
    let old = suite.material.entry(&["www.example.test", "shop.example.test"]);
    let new = suite.material.entry(&["www.example.test", "shop.example.test"]);
    store.add(old.clone(), Overwrite::Refuse).unwrap();
    let before = snapshot(&directory(&settings));
    let refused = store.add(new.clone(), Overwrite::Refuse);
    let Err(Error::AlreadyExists { present, .. }) = &refused else { panic!("{refused:?}") };
    assert_eq!(*present, old.certificates[0].thumbprint().to_string());
    assert_eq!(snapshot(&directory(&settings)), before, "a refusal changes nothing");

    let added = store.add(new.clone(), Overwrite::Allow).unwrap();
    assert!(added.changed);
    assert_eq!(added.replaced, Some(old.certificates[0].thumbprint()));
    assert_eq!(added.entry.certificates, new.certificates);
    assert_eq!(thumbprints(store.as_ref()), [new.certificates[0].thumbprint()]);
    assert_eq!(
        snapshot(&directory(&settings)).len(),
        before.len(),
        "nothing is left beside the files of the store"
    );
}

pub(super) fn remove(suite: &Suite<'_>) {
    let (settings, mut store) = suite.created();
    let one = suite.material.entry(&["one.example.test"]);
    let mut other = suite.material.entry(&["other.example.test"]);
    if suite.is("PEM") {
        // The other entry of a store that has one identity.
        (other.private_key, other.certificates) = (None, other.certificates[..1].to_vec());
    }
    let first = store.add(one, Overwrite::Refuse).unwrap().entry;
    let second = store.add(other, Overwrite::Refuse).unwrap().entry;
    assert_eq!(whole(store.as_ref()).len(), 2);

    for absent in ["absent.example.test", "0123456789012345678901234567890123456789"] {
        let removed = store.remove(&Alias::parse(absent).unwrap()).unwrap();
        assert!(!removed.changed && removed.files.is_empty());
    }
    let removed = store.remove(&first.alias).unwrap();
    assert!(removed.changed && !removed.files.is_empty());
    assert_eq!(whole(suite.open(&settings).as_ref()), std::slice::from_ref(&second));
    assert!(!store.remove(&first.alias).unwrap().changed);
    assert!(store.remove(&second.thumbprint().unwrap().into()).unwrap().changed, "a thumbprint will do");
    assert_eq!(whole(store.as_ref()), []);
}

pub(super) fn refuse(suite: &Suite<'_>) {
    let (settings, mut store) = suite.created();
    let before = snapshot(&directory(&settings));
    let good = suite.material.entry(&["www.example.test"]);
    let stranger = suite.material.entry(&["www.example.test"]);
    let mut bad = vec![
        NewEntry { certificates: vec![], ..good.clone() },
        NewEntry { private_key: stranger.private_key, ..good.clone() },
        NewEntry {
            certificates: vec![good.certificates[0].clone(); crate::MAX_CERTIFICATES + 1],
            ..good.clone()
        },
        NewEntry { entry_password: Some(Secret::new("another")), ..good.clone() },
    ];
    if suite.capability.private_key == Permission::Required {
        bad.push(NewEntry { private_key: None, ..good.clone() });
    }
    for entry in bad {
        let refused = store.add(entry, Overwrite::Allow);
        assert!(matches!(refused, Err(Error::Entry { .. })), "{refused:?}");
    }
    assert_eq!(snapshot(&directory(&settings)), before);
}
