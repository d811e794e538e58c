//! Routes of the audit log.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path};
use sealift_protocol::operator::audit::AuditEntry;

use super::number;
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::route::{Access, Endpoint};
use crate::http::{Failure, answer};
use crate::security::audit::search::{self, Which};
use crate::security::permission;
use crate::security::principal::Principal;
use crate::security::queries::audit::AUDIT_FIELDS;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let read = Access::Permission(permission::AUDIT_READ);
    vec![
        Endpoint::get("/Audit", read, || web::to(list))
            .summary("The audit log, newest first.")
            .list(AUDIT_FIELDS)
            .answers_list::<AuditEntry>(),
        Endpoint::get("/Audit/RelatedEntities", read, || web::to(related))
            .summary("Everything that the log tells of the things that matching lines tell of.")
            .list(AUDIT_FIELDS)
            .answers_list::<AuditEntry>(),
        Endpoint::get("/Audit/Download", read, || web::to(download))
            .summary("Every matching line as CSV, in a JSON string.")
            .list(AUDIT_FIELDS)
            .answers::<String>(),
        Endpoint::get("/Audit/{id}", read, || web::to(get))
            .summary("One line of the audit log.")
            .answers::<AuditEntry>(),
        Endpoint::get("/Audit/{id}/Validate", read, || web::to(validate))
            .summary("Whether a line of the audit log says what it said when it was written.")
            .answers::<bool>(),
    ]
}

async fn list(floor: Data<Floor>, caller: Principal, list: ListQuery) -> Result<HttpResponse, Failure> {
    page(&floor, &caller, &list, Which::Matching).await
}

async fn related(floor: Data<Floor>, caller: Principal, list: ListQuery) -> Result<HttpResponse, Failure> {
    page(&floor, &caller, &list, Which::Related).await
}

async fn page(
    floor: &Floor,
    caller: &Principal,
    list: &ListQuery,
    which: Which,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (rows, total) = search::list(&mut db, caller, list, which, floor.now()).await?;
    Ok(answer::list(&rows, total))
}

async fn download(floor: Data<Floor>, caller: Principal, list: ListQuery) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    Ok(answer::json(&search::download(&mut db, &caller, &list, floor.now()).await?))
}

async fn get(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    Ok(answer::json(&search::get(&mut db, &caller, number("audit line", &id)?).await?))
}

async fn validate(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    Ok(answer::json(&search::validate(&mut db, &caller, number("audit line", &id)?).await?))
}
