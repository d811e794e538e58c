//! Statements of what operators do with agents: reset, deletion, renewal of identities; and of what store types they
//! can serve.

use chrono::{DateTime, Utc};
use sealift_protocol::AgentId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::uuids;

/// An agent that is to renew its identity.
pub(in crate::agents) struct RenewableRow {
    pub(in crate::agents) id: AgentId,
    pub(in crate::agents) client_machine: String,
    pub(in crate::agents) status: i16,
    pub(in crate::agents) has_identity: bool,
}

/// A store that an agent serves.
pub(in crate::agents) struct ServedRow {
    pub(in crate::agents) client_machine: String,
    pub(in crate::agents) store_path: String,
}

/// A store type with the GUIDs of its job types.
pub(in crate::agents) struct StoreTypeRow {
    pub(in crate::agents) name: String,
    pub(in crate::agents) short_name: String,
    pub(in crate::agents) capability: String,
    pub(in crate::agents) inventory: Uuid,
    pub(in crate::agents) management: Uuid,
    pub(in crate::agents) discovery: Uuid,
    pub(in crate::agents) reenrollment: Uuid,
}

/// Back to the first contact: no identity, no session, and an operator has to approve them anew. The key stays, so
/// that an agent that asks with it is known again.
pub(in crate::agents) async fn reset(
    db: &mut PgConnection,
    ids: &[AgentId],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: reset
        UPDATE agents SET status = 1, status_changed_at = $2, changed_at = $2, certificate = NULL, thumbprint = NULL,
            legacy_thumbprint = NULL, last_thumbprint_used = NULL, identity_expires_at = NULL, reenrollment = 0,
            blueprint = NULL, instance = NULL, superseded = '{}', refused_instance = NULL, host = NULL, host_name = NULL,
            host_address = NULL, working_at = NULL, clone_seen_at = NULL, clone_host = NULL, clone_host_name = NULL,
            clone_address = NULL, drained_at = NULL, drained_by = NULL, drained_on_machine = false
        WHERE id = ANY ($1)",
        &uuids(ids),
        now
    )
    .execute(db)
    .await
    .map(drop)
}

pub(in crate::agents) async fn delete(db: &mut PgConnection, id: AgentId) -> Result<(), sqlx::Error> {
    sqlx::query!("-- name: delete\nDELETE FROM agents WHERE id = $1", id.uuid()).execute(db).await.map(drop)
}

/// Some of the stores that an agent serves.
pub(in crate::agents) async fn served(
    db: &mut PgConnection,
    id: AgentId,
    limit: i64,
) -> Result<Vec<ServedRow>, sqlx::Error> {
    sqlx::query_as!(
        ServedRow,
        r#"-- name: served
        SELECT client_machine, store_path FROM certificate_stores
        WHERE agent_id = $1 ORDER BY client_machine, store_path LIMIT $2"#,
        id.uuid(),
        limit
    )
    .fetch_all(db)
    .await
}

/// Agents that are to renew their identities, locked.
pub(in crate::agents) async fn renewable(
    db: &mut PgConnection,
    ids: &[AgentId],
) -> Result<Vec<RenewableRow>, sqlx::Error> {
    sqlx::query_as!(
        RenewableRow,
        r#"-- name: renewable
        SELECT id AS "id: AgentId", client_machine, status, thumbprint IS NOT NULL AS "has_identity!" FROM agents
        WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE"#,
        &uuids(ids)
    )
    .fetch_all(db)
    .await
}

pub(in crate::agents) async fn set_reenrollment(
    db: &mut PgConnection,
    ids: &[AgentId],
    reenrollment: i16,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: set_reenrollment
        UPDATE agents SET reenrollment = $2, changed_at = $3 WHERE id = ANY ($1)",
        &uuids(ids),
        reenrollment,
        now
    )
    .execute(db)
    .await
    .map(drop)
}

pub(in crate::agents) async fn store_types(db: &mut PgConnection) -> Result<Vec<StoreTypeRow>, sqlx::Error> {
    sqlx::query_as!(
        StoreTypeRow,
        "-- name: store_types
        SELECT name, short_name, capability, inventory_job_type AS inventory, management_job_type AS management,
            discovery_job_type AS discovery, enrollment_job_type AS reenrollment
        FROM store_types ORDER BY id"
    )
    .fetch_all(db)
    .await
}

