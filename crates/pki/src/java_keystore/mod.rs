//! Java keystores of type JKS: several entries under one password, read within bounds and written as `keytool` does.
//!
//! The format is that of Sun's `JavaKeyStore`: magic number, version 2, entries, and an SHA-1 digest over the password
//! and all of it. `format.rs` knows the bytes, `protection.rs` the scheme of the keys. Both rest on SHA-1 without
//! iterations, which is what the format has: a file is as safe as its permissions, and only as long as its password
//! is hard to guess. Where a reader takes PKCS#12, that is the better choice.

mod format;
mod protection;

use chrono::{DateTime, Utc};
use sha1::{Digest as _, Sha1};
use zeroize::Zeroizing;

use crate::{Certificate, Error, JavaKeystoreError, PrivateKey};
use format::{DIGEST_BYTES, Item, ItemContent};

/// Largest file that is read or written, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Most entries of a file; the authorities that Java ships are some 150.
pub const MAX_ENTRIES: usize = 1_024;
/// Most certificates of one entry.
pub const MAX_CHAIN: usize = 16;
/// Longest alias that is written, in characters.
pub const MAX_ALIAS_CHARACTERS: usize = 256;

/// One entry of a Java keystore: a key with its chain, or one trusted certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JavaKeystoreEntry {
    /// Its name. Java looks only for lower-case ones, so give it in lower case.
    pub alias: String,
    /// The date that `keytool` shows; kept in milliseconds.
    pub created: DateTime<Utc>,
    /// The private key, if the entry has one; it belongs to the first certificate.
    pub key: Option<EntryKey>,
    /// The certificates, leaf first. Without a key there is exactly one.
    pub certificates: Vec<Certificate>,
}

/// The private key of an entry.
#[derive(Clone, PartialEq, Eq)]
pub enum EntryKey {
    /// A key that the password of the keystore opens.
    Open(PrivateKey),
    /// A key under another password, or of a kind that this crate does not know. It is written back as it was.
    Closed {
        /// The protected key, as it stands in the file.
        protected: Vec<u8>,
        /// Why it was not opened.
        reason: Error,
    },
}

impl std::fmt::Debug for EntryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open(key) => write!(f, "Open({key:?})"),
            Self::Closed { reason, .. } => write!(f, "Closed({reason:?})"),
        }
    }
}

/// What a keystore holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JavaKeystore {
    /// Its entries, in the order of the file.
    pub entries: Vec<JavaKeystoreEntry>,
    /// Entries whose certificates could not be read: their aliases and why.
    pub unreadable: Vec<(String, Error)>,
}

impl JavaKeystore {
    /// Reads a keystore. One without entries is no error.
    ///
    /// # Errors
    /// [`JavaKeystoreError`]: a wrong password is told apart from damage where the file allows it, which is when its
    /// structure is broken, or when the password opens one of its keys.
    pub fn decode(bytes: &[u8], password: &str) -> Result<Self, Error> {
        let items = format::read(bytes)?;
        let password = password_bytes(password);
        let (content, digest) = bytes.split_at(bytes.len().saturating_sub(DIGEST_BYTES));
        if aws_lc_rs::constant_time::verify_slices_are_equal(&digest_of(&password, content), digest).is_err()
        {
            let opens = |item: &Item| match &item.content {
                ItemContent::Key { protected, .. } => protection::open(protected, &password).is_ok(),
                ItemContent::Trusted(_) => false,
            };
            let damaged = items.iter().any(opens);
            let refusal = if damaged { JavaKeystoreError::Damaged } else { JavaKeystoreError::WrongPassword };
            return Err(refusal.into());
        }
        let mut keystore = Self::default();
        for item in items {
            match entry_of(&item, &password) {
                Ok(entry) => keystore.entries.push(entry),
                Err(error) => keystore.unreadable.push((item.alias, error)),
            }
        }
        Ok(keystore)
    }

    /// Whether everything in the file was read, so that writing the entries again loses nothing.
    pub fn is_complete(&self) -> bool {
        self.unreadable.is_empty()
    }
}

