//! Management jobs: put a certificate into a store, take an entry out, make an empty store.
//!
//! A job succeeds only when what is on disk was read back and is what was asked for, and when the command after the
//! change succeeded, where there is one. Everything here can be repeated: a job that comes again after a crash finds
//! its work done, and runs the command if it is still owed (`journal.rs`).

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealift_pki::{Certificate, PrivateKey};
use sealift_protocol::StoreId;
use sealift_protocol::agent::leases::{AddWork, RemoveWork};
use sealift_stores::{Added, Alias, CertificateStore, NewEntry, Overwrite, Secret};
use zeroize::Zeroizing;

use crate::allow_list::AllowedStore;
use crate::execution::{Attempt, Done, blocking};
use crate::failure::{ErrorCode, Failure};
use crate::journal::Journal;
use crate::steps::code;
use crate::{Agent, after_change};

/// Most certificates in one job: an end entity and its chain.
const MAX_CERTIFICATES: usize = 32;
/// Most files that a message names.
const MAX_NAMED_FILES: usize = 10;

/// What to do to the store.
pub(crate) enum Change {
    /// Put a certificate in.
    Add(AddWork),
    /// Take an entry out.
    Remove(RemoveWork),
    /// Make the empty store.
    Create,
}

/// What came of it.
#[derive(Debug)]
struct Changed {
    /// Whether files are different now.
    changed: bool,
    /// For the report.
    message: String,
}

/// Runs a management job.
pub(crate) async fn run(
    agent: &Agent,
    attempt: Attempt,
    store: StoreId,
    allowed: AllowedStore,
    change: Change,
) -> Result<Done, Failure> {
    // An empty store has nothing to announce, and a server told of one would rather complain.
    let command = allowed.after_change.clone().filter(|_| !matches!(change, Change::Create));
    let path = allowed.settings.path.clone();
    let journal = agent.journal.clone();
    let notes = command.is_some().then(|| journal.clone());
    let done = blocking({
        let attempt = attempt.clone();
        move || change_store(&attempt, notes.as_ref(), store, allowed, change)
    });
    let Changed { mut message, .. } = done.await??;
    let owed = command.filter(|_| journal.is_pending(store));
    if let Some(command) = owed {
        attempt.may_go_on()?;
        after_change::run(&command).await.map_err(|reason| {
            let what = format!("{message}; the change of {} IS in place, but {reason}", path.display());
            Failure::new(ErrorCode::AfterChangeFailed, what)
        })?;
        let finished = journal.clone();
        blocking(move || finished.finish(store)).await?;
        attempt.lease.record(code::AFTER_CHANGE, &format!("'{command}' succeeded"));
        message = format!("{message}; '{command}' succeeded");
    }
    Ok(Done { message, ..Done::default() })
}

/// Changes the store, with a note in the journal from before the first change where a command will be owed.
fn change_store(
    attempt: &Attempt,
    journal: Option<&Journal>,
    store: StoreId,
    allowed: AllowedStore,
    change: Change,
) -> Result<Changed, Failure> {
    let prepared = Prepared::parse(change)?;
    let path = allowed.settings.path.clone();
    let mut driver = sealift_stores::open(allowed.store_type, allowed.settings)?;
    attempt.lease.record(code::STORE_OPENED, &format!("{} store {}", allowed.store_type, path.display()));
    attempt.may_begin()?;
    let owed_before = journal.is_some_and(|journal| journal.is_pending(store));
    if let Some(journal) = journal.filter(|_| !owed_before) {
        journal.begin(store, &path)?;
    }
    let result = prepared.apply(attempt, driver.as_mut(), &path);
    let untouched = match &result {
        Ok(changed) => !changed.changed,
        // A driver that fails leaves every file as it was, but for these.
        Err(failure) => !matches!(failure.code, ErrorCode::StoreDamaged | ErrorCode::ReadBackMismatch),
    };
    if let Some(journal) = journal.filter(|_| untouched && !owed_before) {
        journal.finish(store);
    }
    result
}

/// A change, understood before anything is touched.
enum Prepared {
    Add { entry: NewEntry, overwrite: Overwrite, create: bool },
    Remove(Alias),
    Create,
}

impl Prepared {
    fn parse(change: Change) -> Result<Self, Failure> {
        match change {
            Change::Add(add) => {
                let overwrite = if add.overwrite { Overwrite::Allow } else { Overwrite::Refuse };
                Ok(Self::Add { create: add.create_if_missing, entry: new_entry(add)?, overwrite })
            }
            Change::Remove(remove) => Ok(Self::Remove(Alias::parse(&remove.alias)?)),
            Change::Create => Ok(Self::Create),
        }
    }

    fn apply(
        self,
        attempt: &Attempt,
        driver: &mut dyn CertificateStore,
        path: &std::path::Path,
    ) -> Result<Changed, Failure> {
        match self {
            Self::Add { entry, overwrite, create } => {
                let created = create && create_missing(attempt, driver, path)?;
                let mut added = add(attempt, driver, entry, overwrite)?;
                added.changed |= created;
                Ok(added)
            }
            Self::Remove(alias) => remove(attempt, driver, &alias),
            Self::Create => {
                let changed = create_missing(attempt, driver, path)?;
                let message =
                    if changed { "the empty store was created" } else { "the store was there already" };
                driver.inventory()?;
                attempt.lease.record(code::READ_BACK, "the store can be read");
                Ok(Changed { changed, message: message.to_owned() })
            }
        }
    }
}

