//! The main loop: asks for jobs by long poll, runs what comes, one job after another, and asks again at once.
//!
//! There is one write lane for the machine: two jobs never change files at the same time, and jobs run in the order
//! in which the server gave them. While a poll is held nothing else happens.

use std::time::Duration;

use sealift_protocol::JobId;
use sealift_protocol::agent::leases::{
    Completion, LeaseAnswer, LeaseKey, LeaseRequest, LeasedJob, MAX_WAIT_SECONDS, Outcome,
};
use serde::Deserialize;
use tokio::time::Instant;

use crate::backoff::{Backoff, LONGEST_ASKED, Trouble, random_fraction};
use crate::execution::{self, blocking};
use crate::failure::{ErrorCode, Failure};
use crate::jobs::settlement;
use crate::outbox::MAX_WAITING;
use crate::registration::{self, RenewalClock};
use crate::server_client::{CallError, decode};
use crate::{Agent, report};

/// An empty answer that comes sooner than this was not held; asking at once again could become a flood.
const SHORTEST_HELD: Duration = Duration::from_secs(1);

/// What a held poll may outlast its time on the server.
const SETTLING: Duration = Duration::from_secs(20);

/// Takes and runs jobs until the agent is told to stop.
pub(crate) async fn run(agent: &Agent) {
    settlement::recover_all(agent).await;
    if !registration::establish(agent).await {
        return;
    }
    // What an earlier run finished is told before new work is asked for; if that fails, report.rs goes on trying.
    tokio::select! {
        () = agent.stop.told() => return,
        _ = report::send_all(agent) => {}
    }
    let mut trouble = Trouble::default();
    let mut empty = Backoff::default();
    let mut renewal = RenewalClock::default();
    let mut unsettled = Unsettled::begin();
    let mut contested = false;
    while !agent.stop.is_told() {
        registration::renew_if_due(agent, &mut renewal).await;
        let asked = Instant::now();
        let leased = lease(agent, unsettled.lasts(), contested).await;
        if matches!(leased, Some(Err(_))) {
            unsettled = Unsettled::begin();
        }
        // Said once for each time that we are told: this process lives.
        let objects = matches!(leased, Some(Err(CallError::Superseded))) && !contested;
        contested = objects;
        let pause = match leased {
            None => return,
            Some(Ok(answer)) => {
                trouble.over();
                let idle = answer.jobs.is_empty() && asked.elapsed() < SHORTEST_HELD;
                let pause = Duration::from_secs(answer.pause_seconds.into()).min(LONGEST_ASKED);
                run_all(agent, answer.jobs).await;
                if idle {
                    pause.max(empty.next(None, random_fraction()))
                } else {
                    empty_again(&mut empty, pause)
                }
            }
            Some(Err(error @ CallError::NotAccepted(_))) => {
                let pause = trouble.pause(&format!("jobs are not given out: {error}"), None);
                if agent.stop.told_within(pause).await || !registration::establish(agent).await {
                    return;
                }
                Duration::ZERO
            }
            Some(Err(CallError::DrainChanged)) => Duration::ZERO,
            Some(Err(CallError::Superseded)) if objects => Duration::ZERO,
            Some(Err(error @ CallError::Cloned)) => {
                tracing::error!("{error}");
                trouble.pause(&error.to_string(), None)
            }
            Some(Err(error)) => {
                trouble.pause(&format!("jobs cannot be asked for: {error}"), error.asked_pause())
            }
        };
        if !pause.is_zero() && agent.stop.told_within(pause).await {
            return;
        }
    }
}

fn empty_again(empty: &mut Backoff, pause: Duration) -> Duration {
    empty.reset();
    pause
}

/// The time after a start or a failed call in which the server may still lease jobs to a poll of ours that nobody
/// listens to any more; each poll then says which leases we know of, so that the others are given out anew.
struct Unsettled {
    until: Instant,
}

impl Unsettled {
    fn begin() -> Self {
        Self { until: Instant::now() + Duration::from_secs(MAX_WAIT_SECONDS.into()) + SETTLING }
    }

    fn lasts(&self) -> bool {
        Instant::now() < self.until
    }
}

