//! Assembles the server from its slices, and runs it. Holds no rule of its own.

mod api_reference;
mod directory;
mod http_server;
mod listener;
mod replica;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use sealift_protocol::Secret;
use serde::Serialize;

use crate::agents::Directory;
use crate::authority::{self, Authority};
use crate::clock::Clock;
use crate::configuration::Configuration;
use crate::database::embedded::{self, EmbeddedPostgres};
use crate::database::{self, Database};
use crate::floor::Floor;
use crate::http::calls::Calls;
use crate::orchestrator_jobs::Dispatch;
use crate::sealing::{self, SealingKey};
use crate::{agent_api, certificate_stores, scheduler, security};

pub use http_server::{RouteFacts, filter_statement, openapi, permissions, routes};
pub(crate) use listener::Tls;
pub use replica::Replica;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory cannot be used.
    #[error("{path} cannot be used: {source}")]
    Path {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The sealing key.
    #[error(transparent)]
    Sealing(#[from] sealing::Error),
    /// The embedded Postgres.
    #[error(transparent)]
    Embedded(#[from] embedded::Error),
    /// The database.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The embedded authority.
    #[error(transparent)]
    Authority(#[from] authority::Error),
    /// The first administrator, or the cache of callers.
    #[error("{0}")]
    Security(String),
    /// TLS.
    #[error("the listener's certificate cannot be used: {0}")]
    Tls(String),
    /// The scheduler.
    #[error("the scheduler did not start: {0}")]
    Scheduler(String),
    /// A thread of the server died.
    #[error("the server stopped: {0}")]
    Stopped(std::io::Error),
}

/// What a started server says of itself, once, on one line.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ready {
    /// Address of the operator API.
    pub base_url: String,
    /// Address of the agents' door.
    pub agent_url: String,
    /// File with the root certificate (PEM) that clients and agents must trust.
    pub ca_file: PathBuf,
    /// This process.
    pub process_id: u32,
    /// File with the first administrator's name and password, mode 0600.
    pub credentials_file: PathBuf,
}

/// A server that listens, and is not yet serving.
pub struct Application {
    parts: Arc<Parts>,
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    ready: Ready,
    postgres: Option<EmbeddedPostgres>,
}

/// What handlers and sweeps share.
pub struct Parts {
    /// The floor.
    pub floor: Floor,
    pub(crate) authority: Arc<Authority>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) dispatch: Arc<Dispatch>,
    pub(crate) callers: Arc<security::Callers>,
    pub(crate) adds: Arc<certificate_stores::Adds>,
    pub(crate) completions: Arc<agent_api::Completions>,
    pub(crate) calls: Calls,
    pub(crate) pace: Arc<agent_api::Pace>,
}

impl Parts {
    /// Whether a poll of this agent is held.
    pub fn holds(&self, agent: &str) -> bool {
        self.dispatch.held().iter().any(|held| held.to_string() == agent)
    }
}

impl Application {
    /// Prepares everything up to the listening socket.
    ///
    /// # Errors
    /// [`Error`] says in one line what stands in the way.
    pub async fn build(configuration: Configuration, clock: Clock) -> Result<Self, Error> {
        let embedded = configuration.database.url.is_empty();
        directory::prepare(&configuration.data_dir, embedded)?;
        let sealing = SealingKey::load_or_create(&configuration.sealing_key_file())?;
        let address = configuration.listen;
        let listener = TcpListener::bind(address).map_err(|source| Error::Listen { address, source })?;
        let bound = listener.local_addr().map_err(|source| Error::Listen { address, source })?;
        let (floor, postgres) = lay_floor(configuration, sealing, bound, clock).await?;
        let security = |error: security::Error| Error::Security(error.to_string());
        security::audit::open_key(&floor).await.map_err(security)?;
        let authority = Arc::new(Authority::open(&floor).await?);
        let credentials_file = floor.configuration.data_dir.join("administrator.json");
        security::ensure_administrator(&floor, &credentials_file).await.map_err(security)?;
        let provider = security::open_provider(&floor).await.map_err(security)?;
        let callers = security::Callers::new(provider).map_err(security)?;
        let ca_file = floor.configuration.data_dir.join("ca.pem");
        directory::replace(&ca_file, authority.root_pem().as_bytes())?;
        let tls = match floor.configuration.plain_http {
            true => None,
            false => Some(Arc::new(Tls::open(&floor, &authority, bound).await?)),
        };
        let ready = ready(&floor, bound, ca_file, credentials_file);
        let parts = Arc::new(parts(floor, authority, callers));
        Ok(Self { parts, listener, tls, ready, postgres })
    }

    /// What scripts need to talk to the server.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// What handlers and sweeps share.
    pub fn parts(&self) -> &Arc<Parts> {
        &self.parts
    }

    /// Begins to serve.
    ///
    /// # Errors
    /// [`Error::Scheduler`], [`Error::Tls`] and [`Error::Listen`].
    pub async fn start(self) -> Result<Running, Error> {
        let scheduler = scheduler::start(&self.parts, self.tls.clone()).await?;
        let (server, handle) = http_server::start(&self.parts, self.listener, self.tls.as_deref())?;
        let serving = tokio::spawn(server);
        Ok(Running { parts: self.parts, handle, serving, scheduler, postgres: self.postgres })
    }
}

/// A server that serves.
pub struct Running {
    parts: Arc<Parts>,
    handle: ServerHandle,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
    scheduler: scheduler::Bell,
    postgres: Option<EmbeddedPostgres>,
}

impl Running {
    /// Returns when the server has died by itself.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn died(&mut self) -> Result<(), Error> {
        match (&mut self.serving).await {
            Ok(ended) => ended.map_err(Error::Stopped),
            Err(error) => Err(Error::Stopped(std::io::Error::other(error))),
        }
    }

    /// Stops at once, as tests do: running calls are cut off.
    pub async fn abort(self) {
        self.parts.dispatch.close();
        self.handle.stop(false).await;
    }

    /// Ends held polls, finishes running calls, and stops.
    pub async fn stop(mut self) {
        self.scheduler.stop().await;
        self.parts.dispatch.close();
        let bound = Duration::from_secs(self.parts.floor.configuration.stop_seconds);
        self.parts.calls.finish(bound).await;
        // Agents keep their connections open: what is left of them is only last answers on their way out.
        self.handle.stop(true).await;
        if !self.serving.is_finished() {
            let _ = (&mut self.serving).await;
        }
        self.parts.floor.database.main.close().await;
        self.parts.floor.database.reports.close().await;
        if let Some(mut postgres) = self.postgres.take() {
            // Blocks until Postgres has written what it holds.
            let _ = tokio::task::spawn_blocking(move || postgres.stop()).await;
        }
    }
}

