//! PKCS#12 files (RFC 7292): several entries or one, read within bounds and written for today's or yesterday's
//! readers. Bounds are checked in `inspection.rs` before any key is derived.
//!
//! Passwords reach the file as UTF-16 units, so characters outside the Basic Multilingual Plane are refused.

pub(crate) mod decryption;
mod inspection;

use p12_keystore::{
    EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, Pkcs12Archive, PrivateKeyChain,
};

use crate::{Certificate, Error, Pkcs12Error, PrivateKey, chain};

/// Iterations of key derivation when writing: what OpenSSL 3.0 takes. The password of a store is not meant to
/// withstand guessing alone; the file is also guarded by its permissions.
pub const WRITE_ITERATIONS: u32 = 2_048;
/// Most iterations that are written or, by default, read.
pub const MAX_ITERATIONS: u32 = 600_000;
/// Most iterations of all key derivations of one file that comes from outside: file check, certificates and key,
/// each at the bound, and one more.
pub const MAX_UPLOAD_TOTAL_ITERATIONS: u64 = 2_400_000;
/// Most iterations of all key derivations of one file in a store, which may hold many entries.
pub const MAX_STORE_TOTAL_ITERATIONS: u64 = 24_000_000;
/// Largest file that comes from outside, in bytes.
pub const MAX_UPLOAD_BYTES: usize = 64 * 1024;
/// Largest file in a store, in bytes.
pub const MAX_STORE_BYTES: usize = 1024 * 1024;
/// Most keys and certificates in a file that comes from outside.
pub const MAX_UPLOAD_BAGS: usize = 64;
/// Most keys and certificates in a file in a store.
pub const MAX_STORE_BAGS: usize = 1_024;
/// Longest friendly name that is written, in characters.
pub const MAX_FRIENDLY_NAME_CHARACTERS: usize = 256;

/// How a file is encrypted when it is written. All schemes are read, RC2 of 40 bits included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encryption {
    /// AES-256-CBC, PBKDF2 and HMAC with SHA-256: everything current.
    #[default]
    Aes256Sha256,
    /// 3DES with SHA-1: Windows Server 2016 and older.
    TripleDesSha1,
}

/// Bounds for a file that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest file in bytes.
    pub max_bytes: usize,
    /// Most iterations of one key derivation.
    pub max_iterations: u32,
    /// Most iterations of all key derivations together.
    pub max_total_iterations: u64,
    /// Most keys, certificates and other bags.
    pub max_bags: usize,
    /// Whether a file without integrity check is refused.
    pub require_mac: bool,
}

impl Limits {
    /// For files that come from outside.
    pub const UPLOAD: Self = Self {
        max_bytes: MAX_UPLOAD_BYTES,
        max_iterations: MAX_ITERATIONS,
        max_total_iterations: MAX_UPLOAD_TOTAL_ITERATIONS,
        max_bags: MAX_UPLOAD_BAGS,
        require_mac: true,
    };
    /// For files of a certificate store.
    pub const STORE: Self = Self {
        max_bytes: MAX_STORE_BYTES,
        max_iterations: MAX_ITERATIONS,
        max_total_iterations: MAX_STORE_TOTAL_ITERATIONS,
        max_bags: MAX_STORE_BAGS,
        require_mac: false,
    };
}

/// One entry of a PKCS#12 file: a key with its chain, or certificates alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pkcs12 {
    /// The private key, if the entry has one; it belongs to the first certificate.
    pub key: Option<PrivateKey>,
    /// The certificates, leaf first.
    pub certificates: Vec<Certificate>,
    /// The friendly name, which Java calls alias. Written on the key, or on a certificate without key.
    pub friendly_name: Option<String>,
}

impl Pkcs12 {
    /// Writes the entry as a file of its own. Without a key, every certificate becomes a trusted one.
    ///
    /// # Errors
    /// [`Error::KeyMismatch`]; [`Pkcs12Error`] when there is no certificate, or password, friendly name or
    /// iterations are out of bounds.
    pub fn encode(&self, password: &str, encryption: Encryption, iterations: u32) -> Result<Vec<u8>, Error> {
        encode_entries(std::slice::from_ref(self), password, encryption, iterations)
    }

    /// Reads a file of one entry: one key with its chain, or certificates alone. Certificates that do not belong to
    /// the chain are dropped.
    ///
    /// # Errors
    /// [`Pkcs12Error`]; [`Error::KeyUnreadable`] and [`Error::KeyAlgorithmUnsupported`] for the key inside.
    pub fn decode(bytes: &[u8], password: &str, limits: Limits) -> Result<Self, Error> {
        let (archive, _) = open(bytes, password, limits)?;
        let bags = parse_certificates(&archive)?;
        let certificates: Vec<Certificate> = bags.iter().map(|bag| bag.certificate.clone()).collect();
        let friendly_name = bags.first().and_then(|bag| bag.friendly_name.clone());
        match archive.keys.as_slice() {
            [] if certificates.is_empty() => Err(Pkcs12Error::Empty.into()),
            [] => Ok(Self { key: None, certificates: chain::order(&certificates)?, friendly_name }),
            [bag] => {
                let key = PrivateKey::from_pkcs8_der(bag.key.as_der())?;
                let leaf = leaf_of(&key, bag.local_key_id.as_ref().map(AsRef::as_ref), &bags)
                    .ok_or(Pkcs12Error::KeyWithoutCertificate)?;
                Ok(Self {
                    certificates: chain::from_leaf(&leaf.certificate, &certificates)?,
                    friendly_name: bag.friendly_name.clone().or_else(|| leaf.friendly_name.clone()),
                    key: Some(key),
                })
            }
            keys => Err(Pkcs12Error::SeveralKeys { count: keys.len() }.into()),
        }
    }

