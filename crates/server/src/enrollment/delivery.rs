//! Delivery to stores: one management job for each place that can have one, each judged by itself. Where the
//! certificate is not issued yet, the delivery waits with its request and is carried out with the approval.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use sealift_protocol::operator::enrollment::{DeployFailure, DeployStore, Deployed, DeployedJob};
use sealift_protocol::{Secret, StoreId};
use serde_json::Value;
use sqlx::PgConnection;

use super::error::Error;
use super::queries::{self, DeliveryRow, NewDelivery};
use crate::certificate_stores::{self, Placement, StoreFacts, decide_add, load_facts};
use crate::certificates::CertificateFacts;
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::{self, Cause, NewJob, When};
use crate::sealing::Place;
use crate::security::{Principal, audit, permission};

/// Most deliveries that wait with one request.
const MAX_WAITING: i64 = 10_000;

/// One place for a certificate.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) store: StoreId,
    pub(super) alias: Option<String>,
    pub(super) overwrite: bool,
    pub(super) properties: BTreeMap<String, Value>,
    /// Thumbprint of the certificate that is replaced there.
    pub(super) replaced: Option<String>,
    /// Whether the private key goes along, where the server keeps it and the store takes it.
    pub(super) with_key: bool,
    /// Whether the agent only says what it would do.
    pub(super) dry_run: bool,
}

/// Where to, when, and with which password of the entry.
pub(super) struct Delivery<'a> {
    pub(super) targets: &'a [Target],
    pub(super) password: Option<&'a Secret>,
    pub(super) job_time: Option<DateTime<Utc>>,
    /// What the audit log calls it.
    pub(super) operation: audit::Operation,
}

/// Reads the stores of a call. Refuses none, too many, and one that is named twice.
pub(super) fn targets(stores: &[DeployStore], limit: usize) -> Result<Vec<Target>, Error> {
    let invalid = |message: String| Err(Error::Invalid(message));
    if stores.is_empty() {
        return invalid("Stores must name at least one store".to_owned());
    }
    if stores.len() > limit {
        return invalid(format!("Stores names {} stores; at most {limit} fit in one call", stores.len()));
    }
    let mut seen = HashSet::with_capacity(stores.len());
    let mut targets = Vec::with_capacity(stores.len());
    for (index, store) in stores.iter().enumerate() {
        let Some(id) = store.store_id else { return invalid(format!("Stores[{index}].StoreId is required")) };
        if !seen.insert(id) {
            return invalid(format!("Stores[{index}]: certificate store {id} is named twice"));
        }
        targets.push(Target {
            store: id,
            alias: store.alias.clone(),
            overwrite: store.overwrite,
            properties: store.properties.clone(),
            replaced: None,
            with_key: true,
            dry_run: false,
        });
    }
    Ok(targets)
}

/// The places that hold a certificate, as inventories found them: aliases and entry parameters stay, and what is there
/// may be replaced.
pub(super) async fn holders(
    db: &mut PgConnection,
    floor: &Floor,
    certificate: &CertificateFacts,
) -> Result<Vec<Target>, Failure> {
    let limit = floor.configuration.limits.stores_per_call;
    let rows = queries::holders(db, certificate.id, i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1).await?;
    if rows.len() > limit {
        let message = format!(
            "certificate {} is in more than {limit} entries of stores, more than fit in one call; name stores instead",
            certificate.id
        );
        return Err(Error::Invalid(message).into());
    }
    let stores: Vec<StoreId> =
        rows.iter().map(|row| row.store_id).collect::<HashSet<_>>().into_iter().collect();
    let facts = load_facts(db, &stores).await?;
    let targets = rows.into_iter().map(|row| Target {
        store: row.store_id,
        properties: declared(facts.get(&row.store_id), row.parameters),
        alias: Some(row.alias),
        overwrite: true,
        replaced: Some(certificate.thumbprint.clone()),
        with_key: row.private_key_entry,
        dry_run: false,
    });
    Ok(targets.collect())
}

/// Those of an entry's parameters that its store type declares; inventories report others, too.
fn declared(store: Option<&StoreFacts>, parameters: Value) -> BTreeMap<String, Value> {
    let (Some(store), Value::Object(parameters)) = (store, parameters) else { return BTreeMap::new() };
    let known = |name: &str| {
        let declared = store.entry_parameters.as_array().into_iter().flatten();
        declared.filter_map(|one| one["Name"].as_str()).any(|declared| declared.eq_ignore_ascii_case(name))
    };
    parameters.into_iter().filter(|(name, _)| known(name)).collect()
}

