//! Every way in which a job can fail here. What each code means, whether trying again can help and what to do is in the
//! catalogue of the protocol.
//!
//! The codes are part of what operators and automation see in job history; a code is never renamed. No message
//! holds a secret: none of the errors it is made from does.

use std::io;

use sealift_pki::Pkcs12Error;
use sealift_protocol::agent::error_catalogue::{FailureClass, find};
use sealift_protocol::agent::leases::{MAX_MESSAGE, Outcome};
use sealift_protocol::agent::verification::Evidence;

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
    /// The private key does not belong to the certificate.
    KeyMismatch,
    /// A certificate of the chain did not issue the one before it.
    ChainBroken,
    /// The certificate has expired by this machine's clock.
    CertificateExpired,
    /// The server did not certify the key.
    EnrollmentRefused,
    /// The certificate that came is not what was asked for.
    CertificateUnexpected,
    /// The file system has no room.
    DiskFull,
    /// A target of the verification is outside the agent's own list.
    TargetNotAllowed,
    /// The change is in place, and a target does not show it.
    VerificationFailed,
    /// The change was undone.
    Restored,
    /// The change had to be undone, and that failed.
    RestoreFailed,
}

impl ErrorCode {
    /// The code as it travels.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::StoreNotAllowed => "store_not_allowed",
            Self::StoreTypeUnknown => "store_type_unknown",
            Self::StoreMissing => "store_missing",
            Self::StoreUnreadable => "store_unreadable",
            Self::WrongPassword => "wrong_password",
            Self::AlreadyExists => "already_exists",
            Self::EntryRefused => "entry_refused",
            Self::StoreBusy => "store_busy",
            Self::WriteFailed => "write_failed",
            Self::ReadBackMismatch => "read_back_mismatch",
            Self::StoreDamaged => "store_damaged",
            Self::AfterChangeFailed => "after_change_failed",
            Self::InvalidPayload => "invalid_payload",
            Self::LeaseLost => "lease_lost",
            Self::AgentStopping => "agent_stopping",
            Self::InventoryRefused => "inventory_refused",
            Self::AgentStorageFailed => "agent_storage_failed",
            Self::InternalError => "internal_error",
            Self::KeyMismatch => "key_mismatch",
            Self::ChainBroken => "chain_broken",
            Self::CertificateExpired => "certificate_expired",
            Self::EnrollmentRefused => "enrollment_refused",
            Self::CertificateUnexpected => "certificate_unexpected",
            Self::DiskFull => "disk_full",
            Self::TargetNotAllowed => "target_not_allowed",
            Self::VerificationFailed => "verification_failed",
            Self::Restored => "restored",
            Self::RestoreFailed => "restore_failed",
        }
    }

    /// Whether trying again without a person's help can succeed, as the catalogue has it.
    pub(crate) fn transient(self) -> bool {
        let class = find(self.as_str()).map(|entry| entry.class);
        matches!(class, None | Some(FailureClass::Transient | FailureClass::Interrupted))
    }

    /// What a person can do about it.
    pub(crate) fn remedy(self) -> &'static str {
        find(self.as_str()).map_or("", |entry| entry.remedy)
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
    /// What was found and proved until then.
    pub(crate) evidence: Option<Box<Evidence>>,
}

impl Failure {
    /// A failure whose message ends with the remedy of its code.
    pub(crate) fn new(code: ErrorCode, what: impl AsRef<str>) -> Self {
        let message = format!("{}; remedy: {}", what.as_ref(), code.remedy());
        Self { code, transient: code.transient(), message: shorten(&message), evidence: None }
    }

    /// The failure with what was found.
    pub(crate) fn with(mut self, evidence: Evidence) -> Self {
        self.evidence = Some(Box::new(evidence));
        self
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
            Store::File { source, .. }
                if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                (ErrorCode::DiskFull, None)
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
    fn every_code_is_in_the_catalogue() {
        for code in [
            ErrorCode::StoreNotAllowed,
            ErrorCode::StoreTypeUnknown,
            ErrorCode::StoreMissing,
            ErrorCode::StoreUnreadable,
            ErrorCode::WrongPassword,
            ErrorCode::AlreadyExists,
            ErrorCode::EntryRefused,
            ErrorCode::WriteFailed,
            ErrorCode::ReadBackMismatch,
            ErrorCode::StoreDamaged,
            ErrorCode::AfterChangeFailed,
            ErrorCode::InvalidPayload,
            ErrorCode::LeaseLost,
            ErrorCode::AgentStopping,
            ErrorCode::InventoryRefused,
            ErrorCode::AgentStorageFailed,
            ErrorCode::InternalError,
            ErrorCode::KeyMismatch,
            ErrorCode::ChainBroken,
            ErrorCode::CertificateExpired,
            ErrorCode::EnrollmentRefused,
            ErrorCode::CertificateUnexpected,
            ErrorCode::DiskFull,
            ErrorCode::TargetNotAllowed,
            ErrorCode::VerificationFailed,
            ErrorCode::Restored,
            ErrorCode::RestoreFailed,
        ] {
            assert!(find(code.as_str()).is_some(), "{}", code.as_str());
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
        let full = failed(io::ErrorKind::StorageFull);
        assert_eq!((full.code, full.outcome()), (ErrorCode::DiskFull, Outcome::TransientFailure));
        assert_eq!(failed(io::ErrorKind::PermissionDenied).outcome(), Outcome::Failure);
        assert!(failed(io::ErrorKind::PermissionDenied).message.contains("/s/a.pem"));
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        assert_eq!(shorten(&"ä".repeat(MAX_MESSAGE + 5)).chars().count(), MAX_MESSAGE);
        assert_eq!(shorten("short"), "short");
    }
}
