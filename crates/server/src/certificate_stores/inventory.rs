//! What agents read from stores: reconciling uploads, and the inventories that follow changes.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use sealift_pki::Certificate;
use sealift_protocol::agent::inventory::{InventoryDisposition, InventoryPage, MAX_PAGE_ENTRIES, StoreEntry};
use sealift_protocol::{AgentId, RequestId};
use serde_json::Value;
use sqlx::PgConnection;

use super::error::Error;
use super::queries;
use super::target::MAX_ALIAS;
use crate::certificates::{self, NewCertificate};
use crate::http::Failure;
use crate::orchestrator_jobs::{self, Cause, Finished, LiveLease, NewJob, Operation};

/// Most certificates of one entry, and the largest of them in bytes.
const MAX_CHAIN: usize = 16;
const MAX_CERTIFICATE: usize = 64 * 1024;
/// Most parameters of one entry, and the longest of them.
const MAX_PARAMETERS: (usize, usize) = (50, 4_000);
/// Longest name of an inventory version.
const MAX_VERSION: usize = 64;

/// One page, checked and parsed: what an agent says is never taken as it is.
#[derive(Debug)]
pub(crate) struct Upload {
    page: InventoryPage,
    entries: Vec<Entry>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) alias: String,
    pub(super) private_key_entry: bool,
    pub(super) parameters: Value,
    pub(super) certificates: Vec<Certificate>,
}

impl Upload {
    /// Checks and parses a page; slow for large ones, so run it apart from the event loop.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the entry that is out of bounds.
    pub(crate) fn parse(mut page: InventoryPage) -> Result<Self, Error> {
        let invalid = |message: &str| Err(Error::Invalid(message.to_owned()));
        if page.entries.len() + page.removed.len() > MAX_PAGE_ENTRIES {
            return invalid("a page holds at most 1000 entries");
        }
        if page.version.is_empty() || page.version.len() > MAX_VERSION || !page.version.is_ascii() {
            return invalid("Version must have 1 to 64 ASCII characters");
        }
        if page.page == 0 {
            return invalid("Page counts from 1");
        }
        let mut seen = HashSet::new();
        let mut entries = Vec::with_capacity(page.entries.len());
        for entry in std::mem::take(&mut page.entries) {
            // Agents do report the same alias twice; the first one counts.
            if seen.insert(entry.alias.to_lowercase()) {
                entries.push(parse_entry(entry)?);
            }
        }
        Ok(Self { page, entries })
    }
}

pub(super) fn parse_entry(entry: StoreEntry) -> Result<Entry, Error> {
    let invalid = |what: &str| Err(Error::Invalid(format!("an entry's {what}")));
    let alias_length = entry.alias.chars().count();
    if alias_length == 0 || alias_length > MAX_ALIAS || entry.alias.chars().any(char::is_control) {
        return invalid("Alias must have 1 to 512 characters, none of them control characters");
    }
    if entry.certificates.len() > MAX_CHAIN {
        return invalid("Certificates are more than 16");
    }
    let long =
        entry.parameters.iter().any(|(name, value)| name.len() > 256 || value.len() > MAX_PARAMETERS.1);
    if entry.parameters.len() > MAX_PARAMETERS.0 || long {
        return invalid("Parameters are too many or too long");
    }
    let mut certificates = Vec::with_capacity(entry.certificates.len());
    for text in &entry.certificates {
        let der = STANDARD.decode(text).ok().filter(|der| der.len() <= MAX_CERTIFICATE);
        match der.and_then(|der| Certificate::parse(&der).ok()) {
            Some(certificate) => certificates.push(certificate),
            // One that cannot be read must not hide the others of its store.
            None => {
                tracing::warn!(alias = entry.alias, "an agent reported a certificate that cannot be read")
            }
        }
    }
    let parameters = entry
        .parameters
        .into_iter()
        .map(|(name, value)| (name.replace('\0', ""), Value::String(value.replace('\0', ""))))
        .collect();
    Ok(Entry {
        alias: entry.alias,
        private_key_entry: entry.private_key_entry,
        parameters: Value::Object(parameters),
        certificates,
    })
}

/// Stores one page, in the caller's transaction. Only the holder of the inventory job's lease may.
pub(crate) async fn store_page(
    db: &mut PgConnection,
    agent: AgentId,
    upload: &Upload,
    now: DateTime<Utc>,
) -> Result<InventoryDisposition, Error> {
    let page = &upload.page;
    // Most inventories find what the last one found: two statements then, and no look at the entries.
    if page.last && queries::touch_unchanged(db, agent, page.lease, &page.version, now).await? {
        return Ok(match orchestrator_jobs::mark_inventoried(db, agent, page.lease).await? {
            true => InventoryDisposition::Stored,
            false => InventoryDisposition::Stale,
        });
    }
    let Some(lease) = orchestrator_jobs::live_inventory_lease(db, agent, page.lease).await? else {
        return Ok(InventoryDisposition::Stale);
    };
    let Some(current) = queries::lock_inventory_version(db, lease.store_id).await? else {
        return Ok(InventoryDisposition::Stale);
    };
    // A difference applies to what it was made from. The first page of several clears the version, so that an
    // upload that breaks off is followed by a whole one.
    let fits = match (&page.base, page.page) {
        (None, _) => true,
        (Some(base), 1) => current.as_ref() == Some(base),
        (Some(_), _) => current.is_none(),
    };
    if !fits {
        return Ok(InventoryDisposition::SendEverything);
    }
    apply(db, &lease, upload, now).await?;
    if page.last {
        if page.base.is_none() {
            queries::delete_unseen(db, lease.store_id, lease.history_id).await?;
        }
        queries::set_inventory_version(db, lease.store_id, Some(&page.version), now).await?;
        orchestrator_jobs::mark_inventoried(db, agent, page.lease).await?;
    } else if page.page == 1 {
        queries::set_inventory_version(db, lease.store_id, None, now).await?;
    }
    Ok(InventoryDisposition::Stored)
}

