//! The only way in which a file on disk changes: a hidden sibling is written and synchronized, renamed over the old
//! file, and read back. A reader sees the old file or the new one, whole, at every moment.
//!
//! Several files change as a group: all are staged before the first is renamed, and when one cannot be renamed those
//! before it are put back. What a crash leaves behind are hidden siblings, which [`sweep`] removes.
//! Which files a store may touch is decided in `paths.rs`.

use std::{
    collections::hash_map::RandomState,
    fs::{self, File, Metadata, OpenOptions},
    hash::{BuildHasher as _, Hasher as _},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use zeroize::Zeroizing;

use crate::Error;

/// Permission bits of a new file that holds a private key.
pub const SECRET_MODE: u32 = 0o600;
/// Permission bits of a new file that holds only certificates.
pub const PUBLIC_MODE: u32 = 0o644;
/// Age from which a hidden sibling is a leftover.
pub const STALE_AGE: Duration = Duration::from_secs(60 * 60);
/// Most names of a directory that are looked at.
pub const MAX_DIRECTORY_ENTRIES: usize = 200_000;
/// How often a free name for a sibling is looked for.
const MAX_NAME_ATTEMPTS: usize = 16;

const PREFIX: &str = ".sealift-";
const SUFFIX: &str = ".part";

/// One change of a group.
#[derive(Clone)]
pub enum Change {
    /// Makes or replaces a file.
    Write {
        /// The file.
        path: PathBuf,
        /// Its whole content.
        bytes: Zeroizing<Vec<u8>>,
        /// Unix permission bits of a new file. An old file keeps its own bits and owner, except that bits for others
        /// go when this mode has none.
        mode: u32,
    },
    /// Makes or replaces a file and gives it this owner and these permission bits, whatever the file has now.
    PutBack {
        /// The file.
        path: PathBuf,
        /// Its whole content.
        bytes: Zeroizing<Vec<u8>>,
        /// Unix permission bits.
        mode: u32,
        /// User and group.
        owner: (u32, u32),
    },
    /// Deletes a file; it is no error when there is none.
    Delete {
        /// The file.
        path: PathBuf,
    },
}

impl Change {
    /// The file that changes.
    pub fn path(&self) -> &Path {
        match self {
            Self::Write { path, .. } | Self::PutBack { path, .. } | Self::Delete { path } => path,
        }
    }
}

/// Replaces or makes one file. A symbolic link is refused: resolve it first.
///
/// # Errors
/// [`Error::File`], [`Error::ReadBack`]; the old file is whole then.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    replace_all(vec![Change::Write { path: path.to_owned(), bytes: Zeroizing::new(bytes.to_vec()), mode }])
}

/// Applies several changes in their order, all or none. Symbolic links are refused, except that deleting one takes
/// the link away.
///
/// # Errors
/// [`Error::File`], [`Error::ReadBack`]; every file is then as it was, unless [`Error::NotRestored`] says otherwise.
pub fn replace_all(changes: Vec<Change>) -> Result<(), Error> {
    Group::stage(changes)?.commit()
}

/// Removes hidden siblings in a directory that are older than [`STALE_AGE`], measured against the file system's own
/// clock; answers how many. Leftovers that cannot be removed are left.
///
/// # Errors
/// [`Error::File`] when the directory cannot be listed or written to.
pub fn sweep(directory: &Path) -> Result<usize, Error> {
    let failed = |action| move |source| Error::File { action, path: directory.to_owned(), source };
    let mut leftovers = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed("listing"))?.take(MAX_DIRECTORY_ENTRIES) {
        let entry = entry.map_err(failed("listing"))?;
        if is_sibling(&entry.file_name().to_string_lossy()) {
            leftovers.push(entry.path());
        }
    }
    if leftovers.is_empty() {
        return Ok(0);
    }
    let probe = Sibling::create(directory)?;
    let now = probe
        .file
        .metadata()
        .and_then(|metadata| metadata.modified())
        .map_err(failed("reading the time of"))?;
    let is_stale = |path: &PathBuf| {
        let metadata = fs::symlink_metadata(path).ok().filter(Metadata::is_file)?;
        now.duration_since(metadata.modified().ok()?).ok().filter(|age| *age >= STALE_AGE)
    };
    Ok(leftovers.iter().filter(|path| is_stale(path).is_some() && fs::remove_file(path).is_ok()).count())
}

