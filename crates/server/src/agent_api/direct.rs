//! Calls of our own agent without HTTP: what the routes do, and what a simulation calls ([`crate::startup::Replica`]).

use std::sync::Arc;

use actix_web::http::StatusCode;
use chrono::TimeDelta;
use sealift_protocol::AgentId;
use sealift_protocol::agent::inventory::{InventoryAnswer, InventoryPage};
use sealift_protocol::agent::leases::{
    CompleteAnswer, Completion, LeaseAnswer, LeaseRequest, RenewAnswer, RenewRequest,
};

use super::completion::{Completions, Reported};
use super::poll;
use super::wire::Refusal;
use crate::agents::{self, Admission, Arrival, Directory};
use crate::authority::Authority;
use crate::certificate_stores::{self, Upload};
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::{self, Dispatch};

/// Admits the process that asks, waits for due jobs and leases them.
pub(crate) async fn lease(
    floor: &Floor,
    authority: &Authority,
    directory: &Directory,
    dispatch: &Arc<Dispatch>,
    agent: AgentId,
    request: LeaseRequest,
) -> Result<LeaseAnswer, Refusal> {
    let refuse = |reason: &str| Refusal::new(StatusCode::CONFLICT, reason);
    let arrival = Arrival::parse(&request, None).map_err(refuse)?;
    if agents::admit(floor, directory, (agent, None), &arrival).await? != Admission::Admitted {
        return Err(refuse("another process works under this identity"));
    }
    poll::poll(floor, authority, dispatch, agent, request).await
}

/// Keeps leases.
pub(crate) async fn renew(
    floor: &Floor,
    agent: AgentId,
    request: &RenewRequest,
) -> Result<RenewAnswer, Refusal> {
    let lease_seconds = floor.configuration.jobs.lease_seconds;
    let until = floor.now() + TimeDelta::seconds(lease_seconds.into());
    let mut db = floor.database.main.acquire().await?;
    let renewed = orchestrator_jobs::renew(&mut db, agent, &request.leases, until).await?;
    let lost = request.leases.iter().map(|lease| lease.job_id).filter(|job| !renewed.contains(job)).collect();
    Ok(RenewAnswer { renewed, lost, lease_seconds })
}

/// Stores a page that was checked.
pub(super) async fn upload(
    floor: &Floor,
    agent: AgentId,
    upload: &Upload,
) -> Result<InventoryAnswer, Refusal> {
    let mut transaction = floor.database.main.begin().await?;
    let stored = certificate_stores::store_page(&mut transaction, agent, upload, floor.now()).await;
    let disposition = stored.map_err(Failure::from)?;
    transaction.commit().await?;
    Ok(InventoryAnswer { disposition })
}

/// Checks a page and stores it.
pub(crate) async fn upload_page(
    floor: &Floor,
    agent: AgentId,
    page: InventoryPage,
) -> Result<InventoryAnswer, Refusal> {
    let parsed = Upload::parse(page).map_err(Failure::from)?;
    upload(floor, agent, &parsed).await
}

/// Records finished attempts, in a group with those of others.
pub(crate) async fn complete(
    completions: &Completions,
    agent: AgentId,
    reports: Vec<Completion>,
) -> Result<CompleteAnswer, Failure> {
    let reported = Reported { agent, completions: reports, data: Vec::new() };
    completions.submit(reported).await.unwrap_or_else(|| Err(Failure::stopping()))
}
