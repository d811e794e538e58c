//! Enrollment of a certificate whose key the server makes (`POST /Enrollment/PFX`).
//!
//! Serial number, certificate, sealed key and audit line are written in one transaction, which commits only after the
//! answer has been packed: a caller never hears of a certificate that is not on record, and none is on record that
//! could not be handed out.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use sealift_pki::{Certificate, KeyAlgorithm, PrivateKey, SubjectPublicKey};
use sealift_protocol::operator::enrollment::{DeployStore, EnrollPfx, EnrolledPfx, PfxInformation};
use sealift_protocol::{Secret, StoreId, Timestamp};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::Semaphore;

use super::draft::{self, Draft, Format};
use super::error::Error;
use super::{deploy, packing};
use crate::authority::template::{self, Admitted, Template};
use crate::authority::{Authority, Issued};
use crate::certificates::{self, NewCertificate};
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::NewJob;
use crate::security::{Principal, audit, password, permission};

/// RSA keys that are made at a time; each holds a processor for up to seconds.
static RSA_KEYS: Semaphore = Semaphore::const_new(2);
/// Longest wait for the turn to make one.
const RSA_WAIT: Duration = Duration::from_secs(30);

/// How a call of version 2 wants the certificate delivered at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Delivery {
    pub(super) stores: Vec<DeployStore>,
    pub(super) job_time: Option<Timestamp>,
}

/// One call.
pub(super) struct Call {
    pub(super) request: EnrollPfx,
    pub(super) format: Format,
    /// Only in version 2, and only when it names stores.
    pub(super) delivery: Option<Delivery>,
}

/// What the call is answered with. No `Debug`: it holds the key and its password.
pub(super) struct Enrolled {
    pub(super) answer: EnrolledPfx,
    pub(super) file_name: String,
    /// Jobs whose agents are to be woken.
    pub(super) jobs: Vec<NewJob>,
}

/// Enrolls a certificate.
///
/// # Errors
/// Each member that is wrong by its name, what the template and the authority refuse, and a missing permission.
pub(super) async fn enroll(
    floor: &Floor,
    authority: &Authority,
    caller: &Principal,
    call: Call,
    now: DateTime<Utc>,
) -> Result<Enrolled, Error> {
    caller.require(permission::ENROLL_PFX)?;
    let draft = draft::read(call.request)?;
    authority.require_enrolling(draft.authority.as_deref())?;
    let template = {
        let mut db = floor.database.main.acquire().await?;
        template::find(&mut db, &draft.template).await?
    };
    let algorithm = draft.key.unwrap_or_else(|| template.default_key());
    let roles = caller.roles().iter().map(String::as_str);
    let admitted = template.admit(roles, &draft.subject, &draft.names, algorithm)?;
    let key = make_key(algorithm).await?;

    let mut db = floor.database.main.acquire().await?;
    let mut transaction = db.begin().await?;
    let new = New { draft: &draft, template: &template, admitted, key: &key };
    let (issued, id) = put_on_record(&mut transaction, floor, authority, caller, new, now).await?;
    let (delivered, jobs) = match call.delivery {
        Some(delivery) => {
            deliver(&mut transaction, floor, caller, id, &delivery, draft.password.as_ref(), now).await?
        }
        None => (None, Vec::new()),
    };
    let mut enrolled = hand_out(authority, draft, call.format, issued, id, key).await?;
    transaction.commit().await?;
    enrolled.answer.successful_stores = delivered;
    Ok(Enrolled { jobs, ..enrolled })
}

/// Sends the new certificate to stores; the stores that got a job, and the jobs.
async fn deliver(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    id: i64,
    delivery: &Delivery,
    password: Option<&Secret>,
    now: DateTime<Utc>,
) -> Result<(Option<Vec<StoreId>>, Vec<NewJob>), Error> {
    let facts = certificates::facts(db, &[id]).await?.pop().ok_or(sqlx::Error::RowNotFound)?;
    let at = delivery.job_time.map(Timestamp::utc);
    let (deployed, jobs) =
        deploy::place(db, floor, caller, &facts, &delivery.stores, password, at, now).await?;
    Ok((Some(deployed.successful_stores), jobs))
}

