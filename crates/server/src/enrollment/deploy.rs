//! `POST /Enrollment/PFX/Deploy` and `/Replace`: a certificate, or a request whose certificate is still to come, goes
//! to stores (operator contract, chapters 4.3 and 4.4).

use chrono::{DateTime, Utc};
use sealift_protocol::Secret;
use sealift_protocol::operator::enrollment::{Deploy, DeployStore, Deployed, Replace};
use sqlx::PgConnection;

use super::delivery::{self, Delivery, Target};
use super::error::Error;
use super::filing::{DENIED, PENDING};
use super::{access, queries};
use crate::authority::template::EnrollmentKind;
use crate::certificate_stores::load_facts;
use crate::certificates::{self, CertificateFacts};
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::NewJob;
use crate::security::{Principal, audit, permission};

/// What is to be delivered.
enum Source {
    Certificate(CertificateFacts),
    /// A request that waits, and whether its certificate will have its key here.
    Request(i64, bool),
}

/// Deploys a certificate to stores that the caller names.
pub(super) async fn deploy(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    request: &Deploy,
    now: DateTime<Utc>,
) -> Result<(Deployed, Vec<NewJob>), Failure> {
    caller.require(permission::ENROLL_PFX)?;
    delivery::require_scheduling(caller)?;
    let source = source(db, caller, request.certificate_id, request.request_id, now).await?;
    let stores = match request.stores.is_empty() {
        false => request.stores.clone(),
        true => from_older_form(db, request).await?,
    };
    if request.dry_run && matches!(source, Source::Request(..)) {
        let message = "DryRun: the certificate of a request that waits is not there yet".to_owned();
        return Err(Error::Invalid(message).into());
    }
    let mut targets = delivery::targets(&stores, floor.configuration.limits.stores_per_call)?;
    targets.iter_mut().for_each(|target| target.dry_run = request.dry_run);
    let delivery = Delivery {
        targets: &targets,
        password: request.password.as_ref(),
        job_time: request.job_time.map(|time| time.utc()),
        operation: audit::Operation::ScheduledAdd,
    };
    send(db, floor, caller, source, &delivery, now).await
}

/// Replaces a certificate wherever inventories found it.
pub(super) async fn replace(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    request: &Replace,
    now: DateTime<Utc>,
) -> Result<(Deployed, Vec<NewJob>), Failure> {
    caller.require(permission::ENROLL_PFX)?;
    delivery::require_scheduling(caller)?;
    let existing = given(request.existing_certificate_id);
    let existing = existing.ok_or_else(|| Error::Invalid("ExistingCertificateId is required".to_owned()))?;
    if given(request.certificate_id).is_some() && given(request.request_id).is_some() {
        let message = "CertificateId, RequestId: give one of the two, and leave the other out or 0";
        return Err(Error::Invalid(message.to_owned()).into());
    }
    let existing = certificate(db, caller, "ExistingCertificateId", existing, now).await?;
    let source = source(db, caller, request.certificate_id, request.request_id, now).await?;
    if let Source::Certificate(new) = &source
        && new.id == existing.id
    {
        let message = "CertificateId: a certificate cannot replace itself".to_owned();
        return Err(Error::Invalid(message).into());
    }
    let targets = delivery::holders(db, floor, &existing).await?;
    let delivery = Delivery {
        targets: &targets,
        password: request.password.as_ref(),
        job_time: request.job_time.map(|time| time.utc()),
        operation: audit::Operation::ScheduledReplacement,
    };
    send(db, floor, caller, source, &delivery, now).await
}

/// Sends a new certificate, or one that is awaited, where the caller of an enrollment or a renewal wants it.
pub(super) async fn send_new(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    (certificate_id, request_id, has_key): (Option<i64>, i64, bool),
    targets: &[Target],
    (password, job_time): (Option<&Secret>, Option<DateTime<Utc>>),
    now: DateTime<Utc>,
) -> Result<(Deployed, Vec<NewJob>), Failure> {
    let source = match certificate_id {
        Some(id) => Source::Certificate(facts(db, "CertificateId", id).await?),
        None => Source::Request(request_id, has_key),
    };
    let operation = audit::Operation::ScheduledAdd;
    send(db, floor, caller, source, &Delivery { targets, password, job_time, operation }, now).await
}

