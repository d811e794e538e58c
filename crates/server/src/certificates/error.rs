//! Each way this slice refuses or fails, with its status and code.

use actix_web::http::StatusCode;

use crate::http::{Code, Failure};
use crate::sealing;

/// The server keeps no private key of the certificate (the contract's own number).
const KEY_MISSING: Code = Code(0xA011_0002);
/// A certificate format that is not known (the contract's own number).
const FORMAT_UNSUPPORTED: Code = Code(0xA011_0008);
/// Something uses what is to be deleted or changed.
const IN_USE: Code = Code(0xA011_0005);
/// Too many files wait to be opened.
const BUSY: Code = Code(0xA011_0006);
/// A metadata field of that name exists.
const FIELD_TAKEN: Code = Code(0xA011_0007);

/// A collection of that name exists.
const COLLECTION_TAKEN: Code = Code(0xA011_0003);

/// One of the certificates cannot be revoked here.
const NOT_REVOCABLE: Code = Code(0xA011_0004);

/// Why something about certificates was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No such certificate, or not in the collection by which the caller may read.
    #[error("certificate {0} was not found")]
    NotFound(String),
    /// No such collection.
    #[error("certificate collection '{0}' was not found")]
    CollectionNotFound(String),
    /// No such metadata field.
    #[error("metadata field '{0}' was not found")]
    FieldNotFound(String),
    /// A metadata field of that name exists.
    #[error("Name: the metadata field '{0}' exists already; choose another name")]
    FieldTaken(String),
    /// The server keeps no private key of this certificate.
    #[error("certificate {0} has no private key stored here")]
    KeyMissing(i64),
    /// The format that was asked for is not one of this operation.
    #[error("x-certificateformat: '{given}' is not supported here; known are {known}")]
    Format {
        /// What was asked for, shortened.
        given: String,
        /// What there is.
        known: &'static str,
    },
    /// Something uses it.
    #[error("{0}")]
    InUse(String),
    /// A part of a member is wrong.
    #[error("{member}: {reason}")]
    InvalidPart {
        /// The member, with the part.
        member: String,
        /// What is wrong, and what is expected.
        reason: String,
    },
    /// Too many calls wait to open a file or to write one.
    #[error("too many files are being opened at the moment; nothing was changed, try again shortly")]
    Busy,
    /// A file could not be written.
    #[error("a file could not be written: {0}")]
    Unwritable(String),
    /// A collection of that name exists.
    #[error("Name: the collection '{0}' exists already; choose another name")]
    CollectionTaken(String),
    /// A member of a call is missing or out of bounds.
    #[error("{member}: {reason}")]
    Invalid {
        /// The member.
        member: &'static str,
        /// What is wrong, and what is expected.
        reason: String,
    },
    /// Some certificates cannot be revoked, each with its reason; none was.
    #[error("CertificateIds: {} cannot be revoked or released so, and none was: {}", .0.len(), .0.first().map_or("", String::as_str))]
    NotRevocable(Vec<String>),
    /// The authority failed.
    #[error(transparent)]
    Authority(#[from] crate::authority::Error),
    /// A permission is missing, or a filter is wrong.
    #[error("{0}")]
    Refused(Failure),
    /// Other servers recorded the same certificates over and over meanwhile.
    #[error("certificates could not be recorded in {0} attempts, as others recorded the same ones meanwhile")]
    Contended(usize),
    /// What is stored cannot be read.
    #[error("certificate {id} cannot be read from the database: {source}")]
    Unreadable {
        /// Its id.
        id: i64,
        /// Why.
        source: sealift_pki::Error,
    },
    /// A private key could not be sealed or opened.
    #[error(transparent)]
    Sealing(#[from] sealing::Error),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(failure) => failure,
            Error::Database(error) => error.into(),
            Error::NotFound(_) | Error::CollectionNotFound(_) | Error::FieldNotFound(_) => {
                Self::new(StatusCode::NOT_FOUND, crate::http::problem::NOT_FOUND, error.to_string())
            }
            Error::CollectionTaken(_) => {
                Self::new(StatusCode::BAD_REQUEST, COLLECTION_TAKEN, error.to_string())
            }
            Error::FieldTaken(_) => Self::new(StatusCode::BAD_REQUEST, FIELD_TAKEN, error.to_string()),
            Error::KeyMissing(_) => Self::new(StatusCode::BAD_REQUEST, KEY_MISSING, error.to_string()),
            Error::Format { .. } => Self::new(StatusCode::BAD_REQUEST, FORMAT_UNSUPPORTED, error.to_string()),
            Error::InUse(_) => Self::new(StatusCode::BAD_REQUEST, IN_USE, error.to_string()),
            Error::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, BUSY, error.to_string()),
            Error::Invalid { .. } | Error::InvalidPart { .. } => Self::invalid(error.to_string()),
            Error::Authority(error) => error.into(),
            Error::NotRevocable(ref reasons) => {
                let reasons = reasons.clone();
                Self::new(StatusCode::BAD_REQUEST, NOT_REVOCABLE, error.to_string()).with_reasons(reasons)
            }
            Error::Contended(_) | Error::Unreadable { .. } | Error::Unwritable(_) | Error::Sealing(_) => {
                Self::fault(error)
            }
        }
    }
}
