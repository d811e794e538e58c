//! Handlers: extract, call one operation, answer.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use sealift_protocol::operator::certificates::{CreateCollection, Revoke};
use sqlx::Connection as _;

use super::error::Error;
use super::{collection, revocation, search};
use crate::authority::Authority;
use crate::authority::sweep::publish_revocation_lists;
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::problem::shortened;
use crate::http::{Body, Failure, answer, json};
use crate::security::Principal;

/// `GET /Certificates`.
pub(super) async fn list(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (certificates, total) = search::list(&mut db, &caller, &authority, &query, floor.now()).await?;
    Ok(answer::list(&certificates, total))
}

/// `GET /Certificates/{id}`.
pub(super) async fn get(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    id: Path<String>,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    let id = id.parse().map_err(|_| Error::NotFound(shortened(&id)))?;
    let mut db = floor.database.reports.acquire().await?;
    Ok(json(&search::get(&mut db, &caller, &authority, id, &query, floor.now()).await?))
}

/// `POST /Certificates/Revoke`. The revocation list is signed at once; should that fail, the sweep does it.
pub(super) async fn revoke(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    Body(request): Body<Revoke>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    let mut transaction = db.begin().await?;
    let revoked = revocation::revoke(&mut transaction, &caller, request, floor.now()).await?;
    transaction.commit().await?;
    drop(db);
    if let Err(error) = publish_revocation_lists(&floor, &authority).await {
        tracing::warn!("the revocation list could not be signed at once: {error}");
    }
    Ok(json(&revoked))
}

/// `GET /CertificateCollections`.
pub(super) async fn collections(
    floor: Data<Floor>,
    caller: Principal,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (collections, total) = collection::list(&mut db, &caller, &query, floor.now()).await?;
    Ok(answer::list(&collections, total))
}

/// `GET /CertificateCollections/{id}`: an id, or a name.
pub(super) async fn collection(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    Ok(json(&collection::get(&mut db, &caller, &id).await?))
}

/// `POST /CertificateCollections`.
pub(super) async fn create_collection(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<CreateCollection>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    let mut transaction = db.begin().await?;
    let made = collection::create(&mut transaction, &caller, request, floor.now()).await?;
    transaction.commit().await?;
    Ok(json(&made))
}
