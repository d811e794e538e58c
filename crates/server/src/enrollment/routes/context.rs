//! Handlers of contexts, settings and patterns.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};

use super::super::context;
use super::super::error::Error;
use super::finish;
use crate::authority::Authority;
use crate::authority::template::EnrollmentKind;
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::problem::shortened;
use crate::http::{Failure, answer, json};
use crate::security::Principal;

/// `GET /Enrollment/PFX/Context/My`.
pub(in super::super) async fn pfx(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let context = context::context(&mut db, &caller, &authority, EnrollmentKind::Pfx).await?;
    Ok(finish(HttpResponse::Ok(), &context))
}

/// `GET /Enrollment/CSR/Context/My`.
pub(in super::super) async fn csr(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let context = context::context(&mut db, &caller, &authority, EnrollmentKind::Csr).await?;
    Ok(finish(HttpResponse::Ok(), &context))
}

/// `GET /Enrollment/Settings/{id}`.
pub(in super::super) async fn settings(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let settings = context::settings(&mut db, &caller, number("template", &id)?).await?;
    Ok(finish(HttpResponse::Ok(), &settings))
}

/// `GET /EnrollmentPatterns`.
pub(in super::super) async fn patterns(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (rows, total) = context::patterns(&mut db, &caller, &authority, &query, floor.now()).await?;
    Ok(answer::list(&rows, total))
}

/// `GET /EnrollmentPatterns/{id}`.
pub(in super::super) async fn pattern(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    Ok(json(&context::one_pattern(&mut db, &caller, &authority, number("enrollment pattern", &id)?).await?))
}

fn number(what: &str, id: &str) -> Result<i64, Error> {
    id.parse().map_err(|_| Error::NotFound(format!("{what} '{}'", shortened(id))))
}
