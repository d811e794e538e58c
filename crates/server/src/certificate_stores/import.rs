//! `POST /Certificates/Import` (operator contract, 8.4): a certificate is put on record by `certificates`, and stores
//! that are named get it, each judged by itself.

use std::collections::{BTreeMap, HashSet};

use actix_web::HttpResponse;
use actix_web::web::{self, Data};
use chrono::{DateTime, Utc};
use sealift_protocol::StoreId;
use sealift_protocol::operator::certificate_content::{ImportCertificate, Imported, InvalidKeystore};
use sealift_protocol::operator::enrollment::DeployStoreType;
use sqlx::PgConnection;

use super::error::Error;
use super::target::{Placement, StoreFacts, decide_add, load_facts};
use crate::certificates::{self, CertificateFacts, ImportCall, ImportedCertificate};
use crate::floor::Floor;
use crate::http::route::{Access, Endpoint};
use crate::http::{Body, Failure, answer};
use crate::orchestrator_jobs::{self, Cause, Dispatch, NewJob, When};
use crate::security::{Principal, audit, permission};

/// Flags of `ImportStatus`; their numbers are not confirmed by any source.
const RECORDED: i32 = 1;
const KNOWN: i32 = 2;
const KEY_STORED: i32 = 4;

/// Values of `JobStatus`; their numbers are not confirmed by any source.
const NO_STORES: i32 = 1;
const ALL_STORES: i32 = 2;
const SOME_REFUSED: i32 = 3;

/// The endpoint.
pub(super) fn endpoint() -> Endpoint {
    let import = Access::Permission(permission::CERTIFICATES_IMPORT);
    Endpoint::post("/Certificates/Import", import, || web::post().to(handle))
        .summary("Puts a certificate on record, with its private key where it comes along, and schedules its delivery to stores, each judged by itself.")
        .body::<ImportCertificate>()
        .answers::<Imported>()
        .example(r#"{"Certificate": "{{certificate_file}}", "StoreIds": ["{{store}}"], "StoreTypes": [{"StoreTypeId": 2, "Overwrite": true}]}"#)
}

async fn handle(
    floor: Data<Floor>,
    dispatch: Data<Dispatch>,
    caller: Principal,
    Body(mut request): Body<ImportCertificate>,
) -> Result<HttpResponse, Failure> {
    check(&request.store_ids, floor.configuration.limits.stores_per_call)?;
    let call = ImportCall {
        certificate: request.certificate.take(),
        password: request.password.take(),
        metadata: std::mem::take(&mut request.metadata),
    };
    let opened = certificates::open_import(&caller, call).await?;
    let now = floor.now();
    let mut transaction = floor.database.main.begin().await?;
    let imported = certificates::import(&mut transaction, &floor, &caller, opened, now).await?;
    let (answered, jobs) = deliver(&mut transaction, &floor, &caller, imported, &request, now).await?;
    transaction.commit().await?;
    for job in &jobs {
        dispatch.ring(job.agent_id, job.run_at, now);
    }
    Ok(answer::json(&answered))
}

fn check(stores: &[StoreId], limit: usize) -> Result<(), Error> {
    if stores.len() > limit {
        let count = stores.len();
        return Err(Error::Invalid(format!(
            "StoreIds names {count} stores; at most {limit} fit in one call"
        )));
    }
    let mut seen = HashSet::with_capacity(stores.len());
    match stores.iter().position(|id| !seen.insert(*id)) {
        Some(index) => {
            Err(Error::Invalid(format!("StoreIds[{index}]: this certificate store is named twice")))
        }
        None => Ok(()),
    }
}

/// Schedules the delivery to the stores that are fit for it.
async fn deliver(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    imported: ImportedCertificate,
    request: &ImportCertificate,
    now: DateTime<Utc>,
) -> Result<(Imported, Vec<NewJob>), Failure> {
    let when = request.schedule.map(|time| time.utc()).filter(|time| *time > now).map_or(When::Now, When::At);
    let stores = &request.store_ids;
    let (mut jobs, mut invalid) = (Vec::new(), Vec::new());
    if !stores.is_empty() {
        let found = certificates::facts(db, &[imported.id]).await?.pop();
        let certificate =
            found.ok_or_else(|| Failure::not_found(format_args!("certificate {}", imported.id)))?;
        let facts = load_facts(db, stores).await?;
        for id in stores {
            let store = facts.get(id);
            let wish = store.and_then(|store| wish_for(store, &request.store_types));
            match decide(floor, caller, *id, store, &certificate, wish, when, now) {
                Ok(job) => jobs.push(job),
                Err(error) => invalid.push(refused(*id, store, wish, error)),
            }
        }
        let cause = Cause::call(caller.name());
        let queued: Vec<_> = jobs.iter().map(|job: &NewJob| (cause.clone(), job.clone())).collect();
        orchestrator_jobs::schedule(db, &queued, floor.configuration.jobs.max_attempts, now).await?;
        let (good, bad) = (jobs.len(), invalid.len());
        let message =
            format!("scheduled the addition of certificate {} to {good} stores; {bad} refused", imported.id);
        let operation = audit::Operation::ScheduledAdd;
        let line = audit::Line::new(caller, operation, "Certificate", imported.id, message);
        audit::record(db, &[line], now).await?;
    }
    let answered = Imported {
        import_status: (if imported.known { KNOWN } else { RECORDED })
            | (if imported.with_key { KEY_STORED } else { 0 }),
        job_status: match (stores.is_empty(), invalid.is_empty()) {
            (true, _) => NO_STORES,
            (false, true) => ALL_STORES,
            (false, false) => SOME_REFUSED,
        },
        invalid_keystores: invalid,
        thumbprint: imported.thumbprint,
        certificate_id: imported.id,
        job_ids: jobs.iter().map(|job| job.id).collect(),
    };
    Ok((answered, jobs))
}

/// What the call says of stores of this type.
fn wish_for<'a>(store: &StoreFacts, wishes: &'a [DeployStoreType]) -> Option<&'a DeployStoreType> {
    wishes.iter().find(|wish| wish.store_type_id == Some(store.store_type))
}

