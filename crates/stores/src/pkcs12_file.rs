//! Store type `PKCS12`: one PKCS#12 file with several entries, as Java and many appliances read it.
//!
//! The alias of an entry is its friendly name, compared without regard to case as Java does; an entry without one is
//! known by its common name or thumbprint. The caller may choose the alias of a new entry; without a choice it is the
//! certificate's common name. An alias that is the thumbprint of an entry stands for that entry.
//!
//! Properties:
//! - `encryption`: `aes256` (default), or `3des` for Windows Server 2016 and older.
//!
//! Other entries stay when one changes. A file with something in it that could not be written back (Java secret
//! keys, keys that cannot be read) is not rewritten.

use std::path::{Path, PathBuf};

use sealift_pki::{
    Certificate, Limits, Pkcs12, Thumbprint,
    pkcs12::{self, WRITE_ITERATIONS},
};

use crate::{
    Added, Alias, CertificateStore, Entry, Error, Intent, Inventory, NewEntry, Overwrite, Planned, Removed,
    Settings, Unreadable,
    atomic_file::{self, SECRET_MODE},
    entry,
    paths::{self, Boundary},
};

/// A store of type `PKCS12`.
#[derive(Debug)]
pub(crate) struct Pkcs12File {
    settings: Settings,
    encryption: sealift_pki::Encryption,
}

/// What the file says; every entry has a name of its own.
struct Content {
    path: PathBuf,
    entries: Vec<(Alias, Pkcs12)>,
    unreadable: Vec<Unreadable>,
    complete: bool,
    exists: bool,
}

impl Pkcs12File {
    pub(crate) fn open(settings: Settings) -> Result<Self, Error> {
        let encryption = settings.encryption()?;
        Ok(Self { settings, encryption })
    }

    fn path(&self) -> Result<PathBuf, Error> {
        let path = &self.settings.path;
        let boundary = Boundary::new(paths::home_of(path), &self.settings)?;
        let name = path.file_name().ok_or_else(|| Error::OutsideAllowedDirectories { path: path.clone() })?;
        boundary.resolve(Path::new(name))
    }

    fn read(&self) -> Result<Content, Error> {
        let path = self.path()?;
        let Some(bytes) = paths::read(&path, pkcs12::MAX_STORE_BYTES as u64)? else {
            return Ok(Content { path, entries: vec![], unreadable: vec![], complete: true, exists: false });
        };
        let read = pkcs12::decode_entries(&bytes, self.settings.password_text(), Limits::STORE)
            .map_err(|source| Error::Content { path: path.clone(), source })?;
        let complete = read.is_complete();
        let mut entries: Vec<(Alias, Pkcs12)> = Vec::new();
        for item in read.entries {
            let alias = free_alias(&entries, &item);
            entries.push((alias, item));
        }
        let unreadable = read
            .unreadable
            .into_iter()
            .map(|(name, error)| Unreadable { name, reason: error.to_string() })
            .collect();
        Ok(Content { path, entries, unreadable, complete, exists: true })
    }

    fn save(&self, content: &Content) -> Result<(), Error> {
        content.check_rewritable()?;
        let named: Vec<Pkcs12> = content
            .entries
            .iter()
            .map(|(alias, item)| Pkcs12 { friendly_name: Some(alias.as_str().to_owned()), ..item.clone() })
            .collect();
        let bytes =
            pkcs12::encode_entries(&named, self.settings.password_text(), self.encryption, WRITE_ITERATIONS)
                .map_err(|source| Error::Content { path: content.path.clone(), source })?;
        if bytes.len() > pkcs12::MAX_STORE_BYTES {
            let (path, size) = (content.path.clone(), bytes.len() as u64);
            return Err(Error::FileTooLarge { path, size, limit: pkcs12::MAX_STORE_BYTES as u64 });
        }
        atomic_file::sweep(paths::home_of(&content.path))?;
        atomic_file::write(&content.path, &bytes, SECRET_MODE)
    }

    /// Reads the store again and answers the entry with this alias as it now stands there.
    fn added(
        &self,
        alias: &Alias,
        leaf: &Certificate,
        changed: bool,
        replaced: Option<Thumbprint>,
    ) -> Result<Added, Error> {
        let content = self.read()?;
        let found = content
            .entries
            .iter()
            .find(|(name, item)| same(name, alias) && item.certificates.first() == Some(leaf));
        let (name, item) = found.ok_or_else(|| Error::ReadBack { path: content.path.clone() })?;
        Ok(Added { entry: entry_of(name, item), changed, replaced, files: vec![content.path.clone()] })
    }
}

/// Where a new entry would stand.
struct Place {
    /// The entry that it takes the place of.
    position: Option<usize>,
    alias: Alias,
    item: Pkcs12,
    /// Whether it is there already.
    same: bool,
    /// The certificate that would go.
    replaced: Option<Thumbprint>,
}