/// Makes a key on a thread of its own. RSA keys wait for their turn, others do not wait for them.
async fn make_key(algorithm: KeyAlgorithm) -> Result<PrivateKey, Error> {
    let _turn = match algorithm {
        KeyAlgorithm::Rsa(_) => {
            let turn = tokio::time::timeout(RSA_WAIT, RSA_KEYS.acquire()).await;
            Some(turn.map_err(|_| Error::Busy)?.map_err(|_| Error::Busy)?)
        }
        _ => None,
    };
    Ok(tokio::task::spawn_blocking(move || PrivateKey::generate(algorithm)).await??)
}

/// A certificate about to be issued.
struct New<'a> {
    draft: &'a Draft,
    template: &'a Template,
    admitted: Admitted,
    key: &'a PrivateKey,
}

async fn put_on_record(
    db: &mut PgConnection,
    floor: &Floor,
    authority: &Authority,
    caller: &Principal,
    new: New<'_>,
    now: DateTime<Utc>,
) -> Result<(Issued, i64), Error> {
    let leaf = new.admitted.for_key(SubjectPublicKey::from(new.key));
    let issued = authority.issue(db, &leaf, now).await?;
    let record = NewCertificate {
        certificate: issued.certificate.clone(),
        authority_id: Some(issued.authority_id),
        template_id: Some(new.template.id),
        requester: Some(caller.name().to_owned()),
        metadata: new.draft.metadata.clone(),
    };
    let ids = certificates::record(db, &[record], now).await?;
    let id = ids.first().copied().ok_or(sqlx::Error::RowNotFound)?;
    certificates::store_key(db, &floor.sealing, id, new.key, now).await?;
    let message = format!(
        "certificate {} with thumbprint {} was enrolled by template '{}'",
        issued.certificate.subject(),
        issued.certificate.thumbprint(),
        new.template.short_name
    );
    let line = audit::Line::new(caller, audit::Operation::Created, "Certificate", id, message);
    audit::record(db, &[line], now).await?;
    Ok((issued, id))
}

async fn hand_out(
    authority: &Authority,
    draft: Draft,
    format: Format,
    issued: Issued,
    id: i64,
    key: PrivateKey,
) -> Result<Enrolled, Error> {
    let mut certificates = vec![issued.certificate.clone()];
    if draft.include_chain {
        for der in authority.chain(issued.authority_id) {
            certificates.push(Certificate::parse(&der)?);
        }
        certificates.push(authority.root().clone());
    }
    let (password, made) = match draft.password {
        Some(given) => (given, None),
        None => {
            let made = password::made_up().map_err(Failure::from)?;
            (made.clone(), Some(made))
        }
    };
    let parcel = packing::Parcel {
        key,
        certificates,
        friendly_name: draft.friendly_name,
        password,
        format,
        chain_order: draft.chain_order,
        legacy_encryption: draft.legacy_encryption,
    };
    let blob = tokio::task::spawn_blocking(move || packing::pack(parcel)).await??;
    let certificate = &issued.certificate;
    let information = PfxInformation {
        serial_number: certificate.serial_number().to_string(),
        issuer_dn: certificate.issuer().to_string(),
        thumbprint: certificate.thumbprint().to_string(),
        keyfactor_id: id,
        pkcs12_blob: Secret::new(STANDARD.encode(&blob)),
        password: made,
        keyfactor_request_id: 0,
        request_disposition: "ISSUED".to_owned(),
        disposition_message: String::new(),
        enrollment_context: None,
        store_ids_invalid_for_renewal: Vec::new(),
        chain_failed_to_build: false,
    };
    Ok(Enrolled {
        file_name: packing::file_name(certificate, format),
        answer: EnrolledPfx {
            successful_stores: None,
            certificate_information: information,
            metadata: draft.metadata,
        },
        jobs: Vec::new(),
    })
}
