//! PKCS#12 files against OpenSSL and keytool in both directions, and against hostile input.

use std::path::Path;

use super::*;
use crate::{
    KeyAlgorithm, der,
    test_tools::{authorities, leaf, openssl, run, scratch, store},
};

const PASSWORD: &str = "Secret1-Grüße";
const ASCII: &str = "Secret1";

fn entry(algorithm: KeyAlgorithm, name: &str) -> Pkcs12 {
    let (root, issuing) = authorities();
    let (certificate, key) = leaf(&issuing, algorithm, &[name]);
    let certificates = vec![certificate, issuing.certificate().clone(), root.certificate().clone()];
    Pkcs12 { key: Some(key), certificates, friendly_name: Some(name.to_owned()) }
}

fn read(directory: &Path, name: &str) -> Vec<u8> {
    std::fs::read(directory.join(name)).unwrap()
}

fn refused(result: Result<Pkcs12, Error>) -> Pkcs12Error {
    match result {
        Err(Error::Pkcs12(error)) => error,
        other => panic!("expected a refusal: {other:?}"),
    }
}

#[test]
fn every_key_kind_round_trips_in_both_encryptions() {
    for algorithm in
        [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa(2048)]
    {
        let entry = entry(algorithm, "www.example.test");
        for encryption in [Encryption::Aes256Sha256, Encryption::TripleDesSha1] {
            for password in [PASSWORD, ""] {
                let bytes = entry.encode(password, encryption, WRITE_ITERATIONS).unwrap();
                assert_eq!(Pkcs12::decode(&bytes, password, Limits::UPLOAD).unwrap(), entry);
                let wrong = Pkcs12::decode(&bytes, "wrong", Limits::UPLOAD);
                assert_eq!(refused(wrong), Pkcs12Error::WrongPassword);
            }
        }
    }
}

#[test]
fn openssl_and_keytool_read_what_is_written() {
    let directory = scratch();
    let path = directory.path();
    for encryption in [Encryption::Aes256Sha256, Encryption::TripleDesSha1] {
        let entry = entry(KeyAlgorithm::EcdsaP256, "www.example.test");
        store(path, "a.pfx", &entry.encode(ASCII, encryption, WRITE_ITERATIONS).unwrap());
        let text = openssl(path, &["pkcs12", "-in", "a.pfx", "-nodes", "-passin", "pass:Secret1"]);
        assert!(text.contains("friendlyName: www.example.test"), "{text}");
        assert_eq!(crate::pem::certificates(&text).unwrap(), entry.certificates);
        assert_eq!(PrivateKey::from_pem(&text).ok(), entry.key);
        let list = ["-list", "-v", "-storetype", "PKCS12", "-keystore", "a.pfx", "-storepass", ASCII];
        let (ok, said) = run(path, "keytool", &list);
        assert!(ok && said.contains("PrivateKeyEntry") && said.contains("chain length: 3"), "{said}");
        store(path, "u.pfx", &entry.encode(PASSWORD, encryption, WRITE_ITERATIONS).unwrap());
        let (ok, said) = run(
            path,
            "openssl",
            &["pkcs12", "-in", "u.pfx", "-noout", "-passin", &format!("pass:{PASSWORD}")],
        );
        assert!(ok, "{said}");
    }
}

/// Key, leaf and chain as PEM files for OpenSSL's export.
fn export_material(path: &Path) -> Pkcs12 {
    let entry = entry(KeyAlgorithm::EcdsaP256, "www");
    store(path, "k.key", entry.key.as_ref().unwrap().to_pem().as_bytes());
    store(path, "k.pem", entry.certificates[0].to_pem().as_bytes());
    store(path, "chain.pem", crate::pem::encode_certificates(&entry.certificates[1..]).as_bytes());
    entry
}

fn export(path: &Path, extra: &[&str]) -> Vec<u8> {
    let base = ["pkcs12", "-export", "-inkey", "k.key", "-in", "k.pem", "-certfile", "chain.pem"];
    let rest = ["-name", "www", "-passout", "pass:Secret1", "-out", "out.pfx"];
    openssl(path, &[&base[..], &rest[..], extra].concat());
    read(path, "out.pfx")
}

