//! What is found when something went wrong before, or goes wrong now.

use std::{fs, path::Path, time::Duration};

use super::{PASSWORD, Suite, directory, snapshot, thumbprints, whole};
use crate::{NewEntry, Overwrite, Secret, Settings, atomic_file};

pub(super) fn wrong_password(suite: &Suite<'_>) {
    if !suite.has_password() {
        return;
    }
    let (settings, mut store) = suite.created();
    let present = suite.material.entry(&["www.example.test"]);
    store.add(present.clone(), Overwrite::Refuse).unwrap();
    let before = snapshot(&directory(&settings));
    let other = suite.material.entry(&["www.example.test"]);
    for password in [Some(Secret::new("wrong-canary")), None] {
        let mut wrong = suite.open(&Settings { password, ..settings.clone() });
        let reason = match wrong.inventory() {
            Ok(inventory) => {
                assert_eq!(inventory.entries, []);
                inventory.unreadable[0].reason.clone()
            }
            Err(error) => error.to_string(),
        };
        assert!(reason.contains("password"), "{reason}");
        for overwrite in [Overwrite::Refuse, Overwrite::Allow] {
            for entry in [&present, &other] {
                let refused = wrong.add(entry.clone(), overwrite).unwrap_err();
                let said = format!("{refused} {refused:?} {reason}");
                assert!(!said.contains(PASSWORD) && !said.contains("wrong-canary"), "{said}");
            }
        }
    }
    assert_eq!(snapshot(&directory(&settings)), before);
    assert_eq!(whole(store.as_ref()).len(), 1);
}

pub(super) fn leftovers(suite: &Suite<'_>) {
    let (settings, mut store) = suite.created();
    let (fresh, stale) = (".sealift-00000000000000aa.part", ".sealift-00000000000000bb.part");
    let home = directory(&settings);
    for name in [fresh, stale] {
        atomic_file::write(&home.join(name), b"half of a fi", atomic_file::SECRET_MODE).unwrap();
    }
    let file = fs::File::options().write(true).open(home.join(stale)).unwrap();
    let written = file.metadata().unwrap().modified().unwrap();
    file.set_modified(written - atomic_file::STALE_AGE - Duration::from_secs(1)).unwrap();
    assert_eq!(whole(store.as_ref()), []);
    let new = suite.material.entry(&["www.example.test"]);
    store.add(new.clone(), Overwrite::Refuse).unwrap();
    assert_eq!(thumbprints(store.as_ref()), [new.certificates[0].thumbprint()]);
    assert!(home.join(fresh).exists(), "somebody may be writing it now");
    assert!(!home.join(stale).exists());
}

pub(super) fn neighbours(suite: &Suite<'_>) {
    let (settings, mut store) = suite.created();
    let new = suite.material.entry(&["www.example.test"]);
    store.add(new.clone(), Overwrite::Refuse).unwrap();
    if suite.is("CCS") {
        let garbage = settings.path.join("aaa.example.test.pfx");
        atomic_file::write(&garbage, b"this is no PKCS#12 file", atomic_file::SECRET_MODE).unwrap();
        fs::create_dir(settings.path.join("bbb.example.test.pfx")).unwrap();
        for passed_over in ["readme.txt", "old.example.test.p12", ".hidden.pfx"] {
            atomic_file::write(&settings.path.join(passed_over), b"x", atomic_file::SECRET_MODE).unwrap();
        }
    } else if suite.is("PEM") {
        let mut text = fs::read(&settings.path).unwrap();
        text.extend(b"-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n");
        atomic_file::write(&settings.path, &text, atomic_file::SECRET_MODE).unwrap();
    } else {
        return;
    }
    let inventory = store.inventory().unwrap();
    assert_eq!(inventory.entries.len(), 1);
    assert_eq!(inventory.entries[0].certificates, new.certificates);
    assert_eq!(inventory.unreadable.len(), if suite.is("CCS") { 2 } else { 1 });
    let mut other = suite.material.entry(&["other.example.test"]);
    if suite.is("PEM") {
        (other.private_key, other.certificates) = (None, other.certificates[..1].to_vec());
    }
    store.add(other, Overwrite::Refuse).unwrap();
    let after = store.inventory().unwrap();
    assert_eq!((after.entries.len(), after.unreadable.len()), (2, inventory.unreadable.len()));
}

/// The last file of an entry cannot be replaced, because a directory stands in its place.
pub(super) fn obstacle(suite: &Suite<'_>) {
    let (settings, mut store) = suite.created();
    let names = ["one.example.test", "two.example.test", "three.example.test"];
    let old = suite.material.entry(&names);
    let files = store.add(old, Overwrite::Refuse).unwrap().files;
    let last = files.last().unwrap();
    fs::remove_file(last).unwrap();
    fs::create_dir(last).unwrap();
    let before = snapshot(&directory(&settings));
    let new = suite.material.entry(&names);
    assert!(store.add(new, Overwrite::Allow).is_err());
    assert_eq!(snapshot(&directory(&settings)), before);
    assert!(last.is_dir());
}

pub(super) fn read_only(suite: &Suite<'_>) {
    let (settings, mut store) = suite.created();
    let old = suite.material.entry(&["www.example.test"]);
    store.add(old.clone(), Overwrite::Refuse).unwrap();
    let home = directory(&settings);
    if make_read_only(&home, true) {
        let before = snapshot(&home);
        let new = suite.material.entry(&["www.example.test"]);
        assert!(store.add(new.clone(), Overwrite::Allow).is_err());
        assert!(store.remove(&NewEntry::clone(&old).certificates[0].thumbprint().into()).is_err());
        assert_eq!(snapshot(&home), before);
        assert_eq!(thumbprints(store.as_ref()), [old.certificates[0].thumbprint()]);
    }
    make_read_only(&home, false);
}

/// Takes write permission away or gives it back; answers whether that hinders this process (it does not hinder root).
#[cfg(unix)]
fn make_read_only(directory: &Path, read_only: bool) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = if read_only { 0o555 } else { 0o755 };
    fs::set_permissions(directory, fs::Permissions::from_mode(mode)).unwrap();
    let probe = directory.join("probe");
    let hindered = fs::File::create_new(&probe).is_err();
    if !hindered {
        fs::remove_file(probe).unwrap();
    }
    hindered
}

#[cfg(not(unix))]
fn make_read_only(_directory: &Path, _read_only: bool) -> bool {
    false
}