/// Whether a file name is that of a hidden sibling.
pub fn is_sibling(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

/// A hidden file that is removed when it goes out of scope, unless it was renamed.
struct Sibling {
    path: PathBuf,
    file: File,
}

impl Sibling {
    fn create(directory: &Path) -> Result<Self, Error> {
        let mut last = None;
        for _ in 0..MAX_NAME_ATTEMPTS {
            let path = free_name(directory);
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, SECRET_MODE);
            match options.open(&path) {
                Ok(file) => return Ok(Self { path, file }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = Some(error),
                Err(source) => return Err(file_error("making a file in", directory, source)),
            }
        }
        let source = last.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into());
        Err(file_error("finding a free name in", directory, source))
    }

    /// Writes everything, sets permissions, and synchronizes.
    fn fill(&mut self, bytes: &[u8], mode: u32, old: Option<&Metadata>, target: &Path) -> Result<(), Error> {
        self.fill_with(bytes, target, |file| adopt_permissions(file, mode, old))
    }

    fn fill_with(
        &mut self,
        bytes: &[u8],
        target: &Path,
        permit: impl FnOnce(&File) -> io::Result<()>,
    ) -> Result<(), Error> {
        self.file
            .write_all(bytes)
            .map_err(|source| file_error("writing a new version of", target, source))?;
        permit(&self.file).map_err(|source| file_error("keeping the owner of", target, source))?;
        self.file.sync_all().map_err(|source| file_error("synchronizing a new version of", target, source))
    }
}

impl Drop for Sibling {
    fn drop(&mut self) {
        // After a rename there is nothing under this name, and an error here would hide the one that led here.
        let _ = fs::remove_file(&self.path);
    }
}

/// A name that nothing has yet. It need not be secret: the file is made only if the name is free.
fn free_name(directory: &Path) -> PathBuf {
    directory.join(format!("{PREFIX}{:016x}{SUFFIX}", RandomState::new().build_hasher().finish()))
}

#[cfg(unix)]
fn adopt_permissions(file: &File, mode: u32, old: Option<&Metadata>) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};

    let others = if mode & 0o007 == 0 { 0o770 } else { 0o777 };
    let kept = old.map_or(mode, |old| old.mode() & others);
    if let Some(old) = old {
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            let kept_owner = fchown(file, Some(old.uid()), Some(old.gid()));
            // Where everybody may read, another owner takes nothing away from any reader.
            if kept & 0o004 == 0 {
                kept_owner?;
            }
        }
    }
    file.set_permissions(fs::Permissions::from_mode(kept))
}

#[cfg(not(unix))]
fn adopt_permissions(_file: &File, _mode: u32, _old: Option<&Metadata>) -> io::Result<()> {
    // A new file inherits the access list of its directory.
    Ok(())
}

#[cfg(unix)]
fn set_permissions(file: &File, mode: u32, owner: (u32, u32)) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};

    let new = file.metadata()?;
    if (new.uid(), new.gid()) != owner {
        fchown(file, Some(owner.0), Some(owner.1))?;
    }
    file.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_permissions(_file: &File, _mode: u32, _owner: (u32, u32)) -> io::Result<()> {
    Ok(())
}

/// One change, ready to be made.
struct Step {
    target: PathBuf,
    /// What is put in place; nothing for a deletion.
    new: Option<(Sibling, Zeroizing<Vec<u8>>)>,
    /// Where the old file is kept until the group is done; nothing when there was none.
    old: Option<PathBuf>,
    /// Whether the old file is already kept there, rather than only going to be.
    kept: bool,
    done: bool,
}

