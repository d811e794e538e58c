//! Signing with exact names.
//!
//! `rcgen` keeps a distinguished name as a map, one value for each attribute, so `OU=Web,OU=IT` or the
//! `DC=corp,DC=example` of a directory would lose a part, and an authority's name would no longer match byte for
//! byte. So `rcgen` encodes everything with names that stand in, unsigned; then the exact names are put in their
//! places, and the result is signed here.

use chrono::{DateTime, Datelike as _, Utc};
use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey};

use crate::{DistinguishedName, Error, KeyAlgorithm, PrivateKey, der, key};

/// Last year that is encoded: GeneralizedTime has four digits (RFC 5280 section 4.1.2.5).
const LAST_YEAR: i32 = 9_999;

/// A key for `rcgen` that has a public half and leaves the signature empty.
pub(crate) struct Unsigned {
    algorithm: &'static SignatureAlgorithm,
    key: Vec<u8>,
}

impl Unsigned {
    /// Takes a SubjectPublicKeyInfo of a known algorithm.
    pub(crate) fn new(public_key: &[u8], algorithm: KeyAlgorithm) -> Result<Self, Error> {
        let bits = || {
            let mut info = der::single(public_key, der::SEQUENCE)?;
            info.enter(der::SEQUENCE)?;
            info.expect(der::BIT_STRING)?.get(1..)
        };
        let key = bits().ok_or_else(|| failed("the public key is not a SubjectPublicKeyInfo"))?.to_vec();
        Ok(Self { algorithm: key::signature_algorithm(algorithm)?, key })
    }
}

impl PublicKeyData for Unsigned {
    fn der_bytes(&self) -> &[u8] {
        &self.key
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

impl SigningKey for Unsigned {
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(Vec::new())
    }
}

/// A name for `rcgen` that is empty exactly when the real one is: it decides whether alternative names are critical.
pub(crate) fn stand_in(is_empty: bool) -> rcgen::DistinguishedName {
    let mut name = rcgen::DistinguishedName::new();
    if !is_empty {
        name.push(rcgen::DnType::CommonName, "stand-in");
    }
    name
}

/// Puts exact elements into a SEQUENCE { to be signed, algorithm, signature }, each at its place among the elements
/// to be signed, and signs the result.
pub(crate) fn sign_exactly(
    unsigned: &[u8],
    replacements: &[(usize, &[u8])],
    key: &PrivateKey,
) -> Result<Vec<u8>, Error> {
    let parts = || {
        let mut outer = der::single(unsigned, der::SEQUENCE)?;
        Some((outer.enter(der::SEQUENCE)?, outer.element()?.raw))
    };
    let (mut inner, algorithm) = parts().ok_or_else(|| failed("the encoder's output was not understood"))?;
    let mut elements: Vec<&[u8]> = Vec::new();
    while let Some(element) = inner.element() {
        let replacement = replacements.iter().find(|(place, _)| *place == elements.len());
        elements.push(replacement.map_or(element.raw, |(_, exact)| exact));
    }
    let signed_part = der::element(der::SEQUENCE, &elements);
    let signature = key.sign(&signed_part)?;
    let signature = der::element(der::BIT_STRING, &[&[0], &signature]);
    Ok(der::element(der::SEQUENCE, &[&signed_part, algorithm, &signature]))
}

/// An exact subject or issuer, as bytes.
pub(crate) fn name_der(name: &DistinguishedName) -> Vec<u8> {
    name.to_der()
}

/// A time as the encoder's type, in whole seconds.
pub(crate) fn encodable_time<T>(time: DateTime<Utc>, epoch: T) -> Result<T, Error>
where
    T: std::ops::Add<std::time::Duration, Output = T>,
{
    let seconds = u64::try_from(time.timestamp()).ok().filter(|_| time.year() <= LAST_YEAR);
    let seconds = seconds.ok_or_else(|| Error::NotEncodable {
        what: "time",
        value: time.to_string(),
        reason: "it must lie between 1970 and 9999",
    })?;
    Ok(epoch + std::time::Duration::from_secs(seconds))
}

/// A validity period that has a duration.
pub(crate) fn check_period(not_before: DateTime<Utc>, not_after: DateTime<Utc>) -> Result<(), Error> {
    if not_after.timestamp() <= not_before.timestamp() {
        return Err(Error::ValidityReversed { not_before, not_after });
    }
    Ok(())
}

/// The encoder's refusal, as ours.
pub(crate) fn encoding_failed(error: rcgen::Error) -> Error {
    failed(&error.to_string())
}

fn failed(reason: &str) -> Error {
    Error::Signing { reason: reason.to_owned() }
}
