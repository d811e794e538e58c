//! How the slice refuses operators. How it refuses agents is in `registration/answer.rs`.

use actix_web::http::StatusCode;
use sealift_protocol::AgentId;

use crate::http::problem::{NOT_AUTHENTICATED, UNAVAILABLE};
use crate::http::{Code, Failure};

const TOO_MANY_TOKENS: Code = Code(0xA015_0101);
const IN_USE: Code = Code(0xA015_0102);
const NO_POOLS: Code = Code(0xA015_0103);

/// A refusal or a fault of this slice.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Agents that do not exist.
    #[error("nothing was changed")]
    NotFound(Vec<AgentId>),
    /// The agent serves stores; some of them are named.
    #[error(
        "agent {agent} serves certificate stores: {}; delete them or give them to another agent first",
        stores.join(", ")
    )]
    InUse {
        /// The agent.
        agent: AgentId,
        /// Machine and path of some.
        stores: Vec<String>,
    },
    /// There is nothing that pools would be for.
    #[error(
        "agent pools share out SSL discovery and monitoring, which this server does not do; it keeps none"
    )]
    NoPools,
    /// A member of the request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// As many enrollment tokens are in use as may be.
    #[error("{0} enrollment tokens are unused and not expired; wait for some to expire")]
    TooManyTokens(i64),
    /// More agents register than can wait.
    #[error("too many agents register at the moment; try again shortly")]
    Busy,
    /// A client certificate of our authority that no agent has any more.
    #[error("the client certificate belongs to no agent; register without it and with a CSR")]
    UnknownCertificate,
    /// The system's random generator failed.
    #[error("the system's random generator failed")]
    Random,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(ids) => {
                let reasons: Vec<_> = ids.iter().map(|id| format!("agent {id} was not found")).collect();
                let first = ids.first().map(AgentId::to_string).unwrap_or_default();
                Self::not_found(format_args!("agent {first}")).with_reasons(reasons)
            }
            Error::Invalid(message) => Self::invalid(message),
            Error::InUse { .. } => Self::new(StatusCode::BAD_REQUEST, IN_USE, error.to_string()),
            Error::NoPools => Self::new(StatusCode::BAD_REQUEST, NO_POOLS, error.to_string()),
            Error::TooManyTokens(_) => Self::new(StatusCode::BAD_REQUEST, TOO_MANY_TOKENS, error.to_string()),
            Error::UnknownCertificate => {
                Self::new(StatusCode::UNAUTHORIZED, NOT_AUTHENTICATED, error.to_string())
            }
            Error::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, error.to_string()),
            Error::Random => Self::fault(error),
            Error::Database(error) => error.into(),
        }
    }
}
