//! The password-based encryption schemes of PKCS#12 files: their parameters, and decrypting with them. Only for
//! looking through a file beforehand; keys and certificates are taken out by the library.

use std::num::NonZeroU32;

use aws_lc_rs::{
    cipher::{AES_128, AES_192, AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey},
    iv::FixedLength,
    pbkdf2,
};
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _, block_padding::Pkcs7};
use pkcs12::kdf::{Pkcs12KeyType, derive_key_utf8};
use sha1::Sha1;
use zeroize::Zeroizing;

use crate::{
    Pkcs12Error,
    der::{self, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE},
};

const PBES2: &str = "1.2.840.113549.1.5.13";
const PBKDF2: &str = "1.2.840.113549.1.5.12";
const SCRYPT: &str = "1.3.6.1.4.1.11591.4.11";
const SHA1_3DES: &str = "1.2.840.113549.1.12.1.3";
const SHA1_RC2_40: &str = "1.2.840.113549.1.12.1.6";

/// An encryption algorithm with its parameters.
pub(super) struct Scheme<'a> {
    salt: &'a [u8],
    iterations: u64,
    cipher: Cipher<'a>,
}

enum Cipher<'a> {
    /// PBES2 (RFC 8018): PBKDF2 with this function, AES in CBC mode with this vector.
    Aes {
        derivation: pbkdf2::Algorithm,
        cipher: &'static aws_lc_rs::cipher::Algorithm,
        key_length: usize,
        iv: &'a [u8],
    },
    /// PKCS#12's own derivation with SHA-1 and 3DES.
    TripleDes,
    /// The same with RC2 of 40 bits.
    Rc2,
}

impl<'a> Scheme<'a> {
    /// Reads AlgorithmIdentifier: { oid, parameters }.
    pub(super) fn read(mut algorithm: Reader<'a>) -> Result<Self, Pkcs12Error> {
        let broken =
            || Pkcs12Error::Malformed { reason: "the parameters of an encryption algorithm are broken" };
        let oid = oid(&mut algorithm).ok_or_else(broken)?;
        let mut parameters = algorithm.enter(SEQUENCE).ok_or_else(broken)?;
        let cipher = match oid.as_str() {
            PBES2 => return Self::read_pbes2(parameters),
            SHA1_3DES => Cipher::TripleDes,
            SHA1_RC2_40 => Cipher::Rc2,
            _ => return Err(unsupported("encryption", &oid)),
        };
        let salt = parameters.expect(OCTET_STRING).ok_or_else(broken)?;
        let iterations = count(&mut parameters).ok_or_else(broken)?;
        Ok(Self { salt, iterations, cipher })
    }

    /// PBES2-params: { { pbkdf2, { salt, iterations, key length OPTIONAL, prf DEFAULT hmacWithSHA1 } }, { aes, iv } }.
    fn read_pbes2(mut parameters: Reader<'a>) -> Result<Self, Pkcs12Error> {
        let broken = || Pkcs12Error::Malformed { reason: "the parameters of PBES2 are broken" };
        let mut derivation = parameters.enter(SEQUENCE).ok_or_else(broken)?;
        let mut encryption = parameters.enter(SEQUENCE).ok_or_else(broken)?;
        match oid(&mut derivation).ok_or_else(broken)?.as_str() {
            PBKDF2 => {}
            // Its cost is memory, up to gigabytes, and no program writes it into such files.
            SCRYPT => return Err(Pkcs12Error::Unsupported { what: "scrypt".to_owned() }),
            other => return Err(unsupported("key derivation", other)),
        }
        let mut derivation = derivation.enter(SEQUENCE).ok_or_else(broken)?;
        let salt = derivation.expect(OCTET_STRING).ok_or_else(broken)?;
        let iterations = count(&mut derivation).ok_or_else(broken)?;
        let mut function = pbkdf2::PBKDF2_HMAC_SHA1;
        while let Some(element) = derivation.element() {
            if element.tag == SEQUENCE {
                function = pseudo_random_function(Reader::new(element.value))?;
            }
        }
        let aes = oid(&mut encryption).ok_or_else(broken)?;
        let (cipher, key_length) = match aes.as_str() {
            "2.16.840.1.101.3.4.1.2" => (&AES_128, 16),
            "2.16.840.1.101.3.4.1.22" => (&AES_192, 24),
            "2.16.840.1.101.3.4.1.42" => (&AES_256, 32),
            other => return Err(unsupported("cipher", other)),
        };
        let iv = encryption.expect(OCTET_STRING).ok_or_else(broken)?;
        Ok(Self { salt, iterations, cipher: Cipher::Aes { derivation: function, cipher, key_length, iv } })
    }

    /// How often the derivation repeats.
    pub(super) const fn iterations(&self) -> u64 {
        self.iterations
    }

