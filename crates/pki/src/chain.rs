//! Chains: which certificate issued which, and whether a leaf leads to a trusted root at a given time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::{Certificate, Error};

/// Most certificates that are sorted at once.
pub const MAX_CERTIFICATES: usize = 1_024;
/// Most certificates of one chain, leaf and root included.
pub const MAX_CHAIN_LENGTH: usize = 16;

/// What the leaf is to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A TLS server.
    Server,
    /// A TLS client.
    Client,
}

/// Orders a bag of certificates: the leaf first, each followed by its issuer as far as issuers are there.
/// The leaf is the one that issued none of the others; among several, one that is no authority, and then the first.
/// Duplicates and certificates that do not belong to the leaf's chain are dropped.
///
/// # Errors
/// [`Error::TooManyCertificates`] above [`MAX_CERTIFICATES`].
pub fn order(certificates: &[Certificate]) -> Result<Vec<Certificate>, Error> {
    check_count(certificates)?;
    let issued_another = |candidate: &Certificate| {
        certificates
            .iter()
            .any(|other| other != candidate && other.names_as_issuer(candidate) && !other.is_self_issued())
    };
    let leaf = certificates
        .iter()
        .find(|candidate| !issued_another(candidate) && !candidate.is_authority())
        .or_else(|| certificates.iter().find(|candidate| !issued_another(candidate)))
        .or_else(|| certificates.first());
    leaf.map_or(Ok(Vec::new()), |leaf| from_leaf(leaf, certificates))
}

/// The chain of a known leaf: the leaf, and after it every issuer that the bag holds, up to [`MAX_CHAIN_LENGTH`].
///
/// # Errors
/// [`Error::TooManyCertificates`] above [`MAX_CERTIFICATES`].
pub fn from_leaf(leaf: &Certificate, certificates: &[Certificate]) -> Result<Vec<Certificate>, Error> {
    check_count(certificates)?;
    let mut chain = vec![leaf.clone()];
    while chain.len() < MAX_CHAIN_LENGTH {
        let Some(issuer) = chain.last().and_then(|last| issuer_of(last, certificates)) else { break };
        if chain.contains(issuer) {
            break;
        }
        chain.push(issuer.clone());
    }
    Ok(chain)
}

/// The issuer among some certificates: its name must match; of several with the name (a renewed or cross-signed
/// authority), the one whose key signed, then the one whose key identifier is named, then the first.
fn issuer_of<'a>(certificate: &Certificate, certificates: &'a [Certificate]) -> Option<&'a Certificate> {
    if certificate.is_self_issued() {
        return None;
    }
    let named: Vec<&Certificate> = certificates
        .iter()
        .filter(|other| *other != certificate && certificate.names_as_issuer(other))
        .collect();
    if let [only] = named.as_slice() {
        return Some(only);
    }
    let by_identifier = |other: &&&Certificate| {
        certificate.authority_key_identifier().is_some()
            && certificate.authority_key_identifier() == other.subject_key_identifier()
    };
    let found = named
        .iter()
        .find(|other| certificate.is_signed_by(other))
        .or_else(|| named.iter().find(by_identifier))
        .or_else(|| named.first());
    found.copied()
}

