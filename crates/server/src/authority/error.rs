//! Each way the authority refuses or fails, with its status and code.

use actix_web::http::StatusCode;

use crate::http::problem::{NOT_FOUND, NOT_PERMITTED};
use crate::http::{Code, Failure};
use crate::sealing;

/// The template that was asked for is not known.
const TEMPLATE_UNKNOWN: Code = Code(0xA012_0001);
/// The certificate authority that was asked for is not one that enrolls here.
const AUTHORITY_UNKNOWN: Code = Code(0xA012_0002);
/// The subject or a name cannot be put into a certificate.
const NAME_REFUSED: Code = Code(0xA012_0003);
/// The template does not allow this kind of key.
const KEY_REFUSED: Code = Code(0xA012_0004);
/// There is no such revocation list.
const LIST_UNKNOWN: Code = Code(0xA012_0005);

/// A member of a call is missing or out of bounds.
const INVALID: Code = Code(0xA012_0006);
/// The template does not enroll this way.
const NOT_OFFERED: Code = Code(0xA012_0007);
/// An embedded authority cannot be changed, made or deleted so.
const EMBEDDED: Code = Code(0xA012_0008);

/// Why the authority did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No template has this short name.
    #[error("Template: '{name}' is not known; known are {known}")]
    TemplateUnknown {
        /// What was asked for, shortened.
        name: String,
        /// The short names there are.
        known: String,
    },
    /// The caller has none of the roles that may use the template.
    #[error("Template: '{template}' may be used only by the roles {roles}; the caller has none of them")]
    TemplateForbidden {
        /// Its short name.
        template: String,
        /// The roles that may.
        roles: String,
    },
    /// A member of a call is missing or out of bounds: its name, what is wrong, and what is expected.
    #[error("{0}")]
    Invalid(String),
    /// There is no such template or authority.
    #[error("{0} was not found")]
    NotFound(String),
    /// What the embedded authority cannot do.
    #[error("{0}")]
    Embedded(String),
    /// The template does not enroll this way.
    #[error("Template: '{template}' does not enroll by {kind}; use another template")]
    NotOffered {
        /// Its short name.
        template: String,
        /// The way.
        kind: &'static str,
    },
    /// The authority that the caller named does not issue to web servers here.
    #[error("CertificateAuthority: '{name}' does not enroll here; leave it out, or give {ours}")]
    AuthorityUnknown {
        /// What was given, shortened.
        name: String,
        /// What would have been right.
        ours: String,
    },
    /// A subject or a name is refused.
    #[error("{member}: {reason}")]
    Name {
        /// The member of the call.
        member: &'static str,
        /// What is wrong with which name, and what to do.
        reason: String,
    },
    /// The kind of key is refused.
    #[error(
        "{key} keys are not allowed by template '{template}'; set KeyType and KeyLength (or Curve) to one of {allowed}"
    )]
    Key {
        /// The kind of key that was asked for.
        key: String,
        /// The template's short name.
        template: String,
        /// The kinds it allows.
        allowed: String,
    },
    /// There is no revocation list of this name, or its key is held elsewhere.
    #[error("revocation list '{name}' was not found: {reason}")]
    NoSuchList {
        /// The name in the address, shortened.
        name: String,
        /// Why, and what there is.
        reason: &'static str,
    },
    /// An authority's life is over.
    #[error("authority '{name}' has expired and signs no more; import or make another one")]
    Expired {
        /// Its name.
        name: String,
    },
    /// What the database holds is not usable.
    #[error("authority '{name}' in the database cannot be used: {reason}")]
    Unusable {
        /// Its name, or its kind where it is missing.
        name: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// More revoked certificates than a list may hold.
    #[error(
        "the revocation list of '{name}' would hold more than {limit} certificates; make a new issuing authority"
    )]
    ListTooLong {
        /// Whose list.
        name: String,
        /// The bound.
        limit: i64,
    },
    /// Files of an authority of one's own were refused.
    #[error("the authority cannot be imported: {0}")]
    Import(String),
    /// The system's random generator failed.
    #[error("the system's random generator failed")]
    Random,
    /// Keys, certificates or lists could not be made.
    #[error(transparent)]
    Pki(#[from] sealift_pki::Error),
    /// A sealed key could not be opened or made.
    #[error(transparent)]
    Sealing(#[from] sealing::Error),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let refuse = |status, code| Self::new(status, code, error.to_string());
        match &error {
            Error::Invalid(_) => refuse(StatusCode::BAD_REQUEST, INVALID),
            Error::NotFound(_) => refuse(StatusCode::NOT_FOUND, NOT_FOUND),
            Error::Embedded(_) => refuse(StatusCode::BAD_REQUEST, EMBEDDED),
            Error::NotOffered { .. } => refuse(StatusCode::BAD_REQUEST, NOT_OFFERED),
            Error::TemplateUnknown { .. } => refuse(StatusCode::BAD_REQUEST, TEMPLATE_UNKNOWN),
            Error::TemplateForbidden { .. } => refuse(StatusCode::FORBIDDEN, NOT_PERMITTED),
            Error::AuthorityUnknown { .. } => refuse(StatusCode::BAD_REQUEST, AUTHORITY_UNKNOWN),
            Error::Name { .. } => refuse(StatusCode::BAD_REQUEST, NAME_REFUSED),
            Error::Key { .. } => refuse(StatusCode::BAD_REQUEST, KEY_REFUSED),
            Error::NoSuchList { .. } => refuse(StatusCode::NOT_FOUND, LIST_UNKNOWN),
            Error::Expired { .. }
            | Error::Unusable { .. }
            | Error::ListTooLong { .. }
            | Error::Import(_)
            | Error::Random
            | Error::Pki(_)
            | Error::Sealing(_) => Self::fault(error),
            Error::Database(_) => match error {
                Error::Database(error) => error.into(),
                other => Self::fault(other),
            },
        }
    }
}
