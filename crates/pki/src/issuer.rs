//! Authorities and what they sign: a self-signed root, a subordinate authority, leaf certificates.
//!
//! Signing is a function of the profile: serial number and validity come from the caller, and whether the profile is
//! allowed was decided before (the server's `authority` slice).

use chrono::{DateTime, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod,
};
use rcgen::{KeyUsagePurpose, date_time_ymd};

use crate::{
    Certificate, DistinguishedName, Error, KeyAlgorithm, PrivateKey, SerialNumber, SubjectAlternativeName,
    SubjectPublicKey, alternative_name, der, signing,
};

/// Most alternative names of one certificate.
pub const MAX_ALTERNATIVE_NAMES: usize = 1_000;
/// Longest URL of a CRL distribution point, in bytes.
pub const MAX_URL_BYTES: usize = 2_048;

/// Key usage bit of the contract for signing certificates.
const KEY_CERT_SIGN: u16 = 4;
/// Place of the issuer among the elements of a TBSCertificate (RFC 5280 section 4.1).
const ISSUER_PLACE: usize = 3;
/// Place of the subject there.
const SUBJECT_PLACE: usize = 5;

/// What a certificate may be used for (RFC 5280 section 4.2.1.12).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ExtendedKeyUsage {
    /// TLS server authentication, 1.3.6.1.5.5.7.3.1.
    ServerAuthentication,
    /// TLS client authentication, 1.3.6.1.5.5.7.3.2.
    ClientAuthentication,
    /// Any other, as a dotted object identifier.
    Other(String),
}

impl ExtendedKeyUsage {
    /// The usage with this dotted object identifier.
    ///
    /// # Errors
    /// [`Error::NotEncodable`] when it is no object identifier.
    pub fn from_oid(oid: &str) -> Result<Self, Error> {
        let usage = match oid {
            "1.3.6.1.5.5.7.3.1" => Self::ServerAuthentication,
            "1.3.6.1.5.5.7.3.2" => Self::ClientAuthentication,
            other => Self::Other(other.to_owned()),
        };
        usage.to_encodable().map(|_| usage)
    }

    /// The dotted object identifier.
    pub fn oid(&self) -> &str {
        match self {
            Self::ServerAuthentication => "1.3.6.1.5.5.7.3.1",
            Self::ClientAuthentication => "1.3.6.1.5.5.7.3.2",
            Self::Other(oid) => oid,
        }
    }

    fn to_encodable(&self) -> Result<ExtendedKeyUsagePurpose, Error> {
        Ok(match self {
            Self::ServerAuthentication => ExtendedKeyUsagePurpose::ServerAuth,
            Self::ClientAuthentication => ExtendedKeyUsagePurpose::ClientAuth,
            Self::Other(oid) => {
                let refused = || Error::NotEncodable {
                    what: "extended key usage",
                    value: oid.clone(),
                    reason: "it is not an object identifier such as 1.3.6.1.5.5.7.3.1",
                };
                ExtendedKeyUsagePurpose::Other(der::oid_components(oid).ok_or_else(refused)?)
            }
        })
    }
}

/// An authority to be made.
#[derive(Debug, Clone)]
pub struct AuthorityProfile {
    /// Its name.
    pub subject: DistinguishedName,
    /// Its serial number.
    pub serial_number: SerialNumber,
    /// Start of validity.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
    /// URL of the list that could revoke this authority; a root has none.
    pub crl_distribution_point: Option<String>,
}

/// A leaf certificate to be signed. Key usage follows from the key: digital signature, and for RSA key encipherment.
#[derive(Debug, Clone)]
pub struct LeafProfile {
    /// Subject; may be empty when there are alternative names.
    pub subject: DistinguishedName,
    /// Names, in the order to be encoded.
    pub subject_alternative_names: Vec<SubjectAlternativeName>,
    /// Serial number, from 16 random bytes of the caller: [`SerialNumber::from_random`].
    pub serial_number: SerialNumber,
    /// Start of validity. Some minutes in the past allow for clocks that are behind.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
    /// Extended key usages.
    pub extended_key_usages: Vec<ExtendedKeyUsage>,
    /// URL of the revocation list that covers the certificate.
    pub crl_distribution_point: Option<String>,
}

