//! Java keystores against keytool in both directions, and against hostile input.

use std::path::Path;

use super::*;
use crate::{
    KeyAlgorithm, Limits, Pkcs12,
    test_tools::{Random, authorities, leaf, now, openssl, run, scratch, store},
};

const PASSWORD: &str = "Secret1";

fn entry(algorithm: KeyAlgorithm, alias: &str) -> JavaKeystoreEntry {
    let (root, issuing) = authorities();
    let (certificate, key) = leaf(&issuing, algorithm, &["www.example.test"]);
    let certificates = vec![certificate, issuing.certificate().clone(), root.certificate().clone()];
    JavaKeystoreEntry {
        alias: alias.to_owned(),
        created: now(),
        key: Some(EntryKey::Open(key)),
        certificates,
    }
}

fn trusted(alias: &str) -> JavaKeystoreEntry {
    let certificates = vec![authorities().0.certificate().clone()];
    JavaKeystoreEntry { alias: alias.to_owned(), created: now(), key: None, certificates }
}

fn read(directory: &Path, name: &str) -> Vec<u8> {
    std::fs::read(directory.join(name)).unwrap()
}

/// Runs keytool on a keystore, which must succeed.
fn keytool(directory: &Path, arguments: &[&str]) -> String {
    let common = ["-storetype", "JKS", "-keystore", "k.jks", "-storepass", PASSWORD];
    let (ok, said) = run(directory, "keytool", &[arguments, &common[..]].concat());
    assert!(ok, "keytool {arguments:?}: {said}");
    said
}

/// Has keytool move one key into a PKCS#12 file, which opens it, and answers that file's entry.
fn exported(directory: &Path, alias: &str, key_password: &str) -> Pkcs12 {
    let output = format!("{alias}.p12");
    let (ok, said) = run(
        directory,
        "keytool",
        &[
            "-importkeystore",
            "-noprompt",
            "-srcstoretype",
            "JKS",
            "-srckeystore",
            "k.jks",
            "-srcstorepass",
            PASSWORD,
            "-srcalias",
            alias,
            "-srckeypass",
            key_password,
            "-deststoretype",
            "PKCS12",
            "-destkeystore",
            &output,
            "-deststorepass",
            PASSWORD,
            "-destkeypass",
            PASSWORD,
        ],
    );
    assert!(ok, "{said}");
    Pkcs12::decode(&read(directory, &output), PASSWORD, Limits::STORE).unwrap()
}

fn refused(bytes: &[u8], password: &str) -> JavaKeystoreError {
    match JavaKeystore::decode(bytes, password) {
        Err(Error::JavaKeystore(error)) => error,
        other => panic!("expected a refusal: {other:?}"),
    }
}

/// Puts the right digest on changed content.
fn sealed(content: &[u8]) -> Vec<u8> {
    [content, &digest_of(&password_bytes(PASSWORD), content)].concat()
}

#[test]
fn every_key_kind_round_trips_under_any_password() {
    for algorithm in
        [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa(2048)]
    {
        let entries = [entry(algorithm, "www.example.test"), trusted("straße 漢字 \u{1f600}")];
        for password in [PASSWORD, "Grüße \u{1f600}", ""] {
            let bytes = encode(&entries, password).unwrap();
            let read = JavaKeystore::decode(&bytes, password).unwrap();
            assert!(read.is_complete());
            assert_eq!(read.entries, entries, "{algorithm}");
            assert_eq!(refused(&bytes, "wrong"), JavaKeystoreError::WrongPassword);
            assert_ne!(encode(&entries, password).unwrap(), bytes, "each key has a salt of its own");
        }
    }
    assert_eq!(JavaKeystore::decode(&encode(&[], "").unwrap(), ""), Ok(JavaKeystore::default()));
}

