//! What authorities sign, as this crate and OpenSSL read it.

use chrono::TimeDelta;

use super::*;
use crate::{
    CertificateRequest, chain,
    test_tools::{authorities, leaf, leaf_profile, now, openssl, run, scratch, store},
};

#[test]
fn authorities_have_the_shape_that_was_asked_for() {
    let (root, issuing) = authorities();
    let (root, issuing) = (root.certificate(), issuing.certificate());
    assert_eq!(root.key_algorithm(), KeyAlgorithm::EcdsaP384);
    assert_eq!(issuing.key_algorithm(), KeyAlgorithm::EcdsaP256);
    assert!(root.is_self_issued() && root.is_authority() && root.is_signed_by(root));
    assert_eq!((root.path_length(), issuing.path_length()), (None, Some(0)));
    assert_eq!(issuing.subject().to_string(), "CN=Example Issuing CA,DC=corp,DC=example,DC=test");
    assert_eq!(issuing.issuer(), root.subject());
    assert!(issuing.is_signed_by(root) && issuing.is_authority());
    assert_eq!(issuing.key_usage(), 128 | 4 | 2);
    assert_eq!(issuing.signature_algorithm(), "SHA-384withECDSA");
    assert_eq!(issuing.authority_key_identifier(), root.subject_key_identifier());
}

#[test]
fn a_leaf_carries_its_profile() {
    let (_, issuing) = authorities();
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let profile = LeafProfile {
        subject: DistinguishedName::parse("CN=www.example.test,OU=Web,OU=IT,O=Example,C=DE").unwrap(),
        subject_alternative_names: vec![
            SubjectAlternativeName::Dns("www.example.test".to_owned()),
            SubjectAlternativeName::Dns("*.example.test".to_owned()),
            SubjectAlternativeName::Ip("192.0.2.7".parse().unwrap()),
            SubjectAlternativeName::Ip("2001:db8::7".parse().unwrap()),
            SubjectAlternativeName::Uri("urn:uuid:00000000-0000-4000-8000-000000000000".to_owned()),
            SubjectAlternativeName::Email("web@example.test".to_owned()),
        ],
        extended_key_usages: vec![
            ExtendedKeyUsage::ServerAuthentication,
            ExtendedKeyUsage::from_oid("1.3.6.1.5.5.7.3.2").unwrap(),
            ExtendedKeyUsage::from_oid("1.3.6.1.4.1.99999.1").unwrap(),
        ],
        crl_distribution_point: Some("http://pki.example.test/issuing.crl".to_owned()),
        ..leaf_profile(&["unused"])
    };
    let certificate = issuing.sign(&profile, &SubjectPublicKey::from(&key)).unwrap();
    assert_eq!(certificate.subject(), &profile.subject);
    assert_eq!(certificate.issuer(), issuing.certificate().subject());
    assert_eq!(certificate.subject_alternative_names(), profile.subject_alternative_names);
    assert_eq!(certificate.serial_number(), &profile.serial_number);
    assert_eq!((certificate.not_before(), certificate.not_after()), (profile.not_before, profile.not_after));
    assert_eq!(
        certificate.extended_key_usages(),
        ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2", "1.3.6.1.4.1.99999.1"]
    );
    assert_eq!(certificate.crl_distribution_points(), ["http://pki.example.test/issuing.crl"]);
    assert_eq!(certificate.key_usage(), 128);
    assert!(!certificate.is_authority());
    assert!(key.matches(&certificate) && certificate.is_signed_by(issuing.certificate()));
    assert!(certificate.subject_key_identifier().is_some());
    assert_eq!(certificate.authority_key_identifier(), issuing.certificate().subject_key_identifier());
}

#[test]
fn openssl_verifies_leaves_of_every_key_kind() {
    let (root, issuing) = authorities();
    let directory = scratch();
    let path = directory.path();
    store(path, "root.pem", root.certificate().to_pem().as_bytes());
    store(path, "issuing.pem", issuing.certificate().to_pem().as_bytes());
    let at = now().timestamp().to_string();
    for algorithm in
        [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa(2048)]
    {
        let (certificate, key) = leaf(&issuing, algorithm, &["www.example.test"]);
        assert_eq!(certificate.key_algorithm(), algorithm);
        assert_eq!(
            certificate.key_usage(),
            if matches!(algorithm, KeyAlgorithm::Rsa(_)) { 160 } else { 128 }
        );
        store(path, "leaf.pem", certificate.to_pem().as_bytes());
        let verify = ["verify", "-attime", &at, "-x509_strict", "-purpose", "sslserver"];
        let rest = [
            "-verify_hostname",
            "www.example.test",
            "-CAfile",
            "root.pem",
            "-untrusted",
            "issuing.pem",
            "leaf.pem",
        ];
        let (ok, said) = run(path, "openssl", &[&verify[..], &rest[..]].concat());
        assert!(ok && said.contains("leaf.pem: OK"), "{algorithm}: {said}");
        assert!(key.matches(&certificate));
        chain::verify(
            &certificate,
            &[issuing.certificate().clone()],
            &[root.certificate().clone()],
            chain::Purpose::Server,
            now(),
        )
        .unwrap();
    }
}

