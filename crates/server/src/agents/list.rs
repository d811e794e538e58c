//! Agents as operators see them.

use chrono::{DateTime, Utc};
use sealift_protocol::AgentId;
use sealift_protocol::operator::agents::{Agent, CloneSeen, Drained};
use sqlx::PgConnection;

use super::capability;
use super::error::Error;
use super::queries::{self, AgentRow, StoreTypeRow};
use super::reenrollment::Reenrollment;
use crate::http::Failure;
use crate::http::filter_sql::Asker;
use crate::http::list::ListQuery;
use crate::security::{Principal, permission};

impl From<AgentRow> for Agent {
    fn from(row: AgentRow) -> Self {
        Self {
            agent_id: row.id,
            client_machine: row.client_machine,
            username: row.username,
            agent_platform: row.platform.into(),
            version: row.version,
            status: row.status.into(),
            last_seen: row.last_seen_at.map(Into::into),
            capabilities: capability::bare(&row.capabilities),
            blueprint: row.blueprint,
            thumbprint: row.thumbprint.unwrap_or_default(),
            legacy_thumbprint: row.legacy_thumbprint.unwrap_or_default(),
            last_thumbprint_used: row.last_thumbprint_used.unwrap_or_default(),
            auth_certificate_reenrollment: Reenrollment::from_number(row.reenrollment).name().to_owned(),
            last_error_code: None,
            last_error_message: None,
            key_fingerprint: row.key_fingerprint.map(|bytes| fingerprint_text(&bytes)).unwrap_or_default(),
            identity_expires: row.identity_expires_at.map(Into::into),
            previous_agent_id: row.previous_agent_id,
            takes_sealed_payloads: row.speaks_extensions,
            job_types: Vec::new(),
            host_name: row.host_name,
            clone_seen: row.clone_seen_at.map(|seen| CloneSeen {
                seen: seen.into(),
                address: row.clone_address.unwrap_or_default(),
                host_name: row.clone_host_name.unwrap_or_default(),
            }),
            drained: row.drained_at.map(|since| Drained {
                since: since.into(),
                by: row.drained_by,
                on_machine: row.drained_on_machine,
            }),
            clock_offset_seconds: row.clock_offset_seconds,
        }
    }
}

/// An agent with the job types that its capabilities stand for.
fn shown(row: AgentRow, store_types: &[StoreTypeRow]) -> Agent {
    let job_types = capability::job_types(&row.capabilities, store_types);
    Agent { job_types, ..row.into() }
}

/// How the fingerprint of a key is shown, to operators and to the agent: upper-case hexadecimal.
pub(super) fn fingerprint_text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// One page of agents, and how many match.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<Agent>, i64), Failure> {
    caller.require(permission::AGENTS_READ)?;
    let (rows, total) = queries::list(db, list, &Asker { name: caller.name(), now }).await?;
    let store_types = queries::store_types(db).await?;
    Ok((rows.into_iter().map(|row| shown(row, &store_types)).collect(), total))
}

/// One agent.
pub(super) async fn get(db: &mut PgConnection, caller: &Principal, id: AgentId) -> Result<Agent, Failure> {
    caller.require(permission::AGENTS_READ)?;
    let row = queries::agent(db, id).await?;
    let store_types = queries::store_types(db).await?;
    Ok(shown(row.ok_or_else(|| Error::NotFound(vec![id]))?, &store_types))
}
