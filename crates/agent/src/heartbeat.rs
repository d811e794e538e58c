//! The leases that the agent holds: renewed at a third of their time, and given up when the server or the clock of
//! this machine says so.
//!
//! A lease is held from the moment a job arrives until its result was heard. While none is held nothing here wakes
//! up. The same timer tells the server of the steps of jobs that take longer than a moment.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealift_protocol::JobId;
use sealift_protocol::agent::leases::{
    AttemptSteps, LeaseKey, LeasedJob, MAX_BATCH, RenewAnswer, RenewRequest, StepsRequest,
};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::backoff::{Backoff, random_fraction};
use crate::failure::{ErrorCode, Failure};
use crate::locked;
use crate::server_client::ServerClient;
use crate::steps::StepLog;

/// How long a step waits for company, or for the job to end, before the server is told.
const STEP_DELAY: Duration = Duration::from_secs(1);
/// Shortest lease that is believed, in seconds.
const SHORTEST_LEASE_SECONDS: u32 = 3;

/// One lease, and what the attempt under it has done.
#[derive(Debug)]
pub(crate) struct HeldLease {
    /// Names it to the server.
    pub(crate) key: LeaseKey,
    /// What happened so far.
    pub(crate) steps: StepLog,
    lost: AtomicBool,
    term: Mutex<Term>,
    changed: Arc<Notify>,
}

#[derive(Debug, Clone, Copy)]
struct Term {
    since: Instant,
    length: Duration,
}

impl Term {
    fn lasting(since: Instant, seconds: u32) -> Self {
        Self { since, length: Duration::from_secs(seconds.max(SHORTEST_LEASE_SECONDS).into()) }
    }
}

impl HeldLease {
    /// Whether the attempt may go on to its next change.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.lost.load(Ordering::Acquire) {
            return Err(Failure::new(ErrorCode::LeaseLost, "the server gave the job to another attempt"));
        }
        let term = *locked(&self.term);
        if term.since.elapsed() >= term.length {
            return Err(Failure::new(
                ErrorCode::LeaseLost,
                "the lease ran out while the server could not be reached",
            ));
        }
        Ok(())
    }

    /// Adds a step, for the report and for those who watch.
    pub(crate) fn record(&self, code: &str, message: &str) {
        self.steps.record(code, message);
        self.changed.notify_one();
    }

    fn renewal_due(&self) -> Option<Instant> {
        let term = *locked(&self.term);
        (!self.lost.load(Ordering::Acquire)).then(|| term.since + term.length / 3)
    }
}

/// All leases that are held.
#[derive(Debug, Default)]
pub(crate) struct HeldLeases {
    held: Mutex<HashMap<JobId, Arc<HeldLease>>>,
    changed: Arc<Notify>,
}

impl HeldLeases {
    /// Takes a lease up; `None` when this very lease is held already. An older lease of the same job is forgotten.
    pub(crate) fn take(&self, job: &LeasedJob) -> Option<Arc<HeldLease>> {
        let key = LeaseKey { job_id: job.job_id, lease_token: job.lease_token };
        let mut held = locked(&self.held);
        if held.get(&key.job_id).is_some_and(|lease| lease.key == key) {
            return None;
        }
        let lease = Arc::new(HeldLease {
            key,
            steps: StepLog::start(),
            lost: AtomicBool::new(false),
            term: Mutex::new(Term::lasting(Instant::now(), job.lease_seconds)),
            changed: Arc::clone(&self.changed),
        });
        held.insert(key.job_id, Arc::clone(&lease));
        self.changed.notify_one();
        Some(lease)
    }

    /// Lets a lease go: its result was heard.
    pub(crate) fn release(&self, key: LeaseKey) {
        let mut held = locked(&self.held);
        if held.get(&key.job_id).is_some_and(|lease| lease.key == key) {
            held.remove(&key.job_id);
        }
    }

    /// The jobs whose leases are held and not lost.
    pub(crate) fn jobs(&self) -> Vec<JobId> {
        self.kept().into_iter().map(|lease| lease.job_id).collect()
    }

    fn all(&self) -> Vec<Arc<HeldLease>> {
        locked(&self.held).values().cloned().collect()
    }

    fn kept(&self) -> Vec<LeaseKey> {
        let leases = self.all();
        leases.iter().filter(|lease| lease.renewal_due().is_some()).map(|lease| lease.key).collect()
    }

    /// Leases run from the moment the call was sent: the server cannot have counted from an earlier one.
    fn renewed(&self, sent: Instant, asked: &[LeaseKey], answer: &RenewAnswer) {
        for lease in self.all().into_iter().filter(|lease| asked.contains(&lease.key)) {
            if answer.lost.contains(&lease.key.job_id) {
                tracing::warn!(job.id = %lease.key.job_id, "the lease of a job is lost");
                lease.lost.store(true, Ordering::Release);
            } else if answer.renewed.contains(&lease.key.job_id) {
                *locked(&lease.term) = Term::lasting(sent, answer.lease_seconds);
            }
        }
    }

    fn next_renewal(&self) -> Option<Instant> {
        self.all().iter().filter_map(|lease| lease.renewal_due()).min()
    }

    fn next_telling(&self) -> Option<Instant> {
        self.all().iter().filter_map(|lease| lease.steps.untold_since()).min().map(|since| since + STEP_DELAY)
    }

    /// Untold steps for one call, which takes so many steps in all.
    fn untold(&self) -> Vec<(Arc<HeldLease>, AttemptSteps)> {
        let mut room = MAX_BATCH;
        let mut attempts = Vec::new();
        for lease in self.all() {
            let steps = lease.steps.untold(room);
            room -= steps.len();
            if !steps.is_empty() {
                let attempt = AttemptSteps { lease: lease.key, steps };
                attempts.push((lease, attempt));
            }
        }
        attempts
    }
}

