//! Jobs that come again: when one is due, a run of it is put into the queue under the job's own id. While a run lives,
//! the next one is left out.

use chrono::{DateTime, Utc};
use sealift_protocol::operator::schedule::Schedule;
use sealift_protocol::{AgentId, JobId};
use sqlx::PgConnection;

use crate::orchestrator_jobs::queries::{self, DueRow};
use crate::orchestrator_jobs::recurrence::next_from;

/// Most jobs that one look starts.
const MAX_DUE: i64 = 500;

/// Starts the runs that are due, and sets the next times. Answers the agents, to be rung after the commit.
pub(in crate::orchestrator_jobs) async fn start_due(
    db: &mut PgConnection,
    max_attempts: i16,
    now: DateTime<Utc>,
) -> Result<Vec<AgentId>, sqlx::Error> {
    let due = queries::lock_due_recurring(db, now, MAX_DUE).await?;
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<JobId> = due.iter().map(|row| row.id).collect();
    queries::insert_runs(db, &ids, max_attempts, now).await?;
    let nexts: Vec<(JobId, DateTime<Utc>)> =
        due.iter().filter_map(|row| Some((row.id, next(row, now)?))).collect();
    queries::set_next(db, &nexts).await?;
    // What can no longer be read has no next time and would come at every look.
    let lost: Vec<JobId> = ids.into_iter().filter(|id| !nexts.iter().any(|(known, _)| known == id)).collect();
    if !lost.is_empty() {
        tracing::error!("the schedules of {} recurring jobs cannot be read; they come no more", lost.len());
        queries::stop_recurring(db, &lost).await?;
    }
    Ok(due.into_iter().map(|row| row.agent_id).collect())
}

fn next(row: &DueRow, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let schedule: Schedule = serde_json::from_value(row.schedule.clone()).ok()?;
    next_from(&schedule, row.next_at, now).ok().flatten()
}
