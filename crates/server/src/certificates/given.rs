//! Reading the certificates that callers hand in: DER, PEM or PKCS#12, as base64 (operator contract, 8.4).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealift_pki::pkcs12::{MAX_ITERATIONS, MAX_UPLOAD_BYTES};
use sealift_pki::{Certificate, Limits, Pkcs12, Pkcs12Error, PrivateKey, chain, encrypted_key, pem};
use sealift_protocol::Secret;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::error::Error;

/// Most certificates in one text.
const MAX_CERTIFICATES: usize = 64;
/// Longest text that is given, in bytes: base64 of PEM text with all of these certificates.
const MAX_TEXT: usize = 512 * 1024;
/// Files that are opened at a time; each may hold a processor for a second.
static OPENING: Semaphore = Semaphore::const_new(2);
/// Longest wait for the turn to open one.
const WAIT: Duration = Duration::from_secs(10);

/// What was handed in. `Debug` shows no key.
#[derive(Debug)]
pub(super) struct Given {
    /// The certificate that is meant.
    pub(super) leaf: Certificate,
    /// Those above it that came along.
    pub(super) above: Vec<Certificate>,
    pub(super) key: Option<PrivateKey>,
}

/// Reads what was handed in, away from the async threads, since opening PKCS#12 takes up to seconds.
///
/// # Errors
/// [`Error::Invalid`] that names `Certificate` or `Password`; [`Error::Busy`].
pub(super) async fn read(certificate: Option<Secret>, password: Option<Secret>) -> Result<Given, Error> {
    let certificate = certificate.filter(|text| !text.expose().trim().is_empty());
    let text = certificate.ok_or_else(|| refuse("it is required: base64 of DER, PEM text or PKCS#12"))?;
    let _turn = match tokio::time::timeout(WAIT, OPENING.acquire()).await {
        Ok(Ok(turn)) => turn,
        _ => return Err(Error::Busy),
    };
    let opened = tokio::task::spawn_blocking(move || {
        decode(text.expose(), password.as_ref().filter(|password| !password.is_empty()))
    });
    opened.await.map_err(|error| Error::Unwritable(error.to_string()))?
}

fn refuse(reason: impl ToString) -> Error {
    Error::Invalid { member: "Certificate", reason: reason.to_string() }
}

fn refused(error: sealift_pki::Error) -> Error {
    use sealift_pki::Error as Pki;
    let member = match &error {
        Pki::Pkcs12(Pkcs12Error::WrongPassword | Pkcs12Error::PasswordCharacter { .. }) => "Password",
        _ => "Certificate",
    };
    Error::Invalid { member, reason: error.to_string() }
}

fn decode(text: &str, password: Option<&Secret>) -> Result<Given, Error> {
    if text.len() > MAX_TEXT {
        return Err(refuse(format!("expected at most {MAX_TEXT} bytes of base64")));
    }
    // Some callers send PEM text as it is.
    if text.contains("-----BEGIN ") {
        return from_pem(text, password);
    }
    let bare: Zeroizing<String> =
        Zeroizing::new(text.chars().filter(|letter| !letter.is_ascii_whitespace()).collect());
    let bytes = STANDARD.decode(bare.as_bytes()).map(Zeroizing::new);
    let bytes = bytes.map_err(|_| refuse("it is not base64; give base64 of DER, PEM text or PKCS#12"))?;
    if let Ok(text) = std::str::from_utf8(&bytes)
        && text.contains("-----BEGIN ")
    {
        return from_pem(text, password);
    }
    match Certificate::parse(&bytes) {
        Ok(leaf) => Ok(Given { leaf, above: Vec::new(), key: None }),
        Err(_) => from_pkcs12(&bytes, password),
    }
}

fn from_pkcs12(bytes: &[u8], password: Option<&Secret>) -> Result<Given, Error> {
    if bytes.len() > MAX_UPLOAD_BYTES {
        return Err(refuse(format!(
            "it is no certificate, and too large for PKCS#12, which has at most {MAX_UPLOAD_BYTES} bytes here"
        )));
    }
    match Pkcs12::decode(bytes, password.map_or("", Secret::expose), Limits::UPLOAD) {
        Ok(entry) => given(entry.certificates, entry.key),
        Err(sealift_pki::Error::Pkcs12(Pkcs12Error::WrongPassword)) if password.is_none() => {
            let reason = "it is required to open the PKCS#12 file".to_owned();
            Err(Error::Invalid { member: "Password", reason })
        }
        Err(sealift_pki::Error::Pkcs12(Pkcs12Error::Malformed { reason })) => {
            Err(refuse(format!("it is neither DER nor PEM of a certificate, nor PKCS#12: {reason}")))
        }
        Err(error) => Err(refused(error)),
    }
}

