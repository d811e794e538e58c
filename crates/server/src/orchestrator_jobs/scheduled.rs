//! The list of what waits: jobs that are not finished, and those that come again.

use chrono::{DateTime, Utc};
use sealift_protocol::operator::orchestrator_jobs::ScheduledJob;
use sealift_protocol::operator::schedule::Schedule;
use sealift_protocol::{JobId, Timestamp};
use serde_json::Value;
use sqlx::{FromRow, PgConnection, QueryBuilder};

use super::history::{self, JOB_TYPE};
use super::recurrence::shown;
use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind, push_filter};
use crate::http::list::ListQuery;
use crate::http::listing::{Column, Listing, Order};
use crate::security::Principal;
use crate::security::permission;

/// Living jobs, jobs that come again and have no living run, and the inventories that follow schedules of stores.
const LIVING: &str = " FROM (
    SELECT id, agent_id, nullif(store_id, id) AS store_id, client_machine, store_path, {JOB_TYPE} AS job_type,
        job_type AS kind, state, attempt, scheduled, recurrence, run_at, retry_at, requested_at, requested_by,
        agent_machine, NULL::jsonb AS schedule
    FROM jobs
    UNION ALL
    SELECT r.id, r.agent_id, NULL::uuid, r.agent_machine, '', r.type_name, 6::smallint, 1::smallint, 0::smallint, true,
        r.recurrence, r.next_at, NULL::timestamptz, r.requested_at, r.requested_by, r.agent_machine, r.schedule
    FROM recurring_jobs r WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = r.id)
    UNION ALL
    SELECT s.inventory_job_id, s.agent_id, s.id, s.client_machine, s.store_path, t.short_name || 'Inventory',
        1::smallint, 1::smallint, 0::smallint, true, NULL::text, s.next_inventory_at, NULL::timestamptz, s.created_at,
        'schedule', a.client_machine, s.inventory_schedule
    FROM certificate_stores s JOIN store_types t ON t.id = s.store_type JOIN agents a ON a.id = s.agent_id
    WHERE s.next_inventory_at IS NOT NULL AND s.approved
) AS living WHERE true";

const COLUMNS: &str = "id, client_machine, store_path, job_type, state, attempt, scheduled, recurrence, schedule, run_at,
    retry_at, requested_at, agent_machine,
    (SELECT a.status FROM agents a WHERE a.id = living.agent_id) AS agent_status,
    (SELECT a.last_seen_at FROM agents a WHERE a.id = living.agent_id) AS last_seen_at,
    (SELECT other.id FROM jobs AS other WHERE other.agent_id = living.agent_id AND other.store_id = living.store_id
        AND other.id <> living.id AND other.state IN (2, 5) LIMIT 1) AS behind";

/// [`LIVING`] with the names of jobs.
fn living() -> String {
    LIVING.replace("{JOB_TYPE}", JOB_TYPE)
}

pub(super) const SCHEDULED_FIELDS: &[Field] = &[
    Field { name: "Id", sql: "id", kind: Kind::Guid },
    Field { name: "JobId", sql: "id", kind: Kind::Guid },
    Field { name: "AgentId", sql: "agent_id", kind: Kind::Guid },
    Field { name: "StoreId", sql: "store_id", kind: Kind::Guid },
    Field { name: "ClientMachine", sql: "client_machine", kind: Kind::Text },
    Field { name: "Target", sql: "store_path", kind: Kind::Text },
    Field { name: "JobType", sql: "job_type", kind: Kind::Text },
    Field { name: "Requested", sql: "requested_at", kind: Kind::Time },
    Field { name: "RequestedBy", sql: "requested_by", kind: Kind::Text },
    Field { name: "Agent", sql: "agent_machine", kind: Kind::Text },
    Field { name: "StorePath", sql: "store_path", kind: Kind::Text },
    Field { name: "Status", sql: "state", kind: Kind::Number },
];

