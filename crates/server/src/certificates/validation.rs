//! Whether a certificate may be trusted now, check by check (operator contract, 8.2). The checks have the names that
//! Windows gives to what can be wrong with a chain; trusted is the root of this installation alone.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sealift_pki::Certificate;
use sealift_pki::chain::{Purpose, verify};
use sealift_protocol::operator::certificates::Validation;
use sqlx::PgConnection;

use super::error::Error;
use super::{chain, queries, supply};
use crate::authority::Authority;
use crate::security::Principal;

/// Object identifiers of extended key usages.
const ANY_USAGE: &str = "2.5.29.37.0";
const SERVER_USAGE: &str = "1.3.6.1.5.5.7.3.1";
const CLIENT_USAGE: &str = "1.3.6.1.5.5.7.3.2";

/// Validates a certificate.
///
/// # Errors
/// [`Error::NotFound`], a missing permission.
pub(super) async fn validate(
    db: &mut PgConnection,
    authority: &Authority,
    caller: &Principal,
    id: i64,
    collection_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<Validation, Error> {
    supply::require_readable(db, caller, id, collection_id, now).await?;
    let row = queries::certificate(db, id).await?.ok_or_else(|| Error::NotFound(id.to_string()))?;
    let certificate = chain::parse(id, &row.content)?;
    let chain = chain::whole(db, authority, id, &certificate).await?;
    let results = checks(&chain, authority.root(), row.revoked_at, now);
    let valid = results.values().all(|result| result == "Pass");
    Ok(Validation { valid, results })
}

/// The chain begins with the certificate and has the root last, where it is known.
fn checks(
    chain: &[Certificate],
    root: &Certificate,
    revoked_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> BTreeMap<String, String> {
    let mut results = BTreeMap::new();
    let mut add = |name: &str, wrong: Option<String>| {
        let text = wrong.map_or_else(|| "Pass".to_owned(), |reason| format!("Fail: {reason}"));
        results.insert(name.to_owned(), text);
    };
    add("NotTimeValid", chain.iter().find_map(|one| untimely(one, now)));
    add(
        "Revoked",
        revoked_at.map(|at| format!("it was revoked at {}", sealift_protocol::Timestamp::from(at))),
    );
    let last = chain.last();
    let partial = last.filter(|last| !last.is_self_issued());
    add("PartialChain", partial.map(|last| format!("the issuer {} is not on record", last.issuer())));
    let signer = |pair: &[Certificate]| match pair {
        [one, above] if !one.is_signed_by(above) => {
            Some(format!("{} is not signed by {}", one.subject(), above.subject()))
        }
        _ => None,
    };
    let own = last.filter(|last| last.is_self_issued() && !last.is_signed_by(last));
    let own = own.map(|last| format!("{} is not signed by itself", last.subject()));
    add("NotSignatureValid", chain.windows(2).find_map(signer).or(own));
    let strange = last.filter(|last| *last != root);
    add(
        "UntrustedRoot",
        strange.map(|last| format!("{} is not the root of this installation", last.subject())),
    );
    if let (Some(leaf), None, None) = (chain.first(), partial, strange)
        && !leaf.is_authority()
        && let Some(purpose) = purpose(leaf)
    {
        let at = now.clamp(leaf.not_before(), leaf.not_after());
        let above = chain.get(1..).unwrap_or_default();
        let wrong = verify(leaf, above, std::slice::from_ref(root), purpose, at).err();
        add("NotValidForUsage", wrong.map(|error| error.to_string()));
    }
    results
}

fn untimely(certificate: &Certificate, now: DateTime<Utc>) -> Option<String> {
    let shown = sealift_protocol::Timestamp::from;
    if now < certificate.not_before() {
        return Some(format!("{} is valid from {}", certificate.subject(), shown(certificate.not_before())));
    }
    let over = now > certificate.not_after();
    over.then(|| format!("{} was valid until {}", certificate.subject(), shown(certificate.not_after())))
}

/// What the certificate is verified for; nothing for a purpose that is not verified here.
fn purpose(certificate: &Certificate) -> Option<Purpose> {
    let usages = certificate.extended_key_usages();
    let has = |oid: &str| usages.iter().any(|usage| usage == oid || usage == ANY_USAGE);
    match usages.is_empty() || has(SERVER_USAGE) {
        true => Some(Purpose::Server),
        false => has(CLIENT_USAGE).then_some(Purpose::Client),
    }
}

#[cfg(test)]
mod tests {
    use sealift_pki::{AuthorityProfile, DistinguishedName, Issuer, SerialNumber};

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-05-04T09:30:00Z".parse().unwrap()
    }

    fn authority(name: &str) -> AuthorityProfile {
        AuthorityProfile {
            subject: DistinguishedName::from_common_name(name).unwrap(),
            serial_number: SerialNumber::from_random([7; 16]),
            not_before: now(),
            not_after: now() + chrono::TimeDelta::days(1),
            crl_distribution_point: None,
        }
    }

    #[test]
    fn each_check_stands_for_itself() {
        let root = Issuer::self_signed_root(&authority("Root")).unwrap();
        let below = root.subordinate(&authority("Below")).unwrap();
        let chain = [below.certificate().clone(), root.certificate().clone()];
        let good = checks(&chain, root.certificate(), None, now());
        assert!(good.len() == 5 && good.values().all(|result| result == "Pass"), "{good:?}");

        let late = checks(&chain, root.certificate(), Some(now()), now() + chrono::TimeDelta::days(2));
        assert!(late["NotTimeValid"].starts_with("Fail: ") && late["Revoked"].starts_with("Fail: "));
        let alone = checks(&chain[..1], root.certificate(), None, now());
        assert!(alone["PartialChain"].contains("Root") && alone["UntrustedRoot"].starts_with("Fail: "));
        let stranger = Issuer::self_signed_root(&authority("Root")).unwrap();
        let foreign = [chain[0].clone(), stranger.certificate().clone()];
        let foreign = checks(&foreign, root.certificate(), None, now());
        assert!(foreign["NotSignatureValid"].contains("Below"), "{foreign:?}");
    }
}