/// Database, clock, sealing key and configuration, in one value; and the Postgres that must live as long.
async fn lay_floor(
    configuration: Configuration,
    sealing: SealingKey,
    bound: SocketAddr,
    clock: Clock,
) -> Result<(Floor, Option<EmbeddedPostgres>), Error> {
    let (postgres, url) = open_database(&configuration, configuration.database.url.is_empty()).await?;
    let database = Database::connect(&url, &configuration.database).await?;
    database.check_schema().await?;
    let floor = Floor {
        database,
        clock,
        sealing: Arc::new(sealing),
        public_url: public_url(&configuration, bound),
        configuration: Arc::new(configuration),
    };
    Ok((floor, postgres))
}

/// Takes an authority of the operator's own into the configured database, before the first start.
///
/// # Errors
/// [`Error::Authority`] when there are authorities already or the files do not belong together, and what opening the
/// database may fail with.
pub async fn import_authority(
    configuration: Configuration,
    files: &authority::Import<'_>,
    clock: Clock,
) -> Result<(), Error> {
    directory::prepare(&configuration.data_dir, configuration.database.url.is_empty())?;
    let sealing = SealingKey::load_or_create(&configuration.sealing_key_file())?;
    let address = configuration.listen;
    let (floor, postgres) = lay_floor(configuration, sealing, address, clock).await?;
    let imported = authority::import(&floor, files).await;
    floor.database.main.close().await;
    floor.database.reports.close().await;
    if let Some(mut postgres) = postgres {
        let _ = tokio::task::spawn_blocking(move || postgres.stop()).await;
    }
    Ok(imported?)
}

