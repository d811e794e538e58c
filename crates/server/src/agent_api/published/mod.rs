//! Jobs over the published agent protocol (agent protocol, chapters 6 to 11): the list that a session begins with, the
//! configuration that begins an attempt, the update of an inventory, and the report of the end.
//!
//! These agents make one pass, send no heartbeat while they work, and never repeat a report. What fences them is what
//! they echo: the job's id in paths of the server's own choice, and the attempt's history id (`AuditId`). A call that
//! comes too late is answered as heard, and changes nothing.

mod complete;
mod configure;
mod enroll;
mod outgoing;
mod update;

pub(super) use complete::complete;
pub(super) use configure::{configure, reenroll};
pub(super) use enroll::{enroll, parsed as parsed_request};
pub(super) use outgoing::send;
pub(super) use update::update;

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{FromRequest, HttpRequest};
use sealift_protocol::{AgentId, JobId};

use super::pace;
use super::registration::login;
use super::wire::Refusal;
use crate::agents::Directory;
use crate::agents::session::{self, LiveSession};
use crate::floor::Floor;
use crate::security::Callers;

/// A call at this door, before it is known whose it is.
pub(in crate::agent_api) struct Door {
    floor: Data<Floor>,
    callers: Data<Callers>,
    directory: Data<Directory>,
    request: HttpRequest,
}

impl FromRequest for Door {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let parts = (
            request.app_data::<Data<Floor>>().cloned(),
            request.app_data::<Data<Callers>>().cloned(),
            request.app_data::<Data<Directory>>().cloned(),
        );
        let (Some(floor), Some(callers), Some(directory)) = parts else {
            let reason = "the agents' door is not set up";
            return ready(Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, reason)));
        };
        ready(Ok(Self { floor, callers, directory, request: request.clone() }))
    }
}

impl Door {
    /// The session that a call names. It counts only together with the certificate or login that it was given to.
    async fn session(&self, token: Option<&str>) -> Result<LiveSession, Refusal> {
        let unknown = || Refusal::new(StatusCode::UNAUTHORIZED, "the session is unknown, over, or another's");
        let login = login(&self.request, &self.floor, &self.callers).await?;
        pace::keep(&self.request, &self.floor, login.as_ref())?;
        let proof = pace::proof(&self.request, login.as_ref());
        let mut db = self.floor.database.main.acquire().await?;
        let now = self.floor.now();
        let found =
            session::find(&mut db, token.unwrap_or_default(), proof, now).await?.ok_or_else(unknown)?;
        if let Some(thumbprint) = proof.certificate {
            self.directory.seen(found.agent, &thumbprint, now);
        }
        Ok(found)
    }
}

/// The job of a path. No other job can be meant: nothing is there.
fn job(path: &Path<String>) -> Result<JobId, Refusal> {
    path.parse().map_err(|_| Refusal::new(StatusCode::NOT_FOUND, "the path names no job"))
}

/// A job and the agent that calls about it.
struct About {
    agent: AgentId,
    job: JobId,
    /// Whether the agent is the vendor's native one.
    native: bool,
}
