//! Turns leased jobs into what their agent needs to know: the store, its password, the certificate, its key.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealift_protocol::agent::leases::{LeasedJob, RemoveWork, StoreDescription, Work};
use sealift_protocol::{Secret, StoreId};
use serde_json::Value;
use sqlx::PgConnection;

use super::queries;
use super::target::Details;
use crate::authority::Authority;
use crate::certificates::{self, Bundle};
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::{Leased, Operation};
use crate::sealing::Place;

/// A store as its row has it.
#[derive(Debug, Clone)]
pub(super) struct StoreRow {
    pub(super) id: StoreId,
    pub(super) short_name: String,
    pub(super) store_type: i32,
    pub(super) client_machine: String,
    pub(super) store_path: String,
    pub(super) properties: Value,
    pub(super) sealed_password: Option<Vec<u8>>,
    pub(super) inventory_version: Option<String>,
}

/// A leased job that cannot be run, and why.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) job: Leased,
    pub(crate) reason: String,
}

/// Describes leased jobs to their agent. Those whose store or certificate has gone come back as broken.
pub(crate) async fn describe(
    db: &mut PgConnection,
    floor: &Floor,
    authority: &Authority,
    leased: Vec<Leased>,
) -> Result<(Vec<LeasedJob>, Vec<Broken>), Failure> {
    let (described, broken) = describe_with_rows(db, floor, authority, leased).await?;
    Ok((described.into_iter().map(|(job, _)| job).collect(), broken))
}

/// As [`describe`], each with the row of its store.
pub(super) async fn describe_with_rows(
    db: &mut PgConnection,
    floor: &Floor,
    authority: &Authority,
    leased: Vec<Leased>,
) -> Result<(Vec<(LeasedJob, StoreRow)>, Vec<Broken>), Failure> {
    let ids: Vec<StoreId> = leased.iter().map(|job| job.store_id).collect();
    let rows = queries::store_rows(db, &ids).await?;
    let stores: HashMap<StoreId, StoreRow> = rows.into_iter().map(|row| (row.id, row)).collect();
    let certificates: Vec<i64> = leased.iter().filter_map(|job| job.certificate_id).collect();
    let bundles = match certificates.is_empty() {
        true => HashMap::new(),
        false => certificates::bundles(db, floor, authority, &certificates).await?,
    };
    let mut described = Vec::with_capacity(leased.len());
    let mut broken = Vec::new();
    for job in leased {
        match describe_one(floor, &stores, &bundles, &job) {
            Ok((row, store, work)) => {
                let job = LeasedJob {
                    job_id: job.id,
                    audit_id: job.history_id,
                    attempt: job.attempt.unsigned_abs(),
                    lease_token: job.lease_token,
                    lease_seconds: floor.configuration.jobs.lease_seconds,
                    store,
                    work,
                };
                described.push((job, row.clone()));
            }
            Err(reason) => broken.push(Broken { job, reason }),
        }
    }
    Ok((described, broken))
}

fn describe_one<'a>(
    floor: &Floor,
    stores: &'a HashMap<StoreId, StoreRow>,
    bundles: &HashMap<i64, Bundle>,
    job: &Leased,
) -> Result<(&'a StoreRow, StoreDescription, Work), String> {
    let row = stores.get(&job.store_id).ok_or("the certificate store was deleted while the job waited")?;
    let sealed = |error: crate::sealing::Error| error.to_string();
    let place = Place { table: "certificate_stores", row: &row.id, column: "sealed_password" };
    let password = row.sealed_password.as_ref().map(|bytes| floor.sealing.open_text(place, bytes));
    let store = StoreDescription {
        store_id: row.id,
        store_type: row.short_name.clone(),
        path: row.store_path.clone(),
        password: password.transpose().map_err(sealed)?,
        properties: texts(&row.properties),
        inventory_version: row.inventory_version.clone(),
    };
    let details: Details = serde_json::from_value(job.details.clone()).map_err(|error| error.to_string())?;
    let work = match Operation::from_number(job.operation) {
        Some(Operation::Inventory) => Work::Inventory,
        Some(Operation::Create) => Work::Create,
        Some(Operation::Remove) => Work::Remove(RemoveWork {
            alias: details.alias.unwrap_or_default(),
            job_fields: details.job_fields,
        }),
        Some(Operation::Add) => add_work(floor, bundles, job, details)?,
        _ => return Err(format!("the job's operation {} is not handed out", job.operation)),
    };
    Ok((row, store, work))
}

fn add_work(
    floor: &Floor,
    bundles: &HashMap<i64, Bundle>,
    job: &Leased,
    details: Details,
) -> Result<Work, String> {
    let bundle = job.certificate_id.and_then(|id| bundles.get(&id));
    let bundle = bundle.ok_or("the certificate was deleted while the job waited")?;
    let key = match (details.include_private_key, &bundle.private_key) {
        (false, _) => None,
        (true, Some(key)) => Some(Secret::new(STANDARD.encode(key.as_slice()))),
        (true, None) => {
            return Err("the certificate's private key was deleted while the job waited".to_owned());
        }
    };
    let place = Place { table: "jobs", row: &job.id, column: "sealed_secret" };
    let password = job.sealed_secret.as_ref().map(|bytes| floor.sealing.open_text(place, bytes));
    let password = password.transpose().map_err(|error| error.to_string())?;
    let certificates = bundle.certificates.iter().map(|der| STANDARD.encode(der)).collect();
    Ok(Work::Add(details.into_work(certificates, key, password)))
}

fn texts(properties: &Value) -> BTreeMap<String, String> {
    let Value::Object(members) = properties else { return BTreeMap::new() };
    members.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}
