//! Looks through a PKCS#12 file before it is opened: counts what is inside and refuses key derivations that would
//! hold a processor for long. Encrypted parts are opened here too (after their own derivation was found cheap),
//! because further derivations may hide inside them.

use super::{Limits, decryption};
use crate::{
    Pkcs12Error,
    der::{self, CONTEXT_0, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE},
};

const DATA: &str = "1.2.840.113549.1.7.1";
const ENCRYPTED_DATA: &str = "1.2.840.113549.1.7.6";
const PBMAC1: &str = "1.2.840.113549.1.5.14";
const KEY_BAG: &str = "1.2.840.113549.1.12.10.1.1";
const SHROUDED_KEY_BAG: &str = "1.2.840.113549.1.12.10.1.2";
const CERTIFICATE_BAG: &str = "1.2.840.113549.1.12.10.1.3";
const SECRET_BAG: &str = "1.2.840.113549.1.12.10.1.5";
/// Context tag 0, primitive: the encrypted content of CMS (RFC 5652 section 6.1).
const IMPLICIT_CONTENT: u8 = 0x80;

/// Checks a whole file and answers how many bags are of kinds that are not read.
pub(super) fn inspect(bytes: &[u8], password: &str, limits: Limits) -> Result<usize, Pkcs12Error> {
    if bytes.len() > limits.max_bytes {
        return Err(Pkcs12Error::TooLarge { size: bytes.len(), limit: limits.max_bytes });
    }
    let mut inspection =
        Inspection { password, limits, total_iterations: 0, bags: 0, unsupported: 0, safes: vec![] };
    inspection.file(bytes)?;
    inspection.open_encrypted()?;
    Ok(inspection.unsupported)
}

struct Inspection<'a> {
    password: &'a str,
    limits: Limits,
    total_iterations: u64,
    bags: usize,
    unsupported: usize,
    /// Encrypted safes to be opened when everything visible was found cheap: scheme and content.
    safes: Vec<(decryption::Scheme<'a>, &'a [u8])>,
}

const fn malformed(reason: &'static str) -> Pkcs12Error {
    Pkcs12Error::Malformed { reason }
}

impl<'a> Inspection<'a> {
    /// PFX: SEQUENCE { version, ContentInfo, MacData OPTIONAL }.
    fn file(&mut self, bytes: &'a [u8]) -> Result<(), Pkcs12Error> {
        let mut file = der::single(bytes, SEQUENCE).ok_or(malformed("it is not one DER sequence"))?;
        let broken = || malformed("the outer structure is not that of RFC 7292");
        if file.expect(INTEGER) != Some(&[3]) {
            return Err(malformed("its version is not 3"));
        }
        let mut content = file.enter(SEQUENCE).ok_or_else(broken)?;
        if oid(&mut content).ok_or_else(broken)? != DATA {
            return Err(Pkcs12Error::Unsupported {
                what: "a public-key signature instead of a password".to_owned(),
            });
        }
        let safes =
            content.enter(CONTEXT_0).and_then(|mut inner| inner.expect(OCTET_STRING)).ok_or_else(broken)?;
        if file.is_empty() {
            if self.limits.require_mac {
                return Err(Pkcs12Error::MacMissing);
            }
        } else {
            self.mac(file.enter(SEQUENCE).ok_or_else(broken)?)?;
        }
        let mut safes = der::single(safes, SEQUENCE).ok_or_else(broken)?;
        while !safes.is_empty() {
            let safe = safes.enter(SEQUENCE).ok_or_else(broken)?;
            self.safe(safe)?;
        }
        Ok(())
    }

    /// MacData: SEQUENCE { DigestInfo, salt, iterations DEFAULT 1 }.
    fn mac(&mut self, mut mac: Reader<'a>) -> Result<(), Pkcs12Error> {
        let broken = || malformed("its message authentication code is broken");
        let mut digest = mac.enter(SEQUENCE).ok_or_else(broken)?;
        let algorithm = digest.enter(SEQUENCE).and_then(|mut inner| oid(&mut inner)).ok_or_else(broken)?;
        if algorithm == PBMAC1 {
            return Err(Pkcs12Error::Unsupported { what: "PBMAC1".to_owned() });
        }
        mac.expect(OCTET_STRING).ok_or_else(broken)?;
        let iterations = if mac.is_empty() { 1 } else { decryption::count(&mut mac).ok_or_else(broken)? };
        self.spend(iterations)
    }

