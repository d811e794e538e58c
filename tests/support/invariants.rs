//! What must hold whatever fails: looked at in the database, in stores on disk, and in logs.
//!
//! A [`Watch`] is told what the API acknowledged, and looks at the tables as often as a test likes; each look is held
//! against the last one. What a look can see of the queue while others work:
//!
//! - a job that a call answered is in the queue or in history,
//! - attempts are numbered without gaps, and the last one is final for ever,
//! - history only grows: a row changes by acknowledgement, or from *will retry* to *completed* when its job is taken
//!   out of the queue, and never vanishes,
//! - a store has one unfinished attempt at most, and each lease its own token,
//! - a change that succeeded is followed by an inventory.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use chrono::{DateTime, Utc};
use sealift_pki::{PrivateKey, pem};
use sqlx::{AssertSqlSafe, FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::client::Client;

/// A row of the queue.
#[derive(Debug, Clone, PartialEq, FromRow)]
#[expect(missing_docs, reason = "the columns are explained in migrations/0005_orchestrator_jobs.sql")]
pub struct JobRow {
    pub id: Uuid,
    pub agent_id: Uuid,
    pub store_id: Uuid,
    pub operation: i16,
    pub state: i16,
    pub attempt: i16,
    pub max_attempts: i16,
    pub run_at: DateTime<Utc>,
    pub retry_at: Option<DateTime<Utc>>,
    pub lease_token: Option<Uuid>,
    pub lease_until: Option<DateTime<Utc>>,
    pub history_id: Option<i64>,
    pub inventoried: bool,
    pub certificate_id: Option<i64>,
    pub requested_by: String,
}

/// A row of job history.
#[derive(Debug, Clone, PartialEq, FromRow)]
#[expect(missing_docs, reason = "the columns are explained in migrations/0005_orchestrator_jobs.sql")]
pub struct HistoryRow {
    pub id: i64,
    pub job_id: Uuid,
    pub agent_id: Uuid,
    pub store_id: Uuid,
    pub operation: i16,
    pub attempt: i16,
    pub status: i16,
    pub result: i16,
    pub lease_token: Option<Uuid>,
    pub error_code: Option<String>,
    pub message: String,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
    pub certificate_id: Option<i64>,
    pub requested_by: String,
}

/// The queue and its history at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Living jobs by id.
    pub jobs: BTreeMap<Uuid, JobRow>,
    /// Finished attempts by history id.
    pub history: BTreeMap<i64, HistoryRow>,
}

impl Snapshot {
    /// Reads both tables; at one moment only inside a transaction that sees one, or while nobody writes.
    pub async fn take(db: &mut PgConnection) -> Self {
        let jobs: Vec<JobRow> = sqlx::query_as(
            "SELECT id, agent_id, store_id, operation, state, attempt, max_attempts, run_at, retry_at, lease_token,
                lease_until, history_id, inventoried, certificate_id, requested_by FROM jobs",
        )
        .fetch_all(&mut *db)
        .await
        .expect("the queue");
        let history: Vec<HistoryRow> = sqlx::query_as(
            "SELECT id, job_id, agent_id, store_id, operation, attempt, status, result, lease_token, error_code, message,
                started_at, finished_at, certificate_id, requested_by FROM job_history",
        )
        .fetch_all(&mut *db)
        .await
        .expect("the history");
        let count = history.len();
        let history: BTreeMap<i64, HistoryRow> = history.into_iter().map(|row| (row.id, row)).collect();
        assert_eq!(history.len(), count, "an attempt stands in history once");
        Self { jobs: jobs.into_iter().map(|row| (row.id, row)).collect(), history }
    }

    /// The rows of one job, first attempt first.
    pub fn attempts(&self, job: Uuid) -> Vec<&HistoryRow> {
        let mut rows: Vec<_> = self.history.values().filter(|row| row.job_id == job).collect();
        rows.sort_by_key(|row| row.attempt);
        rows
    }