#[test]
fn requests_of_openssl_are_signed_with_our_names() {
    let (_, issuing) = authorities();
    let directory = scratch();
    let path = directory.path();
    openssl(path, &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "k.pem"]);
    let text = openssl(path, &["req", "-new", "-key", "k.pem", "-subj", "/CN=wanted.example.test"]);
    let request = CertificateRequest::from_text(&text).unwrap();
    let certificate = issuing.sign(&leaf_profile(&["granted.example.test"]), request.public_key()).unwrap();
    assert_eq!(certificate.common_name(), Some("granted.example.test"));
    assert_eq!(certificate.public_key(), request.public_key().der());
    assert_eq!(certificate.signature_algorithm(), "SHA-256withECDSA");
}

#[test]
fn an_imported_authority_signs_under_its_exact_name() {
    let directory = scratch();
    let path = directory.path();
    // PrintableString, a repeated attribute, a part of two attributes, and RSA: all unlike what is made here.
    store(
        path,
        "ca.cnf",
        b"[req]\ndistinguished_name=dn\nx509_extensions=ext\nprompt=no\nstring_mask=default\n[dn]\n0.DC=test\n1.DC=example\nO=Old House\n+OU=PKI\nCN=Old Issuing CA\n[ext]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n",
    );
    let make = [
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-config",
        "ca.cnf",
    ];
    openssl(path, &[&make[..], &["-days", "3650"]].concat());
    let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap();
    let certificate =
        Certificate::parse(crate::pem::read(&read("ca.pem")).unwrap()[0].content().unwrap()).unwrap();
    assert_eq!(certificate.subject().to_string(), "CN=Old Issuing CA,OU=PKI+O=Old House,DC=example,DC=test");
    let issuer = Issuer::new(certificate, PrivateKey::from_pem(&read("ca.key")).unwrap()).unwrap();
    let (signed, _) = leaf(&issuer, KeyAlgorithm::EcdsaP256, &["www.example.test"]);
    assert!(signed.names_as_issuer(issuer.certificate()));
    assert_eq!(signed.signature_algorithm(), "SHA-256withRSA");
    store(path, "leaf.pem", signed.to_pem().as_bytes());
    let at = now().timestamp().to_string();
    let (ok, said) = run(path, "openssl", &["verify", "-attime", &at, "-CAfile", "ca.pem", "leaf.pem"]);
    assert!(ok, "{said}");
}

#[test]
fn what_cannot_be_signed_is_refused() {
    let (root, issuing) = authorities();
    let (certificate, key) = leaf(&issuing, KeyAlgorithm::EcdsaP256, &["www.example.test"]);
    let public_key = SubjectPublicKey::from(&key);
    let base = leaf_profile(&["www.example.test"]);
    let cases = [
        LeafProfile { not_after: base.not_before, ..base.clone() },
        LeafProfile { not_after: DateTime::from_timestamp(300_000_000_000, 0).unwrap(), ..base.clone() },
        LeafProfile { not_before: DateTime::from_timestamp(-5, 0).unwrap(), ..base.clone() },
        LeafProfile {
            crl_distribution_point: Some("http://bücher.example.test".to_owned()), ..base.clone()
        },
        LeafProfile { extended_key_usages: vec![ExtendedKeyUsage::Other("9.9".to_owned())], ..base.clone() },
        LeafProfile {
            subject_alternative_names: vec![SubjectAlternativeName::Dns("a b".to_owned())],
            ..base.clone()
        },
        LeafProfile {
            subject: DistinguishedName::default(),
            subject_alternative_names: vec![],
            ..base.clone()
        },
        LeafProfile {
            subject_alternative_names: vec![SubjectAlternativeName::Dns("a.test".to_owned()); 1_001],
            ..base.clone()
        },
    ];
    for profile in cases {
        assert!(issuing.sign(&profile, &public_key).is_err(), "{profile:?}");
    }
    assert!(matches!(Issuer::new(certificate, key.clone()), Err(Error::AuthorityUnusable { .. })));
    assert!(matches!(Issuer::new(root.certificate().clone(), key), Err(Error::KeyMismatch { .. })));
    let below = AuthorityProfile {
        subject: DistinguishedName::parse("CN=Too deep").unwrap(),
        serial_number: base.serial_number,
        not_before: now(),
        not_after: now() + TimeDelta::days(1),
        crl_distribution_point: None,
    };
    assert!(matches!(issuing.subordinate(&below), Err(Error::AuthorityUnusable { .. })));
    let nameless = AuthorityProfile { subject: DistinguishedName::default(), ..below };
    assert!(matches!(Issuer::self_signed_root(&nameless), Err(Error::AuthorityUnusable { .. })));
}

#[test]
fn an_empty_subject_makes_alternative_names_critical() {
    let (_, issuing) = authorities();
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let profile =
        LeafProfile { subject: DistinguishedName::default(), ..leaf_profile(&["www.example.test"]) };
    let certificate = issuing.sign(&profile, &SubjectPublicKey::from(&key)).unwrap();
    assert_eq!(certificate.common_name(), None);
    let directory = scratch();
    store(directory.path(), "leaf.pem", certificate.to_pem().as_bytes());
    let text = openssl(directory.path(), &["x509", "-in", "leaf.pem", "-noout", "-text"]);
    assert!(text.contains("Subject Alternative Name: critical"), "{text}");
}
