//! The plain side: pgbench on a minimal schema in a database of its own, on the same cluster.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use sealift_protocol::Secret;
use sqlx::PgPool;
use tokio::process::Command;

use crate::cases::Case;
use crate::figures::{Measured, percentiles};
use crate::meter::Meter;

/// Agents that jobs are spread over, where a case has none of its own.
const AGENTS: u32 = 5_000;
/// Clients of a case, unless it says otherwise: about four to each core gives the best figures.
const CLIENTS: u32 = 8;
/// The drain: agents of each client, and rounds that it makes through them, a hundred jobs at a time.
const DRAIN_AGENTS: u32 = 25;
const DRAIN_ROUNDS: u32 = 4;

/// Prepared to run.
pub(crate) struct Plain {
    pgbench: PathBuf,
    directory: PathBuf,
    address: Address,
    database: PgPool,
}

/// Where the cluster is, for libpq's environment: the password is in no argument.
struct Address {
    user: String,
    password: Secret,
    host: String,
    port: String,
    database: String,
}

/// How a case runs.
struct Run {
    script: &'static str,
    clients: u32,
    jobs_per_transaction: f64,
    transactions: Option<u32>,
}

impl Plain {
    /// Makes the schema, and the scripts in the directory.
    pub(crate) async fn prepare(url: &str, database: PgPool, directory: PathBuf) -> Result<Self> {
        sqlx::raw_sql(include_str!("sql/schema.sql")).execute(&database).await?;
        fs::create_dir(&directory)?;
        for (name, text) in scripts() {
            File::create(directory.join(name))?.write_all(text.as_bytes())?;
        }
        Ok(Self { pgbench: pgbench()?, directory, address: Address::parse(url)?, database })
    }

    /// Runs a case once.
    pub(crate) async fn run(&self, case: Case, seconds: u32, meter: &Meter) -> Result<Measured> {
        let run = run_of(case);
        self.clear(run.transactions.is_some()).await?;
        let mut command = Command::new(&self.pgbench);
        command.args(["-n", "-M", "prepared", "-c", &run.clients.to_string()]);
        command.args(["-j", if run.clients == 1 { "1" } else { "2" }]);
        match run.transactions {
            Some(transactions) => command.args(["-t", &transactions.to_string()]),
            None => command.args(["-T", &seconds.to_string()]),
        };
        command.arg("-f").arg(self.directory.join(run.script));
        command.args(["-l", "--log-prefix", "latency", "-D", &format!("agents={AGENTS}"), "-D", "visit=0"]);
        command.args(["-D", &format!("agents_each={DRAIN_AGENTS}")]);
        command.current_dir(&self.directory).envs(self.address.environment()).kill_on_drop(true);
        let before = meter.read().await?;
        let output = command.output().await.context("pgbench does not run")?;
        let cost = meter.read().await? - before;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "pgbench failed: {}", String::from_utf8_lossy(&output.stderr));
        // pgbench leaves the time that connecting took out of its rate.
        let transactions = figure(&text, "number of transactions actually processed: ")?;
        let per_second = figure(&text, "tps = ")?;
        Ok(Measured {
            units: transactions * run.jobs_per_transaction,
            seconds: transactions / per_second,
            latency: percentiles(take_latencies(&self.directory)?),
            cost: Some(cost),
        })
    }

    async fn clear(&self, fill: bool) -> Result<()> {
        sqlx::raw_sql("TRUNCATE jobs, job_history, smallest").execute(&self.database).await?;
        if fill {
            let agents = CLIENTS * DRAIN_AGENTS;
            let jobs = agents * DRAIN_ROUNDS * 100;
            let fill = sqlx::query(include_str!("sql/fill_waiting.sql"));
            fill.bind(i64::from(jobs)).bind(i64::from(agents)).execute(&self.database).await?;
        }
        for statement in ["VACUUM (ANALYZE) jobs", "CHECKPOINT"] {
            sqlx::raw_sql(statement).execute(&self.database).await?;
        }
        Ok(())
    }
}

fn run_of(case: Case) -> Run {
    let timed = |script, clients, jobs_per_transaction| Run {
        script,
        clients,
        jobs_per_transaction,
        transactions: None,
    };
    match case {
        Case::PlainInsertHundred => timed("insert_hundred.sql", CLIENTS, 100.0),
        Case::PlainInsertOne => timed("insert_one.sql", 32, 1.0),
        Case::PlainCycleSingle => timed("cycle_single.sql", CLIENTS, 10.0),
        Case::PlainCycleBatch => timed("cycle_batch.sql", CLIENTS, 10.0),
        Case::PlainDrain => {
            let transactions = Some(DRAIN_AGENTS * DRAIN_ROUNDS);
            Run { script: "drain_hundred.sql", clients: CLIENTS, jobs_per_transaction: 100.0, transactions }
        }
        Case::PlainCommitAlone => timed("commit.sql", 1, 1.0),
        _ => timed("commit.sql", CLIENTS, 1.0),
    }
}

