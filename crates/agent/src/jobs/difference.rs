//! What an inventory upload has to say: digests of entries, the difference to what the server acknowledged last, and
//! pages of bounded size. Pure functions.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealift_protocol::agent::inventory::{InventoryPage, MAX_PAGE_BYTES, MAX_PAGE_ENTRIES, StoreEntry};
use sealift_protocol::agent::leases::LeaseKey;

/// Most bytes of entries in a page; the rest of [`MAX_PAGE_BYTES`] is room for the page's own members.
pub(crate) const MAX_ENTRY_BYTES: usize = MAX_PAGE_BYTES / 5 * 4;

/// Digests by alias: all that is needed to tell later what has changed.
pub(crate) type Digests = BTreeMap<String, String>;

/// A digest over every part of an entry.
pub(crate) fn digest(entry: &StoreEntry) -> String {
    let mut context = Context::new(&SHA256);
    let mut part = |bytes: &[u8]| {
        context.update(&(bytes.len() as u64).to_be_bytes());
        context.update(bytes);
    };
    part(entry.alias.as_bytes());
    part(&[u8::from(entry.private_key_entry)]);
    part(&(entry.certificates.len() as u64).to_be_bytes());
    entry.certificates.iter().for_each(|certificate| part(certificate.as_bytes()));
    for (name, value) in &entry.parameters {
        part(name.as_bytes());
        part(value.as_bytes());
    }
    STANDARD.encode(context.finish())
}

/// Names the content of a store: hexadecimal SHA-256 over its entries in the order of their aliases.
pub(crate) fn version(digests: &Digests) -> String {
    let mut context = Context::new(&SHA256);
    for (alias, digest) in digests {
        context.update(&(alias.len() as u64).to_be_bytes());
        context.update(alias.as_bytes());
        context.update(digest.as_bytes());
    }
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is to be uploaded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Entries that are new or different.
    pub(crate) entries: Vec<StoreEntry>,
    /// Aliases that are gone.
    pub(crate) removed: Vec<String>,
}

/// What has changed since the base.
pub(crate) fn difference(entries: &[StoreEntry], digests: &Digests, base: &Digests) -> Difference {
    let different = |entry: &&StoreEntry| base.get(&entry.alias) != digests.get(&entry.alias);
    let removed = base.keys().filter(|alias| !digests.contains_key(*alias)).cloned().collect();
    Difference { entries: entries.iter().filter(different).cloned().collect(), removed }
}

/// Splits a difference into pages; there is always at least one, since the last one closes the inventory.
pub(crate) fn pages(
    lease: LeaseKey,
    base: Option<&str>,
    version: &str,
    difference: Difference,
) -> Vec<InventoryPage> {
    let empty = |page: u32| InventoryPage {
        lease,
        base: base.map(str::to_owned),
        version: version.to_owned(),
        page,
        last: false,
        entries: Vec::new(),
        removed: Vec::new(),
    };
    let mut pages = vec![empty(1)];
    let mut room = Room::default();
    let items = difference
        .entries
        .into_iter()
        .map(Item::Entry)
        .chain(difference.removed.into_iter().map(Item::Removed));
    for item in items {
        if !room.take(item.bytes()) {
            let number = u32::try_from(pages.len()).unwrap_or(u32::MAX).saturating_add(1);
            pages.push(empty(number));
            room = Room::default();
            room.take(item.bytes());
        }
        if let Some(page) = pages.last_mut() {
            match item {
                Item::Entry(entry) => page.entries.push(entry),
                Item::Removed(alias) => page.removed.push(alias),
            }
        }
    }
    if let Some(page) = pages.last_mut() {
        page.last = true;
    }
    pages
}

/// Bytes that an entry takes on the wire.
pub(crate) fn bytes(entry: &StoreEntry) -> usize {
    serde_json::to_vec(entry).map_or(usize::MAX, |text| text.len() + 1)
}

enum Item {
    Entry(StoreEntry),
    Removed(String),
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Entry(entry) => bytes(entry),
            Self::Removed(alias) => serde_json::to_vec(alias).map_or(usize::MAX, |text| text.len() + 1),
        }
    }
}

/// What fits into a page.
struct Room {
    bytes: usize,
    items: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { bytes: MAX_ENTRY_BYTES, items: MAX_PAGE_ENTRIES }
    }
}

