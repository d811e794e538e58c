//! Certificates and keys for trying out stores: an authority of its own, and entries signed by it.
//! They are never trusted by anything.

use std::cell::Cell;

use chrono::{DateTime, TimeDelta, Utc};
use sealift_pki::{
    AuthorityProfile, Certificate, DistinguishedName, ExtendedKeyUsage, Issuer, KeyAlgorithm, LeafProfile,
    PrivateKey, SerialNumber, SubjectAlternativeName, SubjectPublicKey,
};

use crate::NewEntry;

/// An authority and its root.
pub struct Material {
    root: Issuer,
    issuing: Issuer,
    next_serial: Cell<u64>,
}

/// Start of every validity period: 2027-01-15.
fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

impl Default for Material {
    fn default() -> Self {
        Self::new()
    }
}

impl Material {
    /// Makes the authority.
    ///
    /// # Panics
    /// When the machine cannot make keys.
    pub fn new() -> Self {
        let profile = |name: &str, serial: u8| AuthorityProfile {
            subject: DistinguishedName::parse(name).unwrap(),
            serial_number: SerialNumber::from_random([serial; 16]),
            not_before: start(),
            not_after: start() + TimeDelta::days(3_650),
            crl_distribution_point: None,
        };
        let root = Issuer::self_signed_root(&profile("CN=Example Root,O=Example", 1)).unwrap();
        let issuing = root.subordinate(&profile("CN=Example Issuing CA,O=Example", 2)).unwrap();
        Self { root, issuing, next_serial: Cell::new(3) }
    }

    /// A certificate with a P-256 key and its chain, for some DNS names; the first is its common name.
    ///
    /// # Panics
    /// When a name cannot be in a certificate.
    pub fn entry(&self, names: &[&str]) -> NewEntry {
        self.entry_with(KeyAlgorithm::EcdsaP256, names)
    }

    /// As [`Material::entry`], with a key of any kind.
    ///
    /// # Panics
    /// When a name cannot be in a certificate, or the key cannot be made.
    pub fn entry_with(&self, algorithm: KeyAlgorithm, names: &[&str]) -> NewEntry {
        let key = PrivateKey::generate(algorithm).unwrap();
        let mut random = [0; 16];
        let serial = self.next_serial.replace(self.next_serial.get() + 1);
        random[8..].copy_from_slice(&serial.to_be_bytes());
        let profile = LeafProfile {
            subject: DistinguishedName::from_common_name(names.first().unwrap_or(&"nameless")).unwrap(),
            subject_alternative_names: names
                .iter()
                .map(|name| SubjectAlternativeName::Dns((*name).to_owned()))
                .collect(),
            serial_number: SerialNumber::from_random(random),
            not_before: start(),
            not_after: start() + TimeDelta::days(90),
            extended_key_usages: vec![ExtendedKeyUsage::ServerAuthentication],
            crl_distribution_point: None,
        };
        let leaf = self.issuing.sign(&profile, &SubjectPublicKey::from(&key)).unwrap();
        let certificates = vec![leaf, self.issuing.certificate().clone(), self.root.certificate().clone()];
        NewEntry { alias: None, certificates, private_key: Some(key), entry_password: None }
    }

    /// The root, as a certificate to be trusted.
    pub fn root(&self) -> Certificate {
        self.root.certificate().clone()
    }
}
