//! Certificate stores: making and changing them (operator contract, chapters 6.3 and 6.4).

mod approval;
mod deletion;
mod inventory_schedule;
mod password;
pub(super) mod properties;
mod update;

use chrono::{DateTime, Utc};
use sealift_protocol::operator::certificate_stores::{CertificateStore, CreateCertificateStore};
use sealift_protocol::operator::schedule::Schedule;
use sealift_protocol::{AgentId, JobId, StoreId};
use serde_json::Value;
use sqlx::PgConnection;

use super::container::{self, ContainerRow};
use super::error::Error;
use super::schedule::planned;
use super::store_type::TypeRow;
use super::target::load_facts;
use super::{list, queries, verification};
use crate::agents;
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::{self, Cause, NewJob, Operation, When};
use crate::security::{Principal, audit, permission};
pub(super) use approval::{ApprovedStore, approve};
pub(super) use deletion::{delete, delete_many};
pub(super) use inventory_schedule::schedule_inventory;
pub(super) use password::{change_password, given_secret};
use properties::Held;
pub(super) use update::{ChangedStore, HeldStore, update};

/// Longest machine name and store path.
pub(super) const MAX_MACHINE: usize = 256;
pub(super) const MAX_PATH: usize = 1024;

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
    pub(super) secret_properties: Value,
    pub(super) sealed_properties: Option<Vec<u8>>,
    pub(super) sealed_password: Option<Vec<u8>>,
    pub(super) schedule: Option<Value>,
    pub(super) next_inventory_at: Option<DateTime<Utc>>,
    pub(super) verification: Option<Value>,
}

/// Makes a store, and a job that creates it on its machine where that was asked for.
pub(crate) async fn create(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    request: &CreateCertificateStore,
    now: DateTime<Utc>,
) -> Result<(CertificateStore, Vec<NewJob>), Failure> {
    let container_id = request.container_id.filter(|id| *id != 0);
    caller.require_for(permission::STORES_MODIFY, container_id)?;
    let missing = |member: &str| Error::Invalid(format!("{member} is required"));
    let client_machine = bounded("ClientMachine", request.client_machine.as_deref(), MAX_MACHINE)?;
    let store_path = bounded("Storepath", request.store_path.as_deref(), MAX_PATH)?;
    let type_id = request.cert_store_type.ok_or_else(|| missing("CertStoreType"))?;
    let agent_id = request.agent_id.ok_or_else(|| missing("AgentId"))?;
    let store_type = queries::store_type(db, type_id).await?;
    let store_type = store_type
        .ok_or_else(|| Error::Invalid(format!("CertStoreType: store type {type_id} was not found")))?;
    let store_path = store_type.store_path(store_path)?;
    require_agent(db, agent_id).await?;
    let container = fitting_container(db, container_id, &store_type).await?;
    let id = StoreId::generate();
    let none = Held::default();
    let given = properties::read(&store_type, request.properties.as_deref(), &none)?;
    let secrets = properties::seal(floor, id, &given, &none)?;
    let schedule = planned(request.inventory_schedule.as_ref(), container.as_ref(), now)?;
    let store = NewStore {
        id,
        agent_id,
        client_machine,
        store_path: &store_path,
        store_type: type_id,
        container_id,
        create_if_missing: request.create_if_missing,
        properties: Value::Object(given.plain),
        secret_properties: secrets.guids,
        sealed_properties: secrets.sealed,
        sealed_password: password::sealed(floor, &store_type, id, request.password.as_ref())?,
        schedule: schedule.schedule,
        next_inventory_at: schedule.next,
        verification: request.verification.as_ref().map(verification::checked).transpose()?.flatten(),
    };
    if !queries::insert_store(db, &store, JobId::generate(), now).await? {
        let place =
            format!("a certificate store at {store_path} on {client_machine} for this agent and type");
        return Err(Error::Exists(place).into());
    }
    let message = format!("made {} store {store_path} on {client_machine}", store_type.short_name);
    let line = audit::Line::new(caller, audit::Operation::Created, "CertificateStore", id, message);
    audit::record(db, &[line], now).await?;
    let jobs = creation_job(db, floor, caller, id, now).await?;
    let answer = list::by_id(db, id).await?.ok_or(Error::UnknownStore(id))?;
    Ok((echo(answer), jobs))
}

/// As answered to a change: a store without a schedule has an empty one.
fn echo(mut store: CertificateStore) -> CertificateStore {
    store.inventory_schedule.get_or_insert_with(Schedule::default);
    store
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

/// A text that is there, trimmed and within bounds.
pub(super) fn bounded<'a>(member: &str, text: Option<&'a str>, limit: usize) -> Result<&'a str, Error> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| Error::Invalid(format!("{member} is required")))?;
    if text.chars().count() > limit || text.chars().any(char::is_control) {
        return Err(Error::Invalid(format!(
            "{member} is longer than {limit} characters or holds control characters"
        )));
    }
    Ok(text)
}

async fn require_agent(db: &mut PgConnection, agent: AgentId) -> Result<(), Failure> {
    match agents::facts(db, &[agent]).await?.is_empty() {
        true => Err(Error::Invalid(format!("AgentId: agent {agent} was not found")).into()),
        false => Ok(()),
    }
}

/// The container that a store is put into; it must be there, and for stores of this type.
async fn fitting_container(
    db: &mut PgConnection,
    id: Option<i64>,
    store_type: &TypeRow,
) -> Result<Option<ContainerRow>, Failure> {
    let Some(id) = id else { return Ok(None) };
    let row = container::load(db, id).await?;
    let row = row.ok_or_else(|| Error::Invalid(format!("ContainerId: container {id} was not found")))?;
    row.require_type(store_type.id, &store_type.short_name)?;
    Ok(Some(row))
}
