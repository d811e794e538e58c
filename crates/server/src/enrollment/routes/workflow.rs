//! Handlers of requests that wait, and of workflow instances.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use sealift_protocol::operator::enrollment::{DenyRequests, WorkflowSignal};
use sqlx::Connection as _;
use uuid::Uuid;

use super::super::decision;
use super::super::error::Error;
use super::super::filing::{DENIED, PENDING};
use super::super::instances::{self, Whose};
use super::super::requests::{self, EXTERNAL_VALIDATION};
use super::ring;
use crate::authority::Authority;
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::problem::shortened;
use crate::http::{Body, Failure, answer, json};
use crate::orchestrator_jobs::Dispatch;
use crate::security::Principal;

/// `GET /Workflow/Certificates/Pending`.
pub(in super::super) async fn pending(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    listed(&floor, &authority, &caller, PENDING, &query).await
}

/// `GET /Workflow/Certificates/Denied`.
pub(in super::super) async fn denied(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    listed(&floor, &authority, &caller, DENIED, &query).await
}

/// `GET /Workflow/Certificates/ExternalValidation`.
pub(in super::super) async fn external_validation(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    listed(&floor, &authority, &caller, EXTERNAL_VALIDATION, &query).await
}

async fn listed(
    floor: &Floor,
    authority: &Authority,
    caller: &Principal,
    state: i16,
    query: &ListQuery,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (rows, total) = requests::list(&mut db, caller, authority, state, query, floor.now()).await?;
    Ok(answer::list(&rows, total))
}

/// `GET /Workflow/Certificates/{id}`.
pub(in super::super) async fn request(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let id = id.parse().map_err(|_| Error::NotFound(format!("enrollment request '{}'", shortened(&id))))?;
    let mut db = floor.database.reports.acquire().await?;
    Ok(json(&requests::get(&mut db, &caller, &authority, id).await?))
}

/// `POST /Workflow/Certificates/Approve`.
pub(in super::super) async fn approve(
    floor: Data<Floor>,
    authority: Data<Authority>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    Body(ids): Body<Vec<i64>>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    let mut transaction = db.begin().await?;
    let (decisions, jobs) =
        decision::approve(&mut transaction, &floor, &authority, &caller, &ids, floor.now()).await?;
    transaction.commit().await?;
    ring(&dispatch, &floor, &jobs);
    Ok(json(&decisions))
}

/// `POST /Workflow/Certificates/Deny`.
pub(in super::super) async fn deny(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    Body(request): Body<DenyRequests>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    let mut transaction = db.begin().await?;
    let decisions = decision::deny(&mut transaction, &authority, &caller, &request, floor.now()).await?;
    transaction.commit().await?;
    Ok(json(&decisions))
}

/// `GET /Workflow/Instances`.
pub(in super::super) async fn instances(
    floor: Data<Floor>,
    caller: Principal,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    instances_of(&floor, &caller, Whose::All, &query).await
}

/// `GET /Workflow/Instances/My`.
pub(in super::super) async fn my_instances(
    floor: Data<Floor>,
    caller: Principal,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    instances_of(&floor, &caller, Whose::Mine, &query).await
}

/// `GET /Workflow/Instances/AssignedToMe`.
pub(in super::super) async fn assigned_instances(
    floor: Data<Floor>,
    caller: Principal,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    instances_of(&floor, &caller, Whose::Assigned, &query).await
}

async fn instances_of(
    floor: &Floor,
    caller: &Principal,
    whose: Whose,
    query: &ListQuery,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (rows, total) = instances::list(&mut db, caller, whose, query, floor.now()).await?;
    Ok(answer::list(&rows, total))
}

/// `GET /Workflow/Instances/{id}`.
pub(in super::super) async fn instance(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    Ok(json(&instances::get(&mut db, &caller, guid(&id)?).await?))
}

/// `POST /Workflow/Instances/{id}/Stop`.
pub(in super::super) async fn stop_instance(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    let mut transaction = db.begin().await?;
    instances::stop(&mut transaction, &authority, &caller, guid(&id)?, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::no_content())
}

/// `POST /Workflow/Instances/{id}/Restart`.
pub(in super::super) async fn restart_instance(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    instances::restart(&mut db, &caller, guid(&id)?).await?;
    Ok(answer::no_content())
}

/// `POST /Workflow/Instances/{id}/Signals`.
pub(in super::super) async fn signal_instance(
    floor: Data<Floor>,
    authority: Data<Authority>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    id: Path<String>,
    Body(signal): Body<WorkflowSignal>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    let mut transaction = db.begin().await?;
    let signal = (guid(&id)?, &signal);
    let jobs = instances::signal(&mut transaction, &floor, &authority, &caller, signal, floor.now()).await?;
    transaction.commit().await?;
    ring(&dispatch, &floor, &jobs);
    Ok(answer::no_content())
}

/// `DELETE /Workflow/Instances/{id}`.
pub(in super::super) async fn delete_instance(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    let mut transaction = db.begin().await?;
    instances::delete(&mut transaction, &caller, guid(&id)?, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::no_content())
}

fn guid(id: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(id).map_err(|_| Error::NotFound(format!("workflow instance '{}'", shortened(id))))
}