impl Content {
    /// Where a new entry stands, if it may stand there.
    fn place(&self, new: &NewEntry, leaf: &Certificate, overwrite: Overwrite) -> Result<Place, Error> {
        // Without a key, a file can only say which single certificate is trusted.
        let certificates =
            if new.private_key.is_some() { new.certificates.clone() } else { vec![leaf.clone()] };
        let item = Pkcs12 { certificates, key: new.private_key.clone(), friendly_name: None };
        let alias = new.alias.clone().unwrap_or_else(|| default_alias(&item));
        let Some(position) = self.position(&alias) else {
            return Ok(Place { position: None, alias, item, same: false, replaced: None });
        };
        let (name, present) = &self.entries[position];
        let same = holds_already(present, &item);
        let mut replaced = None;
        if present.certificates.first() != Some(leaf) {
            replaced = present.certificates.first().map(Certificate::thumbprint);
            if overwrite == Overwrite::Refuse {
                let present = replaced.map_or_else(|| "an entry".to_owned(), |found| found.to_string());
                return Err(Error::AlreadyExists { place: name.to_string(), present });
            }
        }
        Ok(Place { position: Some(position), alias: name.clone(), item, same, replaced })
    }

    fn check_rewritable(&self) -> Result<(), Error> {
        if self.complete {
            return Ok(());
        }
        Err(Error::NotRewritable {
            path: self.path.clone(),
            reason: "it holds secret keys or entries that cannot be read and would be lost".to_owned(),
        })
    }

    /// The entry with this name, or with this thumbprint.
    fn position(&self, alias: &Alias) -> Option<usize> {
        let leaf = |item: &Pkcs12| item.certificates.first().map(Certificate::thumbprint);
        self.entries.iter().position(|(name, _)| same(name, alias)).or_else(|| {
            self.entries.iter().position(|(_, item)| leaf(item).is_some() && leaf(item) == alias.thumbprint())
        })
    }
}

impl CertificateStore for Pkcs12File {
    fn inventory(&self) -> Result<Inventory, Error> {
        let content = self.read()?;
        if !content.exists {
            return Err(Error::StoreMissing { path: self.settings.path.clone() });
        }
        let mut entries: Vec<Entry> =
            content.entries.iter().map(|(alias, item)| entry_of(alias, item)).collect();
        entries.sort_by(|one, other| one.alias.cmp(&other.alias));
        Ok(Inventory { entries, unreadable: content.unreadable })
    }

    fn add(&mut self, new: NewEntry, overwrite: Overwrite) -> Result<Added, Error> {
        let leaf = entry::check(&new, &self.settings)?;
        let mut content = self.read()?;
        let Place { position, alias, item, same, replaced } = content.place(&new, &leaf, overwrite)?;
        if same {
            return self.added(&alias, &leaf, false, None);
        }
        match position {
            Some(position) => content.entries[position].1 = item,
            None => content.entries.push((alias.clone(), item)),
        }
        self.save(&content)?;
        self.added(&alias, &leaf, true, replaced)
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
        let before = position.and_then(|at| content.entries.get(at)).map(|(name, item)| entry_of(name, item));
        if same {
            return Ok(Planned::nothing(before));
        }
        content.check_rewritable()?;
        Ok(Planned::change(before, vec![content.path]))
    }

    fn remove(&mut self, alias: &Alias) -> Result<Removed, Error> {
        let mut content = self.read()?;
        let Some(position) = content.position(alias) else { return Ok(Removed::default()) };
        content.entries.remove(position);
        self.save(&content)?;
        Ok(Removed { changed: true, files: vec![content.path] })
    }

    fn create(&mut self) -> Result<(), Error> {
        let path = self.path()?;
        if path.exists() {
            return Ok(());
        }
        self.save(&Content { path, entries: vec![], unreadable: vec![], complete: true, exists: false })
    }
}

/// Whether adding would change nothing: the same certificate, with at least what the new entry brings.
fn holds_already(present: &Pkcs12, new: &Pkcs12) -> bool {
    let same_leaf = present.certificates.first() == new.certificates.first();
    let no_new_key = new.key.is_none() || present.key.is_some();
    let no_new_chain = new.certificates.len() <= 1 || present.certificates == new.certificates;
    same_leaf && no_new_key && no_new_chain
}

fn same(one: &Alias, other: &Alias) -> bool {
    one.as_str().to_lowercase() == other.as_str().to_lowercase()
}

fn default_alias(item: &Pkcs12) -> Alias {
    let leaf = item.certificates.first();
    let named = item.friendly_name.as_deref().or_else(|| leaf.and_then(Certificate::common_name));
    let thumbprint = leaf.map(|leaf| Alias::from(leaf.thumbprint()));
    // An entry is read or added with a certificate; the last resort is never reached.
    named.and_then(|name| Alias::parse(name).ok()).or(thumbprint).unwrap_or(Alias("entry".to_owned()))
}

/// The name of an entry that was read, with a number if another entry has it already.
fn free_alias(taken: &[(Alias, Pkcs12)], item: &Pkcs12) -> Alias {
    let first = default_alias(item);
    let is_free = |candidate: &Alias| !taken.iter().any(|(name, _)| same(name, candidate));
    let numbered = (2..).map(|number| Alias(format!("{first}#{number}")));
    std::iter::once(first.clone()).chain(numbered).find(is_free).unwrap_or(first)
}

fn entry_of(alias: &Alias, item: &Pkcs12) -> Entry {
    Entry {
        alias: alias.clone(),
        certificates: item.certificates.clone(),
        has_private_key: item.key.is_some(),
        parameters: Default::default(),
    }
}

#[cfg(test)]
#[path = "tests/pkcs12_file.rs"]
mod tests;
