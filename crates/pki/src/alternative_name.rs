//! Subject alternative names (RFC 5280 section 4.2.1.6): read from certificates and requests, handed to the encoder,
//! and compared with host names (RFC 6125 section 6.4).

use std::{fmt, net::IpAddr};

use rcgen::{CertificateParams, CustomExtension, SanType};
use x509_parser::extensions::GeneralName;

use crate::{DistinguishedName, Error, der, thumbprint::upper_hex};

/// Most octets of one name that is written.
pub const MAX_NAME_OCTETS: usize = 2_048;
/// Tag by which the contract knows a principal name of Microsoft, as `user@realm`.
pub const PRINCIPAL_NAME: u8 = 100;
/// Tag by which the contract knows the GUID of a replicating directory server of Microsoft.
pub const REPLICATION: u8 = 101;

const PRINCIPAL_NAME_OID: &str = "1.3.6.1.4.1.311.20.2.3";
const REPLICATION_OID: &str = "1.3.6.1.4.1.311.25.1";
/// Object identifier of the extension.
const EXTENSION_OID: [u64; 4] = [2, 5, 29, 17];
const UTF8_STRING: u8 = 0x0c;

/// One name of a certificate or request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SubjectAlternativeName {
    /// A host name in ASCII, possibly with `*` as its first label.
    Dns(String),
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
    /// A URI.
    Uri(String),
    /// A mail address (rfc822Name).
    Email(String),
    /// Any other kind.
    Other {
        /// Tag of the GeneralName: 0 other name, 3 X.400, 4 directory name, 5 EDI party, 8 registered id; or
        /// [`PRINCIPAL_NAME`] or [`REPLICATION`]. X.400 and EDI party are never written.
        tag: u8,
        /// The value as text: a distinguished name, an object identifier, a principal name, a GUID; of an other name
        /// its object identifier and, after a colon, the hexadecimal digits of its value's element.
        value: String,
    },
}

impl SubjectAlternativeName {
    /// Tag of the GeneralName (RFC 5280), or of one of Microsoft's; the contract's numbers for SAN types are the same.
    pub const fn tag(&self) -> u8 {
        match self {
            Self::Email(_) => 1,
            Self::Dns(_) => 2,
            Self::Uri(_) => 6,
            Self::Ip(_) => 7,
            Self::Other { tag, .. } => *tag,
        }
    }

    pub(crate) fn from_general_name(name: &GeneralName<'_>) -> Self {
        match name {
            GeneralName::DNSName(text) => Self::Dns((*text).to_owned()),
            GeneralName::URI(text) => Self::Uri((*text).to_owned()),
            GeneralName::RFC822Name(text) => Self::Email((*text).to_owned()),
            GeneralName::IPAddress(octets) => {
                address(octets).map_or_else(|| Self::Other { tag: 7, value: upper_hex(octets) }, Self::Ip)
            }
            GeneralName::DirectoryName(name) => {
                Self::Other { tag: 4, value: DistinguishedName::from_x509(name).to_string() }
            }
            GeneralName::RegisteredID(oid) => Self::Other { tag: 8, value: oid.to_id_string() },
            GeneralName::OtherName(oid, value) => other_name(&oid.to_id_string(), value),
            GeneralName::X400Address(any) => Self::Other { tag: 3, value: upper_hex(any.data) },
            GeneralName::EDIPartyName(any) => Self::Other { tag: 5, value: upper_hex(any.data) },
            GeneralName::Invalid(tag, data) => Self::Other { tag: tag.0 as u8, value: upper_hex(data) },
        }
    }

    /// The name for the encoder. It must be printable ASCII: international names are given in their ASCII form.
    pub(crate) fn to_encodable(&self) -> Result<SanType, Error> {
        let refused = |reason| Error::AlternativeName { value: self.to_string(), reason };
        let ascii = |text: &str| -> Result<rcgen::string::Ia5String, Error> {
            if text.is_empty() || text.len() > MAX_NAME_OCTETS {
                return Err(refused("it must have 1 to 2048 characters"));
            }
            if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(refused("only printable ASCII without blanks can be encoded; use the xn-- form"));
            }
            text.try_into().map_err(|_| refused("it is not ASCII"))
        };
        match self {
            Self::Dns(text) => Ok(SanType::DnsName(ascii(text)?)),
            Self::Uri(text) => Ok(SanType::URI(ascii(text)?)),
            Self::Email(text) => Ok(SanType::Rfc822Name(ascii(text)?)),
            Self::Ip(address) => Ok(SanType::IpAddress(*address)),
            Self::Other { .. } => Err(refused("the encoder does not know names of this kind")),
        }
    }

    /// The name as the element of a GeneralName.
    fn to_der(&self) -> Result<Vec<u8>, Error> {
        let refused = |reason| Error::AlternativeName { value: self.to_string(), reason };
        let tagged = |tag: u8, content: &[u8]| Ok(der::element(tag, &[content]));
        match (self, self.to_encodable()) {
            (Self::Other { tag, value }, _) => other_der(*tag, value).map_err(refused),
            (_, Err(error)) => Err(error),
            (Self::Email(text), _) => tagged(0x81, text.as_bytes()),
            (Self::Dns(text), _) => tagged(0x82, text.as_bytes()),
            (Self::Uri(text), _) => tagged(0x86, text.as_bytes()),
            (Self::Ip(IpAddr::V4(address)), _) => tagged(0x87, &address.octets()),
            (Self::Ip(IpAddr::V6(address)), _) => tagged(0x87, &address.octets()),
        }
    }
}

