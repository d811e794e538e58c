//! Store type `CCS`: the directory of an IIS Central Certificate Store, local or mounted.
//!
//! Each DNS name of a certificate has a file of its own, `{host}.pfx` (`_.{domain}.pfx` for a wildcard), all with the
//! same content and under the one password of the store; [`file_names`] says how. There is no index: to add is to
//! write files, to remove is to delete them. IIS reads while files change, so all files of a certificate change as a
//! group, each by a rename. The alias of an entry is its file name; an alias given with an entry to be added is not
//! looked at, because the names come from the certificate. Removing by thumbprint opens every file of the directory
//! and deletes those that hold the certificate.
//!
//! Properties:
//! - `encryption`: `aes256` (default), or `3des` for Windows Server 2016 and older.
//! - `replaceUnreadable`: `false` (default) or `true`; whether a file that cannot be opened, because it has another
//!   password or is damaged, may be overwritten when overwriting is allowed.

mod file_names;

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use sealift_pki::{
    Certificate, Encryption, Limits, Pkcs12,
    pkcs12::{self, WRITE_ITERATIONS},
};
use zeroize::Zeroizing;

use crate::{
    Added, Alias, CertificateStore, Entry, Error, Intent, Inventory, NewEntry, Overwrite, Planned, Removed,
    Settings, Unreadable,
    atomic_file::{self, Change, MAX_DIRECTORY_ENTRIES, SECRET_MODE},
    entry,
    paths::{self, Boundary},
};
use file_names::EXTENSION;

/// A store of type `CCS`.
#[derive(Debug)]
pub(crate) struct CentralCertificateStore {
    settings: Settings,
    encryption: Encryption,
    replace_unreadable: bool,
}

/// What stands under one file name.
enum Found {
    Nothing,
    Certificate(Pkcs12),
    Unreadable(Error),
}

impl CentralCertificateStore {
    pub(crate) fn open(settings: Settings) -> Result<Self, Error> {
        let encryption = settings.encryption()?;
        let replace_unreadable = settings.flag("replaceUnreadable", false)?;
        Ok(Self { settings, encryption, replace_unreadable })
    }

    fn boundary(&self) -> Result<Boundary, Error> {
        if !self.settings.path.is_dir() {
            return Err(Error::StoreMissing { path: self.settings.path.clone() });
        }
        Boundary::new(&self.settings.path, &self.settings)
    }

    /// Opens one file.
    fn look(&self, path: &Path) -> Found {
        self.look_after(path, &mut None)
    }

    /// Opens one of several files. The names of a certificate have the same content, and deriving its keys again for
    /// each of them would be most of the work, so the content opened last is remembered.
    fn look_after(&self, path: &Path, last: &mut Option<(Zeroizing<Vec<u8>>, Pkcs12)>) -> Found {
        let bytes = match paths::read(path, pkcs12::MAX_STORE_BYTES as u64) {
            Ok(None) => return Found::Nothing,
            Ok(Some(bytes)) => bytes,
            Err(error) => return Found::Unreadable(error),
        };
        if let Some((_, item)) = last.as_ref().filter(|(content, _)| *content == bytes) {
            return Found::Certificate(item.clone());
        }
        match Pkcs12::decode(&bytes, self.settings.password_text(), Limits::STORE) {
            Ok(item) => {
                *last = Some((bytes, item.clone()));
                Found::Certificate(item)
            }
            Err(source) => Found::Unreadable(Error::Content { path: path.to_owned(), source }),
        }
    }

