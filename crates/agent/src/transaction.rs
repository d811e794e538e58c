//! What is remembered on disk of a change under way: how far it is, what is to be served before and after it, and a
//! snapshot of its files. Both files of a store have mode 0600, and go when the change is proved or undone.
//!
//! So a crash at any point ends, at the next start, wholly old or wholly new: a change whose writing did not end is
//! undone, and one that was written is announced and proved. That is done in `jobs/settlement.rs`.

use std::fs;
use std::path::PathBuf;

use sealift_protocol::StoreId;
use sealift_protocol::agent::leases::{LeaseKey, StoreDescription};
use sealift_protocol::agent::verification::Verification;
use sealift_stores::atomic_file;
use sealift_stores::snapshot::Snapshot;
use serde::{Deserialize, Serialize};

use crate::failure::{ErrorCode, Failure};
use crate::verification::Expected;

const FILE_MODE: u32 = 0o600;
const RECORD: &str = "transaction";
const SNAPSHOT: &str = "snapshot";

/// How far a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// Files may be old or new.
    Writing,
    /// Files are new and were read back; the command and the proof are owed.
    Written,
    /// Files may be new or old again.
    Restoring,
}

/// A change under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) phase: Phase,
    pub(crate) lease: LeaseKey,
    /// The store, without its password and properties.
    pub(crate) store: StoreDescription,
    pub(crate) verification: Option<Verification>,
    /// What was served before, as far as the store knows.
    pub(crate) before: Option<Expected>,
    /// What is to be served.
    pub(crate) after: Option<Expected>,
    /// Targets to be looked at.
    pub(crate) targets: Vec<sealift_protocol::agent::verification::Target>,
    /// What was done, and why it is undone; for people.
    pub(crate) message: String,
}

/// The changes under way, at most one for each store.
#[derive(Debug, Clone)]
pub(crate) struct Transactions {
    directory: PathBuf,
}

impl Transactions {
    /// Uses the directory, which must exist.
    pub(crate) const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn file(&self, store: StoreId, extension: &str) -> PathBuf {
        self.directory.join(format!("{store}.{extension}"))
    }

    /// Keeps the snapshot, then the record; both are on disk when this returns, and only then may files change.
    pub(crate) fn begin(&self, record: &Record, snapshot: &Snapshot) -> Result<(), Failure> {
        let file = self.file(record.store.store_id, SNAPSHOT);
        atomic_file::write(&file, &snapshot.encode(), FILE_MODE).map_err(unsaved)?;
        self.save(record)
    }

    /// Keeps how far a change is.
    pub(crate) fn save(&self, record: &Record) -> Result<(), Failure> {
        let text = serde_json::to_vec(record).map_err(|error| unsaved(error.to_string()))?;
        atomic_file::write(&self.file(record.store.store_id, RECORD), &text, FILE_MODE).map_err(unsaved)
    }

    /// The change that is under way on a store.
    pub(crate) fn of(&self, store: StoreId) -> Option<Record> {
        serde_json::from_slice(&fs::read(self.file(store, RECORD)).ok()?).ok()
    }

    /// Every change that is under way.
    pub(crate) fn all(&self) -> Vec<Record> {
        let files = fs::read_dir(&self.directory).into_iter().flatten().flatten().map(|file| file.path());
        let records = files.filter(|path| path.extension().is_some_and(|extension| extension == RECORD));
        records.filter_map(|path| serde_json::from_slice(&fs::read(path).ok()?).ok()).collect()
    }

    /// What the files of the store were.
    pub(crate) fn snapshot(&self, store: StoreId) -> Option<Snapshot> {
        let bytes = zeroize::Zeroizing::new(fs::read(self.file(store, SNAPSHOT)).ok()?);
        Snapshot::decode(&bytes)
    }

    /// Forgets a change that is proved or undone: the record first, since a snapshot alone means nothing.
    pub(crate) fn close(&self, store: StoreId) {
        for extension in [RECORD, SNAPSHOT] {
            let file = self.file(store, extension);
            if let Err(error) = fs::remove_file(&file)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(store.id = %store, file = %file.display(), %error, "cannot remove a record of a change");
            }
        }
    }
}

fn unsaved(error: impl ToString) -> Failure {
    Failure::new(ErrorCode::AgentStorageFailed, error.to_string())
}
