//! How certificates are handed out, at enrollment and later: DER, PEM or PKCS#7 alone, and with their key as PKCS#12,
//! PEM, archive or Java keystore; and under which file name. A private key is always under a password.

use std::io::{Cursor, Write as _};

use chrono::{DateTime, Utc};
use sealift_pki::java_keystore::{self, EntryKey, JavaKeystoreEntry};
use sealift_pki::{Certificate, Encryption, Pkcs12, PrivateKey, certificate_bag, encrypted_key, pem};
use sealift_protocol::Secret;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::error::Error;
use crate::http::problem::shortened;

/// Iterations of key derivation: what current Java writes. The file leaves the house under a password that people may
/// have chosen.
const ITERATIONS: u32 = 10_000;
/// Fewest characters of a password.
const MIN_PASSWORD: usize = 8;
/// Most characters of a password.
const MAX_PASSWORD: usize = 256;
/// Most characters of a suggested file name, without its ending.
const MAX_FILE_NAME: usize = 100;

/// How certificates alone are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PublicFormat {
    /// One certificate, binary.
    Der,
    /// Text.
    Pem,
    /// PKCS#7.
    P7b,
}

impl PublicFormat {
    /// From the header `x-certificateformat`; PEM without one.
    pub(super) fn parse(header: Option<&str>) -> Result<Self, Error> {
        match normalized(header).as_str() {
            "" | "PEM" => Ok(Self::Pem),
            "DER" => Ok(Self::Der),
            "P7B" => Ok(Self::P7b),
            other => Err(Error::Format { given: shortened(other), known: "DER, PEM and P7B" }),
        }
    }

    /// Ending of the file name that is suggested.
    pub(super) const fn extension(self) -> &'static str {
        match self {
            Self::Der => "cer",
            Self::Pem => "pem",
            Self::P7b => "p7b",
        }
    }

    /// Packs certificates, the end entity first unless they were turned round before.
    pub(super) fn pack(self, certificates: &[Certificate]) -> Vec<u8> {
        match self {
            Self::Der => certificates.first().map(|one| one.der().to_vec()).unwrap_or_default(),
            Self::Pem => pem::encode_certificates(certificates).into_bytes(),
            Self::P7b => certificate_bag::encode(certificates),
        }
    }
}

/// How a certificate is handed out with its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyFormat {
    /// PKCS#12.
    Pfx,
    /// Text.
    Pem,
    /// A ZIP archive of PEM files.
    Zip,
    /// A Java keystore.
    Jks,
}

impl KeyFormat {
    /// From the header `x-certificateformat` of a recovery, which knows no archive; PEM without one, as the contract
    /// has it.
    pub(super) fn parse(header: Option<&str>) -> Result<Self, Error> {
        match normalized(header).as_str() {
            "PFX" => Ok(Self::Pfx),
            "" | "PEM" => Ok(Self::Pem),
            "JKS" => Ok(Self::Jks),
            other => Err(Error::Format { given: shortened(other), known: "PFX, PEM and JKS" }),
        }
    }

    /// Ending of the file name that is suggested.
    pub(super) const fn extension(self) -> &'static str {
        match self {
            Self::Pfx => "pfx",
            Self::Pem => "pem",
            Self::Zip => "zip",
            Self::Jks => "jks",
        }
    }
}

fn normalized(header: Option<&str>) -> String {
    header.map(str::trim).unwrap_or_default().to_ascii_uppercase()
}

/// What is packed with a key, and how. No `Debug`: it holds a private key.
pub(crate) struct Parcel {
    pub(crate) key: PrivateKey,
    /// End entity first; the chain up to the root where it was asked for.
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) friendly_name: Option<String>,
    pub(crate) password: Secret,
    pub(crate) format: KeyFormat,
    /// In texts, the root comes first.
    pub(crate) root_first: bool,
    /// 3DES with SHA-1 in PKCS#12.
    pub(crate) legacy_encryption: bool,
    /// A line with the subject above each certificate in texts.
    pub(crate) subject_header: bool,
    /// The date of an entry in a Java keystore.
    pub(crate) created: DateTime<Utc>,
}

impl Parcel {
    /// Packs; takes milliseconds, so not on an async thread.
    ///
    /// # Errors
    /// [`Error::Unwritable`].
    pub(crate) fn pack(self) -> Result<Vec<u8>, Error> {
        match self.format {
            KeyFormat::Pem => Ok((self.texts() + &self.sealed_key()?).into_bytes()),
            KeyFormat::Zip => self.archive(),
            KeyFormat::Jks => self.java_keystore(),
            KeyFormat::Pfx => {
                let encryption =
                    if self.legacy_encryption { Encryption::TripleDesSha1 } else { Encryption::Aes256Sha256 };
                let entry = Pkcs12 {
                    key: Some(self.key),
                    certificates: self.certificates,
                    friendly_name: self.friendly_name,
                };
                entry.encode(self.password.expose(), encryption, ITERATIONS).map_err(unwritable)
            }
        }
    }

