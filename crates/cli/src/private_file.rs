//! Files that only their owner may read: secrets that are read, and secrets that are written.
//!
//! A file never changes in place: it is new, or it is a finished sibling renamed over the old one.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::failure::Failure;

/// The largest file that is read here: a CA bundle fits, an accident does not.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What is given to everyone but the owner of a file, and must not be.
#[cfg(unix)]
const OTHERS: u32 = 0o077;

fn unusable(path: &Path, reason: impl std::fmt::Display) -> Failure {
    Failure::Usage(format!("{}: {reason}", path.display()))
}

/// Reads a file that holds a secret.
///
/// A regular file that its group or others can read is refused: the secret is known to more than one, and
/// whoever relies on it should hear so. Pipes have no such mode and are read.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let file = File::open(path).map_err(|error| unusable(path, format!("cannot be opened: {error}")))?;
    refuse_readable_by_others(path, &file)?;
    read_bounded(path, file)
}

/// Reads a file that anyone may read, such as a CA certificate.
pub(crate) fn read_public(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let file = File::open(path).map_err(|error| unusable(path, format!("cannot be opened: {error}")))?;
    read_bounded(path, file)
}

fn read_bounded(path: &Path, file: File) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| unusable(path, format!("cannot be read: {error}")))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(unusable(path, format!("is longer than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

#[cfg(unix)]
fn refuse_readable_by_others(path: &Path, file: &File) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(|error| unusable(path, error))?;
    let mode = metadata.permissions().mode() & 0o777;
    if metadata.is_file() && mode & OTHERS != 0 {
        return Err(unusable(path, format!("holds a secret but has mode {mode:04o}; run `chmod 600` on it")));
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_readable_by_others(_path: &Path, _file: &File) -> Result<(), Failure> {
    Ok(())
}

/// A file being written: it appears whole under its name, or not at all.
///
/// The name is taken when the value is made, so that a taken name is noticed before the server is asked for
/// what goes into the file.
pub(crate) struct PrivateFile {
    path: PathBuf,
    written: PathBuf,
    file: File,
    finished: bool,
}

impl PrivateFile {
    /// Takes a name that must be free.
    pub(crate) fn create_new(path: &Path) -> Result<Self, Failure> {
        let file = open_new(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                unusable(path, "exists already; name another file, or give --force to replace it")
            }
            _ => unusable(path, format!("cannot be created: {error}")),
        })?;
        Ok(Self { path: path.to_owned(), written: path.to_owned(), file, finished: false })
    }

    /// Replaces what has the name, when finished.
    pub(crate) fn replace(path: &Path) -> Result<Self, Failure> {
        let name = path.file_name().ok_or_else(|| unusable(path, "is not the name of a file"))?;
        let written = path.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
        let file =
            open_new(&written).map_err(|error| unusable(path, format!("cannot be written: {error}")))?;
        Ok(Self { path: path.to_owned(), written, file, finished: false })
    }

    /// Writes the content and gives the file its name.
    pub(crate) fn finish(mut self, content: &[u8]) -> Result<(), Failure> {
        let mut write = || -> io::Result<()> {
            self.file.write_all(content)?;
            self.file.sync_all()?;
            if self.written != self.path {
                std::fs::rename(&self.written, &self.path)?;
            }
            sync_directory_of(&self.path)
        };
        write().map_err(|error| unusable(&self.path, format!("cannot be written: {error}")))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        if !self.finished {
            // What is left would be an empty or half a file; failing to remove it changes nothing else.
            let _ = std::fs::remove_file(&self.written);
        }
    }
}

fn open_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

/// Makes a directory, and those above it, that only the owner may enter.
pub(crate) fn create_directory(path: &Path) -> Result<(), Failure> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(path).map_err(|error| unusable(path, format!("cannot be created: {error}")))
}

#[cfg(unix)]
fn sync_directory_of(path: &Path) -> io::Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

#[cfg(not(unix))]
fn sync_directory_of(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn with_mode(directory: &Path, mode: u32) -> PathBuf {
        let path = directory.join(format!("token-{mode:o}"));
        PrivateFile::create_new(&path).unwrap().finish(b"canary").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for mode in [0o644, 0o640, 0o604, 0o666] {
            let failure = read_private(&with_mode(directory.path(), mode)).unwrap_err();
            assert_eq!(failure.exit_code(), 2);
            assert!(failure.to_string().contains("chmod 600"), "{failure}");
            assert!(!failure.to_string().contains("canary"), "{failure}");
        }
        for mode in [0o600, 0o400] {
            assert_eq!(read_private(&with_mode(directory.path(), mode)).unwrap().as_str(), "canary");
        }
    }

    #[test]
    fn a_new_file_is_private_and_its_name_must_be_free() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("web1.pfx");
        PrivateFile::create_new(&path).unwrap().finish(b"first").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let failure = PrivateFile::create_new(&path).err().unwrap();
        assert!(failure.to_string().contains("exists already"), "{failure}");
        PrivateFile::replace(&path).unwrap().finish(b"second").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_not_finished_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("web1.pfx");
        drop(PrivateFile::create_new(&path).unwrap());
        assert!(!path.exists());
        PrivateFile::create_new(&path).unwrap().finish(b"kept").unwrap();
        drop(PrivateFile::replace(&path).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"kept");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_without_end_is_refused() {
        let failure = read_public(Path::new("/dev/zero")).unwrap_err();
        assert!(failure.to_string().contains("longer than"), "{failure}");
    }
}
