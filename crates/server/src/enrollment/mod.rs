//! Enrollment: obtaining certificates through the server, and sending them to stores.
//!
//! A call is checked (`draft`), admitted by a template (`authority`), and filed (`filing`): issued and put on record at
//! once, or kept until someone decides (`decision`). `pfx`, `csr` and `renewal` are the ways to ask; `certificates` packs what
//! is handed out. `deploy` says what goes where, `delivery` schedules it, or keeps it until its certificate is there.
//! `requests` and `instances` show what was asked, `context` shows what may be asked.

mod access;
mod context;
mod csr;
mod decision;
mod delivery;
mod deploy;
mod draft;
mod error;
mod filing;
mod format;
mod instances;
mod pfx;
mod queries;
mod renewal;
mod requests;
mod routes;

use actix_web::web;
use sealift_protocol::operator::enrollment as wire;

use crate::authority::template::answer::FIELDS as TEMPLATE_FIELDS;
use crate::http::route::{Access, Endpoint, Parameter};
use crate::security::permission;

/// The routes of this slice.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = enrollment_endpoints();
    endpoints.extend(delivery_endpoints());
    endpoints.extend(context_endpoints());
    endpoints.extend(request_endpoints());
    endpoints.extend(instance_endpoints());
    endpoints
}

fn enrollment_endpoints() -> Vec<Endpoint> {
    let pfx = Access::Permission(permission::ENROLL_PFX);
    let csr = Access::Permission(permission::ENROLL_CSR);
    let read = Access::Permission(permission::CERTIFICATES_READ);
    let collection = "A collection that holds the certificate, for callers with no wider grant.";
    vec![
        Endpoint::post("/Enrollment/PFX", pfx, || web::post().to(routes::enroll_pfx))
            .summary("Issues a certificate with a key that the server makes and keeps.")
            .body::<wire::EnrollPfx>()
            .answers::<wire::EnrolledPfx>()
            .example(
                r#"{"Subject": "CN=www.example.test", "Template": "TLSServer",
                    "SANs": {"dns": ["www.example.test", "*.example.test"]}}"#,
            ),
        Endpoint::post("/Enrollment/CSR", csr, || web::post().to(routes::enroll_csr))
            .summary("Issues a certificate for the key of a certificate request.")
            .body::<wire::EnrollCsr>()
            .answers::<wire::EnrolledCsr>()
            .example(r#"{"CSR": "{{csr}}", "Template": "TLSServer", "IncludeChain": true}"#),
        Endpoint::post("/Enrollment/CSR/Parse", csr, || web::post().to(routes::parse_csr))
            .summary("What a certificate request says.")
            .body::<wire::ParseCsr>()
            .answers_list::<String>()
            .example(r#"{"CSR": "{{csr}}"}"#),
        Endpoint::post("/Enrollment/Renew", pfx, || web::post().to(routes::renew))
            .summary("Issues the successor of a certificate.")
            .query("CollectionId", Parameter::Number, collection)
            .body::<wire::Renew>()
            .answers::<wire::Renewed>()
            .example(r#"{"CertificateId": {{certificate}}, "Timestamp": "2026-05-04T09:30:00Z"}"#),
        Endpoint::get("/Enrollment/AvailableRenewal/Id/{id}", read, || web::get().to(routes::renewal_by_id))
            .summary("How a certificate can be renewed, by its id.")
            .query("CollectionId", Parameter::Number, collection)
            .answers::<wire::AvailableRenewal>(),
        Endpoint::get("/Enrollment/AvailableRenewal/Thumbprint/{thumbprint}", read, || {
            web::get().to(routes::renewal_by_thumbprint)
        })
        .summary("How a certificate can be renewed, by its thumbprint.")
        .query("CollectionId", Parameter::Number, collection)
        .answers::<wire::AvailableRenewal>(),
    ]
}

fn delivery_endpoints() -> Vec<Endpoint> {
    let pfx = Access::Permission(permission::ENROLL_PFX);
    vec![
        Endpoint::post("/Enrollment/PFX/Deploy", pfx, || web::post().to(routes::deploy_pfx))
            .summary("Schedules a certificate's delivery to stores, each judged by itself.")
            .body::<wire::Deploy>()
            .answers::<wire::Deployed>()
            .example(r#"{"CertificateId": {{certificate}}, "Stores": [{"StoreId": "{{store}}", "Overwrite": true}]}"#),
        Endpoint::post("/Enrollment/PFX/Replace", pfx, || web::post().to(routes::replace_pfx))
            .summary("Schedules a certificate's delivery to every store that holds an older one.")
            .body::<wire::Replace>()
            .answers::<wire::Deployed>()
            .example(r#"{"ExistingCertificateId": {{certificate}}, "CertificateId": {{other_certificate}}}"#),
    ]
}

fn context_endpoints() -> Vec<Endpoint> {
    let pfx = Access::Permission(permission::ENROLL_PFX);
    let csr = Access::Permission(permission::ENROLL_CSR);
    let patterns = Access::Permission(permission::PATTERNS_READ);
    vec![
        Endpoint::get("/Enrollment/PFX/Context/My", pfx, || web::get().to(routes::context::pfx))
            .summary("Templates by which the caller may enroll with a key that the server makes.")
            .answers::<wire::EnrollmentContext>(),
        Endpoint::get("/Enrollment/CSR/Context/My", csr, || web::get().to(routes::context::csr))
            .summary("Templates by which the caller may enroll with a certificate request.")
            .answers::<wire::EnrollmentContext>(),
        Endpoint::get("/Enrollment/Settings/{id}", Access::Authenticated, || {
            web::get().to(routes::context::settings)
        })
        .summary("The rules of a template for those who may enroll.")
        .answers::<wire::EnrollmentSettings>(),
        Endpoint::get("/EnrollmentPatterns", patterns, || web::get().to(routes::context::patterns))
            .summary("Enrollment patterns: one stands for each template.")
            .list(TEMPLATE_FIELDS)
            .answers_list::<wire::EnrollmentPattern>(),
        Endpoint::get("/EnrollmentPatterns/{id}", patterns, || web::get().to(routes::context::pattern))
            .summary("One enrollment pattern.")
            .answers::<wire::EnrollmentPattern>(),
    ]
}

fn request_endpoints() -> Vec<Endpoint> {
    let read = Access::Permission(permission::WORKFLOW_READ);
    let decide = Access::Permission(permission::WORKFLOW_PARTICIPATE);
    vec![
        Endpoint::get("/Workflow/Certificates/Pending", read, || web::get().to(routes::workflow::pending))
            .summary("Enrollment requests that wait for approval.")
            .list(requests::FIELDS)
            .answers_list::<wire::CertificateRequest>(),
        Endpoint::get("/Workflow/Certificates/Denied", read, || web::get().to(routes::workflow::denied))
            .summary("Enrollment requests that were denied.")
            .list(requests::FIELDS)
            .answers_list::<wire::CertificateRequest>(),
        Endpoint::get("/Workflow/Certificates/ExternalValidation", read, || {
            web::get().to(routes::workflow::external_validation)
        })
        .summary("Enrollment requests that wait for someone outside; the embedded authority asks nobody.")
        .list(requests::FIELDS)
        .answers_list::<wire::CertificateRequest>(),
        Endpoint::get("/Workflow/Certificates/{id}", read, || web::get().to(routes::workflow::request))
            .summary("One enrollment request.")
            .answers::<wire::CertificateRequestDetails>(),
        Endpoint::post("/Workflow/Certificates/Approve", decide, || {
            web::post().to(routes::workflow::approve)
        })
        .summary("Approves enrollment requests, each judged by itself; their certificates are issued.")
        .body_list::<i64>()
        .answers::<wire::RequestDecisions>()
        .example("[{{request}}]"),
        Endpoint::post("/Workflow/Certificates/Deny", decide, || web::post().to(routes::workflow::deny))
            .summary("Denies enrollment requests, each judged by itself.")
            .body::<wire::DenyRequests>()
            .answers::<wire::RequestDecisions>()
            .example(r#"{"Comment": "not ours", "CertificateRequestIds": [{{other_request}}]}"#),
    ]
}

fn instance_endpoints() -> Vec<Endpoint> {
    let all = Access::Permission(permission::INSTANCES_READ_ALL);
    let mine = Access::Permission(permission::INSTANCES_READ_MY);
    let assigned = Access::Permission(permission::INSTANCES_READ_ASSIGNED);
    let decide = Access::Permission(permission::WORKFLOW_PARTICIPATE);
    let manage = Access::Permission(permission::INSTANCES_MANAGE);
    vec![
        Endpoint::get("/Workflow/Instances", all, || web::get().to(routes::workflow::instances))
            .summary("Workflow instances: one for each enrollment.")
            .list(instances::FIELDS)
            .answers_list::<wire::WorkflowInstance>(),
        Endpoint::get("/Workflow/Instances/My", mine, || web::get().to(routes::workflow::my_instances))
            .summary("Workflow instances that the caller began.")
            .list(instances::FIELDS)
            .answers_list::<wire::WorkflowInstance>(),
        Endpoint::get("/Workflow/Instances/AssignedToMe", assigned, || {
            web::get().to(routes::workflow::assigned_instances)
        })
        .summary("Workflow instances that wait for a decision that the caller may make.")
        .list(instances::FIELDS)
        .answers_list::<wire::WorkflowInstance>(),
        Endpoint::get("/Workflow/Instances/{id}", Access::Authenticated, || {
            web::get().to(routes::workflow::instance)
        })
        .summary("One workflow instance.")
        .answers::<wire::WorkflowInstance>(),
        Endpoint::post("/Workflow/Instances/{id}/Stop", manage, || {
            web::post().to(routes::workflow::stop_instance)
        })
        .summary("Ends a workflow instance that waits; its request is denied."),
        Endpoint::post("/Workflow/Instances/{id}/Restart", manage, || {
            web::post().to(routes::workflow::restart_instance)
        })
        .summary("Always refused: enrollments never fail half-way."),
        Endpoint::post("/Workflow/Instances/{id}/Signals", decide, || {
            web::post().to(routes::workflow::signal_instance)
        })
        .summary("Approves or denies the request of a workflow instance.")
        .body::<wire::WorkflowSignal>()
        .example(r#"{"SignalKey": "ApprovalStatus", "Data": {"Approved": true}}"#),
        Endpoint::delete("/Workflow/Instances/{id}", manage, || {
            web::delete().to(routes::workflow::delete_instance)
        })
        .summary("Deletes a workflow instance whose request was denied."),
    ]
}