fn from_pem(text: &str, password: Option<&Secret>) -> Result<Given, Error> {
    let (mut certificates, mut key) = (Vec::new(), None);
    for block in pem::read(text).map_err(refused)? {
        match block.kind() {
            pem::Kind::Certificate => certificates.push(block.certificate().map_err(refused)?),
            pem::Kind::PrivateKey | pem::Kind::EncryptedPrivateKey if key.is_some() => {
                return Err(refuse("it holds several private keys where one is expected"));
            }
            pem::Kind::PrivateKey => key = Some(block.private_key().map_err(refused)?),
            pem::Kind::EncryptedPrivateKey => key = Some(open_key(&block, password)?),
            pem::Kind::CertificateRequest | pem::Kind::Other => {}
        }
        if certificates.len() > MAX_CERTIFICATES {
            return Err(refuse(format!("it holds more than {MAX_CERTIFICATES} certificates")));
        }
    }
    let chain = match &key {
        None => chain::order(&certificates),
        Some(key) => match certificates.iter().find(|one| key.matches(one)) {
            Some(leaf) => chain::from_leaf(leaf, &certificates),
            None if certificates.is_empty() => Ok(Vec::new()),
            None => return Err(refuse("the private key belongs to none of the certificates")),
        },
    };
    given(chain.map_err(refused)?, key)
}

fn open_key(block: &pem::Block, password: Option<&Secret>) -> Result<PrivateKey, Error> {
    let missing = || {
        let reason = "it is required to open the encrypted private key".to_owned();
        Error::Invalid { member: "Password", reason }
    };
    let password = password.ok_or_else(missing)?;
    if block.label() != "ENCRYPTED PRIVATE KEY" {
        return Err(refuse("its key has the encryption of old OpenSSL; write the key as PKCS#8 instead"));
    }
    let content = block.content().map_err(refused)?;
    encrypted_key::from_der(content, password.expose(), MAX_ITERATIONS).map_err(refused)
}

fn given(chain: Vec<Certificate>, key: Option<PrivateKey>) -> Result<Given, Error> {
    let mut chain = chain.into_iter();
    let leaf = chain.next().ok_or_else(|| refuse("it holds no certificate"))?;
    Ok(Given { leaf, above: chain.collect(), key })
}

#[cfg(test)]
mod tests {
    use sealift_pki::{AuthorityProfile, DistinguishedName, Encryption, Issuer, SerialNumber};

    use super::*;

    fn authority(name: &str) -> Issuer {
        let now: chrono::DateTime<chrono::Utc> = "2026-05-04T09:30:00Z".parse().unwrap();
        Issuer::self_signed_root(&AuthorityProfile {
            subject: DistinguishedName::from_common_name(name).unwrap(),
            serial_number: SerialNumber::from_random([7; 16]),
            not_before: now,
            not_after: now + chrono::TimeDelta::days(1),
            crl_distribution_point: None,
        })
        .unwrap()
    }

    fn refusal(text: &str, password: Option<&str>) -> String {
        let password = password.map(Secret::new);
        decode(text, password.as_ref()).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn every_form_leads_to_the_same_certificate() {
        let one = authority("one");
        let (key, certificate) = (one.key().clone(), one.certificate().clone());
        let entry =
            Pkcs12 { key: Some(key.clone()), certificates: vec![certificate.clone()], friendly_name: None };
        let pfx = entry.encode("correct horse", Encryption::TripleDesSha1, 2_000).unwrap();
        let encrypted = encrypted_key::to_pem(&key, "correct horse", 2_000).unwrap();
        let password = Secret::new("correct horse");
        for (bytes, with_key) in [
            (certificate.der().to_vec(), false),
            (certificate.to_pem().into_bytes(), false),
            (pfx, true),
            (format!("{}{}", certificate.to_pem(), encrypted).into_bytes(), true),
            (format!("{}{}", key.to_pem().as_str(), certificate.to_pem()).into_bytes(), true),
        ] {
            let given = decode(&STANDARD.encode(&bytes), Some(&password)).unwrap();
            assert_eq!((&given.leaf, given.key.is_some()), (&certificate, with_key));
        }
        assert_eq!(decode(&certificate.to_pem(), None).unwrap().leaf, certificate);
    }

    #[test]
    fn refusals_name_the_member() {
        let (one, other) = (authority("one"), authority("other"));
        let entry = Pkcs12 {
            key: Some(one.key().clone()),
            certificates: vec![one.certificate().clone()],
            friendly_name: None,
        };
        let pfx = STANDARD.encode(entry.encode("correct horse", Encryption::Aes256Sha256, 2_000).unwrap());
        assert!(refusal(&pfx, Some("wrong horse")).starts_with("Password: wrong password"));
        assert!(refusal(&pfx, None).starts_with("Password: it is required"));
        let encrypted = encrypted_key::to_pem(one.key(), "correct horse", 2_000).unwrap();
        let text = format!("{}{encrypted}", one.certificate().to_pem());
        assert!(refusal(&text, None).starts_with("Password: it is required"));
        assert!(refusal(&text, Some("wrong horse")).starts_with("Password: "));
        let mixed = format!("{}{}", one.certificate().to_pem(), other.key().to_pem().as_str());
        assert!(refusal(&mixed, None).contains("belongs to none"));
        for text in ["???", "AAAA", &STANDARD.encode([0x30; 70_000]), &"A".repeat(MAX_TEXT + 1)] {
            assert!(refusal(text, Some("correct horse")).starts_with("Certificate: "), "{text:.20}");
        }
        assert!(refusal(one.key().to_pem().as_str(), None).contains("no certificate"));
    }
}
