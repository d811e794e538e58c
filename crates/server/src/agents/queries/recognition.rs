//! Statements by which agents are recognised: by certificate or key, by login, by a token that names them, or by name
//! and address.

use chrono::{DateTime, Utc};
use sealift_protocol::AgentId;
use sqlx::PgConnection;

use crate::agents::registration::KnownAgent;

/// Agents known by a client certificate or by a key, locked.
pub(in crate::agents) async fn known_by_proof(
    db: &mut PgConnection,
    thumbprint: Option<&str>,
    key_fingerprint: Option<&[u8]>,
) -> Result<Vec<KnownAgent>, sqlx::Error> {
    sqlx::query_as!(
        KnownAgent,
        r#"-- name: known_by_proof
        SELECT id AS "id: AgentId", client_machine, username, platform, version, speaks_extensions, status, capabilities,
            key_fingerprint, certificate, thumbprint, legacy_thumbprint, last_thumbprint_used, identity_expires_at,
            last_seen_at, reenrollment
        FROM agents WHERE thumbprint = $1 OR legacy_thumbprint = $1 OR key_fingerprint = $2
        ORDER BY id FOR NO KEY UPDATE"#,
        thumbprint,
        key_fingerprint
    )
    .fetch_all(db)
    .await
}

/// Agents that registered with this login under this name, the newest first, locked.
pub(in crate::agents) async fn known_by_login(
    db: &mut PgConnection,
    machine: &str,
    username: &str,
    limit: i64,
) -> Result<Vec<KnownAgent>, sqlx::Error> {
    sqlx::query_as!(
        KnownAgent,
        r#"-- name: known_by_login
        SELECT id AS "id: AgentId", client_machine, username, platform, version, speaks_extensions, status, capabilities,
            key_fingerprint, certificate, thumbprint, legacy_thumbprint, last_thumbprint_used, identity_expires_at,
            last_seen_at, reenrollment
        FROM agents WHERE lower(client_machine) = lower($1) AND lower(username) = lower($2) AND username <> ''
        ORDER BY id DESC LIMIT $3 FOR NO KEY UPDATE"#,
        machine,
        username,
        limit
    )
    .fetch_all(db)
    .await
}

/// The agent that a live token gives a new identity, locked.
pub(in crate::agents) async fn known_by_token(
    db: &mut PgConnection,
    hash: &[u8],
    now: DateTime<Utc>,
) -> Result<Option<KnownAgent>, sqlx::Error> {
    sqlx::query_as!(
        KnownAgent,
        r#"-- name: known_by_token
        SELECT a.id AS "id: AgentId", a.client_machine, username, platform, version, speaks_extensions, status,
            capabilities, key_fingerprint, certificate, thumbprint, legacy_thumbprint, last_thumbprint_used,
            identity_expires_at, last_seen_at, reenrollment
        FROM enrollment_tokens t JOIN agents a ON a.id = t.agent_id
        WHERE t.token_hash = $1 AND t.used_at IS NULL AND t.expires_at > $2 FOR NO KEY UPDATE OF a"#,
        hash,
        now
    )
    .fetch_optional(db)
    .await
}

/// Spends a token that names an agent; who made it.
pub(in crate::agents) async fn use_bound_token(
    db: &mut PgConnection,
    hash: &[u8],
    agent: AgentId,
    now: DateTime<Utc>,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- name: use_bound_token
        UPDATE enrollment_tokens SET used_at = $3, used_by = $2
        WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $3 AND agent_id = $2
        RETURNING created_by",
        hash,
        agent.uuid(),
        now
    )
    .fetch_optional(db)
    .await
}

/// Agents of the published protocol with neither certificate nor login that registered under this name and from this
/// address, locked, the newest first: those that wait for their first certificate, approved not before a time; and
/// those that were disapproved.
pub(in crate::agents) async fn known_by_name(
    db: &mut PgConnection,
    machine: &str,
    address: &str,
    approved_since: DateTime<Utc>,
) -> Result<Vec<KnownAgent>, sqlx::Error> {
    sqlx::query_as!(
        KnownAgent,
        r#"-- name: known_by_name
        SELECT id AS "id: AgentId", client_machine, username, platform, version, speaks_extensions, status, capabilities,
            key_fingerprint, certificate, thumbprint, legacy_thumbprint, last_thumbprint_used, identity_expires_at,
            last_seen_at, reenrollment
        FROM agents WHERE lower(client_machine) = lower($1) AND registered_from = $2 AND username = ''
            AND NOT speaks_extensions
            AND (status = 3 OR certificate IS NULL AND (status = 1 OR status_changed_at >= $3))
        ORDER BY status DESC, id DESC LIMIT 1 FOR NO KEY UPDATE"#,
        machine,
        address,
        approved_since
    )
    .fetch_all(db)
    .await
}

/// The approved agent of the same kind that most probably is the one that registers under this name: one of the same
/// name, else one of the name before an agent put a time behind it (agent protocol, 4.7).
pub(in crate::agents) async fn probable_previous(
    db: &mut PgConnection,
    machine: &str,
    stem: Option<&str>,
    speaks_extensions: bool,
) -> Result<Option<AgentId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"-- name: probable_previous
        SELECT id AS "id: AgentId" FROM agents
        WHERE status = 2 AND certificate IS NOT NULL AND speaks_extensions = $3
            AND (lower(client_machine) = lower($1) OR lower(client_machine) = lower($2)
                -- The agent replaced what stood behind the last underscore.
                OR lower(left(client_machine, length($2) + 1)) = lower($2) || '_'
                    AND position('_' IN substr(client_machine, length($2) + 2)) = 0)
        ORDER BY lower(client_machine) = lower($1) DESC, lower(client_machine) = lower($2) DESC,
            last_seen_at DESC NULLS LAST, id DESC LIMIT 1"#,
        machine,
        stem,
        speaks_extensions
    )
    .fetch_optional(db)
    .await
}

/// Notes what a first contact is probably the successor of, and where it came from.
pub(in crate::agents) async fn set_origin(
    db: &mut PgConnection,
    id: AgentId,
    previous: Option<AgentId>,
    address: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: set_origin\nUPDATE agents SET previous_agent_id = $2, registered_from = $3 WHERE id = $1",
        id.uuid(),
        previous.map(AgentId::uuid),
        address
    )
    .execute(db)
    .await
    .map(drop)
}
