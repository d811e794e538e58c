//! The protection of private keys by Sun's `KeyProtector`: a stream of SHA-1 digests over password and salt, and a
//! digest of the key that tells whether the password was right. It knows no file.

use aws_lc_rs::{constant_time::verify_slices_are_equal, rand};
use sha1::{Digest as _, Sha1};
use zeroize::Zeroizing;

use crate::{Error, JavaKeystoreError, der};

/// Sun's name of the scheme.
const SCHEME: &str = "1.3.6.1.4.1.42.2.17.1.1";
const NULL: [u8; 2] = [0x05, 0x00];
const DIGEST_BYTES: usize = 20;
const SALT_BYTES: usize = DIGEST_BYTES;

/// Protects PKCS#8 bytes by a password, as an EncryptedPrivateKeyInfo.
pub(super) fn protect(pkcs8: &[u8], password: &[u8]) -> Result<Vec<u8>, Error> {
    let failed = || Error::Signing { reason: "the system's random generator failed".to_owned() };
    let mut salt = [0; SALT_BYTES];
    rand::fill(&mut salt).map_err(|_| failed())?;
    let mut content = Vec::with_capacity(SALT_BYTES + pkcs8.len() + DIGEST_BYTES);
    content.extend_from_slice(&salt);
    content.extend_from_slice(pkcs8);
    apply_stream(&mut content[SALT_BYTES..], password, salt);
    content.extend_from_slice(&check_of(password, pkcs8));
    let scheme = der::oid_element(SCHEME).ok_or_else(failed)?;
    let algorithm = der::element(der::SEQUENCE, &[&scheme, &NULL]);
    Ok(der::element(der::SEQUENCE, &[&algorithm, &der::element(der::OCTET_STRING, &[&content])]))
}

/// Opens a protected key; answers its PKCS#8 bytes.
pub(super) fn open(protected: &[u8], password: &[u8]) -> Result<Zeroizing<Vec<u8>>, JavaKeystoreError> {
    let content = content_of(protected)?;
    let damaged =
        || JavaKeystoreError::KeyProtection { what: "a protected key that is too short".to_owned() };
    let (salt, rest) = content.split_first_chunk::<SALT_BYTES>().ok_or_else(damaged)?;
    let (stream, check) = rest.split_last_chunk::<DIGEST_BYTES>().ok_or_else(damaged)?;
    let mut pkcs8 = Zeroizing::new(stream.to_vec());
    apply_stream(&mut pkcs8, password, *salt);
    verify_slices_are_equal(&check_of(password, &pkcs8), check)
        .map_err(|_| JavaKeystoreError::KeyPassword)?;
    Ok(pkcs8)
}

/// The octets under the scheme's name; any other scheme is named in the refusal.
fn content_of(protected: &[u8]) -> Result<&[u8], JavaKeystoreError> {
    let broken = || JavaKeystoreError::KeyProtection { what: "a protected key that is not DER".to_owned() };
    let mut info = der::single(protected, der::SEQUENCE).ok_or_else(broken)?;
    let mut algorithm = info.enter(der::SEQUENCE).ok_or_else(broken)?;
    let scheme = algorithm.expect(der::OBJECT_IDENTIFIER).and_then(der::oid_text).ok_or_else(broken)?;
    if scheme != SCHEME {
        return Err(JavaKeystoreError::KeyProtection { what: format!("scheme {scheme}") });
    }
    let content = info.expect(der::OCTET_STRING).ok_or_else(broken)?;
    if info.is_empty() { Ok(content) } else { Err(broken()) }
}

/// Adds the stream to the bytes; doing it twice gives them back.
fn apply_stream(bytes: &mut [u8], password: &[u8], salt: [u8; SALT_BYTES]) {
    let mut digest = Zeroizing::new(salt);
    for block in bytes.chunks_mut(DIGEST_BYTES) {
        *digest = Sha1::new().chain_update(password).chain_update(*digest).finalize().into();
        for (byte, key) in block.iter_mut().zip(digest.iter()) {
            *byte ^= key;
        }
    }
}

fn check_of(password: &[u8], pkcs8: &[u8]) -> [u8; DIGEST_BYTES] {
    Sha1::new().chain_update(password).chain_update(pkcs8).finalize().into()
}
