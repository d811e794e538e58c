//! Agent pools (operator contract, chapter 7.2). They share out SSL discovery and monitoring among agents, which this
//! server does not do: there is no pool, and none can be made. Which agents could be in one is told as it is.

use sealift_protocol::operator::agents::AgentPoolAgent;
use sqlx::PgConnection;

use super::queries;
use crate::http::Failure;
use crate::http::list::ListQuery;
use crate::security::{Principal, permission};

/// One page of the agents that report SSL capabilities, and how many there are.
pub(super) async fn candidates(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
) -> Result<(Vec<AgentPoolAgent>, i64), Failure> {
    caller.require(permission::AGENTS_READ)?;
    let (rows, total) = queries::ssl_agents(db, list.limit, list.offset).await?;
    let agents = rows.into_iter().map(|row| AgentPoolAgent {
        agent_id: row.id,
        enable_discover: false,
        enable_monitor: false,
        version: row.version,
        allows_discover: true,
        allows_monitor: true,
        client_machine: row.client_machine,
    });
    Ok((agents.collect(), total))
}