    /// What is wrong with this moment by itself.
    ///
    /// # Errors
    /// In words.
    pub fn judge(&self) -> Result<(), String> {
        let (mut occupied, mut tokens) = (HashSet::new(), HashSet::new());
        for job in self.jobs.values() {
            if job.state != 1 && !occupied.insert((job.agent_id, job.store_id)) {
                return Err(format!("two unfinished attempts on one store: {job:?}"));
            }
            if job.lease_token.is_some_and(|token| !tokens.insert(token)) {
                return Err(format!("two leases with one token: {job:?}"));
            }
        }
        let jobs: BTreeSet<Uuid> = self.history.values().map(|row| row.job_id).collect();
        for job in jobs {
            self.judge_attempts(job)?;
        }
        let followed: HashSet<&str> = self
            .jobs
            .values()
            .map(|job| job.requested_by.as_str())
            .chain(self.history.values().map(|row| row.requested_by.as_str()))
            .collect();
        let changed =
            self.history.values().filter(|row| row.result == 2 && matches!(row.operation, 2..=4 | 6));
        for row in changed {
            if !followed.contains(format!("follow-up of {}", row.job_id).as_str()) {
                return Err(format!("a change that succeeded and was not read back: {row:?}"));
            }
        }
        Ok(())
    }

    fn judge_attempts(&self, job: Uuid) -> Result<(), String> {
        let rows = self.attempts(job);
        for (index, row) in rows.iter().enumerate() {
            if usize::try_from(row.attempt) != Ok(index + 1) {
                return Err(format!("attempts are missing or double: {rows:?}"));
            }
            if row.started_at > row.finished_at || (row.result == 2 && row.lease_token.is_none()) {
                return Err(format!("a row that cannot be: {row:?}"));
            }
        }
        let (last, earlier) = rows.split_last().ok_or("no rows")?;
        if let Some(row) = earlier.iter().find(|row| row.status == 3) {
            return Err(format!("an attempt after the final one: {row:?}"));
        }
        match (self.jobs.get(&job), last.status) {
            (Some(living), 3) => Err(format!("a job that was finished lives: {living:?}")),
            (Some(living), _) if living.attempt - i16::from(living.state == 2) != last.attempt => {
                Err(format!("attempts of {living:?} do not follow {last:?}"))
            }
            (None, 5) => Err(format!("a job is lost after {last:?}")),
            _ => Ok(()),
        }
    }

    /// What is wrong with this moment after that one.
    ///
    /// # Errors
    /// In words.
    pub fn judge_after(&self, earlier: &Self) -> Result<(), String> {
        for (id, old) in &earlier.history {
            let Some(new) = self.history.get(id) else {
                return Err(format!("a row of history vanished: {old:?}"));
            };
            let taken_out = old.status == 5 && new.status == 3 && !self.jobs.contains_key(&old.job_id);
            let acknowledged = matches!((old.status, new.status), (3 | 5, 4));
            let same = HistoryRow { status: old.status, ..new.clone() } == *old;
            if !same || !(old.status == new.status || taken_out || acknowledged) {
                return Err(format!("a row of history changed: {old:?}, now {new:?}"));
            }
        }
        Ok(())
    }
}

/// Looks at one database again and again.
pub struct Watch {
    database: PgPool,
    acknowledged: BTreeSet<Uuid>,
    last: Snapshot,
    looks: u32,
}

impl Watch {
    /// Begins to watch.
    pub fn new(database: &PgPool) -> Self {
        Self {
            database: database.clone(),
            acknowledged: BTreeSet::new(),
            last: Snapshot::default(),
            looks: 0,
        }
    }

    /// A call answered this job: it must never be lost.
    pub fn acknowledged(&mut self, job: &str) {
        self.acknowledged.insert(job.parse().expect("an id"));
    }