impl Step {
    fn stage(change: Change) -> Result<Self, Error> {
        let target = change.path().to_owned();
        let directory = directory_of(&target);
        let metadata = match fs::symlink_metadata(&target) {
            Ok(metadata) if metadata.is_file() => Some(metadata),
            Ok(metadata) if metadata.is_symlink() && matches!(change, Change::Delete { .. }) => {
                Some(metadata)
            }
            Ok(_) => {
                let source = io::Error::new(io::ErrorKind::AlreadyExists, "it is not a regular file");
                return Err(file_error("replacing", &target, source));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(file_error("looking at", &target, source)),
        };
        let mut step = Self { target, new: None, old: None, kept: false, done: false };
        match change {
            Change::Write { bytes, mode, .. } => {
                let mut sibling = Sibling::create(&directory)?;
                sibling.fill(&bytes, mode, metadata.as_ref(), &step.target)?;
                step.new = Some((sibling, bytes));
            }
            Change::PutBack { bytes, mode, owner, .. } => {
                let mut sibling = Sibling::create(&directory)?;
                sibling.fill_with(&bytes, &step.target, |file| set_permissions(file, mode, owner))?;
                step.new = Some((sibling, bytes));
            }
            Change::Delete { .. } => {}
        }
        if let Some(metadata) = metadata {
            let keep = free_name(&directory);
            if step.new.is_some() {
                keep_copy(&step.target, &keep, &metadata)?;
                step.kept = true;
            }
            step.old = Some(keep);
        }
        Ok(step)
    }

    fn make(&mut self) -> Result<(), Error> {
        let moved = match (&self.new, &self.old) {
            (Some((sibling, _)), _) => fs::rename(&sibling.path, &self.target),
            (None, Some(keep)) => fs::rename(&self.target, keep),
            (None, None) => Ok(()),
        };
        moved.map_err(|source| file_error("replacing", &self.target, source))?;
        self.kept = self.old.is_some();
        self.done = true;
        Ok(())
    }

    fn undo(&mut self) -> io::Result<()> {
        if !self.done {
            return Ok(());
        }
        self.done = false;
        match &self.old {
            Some(keep) => {
                fs::rename(keep, &self.target)?;
                self.kept = false;
                Ok(())
            }
            None if self.new.is_some() => fs::remove_file(&self.target),
            None => Ok(()),
        }
    }

    fn read_back(&self) -> Result<(), Error> {
        let Some((_, bytes)) = &self.new else { return Ok(()) };
        let found = fs::read(&self.target).map(Zeroizing::new);
        let found = found.map_err(|source| file_error("reading back", &self.target, source))?;
        if found != *bytes {
            return Err(Error::ReadBack { path: self.target.clone() });
        }
        Ok(())
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(keep) = self.old.as_ref().filter(|_| self.kept) {
            // A copy that stays is swept later.
            let _ = fs::remove_file(keep);
        }
    }
}

/// Keeps the old file under another name beside itself: as a second link, or as a copy where there are no links.
fn keep_copy(target: &Path, keep: &Path, metadata: &Metadata) -> Result<(), Error> {
    if fs::hard_link(target, keep).is_ok() {
        return Ok(());
    }
    let bytes =
        fs::read(target).map(Zeroizing::new).map_err(|source| file_error("reading", target, source))?;
    let mut copy = Sibling::create(&directory_of(target))?;
    copy.fill(&bytes, SECRET_MODE, Some(metadata), target)?;
    fs::rename(&copy.path, keep).map_err(|source| file_error("keeping a copy of", target, source))
}

struct Group {
    steps: Vec<Step>,
}

impl Group {
    fn stage(changes: Vec<Change>) -> Result<Self, Error> {
        Ok(Self { steps: changes.into_iter().map(Step::stage).collect::<Result<_, _>>()? })
    }

    fn commit(mut self) -> Result<(), Error> {
        match self.make_all() {
            Ok(()) => Ok(()),
            Err(first) => Err(self.undo_all(first)),
        }
    }

    fn make_all(&mut self) -> Result<(), Error> {
        for step in &mut self.steps {
            step.make()?;
        }
        self.synchronize_directories()?;
        self.steps.iter().try_for_each(Step::read_back)
    }

    fn undo_all(&mut self, first: Error) -> Error {
        let mut error = first;
        for step in self.steps.iter_mut().rev() {
            if let Err(source) = step.undo() {
                // The kept copy is now the only old version: it stays.
                step.kept = false;
                let (path, kept) = (step.target.clone(), step.old.clone().unwrap_or(step.target.clone()));
                error = Error::NotRestored { first: Box::new(error), path, kept, source };
            }
        }
        // The old content is visible again; whether it is on disk yet cannot make the outcome worse.
        let _ = self.synchronize_directories();
        error
    }

    #[cfg(unix)]
    fn synchronize_directories(&self) -> Result<(), Error> {
        let directories: std::collections::BTreeSet<PathBuf> =
            self.steps.iter().map(|step| directory_of(&step.target)).collect();
        for directory in directories {
            File::open(&directory)
                .and_then(|open| open.sync_all())
                .map_err(|source| file_error("synchronizing", &directory, source))?;
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn synchronize_directories(&self) -> Result<(), Error> {
        // Directories cannot be synchronized; a rename is journalled by the file system.
        Ok(())
    }
}

/// Makes a symbolic link, in the place of whatever file or link is there.
///
/// # Errors
/// [`Error::File`].
#[cfg(unix)]
pub(crate) fn link(path: &Path, target: &Path) -> Result<(), Error> {
    let sibling = free_name(&directory_of(path));
    std::os::unix::fs::symlink(target, &sibling)
        .and_then(|()| fs::rename(&sibling, path))
        .map_err(|source| file_error("making the link", path, source))
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn file_error(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File { action, path: path.to_owned(), source }
}

#[cfg(test)]
#[path = "tests/atomic_file.rs"]
mod tests;
