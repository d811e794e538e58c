//! An agent as other slices know it.

use chrono::{DateTime, Utc};
use sealift_protocol::AgentId;
use sqlx::PgConnection;

use super::queries;

/// Whether an agent may work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub(crate) enum Status {
    /// Waits for an operator.
    New = 1,
    /// May work.
    Approved = 2,
    /// May not work.
    Disapproved = 3,
}

impl Status {
    /// From the column; anything unknown may not work.
    pub(super) fn from_number(number: i16) -> Self {
        match number {
            1 => Self::New,
            2 => Self::Approved,
            _ => Self::Disapproved,
        }
    }

    /// As the column and the wire have it.
    pub(crate) fn number(self) -> i16 {
        self as i16
    }
}

/// What other slices decide by.
#[derive(Debug, Clone)]
pub(crate) struct AgentFacts {
    /// The agent.
    pub(crate) id: AgentId,
    /// The name it gave itself.
    pub(crate) client_machine: String,
    /// Whether it may work.
    pub(crate) status: Status,
    /// Full names, such as `CertStores.PEM.Management`.
    pub(crate) capabilities: Vec<String>,
}

/// Facts about agents, in no particular order; unknown ids are left out.
pub(crate) async fn facts(db: &mut PgConnection, ids: &[AgentId]) -> Result<Vec<AgentFacts>, sqlx::Error> {
    let rows = queries::facts(db, ids).await?;
    let fact = |row: queries::FactRow| AgentFacts {
        id: row.id,
        client_machine: row.client_machine,
        status: Status::from_number(row.status),
        capabilities: row.capabilities,
    };
    Ok(rows.into_iter().map(fact).collect())
}

/// Notes the blueprint that was applied to agents.
pub(crate) async fn set_blueprint(
    db: &mut PgConnection,
    ids: &[AgentId],
    name: &str,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    queries::set_blueprint(db, ids, name, now).await
}