/// Keeps the leases for as long as it runs.
pub(crate) async fn run(leases: &HeldLeases, client: &ServerClient) -> Infallible {
    let mut backoff = Backoff::default();
    let mut not_before = Instant::now();
    loop {
        let renewal = leases.next_renewal().map(|due| due.max(not_before));
        let telling = leases.next_telling();
        let Some(due) = [renewal, telling].into_iter().flatten().min() else {
            leases.changed.notified().await;
            continue;
        };
        tokio::select! {
            () = sleep_until(due) => {}
            () = leases.changed.notified() => continue,
        }
        if telling.is_some_and(|due| due <= Instant::now()) {
            tell(leases, client).await;
        }
        if renewal.is_some_and(|due| due <= Instant::now()) {
            match renew(leases, client).await {
                Ok(()) => backoff.reset(),
                Err(pause) => not_before = Instant::now() + backoff.next(pause, random_fraction()),
            }
        }
    }
}

/// Renews every lease, not only the one that is due: they mostly came together, and one call does it.
async fn renew(leases: &HeldLeases, client: &ServerClient) -> Result<(), Option<Duration>> {
    for asked in leases.kept().chunks(MAX_BATCH) {
        let sent = Instant::now();
        match client.renew(&RenewRequest { leases: asked.to_vec() }).await {
            Ok(answer) => leases.renewed(sent, asked, &answer),
            Err(error) => {
                tracing::warn!(%error, leases = asked.len(), "leases could not be renewed");
                return Err(error.asked_pause());
            }
        }
    }
    Ok(())
}

/// Tells the server of steps. They travel again with the report of the attempt, so one try is enough.
async fn tell(leases: &HeldLeases, client: &ServerClient) {
    let untold = leases.untold();
    let attempts = untold.iter().map(|(_, attempt)| attempt.clone()).collect();
    if let Err(error) = client.steps(&StepsRequest { attempts }).await {
        tracing::debug!(%error, "steps were not told");
    }
    for (lease, attempt) in untold {
        lease.steps.tell(attempt.steps.len());
    }
}

#[cfg(test)]
mod tests {
    use sealift_protocol::StoreId;
    use sealift_protocol::agent::leases::{StoreDescription, Work};
    use uuid::Uuid;

    use super::*;
    use crate::steps::code;

    fn job(job_id: JobId) -> LeasedJob {
        LeasedJob {
            job_id,
            audit_id: 1,
            attempt: 1,
            lease_token: Uuid::new_v4(),
            lease_seconds: 90,
            store: StoreDescription {
                store_id: StoreId::generate(),
                store_type: "PEM".to_owned(),
                path: "/s/a.pem".to_owned(),
                password: None,
                properties: [].into(),
                inventory_version: None,
            },
            work: Work::Inventory,
            verification: None,
            dry_run: false,
        }
    }

    #[test]
    fn a_lease_is_taken_once_and_a_newer_one_takes_its_place() {
        let leases = HeldLeases::default();
        let first = job(JobId::generate());
        let held = leases.take(&first).unwrap();
        assert!(leases.take(&first).is_none());
        let newer = leases.take(&job(first.job_id)).unwrap();
        leases.release(held.key);
        assert_eq!(leases.kept(), [newer.key]);
        leases.release(newer.key);
        assert!(leases.kept().is_empty() && leases.next_renewal().is_none());
    }

    #[test]
    fn renewal_is_due_at_a_third_and_counts_from_the_call() {
        let leases = HeldLeases::default();
        let before = Instant::now();
        let held = leases.take(&job(JobId::generate())).unwrap();
        let due = leases.next_renewal().unwrap() - before;
        assert!((29..=31).contains(&due.as_secs()), "{due:?}");
        let sent = Instant::now();
        let answer = RenewAnswer { renewed: vec![held.key.job_id], lost: Vec::new(), lease_seconds: 300 };
        leases.renewed(sent, &leases.kept(), &answer);
        assert_eq!(leases.next_renewal(), Some(sent + Duration::from_secs(100)));
    }

    #[test]
    fn a_lost_lease_stops_the_attempt_and_is_not_renewed() {
        let leases = HeldLeases::default();
        let (held, other) =
            (leases.take(&job(JobId::generate())).unwrap(), leases.take(&job(JobId::generate())).unwrap());
        held.check().unwrap();
        let answer = RenewAnswer { renewed: vec![], lost: vec![held.key.job_id], lease_seconds: 90 };
        leases.renewed(Instant::now(), &leases.kept(), &answer);
        assert_eq!(held.check().unwrap_err().code, ErrorCode::LeaseLost);
        assert_eq!(leases.kept(), [other.key]);
    }

    #[test]
    fn a_lease_that_could_not_be_renewed_ends_by_our_own_clock() {
        let leases = HeldLeases::default();
        let held = leases.take(&job(JobId::generate())).unwrap();
        let length = Duration::from_secs(90);
        let long_ago = Instant::now().checked_sub(length).unwrap();
        *locked(&held.term) = Term { since: long_ago, length };
        assert_eq!(held.check().unwrap_err().code, ErrorCode::LeaseLost);
    }

    #[test]
    fn steps_of_all_attempts_share_one_bounded_call() {
        let leases = HeldLeases::default();
        let held: Vec<_> = (0..3).filter_map(|_| leases.take(&job(JobId::generate()))).collect();
        assert!(leases.next_telling().is_none());
        for lease in &held {
            (0..60).for_each(|_| lease.record(code::WRITTEN, "file"));
        }
        assert!(leases.next_telling().is_some());
        assert_eq!(leases.untold().iter().map(|(_, attempt)| attempt.steps.len()).sum::<usize>(), MAX_BATCH);
    }
}