    /// The key under the password.
    fn sealed_key(&self) -> Result<String, Error> {
        encrypted_key::to_pem(&self.key, self.password.expose(), ITERATIONS).map_err(unwritable)
    }

    /// The certificates one after the other.
    fn texts(&self) -> String {
        let text = |certificate: &Certificate| match self.subject_header {
            true => with_subject(certificate),
            false => certificate.to_pem(),
        };
        let mut texts: Vec<String> = self.certificates.iter().map(text).collect();
        if self.root_first {
            texts.reverse();
        }
        texts.concat()
    }

    fn stem(&self) -> String {
        self.certificates.first().map(stem).unwrap_or_default()
    }

    /// An archive of the certificates and of the key under the password, for programs that want them apart.
    fn archive(&self) -> Result<Vec<u8>, Error> {
        let stem = self.stem();
        let files = [(format!("{stem}.crt"), self.texts()), (format!("{stem}.key"), self.sealed_key()?)];
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        for (name, text) in files {
            archive.start_file(name, options).map_err(unwritable)?;
            archive.write_all(text.as_bytes()).map_err(unwritable)?;
        }
        Ok(archive.finish().map_err(unwritable)?.into_inner())
    }

    /// A keystore of one entry, its alias the friendly name or the name of the file, in the lower case that Java looks
    /// for.
    fn java_keystore(self) -> Result<Vec<u8>, Error> {
        let stem = self.stem();
        let entry = JavaKeystoreEntry {
            alias: self.friendly_name.unwrap_or(stem).to_lowercase(),
            created: self.created,
            key: Some(EntryKey::Open(self.key)),
            certificates: self.certificates,
        };
        java_keystore::encode(&[entry], self.password.expose()).map_err(unwritable)
    }
}

fn unwritable(error: impl std::fmt::Display) -> Error {
    Error::Unwritable(error.to_string())
}

/// PEM text below a line with the subject, which readers of PEM pass over.
pub(crate) fn with_subject(certificate: &Certificate) -> String {
    let subject: String =
        certificate.subject().to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("#{subject}\n{}", certificate.to_pem())
}

/// Whether the root is to come first, from `ChainOrder`.
pub(super) fn root_first(order: Option<&str>) -> Result<bool, Error> {
    match order.map(str::trim).unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "endentityfirst" => Ok(false),
        "rootfirst" => Ok(true),
        _ => {
            let reason = "expected EndEntityFirst or RootFirst".to_owned();
            Err(Error::Invalid { member: "ChainOrder", reason })
        }
    }
}

/// The certificates, turned round where the root is to come first.
pub(super) fn in_order(mut certificates: Vec<Certificate>, root_first: bool) -> Vec<Certificate> {
    if root_first {
        certificates.reverse();
    }
    certificates
}

/// Refuses a password that a PKCS#12 file could not be opened with everywhere, and a missing one.
pub(super) fn check_password(password: Option<&Secret>) -> Result<&Secret, Error> {
    let invalid = |reason: String| Error::Invalid { member: "Password", reason };
    let password = password.filter(|password| !password.is_empty());
    let password =
        password.ok_or_else(|| invalid("it is required, and protects the private key".to_owned()))?;
    match unfit_password(password) {
        None => Ok(password),
        Some(reason) => Err(invalid(reason)),
    }
}

/// Why a PKCS#12 file could not be opened everywhere with a password; nothing when it could.
pub(crate) fn unfit_password(password: &Secret) -> Option<String> {
    let text = password.expose();
    let length = text.chars().count();
    if !(MIN_PASSWORD..=MAX_PASSWORD).contains(&length) {
        return Some(format!("expected {MIN_PASSWORD} to {MAX_PASSWORD} characters, found {length}"));
    }
    // The message tells the position and not the character.
    let unfit = |letter: char| {
        letter.is_control() || letter > '\u{fffd}' || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}')
    };
    let position = text.chars().position(unfit)? + 1;
    Some(format!(
        "character {position} is not allowed; use printable characters of the Basic Multilingual Plane"
    ))
}

/// The name under which a client may save the file: letters, digits, `.`, `-` and `_` only, so that it means the same
/// in a header and on every disk.
pub(crate) fn file_name(certificate: &Certificate, extension: &str) -> String {
    format!("{}.{extension}", stem(certificate))
}

fn stem(certificate: &Certificate) -> String {
    let names = certificate.subject_alternative_names();
    let name =
        certificate.common_name().map(str::to_owned).or_else(|| names.first().map(ToString::to_string));
    safe_stem(&name.unwrap_or_else(|| certificate.serial_number().to_string()))
}

