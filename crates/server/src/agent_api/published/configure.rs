//! `Jobs/{id}/Configure`: begins an attempt and tells its details.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{Bytes, Data, Path, Query};
use sealift_protocol::JobId;
use sealift_protocol::agent::jobs::{Configure, Configured, ConfiguredJob};
use sealift_protocol::agent::leases::{LeaseKey, Outcome};
use sealift_protocol::agent::registration::CallResult;
use serde::Deserialize;
use sqlx::PgConnection;

use super::{About, Door, job};
use crate::agent_api::wire::Refusal;
use crate::authority::Authority;
use crate::certificate_stores::{self, published};
use crate::floor::Floor;
use crate::http::{Failure, answer, body};
use crate::orchestrator_jobs::published::{Begun, begin, describe, place};
use crate::orchestrator_jobs::{self, Dispatch, Leased, Operation, Report};

/// The call's error code when a job can never run.
const NOT_POSSIBLE: &str = "A0160001";

/// What the list put behind the path.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::agent_api) struct Listed {
    /// The change that this inventory follows.
    after: Option<String>,
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
    let call: Configure = body::parse(&bytes)?;
    let session = door.session(call.session_token.as_deref()).await?;
    let about = About { agent: session.agent, job: job(&path)? };
    let after = listed.after.as_deref().and_then(|text| text.parse().ok());
    let dispatch: Arc<Dispatch> = dispatch.into_inner();
    Ok(answer::json(&begin_attempt(&door.floor, &authority, &dispatch, &about, after).await?))
}

async fn begin_attempt(
    floor: &Floor,
    authority: &Authority,
    dispatch: &Dispatch,
    about: &About,
    after: Option<JobId>,
) -> Result<Configured, Failure> {
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
    let answer = match begun {
        Begun::NotNow => cancelled(&mut db, about, after).await?,
        Begun::Attempt(leased) if is_alone(&leased) => describe(floor, &leased)?,
        Begun::Attempt(leased) => {
            let (history_id, token) = (leased.history_id, leased.lease_token);
            match published::describe(&mut db, floor, authority, *leased).await? {
                Ok(described) => Configured {
                    result: CallResult::success(),
                    audit_id: history_id,
                    job_cancelled: false,
                    inventory_endpoint: described.update,
                    max_characters_to_return: None,
                    job: described.job,
                },
                Err(broken) => {
                    let report = Report {
                        agent: about.agent,
                        lease: LeaseKey { job_id: about.job, lease_token: token },
                        outcome: Outcome::Failure,
                        message: broken.reason.clone(),
                        error_code: Some("job_not_possible".to_owned()),
                        evidence: None,
                    };
                    let retry = floor.configuration.jobs.retry_seconds;
                    orchestrator_jobs::finish(&mut db, &[report], retry, now).await?;
                    Configured {
                        result: CallResult::error(NOT_POSSIBLE, &broken.reason),
                        ..cancelled(&mut db, about, after).await?
                    }
                }
            }
        }
    };
    db.commit().await?;
    if !ended.is_empty() {
        dispatch.ring_all([about.agent]);
    }
    Ok(answer)
}

fn is_alone(leased: &Leased) -> bool {
    Operation::from_number(leased.operation).is_some_and(Operation::is_alone)
}

/// The job is dropped without a word. With the path of a store, or the agent would report it as refused; it looks at the
/// path before anything else (chapter 7.2).
async fn cancelled(
    db: &mut PgConnection,
    about: &About,
    after: Option<JobId>,
) -> Result<Configured, Failure> {
    let jobs: Vec<JobId> = std::iter::once(about.job).chain(after).collect();
    let place = place(db, about.agent, &jobs).await?;
    let (client_machine, store_path) =
        place.map(|place| (place.client_machine, place.store_path)).unwrap_or_default();
    Ok(Configured {
        result: CallResult::success(),
        audit_id: 0,
        job_cancelled: true,
        inventory_endpoint: None,
        max_characters_to_return: None,
        job: ConfiguredJob { client_machine, store_path, ..ConfiguredJob::default() },
    })
}
