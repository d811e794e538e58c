//! All or nothing, with nothing left beside.

use std::fs::{read_dir, read_to_string};

use tempfile::TempDir;

use super::*;

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn change(directory: &Path, name: &str, text: &str) -> Change {
    let bytes = Zeroizing::new(text.as_bytes().to_vec());
    Change::Write { path: directory.join(name), bytes, mode: SECRET_MODE }
}

#[test]
fn a_file_is_made_and_replaced() {
    let scratch = TempDir::new().unwrap();
    let path = scratch.path().join("a.pem");
    for text in ["one", "", "three"] {
        write(&path, text.as_bytes(), PUBLIC_MODE).unwrap();
        assert_eq!(read_to_string(&path).unwrap(), text);
        assert_eq!(names(scratch.path()), ["a.pem"]);
    }
}

#[cfg(unix)]
#[test]
fn modes_are_given_once_and_then_kept() {
    use std::os::unix::fs::PermissionsExt as _;

    let scratch = TempDir::new().unwrap();
    let path = scratch.path().join("a.pem");
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    write(&path, b"1", PUBLIC_MODE).unwrap();
    assert_eq!(mode(), 0o644);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
    write(&path, b"2", PUBLIC_MODE).unwrap();
    assert_eq!(mode(), 0o664);
    write(&path, b"3", SECRET_MODE).unwrap();
    assert_eq!(mode(), 0o660, "what must be secret is taken from others, and the group keeps its access");
}

#[cfg(unix)]
#[test]
fn the_owner_is_kept() {
    use std::os::unix::fs::{MetadataExt as _, chown};

    let scratch = TempDir::new().unwrap();
    let path = scratch.path().join("a.pem");
    write(&path, b"1", SECRET_MODE).unwrap();
    // Only root can give a file away; anybody else keeps being the owner.
    let other = chown(&path, Some(12_345), Some(12_346)).is_ok();
    write(&path, b"2", SECRET_MODE).unwrap();
    let metadata = fs::metadata(&path).unwrap();
    assert!(!other || (metadata.uid(), metadata.gid()) == (12_345, 12_346));
}

#[test]
fn a_group_is_replaced_in_order_and_deletes_too() {
    let scratch = TempDir::new().unwrap();
    let home = scratch.path();
    replace_all(vec![change(home, "a", "a1"), change(home, "b", "b1"), change(home, "c", "c1")]).unwrap();
    let delete = |name: &str| Change::Delete { path: home.join(name) };
    replace_all(vec![change(home, "a", "a2"), delete("b"), delete("never"), change(home, "d", "d2")])
        .unwrap();
    assert_eq!(names(home), ["a", "c", "d"]);
    assert_eq!(read_to_string(home.join("a")).unwrap(), "a2");
}

#[test]
fn nothing_changes_when_staging_fails() {
    let scratch = TempDir::new().unwrap();
    let home = scratch.path();
    write(&home.join("a"), b"a1", SECRET_MODE).unwrap();
    fs::create_dir(home.join("b")).unwrap();
    for obstacle in ["b", "missing/b", "a/b"] {
        let refused = replace_all(vec![change(home, "a", "a2"), change(home, obstacle, "b2")]);
        assert!(matches!(refused, Err(Error::File { .. })), "{refused:?}");
        assert_eq!(read_to_string(home.join("a")).unwrap(), "a1");
        assert_eq!(names(home), ["a", "b"]);
    }
}

#[test]
fn what_was_renamed_is_put_back_when_a_later_rename_fails() {
    let scratch = TempDir::new().unwrap();
    let home = scratch.path();
    for name in ["a", "gone", "z"] {
        write(&home.join(name), format!("{name}1").as_bytes(), SECRET_MODE).unwrap();
    }
    let changes = vec![
        change(home, "a", "a2"),
        change(home, "new", "new2"),
        Change::Delete { path: home.join("gone") },
        change(home, "late", "late2"),
        change(home, "z", "z2"),
    ];
    let group = Group::stage(changes).unwrap();
    // Between staging and renaming, a directory appears where a file should go.
    fs::create_dir(home.join("late")).unwrap();
    let refused = group.commit();
    assert!(matches!(&refused, Err(Error::File { action: "replacing", .. })), "{refused:?}");
    assert_eq!(names(home), ["a", "gone", "late", "z"]);
    for name in ["a", "gone", "z"] {
        assert_eq!(read_to_string(home.join(name)).unwrap(), format!("{name}1"));
    }
}

#[test]
fn what_is_read_back_differently_is_put_back() {
    let scratch = TempDir::new().unwrap();
    let home = scratch.path();
    write(&home.join("a"), b"a1", SECRET_MODE).unwrap();
    let group = Group::stage(vec![change(home, "a", "a2")]).unwrap();
    // Somebody truncates the new version before it is in place.
    File::options().write(true).truncate(true).open(&group.steps[0].new.as_ref().unwrap().0.path).unwrap();
    assert!(matches!(group.commit(), Err(Error::ReadBack { .. })));
    assert_eq!(read_to_string(home.join("a")).unwrap(), "a1");
    assert_eq!(names(home), ["a"]);
}

#[test]
fn staging_alone_leaves_nothing() {
    let scratch = TempDir::new().unwrap();
    write(&scratch.path().join("a"), b"a1", SECRET_MODE).unwrap();
    drop(Group::stage(vec![change(scratch.path(), "a", "a2"), change(scratch.path(), "b", "b2")]).unwrap());
    assert_eq!(names(scratch.path()), ["a"]);
    assert_eq!(read_to_string(scratch.path().join("a")).unwrap(), "a1");
}

#[cfg(unix)]
#[test]
fn links_are_not_written_through() {
    let scratch = TempDir::new().unwrap();
    let home = scratch.path();
    write(&home.join("real"), b"1", SECRET_MODE).unwrap();
    std::os::unix::fs::symlink(home.join("real"), home.join("link")).unwrap();
    assert!(write(&home.join("link"), b"2", SECRET_MODE).is_err());
    replace_all(vec![Change::Delete { path: home.join("link") }]).unwrap();
    assert_eq!(names(home), ["real"]);
}

#[test]
fn only_old_leftovers_are_swept() {
    let scratch = TempDir::new().unwrap();
    let home = scratch.path();
    for name in [".sealift-1.part", ".sealift-2.part", ".other-3.part", "a.part"] {
        let file = File::create(home.join(name)).unwrap();
        let now = file.metadata().unwrap().modified().unwrap();
        let age = if name == ".sealift-2.part" { STALE_AGE - Duration::from_secs(60) } else { STALE_AGE * 2 };
        file.set_modified(now - age).unwrap();
    }
    fs::create_dir(home.join(".sealift-4.part")).unwrap();
    assert_eq!(sweep(home).unwrap(), 1);
    assert_eq!(names(home), [".other-3.part", ".sealift-2.part", ".sealift-4.part", "a.part"]);
    assert!(sweep(&home.join("missing")).is_err());
}