#[derive(FromRow)]
struct LivingRow {
    id: JobId,
    client_machine: String,
    store_path: String,
    job_type: String,
    state: i16,
    attempt: i16,
    scheduled: bool,
    recurrence: Option<String>,
    schedule: Option<Value>,
    run_at: DateTime<Utc>,
    retry_at: Option<DateTime<Utc>>,
    requested_at: DateTime<Utc>,
    agent_status: Option<i16>,
    agent_machine: String,
    last_seen_at: Option<DateTime<Utc>>,
    behind: Option<JobId>,
}

impl LivingRow {
    /// When it is to run, or how it comes again.
    fn schedule(&self, now: DateTime<Utc>) -> Option<Schedule> {
        let given = self.schedule.as_ref().and_then(|value| serde_json::from_value(value.clone()).ok());
        given
            .map(|schedule| shown(schedule, now))
            .or_else(|| history::schedule(self.recurrence.as_deref(), self.scheduled, self.run_at, now))
    }

    /// Why the job is not running.
    fn waiting_reason(&self, now: DateTime<Utc>) -> Option<String> {
        if self.state == 2 {
            return None;
        }
        let agent = &self.agent_machine;
        Some(match (self.agent_status, self.retry_at) {
            (None, _) => format!("its agent {agent} no longer exists"),
            (Some(1), _) => format!("its agent {agent} is not approved yet"),
            (Some(3), _) => format!("its agent {agent} is disapproved"),
            (_, Some(retry_at)) => {
                format!(
                    "attempt {} failed; the next one is due at {}",
                    self.attempt,
                    Timestamp::from(retry_at)
                )
            }
            _ if self.run_at > now => format!("before its time, {}", Timestamp::from(self.run_at)),
            _ => match (self.behind, self.last_seen_at) {
                (Some(job), _) => format!("behind job {job} on the same store"),
                (None, Some(seen)) => {
                    format!("for its agent {agent}, last seen at {}", Timestamp::from(seen))
                }
                (None, None) => format!("for its agent {agent}, which has not been seen yet"),
            },
        })
    }
}

/// One page of jobs that are not finished.
pub(super) async fn scheduled_jobs(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<ScheduledJob>, i64), Failure> {
    caller.require(permission::AGENTS_READ)?;
    let asker = Asker { name: caller.name(), now };
    let key = Column { sql: "id", kind: Kind::Guid };
    let listing = Listing {
        name: "scheduled_jobs",
        columns: COLUMNS,
        from: &living(),
        fields: SCHEDULED_FIELDS,
        order: Order { by: key, descending: false },
        key,
        narrow: Vec::new(),
    };
    let (rows, total): (Vec<LivingRow>, i64) = listing.page(db, list, &asker).await?;
    let jobs = rows
        .into_iter()
        .map(|row| ScheduledJob {
            waiting_reason: row.waiting_reason(now),
            schedule: row.schedule(now),
            id: row.id,
            client_machine: row.client_machine,
            target: row.store_path,
            requested: row.requested_at.into(),
            job_type: row.job_type,
            status: row.state.into(),
            attempt: row.attempt.into(),
        })
        .collect();
    Ok((jobs, total))
}

/// Ids of jobs that match a query and a condition on the columns; `None` when there are more than `limit`.
pub(super) async fn matching(
    db: &mut PgConnection,
    caller: &Principal,
    filter: &str,
    condition: &'static str,
    limit: usize,
    now: DateTime<Utc>,
) -> Result<Option<Vec<JobId>>, Failure> {
    let asker = Asker { name: caller.name(), now };
    let mut sql = QueryBuilder::new(format!("-- name: matching_jobs\nSELECT id{}{condition}", living()));
    push_filter(&mut sql, SCHEDULED_FIELDS, Some(filter), &asker)?;
    sql.push(" ORDER BY id LIMIT ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX) + 1);
    let ids: Vec<JobId> = sql.build_query_scalar().fetch_all(db).await?;
    Ok((ids.len() <= limit).then_some(ids))
}
