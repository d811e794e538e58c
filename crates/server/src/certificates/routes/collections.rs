//! Collections. Handlers extract, call one operation, answer.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path};
use sealift_protocol::operator::collections::{
    Collection, CollectionName, MarkCollection, WriteCollection, WrittenCollection,
};

use super::super::error::Error;
use super::super::{collection, collection_changes};
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::problem::shortened;
use crate::http::route::{Access, Endpoint};
use crate::http::{Body, Failure, answer, json};
use crate::security::{Principal, permission};

/// Reading collections.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let read = Access::Permission(permission::CERTIFICATES_READ);
    vec![
        Endpoint::get("/CertificateCollections", read, || web::get().to(list))
            .summary("Saved certificate queries that carry permissions.")
            .list(collection::FIELDS)
            .answers_list::<Collection>(),
        Endpoint::get("/CertificateCollections/CollectionList", read, || web::get().to(names))
            .summary("Ids and names of collections.")
            .list(collection::FIELDS)
            .answers_list::<CollectionName>(),
        Endpoint::get("/CertificateCollections/NavItems", read, || web::get().to(marked))
            .summary("Ids and names of the collections that the caller marked.")
            .list(collection::FIELDS)
            .answers_list::<CollectionName>(),
        Endpoint::get("/CertificateCollections/{id}", read, || web::get().to(get))
            .summary("One collection, by its id or its name.")
            .answers::<Collection>(),
    ]
}

/// Changing collections.
pub(super) fn changes() -> Vec<Endpoint> {
    let read = Access::Permission(permission::CERTIFICATES_READ);
    let modify = Access::Permission(permission::COLLECTIONS_MODIFY);
    vec![
        Endpoint::post("/CertificateCollections", modify, || web::post().to(create))
            .summary("Makes a collection.")
            .body::<WriteCollection>()
            .answers::<WrittenCollection>()
            .example(r#"{"Name": "Shop", "Query": "IssuedCN -startswith \"shop.\""}"#),
        Endpoint::put("/CertificateCollections", modify, || web::put().to(update))
            .summary("Changes a collection; members that are not given stay.")
            .body::<WriteCollection>()
            .answers::<WrittenCollection>()
            .example(r#"{"Id": {{collection}}, "Name": "Web", "Query": "IssuedCN -startswith \"www.\""}"#),
        Endpoint::post("/CertificateCollections/Copy", modify, || web::post().to(copy))
            .summary("Makes a collection from another one, without its grants.")
            .body::<WriteCollection>()
            .answers::<WrittenCollection>()
            .example(r#"{"CopyFromId": {{collection}}, "Name": "Web, a copy"}"#),
        Endpoint::put("/CertificateCollections/{id}/Favorite", read, || web::put().to(mark))
            .summary("Marks a collection for the caller alone, or takes the mark away.")
            .body::<MarkCollection>()
            .example(r#"{"ShowInNavigator": true}"#),
        Endpoint::delete("/CertificateCollections/{id}", modify, || web::delete().to(delete))
            .summary("Deletes a collection for which no role has a permission."),
    ]
}

fn collection_id(path: &str) -> Result<i64, Error> {
    path.parse().map_err(|_| Error::CollectionNotFound(shortened(path)))
}

async fn list(floor: Data<Floor>, caller: Principal, query: ListQuery) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (collections, total) = collection::list(&mut db, &caller, &query, floor.now()).await?;
    Ok(answer::list(&collections, total))
}

async fn names(floor: Data<Floor>, caller: Principal, query: ListQuery) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (names, total) = collection::names(&mut db, &caller, &query, false, floor.now()).await?;
    Ok(answer::list(&names, total))
}

async fn marked(floor: Data<Floor>, caller: Principal, query: ListQuery) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (names, total) = collection::names(&mut db, &caller, &query, true, floor.now()).await?;
    Ok(answer::list(&names, total))
}

async fn get(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    Ok(json(&collection::get(&mut db, &caller, &id).await?))
}

async fn create(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<WriteCollection>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    let made = collection_changes::create(&mut transaction, &caller, request, floor.now()).await?;
    transaction.commit().await?;
    Ok(json(&made))
}

async fn copy(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<WriteCollection>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    let made = collection_changes::copy(&mut transaction, &caller, request, floor.now()).await?;
    transaction.commit().await?;
    Ok(json(&made))
}

async fn update(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<WriteCollection>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    let changed = collection_changes::update(&mut transaction, &caller, request, floor.now()).await?;
    transaction.commit().await?;
    Ok(json(&changed))
}

async fn mark(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
    Body(request): Body<MarkCollection>,
) -> Result<HttpResponse, Failure> {
    let id = collection_id(&id)?;
    let mut db = floor.database.main.acquire().await?;
    collection_changes::mark(&mut db, &caller, id, &request).await?;
    Ok(answer::no_content())
}

async fn delete(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let id = collection_id(&id)?;
    let mut transaction = floor.database.main.begin().await?;
    collection_changes::delete(&mut transaction, &caller, id, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::no_content())
}