#[test]
fn every_form_that_openssl_writes_is_read() {
    let directory = scratch();
    let path = directory.path();
    let entry = export_material(path);
    let forms: [&[&str]; 8] = [
        &[],
        &["-legacy"],
        &["-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha1"],
        &["-certpbe", "NONE", "-keypbe", "NONE"],
        &["-certpbe", "AES-128-CBC", "-keypbe", "AES-192-CBC"],
        &["-macalg", "sha512", "-iter", "10000"],
        &["-iter", "1"],
        &["-maciter", "-noiter"],
    ];
    for form in forms {
        let bytes = export(path, form);
        assert_eq!(Pkcs12::decode(&bytes, ASCII, Limits::UPLOAD).unwrap(), entry, "{form:?}");
        assert!(Pkcs12::decode(&bytes, "wrong", Limits::UPLOAD).is_err(), "{form:?}");
    }
    let unchecked = export(path, &["-nomac"]);
    assert_eq!(refused(Pkcs12::decode(&unchecked, ASCII, Limits::UPLOAD)), Pkcs12Error::MacMissing);
    assert_eq!(Pkcs12::decode(&unchecked, ASCII, Limits::STORE).unwrap(), entry);
    assert_eq!(refused(Pkcs12::decode(&unchecked, "wrong", Limits::STORE)), Pkcs12Error::WrongPassword);
    let certificates = export(path, &["-nokeys"]);
    let read = Pkcs12::decode(&certificates, ASCII, Limits::UPLOAD).unwrap();
    assert_eq!((read.key, read.certificates), (None, entry.certificates));
}

#[test]
fn keytool_files_with_several_entries_are_read_and_rewritten() {
    let directory = scratch();
    let path = directory.path();
    let keytool = |arguments: &[&str]| {
        let common = ["-storetype", "PKCS12", "-keystore", "k.p12", "-storepass", ASCII];
        let (ok, said) = run(path, "keytool", &[arguments, &common[..]].concat());
        assert!(ok, "{said}");
        said
    };
    for (alias, algorithm) in [("first", "EC"), ("second", "Ed25519")] {
        keytool(&[
            "-genkeypair",
            "-alias",
            alias,
            "-keyalg",
            algorithm,
            "-dname",
            &format!("CN={alias}.example.test"),
        ]);
    }
    let (root, _) = authorities();
    store(path, "root.pem", root.certificate().to_pem().as_bytes());
    keytool(&["-importcert", "-noprompt", "-alias", "trusted", "-file", "root.pem"]);

    let contents = decode_entries(&read(path, "k.p12"), ASCII, Limits::STORE).unwrap();
    assert!(contents.is_complete());
    let names: Vec<_> =
        contents.entries.iter().map(|entry| entry.friendly_name.as_deref().unwrap()).collect();
    assert_eq!(names, ["first", "second", "trusted"]);
    assert!(matches!(
        Pkcs12::decode(&read(path, "k.p12"), ASCII, Limits::STORE),
        Err(Error::Pkcs12(Pkcs12Error::SeveralKeys { count: 2 }))
    ));

    let mut entries = contents.entries;
    entries.push(entry(KeyAlgorithm::EcdsaP256, "third"));
    let rewritten = encode_entries(&entries, ASCII, Encryption::Aes256Sha256, WRITE_ITERATIONS).unwrap();
    store(path, "k.p12", &rewritten);
    let said = keytool(&["-list"]);
    for line in ["first", "second", "third", "trustedCertEntry"] {
        assert!(said.contains(line), "{said}");
    }
    let again = decode_entries(&rewritten, ASCII, Limits::STORE).unwrap();
    assert_eq!(again.entries.len(), 4);
    for entry in &entries {
        assert!(again.entries.contains(entry), "{entry:?}");
    }
}

#[test]
fn java_secret_keys_make_a_file_incomplete() {
    let directory = scratch();
    let path = directory.path();
    let make = ["-genseckey", "-alias", "s", "-keyalg", "AES", "-keysize", "256", "-storetype", "PKCS12"];
    let (ok, said) =
        run(path, "keytool", &[&make[..], &["-keystore", "s.p12", "-storepass", ASCII]].concat());
    assert!(ok, "{said}");
    let contents = decode_entries(&read(path, "s.p12"), ASCII, Limits::STORE).unwrap();
    assert_eq!((contents.entries.len(), contents.unsupported, contents.is_complete()), (0, 1, false));
}

