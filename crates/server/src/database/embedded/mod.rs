//! A private Postgres for a server that was given no `DATABASE_URL`: installed binaries, supervised by us.
//!
//! It listens on 127.0.0.1 only, asks for a random password, keeps `fsync` on, ends when this process ends
//! (however it ends), and is started again when it dies by itself. It is meant for one machine; what several
//! servers share comes from `DATABASE_URL`. Pools, schema and migrations are left to the rest of `database`.

mod account;
mod binaries;
mod cluster;
mod error;
mod supervision;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use zeroize::Zeroizing;

use self::account::Account;
use self::binaries::Binaries;
use self::cluster::Directory;
pub use self::error::Error;
use self::supervision::{Shared, Supervisor};

/// The superuser, and the only user.
const USER: &str = "sealift";
/// The database made with the cluster.
const DATABASE: &str = "sealift";
/// Connections, unless told otherwise.
const MAX_CONNECTIONS: u32 = 100;
/// Shared buffers in MB, unless told otherwise.
const SHARED_BUFFERS_MB: u32 = 256;
/// How long a start may take, recovery included, unless told otherwise.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Settings that do not change. Only `fsync` and its like keep a promise; the rest suits a small hot table with
/// many short statements. The log holds no statement and no row, since a row may hold what was sealed.
const SETTINGS: [&str; 15] = [
    "unix_socket_directories=",
    // A connection that never introduces itself would hold up a stop this long.
    "authentication_timeout=15s",
    "fsync=on",
    "full_page_writes=on",
    "synchronous_commit=on",
    "max_wal_size=4GB",
    "checkpoint_timeout=15min",
    "autovacuum=on",
    "autovacuum_naptime=10s",
    "jit=off",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_min_messages=log",
    "log_min_error_statement=panic",
    "log_error_verbosity=terse",
];

/// What an operator or a test may choose.
#[derive(Debug, Clone)]
pub struct Options {
    /// Directory that holds `initdb` and `postgres`; none for the newest `/usr/lib/postgresql/*/bin`.
    pub binaries: Option<PathBuf>,
    /// `shared_buffers`, in megabytes.
    pub shared_buffers_mb: u32,
    /// `max_connections`.
    pub max_connections: u32,
    /// How long the start may take, recovery after a crash included.
    pub ready_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            binaries: None,
            shared_buffers_mb: SHARED_BUFFERS_MB,
            max_connections: MAX_CONNECTIONS,
            ready_within: READY_WITHIN,
        }
    }
}

impl Options {
    /// The defaults, with the binaries that `PG_BIN` names.
    pub fn from_environment() -> Self {
        let binaries = std::env::var_os("PG_BIN").filter(|name| !name.is_empty()).map(PathBuf::from);
        Self { binaries, ..Self::default() }
    }
}

/// Where to connect, with the password. `Debug` does not show it.
#[derive(Clone)]
pub struct ConnectionUrl(Zeroizing<String>);

impl ConnectionUrl {
    /// The whole `postgres://` URL. Do not log, format or store what this returns.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ConnectionUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.0.rsplit_once('@').map_or("", |(_, place)| place);
        write!(f, "ConnectionUrl(postgres://{USER}:..@{place})")
    }
}

/// A running Postgres, which ends when this is dropped.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    supervisor: Arc<Supervisor>,
    password: Password,
    thread: Option<JoinHandle<()>>,
}

struct Password(Zeroizing<String>);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl EmbeddedPostgres {
    /// Starts the Postgres of a directory, which is made on the first use. Blocks until it accepts connections.
    ///
    /// The directory holds nothing else. Run by root, it gets mode 0711 and Postgres runs as the user
    /// `postgres`, else `nobody`, who must be able to pass through all directories above it.
    ///
    /// # Errors
    /// [`Error`] says in one line what stands in the way.
    pub fn start(directory: &Path, options: &Options) -> Result<Self, Error> {
        let directory = Directory::take(directory)?;
        let (data, made_by) = (directory.data(), directory.made_by()?);
        let account = Account::choose(&data)?;
        directory.admit(&account)?;
        let binaries = Binaries::find(options.binaries.as_deref(), made_by)?;
        account.check_may_enter(binaries.directory())?;
        let password = match made_by {
            Some(made_by) => {
                binaries.check_made_by(made_by, &data)?;
                directory.password()?
            }
            None => directory.make(&binaries, &account)?,
        };
        let chosen = [
            format!("shared_buffers={}MB", options.shared_buffers_mb),
            format!("max_connections={}", options.max_connections),
        ];
        let supervisor = Arc::new(Supervisor {
            directory,
            account,
            postgres: binaries.postgres(),
            settings: SETTINGS.into_iter().map(str::to_owned).chain(chosen).collect(),
            ready_within: options.ready_within,
            shared: Shared::default(),
        });
        let thread = spawn(Arc::clone(&supervisor))?;
        let postgres = Self { supervisor, password: Password(password), thread: Some(thread) };
        postgres.supervisor.shared.first_start()?;
        Ok(postgres)
    }

    /// Where to connect: the database `sealift`, as its superuser. It stays the same while this lives.
    pub fn url(&self) -> ConnectionUrl {
        self.url_of(DATABASE)
    }

    /// The same for another database of the cluster. Its name is taken as it is: letters, digits, `_` and `-`.
    pub fn url_of(&self, database: &str) -> ConnectionUrl {
        let (password, port) = (self.password.0.as_str(), self.supervisor.shared.port());
        ConnectionUrl(Zeroizing::new(format!(
            "postgres://{USER}:{password}@127.0.0.1:{port}/{database}?sslmode=disable"
        )))
    }

    /// Process id of the server; none while it is being started again.
    pub fn process_id(&self) -> Option<u32> {
        self.supervisor.shared.process()
    }

    /// How often Postgres became ready: 1 until it dies by itself for the first time.
    pub fn starts(&self) -> u64 {
        self.supervisor.shared.starts()
    }

    /// Waits until [`starts`](Self::starts) has reached a number, and says whether it did in time.
    pub fn await_starts(&self, starts: u64, within: Duration) -> bool {
        self.supervisor.shared.await_starts(starts, within)
    }

    /// Ends Postgres by a fast shutdown, which breaks open connections, and waits for it. A second call does
    /// nothing; dropping does the same.
    pub fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.supervisor.shared.stop();
            if thread.join().is_err() {
                tracing::error!("the thread that supervised the embedded Postgres panicked");
            }
        }
    }
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(supervisor: Arc<Supervisor>) -> Result<JoinHandle<()>, Error> {
    let builder = thread::Builder::new().name("embedded-postgres".to_owned());
    builder
        .spawn(move || supervisor.run())
        .map_err(|source| Error::Process { program: "a thread".to_owned(), source })
}
