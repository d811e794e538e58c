//! Remembers on disk which stores were changed without their after-change command having succeeded since.
//!
//! The note is written before the first change of a job and removed after the command. So when the agent dies
//! between the two, the next attempt finds the certificate in place, changes nothing, and still runs the command.

use std::fs;
use std::io;
use std::path::PathBuf;

use sealift_protocol::StoreId;
use sealift_stores::atomic_file;

use crate::failure::{ErrorCode, Failure};

const FILE_MODE: u32 = 0o600;

/// The notes: one small file for each store, named by its id.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    directory: PathBuf,
}

impl Journal {
    /// Uses the directory, which must exist.
    pub(crate) const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn file(&self, store: StoreId) -> PathBuf {
        self.directory.join(format!("{store}.pending"))
    }

    /// Whether a command is owed to the store.
    pub(crate) fn is_pending(&self, store: StoreId) -> bool {
        self.file(store).exists()
    }

    /// Notes that a command will be owed; the note is on disk when this returns.
    pub(crate) fn begin(&self, store: StoreId, path: &std::path::Path) -> Result<(), Failure> {
        let text = format!("after-change command owed to {}\n", path.display());
        atomic_file::write(&self.file(store), text.as_bytes(), FILE_MODE)
            .map_err(|error| Failure::new(ErrorCode::AgentStorageFailed, error.to_string()))
    }

    /// Forgets the note. One that stays by a failure here costs a needless reload later, no more.
    pub(crate) fn finish(&self, store: StoreId) {
        let file = self.file(store);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(store.id = %store, file = %file.display(), %error, "cannot remove an after-change note");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_survives_the_agent_and_ends_with_the_command() {
        let directory = tempfile::tempdir().unwrap();
        let (store, other) = (StoreId::generate(), StoreId::generate());
        let journal = Journal::new(directory.path().to_owned());
        assert!(!journal.is_pending(store));
        journal.begin(store, "/s/a.pem".as_ref()).unwrap();
        journal.begin(store, "/s/a.pem".as_ref()).unwrap();
        let reopened = Journal::new(directory.path().to_owned());
        assert!(reopened.is_pending(store) && !reopened.is_pending(other));
        reopened.finish(store);
        reopened.finish(store);
        assert!(!journal.is_pending(store));
    }

    #[test]
    fn a_note_that_cannot_be_written_stops_the_job() {
        let journal = Journal::new(PathBuf::from("/dev/null/journal"));
        let failure = journal.begin(StoreId::generate(), "/s/a.pem".as_ref()).unwrap_err();
        assert_eq!(failure.code, ErrorCode::AgentStorageFailed);
    }
}
