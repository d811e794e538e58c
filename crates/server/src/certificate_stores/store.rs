//! Certificate stores: making one, and the schedule of its inventory (operator contract, chapters 6.3 and 6.4).

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use sealift_protocol::operator::certificate_stores::{
    CertificateStore, CreateCertificateStore, ScheduleInventory, StoreTypeProperty,
};
use sealift_protocol::operator::schedule::Schedule;
use sealift_protocol::{AgentId, JobId, Secret, StoreId};
use serde_json::Value;
use sqlx::PgConnection;

use super::error::Error;
use super::store_type::TypeRow;
use super::target::{check_password, load_facts};
use super::{list, queries};
use crate::agents;
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::{self, Cause, NewJob, Operation, When, next_after};
use crate::sealing::Place;
use crate::security::{Principal, audit, permission};

/// Longest machine name and store path.
const MAX_MACHINE: usize = 256;
const MAX_PATH: usize = 1024;

/// A store about to be inserted.
pub(super) struct NewStore<'a> {
    pub(super) id: StoreId,
    pub(super) agent_id: AgentId,
    pub(super) client_machine: &'a str,
    pub(super) store_path: &'a str,
    pub(super) store_type: i32,
    pub(super) container_id: Option<i64>,
    pub(super) create_if_missing: bool,
    pub(super) properties: Value,
    pub(super) sealed_password: Option<Vec<u8>>,
    pub(super) schedule: Option<Value>,
    pub(super) next_inventory_at: Option<DateTime<Utc>>,
}

/// Makes a store, and a job that creates it on its machine where that was asked for.
pub(super) async fn create(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    request: &CreateCertificateStore,
    now: DateTime<Utc>,
) -> Result<(CertificateStore, Vec<NewJob>), Failure> {
    let container_id = request.container_id.filter(|id| *id != 0);
    if !caller.permits_for(permission::STORES_MODIFY, container_id) {
        caller.require_for(permission::STORES_MODIFY, container_id)?;
    }
    let missing = |member: &str| Error::Invalid(format!("{member} is required"));
    let client_machine = bounded("ClientMachine", request.client_machine.as_deref(), MAX_MACHINE)?;
    let store_path = bounded("Storepath", request.store_path.as_deref(), MAX_PATH)?;
    let type_id = request.cert_store_type.ok_or_else(|| missing("CertStoreType"))?;
    let agent_id = request.agent_id.ok_or_else(|| missing("AgentId"))?;
    let store_type = queries::store_type(db, type_id).await?;
    let store_type = store_type
        .ok_or_else(|| Error::Invalid(format!("CertStoreType: store type {type_id} was not found")))?;
    if agents::facts(db, &[agent_id]).await?.is_empty() {
        return Err(Error::Invalid(format!("AgentId: agent {agent_id} was not found")).into());
    }
    if let Some(container) = container_id
        && !queries::container_exists(db, container).await?
    {
        return Err(Error::Invalid(format!("ContainerId: container {container} was not found")).into());
    }
    let id = StoreId::generate();
    let schedule = request.inventory_schedule.as_ref().filter(|schedule| **schedule != Schedule::default());
    let next = schedule.map(|schedule| next_after(schedule, now)).transpose().map_err(Error::from)?.flatten();
    let store = NewStore {
        id,
        agent_id,
        client_machine,
        store_path,
        store_type: type_id,
        container_id,
        create_if_missing: request.create_if_missing,
        properties: properties(&store_type, request.properties.as_deref())?,
        sealed_password: sealed_password(floor, &store_type, id, request)?,
        schedule: next.and(schedule).and_then(|schedule| serde_json::to_value(schedule).ok()),
        next_inventory_at: next,
    };
    if !queries::insert_store(db, &store, JobId::generate(), now).await? {
        let place =
            format!("a certificate store at {store_path} on {client_machine} for this agent and type");
        return Err(Error::Exists(place).into());
    }
    let line = audit::Line {
        actor: caller.name().to_owned(),
        operation: audit::Operation::Created,
        entity_type: "CertificateStore",
        entity_id: id.to_string(),
        message: format!("made {} store {store_path} on {client_machine}", store_type.short_name),
    };
    audit::record(db, &[line], now).await?;
    let jobs = creation_job(db, floor, caller, id, now).await?;
    let answer = list::by_id(db, id).await?.ok_or(Error::UnknownStore(id))?;
    Ok((answer, jobs))
}

