//! Revocation lists (RFC 5280 section 5), signed whole: what is on them and when they are made is the server's.

use chrono::{DateTime, Utc};
use rcgen::{CertificateRevocationListParams, RevokedCertParams, date_time_ymd};

use crate::{Error, Issuer, SerialNumber, signing};

/// Place of the issuer among the elements of a TBSCertList (RFC 5280 section 5.1).
const ISSUER_PLACE: usize = 2;
/// Key usage bit of the contract for signing revocation lists.
const CRL_SIGN: u16 = 2;

/// Why a certificate was revoked (RFC 5280 section 5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RevocationReason {
    /// No reason given; the list then carries none.
    Unspecified = 0,
    /// Somebody else may have the key.
    KeyCompromise = 1,
    /// Somebody else may have the authority's key.
    AuthorityCompromise = 2,
    /// The subject's name or other facts changed.
    AffiliationChanged = 3,
    /// Another certificate took its place.
    Superseded = 4,
    /// It is no longer needed.
    CessationOfOperation = 5,
    /// Suspended; the only reason that can be taken back.
    CertificateHold = 6,
    /// Taken back; only in delta lists.
    RemoveFromList = 8,
    /// A privilege it stood for was withdrawn.
    PrivilegeWithdrawn = 9,
}

impl RevocationReason {
    /// By its number in RFC 5280.
    pub const fn from_code(code: i64) -> Option<Self> {
        Some(match code {
            0 => Self::Unspecified,
            1 => Self::KeyCompromise,
            2 => Self::AuthorityCompromise,
            3 => Self::AffiliationChanged,
            4 => Self::Superseded,
            5 => Self::CessationOfOperation,
            6 => Self::CertificateHold,
            8 => Self::RemoveFromList,
            9 => Self::PrivilegeWithdrawn,
            _ => return None,
        })
    }

    /// Its number in RFC 5280.
    pub const fn code(self) -> i64 {
        self as i64
    }

    const fn to_encodable(self) -> Option<rcgen::RevocationReason> {
        Some(match self {
            // RFC 5280: the extension should be absent instead of saying "unspecified".
            Self::Unspecified => return None,
            Self::KeyCompromise => rcgen::RevocationReason::KeyCompromise,
            Self::AuthorityCompromise => rcgen::RevocationReason::CaCompromise,
            Self::AffiliationChanged => rcgen::RevocationReason::AffiliationChanged,
            Self::Superseded => rcgen::RevocationReason::Superseded,
            Self::CessationOfOperation => rcgen::RevocationReason::CessationOfOperation,
            Self::CertificateHold => rcgen::RevocationReason::CertificateHold,
            Self::RemoveFromList => rcgen::RevocationReason::RemoveFromCrl,
            Self::PrivilegeWithdrawn => rcgen::RevocationReason::PrivilegeWithdrawn,
        })
    }
}

/// One revoked certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedCertificate {
    /// Its serial number.
    pub serial_number: SerialNumber,
    /// When it was revoked.
    pub revoked_at: DateTime<Utc>,
    /// Why.
    pub reason: RevocationReason,
}

/// A revocation list to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    /// CRL number; greater than that of every list before.
    pub number: u64,
    /// When it is made.
    pub this_update: DateTime<Utc>,
    /// When the next one is there at the latest.
    pub next_update: DateTime<Utc>,
    /// The revoked certificates.
    pub revoked: Vec<RevokedCertificate>,
}

