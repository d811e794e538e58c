//! Routes of custom jobs and their types.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path};
use sealift_protocol::operator::custom_jobs::{
    CustomJob, CustomJobType, CustomJobs, SaveCustomJobType, ScheduleCustomJob, ScheduleCustomJobs,
};

use super::{MODIFY, READ};
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::route::Endpoint;
use crate::http::{Body, Failure, answer};
use crate::orchestrator_jobs::custom;
use crate::orchestrator_jobs::dispatch::Dispatch;
use crate::security::Principal;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/OrchestratorJobs/Custom", MODIFY, || web::to(schedule))
            .summary("Schedules a custom job for an agent that reports the capability for its type.")
            .body::<ScheduleCustomJob>()
            .answers::<CustomJob>()
            .example(r#"{"AgentId": "{{agent}}", "JobTypeName": "{{custom_type_name}}", "JobFields": {"Name": "httpd"}}"#),
        Endpoint::post("/OrchestratorJobs/Custom/Bulk", MODIFY, || web::to(schedule_bulk))
            .summary("Schedules a custom job for many agents; answers those that cannot run it.")
            .body::<ScheduleCustomJobs>()
            .answers::<CustomJobs>()
            .example(
                r#"{"OrchestratorIds": ["{{agent}}", "{{other_agent}}"], "JobTypeName": "{{custom_type_name}}",
                "JobFields": {"Name": "httpd"}, "Schedule": {"Weekly": {"Days": ["Sunday"], "Time": "2026-06-07T03:15:00Z"}}}"#,
            ),
        Endpoint::get("/JobTypes/Custom", READ, || web::to(list))
            .summary("Types of custom jobs.")
            .list(custom::FIELDS)
            .answers_list::<CustomJobType>(),
        Endpoint::get("/JobTypes/Custom/{id}", READ, || web::to(get))
            .summary("One type of custom jobs.")
            .answers::<CustomJobType>(),
        Endpoint::post("/JobTypes/Custom", MODIFY, || web::to(create))
            .summary("Makes a type of custom jobs.")
            .body::<SaveCustomJobType>()
            .answers::<CustomJobType>()
            .example(
                r#"{"JobTypeName": "RotateLogs", "Description": "Rotates the logs of a service.",
                "JobTypeFields": [{"Name": "Service", "Type": 1, "Required": true}]}"#,
            ),
        Endpoint::put("/JobTypes/Custom", MODIFY, || web::to(update))
            .summary("Changes a type of custom jobs.")
            .body::<SaveCustomJobType>()
            .answers::<CustomJobType>()
            .example(
                r#"{"Id": "{{custom_type}}", "JobTypeName": "{{custom_type_name}}", "Description": "Restarts a service.",
                "JobTypeFields": [{"Name": "Name", "Type": "String", "Required": true}]}"#,
            ),
        Endpoint::delete("/JobTypes/Custom/{id}", MODIFY, || web::to(delete))
            .summary("Deletes a type of custom jobs that no scheduled job is of."),
    ]
}

async fn schedule(
    floor: Data<Floor>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    body: Body<ScheduleCustomJob>,
) -> Result<HttpResponse, Failure> {
    let now = floor.now();
    let mut db = floor.database.main.begin().await?;
    let (answer, due) = custom::schedule(&mut db, &floor, &caller, body.0, now).await?;
    db.commit().await?;
    for job in due {
        dispatch.ring(job.agent_id, job.run_at, now);
    }
    Ok(answer::json(&answer))
}

async fn schedule_bulk(
    floor: Data<Floor>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    body: Body<ScheduleCustomJobs>,
) -> Result<HttpResponse, Failure> {
    let now = floor.now();
    let mut db = floor.database.main.begin().await?;
    let (answer, due) = custom::schedule_bulk(&mut db, &floor, &caller, body.0, now).await?;
    db.commit().await?;
    for job in due {
        dispatch.ring(job.agent_id, job.run_at, now);
    }
    Ok(answer::json(&answer))
}

async fn list(floor: Data<Floor>, caller: Principal, query: ListQuery) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (types, total) = custom::list(&mut db, &caller, &query, floor.now()).await?;
    Ok(answer::list(&types, total))
}

async fn get(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    Ok(answer::json(&custom::get(&mut db, &caller, &id).await?))
}

async fn create(
    floor: Data<Floor>,
    caller: Principal,
    body: Body<SaveCustomJobType>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    let made = custom::create(&mut db, &caller, body.0, floor.now()).await?;
    db.commit().await?;
    Ok(answer::json(&made))
}

async fn update(
    floor: Data<Floor>,
    caller: Principal,
    body: Body<SaveCustomJobType>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    let saved = custom::update(&mut db, &caller, body.0, floor.now()).await?;
    db.commit().await?;
    Ok(answer::json(&saved))
}

async fn delete(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    custom::delete(&mut db, &caller, &id, floor.now()).await?;
    db.commit().await?;
    Ok(answer::no_content())
}
