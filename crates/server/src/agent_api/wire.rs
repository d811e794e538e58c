//! Bodies and errors at the agents' door.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use sealift_protocol::agent::leases::REFUSAL_HEADER;
use serde::de::DeserializeOwned;

use crate::http::Failure;

/// A refused call: a status and no body.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    reason: String,
    /// For our own agents, in a header.
    code: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), code: None }
    }

    /// A refusal that our own agents act on.
    pub(super) fn coded(status: StatusCode, code: &'static str, reason: impl Into<String>) -> Self {
        Self { code: Some(code), ..Self::new(status, reason) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        match self.status.is_server_error() {
            true => tracing::error!("an agent's call failed: {}", self.reason),
            false => {
                tracing::info!(status = self.status.as_u16(), "an agent's call was refused: {}", self.reason)
            }
        }
        let mut response = HttpResponse::build(self.status);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header(("Retry-After", "5"));
        }
        if let Some(code) = self.code {
            response.insert_header((REFUSAL_HEADER, code));
        }
        response.finish()
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::new(failure.status_code(), failure.to_string())
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Failure::from(error).into()
    }
}

/// Reads a body of our own agent, to the letter.
pub(super) fn strict<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes)
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}")))
}
