//! `POST /CertificateStores/Certificates/Remove`: one management job for each entry, all or none.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sealift_protocol::StoreId;
use sealift_protocol::operator::certificate_stores::RemoveCertificate;
use sqlx::PgConnection;

use super::add::check_count;
use super::entry_parameters::{self, Occasion};
use super::error::Error;
use super::job_secrets::JobSecrets;
use super::queries;
use super::target::{Details, MAX_ALIAS, load_facts};
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::{self, Cause, NewJob, Operation, when};
use crate::security::{Principal, audit, permission};

/// Schedules the removals.
pub(super) async fn remove(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    request: &RemoveCertificate,
    now: DateTime<Utc>,
) -> Result<Vec<NewJob>, Failure> {
    let targets = &request.certificate_stores;
    check_count("CertificateStores", targets.len(), floor.configuration.limits.stores_per_call)?;
    let ids: HashSet<StoreId> = targets.iter().filter_map(|target| target.certificate_store_id).collect();
    let stores = load_facts(db, &ids.into_iter().collect::<Vec<_>>()).await?;
    let aliases: Vec<(StoreId, String)> = targets
        .iter()
        .filter_map(|target| Some((target.certificate_store_id?, target.alias.clone()?)))
        .collect();
    let known = match stores.values().any(|store| store.has_entry_parameters()) {
        true => queries::known_parameters(db, &aliases).await?,
        false => HashMap::new(),
    };
    let when = when(request.schedule.as_ref(), now)?;
    let mut seen = HashSet::new();
    let mut jobs = Vec::with_capacity(targets.len());
    for (index, target) in targets.iter().enumerate() {
        let invalid = |message: &str| Error::Invalid(format!("CertificateStores[{index}].{message}"));
        let id = target.certificate_store_id.ok_or_else(|| invalid("CertificateStoreId is required"))?;
        let store = stores.get(&id).ok_or(Error::UnknownStore(id))?;
        store.authorize(caller, permission::STORES_SCHEDULE)?;
        if !store.supports_remove {
            return Err(store.not_supported("removing certificates").into());
        }
        store.ready()?;
        if request.dry_run {
            store.can_plan()?;
        }
        let alias = target.alias.as_ref().ok_or_else(|| invalid("Alias is required"))?;
        if alias.chars().count() > MAX_ALIAS || alias.chars().any(char::is_control) {
            return Err(invalid("Alias is longer than 512 characters or holds control characters").into());
        }
        if !seen.insert((id, alias.to_lowercase())) {
            return Err(invalid("Alias is named twice for the same store").into());
        }
        let mut job = store.job(Operation::Remove, when, now);
        let reported = known.get(&(id, alias.clone()));
        let fields =
            entry_parameters::read(store, "JobFields", &target.job_fields, reported, Occasion::Remove)?;
        let secrets = JobSecrets { job_fields: fields.secrets, ..JobSecrets::default() };
        job.sealed_secret = secrets.seal(&floor.sealing, job.id).map_err(Error::from)?;
        let details = Details {
            alias: Some(alias.clone()),
            dry_run: request.dry_run,
            job_fields: fields.plain,
            ..Details::default()
        };
        job.details = details.to_value();
        jobs.push(job);
    }
    let cause = Cause::call(caller.name());
    let queued: Vec<_> = jobs.iter().map(|job| (cause.clone(), job.clone())).collect();
    orchestrator_jobs::schedule(db, &queued, floor.configuration.jobs.max_attempts, now).await?;
    let line = audit::Line {
        actor: caller.name().to_owned(),
        operation: audit::Operation::ScheduledRemoval,
        entity_type: "CertificateStore",
        entity_id: String::new(),
        message: match request.dry_run {
            true => format!("scheduled dry runs of the removal of {} entries", jobs.len()),
            false => format!("scheduled the removal of {} entries", jobs.len()),
        },
    };
    audit::record(db, &[line], now).await?;
    Ok(jobs)
}
