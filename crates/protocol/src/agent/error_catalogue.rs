//! Every stable code with which an attempt can end, or a job be refused by its agent: what it means, whether another
//! try can help, and what a person can do. Codes are never renamed; clients may act on them.

use serde::{Deserialize, Serialize};

/// What can be expected of another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FailureClass {
    /// It may pass by itself; the job is tried again.
    Transient,
    /// A person must do something first.
    NeedsPerson,
    /// The job as it was asked for can never succeed.
    Never,
    /// Not a failure of the work: the attempt ended for another reason, and the job goes on.
    Interrupted,
}

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// The stable code: lower-case words with underscores, at most 40 characters.
    pub code: &'static str,
    /// What can be expected of another try; an attempt may know better for its own case.
    pub class: FailureClass,
    /// What happened, in one sentence without a full stop.
    pub meaning: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

/// The entry of a code.
pub fn find(code: &str) -> Option<&'static CatalogueEntry> {
    CATALOGUE.iter().find(|entry| entry.code == code)
}

const fn entry(
    code: &'static str,
    class: FailureClass,
    meaning: &'static str,
    remedy: &'static str,
) -> CatalogueEntry {
    CatalogueEntry { code, class, meaning, remedy }
}

use FailureClass::{Interrupted, NeedsPerson, Never, Transient};

