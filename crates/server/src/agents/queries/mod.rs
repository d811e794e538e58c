//! Every SQL statement of the slice.

mod administration;
mod operation;
mod recognition;

use chrono::{DateTime, Utc};
use sealift_protocol::AgentId;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

pub(super) use self::administration::{
    MergeRow, RenewableRow, StoreTypeRow, delete, merged, renewable, reset, served, set_blueprint,
    set_reenrollment, ssl_agents, store_types, take_over,
};
pub(super) use self::operation::{
    ClearedRow, DrainedRow, InstanceRow, Mark, begin_instance, clear_clones, drain, instance, mark_clone,
    resume, return_instance, set_drained_on_machine,
};
pub(super) use self::recognition::{
    known_by_login, known_by_name, known_by_proof, known_by_token, probable_previous, set_origin,
    use_bound_token,
};
use super::registration::KnownAgent;
use super::session::LiveSession;
use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind};
use crate::http::list::ListQuery;
use crate::http::listing::{Column, Listing, Order};

/// Held by first contacts, so that their number can be bounded.
const FIRST_CONTACT_LOCK: i64 = 0x5ea1_1f70_0002;

/// The agent behind a client certificate.
#[derive(Debug)]
pub(super) struct IdentityRow {
    pub(super) id: AgentId,
    pub(super) status: i16,
    pub(super) speaks_extensions: bool,
    pub(super) client_machine: String,
    pub(super) must_renew: bool,
    pub(super) instance: Option<Uuid>,
    pub(super) drained_on_machine: bool,
}

/// An agent whose status or identities were changed.
pub(super) struct ChangedRow {
    pub(super) id: AgentId,
    pub(super) status: i16,
    pub(super) speaks_extensions: bool,
    pub(super) client_machine: String,
    pub(super) must_renew: bool,
    pub(super) instance: Option<Uuid>,
    pub(super) drained_on_machine: bool,
    pub(super) thumbprint: Option<String>,
    pub(super) legacy_thumbprint: Option<String>,
}

/// What other slices decide by.
pub(super) struct FactRow {
    pub(super) id: AgentId,
    pub(super) client_machine: String,
    pub(super) status: i16,
    pub(super) capabilities: Vec<String>,
}

/// An agent whose status is to be set.
pub(super) struct StandingRow {
    pub(super) id: AgentId,
    pub(super) client_machine: String,
    pub(super) status: i16,
}

/// An agent as operators see it.
#[derive(FromRow)]
pub(super) struct AgentRow {
    pub(super) id: AgentId,
    pub(super) client_machine: String,
    pub(super) username: String,
    pub(super) platform: i16,
    pub(super) version: String,
    pub(super) status: i16,
    pub(super) capabilities: Vec<String>,
    pub(super) key_fingerprint: Option<Vec<u8>>,
    pub(super) thumbprint: Option<String>,
    pub(super) legacy_thumbprint: Option<String>,
    pub(super) last_thumbprint_used: Option<String>,
    pub(super) identity_expires_at: Option<DateTime<Utc>>,
    pub(super) last_seen_at: Option<DateTime<Utc>>,
    pub(super) reenrollment: i16,
    pub(super) blueprint: Option<String>,
    pub(super) host_name: Option<String>,
    pub(super) clone_seen_at: Option<DateTime<Utc>>,
    pub(super) clone_host_name: Option<String>,
    pub(super) clone_address: Option<String>,
    pub(super) drained_at: Option<DateTime<Utc>>,
    pub(super) drained_by: Option<String>,
    pub(super) drained_on_machine: bool,
    pub(super) clock_offset_seconds: Option<i32>,
    pub(super) previous_agent_id: Option<AgentId>,
    pub(super) speaks_extensions: bool,
}

/// An identity that was just issued.
pub(super) struct NewIdentity<'a> {
    pub(super) certificate: &'a [u8],
    pub(super) thumbprint: &'a str,
    pub(super) legacy_thumbprint: Option<&'a str>,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) key_fingerprint: &'a [u8],
}

/// A session to be opened.
pub(super) struct NewSession<'a> {
    pub(super) token_hash: &'a [u8],
    pub(super) agent: AgentId,
    pub(super) thumbprint: Option<&'a str>,
    pub(super) username: Option<&'a str>,
    pub(super) expires_at: DateTime<Utc>,
}

/// Who was seen: one of each for each agent.
#[derive(Default)]
pub(super) struct SeenColumns {
    pub(super) ids: Vec<Uuid>,
    pub(super) times: Vec<DateTime<Utc>>,
    pub(super) thumbprints: Vec<String>,
    pub(super) working: Vec<Option<DateTime<Utc>>>,
    pub(super) offsets: Vec<Option<i32>>,
}

