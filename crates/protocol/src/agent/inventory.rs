//! Inventories as our own agent uploads them: differences where it can, pages always.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::leases::LeaseKey;

/// Most entries, changed and removed together, in one [`InventoryPage`].
pub const MAX_PAGE_ENTRIES: usize = 1_000;
/// Most bytes in the body of one [`InventoryPage`].
pub const MAX_PAGE_BYTES: usize = 5 * 1024 * 1024;

/// `Sealift/Inventory`: one page of what an agent read from a store.
///
/// Pages of one inventory are sent in order, each until heard; a repeated page changes nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InventoryPage {
    /// The lease of the inventory job.
    #[serde(flatten)]
    pub lease: LeaseKey,
    /// The inventory this is a difference to, as the server named it in
    /// [`super::leases::StoreDescription::inventory_version`]; absent when the pages hold everything.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub base: Option<String>,
    /// Names what the store holds after the last page: at most 64 characters, opaque to the server.
    pub version: String,
    /// From 1.
    pub page: u32,
    /// Whether this is the last page.
    pub last: bool,
    /// Entries that are new or changed; all entries when there is no base.
    #[serde(default)]
    pub entries: Vec<StoreEntry>,
    /// Aliases that are gone; only with a base.
    #[serde(default)]
    pub removed: Vec<String>,
}

/// One entry of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StoreEntry {
    /// Its name in the store, at most 512 characters.
    pub alias: String,
    /// Base64 DER, end entity first.
    pub certificates: Vec<String>,
    /// Whether it has a private key.
    pub private_key_entry: bool,
    /// What the driver says beside that.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}

/// The answer to an [`InventoryPage`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InventoryAnswer {
    /// What became of the page.
    pub disposition: InventoryDisposition,
}

/// What the server did with a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum InventoryDisposition {
    /// Stored.
    Stored,
    /// The base is not what the server holds: begin again, without a base.
    SendEverything,
    /// The lease was not the agent's any more; nothing was changed.
    Stale,
}