#[test]
fn keytool_lists_and_exports_what_is_written() {
    let directory = scratch();
    let path = directory.path();
    let entries =
        [entry(KeyAlgorithm::EcdsaP256, "front"), entry(KeyAlgorithm::Rsa(2048), "straße"), trusted("root")];
    store(path, "k.jks", &encode(&entries, PASSWORD).unwrap());
    let said = keytool(path, &["-list", "-v"]);
    assert!(said.contains("contains 3 entries") && said.contains("Keystore type: JKS"), "{said}");
    assert_eq!(said.matches("Entry type: PrivateKeyEntry").count(), 2, "{said}");
    assert_eq!(said.matches("Entry type: trustedCertEntry").count(), 1, "{said}");
    assert_eq!(said.matches("Certificate chain length: 3").count(), 2, "{said}");
    assert!(said.contains("Creation date: Jan 15, 2027") && said.contains("Alias name: front"), "{said}");

    let exported_certificate = keytool(path, &["-exportcert", "-rfc", "-alias", "front"]);
    assert_eq!(crate::pem::certificates(&exported_certificate).unwrap(), entries[0].certificates[..1]);
    let found = exported(path, "front", PASSWORD);
    assert_eq!(found.key.map(EntryKey::Open), entries[0].key);
    assert_eq!(found.certificates, entries[0].certificates);

    let (ok, said) =
        run(path, "keytool", &["-list", "-keystore", "k.jks", "-storetype", "JKS", "-storepass", "wrong1"]);
    assert!(!ok && said.contains("password was incorrect"), "{said}");
}

#[test]
fn keystores_of_keytool_are_read_and_rewritten() {
    let directory = scratch();
    let path = directory.path();
    for (alias, kind, key_password) in [
        ("first", &["EC"][..], PASSWORD),
        ("second", &["RSA", "-keysize", "2048"], PASSWORD),
        ("other", &["EC"], "another-password"),
        ("old", &["DSA", "-keysize", "2048"], PASSWORD),
    ] {
        let name = format!("CN={alias}.example.test");
        let make = ["-genkeypair", "-alias", alias, "-dname", &name, "-keypass", key_password, "-keyalg"];
        keytool(path, &[&make[..], kind].concat());
    }
    store(path, "root.pem", trusted("root").certificates[0].to_pem().as_bytes());
    keytool(path, &["-importcert", "-noprompt", "-alias", "Trusted", "-file", "root.pem"]);

    let mut keystore = JavaKeystore::decode(&read(path, "k.jks"), PASSWORD).unwrap();
    assert!(keystore.is_complete());
    keystore.entries.sort_by(|one, other| one.alias.cmp(&other.alias));
    let kinds: Vec<_> = keystore
        .entries
        .iter()
        .map(|entry| {
            let open = entry.key.as_ref().map(|key| matches!(key, EntryKey::Open(_)));
            (entry.alias.as_str(), open, entry.certificates[0].common_name().unwrap().to_owned())
        })
        .collect();
    let expected = [
        ("first", Some(true), "first.example.test"),
        ("old", Some(false), "old.example.test"),
        ("other", Some(false), "other.example.test"),
        ("second", Some(true), "second.example.test"),
        ("trusted", None, "Example Root"),
    ];
    assert_eq!(kinds, expected.map(|(alias, open, name)| (alias, open, name.to_owned())));
    let Some(EntryKey::Closed { reason, .. }) = &keystore.entries[2].key else { panic!("{keystore:?}") };
    assert_eq!(*reason, JavaKeystoreError::KeyPassword.into());

    keystore.entries.push(entry(KeyAlgorithm::EcdsaP256, "ours"));
    store(path, "k.jks", &encode(&keystore.entries, PASSWORD).unwrap());
    let said = keytool(path, &["-list"]);
    assert!(said.contains("contains 6 entries"), "{said}");
    for (alias, key_password) in [("first", PASSWORD), ("other", "another-password"), ("ours", PASSWORD)] {
        assert!(exported(path, alias, key_password).key.is_some(), "{alias}");
    }
    // A key of a kind that this crate does not know still opens for keytool, and signs.
    keytool(path, &["-certreq", "-alias", "old", "-file", "old.csr", "-keypass", PASSWORD]);
    openssl(path, &["req", "-in", "old.csr", "-noout", "-verify"]);
}

