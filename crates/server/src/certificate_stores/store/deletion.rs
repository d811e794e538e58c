//! Deleting stores: the server forgets them and what waits for them; what is on their machines stays.

use chrono::{DateTime, Utc};
use sealift_protocol::{AgentId, StoreId};
use sqlx::PgConnection;

use super::HeldStore;
use crate::certificate_stores::error::Error;
use crate::certificate_stores::queries::stores;
use crate::http::Failure;
use crate::orchestrator_jobs;
use crate::security::{Principal, audit, permission};

/// Deletes one store.
pub(in crate::certificate_stores) async fn delete(
    db: &mut PgConnection,
    caller: &Principal,
    id: StoreId,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let held = stores::lock(db, &[id]).await?;
    if held.is_empty() {
        return Err(Error::UnknownStore(id).into());
    }
    remove(db, caller, &held, now).await
}

/// Deletes those of several stores that are there; unknown ones are passed over, as the contract has it. A store that
/// the caller may not change refuses the whole call.
pub(in crate::certificate_stores) async fn delete_many(
    db: &mut PgConnection,
    caller: &Principal,
    ids: &[StoreId],
    limit: usize,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    if ids.is_empty() || ids.len() > limit {
        return Err(Error::Invalid(format!("the body must be a list of 1 to {limit} store ids")).into());
    }
    let held = stores::lock(db, ids).await?;
    remove(db, caller, &held, now).await
}

async fn remove(
    db: &mut PgConnection,
    caller: &Principal,
    held: &[HeldStore],
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    for store in held {
        caller.require_for(permission::STORES_MODIFY, store.container_id)?;
    }
    let ids: Vec<StoreId> = held.iter().map(|store| store.id).collect();
    let waiting: Vec<(AgentId, StoreId)> = held.iter().map(|store| (store.agent_id, store.id)).collect();
    orchestrator_jobs::withdraw(db, &waiting).await?;
    stores::delete(db, &ids).await?;
    let line = |store: &HeldStore| {
        let message = format!("deleted the store {} on {}", store.store_path, store.client_machine);
        audit::Line::new(caller, audit::Operation::Deleted, "CertificateStore", store.id, message)
    };
    let lines: Vec<_> = held.iter().map(line).collect();
    audit::record(db, &lines, now).await?;
    Ok(())
}
