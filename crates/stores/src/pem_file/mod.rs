//! Store type `PEM`: one file of PEM blocks, as nginx, HAProxy, Apache and most of Unix read them.
//!
//! A store holds at most one identity (a certificate with its private key, its chain right behind it) and any number
//! of trusted certificates. The alias of an entry is its thumbprint. Adding a certificate with a key sets the
//! identity, and replaces another one only when overwriting is allowed; adding one without a key appends it.
//!
//! Properties:
//! - `privateKeyPath`: the private key has a file of its own (mode 0600); relative to the store's directory.
//! - `chainPath`: the chain has a file of its own; relative to the store's directory.
//! - `includeChain`: `true` (default) or `false`; whether the chain is written at all.
//!
//! Files that belong together change as one group, the key first. A key file or chain file named by a property
//! belongs to the store wholly. Comments are lost when a file is rewritten; blocks of other kinds stay.
//! An alias given with an entry to be added names the trusted certificate it replaces, if there is such a one.

mod content;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use sealift_pki::{Certificate, PrivateKey, Thumbprint};
use zeroize::Zeroizing;

use crate::{
    Added, Alias, CertificateStore, Entry, Error, Intent, Inventory, NewEntry, Overwrite, Planned, Removed,
    Settings,
    atomic_file::{self, Change, PUBLIC_MODE, SECRET_MODE},
    entry,
    paths::{self, Boundary},
};
use content::{Content, Files, Identity};

/// A store of type `PEM`.
#[derive(Debug)]
pub(crate) struct PemFile {
    settings: Settings,
    include_chain: bool,
}

impl PemFile {
    pub(crate) fn open(settings: Settings) -> Result<Self, Error> {
        let include_chain = settings.flag("includeChain", true)?;
        Ok(Self { settings, include_chain })
    }

    fn files(&self) -> Result<Files, Error> {
        let path = &self.settings.path;
        let boundary = Boundary::new(paths::home_of(path), &self.settings)?;
        let property =
            |name| self.settings.property(name).map(|path| boundary.resolve(Path::new(path))).transpose();
        let name = path.file_name().ok_or_else(|| Error::OutsideAllowedDirectories { path: path.clone() })?;
        let files = Files {
            store: boundary.resolve(Path::new(name))?,
            key: property("privateKeyPath")?,
            chain: property("chainPath")?,
        };
        let own = |file: &Option<PathBuf>| file.as_ref().is_some_and(|file| *file == files.store);
        if own(&files.key) || own(&files.chain) || (files.key.is_some() && files.key == files.chain) {
            let reason =
                "store, private key and chain need a file each, or leave the property out".to_owned();
            return Err(Error::Property { property: "privateKeyPath", reason });
        }
        Ok(files)
    }

    /// Writes the content: the key first if the identity changed, the chain, then the store itself.
    fn save(&self, files: &Files, content: &Content, identity_changed: bool) -> Result<Vec<PathBuf>, Error> {
        let change = |path: &PathBuf, bytes: Option<Zeroizing<Vec<u8>>>, mode| match bytes {
            Some(bytes) => Change::Write { path: path.clone(), bytes, mode },
            None => Change::Delete { path: path.clone() },
        };
        let mut changes = Vec::new();
        if let Some(path) = files.key.as_ref().filter(|_| identity_changed) {
            changes.push(change(path, content.key_text(), SECRET_MODE));
        }
        if let Some(path) = files.chain.as_ref().filter(|_| identity_changed || content.chain_file_changed) {
            changes.push(change(path, content.chain_text(), PUBLIC_MODE));
        }
        let mode = if content.has_key_in_store() { SECRET_MODE } else { PUBLIC_MODE };
        changes.push(change(&files.store, Some(content.store_text()), mode));
        let paths: Vec<PathBuf> = changes.iter().map(|change| change.path().to_owned()).collect();
        for directory in paths.iter().filter_map(|path| path.parent()).collect::<BTreeSet<_>>() {
            atomic_file::sweep(directory)?;
        }
        atomic_file::replace_all(changes)?;
        Ok(paths)
    }

