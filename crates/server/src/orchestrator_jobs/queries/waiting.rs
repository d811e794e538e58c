//! What is known of the agents that jobs wait for.

use std::collections::HashMap;

use sealift_protocol::{AgentId, JobId};
use sqlx::PgConnection;

use super::changes::uuids;
use crate::orchestrator_jobs::waiting::WaitedFor;

/// Agents with what they can run and the job that each runs, whatever the number of their jobs.
pub(in crate::orchestrator_jobs) async fn waited_for(
    db: &mut PgConnection,
    agents: &[AgentId],
) -> Result<HashMap<AgentId, WaitedFor>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"-- name: waited_for
        SELECT a.id AS "id: AgentId", a.status, a.last_seen_at, a.reenrollment = 2 AS "must_renew!",
            a.drained_at, a.capabilities,
            ARRAY(SELECT t.short_name || E'\n' || t.capability FROM store_types t) AS "store_types!",
            (SELECT j.id FROM jobs j WHERE j.agent_id = a.id AND j.state = 2 LIMIT 1) AS "runs: JobId"
        FROM agents a WHERE a.id = ANY ($1)"#,
        &uuids(agents),
    )
    .fetch_all(db)
    .await?;
    let known = rows.into_iter().map(|row| {
        let agent = WaitedFor {
            status: row.status,
            last_seen_at: row.last_seen_at,
            must_renew: row.must_renew,
            drained_at: row.drained_at,
            capabilities: row.capabilities,
            store_types: row.store_types,
            runs: row.runs,
        };
        (row.id, agent)
    });
    Ok(known.collect())
}
