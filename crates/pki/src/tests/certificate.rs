//! Facts of certificates made by OpenSSL and by this crate.

use super::*;
use crate::test_tools::{authorities, leaf, openssl, scratch};

fn openssl_certificate(extra: &[&str]) -> Certificate {
    let directory = scratch();
    let base = ["req", "-x509", "-nodes", "-keyout", "k.pem", "-days", "30", "-set_serial", "0x0A1B2C"];
    let text = openssl(directory.path(), &[&base[..], extra].concat());
    pem::certificates(&text).unwrap().remove(0)
}

#[test]
fn facts_of_an_rsa_certificate_by_openssl() {
    let certificate = openssl_certificate(&[
        "-newkey",
        "rsa:2048",
        "-subj",
        "/C=DE/O=Example, Inc./OU=Web/CN=www.example.test",
        "-addext",
        "keyUsage=critical,digitalSignature,keyEncipherment",
        "-addext",
        "extendedKeyUsage=serverAuth,1.3.6.1.4.1.99999.1",
        "-addext",
        "subjectAltName=DNS:www.example.test,DNS:*.example.test,IP:2001:db8::1,RID:1.2.3,otherName:1.2.3.4;UTF8:x",
        "-addext",
        "crlDistributionPoints=URI:http://pki.example.test/a.crl",
    ]);
    assert_eq!(certificate.serial_number().to_string(), "0A1B2C");
    assert_eq!(certificate.subject().to_string(), r"CN=www.example.test,OU=Web,O=Example\, Inc.,C=DE");
    assert_eq!(certificate.organizational_units(), ["Web"]);
    assert_eq!(certificate.common_name(), Some("www.example.test"));
    assert!(certificate.is_self_issued() && certificate.is_signed_by(&certificate));
    assert_eq!((certificate.key_algorithm(), certificate.key_bits()), (KeyAlgorithm::Rsa(2048), 2048));
    assert_eq!(certificate.key_usage(), 160);
    assert_eq!(certificate.extended_key_usages(), ["1.3.6.1.5.5.7.3.1", "1.3.6.1.4.1.99999.1"]);
    assert_eq!(certificate.signature_algorithm(), "SHA-256withRSA");
    assert_eq!(certificate.dns_names(), ["www.example.test", "*.example.test"]);
    let tags: Vec<u8> =
        certificate.subject_alternative_names().iter().map(SubjectAlternativeName::tag).collect();
    assert_eq!(tags, [2, 2, 7, 8, 0]);
    assert_eq!(certificate.crl_distribution_points(), ["http://pki.example.test/a.crl"]);
    assert!(certificate.is_authority(), "openssl's default");
    assert_eq!(certificate.path_length(), None);
    assert_eq!(certificate.not_after() - certificate.not_before(), chrono::TimeDelta::days(30));
    assert!(certificate.covers("shop.example.test") && !certificate.covers("example.test"));
}

#[test]
fn thumbprints_are_those_of_openssl() {
    let directory = scratch();
    let (_, issuing) = authorities();
    let (certificate, _) = leaf(&issuing, KeyAlgorithm::EcdsaP256, &["www.example.test"]);
    crate::test_tools::store(directory.path(), "c.pem", certificate.to_pem().as_bytes());
    for (digest, own) in [
        ("-sha1", certificate.thumbprint().to_string()),
        ("-sha256", crate::thumbprint::upper_hex(&certificate.sha256())),
    ] {
        let said = openssl(directory.path(), &["x509", "-in", "c.pem", "-noout", "-fingerprint", digest]);
        assert_eq!(said.trim().split_once('=').unwrap().1.replace(':', ""), own);
    }
    let serial = openssl(directory.path(), &["x509", "-in", "c.pem", "-noout", "-serial"]);
    assert_eq!(serial.trim(), format!("serial={}", certificate.serial_number()));
}

#[test]
fn signature_algorithms_have_their_names() {
    let cases: [(&[&str], &str); 5] = [
        (&["-newkey", "rsa:2048", "-sha384"], "SHA-384withRSA"),
        (&["-newkey", "rsa:2048", "-sigopt", "rsa_padding_mode:pss", "-sha256"], "SHA-256withRSA-PSS"),
        (&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-sha256"], "SHA-256withECDSA"),
        (&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521", "-sha512"], "SHA-512withECDSA"),
        (&["-newkey", "ed25519"], "Ed25519"),
    ];
    for (options, name) in cases {
        let certificate = openssl_certificate(&[options, &["-subj", "/CN=a"]].concat());
        assert_eq!(certificate.signature_algorithm(), name);
        assert!(certificate.key_bits() >= 256);
    }
}

#[test]
fn unknown_keys_and_odd_names_are_read_all_the_same() {
    let weak = openssl_certificate(&["-newkey", "rsa:1024", "-subj", "/CN=a"]);
    assert_eq!(weak.key_algorithm(), KeyAlgorithm::Rsa(1024));
    let foreign =
        openssl_certificate(&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1", "-subj", "/CN=a"]);
    assert_eq!(foreign.key_algorithm(), KeyAlgorithm::Unknown);
    let nameless = openssl_certificate(&["-newkey", "ed25519", "-subj", "/", "-utf8"]);
    assert!(nameless.subject().is_empty());
    let international =
        openssl_certificate(&["-newkey", "ed25519", "-utf8", "-subj", "/O=Lučić & Söhne/CN=München"]);
    assert_eq!(international.subject().to_string(), "CN=München,O=Lučić & Söhne");
}

#[test]
fn damage_never_panics_and_surplus_is_refused() {
    let (_, issuing) = authorities();
    let (certificate, _) = leaf(&issuing, KeyAlgorithm::EcdsaP256, &["www.example.test"]);
    let good = certificate.der();
    for at in 0..good.len() {
        assert!(Certificate::parse(&good[..at]).is_err());
        let mut bad = good.to_vec();
        bad[at] ^= 0xff;
        if let Ok(read) = Certificate::parse(&bad) {
            assert!(!read.is_signed_by(issuing.certificate()));
        }
    }
    assert!(Certificate::parse(&[good, &[0]].concat()).is_err());
    assert!(Certificate::parse(&vec![0x30; MAX_CERTIFICATE_BYTES + 1]).is_err());
}