/// Puts names into what is to be encoded. Kinds that the encoder does not know are written here, and then all of them,
/// so that their order stays.
pub(crate) fn put_into(
    params: &mut CertificateParams,
    names: &[SubjectAlternativeName],
    critical: bool,
) -> Result<(), Error> {
    if !names.iter().any(|name| matches!(name, SubjectAlternativeName::Other { .. })) {
        params.subject_alt_names =
            names.iter().map(SubjectAlternativeName::to_encodable).collect::<Result<_, _>>()?;
        return Ok(());
    }
    let elements: Vec<Vec<u8>> =
        names.iter().map(SubjectAlternativeName::to_der).collect::<Result<_, _>>()?;
    let elements: Vec<&[u8]> = elements.iter().map(Vec::as_slice).collect();
    let content = der::element(der::SEQUENCE, &elements);
    let mut extension = CustomExtension::from_oid_content(&EXTENSION_OID, content);
    extension.set_criticality(critical);
    params.custom_extensions.push(extension);
    Ok(())
}

/// An other name: its value stands behind its object identifier, in an element with context tag 0.
fn other_name(oid: &str, value: &[u8]) -> SubjectAlternativeName {
    let inner = |tag: u8| der::single(value, der::CONTEXT_0).and_then(|mut inner| inner.expect(tag));
    let known = match oid {
        PRINCIPAL_NAME_OID => inner(UTF8_STRING)
            .and_then(|text| std::str::from_utf8(text).ok())
            .map(|text| (PRINCIPAL_NAME, text.to_owned())),
        REPLICATION_OID => inner(der::OCTET_STRING).and_then(guid_text).map(|text| (REPLICATION, text)),
        _ => None,
    };
    let (tag, value) = known.unwrap_or_else(|| (0, format!("{oid}:{}", upper_hex(value))));
    SubjectAlternativeName::Other { tag, value }
}

fn other_der(tag: u8, value: &str) -> Result<Vec<u8>, &'static str> {
    if value.is_empty() || value.len() > 2 * MAX_NAME_OCTETS {
        return Err("it is empty or too long");
    }
    let other = |oid: &str, value: &[u8]| {
        let oid = der::oid_element(oid).ok_or("it does not begin with an object identifier")?;
        Ok(der::element(der::CONTEXT_0, &[&oid, value]))
    };
    let explicit = |tag: u8, content: &[u8]| der::element(der::CONTEXT_0, &[&der::element(tag, &[content])]);
    match tag {
        0 => {
            let (oid, digits) =
                value.split_once(':').ok_or("expected an object identifier, a colon and digits")?;
            let bytes = unhex(digits).ok_or("expected hexadecimal digits behind the colon")?;
            der::single(&bytes, der::CONTEXT_0).ok_or("its value is no element with context tag 0")?;
            other(oid, &bytes)
        }
        4 => {
            let name = DistinguishedName::parse(value).map_err(|_| "expected a distinguished name")?;
            Ok(der::element(0xa4, &[&name.to_der()]))
        }
        8 => {
            let oid = der::oid_element(value).ok_or("expected an object identifier")?;
            let content = der::Reader::new(&oid).expect(der::OBJECT_IDENTIFIER).unwrap_or_default();
            Ok(der::element(0x88, &[content]))
        }
        PRINCIPAL_NAME => other(PRINCIPAL_NAME_OID, &explicit(UTF8_STRING, value.as_bytes())),
        REPLICATION => {
            let guid = guid_octets(value).ok_or("expected a GUID")?;
            other(REPLICATION_OID, &explicit(der::OCTET_STRING, &guid))
        }
        _ => Err("names of this kind are not issued"),
    }
}

/// The value of an other name whose value is this text: its object identifier and its element, as [`SubjectAlternativeName`]
/// has them.
pub fn other_name_of_text(oid: &str, text: &str) -> SubjectAlternativeName {
    let element = der::element(der::CONTEXT_0, &[&der::element(UTF8_STRING, &[text.as_bytes()])]);
    SubjectAlternativeName::Other { tag: 0, value: format!("{oid}:{}", upper_hex(&element)) }
}

