//! Jobs that are not wanted any more leave the queue before an agent takes them.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sealift_protocol::operator::orchestrator_jobs::SelectJobs;
use sealift_protocol::{AgentId, JobId};
use sqlx::PgConnection;

use super::error::Error;
use super::queries::{self, WaitingRow};
use super::scheduled;
use super::selection::{MAX_SELECTED, Selection, missing};
use crate::http::Failure;
use crate::security::audit::{self, Line, Operation};
use crate::security::{Principal, permission};

/// What a scheduled job is called that may be taken out.
const FITTING: &str = " AND kind <> 1 AND (state <> 2 OR recurrence IS NOT NULL)";

/// Takes jobs out of the queue; those that come again do so no more. Answers the agents whose stores are free now, to
/// be rung after the commit.
pub(super) async fn unschedule(
    db: &mut PgConnection,
    caller: &Principal,
    request: SelectJobs,
    now: DateTime<Utc>,
) -> Result<Vec<AgentId>, Failure> {
    caller.require(permission::AGENTS_MODIFY)?;
    let ids = match Selection::parse("JobIds", request.job_ids, request.query)? {
        Selection::Ids(ids) => ids,
        Selection::Query(query) => {
            let ids = scheduled::matching(db, caller, &query, FITTING, MAX_SELECTED, now).await?;
            ids.ok_or(Error::TooMany(MAX_SELECTED, "unscheduled"))?
        }
    };
    let rows = queries::waiting(db, &ids).await?;
    let unknown = missing(&ids, |id| rows.iter().any(|row| row.id == *id));
    if !unknown.is_empty() {
        return Err(Error::NotFound("scheduled job", unknown).into());
    }
    let refusals: Vec<String> = rows.iter().filter_map(|row| decide(row).err()).collect();
    if !refusals.is_empty() {
        return Err(Error::NotEligible { done: "unscheduled", reasons: refusals }.into());
    }
    let ids: Vec<JobId> = rows.iter().map(|row| row.id).collect();
    queries::withdraw_jobs(db, &ids).await?;
    let line = |row: &WaitingRow| {
        let message = format!("Job {} for agent {} was unscheduled", row.id, row.agent_machine);
        Line::new(caller, Operation::Deleted, "OrchestratorJob", row.id, message)
    };
    audit::record(db, &rows.iter().map(line).collect::<Vec<_>>(), now).await?;
    Ok(rows.iter().map(|row| row.agent_id).collect::<BTreeSet<_>>().into_iter().collect())
}

/// Inventories follow the schedules of their stores, and what runs cannot be called back. A run of a job that comes
/// again is left to end; it does not come again.
fn decide(row: &WaitingRow) -> Result<(), String> {
    if row.job_type == 1 {
        return Err(format!(
            "job {} is an inventory; change the inventory schedule of its certificate store instead",
            row.id
        ));
    }
    if row.running && !row.recurring {
        return Err(format!("job {} is running on agent {}", row.id, row.agent_machine));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inventories_and_running_jobs_are_left_alone() {
        let row = |job_type, running, recurring| WaitingRow {
            id: JobId::generate(),
            agent_id: AgentId::generate(),
            agent_machine: "web1".to_owned(),
            job_type,
            running,
            recurring,
        };
        assert_eq!(decide(&row(2, false, false)), Ok(()));
        assert_eq!(decide(&row(6, true, true)), Ok(()));
        assert!(decide(&row(2, true, false)).unwrap_err().contains("is running on agent web1"));
        assert!(decide(&row(1, false, false)).unwrap_err().contains("inventory schedule"));
    }
}
