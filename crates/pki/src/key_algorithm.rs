//! Which kind of key: the algorithms that are made here, and names for those that are only read.

use std::fmt;

use crate::{Error, der};

/// Smallest RSA modulus, in bits, that is made or signed here.
pub const MIN_RSA_BITS: u32 = 2048;

/// Largest RSA modulus, in bits, that is signed here.
pub const MAX_RSA_BITS: u32 = 8192;

/// The algorithm of a key, with the size where the algorithm leaves it open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyAlgorithm {
    /// RSA with this many bits; 2048, 3072 and 4096 can be generated, others are only read.
    Rsa(u32),
    /// ECDSA on P-256 (secp256r1).
    EcdsaP256,
    /// ECDSA on P-384 (secp384r1).
    EcdsaP384,
    /// ECDSA on P-521 (secp521r1).
    EcdsaP521,
    /// EdDSA on Curve25519 (RFC 8410).
    Ed25519,
    /// Anything else a certificate may carry; read and shown, never made.
    Unknown,
}

impl KeyAlgorithm {
    /// Reads the contract's `KeyType` (`RSA`, `ECC`, `ECDSA`, `EC`, `Ed25519`), `KeyLength` in bits and `Curve`
    /// (object identifier or common name). Case is ignored; a size or curve left out means RSA 2048 or P-256.
    ///
    /// # Errors
    /// [`Error::KeyAlgorithmUnsupported`] for anything that [`crate::PrivateKey::generate`] could not make.
    pub fn parse(key_type: &str, key_length: Option<u32>, curve: Option<&str>) -> Result<Self, Error> {
        let curve = curve.map(str::trim).filter(|curve| !curve.is_empty());
        let key_length = key_length.filter(|bits| *bits != 0);
        let unsupported = |found: String| Error::KeyAlgorithmUnsupported { found };
        match key_type.trim().to_ascii_lowercase().as_str() {
            "rsa" => match key_length.unwrap_or(MIN_RSA_BITS) {
                bits @ (2048 | 3072 | 4096) => Ok(Self::Rsa(bits)),
                bits => Err(unsupported(format!("RSA with {bits} bits"))),
            },
            "ecc" | "ec" | "ecdsa" => match (curve, key_length) {
                (Some(curve), _) => {
                    Self::from_curve(curve).ok_or_else(|| unsupported(format!("curve {curve}")))
                }
                (None, None | Some(256)) => Ok(Self::EcdsaP256),
                (None, Some(384)) => Ok(Self::EcdsaP384),
                (None, Some(521)) => Ok(Self::EcdsaP521),
                (None, Some(bits)) => Err(unsupported(format!("ECC with {bits} bits"))),
            },
            "ed25519" => Ok(Self::Ed25519),
            other => Err(unsupported(other.to_owned())),
        }
    }

    fn from_curve(curve: &str) -> Option<Self> {
        match curve.to_ascii_lowercase().as_str() {
            "1.2.840.10045.3.1.7" | "p-256" | "p256" | "secp256r1" | "prime256v1" | "nistp256" => {
                Some(Self::EcdsaP256)
            }
            "1.3.132.0.34" | "p-384" | "p384" | "secp384r1" | "nistp384" => Some(Self::EcdsaP384),
            "1.3.132.0.35" | "p-521" | "p521" | "secp521r1" | "nistp521" => Some(Self::EcdsaP521),
            _ => None,
        }
    }

