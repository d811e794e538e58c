//! Private keys: made, read in the forms that are about, kept as PKCS#8, and used to sign. The bytes are erased from
//! memory when a key is dropped, as far as the libraries underneath allow.

use std::fmt;

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
        EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use rcgen::SignatureAlgorithm;
use zeroize::Zeroizing;

use crate::{Certificate, CertificateRequest, Error, KeyAlgorithm, der, key_algorithm, pem};

/// Largest private key that is read, in bytes: RSA 8192 with its attributes.
pub const MAX_KEY_BYTES: usize = 16 * 1024;

/// A private key: PKCS#8, erased from memory when dropped, never shown by `Debug`. Two keys are equal when their
/// public halves are.
#[derive(Clone)]
pub struct PrivateKey {
    pkcs8: Zeroizing<Vec<u8>>,
    public_key: Vec<u8>,
    algorithm: KeyAlgorithm,
}

impl PrivateKey {
    /// Makes a key with the system's random source. P-256 takes microseconds, RSA from 0.1 s to several seconds: not
    /// for an asynchronous thread.
    ///
    /// # Errors
    /// [`Error::KeyAlgorithmUnsupported`] for sizes other than RSA 2048, 3072, 4096; [`Error::KeyGeneration`].
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, Error> {
        let pair = Pair::generate(algorithm)?.ok_or(Error::KeyGeneration { algorithm })?;
        Self::from_pair(&pair)
    }

    /// Reads unencrypted PKCS#8 (RFC 5958).
    ///
    /// # Errors
    /// [`Error::KeyUnreadable`], [`Error::KeyAlgorithmUnsupported`].
    pub fn from_pkcs8_der(bytes: &[u8]) -> Result<Self, Error> {
        check_size(bytes)?;
        Self::from_pair(&Pair::from_pkcs8(bytes)?)
    }

    /// Reads the first private key of a PEM text: `PRIVATE KEY`, `RSA PRIVATE KEY` or `EC PRIVATE KEY`.
    ///
    /// # Errors
    /// [`Error::Pem`], [`Error::KeyUnreadable`] (also when there is none, or it is encrypted),
    /// [`Error::KeyAlgorithmUnsupported`].
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        let blocks = pem::read(text)?;
        let is_key = |block: &&pem::Block| {
            matches!(block.kind(), pem::Kind::PrivateKey | pem::Kind::EncryptedPrivateKey)
        };
        let block = blocks
            .iter()
            .find(is_key)
            .ok_or_else(|| Error::KeyUnreadable { reason: "the text has no private key block".to_owned() })?;
        block.private_key()
    }

    /// Reads an RSA key in the form of PKCS#1 (RFC 8017 appendix A.1.2).
    pub(crate) fn from_pkcs1_der(bytes: &[u8]) -> Result<Self, Error> {
        check_size(bytes)?;
        Self::from_pair(&Pair::Rsa(
            RsaKeyPair::from_der(bytes).map_err(|error| unreadable(&error.to_string()))?,
        ))
    }

    /// Reads an EC key in the form of SEC1 (RFC 5915); the curve is named inside.
    pub(crate) fn from_sec1_der(bytes: &[u8]) -> Result<Self, Error> {
        check_size(bytes)?;
        let pair = CURVES
            .iter()
            .find_map(|(_, signing)| EcdsaKeyPair::from_private_key_der(signing, bytes).ok())
            .map(Pair::Ecdsa)
            .ok_or_else(|| unreadable("it is not an EC key on P-256, P-384 or P-521"))?;
        Self::from_pair(&pair)
    }

    fn from_pair(pair: &Pair) -> Result<Self, Error> {
        let public_key = pair.public_key()?;
        let algorithm = key_algorithm::of_public_key(&public_key);
        Ok(Self { pkcs8: pair.to_pkcs8()?, public_key, algorithm })
    }

    /// The key as PKCS#8 DER.
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        self.pkcs8.clone()
    }

    /// The key as `PRIVATE KEY` PEM text.
    pub fn to_pem(&self) -> Zeroizing<String> {
        pem::encode_secret(pem::PRIVATE_KEY_LABEL, &self.pkcs8)
    }

    /// The public half as SubjectPublicKeyInfo DER.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// Whether the certificate was issued for this key.
    pub fn matches(&self, certificate: &Certificate) -> bool {
        same_public_key(&self.public_key, certificate.public_key())
    }

    /// Algorithm and size.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// Signs a message with the algorithm of [`signature_algorithm`].
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Pair::from_pkcs8(&self.pkcs8)?.sign(message)
    }
}