#[test]
fn other_kinds_of_keystores_are_named() {
    let directory = scratch();
    let path = directory.path();
    for (kind, name) in [("JCEKS", "JCEKS"), ("PKCS12", "PKCS#12")] {
        let make = ["-genkeypair", "-alias", "a", "-keyalg", "EC", "-dname", "CN=a", "-storepass", PASSWORD];
        let place = ["-keypass", PASSWORD, "-storetype", kind, "-keystore", kind];
        let (ok, said) = run(path, "keytool", &[&make[..], &place[..]].concat());
        assert!(ok, "{said}");
        assert_eq!(refused(&read(path, kind), PASSWORD), JavaKeystoreError::OtherKind { kind: name });
    }
    let mut first = encode(&[], PASSWORD).unwrap();
    first[7] = 1;
    assert_eq!(refused(&first, PASSWORD), JavaKeystoreError::Version { version: 1 });
}

#[test]
fn entries_that_make_no_sense_are_refused() {
    let one = entry(KeyAlgorithm::EcdsaP256, "one");
    let refusal = |entries: &[JavaKeystoreEntry]| encode(entries, PASSWORD).unwrap_err();
    let upper = JavaKeystoreEntry { alias: "ONE".to_owned(), ..one.clone() };
    assert_eq!(
        refusal(&[one.clone(), upper]),
        JavaKeystoreError::AliasTwice { alias: "ONE".to_owned() }.into()
    );
    let stranger = JavaKeystoreEntry { key: entry(KeyAlgorithm::EcdsaP256, "x").key, ..one.clone() };
    assert!(matches!(refusal(&[stranger]), Error::KeyMismatch { .. }));
    let empty = JavaKeystoreEntry { certificates: vec![], ..one.clone() };
    assert_eq!(refusal(&[empty]), JavaKeystoreError::NoCertificate { alias: "one".to_owned() }.into());
    let long = vec![one.certificates[0].clone(); MAX_CHAIN + 1];
    for bad in [
        JavaKeystoreEntry { key: None, ..one.clone() },
        JavaKeystoreEntry { certificates: long, ..one.clone() },
        JavaKeystoreEntry { alias: String::new(), ..one.clone() },
        JavaKeystoreEntry { alias: "a".repeat(MAX_ALIAS_CHARACTERS + 1), ..one.clone() },
    ] {
        assert!(matches!(refusal(&[bad]), Error::JavaKeystore(JavaKeystoreError::Unwritable { .. })));
    }
    let many: Vec<_> = (0..=MAX_ENTRIES)
        .map(|number| JavaKeystoreEntry { alias: number.to_string(), ..trusted_of(&one) })
        .collect();
    assert!(matches!(refusal(&many), Error::JavaKeystore(JavaKeystoreError::TooManyEntries { .. })));
}

fn trusted_of(entry: &JavaKeystoreEntry) -> JavaKeystoreEntry {
    JavaKeystoreEntry { key: None, certificates: entry.certificates[..1].to_vec(), ..entry.clone() }
}

#[test]
fn damage_is_refused_and_never_panics() {
    let good = encode(&[entry(KeyAlgorithm::EcdsaP256, "www"), trusted("root")], PASSWORD).unwrap();
    let (mut said_damaged, mut said_password) = (0, 0);
    for at in 0..good.len() {
        JavaKeystore::decode(&good[..at], PASSWORD).unwrap_err();
        for bit in [0x01, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= bit;
            match refused(&bad, PASSWORD) {
                JavaKeystoreError::Damaged => said_damaged += 1,
                JavaKeystoreError::WrongPassword => said_password += 1,
                _ => {}
            }
        }
    }
    // Only where the one key itself is hit does damage look like a wrong password.
    assert!(said_damaged > 10 * said_password, "{said_damaged} against {said_password}");
    assert!(matches!(refused(&[&good[..], &[0]].concat(), PASSWORD), JavaKeystoreError::Malformed { .. }));
    let huge = vec![0; MAX_BYTES + 1];
    assert!(matches!(refused(&huge, PASSWORD), JavaKeystoreError::TooLarge { .. }));
    for garbage in [&b""[..], b"hello", &[0xff; 4_096], &[0xfe, 0xed]] {
        assert!(matches!(refused(garbage, PASSWORD), JavaKeystoreError::Malformed { .. }));
    }
}