/// Schedules the jobs of a certificate that is on record.
pub(super) async fn place(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    certificate: &CertificateFacts,
    delivery: &Delivery<'_>,
    now: DateTime<Utc>,
) -> Result<(Deployed, Vec<NewJob>), Failure> {
    let facts = facts(db, delivery.targets).await?;
    let when = delivery.job_time.filter(|time| *time > now).map_or(When::Now, When::At);
    let mut deployed = Deployed::default();
    let mut jobs = Vec::new();
    for target in delivery.targets {
        match decide(floor, &facts, target, delivery.password, certificate, caller, when, now) {
            Ok(job) => {
                succeeded(&mut deployed, target.store);
                deployed.jobs.push(DeployedJob { store_id: target.store, job_id: job.id });
                jobs.push(job);
            }
            Err(error) => failed(&mut deployed, target.store, error),
        }
    }
    let cause = Cause::call(caller.name());
    let queued: Vec<_> = jobs.iter().map(|job| (cause.clone(), job.clone())).collect();
    orchestrator_jobs::schedule(db, &queued, floor.configuration.jobs.max_attempts, now).await?;
    let (good, bad) = (jobs.len(), deployed.failed_stores.len());
    let message = format!(
        "scheduled the deployment of certificate {} by {good} jobs; {bad} stores refused",
        certificate.id
    );
    let line = audit::Line::new(caller, delivery.operation, "Certificate", certificate.id, message);
    audit::record(db, &[line], now).await?;
    Ok((deployed, jobs))
}

/// Has a delivery wait for its request to be approved. Places that could get no job now are refused now.
pub(super) async fn wait(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    request_id: i64,
    has_key: bool,
    delivery: &Delivery<'_>,
    now: DateTime<Utc>,
) -> Result<Deployed, Failure> {
    let waiting = queries::count_deliveries(db, request_id).await?;
    if waiting + i64::try_from(delivery.targets.len()).unwrap_or(MAX_WAITING) > MAX_WAITING {
        let message =
            format!("RequestId: more than {MAX_WAITING} deliveries would wait for request {request_id}");
        return Err(Error::Invalid(message).into());
    }
    let facts = facts(db, delivery.targets).await?;
    // What the certificate will be, as far as stores ask.
    let awaited = CertificateFacts { id: 0, thumbprint: String::new(), has_key };
    let mut deployed = Deployed::default();
    let mut accepted = Vec::new();
    for target in delivery.targets {
        match decide(floor, &facts, target, delivery.password, &awaited, caller, When::Now, now) {
            Ok(_) => {
                succeeded(&mut deployed, target.store);
                accepted.push(target);
            }
            Err(error) => failed(&mut deployed, target.store, error),
        }
    }
    let ids = queries::reserve_delivery_ids(db, i32::try_from(accepted.len()).unwrap_or(i32::MAX)).await?;
    let mut sealed = Vec::with_capacity(ids.len());
    for id in &ids {
        let seal = |password: &Secret| floor.sealing.seal(password_place(id), password.expose().as_bytes());
        sealed.push(delivery.password.map(seal).transpose().map_err(Error::from)?);
    }
    let properties: Vec<Value> = accepted.iter().map(|target| serde_json::json!(target.properties)).collect();
    let rows = ids.iter().zip(&accepted).zip(&properties).zip(&sealed).map(
        |(((id, target), properties), sealed)| NewDelivery {
            id: *id,
            request_id,
            store_id: target.store,
            alias: target.alias.as_deref(),
            overwrite: target.overwrite,
            properties,
            replaced: target.replaced.as_deref(),
            with_key: target.with_key,
            sealed_password: sealed.as_deref(),
            job_time: delivery.job_time,
            requested_by: caller.name(),
        },
    );
    queries::insert_deliveries(db, &rows.collect::<Vec<_>>(), now).await?;
    let (good, bad) = (accepted.len(), deployed.failed_stores.len());
    let message = format!(
        "request {request_id} will be deployed by {good} jobs once it is issued; {bad} stores refused"
    );
    let line = audit::Line::new(caller, delivery.operation, "CertificateRequest", request_id, message);
    audit::record(db, &[line], now).await?;
    Ok(deployed)
}

