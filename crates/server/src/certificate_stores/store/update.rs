//! `PUT /CertificateStores` (operator contract, chapter 6.4).

use chrono::{DateTime, Utc};
use sealift_protocol::operator::certificate_stores::{CertificateStore, UpdateCertificateStore};
use sealift_protocol::{AgentId, StoreId};
use serde_json::Value;
use sqlx::PgConnection;

use super::password::Change;
use super::properties::{self, Held};
use super::{creation_job, echo, fitting_container, password, require_agent};
use crate::certificate_stores::error::Error;
use crate::certificate_stores::queries::{self, stores};
use crate::certificate_stores::schedule::planned;
use crate::certificate_stores::{list, served, verification};
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::{self, NewJob};
use crate::security::{Principal, audit, permission};

/// A store as it stands, locked until the transaction ends.
#[derive(Debug, Clone)]
pub(in crate::certificate_stores) struct HeldStore {
    pub(in crate::certificate_stores) id: StoreId,
    pub(in crate::certificate_stores) agent_id: AgentId,
    pub(in crate::certificate_stores) client_machine: String,
    pub(in crate::certificate_stores) store_path: String,
    pub(in crate::certificate_stores) store_type: i32,
    pub(in crate::certificate_stores) container_id: Option<i64>,
    pub(in crate::certificate_stores) approved: bool,
    pub(in crate::certificate_stores) create_if_missing: bool,
    pub(in crate::certificate_stores) properties: Value,
    pub(in crate::certificate_stores) secret_properties: Value,
    pub(in crate::certificate_stores) sealed_properties: Option<Vec<u8>>,
    pub(in crate::certificate_stores) has_password: bool,
    pub(in crate::certificate_stores) inventory_schedule: Option<Value>,
    pub(in crate::certificate_stores) verification: Option<Value>,
}

impl HeldStore {
    pub(super) fn secrets(&self) -> Held {
        Held { guids: self.secret_properties.clone(), sealed: self.sealed_properties.clone() }
    }
}

/// What a store becomes.
#[derive(Debug)]
pub(in crate::certificate_stores) struct ChangedStore {
    pub(in crate::certificate_stores) id: StoreId,
    pub(in crate::certificate_stores) agent_id: AgentId,
    pub(in crate::certificate_stores) container_id: Option<i64>,
    pub(in crate::certificate_stores) create_if_missing: bool,
    pub(in crate::certificate_stores) properties: Value,
    pub(in crate::certificate_stores) secret_properties: Value,
    pub(in crate::certificate_stores) sealed_properties: Option<Vec<u8>>,
    /// Whether the password changes, and to what.
    pub(in crate::certificate_stores) password: Option<Option<Vec<u8>>>,
    pub(in crate::certificate_stores) schedule: Option<Value>,
    pub(in crate::certificate_stores) next_inventory_at: Option<DateTime<Utc>>,
    pub(in crate::certificate_stores) verification: Option<Value>,
}

/// Replaces what a client may say of a store.
pub(in crate::certificate_stores) async fn update(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    request: &UpdateCertificateStore,
    now: DateTime<Utc>,
) -> Result<(CertificateStore, Vec<NewJob>), Failure> {
    let id = request.id.ok_or_else(|| Error::Invalid("Id is required".to_owned()))?;
    let held = stores::lock(db, &[id]).await?.pop().ok_or(Error::UnknownStore(id))?;
    caller.require_for(permission::STORES_MODIFY, held.container_id)?;
    let container_id = request.container_id.filter(|id| *id != 0);
    caller.require_for(permission::STORES_MODIFY, container_id)?;
    if request.cert_store_type.is_some_and(|given| given != held.store_type) {
        let message = format!("CertStoreType: the type of a store cannot change; it is {}", held.store_type);
        return Err(Error::Invalid(message).into());
    }
    let store_type = queries::store_type(db, held.store_type).await?.ok_or(Error::UnknownStore(id))?;
    let agent_id = request.agent_id.unwrap_or(held.agent_id);
    if agent_id != held.agent_id {
        require_agent(db, agent_id).await?;
        refuse_unfinished(db, &held).await?;
    }
    let container = fitting_container(db, container_id, &store_type).await?;
    let given = properties::read(&store_type, request.properties.as_deref(), &held.secrets())?;
    let secrets = properties::seal(floor, id, &given, &held.secrets())?;
    let password = password::change(floor, &store_type, id, held.has_password, request.password.as_ref())?;
    let schedule = planned(request.inventory_schedule.as_ref(), container.as_ref(), now)?;
    let changed = ChangedStore {
        id,
        agent_id,
        container_id,
        create_if_missing: request.create_if_missing,
        properties: Value::Object(given.plain),
        secret_properties: secrets.guids,
        sealed_properties: secrets.sealed,
        password: match password {
            Change::Keep => None,
            Change::Clear => Some(None),
            Change::Set(sealed) => Some(Some(sealed)),
        },
        schedule: schedule.schedule,
        next_inventory_at: schedule.next,
        // Clients that do not know of it must not end it.
        verification: match &request.verification {
            None => held.verification.clone(),
            Some(wish) => verification::checked(wish)?,
        },
    };
    stores::update(db, &changed).await.map_err(|error| taken(error, &held))?;
    if changed.verification != held.verification {
        served::forget_others(db, id, changed.verification.as_ref()).await?;
    }
    let message =
        format!("changed the {} store {} on {}", store_type.short_name, held.store_path, held.client_machine);
    let line = audit::Line::new(caller, audit::Operation::Updated, "CertificateStore", id, message);
    audit::record(db, &[line], now).await?;
    let jobs = match held.approved && !held.create_if_missing {
        true => creation_job(db, floor, caller, id, now).await?,
        false => Vec::new(),
    };
    let answer = list::by_id(db, id).await?.ok_or(Error::UnknownStore(id))?;
    Ok((echo(answer), jobs))
}

/// Jobs belong to the agent that they were made for: it must be done with the store before another one serves it.
async fn refuse_unfinished(db: &mut PgConnection, held: &HeldStore) -> Result<(), Failure> {
    match orchestrator_jobs::unfinished(db, held.agent_id, held.id).await? {
        0 => Ok(()),
        jobs => Err(Error::InUse(format!(
            "AgentId: certificate store {} has {jobs} jobs that are not finished; wait for them or unschedule them before another agent serves it",
            held.id
        ))
        .into()),
    }
}

fn taken(error: sqlx::Error, held: &HeldStore) -> Failure {
    let constraint = error.as_database_error().and_then(|error| error.constraint());
    match constraint {
        Some("certificate_stores_place") => Error::Exists(format!(
            "a certificate store at {} on {} for that agent and type",
            held.store_path, held.client_machine
        ))
        .into(),
        _ => error.into(),
    }
}
