//! `PUT /CertificateStores/AssignContainer`: stores go into a container that is there, or into a new one. All or none.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sealift_protocol::StoreId;
use sealift_protocol::operator::certificate_stores::{AssignContainer, CertificateStore, CreateContainer};
use sqlx::PgConnection;

use super::{ContainerRow, change, load};
use crate::certificate_stores::add::check_count;
use crate::certificate_stores::error::Error;
use crate::certificate_stores::list;
use crate::certificate_stores::queries::{containers, stores};
use crate::certificate_stores::schedule::{plan, read};
use crate::certificate_stores::target::load_facts;
use crate::floor::Floor;
use crate::http::Failure;
use crate::security::{Principal, audit, permission};

/// Puts stores into a container.
pub(in crate::certificate_stores) async fn assign(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    request: &AssignContainer,
    now: DateTime<Utc>,
) -> Result<Vec<CertificateStore>, Failure> {
    check_count("KeystoreIds", request.keystore_ids.len(), floor.configuration.limits.stores_per_call)?;
    let ids: HashSet<StoreId> = request.keystore_ids.iter().copied().collect();
    let ids: Vec<StoreId> = ids.into_iter().collect();
    stores::lock(db, &ids).await?;
    let facts = load_facts(db, &ids).await?;
    for id in &request.keystore_ids {
        let store = facts.get(id).ok_or(Error::UnknownStore(*id))?;
        store.authorize(caller, permission::STORES_MODIFY)?;
    }
    let container = container(db, caller, request, now).await?;
    for store in facts.values() {
        container.require_type(store.store_type, &store.short_name)?;
    }
    containers::assign(db, &ids, container.id).await?;
    let schedule = container.schedule.as_ref().and_then(read);
    let plan = plan(schedule.as_ref(), now)?;
    if let Some(schedule) = &plan.schedule {
        containers::schedule_stores(db, container.id, schedule, plan.next, container.overwrite_schedules)
            .await?;
    }
    let message = format!("put {} stores into container '{}'", ids.len(), container.name);
    let line = audit::Line::new(caller, audit::Operation::Updated, "Container", container.id, message);
    audit::record(db, &[line], now).await?;
    Ok(list::by_ids(db, &request.keystore_ids, now).await?)
}

async fn container(
    db: &mut PgConnection,
    caller: &Principal,
    request: &AssignContainer,
    now: DateTime<Utc>,
) -> Result<ContainerRow, Failure> {
    let existing = request.cert_store_container_id.filter(|id| *id != 0);
    match (existing, &request.new_container_name) {
        (Some(_), Some(_)) => {
            let message = "CertStoreContainerId and NewContainerName exclude each other; send one of them";
            Err(Error::Invalid(message.to_owned()).into())
        }
        (None, None) => {
            let message = "CertStoreContainerId or NewContainerName is required";
            Err(Error::Invalid(message.to_owned()).into())
        }
        (Some(id), None) => {
            let row = load(db, id).await?;
            let missing = || Error::Invalid(format!("CertStoreContainerId: container {id} was not found"));
            let row = row.ok_or_else(missing)?;
            caller.require_for(permission::STORES_MODIFY, Some(id))?;
            Ok(row)
        }
        (None, Some(name)) => {
            let made = CreateContainer {
                name: Some(name.clone()),
                cert_store_type: request.new_container_type,
                ..CreateContainer::default()
            };
            change::made(db, caller, &made, now).await
        }
    }
}
