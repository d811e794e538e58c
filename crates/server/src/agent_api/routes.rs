//! Routes of the agents' door, below the virtual directory.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealift_protocol::AgentId;
use sealift_protocol::agent::inventory::InventoryPage;
use sealift_protocol::agent::leases::{
    CompleteRequest, DiscoveredStores, EnrollAnswer, EnrollRequest, LeaseRequest, MAX_BATCH, MAX_STEPS,
    REFUSED_CLONED, REFUSED_SUPERSEDED, RenewRequest, StepsRequest,
};
use sealift_protocol::agent::paths;

use super::completion::{Completions, Reported};
use super::identity::ApprovedAgent;
use super::wire::{Refusal, strict};
use super::{direct, poll, published, registration};
use crate::agents::{self, Admission, Arrival, Directory};
use crate::authority::Authority;
use crate::certificate_stores::{self, Certified, Upload, certify};
use crate::floor::Floor;
use crate::http::answer;
use crate::http::route::{Access, Endpoint};
use crate::orchestrator_jobs::{self, AttemptData, Dispatch, Steps};

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
    directory: Data<Directory>,
    agent: ApprovedAgent,
    call: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, Refusal> {
    let request: LeaseRequest = strict(&body)?;
    admit(&floor, &directory, &agent, &call, &request).await?;
    if agent.identity.must_renew {
        // It registers again then, and is told why.
        return Err(Refusal::new(StatusCode::FORBIDDEN, "the agent's certificate is to be renewed first"));
    }
    let dispatch: Arc<Dispatch> = dispatch.into_inner();
    Ok(answer::json(&poll::poll(&floor, &authority, &dispatch, agent.id, request).await?))
}

/// One process of an agent works at a time; others are told why they do not.
async fn admit(
    floor: &Floor,
    directory: &Directory,
    agent: &ApprovedAgent,
    call: &HttpRequest,
    request: &LeaseRequest,
) -> Result<(), Refusal> {
    let arrival = Arrival::parse(request, call.peer_addr().map(|address| address.ip()))
        .map_err(|reason| Refusal::new(StatusCode::BAD_REQUEST, reason))?;
    let refuse = |code, reason| Err(Refusal::coded(StatusCode::CONFLICT, code, reason));
    match agents::admit(floor, directory, (agent.id, agent.identity.instance), &arrival).await? {
        Admission::Admitted => {}
        Admission::Superseded => {
            return refuse(REFUSED_SUPERSEDED, "a newer process of this agent has begun");
        }
        Admission::Cloned => return refuse(REFUSED_CLONED, "another process works under this identity"),
    }
    directory.working(agent.id, request.clock_offset_seconds, floor.now());
    agents::say_drained(floor, directory, &agent.identity, request.drained).await?;
    Ok(())
}

fn bounded(count: usize) -> Result<(), Refusal> {
    match count <= MAX_BATCH {
        true => Ok(()),
        false => Err(Refusal::new(StatusCode::BAD_REQUEST, "more than 100 in one call")),
    }
}

async fn renew(
    floor: Data<Floor>,
    directory: Data<Directory>,
    agent: ApprovedAgent,
    body: Bytes,
) -> Result<HttpResponse, Refusal> {
    let request: RenewRequest = strict(&body)?;
    bounded(request.leases.len())?;
    let renewed = direct::renew(&floor, agent.id, &request).await?;
    if !renewed.renewed.is_empty() {
        // Only the process that leases was given has their tokens; it does not poll while it works.
        directory.working(agent.id, None, floor.now());
    }
    Ok(answer::json(&renewed))
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
    floor: Data<Floor>,
    completions: Data<Completions>,
    agent: ApprovedAgent,
    body: Bytes,
) -> Result<HttpResponse, Refusal> {
    let request: CompleteRequest = strict(&body)?;
    bounded(request.completions.len())?;
    let data = logs(&floor, agent.id, &request).await?;
    let reported = Reported { agent: agent.id, completions: request.completions, data };
    let stopping = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping");
    Ok(answer::json(&completions.submit(reported).await.ok_or_else(stopping)??))
}

/// The logs that reports bring, sealed.
async fn logs(floor: &Floor, agent: AgentId, request: &CompleteRequest) -> Result<Vec<AttemptData>, Refusal> {
    let mut sealed = Vec::new();
    for completion in &request.completions {
        if let Some(log) = completion.log.as_ref().filter(|log| !log.is_empty()) {
            let mut db = floor.database.main.acquire().await?;
            sealed.extend(orchestrator_jobs::seal_log(&mut db, floor, agent, completion.lease, log).await?);
        }
    }
    Ok(sealed)
}

async fn inventory(floor: Data<Floor>, agent: ApprovedAgent, body: Bytes) -> Result<HttpResponse, Refusal> {
    let parsed = web::block(move || {
        let page: InventoryPage = strict(&body)?;
        Upload::parse(page).map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))
    });
    let upload =
        parsed.await.map_err(|error| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))??;
    Ok(answer::json(&direct::upload(&floor, agent.id, &upload).await?))
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
