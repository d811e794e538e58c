//! Distinguished names (X.501, RFC 5280 section 4.1.2.4): as text, as DER, and by attribute.
//!
//! Parts are kept and shown most specific first, as RFC 4514, Windows and Keyfactor show them (`CN=www,O=Example`);
//! the encoding has them the other way round. Which names are allowed in a certificate is not decided here.

mod attribute;
mod text;

use std::{fmt, str::FromStr};

use x509_parser::{
    der_parser::asn1_rs::{Any, Tag},
    x509::X509Name,
};

use crate::{NameError, der, thumbprint::upper_hex};

pub use text::{MAX_ATTRIBUTES, MAX_NAME_CHARACTERS};

/// A distinguished name. Two names are equal when they have the same attributes and values in the same order,
/// whatever string types they were encoded with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct DistinguishedName {
    /// Relative distinguished names, most specific first; each has one attribute or, rarely, several.
    parts: Vec<Vec<Attribute>>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Attribute {
    /// Dotted object identifier.
    oid: String,
    value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Value {
    Text(String),
    /// A value that is no string, kept as its whole DER element.
    Der(Vec<u8>),
}

impl DistinguishedName {
    /// Reads text such as `CN=www.example.test,O=Example` (RFC 4514). Blanks around separators, quoted values, `;`
    /// between parts and empty parts or values (which are dropped) are accepted. Empty text is the empty name.
    ///
    /// # Errors
    /// [`NameError`] with the position of the first thing that is wrong: an unknown attribute, a missing `=`, an
    /// open quotation mark, a value too long for its attribute (64 characters for CN) or with wrong characters.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        text::parse(text)
    }

    /// A name of one common name.
    ///
    /// # Errors
    /// [`NameError`] when it is empty, longer than 64 characters or has a control character.
    pub fn from_common_name(common_name: &str) -> Result<Self, NameError> {
        let refused = |reason: &str| NameError { position: 1, reason: reason.to_owned() };
        if common_name.trim().is_empty() {
            return Err(refused("the common name is empty"));
        }
        text::check_value("2.5.4.3", common_name).map_err(|reason| refused(&reason))?;
        let attribute = Attribute { oid: "2.5.4.3".to_owned(), value: Value::Text(common_name.to_owned()) };
        Ok(Self { parts: vec![vec![attribute]] })
    }

    /// The most specific common name.
    pub fn common_name(&self) -> Option<&str> {
        self.values("CN").first().copied()
    }

    /// The organizational units, most specific first.
    pub fn organizational_units(&self) -> Vec<&str> {
        self.values("OU")
    }

    /// The first organization.
    pub fn organization(&self) -> Option<&str> {
        self.values("O").first().copied()
    }

    /// The first mail address (emailAddress, PKCS#9).
    pub fn email(&self) -> Option<&str> {
        self.values("E").first().copied()
    }

    /// Every value of an attribute, named by word (`CN`, `OU`, `O`, `L`, `ST`, `C`, `DC`, `E`, ...) or dotted object
    /// identifier, most specific first. Values that are no text are left out.
    pub fn values(&self, attribute: &str) -> Vec<&str> {
        let oid = attribute::by_word(attribute).map_or(attribute, |kind| kind.oid);
        self.parts
            .iter()
            .flatten()
            .filter(|found| found.oid == oid)
            .filter_map(|found| match &found.value {
                Value::Text(text) => Some(text.as_str()),
                Value::Der(_) => None,
            })
            .collect()
    }

    /// This name with the parts of another one behind its own, which are the less specific ones.
    pub fn followed_by(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self
    }

    /// Whether there is no attribute at all.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The name as the libraries read it from a certificate or request.
    pub(crate) fn from_x509(name: &X509Name<'_>) -> Self {
        let mut parts: Vec<Vec<Attribute>> = name
            .iter()
            .map(|part| {
                part.iter()
                    .map(|found| {
                        let value = found.attr_value();
                        let text = text_of(value.header.tag(), value.data);
                        let value = text.map_or_else(|| Value::Der(whole(value)), Value::Text);
                        Attribute { oid: found.attr_type().to_id_string(), value }
                    })
                    .collect::<Vec<_>>()
            })
            .filter(|part| !part.is_empty())
            .collect();
        parts.reverse();
        Self::from_parts(parts)
    }

    /// A part of several attributes is a set: here it is kept in one order, so that equal names are equal.
    fn from_parts(mut parts: Vec<Vec<Attribute>>) -> Self {
        for part in &mut parts {
            part.sort_by(|a, b| (attribute::rank(&a.oid), a).cmp(&(attribute::rank(&b.oid), b)));
        }
        Self { parts }
    }

    /// The Name element: least specific part first.
    pub(crate) fn to_der(&self) -> Vec<u8> {
        let sets: Vec<Vec<u8>> = self.parts.iter().rev().map(|part| set_of(part)).collect();
        let sets: Vec<&[u8]> = sets.iter().map(Vec::as_slice).collect();
        der::element(der::SEQUENCE, &sets)
    }
}