    /// The name under which the entry is written: its own, or the leaf's common name or thumbprint.
    fn name(&self) -> Option<String> {
        let leaf = self.certificates.first()?;
        let named = self.friendly_name.as_deref().or_else(|| leaf.common_name());
        Some(named.map_or_else(|| leaf.thumbprint().to_string(), str::to_owned))
    }
}

/// What a file of several entries holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// Entries: those with a key first, then certificates that belong to no key's chain, each by itself.
    pub entries: Vec<Pkcs12>,
    /// Keys that could not be read or have no certificate: their names and why.
    pub unreadable: Vec<(String, Error)>,
    /// Bags of other kinds (secret keys, revocation lists) that are passed over.
    pub unsupported: usize,
}

impl Contents {
    /// Whether everything in the file was read, so that writing the entries again loses nothing.
    pub fn is_complete(&self) -> bool {
        self.unreadable.is_empty() && self.unsupported == 0
    }
}

/// Reads a file of several entries. A file without any is no error.
///
/// # Errors
/// [`Pkcs12Error`]; [`Error::CertificateUnreadable`] for a certificate inside.
pub fn decode_entries(bytes: &[u8], password: &str, limits: Limits) -> Result<Contents, Error> {
    let (archive, unsupported) = open(bytes, password, limits)?;
    let bags = parse_certificates(&archive)?;
    let candidates: Vec<Certificate> =
        bags.iter().filter(|bag| !bag.trusted).map(|bag| bag.certificate.clone()).collect();
    let mut contents = Contents { unsupported, ..Contents::default() };
    for bag in &archive.keys {
        let name = bag.friendly_name.clone();
        let read = PrivateKey::from_pkcs8_der(bag.key.as_der()).and_then(|key| {
            let leaf = leaf_of(&key, bag.local_key_id.as_ref().map(AsRef::as_ref), &bags)
                .ok_or(Pkcs12Error::KeyWithoutCertificate)?;
            Ok(Pkcs12 {
                certificates: chain::from_leaf(&leaf.certificate, &candidates)?,
                friendly_name: name.clone().or_else(|| leaf.friendly_name.clone()),
                key: Some(key),
            })
        });
        match read {
            Ok(entry) => contents.entries.push(entry),
            Err(error) => contents.unreadable.push((name.unwrap_or_else(|| "private key".to_owned()), error)),
        }
    }
    let mut alone: Vec<&CertificateBag> = Vec::new();
    for bag in &bags {
        let chained = contents.entries.iter().any(|entry| entry.certificates.contains(&bag.certificate));
        let seen = alone.iter().any(|other| other.certificate == bag.certificate && !other.trusted);
        if bag.trusted || !(chained || seen) {
            alone.push(bag);
        }
    }
    contents.entries.extend(alone.into_iter().map(|bag| Pkcs12 {
        key: None,
        certificates: vec![bag.certificate.clone()],
        friendly_name: bag.friendly_name.clone(),
    }));
    Ok(contents)
}

/// Writes several entries into one file. An entry without key may have several certificates; each becomes one of
/// the file's trusted certificates.
///
/// # Errors
/// As [`Pkcs12::encode`]; [`Pkcs12Error::AliasTwice`] when two names are equal without regard to case.
pub fn encode_entries(
    entries: &[Pkcs12],
    password: &str,
    encryption: Encryption,
    iterations: u32,
) -> Result<Vec<u8>, Error> {
    check_password(password)?;
    if iterations == 0 || iterations > MAX_ITERATIONS {
        return Err(Pkcs12Error::TooManyIterations { found: iterations.into(), limit: MAX_ITERATIONS }.into());
    }
    let mut store = KeyStore::new();
    for entry in entries {
        let name = entry.name().ok_or(Pkcs12Error::Empty)?;
        for (alias, item) in items_of(entry, &name)? {
            check_alias(&store, &alias)?;
            store.add_entry(&alias, item);
        }
    }
    let (cipher, mac) = match encryption {
        Encryption::Aes256Sha256 => {
            (EncryptionAlgorithm::PbeWithHmacSha256AndAes256, MacAlgorithm::HmacSha256)
        }
        Encryption::TripleDesSha1 => {
            (EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc, MacAlgorithm::HmacSha1)
        }
    };
    store
        .writer(password)
        .encryption_algorithm(cipher)
        .encryption_iterations(iterations)
        .mac_algorithm(mac)
        .mac_iterations(iterations)
        .write()
        .map_err(|error| unwritable(&error))
}

