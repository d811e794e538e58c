//! Jobs as agents of the published protocol see them (agent protocol, chapters 6 and 8 to 10): a list, the details of one,
//! and what an inventory found.

use std::collections::{BTreeMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use sealift_pki::{Certificate, Encryption, Pkcs12, PrivateKey, pkcs12};
use sealift_protocol::agent::inventory::{MAX_PAGE_ENTRIES, StoreEntry};
use sealift_protocol::agent::jobs::{ConfiguredJob, InventoryItem, ListedJob};
use sealift_protocol::agent::leases::{AddWork, LeaseKey, RemoveWork, Work};
use sealift_protocol::agent::reenrollment::ReenrollmentConfigured;
use sealift_protocol::{AgentId, JobId, Secret};
use sqlx::PgConnection;
use uuid::Uuid;

use super::error::Error;
use super::inventory::{Entry, parse_entry, store_entries};
use super::queries;
use super::reenrollment;
use super::work::{DescribedJob, StoreRow, describe_with_rows};
use crate::authority::Authority;
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::{self, JobType, Leased, Operation, inventory_after};
use crate::security::password;

/// Most jobs in one list.
const MAX_LISTED: i64 = 100;
/// Entries up to which a store is read anew as a whole, instead of as a difference: agents copy what they are told of
/// an unchanged entry, so that a key that went is not noticed (chapter 8.2).
const MAX_WHOLE: usize = 500;
/// Most entries that are sent for a difference, and most items of one upload.
const MAX_ITEMS: usize = 50_000;
/// `Priority` of an addition: the only number that means anything (chapter 6.1).
const ADD_FIRST: i32 = 3;
/// `Priority` of everything else.
const USUAL: i32 = 5;

/// A job that may be listed.
#[derive(Debug)]
pub(super) struct ListableJob {
    pub(super) id: JobId,
    pub(super) operation: i16,
    pub(super) inventory_job_type: Uuid,
    pub(super) management_job_type: Uuid,
    pub(super) enrollment_job_type: Uuid,
    pub(super) can_inventory: bool,
}

/// The jobs that an agent may run now. After each change stands the inventory that will follow it, so that one pass
/// reports the new state. `changes` is false for agents that changes would crash.
pub(crate) async fn listed_jobs(
    db: &mut PgConnection,
    agent: AgentId,
    changes: bool,
    now: DateTime<Utc>,
) -> Result<Vec<ListedJob>, sqlx::Error> {
    let jobs = queries::listable_jobs(db, agent, MAX_LISTED, now).await?;
    let mut listed = Vec::with_capacity(jobs.len() * 2);
    for job in jobs {
        let operation = Operation::from_number(job.operation);
        let inventory = operation.map(Operation::job_type) == Some(JobType::Inventory);
        if inventory {
            listed.push(entry(job.id, job.inventory_job_type, USUAL, "Configure"));
        } else if changes {
            let priority = if operation == Some(Operation::Add) { ADD_FIRST } else { USUAL };
            listed.push(match operation {
                Some(Operation::Reenrollment) => entry(job.id, job.enrollment_job_type, USUAL, "Reenroll"),
                _ => entry(job.id, job.management_job_type, priority, "Configure"),
            });
            if job.can_inventory {
                let after = format!("Configure?after={}", job.id);
                listed.push(entry(inventory_after(job.id), job.inventory_job_type, USUAL, &after));
            }
        }
    }
    Ok(listed)
}

fn entry(job: JobId, job_type: Uuid, priority: i32, configuration: &str) -> ListedJob {
    ListedJob {
        job_id: job,
        job_type_id: job_type,
        configuration_endpoint: format!("Jobs/{job}/{configuration}"),
        completion_endpoint: format!("Jobs/{job}/Complete"),
        schedule: None,
        cron: None,
        priority,
    }
}

/// What a leased job tells its agent.
pub(crate) enum Described {
    /// Of an inventory or a change.
    Job {
        /// The details.
        job: Box<ConfiguredJob>,
        /// Where an inventory's update goes.
        update: Option<String>,
    },
    /// Of a reenrollment.
    Reenrollment(Box<ReenrollmentConfigured>),
}

/// The details of a leased job; those that cannot be run come back as broken. `native`: the agent is the vendor's own.
pub(crate) async fn describe(
    db: &mut PgConnection,
    floor: &Floor,
    authority: &Authority,
    leased: Leased,
    native: bool,
) -> Result<Result<Described, String>, Failure> {
    let (mut described, mut broken) = describe_with_rows(db, floor, authority, vec![leased]).await?;
    if let Some(broken) = broken.pop() {
        return Ok(Err(broken.reason));
    }
    let Some(described) = described.pop() else { return Err(Failure::fault("a job is gone")) };
    match &described.job.work {
        Work::Reenroll(work) => {
            let configured = reenrollment::configured(&described, work, native);
            return Ok(configured.map(|configured| Described::Reenrollment(Box::new(configured))));
        }
        Work::Add(work) if work.private_key.is_some() && !floor.configuration.agents.keys_to_published => {
            return Ok(
                Err("private keys are not sent to agents that cannot open sealed payloads".to_owned()),
            );
        }
        _ => {}
    }
    let DescribedJob { job: leased, row, secret_properties, secret_fields } = described;
    let mut properties: BTreeMap<&String, Secret> =
        leased.store.properties.iter().map(|(name, value)| (name, Secret::new(value.clone()))).collect();
    properties.extend(secret_properties.iter().map(|(name, secret)| (name, secret.clone())));
    // A native agent that removes an entry with its key in a file of its own crashes, or fails half way (chapter 9.2).
    properties.retain(|name, _| !(native && name.eq_ignore_ascii_case(reenrollment::KEY_PATH)));
    let mut job = ConfiguredJob {
        client_machine: row.client_machine.clone(),
        store_path: row.store_path.clone(),
        store_password: leased.store.password.clone(),
        store_type: row.store_type,
        category: row.store_type,
        properties: serde_json::to_string(&properties).ok().map(Secret::new),
        ..ConfiguredJob::default()
    };
    let mut update = None;
    match leased.work {
        Work::Inventory => {
            let mut known = queries::known_entries(db, row.id, MAX_ITEMS as i64 + 1).await?;
            let whole = known.len() <= MAX_WHOLE || known.len() > MAX_ITEMS;
            if whole {
                known.clear();
            }
            let base = if whole { "none" } else { "held" };
            update = Some(format!("Jobs/{}/Update?audit={}&base={base}", leased.job_id, leased.audit_id));
            job.inventory = Some(known);
        }
        Work::Add(work) => add(&mut job, work, &row).await?,
        Work::Remove(work) => remove(&mut job, work),
        Work::Create => change(&mut job, Operation::Create, String::new()),
        // Not listed to these agents: the published protocol has no way to report what was found.
        Work::Discover(_) | Work::Reenroll(_) | Work::FetchLog(_) => {}
    }
    job.job_properties.extend(secret_fields);
    Ok(Ok(Described::Job { job: Box::new(job), update }))
}

/// Members that every change has: none of them may be null (chapter 13, rule 8).
fn change(job: &mut ConfiguredJob, operation: Operation, alias: String) {
    job.operation_type = Some(operation as i32);
    job.alias = Some(alias);
    job.entry_contents = Some(Secret::new(String::new()));
    job.private_key_entry = Some(false);
    job.overwrite = Some(false);
}

fn remove(job: &mut ConfiguredJob, work: RemoveWork) {
    change(job, Operation::Remove, work.alias);
    job.job_properties = fields(work.job_fields);
}

fn fields(plain: BTreeMap<String, String>) -> BTreeMap<String, Secret> {
    plain.into_iter().map(|(name, value)| (name, Secret::new(value))).collect()
}

async fn add(job: &mut ConfiguredJob, work: AddWork, row: &StoreRow) -> Result<(), Failure> {
    change(job, Operation::Add, work.alias.unwrap_or_default());
    job.overwrite = Some(work.overwrite);
    job.entry_password = work.entry_password;
    job.job_properties = fields(work.job_fields);
    let Some(key) = work.private_key else {
        let leaf = work.certificates.into_iter().next().unwrap_or_default();
        job.entry_contents = Some(Secret::new(leaf));
        return Ok(());
    };
    let password = password::made_up()?;
    let old = row.properties["Encryption"].as_str().is_some_and(|text| text.eq_ignore_ascii_case("3des"));
    let encryption = if old { Encryption::TripleDesSha1 } else { Encryption::Aes256Sha256 };
    let opening = password.clone();
    let packed = actix_web::web::block(move || pack(&work.certificates, &key, &opening, encryption)).await;
    let packed = packed.map_err(Failure::fault)??;
    job.entry_contents = Some(Secret::new(STANDARD.encode(packed)));
    job.private_key_entry = Some(true);
    job.pfx_password = Some(password);
    Ok(())
}

fn pack(
    certificates: &[String],
    key: &Secret,
    password: &Secret,
    encryption: Encryption,
) -> Result<Vec<u8>, Error> {
    let broken = |what: &str| Error::Invalid(format!("the stored {what} cannot be read"));
    let key = STANDARD.decode(key.expose()).ok().map(zeroize::Zeroizing::new);
    let key =
        key.and_then(|der| PrivateKey::from_pkcs8_der(&der).ok()).ok_or_else(|| broken("private key"))?;
    let mut chain = Vec::with_capacity(certificates.len());
    for text in certificates {
        let der = STANDARD.decode(text).ok().and_then(|der| Certificate::parse(&der).ok());
        chain.push(der.ok_or_else(|| broken("certificate"))?);
    }
    let entry = Pkcs12 { key: Some(key), certificates: chain, friendly_name: None };
    entry
        .encode(password.expose(), encryption, pkcs12::WRITE_ITERATIONS)
        .map_err(|error| Error::Invalid(format!("the certificate cannot be packed: {error}")))
}

/// An inventory update, checked and parsed: what an agent says is never taken as it is.
#[derive(Debug)]
pub(crate) struct Update {
    changed: Vec<Entry>,
    removed: Vec<String>,
    kept: Vec<String>,
    /// Whether the items are all that the store holds.
    whole: bool,
}

impl Update {
    /// Checks and parses; slow for large ones, so run it apart from the event loop. `from_nothing`: the agent was told
    /// of no entry, so that it sends all.
    ///
    /// # Errors
    /// [`Error::Invalid`] names what is out of bounds.
    pub(crate) fn parse(items: Vec<InventoryItem>, from_nothing: bool) -> Result<Self, Error> {
        if items.len() > MAX_ITEMS {
            return Err(Error::Invalid(format!("an update holds at most {MAX_ITEMS} items")));
        }
        let whole = from_nothing || items.iter().any(|item| item.item_status == 0);
        let mut update = Self { changed: Vec::new(), removed: Vec::new(), kept: Vec::new(), whole };
        let mut seen = HashSet::new();
        for item in items {
            let alias = one_form(item.alias);
            // Agents do report the same alias twice; the first one counts.
            if !seen.insert(alias.to_lowercase()) {
                continue;
            }
            match item.item_status {
                3 => update.removed.push(alias),
                4 => update.kept.push(alias),
                _ => update.changed.push(parse_entry(StoreEntry {
                    alias,
                    certificates: item.certificates,
                    private_key_entry: item.private_key_entry,
                    parameters: item.parameters,
                })?),
            }
        }
        Ok(update)
    }
}

/// Thumbprints come in any case; they are kept in one.
fn one_form(alias: String) -> String {
    let thumbprint = alias.len() == 40 && alias.bytes().all(|byte| byte.is_ascii_hexdigit());
    if thumbprint { alias.to_ascii_uppercase() } else { alias }
}

/// Stores what an inventory found, in the caller's transaction; false when the lease is not live any more.
pub(crate) async fn store_update(
    db: &mut PgConnection,
    agent: AgentId,
    lease: LeaseKey,
    update: &Update,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let Some(live) = orchestrator_jobs::live_inventory_lease(db, agent, lease).await? else {
        return Ok(false);
    };
    if queries::lock_inventory_version(db, live.store_id).await?.is_none() {
        return Ok(false);
    }
    if !update.whole && !update.removed.is_empty() {
        queries::delete_entries(db, live.store_id, &update.removed).await?;
    }
    for entries in update.changed.chunks(MAX_PAGE_ENTRIES) {
        store_entries(db, &live, entries, now).await?;
    }
    if update.whole {
        queries::keep_entries(db, live.store_id, live.history_id, &update.kept).await?;
        queries::delete_unseen(db, live.store_id, live.history_id).await?;
    }
    let version = format!("published-{}", live.history_id);
    queries::set_inventory_version(db, live.store_id, Some(&version), now).await?;
    orchestrator_jobs::mark_inventoried(db, agent, lease).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(alias: &str, status: i32) -> InventoryItem {
        InventoryItem { alias: alias.to_owned(), item_status: status, ..InventoryItem::default() }
    }

    #[test]
    fn a_difference_is_told_from_the_whole_truth() {
        let thumbprint = "59d8f1759563e5a0ce9bae7538b8e963d567f80b";
        let items = vec![item("a", 4), item(thumbprint, 1), item("A", 1), item("gone", 3), item("x", 2)];
        let update = Update::parse(items.clone(), false).unwrap();
        let changed: Vec<&str> = update.changed.iter().map(|entry| entry.alias.as_str()).collect();
        assert_eq!(changed, [&thumbprint.to_uppercase(), "x"]);
        assert_eq!((update.kept, update.removed), (vec!["a".to_owned()], vec!["gone".to_owned()]));
        assert!(!update.whole);
        assert!(Update::parse(items, true).unwrap().whole);
        assert!(Update::parse(vec![item("a", 0)], false).unwrap().whole);
    }

    #[test]
    fn what_an_agent_says_is_bounded() {
        assert!(Update::parse(vec![item("", 1)], true).is_err());
        assert!(Update::parse(vec![item("a\u{0}b", 1)], true).is_err());
        assert!(Update::parse(vec![item("a", 4); MAX_ITEMS + 1], true).is_err());
        assert!(Update::parse(vec![item("a", 4); MAX_ITEMS], true).is_ok());
    }
}
