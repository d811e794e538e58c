//! One X.509 certificate, read once into the facts that the rest of the system asks for.
//! Whether it is trusted is asked in [`crate::chain`]; whether it may be issued is the server's business.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{DistributionPointName, ExtendedKeyUsage, GeneralName, ParsedExtension},
    prelude::FromDer,
    time::ASN1Time,
    x509::AlgorithmIdentifier,
};

use crate::{
    DistinguishedName, Error, KeyAlgorithm, SerialNumber, SubjectAlternativeName, Thumbprint,
    alternative_name, der, key_algorithm, pem,
};

/// Largest certificate that is read, in bytes.
pub const MAX_CERTIFICATE_BYTES: usize = 64 * 1024;

/// Key usages by bit of RFC 5280 (lowest first) as the contract's values, which are those of .NET.
const KEY_USAGE_VALUES: [u16; 9] = [128, 64, 32, 16, 8, 4, 2, 1, 32_768];

/// An X.509 certificate, parsed once; cheap to clone. Two are equal when their DER is.
#[derive(Clone)]
pub struct Certificate(Arc<Facts>);

struct Facts {
    der: Vec<u8>,
    thumbprint: Thumbprint,
    serial_number: SerialNumber,
    subject: DistinguishedName,
    issuer: DistinguishedName,
    subject_der: Vec<u8>,
    issuer_der: Vec<u8>,
    not_before: DateTime<Utc>,
    not_after: DateTime<Utc>,
    public_key: Vec<u8>,
    key_algorithm: KeyAlgorithm,
    signature_algorithm: String,
    extensions: Extensions,
}

#[derive(Default)]
struct Extensions {
    subject_alternative_names: Vec<SubjectAlternativeName>,
    key_usage: u16,
    extended_key_usages: Vec<String>,
    is_authority: bool,
    path_length: Option<u32>,
    crl_distribution_points: Vec<String>,
    subject_key_identifier: Option<Vec<u8>>,
    authority_key_identifier: Option<Vec<u8>>,
}

