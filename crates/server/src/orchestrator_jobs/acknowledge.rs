//! A person has seen a failure: attempts are marked as acknowledged.

use chrono::{DateTime, Utc};
use sealift_protocol::operator::orchestrator_jobs::SelectAttempts;
use sqlx::PgConnection;

use super::error::Error;
use super::history;
use super::queries::{self, AttemptRow};
use super::selection::{MAX_SELECTED, Selection, missing};
use crate::http::Failure;
use crate::security::audit::{self, Line, Operation};
use crate::security::{Principal, permission};

/// What history calls an attempt that may be acknowledged.
const FITTING: &str = " AND result IN (3, 4) AND status IN (3, 5)";

/// Acknowledges attempts that failed or warned.
pub(super) async fn acknowledge(
    db: &mut PgConnection,
    caller: &Principal,
    request: SelectAttempts,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    caller.require(permission::AGENTS_MODIFY)?;
    let ids = match Selection::parse("JobAuditIds", request.job_audit_ids, request.query)? {
        Selection::Ids(ids) => ids,
        Selection::Query(query) => {
            let ids = history::matching(db, caller, &query, FITTING, MAX_SELECTED, now).await?;
            ids.ok_or(Error::TooMany(MAX_SELECTED, "acknowledged"))?
        }
    };
    let rows = queries::attempts(db, &ids).await?;
    let unknown = missing(&ids, |id| rows.iter().any(|row| row.id == *id));
    if !unknown.is_empty() {
        return Err(Error::NotFound("a finished attempt with history id", unknown).into());
    }
    let refusals: Vec<String> = rows.iter().filter_map(|row| decide(row).err()).collect();
    if !refusals.is_empty() {
        return Err(Error::NotEligible { done: "acknowledged", reasons: refusals }.into());
    }
    queries::acknowledge(db, &ids).await?;
    let line = |row: &AttemptRow| {
        let message = format!("Attempt {} of job {} on {} was acknowledged", row.id, row.job_id, row.place());
        Line::new(caller, Operation::Updated, "OrchestratorJob", row.job_id, message)
    };
    audit::record(db, &rows.iter().map(line).collect::<Vec<_>>(), now).await?;
    Ok(())
}

/// Only what failed or warned, once.
fn decide(row: &AttemptRow) -> Result<(), String> {
    match (row.result, row.status) {
        (_, 4) => Err(format!("attempt {} is acknowledged already", row.id)),
        (3 | 4, 3 | 5) => Ok(()),
        _ => Err(format!("attempt {} succeeded; only failures and warnings are acknowledged", row.id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealift_protocol::JobId;

    #[test]
    fn only_failures_and_warnings_are_acknowledged_and_once() {
        let row = |result, status| AttemptRow {
            id: 7,
            job_id: JobId::generate(),
            result,
            status,
            agent_machine: "web1".to_owned(),
            store_path: "/a".to_owned(),
        };
        for (result, status) in [(3, 3), (4, 3), (4, 5)] {
            assert_eq!(decide(&row(result, status)), Ok(()));
        }
        for (result, status) in [(2, 3), (4, 4), (3, 4)] {
            assert!(decide(&row(result, status)).unwrap_err().contains("attempt 7"));
        }
    }
}