impl PartialEq for PrivateKey {
    fn eq(&self, other: &Self) -> bool {
        self.public_key == other.public_key
    }
}

impl Eq for PrivateKey {}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.algorithm)
    }
}

/// A public key to be certified: SubjectPublicKeyInfo of a supported algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectPublicKey {
    der: Vec<u8>,
    algorithm: KeyAlgorithm,
}

impl SubjectPublicKey {
    /// Reads SubjectPublicKeyInfo DER.
    ///
    /// # Errors
    /// [`Error::KeyAlgorithmUnsupported`] for algorithms that are not known here and for RSA below 2048 bits.
    pub fn from_der(bytes: &[u8]) -> Result<Self, Error> {
        let algorithm = key_algorithm::of_public_key(bytes);
        let supported = match algorithm {
            KeyAlgorithm::Rsa(bits) => {
                (key_algorithm::MIN_RSA_BITS..=key_algorithm::MAX_RSA_BITS).contains(&bits)
            }
            KeyAlgorithm::Unknown => false,
            _ => true,
        };
        if !supported {
            return Err(Error::KeyAlgorithmUnsupported { found: algorithm.to_string() });
        }
        Ok(Self { der: bytes.to_vec(), algorithm })
    }

    /// Algorithm and size.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// SubjectPublicKeyInfo DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

impl From<&PrivateKey> for SubjectPublicKey {
    fn from(key: &PrivateKey) -> Self {
        Self { der: key.public_key.clone(), algorithm: key.algorithm }
    }
}

impl From<&CertificateRequest> for SubjectPublicKey {
    fn from(request: &CertificateRequest) -> Self {
        request.public_key().clone()
    }
}

const CURVES: [(KeyAlgorithm, &EcdsaSigningAlgorithm); 3] = [
    (KeyAlgorithm::EcdsaP256, &ECDSA_P256_SHA256_ASN1_SIGNING),
    (KeyAlgorithm::EcdsaP384, &ECDSA_P384_SHA384_ASN1_SIGNING),
    (KeyAlgorithm::EcdsaP521, &ECDSA_P521_SHA512_ASN1_SIGNING),
];

/// A key as the cryptographic library holds it.
enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Pair {
    /// Nothing when the library fails.
    fn generate(algorithm: KeyAlgorithm) -> Result<Option<Self>, Error> {
        let size = match algorithm {
            KeyAlgorithm::Rsa(2048) => KeySize::Rsa2048,
            KeyAlgorithm::Rsa(3072) => KeySize::Rsa3072,
            KeyAlgorithm::Rsa(4096) => KeySize::Rsa4096,
            KeyAlgorithm::Ed25519 => return Ok(Ed25519KeyPair::generate().ok().map(Self::Ed25519)),
            _ => {
                let (_, signing) = CURVES
                    .iter()
                    .find(|(curve, _)| *curve == algorithm)
                    .ok_or_else(|| Error::KeyAlgorithmUnsupported { found: algorithm.to_string() })?;
                return Ok(EcdsaKeyPair::generate(signing).ok().map(Self::Ecdsa));
            }
        };
        Ok(RsaKeyPair::generate(size).ok().map(Self::Rsa))
    }

    fn from_pkcs8(bytes: &[u8]) -> Result<Self, Error> {
        let (oid, parameters) = pkcs8_algorithm(bytes).ok_or_else(|| unreadable("it is not PKCS#8"))?;
        match oid.as_str() {
            "1.2.840.113549.1.1.1" => {
                RsaKeyPair::from_pkcs8(bytes).map(Self::Rsa).map_err(|error| unreadable(&error.to_string()))
            }
            "1.3.101.112" => Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes)
                .map(Self::Ed25519)
                .map_err(|error| unreadable(&error.to_string())),
            "1.2.840.10045.2.1" => {
                let curve = parameters.unwrap_or_default();
                let (_, signing) = CURVES
                    .iter()
                    .find(|(algorithm, _)| algorithm.curve_oid() == Some(curve.as_str()))
                    .ok_or_else(|| Error::KeyAlgorithmUnsupported { found: format!("EC curve {curve}") })?;
                EcdsaKeyPair::from_pkcs8(signing, bytes)
                    .map(Self::Ecdsa)
                    .map_err(|error| unreadable(&error.to_string()))
            }
            _ => Err(Error::KeyAlgorithmUnsupported { found: oid }),
        }
    }

