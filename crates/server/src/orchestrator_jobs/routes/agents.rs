//! Routes of agents that touch their jobs too.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path};
use sealift_protocol::AgentId;
use sealift_protocol::operator::agents::MergeAgent;

use super::MODIFY;
use crate::agents::{self, Directory};
use crate::floor::Floor;
use crate::http::problem::shortened;
use crate::http::route::Endpoint;
use crate::http::{Body, Failure, answer};
use crate::orchestrator_jobs::agent_jobs;
use crate::orchestrator_jobs::dispatch::Dispatch;
use crate::security::Principal;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/Agents/Reset", MODIFY, || web::to(reset_many))
            .summary(
                "Takes agents back to their first contact, without identity and jobs. All of them, or none.",
            )
            .body_list::<AgentId>()
            .example(r#"["{{other_agent}}"]"#),
        Endpoint::post("/Agents/{id}/Reset", MODIFY, || web::to(reset))
            .summary("Takes one agent back to its first contact, without identity and jobs."),
        Endpoint::post("/Agents/{id}/Merge", MODIFY, || web::to(merge))
            .summary(
                "Has an agent that came back as another go on under its old id, with its stores and history.",
            )
            .body::<MergeAgent>()
            .example(r#"{"NewAgentId": "{{spare_agent}}"}"#),
        Endpoint::post("/Agents/{id}/FetchLogs", MODIFY, || web::to(fetch_logs))
            .summary("Has an agent send its log; JobStatus/Data answers it once it came."),
        Endpoint::post("/Agents/Drain", MODIFY, || web::to(drain))
            .summary("Has agents finish what they have and take no new jobs. All of them, or none.")
            .body_list::<AgentId>()
            .example(r#"["{{other_agent}}"]"#),
        Endpoint::post("/Agents/Resume", MODIFY, || web::to(resume))
            .summary(
                "Has drained agents take jobs again, unless they were drained on their own machines, too.",
            )
            .body_list::<AgentId>()
            .example(r#"["{{other_agent}}"]"#),
        Endpoint::delete("/Agents/{id}", MODIFY, || web::to(delete))
            .summary("Deletes an agent that serves no certificate store, with its jobs."),
    ]
}

fn agent(id: &str) -> Result<AgentId, Failure> {
    id.trim().parse().map_err(|_| Failure::not_found(format_args!("agent '{}'", shortened(id))))
}

async fn reset_many(
    floor: Data<Floor>,
    directory: Data<Directory>,
    caller: Principal,
    body: Body<Vec<String>>,
) -> Result<HttpResponse, Failure> {
    reset_all(&floor, &directory, &caller, &agents::ids(&body.0)?).await
}

async fn reset(
    floor: Data<Floor>,
    directory: Data<Directory>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    reset_all(&floor, &directory, &caller, &[agent(&id)?]).await
}

async fn reset_all(
    floor: &Floor,
    directory: &Directory,
    caller: &Principal,
    ids: &[AgentId],
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    agent_jobs::reset(&mut db, caller, ids, floor.now()).await?;
    db.commit().await?;
    directory.forget(ids);
    Ok(answer::no_content())
}

async fn merge(
    floor: Data<Floor>,
    directory: Data<Directory>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    id: Path<String>,
    body: Body<MergeAgent>,
) -> Result<HttpResponse, Failure> {
    let old = agent(&id)?;
    let new = body.0.new_agent_id.ok_or_else(|| Failure::invalid("NewAgentId is required"))?;
    // Whether the new one was seen decides; what was noted of it is written every minute otherwise.
    agents::sweep::write_last_seen(&floor, &directory).await?;
    let mut db = floor.database.main.begin().await?;
    agent_jobs::merge(&mut db, &caller, old, new, floor.now()).await?;
    db.commit().await?;
    directory.forget(&[old, new]);
    dispatch.ring_all([old]);
    Ok(answer::no_content())
}

async fn drain(
    floor: Data<Floor>,
    caller: Principal,
    body: Body<Vec<String>>,
) -> Result<HttpResponse, Failure> {
    let ids = agents::ids(&body.0)?;
    let mut db = floor.database.main.begin().await?;
    agents::drain(&mut db, &caller, &ids, floor.now()).await?;
    db.commit().await?;
    Ok(answer::no_content())
}

async fn resume(
    floor: Data<Floor>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    body: Body<Vec<String>>,
) -> Result<HttpResponse, Failure> {
    let ids = agents::ids(&body.0)?;
    let mut db = floor.database.main.begin().await?;
    agents::resume(&mut db, &caller, &ids, floor.now()).await?;
    db.commit().await?;
    dispatch.ring_all(ids);
    Ok(answer::no_content())
}

async fn fetch_logs(
    floor: Data<Floor>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let (id, max_attempts) = (agent(&id)?, floor.configuration.jobs.max_attempts);
    let mut db = floor.database.main.begin().await?;
    let scheduled = agent_jobs::fetch_logs(&mut db, &caller, id, max_attempts, floor.now()).await?;
    db.commit().await?;
    if scheduled {
        dispatch.ring_all([id]);
    }
    Ok(answer::no_content())
}

async fn delete(
    floor: Data<Floor>,
    directory: Data<Directory>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let id = agent(&id)?;
    let mut db = floor.database.main.begin().await?;
    agent_jobs::delete(&mut db, &caller, id, floor.now()).await?;
    db.commit().await?;
    directory.forget(&[id]);
    Ok(answer::no_content())
}
