//! How certificates that are on record are handed out: DER, PEM, PKCS#7 or PKCS#12, and under which file name.
//! A private key is always under a password.

use sealift_pki::{Certificate, Encryption, Pkcs12, PrivateKey, certificate_bag, encrypted_key, pem};
use sealift_protocol::Secret;

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
pub(super) enum KeyFormat {
    /// PKCS#12.
    Pfx,
    /// Text.
    Pem,
}

impl KeyFormat {
    /// From the header `x-certificateformat`; PEM without one, as the contract has it for recovery.
    pub(super) fn parse(header: Option<&str>) -> Result<Self, Error> {
        match normalized(header).as_str() {
            "PFX" => Ok(Self::Pfx),
            "" | "PEM" => Ok(Self::Pem),
            other => Err(Error::Format { given: shortened(other), known: "PFX and PEM" }),
        }
    }

    /// Ending of the file name that is suggested.
    pub(super) const fn extension(self) -> &'static str {
        match self {
            Self::Pfx => "pfx",
            Self::Pem => "pem",
        }
    }
}

fn normalized(header: Option<&str>) -> String {
    header.map(str::trim).unwrap_or_default().to_ascii_uppercase()
}

/// What is packed with a key. No `Debug`: it holds a private key.
pub(super) struct Parcel {
    pub(super) key: PrivateKey,
    /// End entity first.
    pub(super) certificates: Vec<Certificate>,
    pub(super) password: Secret,
    pub(super) format: KeyFormat,
    pub(super) root_first: bool,
    /// 3DES with SHA-1 in PKCS#12.
    pub(super) legacy_encryption: bool,
}

impl Parcel {
    /// Packs; takes milliseconds, so not on an async thread.
    pub(super) fn pack(self) -> Result<Vec<u8>, Error> {
        let failed = |error: sealift_pki::Error| Error::Unwritable(error.to_string());
        match self.format {
            KeyFormat::Pem => {
                let key = encrypted_key::to_pem(&self.key, self.password.expose(), ITERATIONS);
                let ordered = in_order(self.certificates, self.root_first);
                Ok([pem::encode_certificates(&ordered), key.map_err(failed)?].concat().into_bytes())
            }
            KeyFormat::Pfx => {
                let encryption =
                    if self.legacy_encryption { Encryption::TripleDesSha1 } else { Encryption::Aes256Sha256 };
                let entry =
                    Pkcs12 { key: Some(self.key), certificates: self.certificates, friendly_name: None };
                entry.encode(self.password.expose(), encryption, ITERATIONS).map_err(failed)
            }
        }
    }
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
    let text = password.expose();
    let length = text.chars().count();
    if !(MIN_PASSWORD..=MAX_PASSWORD).contains(&length) {
        return Err(invalid(format!("expected {MIN_PASSWORD} to {MAX_PASSWORD} characters, found {length}")));
    }
    // The message tells the position and not the character.
    let unfit = |letter: char| {
        letter.is_control() || letter > '\u{fffd}' || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}')
    };
    match text.chars().position(unfit) {
        None => Ok(password),
        Some(position) => Err(invalid(format!(
            "character {} is not allowed; use printable characters of the Basic Multilingual Plane",
            position + 1
        ))),
    }
}

/// The name under which a client may save the file: letters, digits, `.`, `-` and `_` only, so that it means the same
/// in a header and on every disk.
pub(super) fn file_name(certificate: &Certificate, extension: &str) -> String {
    let names = certificate.subject_alternative_names();
    let name =
        certificate.common_name().map(str::to_owned).or_else(|| names.first().map(ToString::to_string));
    let name = name.unwrap_or_else(|| certificate.serial_number().to_string());
    let safe = |letter: char| match letter.is_ascii_alphanumeric() || "-_.".contains(letter) {
        true => letter,
        false => '_',
    };
    let stem: String = name.chars().take(MAX_FILE_NAME).map(safe).collect();
    match stem.trim_start_matches('.') {
        "" => format!("certificate.{extension}"),
        stem => format!("{stem}.{extension}"),
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
}
