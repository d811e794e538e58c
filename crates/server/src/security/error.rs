//! How security refuses.

use actix_web::http::StatusCode;

use crate::http::problem::{NOT_AUTHENTICATED, NOT_PERMITTED};
use crate::http::{Code, Failure};

const BUSY: Code = Code(0xA014_0003);
const UNKNOWN_PERMISSION: Code = Code(0xA014_0004);
const UNKNOWN_ROLE: Code = Code(0xA014_0005);
const TAKEN: Code = Code(0xA014_0006);
const NOT_HELD: Code = Code(0xA014_0007);
const BUILT_IN: Code = Code(0xA014_0008);
const IN_USE: Code = Code(0xA014_0009);
const LAST_ADMINISTRATOR: Code = Code(0xA014_000A);
const PROVIDER_UNAVAILABLE: Code = Code(0xA014_000B);
const OUTSIDE_SET: Code = Code(0xA014_000C);

/// A refusal or a fault of this slice.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No credentials, or none that are right. Says nothing about which part was wrong.
    #[error(
        "{0}; send HTTP Basic credentials, or an API token or a token of the configured identity provider as Bearer"
    )]
    NotAuthenticated(&'static str),
    /// A permission is missing.
    #[error("{caller} does not have any of the required permissions: {missing}")]
    NotPermitted {
        /// Name of the caller.
        caller: String,
        /// Path of the permission.
        missing: String,
    },
    /// Too many credentials are being checked.
    #[error("too many credentials are being checked at the moment; try again in a second")]
    Busy,
    /// A text is not a permission.
    #[error("Permissions: '{text}' {reason}")]
    UnknownPermission {
        /// What was given, shortened.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A role does not exist.
    #[error("Roles: '{0}' was not found; GET /Security/Roles lists the roles")]
    UnknownRole(String),
    /// A name is in use.
    #[error("Name: '{name}' is taken by {by}; choose another name")]
    Taken {
        /// The name.
        name: String,
        /// What has it.
        by: &'static str,
    },
    /// A caller tried to give or take away what it does not have.
    #[error("{caller} cannot give or take away {permission}: it does not have that permission itself")]
    NotHeld {
        /// Name of the caller.
        caller: String,
        /// Path of the permission.
        permission: String,
    },
    /// A role or a permission set is built in.
    #[error("'{0}' is built in and cannot be changed or deleted")]
    BuiltIn(String),
    /// A thing is in use.
    #[error("{what} is in use by {by}")]
    InUse {
        /// The thing.
        what: String,
        /// What uses it.
        by: String,
    },
    /// No user with every permission would be left.
    #[error("{0} would leave no user that can log in and has every permission; make another one first")]
    LastAdministrator(String),
    /// A role grants what its permission set does not allow.
    #[error("Permissions: {permission} is not within permission set '{set}'")]
    OutsideSet {
        /// Path of the permission.
        permission: String,
        /// Name of the set.
        set: String,
    },
    /// The identity provider's keys are not known, and it does not answer.
    #[error(
        "the keys of the identity provider cannot be fetched at the moment, so its tokens cannot be checked; try again shortly"
    )]
    ProviderUnavailable,
    /// The identity provider is not set up rightly.
    #[error("the identity provider of section oidc cannot be used: {0}")]
    Provider(String),
    /// The key of the audit log cannot be used.
    #[error("the key of the audit log cannot be used: {0}")]
    AuditKey(String),
    /// The thing does not exist.
    #[error("{0} was not found")]
    NotFound(String),
    /// A member of the request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The system's random generator failed.
    #[error("the system's random generator failed")]
    Random,
    /// A password could not be hashed or compared.
    #[error("a password could not be hashed or compared: {0}")]
    Hashing(String),
    /// The file with the first credentials could not be written.
    #[error("the file for the first administrator's credentials, {path}, cannot be written: {source}")]
    CredentialsFile {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (status, code) = match &error {
            Error::Database(_) => return database_failure(error),
            Error::Random
            | Error::Hashing(_)
            | Error::CredentialsFile { .. }
            | Error::Provider(_)
            | Error::AuditKey(_) => return Self::fault(error),
            Error::NotFound(what) => return Self::not_found(what),
            Error::Invalid(message) => return Self::invalid(message.as_str()),
            Error::NotAuthenticated(_) => (StatusCode::UNAUTHORIZED, NOT_AUTHENTICATED),
            Error::NotPermitted { .. } => (StatusCode::FORBIDDEN, NOT_PERMITTED),
            Error::NotHeld { .. } => (StatusCode::FORBIDDEN, NOT_HELD),
            Error::Busy => (StatusCode::TOO_MANY_REQUESTS, BUSY),
            Error::UnknownPermission { .. } => (StatusCode::BAD_REQUEST, UNKNOWN_PERMISSION),
            Error::UnknownRole(_) => (StatusCode::BAD_REQUEST, UNKNOWN_ROLE),
            Error::Taken { .. } => (StatusCode::BAD_REQUEST, TAKEN),
            Error::BuiltIn(_) => (StatusCode::BAD_REQUEST, BUILT_IN),
            Error::InUse { .. } => (StatusCode::BAD_REQUEST, IN_USE),
            Error::LastAdministrator(_) => (StatusCode::BAD_REQUEST, LAST_ADMINISTRATOR),
            Error::OutsideSet { .. } => (StatusCode::BAD_REQUEST, OUTSIDE_SET),
            Error::ProviderUnavailable => (StatusCode::SERVICE_UNAVAILABLE, PROVIDER_UNAVAILABLE),
        };
        Self::new(status, code, error.to_string())
    }
}

fn database_failure(error: Error) -> Failure {
    match error {
        Error::Database(error) => error.into(),
        other => Failure::fault(other),
    }
}
