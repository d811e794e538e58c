//! Blueprints: made from an agent, listed, and deleted.

use chrono::{DateTime, Utc};
use sealift_protocol::AgentId;
use sealift_protocol::operator::blueprints::{Blueprint, BlueprintJob, BlueprintStore};
use sqlx::PgConnection;
use uuid::Uuid;

use super::error::Error;
use super::queries::{self, BlueprintRow, BlueprintStoreRow, CopiedStoreRow};
use crate::agents;
use crate::http::Failure;
use crate::http::filter_sql::Asker;
use crate::http::list::ListQuery;
use crate::http::problem::shortened;
use crate::security::audit::{self, Line, Operation};
use crate::security::{Principal, permission};

/// Longest name.
const MAX_NAME: usize = 256;
/// Most stores of a blueprint.
const MAX_STORES: usize = 1_000;

impl From<BlueprintRow> for Blueprint {
    fn from(row: BlueprintRow) -> Self {
        Self {
            agent_blueprint_id: row.id,
            name: row.name,
            required_capabilities: row.required_capabilities,
            last_modified: row.modified_at.into(),
        }
    }
}

/// One page of blueprints, and how many match.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<Blueprint>, i64), Failure> {
    caller.require(permission::AGENTS_READ)?;
    let (rows, total) = queries::list(db, list, &Asker { name: caller.name(), now }).await?;
    Ok((rows.into_iter().map(Blueprint::from).collect(), total))
}

/// One blueprint.
pub(super) async fn get(db: &mut PgConnection, caller: &Principal, id: &str) -> Result<Blueprint, Failure> {
    caller.require(permission::AGENTS_READ)?;
    Ok(find(db, id).await?.into())
}

/// The stores of a blueprint.
pub(super) async fn stores(
    db: &mut PgConnection,
    caller: &Principal,
    id: &str,
) -> Result<Vec<BlueprintStore>, Failure> {
    caller.require(permission::AGENTS_READ)?;
    let blueprint = find(db, id).await?;
    let store = |row: BlueprintStoreRow| BlueprintStore {
        agent_blueprint_store_id: row.id,
        agent_blueprint_id: blueprint.id,
        store_path: row.store_path,
        container_id: row.container_id,
        cert_store_type: row.store_type,
        cert_store_type_name: row.type_name,
        approved: true,
        create_if_missing: row.create_if_missing,
        properties: row.properties.to_string(),
    };
    Ok(queries::stores(db, blueprint.id).await?.into_iter().map(store).collect())
}

/// The jobs of a blueprint: inventories of its stores.
pub(super) async fn jobs(
    db: &mut PgConnection,
    caller: &Principal,
    id: &str,
) -> Result<Vec<BlueprintJob>, Failure> {
    caller.require(permission::AGENTS_READ)?;
    let blueprint = find(db, id).await?;
    let job = |row: BlueprintStoreRow| {
        Some(BlueprintJob {
            agent_blueprint_job_id: row.inventory_job_id,
            agent_blueprint_id: blueprint.id,
            agent_blueprint_store_id: row.id,
            job_type_name: format!("{}Inventory", row.short_name.unwrap_or_default()),
            keyfactor_schedule: serde_json::from_value(row.inventory_schedule?).ok()?,
        })
    };
    Ok(queries::stores(db, blueprint.id).await?.into_iter().filter_map(job).collect())
}

/// Makes a blueprint of what an agent serves. The caller must be allowed to read each of its stores.
pub(super) async fn generate(
    db: &mut PgConnection,
    caller: &Principal,
    agent: Option<&str>,
    name: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Blueprint, Failure> {
    caller.require(permission::AGENTS_MODIFY)?;
    let name = name.map(str::trim).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Error::Invalid("name is required".to_owned()))?;
    if name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(Error::Invalid(format!("name must be 1 to {MAX_NAME} printable characters")).into());
    }
    let agent = agent.ok_or_else(|| Error::Invalid("agentId is required".to_owned()))?;
    let id: AgentId = agent
        .trim()
        .parse()
        .map_err(|_| Error::Invalid(format!("agentId: '{}' is no GUID", shortened(agent))))?;
    let facts = agents::facts(db, &[id]).await?;
    let facts = facts.first().ok_or_else(|| agents::Error::NotFound(vec![id]))?;
    let stores = queries::copied_stores(db, id, MAX_STORES as i64 + 1).await?;
    if stores.len() > MAX_STORES {
        return Err(Error::Invalid(format!("a blueprint holds at most {MAX_STORES} stores")).into());
    }
    for store in &stores {
        caller.require_for(permission::STORES_READ, store.container_id)?;
    }
    let blueprint = BlueprintRow {
        id: Uuid::now_v7(),
        name: name.to_owned(),
        required_capabilities: required(&facts.capabilities, &stores),
        modified_at: now,
    };
    if !queries::insert(db, &blueprint).await? {
        return Err(Error::Exists(blueprint.name).into());
    }
    queries::insert_stores(db, blueprint.id, &stores).await?;
    let message = format!(
        "Blueprint '{name}' was made of {} stores of agent {id} on {}",
        stores.len(),
        facts.client_machine
    );
    audit::record(db, &[Line::new(caller, Operation::Created, "Blueprint", blueprint.id, message)], now)
        .await?;
    Ok(blueprint.into())
}

/// Of what the agent can do, what its stores need.
fn required(capabilities: &[String], stores: &[CopiedStoreRow]) -> Vec<String> {
    let needed = |capability: &&String| {
        let mut parts = capability.split('.');
        parts.next() == Some("CertStores")
            && parts
                .next()
                .is_some_and(|kind| stores.iter().any(|store| store.capability.eq_ignore_ascii_case(kind)))
    };
    capabilities.iter().filter(needed).cloned().collect()
}

/// Deletes a blueprint. What was set up by it stays.
pub(super) async fn delete(
    db: &mut PgConnection,
    caller: &Principal,
    id: &str,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    caller.require(permission::AGENTS_MODIFY)?;
    let blueprint = find(db, id).await?;
    queries::delete(db, blueprint.id).await?;
    let message = format!("Blueprint '{}' was deleted", blueprint.name);
    audit::record(db, &[Line::new(caller, Operation::Deleted, "Blueprint", blueprint.id, message)], now)
        .await?;
    Ok(())
}

/// A blueprint by its id; what is no GUID names none.
pub(super) async fn find(db: &mut PgConnection, id: &str) -> Result<BlueprintRow, Failure> {
    let unknown = || Error::NotFound(shortened(id));
    let id = Uuid::try_parse(id.trim()).map_err(|_| unknown())?;
    Ok(queries::blueprint(db, id).await?.ok_or_else(unknown)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blueprint_requires_what_its_stores_need_and_no_more() {
        let store = CopiedStoreRow {
            store_path: "/a.pem".to_owned(),
            store_type: 2,
            container_id: None,
            create_if_missing: false,
            properties: serde_json::json!({}),
            inventory_schedule: None,
            capability: "PEM".to_owned(),
        };
        let capabilities =
            ["CertStores.PEM.Inventory", "CertStores.PEMX.Inventory", "CertStores.pem.Management", "SSL"]
                .map(str::to_owned);
        let found = required(&capabilities, &[store]);
        assert_eq!(found, ["CertStores.PEM.Inventory", "CertStores.pem.Management"]);
        assert!(required(&capabilities, &[]).is_empty());
    }
}
