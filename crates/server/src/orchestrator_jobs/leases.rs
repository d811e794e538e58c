//! Putting jobs into the queue, leasing them, and ending their attempts.

use chrono::{DateTime, Utc};
use sealift_protocol::agent::leases::{LeaseKey, MAX_MESSAGE, Outcome, Step};
use sealift_protocol::agent::verification::Evidence;
use sealift_protocol::{AgentId, JobId, StoreId};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::job::{Cause, JobType, NewJob, Operation};
use super::{evidence, queries};

/// Jobs that a claim looks at for each job it may take: enough to pass over those that wait behind others.
const WINDOW: i64 = 4;
/// What it looks at when that found only jobs that wait behind others.
const WIDE_WINDOW: i64 = 10_000;

/// One attempt, as leased.
#[derive(Debug)]
pub(crate) struct Leased {
    pub(crate) id: JobId,
    pub(crate) history_id: i64,
    pub(crate) attempt: i16,
    pub(crate) lease_token: Uuid,
    pub(crate) store_id: StoreId,
    pub(crate) operation: i16,
    pub(crate) certificate_id: Option<i64>,
    pub(crate) details: Value,
    pub(crate) sealed_secret: Option<Vec<u8>>,
    pub(crate) run_at: DateTime<Utc>,
    /// What its result is to be proved by, as the store says.
    pub(crate) verification: Option<Value>,
}

impl Leased {
    /// Whether its agent only says what it would do.
    pub(crate) fn dry_run(&self) -> bool {
        self.details["DryRun"] == true
    }
}

/// Puts jobs into the queue. After the commit, ring their agents' bells.
pub(crate) async fn schedule(
    db: &mut PgConnection,
    jobs: &[(Cause, NewJob)],
    max_attempts: i16,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    if jobs.is_empty() {
        return Ok(());
    }
    queries::insert_jobs(db, jobs, max_attempts, now).await
}

/// How many jobs of a store wait or run.
pub(crate) async fn unfinished(
    db: &mut PgConnection,
    agent: AgentId,
    store: StoreId,
) -> Result<i64, sqlx::Error> {
    queries::unfinished(db, agent, store).await
}

/// Takes the jobs out of the queue that wait for these stores, each with the agent that serves it. Attempts that run
/// end as they end.
pub(crate) async fn withdraw(
    db: &mut PgConnection,
    stores: &[(AgentId, StoreId)],
) -> Result<(), sqlx::Error> {
    queries::withdraw(db, stores).await
}

/// Leases due jobs of an agent, at most `limit` and one of each store, to the process that may take them. An agent that is
/// not approved or is drained gets none.
pub(crate) async fn lease(
    db: &mut PgConnection,
    agent: AgentId,
    instance: Uuid,
    limit: u16,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Vec<Leased>, sqlx::Error> {
    let limit = i64::from(limit);
    let window = (limit * WINDOW).max(64);
    let leased = queries::lease(db, (agent, instance), now, until, window, limit).await?;
    if !leased.is_empty() || queries::count_waiting(db, agent, now, window).await? < window {
        return Ok(leased);
    }
    queries::lease(db, (agent, instance), now, until, WIDE_WINDOW, limit).await
}

/// When the next job of an agent becomes due after `now`.
pub(crate) async fn next_due(
    db: &mut PgConnection,
    agent: AgentId,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    queries::next_due(db, agent, now).await
}

/// Keeps leases; answers those that were kept.
pub(crate) async fn renew(
    db: &mut PgConnection,
    agent: AgentId,
    leases: &[LeaseKey],
    until: DateTime<Utc>,
) -> Result<Vec<JobId>, sqlx::Error> {
    queries::renew(db, agent, leases, until).await
}

/// How an attempt ended, as reported by an agent.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) agent: AgentId,
    pub(crate) lease: LeaseKey,
    pub(crate) outcome: Outcome,
    pub(crate) message: String,
    pub(crate) error_code: Option<String>,
    /// As [`super::evidence::judge`] left it.
    pub(crate) evidence: Option<Evidence>,
}

/// An attempt that has just been moved into history.
#[derive(Debug, Clone)]
pub(crate) struct Finished {
    /// The attempt.
    pub(crate) history_id: i64,
    pub(crate) job_id: JobId,
    pub(crate) agent_id: AgentId,
    pub(crate) store_id: StoreId,
    /// None for an attempt that ended without a report.
    pub(crate) lease_token: Option<Uuid>,
    pub(crate) request_id: Uuid,
    pub(crate) operation: i16,
    pub(crate) attempt: i16,
    /// 3 completed, 5 will be retried.
    pub(crate) status: i16,
    /// As in history; none where the agent said nothing.
    pub(crate) verified: Option<i16>,
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) agent_machine: String,
    pub(crate) client_machine: String,
    pub(crate) store_path: String,
    pub(crate) store_type: String,
    /// Whether its agent only said what it would do.
    pub(crate) dry_run: bool,
}

impl Finished {
    /// Whether this was the last attempt of a job that may have changed its store.
    pub(crate) fn may_have_changed_store(&self) -> bool {
        let job_type = Operation::from_number(self.operation).map(Operation::job_type);
        matches!(job_type, Some(JobType::Management | JobType::Reenrollment))
            && self.status == 3
            && !self.dry_run
    }
}

