//! `POST /CertificateStores/Schedule`: when stores are read.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sealift_protocol::operator::certificate_stores::ScheduleInventory;
use sqlx::PgConnection;

use crate::certificate_stores::add::check_count;
use crate::certificate_stores::error::Error;
use crate::certificate_stores::queries;
use crate::certificate_stores::schedule::plan;
use crate::certificate_stores::target::load_facts;
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::{self, Cause, NewJob, Operation, When};
use crate::security::{Principal, audit, permission};

/// Sets or removes the inventory schedule of stores; `Immediate` reads them once, now, and keeps their schedule.
pub(in crate::certificate_stores) async fn schedule_inventory(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    request: &ScheduleInventory,
    now: DateTime<Utc>,
) -> Result<Vec<NewJob>, Failure> {
    check_count("StoreIds", request.store_ids.len(), floor.configuration.limits.stores_per_call)?;
    let facts = load_facts(db, &request.store_ids).await?;
    let mut seen = HashSet::new();
    for id in &request.store_ids {
        let store = facts.get(id).ok_or(Error::UnknownStore(*id))?;
        store.authorize(caller, permission::STORES_SCHEDULE)?;
        if !store.approved {
            return Err(Error::StoreNotApproved(*id).into());
        }
        if !seen.insert(*id) {
            return Err(Error::Invalid(format!("StoreIds: certificate store {id} is named twice")).into());
        }
    }
    let message = format!("set the inventory schedule of {} stores", seen.len());
    let line = audit::Line::new(caller, audit::Operation::Scheduled, "CertificateStore", "", message);
    audit::record(db, &[line], now).await?;
    let schedule = request.schedule.as_ref();
    if schedule.is_some_and(|schedule| schedule.immediate == Some(true)) {
        plan(schedule, now)?;
        let cause = Cause::call(caller.name());
        let jobs: Vec<NewJob> =
            facts.values().map(|store| store.job(Operation::Inventory, When::Now, now)).collect();
        let queued: Vec<_> = jobs.iter().map(|job| (cause.clone(), job.clone())).collect();
        orchestrator_jobs::schedule(db, &queued, floor.configuration.jobs.max_attempts, now).await?;
        return Ok(jobs);
    }
    let plan = plan(schedule, now)?;
    queries::set_schedule(db, &request.store_ids, plan.schedule.as_ref(), plan.next).await?;
    Ok(Vec::new())
}
