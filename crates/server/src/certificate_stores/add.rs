//! `POST /CertificateStores/Certificates/Add`: one management job for each store, all or none.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use sealift_protocol::operator::certificate_stores::{AddCertificate, AddToStore};
use sealift_protocol::{JobId, StoreId};
use sqlx::PgConnection;

use super::error::Error;
use super::queries;
use super::target::{Placement, StoreFacts, check_password, decide_add, load_facts};
use crate::certificates::{self, CertificateFacts};
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::{self, Cause, NewJob, when};
use crate::security::{Principal, audit};

/// One call, with who makes it.
#[derive(Debug, Clone)]
pub(crate) struct AddCall {
    pub(crate) caller: Principal,
    pub(crate) request: AddCertificate,
}

/// What all calls of a group need, loaded once.
struct Loaded {
    stores: HashMap<StoreId, StoreFacts>,
    certificates: HashMap<i64, CertificateFacts>,
    /// Aliases that are taken, with the thumbprint of their certificate.
    taken: HashMap<(StoreId, String), Option<String>>,
}

/// Decides each call by itself and schedules the jobs of all that are accepted, in the caller's transaction.
///
/// # Errors
/// The outer error means that nothing of the group may be committed.
pub(crate) async fn add_all(
    db: &mut PgConnection,
    floor: &Floor,
    calls: &[AddCall],
    now: DateTime<Utc>,
) -> Result<Vec<Result<Vec<NewJob>, Failure>>, Failure> {
    let loaded = load(db, calls).await?;
    let mut answers = Vec::with_capacity(calls.len());
    let mut jobs = Vec::new();
    let mut lines = Vec::new();
    for call in calls {
        let readable = readable(db, call, now).await;
        let decided = match readable {
            Ok(()) => decide(floor, call, &loaded, now).map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        if let Ok(made) = &decided {
            let cause = Cause::call(call.caller.name());
            jobs.extend(made.iter().map(|job| (cause.clone(), job.clone())));
            lines.push(audit_line(call, made));
        }
        answers.push(decided);
    }
    orchestrator_jobs::schedule(db, &jobs, floor.configuration.jobs.max_attempts, now).await?;
    audit::record(db, &lines, now).await?;
    Ok(answers)
}

fn audit_line(call: &AddCall, jobs: &[NewJob]) -> audit::Line {
    let certificate = call.request.certificate_id.unwrap_or_default();
    audit::Line {
        actor: call.caller.name().to_owned(),
        operation: audit::Operation::ScheduledAdd,
        entity_type: "Certificate",
        entity_id: certificate.to_string(),
        message: match call.request.dry_run {
            true => format!("scheduled dry runs of certificate {certificate} for {} stores", jobs.len()),
            false => format!("scheduled the addition of certificate {certificate} to {} stores", jobs.len()),
        },
    }
}

async fn load(db: &mut PgConnection, calls: &[AddCall]) -> Result<Loaded, Failure> {
    let targets = || calls.iter().flat_map(|call| &call.request.certificate_stores);
    let stores: BTreeSet<StoreId> = targets().filter_map(|target| target.certificate_store_id).collect();
    let certificates: BTreeSet<i64> = calls.iter().filter_map(|call| call.request.certificate_id).collect();
    let aliases: Vec<(StoreId, String)> = targets()
        .filter(|target| !target.overwrite)
        .filter_map(|target| Some((target.certificate_store_id?, target.alias.clone()?)))
        .collect();
    let facts = certificates::facts(db, &certificates.into_iter().collect::<Vec<_>>()).await?;
    Ok(Loaded {
        stores: load_facts(db, &stores.into_iter().collect::<Vec<_>>()).await?,
        certificates: facts.into_iter().map(|facts| (facts.id, facts)).collect(),
        taken: if aliases.is_empty() { HashMap::new() } else { queries::taken_aliases(db, &aliases).await? },
    })
}

async fn readable(db: &mut PgConnection, call: &AddCall, now: DateTime<Utc>) -> Result<(), Failure> {
    let Some(certificate) = call.request.certificate_id.filter(|id| *id != 0) else {
        return Err(Error::Invalid("CertificateId is required".to_owned()).into());
    };
    certificates::require_readable(db, &call.caller, certificate, call.request.collection_id, now).await
}

fn decide(floor: &Floor, call: &AddCall, loaded: &Loaded, now: DateTime<Utc>) -> Result<Vec<NewJob>, Error> {
    let request = &call.request;
    let invalid = |message: String| Err(Error::Invalid(message));
    let certificate = request.certificate_id.and_then(|id| loaded.certificates.get(&id));
    let Some(certificate) = certificate else {
        return invalid(format!(
            "CertificateId: certificate {} was not found",
            request.certificate_id.unwrap_or(0)
        ));
    };
    check_count(
        "CertificateStores",
        request.certificate_stores.len(),
        floor.configuration.limits.stores_per_call,
    )?;
    let when = when(request.schedule.as_ref(), now)?;
    let mut seen = HashSet::with_capacity(request.certificate_stores.len());
    let mut jobs = Vec::with_capacity(request.certificate_stores.len());
    for (index, target) in request.certificate_stores.iter().enumerate() {
        let Some(id) = target.certificate_store_id else {
            return invalid(format!("CertificateStores[{index}].CertificateStoreId is required"));
        };
        if !seen.insert(id) {
            return invalid(format!("CertificateStores[{index}]: certificate store {id} is named twice"));
        }
        let store = loaded.stores.get(&id).ok_or(Error::UnknownStore(id))?;
        check_alias_free(store, target, certificate, loaded)?;
        let placement = Placement { dry_run: request.dry_run, ..placement(target, index)? };
        jobs.push(decide_add(store, certificate, &placement, &call.caller, floor, when, now)?);
    }
    Ok(jobs)
}

/// Refuses an empty list of stores, and one over the limit.
pub(super) fn check_count(member: &str, stores: usize, limit: usize) -> Result<(), Error> {
    match stores {
        0 => Err(Error::Invalid(format!("{member} must name at least one store"))),
        count if count > limit => {
            Err(Error::Invalid(format!("{member} names {count} stores; at most {limit} fit in one call")))
        }
        _ => Ok(()),
    }
}

/// An alias that is taken needs leave to be replaced, unless it already is this certificate's.
fn check_alias_free(
    store: &StoreFacts,
    target: &AddToStore,
    certificate: &CertificateFacts,
    loaded: &Loaded,
) -> Result<(), Error> {
    let Some(alias) = target.alias.as_ref().filter(|_| !target.overwrite && store.custom_alias != 0) else {
        return Ok(());
    };
    match loaded.taken.get(&(store.id, alias.clone())) {
        Some(holder) if holder.as_ref() != Some(&certificate.thumbprint) => {
            Err(Error::AliasTaken { store: store.id, alias: alias.clone() })
        }
        _ => Ok(()),
    }
}

fn placement(target: &AddToStore, index: usize) -> Result<Placement, Error> {
    let entry_password = match &target.entry_password {
        Some(secret) if secret.provider.is_some_and(|provider| provider != 0) => {
            let message = format!(
                "CertificateStores[{index}].EntryPassword.Provider: secrets in outside providers are not supported; send SecretValue"
            );
            return Err(Error::Invalid(message));
        }
        Some(secret) => secret.secret_value.clone(),
        None => None,
    };
    if let Some(password) = &target.pfx_password {
        check_password("PfxPassword", password)?;
    }
    Ok(Placement {
        alias: target.alias.clone(),
        overwrite: target.overwrite,
        include_private_key: target.include_private_key,
        job_fields: target.job_fields.clone(),
        entry_password,
        replaced: None,
        dry_run: false,
    })
}

/// The ids of jobs, in the order of the call.
pub(super) fn ids(jobs: &[NewJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}