fn uuids(ids: &[AgentId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.uuid()).collect()
}

pub(super) async fn identity(
    db: &mut PgConnection,
    thumbprint: &str,
) -> Result<Option<IdentityRow>, sqlx::Error> {
    sqlx::query_as!(
        IdentityRow,
        r#"-- name: identity
        SELECT id AS "id: AgentId", status, speaks_extensions, client_machine, reenrollment = 2 AS "must_renew!", instance,
            drained_on_machine
        FROM agents
        WHERE thumbprint = $1 OR legacy_thumbprint = $1"#,
        thumbprint
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn changed_since(
    db: &mut PgConnection,
    since: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<ChangedRow>, sqlx::Error> {
    sqlx::query_as!(
        ChangedRow,
        r#"-- name: changed_since
        SELECT id AS "id: AgentId", status, speaks_extensions, client_machine, reenrollment = 2 AS "must_renew!", instance,
            drained_on_machine, thumbprint, legacy_thumbprint
        FROM agents WHERE changed_at >= $1 ORDER BY changed_at LIMIT $2"#,
        since,
        limit
    )
    .fetch_all(db)
    .await
}

pub(super) async fn facts(db: &mut PgConnection, ids: &[AgentId]) -> Result<Vec<FactRow>, sqlx::Error> {
    sqlx::query_as!(
        FactRow,
        r#"-- name: facts
        SELECT id AS "id: AgentId", client_machine, status, capabilities FROM agents WHERE id = ANY ($1)"#,
        &uuids(ids)
    )
    .fetch_all(db)
    .await
}

pub(super) async fn lock_first_contacts(db: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query_scalar!("-- name: lock_first_contacts\nSELECT pg_advisory_xact_lock($1)", FIRST_CONTACT_LOCK)
        .fetch_one(db)
        .await
        .map(drop)
}

/// How many agents wait for approval, counted up to a limit, and how many of them under this name.
pub(super) async fn count_new(
    db: &mut PgConnection,
    machine: &str,
    limit: i64,
) -> Result<(i64, i64), sqlx::Error> {
    let row = sqlx::query!(
        r#"-- name: count_new
        SELECT count(*) AS "all!", count(*) FILTER (WHERE lower(client_machine) = lower($1)) AS "here!"
        FROM (SELECT client_machine FROM agents WHERE status = 1 LIMIT $2) AS waiting"#,
        machine,
        limit
    )
    .fetch_one(db)
    .await?;
    Ok((row.all, row.here))
}

pub(super) async fn insert_agent(
    db: &mut PgConnection,
    agent: &KnownAgent,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: insert_agent
        INSERT INTO agents (id, client_machine, username, platform, version, speaks_extensions, status, capabilities,
            key_fingerprint, registered_at, status_changed_at, changed_at, last_seen_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $10, $10)",
        agent.id.uuid(),
        agent.client_machine,
        agent.username,
        agent.platform,
        agent.version,
        agent.speaks_extensions,
        agent.status,
        &agent.capabilities,
        agent.key_fingerprint.as_deref(),
        now
    )
    .execute(db)
    .await
    .map(drop)
}

/// Writes what an agent says of itself; `changed` when replicas must notice.
pub(super) async fn update_agent(
    db: &mut PgConnection,
    agent: &KnownAgent,
    changed: bool,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: update_agent
        UPDATE agents SET client_machine = $2, platform = $3, version = $4, speaks_extensions = $5, capabilities = $6,
            key_fingerprint = $7, last_seen_at = $8, changed_at = CASE WHEN $9 THEN $8 ELSE changed_at END
        WHERE id = $1",
        agent.id.uuid(),
        agent.client_machine,
        agent.platform,
        agent.version,
        agent.speaks_extensions,
        &agent.capabilities,
        agent.key_fingerprint.as_deref(),
        now,
        changed
    )
    .execute(db)
    .await
    .map(drop)
}

/// Stores an identity of an approved agent; whether the agent was still approved.
pub(super) async fn store_identity(
    db: &mut PgConnection,
    agent: AgentId,
    identity: &NewIdentity<'_>,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "-- name: store_identity
        UPDATE agents SET certificate = $2, thumbprint = $3, legacy_thumbprint = $4, identity_expires_at = $5,
            key_fingerprint = $6, changed_at = $7, reenrollment = 0
        WHERE id = $1 AND status = 2",
        agent.uuid(),
        identity.certificate,
        identity.thumbprint,
        identity.legacy_thumbprint,
        identity.expires_at,
        identity.key_fingerprint,
        now
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Agents whose status is to be set, locked.
pub(super) async fn standings(
    db: &mut PgConnection,
    ids: &[AgentId],
) -> Result<Vec<StandingRow>, sqlx::Error> {
    sqlx::query_as!(
        StandingRow,
        r#"-- name: standings
        SELECT id AS "id: AgentId", client_machine, status FROM agents WHERE id = ANY ($1)
        ORDER BY id FOR NO KEY UPDATE"#,
        &uuids(ids)
    )
    .fetch_all(db)
    .await
}

pub(super) async fn set_status(
    db: &mut PgConnection,
    ids: &[AgentId],
    status: i16,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: set_status
        UPDATE agents SET status = $2, status_changed_at = $3, changed_at = $3 WHERE id = ANY ($1)",
        &uuids(ids),
        status,
        now
    )
    .execute(db)
    .await
    .map(drop)
}

/// Stores an enrollment token; whether there was room for it.
pub(super) async fn insert_token(
    db: &mut PgConnection,
    hash: &[u8],
    (machine, agent): (Option<&str>, Option<AgentId>),
    created_by: &str,
    (now, expires_at): (DateTime<Utc>, DateTime<Utc>),
    limit: i64,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "-- name: insert_token
        INSERT INTO enrollment_tokens (token_hash, client_machine, agent_id, created_by, created_at, expires_at)
        SELECT $1, $2, $7, $3, $4, $5 WHERE
            (SELECT count(*) FROM enrollment_tokens WHERE used_at IS NULL AND expires_at > $4) < $6",
        hash,
        machine,
        created_by,
        now,
        expires_at,
        limit,
        agent.map(AgentId::uuid)
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Spends an enrollment token; answers who made it, or `None` when it is unknown, used, expired or for another
/// machine.
pub(super) async fn use_token(
    db: &mut PgConnection,
    hash: &[u8],
    machine: &str,
    agent: AgentId,
    now: DateTime<Utc>,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "-- name: use_token
        UPDATE enrollment_tokens SET used_at = $4, used_by = $3
        WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $4 AND agent_id IS NULL
            AND (client_machine IS NULL OR lower(client_machine) = lower($2))
        RETURNING created_by",
        hash,
        machine,
        agent.uuid(),
        now
    )
    .fetch_optional(db)
    .await
}

/// Opens a session and forgets the agent's oldest beyond `keep`.
pub(super) async fn insert_session(
    db: &mut PgConnection,
    session: &NewSession<'_>,
    keep: i64,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: insert_session
        WITH forgotten AS (
            DELETE FROM agent_sessions WHERE token_hash IN (
                SELECT token_hash FROM agent_sessions WHERE agent_id = $2 ORDER BY created_at DESC OFFSET $6)
        )
        INSERT INTO agent_sessions (token_hash, agent_id, thumbprint, username, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $7)",
        session.token_hash,
        session.agent.uuid(),
        session.thumbprint,
        session.username,
        now,
        keep,
        session.expires_at
    )
    .execute(db)
    .await
    .map(drop)
}

