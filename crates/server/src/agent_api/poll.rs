//! The long poll: waits in memory until an agent has something to do, then leases it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use sealift_protocol::AgentId;
use sealift_protocol::agent::leases::{
    LeaseAnswer, LeaseKey, LeaseRequest, LeasedJob, MAX_BATCH, MAX_JOBS, MAX_WAIT_SECONDS, Outcome,
};
use sqlx::Connection as _;
use tokio::time::Instant;
use uuid::Uuid;

use super::wire::Refusal;
use crate::authority::Authority;
use crate::certificate_stores::{self, Broken};
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::{self, Dispatch, Leased, Look, Operation, Report};

/// Waits for due jobs of an agent and leases them; empty when none became due in time.
pub(super) async fn poll(
    floor: &Floor,
    authority: &Authority,
    dispatch: &Arc<Dispatch>,
    agent: AgentId,
    request: LeaseRequest,
) -> Result<LeaseAnswer, Refusal> {
    let instance = request.instance;
    if !(1..=MAX_JOBS).contains(&request.max_jobs) || request.wait_seconds > MAX_WAIT_SECONDS {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "MaxJobs or WaitSeconds is out of bounds"));
    }
    let held = dispatch.hold(agent);
    if request.recover {
        let Some(_turn) = held.turn().await else { return Ok(LeaseAnswer::default()) };
        recover(floor, dispatch, agent, &request).await?;
    }
    let deadline = Instant::now() + Duration::from_secs(request.wait_seconds.into());
    loop {
        // Interest first, then the look: a bell in between is heard.
        let mut rung = pin!(held.bell().notified());
        rung.as_mut().enable();
        if held.is_superseded() {
            return Ok(LeaseAnswer::default());
        }
        let next = match held.look(floor.now()) {
            Look::Wait(next) => next,
            Look::Now => {
                let Some(_turn) = held.turn().await else {
                    held.found();
                    return Ok(LeaseAnswer::default());
                };
                match take(floor, authority, (agent, instance), request.max_jobs).await {
                    Ok(Taken::Jobs(jobs)) => {
                        held.found();
                        return Ok(LeaseAnswer { jobs, pause_seconds: 0 });
                    }
                    Ok(Taken::Nothing(next)) => held.found_nothing(next),
                    Err(failure) => {
                        held.found();
                        return Err(failure.into());
                    }
                }
                continue;
            }
        };
        tokio::select! {
            () = rung => {}
            () = reached(floor, next) => {}
            () = dispatch.closed() => return Ok(LeaseAnswer::default()),
            () = tokio::time::sleep_until(deadline) => return Ok(LeaseAnswer::default()),
        }
    }
}

async fn reached(floor: &Floor, next: Option<DateTime<Utc>>) {
    match next {
        Some(next) => floor.clock.sleep_until(next).await,
        None => std::future::pending().await,
    }
}

async fn recover(
    floor: &Floor,
    dispatch: &Dispatch,
    agent: AgentId,
    request: &LeaseRequest,
) -> Result<(), Refusal> {
    if request.holding.len() > MAX_BATCH * 10 {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "Holding is out of bounds"));
    }
    let now = floor.now();
    let mut transaction = floor.database.main.begin().await?;
    let abandoned = orchestrator_jobs::abandon(&mut transaction, agent, &request.holding, now).await?;
    certificate_stores::follow_with_inventory(
        &mut transaction,
        &abandoned,
        floor.configuration.jobs.max_attempts,
        now,
    )
    .await?;
    transaction.commit().await?;
    dispatch.ring_all([agent]);
    Ok(())
}

enum Taken {
    Jobs(Vec<LeasedJob>),
    Nothing(Option<DateTime<Utc>>),
}

async fn take(
    floor: &Floor,
    authority: &Authority,
    (agent, instance): (AgentId, Uuid),
    limit: u16,
) -> Result<Taken, Failure> {
    let now = floor.now();
    let until = now + TimeDelta::seconds(floor.configuration.jobs.lease_seconds.into());
    let mut db = floor.database.main.acquire().await?;
    let mut transaction = db.begin().await?;
    let leased = match orchestrator_jobs::lease(&mut transaction, agent, instance, limit, now, until).await {
        Err(error) if orchestrator_jobs::lost_the_race(&error) => return Ok(Taken::Nothing(Some(now))),
        leased => leased?,
    };
    if leased.is_empty() {
        let next = orchestrator_jobs::next_due(&mut transaction, agent, now).await?;
        return Ok(Taken::Nothing(next));
    }
    // Our own agents run no programs of others; what a foreign agent asks for by leases is not handed out.
    let (alone, leased): (Vec<Leased>, Vec<Leased>) = leased
        .into_iter()
        .partition(|job| Operation::from_number(job.operation).is_some_and(Operation::is_alone));
    let (mut jobs, mut broken) =
        certificate_stores::describe(&mut transaction, floor, authority, leased).await?;
    let reason = "jobs of this kind are handed out over the published protocol only";
    for job in alone {
        match orchestrator_jobs::log_retrieval(&job, floor.configuration.jobs.lease_seconds) {
            Some(retrieval) => jobs.push(retrieval),
            None => broken.push(Broken { job, reason: reason.to_owned() }),
        }
    }
    let reports: Vec<Report> = broken
        .into_iter()
        .map(|broken| Report {
            agent,
            lease: LeaseKey { job_id: broken.job.id, lease_token: broken.job.lease_token },
            outcome: Outcome::Failure,
            message: broken.reason,
            error_code: Some("job_not_possible".to_owned()),
            evidence: None,
        })
        .collect();
    orchestrator_jobs::finish(&mut transaction, &reports, floor.configuration.jobs.retry_seconds, now)
        .await?;
    transaction.commit().await?;
    Ok(Taken::Jobs(jobs))
}
