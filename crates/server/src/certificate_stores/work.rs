//! Turns leased jobs into what their agent needs to know: the store, its password, the certificate, its key.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealift_protocol::agent::leases::{DiscoverWork, LeasedJob, RemoveWork, StoreDescription, Work};
use sealift_protocol::{Secret, StoreId};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::job_secrets::JobSecrets;
use super::store::properties;
use super::store_type::Definition;
use super::store_type::definition::Kind;
use super::target::Details;
use super::{discovery, queries, reenrollment, server};
use crate::authority::Authority;
use crate::certificates::{self, Bundle};
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::{Leased, Operation, asked};
use crate::sealing::Place;

/// Reserved names of properties: the login to the store's machine (operator contract, chapter 3.4).
const USERNAME: &str = "ServerUsername";
const PASSWORD: &str = "ServerPassword";

/// A store as its row has it.
#[derive(Debug, Clone)]
pub(super) struct StoreRow {
    pub(super) id: StoreId,
    pub(super) short_name: String,
    pub(super) store_type: i32,
    pub(super) client_machine: String,
    pub(super) store_path: String,
    pub(super) properties: Value,
    pub(super) sealed_properties: Option<Vec<u8>>,
    /// The properties of its type.
    pub(super) definitions: Value,
    pub(super) sealed_password: Option<Vec<u8>>,
    pub(super) inventory_version: Option<String>,
    /// The login to its machine that an entry of its own keeps.
    pub(super) login_under: Option<Uuid>,
    pub(super) sealed_username: Option<Vec<u8>>,
    pub(super) sealed_login_password: Option<Vec<u8>>,
    pub(super) login_with_ssl: Option<bool>,
}

/// A leased job, with what only agents of the published protocol are told: the drivers of ours know no secret but the
/// passwords of a store and an entry.
#[derive(Debug)]
pub(super) struct DescribedJob {
    pub(super) job: LeasedJob,
    pub(super) row: StoreRow,
    /// Secret properties of the store.
    pub(super) secret_properties: BTreeMap<String, Secret>,
    /// Secret entry parameters.
    pub(super) secret_fields: BTreeMap<String, Secret>,
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
    Ok((described.into_iter().map(|described| described.job).collect(), broken))
}

/// As [`describe`], each with the row of its store.
pub(super) async fn describe_with_rows(
    db: &mut PgConnection,
    floor: &Floor,
    authority: &Authority,
    leased: Vec<Leased>,
) -> Result<(Vec<DescribedJob>, Vec<Broken>), Failure> {
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
        if Operation::from_number(job.operation) == Some(Operation::Discovery) {
            match describe_discovery(floor, &job) {
                Ok(found) => described.push(found),
                Err(reason) => broken.push(Broken { job, reason }),
            }
            continue;
        }
        match describe_one(floor, &stores, &bundles, &job) {
            Ok((row, store, work, secrets)) => {
                let leased = leased_job(floor, &job, store, work);
                let secret_properties = match secret_properties(floor, row) {
                    Ok(secrets) => secrets,
                    Err(error) => {
                        broken.push(Broken { job, reason: error.to_string() });
                        continue;
                    }
                };
                described.push(DescribedJob {
                    job: leased,
                    row: row.clone(),
                    secret_properties,
                    secret_fields: secrets.job_fields,
                });
            }
            Err(reason) => broken.push(Broken { job, reason }),
        }
    }
    Ok((described, broken))
}

/// A discovery works on no store: what it needs stands in its own row.
fn describe_discovery(floor: &Floor, job: &Leased) -> Result<DescribedJob, String> {
    let details = discovery::details_of(&job.details).ok_or("the discovery's details cannot be read")?;
    let secrets = JobSecrets::open(&floor.sealing, job.id, job.sealed_secret.as_deref());
    let secrets = secrets.map_err(|error| error.to_string())?;
    let row = StoreRow {
        id: job.store_id,
        short_name: details.short_name.clone(),
        store_type: details.store_type,
        client_machine: details.work.client_machine.clone(),
        store_path: String::new(),
        properties: Value::Null,
        sealed_properties: None,
        definitions: Value::Null,
        sealed_password: None,
        inventory_version: None,
        login_under: None,
        sealed_username: None,
        sealed_login_password: None,
        login_with_ssl: None,
    };
    let store = StoreDescription {
        store_id: row.id,
        store_type: details.short_name,
        path: String::new(),
        password: None,
        properties: BTreeMap::new(),
        inventory_version: None,
    };
    let work = Work::Discover(DiscoverWork {
        server_username: secrets.server_username,
        server_password: secrets.server_password,
        ..details.work
    });
    let job = leased_job(floor, job, store, work);
    Ok(DescribedJob { job, row, secret_properties: BTreeMap::new(), secret_fields: BTreeMap::new() })
}