/// The items of the file for one entry, with their names.
fn items_of(entry: &Pkcs12, name: &str) -> Result<Vec<(String, KeyStoreEntry)>, Error> {
    let certificates = entry
        .certificates
        .iter()
        .map(|certificate| p12_keystore::Certificate::from_der(certificate.der()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unwritable(&error))?;
    let (Some(key), Some(leaf)) = (&entry.key, entry.certificates.first()) else {
        let numbered = |(index, certificate)| {
            let alias = if index == 0 { name.to_owned() } else { format!("{name}#{}", index + 1) };
            (alias, KeyStoreEntry::Certificate(certificate))
        };
        return Ok(certificates.into_iter().enumerate().map(numbered).collect());
    };
    if !key.matches(leaf) {
        return Err(Error::KeyMismatch { thumbprint: leaf.thumbprint() });
    }
    let pkcs8 =
        p12_keystore::PrivateKey::from_der(&key.to_pkcs8_der()).map_err(|error| unwritable(&error))?;
    let item = PrivateKeyChain::new(&leaf.thumbprint().as_bytes()[..], pkcs8, certificates);
    Ok(vec![(name.to_owned(), KeyStoreEntry::PrivateKeyChain(item))])
}

fn check_alias(store: &KeyStore, alias: &str) -> Result<(), Error> {
    if alias.is_empty()
        || alias.chars().count() > MAX_FRIENDLY_NAME_CHARACTERS
        || !alias.chars().all(is_one_unit)
    {
        let reason = "a friendly name has 1 to 256 characters of the Basic Multilingual Plane".to_owned();
        return Err(Pkcs12Error::Unwritable { reason }.into());
    }
    // Java compares aliases without regard to case.
    if store.entries().any(|(other, _)| other.to_lowercase() == alias.to_lowercase()) {
        return Err(Pkcs12Error::AliasTwice { alias: alias.to_owned() }.into());
    }
    Ok(())
}

struct CertificateBag {
    certificate: Certificate,
    friendly_name: Option<String>,
    local_key_id: Option<Vec<u8>>,
    /// Marked by Java as an entry of its own.
    trusted: bool,
}

fn parse_certificates(archive: &Pkcs12Archive) -> Result<Vec<CertificateBag>, Error> {
    let parse = |bag: &p12_keystore::CertificateBag| {
        Ok(CertificateBag {
            certificate: Certificate::parse(bag.cert.as_der())?,
            friendly_name: bag.friendly_name.clone(),
            local_key_id: bag.local_key_id.clone(),
            trusted: bag.trusted,
        })
    };
    archive.certs.iter().map(parse).collect()
}

/// The certificate of a key: of several for the same key (a renewal that kept it), the one with the key's id.
fn leaf_of<'a>(
    key: &PrivateKey,
    id: Option<&[u8]>,
    bags: &'a [CertificateBag],
) -> Option<&'a CertificateBag> {
    let matching = || bags.iter().filter(|bag| key.matches(&bag.certificate));
    matching().find(|bag| id.is_some() && bag.local_key_id.as_deref() == id).or_else(|| matching().next())
}

/// Checks bounds, then decrypts; answers the bags, and how many of other kinds there are.
fn open(bytes: &[u8], password: &str, limits: Limits) -> Result<(Pkcs12Archive, usize), Error> {
    check_password(password)?;
    let unsupported = inspection::inspect(bytes, password, limits)?;
    let archive = Pkcs12Archive::from_pkcs12(bytes, password).map_err(|error| refusal(&error))?;
    Ok((archive, unsupported))
}

fn check_password(password: &str) -> Result<(), Pkcs12Error> {
    let outside = password.chars().position(|character| !is_one_unit(character));
    outside.map_or(Ok(()), |index| Err(Pkcs12Error::PasswordCharacter { position: index + 1 }))
}

/// Whether a character is one UTF-16 unit.
fn is_one_unit(character: char) -> bool {
    character.len_utf16() == 1
}

fn refusal(error: &p12_keystore::error::Error) -> Pkcs12Error {
    use p12_keystore::error::Error as Library;

    match error {
        Library::MacError(_) | Library::Pkcs5Error(_) | Library::UnpadError => Pkcs12Error::WrongPassword,
        Library::UnsupportedContentType
        | Library::UnsupportedCertificateType
        | Library::UnsupportedEncryptionScheme
        | Library::UnsupportedMacAlgorithm
        | Library::InvalidVersion => Pkcs12Error::Unsupported { what: error.to_string() },
        Library::X509Error(_) => Pkcs12Error::Malformed { reason: "a certificate inside cannot be read" },
        Library::InvalidPrivateKey => {
            Pkcs12Error::Malformed { reason: "a private key inside cannot be read" }
        }
        _ => Pkcs12Error::Malformed { reason: "its structure is broken" },
    }
}

fn unwritable(error: &p12_keystore::error::Error) -> Error {
    Pkcs12Error::Unwritable { reason: error.to_string() }.into()
}

#[cfg(test)]
mod tests;