/// The element around a parsed value.
fn whole(value: &Any<'_>) -> Vec<u8> {
    let constructed = if value.header.is_constructed() { 0x20 } else { 0 };
    // Tags above 30 take several octets; no attribute of a name has one.
    let tag = (value.header.class() as u8) << 6 | constructed | (value.header.tag().0 & 0x1f) as u8;
    der::element(tag, &[value.data])
}

/// A relative distinguished name; DER wants the elements of a SET OF in order of their bytes.
fn set_of(part: &[Attribute]) -> Vec<u8> {
    let mut attributes: Vec<Vec<u8>> = part
        .iter()
        .map(|attribute| {
            let value = match &attribute.value {
                Value::Text(text) => der::element(string_tag(&attribute.oid, text), &[text.as_bytes()]),
                Value::Der(element) => element.clone(),
            };
            // An identifier was read from text that encodes, or from DER; one that does not encode stays empty and
            // is refused by whoever reads the certificate back.
            der::element(der::SEQUENCE, &[&der::oid_element(&attribute.oid).unwrap_or_default(), &value])
        })
        .collect();
    attributes.sort();
    let attributes: Vec<&[u8]> = attributes.iter().map(Vec::as_slice).collect();
    der::element(der::SET, &attributes)
}

/// The string type of an attribute, or UTF-8 where a value from elsewhere does not fit it.
fn string_tag(oid: &str, text: &str) -> u8 {
    match attribute::encoding(oid).0 {
        attribute::PRINTABLE_STRING if text.chars().all(attribute::is_printable) => {
            attribute::PRINTABLE_STRING
        }
        attribute::IA5_STRING if text.is_ascii() => attribute::IA5_STRING,
        _ => attribute::UTF8_STRING,
    }
}

/// The text of a directory string, if it is one and well formed.
fn text_of(tag: Tag, data: &[u8]) -> Option<String> {
    match tag {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            String::from_utf8(data.to_vec()).ok()
        }
        // T.61 in the wild is Latin-1.
        Tag::T61String => Some(data.iter().copied().map(char::from).collect()),
        Tag::BmpString if data.len().is_multiple_of(2) => {
            let units: Vec<u16> =
                data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            String::from_utf16(&units).ok()
        }
        Tag::UniversalString if data.len().is_multiple_of(4) => data
            .chunks_exact(4)
            .map(|unit| char::from_u32(u32::from_be_bytes([unit[0], unit[1], unit[2], unit[3]])))
            .collect(),
        _ => None,
    }
}

impl FromStr for DistinguishedName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl fmt::Display for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            for (inner, attribute) in part.iter().enumerate() {
                f.write_str(match (index, inner) {
                    (0, 0) => "",
                    (_, 0) => ",",
                    _ => "+",
                })?;
                let word =
                    attribute::by_oid(&attribute.oid).map_or(attribute.oid.as_str(), |kind| kind.words[0]);
                write!(f, "{word}=")?;
                match &attribute.value {
                    Value::Text(text) => write_escaped(f, text)?,
                    Value::Der(element) => write!(f, "#{}", upper_hex(element))?,
                }
            }
        }
        Ok(())
    }
}

/// Escapes a value as RFC 4514 section 2.4 asks.
fn write_escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    use fmt::Write as _;

    let last = text.chars().count().saturating_sub(1);
    for (index, character) in text.chars().enumerate() {
        let at_edge = (index == 0 && matches!(character, ' ' | '#')) || (index == last && character == ' ');
        if character.is_control() {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                write!(f, "\\{byte:02X}")?;
            }
            continue;
        }
        if at_edge || matches!(character, '"' | '+' | ',' | ';' | '<' | '>' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(character)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
