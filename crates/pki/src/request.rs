//! Certificate requests (PKCS#10, RFC 2986): read and verified, or made. What a request asks for is only a wish; the
//! server's templates decide.

use rcgen::CertificateParams;
use x509_parser::{
    certification_request::X509CertificationRequest, extensions::ParsedExtension, prelude::FromDer,
};

use crate::{
    DistinguishedName, Error, KeyAlgorithm, PrivateKey, SubjectAlternativeName, SubjectPublicKey,
    alternative_name, pem, signing,
};

/// Largest request that is read, in bytes.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;
/// Place of the subject among the elements of a CertificationRequestInfo (RFC 2986 section 4.1).
const SUBJECT_PLACE: usize = 1;

/// A PKCS#10 request whose self-signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRequest {
    der: Vec<u8>,
    subject: DistinguishedName,
    names: Vec<SubjectAlternativeName>,
    public_key: SubjectPublicKey,
}

impl CertificateRequest {
    /// Reads DER and verifies the self-signature. Extensions that are asked for beside alternative names, and
    /// attributes, are passed over.
    ///
    /// # Errors
    /// [`Error::RequestUnreadable`], [`Error::RequestSignature`], [`Error::KeyAlgorithmUnsupported`].
    pub fn parse(der: &[u8]) -> Result<Self, Error> {
        let unreadable =
            |reason: &str| Error::RequestUnreadable { reason: reason.chars().take(120).collect() };
        if der.len() > MAX_REQUEST_BYTES {
            return Err(unreadable("it is larger than 64 KiB"));
        }
        let (rest, parsed) =
            X509CertificationRequest::from_der(der).map_err(|error| unreadable(&error.to_string()))?;
        if !rest.is_empty() {
            return Err(unreadable("bytes follow the request"));
        }
        let information = &parsed.certification_request_info;
        let public_key = SubjectPublicKey::from_der(information.subject_pki.raw)?;
        parsed.verify_signature().map_err(|_| Error::RequestSignature)?;
        let names = parsed
            .requested_extensions()
            .into_iter()
            .flatten()
            .filter_map(|extension| match extension {
                ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
                _ => None,
            })
            .flatten()
            .map(SubjectAlternativeName::from_general_name)
            .collect();
        let subject = DistinguishedName::from_x509(&information.subject);
        Ok(Self { der: der.to_vec(), subject, names, public_key })
    }

    /// Reads PEM text with or without armour, with any line ends, or base64 on one line.
    ///
    /// # Errors
    /// As [`CertificateRequest::parse`].
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let unreadable = |reason: &str| Error::RequestUnreadable { reason: reason.to_owned() };
        if text.len() > 2 * MAX_REQUEST_BYTES {
            return Err(unreadable("the text is larger than 128 KiB"));
        }
        let bare;
        let text = if text.contains("-----BEGIN ") {
            text
        } else {
            bare = format!("-----BEGIN {0}-----\n{1}\n-----END {0}-----", pem::REQUEST_LABEL, text);
            &bare
        };
        let blocks = pem::read(text).map_err(|error| unreadable(&error.to_string()))?;
        let block = blocks
            .iter()
            .find(|block| block.kind() == pem::Kind::CertificateRequest)
            .ok_or_else(|| unreadable("the text has no CERTIFICATE REQUEST block"))?;
        Self::parse(block.content().map_err(|_| unreadable("the text is not base64"))?)
    }

    /// Makes a request for a key and signs it with the key.
    ///
    /// # Errors
    /// [`Error::AlternativeName`], [`Error::Signing`].
    pub fn create(
        key: &PrivateKey,
        subject: &DistinguishedName,
        names: &[SubjectAlternativeName],
    ) -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = signing::stand_in(subject.is_empty());
        alternative_name::put_into(&mut params, names, subject.is_empty())?;
        let unsigned = signing::Unsigned::new(key.public_key(), key.algorithm())?;
        let request = params.serialize_request(&unsigned).map_err(signing::encoding_failed)?;
        let subject = signing::name_der(subject);
        Self::parse(&signing::sign_exactly(request.der(), &[(SUBJECT_PLACE, &subject)], key)?)
    }

    /// DER bytes.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// `CERTIFICATE REQUEST` PEM text.
    pub fn to_pem(&self) -> String {
        pem::encode(pem::REQUEST_LABEL, &self.der)
    }

    /// Subject asked for.
    pub fn subject(&self) -> &DistinguishedName {
        &self.subject
    }

    /// Alternative names asked for, in encoded order.
    pub fn subject_alternative_names(&self) -> &[SubjectAlternativeName] {
        &self.names
    }

    /// The key to be certified.
    pub fn public_key(&self) -> &SubjectPublicKey {
        &self.public_key
    }

    /// Its algorithm and size.
    pub fn key_algorithm(&self) -> KeyAlgorithm {
        self.public_key.algorithm()
    }
}

#[cfg(test)]
#[path = "tests/request.rs"]
mod tests;
