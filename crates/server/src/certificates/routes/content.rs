//! Certificates going out and coming in. Handlers extract, call one operation, answer.

use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use sealift_protocol::operator::certificate_content::{
    Analyze, Analyzed, Download, Downloaded, Recover, Recovered,
};

use super::super::search::collection_id;
use super::super::{handing_out, import};
use super::{format_of, in_both_versions};
use crate::authority::Authority;
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::route::{Access, Endpoint, Parameter};
use crate::http::{Body, Failure, answer, json};
use crate::security::{Principal, permission};

/// Download, recovery and analysis. Import is of `certificate_stores`, since it may deliver to stores.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let read = Access::Permission(permission::CERTIFICATES_READ);
    let recovery = Access::Permission(permission::PRIVATE_KEYS_READ);
    let importing = Access::Permission(permission::CERTIFICATES_IMPORT);
    let collection = "A collection that holds it, for callers with no wider grant.";
    vec![
        Endpoint::post("/Certificates/Download", read, || web::post().to(download))
            .summary("A certificate, alone or with its chain; `x-certificateformat` may be `PEM` (also without it), `DER` or `P7B`.")
            .query("CollectionId", Parameter::Number, collection)
            .body::<Download>()
            .answers::<Downloaded>()
            .example(r#"{"CertID": {{certificate}}, "IncludeChain": true, "ChainOrder": "EndEntityFirst"}"#),
        Endpoint::post("/Certificates/Recover", recovery, || web::post().to(recover))
            .summary("A certificate with the private key that the server keeps; `x-certificateformat` may be `PEM` (also without it) or `PFX`.")
            .query("CollectionId", Parameter::Number, collection)
            .body::<Recover>()
            .answers::<Recovered>()
            .example(r#"{"CertID": {{certificate}}, "IncludeChain": true, "Password": "t7!Qz-example"}"#),
        Endpoint::post("/Certificates/Analyze", importing, || web::post().to(analyze))
            .summary("What a file holds, without putting anything on record.")
            .body::<Analyze>()
            .answers_list::<Analyzed>()
            .example(r#"{"Certificate": "{{certificate_file}}"}"#),
    ]
}

async fn download(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    query: ListQuery,
    headers: HttpRequest,
    Body(request): Body<Download>,
) -> Result<HttpResponse, Failure> {
    let (collection, format) = (collection_id(&query)?, format_of(&headers));
    let mut transaction = floor.database.main.begin().await?;
    let now = floor.now();
    let (downloaded, file_name) =
        handing_out::download(&mut transaction, &authority, &caller, &request, format, collection, now)
            .await?;
    transaction.commit().await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("x-certificatefile", file_name));
    Ok(in_both_versions(answer::write(&mut response, &downloaded)))
}

async fn recover(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    query: ListQuery,
    headers: HttpRequest,
    Body(request): Body<Recover>,
) -> Result<HttpResponse, Failure> {
    let (collection, format) = (collection_id(&query)?, format_of(&headers));
    let mut transaction = floor.database.main.begin().await?;
    let now = floor.now();
    let parts = (&**floor, &**authority);
    let recovered =
        handing_out::recover(&mut transaction, parts, &caller, request, format, collection, now).await?;
    transaction.commit().await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("x-certificatefile", recovered.file_name.clone()));
    Ok(in_both_versions(answer::write(&mut response, &recovered)))
}

async fn analyze(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<Analyze>,
) -> Result<HttpResponse, Failure> {
    let given = import::open_for_analysis(&caller, request).await?;
    let mut db = floor.database.reports.acquire().await?;
    Ok(json(&import::analyze(&mut db, &caller, given).await?))
}
