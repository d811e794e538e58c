//! What is measured: one Postgres with two databases, and a server process on one of them, in a directory that is
//! removed at the end. The server has its default configuration but for the log.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use sealift_protocol::Secret;
use sealift_server::database::embedded::{EmbeddedPostgres, Options};
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use support::client::{Client, Credentials};
use support::programs::ServerProcess;
use tempfile::TempDir;

use crate::connection::Door;
use crate::meter::Meter;
use crate::operator::Operator;

/// The plain side's database.
const PLAIN: &str = "plain";
/// Connections of ours beside the server's.
const CONNECTIONS: u32 = 2;
/// Files that this program and the server, which inherits the limit, may hold open.
const FILES: u64 = 20_000;

/// Everything that runs. Fields are dropped in their order: the server first, the directory last.
pub(crate) struct Site {
    server: ServerProcess,
    /// The product's database, for what no call can do: filling, counting and clearing.
    pub(crate) product: PgPool,
    /// The plain side's database, and its address.
    pub(crate) plain: PgPool,
    pub(crate) plain_url: Secret,
    pub(crate) door: Arc<Door>,
    pub(crate) agent_url: String,
    pub(crate) ca_file: PathBuf,
    pub(crate) admin: Client,
    pub(crate) operator: Operator,
    pub(crate) meter: Meter,
    postgres: EmbeddedPostgres,
    directory: TempDir,
}

impl Site {
    /// Starts everything. With `statements`, Postgres counts what its statements cost.
    pub(crate) async fn start(parent: Option<&Path>, statements: bool) -> Result<Self> {
        raise_file_limit();
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        // Postgres, when root starts it, runs as a user of its own and must be able to pass through.
        let directory = tempfile::Builder::new()
            .prefix("sealift-bench-")
            .permissions(Permissions::from_mode(0o711))
            .tempdir_in(parent)?;
        let postgres = start_postgres(&directory.path().join("postgres"), statements).await?;
        let product_url = Secret::new(postgres.url().expose());
        sealift_server::database::migrate(&product_url).await?;
        let product = connect(&product_url).await?;
        sqlx::raw_sql("CREATE DATABASE plain").execute(&product).await?;
        if statements {
            sqlx::raw_sql("CREATE EXTENSION pg_stat_statements").execute(&product).await?;
        }
        let plain_url = Secret::new(postgres.url_of(PLAIN).expose());
        let plain = connect(&plain_url).await?;
        let environment = [("DATABASE_URL", product_url.expose()), ("SEALIFT_LOG__FILTER", "warn")];
        let data = directory.path().join("server");
        let log = directory.path().join("server.log");
        let server = ServerProcess::start(&data, "127.0.0.1:0", &environment, &log);
        let door = Arc::new(Door::new(server.text("BaseUrl"), server.text("CaFile"))?);
        let ca_file = PathBuf::from(server.text("CaFile"));
        let admin = administrator(&server, &ca_file)?;
        let token = admin
            .post("/Security/ApiTokens", &json!({"Name": "benchmark", "Roles": ["Administrators"]}))
            .await;
        let token = Secret::new(token.ok()["Token"].as_str().context("no token")?);
        Ok(Self {
            operator: Operator::new(Arc::clone(&door), &token)?,
            meter: Meter {
                server: server.process.id(),
                postgres: postgres.process_id().context("Postgres does not run")?,
                database: product.clone(),
            },
            agent_url: server.text("AgentUrl").to_owned(),
            server,
            product,
            plain,
            plain_url,
            door,
            ca_file,
            admin,
            postgres,
            directory,
        })
    }

    /// A place for files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What the server wrote into its log: it should be nothing.
    pub(crate) fn complaints(&self) -> String {
        std::fs::read_to_string(self.path("server.log")).unwrap_or_default()
    }

    /// Empties the queue and its history, as the plain side is emptied before each of its cases.
    pub(crate) async fn clear(&self) -> Result<()> {
        sqlx::raw_sql("TRUNCATE jobs, job_history, job_steps, audit_log").execute(&self.product).await?;
        self.settle().await
    }

    /// What the plain side does before each of its cases: fresh statistics, and no checkpoint due.
    pub(crate) async fn settle(&self) -> Result<()> {
        for statement in ["VACUUM (ANALYZE) jobs", "CHECKPOINT"] {
            sqlx::raw_sql(statement).execute(&self.product).await?;
        }
        Ok(())
    }

    /// Counts rows of the product's database.
    pub(crate) async fn count(&self, query: &'static str) -> Result<u64> {
        let count: i64 = sqlx::query_scalar(query).fetch_one(&self.product).await?;
        Ok(u64::try_from(count)?)
    }

    /// Stops the server as an operator would, then Postgres.
    pub(crate) async fn stop(self) {
        let Self { mut server, mut postgres, product, plain, directory, .. } = self;
        let ended = tokio::task::spawn_blocking(move || {
            server.process.terminate();
            drop((product, plain));
            postgres.stop();
            drop(directory);
        });
        // It is removed when dropped, too.
        let _ = ended.await;
    }
}

async fn start_postgres(directory: &Path, statements: bool) -> Result<EmbeddedPostgres> {
    let start = || {
        let directory = directory.to_owned();
        tokio::task::spawn_blocking(move || EmbeddedPostgres::start(&directory, &Options::from_environment()))
    };
    let mut postgres = start().await??;
    if statements {
        let database = connect(&Secret::new(postgres.url().expose())).await?;
        sqlx::raw_sql("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
            .execute(&database)
            .await?;
        database.close().await;
        tokio::task::spawn_blocking(move || postgres.stop()).await?;
        postgres = start().await??;
        let database = connect(&Secret::new(postgres.url().expose())).await?;
        sqlx::raw_sql("ALTER SYSTEM SET pg_stat_statements.track_planning = on").execute(&database).await?;
        sqlx::raw_sql("SELECT pg_reload_conf()").execute(&database).await?;
        database.close().await;
    }
    Ok(postgres)
}

async fn connect(url: &Secret) -> Result<PgPool> {
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect(url.expose())
        .await;
    pool.context("Postgres cannot be reached")
}

fn administrator(server: &ServerProcess, ca_file: &Path) -> Result<Client> {
    let text = std::fs::read_to_string(server.text("CredentialsFile"))?;
    let value: serde_json::Value = serde_json::from_str(&text)?;
    let member =
        |name: &str| value[name].as_str().map(str::to_owned).context("the credentials are not understood");
    let credentials = Credentials::Basic(member("Username")?, member("Password")?);
    Ok(Client::new(server.text("BaseUrl"), ca_file, credentials))
}

/// Thousands of connections need as many files; what cannot be had shows when they are opened.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(FILES, |maximum| maximum.min(FILES));
    if limit.current.is_some_and(|current| current < wanted) {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    }
}
