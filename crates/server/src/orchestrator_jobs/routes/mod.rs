//! Routes of the queue, and of what touches agents and their jobs at once.

mod agents;
mod changes;
mod custom;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path};
use sealift_protocol::JobId;
use sealift_protocol::agent::error_catalogue::CATALOGUE;
use sealift_protocol::operator::orchestrator_jobs::{
    AttemptEvidence, ErrorCode, JobData, JobHistoryRow, JobStep, ScheduledJob,
};

use super::{evidence, history, results, scheduled};
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::route::{Access, Endpoint, Parameter};
use crate::http::{Failure, answer};
use crate::security::{Principal, permission};

const READ: Access = Access::Permission(permission::AGENTS_READ);
const MODIFY: Access = Access::Permission(permission::AGENTS_MODIFY);

/// The endpoints of this slice.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
        Endpoint::get("/OrchestratorJobs/JobHistory", READ, || web::to(job_history))
            .summary("One row for each attempt of a job, running ones included; the newest first.")
            .list(history::HISTORY_FIELDS)
            .answers_list::<JobHistoryRow>(),
        Endpoint::get("/OrchestratorJobs/ScheduledJobs", READ, || web::to(scheduled_jobs))
            .summary("Jobs that are not finished, with what they wait for, and those that come again.")
            .list(scheduled::SCHEDULED_FIELDS)
            .answers_list::<ScheduledJob>(),
        Endpoint::get("/OrchestratorJobs/JobStatus/Data", READ, || web::to(job_data))
            .summary("The result of a custom job, or the log that an agent sent; empty when there is none.")
            .query("jobHistoryId", Parameter::Number, "The attempt.")
            .answers::<JobData>(),
        Endpoint::get("/OrchestratorJobs/{id}/Steps", READ, || web::to(steps))
            .summary("The steps that an agent reported of a job.")
            .answers_list::<JobStep>(),
        Endpoint::get("/OrchestratorJobs/{id}/Evidence", READ, || web::to(evidence))
            .summary("What the attempts of a job found and proved: what was installed, what each target showed, what was put back, what would be done.")
            .answers_list::<AttemptEvidence>(),
        Endpoint::get("/OrchestratorJobs/ErrorCodes", READ, || web::to(error_codes))
            .summary("Every code with which attempts end: what it means, whether another try can help, and what to do.")
            .answers_list::<ErrorCode>(),
    ];
    endpoints.extend(changes::endpoints());
    endpoints.extend(custom::endpoints());
    endpoints.extend(agents::endpoints());
    endpoints
}

async fn job_history(
    floor: Data<Floor>,
    caller: Principal,
    list: ListQuery,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (rows, total) = history::job_history(&mut db, &caller, &list, floor.now()).await?;
    Ok(answer::list(&rows, total))
}

async fn scheduled_jobs(
    floor: Data<Floor>,
    caller: Principal,
    list: ListQuery,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (rows, total) = scheduled::scheduled_jobs(&mut db, &caller, &list, floor.now()).await?;
    Ok(answer::list(&rows, total))
}

async fn job_data(floor: Data<Floor>, caller: Principal, query: ListQuery) -> Result<HttpResponse, Failure> {
    let history_id = query.number("jobHistoryId")?;
    let mut db = floor.database.reports.acquire().await?;
    Ok(answer::json(&results::get(&mut db, &floor, &caller, history_id).await?))
}

fn job(id: &str) -> Result<JobId, Failure> {
    id.parse().map_err(|error: sealift_protocol::InvalidId| Failure::invalid(error.to_string()))
}

async fn steps(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let job = job(&id)?;
    let mut db = floor.database.reports.acquire().await?;
    Ok(answer::json(&history::steps(&mut db, &caller, job).await?))
}

async fn evidence(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let job = job(&id)?;
    let mut db = floor.database.reports.acquire().await?;
    Ok(answer::json(&evidence::of_job(&mut db, &caller, job).await?))
}

async fn error_codes(caller: Principal) -> Result<HttpResponse, Failure> {
    caller.require(permission::AGENTS_READ)?;
    let codes = CATALOGUE.iter().map(|entry| ErrorCode {
        code: entry.code.to_owned(),
        class: entry.class,
        meaning: entry.meaning.to_owned(),
        remedy: entry.remedy.to_owned(),
    });
    Ok(answer::json(&codes.collect::<Vec<_>>()))
}
