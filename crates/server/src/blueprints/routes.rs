//! Routes of the slice.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path};
use sealift_protocol::AgentId;
use sealift_protocol::operator::blueprints::{Blueprint, BlueprintJob, BlueprintStore};

use super::{apply, blueprint, queries};
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::route::{Access, Endpoint, Parameter};
use crate::http::{Body, Failure, answer};
use crate::orchestrator_jobs::Dispatch;
use crate::security::{Principal, permission};

/// The endpoints of this slice.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let read = Access::Permission(permission::AGENTS_READ);
    let modify = Access::Permission(permission::AGENTS_MODIFY);
    vec![
        Endpoint::get("/AgentBluePrint", read, || web::to(list))
            .summary("Blueprints of agents.")
            .list(queries::FIELDS)
            .answers_list::<Blueprint>(),
        Endpoint::get("/AgentBluePrint/{id}", read, || web::to(get))
            .summary("One blueprint.")
            .answers::<Blueprint>(),
        Endpoint::delete("/AgentBluePrint/{id}", modify, || web::to(delete))
            .summary("Deletes a blueprint; what was set up by it stays."),
        Endpoint::get("/AgentBluePrint/{id}/Jobs", read, || web::to(jobs))
            .summary("The scheduled inventories of a blueprint.")
            .answers_list::<BlueprintJob>(),
        Endpoint::get("/AgentBluePrint/{id}/Stores", read, || web::to(stores))
            .summary("The certificate stores of a blueprint.")
            .answers_list::<BlueprintStore>(),
        Endpoint::post("/AgentBluePrint/GenerateBluePrint", modify, || web::to(generate))
            .summary("Makes a blueprint of the stores that an agent serves; those with secrets are left out.")
            .query("agentId", Parameter::Text, "The agent.")
            .query("name", Parameter::Text, "Name of the blueprint.")
            .answers::<Blueprint>(),
        Endpoint::post("/AgentBluePrint/ApplyBlueprint", modify, || web::to(apply))
            .summary("Makes the stores of a blueprint for other agents. For all of them, or for none.")
            .query("templateId", Parameter::Text, "The blueprint.")
            .body_list::<AgentId>()
            .example(r#"["{{other_agent}}"]"#),
    ]
}

async fn list(floor: Data<Floor>, caller: Principal, query: ListQuery) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (rows, total) = blueprint::list(&mut db, &caller, &query, floor.now()).await?;
    Ok(answer::list(&rows, total))
}

async fn get(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    Ok(answer::json(&blueprint::get(&mut db, &caller, &id).await?))
}

async fn jobs(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    Ok(answer::json(&blueprint::jobs(&mut db, &caller, &id).await?))
}

async fn stores(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    Ok(answer::json(&blueprint::stores(&mut db, &caller, &id).await?))
}

async fn delete(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    blueprint::delete(&mut db, &caller, &id, floor.now()).await?;
    db.commit().await?;
    Ok(answer::no_content())
}

async fn generate(floor: Data<Floor>, caller: Principal, query: ListQuery) -> Result<HttpResponse, Failure> {
    let (agent, name) = (query.parameter("agentId"), query.parameter("name"));
    let mut db = floor.database.main.begin().await?;
    let made = blueprint::generate(&mut db, &caller, agent, name, floor.now()).await?;
    db.commit().await?;
    Ok(answer::json(&made))
}

async fn apply(
    floor: Data<Floor>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    query: ListQuery,
    body: Body<Vec<String>>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    let blueprint = query.parameter("templateId");
    let jobs = apply::apply(&mut db, &floor, &caller, blueprint, &body.0, floor.now()).await?;
    db.commit().await?;
    dispatch.ring_all(jobs.into_iter().map(|job| job.agent_id));
    Ok(answer::no_content())
}