/// Verifies that a leaf leads over intermediates to one of the roots, for a purpose, at a time (RFC 5280 section 6):
/// signatures, validity, constraints and extended key usage. Names and revocation are not looked at.
///
/// # Errors
/// [`Error::Untrusted`] with the verifier's reason; [`Error::TooManyCertificates`].
pub fn verify(
    leaf: &Certificate,
    intermediates: &[Certificate],
    roots: &[Certificate],
    purpose: Purpose,
    at: DateTime<Utc>,
) -> Result<(), Error> {
    check_count(intermediates)?;
    let untrusted = |reason: &dyn ToString| Error::Untrusted {
        thumbprint: leaf.thumbprint(),
        at,
        reason: reason.to_string(),
    };
    let seconds = u64::try_from(at.timestamp()).map_err(|_| untrusted(&"the time lies before 1970"))?;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let as_der = |certificate: &Certificate| CertificateDer::from(certificate.der().to_vec());
    let root_ders: Vec<CertificateDer<'_>> = roots.iter().map(as_der).collect();
    let anchors: Vec<_> = root_ders.iter().filter_map(|root| anchor_from_trusted_cert(root).ok()).collect();
    let intermediate_ders: Vec<CertificateDer<'_>> = intermediates.iter().map(as_der).collect();
    let leaf_der = as_der(leaf);
    let usage = match purpose {
        Purpose::Server => KeyUsage::server_auth(),
        Purpose::Client => KeyUsage::client_auth(),
    };
    EndEntityCert::try_from(&leaf_der)
        .and_then(|end| {
            end.verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, &intermediate_ders, time, usage, None, None)
                .map(|_| ())
        })
        .map_err(|error| untrusted(&error))
}

fn check_count(certificates: &[Certificate]) -> Result<(), Error> {
    if certificates.len() > MAX_CERTIFICATES {
        return Err(Error::TooManyCertificates { count: certificates.len(), limit: MAX_CERTIFICATES });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{
        KeyAlgorithm,
        test_tools::{authorities, leaf, now},
    };

    #[test]
    fn a_bag_in_any_order_becomes_a_chain() {
        let (root, issuing) = authorities();
        let (_, stranger) = authorities();
        let (certificate, _) = leaf(&issuing, KeyAlgorithm::EcdsaP256, &["www.example.test"]);
        let expected = vec![certificate.clone(), issuing.certificate().clone(), root.certificate().clone()];
        for rotation in 0..3 {
            let mut bag = expected.clone();
            bag.rotate_left(rotation);
            assert_eq!(order(&bag).unwrap(), expected);
            bag.push(certificate.clone());
            // Same name as the issuing authority, another key: only the signature tells them apart.
            bag.insert(0, stranger.certificate().clone());
            assert_eq!(from_leaf(&certificate, &bag).unwrap(), expected);
        }
        assert_eq!(order(&expected[1..]).unwrap(), expected[1..]);
        assert_eq!(order(&expected[2..]).unwrap(), expected[2..]);
        assert_eq!(order(&[]).unwrap(), []);
        let flood = vec![certificate; MAX_CERTIFICATES + 1];
        assert!(matches!(order(&flood), Err(Error::TooManyCertificates { .. })));
    }

    #[test]
    fn trust_depends_on_root_time_and_purpose() {
        let (root, issuing) = authorities();
        let (other_root, _) = authorities();
        let (certificate, _) = leaf(&issuing, KeyAlgorithm::EcdsaP256, &["www.example.test"]);
        let (roots, intermediates) = ([root.certificate().clone()], [issuing.certificate().clone()]);
        let check = |intermediates: &[Certificate], roots: &[Certificate], purpose, at| {
            verify(&certificate, intermediates, roots, purpose, at).map_err(|error| match error {
                Error::Untrusted { reason, .. } => reason,
                other => panic!("{other}"),
            })
        };
        assert_eq!(check(&intermediates, &roots, Purpose::Server, now()), Ok(()));
        let stranger = [other_root.certificate().clone()];
        assert!(check(&intermediates, &stranger, Purpose::Server, now()).is_err());
        assert!(check(&[], &roots, Purpose::Server, now()).is_err());
        assert!(check(&intermediates, &[], Purpose::Server, now()).is_err());
        assert!(check(&intermediates, &roots, Purpose::Client, now()).is_err());
        let expired =
            check(&intermediates, &roots, Purpose::Server, now() + TimeDelta::days(91)).unwrap_err();
        assert!(expired.contains("CertExpired"), "{expired}");
        assert!(check(&intermediates, &roots, Purpose::Server, now() - TimeDelta::days(1)).is_err());
    }
}
