//! The OpenAPI document, and a page to read and try it. Both are public: they tell what the source tells, and no more.

use std::sync::{Arc, LazyLock};

use actix_web::http::header::LOCATION;
use actix_web::web::{self, Data, Path};
use actix_web::{HttpResponse, ResponseError as _, http::StatusCode};
use utoipa_swagger_ui::{Config, serve};

use super::http_server;
use crate::floor::Floor;
use crate::http::openapi::document;
use crate::http::problem::shortened;
use crate::http::route::{Access, Endpoint};
use crate::http::{Failure, answer};

/// Where the document is, as seen from the page.
const DOCUMENT: &str = "../openapi.json";

/// The document and its page.
pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/openapi.json", Access::Public, || web::to(openapi))
            .summary("This document: OpenAPI 3.1, made from the routing table.")
            .answers_file("application/json"),
        Endpoint::get("/reference", Access::Public, || web::to(index))
            .summary("The API reference, a page for people.")
            .redirects(),
        Endpoint::get("/reference/{file}", Access::Public, || web::to(file))
            .summary("Files of the API reference.")
            .answers_file("*/*"),
    ]
}

async fn openapi(floor: Data<Floor>) -> HttpResponse {
    static ENDPOINTS: LazyLock<Vec<Endpoint>> = LazyLock::new(http_server::endpoints);
    let base = floor.configuration.base_paths.first().map_or("/", String::as_str);
    answer::json(&document(&ENDPOINTS, base, env!("CARGO_PKG_VERSION")))
}

async fn index() -> HttpResponse {
    HttpResponse::build(StatusCode::FOUND).insert_header((LOCATION, "reference/index.html")).finish()
}

async fn file(name: Path<String>) -> HttpResponse {
    static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| Arc::new(Config::from(DOCUMENT)));
    match serve(&name, Arc::clone(&CONFIG)) {
        Ok(Some(file)) => HttpResponse::Ok()
            .content_type(file.content_type)
            .insert_header(("Cache-Control", "max-age=3600"))
            .insert_header(("X-Content-Type-Options", "nosniff"))
            .body(file.bytes.into_owned()),
        Ok(None) => Failure::not_found(format_args!("the file '{}'", shortened(&name))).error_response(),
        Err(error) => Failure::fault(error.to_string()).error_response(),
    }
}
