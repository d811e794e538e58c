//! Reading certificates and changing what is on record about them. Handlers extract, call one operation, answer.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path};
use sealift_protocol::operator::certificates::{
    Certificate, CertificateOperation, CertificateSecurity, ChangeOwner, IdentityAccess, Locations, Revoke,
    RevokeAll, Revoked, UpdateAllMetadata, UpdateMetadata, Validation,
};
use sqlx::Connection as _;

use super::super::search::collection_id;
use super::super::{access, fields, history, metadata, owner, revocation, search, validation};
use super::{certificate_id, in_both_versions};
use crate::authority::Authority;
use crate::authority::sweep::publish_revocation_lists;
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::route::{Access, Endpoint, Parameter};
use crate::http::{Body, Failure, answer, json};
use crate::security::{Principal, permission};

/// What `CollectionId` means where one certificate is meant.
const BY_COLLECTION: &str = "A collection that holds it, for callers with no wider grant.";

/// Lists of certificates.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let read = Access::Permission(permission::CERTIFICATES_READ);
    vec![
        Endpoint::get("/Certificates", read, || web::get().to(list))
            .summary("Certificates that were issued, imported or found by inventory.")
            .list(fields::CERTIFICATES)
            .query("CollectionId", Parameter::Number, "Only those of this collection.")
            .query("IncludeLocations", Parameter::Flag, "Also where they are deployed.")
            .query("IncludeMetadata", Parameter::Flag, "Also their metadata.")
            .query("IncludeHasPrivateKey", Parameter::Flag, "Also whether the server keeps their keys.")
            .query("IncludeRevoked", Parameter::Flag, "Revoked ones, too.")
            .query("IncludeExpired", Parameter::Flag, "Expired ones, too.")
            .query("Verbose", Parameter::Number, "Taken and not used: every answer is whole.")
            .answers_list::<Certificate>(),
        Endpoint::get("/Certificates/CSV", read, || web::get().to(csv))
            .summary("Certificates that match, as comma-separated values in a JSON text; plain where only text is accepted.")
            .query("Query", Parameter::Text, "Filter, as `QueryString` elsewhere; metadata fields included.")
            .query("CollectionId", Parameter::Number, "Only those of this collection.")
            .query("SortName", Parameter::Text, "Field to sort by.")
            .query("SortOrder", Parameter::Text, "0 or `ASC` ascending, 1 or `DESC` descending.")
            .query("IncludeRevoked", Parameter::Flag, "Revoked ones, too.")
            .query("IncludeExpired", Parameter::Flag, "Expired ones, too.")
            .answers::<String>(),
        Endpoint::get("/Certificates/Metadata/Compare", read, || web::get().to(compare_metadata))
            .summary("Whether a certificate has this value of a metadata field.")
            .query("CertificateId", Parameter::Number, "The certificate.")
            .query("MetadataFieldName", Parameter::Text, "The field.")
            .query("Value", Parameter::Text, "The value.")
            .query("CollectionId", Parameter::Number, BY_COLLECTION)
            .answers::<bool>(),
    ]
}

