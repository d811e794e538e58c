//! Reads, makes and signs keys, certificates, requests, PKCS#12, Java keystores, PEM and revocation lists.
//!
//! Everything here is a function of bytes and time: there is no file, no network, no wall clock and no policy.
//! What may be issued, to whom and for how long is decided by the server; where a certificate is kept is decided
//! by `sealift-stores`. This is the only crate of the project that names a library for X.509 or PKCS#12.

pub mod alternative_name;
pub mod certificate;
pub mod certificate_bag;
pub mod chain;
mod der;
pub mod encrypted_key;
pub mod error;
pub mod issuer;
pub mod java_keystore;
pub mod key;
pub mod key_algorithm;
pub mod name;
pub mod pem;
pub mod pkcs12;
pub mod request;
pub mod revocation_list;
pub mod serial_number;
mod signing;
#[cfg(test)]
mod test_tools;
pub mod thumbprint;

pub use alternative_name::SubjectAlternativeName;
pub use certificate::Certificate;
pub use error::{Error, JavaKeystoreError, NameError, Pkcs12Error};
pub use issuer::{AuthorityProfile, ExtendedKeyUsage, Issuer, LeafProfile};
pub use java_keystore::{EntryKey, JavaKeystore, JavaKeystoreEntry};
pub use key::{PrivateKey, SubjectPublicKey};
pub use key_algorithm::KeyAlgorithm;
pub use name::DistinguishedName;
pub use pkcs12::{Encryption, Limits, Pkcs12};
pub use request::CertificateRequest;
pub use revocation_list::{RevocationList, RevocationReason, RevokedCertificate};
pub use serial_number::SerialNumber;
pub use thumbprint::Thumbprint;
