//! Sets up for some agents what a blueprint holds: all of it for all of them, or nothing.

use chrono::{DateTime, Utc};
use sealift_protocol::AgentId;
use sealift_protocol::operator::certificate_stores::CreateCertificateStore;
use sqlx::PgConnection;

use super::blueprint;
use super::error::Error;
use super::queries::{self, BlueprintRow, BlueprintStoreRow};
use crate::agents::{self, AgentFacts, Status};
use crate::certificate_stores;
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::NewJob;
use crate::security::audit::{self, Line, Operation};
use crate::security::{Principal, permission};

/// Most stores that one call makes: each is made by itself, with all that belongs to it.
const MAX_MADE: usize = 500;

/// Makes the stores of a blueprint on the machines of these agents; those that are there already stay as they are.
/// Each store needs the permission to make stores in its container. Answers the jobs to ring for after the commit.
pub(super) async fn apply(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    blueprint: Option<&str>,
    agent_ids: &[String],
    now: DateTime<Utc>,
) -> Result<Vec<NewJob>, Failure> {
    caller.require(permission::AGENTS_MODIFY)?;
    let id = blueprint.ok_or_else(|| Error::Invalid("templateId is required".to_owned()))?;
    let ids = agents::ids(agent_ids)?;
    let blueprint = blueprint::find(db, id).await?;
    let stores = queries::stores(db, blueprint.id).await?;
    if stores.len() * ids.len() > MAX_MADE {
        let message = format!("one call makes at most {MAX_MADE} stores; give fewer agents");
        return Err(Error::Invalid(message).into());
    }
    let facts = agents::facts(db, &ids).await?;
    let unknown: Vec<AgentId> =
        ids.iter().copied().filter(|id| !facts.iter().any(|agent| agent.id == *id)).collect();
    if !unknown.is_empty() {
        return Err(agents::Error::NotFound(unknown).into());
    }
    let reasons: Vec<String> = facts.iter().filter_map(|agent| fits(agent, &blueprint).err()).collect();
    if !reasons.is_empty() {
        return Err(Error::Unfit { reasons }.into());
    }
    let present = queries::present(db, &ids).await?;
    let mut jobs = Vec::new();
    for agent in &facts {
        let is_there = |store: &&BlueprintStoreRow| {
            present.iter().any(|there| {
                there.agent_id == agent.id
                    && there.store_type == store.store_type
                    && there.store_path == store.store_path
                    && there.client_machine.eq_ignore_ascii_case(&agent.client_machine)
            })
        };
        for store in stores.iter().filter(|store| !is_there(store)) {
            let request = request(agent, store);
            let (_, made) = certificate_stores::create_store(db, floor, caller, &request, now).await?;
            jobs.extend(made);
        }
    }
    agents::set_blueprint(db, &ids, &blueprint.name, now).await?;
    let line = |agent: &AgentFacts| {
        let message = format!(
            "Blueprint '{}' was applied to agent {} on {}",
            blueprint.name, agent.id, agent.client_machine
        );
        Line::new(caller, Operation::Updated, "Agent", agent.id, message)
    };
    audit::record(db, &facts.iter().map(line).collect::<Vec<_>>(), now).await?;
    Ok(jobs)
}

fn fits(agent: &AgentFacts, blueprint: &BlueprintRow) -> Result<(), String> {
    if agent.status != Status::Approved {
        return Err(format!("agent {} on {} is not approved", agent.id, agent.client_machine));
    }
    let can = |wanted: &&String| agent.capabilities.iter().any(|known| known.eq_ignore_ascii_case(wanted));
    match blueprint.required_capabilities.iter().find(|wanted| !can(wanted)) {
        None => Ok(()),
        Some(missing) => Err(format!(
            "agent {} on {} does not have the capability {missing}",
            agent.id, agent.client_machine
        )),
    }
}

fn request(agent: &AgentFacts, store: &BlueprintStoreRow) -> CreateCertificateStore {
    CreateCertificateStore {
        container_id: store.container_id,
        client_machine: Some(agent.client_machine.clone()),
        store_path: Some(store.store_path.clone()),
        cert_store_type: Some(store.store_type),
        create_if_missing: store.create_if_missing,
        properties: Some(store.properties.to_string()),
        agent_id: Some(agent.id),
        inventory_schedule: store
            .inventory_schedule
            .clone()
            .and_then(|schedule| serde_json::from_value(schedule).ok()),
        password: None,
        verification: None,
    }
}