/// Microsoft keeps the first three parts of a GUID with their lowest octet first.
fn guid_octets(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|letter| !"-{}".contains(*letter)).collect();
    let mut octets: [u8; 16] = unhex(&digits)?.try_into().ok()?;
    octets[..4].reverse();
    octets[4..6].reverse();
    octets[6..8].reverse();
    Some(octets)
}

fn guid_text(octets: &[u8]) -> Option<String> {
    let mut octets: [u8; 16] = octets.try_into().ok()?;
    octets[..4].reverse();
    octets[4..6].reverse();
    octets[6..8].reverse();
    let digits = upper_hex(&octets).to_ascii_lowercase();
    let parts =
        [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part).unwrap_or_default().to_owned());
    Some(parts.join("-"))
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(IpAddr::from(octets));
    }
    <[u8; 16]>::try_from(octets).ok().map(IpAddr::from)
}

/// Whether a DNS name of a certificate covers a host: ASCII case is ignored, and `*` stands for exactly one whole
/// first label. A host that is not ASCII is covered by nothing: compare its `xn--` form.
pub(crate) fn covers(pattern: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() || !host.is_ascii() {
        return false;
    }
    if pattern.eq_ignore_ascii_case(host) {
        return !pattern.contains('*');
    }
    let (Some(suffix), Some((first, rest))) = (pattern.strip_prefix("*."), host.split_once('.')) else {
        return false;
    };
    !first.is_empty() && !suffix.contains('*') && !suffix.is_empty() && suffix.eq_ignore_ascii_case(rest)
}

impl fmt::Display for SubjectAlternativeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(text) | Self::Uri(text) | Self::Email(text) => f.write_str(text),
            Self::Ip(address) => address.fmt(f),
            Self::Other { value, .. } => f.write_str(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_one_whole_first_label() {
        let covered = [
            ("www.example.test", "WWW.Example.test"),
            ("www.example.test", "www.example.test."),
            ("*.example.test", "shop.EXAMPLE.test"),
            ("*.example.test", "xn--mnchen-3ya.example.test"),
        ];
        for (pattern, host) in covered {
            assert!(covers(pattern, host), "{pattern} {host}");
        }
        let not_covered = [
            ("*.example.test", "example.test"),
            ("*.example.test", "a.b.example.test"),
            ("*.example.test", ".example.test"),
            ("*.example.test", "*.example.test"),
            ("w*.example.test", "www.example.test"),
            ("www.*.test", "www.example.test"),
            ("*", "localhost"),
            ("*.", "a."),
            ("münchen.test", "münchen.test"),
            ("", ""),
        ];
        for (pattern, host) in not_covered {
            assert!(!covers(pattern, host), "{pattern} {host}");
        }
    }

    #[test]
    fn names_that_cannot_be_encoded_are_refused() {
        let names = [
            SubjectAlternativeName::Dns("münchen.test".to_owned()),
            SubjectAlternativeName::Dns(String::new()),
            SubjectAlternativeName::Uri("https://example.test/a b".to_owned()),
            SubjectAlternativeName::Other { tag: 4, value: "nothing".to_owned() },
            SubjectAlternativeName::Other { tag: 8, value: "1.x".to_owned() },
            SubjectAlternativeName::Other { tag: 3, value: "00".to_owned() },
            SubjectAlternativeName::Other { tag: 0, value: "1.2.3:0C0161".to_owned() },
            SubjectAlternativeName::Other { tag: 0, value: "1.2.3:A0030C016".to_owned() },
            SubjectAlternativeName::Other { tag: REPLICATION, value: "0".to_owned() },
            SubjectAlternativeName::Other { tag: PRINCIPAL_NAME, value: String::new() },
        ];
        for name in names {
            assert!(matches!(name.to_der(), Err(Error::AlternativeName { .. })), "{name}");
        }
    }

    #[test]
    fn names_of_every_kind_are_read_as_they_were_written() {
        use crate::{CertificateRequest, KeyAlgorithm, PrivateKey};
        let other = |tag, value: &str| SubjectAlternativeName::Other { tag, value: value.to_owned() };
        let names = [
            other(PRINCIPAL_NAME, "ann@corp.example.test"),
            SubjectAlternativeName::Dns("www.example.test".to_owned()),
            other(REPLICATION, "7a6f1c52-0d1e-4f0b-9a6c-2f6f5f0f7a10"),
            other(4, "CN=web,O=Example"),
            other(8, "1.2.840.113549"),
            other_name_of_text("1.2.3.4", "gr\u{fc}n"),
            SubjectAlternativeName::Ip("2001:db8::7".parse().unwrap()),
        ];
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let subject = DistinguishedName::parse("CN=www.example.test").unwrap();
        let request = CertificateRequest::create(&key, &subject, &names).unwrap();
        assert_eq!(request.subject_alternative_names(), names);
        assert_eq!(
            guid_octets("7a6f1c52-0d1e-4f0b-9a6c-2f6f5f0f7a10").unwrap()[..4],
            [0x52, 0x1c, 0x6f, 0x7a]
        );
    }
}
