//! Handlers: extract, call one operation, answer.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use sealift_protocol::operator::authority as wire;
use sqlx::Connection as _;

use super::error::Error;
use super::template::{answer as templates, change};
use super::{Authority, catalog, revocation, sweep};
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::problem::shortened;
use crate::http::{Body, Failure, answer, json};
use crate::security::Principal;

/// Seconds that caches may keep a revocation list: short beside its validity, so that revocations spread.
const LIST_MAX_AGE: u32 = 300;

/// `GET /crl/{name}`: the newest revocation list of an authority.
pub(super) async fn revocation_list(
    floor: Data<Floor>,
    authority: Data<Authority>,
    name: Path<String>,
) -> Result<HttpResponse, Failure> {
    let list = revocation::current(&floor, &authority, &name).await?;
    Ok(HttpResponse::Ok()
        .insert_header(("Content-Type", "application/pkix-crl"))
        .insert_header(("Cache-Control", format!("max-age={LIST_MAX_AGE}")))
        .body(list))
}

/// `GET /ca/root.pem`: the certificate that clients of what is issued here must trust.
pub(super) async fn root(authority: Data<Authority>) -> HttpResponse {
    HttpResponse::Ok().insert_header(("Content-Type", "application/x-pem-file")).body(authority.root_pem())
}

/// `GET /Templates`.
pub(super) async fn templates(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (rows, total) = templates::list(&mut db, &caller, &authority, &query, floor.now()).await?;
    Ok(answer::list(&rows, total))
}

/// `GET /Templates/{id}`.
pub(super) async fn template(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    Ok(json(&templates::get(&mut db, &caller, &authority, number("template", &id)?).await?))
}

/// `PUT /Templates`.
pub(super) async fn change_template(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    Body(request): Body<wire::UpdateTemplate>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    let mut transaction = db.begin().await?;
    let changed = change::change(&mut transaction, &caller, &authority, request, floor.now()).await?;
    transaction.commit().await?;
    Ok(json(&changed))
}

/// `GET /Templates/Settings`.
pub(super) async fn template_settings(
    floor: Data<Floor>,
    caller: Principal,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    Ok(json(&templates::settings(&mut db, &caller).await?))
}

/// `PUT /Templates/Settings`.
pub(super) async fn change_template_settings(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<wire::TemplateSettings>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    let mut transaction = db.begin().await?;
    let changed = change::change_settings(&mut transaction, &caller, request, floor.now()).await?;
    transaction.commit().await?;
    Ok(json(&changed))
}

/// `GET /Templates/SubjectParts`.
pub(super) async fn subject_parts() -> HttpResponse {
    json(&templates::subject_parts())
}

/// `POST /Templates/Import`.
pub(super) async fn import_templates(
    authority: Data<Authority>,
    caller: Principal,
    Body(request): Body<wire::ImportTemplates>,
) -> Result<HttpResponse, Failure> {
    change::import(&caller, &authority, &request)?;
    Ok(answer::no_content())
}

/// `GET /CertificateAuthority`.
pub(super) async fn authorities(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (rows, total) = catalog::list(&mut db, &caller, &authority, &query, floor.now()).await?;
    Ok(answer::list(&rows, total))
}

/// `GET /CertificateAuthority/{id}`.
pub(super) async fn authority(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    Ok(json(&catalog::get(&mut db, &caller, &authority, number("certificate authority", &id)?).await?))
}

/// `POST /CertificateAuthority`.
pub(super) async fn create_authority(caller: Principal) -> Result<HttpResponse, Failure> {
    catalog::create(&caller)?;
    Ok(answer::no_content())
}

/// `PUT /CertificateAuthority`.
pub(super) async fn change_authority(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    Body(request): Body<wire::ChangeAuthority>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    let mut transaction = db.begin().await?;
    let changed = catalog::change(&mut transaction, &caller, &authority, &request, floor.now()).await?;
    transaction.commit().await?;
    Ok(json(&changed))
}

/// `DELETE /CertificateAuthority/{id}`.
pub(super) async fn delete_authority(
    authority: Data<Authority>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    catalog::delete(&caller, &authority, number("certificate authority", &id)?)?;
    Ok(answer::no_content())
}

/// `POST /CertificateAuthority/Test`.
pub(super) async fn test_authority(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    Body(request): Body<wire::ChangeAuthority>,
) -> Result<HttpResponse, Failure> {
    Ok(json(&catalog::test(&caller, &authority, &request, floor.now())?))
}

/// `POST /CertificateAuthority/PublishCRL`. Should signing at once fail, the sweep does it.
pub(super) async fn publish_list(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    Body(request): Body<wire::PublishList>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    let mut transaction = db.begin().await?;
    catalog::demand_list(&mut transaction, &caller, &authority, &request, floor.now()).await?;
    transaction.commit().await?;
    drop(db);
    sweep::publish_revocation_lists(&floor, &authority).await?;
    Ok(answer::no_content())
}

fn number(what: &str, id: &str) -> Result<i64, Error> {
    id.parse().map_err(|_| Error::NotFound(format!("{what} '{}'", shortened(id))))
}
