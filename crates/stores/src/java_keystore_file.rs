//! Store type `JKS`: one Java keystore with several entries, as Tomcat and other Java programs read it.
//!
//! Java finds entries by lower-case aliases only, so aliases are written in lower case. The caller may choose the
//! alias of a new entry; without a choice it is the certificate's common name. An alias that is the thumbprint of an
//! entry stands for that entry. The password of the store protects the file and every key that is added; there is
//! always one.
//!
//! Other entries stay when one changes, keys under a password of their own too. A file with a certificate that cannot
//! be read is not rewritten, since that would lose it.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use sealift_pki::{
    Certificate, EntryKey, JavaKeystore, JavaKeystoreEntry, Thumbprint,
    java_keystore::{self, MAX_BYTES},
};

use crate::{
    Added, Alias, CertificateStore, Entry, Error, Intent, Inventory, NewEntry, Overwrite, Planned, Removed,
    Settings, Unreadable,
    atomic_file::{self, SECRET_MODE},
    entry,
    paths::{self, Boundary},
};

/// A store of type `JKS`.
#[derive(Debug)]
pub(crate) struct JavaKeystoreFile {
    settings: Settings,
}

/// What the file says.
struct Content {
    path: PathBuf,
    keystore: JavaKeystore,
    exists: bool,
}

impl JavaKeystoreFile {
    pub(crate) fn open(settings: Settings) -> Self {
        Self { settings }
    }

    /// The file, once it is certain that it may be used and that there is a password.
    fn path(&self) -> Result<PathBuf, Error> {
        if self.settings.password_text().is_empty() {
            let reason = "a Java keystore has a password; give the store one".to_owned();
            return Err(Error::Property { property: "store password", reason });
        }
        let path = &self.settings.path;
        let boundary = Boundary::new(paths::home_of(path), &self.settings)?;
        let name = path.file_name().ok_or_else(|| Error::OutsideAllowedDirectories { path: path.clone() })?;
        boundary.resolve(Path::new(name))
    }

    fn read(&self) -> Result<Content, Error> {
        let path = self.path()?;
        let Some(bytes) = paths::read(&path, MAX_BYTES as u64)? else {
            return Ok(Content { path, keystore: JavaKeystore::default(), exists: false });
        };
        let keystore = JavaKeystore::decode(&bytes, self.settings.password_text())
            .map_err(|source| Error::Content { path: path.clone(), source })?;
        Ok(Content { path, keystore, exists: true })
    }

    fn save(&self, content: &Content) -> Result<(), Error> {
        content.check_rewritable()?;
        let bytes = java_keystore::encode(&content.keystore.entries, self.settings.password_text())
            .map_err(|source| Error::Content { path: content.path.clone(), source })?;
        atomic_file::sweep(paths::home_of(&content.path))?;
        atomic_file::write(&content.path, &bytes, SECRET_MODE)
    }

    /// Reads the store again and answers the entry with this alias as it now stands there. A key that was brought
    /// must open.
    fn added(
        &self,
        alias: &str,
        new: &NewEntry,
        changed: bool,
        replaced: Option<Thumbprint>,
    ) -> Result<Added, Error> {
        let content = self.read()?;
        let holds_new = |item: &&JavaKeystoreEntry| {
            let has_key = new.private_key.is_none() || matches!(item.key, Some(EntryKey::Open(_)));
            same(&item.alias, alias) && has_key && item.certificates.first() == new.certificates.first()
        };
        let found = content.keystore.entries.iter().find(holds_new);
        let item = found.ok_or_else(|| Error::ReadBack { path: content.path.clone() })?;
        Ok(Added { entry: entry_of(item), changed, replaced, files: vec![content.path.clone()] })
    }
}

/// Where a new entry would stand.
struct Place {
    /// The entry that it takes the place of.
    position: Option<usize>,
    item: JavaKeystoreEntry,
    /// Whether it is there already.
    same: bool,
    /// The certificate that would go.
    replaced: Option<Thumbprint>,
}

impl Content {
    /// Where a new entry stands, if it may stand there.
    fn place(&self, new: &NewEntry, leaf: &Certificate, overwrite: Overwrite) -> Result<Place, Error> {
        let alias = new.alias.clone().unwrap_or_else(|| default_alias(leaf));
        let mut item = item_of(new, leaf, &alias);
        let Some(position) = self.position(&alias) else {
            return Ok(Place { position: None, item, same: false, replaced: None });
        };
        let present = &self.keystore.entries[position];
        item.alias.clone_from(&present.alias);
        let same = holds_already(present, &item);
        let mut replaced = None;
        if present.certificates.first() != Some(leaf) {
            replaced = thumbprint_of(present);
            if overwrite == Overwrite::Refuse {
                let present = replaced.map_or_else(|| "an entry".to_owned(), |found| found.to_string());
                return Err(Error::AlreadyExists { place: item.alias, present });
            }
        }
        Ok(Place { position: Some(position), item, same, replaced })
    }