/// Writes a keystore. Every open key is protected by the same password, as Java expects it.
///
/// # Errors
/// [`Error::KeyMismatch`]; [`JavaKeystoreError`] when an entry has no certificate, has several without a key, or an
/// alias is out of bounds or there twice without regard to case.
pub fn encode(entries: &[JavaKeystoreEntry], password: &str) -> Result<Vec<u8>, Error> {
    if entries.len() > MAX_ENTRIES {
        return Err(JavaKeystoreError::TooManyEntries { found: entries.len(), limit: MAX_ENTRIES }.into());
    }
    let password = password_bytes(password);
    let mut names = std::collections::HashSet::new();
    let mut items = Vec::new();
    for entry in entries {
        check_alias(&entry.alias)?;
        if !names.insert(entry.alias.to_lowercase()) {
            return Err(JavaKeystoreError::AliasTwice { alias: entry.alias.clone() }.into());
        }
        items.push(item_of(entry, &password)?);
    }
    let mut bytes = format::write(&items);
    if bytes.len() + DIGEST_BYTES > MAX_BYTES {
        let size = bytes.len() + DIGEST_BYTES;
        return Err(JavaKeystoreError::TooLarge { size, limit: MAX_BYTES }.into());
    }
    let digest = digest_of(&password, &bytes);
    bytes.extend_from_slice(&digest);
    Ok(bytes)
}

fn entry_of(item: &Item, password: &[u8]) -> Result<JavaKeystoreEntry, Error> {
    let (key, certificates) = match &item.content {
        ItemContent::Trusted(certificate) => (None, std::slice::from_ref(certificate)),
        ItemContent::Key { protected, chain } => (Some(protected), chain.as_slice()),
    };
    let certificates: Vec<Certificate> =
        certificates.iter().map(|der| Certificate::parse(der)).collect::<Result<_, _>>()?;
    let leaf = certificates.first().ok_or(JavaKeystoreError::NoCertificate { alias: item.alias.clone() })?;
    let key = key.map(|protected| match open_key(protected, password, leaf) {
        Ok(key) => EntryKey::Open(key),
        Err(reason) => EntryKey::Closed { protected: protected.clone(), reason },
    });
    Ok(JavaKeystoreEntry { alias: item.alias.clone(), created: item.created, key, certificates })
}

fn open_key(protected: &[u8], password: &[u8], leaf: &Certificate) -> Result<PrivateKey, Error> {
    let key = PrivateKey::from_pkcs8_der(&protection::open(protected, password)?)?;
    if key.matches(leaf) { Ok(key) } else { Err(Error::KeyMismatch { thumbprint: leaf.thumbprint() }) }
}

fn item_of(entry: &JavaKeystoreEntry, password: &[u8]) -> Result<Item, Error> {
    let unwritable = |reason: &'static str| {
        Err(JavaKeystoreError::Unwritable { alias: entry.alias.clone(), reason }.into())
    };
    let Some(leaf) = entry.certificates.first() else {
        return Err(JavaKeystoreError::NoCertificate { alias: entry.alias.clone() }.into());
    };
    if entry.certificates.len() > MAX_CHAIN {
        return unwritable("its chain is longer than 16 certificates");
    }
    let der = |certificate: &Certificate| certificate.der().to_vec();
    let content = match &entry.key {
        None if entry.certificates.len() > 1 => {
            return unwritable("an entry without a key has one certificate");
        }
        None => ItemContent::Trusted(der(leaf)),
        Some(key) => {
            let protected = match key {
                EntryKey::Open(key) if !key.matches(leaf) => {
                    return Err(Error::KeyMismatch { thumbprint: leaf.thumbprint() });
                }
                EntryKey::Open(key) => protection::protect(&key.to_pkcs8_der(), password)?,
                EntryKey::Closed { protected, .. } if protected.len() > format::MAX_PROTECTED_BYTES => {
                    return unwritable("its protected key is too large");
                }
                EntryKey::Closed { protected, .. } => protected.clone(),
            };
            ItemContent::Key { protected, chain: entry.certificates.iter().map(der).collect() }
        }
    };
    Ok(Item { alias: entry.alias.clone(), created: entry.created, content })
}

fn check_alias(alias: &str) -> Result<(), JavaKeystoreError> {
    if alias.is_empty() || alias.chars().count() > MAX_ALIAS_CHARACTERS {
        let shown = alias.chars().take(MAX_ALIAS_CHARACTERS).collect();
        let reason = "an alias has 1 to 256 characters";
        return Err(JavaKeystoreError::Unwritable { alias: shown, reason });
    }
    Ok(())
}

/// The password as the format takes it: UTF-16, the higher octet first.
fn password_bytes(password: &str) -> Zeroizing<Vec<u8>> {
    // Reserved at once, so that no shorter copy stays behind in memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(password.len() * 2));
    for unit in password.encode_utf16() {
        bytes.extend_from_slice(&unit.to_be_bytes());
    }
    bytes
}

/// The digest at the end of a file: over the password, two words that Sun chose, and everything before it.
fn digest_of(password: &[u8], content: &[u8]) -> [u8; DIGEST_BYTES] {
    Sha1::new()
        .chain_update(password)
        .chain_update(b"Mighty Aphrodite")
        .chain_update(content)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests;
