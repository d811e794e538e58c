//! How the queue refuses.

use actix_web::http::StatusCode;

use crate::http::{Code, Failure};

const SCHEDULE: Code = Code(0xA016_0001);
const NOT_ELIGIBLE: Code = Code(0xA016_0101);
const TOO_MANY: Code = Code(0xA016_0102);
const NOT_CAPABLE: Code = Code(0xA016_0103);
const TYPE_EXISTS: Code = Code(0xA016_0104);
const TYPE_IN_USE: Code = Code(0xA016_0105);

/// A refusal or a fault of this slice.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The schedule is missing or not valid.
    #[error("{0}")]
    Schedule(&'static str),
    /// A member of the request is missing or wrong.
    #[error("{0}")]
    Invalid(String),
    /// Things of the request that do not exist: what they are, and each.
    #[error("nothing was changed")]
    NotFound(&'static str, Vec<String>),
    /// Jobs of the request for which it is not possible: what was wanted, and each with its reason.
    #[error("nothing was {done}: {}", reasons.first().map_or("", String::as_str))]
    NotEligible {
        /// "rescheduled" and the like.
        done: &'static str,
        /// One for each job.
        reasons: Vec<String>,
    },
    /// A query that meets more than one call may change.
    #[error("Query matches more than {0} jobs that can be {1}; narrow it")]
    TooMany(usize, &'static str),
    /// An agent that cannot run such a job now.
    #[error("{0}")]
    NotCapable(String),
    /// Another type of custom jobs has the name.
    #[error("a custom job type named '{0}' exists already")]
    TypeExists(String),
    /// There are jobs of the type.
    #[error(
        "custom job type '{name}' is used by {count} scheduled jobs, {job} among them; unschedule them first"
    )]
    TypeInUse {
        /// Its name.
        name: String,
        /// How many.
        count: i64,
        /// One of them.
        job: String,
    },
    /// Something sealed does not open, or cannot be sealed.
    #[error(transparent)]
    Sealing(#[from] crate::sealing::Error),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let refuse = |code, error: &Error| Self::new(StatusCode::BAD_REQUEST, code, error.to_string());
        match error {
            Error::Schedule(message) => Self::new(StatusCode::BAD_REQUEST, SCHEDULE, message),
            Error::Invalid(message) => Self::invalid(message),
            Error::NotFound(what, ref ids) => {
                let reasons = ids.iter().map(|id| format!("{what} {id} was not found")).collect();
                let first = ids.first().map_or("", String::as_str);
                Self::not_found(format_args!("{what} {first}")).with_reasons(reasons)
            }
            Error::NotEligible { ref reasons, .. } => {
                refuse(NOT_ELIGIBLE, &error).with_reasons(reasons.clone())
            }
            Error::TooMany(..) => refuse(TOO_MANY, &error),
            Error::NotCapable(_) => refuse(NOT_CAPABLE, &error),
            Error::TypeExists(_) => refuse(TYPE_EXISTS, &error),
            Error::TypeInUse { .. } => refuse(TYPE_IN_USE, &error),
            Error::Sealing(error) => Self::fault(error),
            Error::Database(error) => error.into(),
        }
    }
}