    /// The names of all files of the store that IIS would see, in order.
    fn names(&self, boundary: &Boundary) -> Result<Vec<OsString>, Error> {
        let failed = |source| Error::File { action: "listing", path: boundary.home().to_owned(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(boundary.home()).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let text = name.to_string_lossy();
            if !text.starts_with('.') && has_extension(&text) {
                names.push(name);
            }
            if names.len() > MAX_DIRECTORY_ENTRIES {
                let path = boundary.home().to_owned();
                return Err(Error::FileTooLarge {
                    path,
                    size: names.len() as u64,
                    limit: MAX_DIRECTORY_ENTRIES as u64,
                });
            }
        }
        names.sort();
        Ok(names)
    }

    fn encode(&self, item: &Pkcs12) -> Result<Zeroizing<Vec<u8>>, Error> {
        let bytes = item.encode(self.settings.password_text(), self.encryption, WRITE_ITERATIONS);
        bytes
            .map(Zeroizing::new)
            .map_err(|source| Error::Content { path: self.settings.path.clone(), source })
    }

    /// Where the directory would be made.
    fn target(&self) -> Result<PathBuf, Error> {
        let path = &self.settings.path;
        let home = Boundary::new(paths::home_of(path), &self.settings)?;
        let name = path.file_name().ok_or_else(|| Error::OutsideAllowedDirectories { path: path.clone() })?;
        home.resolve(Path::new(name))
    }

    /// Looks at everything that adding an entry would touch, and refuses what may not be touched.
    fn prepare(&self, new: &NewEntry, overwrite: Overwrite) -> Result<Prepared, Error> {
        let leaf = entry::check(new, &self.settings)?;
        let boundary = self.boundary()?;
        let refused =
            |reason: &str| Error::Entry { path: boundary.home().to_owned(), reason: reason.to_owned() };
        let key = new
            .private_key
            .clone()
            .ok_or_else(|| refused("it has no private key, and IIS needs one in every file"))?;
        let names = file_names::of_certificate(&leaf)?;
        let first = names
            .first()
            .ok_or_else(|| refused("its certificate has no DNS name among its subject alternative names"))?;
        let alias = Alias::parse(first)?;
        let files =
            names.iter().map(|name| boundary.resolve(Path::new(name))).collect::<Result<Vec<_>, _>>()?;
        let friendly_name = Some(first.trim_end_matches(EXTENSION).to_owned());
        let item = Pkcs12 { key: Some(key), certificates: new.certificates.clone(), friendly_name };

        let rule = Rule { overwrite, unreadable_too: self.replace_unreadable };
        let (mut last, mut changed, mut present) = (None, false, Vec::new());
        for (name, path) in names.iter().zip(&files) {
            let (same, found) = judge(path, self.look_after(path, &mut last), &item, rule)?;
            changed |= !same;
            if let Some(found) = found {
                present.push((Alias::parse(name)?, found));
            }
        }
        Ok(Prepared { boundary, alias, item, files, present, changed })
    }

    /// The files that removing an entry would delete, and what is in the first of them.
    fn to_remove(&self, boundary: &Boundary, alias: &Alias) -> Result<(Vec<PathBuf>, Option<Pkcs12>), Error> {
        if let Some(thumbprint) = alias.thumbprint() {
            let (mut files, mut last, mut first) = (Vec::new(), None, None);
            for name in self.names(boundary)? {
                let Ok(path) = boundary.resolve(Path::new(&name)) else { continue };
                let Found::Certificate(item) = self.look_after(&path, &mut last) else { continue };
                if item.certificates.first().map(Certificate::thumbprint) == Some(thumbprint) {
                    files.push(boundary.home().join(name));
                    first.get_or_insert(item);
                }
            }
            return Ok((files, first));
        }
        let name =
            if has_extension(alias.as_str()) { alias.to_string() } else { format!("{alias}{EXTENSION}") };
        if !paths::is_plain_name(&name) {
            let reason = "it is not the name of a file in the store";
            return Err(Error::Alias { alias: alias.to_string(), reason });
        }
        // Where the file is a link, the link goes and not what it leads to.
        let path = boundary.home().join(&name);
        if path.symlink_metadata().is_err() {
            return Ok((Vec::new(), None));
        }
        let item = boundary.resolve(Path::new(&name)).ok().and_then(|path| match self.look(&path) {
            Found::Certificate(item) => Some(item),
            Found::Nothing | Found::Unreadable(_) => None,
        });
        Ok((vec![path], item))
    }

    fn delete(&self, boundary: &Boundary, files: Vec<PathBuf>) -> Result<Removed, Error> {
        if files.is_empty() {
            return Ok(Removed::default());
        }
        atomic_file::sweep(boundary.home())?;
        atomic_file::replace_all(files.iter().map(|path| Change::Delete { path: path.clone() }).collect())?;
        Ok(Removed { changed: true, files })
    }
}

impl CertificateStore for CentralCertificateStore {
    fn inventory(&self) -> Result<Inventory, Error> {
        let boundary = self.boundary()?;
        let (mut inventory, mut last) = (Inventory::default(), None);
        for name in self.names(&boundary)? {
            let path = boundary.resolve(Path::new(&name));
            let found = path.map_or_else(Found::Unreadable, |path| self.look_after(&path, &mut last));
            let name = name.to_string_lossy().into_owned();
            let error = match (found, Alias::parse(&name)) {
                // Deleted since the directory was listed.
                (Found::Nothing, _) => continue,
                (Found::Certificate(item), Ok(alias)) => {
                    inventory.entries.push(entry_of(alias, &item));
                    continue;
                }
                (Found::Certificate(_), Err(error)) | (Found::Unreadable(error), _) => error,
            };
            inventory.unreadable.push(Unreadable { name, reason: error.to_string() });
        }
        Ok(inventory)
    }