    fn check_rewritable(&self) -> Result<(), Error> {
        if self.keystore.is_complete() {
            return Ok(());
        }
        Err(Error::NotRewritable {
            path: self.path.clone(),
            reason: "it holds entries that cannot be read and would be lost".to_owned(),
        })
    }

    /// The entry with this name, or with this thumbprint.
    fn position(&self, alias: &Alias) -> Option<usize> {
        let entries = &self.keystore.entries;
        entries.iter().position(|item| same(&item.alias, alias.as_str())).or_else(|| {
            let thumbprint = alias.thumbprint()?;
            entries.iter().position(|item| thumbprint_of(item) == Some(thumbprint))
        })
    }
}

impl CertificateStore for JavaKeystoreFile {
    fn inventory(&self) -> Result<Inventory, Error> {
        let content = self.read()?;
        if !content.exists {
            return Err(Error::StoreMissing { path: self.settings.path.clone() });
        }
        let mut entries: Vec<Entry> = content.keystore.entries.iter().map(entry_of).collect();
        entries.sort_by(|one, other| one.alias.cmp(&other.alias));
        let unreadable = content.keystore.unreadable.into_iter();
        let unreadable = unreadable.map(|(name, error)| Unreadable { name, reason: error.to_string() });
        Ok(Inventory { entries, unreadable: unreadable.collect() })
    }

    fn add(&mut self, new: NewEntry, overwrite: Overwrite) -> Result<Added, Error> {
        let leaf = entry::check(&new, &self.settings)?;
        let mut content = self.read()?;
        let Place { position, item, same, replaced } = content.place(&new, &leaf, overwrite)?;
        if same {
            return self.added(&item.alias, &new, false, None);
        }
        let alias = item.alias.clone();
        match position {
            Some(position) => content.keystore.entries[position] = item,
            None => content.keystore.entries.push(item),
        }
        self.save(&content)?;
        self.added(&alias, &new, true, replaced)
    }

    fn plan(&self, intent: &Intent<'_>) -> Result<Planned, Error> {
        let content = self.read()?;
        let (position, same) = match intent {
            Intent::Create => (None, content.exists),
            Intent::Add(new, overwrite) => {
                let leaf = entry::check(new, &self.settings)?;
                let place = content.place(new, &leaf, *overwrite)?;
                (place.position, place.same)
            }
            Intent::Remove(alias) => {
                let position = content.position(alias);
                (position, position.is_none())
            }
        };
        let before = position.and_then(|at| content.keystore.entries.get(at)).map(entry_of);
        if same {
            return Ok(Planned::nothing(before));
        }
        content.check_rewritable()?;
        Ok(Planned::change(before, vec![content.path]))
    }

    fn remove(&mut self, alias: &Alias) -> Result<Removed, Error> {
        let mut content = self.read()?;
        let Some(position) = content.position(alias) else { return Ok(Removed::default()) };
        content.keystore.entries.remove(position);
        self.save(&content)?;
        Ok(Removed { changed: true, files: vec![content.path] })
    }

    fn create(&mut self) -> Result<(), Error> {
        let path = self.path()?;
        if path.exists() {
            return Ok(());
        }
        self.save(&Content { path, keystore: JavaKeystore::default(), exists: false })
    }
}

/// The new entry as the file will hold it.
fn item_of(new: &NewEntry, leaf: &Certificate, alias: &Alias) -> JavaKeystoreEntry {
    let key = new.private_key.clone().map(EntryKey::Open);
    // Without a key, an entry is one trusted certificate.
    let certificates = if key.is_some() { new.certificates.clone() } else { vec![leaf.clone()] };
    JavaKeystoreEntry { alias: alias.as_str().to_lowercase(), created: today(), key, certificates }
}

/// The date that `keytool` shows beside an entry. Nothing depends on it.
#[expect(clippy::disallowed_methods, reason = "the format asks each entry for the day it was made")]
fn today() -> DateTime<Utc> {
    Utc::now()
}

/// Whether adding would change nothing: the same certificate, with at least what the new entry brings.
fn holds_already(present: &JavaKeystoreEntry, new: &JavaKeystoreEntry) -> bool {
    let same_leaf = present.certificates.first() == new.certificates.first();
    let no_new_key = new.key.is_none() || matches!(present.key, Some(EntryKey::Open(_)));
    let no_new_chain = new.certificates.len() <= 1 || present.certificates == new.certificates;
    same_leaf && no_new_key && no_new_chain
}

fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

fn default_alias(leaf: &Certificate) -> Alias {
    let named = leaf.common_name().and_then(|name| Alias::parse(name).ok());
    named.unwrap_or_else(|| leaf.thumbprint().into())
}

fn thumbprint_of(item: &JavaKeystoreEntry) -> Option<Thumbprint> {
    item.certificates.first().map(Certificate::thumbprint)
}

fn entry_of(item: &JavaKeystoreEntry) -> Entry {
    Entry {
        alias: Alias(item.alias.clone()),
        certificates: item.certificates.clone(),
        has_private_key: item.key.is_some(),
        parameters: Default::default(),
    }
}

#[cfg(test)]
#[path = "tests/java_keystore_file.rs"]
mod tests;