    /// ContentInfo of one safe: plain bags, or bags under one encryption.
    fn safe(&mut self, mut safe: Reader<'a>) -> Result<(), Pkcs12Error> {
        let broken = || malformed("a safe inside is broken");
        let kind = oid(&mut safe).ok_or_else(broken)?;
        let mut content = safe.enter(CONTEXT_0).ok_or_else(broken)?;
        match kind.as_str() {
            DATA => self.bags(content.expect(OCTET_STRING).ok_or_else(broken)?),
            ENCRYPTED_DATA => {
                let mut data = content.enter(SEQUENCE).ok_or_else(broken)?;
                data.expect(INTEGER).ok_or_else(broken)?;
                let mut info = data.enter(SEQUENCE).ok_or_else(broken)?;
                oid(&mut info).ok_or_else(broken)?;
                let scheme = self.scheme(&mut info)?;
                if let Some(encrypted) = info.expect(IMPLICIT_CONTENT) {
                    self.safes.push((scheme, encrypted));
                }
                Ok(())
            }
            other => Err(Pkcs12Error::Unsupported { what: format!("content of type {other}") }),
        }
    }

    fn open_encrypted(&mut self) -> Result<(), Pkcs12Error> {
        for (scheme, encrypted) in std::mem::take(&mut self.safes) {
            let bags = scheme.decrypt(encrypted, self.password).ok_or(Pkcs12Error::WrongPassword)?;
            // Garbage that happens to end in good padding comes from a wrong password as well.
            der::single(&bags, SEQUENCE).ok_or(Pkcs12Error::WrongPassword)?;
            let mut inner =
                Inspection { password: self.password, limits: self.limits, safes: Vec::new(), ..*self };
            inner.bags(&bags)?;
            (self.total_iterations, self.bags, self.unsupported) =
                (inner.total_iterations, inner.bags, inner.unsupported);
        }
        Ok(())
    }

    /// SafeContents: SEQUENCE OF SafeBag { id, [0] value, attributes OPTIONAL }.
    fn bags<'b>(&mut self, bytes: &'b [u8]) -> Result<(), Pkcs12Error> {
        let broken = || malformed("a bag inside is broken");
        let mut bags = der::single(bytes, SEQUENCE).ok_or_else(broken)?;
        while !bags.is_empty() {
            self.bags += 1;
            if self.bags > self.limits.max_bags {
                return Err(Pkcs12Error::TooManyBags { found: self.bags, limit: self.limits.max_bags });
            }
            let mut bag: Reader<'b> = bags.enter(SEQUENCE).ok_or_else(broken)?;
            let kind = oid(&mut bag).ok_or_else(broken)?;
            let mut value = bag.enter(CONTEXT_0).ok_or_else(broken)?;
            match kind.as_str() {
                KEY_BAG | CERTIFICATE_BAG => {}
                SHROUDED_KEY_BAG => {
                    self.scheme(&mut value.enter(SEQUENCE).ok_or_else(broken)?)?;
                }
                SECRET_BAG => {
                    self.unsupported += 1;
                    self.secret(value.enter(SEQUENCE).ok_or_else(broken)?)?;
                }
                _ => self.unsupported += 1,
            }
        }
        Ok(())
    }

    /// SecretBag of Java: SEQUENCE { id, [0] OCTET STRING { EncryptedPrivateKeyInfo } }.
    fn secret(&mut self, mut secret: Reader<'_>) -> Result<(), Pkcs12Error> {
        let shrouded = oid(&mut secret)
            .and_then(|_| secret.enter(CONTEXT_0)?.expect(OCTET_STRING))
            .and_then(|inner| der::single(inner, SEQUENCE));
        shrouded.map_or(Ok(()), |mut inner| self.scheme(&mut inner).map(|_| ()))
    }

    /// Reads an encryption algorithm and counts its iterations.
    fn scheme<'b>(&mut self, reader: &mut Reader<'b>) -> Result<decryption::Scheme<'b>, Pkcs12Error> {
        let algorithm = reader.enter(SEQUENCE).ok_or(malformed("an encryption algorithm is missing"))?;
        let scheme = decryption::Scheme::read(algorithm)?;
        self.spend(scheme.iterations())?;
        Ok(scheme)
    }

    fn spend(&mut self, iterations: u64) -> Result<(), Pkcs12Error> {
        let limit = self.limits.max_iterations;
        if iterations == 0 {
            return Err(malformed("it asks for no key derivation iterations"));
        }
        self.total_iterations = self.total_iterations.saturating_add(iterations);
        if iterations > u64::from(limit) {
            return Err(Pkcs12Error::TooManyIterations { found: iterations, limit });
        }
        if self.total_iterations > self.limits.max_total_iterations {
            let limit = u32::try_from(self.limits.max_total_iterations).unwrap_or(u32::MAX);
            return Err(Pkcs12Error::TooManyIterations { found: self.total_iterations, limit });
        }
        Ok(())
    }
}

fn oid(reader: &mut Reader<'_>) -> Option<String> {
    reader.expect(OBJECT_IDENTIFIER).and_then(der::oid_text)
}