    /// Looks, and fails with `place` when something that must hold does not.
    pub async fn look(&mut self, place: &str) {
        let mut transaction = self.database.begin().await.expect("a transaction");
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .execute(&mut *transaction)
            .await
            .expect("one moment");
        let now = Snapshot::take(&mut transaction).await;
        let known: HashSet<Uuid> =
            now.jobs.keys().copied().chain(now.history.values().map(|row| row.job_id)).collect();
        let lost: Vec<_> = self.acknowledged.iter().filter(|job| !known.contains(job)).collect();
        assert!(lost.is_empty(), "{place}: acknowledged jobs are lost: {lost:?}");
        let judged = now.judge().and_then(|()| now.judge_after(&self.last));
        assert_eq!(judged, Ok(()), "{place}");
        self.last = now;
        self.looks += 1;
    }

    /// Looks, and fails when an acknowledged job has not ended: what is overdue must have been taken up again.
    pub async fn all_ended(&mut self, place: &str) {
        self.look(place).await;
        for job in &self.acknowledged {
            assert!(!self.last.jobs.contains_key(job), "{place}: {job} has not ended");
        }
    }

    /// The moment that was looked at last.
    pub fn last(&self) -> &Snapshot {
        &self.last
    }

    /// How often it looked.
    pub fn looks(&self) -> u32 {
        self.looks
    }
}

/// Every job that does not run says why.
pub async fn waiting_jobs_say_why(admin: &Client) {
    let jobs = admin.get("/OrchestratorJobs/ScheduledJobs?ReturnLimit=1000").await.ok();
    for job in jobs.as_array().expect("a list") {
        let said = job["WaitingReason"].as_str().is_some_and(|reason| !reason.is_empty());
        assert!(said || job["Status"] == 2, "it waits and does not say why: {job}");
    }
}

/// No table holds one of these texts in the clear, neither as text nor inside bytes.
pub async fn tables_hold_no_secret(database: &PgPool, secrets: &[&str]) {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = 'public' AND c.relkind IN ('r', 'm')",
    )
    .fetch_all(database)
    .await
    .expect("the tables");
    assert!(tables.len() > 20, "{tables:?}");
    for table in tables {
        for secret in secrets {
            // Bytes are shown in hex.
            let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
            let statement = format!(
                "SELECT count(*) FROM {table} AS t
                 WHERE position($1 in t::text) > 0 OR position($2 in t::text) > 0"
            );
            let found: i64 = sqlx::query_scalar(AssertSqlSafe(statement))
                .bind(secret)
                .bind(hex)
                .fetch_one(database)
                .await
                .expect("a count");
            assert_eq!(found, 0, "a secret stands in {table}");
        }
    }
}

/// A log holds none of these texts, and no private key.
pub fn log_holds_no_secret(name: &str, log: &str, secrets: &[&str]) {
    for secret in secrets.iter().copied().chain(["PRIVATE KEY"]) {
        let line = log.lines().find(|line| line.contains(secret)).unwrap_or_default();
        assert!(!log.contains(secret), "a secret is in {name}: {}", line.get(..90).unwrap_or(line));
    }
}

/// The thumbprint of what a PEM store holds, which must be whole: a leaf, its chain and its key.
pub fn whole_pem(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("the store");
    let certificates = pem::certificates(&text).expect("certificates");
    let at = text.find("-----BEGIN PRIVATE KEY").expect("a key");
    let key = PrivateKey::from_pem(&text[at..]).expect("a whole key");
    assert!(key.matches(&certificates[0]), "key and certificate belong together");
    assert_eq!(certificates.len(), 2, "the chain goes along");
    certificates[0].thumbprint().to_string()
}

/// A PEM store is wholly old or wholly new: it holds `new`, or `old`, or is not there if it was not.
pub fn whole_old_or_new(path: &Path, old: Option<&str>, new: &str, place: &str) {
    match path.exists().then(|| whole_pem(path)) {
        Some(found) => assert!(found == new || Some(found.as_str()) == old, "{place}: neither old nor new"),
        None => assert!(old.is_none(), "{place}: the store is gone"),
    }
}