impl RevocationList {
    /// Signs the list; answers DER.
    ///
    /// # Errors
    /// [`Error::ValidityReversed`], [`Error::NotEncodable`] for times out of range, [`Error::Signing`];
    /// [`Error::AuthorityUnusable`] when the issuer's key usage does not include revocation lists.
    pub fn sign(&self, issuer: &Issuer) -> Result<Vec<u8>, Error> {
        let certificate = issuer.certificate();
        if certificate.key_usage() != 0 && certificate.key_usage() & CRL_SIGN == 0 {
            return Err(Error::AuthorityUnusable {
                thumbprint: certificate.thumbprint(),
                reason: "its key usage does not include signing revocation lists",
            });
        }
        signing::check_period(self.this_update, self.next_update)?;
        let epoch = date_time_ymd(1970, 1, 1);
        let revoked = |revoked: &RevokedCertificate| {
            Ok(RevokedCertParams {
                serial_number: rcgen::SerialNumber::from_slice(revoked.serial_number.as_bytes()),
                revocation_time: signing::encodable_time(revoked.revoked_at, epoch)?,
                reason_code: revoked.reason.to_encodable(),
                invalidity_date: None,
            })
        };
        let params = CertificateRevocationListParams {
            this_update: signing::encodable_time(self.this_update, epoch)?,
            next_update: signing::encodable_time(self.next_update, epoch)?,
            crl_number: rcgen::SerialNumber::from_slice(&self.number.to_be_bytes()),
            issuing_distribution_point: None,
            revoked_certs: self.revoked.iter().map(revoked).collect::<Result<_, Error>>()?,
            key_identifier_method: issuer.key_identifier_method(),
        };
        let unsigned = params.signed_by(&issuer.encoder()?).map_err(signing::encoding_failed)?;
        signing::sign_exactly(unsigned.der(), &[(ISSUER_PLACE, certificate.subject_der())], issuer.key())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{
        KeyAlgorithm, pem,
        test_tools::{authorities, leaf, now, openssl, run, scratch, store},
    };

    #[test]
    fn openssl_reads_the_list_and_finds_the_revoked_certificate() {
        let (root, issuing) = authorities();
        let (certificate, _) = leaf(&issuing, KeyAlgorithm::EcdsaP256, &["www.example.test"]);
        let revoked = RevokedCertificate {
            serial_number: certificate.serial_number().clone(),
            revoked_at: now(),
            reason: RevocationReason::KeyCompromise,
        };
        let (this_update, next_update) = (now(), now() + TimeDelta::days(7));
        let list = |number, revoked| {
            RevocationList { number, this_update, next_update, revoked }.sign(&issuing).unwrap()
        };
        let directory = scratch();
        let path = directory.path();
        store(path, "leaf.pem", certificate.to_pem().as_bytes());
        store(path, "root.pem", root.certificate().to_pem().as_bytes());
        store(path, "issuing.pem", issuing.certificate().to_pem().as_bytes());
        for (number, revoked, expected) in
            [(1, vec![], "leaf.pem: OK"), (2, vec![revoked], "certificate revoked")]
        {
            let der = list(number, revoked);
            store(path, "crl.pem", pem::encode(pem::REVOCATION_LIST_LABEL, &der).as_bytes());
            let text = openssl(path, &["crl", "-in", "crl.pem", "-text", "-noout"]);
            assert!(text.contains(&format!("X509v3 CRL Number: \n                {number}")), "{text}");
            assert!(text.contains("DC = corp"), "{text}");
            assert_eq!(text.contains("Key Compromise"), number == 2);
            let at = now().timestamp().to_string();
            let verify =
                ["verify", "-attime", &at, "-crl_check", "-CAfile", "root.pem", "-untrusted", "issuing.pem"];
            let (_, said) =
                run(path, "openssl", &[&verify[..], &["-CRLfile", "crl.pem", "leaf.pem"]].concat());
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn lists_that_end_before_they_begin_are_refused() {
        let (_, issuing) = authorities();
        let list = RevocationList { number: 1, this_update: now(), next_update: now(), revoked: vec![] };
        assert!(matches!(list.sign(&issuing), Err(Error::ValidityReversed { .. })));
    }

    #[test]
    fn reasons_have_the_numbers_of_the_standard() {
        for code in [0, 1, 2, 3, 4, 5, 6, 8, 9] {
            assert_eq!(RevocationReason::from_code(code).unwrap().code(), code);
        }
        assert_eq!(RevocationReason::from_code(7), None);
        assert_eq!(RevocationReason::from_code(-1), None);
    }
}
