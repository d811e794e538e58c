//! Answers in the contract's form.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;

const JSON: (&str, &str) = ("Content-Type", "application/json; charset=utf-8");

/// 200 with a JSON body.
pub(crate) fn json<T: Serialize>(value: &T) -> HttpResponse {
    write(&mut HttpResponse::Ok(), value)
}

/// 200 with a JSON list and the number of matching rows before paging.
pub(crate) fn list<T: Serialize>(rows: &[T], total: i64) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header(("x-total-count", total.to_string()));
    write(&mut response, &rows)
}

/// 204.
pub(crate) fn no_content() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

/// Finishes a response with a JSON body.
pub(crate) fn write<T: Serialize>(response: &mut HttpResponseBuilder, value: &T) -> HttpResponse {
    match serde_json::to_vec(value) {
        Ok(body) => response.insert_header(JSON).body(body),
        Err(error) => {
            tracing::error!("an answer could not be written as JSON: {error}");
            HttpResponse::new(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}