pub(super) async fn find_session(
    db: &mut PgConnection,
    token_hash: &[u8],
    thumbprint: Option<&str>,
    username: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Option<LiveSession>, sqlx::Error> {
    sqlx::query_as!(
        LiveSession,
        r#"-- name: find_session
        SELECT s.agent_id AS "agent: AgentId", a.platform, a.version, s.listed
        FROM agent_sessions s JOIN agents a ON a.id = s.agent_id
        WHERE s.token_hash = $1 AND s.expires_at > $2 AND a.status = 2
            AND (s.thumbprint = $3 OR lower(s.username) = lower($4))"#,
        token_hash,
        now,
        thumbprint,
        username
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn note_listed(
    db: &mut PgConnection,
    token_hash: &[u8],
    listed: i16,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: note_listed\nUPDATE agent_sessions SET listed = $2 WHERE token_hash = $1",
        token_hash,
        listed
    )
    .execute(db)
    .await
    .map(drop)
}

pub(super) async fn delete_sessions(db: &mut PgConnection, agents: &[AgentId]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: delete_sessions\nDELETE FROM agent_sessions WHERE agent_id = ANY ($1)",
        &uuids(agents)
    )
    .execute(db)
    .await
    .map(drop)
}

/// Writes who was seen. An agent seen with its newest identity needs the one before no more. Rows that
/// someone else is changing are passed over: their agents call again within a minute.
pub(super) async fn write_last_seen(
    db: &mut PgConnection,
    seen: &SeenColumns,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: write_last_seen
        WITH seen AS (
            SELECT id, at, thumbprint, working, clock
            FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $5::timestamptz[], $6::integer[])
                AS seen (id, at, thumbprint, working, clock)
        ), free AS (
            SELECT a.id FROM agents a WHERE a.id IN (SELECT seen.id FROM seen)
            ORDER BY a.id FOR NO KEY UPDATE SKIP LOCKED
        )
        UPDATE agents a SET last_seen_at = greatest(a.last_seen_at, seen.at), last_thumbprint_used = seen.thumbprint,
            legacy_thumbprint = CASE WHEN seen.thumbprint = a.thumbprint THEN NULL ELSE a.legacy_thumbprint END,
            changed_at = CASE WHEN seen.thumbprint = a.thumbprint AND a.legacy_thumbprint IS NOT NULL
                         THEN $4 ELSE a.changed_at END,
            working_at = greatest(a.working_at, seen.working),
            clock_offset_seconds = coalesce(seen.clock, a.clock_offset_seconds)
        FROM seen JOIN free ON free.id = seen.id WHERE a.id = seen.id",
        &seen.ids,
        &seen.times,
        &seen.thumbprints,
        now,
        &seen.working as &[Option<DateTime<Utc>>],
        &seen.offsets as &[Option<i32>]
    )
    .execute(db)
    .await
    .map(drop)
}

