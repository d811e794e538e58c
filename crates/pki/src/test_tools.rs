//! What the tests of this crate share: scratch directories, programs of the machine, and certificates made in place.

use std::{fs::File, io::Write as _, path::Path, process::Command};

use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;

use crate::{
    AuthorityProfile, Certificate, DistinguishedName, ExtendedKeyUsage, Issuer, KeyAlgorithm, LeafProfile,
    PrivateKey, SerialNumber, SubjectAlternativeName, SubjectPublicKey,
};

/// A directory that is gone when the test ends.
pub(crate) fn scratch() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Puts a file into a scratch directory.
pub(crate) fn store(directory: &Path, name: &str, bytes: &[u8]) {
    File::create(directory.join(name)).unwrap().write_all(bytes).unwrap();
}

/// Runs a program in a directory and answers whether it succeeded and what it said on both outputs.
pub(crate) fn run(directory: &Path, program: &str, arguments: &[&str]) -> (bool, String) {
    let output =
        Command::new(program).args(arguments).current_dir(directory).env("LC_ALL", "C").output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// Runs OpenSSL, which must succeed, and answers its standard output.
pub(crate) fn openssl(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The time at which everything happens.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// A root and an authority below it.
pub(crate) fn authorities() -> (Issuer, Issuer) {
    let profile = |name: &str, serial: u8| AuthorityProfile {
        subject: DistinguishedName::parse(name).unwrap(),
        serial_number: SerialNumber::from_random([serial; 16]),
        not_before: now() - TimeDelta::days(1),
        not_after: now() + TimeDelta::days(3650),
        crl_distribution_point: None,
    };
    let root = Issuer::self_signed_root(&profile("CN=Example Root,O=Example", 1)).unwrap();
    let issuing = root.subordinate(&profile("CN=Example Issuing CA,DC=corp,DC=example,DC=test", 2)).unwrap();
    (root, issuing)
}

/// A profile for some DNS names.
pub(crate) fn leaf_profile(names: &[&str]) -> LeafProfile {
    LeafProfile {
        subject: DistinguishedName::from_common_name(names[0]).unwrap(),
        subject_alternative_names: names
            .iter()
            .map(|name| SubjectAlternativeName::Dns((*name).to_owned()))
            .collect(),
        serial_number: SerialNumber::from_random([7; 16]),
        not_before: now() - TimeDelta::minutes(5),
        not_after: now() + TimeDelta::days(90),
        extended_key_usages: vec![ExtendedKeyUsage::ServerAuthentication],
        crl_distribution_point: None,
    }
}

/// A leaf certificate with its key, signed by an authority.
pub(crate) fn leaf(issuer: &Issuer, algorithm: KeyAlgorithm, names: &[&str]) -> (Certificate, PrivateKey) {
    let key = PrivateKey::generate(algorithm).unwrap();
    (issuer.sign(&leaf_profile(names), &SubjectPublicKey::from(&key)).unwrap(), key)
}

/// Numbers that follow from a seed (SplitMix64), so that a failure can be repeated.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below a bound.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    /// Fewer bytes than a bound.
    pub(crate) fn bytes(&mut self, bound: usize) -> Vec<u8> {
        (0..self.below(bound)).map(|_| self.below(256) as u8).collect()
    }
}