impl Room {
    /// Uses up room for an item; false when it does not fit.
    fn take(&mut self, bytes: usize) -> bool {
        let fits = self.items > 0 && bytes <= self.bytes;
        if fits {
            self.items -= 1;
            self.bytes -= bytes;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use sealift_protocol::JobId;
    use uuid::Uuid;

    use super::*;

    fn entry(alias: &str, certificate: &str) -> StoreEntry {
        StoreEntry {
            alias: alias.to_owned(),
            certificates: vec![certificate.to_owned()],
            private_key_entry: true,
            parameters: BTreeMap::new(),
        }
    }

    fn digests(entries: &[StoreEntry]) -> Digests {
        entries.iter().map(|entry| (entry.alias.clone(), digest(entry))).collect()
    }

    fn split(difference: Difference) -> Vec<InventoryPage> {
        let lease = LeaseKey { job_id: JobId::generate(), lease_token: Uuid::new_v4() };
        pages(lease, Some("base"), "version", difference)
    }

    #[test]
    fn every_part_of_an_entry_counts_in_its_digest() {
        let one = entry("a", "MIIB");
        let mut others = [entry("b", "MIIB"), entry("a", "MIIC"), one.clone(), one.clone(), one.clone()];
        others[2].private_key_entry = false;
        others[3].certificates.push(String::new());
        others[4].parameters.insert("p".to_owned(), "v".to_owned());
        assert!(others.iter().all(|other| digest(other) != digest(&one)));
        assert_eq!(digest(&one), digest(&one.clone()));
    }

    #[test]
    fn the_version_names_the_content_and_fits_the_wire() {
        let (a, b) = (entry("a", "MIIB"), entry("b", "MIIC"));
        let both = version(&digests(&[a.clone(), b.clone()]));
        assert_eq!(both, version(&digests(&[b.clone(), a.clone()])));
        assert_eq!(both.len(), 64);
        assert!(
            [version(&digests(&[a])), version(&digests(&[b])), version(&Digests::new())]
                .iter()
                .all(|v| *v != both)
        );
    }

    #[test]
    fn a_difference_names_what_is_new_changed_and_gone() {
        let base = digests(&[entry("same", "1"), entry("changed", "2"), entry("gone", "3")]);
        let now = [entry("changed", "4"), entry("new", "5"), entry("same", "1")];
        let found = difference(&now, &digests(&now), &base);
        assert_eq!(
            found,
            Difference { entries: vec![now[0].clone(), now[1].clone()], removed: vec!["gone".to_owned()] }
        );
        assert_eq!(difference(&now, &digests(&now), &digests(&now)), Difference::default());
        assert_eq!(difference(&now, &digests(&now), &Digests::new()).entries.len(), 3);
    }

    #[test]
    fn pages_are_bounded_in_items_and_bytes_and_lose_nothing() {
        let small: Vec<StoreEntry> = (0..2_500).map(|at| entry(&format!("e{at}"), "MIIB")).collect();
        let removed: Vec<String> = (0..700).map(|at| format!("r{at}")).collect();
        let split_up = split(Difference { entries: small.clone(), removed: removed.clone() });
        assert_eq!(split_up.len(), 4);
        assert!(split_up.iter().all(|page| page.entries.len() + page.removed.len() <= MAX_PAGE_ENTRIES));
        assert_eq!(split_up.iter().map(|page| page.page).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(split_up.iter().filter(|page| page.last).count(), 1);
        assert!(split_up.last().unwrap().last);
        assert_eq!(split_up.iter().flat_map(|page| page.entries.clone()).collect::<Vec<_>>(), small);
        assert_eq!(split_up.iter().flat_map(|page| page.removed.clone()).collect::<Vec<_>>(), removed);

        let large = "A".repeat(1_000_000);
        let entries: Vec<StoreEntry> = (0..10).map(|at| entry(&format!("e{at}"), &large)).collect();
        let split_up = split(Difference { entries, removed: Vec::new() });
        assert!(split_up.iter().all(|page| serde_json::to_vec(page).unwrap().len() <= MAX_PAGE_BYTES));
        assert_eq!(split_up.len(), 3);
    }

    #[test]
    fn an_empty_store_is_one_empty_page() {
        let split_up = split(Difference::default());
        assert_eq!(split_up.len(), 1);
        assert!(
            split_up[0].last && split_up[0].entries.is_empty() && split_up[0].base.as_deref() == Some("base")
        );
    }
}