#[expect(clippy::too_many_arguments, reason = "each is a fact of its own; a struct would only rename them")]
fn decide(
    floor: &Floor,
    caller: &Principal,
    id: StoreId,
    store: Option<&StoreFacts>,
    certificate: &CertificateFacts,
    wish: Option<&DeployStoreType>,
    when: When,
    now: DateTime<Utc>,
) -> Result<NewJob, Error> {
    let store = store.ok_or(Error::UnknownStore(id))?;
    let properties = wish.map(|wish| wish.properties.iter().flatten()).into_iter().flatten();
    let placement = Placement {
        alias: wish.and_then(|wish| wish.alias.clone()),
        overwrite: wish.is_some_and(|wish| wish.overwrite),
        include_private_key: certificate.has_key && store.private_key != 0,
        job_fields: properties.map(|(name, value)| (name.clone(), value.clone())).collect::<BTreeMap<_, _>>(),
        entry_password: None,
        replaced: None,
        dry_run: false,
    };
    decide_add(store, certificate, &placement, caller, floor, when, now)
}

fn refused(
    id: StoreId,
    store: Option<&StoreFacts>,
    wish: Option<&DeployStoreType>,
    error: Error,
) -> InvalidKeystore {
    let reason = match &error {
        Error::UnknownStore(_) => 1,
        Error::StoreForbidden { .. } => 2,
        _ => 3,
    };
    // Machine and path of a store are not for callers that may not use it.
    let store = store.filter(|_| reason != 2);
    InvalidKeystore {
        keystore_id: id,
        client_machine: store.map(|store| store.client_machine.clone()),
        store_path: store.map(|store| store.store_path.clone()),
        alias: wish.and_then(|wish| wish.alias.clone()),
        reason,
        explanation: Failure::from(error).message().to_owned(),
    }
}