#[test]
fn bounds_are_kept_before_anything_is_derived() {
    let directory = scratch();
    let path = directory.path();
    export_material(path);
    let slow = export(path, &["-iter", "600001"]);
    let found = Pkcs12Error::TooManyIterations { found: 600_001, limit: MAX_ITERATIONS };
    assert_eq!(refused(Pkcs12::decode(&slow, "wrong", Limits::UPLOAD)), found);

    let plain = entry(KeyAlgorithm::EcdsaP256, "www").encode(ASCII, Encryption::Aes256Sha256, 2_000).unwrap();
    let total = Limits { max_total_iterations: 5_999, ..Limits::UPLOAD };
    let found = refused(Pkcs12::decode(&plain, ASCII, total));
    assert_eq!(found, Pkcs12Error::TooManyIterations { found: 6_000, limit: 5_999 });
    let few = Limits { max_bags: 3, ..Limits::UPLOAD };
    assert!(matches!(refused(Pkcs12::decode(&plain, ASCII, few)), Pkcs12Error::TooManyBags { limit: 3, .. }));
    let small = Limits { max_bytes: 100, ..Limits::UPLOAD };
    assert!(matches!(
        refused(Pkcs12::decode(&plain, ASCII, small)),
        Pkcs12Error::TooLarge { limit: 100, .. }
    ));
    assert_eq!(Pkcs12::decode(&plain, ASCII, Limits::UPLOAD).unwrap().certificates.len(), 3);
}

/// A file whose derivations are cheap to see, with an expensive one inside its encrypted safe.
fn hidden(iterations: u32) -> Vec<u8> {
    use aws_lc_rs::cipher::{AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};

    let oid = |text: &str| der::oid_element(text).unwrap();
    let sequence = |parts: &[&[u8]]| der::element(der::SEQUENCE, parts);
    let octets = |bytes: &[u8]| der::element(der::OCTET_STRING, &[bytes]);
    let algorithm = |count: u32| {
        let mut number = [&[0][..], &count.to_be_bytes()].concat();
        while number.len() > 1 && number[0] == 0 && number[1] < 0x80 {
            number.remove(0);
        }
        let number = der::element(der::INTEGER, &[&number]);
        let function = sequence(&[&oid("1.2.840.113549.2.9")]);
        let derivation =
            sequence(&[&oid("1.2.840.113549.1.5.12"), &sequence(&[&octets(b"salt"), &number, &function])]);
        let cipher = sequence(&[&oid("2.16.840.1.101.3.4.1.42"), &octets(&[0; 16])]);
        sequence(&[&oid("1.2.840.113549.1.5.13"), &sequence(&[&derivation, &cipher])])
    };
    let shrouded = sequence(&[&algorithm(iterations), &octets(&[0; 16])]);
    let bag = sequence(&[&oid("1.2.840.113549.1.12.10.1.2"), &der::element(der::CONTEXT_0, &[&shrouded])]);
    let mut key = [0; 32];
    let rounds = std::num::NonZeroU32::new(1).unwrap();
    aws_lc_rs::pbkdf2::derive(
        aws_lc_rs::pbkdf2::PBKDF2_HMAC_SHA256,
        rounds,
        b"salt",
        ASCII.as_bytes(),
        &mut key,
    );
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, &key).unwrap()).unwrap();
    let mut safe = sequence(&[&bag]);
    key.less_safe_encrypt(&mut safe, EncryptionContext::Iv128([0; 16].into())).unwrap();
    let info = sequence(&[&oid("1.2.840.113549.1.7.1"), &algorithm(1), &der::element(0x80, &[&safe])]);
    let data = sequence(&[&der::element(der::INTEGER, &[&[0]]), &info]);
    let content = sequence(&[&oid("1.2.840.113549.1.7.6"), &der::element(der::CONTEXT_0, &[&data])]);
    let safes = octets(&sequence(&[&content]));
    let outer = sequence(&[&oid("1.2.840.113549.1.7.1"), &der::element(der::CONTEXT_0, &[&safes])]);
    sequence(&[&der::element(der::INTEGER, &[&[3]]), &outer])
}