fn safe_stem(name: &str) -> String {
    let safe =
        |letter: char| if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '_' };
    let stem: String = name.chars().take(MAX_FILE_NAME).map(safe).collect();
    match stem.trim_start_matches('.') {
        "" => "certificate".to_owned(),
        stem => stem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read_in_any_case_and_others_refused_with_the_contracts_code() {
        assert_eq!(PublicFormat::parse(Some("p7b")).unwrap(), PublicFormat::P7b);
        assert_eq!(PublicFormat::parse(None).unwrap(), PublicFormat::Pem);
        assert_eq!(KeyFormat::parse(Some(" pfx ")).unwrap(), KeyFormat::Pfx);
        assert_eq!(KeyFormat::parse(None).unwrap(), KeyFormat::Pem);
        for refused in [PublicFormat::parse(Some("PFX")).err(), KeyFormat::parse(Some("STORE")).err()] {
            let failure = crate::http::Failure::from(refused.unwrap());
            assert_eq!(failure.code(), crate::http::Code(0xA011_0008));
        }
    }

    #[test]
    fn orders_are_the_contracts_words() {
        assert!(!root_first(None).unwrap() && root_first(Some("ROOTFIRST")).unwrap());
        assert!(root_first(Some("sideways")).unwrap_err().to_string().starts_with("ChainOrder: "));
    }

    #[test]
    fn passwords_are_what_every_reader_of_pkcs12_can_type() {
        assert!(check_password(Some(&Secret::new("correct horse"))).is_ok());
        for bad in ["", "1234567", &"x".repeat(257), "tab\tinside", "emoji-\u{1f512}-lock"] {
            let refusal = check_password(Some(&Secret::new(bad))).unwrap_err().to_string();
            assert!(refusal.starts_with("Password: "), "{refusal}");
            assert!(bad.is_empty() || !refusal.contains(bad), "{refusal}");
        }
        assert!(check_password(None).is_err());
    }

    fn authority(name: &str) -> sealift_pki::Issuer {
        let now: chrono::DateTime<chrono::Utc> = "2026-05-04T09:30:00Z".parse().unwrap();
        sealift_pki::Issuer::self_signed_root(&sealift_pki::AuthorityProfile {
            subject: sealift_pki::DistinguishedName::from_common_name(name).unwrap(),
            serial_number: sealift_pki::SerialNumber::from_random([7; 16]),
            not_before: now,
            not_after: now + chrono::TimeDelta::days(1),
            crl_distribution_point: None,
        })
        .unwrap()
    }

    fn parcel(format: KeyFormat, root_first: bool) -> Parcel {
        let (leaf, root) = (authority("leaf"), authority("root"));
        Parcel {
            key: leaf.key().clone(),
            certificates: vec![leaf.certificate().clone(), root.certificate().clone()],
            friendly_name: Some("web".to_owned()),
            password: Secret::new("correct horse"),
            format,
            root_first,
            legacy_encryption: false,
            subject_header: false,
            created: "2026-05-04T09:30:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn text_keeps_the_order_asked_for_and_no_key_in_the_clear() {
        for (order, names) in [(false, ["leaf", "root"]), (true, ["root", "leaf"])] {
            let text = String::from_utf8(parcel(KeyFormat::Pem, order).pack().unwrap()).unwrap();
            let found = pem::certificates(&text).unwrap();
            assert_eq!(found.iter().filter_map(Certificate::common_name).collect::<Vec<_>>(), names);
            assert!(text.contains("BEGIN ENCRYPTED PRIVATE KEY") && !text.contains("BEGIN PRIVATE KEY"));
        }
    }

    #[test]
    fn a_pfx_opens_with_its_password_and_holds_what_was_packed() {
        let packed = parcel(KeyFormat::Pfx, true);
        let key = packed.key.clone();
        let read =
            Pkcs12::decode(&packed.pack().unwrap(), "correct horse", sealift_pki::Limits::UPLOAD).unwrap();
        assert_eq!((read.key, read.friendly_name.as_deref()), (Some(key), Some("web")));
        assert_eq!(read.certificates.first().and_then(Certificate::common_name), Some("leaf"));
    }

    #[test]
    fn an_archive_holds_certificates_and_key_apart() {
        let packed = Parcel { subject_header: true, ..parcel(KeyFormat::Zip, false) };
        let mut archive = zip::ZipArchive::new(Cursor::new(packed.pack().unwrap())).unwrap();
        let mut read = |name: &str| std::io::read_to_string(archive.by_name(name).unwrap()).unwrap();
        let (certificates, key) = (read("leaf.crt"), read("leaf.key"));
        assert!(certificates.starts_with("#CN=leaf\n-----BEGIN CERTIFICATE-----"), "{certificates}");
        assert_eq!(pem::certificates(&certificates).unwrap().len(), 2);
        assert!(key.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    }

    #[test]
    fn file_names_are_safe() {
        for (name, stem) in [
            ("www.example.test", "www.example.test"),
            ("*.example.test", "_.example.test"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("a\r\nX-Header: b", "a__X-Header__b"),
            ("...", "certificate"),
            ("münchen", "m_nchen"),
        ] {
            assert_eq!(safe_stem(name), stem);
        }
        assert_eq!(safe_stem(&"n".repeat(300)).len(), MAX_FILE_NAME);
    }
}