    /// Decrypts; nothing when password or content do not fit. The caller has found the iterations acceptable.
    pub(super) fn decrypt(&self, encrypted: &[u8], password: &str) -> Option<Zeroizing<Vec<u8>>> {
        match &self.cipher {
            Cipher::Aes { derivation, cipher, key_length, iv } => {
                let iterations = NonZeroU32::new(u32::try_from(self.iterations).ok()?)?;
                let mut key = Zeroizing::new(vec![0; *key_length]);
                pbkdf2::derive(*derivation, iterations, self.salt, password.as_bytes(), &mut key);
                let key = UnboundCipherKey::new(cipher, &key).ok()?;
                let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
                let iv = FixedLength::<16>::try_from(*iv).ok()?;
                let mut content = Zeroizing::new(encrypted.to_vec());
                let length = key.decrypt(&mut content, DecryptionContext::Iv128(iv)).ok()?.len();
                content.truncate(length);
                Some(content)
            }
            Cipher::TripleDes => {
                let (key, iv) = self.derive(password, 24)?;
                let cipher = cbc::Decryptor::<des::TdesEde3>::new_from_slices(&key, &iv).ok()?;
                cipher.decrypt_padded_vec::<Pkcs7>(encrypted).ok().map(Zeroizing::new)
            }
            Cipher::Rc2 => {
                let (key, iv) = self.derive(password, 5)?;
                let cipher = cbc::Decryptor::<rc2::Rc2>::new_from_slices(&key, &iv).ok()?;
                cipher.decrypt_padded_vec::<Pkcs7>(encrypted).ok().map(Zeroizing::new)
            }
        }
    }

    /// Key and vector by PKCS#12's own derivation (RFC 7292 appendix B).
    fn derive(&self, password: &str, key_length: usize) -> Option<(Zeroizing<Vec<u8>>, Vec<u8>)> {
        let rounds = i32::try_from(self.iterations).ok()?;
        let part = |kind, length| derive_key_utf8::<Sha1>(password, self.salt, kind, rounds, length).ok();
        Some((Zeroizing::new(part(Pkcs12KeyType::EncryptionKey, key_length)?), part(Pkcs12KeyType::Iv, 8)?))
    }
}

/// Opens EncryptedPrivateKeyInfo (RFC 5958): SEQUENCE { algorithm, OCTET STRING }. Answers PKCS#8.
pub(crate) fn open_key(
    bytes: &[u8],
    password: &str,
    max_iterations: u32,
) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let broken = || Pkcs12Error::Malformed { reason: "the encrypted private key is broken" };
    let mut info = der::single(bytes, SEQUENCE).ok_or_else(broken)?;
    let scheme = Scheme::read(info.enter(SEQUENCE).ok_or_else(broken)?)?;
    let encrypted = info.expect(OCTET_STRING).ok_or_else(broken)?;
    if scheme.iterations() > u64::from(max_iterations) {
        return Err(Pkcs12Error::TooManyIterations { found: scheme.iterations(), limit: max_iterations });
    }
    let key = scheme.decrypt(encrypted, password).ok_or(Pkcs12Error::WrongPassword)?;
    // Garbage that happens to end in good padding comes from a wrong password as well.
    der::single(&key, SEQUENCE).ok_or(Pkcs12Error::WrongPassword)?;
    Ok(key)
}

fn pseudo_random_function(mut algorithm: Reader<'_>) -> Result<pbkdf2::Algorithm, Pkcs12Error> {
    match oid(&mut algorithm).unwrap_or_default().as_str() {
        "1.2.840.113549.2.7" => Ok(pbkdf2::PBKDF2_HMAC_SHA1),
        "1.2.840.113549.2.9" => Ok(pbkdf2::PBKDF2_HMAC_SHA256),
        "1.2.840.113549.2.10" => Ok(pbkdf2::PBKDF2_HMAC_SHA384),
        "1.2.840.113549.2.11" => Ok(pbkdf2::PBKDF2_HMAC_SHA512),
        other => Err(unsupported("key derivation function", other)),
    }
}

/// A count of iterations; one too large for 64 bits is as large as they hold, a negative one is none.
pub(super) fn count(reader: &mut Reader<'_>) -> Option<u64> {
    let octets = reader.expect(INTEGER)?;
    if octets.first()? & 0x80 != 0 {
        return Some(0);
    }
    let significant: Vec<u8> = octets.iter().copied().skip_while(|octet| *octet == 0).collect();
    if significant.len() > 8 {
        return Some(u64::MAX);
    }
    Some(significant.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet)))
}

fn oid(reader: &mut Reader<'_>) -> Option<String> {
    reader.expect(OBJECT_IDENTIFIER).and_then(der::oid_text)
}

fn unsupported(kind: &str, oid: &str) -> Pkcs12Error {
    Pkcs12Error::Unsupported { what: format!("{kind} {oid}") }
}
