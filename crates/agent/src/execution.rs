//! Runs one leased job: finds out whether the store is allowed, hands the work to `jobs/`, and makes of the end,
//! whatever it is, a report.

use std::sync::Arc;

use sealift_protocol::Secret;
use sealift_protocol::agent::leases::{Completion, LeaseKey, LeasedJob, MAX_LOG_BYTES, Outcome, Step, Work};
use sealift_protocol::agent::verification::Evidence;

use crate::allow_list::allow;
use crate::failure::{ErrorCode, Failure, shorten};
use crate::heartbeat::HeldLease;
use crate::jobs::management::{self, Change};
use crate::jobs::{inventory, plan, reenrollment};
use crate::steps::code;
use crate::{Agent, Stop, locked, write_lane};

/// What a job that did not fail has to say.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// What was done.
    pub(crate) message: String,
    /// What somebody should look at; with any, the outcome is a warning.
    pub(crate) warnings: Vec<String>,
    /// The end of the agent's own log, where that was asked for.
    pub(crate) log: Option<Secret>,
    /// The code of a warning that has one.
    pub(crate) code: Option<ErrorCode>,
    /// What was found and proved.
    pub(crate) evidence: Option<Evidence>,
}

/// The right of a running job to go on.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    /// Its lease and steps.
    pub(crate) lease: Arc<HeldLease>,
    stop: Stop,
}

impl Attempt {
    /// A right that lasts as long as the lease and until the agent is told to stop.
    pub(crate) fn new(lease: &Arc<HeldLease>, stop: &Stop) -> Self {
        Self { lease: Arc::clone(lease), stop: stop.clone() }
    }

    /// To be asked before each first change and before each longer step: a stopping agent begins nothing new.
    pub(crate) fn may_begin(&self) -> Result<(), Failure> {
        if self.stop.is_told() {
            return Err(Failure::new(ErrorCode::AgentStopping, "the agent was told to stop"));
        }
        self.may_go_on()
    }

    /// To be asked before what completes a change: a stopping agent finishes what it has begun.
    pub(crate) fn may_go_on(&self) -> Result<(), Failure> {
        self.lease.check()
    }

    /// Waits so long; false when the agent is told to stop meanwhile.
    pub(crate) async fn pause(&self, pause: std::time::Duration) -> bool {
        !self.stop.told_within(pause).await
    }
}

/// Runs the job to its end.
pub(crate) async fn execute(agent: &Agent, job: LeasedJob, lease: &Arc<HeldLease>) -> Completion {
    let (key, store) = (lease.key, job.store.store_id);
    let kind = kind(&job.work);
    tracing::info!(agent.id = agent.id(), job.id = %key.job_id, store.id = %store, attempt = job.attempt, "{kind} begins");
    lease.record(code::ACCEPTED, &format!("{kind} on {}, attempt {}", job.store.path, job.attempt));
    *locked(&agent.running_job) = Some(format!("{kind} {}", job.store.path).trim_end().to_owned());
    let done = work(agent, job, Attempt::new(lease, &agent.stop)).await;
    *locked(&agent.running_job) = None;
    match done {
        Ok(done) => {
            tracing::info!(agent.id = agent.id(), job.id = %key.job_id, store.id = %store, warnings = done.warnings.len(), "{kind} succeeded: {}", done.message);
            succeeded(key, &done, lease.steps.all())
        }
        Err(failure) => {
            let code = failure.code.as_str();
            tracing::warn!(agent.id = agent.id(), job.id = %key.job_id, store.id = %store, code, transient = failure.transient, "{kind} failed: {}", failure.message);
            lease.record(code::FAILED, &failure.message);
            failed(key, &failure, lease.steps.all())
        }
    }
}

