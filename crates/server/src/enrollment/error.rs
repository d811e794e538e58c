//! Each way enrollment refuses or fails, with its status and code.

use std::fmt;

use actix_web::http::StatusCode;

use crate::http::problem::NOT_FOUND;
use crate::http::{Code, Failure};
use crate::{authority, certificates, sealing};

/// The contract's own number: the format asked for is not supported.
const FORMAT_UNSUPPORTED: Code = Code(0xA011_0008);
/// A member of the call is missing, out of bounds, or not understood.
const INVALID: Code = Code(0xA018_0001);
/// Too many keys are being made.
const BUSY: Code = Code(0xA018_0002);

/// The state of a request does not allow it.
const STATE: Code = Code(0xA018_0003);

/// Why a certificate was not enrolled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A format that is not supported.
    #[error("x-certificateformat: '{given}' is not supported; supported are {supported}")]
    Format {
        /// What was asked for.
        given: String,
        /// What may be asked for.
        supported: String,
    },
    /// A version that is not supported.
    #[error("x-keyfactor-api-version: '{0}' is not supported; supported are 1 and 2")]
    Version(String),
    /// A member is missing, out of bounds, or not understood: its name, what is wrong, and what is expected.
    #[error("{0}")]
    Invalid(String),
    /// Something that the call names does not exist.
    #[error("{0} was not found")]
    NotFound(String),
    /// The state of a request does not allow it.
    #[error("{0}")]
    State(String),
    /// Too many keys are being made.
    #[error("too many private keys are being made at the moment; try again shortly, or ask for an ECC key")]
    Busy,
    /// A permission is missing, or the delivery was refused.
    #[error("{0}")]
    Refused(Failure),
    /// A thread that made a key or packed it did not end well.
    #[error("making a key failed: {0}")]
    Thread(#[from] tokio::task::JoinError),
    /// A key could not be made or packed.
    #[error(transparent)]
    Pki(#[from] sealift_pki::Error),
    /// What the database holds is not what was put there.
    #[error("{0} in the database cannot be read")]
    Damaged(&'static str),
    /// Something could not be sealed or opened.
    #[error(transparent)]
    Sealing(#[from] sealing::Error),
    /// The authority refused or failed.
    #[error(transparent)]
    Authority(#[from] authority::Error),
    /// The record could not be made.
    #[error(transparent)]
    Certificates(#[from] certificates::Error),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl Error {
    /// A member that is wrong.
    pub(super) fn invalid(member: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self::Invalid(format!("{member}: {reason}"))
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let refuse = |status, code| Self::new(status, code, error.to_string());
        match error {
            Error::Refused(failure) => failure,
            Error::Authority(error) => error.into(),
            Error::Certificates(error) => error.into(),
            Error::Database(error) => error.into(),
            Error::Format { .. } => refuse(StatusCode::BAD_REQUEST, FORMAT_UNSUPPORTED),
            Error::Version(_) | Error::Invalid(_) => refuse(StatusCode::BAD_REQUEST, INVALID),
            Error::NotFound(_) => refuse(StatusCode::NOT_FOUND, NOT_FOUND),
            Error::State(_) => refuse(StatusCode::BAD_REQUEST, STATE),
            Error::Busy => refuse(StatusCode::SERVICE_UNAVAILABLE, BUSY),
            Error::Thread(_) | Error::Pki(_) | Error::Damaged(_) | Error::Sealing(_) => Self::fault(error),
        }
    }
}
