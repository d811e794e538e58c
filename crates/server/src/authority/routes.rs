//! Handlers: what anyone may read of the authority.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};

use super::{Authority, revocation};
use crate::floor::Floor;
use crate::http::Failure;

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
