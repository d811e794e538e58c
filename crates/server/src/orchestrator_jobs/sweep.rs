//! Periodic looks at the queue. Each may run on every replica at any time.

use chrono::{DateTime, Datelike as _, Months, NaiveDate, Utc};
use sealift_protocol::AgentId;
use sqlx::{AssertSqlSafe, PgConnection};

use super::custom;
use super::dispatch::Dispatch;
use super::leases::Finished;
use super::queries;

/// Most leases that one look ends.
const MAX_EXPIRED: i64 = 1_000;
/// Most results of attempts that one statement deletes, and most statements of one look.
const MAX_OLD_DATA: i64 = 10_000;
const MAX_ROUNDS: usize = 100;
/// Months of history that stand ready before they begin.
const MONTHS_AHEAD: u32 = 3;

/// Ends attempts whose lease is over.
pub(crate) async fn expire_leases(
    db: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Vec<Finished>, sqlx::Error> {
    queries::expire(db, MAX_EXPIRED, now).await
}

/// Puts jobs back whose time for another attempt has come, and rings their agents.
pub(crate) async fn release_retries(
    db: &mut PgConnection,
    dispatch: &Dispatch,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    dispatch.ring_all(queries::release_retries(db, now).await?);
    Ok(())
}

/// Rings held agents that have work which this replica did not hear of.
pub(crate) async fn ring_due(
    db: &mut PgConnection,
    dispatch: &Dispatch,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let held = dispatch.held();
    if !held.is_empty() {
        dispatch.ring_all(queries::due_agents(db, &held, now).await?);
    }
    Ok(())
}

/// Puts runs of recurring jobs into the queue that are due. Answers the agents to ring after the commit.
pub(crate) async fn start_recurring(
    db: &mut PgConnection,
    max_attempts: i16,
    now: DateTime<Utc>,
) -> Result<Vec<AgentId>, sqlx::Error> {
    custom::start_due(db, max_attempts, now).await
}

/// Makes the partitions of the months to come, and drops those that are older than `keep` months, with what attempts of
/// those months sent back, told and proved.
pub(crate) async fn turn_history(
    db: &mut PgConnection,
    keep: u32,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    for ahead in 0..=MONTHS_AHEAD {
        let Some((first, next)) = month(now.date_naive(), ahead) else { continue };
        let statement = format!(
            "CREATE TABLE IF NOT EXISTS {} PARTITION OF job_history FOR VALUES FROM ('{first}') TO ('{next}')",
            partition_name(first)
        );
        if let Err(error) = sqlx::query(AssertSqlSafe(statement)).execute(&mut *db).await {
            // Rows of that month may already be in the default partition; they are served from there.
            tracing::warn!(month = %first, "no partition of job history could be made: {error}");
        }
    }
    let Some(oldest) =
        now.date_naive().checked_sub_months(Months::new(keep)).and_then(|date| date.with_day(1))
    else {
        return Ok(());
    };
    let before = oldest.and_time(chrono::NaiveTime::MIN).and_utc();
    queries::delete_old_data(db, before, MAX_OLD_DATA).await?;
    for _ in 0..MAX_ROUNDS {
        let steps = queries::delete_old_steps(db, before, MAX_OLD_DATA).await?;
        let evidence = queries::delete_old_evidence(db, before, MAX_OLD_DATA).await?;
        if steps.max(evidence) < MAX_OLD_DATA.unsigned_abs() {
            break;
        }
    }
    for name in partitions(db).await? {
        let month = name
            .strip_prefix("job_history_")
            .and_then(|text| NaiveDate::parse_from_str(text, "%Y_%m_%d").ok());
        if month.is_some_and(|month| month < oldest) {
            tracing::info!(partition = name, "a month of job history has reached its age and is dropped");
            let statement = format!("DROP TABLE IF EXISTS {name}");
            sqlx::query(AssertSqlSafe(statement)).execute(&mut *db).await?;
        }
    }
    Ok(())
}

async fn partitions(db: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT child.relname::text FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
         WHERE inhparent = 'job_history'::regclass",
    )
    .fetch_all(db)
    .await
}

fn partition_name(first: NaiveDate) -> String {
    format!("job_history_{}", first.format("%Y_%m_%d"))
}

fn month(today: NaiveDate, ahead: u32) -> Option<(NaiveDate, NaiveDate)> {
    let first =
        NaiveDate::from_ymd_opt(today.year(), today.month(), 1)?.checked_add_months(Months::new(ahead))?;
    Some((first, first.checked_add_months(Months::new(1))?))
}
