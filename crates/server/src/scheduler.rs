//! What runs periodically: one line for each sweep. A sweep takes no input, looks at the database, and may run
//! on every replica at any time; `tokio-cron-scheduler` only rings the bell.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_cron_scheduler::{Job, JobScheduler};

use crate::agents;
use crate::authority;
use crate::certificate_stores;
use crate::certificates;
use crate::orchestrator_jobs;
use crate::startup::{Error, Parts, Tls};

/// A sweep, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// Ends attempts whose lease is over.
    ExpireLeases,
    /// Puts jobs back whose next attempt is due.
    ReleaseRetries,
    /// Rings held agents for work that this replica did not hear of.
    RingDue,
    /// Makes scheduled inventories that have become due.
    DueInventories,
    /// Puts runs of custom jobs that come again into the queue.
    RecurringJobs,
    /// Writes when agents were last seen.
    LastSeen,
    /// Takes over what other replicas changed about agents.
    RefreshAgents,
    /// Forgets agents' sessions and enrollment tokens that are over, and agents that gave up waiting.
    ForgetAgents,
    /// Makes and drops partitions of job history.
    TurnHistory,
    /// Signs revocation lists.
    RevocationLists,
    /// Renews the listener's own certificate.
    ListenerCertificate,
    /// Counts what collections hold.
    CountCollections,
}

/// Each sweep with its times: second, minute, hour, day, month, day of the week.
const SWEEPS: [(Sweep, &str); 12] = [
    (Sweep::ExpireLeases, "*/5 * * * * *"),
    (Sweep::ReleaseRetries, "1/5 * * * * *"),
    (Sweep::RingDue, "2/5 * * * * *"),
    (Sweep::DueInventories, "*/15 * * * * *"),
    (Sweep::RecurringJobs, "5/15 * * * * *"),
    (Sweep::LastSeen, "10/30 * * * * *"),
    (Sweep::RefreshAgents, "3/5 * * * * *"),
    (Sweep::ForgetAgents, "50 13 * * * *"),
    (Sweep::TurnHistory, "30 7 * * * *"),
    (Sweep::RevocationLists, "20 * * * * *"),
    (Sweep::ListenerCertificate, "40 11 * * * *"),
    (Sweep::CountCollections, "35 * * * * *"),
];

impl Sweep {
    /// Runs the sweep once.
    ///
    /// # Errors
    /// Whatever the database or the authority failed with; the next run tries again.
    pub async fn run(self, parts: &Parts) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let (floor, now) = (&parts.floor, parts.floor.now());
        let jobs = &floor.configuration.jobs;
        match self {
            Self::ExpireLeases => {
                let mut transaction = floor.database.main.begin().await?;
                let ended = orchestrator_jobs::sweep::expire_leases(&mut transaction, now).await?;
                certificate_stores::follow_with_inventory(&mut transaction, &ended, jobs.max_attempts, now)
                    .await?;
                transaction.commit().await?;
                parts.dispatch.ring_all(ended.iter().map(|attempt| attempt.agent_id));
            }
            Self::ReleaseRetries => {
                let mut db = floor.database.main.acquire().await?;
                orchestrator_jobs::sweep::release_retries(&mut db, &parts.dispatch, now).await?;
            }
            Self::RingDue => {
                let mut db = floor.database.main.acquire().await?;
                orchestrator_jobs::sweep::ring_due(&mut db, &parts.dispatch, now).await?;
            }
            Self::DueInventories => {
                let mut transaction = floor.database.main.begin().await?;
                let made = certificate_stores::sweep::schedule_due_inventories(
                    &mut transaction,
                    jobs.max_attempts,
                    now,
                )
                .await?;
                transaction.commit().await?;
                parts.dispatch.ring_all(made.iter().map(|job| job.agent_id));
            }
            Self::RecurringJobs => {
                let mut transaction = floor.database.main.begin().await?;
                let agents =
                    orchestrator_jobs::sweep::start_recurring(&mut transaction, jobs.max_attempts, now)
                        .await?;
                transaction.commit().await?;
                parts.dispatch.ring_all(agents);
            }
            Self::LastSeen => agents::sweep::write_last_seen(floor, &parts.directory).await?,
            Self::RefreshAgents => agents::sweep::refresh(floor, &parts.directory).await?,
            Self::ForgetAgents => agents::sweep::forget(floor).await?,
            Self::TurnHistory => {
                let mut db = floor.database.main.acquire().await?;
                orchestrator_jobs::sweep::turn_history(&mut db, jobs.history_months, now).await?;
            }
            Self::RevocationLists => {
                authority::sweep::publish_revocation_lists(floor, &parts.authority).await?;
            }
            Self::CountCollections => certificates::sweep::count_collections(floor).await?,
            // Needs the listener, so `start` runs it.
            Self::ListenerCertificate => {}
        }
        Ok(())
    }
}

/// The running scheduler.
pub(crate) struct Bell {
    scheduler: JobScheduler,
    /// Sweeps that were rung for and have not begun must not: the pools are about to close.
    stopped: Arc<AtomicBool>,
}

impl Bell {
    pub(crate) async fn stop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::warn!("the scheduler did not stop cleanly: {error}");
        }
    }
}

/// Runs each sweep once, then at its times.
pub(crate) async fn start(parts: &Arc<Parts>, tls: Option<Arc<Tls>>) -> Result<Bell, Error> {
    let failed = |error: tokio_cron_scheduler::JobSchedulerError| Error::Scheduler(error.to_string());
    Sweep::TurnHistory.run(parts).await.map_err(|error| Error::Scheduler(error.to_string()))?;
    let scheduler = JobScheduler::new().await.map_err(failed)?;
    let stopped = Arc::new(AtomicBool::new(false));
    for (sweep, times) in SWEEPS {
        let (parts, tls) = (Arc::clone(parts), tls.clone());
        let (busy, stopped) = (Arc::new(AtomicBool::new(false)), Arc::clone(&stopped));
        let job = Job::new_async(times, move |_, _| {
            let (parts, tls, busy) = (Arc::clone(&parts), tls.clone(), Arc::clone(&busy));
            let stopped = Arc::clone(&stopped);
            Box::pin(async move {
                // A run that takes longer than its interval is not joined by a second one.
                if !stopped.load(Ordering::Acquire) && !busy.swap(true, Ordering::AcqRel) {
                    run(sweep, &parts, tls.as_deref()).await;
                    busy.store(false, Ordering::Release);
                }
            })
        });
        scheduler.add(job.map_err(failed)?).await.map_err(failed)?;
    }
    scheduler.start().await.map_err(failed)?;
    Ok(Bell { scheduler, stopped })
}

async fn run(sweep: Sweep, parts: &Parts, tls: Option<&Tls>) {
    let done = match (sweep, tls) {
        (Sweep::ListenerCertificate, Some(tls)) => {
            tls.renew(&parts.floor, &parts.authority).await.map_err(|error| error.to_string())
        }
        (sweep, _) => sweep.run(parts).await.map_err(|error| error.to_string()),
    };
    if let Err(error) = done {
        tracing::warn!(sweep = ?sweep, "a periodic look at the database failed and will be repeated: {error}");
    }
}