#[test]
fn derivations_hidden_inside_an_encrypted_safe_are_found() {
    let found = refused(Pkcs12::decode(&hidden(900_000), ASCII, Limits::STORE));
    assert_eq!(found, Pkcs12Error::TooManyIterations { found: 900_000, limit: MAX_ITERATIONS });
    let cheap = refused(Pkcs12::decode(&hidden(1), ASCII, Limits::STORE));
    assert_eq!(cheap, Pkcs12Error::WrongPassword, "the key inside is no ciphertext");
    let huge = refused(Pkcs12::decode(&hidden(u32::MAX), "wrong", Limits::STORE));
    assert_eq!(
        huge,
        Pkcs12Error::WrongPassword,
        "the safe does not open, so nothing inside is derived either"
    );
}

#[test]
fn passwords_and_names_outside_the_plane_are_refused() {
    let entry = entry(KeyAlgorithm::EcdsaP256, "www");
    let expected = Error::Pkcs12(Pkcs12Error::PasswordCharacter { position: 3 });
    assert_eq!(entry.encode("ab\u{1f600}", Encryption::default(), 1), Err(expected.clone()));
    assert_eq!(Pkcs12::decode(b"", "ab\u{1f600}", Limits::UPLOAD), Err(expected));
    for name in [String::new(), "\u{1f600}".to_owned(), "a".repeat(257)] {
        let named = Pkcs12 { friendly_name: Some(name), ..entry.clone() };
        assert!(matches!(
            named.encode(ASCII, Encryption::default(), 1),
            Err(Error::Pkcs12(Pkcs12Error::Unwritable { .. }))
        ));
    }
}

#[test]
fn entries_that_do_not_fit_together_are_refused() {
    let (one, other) = (entry(KeyAlgorithm::EcdsaP256, "one"), entry(KeyAlgorithm::EcdsaP256, "ONE"));
    let twice = encode_entries(&[one.clone(), other.clone()], ASCII, Encryption::default(), 1);
    assert!(matches!(twice, Err(Error::Pkcs12(Pkcs12Error::AliasTwice { .. }))));
    let mixed = Pkcs12 { key: other.key, ..one.clone() };
    assert!(matches!(mixed.encode(ASCII, Encryption::default(), 1), Err(Error::KeyMismatch { .. })));
    let empty = Pkcs12 { certificates: vec![], ..one.clone() };
    assert_eq!(empty.encode(ASCII, Encryption::default(), 1), Err(Error::Pkcs12(Pkcs12Error::Empty)));
    for iterations in [0, MAX_ITERATIONS + 1] {
        assert!(one.encode(ASCII, Encryption::default(), iterations).is_err());
    }
    let nothing = encode_entries(&[], ASCII, Encryption::default(), 1).unwrap();
    assert_eq!(refused(Pkcs12::decode(&nothing, ASCII, Limits::UPLOAD)), Pkcs12Error::Empty);
    assert_eq!(decode_entries(&nothing, ASCII, Limits::STORE).unwrap(), Contents::default());
}

#[test]
fn damage_is_refused_and_never_panics() {
    for encryption in [Encryption::Aes256Sha256, Encryption::TripleDesSha1] {
        let good = entry(KeyAlgorithm::EcdsaP256, "www").encode(ASCII, encryption, 1).unwrap();
        for at in 0..good.len() {
            assert!(Pkcs12::decode(&good[..at], ASCII, Limits::UPLOAD).is_err());
            let mut bad = good.clone();
            bad[at] ^= 0x01;
            // Iteration counts may have become expensive, which is what the bound is for.
            let limits = Limits { max_iterations: 100, ..Limits::UPLOAD };
            assert!(Pkcs12::decode(&bad, ASCII, limits).is_err(), "byte {at}");
        }
        assert!(Pkcs12::decode(&[&good[..], &[0; 10]].concat(), ASCII, Limits::UPLOAD).is_err());
    }
    for garbage in [&b""[..], b"hello", &[0x30, 0], &[0xff; 4_096]] {
        assert!(matches!(
            refused(Pkcs12::decode(garbage, ASCII, Limits::UPLOAD)),
            Pkcs12Error::Malformed { .. }
        ));
    }
}
