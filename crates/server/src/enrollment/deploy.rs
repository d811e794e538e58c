//! `POST /Enrollment/PFX/Deploy`: one management job for each store that can have one; each store is judged by
//! itself (operator contract, chapter 4.3).

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sealift_protocol::operator::enrollment::{Deploy, DeployFailure, DeployStore, Deployed, DeployedJob};
use sealift_protocol::{Secret, StoreId};
use sqlx::PgConnection;

use super::error::Error;
use crate::certificate_stores::{self, Placement, StoreFacts, decide_add, load_facts};
use crate::certificates::{self, CertificateFacts};
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::{self, Cause, NewJob, When};
use crate::security::{Principal, audit, permission};

/// Deploys a certificate that is on record.
pub(super) async fn deploy(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    request: &Deploy,
    now: DateTime<Utc>,
) -> Result<(Deployed, Vec<NewJob>), Failure> {
    caller.require(permission::ENROLL_PFX)?;
    let certificate = certificate(db, request).await?;
    let job_time = request.job_time.map(|time| time.utc());
    let password = request.password.as_ref();
    let stores = match request.stores.is_empty() {
        false => request.stores.clone(),
        true => from_older_form(db, request).await?,
    };
    place(db, floor, caller, &certificate, &stores, password, job_time, now).await
}

/// Places a certificate into stores, as [`Deploy`] and version 2 of the enrollment do.
#[expect(clippy::too_many_arguments, reason = "each is a fact of its own; a struct would only rename them")]
pub(super) async fn place(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    certificate: &CertificateFacts,
    stores: &[DeployStore],
    password: Option<&Secret>,
    job_time: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(Deployed, Vec<NewJob>), Failure> {
    check(stores, floor.configuration.limits.stores_per_call)?;
    let ids: Vec<StoreId> = stores.iter().filter_map(|store| store.store_id).collect();
    let facts = load_facts(db, &ids).await?;
    let when = job_time.filter(|time| *time > now).map_or(When::Now, When::At);
    let mut deployed = Deployed::default();
    let mut jobs = Vec::new();
    for store in stores {
        let Some(id) = store.store_id else { continue };
        let placement = Placement {
            alias: store.alias.clone(),
            overwrite: store.overwrite,
            include_private_key: certificate.has_key
                && facts.get(&id).is_none_or(|facts| facts.private_key != 0),
            job_fields: store.properties.clone(),
            entry_password: password.cloned(),
            replaced: None,
        };
        match decide(floor, &facts, id, certificate, &placement, caller, when, now) {
            Ok(job) => {
                deployed.successful_stores.push(id);
                deployed.jobs.push(DeployedJob { store_id: id, job_id: job.id });
                jobs.push(job);
            }
            Err(error) => {
                let failure = Failure::from(error);
                deployed.failed_stores.push(id);
                let (error_code, message) = (failure.code().to_string(), failure.message().to_owned());
                deployed.failures.push(DeployFailure { store_id: id, error_code, message });
            }
        }
    }
    let cause = Cause::call(caller.name());
    let queued: Vec<_> = jobs.iter().map(|job| (cause.clone(), job.clone())).collect();
    orchestrator_jobs::schedule(db, &queued, floor.configuration.jobs.max_attempts, now).await?;
    let (good, bad) = (jobs.len(), deployed.failed_stores.len());
    let line = audit::Line {
        actor: caller.name().to_owned(),
        operation: audit::Operation::ScheduledAdd,
        entity_type: "Certificate",
        entity_id: certificate.id.to_string(),
        message: format!(
            "scheduled the deployment of certificate {} to {good} stores; {bad} refused",
            certificate.id
        ),
    };
    audit::record(db, &[line], now).await?;
    Ok((deployed, jobs))
}

#[expect(clippy::too_many_arguments, reason = "each is a fact of its own; a struct would only rename them")]
fn decide(
    floor: &Floor,
    facts: &HashMap<StoreId, StoreFacts>,
    id: StoreId,
    certificate: &CertificateFacts,
    placement: &Placement,
    caller: &Principal,
    when: When,
    now: DateTime<Utc>,
) -> Result<NewJob, certificate_stores::Error> {
    let store = facts.get(&id).ok_or(certificate_stores::Error::UnknownStore(id))?;
    decide_add(store, certificate, placement, caller, &floor.sealing, when, now)
}

/// The certificate named by `CertificateId`, else by `RequestId`; 0 means not given. The authority issues at once
/// and numbers requests as it numbers certificates.
async fn certificate(db: &mut PgConnection, request: &Deploy) -> Result<CertificateFacts, Failure> {
    let given = |id: Option<i64>| id.filter(|id| *id > 0);
    let (member, id) = match (given(request.certificate_id), given(request.request_id)) {
        (Some(id), _) => ("CertificateId", id),
        (None, Some(id)) => ("RequestId", id),
        (None, None) => {
            return Err(Error::Invalid("CertificateId or RequestId is required".to_owned()).into());
        }
    };
    let found = certificates::facts(db, &[id]).await?.pop();
    found.ok_or_else(|| Error::Invalid(format!("{member}: certificate {id} was not found")).into())
}

fn check(stores: &[DeployStore], limit: usize) -> Result<(), Error> {
    let invalid = |message: String| Err(Error::Invalid(message));
    if stores.is_empty() {
        return invalid("Stores must name at least one store".to_owned());
    }
    if stores.len() > limit {
        return invalid(format!("Stores names {} stores; at most {limit} fit in one call", stores.len()));
    }
    let mut seen = HashSet::with_capacity(stores.len());
    for (index, store) in stores.iter().enumerate() {
        match store.store_id {
            None => return invalid(format!("Stores[{index}].StoreId is required")),
            Some(id) if !seen.insert(id) => {
                return invalid(format!("Stores[{index}]: certificate store {id} is named twice"));
            }
            Some(_) => {}
        }
    }
    Ok(())
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
