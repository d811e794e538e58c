//! Requests of our own and of OpenSSL, in every text form, and damaged ones.

use super::*;
use crate::test_tools::{openssl, run, scratch, store};

fn names(texts: &[&str]) -> Vec<SubjectAlternativeName> {
    texts.iter().map(|text| SubjectAlternativeName::Dns((*text).to_owned())).collect()
}

#[test]
fn our_requests_are_read_by_openssl() {
    let subject = DistinguishedName::parse("CN=www.example.test,OU=Web,OU=IT,O=Example").unwrap();
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519] {
        let key = PrivateKey::generate(algorithm).unwrap();
        let request =
            CertificateRequest::create(&key, &subject, &names(&["www.example.test", "*.example.test"]))
                .unwrap();
        assert_eq!(request.subject(), &subject);
        assert_eq!(request.subject_alternative_names(), names(&["www.example.test", "*.example.test"]));
        assert_eq!(request.key_algorithm(), algorithm);
        assert_eq!(request.public_key().der(), key.public_key());
        let directory = scratch();
        store(directory.path(), "r.pem", request.to_pem().as_bytes());
        let (ok, said) =
            run(directory.path(), "openssl", &["req", "-in", "r.pem", "-verify", "-noout", "-text"]);
        assert!(ok && said.contains("DNS:*.example.test") && said.contains("OU = IT, OU = Web"), "{said}");
    }
}

#[test]
fn text_is_read_with_and_without_armour() {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let request =
        CertificateRequest::create(&key, &DistinguishedName::default(), &names(&["a.example.test"])).unwrap();
    let text = request.to_pem();
    let bare: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let forms = [
        text.clone(),
        text.replace('\n', "\r\n"),
        text.replace('\n', "\\n").replace("\\n", "\n"),
        text.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"),
        text.replace('\n', ""),
        bare.clone(),
        format!("\r\n {bare}\r\n"),
    ];
    for form in forms {
        assert_eq!(CertificateRequest::from_text(&form).unwrap(), request, "{form}");
    }
    for form in ["", "hello", &text.replace("CERTIFICATE REQUEST", "CERTIFICATE"), &"A".repeat(200_000)] {
        assert!(matches!(CertificateRequest::from_text(form), Err(Error::RequestUnreadable { .. })));
    }
}

#[test]
fn openssl_requests_with_other_extensions_are_read() {
    let directory = scratch();
    let path = directory.path();
    let make =
        ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes", "-keyout", "k.pem"];
    let wish = [
        "-subj",
        "/O=Example/CN=www.example.test",
        "-addext",
        "subjectAltName=DNS:www.example.test,IP:192.0.2.1,URI:https://example.test/,email:a@example.test",
        "-addext",
        "subjectKeyIdentifier=hash",
        "-addext",
        "1.2.3.4=DER:0500",
    ];
    let text = openssl(path, &[&make[..], &wish[..]].concat());
    let request = CertificateRequest::from_text(&text).unwrap();
    assert_eq!(request.subject().to_string(), "CN=www.example.test,O=Example");
    assert_eq!(request.subject_alternative_names().len(), 4);
    assert_eq!(request.key_algorithm(), KeyAlgorithm::EcdsaP384);
}

#[test]
fn damage_changes_no_fact_and_never_panics() {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let subject = DistinguishedName::parse("CN=www.example.test").unwrap();
    let request = CertificateRequest::create(&key, &subject, &names(&["www.example.test"])).unwrap();
    let good = request.der().to_vec();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x01;
        // A bit outside what is signed (the tag of the signature's algorithm) may pass, but changes no fact.
        if let Ok(read) = CertificateRequest::parse(&bad) {
            assert_eq!(CertificateRequest { der: good.clone(), ..read }, request, "bit at {at}");
        }
        assert!(CertificateRequest::parse(&good[..at]).is_err());
    }
    let mut longer = good;
    longer.push(0);
    assert!(matches!(CertificateRequest::parse(&longer), Err(Error::RequestUnreadable { .. })));
}
