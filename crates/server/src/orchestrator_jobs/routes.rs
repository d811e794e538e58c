//! Routes of the queue.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path};
use sealift_protocol::JobId;
use sealift_protocol::operator::orchestrator_jobs::{JobHistoryRow, JobStep, ScheduledJob};

use super::history;
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::route::{Access, Endpoint};
use crate::http::{Failure, answer};
use crate::security::{Principal, permission};

/// The endpoints of this slice.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let read = Access::Permission(permission::AGENTS_READ);
    vec![
        Endpoint::get("/OrchestratorJobs/JobHistory", read, || web::to(job_history))
            .summary("One row for each attempt of a job, running ones included; the newest first.")
            .list(history::HISTORY_FIELDS)
            .answers_list::<JobHistoryRow>(),
        Endpoint::get("/OrchestratorJobs/ScheduledJobs", read, || web::to(scheduled_jobs))
            .summary("Jobs that are not finished, and what they wait for.")
            .list(history::SCHEDULED_FIELDS)
            .answers_list::<ScheduledJob>(),
        Endpoint::get("/OrchestratorJobs/{id}/Steps", read, || web::to(steps))
            .summary("The steps that an agent reported of a job.")
            .answers_list::<JobStep>(),
    ]
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
    let (rows, total) = history::scheduled_jobs(&mut db, &caller, &list, floor.now()).await?;
    Ok(answer::list(&rows, total))
}

async fn steps(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let job: JobId =
        id.parse().map_err(|error: sealift_protocol::InvalidId| Failure::invalid(error.to_string()))?;
    let mut db = floor.database.reports.acquire().await?;
    let steps = history::steps(&mut db, &caller, job).await?;
    Ok(answer::json(&steps))
}