async fn creation_job(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    id: StoreId,
    now: DateTime<Utc>,
) -> Result<Vec<NewJob>, Failure> {
    let facts = load_facts(db, &[id]).await?;
    let Some(facts) = facts.get(&id).filter(|facts| facts.create_if_missing && facts.supports_create) else {
        return Ok(Vec::new());
    };
    let job = facts.job(Operation::Create, When::Now, now);
    let queued = [(Cause::call(caller.name()), job.clone())];
    orchestrator_jobs::schedule(db, &queued, floor.configuration.jobs.max_attempts, now).await?;
    Ok(vec![job])
}

fn bounded<'a>(member: &str, text: Option<&'a str>, limit: usize) -> Result<&'a str, Error> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| Error::Invalid(format!("{member} is required")))?;
    if text.chars().count() > limit || text.chars().any(char::is_control) {
        return Err(Error::Invalid(format!(
            "{member} is longer than {limit} characters or holds control characters"
        )));
    }
    Ok(text)
}

/// Reads the JSON object inside the string, matches it to the type's definitions and fills in defaults.
fn properties(store_type: &TypeRow, text: Option<&str>) -> Result<Value, Error> {
    let invalid = |reason: String| Error::Invalid(format!("Properties: {reason}"));
    let given: BTreeMap<String, Value> = match text {
        None => BTreeMap::new(),
        Some(text) => serde_json::from_str(text).map_err(|_| {
            invalid(
                "must be a JSON object inside a string, such as \"{\\\"Name\\\":\\\"value\\\"}\"".to_owned(),
            )
        })?,
    };
    let definitions = store_type.definitions();
    let mut properties = serde_json::Map::new();
    for (name, value) in given {
        let known = definitions.iter().find(|definition| definition.name.eq_ignore_ascii_case(&name));
        let known = known.ok_or_else(|| {
            let names: Vec<_> = definitions.iter().map(|definition| definition.name.as_str()).collect();
            let name: String = name.chars().take(64).collect();
            invalid(format!(
                "'{name}' is no property of type {}; it has {}",
                store_type.short_name,
                names.join(", ")
            ))
        })?;
        let value = match value {
            Value::Object(mut wrapped) => wrapped.remove("value").unwrap_or_default(),
            plain => plain,
        };
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            _ => return Err(invalid(format!("{} must be a text", known.name))),
        };
        check_property(known, &text).map_err(invalid)?;
        properties.insert(known.name.clone(), Value::String(text));
    }
    if let Some(absent) =
        definitions.iter().find(|known| known.required && !properties.contains_key(&known.name))
    {
        return Err(invalid(format!("{} is required by type {}", absent.name, store_type.short_name)));
    }
    Ok(Value::Object(properties))
}

fn check_property(definition: &StoreTypeProperty, text: &str) -> Result<(), String> {
    let name = &definition.name;
    if text.chars().count() > MAX_PATH || text.chars().any(char::is_control) {
        return Err(format!("{name} is longer than {MAX_PATH} characters or holds control characters"));
    }
    let choices = definition.default_value.as_deref().unwrap_or_default();
    match definition.kind.as_str() {
        "Bool" if !["true", "false"].contains(&text.to_ascii_lowercase().as_str()) => {
            Err(format!("{name} must be true or false"))
        }
        "MultipleChoice" if !choices.split(',').any(|choice| choice.eq_ignore_ascii_case(text)) => {
            Err(format!("{name} must be one of {choices}"))
        }
        _ => Ok(()),
    }
}

fn sealed_password(
    floor: &Floor,
    store_type: &TypeRow,
    id: StoreId,
    request: &CreateCertificateStore,
) -> Result<Option<Vec<u8>>, Error> {
    let secret = request.password.as_ref();
    if secret.is_some_and(|secret| secret.provider.is_some_and(|provider| provider != 0)) {
        return Err(Error::Invalid(
            "Password.Provider: secrets in outside providers are not supported; send SecretValue".to_owned(),
        ));
    }
    let password: Option<&Secret> =
        secret.and_then(|secret| secret.secret_value.as_ref()).filter(|password| !password.is_empty());
    let Some(password) = password else {
        return match store_type.store_password {
            true => Err(Error::Invalid(format!("Password is required by type {}", store_type.short_name))),
            false => Ok(None),
        };
    };
    check_password("the store's password", password)?;
    let place = Place { table: "certificate_stores", row: &id, column: "sealed_password" };
    Ok(Some(floor.sealing.seal(place, password.expose().as_bytes())?))
}

