//! The bytes of a Java keystore: counts, lengths and texts, each held against its bound before anything is taken.
//! It opens no key and reads no certificate.

use chrono::{DateTime, Utc};

use super::{MAX_BYTES, MAX_CHAIN, MAX_ENTRIES};
use crate::{JavaKeystoreError, certificate::MAX_CERTIFICATE_BYTES, key::MAX_KEY_BYTES};

/// Octets of the digest that ends a file.
pub(super) const DIGEST_BYTES: usize = 20;
/// Largest protected key: the key with its salt, its check, and the names of the scheme.
pub(super) const MAX_PROTECTED_BYTES: usize = MAX_KEY_BYTES + 256;

const MAGIC: u32 = 0xfeed_feed;
const MAGIC_JCEKS: u32 = 0xcece_cece;
const VERSION: u32 = 2;
const TAG_KEY: u32 = 1;
const TAG_TRUSTED: u32 = 2;
const CERTIFICATE_TYPE: &str = "X.509";
/// First octet of a DER SEQUENCE, with which every PKCS#12 file begins.
const DER_SEQUENCE: u8 = 0x30;

/// One entry as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) alias: String,
    pub(super) created: DateTime<Utc>,
    pub(super) content: ItemContent,
}

/// What an entry holds, undecoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ItemContent {
    Key { protected: Vec<u8>, chain: Vec<Vec<u8>> },
    Trusted(Vec<u8>),
}

/// Reads the entries of a file; its digest is left to the caller, and there is one when this succeeds.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Item>, JavaKeystoreError> {
    if bytes.len() > MAX_BYTES {
        return Err(JavaKeystoreError::TooLarge { size: bytes.len(), limit: MAX_BYTES });
    }
    let mut cursor = Cursor { bytes, at: 0 };
    match cursor.number("the magic number") {
        Ok(MAGIC) => {}
        Ok(MAGIC_JCEKS) => return Err(JavaKeystoreError::OtherKind { kind: "JCEKS" }),
        _ if bytes.first() == Some(&DER_SEQUENCE) => {
            return Err(JavaKeystoreError::OtherKind { kind: "PKCS#12" });
        }
        _ => return Err(JavaKeystoreError::Malformed { position: 0, reason: "the magic number is missing" }),
    }
    let version = cursor.number("the version")?;
    if version != VERSION {
        return Err(JavaKeystoreError::Version { version });
    }
    let count = cursor.number("the number of entries")? as usize;
    if count > MAX_ENTRIES {
        return Err(JavaKeystoreError::TooManyEntries { found: count, limit: MAX_ENTRIES });
    }
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(cursor.item()?);
    }
    match bytes.len() - cursor.at {
        DIGEST_BYTES => Ok(items),
        _ => Err(cursor.refuse("the digest of 20 octets should end the file here")),
    }
}

/// Writes entries; the digest is to follow.
pub(super) fn write(items: &[Item]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_number(&mut bytes, MAGIC);
    put_number(&mut bytes, VERSION);
    put_length(&mut bytes, items.len());
    for item in items {
        let tag = if matches!(item.content, ItemContent::Key { .. }) { TAG_KEY } else { TAG_TRUSTED };
        put_number(&mut bytes, tag);
        put_text(&mut bytes, &item.alias);
        bytes.extend_from_slice(&item.created.timestamp_millis().to_be_bytes());
        match &item.content {
            ItemContent::Key { protected, chain } => {
                put_octets(&mut bytes, protected);
                put_length(&mut bytes, chain.len());
                for certificate in chain {
                    put_certificate(&mut bytes, certificate);
                }
            }
            ItemContent::Trusted(certificate) => put_certificate(&mut bytes, certificate),
        }
    }
    bytes
}

fn put_number(bytes: &mut Vec<u8>, number: u32) {
    bytes.extend_from_slice(&number.to_be_bytes());
}

/// Lengths and counts are within the named bounds, far below what four octets hold.
fn put_length(bytes: &mut Vec<u8>, length: usize) {
    put_number(bytes, u32::try_from(length).unwrap_or(u32::MAX));
}

fn put_octets(bytes: &mut Vec<u8>, octets: &[u8]) {
    put_length(bytes, octets.len());
    bytes.extend_from_slice(octets);
}

fn put_certificate(bytes: &mut Vec<u8>, certificate: &[u8]) {
    put_text(bytes, CERTIFICATE_TYPE);
    put_octets(bytes, certificate);
}

