//! Files come back as they were, and damaged snapshots are none.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use tempfile::TempDir;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn content_permissions_links_and_absence_come_back() {
    let scratch = TempDir::new().unwrap();
    let path = |name: &str| scratch.path().join(name);
    atomic_file::write(&path("a"), b"old", 0o640).unwrap();
    symlink(path("a"), path("link")).unwrap();
    let files: Vec<PathBuf> = ["a", "link", "new"].map(path).to_vec();
    let snapshot = Snapshot::decode(&Snapshot::take(&files).unwrap().encode()).unwrap();
    assert!(snapshot.is_in_place().unwrap());
    assert_eq!((snapshot.put_back().unwrap(), snapshot.size()), (0, 3));

    atomic_file::write(&path("a"), b"changed", 0o600).unwrap();
    fs::set_permissions(path("a"), fs::Permissions::from_mode(0o666)).unwrap();
    fs::remove_file(path("link")).unwrap();
    atomic_file::write(&path("new"), b"new", 0o600).unwrap();
    assert!(!snapshot.is_in_place().unwrap());
    assert_eq!(snapshot.put_back().unwrap(), 3);
    assert_eq!((fs::read(path("a")).unwrap().as_slice(), mode(&path("a"))), (b"old".as_slice(), 0o640));
    assert_eq!(fs::read_link(path("link")).unwrap(), path("a"));
    assert!(!path("new").exists());
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 2, "nothing is left beside");
}

#[test]
fn what_is_damaged_or_too_large_is_refused() {
    let scratch = TempDir::new().unwrap();
    let file = scratch.path().join("a");
    atomic_file::write(&file, b"old", 0o600).unwrap();
    let bytes = Snapshot::take(std::slice::from_ref(&file)).unwrap().encode();
    for end in 0..bytes.len() {
        assert!(Snapshot::decode(&bytes[..end]).is_none(), "{end}");
    }
    assert!(Snapshot::decode(&[bytes.as_slice(), b"x"].concat()).is_none());
    fs::File::options().write(true).open(&file).unwrap().set_len(MAX_BYTES + 1).unwrap();
    assert!(matches!(Snapshot::take(&[file]), Err(Error::FileTooLarge { .. })));
}
