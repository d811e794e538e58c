//! Every way in which a job can fail: a stable code, whether trying again can help, and what to do.
//!
//! The codes are part of what operators and automation see in job history; a code is never renamed. No message
//! holds a secret: none of the errors it is made from does.

use std::io;

use sealift_pki::Pkcs12Error;
use sealift_protocol::agent::leases::{MAX_MESSAGE, Outcome};

/// What went wrong, as a stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorCode {
    /// The store or a file it names is outside the agent's own allow-list.
    StoreNotAllowed,
    /// No driver has this store type.
    StoreTypeUnknown,
    /// The store does not exist.
    StoreMissing,
    /// The store exists and cannot be read as what it should be.
    StoreUnreadable,
    /// The password does not open the store.
    WrongPassword,
    /// Another certificate is in the place, and overwriting was not allowed.
    AlreadyExists,
    /// The store type cannot hold such an entry, or not under that alias.
    EntryRefused,
    /// Another process holds the lock of the store's directory.
    StoreBusy,
    /// A file could not be written; the old one is whole.
    WriteFailed,
    /// What was read back is not what was written.
    ReadBackMismatch,
    /// A file could not be put back after a failure.
    StoreDamaged,
    /// The command after the change failed; the change is in place.
    AfterChangeFailed,
    /// The job or a store property cannot be understood.
    InvalidPayload,
    /// The lease ran out or was taken away before the work was done.
    LeaseLost,
    /// The agent was told to stop before the work began.
    AgentStopping,
    /// The server refused the inventory.
    InventoryRefused,
    /// The agent's own records cannot be written.
    AgentStorageFailed,
    /// A fault in the agent.
    InternalError,
}

/// Code, whether another try without a person can help, and what the person should do.
const TABLE: [(ErrorCode, &str, bool, &str); 18] = [
    (
        ErrorCode::StoreNotAllowed,
        "store_not_allowed",
        false,
        "add the path to [[stores]] in the agent's own configuration and restart it, or correct the store",
    ),
    (ErrorCode::StoreTypeUnknown, "store_type_unknown", false, "choose a store type that this agent has"),
    (ErrorCode::StoreMissing, "store_missing", false, "create the store, or correct its path"),
    (ErrorCode::StoreUnreadable, "store_unreadable", false, "look at the file on the agent's machine"),
    (ErrorCode::WrongPassword, "wrong_password", false, "correct the password of the store"),
    (ErrorCode::AlreadyExists, "already_exists", false, "allow overwriting, or remove the old entry first"),
    (
        ErrorCode::EntryRefused,
        "entry_refused",
        false,
        "change the certificate or alias to what the store type takes",
    ),
    (
        ErrorCode::StoreBusy,
        "store_busy",
        true,
        "see which other agent or tool holds the lock of the store's directory",
    ),
    (ErrorCode::WriteFailed, "write_failed", false, "make the file and its directory writable for the agent"),
    (
        ErrorCode::ReadBackMismatch,
        "read_back_mismatch",
        true,
        "see which other process writes to the same file",
    ),
    (ErrorCode::StoreDamaged, "store_damaged", false, "look at the named file before anything else"),
    (
        ErrorCode::AfterChangeFailed,
        "after_change_failed",
        false,
        "repair what the command complains of, then run the job again",
    ),
    (ErrorCode::InvalidPayload, "invalid_payload", false, "correct the job or the properties of the store"),
    (ErrorCode::LeaseLost, "lease_lost", true, "none: the job is given out again"),
    (ErrorCode::AgentStopping, "agent_stopping", true, "none: the job is given out again"),
    (ErrorCode::InventoryRefused, "inventory_refused", true, "see the server's log"),
    (
        ErrorCode::AgentStorageFailed,
        "agent_storage_failed",
        true,
        "make room in the agent's data directory and make it writable",
    ),
    (ErrorCode::InternalError, "internal_error", true, "see the agent's log and report the fault"),
];

impl ErrorCode {
    fn row(self) -> (&'static str, bool, &'static str) {
        let row = TABLE.iter().find(|row| row.0 == self);
        row.map_or(("internal_error", true, ""), |row| (row.1, row.2, row.3))
    }

    /// The code as it travels.
    pub(crate) fn as_str(self) -> &'static str {
        self.row().0
    }

    /// Whether trying again without a person's help can succeed.
    pub(crate) fn transient(self) -> bool {
        self.row().1
    }

    /// What a person can do about it.
    pub(crate) fn remedy(self) -> &'static str {
        self.row().2
    }
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The stable code.
    pub(crate) code: ErrorCode,
    /// Whether trying again can help; mostly what the table says of the code.
    pub(crate) transient: bool,
    /// What happened, where, and what to do.
    pub(crate) message: String,
}

impl Failure {
    /// A failure whose message ends with the remedy of its code.
    pub(crate) fn new(code: ErrorCode, what: impl AsRef<str>) -> Self {
        let message = format!("{}; remedy: {}", what.as_ref(), code.remedy());
        Self { code, transient: code.transient(), message: shorten(&message) }
    }

    /// What the server is told.
    pub(crate) fn outcome(&self) -> Outcome {
        if self.transient { Outcome::TransientFailure } else { Outcome::Failure }
    }
}

