//! `POST /CertificateStores/Approve`: discovered stores become stores that jobs may be made for. All or none.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sealift_protocol::StoreId;
use sealift_protocol::operator::certificate_stores::ApproveStore;
use serde_json::Value;
use sqlx::PgConnection;

use super::properties;
use super::{HeldStore, password};
use crate::certificate_stores::container::{self, ContainerRow};
use crate::certificate_stores::error::Error;
use crate::certificate_stores::queries::{self, stores};
use crate::certificate_stores::schedule::{planned, read};
use crate::certificate_stores::store_type::TypeRow;
use crate::floor::Floor;
use crate::http::Failure;
use crate::security::{Principal, audit, permission};

/// What approval makes of a store.
#[derive(Debug)]
pub(in crate::certificate_stores) struct ApprovedStore {
    pub(in crate::certificate_stores) id: StoreId,
    pub(in crate::certificate_stores) container_id: Option<i64>,
    pub(in crate::certificate_stores) properties: Value,
    pub(in crate::certificate_stores) secret_properties: Value,
    pub(in crate::certificate_stores) sealed_properties: Option<Vec<u8>>,
    /// What the store has stays when absent.
    pub(in crate::certificate_stores) sealed_password: Option<Vec<u8>>,
    pub(in crate::certificate_stores) schedule: Option<Value>,
    pub(in crate::certificate_stores) next_inventory_at: Option<DateTime<Utc>>,
}

/// Approves stores.
pub(in crate::certificate_stores) async fn approve(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    requests: &[ApproveStore],
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let limit = floor.configuration.limits.stores_per_call;
    if requests.is_empty() || requests.len() > limit {
        return Err(Error::Invalid(format!("the body must be a list of 1 to {limit} stores")).into());
    }
    let ids: Vec<StoreId> = requests.iter().filter_map(|request| request.id).collect();
    let held = stores::lock(db, &ids).await?;
    let held: HashMap<StoreId, HeldStore> = held.into_iter().map(|store| (store.id, store)).collect();
    let mut types: HashMap<i32, TypeRow> = HashMap::new();
    for id in held.values().map(|store| store.store_type).collect::<HashSet<_>>() {
        types.extend(queries::store_type(db, id).await?.map(|row| (id, row)));
    }
    let mut containers: HashMap<i64, ContainerRow> = HashMap::new();
    for id in requests.iter().filter_map(|request| request.container_id).collect::<HashSet<_>>() {
        containers.extend(container::load(db, id).await?.map(|row| (id, row)));
    }
    let mut seen = HashSet::new();
    let (mut approved, mut lines) = (Vec::new(), Vec::new());
    for (index, request) in requests.iter().enumerate() {
        let id = request.id.ok_or_else(|| Error::Invalid(format!("[{index}].Id is required")))?;
        let store = held.get(&id).ok_or(Error::UnknownStore(id))?;
        let store_type = types.get(&store.store_type).ok_or(Error::UnknownStore(id))?;
        if !seen.insert(id) {
            return Err(Error::Invalid(format!("[{index}]: certificate store {id} is named twice")).into());
        }
        if store.approved {
            // A repeat changes nothing.
            caller.require_for(permission::STORES_MODIFY, store.container_id)?;
            continue;
        }
        approved.push(approve_one(floor, caller, request, store, store_type, &containers, now)?);
        let message = format!("approved the store {} on {}", store.store_path, store.client_machine);
        lines.push(audit::Line::new(caller, audit::Operation::Approved, "CertificateStore", id, message));
    }
    stores::approve(db, &approved).await?;
    audit::record(db, &lines, now).await?;
    Ok(())
}

fn approve_one(
    floor: &Floor,
    caller: &Principal,
    request: &ApproveStore,
    store: &HeldStore,
    store_type: &TypeRow,
    containers: &HashMap<i64, ContainerRow>,
    now: DateTime<Utc>,
) -> Result<ApprovedStore, Failure> {
    caller.require_for(permission::STORES_MODIFY, store.container_id)?;
    let container_id = request.container_id.filter(|id| *id != 0);
    caller.require_for(permission::STORES_MODIFY, container_id)?;
    if request.cert_store_type.is_some_and(|given| given != store.store_type) {
        let message = format!("CertStoreType of certificate store {} is {}", store.id, store.store_type);
        return Err(Error::Invalid(message).into());
    }
    let container = match container_id {
        None => None,
        Some(id) => {
            let row = containers.get(&id);
            let missing = || Error::Invalid(format!("ContainerId: container {id} was not found"));
            let row = row.ok_or_else(missing)?;
            row.require_type(store_type.id, &store_type.short_name)?;
            Some(row)
        }
    };
    // What a store has already is checked like what comes with the approval: discovery knows no properties.
    let held = properties::shown(&store.properties, &store.secret_properties, false);
    let text = request.properties.as_deref().unwrap_or(&held);
    let given = properties::read(store_type, Some(text), &store.secrets())?;
    let secrets = properties::seal(floor, store.id, &given, &store.secrets())?;
    let sealed_password =
        match password::change(floor, store_type, store.id, store.has_password, request.password.as_ref())? {
            password::Change::Set(sealed) => Some(sealed),
            password::Change::Keep | password::Change::Clear => None,
        };
    let own = store.inventory_schedule.as_ref().and_then(read);
    let schedule = planned(own.as_ref(), container, now)?;
    Ok(ApprovedStore {
        id: store.id,
        container_id,
        properties: Value::Object(given.plain),
        secret_properties: secrets.guids,
        sealed_properties: secrets.sealed,
        sealed_password,
        schedule: schedule.schedule,
        next_inventory_at: schedule.next,
    })
}