    fn add(&mut self, new: NewEntry, overwrite: Overwrite) -> Result<Added, Error> {
        let Prepared { boundary, alias, item, files, present, changed } = self.prepare(&new, overwrite)?;
        let leaf = item.certificates.first();
        if changed {
            let bytes = self.encode(&item)?;
            let write = |path: &PathBuf| Change::Write {
                path: path.clone(),
                bytes: bytes.clone(),
                mode: SECRET_MODE,
            };
            atomic_file::sweep(boundary.home())?;
            atomic_file::replace_all(files.iter().map(write).collect())?;
        }
        // The bytes of every file were compared; that they open, and with which certificate, is seen in one.
        let read = match self.look(&files[0]) {
            Found::Certificate(read) if read.certificates.first() == leaf && read.key == item.key => read,
            _ => return Err(Error::ReadBack { path: files[0].clone() }),
        };
        let replaced = present.iter().filter_map(|(_, present)| present.certificates.first());
        let replaced = replaced
            .map(Certificate::thumbprint)
            .find(|found| leaf.map(Certificate::thumbprint) != Some(*found));
        Ok(Added { entry: entry_of(alias, &read), changed, replaced, files })
    }

    fn remove(&mut self, alias: &Alias) -> Result<Removed, Error> {
        let boundary = self.boundary()?;
        let (files, _) = self.to_remove(&boundary, alias)?;
        self.delete(&boundary, files)
    }

    fn plan(&self, intent: &Intent<'_>) -> Result<Planned, Error> {
        match intent {
            Intent::Create if self.settings.path.is_dir() => Ok(Planned::nothing(None)),
            Intent::Create => Ok(Planned::change(None, vec![self.target()?])),
            Intent::Add(new, overwrite) => {
                let prepared = self.prepare(new, *overwrite)?;
                let leaf = prepared.item.certificates.first();
                let present = prepared.present;
                let other = present.iter().position(|(_, item)| item.certificates.first() != leaf);
                let before = present.into_iter().nth(other.unwrap_or(0));
                let before = before.map(|(alias, item)| entry_of(alias, &item));
                match prepared.changed {
                    true => Ok(Planned::change(before, prepared.files)),
                    false => Ok(Planned::nothing(before)),
                }
            }
            Intent::Remove(alias) => {
                let (files, item) = self.to_remove(&self.boundary()?, alias)?;
                let name = files.first().map(|path| shown(path));
                let alias = name.and_then(|name| Alias::parse(&name).ok());
                let before = alias.zip(item).map(|(alias, item)| entry_of(alias, &item));
                match files.is_empty() {
                    true => Ok(Planned::nothing(None)),
                    false => Ok(Planned::change(before, files)),
                }
            }
        }
    }

    fn create(&mut self) -> Result<(), Error> {
        if self.settings.path.is_dir() {
            return self.boundary().map(|_| ());
        }
        let target = self.target()?;
        fs::create_dir(&target).map_err(|source| Error::File { action: "making", path: target, source })
    }
}

/// What adding an entry would touch.
struct Prepared {
    boundary: Boundary,
    alias: Alias,
    item: Pkcs12,
    files: Vec<PathBuf>,
    /// What the files hold now, where they hold something.
    present: Vec<(Alias, Pkcs12)>,
    changed: bool,
}

/// What may be overwritten.
#[derive(Clone, Copy)]
struct Rule {
    overwrite: Overwrite,
    unreadable_too: bool,
}

/// Whether a file may be overwritten; answers whether it holds the entry already, and what it holds.
fn judge(path: &Path, found: Found, new: &Pkcs12, rule: Rule) -> Result<(bool, Option<Pkcs12>), Error> {
    match found {
        Found::Nothing => Ok((false, None)),
        Found::Certificate(present) => {
            if present.certificates.first() == new.certificates.first() {
                let no_new_chain = new.certificates.len() <= 1 || present.certificates == new.certificates;
                return Ok((present.key.is_some() && no_new_chain, Some(present)));
            }
            if rule.overwrite == Overwrite::Refuse {
                let present = present.certificates.first().map(Certificate::thumbprint);
                let present = present.map_or_else(String::new, |thumbprint| thumbprint.to_string());
                return Err(Error::AlreadyExists { place: shown(path), present });
            }
            Ok((false, Some(present)))
        }
        Found::Unreadable(_) if rule.unreadable_too && rule.overwrite == Overwrite::Allow => {
            Ok((false, None))
        }
        Found::Unreadable(error) => Err(Error::NotRewritable {
            path: path.to_owned(),
            reason: format!(
                "what it holds cannot be read ({error}); delete it, or set replaceUnreadable and allow overwriting"
            ),
        }),
    }
}

fn has_extension(name: &str) -> bool {
    name.len() > EXTENSION.len()
        && name.get(name.len() - EXTENSION.len()..).is_some_and(|end| end.eq_ignore_ascii_case(EXTENSION))
}

fn shown(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn entry_of(alias: Alias, item: &Pkcs12) -> Entry {
    Entry {
        alias,
        certificates: item.certificates.clone(),
        has_private_key: item.key.is_some(),
        parameters: Default::default(),
    }
}

#[cfg(test)]
#[path = "../tests/central_certificate_store.rs"]
mod tests;
