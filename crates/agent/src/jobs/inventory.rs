//! The inventory job: reads a store and tells the server what is in it, only the differences where both agree on
//! what the server already has.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealift_protocol::agent::inventory::{InventoryDisposition, InventoryPage, StoreEntry};
use sealift_protocol::agent::leases::StoreDescription;
use sealift_stores::{Entry, Unreadable};

use super::difference::{Difference, Digests, MAX_ENTRY_BYTES, bytes, difference, digest, pages, version};
use crate::Agent;
use crate::allow_list::AllowedStore;
use crate::backoff::Trouble;
use crate::execution::{Attempt, Done, blocking};
use crate::failure::{ErrorCode, Failure};
use crate::inventory_record::Acknowledged;
use crate::server_client::CallError;
use crate::steps::code;

/// Longest alias on the wire, in characters.
const MAX_ALIAS: usize = 512;
/// Most unreadable items that the report names.
const MAX_NAMED: usize = 10;

/// What a store holds, ready to be compared and sent.
#[derive(Debug)]
struct Reading {
    entries: Vec<StoreEntry>,
    digests: Digests,
    unreadable: Vec<Unreadable>,
}

/// Runs an inventory job.
pub(crate) async fn run(
    agent: &Agent,
    attempt: &Attempt,
    store: &StoreDescription,
    allowed: AllowedStore,
) -> Result<Done, Failure> {
    let reading = Arc::new(blocking(move || read(allowed)).await??);
    let summary = summary(&reading);
    attempt.lease.record(code::INVENTORY_READ, &summary);

    let (records, store_id) = (agent.inventory_records.clone(), store.store_id);
    let acknowledged = blocking(move || records.load(store_id)).await?;
    let base = acknowledged.filter(|known| Some(&known.version) == store.inventory_version.as_ref());
    let version = version(&reading.digests);
    if !upload(agent, attempt, &reading, &version, base).await?
        && !upload(agent, attempt, &reading, &version, None).await?
    {
        let what = "the server asked for everything and then refused everything";
        return Err(Failure::new(ErrorCode::InventoryRefused, what));
    }
    attempt.lease.record(code::INVENTORY_UPLOADED, &format!("version {version}"));

    let (records, known) =
        (agent.inventory_records.clone(), Acknowledged { version, entries: reading.digests.clone() });
    blocking(move || records.save(store_id, &known)).await?;
    Ok(Done { message: summary, warnings: warnings(&reading.unreadable), ..Done::default() })
}

/// Reads the store. What cannot travel is reported like what cannot be read.
fn read(allowed: AllowedStore) -> Result<Reading, Failure> {
    let inventory = sealift_stores::open(allowed.store_type, allowed.settings)?.inventory()?;
    let mut reading =
        Reading { entries: Vec::new(), digests: Digests::new(), unreadable: inventory.unreadable };
    for entry in inventory.entries {
        let entry = on_the_wire(entry);
        let reason = if entry.alias.chars().count() > MAX_ALIAS {
            "its alias is too long for the server"
        } else if bytes(&entry) > MAX_ENTRY_BYTES {
            "its certificates are too large for the server"
        } else if reading.digests.contains_key(&entry.alias) {
            "another entry has the same alias"
        } else {
            reading.digests.insert(entry.alias.clone(), digest(&entry));
            reading.entries.push(entry);
            continue;
        };
        let name = entry.alias.chars().take(MAX_ALIAS).collect();
        reading.unreadable.push(Unreadable { name, reason: reason.to_owned() });
    }
    Ok(reading)
}

fn on_the_wire(entry: Entry) -> StoreEntry {
    StoreEntry {
        alias: entry.alias.as_str().to_owned(),
        certificates: entry
            .certificates
            .iter()
            .map(|certificate| STANDARD.encode(certificate.der()))
            .collect(),
        private_key_entry: entry.has_private_key,
        parameters: entry.parameters,
    }
}

/// Sends the pages in order, each until it is heard; false when the server wants everything instead.
async fn upload(
    agent: &Agent,
    attempt: &Attempt,
    reading: &Reading,
    version: &str,
    base: Option<Acknowledged>,
) -> Result<bool, Failure> {
    let difference = match &base {
        Some(known) => difference(&reading.entries, &reading.digests, &known.entries),
        None => Difference { entries: reading.entries.clone(), removed: Vec::new() },
    };
    let base = base.map(|known| known.version);
    for page in pages(attempt.lease.key, base.as_deref(), version, difference) {
        attempt.may_begin()?;
        match send(agent, attempt, &page).await? {
            InventoryDisposition::Stored => {}
            InventoryDisposition::SendEverything => return Ok(false),
            InventoryDisposition::Stale => {
                return Err(Failure::new(ErrorCode::LeaseLost, "the inventory came too late"));
            }
        }
    }
    Ok(true)
}

/// Sends one page until it is heard, or until the attempt ends.
async fn send(
    agent: &Agent,
    attempt: &Attempt,
    page: &InventoryPage,
) -> Result<InventoryDisposition, Failure> {
    let mut trouble = Trouble::default();
    loop {
        match agent.client.inventory(page).await {
            Ok(answer) => return Ok(answer.disposition),
            Err(error @ CallError::Refused(_)) => {
                return Err(Failure::new(
                    ErrorCode::InventoryRefused,
                    format!("page {}: {error}", page.page),
                ));
            }
            Err(error) => {
                let pause =
                    trouble.pause(&format!("an inventory is not uploaded: {error}"), error.asked_pause());
                attempt.pause(pause).await;
                attempt.may_begin()?;
            }
        }
    }
}

fn summary(reading: &Reading) -> String {
    let entries = match reading.entries.len() {
        1 => "1 entry".to_owned(),
        count => format!("{count} entries"),
    };
    match reading.unreadable.len() {
        0 => entries,
        unreadable => format!("{entries}, {unreadable} unreadable"),
    }
}

fn warnings(unreadable: &[Unreadable]) -> Vec<String> {
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    let mut warnings: Vec<String> = unreadable
        .iter()
        .take(MAX_NAMED)
        .map(|item| format!("{}: {}", plain(&item.name), plain(&item.reason)))
        .collect();
    if unreadable.len() > MAX_NAMED {
        warnings.push(format!("{} more cannot be read", unreadable.len() - MAX_NAMED));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_named_up_to_a_bound() {
        assert!(warnings(&[]).is_empty());
        let unreadable: Vec<Unreadable> = (0..25)
            .map(|at| Unreadable { name: format!("n{at}\u{7}.pfx"), reason: "wrong password".to_owned() })
            .collect();
        let warned = warnings(&unreadable);
        assert_eq!(warned.len(), MAX_NAMED + 1);
        assert_eq!(warned[0], "n0.pfx: wrong password");
        assert_eq!(warned[MAX_NAMED], "15 more cannot be read");
    }
}
