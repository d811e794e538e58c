//! Register and heartbeat of the published protocol; our own agent registers here too.

use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use sealift_protocol::agent::registration::{CallResult, Heartbeat, HeartbeatAnswer, Register};

use super::identity::peer;
use super::wire::Refusal;
use crate::agents::registration::Proof;
use crate::agents::{Directory, registration, session};
use crate::authority::Authority;
use crate::floor::Floor;
use crate::http::{Failure, answer, body};
use crate::security::{Callers, Principal};

/// `Session/Register`.
pub(super) async fn register(
    request: HttpRequest,
    floor: Data<Floor>,
    authority: Data<Authority>,
    directory: Data<Directory>,
    callers: Data<Callers>,
    bytes: Bytes,
) -> Result<HttpResponse, Refusal> {
    let register: Register = body::parse(&bytes)?;
    let login = login(&request, &floor, &callers).await?;
    let proof = Proof { certificate: peer(&request), login: login.as_ref() };
    Ok(answer::json(&registration::register(&floor, &authority, &directory, register, proof).await?))
}

/// `Session/Heartbeat`.
pub(super) async fn heartbeat(
    request: HttpRequest,
    floor: Data<Floor>,
    callers: Data<Callers>,
    bytes: Bytes,
) -> Result<HttpResponse, Refusal> {
    let heartbeat: Heartbeat = body::parse(&bytes)?;
    let login = login(&request, &floor, &callers).await?;
    let proof = Proof { certificate: peer(&request), login: login.as_ref() };
    let mut db = floor.database.main.acquire().await?;
    let known = match heartbeat.session_token {
        Some(token) => session::find(&mut db, token, proof, floor.now()).await?,
        None => None,
    };
    Ok(answer::json(&HeartbeatAnswer {
        result: CallResult::success(),
        session_valid: known.is_some(),
        heartbeat_interval: floor.configuration.agents.heartbeat_minutes,
    }))
}

/// The user that logged in, where one did: published agents without a certificate are told apart by it. A
/// certificate is the better proof, so beside one a stale password does no harm.
async fn login(
    request: &HttpRequest,
    floor: &Floor,
    callers: &Callers,
) -> Result<Option<Principal>, Refusal> {
    let header = request.headers().get(AUTHORIZATION).filter(|_| peer(request).is_none());
    let Some(header) = header else { return Ok(None) };
    Ok(Some(callers.authenticate(floor, Some(header)).await.map_err(Failure::from)?))
}
