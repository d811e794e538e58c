//! The list of what waits: jobs that are not finished, and those that come again.

use chrono::{DateTime, Utc};
use sealift_protocol::operator::orchestrator_jobs::ScheduledJob;
use sealift_protocol::operator::schedule::Schedule;
use sealift_protocol::{AgentId, JobId};
use serde_json::Value;
use sqlx::{FromRow, PgConnection, QueryBuilder};

use super::history::{self, JOB_TYPE};
use super::queries;
use super::recurrence::shown;
use super::waiting::{Waits, reason};
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
        agent_machine, NULL::jsonb AS schedule, store_type AS type_name, history_id,
        details ->> 'DryRun' IS NOT NULL AS dry_run
    FROM jobs
    UNION ALL
    SELECT r.id, r.agent_id, NULL::uuid, r.agent_machine, '', r.type_name, 6::smallint, 1::smallint, 0::smallint, true,
        r.recurrence, r.next_at, NULL::timestamptz, r.requested_at, r.requested_by, r.agent_machine, r.schedule,
        r.type_name, NULL::bigint, false
    FROM recurring_jobs r WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = r.id)
    UNION ALL
    SELECT s.inventory_job_id, s.agent_id, s.id, s.client_machine, s.store_path, t.short_name || 'Inventory',
        1::smallint, 1::smallint, 0::smallint, true, NULL::text, s.next_inventory_at, NULL::timestamptz, s.created_at,
        'schedule', a.client_machine, s.inventory_schedule, t.short_name, NULL::bigint, false
    FROM certificate_stores s JOIN store_types t ON t.id = s.store_type JOIN agents a ON a.id = s.agent_id
    WHERE s.next_inventory_at IS NOT NULL AND s.approved
) AS living WHERE true";

const COLUMNS: &str = "id, client_machine, store_path, job_type, state, attempt, scheduled, recurrence, schedule, run_at,
    retry_at, requested_at, agent_id, agent_machine, kind, type_name, dry_run,
    CASE WHEN state = 5 THEN (SELECT h.error_code FROM job_history h WHERE h.id = living.history_id LIMIT 1) END
        AS error_code,
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
    agent_id: AgentId,
    agent_machine: String,
    kind: i16,
    type_name: String,
    dry_run: bool,
    error_code: Option<String>,
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

    /// What decides why the job is not running; none while it runs.
    fn waits(&self) -> Option<Waits<'_>> {
        (self.state != 2).then(|| Waits {
            machine: &self.agent_machine,
            kind: self.kind,
            type_name: &self.type_name,
            run_at: self.run_at,
            retry: self.retry_at.map(|at| (at, self.attempt, self.error_code.as_deref())),
            behind: self.behind,
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
    let agents: Vec<AgentId> = rows.iter().map(|row| row.agent_id).collect();
    let agents = queries::waited_for(db, &agents).await?;
    let jobs = rows
        .into_iter()
        .map(|row| (row.waits().map(|waits| reason(&waits, agents.get(&row.agent_id), now)), row))
        .map(|(reason, row)| ScheduledJob {
            waiting_reason_code: reason.as_ref().map(|(code, _)| (*code).to_owned()),
            waiting_reason: reason.map(|(_, text)| text),
            dry_run: row.dry_run,
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