async fn send(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    source: Source,
    delivery: &Delivery<'_>,
    now: DateTime<Utc>,
) -> Result<(Deployed, Vec<NewJob>), Failure> {
    match source {
        Source::Certificate(facts) => delivery::place(db, floor, caller, &facts, delivery, now).await,
        Source::Request(id, has_key) => {
            Ok((delivery::wait(db, floor, caller, id, has_key, delivery, now).await?, Vec::new()))
        }
    }
}

/// Clients that cannot leave an id out send 0.
fn given(id: Option<i64>) -> Option<i64> {
    id.filter(|id| *id > 0)
}

/// The certificate named by `CertificateId`, else the request named by `RequestId`.
async fn source(
    db: &mut PgConnection,
    caller: &Principal,
    certificate_id: Option<i64>,
    request_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<Source, Failure> {
    match (given(certificate_id), given(request_id)) {
        (Some(id), _) => Ok(Source::Certificate(certificate(db, caller, "CertificateId", id, now).await?)),
        (None, Some(id)) => requested(db, caller, id, now).await,
        (None, None) => Err(Error::Invalid("CertificateId or RequestId is required".to_owned()).into()),
    }
}

async fn requested(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    now: DateTime<Utc>,
) -> Result<Source, Failure> {
    let not_found = || Error::Invalid(format!("RequestId: enrollment request {id} was not found"));
    let request = queries::request_facts(db, id).await?.ok_or_else(not_found)?;
    match (request.state, request.certificate_id) {
        (DENIED, _) => Err(Error::Invalid(format!("RequestId: enrollment request {id} was denied")).into()),
        (PENDING, _) => {
            if request.requester != caller.name() {
                caller.require(permission::CERTIFICATES_READ)?;
            }
            let has_key = request.kind == EnrollmentKind::Pfx as i16 && request.keeps_keys;
            Ok(Source::Request(request.id, has_key))
        }
        (_, Some(issued)) => {
            Ok(Source::Certificate(certificate(db, caller, "RequestId", issued, now).await?))
        }
        (_, None) => Err(not_found().into()),
    }
}

async fn certificate(
    db: &mut PgConnection,
    caller: &Principal,
    member: &str,
    id: i64,
    now: DateTime<Utc>,
) -> Result<CertificateFacts, Failure> {
    access::require_usable(db, caller, id, now).await?;
    facts(db, member, id).await
}

async fn facts(db: &mut PgConnection, member: &str, id: i64) -> Result<CertificateFacts, Failure> {
    let found = certificates::facts(db, &[id]).await?.pop();
    found.ok_or_else(|| Error::Invalid(format!("{member}: certificate {id} was not found")).into())
}

/// `StoreIds` with `StoreTypes`: what is said of a type applies to every store of that type.
async fn from_older_form(db: &mut PgConnection, request: &Deploy) -> Result<Vec<DeployStore>, Failure> {
    if request.store_ids.is_empty() {
        return Err(Error::Invalid("Stores or StoreIds is required".to_owned()).into());
    }
    let facts = load_facts(db, &request.store_ids).await?;
    let stores = request.store_ids.iter().map(|id| {
        let kind = facts.get(id).map(|facts| facts.store_type);
        let wish = request
            .store_types
            .iter()
            .find(|wish| wish.store_type_id.is_some() && wish.store_type_id == kind);
        DeployStore {
            store_id: Some(*id),
            alias: wish.and_then(|wish| wish.alias.clone()),
            overwrite: wish.is_some_and(|wish| wish.overwrite),
            properties: wish
                .map(|wish| wish.properties.iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect())
                .unwrap_or_default(),
        }
    });
    Ok(stores.collect())
}
