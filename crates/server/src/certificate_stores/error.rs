//! How this slice refuses.

use actix_web::http::StatusCode;
use sealift_protocol::StoreId;

use crate::http::{Code, Failure};

/// A refusal of this slice.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A store that does not exist.
    #[error("certificate store {0} was not found")]
    UnknownStore(StoreId),
    /// The caller may not do that with this store.
    #[error(
        "the caller does not have any of the required permissions for certificate store {store}: {permission}"
    )]
    StoreForbidden {
        /// The store.
        store: StoreId,
        /// What is missing.
        permission: String,
    },
    /// The store is not approved.
    #[error("certificate store {0} is not approved; approve it first")]
    StoreNotApproved(StoreId),
    /// Its agent may not get jobs.
    #[error(
        "the agent {agent} of certificate store {store} is not approved; approve it with POST /Agents/Approve"
    )]
    AgentNotApproved {
        /// The store.
        store: StoreId,
        /// The agent's machine.
        agent: String,
    },
    /// Its agent cannot do that.
    #[error("the agent {agent} of certificate store {store} does not have the capability {capability}")]
    NotCapable {
        /// The store.
        store: StoreId,
        /// The agent's machine.
        agent: String,
        /// What it lacks.
        capability: String,
    },
    /// Its agent would do what it is only asked about.
    #[error(
        "the agent {agent} of certificate store {store} speaks the published protocol only and cannot make dry runs"
    )]
    CannotPlan {
        /// The store.
        store: StoreId,
        /// The agent's machine.
        agent: String,
    },
    /// Its type does not do that.
    #[error("certificate store {store} is of type {store_type}, which does not support {operation}")]
    NotSupported {
        /// The store.
        store: StoreId,
        /// The type.
        store_type: String,
        /// The operation.
        operation: &'static str,
    },
    /// Its type cannot hold a private key, and the caller wants one there.
    #[error(
        "certificate store {store} is of type {store_type}, which cannot hold private keys; set IncludePrivateKey to false"
    )]
    KeyForbidden {
        /// The store.
        store: StoreId,
        /// The type.
        store_type: String,
    },
    /// Its type needs a private key, and the server has none.
    #[error(
        "certificate store {store} needs a private key, and the server does not hold that of certificate {certificate}"
    )]
    KeyMissing {
        /// The store.
        store: StoreId,
        /// The certificate.
        certificate: i64,
    },
    /// Its agent cannot open sealed payloads, and the configuration refuses it private keys for that.
    #[error(
        "the agent {agent} of certificate store {store} cannot open sealed payloads, and agents.keys_to_published is off, so it gets no private keys; have it make the key by reenrollment"
    )]
    KeyNotSealable {
        /// The store.
        store: StoreId,
        /// The agent's machine.
        agent: String,
    },
    /// An alias was given where the agent chooses, or is missing where it must be given.
    #[error("Alias for certificate store {store}: {reason}")]
    Alias {
        /// The store.
        store: StoreId,
        /// What is wrong.
        reason: String,
    },
    /// The alias is taken.
    #[error("certificate store {store} already has an entry '{alias}'; set Overwrite to true to replace it")]
    AliasTaken {
        /// The store.
        store: StoreId,
        /// The alias.
        alias: String,
    },
    /// A member of the call is missing or out of bounds.
    #[error("{0}")]
    Invalid(String),
    /// Something with that name exists.
    #[error("{0} already exists")]
    Exists(String),
    /// An agent cannot do what is asked of it.
    #[error("{0}")]
    UnfitAgent(String),
    /// Something is used, and may not change or go for that.
    #[error("{0}")]
    InUse(String),
    /// A store type that is part of the contract.
    #[error("store type {0} is built in; it cannot be changed or deleted")]
    BuiltIn(String),
    /// The queue refused.
    #[error(transparent)]
    Queue(#[from] crate::orchestrator_jobs::Error),
    /// Sealing failed.
    #[error(transparent)]
    Sealing(#[from] crate::sealing::Error),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// A slice below refused.
    #[error("{0}")]
    Below(Failure),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Below(failure)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (status, code) = match &error {
            Error::Queue(_) | Error::Sealing(_) | Error::Database(_) | Error::Below(_) => {
                return match error {
                    Error::Queue(error) => error.into(),
                    Error::Database(error) => error.into(),
                    Error::Below(failure) => failure,
                    other => Self::fault(other),
                };
            }
            Error::UnknownStore(_) => (StatusCode::NOT_FOUND, 0xA017_0001),
            Error::StoreForbidden { .. } => (StatusCode::FORBIDDEN, 0xA014_0002),
            Error::StoreNotApproved(_) => (StatusCode::BAD_REQUEST, 0xA017_0002),
            Error::AgentNotApproved { .. } => (StatusCode::BAD_REQUEST, 0xA017_0003),
            Error::NotCapable { .. } => (StatusCode::BAD_REQUEST, 0xA017_0004),
            Error::NotSupported { .. } => (StatusCode::BAD_REQUEST, 0xA017_0005),
            Error::KeyForbidden { .. } => (StatusCode::BAD_REQUEST, 0xA017_0006),
            Error::KeyNotSealable { .. } => (StatusCode::BAD_REQUEST, 0xA017_000E),
            Error::KeyMissing { .. } => (StatusCode::BAD_REQUEST, 0xA011_0002),
            Error::Alias { .. } => (StatusCode::BAD_REQUEST, 0xA017_0007),
            Error::AliasTaken { .. } => (StatusCode::BAD_REQUEST, 0xA017_0008),
            Error::Invalid(_) => (StatusCode::BAD_REQUEST, 0xA017_0009),
            Error::Exists(_) => (StatusCode::BAD_REQUEST, 0xA017_000A),
            Error::UnfitAgent(_) => (StatusCode::BAD_REQUEST, 0xA017_000D),
            Error::InUse(_) => (StatusCode::BAD_REQUEST, 0xA017_000B),
            Error::BuiltIn(_) => (StatusCode::BAD_REQUEST, 0xA017_000C),
            Error::CannotPlan { .. } => (StatusCode::BAD_REQUEST, 0xA017_000E),
        };
        Self::new(status, Code(code), error.to_string())
    }
}