pub(super) async fn delete_expired_sessions(
    db: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "-- name: delete_expired_sessions\nDELETE FROM agent_sessions WHERE expires_at <= $1",
        now
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

pub(super) async fn delete_old_tokens(
    db: &mut PgConnection,
    before: DateTime<Utc>,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "-- name: delete_old_tokens\nDELETE FROM enrollment_tokens WHERE expires_at <= $1",
        before
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Deletes agents that nobody approved and that have not been heard of since.
pub(super) async fn delete_abandoned(
    db: &mut PgConnection,
    before: DateTime<Utc>,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "-- name: delete_abandoned
        DELETE FROM agents a WHERE a.status = 1 AND a.registered_at <= $1 AND a.last_seen_at <= $1
            AND NOT EXISTS (SELECT 1 FROM certificate_stores s WHERE s.agent_id = a.id)",
        before
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

pub(super) const FIELDS: &[Field] = &[
    Field { name: "AgentId", sql: "id", kind: Kind::Guid },
    Field { name: "ClientMachine", sql: "client_machine", kind: Kind::Text },
    Field { name: "Identity", sql: "username", kind: Kind::Text },
    Field { name: "Username", sql: "username", kind: Kind::Text },
    Field { name: "LastSeen", sql: "last_seen_at", kind: Kind::Time },
    Field { name: "Platform", sql: "platform", kind: Kind::Number },
    Field { name: "AgentPlatform", sql: "platform", kind: Kind::Number },
    Field { name: "Status", sql: "status", kind: Kind::Number },
    Field { name: "Version", sql: "version", kind: Kind::Text },
    Field { name: "Capabilities", sql: "array_to_string(capabilities, ' ')", kind: Kind::Text },
    Field { name: "Thumbprint", sql: "thumbprint", kind: Kind::Text },
    Field { name: "LegacyThumbprint", sql: "legacy_thumbprint", kind: Kind::Text },
    Field { name: "LastThumbprintUsed", sql: "last_thumbprint_used", kind: Kind::Text },
];

const COLUMNS: &str =
    "id, client_machine, username, platform, version, status, capabilities, key_fingerprint,
    thumbprint, legacy_thumbprint, last_thumbprint_used, identity_expires_at, last_seen_at, reenrollment, blueprint,
    host_name, clone_seen_at, clone_host_name, clone_address, drained_at, drained_by, drained_on_machine,
    clock_offset_seconds, previous_agent_id, speaks_extensions";

/// One page of agents, and how many match, counted up to a bound.
pub(super) async fn list(
    db: &mut PgConnection,
    list: &ListQuery,
    asker: &Asker<'_>,
) -> Result<(Vec<AgentRow>, i64), Failure> {
    let key = Column { sql: "id", kind: Kind::Guid };
    let listing = Listing {
        name: "agents",
        columns: COLUMNS,
        from: " FROM agents WHERE true",
        fields: FIELDS,
        order: Order { by: key, descending: false },
        key,
        narrow: Vec::new(),
    };
    listing.page(db, list, asker).await
}

pub(super) async fn agent(db: &mut PgConnection, id: AgentId) -> Result<Option<AgentRow>, sqlx::Error> {
    let mut sql =
        QueryBuilder::<Postgres>::new(format!("-- name: agent\nSELECT {COLUMNS} FROM agents WHERE id = "));
    sql.push_bind(id.uuid()).build_query_as().fetch_optional(db).await
}