async fn apply(
    db: &mut PgConnection,
    lease: &LiveLease,
    upload: &Upload,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    if upload.page.base.is_some() && !upload.page.removed.is_empty() {
        queries::delete_entries(db, lease.store_id, &upload.page.removed).await?;
    }
    store_entries(db, lease, &upload.entries, now).await
}

/// Writes entries and their certificates, at most [`MAX_PAGE_ENTRIES`], as seen by this attempt.
pub(super) async fn store_entries(
    db: &mut PgConnection,
    lease: &LiveLease,
    entries: &[Entry],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let found: Vec<NewCertificate> = entries
        .iter()
        .flat_map(|entry| entry.certificates.iter().cloned().map(NewCertificate::from))
        .collect();
    let mut ids = certificates::record(db, &found, now).await.map_err(Failure::from)?.into_iter();
    let entry_ids = queries::upsert_entries(db, lease.store_id, lease.history_id, entries).await?;
    let mut members = Vec::with_capacity(found.len());
    for entry in entries {
        let Some(entry_id) = entry_ids.get(&entry.alias) else { continue };
        for (level, id) in ids.by_ref().take(entry.certificates.len()).enumerate() {
            members.push((*entry_id, i16::try_from(level).unwrap_or(i16::MAX), id));
        }
    }
    let all: Vec<i64> = entry_ids.into_values().collect();
    queries::replace_entry_certificates(db, &all, &members).await?;
    Ok(())
}

/// Schedules an inventory after each finished job that may have changed its store. Answers the agents to ring.
pub(crate) async fn follow_with_inventory(
    db: &mut PgConnection,
    finished: &[Finished],
    max_attempts: i16,
    now: DateTime<Utc>,
) -> Result<Vec<(AgentId, DateTime<Utc>)>, sqlx::Error> {
    let jobs: Vec<(Cause, NewJob)> = finished
        .iter()
        .filter(|finished| finished.may_have_changed_store())
        .map(|finished| {
            let cause = Cause {
                request_id: RequestId::from(finished.request_id),
                requested_by: format!("follow-up of {}", finished.job_id),
            };
            (cause, inventory_after(finished))
        })
        .collect();
    orchestrator_jobs::schedule(db, &jobs, max_attempts, now).await?;
    Ok(jobs.into_iter().map(|(_, job)| (job.agent_id, job.run_at)).collect())
}

fn inventory_after(finished: &Finished) -> NewJob {
    NewJob {
        id: orchestrator_jobs::inventory_after(finished.job_id),
        agent_id: finished.agent_id,
        store_id: finished.store_id,
        operation: Operation::Inventory,
        // Before everything that waited beside its cause: what was changed is read back at once.
        run_at: finished.run_at - TimeDelta::seconds(1),
        scheduled: false,
        certificate_id: None,
        details: Value::Object(serde_json::Map::new()),
        sealed_secret: None,
        agent_machine: finished.agent_machine.clone(),
        client_machine: finished.client_machine.clone(),
        store_path: finished.store_path.clone(),
        store_type: finished.store_type.clone(),
    }
}

#[cfg(test)]
mod tests {
    use sealift_protocol::JobId;
    use sealift_protocol::agent::leases::LeaseKey;

    use super::*;

    fn page(entries: Vec<StoreEntry>) -> InventoryPage {
        InventoryPage {
            lease: LeaseKey { job_id: JobId::generate(), lease_token: uuid::Uuid::new_v4() },
            base: None,
            version: "v".to_owned(),
            page: 1,
            last: true,
            entries,
            removed: Vec::new(),
        }
    }

    fn entry(alias: &str) -> StoreEntry {
        StoreEntry {
            alias: alias.to_owned(),
            certificates: vec!["AAAA".to_owned()],
            private_key_entry: false,
            parameters: [("Key".to_owned(), "a\0b".to_owned())].into(),
        }
    }

    #[test]
    fn what_an_agent_says_is_made_fit_or_refused() {
        let upload = Upload::parse(page(vec![entry("a"), entry("A"), entry("b")])).unwrap();
        assert_eq!(upload.entries.len(), 2, "an alias counts once");
        assert!(upload.entries[0].certificates.is_empty(), "an unreadable certificate is left out");
        assert_eq!(upload.entries[0].parameters["Key"], "ab");
        for alias in ["", "a\nb", &"x".repeat(513)] {
            assert!(Upload::parse(page(vec![entry(alias)])).is_err());
        }
        assert!(Upload::parse(page((0..1_001).map(|n| entry(&n.to_string())).collect())).is_err());
        assert!(Upload::parse(InventoryPage { version: String::new(), ..page(vec![]) }).is_err());
        assert!(Upload::parse(InventoryPage { page: 0, ..page(vec![]) }).is_err());
    }
}
