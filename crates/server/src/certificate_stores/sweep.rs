//! Periodic work of this slice.

use chrono::{DateTime, Utc};
use sealift_protocol::operator::schedule::Schedule;
use sqlx::PgConnection;

use super::queries;
use super::target::load_facts;
use crate::orchestrator_jobs::{self, Cause, NewJob, Operation, When, next_after};

/// Most scheduled inventories that one look makes.
const MAX_DUE: i64 = 500;

/// Makes the inventory jobs that have become due, and sets their next times. Answers the jobs, to ring for.
pub(crate) async fn schedule_due_inventories(
    db: &mut PgConnection,
    max_attempts: i16,
    now: DateTime<Utc>,
) -> Result<Vec<NewJob>, sqlx::Error> {
    let due = queries::lock_due_inventories(db, now, MAX_DUE).await?;
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = due.iter().map(|(id, _)| *id).collect();
    let nexts: Vec<Option<DateTime<Utc>>> = due.iter().map(|(_, schedule)| next(schedule, now)).collect();
    queries::set_next_inventories(db, &ids, &nexts).await?;
    let facts = load_facts(db, &ids).await?;
    let cause = Cause::call("schedule");
    let jobs: Vec<(Cause, NewJob)> = facts
        .values()
        .map(|store| (cause.clone(), store.job(Operation::Inventory, When::Now, now)))
        .collect();
    orchestrator_jobs::schedule(db, &jobs, max_attempts, now).await?;
    Ok(jobs.into_iter().map(|(_, job)| job).collect())
}

/// A schedule that happens once, or can no longer be read, has no next time.
fn next(schedule: &serde_json::Value, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let schedule: Schedule = serde_json::from_value(schedule.clone()).ok()?;
    if schedule.exactly_once.is_some() || schedule.immediate.is_some() {
        return None;
    }
    next_after(&schedule, now).ok().flatten()
}
