//! What can be judged of a certificate before anything changes. Pure functions.

use chrono::{DateTime, Utc};
use sealift_pki::Certificate;
use sealift_stores::{Entry, NewEntry};

use crate::failure::{ErrorCode, Failure};

const SERVER_AUTHENTICATION: &str = "1.3.6.1.5.5.7.3.1";
const ANY_PURPOSE: &str = "2.5.29.37.0";

/// Refuses what a server could not serve; answers what deserves a look. Certificates without a key are only trusted, and
/// nothing is asked of them.
pub(super) fn judge(entry: &NewEntry, served: bool, now: DateTime<Utc>) -> Result<Vec<String>, Failure> {
    let Some(leaf) = entry.certificates.first().filter(|_| entry.private_key.is_some()) else {
        return Ok(Vec::new());
    };
    let mut warnings = Vec::new();
    for pair in entry.certificates.windows(2) {
        if !pair[0].names_as_issuer(&pair[1]) {
            let what =
                format!("certificate {} was not issued by {}", pair[0].thumbprint(), pair[1].thumbprint());
            return Err(Failure::new(ErrorCode::ChainBroken, what));
        }
    }
    if leaf.not_after() <= now {
        let what = format!(
            "certificate {} expired at {}, and this machine's clock says {}",
            leaf.thumbprint(),
            leaf.not_after().to_rfc3339(),
            now.to_rfc3339()
        );
        return Err(Failure::new(ErrorCode::CertificateExpired, what));
    }
    if leaf.not_before() > now {
        warnings.push(format!("the certificate is valid only from {}", leaf.not_before().to_rfc3339()));
    }
    let usages = leaf.extended_key_usages();
    let serves =
        usages.is_empty() || usages.iter().any(|oid| oid == SERVER_AUTHENTICATION || oid == ANY_PURPOSE);
    if served && !serves {
        warnings.push("the certificate is not meant for TLS servers".to_owned());
    }
    Ok(warnings)
}

/// DNS names that the new certificate has and the old one lacks, and the other way round.
pub(super) fn names(before: Option<&Entry>, after: Option<&Certificate>) -> (Vec<String>, Vec<String>) {
    let before = before.and_then(|entry| entry.certificates.first());
    let missing = |from: Option<&Certificate>, other: Option<&Certificate>| -> Vec<String> {
        let names = from.map(Certificate::dns_names).unwrap_or_default().into_iter();
        let present = other.map(Certificate::dns_names).unwrap_or_default();
        let has = |name: &str| {
            present.iter().any(|present| present.eq_ignore_ascii_case(name))
                || other.is_some_and(|other| other.covers(name))
        };
        names.filter(|name| !has(name)).map(str::to_owned).collect()
    };
    (missing(after, before), missing(before, after))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::identity::wall_clock;
    use crate::scripted_server::{authority, host_certificate};

    fn entry(certificates: Vec<Certificate>, key: sealift_pki::PrivateKey) -> NewEntry {
        NewEntry { alias: None, certificates, private_key: Some(key), entry_password: None }
    }

    #[test]
    fn a_chain_in_disorder_and_an_expired_certificate_are_refused() {
        let (issuer, stranger) = (authority(), authority());
        let (leaf, key) = host_certificate(&issuer, "www.example.test");
        let (other, _) = host_certificate(&stranger, "other.example.test");
        let good = entry(vec![leaf.clone(), issuer.certificate().clone()], key.clone());
        assert_eq!(judge(&good, true, wall_clock()).unwrap(), Vec::<String>::new());
        let broken = entry(vec![leaf.clone(), other], key);
        assert_eq!(judge(&broken, true, wall_clock()).unwrap_err().code, ErrorCode::ChainBroken);
        let late = judge(&good, true, wall_clock() + TimeDelta::days(91)).unwrap_err();
        assert_eq!(late.code, ErrorCode::CertificateExpired);
        assert_eq!(judge(&good, true, wall_clock() - TimeDelta::days(1)).unwrap().len(), 1);
    }
}