/// The scripts by name; longer ones are put together from their statements.
fn scripts() -> Vec<(&'static str, String)> {
    let stores: Vec<String> = (0..100).map(|_| uuid::Uuid::new_v4().to_string()).collect();
    let stores = format!("{{{}}}", stores.join(","));
    let begin = include_str!("sql/begin_ten.sql");
    let finish_all = include_str!("sql/finish_all.sql");
    let finish_each =
        (1..=10).map(|place| include_str!("sql/finish_one.sql").replace("@PLACE@", &place.to_string()));
    vec![
        ("commit.sql", include_str!("sql/commit.sql").to_owned()),
        ("insert_one.sql", include_str!("sql/insert_one.sql").to_owned()),
        ("insert_hundred.sql", include_str!("sql/insert_hundred.sql").replace("@STORES@", &stores)),
        ("cycle_single.sql", format!("{begin}{}", finish_each.collect::<String>())),
        ("cycle_batch.sql", format!("{begin}{finish_all}")),
        ("drain_hundred.sql", format!("{}{finish_all}", include_str!("sql/claim_hundred.sql"))),
    ]
}

/// The number that follows a text in pgbench's summary.
fn figure(text: &str, name: &str) -> Result<f64> {
    let rest = text.split(name).nth(1).with_context(|| format!("pgbench does not say '{name}'"))?;
    let number: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    Ok(number.parse()?)
}

/// Reads and removes pgbench's log of single transactions: the third field is microseconds.
fn take_latencies(directory: &Path) -> Result<Vec<u32>> {
    let mut latencies = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("latency.") {
            let text = fs::read_to_string(entry.path())?;
            latencies.extend(text.lines().filter_map(|line| line.split(' ').nth(2)?.parse::<u32>().ok()));
            fs::remove_file(entry.path())?;
        }
    }
    Ok(latencies)
}

/// The newest installed one, or that of `PG_BIN`.
fn pgbench() -> Result<PathBuf> {
    if let Some(directory) = std::env::var_os("PG_BIN").filter(|directory| !directory.is_empty()) {
        return Ok(PathBuf::from(directory).join("pgbench"));
    }
    let versions = fs::read_dir("/usr/lib/postgresql").context("no Postgres is installed")?;
    let newest = versions
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|version| Path::new(&format!("/usr/lib/postgresql/{version}/bin/pgbench")).exists())
        .max();
    let version =
        newest.context("no pgbench is installed; on Debian it comes with the package postgresql")?;
    Ok(PathBuf::from(format!("/usr/lib/postgresql/{version}/bin/pgbench")))
}

impl Address {
    fn parse(url: &str) -> Result<Self> {
        let parts = || {
            let (login, place) = url.strip_prefix("postgres://")?.rsplit_once('@')?;
            let (user, password) = login.split_once(':')?;
            let (place, database) = place.split_once('/')?;
            let (host, port) = place.split_once(':')?;
            let database = database.split('?').next()?;
            Some((user, password, host, port, database))
        };
        let (user, password, host, port, database) =
            parts().context("the cluster's address is not understood")?;
        Ok(Self {
            user: user.to_owned(),
            password: Secret::new(password),
            host: host.to_owned(),
            port: port.to_owned(),
            database: database.to_owned(),
        })
    }

    fn environment(&self) -> [(&str, &str); 6] {
        [
            ("PGUSER", &self.user),
            ("PGPASSWORD", self.password.expose()),
            ("PGHOST", &self.host),
            ("PGPORT", &self.port),
            ("PGDATABASE", &self.database),
            ("PGSSLMODE", "disable"),
        ]
    }
}

#[test]
fn the_address_is_taken_apart() {
    let address = Address::parse("postgres://someone:secret@127.0.0.1:5433/plain?sslmode=disable").unwrap();
    let found = address.environment().map(|(_, value)| value);
    assert_eq!(found, ["someone", "secret", "127.0.0.1", "5433", "plain", "disable"]);
    assert!(Address::parse("postgres://nowhere").is_err());
}

#[test]
fn the_summary_is_read() {
    let text =
        "number of transactions actually processed: 800\nlatency average = 1.2 ms\ntps = 1234.5 (without)\n";
    assert_eq!(figure(text, "tps = ").unwrap(), 1_234.5);
    assert_eq!(figure(text, "number of transactions actually processed: ").unwrap(), 800.0);
    assert!(figure("", "tps = ").is_err());
}
