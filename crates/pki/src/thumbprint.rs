//! The SHA-1 thumbprint: the name by which operators, IIS and the wire contracts know a certificate.
//! It identifies and does not protect: nothing here relies on SHA-1 being free of collisions.

use std::{fmt, str::FromStr};

use sha1::{Digest, Sha1};

use crate::Error;

/// SHA-1 over the DER of a certificate; shown as 40 upper-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thumbprint([u8; 20]);

impl Thumbprint {
    /// The thumbprint of a certificate's DER bytes.
    pub fn of(der: &[u8]) -> Self {
        Self(Sha1::digest(der).into())
    }

    /// Takes the 20 bytes of a thumbprint kept elsewhere.
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The 20 bytes.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// Reads 40 hexadecimal digits of either case; white space around them is ignored.
    ///
    /// # Errors
    /// [`Error::ThumbprintUnreadable`] for any other text.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let refused = || Error::ThumbprintUnreadable { length: text.chars().count() };
        let digits = text.as_bytes();
        if digits.len() != 40 {
            return Err(refused());
        }
        let mut bytes = [0; 20];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let (Some(high), Some(low)) = (hex_digit(pair[0]), hex_digit(pair[1])) else {
                return Err(refused());
            };
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

/// The value of one hexadecimal digit.
pub(crate) fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Upper-case hexadecimal digits of some bytes.
pub(crate) fn upper_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

impl FromStr for Thumbprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&upper_hex(&self.0))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_either_case_and_shows_upper_case() {
        let lower = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
        let thumbprint = Thumbprint::parse(lower).unwrap();
        assert_eq!(thumbprint, Thumbprint::of(b""));
        assert_eq!(thumbprint.to_string(), lower.to_uppercase());
        assert_eq!(Thumbprint::parse(&format!(" {}\n", lower.to_uppercase())).unwrap(), thumbprint);
    }

    #[test]
    fn refuses_other_text() {
        for text in ["", "da39", "zz39a3ee5e6b4b0d3255bfef95601890afd80709", "ééééééééééééééééééééé"]
        {
            assert!(matches!(Thumbprint::parse(text), Err(Error::ThumbprintUnreadable { .. })), "{text}");
        }
    }
}
