//! The database: pools, the schema's version, and grouping of commits.
//!
//! Statements are in the slices; here is only what all of them stand on.

pub(crate) mod batch;
pub mod embedded;

use std::time::Duration;

use sealift_protocol::Secret;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, PgPool};

use crate::configuration;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is not one.
    #[error("the database address is not valid: {0}; expected postgres://user:password@host/database")]
    Address(String),
    /// It does not answer, or refuses.
    #[error("the database cannot be reached: {0}")]
    Unreachable(#[source] sqlx::Error),
    /// It has another schema than this program.
    #[error("the database's schema is {found}, this program needs {needed}: {remedy}")]
    Schema {
        /// What was found.
        found: String,
        /// What is needed.
        needed: i64,
        /// What to do.
        remedy: &'static str,
    },
    /// A migration failed; its transaction was rolled back.
    #[error("the schema could not be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
}

/// The pools.
#[derive(Debug, Clone)]
pub struct Database {
    /// For operations and agents: short transactions only.
    pub main: PgPool,
    /// For lists and history: statements stop after a configured time.
    pub reports: PgPool,
}

impl Database {
    /// Connects both pools.
    ///
    /// # Errors
    /// [`Error::Address`] and [`Error::Unreachable`].
    pub async fn connect(url: &Secret, settings: &configuration::Database) -> Result<Self, Error> {
        let options = options(url)?;
        let cores = std::thread::available_parallelism().map_or(2, |cores| cores.get() as u32);
        let connections = if settings.connections == 0 { cores * 4 } else { settings.connections };
        let main = pool(options.clone(), connections).await?;
        let timeout = format!("{}s", settings.report_timeout_seconds);
        let reports =
            pool(options.options([("statement_timeout", timeout)]), settings.report_connections).await?;
        Ok(Self { main, reports })
    }

    /// Refuses a schema that this program was not made for.
    ///
    /// # Errors
    /// [`Error::Schema`] with what to do, and [`Error::Unreachable`].
    pub async fn check_schema(&self) -> Result<(), Error> {
        let needed = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
        let known: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
            .fetch_one(&self.main)
            .await
            .map_err(Error::Unreachable)?;
        let found: Option<i64> = match known {
            true => sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success")
                .fetch_one(&self.main)
                .await
                .map_err(Error::Unreachable)?,
            false => None,
        };
        match found {
            Some(version) if version == needed => Ok(()),
            Some(version) if version > needed => Err(Error::Schema {
                found: version.to_string(),
                needed,
                remedy: "run a newer sealift-server",
            }),
            found => Err(Error::Schema {
                found: found.map_or_else(|| "empty".to_owned(), |version| version.to_string()),
                needed,
                remedy: "run `sealift-server migrate`",
            }),
        }
    }
}

/// Brings the schema up to date; does nothing when it is.
///
/// # Errors
/// [`Error::Migration`], [`Error::Address`] and [`Error::Unreachable`].
pub async fn migrate(url: &Secret) -> Result<(), Error> {
    let mut connection = options(url)?.connect().await.map_err(Error::Unreachable)?;
    MIGRATIONS.run(&mut connection).await?;
    Ok(())
}

fn options(url: &Secret) -> Result<PgConnectOptions, Error> {
    let options: PgConnectOptions = url.expose().parse().map_err(|error: sqlx::Error| {
        // The address holds a password: say what is wrong with it, never what it is.
        Error::Address(match error {
            sqlx::Error::Configuration(inner) => inner.to_string(),
            _ => "it cannot be read".to_owned(),
        })
    })?;
    Ok(options.application_name("sealift-server").disable_statement_logging())
}

/// Connections live as long as the pool. With a life or an idle time sqlx 0.9 runs a task that now and then reads its
/// count of idle connections while it is below zero, takes it for a huge one, and never comes back.
async fn pool(options: PgConnectOptions, connections: u32) -> Result<PgPool, Error> {
    PgPoolOptions::new()
        .idle_timeout(None)
        .max_lifetime(None)
        .max_connections(connections)
        .min_connections(connections.min(2))
        .acquire_timeout(Duration::from_secs(10))
        .test_before_acquire(false)
        .connect_with(options)
        .await
        .map_err(Error::Unreachable)
}
