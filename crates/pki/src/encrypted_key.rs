//! Private keys under a password: `ENCRYPTED PRIVATE KEY` PEM text (RFC 5958) by PBES2 (RFC 8018), with PBKDF2 by
//! HMAC-SHA-256 and AES-256-CBC. OpenSSL 1.1 and later, Java 17 and .NET read it. What is read may also be under the
//! schemes of PKCS#12.

use std::num::NonZeroU32;

use aws_lc_rs::{
    cipher::{AES_256, DecryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey},
    pbkdf2, rand,
};
use zeroize::Zeroizing;

use crate::{Error, PrivateKey, der, key::MAX_KEY_BYTES, pem, pkcs12};

const PBES2: &str = "1.2.840.113549.1.5.13";
const PBKDF2: &str = "1.2.840.113549.1.5.12";
const HMAC_SHA_256: &str = "1.2.840.113549.2.9";
const AES_256_CBC: &str = "2.16.840.1.101.3.4.1.42";
const NULL: [u8; 2] = [0x05, 0x00];
const SALT_BYTES: usize = 16;
const KEY_BYTES: usize = 32;

/// Writes a key as PEM text that opens only with the password, taken as UTF-8. `iterations` of key derivation make
/// guessing slow: ten thousand take some milliseconds.
///
/// # Errors
/// [`Error::Signing`] when the cryptographic library fails, or without any iteration.
pub fn to_pem(key: &PrivateKey, password: &str, iterations: u32) -> Result<String, Error> {
    let failed = |reason: &str| Error::Signing { reason: reason.to_owned() };
    let rounds =
        NonZeroU32::new(iterations).ok_or_else(|| failed("key derivation needs at least one iteration"))?;
    let mut salt = [0; SALT_BYTES];
    rand::fill(&mut salt).map_err(|_| failed("the system's random generator failed"))?;
    let mut derived = Zeroizing::new([0; KEY_BYTES]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.as_bytes(), derived.as_mut());

    let mut content = key.to_pkcs8_der();
    let vector = UnboundCipherKey::new(&AES_256, derived.as_ref())
        .and_then(PaddedBlockEncryptingKey::cbc_pkcs7)
        .and_then(|cipher| cipher.encrypt(&mut *content))
        .map_err(|_| failed("the key could not be encrypted"))?;
    let DecryptionContext::Iv128(vector) = &vector else {
        return Err(failed("the key could not be encrypted"));
    };
    let algorithm =
        algorithm(&salt, iterations, vector.as_ref()).ok_or_else(|| failed("the scheme has no name"))?;
    let info = der::element(der::SEQUENCE, &[&algorithm, &der::element(der::OCTET_STRING, &[&content])]);
    Ok(pem::encode("ENCRYPTED PRIVATE KEY", &info))
}

/// Reads a key from the bytes inside an `ENCRYPTED PRIVATE KEY` block, if its key derivation asks for no more than so
/// many iterations.
///
/// # Errors
/// [`Error::Pkcs12`] for the encryption and a wrong password; [`Error::KeyUnreadable`] and
/// [`Error::KeyAlgorithmUnsupported`] for the key inside.
pub fn from_der(bytes: &[u8], password: &str, max_iterations: u32) -> Result<PrivateKey, Error> {
    if bytes.len() > 2 * MAX_KEY_BYTES {
        return Err(Error::KeyUnreadable { reason: "it is larger than 32 KiB".to_owned() });
    }
    PrivateKey::from_pkcs8_der(&pkcs12::decryption::open_key(bytes, password, max_iterations)?)
}

/// The AlgorithmIdentifier that tells a reader how to derive the key and to decrypt.
fn algorithm(salt: &[u8], iterations: u32, vector: &[u8]) -> Option<Vec<u8>> {
    let sequence = |parts: &[&[u8]]| der::element(der::SEQUENCE, parts);
    let random_function = sequence(&[&der::oid_element(HMAC_SHA_256)?, &NULL]);
    let derivation = sequence(&[
        &der::element(der::OCTET_STRING, &[salt]),
        &der::element(der::INTEGER, &[&unsigned(iterations)]),
        &random_function,
    ]);
    let cipher = sequence(&[&der::oid_element(AES_256_CBC)?, &der::element(der::OCTET_STRING, &[vector])]);
    let scheme = sequence(&[&sequence(&[&der::oid_element(PBKDF2)?, &derivation]), &cipher]);
    Some(sequence(&[&der::oid_element(PBES2)?, &scheme]))
}

/// Content of a DER INTEGER: no needless zero, but one where the number would look negative.
fn unsigned(number: u32) -> Vec<u8> {
    let bytes = u64::from(number).to_be_bytes();
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
    let start = if bytes[start] >= 0x80 { start - 1 } else { start };
    bytes[start..].to_vec()
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use super::*;
    use crate::KeyAlgorithm;

    fn openssl(text: &str, password: &str) -> Option<String> {
        let mut child = Command::new("openssl")
            .args(["pkey", "-passin", "env:PASSWORD_OF_TEST"])
            .env("PASSWORD_OF_TEST", password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn openssl_opens_it_with_the_password_alone() {
        for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Ed25519] {
            let key = PrivateKey::generate(algorithm).unwrap();
            let text = to_pem(&key, "correct hörse", 10_000).unwrap();
            assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
            let opened = openssl(&text, "correct hörse").unwrap();
            assert_eq!(PrivateKey::from_pem(&opened).unwrap(), key);
            assert!(openssl(&text, "wrong horse").is_none());
        }
    }

    #[test]
    fn what_is_written_is_read_within_the_bound_of_iterations() {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let text = to_pem(&key, "correct horse", 10_000).unwrap();
        let block = &pem::read(&text).unwrap()[0];
        let content = block.content().unwrap();
        assert_eq!(from_der(content, "correct horse", 10_000).unwrap(), key);
        let refused = |password, limit| match from_der(content, password, limit) {
            Err(Error::Pkcs12(error)) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused("wrong horse", 10_000), crate::Pkcs12Error::WrongPassword);
        let expected = crate::Pkcs12Error::TooManyIterations { found: 10_000, limit: 9_999 };
        assert_eq!(refused("correct horse", 9_999), expected);
        assert!(from_der(&[0x30, 0], "correct horse", 10_000).is_err());
    }

    #[test]
    fn numbers_are_positive_and_short() {
        assert_eq!(unsigned(0), [0]);
        assert_eq!(unsigned(1), [1]);
        assert_eq!(unsigned(128), [0, 128]);
        assert_eq!(unsigned(10_000), [0x27, 0x10]);
        assert_eq!(unsigned(u32::MAX), [0, 255, 255, 255, 255]);
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        assert!(to_pem(&key, "password", 0).is_err());
    }
}
