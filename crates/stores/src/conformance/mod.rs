//! The suite that every driver must pass: a driver is done when [`run`] returns. It panics with the name of the
//! promise that was broken, and is part of the library so that drivers elsewhere can be held to it too.
//!
//! It drives a store through [`crate::open()`] only, over real files, with certificates made on the spot.

#![expect(clippy::unwrap_used, reason = "the suite reports by panicking, at the line of the broken promise")]

mod changes;
mod damage;
pub mod material;
mod names;
mod plans;
mod readers;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use sealift_pki::Thumbprint;

use crate::{Capability, CertificateStore, Entry, Inventory, Secret, Settings, open, open::capability};
use material::Material;

/// Password of the stores that have one. It must appear in no message.
pub const PASSWORD: &str = "Canary-7c1d-password";

/// Checks every promise of one store type.
///
/// `new_store` answers settings for a store that does not exist yet, each time in an empty directory of its own
/// that stays until the suite ends; a password is set by the suite where the type has one.
///
/// # Panics
/// When a promise is broken, or the type is not known.
pub fn run(store_type: &str, new_store: impl Fn() -> Settings) {
    let capability = capability(store_type).unwrap();
    let suite = Suite { capability, new_store: &new_store, material: Material::new() };
    for (promise, check) in PROMISES {
        eprintln!("{store_type}: {promise}");
        check(&suite);
    }
}

type Check = fn(&Suite<'_>);

const PROMISES: &[(&str, Check)] = &[
    ("a store is created empty, once", changes::create),
    ("a store that does not exist is said to be missing", changes::missing),
    ("an added entry is read back and stands in the inventory", changes::add),
    ("adding what is already there succeeds and changes nothing", changes::add_again),
    ("another certificate is replaced only with leave", changes::overwrite),
    ("removing takes one entry and nothing else", changes::remove),
    ("a plan changes nothing, says what the change then does, and refuses what it refuses", plans::agree),
    ("a snapshot of the planned files undoes the change", plans::undo),
    ("entries that make no sense are refused", changes::refuse),
    ("every kind of key is kept", names::key_kinds),
    ("wildcards and upper case are kept", names::wildcards),
    ("a chain and a hundred names are kept", names::big),
    ("hostile names stay inside the store", names::hostile),
    ("a wrong password reads nothing and changes nothing", damage::wrong_password),
    ("leftovers are ignored, and swept when they are old", damage::leftovers),
    ("unreadable neighbours hide nothing", damage::neighbours),
    ("a change that fails leaves everything as it was", damage::obstacle),
    ("a directory without write permission leaves everything as it was", damage::read_only),
    ("readers see every version whole while it is replaced", readers::replace),
];

/// What the checks share.
struct Suite<'a> {
    capability: &'static Capability,
    new_store: &'a dyn Fn() -> Settings,
    material: Material,
}

impl Suite<'_> {
    /// Settings for a new store, with the password.
    fn settings(&self) -> Settings {
        let password = self.has_password().then(|| Secret::new(PASSWORD));
        Settings { password, ..(self.new_store)() }
    }

    fn has_password(&self) -> bool {
        self.capability.store_password != crate::Permission::Forbidden
    }

    fn is(&self, short_name: &str) -> bool {
        self.capability.short_name == short_name
    }

    fn open(&self, settings: &Settings) -> Box<dyn CertificateStore> {
        open(self.capability.short_name, settings.clone()).unwrap()
    }

    /// A new store that exists, with its settings.
    fn created(&self) -> (Settings, Box<dyn CertificateStore>) {
        let settings = self.settings();
        let mut store = self.open(&settings);
        store.create().unwrap();
        (settings, store)
    }
}

/// The inventory, in which nothing is unreadable.
fn whole(store: &dyn CertificateStore) -> Vec<Entry> {
    let Inventory { entries, unreadable } = store.inventory().unwrap();
    assert_eq!(unreadable, [], "everything is readable");
    entries
}

fn thumbprints(store: &dyn CertificateStore) -> Vec<Thumbprint> {
    let mut found: Vec<Thumbprint> = whole(store).iter().filter_map(Entry::thumbprint).collect();
    found.sort();
    found.dedup();
    found
}

/// The directory in which the store's files lie.
fn directory(settings: &Settings) -> PathBuf {
    if settings.path.is_dir() { settings.path.clone() } else { settings.path.parent().unwrap().to_owned() }
}

/// Every file of a directory tree with its content.
fn snapshot(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(snapshot(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}
