//! Statements of agents at work: which process has an agent's place, and who takes no jobs.

use chrono::{DateTime, Utc};
use sealift_protocol::AgentId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::uuids;

/// Who has an agent's place.
#[derive(Debug, Clone)]
pub(in crate::agents) struct InstanceRow {
    pub(in crate::agents) client_machine: String,
    pub(in crate::agents) instance: Option<Uuid>,
    pub(in crate::agents) superseded: Vec<Uuid>,
    pub(in crate::agents) refused_instance: Option<Uuid>,
    pub(in crate::agents) host: Option<String>,
    pub(in crate::agents) host_name: Option<String>,
    pub(in crate::agents) host_address: Option<String>,
    pub(in crate::agents) working_at: Option<DateTime<Utc>>,
    pub(in crate::agents) clone_seen_at: Option<DateTime<Utc>>,
    pub(in crate::agents) clone_host: Option<String>,
}

/// A process that was refused, and its machine.
pub(in crate::agents) struct Mark<'a> {
    pub(in crate::agents) instance: Uuid,
    pub(in crate::agents) host: Option<&'a str>,
    pub(in crate::agents) host_name: &'a str,
    pub(in crate::agents) address: &'a str,
}

/// An agent whose copies were forgotten, and the machine that may take its place.
pub(in crate::agents) struct ClearedRow {
    pub(in crate::agents) id: AgentId,
    pub(in crate::agents) client_machine: String,
    pub(in crate::agents) host_name: String,
}

/// An agent that was drained or resumed.
pub(in crate::agents) struct DrainedRow {
    pub(in crate::agents) id: AgentId,
    pub(in crate::agents) client_machine: String,
}

/// Who has an agent's place, locked.
pub(in crate::agents) async fn instance(
    db: &mut PgConnection,
    agent: AgentId,
) -> Result<Option<InstanceRow>, sqlx::Error> {
    sqlx::query_as!(
        InstanceRow,
        "-- name: instance
        SELECT client_machine, instance, superseded, refused_instance, host, host_name, host_address, working_at,
            clone_seen_at, clone_host
        FROM agents WHERE id = $1 FOR NO KEY UPDATE",
        agent.uuid()
    )
    .fetch_optional(db)
    .await
}

/// Gives an agent's place to a process; the one before is remembered. One that was refused as a copy and comes in its
/// own right now is no copy any more.
pub(in crate::agents) async fn begin_instance(
    db: &mut PgConnection,
    agent: AgentId,
    begins: &Mark<'_>,
    moved: bool,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: begin_instance
        UPDATE agents SET instance = $2, superseded = (array_remove(array_remove(instance || superseded, NULL), $2))[1:8],
            host = $3, host_name = $4, host_address = $5, working_at = $6, changed_at = $6,
            refused_instance = nullif(refused_instance, $2),
            clone_seen_at = CASE WHEN $7 THEN NULL ELSE clone_seen_at END,
            clone_host = CASE WHEN $7 THEN NULL ELSE clone_host END,
            clone_host_name = CASE WHEN $7 THEN NULL ELSE clone_host_name END,
            clone_address = CASE WHEN $7 THEN NULL ELSE clone_address END
        WHERE id = $1",
        agent.uuid(),
        begins.instance,
        begins.host,
        begins.host_name,
        begins.address,
        now,
        moved
    )
    .execute(db)
    .await
    .map(drop)
}

/// Gives an agent's place back to a process that lost it and lives; the one that took it counts as a copy.
pub(in crate::agents) async fn return_instance(
    db: &mut PgConnection,
    agent: AgentId,
    returns: Uuid,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: return_instance
        UPDATE agents SET refused_instance = instance, instance = $2, superseded = array_remove(superseded, $2),
            working_at = $3, changed_at = $3
        WHERE id = $1",
        agent.uuid(),
        returns,
        now
    )
    .execute(db)
    .await
    .map(drop)
}

/// Remembers a copy that was refused.
pub(in crate::agents) async fn mark_clone(
    db: &mut PgConnection,
    agent: AgentId,
    mark: &Mark<'_>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: mark_clone
        UPDATE agents SET refused_instance = $2, clone_seen_at = $3, clone_host = $4, clone_host_name = $5,
            clone_address = $6
        WHERE id = $1",
        agent.uuid(),
        mark.instance,
        now,
        mark.host,
        mark.host_name,
        mark.address
    )
    .execute(db)
    .await
    .map(drop)
}

/// Forgets the copies that were seen of some agents: the place is free, and for a while only for the copy's machine.
pub(in crate::agents) async fn clear_clones(
    db: &mut PgConnection,
    ids: &[AgentId],
    now: DateTime<Utc>,
) -> Result<Vec<ClearedRow>, sqlx::Error> {
    sqlx::query_as!(
        ClearedRow,
        r#"-- name: clear_clones
        UPDATE agents SET instance = NULL, superseded = '{}', refused_instance = NULL, host = clone_host,
            host_name = clone_host_name, host_address = clone_address, working_at = $2, changed_at = $2,
            clone_seen_at = NULL, clone_host = NULL, clone_host_name = NULL, clone_address = NULL
        WHERE id = ANY ($1) AND clone_seen_at IS NOT NULL
        RETURNING id AS "id: AgentId", client_machine, coalesce(host_name, '') AS "host_name!""#,
        &uuids(ids),
        now
    )
    .fetch_all(db)
    .await
}

/// Has agents take no new jobs; answers those that took them.
pub(in crate::agents) async fn drain(
    db: &mut PgConnection,
    ids: &[AgentId],
    operator: &str,
    now: DateTime<Utc>,
) -> Result<Vec<DrainedRow>, sqlx::Error> {
    sqlx::query_as!(
        DrainedRow,
        r#"-- name: drain
        UPDATE agents SET drained_at = coalesce(drained_at, $3), drained_by = $2
        WHERE id = ANY ($1) AND drained_by IS NULL
        RETURNING id AS "id: AgentId", client_machine"#,
        &uuids(ids),
        operator,
        now
    )
    .fetch_all(db)
    .await
}

/// Takes an operator's word back; answers the agents that it was said of.
pub(in crate::agents) async fn resume(
    db: &mut PgConnection,
    ids: &[AgentId],
) -> Result<Vec<DrainedRow>, sqlx::Error> {
    sqlx::query_as!(
        DrainedRow,
        r#"-- name: resume
        UPDATE agents SET drained_at = CASE WHEN drained_on_machine THEN drained_at END, drained_by = NULL
        WHERE id = ANY ($1) AND drained_by IS NOT NULL
        RETURNING id AS "id: AgentId", client_machine"#,
        &uuids(ids)
    )
    .fetch_all(db)
    .await
}

/// Notes what an agent says of itself.
pub(in crate::agents) async fn set_drained_on_machine(
    db: &mut PgConnection,
    agent: AgentId,
    drained: bool,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "-- name: set_drained_on_machine
        UPDATE agents SET drained_on_machine = $2, changed_at = $3,
            drained_at = CASE WHEN $2 OR drained_by IS NOT NULL THEN coalesce(drained_at, $3) END
        WHERE id = $1 AND drained_on_machine <> $2",
        agent.uuid(),
        drained,
        now
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}
