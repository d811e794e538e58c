//! Subject alternative names (RFC 5280 section 4.2.1.6): read from certificates and requests, handed to the encoder,
//! and compared with host names (RFC 6125 section 6.4).

use std::{fmt, net::IpAddr};

use rcgen::SanType;
use x509_parser::extensions::GeneralName;

use crate::{DistinguishedName, Error, thumbprint::upper_hex};

/// Most octets of one name that is written.
pub const MAX_NAME_OCTETS: usize = 2_048;

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
    /// Any other kind; read and shown, never written.
    Other {
        /// Tag of the GeneralName: 0 other name, 3 X.400, 4 directory name, 5 EDI party, 8 registered id.
        tag: u8,
        /// The value as text: a distinguished name, an object identifier, or hexadecimal digits of its encoding.
        value: String,
    },
}

impl SubjectAlternativeName {
    /// Tag of the GeneralName (RFC 5280); the contract's numbers for SAN types are the same.
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
            GeneralName::OtherName(oid, value) => {
                Self::Other { tag: 0, value: format!("{}:{}", oid.to_id_string(), upper_hex(value)) }
            }
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
            Self::Other { .. } => Err(refused("names of this kind are not issued; use DNS, IP, URI or mail")),
        }
    }
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
            SubjectAlternativeName::Other { tag: 4, value: "CN=a".to_owned() },
        ];
        for name in names {
            assert!(matches!(name.to_encodable(), Err(Error::AlternativeName { .. })), "{name}");
        }
    }
}
