//! Register and heartbeat of the published protocol; our own agent registers here too.

use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use sealift_protocol::AgentId;
use sealift_protocol::agent::jobs::ListedJob;
use sealift_protocol::agent::registration::{
    CallResult, Heartbeat, HeartbeatAnswer, Register, Session, parameters,
};

use sqlx::PgConnection;

use super::identity::peer;
use super::pace;
use super::published::send;
use super::wire::Refusal;
use crate::agents::{Directory, registration, session};
use crate::authority::Authority;
use crate::certificate_stores::published;
use crate::floor::Floor;
use crate::http::{Failure, body};
use crate::orchestrator_jobs;
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
    pace::keep(&request, &floor, login.as_ref())?;
    let proof = pace::proof(&request, login.as_ref());
    let ours =
        register.client_parameters.keys().any(|name| name.eq_ignore_ascii_case(parameters::EXTENSIONS));
    let platform = i16::try_from(register.agent_platform).unwrap_or_default();
    let changes = takes_changes(platform, proof.certificate.is_some());
    let mut registered = registration::register(&floor, &authority, &directory, register, proof).await?;
    if let Some(session) = registered.session.as_mut().filter(|_| !ours) {
        list_jobs(&floor, session, changes).await?;
    }
    Ok(send(registered))
}

/// A native agent without a certificate of its own crashes on every change (chapter 9.2).
fn takes_changes(platform: i16, certificate: bool) -> bool {
    certificate || !session::native(platform)
}

async fn list_jobs(floor: &Floor, session: &mut Session, changes: bool) -> Result<(), Refusal> {
    let Some(agent) = session.agent() else { return Ok(()) };
    let mut db = floor.database.main.acquire().await?;
    session.jobs = listed(&mut db, agent, changes, floor.now()).await?;
    session::note_listed(&mut db, &session.token, session.jobs.len()).await?;
    Ok(())
}

/// The due jobs of an agent: those on stores, then those that work on none.
async fn listed(
    db: &mut PgConnection,
    agent: AgentId,
    changes: bool,
    now: DateTime<Utc>,
) -> Result<Vec<ListedJob>, sqlx::Error> {
    let mut jobs = published::listed_jobs(db, agent, changes, now).await?;
    jobs.extend(orchestrator_jobs::published::listed(db, agent, now).await?);
    Ok(jobs)
}

/// `Session/Heartbeat`.
pub(super) async fn heartbeat(
    request: HttpRequest,
    floor: Data<Floor>,
    callers: Data<Callers>,
    directory: Data<Directory>,
    bytes: Bytes,
) -> Result<HttpResponse, Refusal> {
    let heartbeat: Heartbeat = body::parse(&bytes)?;
    let login = login(&request, &floor, &callers).await?;
    pace::keep(&request, &floor, login.as_ref())?;
    let proof = pace::proof(&request, login.as_ref());
    let mut db = floor.database.main.acquire().await?;
    let token = heartbeat.session_token.unwrap_or_default();
    let now = floor.now();
    let session_valid = match session::find(&mut db, &token, proof, now).await? {
        None => false,
        Some(live) => {
            if let Some(thumbprint) = proof.certificate {
                directory.seen(live.agent, &thumbprint, now);
            }
            // The only way to hand out new work: the agent registers again, and gets a list (chapter 5). It ran what
            // it had before it called, so whatever can be listed is new.
            let changes = takes_changes(live.platform, proof.certificate.is_some());
            let listed = listed(&mut db, live.agent, changes, now).await?;
            listed.is_empty() || !live.may_be_ended()
        }
    };
    Ok(send(HeartbeatAnswer {
        result: CallResult::success(),
        session_valid,
        heartbeat_interval: floor.configuration.agents.heartbeat_minutes,
    }))
}

/// The user that logged in, where one did: published agents without a certificate are told apart by it. A
/// certificate is the better proof, so beside one a stale password does no harm.
pub(super) async fn login(
    request: &HttpRequest,
    floor: &Floor,
    callers: &Callers,
) -> Result<Option<Principal>, Refusal> {
    let header = request.headers().get(AUTHORIZATION).filter(|_| peer(request).is_none());
    let Some(header) = header else { return Ok(None) };
    Ok(Some(callers.authenticate(floor, Some(header)).await.map_err(Failure::from)?))
}