/// An authority: its certificate and the key that signs.
#[derive(Debug, Clone)]
pub struct Issuer {
    certificate: Certificate,
    key: PrivateKey,
}

impl Issuer {
    /// Joins a certificate and its key, own or imported.
    ///
    /// # Errors
    /// [`Error::KeyMismatch`]; [`Error::AuthorityUnusable`] when the certificate may not sign others or has no name.
    pub fn new(certificate: Certificate, key: PrivateKey) -> Result<Self, Error> {
        let thumbprint = certificate.thumbprint();
        if !key.matches(&certificate) {
            return Err(Error::KeyMismatch { thumbprint });
        }
        let unusable = |reason| Err(Error::AuthorityUnusable { thumbprint, reason });
        if !certificate.is_authority() {
            return unusable("its basic constraints do not allow it to sign certificates");
        }
        if certificate.key_usage() != 0 && certificate.key_usage() & KEY_CERT_SIGN == 0 {
            return unusable("its key usage does not include signing certificates");
        }
        if certificate.subject().is_empty() {
            return unusable("it has no subject");
        }
        Ok(Self { certificate, key })
    }

    /// Makes a self-signed root with a new P-384 key.
    ///
    /// # Errors
    /// [`Error::ValidityReversed`], [`Error::NotEncodable`], [`Error::KeyGeneration`], [`Error::Signing`];
    /// [`Error::AuthorityUnusable`] when the subject is empty.
    pub fn self_signed_root(profile: &AuthorityProfile) -> Result<Self, Error> {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP384)?;
        let params = authority_params(profile, BasicConstraints::Unconstrained)?;
        let unsigned = signing::Unsigned::new(key.public_key(), key.algorithm())?;
        let certificate = params.self_signed(&unsigned).map_err(signing::encoding_failed)?;
        let name = signing::name_der(&profile.subject);
        let der =
            signing::sign_exactly(certificate.der(), &[(ISSUER_PLACE, &name), (SUBJECT_PLACE, &name)], &key)?;
        Self::new(Certificate::parse(&der)?, key)
    }

    /// Makes an authority below this one with a new P-256 key; it may sign leaves only (path length 0).
    ///
    /// # Errors
    /// As [`Issuer::self_signed_root`]; [`Error::AuthorityUnusable`] when this authority's path length is 0.
    pub fn subordinate(&self, profile: &AuthorityProfile) -> Result<Self, Error> {
        if self.certificate.path_length() == Some(0) {
            return Err(Error::AuthorityUnusable {
                thumbprint: self.certificate.thumbprint(),
                reason: "its path length of 0 allows no authority below it",
            });
        }
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
        let params = authority_params(profile, BasicConstraints::Constrained(0))?;
        let certificate = self.finish(params, &profile.subject, &SubjectPublicKey::from(&key))?;
        Self::new(certificate, key)
    }

    /// The authority's certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The authority's key.
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// Signs a leaf certificate for a public key: `&SubjectPublicKey::from(&key)`, or `request.public_key()`.
    /// Nothing of a request but its key is taken: names and usages are those of the profile.
    ///
    /// # Errors
    /// [`Error::ValidityReversed`], [`Error::AlternativeName`], [`Error::NotEncodable`], [`Error::Signing`].
    pub fn sign(&self, profile: &LeafProfile, public_key: &SubjectPublicKey) -> Result<Certificate, Error> {
        if profile.subject.is_empty() && profile.subject_alternative_names.is_empty() {
            return Err(Error::NotEncodable {
                what: "certificate",
                value: String::new(),
                reason: "it needs a subject or an alternative name",
            });
        }
        if profile.subject_alternative_names.len() > MAX_ALTERNATIVE_NAMES {
            return Err(Error::NotEncodable {
                what: "certificate",
                value: profile.subject.to_string(),
                reason: "it has more than 1000 alternative names",
            });
        }
        let mut params = params(
            &profile.subject,
            &profile.serial_number,
            (profile.not_before, profile.not_after),
            profile.crl_distribution_point.as_deref(),
        )?;
        let critical = profile.subject.is_empty();
        alternative_name::put_into(&mut params, &profile.subject_alternative_names, critical)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if matches!(public_key.algorithm(), KeyAlgorithm::Rsa(_)) {
            params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
        }
        for usage in &profile.extended_key_usages {
            params.insert_extended_key_usage(usage.to_encodable()?);
        }
        self.finish(params, &profile.subject, public_key)
    }

    /// Encodes and signs with this authority's exact name and key identifier.
    fn finish(
        &self,
        mut params: CertificateParams,
        subject: &DistinguishedName,
        public_key: &SubjectPublicKey,
    ) -> Result<Certificate, Error> {
        params.use_authority_key_identifier_extension = true;
        let unsigned = signing::Unsigned::new(public_key.der(), public_key.algorithm())?;
        let certificate = params.signed_by(&unsigned, &self.encoder()?).map_err(signing::encoding_failed)?;
        let subject = signing::name_der(subject);
        let replacements =
            [(ISSUER_PLACE, self.certificate.subject_der()), (SUBJECT_PLACE, subject.as_slice())];
        Certificate::parse(&signing::sign_exactly(certificate.der(), &replacements, &self.key)?)
    }

    /// This authority as the encoder knows it: key identifier and algorithm, with a name that stands in.
    pub(crate) fn encoder(&self) -> Result<rcgen::Issuer<'static, signing::Unsigned>, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = signing::stand_in(false);
        params.key_identifier_method = self.key_identifier_method();
        let unsigned = signing::Unsigned::new(self.key.public_key(), self.key.algorithm())?;
        Ok(rcgen::Issuer::new(params, unsigned))
    }

    /// The identifier that the authority's certificate carries (RFC 5280 section 4.2.1.1), or one made of its key.
    pub(crate) fn key_identifier_method(&self) -> KeyIdMethod {
        self.certificate
            .subject_key_identifier()
            .map_or(KeyIdMethod::Sha256, |identifier| KeyIdMethod::PreSpecified(identifier.to_vec()))
    }
}

