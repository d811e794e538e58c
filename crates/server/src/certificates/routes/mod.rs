//! The endpoints of the slice, by noun; and what their handlers share.

mod certificates;
mod collections;
mod content;
mod metadata_fields;
mod removal;

use actix_web::{HttpRequest, HttpResponse};

use super::error::Error;
use crate::http::problem::shortened;
use crate::http::route::Endpoint;

/// The routes of this slice.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = certificates::endpoints();
    endpoints.extend(certificates::about_one());
    endpoints.extend(certificates::changes());
    endpoints.extend(content::endpoints());
    endpoints.extend(removal::endpoints());
    endpoints.extend(collections::endpoints());
    endpoints.extend(collections::changes());
    endpoints.extend(metadata_fields::endpoints());
    endpoints
}

/// The certificate of a path.
fn certificate_id(path: &str) -> Result<i64, Error> {
    path.parse().map_err(|_| Error::NotFound(shortened(path)))
}

/// The value of the header `x-certificateformat`.
fn format_of(request: &HttpRequest) -> Option<&str> {
    let value = request.headers().get("x-certificateformat")?;
    Some(value.to_str().unwrap_or("a text that is not ASCII"))
}

/// Says that this operation is served in both versions of the contract.
fn in_both_versions(mut response: HttpResponse) -> HttpResponse {
    use actix_web::http::header::{HeaderName, HeaderValue};
    let name = HeaderName::from_static("api-supported-versions");
    response.headers_mut().insert(name, HeaderValue::from_static("1.0, 2"));
    response
}