/// Schedules what waited for a request that was issued just now. Each place got its caller's permission when it was
/// asked for; one that can have no job any more keeps the reason in its row and in the log.
pub(super) async fn carry_out(
    db: &mut PgConnection,
    floor: &Floor,
    request_id: i64,
    certificate: &CertificateFacts,
    now: DateTime<Utc>,
) -> Result<Vec<NewJob>, Failure> {
    let waiting = queries::waiting_deliveries(db, request_id).await?;
    let mut stores: Vec<StoreId> = waiting.iter().map(|row| row.store_id).collect();
    stores.sort_unstable();
    stores.dedup();
    let facts = load_facts(db, &stores).await?;
    let mut queued = Vec::new();
    let (mut ids, mut outcomes) = (Vec::new(), Vec::new());
    for row in waiting {
        let caller = Principal::system(&row.requested_by);
        let password = password(floor, &row)?;
        let when = row.job_time.filter(|time| *time > now).map_or(When::Now, When::At);
        let target = Target {
            store: row.store_id,
            alias: row.alias,
            overwrite: row.overwrite,
            properties: serde_json::from_value(row.properties).unwrap_or_default(),
            replaced: row.replaced,
            with_key: row.with_key,
            dry_run: false,
        };
        ids.push(row.id);
        match decide(floor, &facts, &target, password.as_ref(), certificate, &caller, when, now) {
            Ok(job) => {
                outcomes.push(job.id.to_string());
                queued.push((Cause::call(&row.requested_by), job));
            }
            Err(error) => {
                let message = Failure::from(error).message().to_owned();
                tracing::warn!(
                    store.id = %target.store,
                    "request {} was issued, but its delivery to store {} is not possible any more: {message}",
                    row.request_id,
                    target.store
                );
                outcomes.push(message.chars().take(2_000).collect());
            }
        }
    }
    orchestrator_jobs::schedule(db, &queued, floor.configuration.jobs.max_attempts, now).await?;
    queries::end_deliveries(db, &ids, &outcomes).await?;
    Ok(queued.into_iter().map(|(_, job)| job).collect())
}

/// Ends what waited for a request that was denied.
pub(super) async fn call_off(db: &mut PgConnection, request_id: i64) -> Result<(), Failure> {
    let waiting = queries::waiting_deliveries(db, request_id).await?;
    let ids: Vec<i64> = waiting.iter().map(|row| row.id).collect();
    let outcomes = vec!["the request was denied".to_owned(); ids.len()];
    Ok(queries::end_deliveries(db, &ids, &outcomes).await?)
}

fn password(floor: &Floor, row: &DeliveryRow) -> Result<Option<Secret>, Error> {
    let Some(sealed) = &row.sealed_password else { return Ok(None) };
    let opened = floor.sealing.open(password_place(&row.id), sealed)?;
    let text = std::str::from_utf8(&opened).map_err(|_| Error::Damaged("a password of a delivery"))?;
    Ok(Some(Secret::new(text)))
}

fn password_place(delivery: &i64) -> Place<'_> {
    Place { table: "enrollment_deliveries", row: delivery, column: "sealed_password" }
}

async fn facts(db: &mut PgConnection, targets: &[Target]) -> Result<HashMap<StoreId, StoreFacts>, Failure> {
    let mut ids: Vec<StoreId> = targets.iter().map(|target| target.store).collect();
    ids.sort_unstable();
    ids.dedup();
    Ok(load_facts(db, &ids).await?)
}

fn succeeded(deployed: &mut Deployed, store: StoreId) {
    if !deployed.successful_stores.contains(&store) {
        deployed.successful_stores.push(store);
    }
}

fn failed(deployed: &mut Deployed, store: StoreId, error: certificate_stores::Error) {
    let failure = Failure::from(error);
    if !deployed.failed_stores.contains(&store) {
        deployed.failed_stores.push(store);
    }
    let (error_code, message) = (failure.code().to_string(), failure.message().to_owned());
    deployed.failures.push(DeployFailure { store_id: store, error_code, message });
}

#[expect(clippy::too_many_arguments, reason = "each is a fact of its own; a struct would only rename them")]
fn decide(
    floor: &Floor,
    facts: &HashMap<StoreId, StoreFacts>,
    target: &Target,
    password: Option<&Secret>,
    certificate: &CertificateFacts,
    caller: &Principal,
    when: When,
    now: DateTime<Utc>,
) -> Result<NewJob, certificate_stores::Error> {
    let store = facts.get(&target.store).ok_or(certificate_stores::Error::UnknownStore(target.store))?;
    let placement = Placement {
        alias: target.alias.clone(),
        overwrite: target.overwrite,
        include_private_key: certificate.has_key && target.with_key && store.private_key != 0,
        job_fields: target.properties.clone(),
        entry_password: password.cloned(),
        replaced: target.replaced.clone(),
        dry_run: target.dry_run,
    };
    decide_add(store, certificate, &placement, caller, floor, when, now)
}

/// Refuses a caller that may schedule jobs on no store at all.
pub(super) fn require_scheduling(caller: &Principal) -> Result<(), Failure> {
    match caller.permits_somewhere(permission::STORES_SCHEDULE) {
        true => Ok(()),
        false => caller.require(permission::STORES_SCHEDULE),
    }
}