    fn identity_of(&self, new: &NewEntry, key: &PrivateKey, leaf: &Certificate) -> Identity {
        let chain =
            if self.include_chain { new.certificates.iter().skip(1).cloned().collect() } else { Vec::new() };
        Identity { leaf: leaf.clone(), chain, key: key.clone() }
    }

    fn add_identity(&self, files: &Files, identity: Identity, overwrite: Overwrite) -> Result<Added, Error> {
        let mut content = Content::read(files)?;
        let Judged { same, replaced } = judge_identity(files, &content, &identity, overwrite)?;
        let thumbprint = identity.leaf.thumbprint();
        if same {
            return self.added(files, thumbprint, false, None);
        }
        content.set_identity(files, identity);
        self.save(files, &content, true)?;
        self.added(files, thumbprint, true, replaced)
    }

    fn add_trusted(
        &self,
        files: &Files,
        new: &NewEntry,
        leaf: &Certificate,
        overwrite: Overwrite,
    ) -> Result<Added, Error> {
        let mut content = Content::read(files)?;
        let Judged { same, replaced } = judge_trusted(files, &content, new, leaf, overwrite)?;
        if same {
            return self.added(files, leaf.thumbprint(), false, None);
        }
        if let Some(present) = replaced {
            content.take(present);
        }
        content.trusted.push(leaf.clone());
        self.save(files, &content, false)?;
        self.added(files, leaf.thumbprint(), true, replaced)
    }

    /// Reads the store again and answers the entry with this certificate as it now stands there.
    fn added(
        &self,
        files: &Files,
        thumbprint: Thumbprint,
        changed: bool,
        replaced: Option<Thumbprint>,
    ) -> Result<Added, Error> {
        let content = Content::read(files)?;
        let identity = content.identity.as_ref();
        let Some(entry) = content.entry(thumbprint) else {
            return Err(Error::ReadBack { path: files.store.clone() });
        };
        let is_identity = identity.is_some_and(|identity| identity.leaf.thumbprint() == thumbprint);
        let of_entry = if is_identity { files.all() } else { vec![files.store.clone()] };
        let files = of_entry.into_iter().filter(|path| *path == files.store || path.exists()).collect();
        Ok(Added { entry, changed, replaced, files })
    }
}

impl CertificateStore for PemFile {
    fn inventory(&self) -> Result<Inventory, Error> {
        let content = Content::read(&self.files()?)?;
        if !content.exists {
            return Err(Error::StoreMissing { path: self.settings.path.clone() });
        }
        let mut entries: Vec<Entry> = content.trusted.iter().map(trusted_entry).collect();
        entries.extend(content.identity.as_ref().map(entry_of));
        entries.sort_by(|one, other| one.alias.cmp(&other.alias));
        Ok(Inventory { entries, unreadable: content.unreadable })
    }

    fn add(&mut self, new: NewEntry, overwrite: Overwrite) -> Result<Added, Error> {
        let leaf = entry::check(&new, &self.settings)?;
        let files = self.files()?;
        match &new.private_key {
            Some(key) => self.add_identity(&files, self.identity_of(&new, key, &leaf), overwrite),
            None => self.add_trusted(&files, &new, &leaf, overwrite),
        }
    }

    fn remove(&mut self, alias: &Alias) -> Result<Removed, Error> {
        let Some(thumbprint) = alias.thumbprint() else { return Ok(Removed::default()) };
        let files = self.files()?;
        let mut content = Content::read(&files)?;
        let of_identity = content.identity.as_ref().is_some_and(|it| it.leaf.thumbprint() == thumbprint);
        if of_identity {
            content.identity = None;
        } else if !content.take(thumbprint) {
            return Ok(Removed::default());
        }
        Ok(Removed { changed: true, files: self.save(&files, &content, of_identity)? })
    }