/// An agent that reports an SSL capability.
pub(in crate::agents) struct SslAgentRow {
    pub(in crate::agents) id: AgentId,
    pub(in crate::agents) client_machine: String,
    pub(in crate::agents) version: String,
}

/// Approved agents that could discover or monitor TLS endpoints, and how many there are.
pub(in crate::agents) async fn ssl_agents(
    db: &mut PgConnection,
    limit: i64,
    offset: i64,
) -> Result<(Vec<SslAgentRow>, i64), sqlx::Error> {
    let rows = sqlx::query_as!(
        SslAgentRow,
        r#"-- name: ssl_agents
        SELECT id AS "id: AgentId", client_machine, version FROM agents
        WHERE status = 2 AND 'SSL' = ANY (capabilities) ORDER BY id LIMIT $1 OFFSET $2"#,
        limit,
        offset
    )
    .fetch_all(&mut *db)
    .await?;
    let total = sqlx::query_scalar!(
        r#"-- name: count_ssl_agents
        SELECT count(*) AS "count!" FROM agents WHERE status = 2 AND 'SSL' = ANY (capabilities)"#
    )
    .fetch_one(db)
    .await?;
    Ok((rows, total))
}

pub(in crate::agents) async fn set_blueprint(
    db: &mut PgConnection,
    ids: &[AgentId],
    name: &str,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: set_blueprint\nUPDATE agents SET blueprint = $2, changed_at = $3 WHERE id = ANY ($1)",
        &uuids(ids),
        name,
        now
    )
    .execute(db)
    .await
    .map(drop)
}

/// An agent that is to be merged with another.
pub(in crate::agents) struct MergeRow {
    pub(in crate::agents) id: AgentId,
    pub(in crate::agents) client_machine: String,
    pub(in crate::agents) username: String,
    pub(in crate::agents) platform: i16,
    pub(in crate::agents) version: String,
    pub(in crate::agents) speaks_extensions: bool,
    pub(in crate::agents) status: i16,
    pub(in crate::agents) capabilities: Vec<String>,
    pub(in crate::agents) key_fingerprint: Option<Vec<u8>>,
    pub(in crate::agents) certificate: Option<Vec<u8>>,
    pub(in crate::agents) thumbprint: Option<String>,
    pub(in crate::agents) legacy_thumbprint: Option<String>,
    pub(in crate::agents) last_thumbprint_used: Option<String>,
    pub(in crate::agents) identity_expires_at: Option<DateTime<Utc>>,
    pub(in crate::agents) last_seen_at: Option<DateTime<Utc>>,
}

pub(in crate::agents) async fn merged(
    db: &mut PgConnection,
    ids: &[AgentId],
) -> Result<Vec<MergeRow>, sqlx::Error> {
    sqlx::query_as!(
        MergeRow,
        r#"-- name: merged
        SELECT id AS "id: AgentId", client_machine, username, platform, version, speaks_extensions, status, capabilities,
            key_fingerprint, certificate, thumbprint, legacy_thumbprint, last_thumbprint_used, identity_expires_at,
            last_seen_at
        FROM agents WHERE id = ANY ($1)"#,
        &uuids(ids)
    )
    .fetch_all(db)
    .await
}

/// Puts the identity of another agent, whose row has gone, onto this one's. Id, name, blueprint and first contact stay.
pub(in crate::agents) async fn take_over(
    db: &mut PgConnection,
    id: AgentId,
    from: &MergeRow,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: take_over
        UPDATE agents SET username = $2, platform = $3, version = $4, capabilities = $5, key_fingerprint = $6,
            certificate = $7, thumbprint = $8, legacy_thumbprint = $9, last_thumbprint_used = $10,
            identity_expires_at = $11, last_seen_at = $12, changed_at = $13, reenrollment = 0
        WHERE id = $1",
        id.uuid(),
        from.username,
        from.platform,
        from.version,
        &from.capabilities,
        from.key_fingerprint.as_deref(),
        from.certificate.as_deref(),
        from.thumbprint,
        from.legacy_thumbprint,
        from.last_thumbprint_used,
        from.identity_expires_at,
        from.last_seen_at,
        now
    )
    .execute(db)
    .await
    .map(drop)
}