/// Makes the store; whether it was missing.
fn create_missing(
    attempt: &Attempt,
    driver: &mut dyn CertificateStore,
    path: &std::path::Path,
) -> Result<bool, Failure> {
    let missing = !path.exists();
    driver.create()?;
    if missing {
        attempt.lease.record(code::STORE_CREATED, &format!("{} was created", path.display()));
    }
    Ok(missing)
}

fn add(
    attempt: &Attempt,
    driver: &mut dyn CertificateStore,
    entry: NewEntry,
    overwrite: Overwrite,
) -> Result<Changed, Failure> {
    let wanted = entry.certificates.first().map(Certificate::thumbprint);
    let with_key = entry.private_key.is_some();
    let Added { entry, changed, replaced, files } = driver.add(entry, overwrite)?;
    let step = if changed { code::WRITTEN } else { code::UNCHANGED };
    attempt.lease.record(step, &named(&files));
    let found = entry.thumbprint();
    if found.is_none() || found != wanted || (with_key && !entry.has_private_key) {
        let show = |thumbprint: Option<_>| {
            thumbprint.map_or("nothing".to_owned(), |thumbprint| format!("{thumbprint}"))
        };
        let what = format!("{} was to hold {} and holds {}", named(&files), show(wanted), show(found));
        return Err(Failure::new(ErrorCode::ReadBackMismatch, what));
    }
    let thumbprint = found.map(|thumbprint| thumbprint.to_string()).unwrap_or_default();
    attempt.lease.record(code::READ_BACK, &format!("{thumbprint} as '{}'", entry.alias));
    let message = match (changed, replaced) {
        (false, _) => format!("certificate {thumbprint} was in place already as '{}'", entry.alias),
        (true, Some(old)) => {
            format!("certificate {thumbprint} replaced {old} as '{}' in {}", entry.alias, named(&files))
        }
        (true, None) => {
            format!("certificate {thumbprint} was added as '{}' in {}", entry.alias, named(&files))
        }
    };
    Ok(Changed { changed, message })
}

fn remove(attempt: &Attempt, driver: &mut dyn CertificateStore, alias: &Alias) -> Result<Changed, Failure> {
    let removed = driver.remove(alias)?;
    if !removed.changed {
        attempt.lease.record(code::UNCHANGED, &format!("'{alias}' is not in the store"));
        return Ok(Changed { changed: false, message: format!("'{alias}' was not in the store") });
    }
    attempt.lease.record(code::REMOVED, &named(&removed.files));
    Ok(Changed { changed: true, message: format!("'{alias}' was removed from {}", named(&removed.files)) })
}

/// What the job wants to add, with every part of it read.
fn new_entry(add: AddWork) -> Result<NewEntry, Failure> {
    let invalid = |what: String| Failure::new(ErrorCode::InvalidPayload, what);
    if add.certificates.is_empty() || add.certificates.len() > MAX_CERTIFICATES {
        let count = add.certificates.len();
        return Err(invalid(format!("Certificates: {count} given, expected 1 to {MAX_CERTIFICATES}")));
    }
    let read = |(at, text): (usize, &String)| {
        let der = STANDARD.decode(text).map_err(|_| invalid(format!("Certificates[{at}] is not base64")))?;
        Certificate::parse(&der).map_err(|error| invalid(format!("Certificates[{at}]: {error}")))
    };
    let certificates = add.certificates.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    let private_key = add.private_key.as_ref().map(|secret| {
        let der =
            STANDARD.decode(secret.expose()).map_err(|_| invalid("PrivateKey is not base64".to_owned()))?;
        PrivateKey::from_pkcs8_der(&Zeroizing::new(der))
            .map_err(|error| invalid(format!("PrivateKey: {error}")))
    });
    let private_key = private_key.transpose()?;
    if let (Some(key), Some(leaf)) = (&private_key, certificates.first())
        && !key.matches(leaf)
    {
        return Err(invalid(format!("PrivateKey does not belong to certificate {}", leaf.thumbprint())));
    }
    let alias =
        add.alias.as_deref().filter(|alias| !alias.trim().is_empty()).map(Alias::parse).transpose()?;
    let entry_password = add.entry_password.as_ref().filter(|secret| !secret.is_empty());
    let entry_password = entry_password.map(|secret| Secret::new(secret.expose()));
    Ok(NewEntry { alias, certificates, private_key, entry_password })
}

/// File names for a sentence.
fn named(files: &[PathBuf]) -> String {
    let mut names: Vec<String> =
        files.iter().take(MAX_NAMED_FILES).map(|file| file.display().to_string()).collect();
    if files.len() > MAX_NAMED_FILES {
        names.push(format!("{} more files", files.len() - MAX_NAMED_FILES));
    }
    if names.is_empty() { "no file".to_owned() } else { names.join(", ") }
}