    fn plan(&self, intent: &Intent<'_>) -> Result<Planned, Error> {
        let files = self.files()?;
        let content = Content::read(&files)?;
        let Judged { same, replaced } = match intent {
            Intent::Create => Judged { same: content.exists, replaced: None },
            Intent::Add(new, overwrite) => {
                let leaf = entry::check(new, &self.settings)?;
                match &new.private_key {
                    Some(key) => {
                        judge_identity(&files, &content, &self.identity_of(new, key, &leaf), *overwrite)?
                    }
                    None => judge_trusted(&files, &content, new, &leaf, *overwrite)?,
                }
            }
            Intent::Remove(alias) => {
                let present = alias.thumbprint().filter(|found| content.entry(*found).is_some());
                Judged { same: present.is_none(), replaced: present }
            }
        };
        let before = match intent {
            Intent::Add(new, _) if same => new.certificates.first().map(Certificate::thumbprint),
            _ => replaced,
        };
        let before = before.and_then(|thumbprint| content.entry(thumbprint));
        if same {
            return Ok(Planned::nothing(before));
        }
        let changing = if matches!(intent, Intent::Create) { vec![files.store] } else { files.all() };
        Ok(Planned::change(before, changing))
    }

    fn create(&mut self) -> Result<(), Error> {
        let files = self.files()?;
        if files.store.exists() {
            return Ok(());
        }
        let mode = if files.key.is_none() { SECRET_MODE } else { PUBLIC_MODE };
        atomic_file::write(&files.store, b"", mode)
    }
}

/// What adding would meet.
struct Judged {
    /// Whether it is there already.
    same: bool,
    /// The certificate that would go.
    replaced: Option<Thumbprint>,
}

fn judge_identity(
    files: &Files,
    content: &Content,
    identity: &Identity,
    overwrite: Overwrite,
) -> Result<Judged, Error> {
    let mut replaced = None;
    let mut same = false;
    match &content.identity {
        Some(present) if present.leaf == identity.leaf => {
            same = identity.chain.is_empty() || present.chain == identity.chain;
        }
        Some(present) => replaced = Some(present.leaf.thumbprint()),
        None => {}
    }
    if same && content.stray_keys == 0 {
        return Ok(Judged { same: true, replaced: None });
    }
    let in_the_way = match (replaced, content.stray_keys) {
        (Some(thumbprint), _) => Some(thumbprint.to_string()),
        (None, 0) => None,
        (None, _) => Some("a private key of another certificate".to_owned()),
    };
    if let Some(present) = in_the_way.filter(|_| overwrite == Overwrite::Refuse) {
        return Err(Error::AlreadyExists { place: files.store.display().to_string(), present });
    }
    Ok(Judged { same: false, replaced })
}

fn judge_trusted(
    files: &Files,
    content: &Content,
    new: &NewEntry,
    leaf: &Certificate,
    overwrite: Overwrite,
) -> Result<Judged, Error> {
    if content.holds(leaf) {
        return Ok(Judged { same: true, replaced: None });
    }
    let named = new.alias.as_ref().and_then(Alias::thumbprint);
    let named =
        named.filter(|named| content.trusted.iter().any(|certificate| certificate.thumbprint() == *named));
    if let Some(present) = named.filter(|_| overwrite == Overwrite::Refuse) {
        let (place, present) = (files.store.display().to_string(), present.to_string());
        return Err(Error::AlreadyExists { place, present });
    }
    Ok(Judged { same: false, replaced: named })
}

impl Content {
    /// The entry whose certificate has this thumbprint.
    fn entry(&self, thumbprint: Thumbprint) -> Option<Entry> {
        let identity = self.identity.as_ref();
        if let Some(identity) = identity.filter(|identity| identity.leaf.thumbprint() == thumbprint) {
            return Some(entry_of(identity));
        }
        let chain = identity.map(|identity| identity.chain.as_slice()).unwrap_or_default();
        let mut certificates = self.trusted.iter().chain(chain);
        certificates.find(|certificate| certificate.thumbprint() == thumbprint).map(trusted_entry)
    }
}

fn entry_of(identity: &Identity) -> Entry {
    Entry {
        alias: identity.leaf.thumbprint().into(),
        certificates: identity.certificates(),
        has_private_key: true,
        parameters: Default::default(),
    }
}

fn trusted_entry(certificate: &Certificate) -> Entry {
    Entry {
        alias: certificate.thumbprint().into(),
        certificates: vec![certificate.clone()],
        has_private_key: false,
        parameters: Default::default(),
    }
}

#[cfg(test)]
#[path = "../tests/pem_file.rs"]
mod tests;
