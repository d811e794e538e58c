//! Certificates: records of all that were issued or found, their private keys, collections, and search.
//!
//! A certificate is the same by the SHA-256 of its bytes, whoever reports it. Its private key lies in a table of its
//! own, sealed to its row, and leaves it only in a `Bundle` for an agent's job. Whose signature it bears is the
//! `authority` slice's matter; where it is deployed is what `certificate_stores` learned from agents and is only read
//! here.

mod answer;
mod collection;
mod error;
mod fields;
mod queries;
mod record;
mod revocation;
mod routes;
mod search;
mod supply;

use actix_web::web;
use sealift_protocol::operator::certificates::{Certificate, Collection, CreateCollection, Revoke, Revoked};

use crate::http::route::{Access, Endpoint, Parameter};
use crate::security::permission;

pub(crate) use error::Error;
pub(crate) use fields::filter_statement;
pub(crate) use record::{NewCertificate, record, store_key};
pub(crate) use supply::{Bundle, CertificateFacts, bundles, facts, require_readable};

/// The routes of this slice.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let read = Access::Permission(permission::CERTIFICATES_READ);
    let revoke = Access::Permission(permission::CERTIFICATES_REVOKE);
    let modify = Access::Permission(permission::COLLECTIONS_MODIFY);
    vec![
        Endpoint::get("/Certificates", read, || web::get().to(routes::list))
            .summary("Certificates that were issued, imported or found by inventory.")
            .list(fields::CERTIFICATES)
            .query("CollectionId", Parameter::Number, "Only those of this collection.")
            .query("IncludeLocations", Parameter::Flag, "Also where they are deployed.")
            .query("IncludeMetadata", Parameter::Flag, "Also their metadata.")
            .query("IncludeHasPrivateKey", Parameter::Flag, "Also whether the server keeps their keys.")
            .query("IncludeRevoked", Parameter::Flag, "Revoked ones, too.")
            .query("IncludeExpired", Parameter::Flag, "Expired ones, too.")
            .answers_list::<Certificate>(),
        Endpoint::get("/Certificates/{id}", read, || web::get().to(routes::get))
            .summary("One certificate.")
            .query(
                "CollectionId",
                Parameter::Number,
                "A collection that holds it, for callers with no wider grant.",
            )
            .query("IncludeLocations", Parameter::Flag, "Also where it is deployed.")
            .query("IncludeMetadata", Parameter::Flag, "Also its metadata.")
            .query("IncludeHasPrivateKey", Parameter::Flag, "Also whether the server keeps its key.")
            .answers::<Certificate>(),
        Endpoint::post("/Certificates/Revoke", revoke, || web::post().to(routes::revoke))
            .summary("Revokes certificates of the embedded authority; all of them, or none.")
            .body::<Revoke>()
            .answers::<Revoked>()
            .example(r#"{"CertificateIds": [{{certificate}}], "Reason": 4, "Comment": "replaced"}"#),
        Endpoint::get("/CertificateCollections", read, || web::get().to(routes::collections))
            .summary("Saved certificate queries that carry permissions.")
            .list(collection::FIELDS)
            .answers_list::<Collection>(),
        Endpoint::get("/CertificateCollections/{id}", read, || web::get().to(routes::collection))
            .summary("One collection.")
            .answers::<Collection>(),
        Endpoint::post("/CertificateCollections", modify, || web::post().to(routes::create_collection))
            .summary("Makes a collection.")
            .body::<CreateCollection>()
            .answers::<Collection>()
            .example(r#"{"Name": "Shop", "Query": "IssuedCN -startswith \"shop.\""}"#),
    ]
}