async fn work(agent: &Agent, job: LeasedJob, attempt: Attempt) -> Result<Done, Failure> {
    attempt.may_begin()?;
    let LeasedJob { store, work, verification, dry_run, .. } = job;
    let mut reenroll = None;
    let change = match work {
        Work::Inventory => None,
        Work::Add(add) => Some(Change::Add(add)),
        Work::Remove(remove) => Some(Change::Remove(remove)),
        Work::Create => Some(Change::Create),
        Work::FetchLog(wanted) => return fetch_log(agent, wanted.max_bytes).await,
        // Refused before the allow-list is asked about a store that is not there.
        Work::Reenroll(work) => {
            reenroll = Some(work);
            None
        }
        Work::Discover(_) => {
            return Err(Failure::new(ErrorCode::InvalidPayload, "this agent does not do that"));
        }
    };
    let rules = agent.configuration.stores.clone();
    let (store, allowed) = blocking(move || allow(&rules, &store).map(|allowed| (store, allowed))).await??;
    match reenroll {
        Some(work) if dry_run => return reenrollment::plan(&store, &work),
        Some(work) => {
            let _lane = write_lane::enter(&attempt, &allowed).await?;
            return reenrollment::run(agent, attempt, &store, allowed, work, verification).await;
        }
        None => {}
    }
    match change {
        None => inventory::run(agent, &attempt, &store, allowed).await,
        Some(change) if dry_run => plan::run(agent, attempt, allowed, change, verification).await,
        Some(change) => {
            let _lane = write_lane::enter(&attempt, &allowed).await?;
            management::run(agent, attempt, &store, allowed, change, verification).await
        }
    }
}

/// Sends the end of the agent's own log.
async fn fetch_log(agent: &Agent, max_bytes: u32) -> Result<Done, Failure> {
    let (log, most) = (agent.log.clone(), max_bytes.min(MAX_LOG_BYTES) as usize);
    let end = blocking(move || log.end(most)).await?;
    let end = end.map_err(|error| {
        Failure::new(ErrorCode::AgentStorageFailed, format!("the log cannot be read: {error}"))
    })?;
    let message = format!("the last {} lines of the log, {} bytes", end.lines().count(), end.len());
    Ok(Done { message, log: Some(Secret::new(end)), ..Done::default() })
}

const fn kind(work: &Work) -> &'static str {
    match work {
        Work::Inventory => "inventory",
        Work::Add(_) => "adding a certificate",
        Work::Remove(_) => "removing an entry",
        Work::Create => "creating the store",
        Work::Discover(_) => "looking for stores",
        Work::Reenroll(_) => "making a key and having it certified",
        Work::FetchLog(_) => "sending the log",
    }
}

/// The report of what did not fail.
pub(crate) fn succeeded(lease: LeaseKey, done: &Done, steps: Vec<Step>) -> Completion {
    let outcome = if done.warnings.is_empty() { Outcome::Success } else { Outcome::Warning };
    let message = std::iter::once(&done.message)
        .chain(&done.warnings)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("; ");
    let error_code = done.code.map(|code| code.as_str().to_owned());
    let evidence = done.evidence.clone();
    Completion {
        steps,
        error_code,
        evidence,
        log: done.log.clone(),
        ..Completion::new(lease, outcome, shorten(&message))
    }
}

/// The report of a failure.
pub(crate) fn failed(lease: LeaseKey, failure: &Failure, steps: Vec<Step>) -> Completion {
    let error_code = Some(failure.code.as_str().to_owned());
    let evidence = failure.evidence.as_deref().cloned();
    let told = Completion::new(lease, failure.outcome(), failure.message.clone());
    Completion { error_code, steps, evidence, ..told }
}

/// Runs what waits for disks away from the loops. A fault in it fails the job and not the agent; what it said is in
/// the log, where the hook for panics put it, and not in the report.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Failure::new(ErrorCode::InternalError, "a fault in the agent ended the job"))
}

#[cfg(test)]
mod tests {
    use sealift_protocol::JobId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn warnings_make_a_success_a_warning() {
        let lease = LeaseKey { job_id: JobId::generate(), lease_token: Uuid::new_v4() };
        let mut done = Done { message: "3 entries".to_owned(), ..Done::default() };
        assert_eq!(succeeded(lease, &done, Vec::new()).outcome, Outcome::Success);
        done.warnings.push("b.pfx cannot be read".to_owned());
        let warned = succeeded(lease, &done, Vec::new());
        assert_eq!(
            (warned.outcome, warned.message.as_str()),
            (Outcome::Warning, "3 entries; b.pfx cannot be read")
        );
    }

    #[tokio::test]
    async fn a_panic_fails_the_job_without_its_words() {
        let failure = blocking(|| panic!("canary-secret")).await.map(|(): ()| ()).unwrap_err();
        assert_eq!(failure.code, ErrorCode::InternalError);
        assert!(!failure.message.contains("canary"));
    }
}
