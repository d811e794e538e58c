//! `Jobs/{id}/Enroll`: the request of a running reenrollment, and its certificate (agent protocol, chapter 10.2).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, Path, Query};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealift_pki::CertificateRequest;
use sealift_protocol::agent::reenrollment::{EnrollCall, Enrolled};
use sealift_protocol::agent::registration::CallResult;
use serde::Deserialize;

use super::outgoing::send;
use super::{Door, job};
use crate::agent_api::wire::Refusal;
use crate::authority::Authority;
use crate::certificate_stores::{Certified, certify};
use crate::http::body;
use crate::orchestrator_jobs::published::{LEASE, running};
use crate::orchestrator_jobs::renew;

/// The attempt is not running any more.
const STALE: &str = "A0160004";
/// The request is none.
const INVALID: &str = "A0160005";
/// There is no certificate for it.
const REFUSED: &str = "A0160006";
/// Longest request, in base64 characters.
const MAX_REQUEST: usize = 88_000;

/// What the configuration put behind the path.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::agent_api) struct Attempt {
    /// Its history id.
    audit: i64,
}

/// `Jobs/{id}/Enroll`. What is refused is an answer with status 3, which the agent reports as the job's failure.
pub(in crate::agent_api) async fn enroll(
    door: Door,
    authority: Data<Authority>,
    path: Path<String>,
    attempt: Query<Attempt>,
    bytes: Bytes,
) -> Result<HttpResponse, Refusal> {
    let call: EnrollCall = body::parse(&bytes)?;
    let session = door.session(call.session_token.as_deref()).await?;
    let request = match parsed(call.csr_text.unwrap_or_default()).await? {
        Ok(request) => request,
        Err(reason) => return Ok(refused(INVALID, &reason)),
    };
    let (job, now) = (job(&path)?, door.floor.now());
    let mut db = door.floor.database.main.begin().await?;
    let Some(running) = running(&mut db, session.agent, job, attempt.audit).await? else {
        return Ok(refused(STALE, "this attempt is not running any more; no certificate was issued"));
    };
    let whose = (session.agent, running.lease(job));
    match certify(&mut db, &door.floor, &authority, whose, &request, now).await? {
        Certified::Issued(chain) => {
            renew(&mut db, session.agent, &[whose.1], now + LEASE).await?;
            db.commit().await?;
            let certificate = chain.first().map(|der| STANDARD.encode(der));
            Ok(send(Enrolled { result: CallResult::success(), certificate }))
        }
        Certified::Stale => {
            Ok(refused(STALE, "this attempt is not running any more; no certificate was issued"))
        }
        Certified::Refused(reason) => Ok(refused(REFUSED, &reason)),
    }
}

fn refused(code: &str, reason: &str) -> HttpResponse {
    send(Enrolled { result: CallResult::error(code, reason), certificate: None })
}

/// A request from its base64, its self-signature verified.
pub(in crate::agent_api) async fn parsed(
    text: String,
) -> Result<Result<CertificateRequest, String>, Refusal> {
    let parsed = web::block(move || {
        if text.len() > MAX_REQUEST {
            return Err("the request is too long".to_owned());
        }
        let compact: String = text.split_ascii_whitespace().collect();
        let der = STANDARD.decode(compact).map_err(|_| "the request is not base64 of DER".to_owned())?;
        CertificateRequest::parse(&der).map_err(|error| format!("the request cannot be used: {error}"))
    });
    parsed.await.map_err(|error| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
}
