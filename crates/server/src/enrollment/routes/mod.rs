//! Handlers: extract, call one operation, answer. Those of requests and workflows are in `workflow`, those of contexts
//! and patterns in `context`.

pub(super) mod context;
pub(super) mod workflow;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use sealift_protocol::operator::enrollment::{Deploy, EnrollCsr, EnrollPfx, ParseCsr, Renew, Replace};
use serde::Serialize;
use sqlx::Connection as _;

use super::error::Error;
use super::format::{CsrFormat, Format};
use super::pfx::{self, Call, Direct};
use super::renewal::{self, Named};
use super::{csr, deploy};
use crate::authority::Authority;
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::problem::shortened;
use crate::http::{Body, Failure, answer};
use crate::orchestrator_jobs::{Dispatch, NewJob};
use crate::security::Principal;

/// `POST /Enrollment/PFX`.
pub(super) async fn enroll_pfx(
    floor: Data<Floor>,
    authority: Data<Authority>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    headers: HttpRequest,
    Body(mut request): Body<EnrollPfx>,
) -> Result<HttpResponse, Failure> {
    let format = Format::parse(header(&headers, "x-certificateformat"))?;
    let stores = std::mem::take(&mut request.stores);
    let where_it_is = request.install_into_existing_certificate_stores;
    let wanted =
        is_version_2(header(&headers, "x-keyfactor-api-version"))? && (where_it_is || !stores.is_empty());
    let direct = wanted.then_some(Direct { stores, where_it_is, job_time: request.job_time });
    let call = Call { request, format, direct };
    let enrolled = pfx::enroll(&floor, &authority, &caller, call, floor.now()).await?;
    ring(&dispatch, &floor, &enrolled.jobs);
    let mut response = HttpResponse::Ok();
    if let Some(name) = enrolled.file_name {
        response.insert_header(("x-certificatefile", name));
    }
    if enrolled.saved {
        response.insert_header(("x-privatekeystatus", "Saved"));
    }
    Ok(finish(response, &enrolled.answer))
}

/// `POST /Enrollment/CSR`.
pub(super) async fn enroll_csr(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    headers: HttpRequest,
    Body(request): Body<EnrollCsr>,
) -> Result<HttpResponse, Failure> {
    let format = CsrFormat::parse(header(&headers, "x-certificateformat"))?;
    is_version_2(header(&headers, "x-keyfactor-api-version"))?;
    let enrolled = csr::enroll(&floor, &authority, &caller, request, format, floor.now()).await?;
    let mut response = HttpResponse::Ok();
    if let Some(name) = enrolled.file_name {
        response.insert_header(("x-certificatefile", name));
    }
    Ok(finish(response, &enrolled.answer))
}

/// `POST /Enrollment/CSR/Parse`.
pub(super) async fn parse_csr(
    caller: Principal,
    Body(request): Body<ParseCsr>,
) -> Result<HttpResponse, Failure> {
    Ok(finish(HttpResponse::Ok(), &csr::parse(&caller, &request)?))
}

/// `POST /Enrollment/PFX/Deploy`.
pub(super) async fn deploy_pfx(
    floor: Data<Floor>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    Body(request): Body<Deploy>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    let mut transaction = db.begin().await?;
    let (deployed, jobs) = deploy::deploy(&mut transaction, &floor, &caller, &request, floor.now()).await?;
    transaction.commit().await?;
    ring(&dispatch, &floor, &jobs);
    Ok(finish(HttpResponse::Ok(), &deployed))
}

/// `POST /Enrollment/PFX/Replace`.
pub(super) async fn replace_pfx(
    floor: Data<Floor>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    Body(request): Body<Replace>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    let mut transaction = db.begin().await?;
    let (deployed, jobs) = deploy::replace(&mut transaction, &floor, &caller, &request, floor.now()).await?;
    transaction.commit().await?;
    ring(&dispatch, &floor, &jobs);
    Ok(finish(HttpResponse::Ok(), &deployed))
}

/// `POST /Enrollment/Renew`.
pub(super) async fn renew(
    floor: Data<Floor>,
    authority: Data<Authority>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    query: ListQuery,
    Body(request): Body<Renew>,
) -> Result<HttpResponse, Failure> {
    let collection = collection(&query)?;
    let (renewed, jobs) =
        renewal::renew(&floor, &authority, &caller, &request, collection, floor.now()).await?;
    ring(&dispatch, &floor, &jobs);
    Ok(finish(HttpResponse::Ok(), &renewed))
}

/// `GET /Enrollment/AvailableRenewal/Id/{id}`.
pub(super) async fn renewal_by_id(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    let id = id.parse().map_err(|_| Error::NotFound(format!("certificate '{}'", shortened(&id))))?;
    available(&floor, &caller, &Named::Id(id), &query).await
}

/// `GET /Enrollment/AvailableRenewal/Thumbprint/{thumbprint}`.
pub(super) async fn renewal_by_thumbprint(
    floor: Data<Floor>,
    caller: Principal,
    thumbprint: Path<String>,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    available(&floor, &caller, &Named::Thumbprint(thumbprint.into_inner()), &query).await
}

async fn available(
    floor: &Floor,
    caller: &Principal,
    named: &Named,
    query: &ListQuery,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    let collection = collection(query)?;
    let available = renewal::available(&mut db, caller, named, collection, floor.now()).await?;
    Ok(finish(HttpResponse::Ok(), &available))
}

fn collection(query: &ListQuery) -> Result<Option<i64>, Failure> {
    Ok(query.number("collectionId")?.filter(|id| *id != 0))
}

/// Every answer of this controller names the versions that it supports (operator contract, 1.4).
fn finish<T: Serialize>(mut response: HttpResponseBuilder, value: &T) -> HttpResponse {
    response.insert_header(("api-supported-versions", "1.0, 2"));
    answer::write(&mut response, value)
}

/// Wakes the agents of jobs that were committed.
fn ring(dispatch: &Dispatch, floor: &Floor, jobs: &[NewJob]) {
    let now = floor.now();
    for job in jobs {
        dispatch.ring(job.agent_id, job.run_at, now);
    }
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name).map(|value| value.to_str().unwrap_or("a text that is not ASCII"))
}

fn is_version_2(header: Option<&str>) -> Result<bool, Error> {
    match header.map(str::trim).unwrap_or_default() {
        "" | "1" | "1.0" => Ok(false),
        "2" | "2.0" => Ok(true),
        other => Err(Error::Version(shortened(other))),
    }
}
