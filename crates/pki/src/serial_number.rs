//! Certificate serial numbers (RFC 5280 section 4.1.2.2): positive integers of at most 20 octets.

use std::{fmt, str::FromStr};

use crate::{
    Error,
    thumbprint::{hex_digit, upper_hex},
};

/// Most octets of a serial number that are read back; RFC 5280 allows 20.
pub const MAX_SERIAL_OCTETS: usize = 20;

/// The serial number of a certificate, shown as upper-case hexadecimal digits without leading zero octets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SerialNumber(Vec<u8>);

impl SerialNumber {
    /// A positive serial number of exactly 16 octets from 16 random bytes, which the caller supplies so that it can
    /// repeat them. Two bits are spent on sign and length; 126 stay random.
    pub fn from_random(mut random: [u8; 16]) -> Self {
        random[0] = random[0] & 0x7f | 0x40;
        Self(random.to_vec())
    }

    /// Reads hexadecimal digits of either case; an odd number of digits and leading zeros are accepted.
    ///
    /// # Errors
    /// [`Error::SerialNumberUnreadable`] when empty, too long, or not hexadecimal.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut digits = text.trim().to_owned();
        if digits.is_empty() || digits.len() > 2 * MAX_SERIAL_OCTETS {
            return Err(Error::SerialNumberUnreadable);
        }
        if !digits.len().is_multiple_of(2) {
            digits.insert(0, '0');
        }
        let bytes: Option<Vec<u8>> = digits
            .as_bytes()
            .chunks_exact(2)
            .map(|pair| Some(hex_digit(pair[0])? << 4 | hex_digit(pair[1])?))
            .collect();
        Ok(Self::from_bytes(&bytes.ok_or(Error::SerialNumberUnreadable)?))
    }

    /// Takes the octets of the encoded integer, most significant first.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len().saturating_sub(1));
        Self(bytes.get(start..).unwrap_or_default().to_vec())
    }

    /// The octets, most significant first, without leading zeros.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for SerialNumber {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&upper_hex(&self.0))
    }
}

impl fmt::Debug for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SerialNumber({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_serials_are_positive_and_keep_their_length() {
        for random in [[0; 16], [0xff; 16]] {
            let serial = SerialNumber::from_random(random);
            assert_eq!(serial.as_bytes().len(), 16);
            assert!(serial.as_bytes()[0] < 0x80);
        }
    }

    #[test]
    fn text_round_trips_without_leading_zeros() {
        assert_eq!(SerialNumber::parse("3c9A77e1").unwrap().to_string(), "3C9A77E1");
        assert_eq!(SerialNumber::parse("0001").unwrap().to_string(), "01");
        assert_eq!(SerialNumber::parse("abc").unwrap().to_string(), "0ABC");
        assert_eq!(SerialNumber::parse("00").unwrap().to_string(), "00");
        for text in ["", "xyz", &"1".repeat(41)] {
            assert_eq!(SerialNumber::parse(text), Err(Error::SerialNumberUnreadable));
        }
    }
}
