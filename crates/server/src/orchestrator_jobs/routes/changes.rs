//! Routes that change what waits and what history says.

use actix_web::HttpResponse;
use actix_web::web::{self, Data};
use sealift_protocol::operator::orchestrator_jobs::{SelectAttempts, SelectJobs};

use super::MODIFY;
use crate::floor::Floor;
use crate::http::route::Endpoint;
use crate::http::{Body, Failure, answer};
use crate::orchestrator_jobs::dispatch::Dispatch;
use crate::orchestrator_jobs::{acknowledge, reschedule, unschedule};
use crate::security::Principal;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/OrchestratorJobs/Acknowledge", MODIFY, || web::to(acknowledge))
            .summary("Marks failed attempts and those with a warning as seen. All of them, or none.")
            .body::<SelectAttempts>()
            .example(r#"{"Query": "Message -contains \"no such file\""}"#),
        Endpoint::post("/OrchestratorJobs/Reschedule", MODIFY, || web::to(reschedule))
            .summary("Tries jobs anew that failed for good. All of them, or none.")
            .body::<SelectAttempts>()
            .example(r#"{"Query": "AgentId -eq \"{{agent}}\" AND Status -eq 4"}"#),
        Endpoint::post("/OrchestratorJobs/Unschedule", MODIFY, || web::to(unschedule))
            .summary("Takes jobs out of the queue that no agent has taken yet. All of them, or none.")
            .body::<SelectJobs>()
            .example(r#"{"Query": "AgentId -eq \"{{other_agent}}\""}"#),
    ]
}

async fn acknowledge(
    floor: Data<Floor>,
    caller: Principal,
    body: Body<SelectAttempts>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    acknowledge::acknowledge(&mut db, &caller, body.0, floor.now()).await?;
    db.commit().await?;
    Ok(answer::no_content())
}

async fn reschedule(
    floor: Data<Floor>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    body: Body<SelectAttempts>,
) -> Result<HttpResponse, Failure> {
    let max_attempts = floor.configuration.jobs.max_attempts;
    let mut db = floor.database.main.begin().await?;
    let agents = reschedule::reschedule(&mut db, &caller, body.0, max_attempts, floor.now()).await?;
    db.commit().await?;
    dispatch.ring_all(agents);
    Ok(answer::no_content())
}

async fn unschedule(
    floor: Data<Floor>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    body: Body<SelectJobs>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    let agents = unschedule::unschedule(&mut db, &caller, body.0, floor.now()).await?;
    db.commit().await?;
    dispatch.ring_all(agents);
    Ok(answer::no_content())
}
