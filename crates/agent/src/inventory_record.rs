//! What the server last acknowledged of each store, kept on disk so that later inventories send only differences.
//!
//! The records are a saving and no truth: one that is missing, damaged or old costs a complete upload.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sealift_protocol::StoreId;
use sealift_stores::atomic_file;
use serde::{Deserialize, Serialize};

use crate::jobs::difference::Digests;

/// Most entries of a store that is remembered; a larger one is always sent whole.
const MAX_ENTRIES: usize = 50_000;
/// Most stores that are remembered.
const MAX_STORES: usize = 1_000;
/// Largest record, in bytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
const FILE_MODE: u32 = 0o600;
const EXTENSION: &str = "json";

/// An inventory that the server has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Acknowledged {
    /// Its name.
    pub(crate) version: String,
    /// What it holds.
    pub(crate) entries: Digests,
}

/// The records, one file for each store.
#[derive(Debug, Clone)]
pub(crate) struct InventoryRecords {
    directory: PathBuf,
}

impl InventoryRecords {
    /// Uses the directory, which must exist.
    pub(crate) const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn file(&self, store: StoreId) -> PathBuf {
        self.directory.join(format!("{store}.{EXTENSION}"))
    }

    /// What the server last acknowledged, where that is known.
    pub(crate) fn load(&self, store: StoreId) -> Option<Acknowledged> {
        let file = self.file(store);
        if fs::metadata(&file).ok()?.len() > MAX_BYTES {
            return None;
        }
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }

    /// Remembers what the server acknowledged. The inventory itself succeeded, so a failure here is only logged.
    pub(crate) fn save(&self, store: StoreId, acknowledged: &Acknowledged) {
        let file = self.file(store);
        if acknowledged.entries.len() > MAX_ENTRIES {
            let _ = fs::remove_file(file);
            return;
        }
        self.make_room(&file);
        let written = serde_json::to_vec(acknowledged)
            .map_err(|error| error.to_string())
            .and_then(|text| atomic_file::write(&file, &text, FILE_MODE).map_err(|error| error.to_string()));
        if let Err(error) = written {
            tracing::warn!(store.id = %store, error, "an inventory is not remembered; the next one is sent whole");
            let _ = fs::remove_file(file);
        }
    }

    /// Forgets the store that was not heard of for the longest time, where there are too many.
    fn make_room(&self, file: &Path) {
        if file.exists() {
            return;
        }
        let records = fs::read_dir(&self.directory).into_iter().flatten().flatten().map(|found| found.path());
        let mut records: Vec<(SystemTime, PathBuf)> = records
            .filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION))
            .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
            .collect();
        records.sort_unstable();
        let excess = (records.len() + 1).saturating_sub(MAX_STORES);
        for (_, path) in records.drain(..excess) {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledged(entries: usize) -> Acknowledged {
        let entries = (0..entries).map(|at| (format!("e{at}"), "digest".to_owned())).collect();
        Acknowledged { version: "v1".to_owned(), entries }
    }

    #[test]
    fn a_record_is_found_again_and_a_damaged_one_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let (records, store) = (InventoryRecords::new(directory.path().to_owned()), StoreId::generate());
        assert_eq!(records.load(store), None);
        records.save(store, &acknowledged(3));
        assert_eq!(records.load(store), Some(acknowledged(3)));
        atomic_file::write(&records.file(store), b"{\"version\":", FILE_MODE).unwrap();
        assert_eq!(records.load(store), None);
    }

    #[test]
    fn what_is_too_large_is_forgotten_not_remembered_wrongly() {
        let directory = tempfile::tempdir().unwrap();
        let (records, store) = (InventoryRecords::new(directory.path().to_owned()), StoreId::generate());
        records.save(store, &acknowledged(1));
        records.save(store, &acknowledged(MAX_ENTRIES + 1));
        assert_eq!(records.load(store), None);
    }
}
