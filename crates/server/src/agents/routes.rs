//! Routes of the slice.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path};
use sealift_protocol::AgentId;
use sealift_protocol::operator::agents::{
    Agent, AgentPool, AgentPoolAgent, CreateEnrollmentToken, EnrollmentToken, ReenrollmentAnswer,
    SetReenrollment,
};

use super::agent::Status;
use super::directory::Directory;
use super::error::Error;
use super::{approval, enrollment_token, list, pools, queries, reenrollment};
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::problem::shortened;
use crate::http::route::{Access, Endpoint};
use crate::http::{Body, Failure, answer};
use crate::security::{Principal, permission};

/// The endpoints of this slice.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let read = Access::Permission(permission::AGENTS_READ);
    let modify = Access::Permission(permission::AGENTS_MODIFY);
    let mut endpoints = agents(read, modify);
    endpoints.extend(agent_pools(read, modify));
    endpoints
}

fn agents(read: Access, modify: Access) -> Vec<Endpoint> {
    vec![
        Endpoint::get("/Agents", read, || web::to(list_agents))
            .summary("Agents, with approval state and capabilities.")
            .list(queries::FIELDS)
            .answers_list::<Agent>(),
        Endpoint::get("/Agents/{id}", read, || web::to(get_agent)).summary("One agent.").answers::<Agent>(),
        Endpoint::post("/Agents/Approve", modify, || web::to(approve))
            .summary("Lets agents fetch jobs. All of them, or none when one does not exist.")
            .body_list::<AgentId>()
            .example(r#"["{{agent}}"]"#),
        Endpoint::post("/Agents/Disapprove", modify, || web::to(disapprove))
            .summary("Shuts agents out, at once.")
            .body_list::<AgentId>()
            .example(r#"["{{other_agent}}"]"#),
        Endpoint::post("/Agents/SetAuthCertificateReenrollment", modify, || web::to(set_reenrollment))
            .summary("Has agents renew their certificates; answers those that cannot.")
            .body::<SetReenrollment>()
            .answers::<ReenrollmentAnswer>()
            .example(r#"{"OrchestratorIds": ["{{other_agent}}"], "Status": "Requested"}"#),
        Endpoint::post("/Agents/EnrollmentTokens", modify, || web::to(create_enrollment_token))
            .summary(
                "Makes a one-time token that approves the agent that presents it; the answer shows it once.",
            )
            .body::<CreateEnrollmentToken>()
            .answers::<EnrollmentToken>()
            .example(r#"{"ClientMachine": "web7.example.test"}"#),
    ]
}

/// Pools are told of as they are: there are none.
fn agent_pools(read: Access, modify: Access) -> Vec<Endpoint> {
    vec![
        Endpoint::get("/AgentPools", read, || web::to(list_pools))
            .summary(
                "Agent pools: always none, since this server neither discovers nor monitors TLS endpoints.",
            )
            .list(&[])
            .answers_list::<AgentPool>(),
        Endpoint::get("/AgentPools/Agents", read, || web::to(list_pool_agents))
            .summary("Approved agents that report SSL capabilities.")
            .list(&[])
            .answers_list::<AgentPoolAgent>(),
        Endpoint::get("/AgentPools/{id}", read, || web::to(no_pool))
            .summary("One agent pool: never found.")
            .answers::<AgentPool>(),
        Endpoint::post("/AgentPools", modify, || web::to(refuse_pool))
            .summary("Refused: there is nothing that a pool would be for."),
        Endpoint::put("/AgentPools", modify, || web::to(refuse_pool))
            .summary("Refused: there is nothing that a pool would be for."),
        Endpoint::delete("/AgentPools/{id}", modify, || web::to(no_pool))
            .summary("Deletes an agent pool: never found."),
    ]
}

async fn list_pools(caller: Principal, _: ListQuery) -> Result<HttpResponse, Failure> {
    caller.require(permission::AGENTS_READ)?;
    Ok(answer::list::<AgentPool>(&[], 0))
}

async fn list_pool_agents(
    floor: Data<Floor>,
    caller: Principal,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (agents, total) = pools::candidates(&mut db, &caller, &query).await?;
    Ok(answer::list(&agents, total))
}

async fn no_pool(id: Path<String>) -> Result<HttpResponse, Failure> {
    Err(Failure::not_found(format_args!("agent pool '{}'", shortened(&id))))
}

async fn refuse_pool() -> Result<HttpResponse, Failure> {
    Err(Error::NoPools.into())
}

async fn set_reenrollment(
    floor: Data<Floor>,
    directory: Data<Directory>,
    caller: Principal,
    body: Body<SetReenrollment>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    let (done, changed) = reenrollment::set(&mut db, &caller, &body.0, floor.now()).await?;
    db.commit().await?;
    directory.forget(&changed);
    Ok(answer::json(&done))
}

async fn list_agents(
    floor: Data<Floor>,
    caller: Principal,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (rows, total) = list::list(&mut db, &caller, &query, floor.now()).await?;
    Ok(answer::list(&rows, total))
}

async fn get_agent(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let id: AgentId =
        id.parse().map_err(|_| Failure::not_found(format_args!("agent '{}'", shortened(&id))))?;
    let mut db = floor.database.reports.acquire().await?;
    Ok(answer::json(&list::get(&mut db, &caller, id).await?))
}

async fn approve(
    floor: Data<Floor>,
    directory: Data<Directory>,
    caller: Principal,
    body: Body<Vec<String>>,
) -> Result<HttpResponse, Failure> {
    set_status(&floor, &directory, &caller, &body.0, Status::Approved).await
}

async fn disapprove(
    floor: Data<Floor>,
    directory: Data<Directory>,
    caller: Principal,
    body: Body<Vec<String>>,
) -> Result<HttpResponse, Failure> {
    set_status(&floor, &directory, &caller, &body.0, Status::Disapproved).await
}

async fn set_status(
    floor: &Floor,
    directory: &Directory,
    caller: &Principal,
    ids: &[String],
    status: Status,
) -> Result<HttpResponse, Failure> {
    let ids = approval::ids(ids)?;
    let mut db = floor.database.main.begin().await?;
    approval::set_status(&mut db, caller, &ids, status, floor.now()).await?;
    db.commit().await?;
    directory.forget(&ids);
    Ok(answer::no_content())
}

async fn create_enrollment_token(
    floor: Data<Floor>,
    caller: Principal,
    body: Body<CreateEnrollmentToken>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    let token = enrollment_token::create(&mut db, &caller, body.0, floor.now()).await?;
    db.commit().await?;
    Ok(answer::json(&token))
}
