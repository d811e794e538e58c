//! Routes of the agents' door, below the virtual directory.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use sealift_protocol::agent::inventory::{InventoryAnswer, InventoryPage};
use sealift_protocol::agent::leases::{
    CompleteRequest, DiscoveredStores, EnrollAnswer, EnrollRequest, LeaseRequest, MAX_BATCH, MAX_STEPS,
    RenewAnswer, RenewRequest, StepsRequest,
};
use sealift_protocol::agent::paths;

use super::completion::{Completions, Reported};
use super::identity::ApprovedAgent;
use super::wire::{Refusal, strict};
use super::{poll, published, registration};
use crate::authority::Authority;
use crate::certificate_stores::{self, Certified, Upload, certify};
use crate::floor::Floor;
use crate::http::answer;
use crate::http::route::{Access, Endpoint};
use crate::orchestrator_jobs::{self, Dispatch, Steps};

/// The endpoints of the door, relative to the virtual directory.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let door = Access::AgentDoor;
    vec![
        // Relative paths: the door stands below a configured directory.
        Endpoint::post(paths::REGISTER, door, || web::to(registration::register)),
        Endpoint::post(paths::HEARTBEAT, door, || web::to(registration::heartbeat)),
        Endpoint::post(paths::CONFIGURE, door, || web::to(published::configure)),
        Endpoint::post(paths::REENROLL, door, || web::to(published::reenroll)),
        Endpoint::post(paths::ENROLL_JOB, door, || web::to(published::enroll)),
        Endpoint::post(paths::UPDATE, door, || web::to(published::update)),
        Endpoint::post(paths::COMPLETE_JOB, door, || web::to(published::complete)),
        Endpoint::post(paths::LEASE, door, || web::to(lease)),
        Endpoint::post(paths::RENEW, door, || web::to(renew)),
        Endpoint::post(paths::STEPS, door, || web::to(steps)),
        Endpoint::post(paths::COMPLETE, door, || web::to(complete)),
        Endpoint::post(paths::INVENTORY, door, || web::to(inventory)),
        Endpoint::post(paths::DISCOVERED, door, || web::to(discovered)),
        Endpoint::post(paths::ENROLL, door, || web::to(enroll)),
    ]
}

async fn lease(
    floor: Data<Floor>,
    authority: Data<Authority>,
    dispatch: Data<Dispatch>,
    agent: ApprovedAgent,
    body: Bytes,
) -> Result<HttpResponse, Refusal> {
    let request: LeaseRequest = strict(&body)?;
    if agent.must_renew {
        // It registers again then, and is told why.
        return Err(Refusal::new(StatusCode::FORBIDDEN, "the agent's certificate is to be renewed first"));
    }
    let dispatch: Arc<Dispatch> = dispatch.into_inner();
    Ok(answer::json(&poll::poll(&floor, &authority, &dispatch, agent.id, request).await?))
}

fn bounded(count: usize) -> Result<(), Refusal> {
    match count <= MAX_BATCH {
        true => Ok(()),
        false => Err(Refusal::new(StatusCode::BAD_REQUEST, "more than 100 in one call")),
    }
}

async fn renew(floor: Data<Floor>, agent: ApprovedAgent, body: Bytes) -> Result<HttpResponse, Refusal> {
    let request: RenewRequest = strict(&body)?;
    bounded(request.leases.len())?;
    let lease_seconds = floor.configuration.jobs.lease_seconds;
    let until = floor.now() + TimeDelta::seconds(lease_seconds.into());
    let mut db = floor.database.main.acquire().await?;
    let renewed = orchestrator_jobs::renew(&mut db, agent.id, &request.leases, until).await?;
    let lost = request.leases.iter().map(|lease| lease.job_id).filter(|job| !renewed.contains(job)).collect();
    Ok(answer::json(&RenewAnswer { renewed, lost, lease_seconds }))
}

async fn steps(floor: Data<Floor>, agent: ApprovedAgent, body: Bytes) -> Result<HttpResponse, Refusal> {
    let request: StepsRequest = strict(&body)?;
    bounded(request.attempts.len())?;
    let attempts: Vec<Steps> = request
        .attempts
        .into_iter()
        .map(|attempt| Steps {
            agent: agent.id,
            lease: attempt.lease,
            steps: attempt.steps.into_iter().take(MAX_STEPS).collect(),
        })
        .collect();
    let mut db = floor.database.main.acquire().await?;
    orchestrator_jobs::record_steps(&mut db, &attempts, floor.now()).await?;
    Ok(answer::no_content())
}

async fn complete(
    completions: Data<Completions>,
    agent: ApprovedAgent,
    body: Bytes,
) -> Result<HttpResponse, Refusal> {
    let request: CompleteRequest = strict(&body)?;
    bounded(request.completions.len())?;
    let reported = Reported { agent: agent.id, completions: request.completions, data: Vec::new() };
    let stopping = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping");
    Ok(answer::json(&completions.submit(reported).await.ok_or_else(stopping)??))
}

async fn inventory(floor: Data<Floor>, agent: ApprovedAgent, body: Bytes) -> Result<HttpResponse, Refusal> {
    let parsed = web::block(move || {
        let page: InventoryPage = strict(&body)?;
        Upload::parse(page).map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))
    });
    let upload =
        parsed.await.map_err(|error| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))??;
    let mut transaction = floor.database.main.begin().await?;
    let stored = certificate_stores::store_page(&mut transaction, agent.id, &upload, floor.now()).await;
    let disposition = stored.map_err(crate::http::Failure::from)?;
    transaction.commit().await?;
    Ok(answer::json(&InventoryAnswer { disposition }))
}

async fn discovered(floor: Data<Floor>, agent: ApprovedAgent, body: Bytes) -> Result<HttpResponse, Refusal> {
    let found: DiscoveredStores = strict(&body)?;
    let paths = certificate_stores::checked_discovery(&found)
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    let mut transaction = floor.database.main.begin().await?;
    let now = floor.now();
    let stored =
        certificate_stores::store_discovered(&mut transaction, agent.id, &found, &paths, now).await?;
    transaction.commit().await?;
    Ok(answer::json(&stored))
}

async fn enroll(
    floor: Data<Floor>,
    authority: Data<Authority>,
    agent: ApprovedAgent,
    body: Bytes,
) -> Result<HttpResponse, Refusal> {
    let call: EnrollRequest = strict(&body)?;
    let refused =
        |reason: String| Ok(answer::json(&EnrollAnswer { certificates: Vec::new(), refused: Some(reason) }));
    let request = match published::parsed_request(call.csr).await? {
        Ok(request) => request,
        Err(reason) => return refused(reason),
    };
    let mut transaction = floor.database.main.begin().await?;
    let whose = (agent.id, call.lease);
    let certified = certify(&mut transaction, &floor, &authority, whose, &request, floor.now()).await?;
    match certified {
        Certified::Issued(chain) => {
            transaction.commit().await?;
            let certificates = chain.iter().map(|der| STANDARD.encode(der)).collect();
            Ok(answer::json(&EnrollAnswer { certificates, refused: None }))
        }
        Certified::Stale => {
            refused("the lease is not this agent's any more; no certificate was issued".to_owned())
        }
        Certified::Refused(reason) => refused(reason),
    }
}