    fn public_key(&self) -> Result<Vec<u8>, Error> {
        let public_key: Result<PublicKeyX509Der<'_>, _> = match self {
            Self::Rsa(pair) => pair.public_key().as_der(),
            Self::Ecdsa(pair) => pair.public_key().as_der(),
            Self::Ed25519(pair) => pair.public_key().as_der(),
        };
        public_key
            .map(|der| der.as_ref().to_vec())
            .map_err(|_| unreadable("its public half cannot be encoded"))
    }

    /// Version 1 of PKCS#8 for every algorithm: it is what OpenSSL, Java and Windows all read.
    fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let encoded = match self {
            Self::Rsa(pair) => {
                AsDer::<Pkcs8V1Der<'_>>::as_der(pair).map(|der| Zeroizing::new(der.as_ref().to_vec()))
            }
            Self::Ecdsa(pair) => pair.to_pkcs8v1().map(|document| Zeroizing::new(document.as_ref().to_vec())),
            Self::Ed25519(pair) => {
                pair.to_pkcs8v1().map(|document| Zeroizing::new(document.as_ref().to_vec()))
            }
        };
        encoded.map_err(|_| unreadable("it cannot be encoded as PKCS#8"))
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let random = SystemRandom::new();
        let signed = match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map(|()| signature)
            }
            Self::Ecdsa(pair) => pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()),
            Self::Ed25519(pair) => pair.try_sign(message).map(|signature| signature.as_ref().to_vec()),
        };
        signed.map_err(|_| Error::Signing { reason: "the cryptographic library refused the key".to_owned() })
    }
}

/// The algorithm by which a key of this kind signs.
pub(crate) fn signature_algorithm(algorithm: KeyAlgorithm) -> Result<&'static SignatureAlgorithm, Error> {
    match algorithm {
        KeyAlgorithm::Rsa(_) => Ok(&rcgen::PKCS_RSA_SHA256),
        KeyAlgorithm::EcdsaP256 => Ok(&rcgen::PKCS_ECDSA_P256_SHA256),
        KeyAlgorithm::EcdsaP384 => Ok(&rcgen::PKCS_ECDSA_P384_SHA384),
        KeyAlgorithm::EcdsaP521 => Ok(&rcgen::PKCS_ECDSA_P521_SHA512),
        KeyAlgorithm::Ed25519 => Ok(&rcgen::PKCS_ED25519),
        KeyAlgorithm::Unknown => Err(Error::KeyAlgorithmUnsupported { found: algorithm.to_string() }),
    }
}

/// Whether two SubjectPublicKeyInfo hold the same key. Encoders differ in the parameters beside it (RSA with NULL or
/// nothing), so key bits and algorithm are compared instead of all bytes.
pub(crate) fn same_public_key(one: &[u8], other: &[u8]) -> bool {
    let bits = |info: &[u8]| {
        let mut info = der::single(info, der::SEQUENCE)?;
        info.enter(der::SEQUENCE)?;
        info.expect(der::BIT_STRING).map(<[u8]>::to_vec)
    };
    let same_algorithm = key_algorithm::of_public_key(one) == key_algorithm::of_public_key(other);
    one == other || (same_algorithm && bits(one).is_some() && bits(one) == bits(other))
}

/// The algorithm of a PrivateKeyInfo, and its curve: SEQUENCE { version, SEQUENCE { oid, parameters }, key, .. }.
fn pkcs8_algorithm(bytes: &[u8]) -> Option<(String, Option<String>)> {
    let mut info = der::single(bytes, der::SEQUENCE)?;
    info.expect(der::INTEGER)?;
    let mut algorithm = info.enter(der::SEQUENCE)?;
    let oid = der::oid_text(algorithm.expect(der::OBJECT_IDENTIFIER)?)?;
    Some((oid, algorithm.expect(der::OBJECT_IDENTIFIER).and_then(der::oid_text)))
}

fn check_size(bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() > MAX_KEY_BYTES {
        return Err(unreadable("it is larger than 16 KiB"));
    }
    Ok(())
}

fn unreadable(reason: &str) -> Error {
    Error::KeyUnreadable { reason: reason.to_owned() }
}

#[cfg(test)]
#[path = "tests/key.rs"]
mod tests;