/// Java's modified UTF-8: each UTF-16 unit by itself in one to three octets, and NUL in two. The callers' bound on
/// aliases keeps the length below what two octets hold.
fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let mut octets = Vec::new();
    for unit in text.encode_utf16() {
        match unit {
            1..=0x7f => octets.push(unit as u8),
            0 | 0x80..=0x7ff => octets.extend([0xc0 | (unit >> 6) as u8, 0x80 | (unit & 0x3f) as u8]),
            _ => octets.extend([
                0xe0 | (unit >> 12) as u8,
                0x80 | (unit >> 6 & 0x3f) as u8,
                0x80 | (unit & 0x3f) as u8,
            ]),
        }
    }
    bytes.extend_from_slice(&u16::try_from(octets.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend_from_slice(&octets);
}

/// A place in the file, and what may be taken from there.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn refuse(&self, reason: &'static str) -> JavaKeystoreError {
        JavaKeystoreError::Malformed { position: self.at, reason }
    }

    fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], JavaKeystoreError> {
        let taken = self.at.checked_add(length).and_then(|end| self.bytes.get(self.at..end));
        let Some(taken) = taken else {
            return Err(JavaKeystoreError::Truncated { position: self.at, what });
        };
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], JavaKeystoreError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    fn number(&mut self, what: &'static str) -> Result<u32, JavaKeystoreError> {
        self.array(what).map(u32::from_be_bytes)
    }

    /// A number that counts or measures what follows.
    fn bounded(&mut self, limit: usize, what: &'static str) -> Result<usize, JavaKeystoreError> {
        let number = self.number(what)? as usize;
        if number > limit {
            return Err(self.refuse("a length or number before this place is out of bounds"));
        }
        Ok(number)
    }

    fn octets(&mut self, limit: usize, what: &'static str) -> Result<Vec<u8>, JavaKeystoreError> {
        let length = self.bounded(limit, what)?;
        self.take(length, what).map(<[u8]>::to_vec)
    }

    fn item(&mut self) -> Result<Item, JavaKeystoreError> {
        let tag = self.number("the kind of an entry")?;
        if !matches!(tag, TAG_KEY | TAG_TRUSTED) {
            return Err(self.refuse("an entry before this place is neither a key nor a trusted certificate"));
        }
        let alias = self.text("an alias")?;
        let created = DateTime::from_timestamp_millis(i64::from_be_bytes(self.array("a creation date")?))
            .ok_or_else(|| self.refuse("a creation date before this place is out of range"))?;
        let content = if tag == TAG_TRUSTED {
            ItemContent::Trusted(self.certificate()?)
        } else {
            let protected = self.octets(MAX_PROTECTED_BYTES, "a private key")?;
            let length = self.bounded(MAX_CHAIN, "the length of a chain")?;
            let mut chain = Vec::new();
            for _ in 0..length {
                chain.push(self.certificate()?);
            }
            ItemContent::Key { protected, chain }
        };
        Ok(Item { alias, created, content })
    }

    fn certificate(&mut self) -> Result<Vec<u8>, JavaKeystoreError> {
        if self.text("the type of a certificate")? != CERTIFICATE_TYPE {
            return Err(self.refuse("the certificate at this place is not X.509"));
        }
        self.octets(MAX_CERTIFICATE_BYTES, "a certificate")
    }

    fn text(&mut self, what: &'static str) -> Result<String, JavaKeystoreError> {
        let length = u16::from_be_bytes(self.array(what)?);
        let octets = self.take(usize::from(length), what)?;
        units(octets)
            .and_then(|units| String::from_utf16(&units).ok())
            .ok_or_else(|| self.refuse("a text before this place is not modified UTF-8"))
    }
}

/// The UTF-16 units of modified UTF-8.
fn units(octets: &[u8]) -> Option<Vec<u16>> {
    let continued =
        |octet: Option<&u8>| octet.filter(|octet| *octet & 0xc0 == 0x80).map(|octet| u16::from(octet & 0x3f));
    let mut units = Vec::new();
    let mut rest = octets.iter();
    while let Some(first) = rest.next() {
        let high = u16::from(*first);
        units.push(match first {
            0x00..=0x7f => high,
            0xc0..=0xdf => (high & 0x1f) << 6 | continued(rest.next())?,
            0xe0..=0xef => (high & 0x0f) << 12 | continued(rest.next())? << 6 | continued(rest.next())?,
            _ => return None,
        });
    }
    Some(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_round_trip_in_modified_utf_8() {
        for text in ["", "www.example.test", "straße", "漢字", "a\0b", "emoji \u{1f600}"] {
            let mut bytes = Vec::new();
            put_text(&mut bytes, text);
            let mut cursor = Cursor { bytes: &bytes, at: 0 };
            assert_eq!(cursor.text("a text").unwrap(), text);
            assert_eq!(cursor.at, bytes.len());
        }
        let mut nul = Vec::new();
        put_text(&mut nul, "\0");
        assert_eq!(nul, [0, 2, 0xc0, 0x80], "no text has an octet of zero");
        // A lone surrogate, a cut sequence, and plain UTF-8 beyond the plane.
        for bad in [&[0xed, 0xa0, 0x80][..], &[0xc3], &[0xe6, 0xbc], &[0xf0, 0x9f, 0x98, 0x80], &[0x80]] {
            let text = [&(bad.len() as u16).to_be_bytes()[..], bad].concat();
            assert!(Cursor { bytes: &text, at: 0 }.text("a text").is_err(), "{bad:x?}");
        }
    }
}