/// What is known about one certificate.
pub(super) fn about_one() -> Vec<Endpoint> {
    let read = Access::Permission(permission::CERTIFICATES_READ);
    let security = Access::Permission(permission::SECURITY_READ);
    vec![
        Endpoint::get("/Certificates/{id}", read, || web::get().to(get))
            .summary("One certificate.")
            .query("CollectionId", Parameter::Number, BY_COLLECTION)
            .query("IncludeLocations", Parameter::Flag, "Also where it is deployed.")
            .query("IncludeMetadata", Parameter::Flag, "Also its metadata.")
            .query("IncludeHasPrivateKey", Parameter::Flag, "Also whether the server keeps its key.")
            .query("Verbose", Parameter::Number, "Taken and not used: every answer is whole.")
            .answers::<Certificate>(),
        Endpoint::get("/Certificates/Locations/{id}", read, || web::get().to(locations))
            .summary("Where a certificate was found, by store type.")
            .query("CollectionId", Parameter::Number, BY_COLLECTION)
            .answers::<Locations>(),
        Endpoint::get("/Certificates/{id}/History", read, || web::get().to(operations))
            .summary("What callers did with a certificate, the newest first.")
            .list(history::FIELDS)
            .query("CollectionId", Parameter::Number, BY_COLLECTION)
            .answers_list::<CertificateOperation>(),
        Endpoint::get("/Certificates/{id}/Security", read, || web::get().to(roles))
            .summary("The roles that may do something with a certificate.")
            .query("CollectionId", Parameter::Number, BY_COLLECTION)
            .answers::<CertificateSecurity>(),
        Endpoint::get("/Certificates/{id}/Validate", read, || web::get().to(validate))
            .summary("Whether a certificate is valid now and leads to the root of this installation, check by check.")
            .query("CollectionId", Parameter::Number, BY_COLLECTION)
            .answers::<Validation>(),
        Endpoint::get("/Certificates/IdentityAudit/{id}", security, || web::get().to(callers))
            .summary("The users and tokens that may do something with a certificate, and by which roles.")
            .query("CollectionId", Parameter::Number, "Taken and not used: whoever may read roles sees all.")
            .answers_list::<IdentityAccess>(),
    ]
}