/// Sets or removes the inventory schedule of stores; `Immediate` reads them once, now, and keeps their schedule.
pub(super) async fn schedule_inventory(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    request: &ScheduleInventory,
    now: DateTime<Utc>,
) -> Result<Vec<NewJob>, Failure> {
    super::add::check_count(request.store_ids.len(), floor.configuration.limits.stores_per_call)?;
    let facts = load_facts(db, &request.store_ids).await?;
    let mut seen = HashSet::new();
    for id in &request.store_ids {
        let store = facts.get(id).ok_or(Error::UnknownStore(*id))?;
        store.authorize(caller, permission::STORES_SCHEDULE)?;
        if !seen.insert(*id) {
            return Err(Error::Invalid(format!("StoreIds: certificate store {id} is named twice")).into());
        }
    }
    let schedule = request.schedule.as_ref();
    let line = audit::Line {
        actor: caller.name().to_owned(),
        operation: audit::Operation::Scheduled,
        entity_type: "CertificateStore",
        entity_id: String::new(),
        message: format!("set the inventory schedule of {} stores", seen.len()),
    };
    audit::record(db, &[line], now).await?;
    if schedule.is_some_and(|schedule| schedule.immediate == Some(true)) {
        let cause = Cause::call(caller.name());
        let jobs: Vec<NewJob> =
            facts.values().map(|store| store.job(Operation::Inventory, When::Now, now)).collect();
        let queued: Vec<_> = jobs.iter().map(|job| (cause.clone(), job.clone())).collect();
        orchestrator_jobs::schedule(db, &queued, floor.configuration.jobs.max_attempts, now).await?;
        return Ok(jobs);
    }
    let next = schedule.map(|schedule| next_after(schedule, now)).transpose().map_err(Error::from)?.flatten();
    let kept = next.and(schedule).and_then(|schedule| serde_json::to_value(schedule).ok());
    queries::set_schedule(db, &request.store_ids, kept.as_ref(), next).await?;
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store_type() -> TypeRow {
        TypeRow {
            id: 2,
            short_name: "PEM".to_owned(),
            name: String::new(),
            capability: String::new(),
            supports_add: true,
            supports_remove: true,
            supports_create: true,
            private_key: 1,
            custom_alias: 0,
            entry_password: false,
            store_password: false,
            properties: serde_json::json!([
                {"Name": "KeyPath", "DisplayName": "", "Type": "String", "DefaultValue": null, "Required": true},
                {"Name": "Chain", "DisplayName": "", "Type": "Bool", "DefaultValue": "true", "Required": false},
                {"Name": "Mode", "DisplayName": "", "Type": "MultipleChoice", "DefaultValue": "a,b", "Required": false}]),
            entry_parameters: Value::Null,
            inventory_job_type: uuid::Uuid::nil(),
            management_job_type: uuid::Uuid::nil(),
        }
    }

    #[test]
    fn properties_are_matched_to_the_type() {
        let read = |text: &str| properties(&store_type(), Some(text)).map_err(|error| error.to_string());
        let plain = read(r#"{"keypath":"/a","Chain":{"value":"false"},"mode":"B"}"#).unwrap();
        assert_eq!(plain, serde_json::json!({"KeyPath": "/a", "Chain": "false", "Mode": "B"}));
        for (text, reason) in [
            ("[]", "JSON object"),
            ("{}", "KeyPath is required"),
            (r#"{"KeyPath":"a","Color":"x"}"#, "'Color' is no property"),
            (r#"{"KeyPath":"a","Chain":"maybe"}"#, "true or false"),
            (r#"{"KeyPath":"a","Mode":"c"}"#, "one of a,b"),
            (r#"{"KeyPath":"a\nb"}"#, "control characters"),
        ] {
            assert!(read(text).unwrap_err().contains(reason), "{text}");
        }
    }
}
