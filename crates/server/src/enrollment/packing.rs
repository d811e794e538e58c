//! How a new certificate and its key are handed out: PKCS#12, PEM or an archive, and the file's name. The key is
//! always under the password.

use std::io::{Cursor, Write as _};

use chrono::{DateTime, Utc};
use sealift_pki::java_keystore::{self, EntryKey, JavaKeystoreEntry};
use sealift_pki::{Certificate, Encryption, Pkcs12, PrivateKey, encrypted_key};
use sealift_protocol::Secret;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::draft::ChainOrder;
use super::error::Error;
use super::format::Format;

/// Iterations of key derivation: what current Java writes. The file leaves the house under a password that people
/// may have chosen.
const ITERATIONS: u32 = 10_000;
/// Most characters of a suggested file name, without its ending.
const MAX_FILE_NAME: usize = 100;

/// What is packed, and how. No `Debug`: it holds a private key.
pub(super) struct Parcel {
    pub(super) key: PrivateKey,
    /// Leaf first; the chain up to the root where it was asked for.
    pub(super) certificates: Vec<Certificate>,
    pub(super) friendly_name: Option<String>,
    pub(super) password: Secret,
    pub(super) format: Format,
    pub(super) chain_order: ChainOrder,
    pub(super) legacy_encryption: bool,
    /// A line with the subject above each certificate in PEM.
    pub(super) subject_header: bool,
    /// The date of an entry in a Java keystore.
    pub(super) created: DateTime<Utc>,
}

/// Packs; takes milliseconds, so not on an async thread.
pub(super) fn pack(parcel: Parcel) -> Result<Vec<u8>, Error> {
    match parcel.format {
        Format::Pem => pem(&parcel),
        Format::Zip => zip(&parcel),
        Format::Jks => java_keystore(parcel),
        Format::Pfx | Format::Store | Format::Replace => {
            let encryption =
                if parcel.legacy_encryption { Encryption::TripleDesSha1 } else { Encryption::Aes256Sha256 };
            let entry = Pkcs12 {
                key: Some(parcel.key),
                certificates: parcel.certificates,
                friendly_name: parcel.friendly_name,
            };
            Ok(entry.encode(parcel.password.expose(), encryption, ITERATIONS)?)
        }
    }
}

/// The certificates, then the key under the password.
fn pem(parcel: &Parcel) -> Result<Vec<u8>, Error> {
    let mut text = certificates(parcel);
    text.push_str(&encrypted_key::to_pem(&parcel.key, parcel.password.expose(), ITERATIONS)?);
    Ok(text.into_bytes())
}

/// The certificates one after the other.
fn certificates(parcel: &Parcel) -> String {
    let text = |certificate: &Certificate| match parcel.subject_header {
        true => with_subject(certificate),
        false => certificate.to_pem(),
    };
    let mut texts: Vec<String> = parcel.certificates.iter().map(text).collect();
    if parcel.chain_order == ChainOrder::RootFirst {
        texts.reverse();
    }
    texts.concat()
}

/// PEM text below a line with the subject, which readers of PEM pass over.
pub(super) fn with_subject(certificate: &Certificate) -> String {
    let subject: String =
        certificate.subject().to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("#{subject}\n{}", certificate.to_pem())
}

/// An archive of the certificates and of the key under the password, for programs that want them apart.
fn zip(parcel: &Parcel) -> Result<Vec<u8>, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Archive(error.to_string());
    let stem = parcel.certificates.first().map(stem).unwrap_or_default();
    let key = encrypted_key::to_pem(&parcel.key, parcel.password.expose(), ITERATIONS)?;
    let files = [(format!("{stem}.crt"), certificates(parcel)), (format!("{stem}.key"), key)];
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, text) in files {
        archive.start_file(name, options).map_err(|error| failed(&error))?;
        archive.write_all(text.as_bytes()).map_err(|error| failed(&error))?;
    }
    Ok(archive.finish().map_err(|error| failed(&error))?.into_inner())
}

/// A keystore of one entry, its alias the friendly name or the name of the file, in the lower case that Java looks for.
fn java_keystore(parcel: Parcel) -> Result<Vec<u8>, Error> {
    let stem = parcel.certificates.first().map(stem).unwrap_or_default();
    let entry = JavaKeystoreEntry {
        alias: parcel.friendly_name.unwrap_or(stem).to_lowercase(),
        created: parcel.created,
        key: Some(EntryKey::Open(parcel.key)),
        certificates: parcel.certificates,
    };
    Ok(java_keystore::encode(&[entry], parcel.password.expose())?)
}

/// The name under which a client may save the file: letters, digits, `.`, `-` and `_` only, so that it means the same
/// in a header and on every disk.
pub(super) fn file_name(certificate: &Certificate, extension: &str) -> String {
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

    fn parcel(format: Format, chain_order: ChainOrder) -> Parcel {
        let (leaf, root) = (authority("leaf"), authority("root"));
        Parcel {
            key: leaf.key().clone(),
            certificates: vec![leaf.certificate().clone(), root.certificate().clone()],
            friendly_name: Some("web".to_owned()),
            password: Secret::new("correct horse"),
            format,
            chain_order,
            legacy_encryption: false,
            subject_header: false,
            created: "2026-05-04T09:30:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn text_keeps_the_order_asked_for_and_no_key_in_the_clear() {
        for (order, names) in
            [(ChainOrder::EndEntityFirst, ["leaf", "root"]), (ChainOrder::RootFirst, ["root", "leaf"])]
        {
            let text = String::from_utf8(pack(parcel(Format::Pem, order)).unwrap()).unwrap();
            let found = sealift_pki::pem::certificates(&text).unwrap();
            assert_eq!(found.iter().filter_map(Certificate::common_name).collect::<Vec<_>>(), names);
            assert!(text.contains("BEGIN ENCRYPTED PRIVATE KEY") && !text.contains("BEGIN PRIVATE KEY"));
        }
    }

    #[test]
    fn a_pfx_opens_with_its_password_and_holds_what_was_packed() {
        let packed = parcel(Format::Store, ChainOrder::RootFirst);
        let key = packed.key.clone();
        let read =
            Pkcs12::decode(&pack(packed).unwrap(), "correct horse", sealift_pki::Limits::UPLOAD).unwrap();
        assert_eq!((read.key, read.friendly_name.as_deref()), (Some(key), Some("web")));
        assert_eq!(read.certificates.first().and_then(Certificate::common_name), Some("leaf"));
    }

    #[test]
    fn an_archive_holds_certificates_and_key_apart() {
        let packed = Parcel { subject_header: true, ..parcel(Format::Zip, ChainOrder::EndEntityFirst) };
        let mut archive = zip::ZipArchive::new(Cursor::new(pack(packed).unwrap())).unwrap();
        let mut read = |name: &str| std::io::read_to_string(archive.by_name(name).unwrap()).unwrap();
        let (certificates, key) = (read("leaf.crt"), read("leaf.key"));
        assert!(certificates.starts_with("#CN=leaf\n-----BEGIN CERTIFICATE-----"), "{certificates}");
        assert_eq!(sealift_pki::pem::certificates(&certificates).unwrap().len(), 2);
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
