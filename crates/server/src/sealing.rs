//! Encryption at rest: what is sealed can be opened only in the place it was sealed for.
//!
//! Each record has its own random 256-bit data key, which seals the secret with AES-256-GCM; the data key
//! itself is sealed by the installation's sealing key, whose id is stored beside it. Both carry the place
//! (table, row and column) as associated data, so a ciphertext copied elsewhere does not open.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{digest, rand};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const KEY_ID: usize = 4;
const NONCE: usize = 12;
const KEY: usize = 32;
const TAG: usize = 16;
const WRAPPED: usize = NONCE + KEY + TAG;
const HEADER: usize = 1 + KEY_ID;
/// Largest secret that is sealed, in bytes.
pub const MAX_SECRET: usize = 4 * 1024 * 1024;

/// Why sealing or opening failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key file could not be read or made.
    #[error("the sealing key file {path} cannot be used: {reason}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The secret is larger than [`MAX_SECRET`].
    #[error("a secret of {length} bytes for {place} is over the limit of {MAX_SECRET}")]
    TooLarge {
        /// Where it was to go.
        place: String,
        /// Its length.
        length: usize,
    },
    /// The bytes are not something this installation sealed for this place.
    #[error(
        "what is stored in {place} does not open: it was sealed with another key or for another place, or it is damaged"
    )]
    DoesNotOpen {
        /// Where it was found.
        place: String,
    },
    /// The system's random generator failed.
    #[error("the system's random generator failed")]
    Random,
}

/// Table, row and column that a secret belongs to.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The table.
    pub table: &'a str,
    /// The row's key.
    pub row: &'a dyn fmt::Display,
    /// The column.
    pub column: &'a str,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} of row {}", self.table, self.column, self.row)
    }
}

impl Place<'_> {
    fn associated_data(&self) -> String {
        format!("sealift/v{VERSION}|{}|{}|{}", self.table, self.row, self.column)
    }
}

/// The installation's sealing key. `Debug` shows only its id.
pub struct SealingKey {
    id: [u8; KEY_ID],
    key: LessSafeKey,
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({:02x?})", self.id)
    }
}

impl SealingKey {
    /// A key from its 32 bytes.
    pub fn from_bytes(bytes: &[u8; KEY]) -> Self {
        let hash = digest::digest(&digest::SHA256, bytes);
        let mut id = [0; KEY_ID];
        id.copy_from_slice(&hash.as_ref()[..KEY_ID]);
        Self { id, key: data_key(bytes) }
    }

    /// Reads the key file, which must be readable by its owner alone, or makes it when it is missing.
    ///
    /// # Errors
    /// [`Error::KeyFile`] when it cannot be read or made, has another length, or others may read it.
    pub fn load_or_create(path: &Path) -> Result<Self, Error> {
        let failed = |reason: String| Error::KeyFile { path: path.to_owned(), reason };
        let mut bytes = Zeroizing::new([0u8; KEY]);
        let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        match made {
            Ok(mut file) => {
                rand::fill(bytes.as_mut()).map_err(|_| Error::Random)?;
                file.write_all(bytes.as_ref())
                    .and_then(|()| file.sync_all())
                    .map_err(|error| failed(error.to_string()))?;
                Ok(Self::from_bytes(&bytes))
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let mode = fs::metadata(path).map_err(|error| failed(error.to_string()))?.mode();
                if mode & 0o077 != 0 {
                    return Err(failed(format!(
                        "others may read it (mode {:o}); run chmod 600",
                        mode & 0o777
                    )));
                }
                let read = Zeroizing::new(fs::read(path).map_err(|error| failed(error.to_string()))?);
                if read.len() != KEY {
                    return Err(failed(format!(
                        "it holds {} bytes, not {KEY}; restore it from a backup",
                        read.len()
                    )));
                }
                bytes.copy_from_slice(&read);
                Ok(Self::from_bytes(&bytes))
            }
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// Seals a secret for its place.
    ///
    /// # Errors
    /// [`Error::TooLarge`] and [`Error::Random`].
    pub fn seal(&self, place: Place<'_>, secret: &[u8]) -> Result<Vec<u8>, Error> {
        if secret.len() > MAX_SECRET {
            return Err(Error::TooLarge { place: place.to_string(), length: secret.len() });
        }
        let associated_data = place.associated_data();
        let mut data = Zeroizing::new([0u8; KEY]);
        rand::fill(data.as_mut()).map_err(|_| Error::Random)?;
        let mut sealed = Vec::with_capacity(HEADER + WRAPPED + NONCE + secret.len() + TAG);
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.id);
        append_sealed(&mut sealed, &self.key, &associated_data, data.as_ref())?;
        append_sealed(&mut sealed, &data_key(&data), &associated_data, secret)?;
        Ok(sealed)
    }

    /// Opens what [`SealingKey::seal`] made for the same place.
    ///
    /// # Errors
    /// [`Error::DoesNotOpen`].
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let refused = || Error::DoesNotOpen { place: place.to_string() };
        let associated_data = place.associated_data();
        let (header, rest) = sealed.split_at_checked(HEADER).ok_or_else(refused)?;
        let (wrapped, body) = rest.split_at_checked(WRAPPED).ok_or_else(refused)?;
        if header[0] != VERSION || header[1..] != self.id {
            return Err(refused());
        }
        let data = opened(&self.key, &associated_data, wrapped).ok_or_else(refused)?;
        let data: Zeroizing<[u8; KEY]> = Zeroizing::new(data.as_slice().try_into().map_err(|_| refused())?);
        opened(&data_key(&data), &associated_data, body).ok_or_else(refused)
    }

