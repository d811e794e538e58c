//! How the slice refuses.

use actix_web::http::StatusCode;

use crate::http::{Code, Failure};

const EXISTS: Code = Code(0xA01A_0001);
const UNFIT: Code = Code(0xA01A_0002);

/// A refusal or a fault of this slice.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no such blueprint.
    #[error("blueprint '{0}' was not found")]
    NotFound(String),
    /// A parameter is missing or wrong.
    #[error("{0}")]
    Invalid(String),
    /// The name is taken.
    #[error("a blueprint named '{0}' exists already")]
    Exists(String),
    /// Agents that cannot serve the stores: one reason for each.
    #[error("nothing was changed: {}", .reasons.first().map_or("", String::as_str))]
    Unfit {
        /// The reasons.
        reasons: Vec<String>,
    },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let refuse = |code| Self::new(StatusCode::BAD_REQUEST, code, error.to_string());
        match &error {
            Error::NotFound(id) => Self::not_found(format_args!("blueprint '{id}'")),
            Error::Invalid(message) => Self::invalid(message),
            Error::Exists(_) => refuse(EXISTS),
            Error::Unfit { reasons } => refuse(UNFIT).with_reasons(reasons.clone()),
        }
    }
}