/// Cuts a text to what a completion or step may carry.
pub(crate) fn shorten(text: &str) -> String {
    if text.chars().count() <= MAX_MESSAGE {
        return text.to_owned();
    }
    text.chars().take(MAX_MESSAGE - 1).chain(['…']).collect()
}

/// Whether an error of the system may pass by itself: a full disk, a busy file, a share that is away.
fn passes(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::StorageFull
            | Kind::QuotaExceeded
            | Kind::ResourceBusy
            | Kind::ExecutableFileBusy
            | Kind::StaleNetworkFileHandle
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::TimedOut
            | Kind::Interrupted
            | Kind::OutOfMemory
            | Kind::WouldBlock
    ) || error.raw_os_error().is_some_and(|number| {
        let number = rustix::io::Errno::from_raw_os_error(number);
        [
            rustix::io::Errno::IO,
            rustix::io::Errno::MFILE,
            rustix::io::Errno::NFILE,
            rustix::io::Errno::HOSTDOWN,
        ]
        .contains(&number)
    })
}

/// Whether the action that a driver names came before any change.
fn is_reading(action: &str) -> bool {
    let reads = ["reading", "listing", "finding", "opening"].iter().any(|word| action.starts_with(word));
    reads && action != "reading back"
}

impl From<sealift_stores::Error> for Failure {
    fn from(error: sealift_stores::Error) -> Self {
        use sealift_stores::Error as Store;
        let (code, transient) = match &error {
            Store::UnknownStoreType { .. } => (ErrorCode::StoreTypeUnknown, None),
            Store::Property { .. } => (ErrorCode::InvalidPayload, None),
            Store::Alias { .. } | Store::Entry { .. } | Store::UnsafeName { .. } => {
                (ErrorCode::EntryRefused, None)
            }
            Store::StoreMissing { .. } => (ErrorCode::StoreMissing, None),
            Store::OutsideAllowedDirectories { .. } => (ErrorCode::StoreNotAllowed, None),
            Store::Content { source: sealift_pki::Error::Pkcs12(Pkcs12Error::WrongPassword), .. } => {
                (ErrorCode::WrongPassword, None)
            }
            Store::FileTooLarge { .. } | Store::Content { .. } | Store::NotRewritable { .. } => {
                (ErrorCode::StoreUnreadable, None)
            }
            Store::File { action, source, .. }
                if is_reading(action) && source.kind() == io::ErrorKind::NotFound =>
            {
                (ErrorCode::StoreMissing, None)
            }
            Store::File { action, source, .. } if is_reading(action) => {
                (ErrorCode::StoreUnreadable, Some(passes(source)))
            }
            Store::File { source, .. } => (ErrorCode::WriteFailed, Some(passes(source))),
            Store::ReadBack { .. } => (ErrorCode::ReadBackMismatch, None),
            Store::AlreadyExists { .. } => (ErrorCode::AlreadyExists, None),
            Store::NotRestored { .. } => (ErrorCode::StoreDamaged, None),
        };
        let mut failure = Self::new(code, error.to_string());
        failure.transient = transient.unwrap_or(failure.transient);
        failure
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn the_table_names_every_code_once_in_snake_case() {
        for (at, (code, text, ..)) in TABLE.iter().enumerate() {
            assert_eq!(TABLE.iter().position(|row| row.0 == *code), Some(at));
            assert_eq!(TABLE.iter().position(|row| row.1 == *text), Some(at));
            assert!(text.len() <= 40 && text.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{text}");
            assert_eq!(code.as_str(), *text);
        }
    }

    fn failure_of(action: &'static str, kind: io::ErrorKind) -> Failure {
        let source = io::Error::from(kind);
        Failure::from(sealift_stores::Error::File { action, path: PathBuf::from("/s/a.pem"), source })
    }

    #[test]
    fn reading_and_writing_fail_under_different_codes() {
        let code = |action, kind| failure_of(action, kind).code;
        assert_eq!(code("finding", io::ErrorKind::NotFound), ErrorCode::StoreMissing);
        assert_eq!(code("reading", io::ErrorKind::PermissionDenied), ErrorCode::StoreUnreadable);
        assert_eq!(code("reading back", io::ErrorKind::PermissionDenied), ErrorCode::WriteFailed);
        assert_eq!(code("replacing", io::ErrorKind::NotFound), ErrorCode::WriteFailed);
    }

    #[test]
    fn a_full_disk_passes_and_a_missing_permission_does_not() {
        let failed = |kind| {
            let source = io::Error::from(kind);
            Failure::from(sealift_stores::Error::File {
                action: "writing",
                path: PathBuf::from("/s/a.pem"),
                source,
            })
        };
        assert_eq!(failed(io::ErrorKind::StorageFull).outcome(), Outcome::TransientFailure);
        assert_eq!(failed(io::ErrorKind::PermissionDenied).outcome(), Outcome::Failure);
        assert!(failed(io::ErrorKind::PermissionDenied).message.contains("/s/a.pem"));
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        assert_eq!(shorten(&"ä".repeat(MAX_MESSAGE + 5)).chars().count(), MAX_MESSAGE);
        assert_eq!(shorten("short"), "short");
    }
}