    /// Size of the key in bits; 0 when unknown.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Rsa(bits) => bits,
            Self::EcdsaP256 | Self::Ed25519 => 256,
            Self::EcdsaP384 => 384,
            Self::EcdsaP521 => 521,
            Self::Unknown => 0,
        }
    }

    /// The contract's name of the family, as in `KeyTypeString`: `RSA`, `ECC`, `Ed25519` or `Unknown`.
    pub const fn family(self) -> &'static str {
        match self {
            Self::Rsa(_) => "RSA",
            Self::EcdsaP256 | Self::EcdsaP384 | Self::EcdsaP521 => "ECC",
            Self::Ed25519 => "Ed25519",
            Self::Unknown => "Unknown",
        }
    }

    /// Object identifier of the public key algorithm (RFC 3279, RFC 8410), if it is known.
    pub const fn oid(self) -> Option<&'static str> {
        match self {
            Self::Rsa(_) => Some("1.2.840.113549.1.1.1"),
            Self::EcdsaP256 | Self::EcdsaP384 | Self::EcdsaP521 => Some("1.2.840.10045.2.1"),
            Self::Ed25519 => Some("1.3.101.112"),
            Self::Unknown => None,
        }
    }

    /// Object identifier of the curve (RFC 5480), for ECDSA keys only.
    pub const fn curve_oid(self) -> Option<&'static str> {
        match self {
            Self::EcdsaP256 => Some("1.2.840.10045.3.1.7"),
            Self::EcdsaP384 => Some("1.3.132.0.34"),
            Self::EcdsaP521 => Some("1.3.132.0.35"),
            Self::Rsa(_) | Self::Ed25519 | Self::Unknown => None,
        }
    }
}

/// The algorithm of a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7); unknown when it is not one of ours.
pub(crate) fn of_public_key(public_key: &[u8]) -> KeyAlgorithm {
    read_public_key(public_key).unwrap_or(KeyAlgorithm::Unknown)
}

fn read_public_key(public_key: &[u8]) -> Option<KeyAlgorithm> {
    let mut info = der::single(public_key, der::SEQUENCE)?;
    let mut algorithm = info.enter(der::SEQUENCE)?;
    let key = info.expect(der::BIT_STRING)?;
    match der::oid_text(algorithm.expect(der::OBJECT_IDENTIFIER)?)?.as_str() {
        "1.2.840.113549.1.1.1" => {
            // The first octet of a BIT STRING counts its unused bits.
            let modulus = der::single(key.get(1..)?, der::SEQUENCE)?.expect(der::INTEGER)?;
            let significant = modulus.iter().skip_while(|octet| **octet == 0);
            let first = significant.clone().next()?;
            let octets = u32::try_from(significant.count()).ok()?;
            Some(KeyAlgorithm::Rsa(octets * 8 - first.leading_zeros()))
        }
        "1.2.840.10045.2.1" => {
            KeyAlgorithm::from_curve(&der::oid_text(algorithm.expect(der::OBJECT_IDENTIFIER)?)?)
        }
        "1.3.101.112" => Some(KeyAlgorithm::Ed25519),
        _ => None,
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA {bits}"),
            Self::EcdsaP256 => f.write_str("ECDSA P-256"),
            Self::EcdsaP384 => f.write_str("ECDSA P-384"),
            Self::EcdsaP521 => f.write_str("ECDSA P-521"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Unknown => f.write_str("unknown algorithm"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_contracts_words() {
        let cases = [
            ("RSA", Some(4096), None, KeyAlgorithm::Rsa(4096)),
            ("rsa", None, Some(""), KeyAlgorithm::Rsa(2048)),
            ("ECC", None, Some("1.3.132.0.34"), KeyAlgorithm::EcdsaP384),
            ("ECC", Some(0), None, KeyAlgorithm::EcdsaP256),
            ("ecdsa", Some(384), None, KeyAlgorithm::EcdsaP384),
            ("Ed25519", Some(255), None, KeyAlgorithm::Ed25519),
        ];
        for (key_type, length, curve, expected) in cases {
            assert_eq!(KeyAlgorithm::parse(key_type, length, curve).unwrap(), expected);
        }
    }

    #[test]
    fn refuses_what_cannot_be_made() {
        for (key_type, length, curve) in [
            ("RSA", Some(1024), None),
            ("DSA", None, None),
            ("ECC", None, Some("1.3.132.0.10")),
            ("ECC", Some(255), None),
        ] {
            let refused = KeyAlgorithm::parse(key_type, length, curve);
            assert!(
                matches!(refused, Err(Error::KeyAlgorithmUnsupported { .. })),
                "{key_type} {length:?} {curve:?}"
            );
        }
    }
}
