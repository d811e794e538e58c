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

use crate::http::route::{Access, Endpoint};
use crate::security::permission;

pub(crate) use error::Error;
pub(crate) use record::{NewCertificate, record, store_key};
pub(crate) use supply::{Bundle, CertificateFacts, bundles, facts, require_readable};

/// The routes of this slice.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let read = Access::Permission(permission::CERTIFICATES_READ);
    let revoke = Access::Permission(permission::CERTIFICATES_REVOKE);
    let modify = Access::Permission(permission::COLLECTIONS_MODIFY);
    vec![
        Endpoint::get("/Certificates", read, || web::get().to(routes::list)),
        Endpoint::get("/Certificates/{id}", read, || web::get().to(routes::get)),
        Endpoint::post("/Certificates/Revoke", revoke, || web::post().to(routes::revoke)),
        Endpoint::get("/CertificateCollections", read, || web::get().to(routes::collections)),
        Endpoint::get("/CertificateCollections/{id}", read, || web::get().to(routes::collection)),
        Endpoint::post("/CertificateCollections", modify, || web::post().to(routes::create_collection)),
    ]
}
