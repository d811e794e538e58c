//! Management jobs: put a certificate into a store, take an entry out, make an empty store.
//!
//! A change is a transaction (`transaction.rs`): judged first, then a snapshot of its files, the change, and reading back.
//! What follows, the command and the proof by what is served, is in `settlement.rs`. Everything here can be repeated: a
//! job that comes again after a crash finds its work done or undone, and runs the command if it is still owed
//! (`journal.rs`).

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealift_pki::{Certificate, PrivateKey};
use sealift_protocol::StoreId;
use sealift_protocol::agent::leases::{AddWork, RemoveWork, StoreDescription};
use sealift_protocol::agent::verification::{Evidence, Restored, Target, Verification};
use sealift_stores::snapshot::Snapshot;
use sealift_stores::{Added, Alias, CertificateStore, Intent, NewEntry, Overwrite, Planned, Secret};
use zeroize::Zeroizing;

use crate::Agent;
use crate::allow_list::AllowedStore;
use crate::execution::{Attempt, Done, blocking};
use crate::failure::{ErrorCode, Failure};
use crate::identity::wall_clock;
use crate::jobs::{preflight, settlement};
use crate::steps::code;
use crate::transaction::{Phase, Record, Transactions};
use crate::verification::{self, Expected};

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
    /// What the entry holds now, as read back.
    after: Option<Expected>,
}

/// Runs a management job: the change as a transaction, then what settles it.
pub(crate) async fn run(
    agent: &Agent,
    attempt: Attempt,
    store: &StoreDescription,
    allowed: AllowedStore,
    change: Change,
    verification: Option<Verification>,
) -> Result<Done, Failure> {
    settlement::recover_before(agent, store.store_id).await?;
    // An empty store has nothing to announce, and a server told of one would rather complain.
    let command = allowed.after_change.clone().filter(|_| !matches!(change, Change::Create));
    let prepared = Prepared::parse(change)?;
    let warnings = prepared.preflight(verification.is_some())?;
    let targets = prepared.targets(verification.as_ref());
    settlement::check_reach(agent, verification.as_ref(), &targets).await?;
    let record = Record {
        phase: Phase::Writing,
        lease: attempt.lease.key,
        store: StoreDescription { password: None, properties: [].into(), ..store.clone() },
        verification,
        before: None,
        after: None,
        targets,
        message: String::new(),
    };
    let transactions = agent.transactions.clone();
    let (changed, record) = blocking({
        let attempt = attempt.clone();
        move || change_store(&attempt, &transactions, allowed, prepared, record)
    })
    .await??;
    let journal = agent.journal.clone();
    let owed = command.filter(|_| changed.changed || journal.is_pending(record.store.store_id));
    let mut done = settlement::settle(agent, Some(&attempt), record, owed, changed.changed).await?;
    done.warnings.extend(warnings);
    Ok(done)
}

/// Changes the store. Before the first change a snapshot and a record are on disk; after the last one the record says
/// that what was written was read back.
fn change_store(
    attempt: &Attempt,
    transactions: &Transactions,
    allowed: AllowedStore,
    prepared: Prepared,
    mut record: Record,
) -> Result<(Changed, Record), Failure> {
    let (path, store) = (allowed.settings.path.clone(), record.store.store_id);
    let mut driver = sealift_stores::open(allowed.store_type, allowed.settings)?;
    attempt.lease.record(code::STORE_OPENED, &format!("{} store {}", allowed.store_type, path.display()));
    attempt.may_begin()?;
    let planned = prepared.plan(attempt, driver.as_mut(), &path)?;
    if let Some(lost) = prepared.names_lost(&planned) {
        attempt.lease.record(code::NAMES_LOST, &lost);
    }
    record.before = planned.before.as_ref().and_then(|entry| Expected::of(&entry.certificates));
    if planned.changes {
        let snapshot = Snapshot::take(&planned.files)?;
        transactions.begin(&record, &snapshot)?;
        let message = format!("{} bytes of {}", snapshot.size(), named(&planned.files));
        attempt.lease.record(code::SNAPSHOT, &message);
    }
    match prepared.apply(attempt, driver.as_mut(), &path) {
        Ok(changed) => {
            record.after.clone_from(&changed.after);
            record.message.clone_from(&changed.message);
            record.phase = Phase::Written;
            if planned.changes {
                transactions.save(&record)?;
            }
            Ok((changed, record))
        }
        Err(failure) => Err(undone(transactions, store, planned.changes, failure)),
    }
}

