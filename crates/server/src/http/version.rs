//! Which version of an operation a call asks for (operator contract, chapter 1.2).

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload};
use futures_util::future::{Ready, ready};

use super::problem::Failure;

/// The header that asks for a version.
pub(super) const VERSION_HEADER: &str = "x-keyfactor-api-version";

/// The version of an operation that has two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// Also when nothing is said.
    One,
    /// `2` or `2.0`.
    Two,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "" | "1" | "1.0" => Some(Self::One),
            "2" | "2.0" => Some(Self::Two),
            _ => None,
        }
    }

    /// Completes an answer of an operation that has two versions.
    pub(crate) fn told(mut response: HttpResponse) -> HttpResponse {
        let name = HeaderName::from_static("api-supported-versions");
        response.headers_mut().insert(name, HeaderValue::from_static("1.0, 2"));
        response
    }
}

impl FromRequest for Version {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let given = request.headers().get(VERSION_HEADER).map(|value| value.to_str().unwrap_or("?"));
        // What a server does with a version that it does not have is unconfirmed; guessing one would be worse.
        let refused = || Failure::invalid(format!("{VERSION_HEADER} must be 1 or 2 for this operation"));
        ready(Self::parse(given.unwrap_or_default()).ok_or_else(refused))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_clients_write_them() {
        for (text, version) in [
            ("", Some(Version::One)),
            ("1", Some(Version::One)),
            ("1.0", Some(Version::One)),
            (" 2 ", Some(Version::Two)),
            ("2.0", Some(Version::Two)),
            ("3", None),
            ("two", None),
        ] {
            assert_eq!(Version::parse(text), version, "{text}");
        }
    }
}
