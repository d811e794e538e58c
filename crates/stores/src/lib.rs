//! The `CertificateStore` trait, what travels through it, and one driver for each store type.
//!
//! A driver is a small synchronous object over files of this machine. It knows nothing of jobs, of the server or of
//! the network; which stores may be opened at all is decided by the agent's own configuration. Adding a store type
//! means a module here, a line in [`open`](mod@open), and passing [`conformance`].

pub mod atomic_file;
mod central_certificate_store;
pub mod conformance;
mod entry;
pub mod error;
mod java_keystore_file;
pub mod open;
mod paths;
mod pem_file;
mod pkcs12_file;
pub mod snapshot;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use sealift_pki::{Certificate, Encryption, PrivateKey, Thumbprint};
use zeroize::Zeroizing;

pub use entry::MAX_CERTIFICATES;
pub use error::Error;
pub use open::{CAPABILITIES, Capability, Operation, Permission, capability, open};

/// Most characters of an alias.
pub const MAX_ALIAS_CHARACTERS: usize = 256;

/// One place for certificates.
pub trait CertificateStore: Send {
    /// Reads what the store holds. One unreadable file never hides the others.
    ///
    /// # Errors
    /// When the store itself cannot be read: absent, no permission, wrong password for a store that is one file.
    fn inventory(&self) -> Result<Inventory, Error>;

    /// Adds an entry, reads it back, and answers what was read. Adding what is already there succeeds unchanged.
    ///
    /// # Errors
    /// When another certificate is in the place and may not be overwritten, when the entry is not one that the store
    /// type can hold, or when a file could not be changed; then every file is as it was.
    fn add(&mut self, entry: NewEntry, overwrite: Overwrite) -> Result<Added, Error>;

    /// Removes an entry. Removing what is absent succeeds with `changed` false.
    ///
    /// # Errors
    /// When a file could not be read or changed.
    fn remove(&mut self, alias: &Alias) -> Result<Removed, Error>;

    /// Says what a change would do, and changes nothing. It refuses what the change would refuse, as far as that can be
    /// seen without writing.
    ///
    /// # Errors
    /// Those of the change.
    fn plan(&self, intent: &Intent<'_>) -> Result<Planned, Error>;

    /// Makes an empty store if the type allows one; a store that exists is left as it is.
    ///
    /// # Errors
    /// When the place for it is missing or may not be used.
    fn create(&mut self) -> Result<(), Error>;
}

/// How a store is reached. Keys of `properties` are matched without regard to case.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// File or directory of the store.
    pub path: PathBuf,
    /// Password of the store; none and empty are the same.
    pub password: Option<Secret>,
    /// Properties of the store, as the store type defines them.
    pub properties: BTreeMap<String, String>,
    /// Directories below which files of the store may lie; empty means only the store's own directory.
    /// It bounds every path that a property names and every place a symbolic link leads to.
    pub allowed_directories: Vec<PathBuf>,
}

impl Settings {
    /// Settings with a path and nothing else.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), ..Self::default() }
    }

    /// The value of a property, by name without regard to case; empty values count as absent.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties
            .iter()
            .find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.trim().is_empty())
            .map(|(_, value)| value.trim())
    }

    /// A property that is `true` or `false`.
    pub(crate) fn flag(&self, name: &'static str, default: bool) -> Result<bool, Error> {
        match self.property(name).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(Error::Property { property: name, reason: "it must be true or false".to_owned() }),
        }
    }

    /// The property `encryption` of stores that are PKCS#12 files.
    pub(crate) fn encryption(&self) -> Result<Encryption, Error> {
        match self.property("encryption").map(str::to_ascii_lowercase).as_deref() {
            None | Some("aes256") => Ok(Encryption::Aes256Sha256),
            Some("3des") => Ok(Encryption::TripleDesSha1),
            Some(_) => {
                let reason = "it must be aes256, or 3des for Windows Server 2016 and older".to_owned();
                Err(Error::Property { property: "encryption", reason })
            }
        }
    }

    /// The store's password as text; empty when there is none.
    pub(crate) fn password_text(&self) -> &str {
        self.password.as_ref().map_or("", Secret::expose)
    }
}