/// Brings the schema of the configured database up to date.
///
/// # Errors
/// [`Error::Database`], and [`Error::Embedded`] for the embedded Postgres.
pub async fn migrate(configuration: &Configuration) -> Result<(), Error> {
    let embedded = configuration.database.url.is_empty();
    directory::prepare(&configuration.data_dir, embedded)?;
    if !embedded {
        return Ok(database::migrate(&configuration.database.url).await?);
    }
    let (postgres, _) = open_database(configuration, true).await?;
    if let Some(mut postgres) = postgres {
        let _ = tokio::task::spawn_blocking(move || postgres.stop()).await;
    }
    Ok(())
}

/// Starts the embedded Postgres, which this server owns and migrates, where no other is configured.
async fn open_database(
    configuration: &Configuration,
    embedded: bool,
) -> Result<(Option<EmbeddedPostgres>, Secret), Error> {
    if !embedded {
        return Ok((None, configuration.database.url.clone()));
    }
    let directory = configuration.data_dir.join("postgres");
    let start = move || EmbeddedPostgres::start(&directory, &embedded::Options::from_environment());
    let postgres = tokio::task::spawn_blocking(start)
        .await
        .map_err(|error| Error::Stopped(std::io::Error::other(error)))??;
    let url = Secret::new(postgres.url().expose());
    database::migrate(&url).await?;
    Ok((Some(postgres), url))
}

fn parts(floor: Floor, authority: Arc<Authority>, callers: security::Callers) -> Parts {
    let dispatch = Arc::new(Dispatch::default());
    Parts {
        adds: Arc::new(certificate_stores::start_adds(floor.clone())),
        completions: Arc::new(agent_api::start_completions(floor.clone(), Arc::clone(&dispatch))),
        directory: Arc::new(Directory::default()),
        calls: Calls::default(),
        callers: Arc::new(callers),
        pace: Arc::new(agent_api::Pace::new(&floor.configuration.limits)),
        dispatch,
        authority,
        floor,
    }
}

fn public_url(configuration: &Configuration, bound: SocketAddr) -> String {
    match configuration.public_url.trim_end_matches('/') {
        "" if configuration.plain_http => format!("http://{bound}"),
        "" if bound.ip().is_unspecified() => format!("https://localhost:{}", bound.port()),
        "" => format!("https://{bound}"),
        url => url.to_owned(),
    }
}

fn ready(floor: &Floor, bound: SocketAddr, ca_file: PathBuf, credentials_file: PathBuf) -> Ready {
    let scheme = if floor.configuration.plain_http { "http" } else { "https" };
    let host = match bound.ip().is_unspecified() {
        true => format!("localhost:{}", bound.port()),
        false => bound.to_string(),
    };
    let base_url = format!("{scheme}://{host}");
    let door = floor.configuration.agents.virtual_directory.trim_matches('/');
    Ready {
        agent_url: format!("{base_url}/{door}"),
        base_url,
        ca_file: absolute(&ca_file),
        process_id: std::process::id(),
        credentials_file: absolute(&credentials_file),
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// How long last answers may take to reach their callers when the server stops, in seconds.
const LAST_ANSWERS: u64 = 1;
/// How long a connection may take to send the head of a call, and how long an idle one is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
const KEEP_ALIVE: Duration = Duration::from_secs(90);
