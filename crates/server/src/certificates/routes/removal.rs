//! Deleting certificates and private keys. Handlers extract, call one operation, answer.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path};

use super::super::removal::{self, Part};
use super::super::search::collection_id;
use super::certificate_id;
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::route::{Access, Endpoint, Parameter};
use crate::http::{Body, Failure, answer};
use crate::security::{Principal, permission};

/// Deletions, of one and of many.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let delete = Access::Permission(permission::CERTIFICATES_DELETE);
    let collection = "A collection that holds them, for callers with no wider grant.";
    vec![
        Endpoint::delete("/Certificates/{id}", delete, || web::delete().to(one))
            .summary(
                "Deletes a certificate with its private key, unless a store holds it or a job is about it.",
            )
            .query("CollectionId", Parameter::Number, collection),
        Endpoint::delete("/Certificates", delete, || web::delete().to(many))
            .summary("Deletes those of some certificates that no store holds and no job is about.")
            .query("CollectionId", Parameter::Number, collection)
            .body_list::<i64>()
            .example("[{{spare_certificate}}]"),
        Endpoint::delete("/Certificates/Query", delete, || web::delete().to(matching))
            .summary("Deletes those of the certificates that match which no store holds and no job is about.")
            .query("CollectionId", Parameter::Number, "Only those of this collection.")
            .body::<String>()
            .example(r#""IssuedCN -eq \"nobody.example.test\"""#),
        Endpoint::delete("/Certificates/PrivateKey/{id}", delete, || web::delete().to(one_key))
            .summary("Deletes the private key of a certificate, unless a job is about it.")
            .query("CollectionId", Parameter::Number, collection),
        Endpoint::delete("/Certificates/PrivateKey", delete, || web::delete().to(many_keys))
            .summary("Deletes those private keys of some certificates that no job needs.")
            .query("CollectionId", Parameter::Number, collection)
            .body_list::<i64>()
            .example("[{{certificate}}]"),
    ]
}

async fn delete_one(
    floor: &Floor,
    caller: &Principal,
    id: &str,
    part: Part,
    query: &ListQuery,
) -> Result<HttpResponse, Failure> {
    let (id, collection) = (certificate_id(id)?, collection_id(query)?);
    let mut transaction = floor.database.main.begin().await?;
    removal::one(&mut transaction, caller, id, part, collection, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::no_content())
}

async fn delete_many(
    floor: &Floor,
    caller: &Principal,
    ids: Vec<i64>,
    part: Part,
    query: &ListQuery,
) -> Result<HttpResponse, Failure> {
    let collection = collection_id(query)?;
    let mut transaction = floor.database.main.begin().await?;
    removal::many(&mut transaction, caller, ids, part, collection, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::no_content())
}

async fn one(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    delete_one(&floor, &caller, &id, Part::Certificate, &query).await
}

async fn one_key(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    delete_one(&floor, &caller, &id, Part::PrivateKey, &query).await
}

async fn many(
    floor: Data<Floor>,
    caller: Principal,
    query: ListQuery,
    Body(ids): Body<Vec<i64>>,
) -> Result<HttpResponse, Failure> {
    delete_many(&floor, &caller, ids, Part::Certificate, &query).await
}

async fn many_keys(
    floor: Data<Floor>,
    caller: Principal,
    query: ListQuery,
    Body(ids): Body<Vec<i64>>,
) -> Result<HttpResponse, Failure> {
    delete_many(&floor, &caller, ids, Part::PrivateKey, &query).await
}

async fn matching(
    floor: Data<Floor>,
    caller: Principal,
    query: ListQuery,
    Body(filter): Body<Option<String>>,
) -> Result<HttpResponse, Failure> {
    let collection = collection_id(&query)?;
    let filter = filter.unwrap_or_default();
    let mut transaction = floor.database.main.begin().await?;
    removal::matching(&mut transaction, &caller, &filter, collection, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::no_content())
}
