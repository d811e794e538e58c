//! Plans: what a change would do, held against what it then does, and undone.

use std::path::PathBuf;

use super::{Suite, directory, snapshot, thumbprints};
use crate::{
    Alias, CertificateStore, Entry, Error, Intent, NewEntry, Overwrite, Planned, snapshot::Snapshot,
};

/// A plan, during which nothing changed.
fn planned(suite: &Suite<'_>, at: &crate::Settings, intent: Intent<'_>) -> Result<Planned, Error> {
    let before = snapshot(&directory(at));
    let planned = suite.open(at).plan(&intent);
    assert_eq!(snapshot(&directory(at)), before, "a plan changes nothing");
    if let Ok(planned) = &planned {
        assert_eq!(planned.changes, !planned.files.is_empty());
    }
    planned
}

/// Changes the store and checks that no file but the planned ones is different.
fn changing(at: &crate::Settings, planned: &Planned, change: impl FnOnce()) {
    let before = snapshot(&directory(at));
    change();
    let after = snapshot(&directory(at));
    let different = |path: &&PathBuf| before.get(*path) != after.get(*path);
    let different: Vec<&PathBuf> = before.keys().chain(after.keys()).filter(different).collect();
    let listed = |path: &&PathBuf| {
        let real = path.parent().unwrap().canonicalize().unwrap().join(path.file_name().unwrap());
        planned.files.contains(&real)
    };
    assert!(different.iter().all(listed), "{different:?} are not all in {:?}", planned.files);
    assert_eq!(planned.changes, !different.is_empty());
}

pub(super) fn agree(suite: &Suite<'_>) {
    let settings = suite.settings();
    let made = planned(suite, &settings, Intent::Create).unwrap();
    assert!(made.changes && made.before.is_none() && made.files.len() == 1);
    suite.open(&settings).create().unwrap();
    assert_eq!(planned(suite, &settings, Intent::Create).unwrap(), Planned::default());

    let [old, new] = [(); 2].map(|()| suite.material.entry(&["www.example.test", "shop.example.test"]));
    let add = |entry: &NewEntry, overwrite| suite.open(&settings).add(entry.clone(), overwrite).unwrap();
    let first = planned(suite, &settings, Intent::Add(&old, Overwrite::Refuse)).unwrap();
    assert_eq!(first.before, None);
    changing(&settings, &first, || assert!(add(&old, Overwrite::Refuse).changed));
    let again = planned(suite, &settings, Intent::Add(&old, Overwrite::Refuse)).unwrap();
    assert!(!again.changes);
    assert_eq!(again.before.as_ref().and_then(Entry::thumbprint), Some(old.certificates[0].thumbprint()));
    changing(&settings, &again, || assert!(!add(&old, Overwrite::Refuse).changed));

    let refused = planned(suite, &settings, Intent::Add(&new, Overwrite::Refuse));
    assert!(matches!(refused, Err(Error::AlreadyExists { .. })), "{refused:?}");
    let second = planned(suite, &settings, Intent::Add(&new, Overwrite::Allow)).unwrap();
    changing(&settings, &second, || {
        let replaced = add(&new, Overwrite::Allow).replaced;
        assert_eq!(second.before.as_ref().and_then(Entry::thumbprint), replaced);
    });

    let absent = Alias::parse("0123456789012345678901234567890123456789").unwrap();
    assert!(!planned(suite, &settings, Intent::Remove(&absent)).unwrap().changes);
    let alias = Alias::from(new.certificates[0].thumbprint());
    let gone = planned(suite, &settings, Intent::Remove(&alias)).unwrap();
    assert_eq!(gone.before.as_ref().map(|entry| &entry.certificates), Some(&new.certificates));
    changing(&settings, &gone, || assert!(suite.open(&settings).remove(&alias).unwrap().changed));
}

pub(super) fn undo(suite: &Suite<'_>) {
    let (settings, mut store) = suite.created();
    let [old, new] = [(); 2].map(|()| suite.material.entry(&["www.example.test", "shop.example.test"]));
    let undone = |store: &mut Box<dyn CertificateStore>,
                  planned: &Planned,
                  change: &dyn Fn(&mut dyn CertificateStore)| {
        let before = snapshot(&directory(&settings));
        let kept = Snapshot::decode(&Snapshot::take(&planned.files).unwrap().encode()).unwrap();
        change(store.as_mut());
        assert_ne!(snapshot(&directory(&settings)), before);
        kept.put_back().unwrap();
        assert_eq!(snapshot(&directory(&settings)), before);
    };
    let first = planned(suite, &settings, Intent::Add(&old, Overwrite::Refuse)).unwrap();
    undone(&mut store, &first, &|store| drop(store.add(old.clone(), Overwrite::Refuse).unwrap()));
    assert_eq!(thumbprints(store.as_ref()), []);
    store.add(old.clone(), Overwrite::Refuse).unwrap();
    let second = planned(suite, &settings, Intent::Add(&new, Overwrite::Allow)).unwrap();
    undone(&mut store, &second, &|store| drop(store.add(new.clone(), Overwrite::Allow).unwrap()));
    let alias = Alias::from(old.certificates[0].thumbprint());
    let gone = planned(suite, &settings, Intent::Remove(&alias)).unwrap();
    undone(&mut store, &gone, &|store| drop(store.remove(&alias).unwrap()));
    assert_eq!(thumbprints(store.as_ref()), [old.certificates[0].thumbprint()]);
}