    /// Opens a text.
    ///
    /// # Errors
    /// [`Error::DoesNotOpen`], also when it is no text.
    pub fn open_text(&self, place: Place<'_>, sealed: &[u8]) -> Result<sealift_protocol::Secret, Error> {
        let bytes = self.open(place, sealed)?;
        let text =
            std::str::from_utf8(&bytes).map_err(|_| Error::DoesNotOpen { place: place.to_string() })?;
        Ok(sealift_protocol::Secret::new(text))
    }
}

#[expect(clippy::expect_used, reason = "a key of 32 bytes is what AES-256 takes")]
fn data_key(bytes: &[u8; KEY]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).expect("32 bytes"))
}

fn append_sealed(
    out: &mut Vec<u8>,
    key: &LessSafeKey,
    associated_data: &str,
    secret: &[u8],
) -> Result<(), Error> {
    let mut nonce = [0u8; NONCE];
    rand::fill(&mut nonce).map_err(|_| Error::Random)?;
    let mut body = Zeroizing::new(Vec::with_capacity(secret.len() + TAG));
    body.extend_from_slice(secret);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(associated_data), &mut *body)
        .map_err(|_| Error::Random)?;
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&body);
    Ok(())
}

fn opened(key: &LessSafeKey, associated_data: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, body) = sealed.split_at_checked(NONCE)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut body = Zeroizing::new(body.to_vec());
    let length = key.open_in_place(nonce, Aad::from(associated_data), &mut body).ok()?.len();
    body.truncate(length);
    Some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place<'static> = Place { table: "certificate_keys", row: &42, column: "sealed_key" };

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let key = SealingKey::from_bytes(&[7; 32]);
        let sealed = key.seal(HERE, b"canary").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"canary"));
        assert_eq!(key.open(HERE, &sealed).unwrap().as_slice(), b"canary");
        for elsewhere in
            [Place { row: &43, ..HERE }, Place { column: "other", ..HERE }, Place { table: "jobs", ..HERE }]
        {
            assert!(matches!(key.open(elsewhere, &sealed), Err(Error::DoesNotOpen { .. })));
        }
        assert!(SealingKey::from_bytes(&[8; 32]).open(HERE, &sealed).is_err());
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let key = SealingKey::from_bytes(&[7; 32]);
        let sealed = key.seal(HERE, b"secret").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(HERE, &changed).is_err(), "byte {at}");
            assert!(key.open(HERE, &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_key_file_is_made_once_and_refused_when_others_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let path = std::env::temp_dir().join(format!("sealing-{}.key", uuid::Uuid::new_v4()));
        let sealed = SealingKey::load_or_create(&path).unwrap().seal(HERE, b"x").unwrap();
        let again = SealingKey::load_or_create(&path).unwrap();
        assert_eq!(again.open(HERE, &sealed).unwrap().as_slice(), b"x");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(SealingKey::load_or_create(&path).unwrap_err().to_string().contains("chmod 600"));
        fs::remove_file(&path).unwrap();
    }
}