/// A password: erased when dropped, never shown.
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a password in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The password itself; only for the place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The name of an entry in its store: a thumbprint, a friendly name or a file name, as the store type has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alias(String);

impl Alias {
    /// Takes an alias of 1 to [`MAX_ALIAS_CHARACTERS`] characters without control characters.
    ///
    /// # Errors
    /// [`Error::Alias`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refused =
            |reason| Err(Error::Alias { alias: text.chars().take(MAX_ALIAS_CHARACTERS).collect(), reason });
        if text.trim().is_empty() {
            return refused("it is empty");
        }
        if text.chars().count() > MAX_ALIAS_CHARACTERS {
            return refused("it is longer than 256 characters");
        }
        if text.chars().any(char::is_control) {
            return refused("it has a control character");
        }
        Ok(Self(text.to_owned()))
    }

    /// The alias as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The alias as a thumbprint, if it is one.
    pub fn thumbprint(&self) -> Option<Thumbprint> {
        Thumbprint::parse(&self.0).ok()
    }
}

impl From<Thumbprint> for Alias {
    fn from(thumbprint: Thumbprint) -> Self {
        Self(thumbprint.to_string())
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One item in a store, as read from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the store.
    pub alias: Alias,
    /// Its certificates, leaf first.
    pub certificates: Vec<Certificate>,
    /// Whether the store holds the private key too.
    pub has_private_key: bool,
    /// Parameters of the entry, as the store type defines them.
    pub parameters: BTreeMap<String, String>,
}

impl Entry {
    /// The thumbprint of the leaf.
    pub fn thumbprint(&self) -> Option<Thumbprint> {
        self.certificates.first().map(Certificate::thumbprint)
    }
}

/// An item to be added.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// Its name. Where the store type chooses names itself, this only says which entry is meant to be replaced.
    pub alias: Option<Alias>,
    /// Its certificates, leaf first.
    pub certificates: Vec<Certificate>,
    /// Its private key; must belong to the leaf.
    pub private_key: Option<PrivateKey>,
    /// A password of its own for the entry's key inside the store. No driver here can keep one: given one that
    /// differs from the store's password, they refuse. (It is not the password of a PFX in transit.)
    pub entry_password: Option<Secret>,
}

/// Whether an entry in the same place may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Refuse when another certificate is there.
    Refuse,
    /// Replace it.
    Allow,
}

/// What a store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// What was read, ordered by alias.
    pub entries: Vec<Entry>,
    /// What was found and could not be read.
    pub unreadable: Vec<Unreadable>,
}

/// A part of a store that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// File name or alias.
    pub name: String,
    /// Why, and what to do.
    pub reason: String,
}

/// A change that may be made.
#[derive(Debug, Clone, Copy)]
pub enum Intent<'a> {
    /// [`CertificateStore::add`].
    Add(&'a NewEntry, Overwrite),
    /// [`CertificateStore::remove`].
    Remove(&'a Alias),
    /// [`CertificateStore::create`].
    Create,
}

/// What a change would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Planned {
    /// Whether anything would be written or removed.
    pub changes: bool,
    /// What is in the place now: the entry that would be replaced or removed, or the same one.
    pub before: Option<Entry>,
    /// Every file that the change may write or remove; none when there is nothing to change.
    pub files: Vec<PathBuf>,
}

impl Planned {
    /// Nothing to do: the entry is in its place.
    fn nothing(before: Option<Entry>) -> Self {
        Self { changes: false, before, files: Vec::new() }
    }

    fn change(before: Option<Entry>, files: Vec<PathBuf>) -> Self {
        Self { changes: true, before, files }
    }
}

/// The outcome of adding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The entry as read back from the store.
    pub entry: Entry,
    /// Whether anything had to be written.
    pub changed: bool,
    /// The certificate that stood in the place before, if it was another one.
    pub replaced: Option<Thumbprint>,
    /// The files that hold the entry.
    pub files: Vec<PathBuf>,
}

/// The outcome of removing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Whether there was something to remove.
    pub changed: bool,
    /// Files deleted or rewritten.
    pub files: Vec<PathBuf>,
}
