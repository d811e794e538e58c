//! The agent: asks the server for jobs, runs them against the certificate stores of its machine, and reports each
//! until it is heard.
//!
//! A run consists of three loops beside each other: `poll.rs` takes jobs and runs them one after another,
//! `heartbeat.rs` keeps their leases, `report.rs` sends what is finished. What a store is, is left to
//! `sealift-stores`; what a job is worth, to the server. The agent decides only what it may touch: `allow_list.rs`.

mod after_change;
mod allow_list;
mod backoff;
mod clock_offset;
pub mod configuration;
mod control;
pub mod doctor;
mod execution;
mod failure;
mod heartbeat;
mod host;
mod identity;
mod inventory_record;
mod jobs;
mod journal;
mod log_file;
mod outbox;
mod poll;
mod redaction;
mod registration;
mod report;
#[cfg(test)]
mod scripted_server;
mod server_client;
mod steps;
mod store_rule;
#[cfg(test)]
mod stories;
mod transaction;
mod verification;
mod write_lane;

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sealift_stores::atomic_file;
use tokio::sync::watch;
use uuid::Uuid;

pub use configuration::Configuration;
pub use control::{Status, Word, say};
pub use identity::IdentityError;
pub use log_file::LogFile;
pub use server_client::SetupError;
pub use store_rule::{AfterChange, MAX_AFTER_CHANGE_SECONDS, MAX_STORES, Place, StoreRule};

use control::Drain;
use heartbeat::HeldLeases;
use host::Host;
use identity::{Identity, IdentityFiles};
use inventory_record::InventoryRecords;
use journal::Journal;
use outbox::Outbox;
use server_client::ServerClient;
use transaction::Transactions;

/// Mode of the data directory and those in it.
const DIRECTORY_MODE: u32 = 0o700;

