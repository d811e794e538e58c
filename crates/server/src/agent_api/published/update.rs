//! `Jobs/{id}/Update`: what an inventory found.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Path, Query};
use sealift_protocol::agent::jobs::{Accepted, InventoryUpdate};
use sealift_protocol::agent::registration::CallResult;
use serde::Deserialize;

use super::{Door, job, send};
use crate::agent_api::wire::Refusal;
use crate::certificate_stores::published::{Update, store_update};
use crate::http::{Failure, body};
use crate::orchestrator_jobs::published::{LEASE, running};
use crate::orchestrator_jobs::renew;

/// The attempt is not running any more.
const STALE: &str = "A0160002";
/// The update is out of bounds.
const INVALID: &str = "A0160003";

/// What the configuration put behind the path.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::agent_api) struct Attempt {
    /// Its history id.
    audit: i64,
    /// `none` when the agent was told of no entry.
    base: String,
}

/// `Jobs/{id}/Update`. A refused one is an answer with status 3: after an HTTP error agents go on to report success
/// (chapter 8.3).
pub(in crate::agent_api) async fn update(
    door: Door,
    path: Path<String>,
    attempt: Query<Attempt>,
    bytes: Bytes,
) -> Result<HttpResponse, Refusal> {
    let from_nothing = attempt.base == "none";
    let parsed = web::block(move || {
        let update: InventoryUpdate = body::parse(&bytes)?;
        let token = update.session_token.clone();
        Ok::<_, Failure>((token, Update::parse(update.inventory, from_nothing)))
    });
    let (token, update) =
        parsed.await.map_err(|error| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))??;
    let session = door.session(token.as_deref()).await?;
    let update = match update {
        Ok(update) => update,
        Err(error) => return Ok(refused(INVALID, &error.to_string())),
    };
    let (job, now) = (job(&path)?, door.floor.now());
    let mut db = door.floor.database.main.begin().await?;
    let Some(running) = running(&mut db, session.agent, job, attempt.audit).await? else {
        return Ok(refused(STALE, "this attempt is not running any more; nothing was changed"));
    };
    let lease = running.lease(job);
    let stored = store_update(&mut db, session.agent, lease, &update, now).await.map_err(Failure::from)?;
    if !stored {
        return Ok(refused(STALE, "this attempt is not running any more; nothing was changed"));
    }
    renew(&mut db, session.agent, &[lease], now + LEASE).await?;
    db.commit().await?;
    Ok(send(Accepted { result: CallResult::success(), inventory_job: None }))
}

fn refused(code: &str, message: &str) -> HttpResponse {
    send(Accepted { result: CallResult::error(code, message), inventory_job: None })
}