/// All codes, in groups: the store, the change, the job, the agent, the lease.
pub const CATALOGUE: &[CatalogueEntry] = &[
    entry(
        "store_not_allowed",
        NeedsPerson,
        "the store or a file it names is outside the agent's own allow-list",
        "add the path to [[stores]] in the agent's own configuration and restart it, or correct the store",
    ),
    entry(
        "store_type_unknown",
        Never,
        "the agent has no driver for the store type",
        "choose a store type that this agent has",
    ),
    entry("store_missing", NeedsPerson, "the store does not exist", "create the store, or correct its path"),
    entry(
        "store_unreadable",
        NeedsPerson,
        "the store exists and cannot be read as what it should be",
        "look at the file on the agent's machine",
    ),
    entry(
        "wrong_password",
        NeedsPerson,
        "the password does not open the store",
        "correct the password of the store",
    ),
    entry(
        "already_exists",
        NeedsPerson,
        "another certificate is in the place, and overwriting was not allowed",
        "allow overwriting, or remove the old entry first",
    ),
    entry(
        "entry_refused",
        Never,
        "the store type cannot hold such an entry, or not under that alias",
        "change the certificate or alias to what the store type takes",
    ),
    entry(
        "store_busy",
        Transient,
        "another process holds the lock of the store's directory",
        "see which other agent or tool holds the lock of the store's directory",
    ),
    entry(
        "write_failed",
        NeedsPerson,
        "a file could not be written; the old one is whole",
        "make the file and its directory writable for the agent",
    ),
    entry(
        "read_back_mismatch",
        Transient,
        "what was read back is not what was written",
        "see which other process writes to the same file",
    ),
    entry(
        "store_damaged",
        NeedsPerson,
        "a file could not be put back after a failure",
        "look at the named file before anything else",
    ),
    entry(
        "after_change_failed",
        NeedsPerson,
        "the command after the change failed",
        "repair what the command complains of, then run the job again",
    ),
    entry(
        "not_proved",
        NeedsPerson,
        "the change is in place, but its agent did not prove that every target of the store shows it",
        "see the evidence of the attempt, and whether each target can be reached from the agent's machine",
    ),
    entry(
        "key_mismatch",
        Never,
        "the private key does not belong to the certificate",
        "ask for it anew with the key of this certificate",
    ),
    entry(
        "chain_broken",
        Never,
        "a certificate of the chain did not issue the one before it",
        "send the chain in order, each certificate followed by its issuer",
    ),
    entry(
        "enrollment_refused",
        NeedsPerson,
        "the server did not certify the key that the agent made",
        "see the message; mostly the template does not allow such a certificate",
    ),
    entry(
        "certificate_unexpected",
        NeedsPerson,
        "the certificate that came is not for the agent's key or not for the names asked for",
        "see what the template changes of a request",
    ),
    entry(
        "certificate_expired",
        NeedsPerson,
        "the certificate has expired by the clock of the agent's machine",
        "renew the certificate, or correct the clock of that machine",
    ),
    entry(
        "disk_full",
        Transient,
        "the file system has no room; the old file is whole",
        "make room on the agent's machine",
    ),
    entry(
        "target_not_allowed",
        NeedsPerson,
        "a target of the verification is neither this machine nor in the agent's own list",
        "add it to verification_hosts in the agent's own configuration, or correct the store",
    ),
    entry(
        "verification_failed",
        NeedsPerson,
        "the change is in place, and a target does not show it",
        "see what the target shows instead; mostly the server was not reloaded, or reads other files",
    ),
    entry(
        "restored",
        NeedsPerson,
        "the change was undone, because the command after it failed or a target did not show it",
        "repair what the message names, then run the job again",
    ),
    entry(
        "restore_failed",
        NeedsPerson,
        "the change had to be undone, and that failed as well",
        "look at the store before anything else; the agent tries again when it starts and before its next job there",
    ),
    entry(
        "invalid_payload",
        Never,
        "the job or a store property cannot be understood",
        "correct the job or the properties of the store",
    ),
    entry(
        "lease_lost",
        Interrupted,
        "the lease ran out or was taken away before the work was done",
        "none: the job is given out again",
    ),
    entry(
        "agent_stopping",
        Interrupted,
        "the agent was told to stop before the work began",
        "none: the job is given out again",
    ),
    entry("inventory_refused", Transient, "the server refused the inventory", "see the server's log"),
    entry(
        "agent_storage_failed",
        Transient,
        "the agent's own records cannot be written",
        "make room in the agent's data directory and make it writable",
    ),
    entry("internal_error", Transient, "a fault in the agent", "see the agent's log and report the fault"),
    entry(
        "lease_expired",
        Interrupted,
        "the agent took the job up and did not report within its lease",
        "none: the job is given out again; if it goes on, see why the agent dies or loses its connection",
    ),
    entry(
        "agent_restarted",
        Interrupted,
        "the agent began anew without knowing of the attempt",
        "none: the job is given out again",
    ),
    entry(
        "inventory_missing",
        Transient,
        "the agent reported success, but uploaded no inventory",
        "see the agent's log; agents of the published protocol do so when the upload failed",
    ),
    entry(
        "enrollment_missing",
        Transient,
        "the agent reported a reenrollment as done, but had no certificate signed in this attempt",
        "see the agent's log; agents of the published protocol do so when the answer to their request was lost",
    ),
    entry(
        "refused_by_agent",
        NeedsPerson,
        "an agent of the published protocol refused the job",
        "see the message: mostly the store is missing or is a directory",
    ),
    entry(
        "agent_warning",
        NeedsPerson,
        "an agent of the published protocol reported a warning",
        "see the message",
    ),
    entry(
        "agent_unsure",
        Transient,
        "an agent of the published protocol did not say how the job ended",
        "the inventory that follows tells what is in the store",
    ),
    entry(
        "agent_failure",
        Transient,
        "an agent of the published protocol reported a failure",
        "see the message, and the agent's own log",
    ),
    entry(
        "agent_reset",
        Interrupted,
        "an operator reset the agent while it had the job",
        "approve the agent again and ask for the job anew",
    ),
    entry(
        "job_not_possible",
        Never,
        "the job cannot be described any more: its store or certificate has gone",
        "ask for it anew with what is there now",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_well_formed() {
        for (at, entry) in CATALOGUE.iter().enumerate() {
            let code = entry.code;
            assert_eq!(CATALOGUE.iter().position(|other| other.code == code), Some(at), "{code}");
            assert!(code.len() <= 40 && code.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{code}");
            assert!(!entry.meaning.is_empty() && !entry.remedy.is_empty(), "{code}");
            assert_eq!(find(code), Some(entry));
        }
    }
}
