//! `Jobs/{id}/Configure` and `Jobs/{id}/Reenroll`: begin an attempt and tell its details.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{Bytes, Data, Path, Query};
use sealift_protocol::JobId;
use sealift_protocol::agent::jobs::{Configure, Configured, ConfiguredJob};
use sealift_protocol::agent::leases::{LeaseKey, Outcome};
use sealift_protocol::agent::reenrollment::ReenrollmentConfigured;
use sealift_protocol::agent::registration::CallResult;
use serde::Deserialize;
use sqlx::PgConnection;

use super::outgoing::send;
use super::{About, Door, job};
use crate::agent_api::wire::Refusal;
use crate::agents::session::native;
use crate::authority::Authority;
use crate::certificate_stores::{self, published};
use crate::floor::Floor;
use crate::http::{Failure, body};
use crate::orchestrator_jobs::published::{Begun, JobPlace, begin, describe, place};
use crate::orchestrator_jobs::{self, Dispatch, Leased, Operation, Report};

/// The call's error code when a job can never run.
const NOT_POSSIBLE: &str = "A0160001";
/// The call's error code when a reenrollment cannot be told now.
const NOT_NOW: &str = "A0160007";

/// What the list put behind the path.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::agent_api) struct Listed {
    /// The change that this inventory follows.
    after: Option<String>,
}

/// What became of the wish to begin an attempt.
enum Told {
    Job(Box<Configured>),
    Reenrollment(Box<ReenrollmentConfigured>),
    /// It is dropped without a word, or with this error.
    Nothing(JobPlace, CallResult),
}

/// `Jobs/{id}/Configure`.
pub(in crate::agent_api) async fn configure(
    door: Door,
    authority: Data<Authority>,
    dispatch: Data<Dispatch>,
    path: Path<String>,
    listed: Query<Listed>,
    bytes: Bytes,
) -> Result<HttpResponse, Refusal> {
    let after = listed.after.as_deref().and_then(|text| text.parse().ok());
    Ok(match begun(&door, &authority, &dispatch, &path, after, &bytes).await? {
        Told::Job(configured) => send(*configured),
        Told::Reenrollment(configured) => send(*configured),
        Told::Nothing(place, result) => send(dropped(place, result)),
    })
}

/// `Jobs/{id}/Reenroll`. Whatever goes wrong is an answer with status 3: an HTTP error crashes agents, and with them
/// every job that they still had to do (agent protocol, chapter 7.2).
pub(in crate::agent_api) async fn reenroll(
    door: Result<Door, Refusal>,
    authority: Data<Authority>,
    dispatch: Data<Dispatch>,
    path: Path<String>,
    bytes: Result<Bytes, actix_web::Error>,
) -> HttpResponse {
    let told = match (door, bytes) {
        (Ok(door), Ok(bytes)) => begun(&door, &authority, &dispatch, &path, None, &bytes).await,
        (Err(refusal), _) => Err(refusal),
        (_, Err(error)) => {
            Err(Refusal::new(error.as_response_error().status_code(), "the body cannot be read"))
        }
    };
    match told {
        Ok(Told::Reenrollment(configured)) => send(*configured),
        Ok(Told::Nothing(place, result)) => send(no_reenrollment(place, result)),
        Ok(Told::Job(_)) => send(no_reenrollment(
            JobPlace::none(),
            CallResult::error(NOT_POSSIBLE, "the job is no reenrollment"),
        )),
        Err(refusal) => {
            tracing::info!("a reenrollment was not told to its agent: {refusal}");
            // The reason may be ours alone.
            let result =
                CallResult::error(NOT_NOW, "the reenrollment cannot be told now; it stays in the queue");
            send(no_reenrollment(JobPlace::none(), result))
        }
    }
}

async fn begun(
    door: &Door,
    authority: &Authority,
    dispatch: &Data<Dispatch>,
    path: &Path<String>,
    after: Option<JobId>,
    bytes: &Bytes,
) -> Result<Told, Refusal> {
    let call: Configure = body::parse(bytes)?;
    let session = door.session(call.session_token.as_deref()).await?;
    let about = About { agent: session.agent, job: job(path)?, native: native(session.platform) };
    let dispatch: Arc<Dispatch> = Arc::clone(dispatch);
    Ok(begin_attempt(&door.floor, authority, &dispatch, &about, after).await?)
}