/// Asks for jobs; `None` when the agent was told to stop. While too many results wait to be heard, none is asked for.
async fn lease(agent: &Agent, recover: bool, contested: bool) -> Option<Result<LeaseAnswer, CallError>> {
    if agent.outbox.len() >= MAX_WAITING {
        return Some(Err(CallError::Unreachable(format!("{MAX_WAITING} results wait to be reported first"))));
    }
    let drained = agent.drain.is_on();
    let request = LeaseRequest {
        host: agent.host.hash.clone(),
        host_name: agent.host.name.clone(),
        contested,
        drained,
        clock_offset_seconds: agent.client.clock().seconds(),
        max_jobs: agent.configuration.max_jobs,
        wait_seconds: u16::try_from(agent.configuration.poll_wait.as_secs()).unwrap_or(1),
        instance: agent.instance,
        recover,
        holding: if recover { holding(agent) } else { Vec::new() },
    };
    let body = tokio::select! {
        () = agent.stop.told() => return None,
        // The server may have leased jobs to the call that is given up here, so the next one asks what it holds.
        () = agent.drain.changed_from(drained) => Err(CallError::DrainChanged),
        body = agent.client.lease(&request) => body,
    };
    match body {
        Ok(body) => Some(match decode::<LeaseAnswer>(&body) {
            Ok(answer) => Ok(answer),
            Err(error) => decode_in_part(agent, &body).await.ok_or(error),
        }),
        Err(error) => Some(Err(error)),
    }
}

/// Jobs that are ours to report: held, or finished and not heard yet.
fn holding(agent: &Agent) -> Vec<JobId> {
    let mut jobs = agent.leases.jobs();
    jobs.extend(agent.outbox.jobs());
    jobs.sort_unstable();
    jobs.dedup();
    jobs
}

/// An answer of which not every job can be understood.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PartialAnswer {
    jobs: Vec<PartialJob>,
    #[serde(default)]
    pause_seconds: u32,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PartialJob {
    Understood(Box<LeasedJob>),
    NotUnderstood(LeaseKey),
}

/// Saves the jobs that can be understood from one that cannot (of a newer server, say), which is reported as failed.
async fn decode_in_part(agent: &Agent, body: &[u8]) -> Option<LeaseAnswer> {
    let answer = decode::<PartialAnswer>(body).ok()?;
    let mut jobs = Vec::with_capacity(answer.jobs.len());
    for job in answer.jobs {
        match job {
            PartialJob::Understood(job) => jobs.push(*job),
            PartialJob::NotUnderstood(lease) => {
                let what = "the job is of a kind or form that this version of the agent does not know";
                let failure = Failure::new(ErrorCode::InvalidPayload, what);
                tracing::error!(job.id = %lease.job_id, "a job cannot be understood");
                finish(agent, execution::failed(lease, &failure, Vec::new())).await;
            }
        }
    }
    Some(LeaseAnswer { jobs, pause_seconds: answer.pause_seconds })
}

/// Runs the jobs in their order. All leases are held from the start, so that those who wait do not lose theirs.
async fn run_all(agent: &Agent, jobs: Vec<LeasedJob>) {
    let taken: Vec<_> =
        jobs.into_iter().filter_map(|job| agent.leases.take(&job).map(|lease| (job, lease))).collect();
    for (job, lease) in taken {
        let completion = match standing_result(agent, &job).await {
            Some(completion) => completion,
            None => execution::execute(agent, job, &lease).await,
        };
        finish(agent, completion).await;
    }
}

/// The result of an earlier attempt that the server has not heard yet, as the result of this one.
async fn standing_result(agent: &Agent, job: &LeasedJob) -> Option<Completion> {
    let (outbox, job_id) = (std::sync::Arc::clone(&agent.outbox), job.job_id);
    let earlier = blocking(move || outbox.standing_result(job_id)).await.ok()??;
    debug_assert!(earlier.outcome != Outcome::TransientFailure);
    tracing::info!(job.id = %job_id, "the job was finished before; its result is reported under the new lease");
    let lease = LeaseKey { job_id, lease_token: job.lease_token };
    Some(Completion { lease, ..earlier })
}

async fn finish(agent: &Agent, completion: Completion) {
    let outbox = std::sync::Arc::clone(&agent.outbox);
    if blocking(move || outbox.put(completion)).await.is_err() {
        tracing::error!("the result of a job could not be kept");
    }
}
