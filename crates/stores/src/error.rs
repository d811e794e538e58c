//! Every way in which a store refuses: what was wrong, where, and what to do. No message carries a secret.

use std::{io, path::PathBuf};

use sealift_pki::Thumbprint;

/// Why a store could not be opened, read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No driver has this short name.
    #[error("store type {store_type:?} is not known to this agent; it has {known}")]
    UnknownStoreType {
        /// The name asked for.
        store_type: String,
        /// The names there are.
        known: String,
    },
    /// A property has a value that the driver does not know, or is missing.
    #[error("store property {property}: {reason}")]
    Property {
        /// Name of the property.
        property: &'static str,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// An alias is not usable.
    #[error("alias {alias:?} is not usable: {reason}")]
    Alias {
        /// The alias, shortened to the longest allowed.
        alias: String,
        /// Why.
        reason: &'static str,
    },
    /// The store does not exist.
    #[error("store {path} does not exist; create it, or correct the store path", path = path.display())]
    StoreMissing {
        /// The store.
        path: PathBuf,
    },
    /// A path leads out of the directories the store may use.
    #[error("{path} is outside the directories allowed for this store; correct the path, or allow it in the agent's configuration", path = path.display())]
    OutsideAllowedDirectories {
        /// The path, resolved as far as possible.
        path: PathBuf,
    },
    /// A file is larger than a store of its kind can be.
    #[error("{path} has {size} bytes, more than the {limit} allowed; it is not a certificate store", path = path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The bound in bytes.
        limit: u64,
    },
    /// Reading or writing failed; nothing was changed.
    #[error("{action} {path} failed: {source}", path = path.display())]
    File {
        /// What was being done, as a participle: "reading".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// What was read back after writing is not what was written; the old content was put back.
    #[error("{path} does not hold what was just written to it; another process may be writing the same file", path = path.display())]
    ReadBack {
        /// The file.
        path: PathBuf,
    },
    /// The content of a file is not what its store type says.
    #[error("{path}: {source}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: sealift_pki::Error,
    },
    /// Something in the file cannot be kept when it is rewritten, so it is not rewritten.
    #[error("{path} is not changed: {reason}", path = path.display())]
    NotRewritable {
        /// The file.
        path: PathBuf,
        /// What would be lost.
        reason: String,
    },
    /// Another certificate is in the place and overwriting was not allowed.
    #[error("{place} already holds certificate {present}; allow overwriting to replace it")]
    AlreadyExists {
        /// Alias or file.
        place: String,
        /// The certificate that is there, or a word for something unreadable.
        present: String,
    },
    /// The entry to be added is not one the store can hold.
    #[error("the entry cannot be added to {path}: {reason}", path = path.display())]
    Entry {
        /// The store.
        path: PathBuf,
        /// What is missing or too much, and what to do.
        reason: String,
    },
    /// A name in the certificate cannot be a file name of a Central Certificate Store.
    #[error(
        "certificate {thumbprint} names {name:?}, which cannot be a file in the Central Certificate Store: {reason}"
    )]
    UnsafeName {
        /// The certificate.
        thumbprint: Thumbprint,
        /// The name.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// Putting back the old files after a failure failed as well: the store needs a look.
    #[error(
        "{first}; and putting back {path} failed as well: {source}; its old content is in {kept} for an hour",
        path = path.display(),
        kept = kept.display()
    )]
    NotRestored {
        /// The failure that made it necessary.
        first: Box<Error>,
        /// The file that is not as it was.
        path: PathBuf,
        /// Where its old content is until the next sweep; the file itself when there was none.
        kept: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}
