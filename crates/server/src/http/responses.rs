//! What an operation may answer, for the OpenAPI document: its success, and the refusals that can really happen.

use actix_web::http::Method;
use utoipa::openapi::header::Header;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Content, RefOr, Response};

use super::links::Takers;
use super::openapi::JSON;
use super::route::{Access, Endpoint};

/// Every answer of an operation, by status.
pub(super) fn responses(
    endpoint: &Endpoint,
    problem: &RefOr<Schema>,
    takers: &Takers<'_>,
) -> Vec<(&'static str, Response)> {
    let mut answers = vec![success(endpoint, takers)];
    for (status, meaning) in refusals(endpoint) {
        let content = Content::new(Some(problem.clone()));
        let response = ResponseBuilder::new().description(meaning).content(JSON, content);
        answers.push((status, response.build()));
    }
    answers
}

fn success(endpoint: &Endpoint, takers: &Takers<'_>) -> (&'static str, Response) {
    let done = ResponseBuilder::new().description("Done.");
    if let Some(shape) = &endpoint.doc.answer {
        let mut response = done.content(JSON, Content::new(Some(shape.schema.clone())));
        if endpoint.doc.fields.is_some() {
            let mut total = Header::new(Object::with_type(Type::Integer));
            total.description =
                Some("Rows that match, before paging; counted exactly up to 10,000.".to_owned());
            response = response.header("x-total-count", total);
        }
        return ("200", takers.link(endpoint, response).build());
    }
    match endpoint.doc.media {
        Some(media) => ("200", done.content(media, Content::new(Some(file(media)))).build()),
        None if endpoint.doc.redirects => ("302", Response::new("It is at the address in `Location`.")),
        None => ("204", Response::new("Done.")),
    }
}

/// A body that is no JSON of ours; a document of any shape where it is JSON.
fn file(media: &str) -> Schema {
    let object = match media {
        JSON => ObjectBuilder::new().schema_type(Type::Object).build(),
        text if text.starts_with("text/") => Object::with_type(Type::String),
        _ => ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            .build(),
    };
    Schema::Object(object)
}

/// The refusals that this operation can answer, and what each means.
fn refusals(endpoint: &Endpoint) -> Vec<(&'static str, &'static str)> {
    let doc = &endpoint.doc;
    let guarded = endpoint.access != Access::Public;
    let takes_path = endpoint.path.contains('{');
    let takes_input = takes_path || doc.body.is_some() || doc.fields.is_some() || !doc.query.is_empty();
    let needs_permission = matches!(endpoint.access, Access::Permission(_));
    let mut found = Vec::new();
    let mut when = |holds: bool, status, meaning| found.extend(holds.then_some((status, meaning)));
    when(
        guarded && (takes_input || endpoint.method != Method::GET),
        "400",
        "Bad input; nothing was changed. The message names the member and the reason.",
    );
    when(guarded, "401", "No credentials, or wrong ones.");
    when(
        needs_permission || (guarded && takes_input),
        "403",
        "The caller lacks a permission, which the message names.",
    );
    when(takes_input, "404", "Something that the call names does not exist, or not for this caller.");
    when(doc.body.is_some(), "413", "The body is over the limit.");
    when(guarded, "429", "Too many passwords are being checked: try again shortly.");
    when(true, "500", "The server failed; its log says why.");
    when(
        true,
        "503",
        "The server is stopping, or its database does not answer: try again after Retry-After.",
    );
    found
}
