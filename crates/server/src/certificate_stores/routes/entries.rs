//! Adding certificates to stores, and removing them.

use actix_web::HttpResponse;
use actix_web::web::{self, Data};
use sealift_protocol::JobId;
use sealift_protocol::operator::certificate_stores::{AddCertificate, RemoveCertificate};

use super::{Adds, add_group, ring};
use crate::certificate_stores::add::{AddCall, ids};
use crate::certificate_stores::remove;
use crate::floor::Floor;
use crate::http::route::{Access, Endpoint};
use crate::http::{Body, Failure, answer};
use crate::orchestrator_jobs::Dispatch;
use crate::security::{Principal, permission};

/// Calls with more stores than this have a transaction of their own.
const MAX_SHARED: usize = 50;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let schedule = Access::Permission(permission::STORES_SCHEDULE);
    vec![
        Endpoint::post("/CertificateStores/Certificates/Add", schedule, || web::to(add))
            .summary("Schedules a certificate's addition to stores: all of them, or none. Answers one job id for each.")
            .body::<AddCertificate>()
            .answers_list::<JobId>()
            .example(
                r#"{"CertificateId": {{certificate}}, "Schedule": {"Immediate": true}, "CertificateStores":
                    [{"CertificateStoreId": "{{store}}", "Overwrite": true, "IncludePrivateKey": true}]}"#,
            ),
        Endpoint::post("/CertificateStores/Certificates/Remove", schedule, || web::to(remove_certificates))
            .summary("Schedules the removal of entries from stores: all of them, or none.")
            .body::<RemoveCertificate>()
            .answers_list::<JobId>()
            .example(
                r#"{"CertificateStores": [{"CertificateStoreId": "{{store}}", "Alias": "{{alias}}"}],
                    "Schedule": {"Immediate": true}}"#,
            ),
    ]
}

async fn add(
    floor: Data<Floor>,
    adds: Data<Adds>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    Body(request): Body<AddCertificate>,
) -> Result<HttpResponse, Failure> {
    Ok(answer::json(&submit_add(&floor, &adds, &dispatch, caller, request).await?))
}

/// Adds in a group of calls, and rings the agents of the jobs that were made.
pub(crate) async fn submit_add(
    floor: &Floor,
    adds: &Adds,
    dispatch: &Dispatch,
    caller: Principal,
    request: AddCertificate,
) -> Result<Vec<JobId>, Failure> {
    let call = AddCall { caller, request };
    let jobs = match call.request.certificate_stores.len() > MAX_SHARED {
        true => add_group(floor, vec![call]).await.pop(),
        false => adds.submit(call).await,
    };
    let jobs = jobs.unwrap_or_else(|| Err(Failure::fault("the server is stopping")))?;
    ring(dispatch, floor, &jobs);
    Ok(ids(&jobs))
}

async fn remove_certificates(
    floor: Data<Floor>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    Body(request): Body<RemoveCertificate>,
) -> Result<HttpResponse, Failure> {
    let mut transaction = floor.database.main.begin().await?;
    let jobs = remove::remove(&mut transaction, &floor, &caller, &request, floor.now()).await?;
    transaction.commit().await?;
    ring(&dispatch, &floor, &jobs);
    Ok(answer::json(&ids(&jobs)))
}
