//! The only list of drivers, and what each store type can do.

use crate::{
    CertificateStore, Error, Settings, central_certificate_store::CentralCertificateStore,
    java_keystore_file::JavaKeystoreFile, pem_file::PemFile, pkcs12_file::Pkcs12File,
};

/// Whether a store type has, may have or must have something; the contract numbers them 0, 1 and 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Never.
    Forbidden,
    /// If given.
    Optional,
    /// Always.
    Required,
}

/// What can be done with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Read it.
    Inventory,
    /// Add an entry.
    Add,
    /// Remove an entry.
    Remove,
    /// Make an empty one.
    Create,
    /// Add an entry whose key was made on this machine.
    Reenroll,
}

/// What a store type can do: data, so that a job it could never run is refused before it is scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// Full name, for people.
    pub store_type: &'static str,
    /// Short name: `PEM`, `PKCS12`, `JKS`, `CCS`. It stands in capabilities such as `CertStores.PEM.Inventory`.
    pub short_name: &'static str,
    /// What can be done.
    pub operations: &'static [Operation],
    /// Whether an entry carries a private key.
    pub private_key: Permission,
    /// Whether the caller chooses the alias. Where it is forbidden the driver names the entry, and an alias given
    /// with one to be added only says which entry is meant to be replaced.
    pub custom_alias: Permission,
    /// Whether the store has a password.
    pub store_password: Permission,
    /// Names of the properties that the driver knows; each is described atop its file.
    pub properties: &'static [&'static str],
}

const EVERY_OPERATION: &[Operation] =
    &[Operation::Inventory, Operation::Add, Operation::Remove, Operation::Create, Operation::Reenroll];
/// Of types for which the server knows no reenrollment.
const WITHOUT_REENROLLMENT: &[Operation] =
    &[Operation::Inventory, Operation::Add, Operation::Remove, Operation::Create];

/// The store types of this crate.
pub const CAPABILITIES: &[Capability] = &[
    Capability {
        store_type: "PEM file",
        short_name: "PEM",
        operations: EVERY_OPERATION,
        private_key: Permission::Optional,
        custom_alias: Permission::Forbidden,
        store_password: Permission::Forbidden,
        properties: &["privateKeyPath", "chainPath", "includeChain"],
    },
    Capability {
        store_type: "PKCS#12 file",
        short_name: "PKCS12",
        operations: WITHOUT_REENROLLMENT,
        private_key: Permission::Optional,
        custom_alias: Permission::Optional,
        store_password: Permission::Optional,
        properties: &["encryption"],
    },
    Capability {
        store_type: "Java keystore",
        short_name: "JKS",
        operations: EVERY_OPERATION,
        private_key: Permission::Optional,
        custom_alias: Permission::Optional,
        store_password: Permission::Required,
        properties: &[],
    },
    Capability {
        store_type: "IIS Central Certificate Store",
        short_name: "CCS",
        operations: WITHOUT_REENROLLMENT,
        private_key: Permission::Required,
        custom_alias: Permission::Forbidden,
        store_password: Permission::Optional,
        properties: &["encryption", "replaceUnreadable"],
    },
];

/// The capability of a store type, by short name without regard to case.
pub fn capability(store_type: &str) -> Option<&'static Capability> {
    CAPABILITIES.iter().find(|capability| capability.short_name.eq_ignore_ascii_case(store_type.trim()))
}

/// Opens a store by the short name of its type. Nothing is read yet, and the store need not exist.
///
/// # Errors
/// [`Error::UnknownStoreType`]; [`Error::Property`] for a value that the driver does not know.
pub fn open(store_type: &str, settings: Settings) -> Result<Box<dyn CertificateStore>, Error> {
    match capability(store_type).map(|capability| capability.short_name) {
        Some("PEM") => Ok(Box::new(PemFile::open(settings)?)),
        Some("PKCS12") => Ok(Box::new(Pkcs12File::open(settings)?)),
        Some("JKS") => Ok(Box::new(JavaKeystoreFile::open(settings))),
        Some("CCS") => Ok(Box::new(CentralCertificateStore::open(settings)?)),
        _ => {
            let known: Vec<&str> = CAPABILITIES.iter().map(|capability| capability.short_name).collect();
            Err(Error::UnknownStoreType {
                store_type: store_type.chars().take(64).collect(),
                known: known.join(", "),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_store_type_listed_can_be_opened_in_any_case() {
        for capability in CAPABILITIES {
            assert!(open(capability.short_name, Settings::new("/nowhere/store")).is_ok());
            assert!(open(&capability.short_name.to_lowercase(), Settings::new("/nowhere/store")).is_ok());
        }
    }

    #[test]
    fn an_unknown_store_type_is_refused_with_the_known_ones() {
        let refused = open("PKCS7", Settings::new("/nowhere/store")).err().unwrap().to_string();
        assert!(refused.contains("PKCS7") && refused.contains("PEM, PKCS12, JKS, CCS"), "{refused}");
    }
}
