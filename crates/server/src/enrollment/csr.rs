//! Enrollment with a certificate request of the caller's own (`POST /Enrollment/CSR`), and what such a request says
//! (`POST /Enrollment/CSR/Parse`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use sealift_protocol::operator::enrollment::{CsrInformation, EnrollCsr, EnrolledCsr, ParseCsr};
use sqlx::Connection as _;

use super::draft::{self, CsrDraft};
use super::error::Error;
use super::filing::{self, Filed, Order};
use super::format::CsrFormat;
use super::pfx;
use crate::authority::template::{EnrollmentKind, Wish};
use crate::authority::{Authority, names};
use crate::certificates;
use crate::floor::Floor;
use crate::security::{Principal, permission};

/// What the call is answered with.
pub(super) struct Enrolled {
    pub(super) answer: EnrolledCsr,
    /// None while the request waits.
    pub(super) file_name: Option<String>,
}

/// Enrolls a certificate for the key of a request.
///
/// # Errors
/// Each member that is wrong by its name, what the template and the authority refuse, and a missing permission.
pub(super) async fn enroll(
    floor: &Floor,
    authority: &Authority,
    caller: &Principal,
    request: EnrollCsr,
    format: CsrFormat,
    now: DateTime<Utc>,
) -> Result<Enrolled, Error> {
    caller.require(permission::ENROLL_CSR)?;
    // Verifying the request's signature takes up to a millisecond.
    let mut draft = tokio::task::spawn_blocking(move || draft::read_csr(request)).await??;
    authority.require_enrolling(draft.wishes.authority.as_deref())?;
    let mut db = floor.database.main.acquire().await?;
    let template = filing::template(&mut db, &draft.wishes).await?;
    draft.wishes.metadata = certificates::metadata_of_new(&mut db, &draft.wishes.metadata).await?;
    let admitted = template.admit(Wish {
        roles: Some(caller.roles()),
        kind: EnrollmentKind::Csr,
        subject: draft.csr.subject(),
        names: &draft.wishes.names,
        key: draft.csr.key_algorithm(),
    })?;
    let order = Order {
        kind: EnrollmentKind::Csr,
        fields: filing::fields(&template, &draft.wishes.fields)?,
        owner_role_id: filing::owner(&mut db, &draft.wishes).await?.map(|role| role.id),
        template,
        admitted,
        public_key: draft.csr.public_key().clone(),
        key: draft.key.clone(),
        csr: Some(draft.csr.clone()),
        metadata: draft.wishes.metadata.clone(),
        renewal_of: None,
    };
    let mut transaction = db.begin().await?;
    let filed = filing::file(&mut transaction, floor, authority, caller, &order, now).await?;
    let enrolled = hand_out(authority, draft, format, filed)?;
    transaction.commit().await?;
    Ok(enrolled)
}

fn hand_out(
    authority: &Authority,
    draft: CsrDraft,
    format: CsrFormat,
    filed: Filed,
) -> Result<Enrolled, Error> {
    let mut information = CsrInformation {
        serial_number: String::new(),
        issuer_dn: String::new(),
        thumbprint: String::new(),
        keyfactor_id: 0,
        certificates: Vec::new(),
        keyfactor_request_id: filed.request_id,
        request_disposition: "PENDING".to_owned(),
        disposition_message: pfx::WAITS.to_owned(),
        enrollment_context: None,
        workflow_instance_id: Some(filed.instance_id),
        workflow_reference_id: filed.request_id,
    };
    let mut file_name = None;
    if let Some(recorded) = filed.issued {
        let text = |certificate: &sealift_pki::Certificate| match (format, draft.subject_header) {
            (CsrFormat::Pem, true) => certificates::with_subject(certificate),
            (CsrFormat::Pem, false) => certificate.to_pem(),
            (CsrFormat::Der, _) => STANDARD.encode(certificate.der()),
        };
        let certificate = &recorded.certificate;
        file_name = Some(certificates::file_name(certificate, format.extension()));
        information.certificates =
            pfx::chain(authority, &recorded, draft.include_chain)?.iter().map(text).collect();
        information.serial_number = certificate.serial_number().to_string();
        information.issuer_dn = certificate.issuer().to_string();
        information.thumbprint = certificate.thumbprint().to_string();
        information.keyfactor_id = recorded.id;
        information.keyfactor_request_id = 0;
        information.request_disposition = "ISSUED".to_owned();
        information.disposition_message = String::new();
    }
    let answer = EnrolledCsr { certificate_information: information, metadata: draft.wishes.metadata };
    Ok(Enrolled { answer, file_name })
}

/// What a request says, a line for each property. The contract leaves the wording open.
pub(super) fn parse(caller: &Principal, request: &ParseCsr) -> Result<Vec<String>, Error> {
    caller.require(permission::ENROLL_CSR)?;
    let csr = draft::certificate_request(request.csr.as_deref())?;
    let subject = csr.subject();
    let mut lines = vec![format!("Subject: {subject}")];
    for (part, name) in [
        ("CN", "Common Name"),
        ("O", "Organization"),
        ("OU", "Organizational Unit"),
        ("L", "City/Locality"),
        ("ST", "State/Province"),
        ("C", "Country/Region"),
        ("E", "Email"),
    ] {
        lines.extend(subject.values(part).into_iter().map(|value| format!("{name}: {value}")));
    }
    for name in csr.subject_alternative_names() {
        lines.push(format!("Subject Alternative Name ({}): {name}", names::kind_of(name)));
    }
    let key = csr.key_algorithm();
    lines.push(format!("Key Type: {}", key.family()));
    lines.push(format!("Key Length: {}", key.bits()));
    Ok(lines)
}
