//! One writer at a time in the directories of a store: another agent on this machine, or an operator's tool that locks
//! the directory (`flock DIRECTORY COMMAND`), is waited for.
//!
//! The lock is an advisory one on the directories themselves, so it leaves no file behind and ends with its holder,
//! however that ends. Where a file system has none (some network mounts), the change goes on without.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::allow_list::AllowedStore;
use crate::execution::{Attempt, blocking};
use crate::failure::{ErrorCode, Failure};

/// How long another writer is waited for; then the job is tried again later.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// Store properties that name a further file.
const FILES: [&str; 2] = ["privateKeyPath", "chainPath"];

/// The right to write, for as long as it is held.
#[derive(Debug)]
pub(crate) struct WriteLane(#[expect(dead_code, reason = "held")] Vec<File>);

/// Waits for the right to write in the directories of a store.
pub(crate) async fn enter(attempt: &Attempt, store: &AllowedStore) -> Result<WriteLane, Failure> {
    enter_within(attempt, store, PATIENCE).await
}

/// The same, with a patience of one's own.
pub(crate) async fn enter_within(
    attempt: &Attempt,
    store: &AllowedStore,
    patience: Duration,
) -> Result<WriteLane, Failure> {
    let directories = directories(store);
    let begun = Instant::now();
    loop {
        attempt.may_begin()?;
        let wanted = directories.clone();
        match blocking(move || lock_all(&wanted)).await? {
            Ok(held) => return Ok(WriteLane(held)),
            Err(busy) if begun.elapsed() >= patience => {
                return Err(Failure::new(
                    ErrorCode::StoreBusy,
                    format!("another process holds the lock of {}", busy.display()),
                ));
            }
            Err(busy) => {
                tracing::debug!(path = %busy.display(), "another process writes there; waiting for it")
            }
        }
        attempt.pause(PAUSE).await;
    }
}

/// The directories that a change of the store writes into, in one order for everyone.
fn directories(store: &AllowedStore) -> Vec<PathBuf> {
    let settings = &store.settings;
    let further = FILES.iter().filter_map(|name| settings.property(name)).map(Path::new);
    let of =
        |path: &Path| if path.is_dir() { Some(path.to_owned()) } else { path.parent().map(Path::to_owned) };
    let mut directories: Vec<PathBuf> =
        std::iter::once(settings.path.as_path()).chain(further).filter_map(of).collect();
    directories.sort_unstable();
    directories.dedup();
    directories
}

/// All locks, or the directory whose lock another process holds; then none is kept.
fn lock_all(directories: &[PathBuf]) -> Result<Vec<File>, PathBuf> {
    let mut held = Vec::with_capacity(directories.len());
    for directory in directories {
        // One that is not there yet has no other writer; one that cannot be opened fails the change itself.
        let Ok(opened) = File::open(directory) else { continue };
        match opened.try_lock() {
            Ok(()) => held.push(opened),
            Err(TryLockError::WouldBlock) => return Err(directory.clone()),
            Err(TryLockError::Error(error)) => {
                tracing::debug!(path = %directory.display(), %error, "the file system has no locks");
            }
        }
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_directories_are_locked_or_none() {
        let root = tempfile::tempdir().unwrap();
        let paths = ["a", "b", "absent"].map(|name| root.path().join(name));
        std::fs::create_dir(&paths[0]).unwrap();
        std::fs::create_dir(&paths[1]).unwrap();
        let first = lock_all(&paths[1..]).unwrap();
        assert_eq!(lock_all(&paths).unwrap_err(), paths[1]);
        assert!(lock_all(&paths[..1]).is_ok(), "the first was let go");
        drop(first);
        assert_eq!(lock_all(&paths).unwrap().len(), 2);
    }
}