/// A driver that fails leaves every file as it was, mostly; the snapshot sees to the rest.
fn undone(transactions: &Transactions, store: StoreId, began: bool, failure: Failure) -> Failure {
    if !began {
        return failure;
    }
    let put_back = transactions.snapshot(store).map(|snapshot| snapshot.put_back());
    let (complete, message) = match put_back {
        Some(Ok(0)) => {
            transactions.close(store);
            return failure;
        }
        Some(Ok(count)) => (true, format!("{count} files were put back")),
        Some(Err(error)) => (false, error.to_string()),
        None => (false, "the snapshot cannot be read".to_owned()),
    };
    if complete {
        transactions.close(store);
    }
    let restored = Restored { complete, message, ..Restored::default() };
    failure.with(Evidence { restored: Some(restored), ..Evidence::default() })
}

/// A change, understood before anything is touched.
pub(super) enum Prepared {
    Add { entry: NewEntry, overwrite: Overwrite, create: bool },
    Remove(Alias),
    Create,
}

impl Prepared {
    pub(super) fn parse(change: Change) -> Result<Self, Failure> {
        match change {
            Change::Add(add) => {
                let overwrite = if add.overwrite { Overwrite::Allow } else { Overwrite::Refuse };
                Ok(Self::Add { create: add.create_if_missing, entry: new_entry(add)?, overwrite })
            }
            Change::Remove(remove) => Ok(Self::Remove(Alias::parse(&remove.alias)?)),
            Change::Create => Ok(Self::Create),
        }
    }

    /// The certificates that are to be put in, end entity first.
    pub(super) fn certificates(&self) -> &[Certificate] {
        match self {
            Self::Add { entry, .. } => &entry.certificates,
            Self::Remove(_) | Self::Create => &[],
        }
    }

    /// Judges what can be judged without the store; answers what deserves a look.
    pub(super) fn preflight(&self, served: bool) -> Result<Vec<String>, Failure> {
        match self {
            Self::Add { entry, .. } => preflight::judge(entry, served, wall_clock()),
            Self::Remove(_) | Self::Create => Ok(Vec::new()),
        }
    }

    /// Targets to be looked at afterwards; none where nothing new is to be served.
    pub(super) fn targets(&self, verification: Option<&Verification>) -> Vec<Target> {
        let leaf = self.certificates().first().zip(verification);
        leaf.map(|(leaf, verification)| verification::targets(verification, leaf)).unwrap_or_default()
    }

    /// What the store says would happen.
    pub(super) fn ask(&self, driver: &dyn CertificateStore) -> Result<Planned, sealift_stores::Error> {
        match self {
            Self::Add { entry, overwrite, .. } => driver.plan(&Intent::Add(entry, *overwrite)),
            Self::Remove(alias) => driver.plan(&Intent::Remove(alias)),
            Self::Create => driver.plan(&Intent::Create),
        }
    }

    /// Whether the store is made where it is missing.
    pub(super) const fn makes_store(&self) -> bool {
        matches!(self, Self::Add { create: true, .. } | Self::Create)
    }

    /// The plan of a change that is about to be made. A directory that is missing is made first, since an empty one is
    /// a store like another.
    fn plan(
        &self,
        attempt: &Attempt,
        driver: &mut dyn CertificateStore,
        path: &std::path::Path,
    ) -> Result<Planned, Failure> {
        match self.ask(driver) {
            Err(sealift_stores::Error::StoreMissing { .. }) if self.makes_store() => {
                create_missing(attempt, driver, path)?;
                Ok(self.ask(driver)?)
            }
            planned => Ok(planned?),
        }
    }

    /// A sentence about the names that the entry has now and lacks afterwards.
    fn names_lost(&self, planned: &Planned) -> Option<String> {
        let (_, lost) = preflight::names(planned.before.as_ref(), self.certificates().first());
        let replaces = matches!(self, Self::Add { .. }) && !lost.is_empty();
        replaces.then(|| format!("the new certificate lacks {}", lost.join(", ")))
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
                Ok(Changed { changed, message: message.to_owned(), after: None })
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
    Ok(Changed { changed, message, after: Expected::of(&entry.certificates) })
}

fn remove(attempt: &Attempt, driver: &mut dyn CertificateStore, alias: &Alias) -> Result<Changed, Failure> {
    let removed = driver.remove(alias)?;
    if !removed.changed {
        attempt.lease.record(code::UNCHANGED, &format!("'{alias}' is not in the store"));
        let message = format!("'{alias}' was not in the store");
        return Ok(Changed { changed: false, message, after: None });
    }
    attempt.lease.record(code::REMOVED, &named(&removed.files));
    let message = format!("'{alias}' was removed from {}", named(&removed.files));
    Ok(Changed { changed: true, message, after: None })
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
        let what = format!("PrivateKey does not belong to certificate {}", leaf.thumbprint());
        return Err(Failure::new(ErrorCode::KeyMismatch, what));
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
