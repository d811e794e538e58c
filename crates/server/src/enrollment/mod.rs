//! Enrollment: obtaining certificates through the server, and sending them to stores.
//!
//! A call is checked (`draft`), admitted by a template and signed (`authority`), put on record with its sealed key
//! (`certificates`), and packed for the caller (`packing`); `deploy` schedules its way to stores. This slice has no
//! tables of its own.

mod deploy;
mod draft;
mod error;
mod packing;
mod pfx;
mod routes;

use actix_web::web;
use sealift_protocol::operator::enrollment::{Deploy, Deployed, EnrollPfx, EnrolledPfx};

use crate::http::route::{Access, Endpoint};
use crate::security::permission;

/// The routes of this slice.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let enroll = Access::Permission(permission::ENROLL_PFX);
    vec![

        Endpoint::post("/Enrollment/PFX", enroll, || web::post().to(routes::enroll_pfx))
            .summary("Issues a certificate with a key that the server makes and keeps.")
            .body::<EnrollPfx>()
            .answers::<EnrolledPfx>()
            .example(
                r#"{"Subject": "CN=www.example.test", "Template": "TLSServer",
                    "SANs": {"dns": ["www.example.test", "*.example.test"]}}"#,
            ),
        Endpoint::post("/Enrollment/PFX/Deploy", enroll, || web::post().to(routes::deploy_pfx))
            .summary("Schedules a certificate's delivery to stores, each judged by itself.")
            .body::<Deploy>()
            .answers::<Deployed>()
            .example(r#"{"CertificateId": {{certificate}}, "Stores": [{"StoreId": "{{store}}", "Overwrite": true}]}"#),
    ]
}