fn leased_job(floor: &Floor, job: &Leased, store: StoreDescription, work: Work) -> LeasedJob {
    LeasedJob {
        job_id: job.id,
        audit_id: job.history_id,
        attempt: job.attempt.unsigned_abs(),
        lease_token: job.lease_token,
        lease_seconds: floor.configuration.jobs.lease_seconds,
        store,
        work,
        verification: asked(job.verification.as_ref()),
        dry_run: job.dry_run(),
    }
}

fn describe_one<'a>(
    floor: &Floor,
    stores: &'a HashMap<StoreId, StoreRow>,
    bundles: &HashMap<i64, Bundle>,
    job: &Leased,
) -> Result<(&'a StoreRow, StoreDescription, Work, JobSecrets), String> {
    let row = stores.get(&job.store_id).ok_or("the certificate store was deleted while the job waited")?;
    let sealed = |error: crate::sealing::Error| error.to_string();
    let place = Place { table: "certificate_stores", row: &row.id, column: "sealed_password" };
    let password = row.sealed_password.as_ref().map(|bytes| floor.sealing.open_text(place, bytes));
    let store = StoreDescription {
        store_id: row.id,
        store_type: row.short_name.clone(),
        path: row.store_path.clone(),
        password: password.transpose().map_err(sealed)?,
        properties: with_defaults(row),
        inventory_version: row.inventory_version.clone(),
    };
    let mut secrets =
        JobSecrets::open(&floor.sealing, job.id, job.sealed_secret.as_deref()).map_err(sealed)?;
    let details =
        || serde_json::from_value::<Details>(job.details.clone()).map_err(|error| error.to_string());
    let work = match Operation::from_number(job.operation) {
        Some(Operation::Inventory) => Work::Inventory,
        Some(Operation::Create) => Work::Create,
        Some(Operation::Remove) => Work::Remove(RemoveWork {
            alias: details()?.alias.unwrap_or_default(),
            job_fields: details()?.job_fields,
        }),
        Some(Operation::Reenrollment) => Work::Reenroll(reenrollment::work_of(&job.details)?),
        Some(Operation::Add) => add_work(bundles, job, details()?, secrets.entry_password.take())?,
        _ => return Err(format!("the job's operation {} is not handed out", job.operation)),
    };
    Ok((row, store, work, secrets))
}

fn add_work(
    bundles: &HashMap<i64, Bundle>,
    job: &Leased,
    details: Details,
    password: Option<Secret>,
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
    let certificates = bundle.certificates.iter().map(|der| STANDARD.encode(der)).collect();
    Ok(Work::Add(details.into_work(certificates, key, password)))
}

/// The plain properties of a store, with the type's defaults for those that it does not have.
fn with_defaults(row: &StoreRow) -> BTreeMap<String, String> {
    let mut properties = texts(&row.properties);
    let definitions = Definition::list(&row.definitions);
    for definition in &definitions {
        let absent = !properties.contains_key(&definition.name) && definition.kind != Kind::Secret;
        if let Some(default) =
            definition.fallback().filter(|_| absent && definition.applies(&definitions, &properties))
        {
            properties.insert(definition.name.clone(), default.to_owned());
        }
    }
    // What an entry of the machine's own says of TLS holds where the store says nothing.
    if let (Some(ssl), false) = (row.login_with_ssl, row.properties["ServerUseSsl"].is_string()) {
        properties.insert("ServerUseSsl".to_owned(), ssl.to_string());
    }
    properties
}

/// The secret properties of a store; a login that it does not have from the entry for its machine.
fn secret_properties(
    floor: &Floor,
    row: &StoreRow,
) -> Result<BTreeMap<String, Secret>, crate::sealing::Error> {
    let mut secrets = properties::open(floor, row.id, row.sealed_properties.as_deref())?;
    let (Some(under), Some(username), Some(password)) =
        (&row.login_under, &row.sealed_username, &row.sealed_login_password)
    else {
        return Ok(secrets);
    };
    if !secrets.contains_key(USERNAME) && !secrets.contains_key(PASSWORD) {
        let username = floor.sealing.open_text(server::place(under, "sealed_username"), username)?;
        let password = floor.sealing.open_text(server::place(under, "sealed_password"), password)?;
        secrets.insert(USERNAME.to_owned(), username);
        secrets.insert(PASSWORD.to_owned(), password);
    }
    Ok(secrets)
}

fn texts(properties: &Value) -> BTreeMap<String, String> {
    let Value::Object(members) = properties else { return BTreeMap::new() };
    members.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}