/// Counts and lengths that promise far more than there is must cost nothing.
#[test]
fn absurd_counts_and_lengths_are_refused_at_once() {
    let good = encode(&[entry(KeyAlgorithm::EcdsaP256, "www")], PASSWORD).unwrap();
    let content = &good[..good.len() - DIGEST_BYTES];
    // Number of entries; length of the alias; of the key; of the chain; of the first certificate.
    let key_at = 4 + 4 + 4 + 4 + 2 + 3 + 8;
    let key_length = u32::from_be_bytes(content[key_at..key_at + 4].try_into().unwrap()) as usize;
    let chain_at = key_at + 4 + key_length;
    for at in [8, key_at, chain_at, chain_at + 4 + 2 + 5] {
        for number in [u32::MAX, 0x7fff_ffff, 0x0001_0001] {
            let mut bad = content.to_vec();
            bad[at..at + 4].copy_from_slice(&number.to_be_bytes());
            let found = refused(&sealed(&bad), PASSWORD);
            assert!(
                matches!(
                    found,
                    JavaKeystoreError::Malformed { .. } | JavaKeystoreError::TooManyEntries { .. }
                ),
                "{at}: {found}"
            );
        }
    }
}

/// Any bytes give an answer: noise, noise behind a good beginning, and good files with some bytes changed under a
/// digest that is right, so that what lies behind the digest meets the damage too. What was read can be written.
#[test]
fn any_bytes_are_answered_without_panic() {
    let mut random = Random::seeded(20_261_124);
    let entries =
        [entry(KeyAlgorithm::EcdsaP256, "www"), trusted("root"), entry(KeyAlgorithm::Ed25519, "ed")];
    let good = encode(&entries, PASSWORD).unwrap();
    let content = &good[..good.len() - DIGEST_BYTES];
    let mut read = 0;
    for round in 0..20_000 {
        let bytes = match round % 4 {
            0 => random.bytes(200),
            1 => sealed(&[&content[..12], &random.bytes(300)].concat()),
            2 => {
                let mut cut = content[..random.below(content.len())].to_vec();
                cut.extend(random.bytes(40));
                sealed(&cut)
            }
            _ => {
                let mut changed = content.to_vec();
                for _ in 0..=random.below(4) {
                    let at = random.below(changed.len());
                    changed[at] = random.below(256) as u8;
                }
                sealed(&changed)
            }
        };
        if let Ok(keystore) = JavaKeystore::decode(&bytes, PASSWORD) {
            read += 1;
            let again =
                encode(&keystore.entries, PASSWORD).and_then(|bytes| JavaKeystore::decode(&bytes, PASSWORD));
            if let Ok(again) = again {
                assert_eq!(again.entries, keystore.entries);
            }
        }
    }
    assert!(read > 1_000, "the damage is so that much of it passes the structure: {read}");
}

#[test]
fn nothing_shows_a_key_or_the_password() {
    let open = entry(KeyAlgorithm::EcdsaP256, "www");
    let bytes = encode(std::slice::from_ref(&open), "canary-password").unwrap();
    let said = format!("{open:?} {:?} {}", refused(&bytes, "canary-wrong"), refused(&bytes, "canary-wrong"));
    assert!(!said.contains("canary"), "{said}");
    let protected = vec![1, 2, 3];
    let closed = EntryKey::Closed { protected, reason: JavaKeystoreError::KeyPassword.into() };
    assert!(!format!("{closed:?}").contains('3'));
}
