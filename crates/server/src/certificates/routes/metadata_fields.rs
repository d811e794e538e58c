//! Metadata fields. Handlers extract, call one operation, answer.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path};
use sealift_protocol::operator::metadata_fields::{MetadataField, WriteMetadataField};

use super::super::error::Error;
use super::super::metadata_field;
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::problem::shortened;
use crate::http::route::{Access, Endpoint, Parameter};
use crate::http::{Body, Failure, answer, json};
use crate::security::{Principal, permission};

/// Reading and changing metadata fields.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let read = Access::Permission(permission::METADATA_TYPES_READ);
    let modify = Access::Permission(permission::METADATA_TYPES_MODIFY);
    let force = "Takes the values away from certificates that have some.";
    vec![
        Endpoint::get("/MetadataFields", read, || web::get().to(list))
            .summary("Metadata fields: what operators may say about certificates.")
            .list(metadata_field::FIELDS)
            .answers_list::<MetadataField>(),
        Endpoint::get("/MetadataFields/{id}", read, || web::get().to(get))
            .summary("One metadata field, by its id or its name.")
            .answers::<MetadataField>(),
        Endpoint::get("/MetadataFields/{id}/InUse", read, || web::get().to(in_use))
            .summary("Whether a certificate has a value of a metadata field.")
            .answers::<bool>(),
        Endpoint::post("/MetadataFields", modify, || web::post().to(create))
            .summary("Makes a metadata field.")
            .body::<WriteMetadataField>()
            .answers::<MetadataField>()
            .example(
                r#"{"Name": "Environment", "Description": "What the certificate is used for",
                    "DataType": 5, "Options": "Production,Test", "Enrollment": 0}"#,
            ),
        Endpoint::put("/MetadataFields", modify, || web::put().to(update))
            .summary("Changes a metadata field; certificates follow a new name.")
            .body::<WriteMetadataField>()
            .answers::<MetadataField>()
            .example(
                r#"{"Id": {{metadata_field_id}}, "Name": "{{metadata_field}}", "DataType": "String",
                    "Description": "Who answers for it", "Hint": "web team"}"#,
            ),
        Endpoint::delete("/MetadataFields/{id}", modify, || web::delete().to(delete))
            .summary("Deletes a metadata field that no certificate has a value of, or any with `force`.")
            .query("Force", Parameter::Flag, force),
        Endpoint::delete("/MetadataFields", modify, || web::delete().to(delete_many))
            .summary("Deletes metadata fields, all or none.")
            .query("Force", Parameter::Flag, force)
            .body_list::<i64>()
            .example("[{{spare_metadata_field}}]"),
    ]
}

fn field_id(path: &str) -> Result<i64, Error> {
    path.parse().map_err(|_| Error::FieldNotFound(shortened(path)))
}

async fn list(floor: Data<Floor>, caller: Principal, query: ListQuery) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (fields, total) = metadata_field::list(&mut db, &caller, &query, floor.now()).await?;
    Ok(answer::list(&fields, total))
}

async fn get(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    Ok(json(&metadata_field::get(&mut db, &caller, &id).await?))
}

async fn in_use(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let id = field_id(&id)?;
    let mut db = floor.database.reports.acquire().await?;
    Ok(json(&metadata_field::in_use(&mut db, &caller, id).await?))
}

async fn create(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<WriteMetadataField>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    let made = metadata_field::create(&mut transaction, &caller, request, floor.now()).await?;
    transaction.commit().await?;
    Ok(json(&made))
}

async fn update(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<WriteMetadataField>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    let changed = metadata_field::update(&mut transaction, &caller, request, floor.now()).await?;
    transaction.commit().await?;
    Ok(json(&changed))
}

async fn delete(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    delete_these(&floor, &caller, vec![field_id(&id)?], &query).await
}

async fn delete_many(
    floor: Data<Floor>,
    caller: Principal,
    query: ListQuery,
    Body(ids): Body<Vec<i64>>,
) -> Result<HttpResponse, Failure> {
    delete_these(&floor, &caller, ids, &query).await
}

async fn delete_these(
    floor: &Floor,
    caller: &Principal,
    ids: Vec<i64>,
    query: &ListQuery,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    metadata_field::delete(&mut transaction, caller, ids, query.flag("force"), floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::no_content())
}
