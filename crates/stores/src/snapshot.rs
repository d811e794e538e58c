//! What files were before a change, so that they can be put back byte for byte, with owner and permission bits.
//!
//! A snapshot holds everything that the files hold, private keys included. Where it is kept, and for how long, is its
//! owner's business; here it is made, turned into bytes and back, and put back.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{
    Error,
    atomic_file::{self, Change},
    paths,
};

/// Most bytes of all files together.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Most files.
pub const MAX_FILES: usize = 100_000;
/// Begins the bytes of a snapshot, with the version of the format.
const MAGIC: &[u8; 8] = b"SLSNAP01";

/// Some files as they were.
pub struct Snapshot {
    files: Vec<(PathBuf, Was)>,
}

/// What one path was.
enum Was {
    Absent,
    File { bytes: Zeroizing<Vec<u8>>, mode: u32, owner: (u32, u32) },
    Link { target: PathBuf },
}

impl Snapshot {
    /// Reads the files. A path without a file is remembered as such.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::FileTooLarge`] above [`MAX_BYTES`].
    pub fn take(files: &[PathBuf]) -> Result<Self, Error> {
        let mut kept = Vec::with_capacity(files.len());
        let mut room = MAX_BYTES;
        for path in files.iter().take(MAX_FILES) {
            let was = look(path, room)?;
            if let Was::File { bytes, .. } = &was {
                room = room.saturating_sub(bytes.len() as u64);
            }
            kept.push((path.clone(), was));
        }
        Ok(Self { files: kept })
    }

    /// Whether every file is as it was.
    ///
    /// # Errors
    /// [`Error::File`] when a file cannot be read.
    pub fn is_in_place(&self) -> Result<bool, Error> {
        for (path, was) in &self.files {
            if !same(was, path)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Puts back every file that is not as it was, all or none, and reads it back; answers how many.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::ReadBack`], [`Error::NotRestored`].
    pub fn put_back(&self) -> Result<usize, Error> {
        let (mut changes, mut links) = (Vec::new(), Vec::new());
        for (path, was) in &self.files {
            if same(was, path)? {
                continue;
            }
            match was {
                Was::Absent => changes.push(Change::Delete { path: path.clone() }),
                Was::File { bytes, mode, owner } => changes.push(Change::PutBack {
                    path: path.clone(),
                    bytes: bytes.clone(),
                    mode: *mode,
                    owner: *owner,
                }),
                Was::Link { target } => links.push((path, target)),
            }
        }
        let count = changes.len() + links.len();
        atomic_file::replace_all(changes)?;
        for (path, target) in links {
            put_link(path, target)?;
        }
        match self.is_in_place()? {
            true => Ok(count),
            false => Err(Error::ReadBack {
                path: self.files.first().map(|(path, _)| path.clone()).unwrap_or_default(),
            }),
        }
    }

    /// How many bytes the files have together.
    pub fn size(&self) -> u64 {
        let sizes = self.files.iter().map(|(_, was)| match was {
            Was::File { bytes, .. } => bytes.len() as u64,
            Was::Absent | Was::Link { .. } => 0,
        });
        sizes.sum()
    }

    /// The snapshot as bytes. They hold whatever secrets the files hold.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let names: usize = self.files.iter().map(|(path, _)| path.as_os_str().len() + 64).sum();
        let size = usize::try_from(self.size()).unwrap_or(0) + names + 64;
        // All the room at once, so that growing leaves no copies behind.
        let mut out = Zeroizing::new(Vec::with_capacity(size));
        out.extend_from_slice(MAGIC);
        put(&mut out, &(self.files.len() as u64).to_be_bytes());
        for (path, was) in &self.files {
            put(&mut out, path.as_os_str().as_encoded_bytes());
            match was {
                Was::Absent => put(&mut out, b"absent"),
                Was::File { bytes, mode, owner } => {
                    put(&mut out, b"file");
                    for number in [*mode, owner.0, owner.1] {
                        put(&mut out, &number.to_be_bytes());
                    }
                    put(&mut out, bytes);
                }
                Was::Link { target } => {
                    put(&mut out, b"link");
                    put(&mut out, target.as_os_str().as_encoded_bytes());
                }
            }
        }
        out
    }

    /// Reads what [`Snapshot::encode`] wrote; nothing when it is damaged.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let count = u64::from_be_bytes(take(&mut rest)?.try_into().ok()?);
        let count = usize::try_from(count).ok().filter(|count| *count <= MAX_FILES)?;
        let mut files = Vec::new();
        for _ in 0..count {
            let path = path_of(take(&mut rest)?)?;
            let was = match take(&mut rest)? {
                b"absent" => Was::Absent,
                b"link" => Was::Link { target: path_of(take(&mut rest)?)? },
                b"file" => {
                    let mut number = || Some(u32::from_be_bytes(take(&mut rest)?.try_into().ok()?));
                    let (mode, owner) = (number()?, (number()?, number()?));
                    Was::File { bytes: Zeroizing::new(take(&mut rest)?.to_vec()), mode, owner }
                }
                _ => return None,
            };
            files.push((path, was));
        }
        rest.is_empty().then_some(Self { files })
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_be_bytes(*length)).ok().filter(|length| *length <= after.len())?;
    let (bytes, after) = after.split_at(length);
    *rest = after;
    Some(bytes)
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;

    Some(PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(bytes).ok().map(PathBuf::from)
}

fn look(path: &Path, room: u64) -> Result<Was, Error> {
    let failed = |source| Error::File { action: "reading", path: path.to_owned(), source };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Was::Absent),
        Err(source) => return Err(failed(source)),
    };
    if metadata.is_symlink() {
        return Ok(Was::Link { target: fs::read_link(path).map_err(failed)? });
    }
    let (mode, owner) = permissions(&metadata);
    match paths::read(path, room)? {
        Some(bytes) => Ok(Was::File { bytes, mode, owner }),
        None => Ok(Was::Absent),
    }
}

fn same(was: &Was, path: &Path) -> Result<bool, Error> {
    Ok(match (was, look(path, MAX_BYTES)?) {
        (Was::Absent, Was::Absent) => true,
        (Was::Link { target }, Was::Link { target: now }) => *target == now,
        (
            Was::File { bytes, mode, owner },
            Was::File { bytes: bytes_now, mode: mode_now, owner: owner_now },
        ) => *bytes == bytes_now && *mode == mode_now && *owner == owner_now,
        _ => false,
    })
}

#[cfg(unix)]
fn permissions(metadata: &fs::Metadata) -> (u32, (u32, u32)) {
    use std::os::unix::fs::MetadataExt as _;

    (metadata.mode() & 0o7777, (metadata.uid(), metadata.gid()))
}

#[cfg(not(unix))]
fn permissions(_metadata: &fs::Metadata) -> (u32, (u32, u32)) {
    (0, (0, 0))
}

#[cfg(unix)]
fn put_link(path: &Path, target: &Path) -> Result<(), Error> {
    atomic_file::link(path, target)
}

#[cfg(not(unix))]
fn put_link(path: &Path, _target: &Path) -> Result<(), Error> {
    Err(Error::ReadBack { path: path.to_owned() })
}

#[cfg(test)]
#[path = "tests/snapshot.rs"]
mod tests;
