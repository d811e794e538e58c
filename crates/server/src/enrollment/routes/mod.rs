//! Handlers: extract, call one operation, answer.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use sealift_protocol::operator::enrollment::{Deploy, EnrollPfx};
use sqlx::Connection as _;

use super::deploy;
use super::draft::Format;
use super::error::Error;
use super::pfx::{self, Call, Delivery};
use crate::authority::Authority;
use crate::floor::Floor;
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
    let wanted = is_version_2(header(&headers, "x-keyfactor-api-version"))? && !stores.is_empty();
    let delivery = wanted.then_some(Delivery { stores, job_time: request.job_time });
    let call = Call { request, format, delivery };
    let enrolled = pfx::enroll(&floor, &authority, &caller, call, floor.now()).await?;
    ring(&dispatch, &floor, &enrolled.jobs);
    let mut response = HttpResponse::Ok();
    response
        .insert_header(("x-certificatefile", enrolled.file_name))
        .insert_header(("x-privatekeystatus", "Saved"))
        .insert_header(("api-supported-versions", "1.0, 2"));
    Ok(answer::write(&mut response, &enrolled.answer))
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
    Ok(answer::json(&deployed))
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
