//! How the queue refuses.

use crate::http::{Code, Failure};

const SCHEDULE: Code = Code(0xA016_0001);

/// A refusal of this slice.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The schedule is missing or not valid.
    #[error("{0}")]
    Schedule(&'static str),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Schedule(message) => {
                Self::new(actix_web::http::StatusCode::BAD_REQUEST, SCHEDULE, message)
            }
            Error::Database(error) => error.into(),
        }
    }
}