/// What changes certificates on record.
pub(super) fn changes() -> Vec<Endpoint> {
    let revocation = Access::Permission(permission::CERTIFICATES_REVOKE);
    let metadata = Access::Permission(permission::CERTIFICATES_METADATA);
    let owner = Access::Permission(permission::CERTIFICATES_OWNER);
    vec![
        Endpoint::post("/Certificates/Revoke", revocation, || web::post().to(revoke))
            .summary("Revokes certificates of the embedded authority, puts them on hold, or takes them off it; all of them, or none.")
            .body::<Revoke>()
            .answers::<Revoked>()
            .example(r#"{"CertificateIds": [{{certificate}}], "Reason": 4, "Comment": "replaced"}"#),
        Endpoint::post("/Certificates/RevokeAll", revocation, || web::post().to(revoke_all))
            .summary("Revokes the certificates that match a query; all of them, or none.")
            .query("CollectionId", Parameter::Number, "Only those of this collection.")
            .body::<RevokeAll>()
            .answers::<Revoked>()
            .example(r#"{"Query": "IssuedCN -eq \"old.example.test\"", "Reason": "CertificateHold", "Comment": "lost"}"#),
        Endpoint::put("/Certificates/Metadata", metadata, || web::put().to(update_metadata))
            .summary("Changes metadata of a certificate; fields that are not named stay.")
            .query("CollectionId", Parameter::Number, BY_COLLECTION)
            .body::<UpdateMetadata>()
            .example(r#"{"Id": {{certificate}}, "Metadata": {"{{metadata_field}}": "web team"}}"#),
        Endpoint::put("/Certificates/Metadata/All", metadata, || web::put().to(update_all_metadata))
            .summary("Changes metadata of many certificates, all or none: of a list, or of those that match a query.")
            .query("CollectionId", Parameter::Number, "Only those of this collection.")
            .body::<UpdateAllMetadata>()
            .example(
                r#"{"Query": "IssuedCN -eq \"www.example.test\"", "Metadata":
                    [{"MetadataName": "{{metadata_field}}", "Value": "web team", "OverwriteExisting": true}]}"#,
            ),
        Endpoint::put("/Certificates/{id}/Owner", owner, || web::put().to(change_owner))
            .summary("Makes a role the owner of a certificate.")
            .query("CollectionId", Parameter::Number, BY_COLLECTION)
            .body::<ChangeOwner>()
            .example(r#"{"NewRoleName": "{{role_name}}"}"#),
    ]
}

async fn list(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (certificates, total) = search::list(&mut db, &caller, &authority, &query, floor.now()).await?;
    Ok(in_both_versions(answer::list(&certificates, total)))
}

/// JSON is the answer unless a caller asks for text alone: clients read every answer as JSON.
async fn csv(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    query: ListQuery,
    request: actix_web::HttpRequest,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let text = super::super::csv::csv(&mut db, &caller, &authority, &query, floor.now()).await?;
    let accepted = request.headers().get("accept").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let accepted = accepted.to_ascii_lowercase();
    let plain = accepted.contains("text/") && !accepted.contains("json") && !accepted.contains("*/*");
    Ok(match plain {
        true => HttpResponse::Ok().content_type("text/csv; charset=utf-8").body(text),
        false => json(&text),
    })
}

async fn get(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    id: Path<String>,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    let id = certificate_id(&id)?;
    let mut db = floor.database.reports.acquire().await?;
    let found = search::get(&mut db, &caller, &authority, id, &query, floor.now()).await?;
    Ok(in_both_versions(json(&found)))
}

async fn locations(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    let id = certificate_id(&id)?;
    let mut db = floor.database.reports.acquire().await?;
    Ok(json(&search::locations(&mut db, &caller, id, &query, floor.now()).await?))
}

async fn operations(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    let id = certificate_id(&id)?;
    let mut db = floor.database.reports.acquire().await?;
    let (rows, total) = history::list(&mut db, &caller, id, &query, floor.now()).await?;
    Ok(answer::list(&rows, total))
}

async fn roles(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    let (id, collection) = (certificate_id(&id)?, collection_id(&query)?);
    let mut db = floor.database.reports.acquire().await?;
    Ok(json(&access::roles(&mut db, &caller, id, collection, floor.now()).await?))
}

async fn validate(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    id: Path<String>,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    let (id, collection) = (certificate_id(&id)?, collection_id(&query)?);
    let mut db = floor.database.reports.acquire().await?;
    Ok(json(&validation::validate(&mut db, &authority, &caller, id, collection, floor.now()).await?))
}

async fn callers(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let id = certificate_id(&id)?;
    let mut db = floor.database.reports.acquire().await?;
    Ok(json(&access::callers(&mut db, &caller, id, floor.now()).await?))
}

async fn compare_metadata(
    floor: Data<Floor>,
    caller: Principal,
    query: ListQuery,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    Ok(json(&metadata::compare(&mut db, &caller, &query, floor.now()).await?))
}

async fn revoke(
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
    Ok(published(&floor, &authority, &revoked).await)
}

async fn revoke_all(
    floor: Data<Floor>,
    authority: Data<Authority>,
    caller: Principal,
    query: ListQuery,
    Body(request): Body<RevokeAll>,
) -> Result<HttpResponse, Failure> {
    let collection = collection_id(&query)?;
    let mut db = floor.database.main.acquire().await?;
    let mut transaction = db.begin().await?;
    let revoked = revocation::revoke_all(&mut transaction, &caller, request, collection, floor.now()).await?;
    transaction.commit().await?;
    drop(db);
    Ok(published(&floor, &authority, &revoked).await)
}

/// The revocation list is signed at once; should that fail, the sweep does it.
async fn published(floor: &Floor, authority: &Authority, revoked: &Revoked) -> HttpResponse {
    if let Err(error) = publish_revocation_lists(floor, authority).await {
        tracing::warn!("the revocation list could not be signed at once: {error}");
    }
    in_both_versions(json(revoked))
}

async fn update_metadata(
    floor: Data<Floor>,
    caller: Principal,
    query: ListQuery,
    Body(request): Body<UpdateMetadata>,
) -> Result<HttpResponse, Failure> {
    let collection = collection_id(&query)?;
    let mut transaction = floor.database.main.begin().await?;
    metadata::update(&mut transaction, &caller, request, collection, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::no_content())
}

async fn update_all_metadata(
    floor: Data<Floor>,
    caller: Principal,
    query: ListQuery,
    Body(request): Body<UpdateAllMetadata>,
) -> Result<HttpResponse, Failure> {
    let collection = collection_id(&query)?;
    let mut transaction = floor.database.main.begin().await?;
    metadata::update_all(&mut transaction, &caller, request, collection, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::no_content())
}

async fn change_owner(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
    query: ListQuery,
    Body(request): Body<ChangeOwner>,
) -> Result<HttpResponse, Failure> {
    let (id, collection) = (certificate_id(&id)?, collection_id(&query)?);
    let mut transaction = floor.database.main.begin().await?;
    owner::change(&mut transaction, &caller, id, &request, collection, floor.now()).await?;
    transaction.commit().await?;
    Ok(answer::no_content())
}