impl Certificate {
    /// Reads one DER certificate; nothing may follow it.
    ///
    /// # Errors
    /// [`Error::CertificateUnreadable`].
    pub fn parse(der: &[u8]) -> Result<Self, Error> {
        let unreadable = |reason: &str| Error::CertificateUnreadable { reason: reason.to_owned() };
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(unreadable("it is larger than 64 KiB"));
        }
        let (rest, parsed) = X509Certificate::from_der(der)
            .map_err(|error| unreadable(&error.to_string().chars().take(120).collect::<String>()))?;
        if !rest.is_empty() {
            return Err(unreadable("bytes follow the certificate"));
        }
        let time = |time: &ASN1Time| {
            DateTime::from_timestamp(time.timestamp(), 0)
                .ok_or_else(|| unreadable("its validity is out of range"))
        };
        let public_key = parsed.public_key().raw.to_vec();
        Ok(Self(Arc::new(Facts {
            thumbprint: Thumbprint::of(der),
            serial_number: SerialNumber::from_bytes(parsed.raw_serial()),
            subject: DistinguishedName::from_x509(parsed.subject()),
            issuer: DistinguishedName::from_x509(parsed.issuer()),
            subject_der: parsed.subject().as_raw().to_vec(),
            issuer_der: parsed.issuer().as_raw().to_vec(),
            not_before: time(&parsed.validity().not_before)?,
            not_after: time(&parsed.validity().not_after)?,
            key_algorithm: key_algorithm::of_public_key(&public_key),
            public_key,
            signature_algorithm: signature_name(&parsed.signature_algorithm),
            extensions: Extensions::read(&parsed),
            der: der.to_vec(),
        })))
    }

    /// The DER bytes as read.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// PEM text with armour.
    pub fn to_pem(&self) -> String {
        pem::encode(pem::CERTIFICATE_LABEL, self.der())
    }

    /// SHA-1 over the DER.
    pub fn thumbprint(&self) -> Thumbprint {
        self.0.thumbprint
    }

    /// SHA-256 over the DER.
    pub fn sha256(&self) -> [u8; 32] {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.der());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        bytes
    }

    /// The serial number; shown as upper-case hexadecimal digits.
    pub fn serial_number(&self) -> &SerialNumber {
        &self.0.serial_number
    }

    /// The subject; shown as `CN=www.example.test,O=Example`.
    pub fn subject(&self) -> &DistinguishedName {
        &self.0.subject
    }

    /// The issuer's name.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.0.issuer
    }

    /// The subject's most specific common name.
    pub fn common_name(&self) -> Option<&str> {
        self.0.subject.common_name()
    }

    /// The subject's organizational units, most specific first.
    pub fn organizational_units(&self) -> Vec<&str> {
        self.0.subject.organizational_units()
    }

    /// Start of validity.
    pub fn not_before(&self) -> DateTime<Utc> {
        self.0.not_before
    }

    /// End of validity.
    pub fn not_after(&self) -> DateTime<Utc> {
        self.0.not_after
    }

    /// All subject alternative names in encoded order.
    pub fn subject_alternative_names(&self) -> &[SubjectAlternativeName] {
        &self.0.extensions.subject_alternative_names
    }

    /// The DNS names among them, as encoded.
    pub fn dns_names(&self) -> Vec<&str> {
        self.subject_alternative_names()
            .iter()
            .filter_map(|name| match name {
                SubjectAlternativeName::Dns(text) => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    /// Algorithm and size of the subject's key.
    pub fn key_algorithm(&self) -> KeyAlgorithm {
        self.0.key_algorithm
    }

    /// Size of the subject's key in bits; 0 when the algorithm is unknown.
    pub fn key_bits(&self) -> u32 {
        self.0.key_algorithm.bits()
    }

    /// Key usage as the contract's bit value: 160 is digital signature and key encipherment, 0 no such extension.
    pub fn key_usage(&self) -> u16 {
        self.0.extensions.key_usage
    }

    /// Extended key usages as dotted object identifiers.
    pub fn extended_key_usages(&self) -> &[String] {
        &self.0.extensions.extended_key_usages
    }

    /// Algorithm of the issuer's signature, such as `SHA-256withRSA` or `SHA-256withECDSA`; an object identifier when
    /// it has no such name.
    pub fn signature_algorithm(&self) -> &str {
        &self.0.signature_algorithm
    }

    /// Whether basic constraints allow it to sign certificates.
    pub fn is_authority(&self) -> bool {
        self.0.extensions.is_authority
    }

    /// Greatest number of authorities below it, if limited.
    pub fn path_length(&self) -> Option<u32> {
        self.0.extensions.path_length
    }

    /// URLs of the CRL distribution points.
    pub fn crl_distribution_points(&self) -> &[String] {
        &self.0.extensions.crl_distribution_points
    }

    /// SubjectPublicKeyInfo in DER.
    pub fn public_key(&self) -> &[u8] {
        &self.0.public_key
    }

    /// Whether issuer and subject are the same name, as in a root.
    pub fn is_self_issued(&self) -> bool {
        self.0.issuer_der == self.0.subject_der
    }

    /// Whether `authority` has the name of this certificate's issuer.
    pub fn names_as_issuer(&self, authority: &Self) -> bool {
        self.0.issuer_der == authority.0.subject_der
    }

    /// Whether the key of `authority` signed this certificate. Signatures by algorithms that are not known here
    /// (P-521 among them) count as not signed.
    pub fn is_signed_by(&self, authority: &Self) -> bool {
        let (Ok((_, own)), Ok((_, other))) =
            (X509Certificate::from_der(self.der()), X509Certificate::from_der(authority.der()))
        else {
            return false;
        };
        own.verify_signature(Some(other.public_key())).is_ok()
    }

    /// Whether a DNS subject alternative name matches this host: RFC 6125 wildcard rules, ASCII case ignored, the
    /// common name not considered. International hosts are asked for in their `xn--` form.
    pub fn covers(&self, dns_name: &str) -> bool {
        self.dns_names().iter().any(|pattern| alternative_name::covers(pattern, dns_name))
    }

    /// The subject's Name element, byte for byte.
    pub(crate) fn subject_der(&self) -> &[u8] {
        &self.0.subject_der
    }

    pub(crate) fn subject_key_identifier(&self) -> Option<&[u8]> {
        self.0.extensions.subject_key_identifier.as_deref()
    }

    pub(crate) fn authority_key_identifier(&self) -> Option<&[u8]> {
        self.0.extensions.authority_key_identifier.as_deref()
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} {})", self.0.thumbprint, self.0.subject)
    }
}

