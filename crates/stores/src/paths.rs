//! Which files a store may touch, and reading them within bounds.
//!
//! A path of a store, or one that a property names, is resolved first: links in its directories are followed, and a
//! file that is itself a link stands for the file it leads to. The result must lie in a directory that the settings
//! allow, so that neither a property nor a link leads out of it.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read as _},
    path::{Component, Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{Error, Settings};

/// Largest file of a store, in bytes, PEM bundles included.
pub(crate) const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The directories in which a store's files may lie.
#[derive(Debug, Clone)]
pub(crate) struct Boundary {
    /// Directory of the store, resolved.
    home: PathBuf,
    /// Allowed directories, resolved.
    allowed: Vec<PathBuf>,
}

impl Boundary {
    /// The boundary around a store whose files lie in this directory, unless the settings allow more.
    pub(crate) fn new(home: &Path, settings: &Settings) -> Result<Self, Error> {
        let home = fs::canonicalize(home).map_err(|source| unresolved(home, source))?;
        let allowed = if settings.allowed_directories.is_empty() {
            vec![home.clone()]
        } else {
            // One that does not exist allows nothing.
            settings.allowed_directories.iter().filter_map(|allowed| fs::canonicalize(allowed).ok()).collect()
        };
        let boundary = Self { home, allowed };
        boundary.check(&boundary.home)?;
        Ok(boundary)
    }

    /// The store's own directory, resolved.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Where a file really is, if it may be touched; it need not exist. Relative paths start at the store's directory.
    pub(crate) fn resolve(&self, path: &Path) -> Result<PathBuf, Error> {
        let path = self.home.join(path);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::OutsideAllowedDirectories { path });
        };
        let parent = fs::canonicalize(parent).map_err(|source| unresolved(parent, source))?;
        let mut target = parent.join(name);
        if fs::symlink_metadata(&target).is_ok_and(|metadata| metadata.is_symlink()) {
            target = fs::canonicalize(&target).map_err(|source| unresolved(&target, source))?;
        }
        self.check(&target)?;
        Ok(target)
    }

    fn check(&self, path: &Path) -> Result<(), Error> {
        if self.allowed.iter().any(|allowed| path.starts_with(allowed)) {
            return Ok(());
        }
        Err(Error::OutsideAllowedDirectories { path: path.to_owned() })
    }
}

/// Whether text is the name of a file and nothing more: one component, not hidden, no drive, stream or control
/// character.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    components.next() == Some(Component::Normal(OsStr::new(name)))
        && components.next().is_none()
        && !name.starts_with('.')
        && !name.chars().any(|character| character.is_control() || matches!(character, '/' | '\\' | ':'))
}

/// The directory of a store that is one file.
pub(crate) fn home_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Reads a regular file within bounds; nothing when there is none.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let failed = |source| Error::File { action: "reading", path: path.to_owned(), source };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    if !metadata.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
    }
    if metadata.len() > limit {
        return Err(Error::FileTooLarge { path: path.to_owned(), size: metadata.len(), limit });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default()));
    match File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)) {
        // It may have grown since its size was asked for.
        Ok(size) if size as u64 > limit => {
            Err(Error::FileTooLarge { path: path.to_owned(), size: size as u64, limit })
        }
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed(source)),
    }
}

fn unresolved(path: &Path, source: io::Error) -> Error {
    Error::File { action: "finding", path: path.to_owned(), source }
}