/// Ends attempts: out of the queue, or back into it for a retry, and into history, in one statement. Reports
/// without a live lease are left out of the answer; [`already_recorded`] tells whether they were repeats.
pub(crate) async fn finish(
    db: &mut PgConnection,
    reports: &[Report],
    retry_seconds: u32,
    now: DateTime<Utc>,
) -> Result<Vec<Finished>, sqlx::Error> {
    if reports.is_empty() {
        return Ok(Vec::new());
    }
    let finished = queries::finish(db, reports, retry_seconds, now).await?;
    evidence::store(db, &finished, reports, now).await?;
    Ok(finished)
}

/// Which of these leases ended with a recorded result.
pub(crate) async fn already_recorded(
    db: &mut PgConnection,
    leases: &[(AgentId, LeaseKey)],
) -> Result<Vec<LeaseKey>, sqlx::Error> {
    if leases.is_empty() {
        return Ok(Vec::new());
    }
    queries::recorded(db, leases).await
}

/// Ends the attempts of an agent that begins anew and does not know of them: its process died, or an answer
/// was lost. They are leased again without waiting for the end of their leases.
pub(crate) async fn abandon(
    db: &mut PgConnection,
    agent: AgentId,
    held: &[JobId],
    now: DateTime<Utc>,
) -> Result<Vec<Finished>, sqlx::Error> {
    queries::abandon(db, agent, held, None, now).await
}

/// Whether a lease failed because another one entered the same store at the same moment: ask again.
pub(crate) fn lost_the_race(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.constraint()) == Some("jobs_occupied")
}

/// Steps of one attempt.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    pub(crate) agent: AgentId,
    pub(crate) lease: LeaseKey,
    pub(crate) steps: Vec<Step>,
}

/// Records steps of attempts whose leases are live; repeats change nothing.
pub(crate) async fn record_steps(
    db: &mut PgConnection,
    attempts: &[Steps],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    if attempts.iter().all(|attempt| attempt.steps.is_empty()) {
        return Ok(());
    }
    queries::insert_steps(db, attempts, now).await
}

/// Notes that the running attempt stored a whole inventory; false when the lease is not live.
pub(crate) async fn mark_inventoried(
    db: &mut PgConnection,
    agent: AgentId,
    lease: LeaseKey,
) -> Result<bool, sqlx::Error> {
    queries::mark_inventoried(db, agent, lease).await
}

/// A live lease, locked until the transaction ends: nobody else can end its attempt meanwhile.
#[derive(Debug)]
pub(crate) struct LiveLease {
    pub(crate) store_id: StoreId,
    pub(crate) history_id: i64,
}

/// Finds and locks a live lease of an inventory job.
pub(crate) async fn live_inventory_lease(
    db: &mut PgConnection,
    agent: AgentId,
    lease: LeaseKey,
) -> Result<Option<LiveLease>, sqlx::Error> {
    queries::live_inventory_lease(db, agent, lease).await
}

/// The details of a running discovery, its lease locked until the transaction ends.
pub(crate) async fn live_discovery(
    db: &mut PgConnection,
    agent: AgentId,
    lease: LeaseKey,
) -> Result<Option<Value>, sqlx::Error> {
    queries::live_discovery(db, agent, lease).await
}

/// A running reenrollment, locked until the transaction ends.
#[derive(Debug)]
pub(crate) struct LiveReenrollment {
    pub(crate) details: Value,
    /// Who asked for it.
    pub(crate) requested_by: String,
    pub(crate) client_machine: String,
    pub(crate) store_path: String,
    /// The certificate that this attempt got.
    pub(crate) certificate_id: Option<i64>,
}

/// Finds and locks a running reenrollment.
pub(crate) async fn live_reenrollment(
    db: &mut PgConnection,
    agent: AgentId,
    lease: LeaseKey,
) -> Result<Option<LiveReenrollment>, sqlx::Error> {
    queries::live_reenrollment(db, agent, lease).await
}

/// Notes the certificate that a running reenrollment got.
pub(crate) async fn mark_enrolled(
    db: &mut PgConnection,
    agent: AgentId,
    lease: LeaseKey,
    certificate_id: i64,
) -> Result<bool, sqlx::Error> {
    queries::mark_enrolled(db, agent, lease, certificate_id).await
}

/// A text from an agent, made fit for history: bounded, no control characters but line feeds.
pub(crate) fn clean_message(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).take(MAX_MESSAGE).collect()
}

/// A code from an agent, made fit for history: lower-case words with underscores, at most 40 characters.
pub(crate) fn clean_code(text: &str) -> String {
    let code: String = text
        .chars()
        .take(40)
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
        .collect();
    if code.is_empty() { "unknown".to_owned() } else { code }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_agents_are_made_fit() {
        assert_eq!(clean_message("a\u{0}b\u{1b}[31m\nc"), "a b [31m\nc");
        assert_eq!(clean_message(&"x".repeat(10_000)).len(), MAX_MESSAGE);
        assert_eq!(clean_code("Wrong Password!"), "wrong_password_");
        assert_eq!(clean_code(""), "unknown");
    }
}