async fn begin_attempt(
    floor: &Floor,
    authority: &Authority,
    dispatch: &Dispatch,
    about: &About,
    after: Option<JobId>,
) -> Result<Told, Failure> {
    let now = floor.now();
    let mut db = floor.database.main.begin().await?;
    let (begun, ended) = match begin(&mut db, about.agent, about.job, now).await {
        // Another one entered the store first; this one is behind it.
        Err(error) if orchestrator_jobs::lost_the_race(&error) => {
            drop(db);
            let mut db = floor.database.main.acquire().await?;
            return cancelled(&mut db, about, after).await;
        }
        begun => begun?,
    };
    let max_attempts = floor.configuration.jobs.max_attempts;
    certificate_stores::follow_with_inventory(&mut db, &ended, max_attempts, now).await?;
    let told = match begun {
        Begun::NotNow => cancelled(&mut db, about, after).await?,
        Begun::Attempt(leased) if is_alone(&leased) => Told::Job(Box::new(describe(floor, &leased)?)),
        Begun::Attempt(leased) => told(&mut db, floor, authority, about, *leased).await?,
    };
    db.commit().await?;
    if !ended.is_empty() {
        dispatch.ring_all([about.agent]);
    }
    Ok(told)
}

/// Tells a job on a store; one that can never run ends here.
async fn told(
    db: &mut PgConnection,
    floor: &Floor,
    authority: &Authority,
    about: &About,
    leased: Leased,
) -> Result<Told, Failure> {
    let (history_id, lease_token) = (leased.history_id, leased.lease_token);
    let reason = match published::describe(db, floor, authority, leased, about.native).await? {
        Ok(published::Described::Reenrollment(configured)) => return Ok(Told::Reenrollment(configured)),
        Ok(published::Described::Job { job, update }) => {
            return Ok(Told::Job(Box::new(Configured {
                result: CallResult::success(),
                audit_id: history_id,
                job_cancelled: false,
                inventory_endpoint: update,
                max_characters_to_return: None,
                job: *job,
            })));
        }
        Err(reason) => reason,
    };
    let place = place(db, about.agent, &[about.job]).await?;
    let result = CallResult::error(NOT_POSSIBLE, &reason);
    let report = Report {
        agent: about.agent,
        lease: LeaseKey { job_id: about.job, lease_token },
        outcome: Outcome::Failure,
        message: reason,
        error_code: Some("job_not_possible".to_owned()),
        evidence: None,
    };
    orchestrator_jobs::finish(db, &[report], floor.configuration.jobs.retry_seconds, floor.now()).await?;
    Ok(Told::Nothing(place.unwrap_or_else(JobPlace::none), result))
}

fn is_alone(leased: &Leased) -> bool {
    Operation::from_number(leased.operation).is_some_and(Operation::is_alone)
}

/// The job is dropped without a word.
async fn cancelled(db: &mut PgConnection, about: &About, after: Option<JobId>) -> Result<Told, Failure> {
    let jobs: Vec<JobId> = std::iter::once(about.job).chain(after).collect();
    let place = place(db, about.agent, &jobs).await?;
    Ok(Told::Nothing(place.unwrap_or_else(JobPlace::none), CallResult::success()))
}

/// With the path of a store, or the agent would report it as refused; it looks at the path before anything else
/// (chapter 7.2).
fn dropped(place: JobPlace, result: CallResult) -> Configured {
    let JobPlace { client_machine, store_path } = place;
    Configured {
        result,
        audit_id: 0,
        job_cancelled: true,
        inventory_endpoint: None,
        max_characters_to_return: None,
        job: ConfiguredJob { client_machine, store_path, ..ConfiguredJob::default() },
    }
}

fn no_reenrollment(place: JobPlace, result: CallResult) -> ReenrollmentConfigured {
    ReenrollmentConfigured {
        result,
        audit_id: 0,
        job_cancelled: true,
        key_type: "ECC".to_owned(),
        key_size: 256,
        subject: String::new(),
        entropy: None,
        client_machine: place.client_machine,
        store_path: place.store_path,
        store_password: None,
        enroll_endpoint: String::new(),
        properties: None,
        sans: BTreeMap::new(),
        alias: None,
        overwrite: false,
        job_properties: BTreeMap::new(),
    }
}