fn authority_params(
    profile: &AuthorityProfile,
    constraints: BasicConstraints,
) -> Result<CertificateParams, Error> {
    let mut params = params(
        &profile.subject,
        &profile.serial_number,
        (profile.not_before, profile.not_after),
        profile.crl_distribution_point.as_deref(),
    )?;
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// What every certificate has.
fn params(
    subject: &DistinguishedName,
    serial_number: &SerialNumber,
    (not_before, not_after): (DateTime<Utc>, DateTime<Utc>),
    crl_distribution_point: Option<&str>,
) -> Result<CertificateParams, Error> {
    signing::check_period(not_before, not_after)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = signing::stand_in(subject.is_empty());
    params.serial_number = Some(rcgen::SerialNumber::from_slice(serial_number.as_bytes()));
    params.not_before = signing::encodable_time(not_before, date_time_ymd(1970, 1, 1))?;
    params.not_after = signing::encodable_time(not_after, date_time_ymd(1970, 1, 1))?;
    if let Some(url) = crl_distribution_point {
        if url.is_empty() || url.len() > MAX_URL_BYTES || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::NotEncodable {
                what: "CRL distribution point",
                value: url.to_owned(),
                reason: "it must be a URL of 1 to 2048 ASCII characters without blanks",
            });
        }
        params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![url.to_owned()] }];
    }
    Ok(params)
}

#[cfg(test)]
#[path = "tests/issuer.rs"]
mod tests;
