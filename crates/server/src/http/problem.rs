//! Refusals and faults as the caller sees them (operator contract, chapters 1.5 and 1.6).

use std::fmt;

use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, ResponseError};
use sealift_protocol::Problem;

/// A stable error code, written `0x` and eight hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code(pub(crate) u32);

/// The body or the query could not be read.
pub(crate) const MALFORMED: Code = Code(0xA010_0001);
/// A member is missing, has a wrong type, or is out of bounds.
pub(crate) const INVALID: Code = Code(0xA010_0002);
/// The thing named in the path or the body does not exist.
pub(crate) const NOT_FOUND: Code = Code(0xA010_0003);
/// The path does not take this method.
pub(crate) const WRONG_METHOD: Code = Code(0xA010_0005);
/// No credentials, or wrong ones.
pub(crate) const NOT_AUTHENTICATED: Code = Code(0xA014_0001);
/// The caller lacks a permission (the contract's own number).
pub(crate) const NOT_PERMITTED: Code = Code(0xA014_0002);
/// The server failed; the log says why.
pub(crate) const FAULT: Code = Code(0xA01F_FFFF);
/// The database does not answer.
pub(crate) const UNAVAILABLE: Code = Code(0xA01F_FFFE);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08X}", self.0)
    }
}

/// Why a call failed: what the caller reads, and apart from it what only the log gets.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    code: Code,
    message: String,
    reasons: Vec<String>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Failure {
    /// A refusal with a 4xx status.
    pub(crate) fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), reasons: Vec::new(), cause: None }
    }

    /// A member that is missing, of a wrong type, or out of bounds.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID, message)
    }

    /// A thing that does not exist. The words "not found" are what clients look for.
    pub(crate) fn not_found(what: impl fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, NOT_FOUND, format!("{what} was not found"))
    }

    /// A fault of the server: the caller learns only that, the log learns the cause.
    pub(crate) fn fault(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let message =
            "the server failed; its log has the details under this answer's x-keyfactor-correlation-id";
        Self { cause: Some(cause.into()), ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, FAULT, message) }
    }

    /// The server is stopping and takes no new calls.
    pub(crate) fn stopping() -> Self {
        let message = "the server is stopping; nothing was changed, try again shortly";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, message)
    }

    /// One reason for each part of the call that was refused.
    pub(crate) fn with_reasons(mut self, reasons: Vec<String>) -> Self {
        self.reasons = reasons;
        self
    }

    /// Whether the server failed, rather than refused.
    pub(crate) fn is_fault(&self) -> bool {
        self.cause.is_some()
    }

    pub(crate) fn code(&self) -> Code {
        self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status.as_u16(), self.code, self.message)?;
        if let Some(cause) = &self.cause {
            write!(f, ": {cause}")?;
            let mut source = cause.source();
            while let Some(inner) = source {
                write!(f, ": {inner}")?;
                source = inner.source();
            }
        }
        Ok(())
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let unavailable = matches!(
            &error,
            sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::Io(_)
                | sqlx::Error::Protocol(_)
        );
        if !unavailable {
            return Self::fault(error);
        }
        let message = "the database does not answer; nothing was changed, try again shortly";
        Self { cause: Some(error.into()), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, message) }
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        if self.cause.is_some() {
            tracing::error!(status = self.status.as_u16(), code = %self.code, "a call failed: {self}");
        }
        let body = Problem {
            error_code: self.code.to_string(),
            message: self.message.clone(),
            failed_operations: self
                .reasons
                .iter()
                .map(|reason| sealift_protocol::FailedOperation { reason: reason.clone() })
                .collect(),
        };
        let mut response = HttpResponse::build(self.status);
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header(("WWW-Authenticate", "Basic realm=\"Sealift\", charset=\"UTF-8\""));
            response.append_header(("WWW-Authenticate", "Bearer realm=\"Sealift\""));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header(("Retry-After", "5"));
        }
        super::answer::write(&mut response, &body)
    }
}

/// What [`Problem`] looks like for a path that no route serves.
pub(crate) fn no_such_route(path: &str) -> Problem {
    Problem {
        error_code: NOT_FOUND.to_string(),
        message: format!("{} was not found: no operation of this server has this path", shortened(path)),
        failed_operations: Vec::new(),
    }
}

/// The refusal of a method that a path does not have; it names those that it has.
pub(crate) fn wrong_method(allowed: &[Method]) -> HttpResponse {
    let allowed = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    let failure = Failure::new(
        StatusCode::METHOD_NOT_ALLOWED,
        WRONG_METHOD,
        format!("this path does not take this method; it takes {allowed}"),
    );
    let mut response = failure.error_response();
    if let Ok(value) = HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

/// At most 200 characters of a text that came from outside.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}
