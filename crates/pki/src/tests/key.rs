//! Keys of every kind, made here and by OpenSSL, in every form that is read.

use super::*;
use crate::test_tools::{openssl, scratch};

const KINDS: [KeyAlgorithm; 4] =
    [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::EcdsaP521, KeyAlgorithm::Ed25519];

#[test]
fn generated_keys_round_trip_and_sign() {
    for algorithm in KINDS {
        let key = PrivateKey::generate(algorithm).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        assert_eq!(PrivateKey::from_pkcs8_der(&key.to_pkcs8_der()).unwrap(), key);
        assert_eq!(PrivateKey::from_pem(&key.to_pem()).unwrap(), key);
        assert!(!key.sign(b"message").unwrap().is_empty());
        assert_ne!(PrivateKey::generate(algorithm).unwrap(), key);
    }
}

#[test]
fn rsa_keys_are_made_and_other_sizes_refused() {
    let key = PrivateKey::generate(KeyAlgorithm::Rsa(2048)).unwrap();
    assert_eq!(key.algorithm(), KeyAlgorithm::Rsa(2048));
    assert_eq!(PrivateKey::from_pem(&key.to_pem()).unwrap(), key);
    for algorithm in [KeyAlgorithm::Rsa(1024), KeyAlgorithm::Rsa(2049), KeyAlgorithm::Unknown] {
        assert!(matches!(PrivateKey::generate(algorithm), Err(Error::KeyAlgorithmUnsupported { .. })));
    }
}

#[test]
fn debug_shows_the_algorithm_only() {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    assert_eq!(format!("{key:?}"), "PrivateKey(ECDSA P-256)");
}

#[test]
fn openssl_keys_are_read_in_their_old_and_new_forms() {
    let directory = scratch();
    let kinds = [
        ("EC", "ec_paramgen_curve:P-256", KeyAlgorithm::EcdsaP256),
        ("EC", "ec_paramgen_curve:P-384", KeyAlgorithm::EcdsaP384),
        ("RSA", "rsa_keygen_bits:2048", KeyAlgorithm::Rsa(2048)),
    ];
    for (family, option, algorithm) in kinds {
        let new = openssl(
            directory.path(),
            &["genpkey", "-algorithm", family, "-pkeyopt", option, "-out", "k.pem"],
        );
        assert!(new.is_empty());
        let pkcs8 = openssl(directory.path(), &["pkey", "-in", "k.pem"]);
        let old = openssl(directory.path(), &["pkey", "-in", "k.pem", "-traditional"]);
        assert!(old.contains(&format!("BEGIN {family} PRIVATE KEY")));
        let key = PrivateKey::from_pem(&pkcs8).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        assert_eq!(PrivateKey::from_pem(&old).unwrap(), key);
        assert_eq!(PrivateKey::from_pem(&format!("# comment\n{}", old.replace('\n', "\r\n"))).unwrap(), key);
    }
    openssl(directory.path(), &["genpkey", "-algorithm", "ED25519", "-out", "k.pem"]);
    let pkcs8 = openssl(directory.path(), &["pkey", "-in", "k.pem"]);
    assert_eq!(PrivateKey::from_pem(&pkcs8).unwrap().algorithm(), KeyAlgorithm::Ed25519);
}

#[test]
fn openssl_reads_our_keys_and_agrees_on_the_public_half() {
    for algorithm in KINDS {
        let key = PrivateKey::generate(algorithm).unwrap();
        let directory = scratch();
        crate::test_tools::store(directory.path(), "k.pem", key.to_pem().as_bytes());
        let public = openssl(directory.path(), &["pkey", "-in", "k.pem", "-pubout"]);
        assert_eq!(pem::read(&public).unwrap()[0].content().unwrap(), key.public_key());
    }
}

#[test]
fn weak_damaged_and_foreign_keys_are_refused() {
    let directory = scratch();
    openssl(
        directory.path(),
        &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024", "-out", "k.pem"],
    );
    let weak = openssl(directory.path(), &["pkey", "-in", "k.pem"]);
    assert!(matches!(PrivateKey::from_pem(&weak), Err(Error::KeyUnreadable { .. })));
    openssl(directory.path(), &["genpkey", "-algorithm", "X25519", "-out", "k.pem"]);
    let foreign = openssl(directory.path(), &["pkey", "-in", "k.pem"]);
    assert!(matches!(PrivateKey::from_pem(&foreign), Err(Error::KeyAlgorithmUnsupported { .. })));

    let der = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap().to_pkcs8_der();
    for length in 0..der.len() {
        assert!(PrivateKey::from_pkcs8_der(&der[..length]).is_err());
    }
    assert!(PrivateKey::from_pkcs8_der(&vec![0x30; MAX_KEY_BYTES + 1]).is_err());
    assert!(matches!(PrivateKey::from_pem("no key here"), Err(Error::KeyUnreadable { .. })));
    assert!(matches!(SubjectPublicKey::from_der(b"x"), Err(Error::KeyAlgorithmUnsupported { .. })));
}