impl Extensions {
    fn read(parsed: &X509Certificate<'_>) -> Self {
        let mut read = Self::default();
        for extension in parsed.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(names) => {
                    read.subject_alternative_names =
                        names.general_names.iter().map(SubjectAlternativeName::from_general_name).collect();
                }
                ParsedExtension::KeyUsage(usage) => read.key_usage = key_usage_value(usage.flags),
                ParsedExtension::ExtendedKeyUsage(usage) => {
                    read.extended_key_usages = usage_identifiers(usage)
                }
                ParsedExtension::BasicConstraints(constraints) => {
                    read.is_authority = constraints.ca;
                    read.path_length = constraints.path_len_constraint;
                }
                ParsedExtension::CRLDistributionPoints(points) => {
                    read.crl_distribution_points = points
                        .iter()
                        .filter_map(|point| match &point.distribution_point {
                            Some(DistributionPointName::FullName(names)) => Some(names),
                            _ => None,
                        })
                        .flatten()
                        .filter_map(|name| match name {
                            GeneralName::URI(url) => Some((*url).to_owned()),
                            _ => None,
                        })
                        .collect();
                }
                ParsedExtension::SubjectKeyIdentifier(identifier) => {
                    read.subject_key_identifier = Some(identifier.0.to_vec());
                }
                ParsedExtension::AuthorityKeyIdentifier(identifier) => {
                    read.authority_key_identifier =
                        identifier.key_identifier.as_ref().map(|id| id.0.to_vec());
                }
                _ => {}
            }
        }
        read
    }
}

fn key_usage_value(flags: u16) -> u16 {
    KEY_USAGE_VALUES.iter().enumerate().filter(|(bit, _)| flags >> bit & 1 == 1).map(|(_, value)| value).sum()
}

fn usage_identifiers(usage: &ExtendedKeyUsage<'_>) -> Vec<String> {
    let known = [
        (usage.any, "2.5.29.37.0"),
        (usage.server_auth, "1.3.6.1.5.5.7.3.1"),
        (usage.client_auth, "1.3.6.1.5.5.7.3.2"),
        (usage.code_signing, "1.3.6.1.5.5.7.3.3"),
        (usage.email_protection, "1.3.6.1.5.5.7.3.4"),
        (usage.time_stamping, "1.3.6.1.5.5.7.3.8"),
        (usage.ocsp_signing, "1.3.6.1.5.5.7.3.9"),
    ];
    let known = known.into_iter().filter(|(present, _)| *present).map(|(_, oid)| oid.to_owned());
    known.chain(usage.other.iter().map(|oid| oid.to_id_string())).collect()
}

fn signature_name(algorithm: &AlgorithmIdentifier<'_>) -> String {
    let oid = algorithm.algorithm.to_id_string();
    let name = match oid.as_str() {
        "1.2.840.113549.1.1.4" => "MD5withRSA",
        "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" => "SHA-1withRSA",
        "1.2.840.113549.1.1.11" => "SHA-256withRSA",
        "1.2.840.113549.1.1.12" => "SHA-384withRSA",
        "1.2.840.113549.1.1.13" => "SHA-512withRSA",
        "1.2.840.113549.1.1.10" => return pss_name(algorithm),
        "1.2.840.10045.4.1" => "SHA-1withECDSA",
        "1.2.840.10045.4.3.2" => "SHA-256withECDSA",
        "1.2.840.10045.4.3.3" => "SHA-384withECDSA",
        "1.2.840.10045.4.3.4" => "SHA-512withECDSA",
        "1.3.101.112" => "Ed25519",
        "1.3.101.113" => "Ed448",
        _ => return oid,
    };
    name.to_owned()
}

/// RSASSA-PSS names its hash in its parameters (RFC 4055): SEQUENCE { [0] SEQUENCE { hash }, .. }.
fn pss_name(algorithm: &AlgorithmIdentifier<'_>) -> String {
    let hash = algorithm.parameters.as_ref().and_then(|parameters| {
        let mut reader = der::Reader::new(parameters.data);
        let oid = reader.enter(der::CONTEXT_0)?.enter(der::SEQUENCE)?.expect(der::OBJECT_IDENTIFIER)?;
        der::oid_text(oid)
    });
    let hash = match hash.as_deref() {
        Some("2.16.840.1.101.3.4.2.1") => "SHA-256",
        Some("2.16.840.1.101.3.4.2.2") => "SHA-384",
        Some("2.16.840.1.101.3.4.2.3") => "SHA-512",
        _ => "SHA-1",
    };
    format!("{hash}withRSA-PSS")
}

#[cfg(test)]
#[path = "tests/certificate.rs"]
mod tests;