/// Why the agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory or something in it cannot be used.
    #[error("{path}: {source}; data_dir must be a directory that the agent's user may read and write", path = path.display())]
    DataDirectory {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another agent uses the data directory.
    #[error("{path} is locked: another agent uses this data_dir; stop it, or give each agent its own", path = path.display())]
    AlreadyRunning {
        /// The lock.
        path: PathBuf,
    },
    /// The identity cannot be read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The connection cannot be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

/// Everything that the loops share.
struct Agent {
    configuration: Configuration,
    client: ServerClient,
    identity_files: IdentityFiles,
    identity: Mutex<Option<Identity>>,
    leases: HeldLeases,
    outbox: Arc<Outbox>,
    /// Held by the one who empties the outbox.
    reporting: tokio::sync::Mutex<()>,
    journal: Journal,
    transactions: Transactions,
    /// Directory of keys that are to be certified.
    keys: PathBuf,
    inventory_records: InventoryRecords,
    /// Tells the server one run of the program from the next.
    instance: Uuid,
    /// Tells it this machine from others.
    host: Host,
    drain: Drain,
    log: LogFile,
    /// What runs now, for those who ask on this machine.
    running_job: Mutex<Option<String>>,
    stop: Stop,
    /// Held for as long as the agent runs.
    _lock: File,
}

/// Runs until `stop` becomes true; then the running job ends its current step, and what is finished is reported. The log
/// is kept in the data directory, too, from the moment that it is known to be ours.
///
/// # Errors
/// When the agent cannot start. Once started it goes on whatever happens to the server and the network.
pub async fn run(
    configuration: Configuration,
    stop: watch::Receiver<bool>,
    log: LogFile,
) -> Result<(), Error> {
    let agent = Agent::prepare(configuration, Stop(stop), log)?;
    tracing::info!(
        agent.name = agent.configuration.name,
        server = agent.configuration.server_url,
        stores = agent.configuration.stores.len(),
        waiting = agent.outbox.len(),
        drained = agent.drain.is_on(),
        "the agent starts, version {}",
        env!("CARGO_PKG_VERSION"),
    );
    tokio::select! {
        () = poll::run(&agent) => {}
        never = heartbeat::run(&agent.leases, &agent.client) => match never {},
        never = report::run(&agent) => match never {},
        never = control::run(&agent) => match never {},
    }
    report::last_words(&agent).await;
    tracing::info!(waiting = agent.outbox.len(), "the agent stops");
    Ok(())
}

/// Checks what can be checked without the server and without changing anything: that the trusted authorities are
/// readable. Paths of stores need not exist.
///
/// # Errors
/// [`SetupError`].
pub fn check(configuration: &Configuration) -> Result<(), SetupError> {
    ServerClient::new(configuration).map(drop)
}

impl Agent {
    fn prepare(configuration: Configuration, stop: Stop, log: LogFile) -> Result<Self, Error> {
        let root = configuration.data_dir.clone();
        prepare_directory(&root)?;
        let lock = lock(&root.join("lock"))?;
        let within = |name: &str| {
            let directory = prepare_directory(&root.join(name))?;
            // Leftovers of a crash are only untidy.
            let _ = atomic_file::sweep(&directory);
            Ok::<_, Error>(directory)
        };
        let _ = atomic_file::sweep(&root);
        if configuration.log_file_bytes > 0 {
            let directory = within("log")?;
            log.open(&directory, configuration.log_file_bytes)
                .map_err(|source| Error::DataDirectory { path: directory, source })?;
        }
        let outbox_directory = within("outbox")?;
        let outbox = Outbox::open(outbox_directory.clone())
            .map_err(|source| Error::DataDirectory { path: outbox_directory, source })?;
        let identity_files = IdentityFiles::new(root.clone());
        let identity = identity_files.load()?;
        let client = ServerClient::new(&configuration)?;
        client.identify(identity.as_ref())?;
        Ok(Self {
            client,
            identity_files,
            identity: Mutex::new(identity),
            leases: HeldLeases::default(),
            outbox: Arc::new(outbox),
            reporting: tokio::sync::Mutex::new(()),
            journal: Journal::new(within("journal")?),
            transactions: Transactions::new(within("transactions")?),
            keys: within("keys")?,
            inventory_records: InventoryRecords::new(within("inventory")?),
            instance: Uuid::new_v4(),
            host: Host::look(),
            drain: Drain::load(&root),
            log,
            running_job: Mutex::default(),
            stop,
            _lock: lock,
            configuration,
        })
    }

    /// The id that the server gave, for the log; empty before the first registration.
    fn id(&self) -> String {
        locked(&self.identity).as_ref().map(|identity| identity.agent_id.clone()).unwrap_or_default()
    }
}

/// Becomes true once, when the agent is told to stop.
#[derive(Debug, Clone)]
struct Stop(watch::Receiver<bool>);

impl Stop {
    fn is_told(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when the agent is told to stop.
    async fn told(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|stop| *stop).await.is_err() {
            // Nobody is left who could tell it.
            std::future::pending::<()>().await;
        }
    }

    /// Waits so long, or until the agent is told to stop; whether it was.
    async fn told_within(&self, pause: std::time::Duration) -> bool {
        tokio::time::timeout(pause, self.told()).await.is_ok()
    }
}

/// Makes the directory where it is missing, and closes it to others where it is open.
fn prepare_directory(path: &Path) -> Result<PathBuf, Error> {
    let failed = |source| Error::DataDirectory { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path).map_err(failed)?;
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "the data directory was open to other users and is closed now");
        fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE)).map_err(failed)?;
    }
    Ok(path.to_owned())
}

fn lock(path: &Path) -> Result<File, Error> {
    let failed = |source| Error::DataDirectory { path: path.to_owned(), source };
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::AlreadyRunning { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// The content of a lock, also when a holder panicked: every change under one is whole in itself.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_directory_is_closed_to_others() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        for mode in [0o700, 0o755] {
            prepare_directory(&path).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
    }

    #[test]
    fn only_one_agent_uses_a_data_directory() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("lock");
        let first = lock(&path).unwrap();
        assert!(matches!(lock(&path), Err(Error::AlreadyRunning { .. })));
        drop(first);
        lock(&path).unwrap();
    }

    #[tokio::test]
    async fn a_stop_is_told_to_everyone_and_stays_told() {
        let (tell, told) = watch::channel(false);
        let stop = Stop(told);
        assert!(!stop.is_told());
        tell.send(true).unwrap();
        drop(tell);
        stop.told().await;
        assert!(stop.is_told() && stop.clone().told_within(std::time::Duration::from_secs(60)).await);
    }
}
