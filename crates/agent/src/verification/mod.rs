//! What a TLS client sees: connects to the targets of a store and holds what they show against what was installed.
//!
//! A server may take a moment after its reload, so a target is tried again, with growing pauses, until it matches or the
//! time is over. Where the agent connects at all is decided in `reach.rs`; of what it meets there, only facts of TLS
//! are told.

mod handshake;
pub(crate) mod reach;

use std::time::Duration;

use sealift_pki::Certificate;
use sealift_protocol::agent::verification::{
    MAX_TARGETS, MAX_VERIFICATION_SECONDS, Target, TargetResult, Verification,
};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use reach::Reach;

/// First pause between two tries; each is half as long again as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Longest time of one connection with its handshake.
const TRY_LIMIT: Duration = Duration::from_secs(10);
/// Most certificates of a chain that are told.
const MAX_CHAIN: usize = 16;
/// The label that stands for a wildcard.
const MADE_UP_LABEL: &str = "sealift-verification";
const HTTPS: u16 = 443;

/// The certificate that a target is to show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Expected {
    /// Thumbprint of the end entity.
    pub(crate) leaf: String,
    /// Thumbprints of its chain, roots apart: a client has those.
    pub(crate) chain: Vec<String>,
}

impl Expected {
    /// What is to be shown of these certificates, end entity first.
    pub(crate) fn of(certificates: &[Certificate]) -> Option<Self> {
        let (leaf, chain) = certificates.split_first()?;
        let chain = chain.iter().filter(|issuer| !issuer.is_self_issued());
        let chain = chain.map(|issuer| issuer.thumbprint().to_string()).collect();
        Some(Self { leaf: leaf.thumbprint().to_string(), chain })
    }
}

/// The targets of a store, with those that follow from the names of the certificate, within [`MAX_TARGETS`].
pub(crate) fn targets(verification: &Verification, certificate: &Certificate) -> Vec<Target> {
    let mut targets = verification.targets.clone();
    if verification.derive_from_names {
        targets.extend(certificate.dns_names().into_iter().map(|name| Target {
            host: "localhost".to_owned(),
            port: HTTPS,
            server_name: Some(match name.strip_prefix("*.") {
                Some(domain) => format!("{MADE_UP_LABEL}.{domain}"),
                None => name.to_owned(),
            }),
            protocols: Vec::new(),
        }));
    }
    targets.truncate(MAX_TARGETS);
    targets
}

/// The time that the store gives for all handshakes.
pub(crate) fn limit(verification: &Verification) -> Duration {
    Duration::from_secs(verification.deadline_seconds.clamp(1, MAX_VERIFICATION_SECONDS).into())
}

/// Looks at every target, all at once, until each matches or the time is over; answers in their order.
pub(crate) async fn look(
    reach: &Reach,
    targets: &[Target],
    expected: &Expected,
    limit: Duration,
) -> Vec<TargetResult> {
    let mut looking = JoinSet::new();
    for (at, target) in targets.iter().take(MAX_TARGETS).cloned().enumerate() {
        let (reach, expected) = (reach.clone(), expected.clone());
        looking.spawn(async move { (at, look_at(&reach, target, &expected, limit).await) });
    }
    let mut results = looking.join_all().await;
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

async fn look_at(reach: &Reach, target: Target, expected: &Expected, limit: Duration) -> TargetResult {
    let started = Instant::now();
    let end = started + limit;
    let mut result = TargetResult { target, ..TargetResult::default() };
    let mut pause = FIRST_PAUSE;
    loop {
        result.tries = result.tries.saturating_add(1);
        let mut next =
            TargetResult { target: result.target.clone(), tries: result.tries, ..TargetResult::default() };
        let goes_on =
            match timeout_at(end.min(Instant::now() + TRY_LIMIT), try_once(reach, &mut next, expected)).await
            {
                Ok(goes_on) => goes_on,
                Err(_) => {
                    next.reason = Some("no answer in time".to_owned());
                    true
                }
            };
        next.elapsed_milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        result = next;
        if result.matches || !goes_on || Instant::now() + pause >= end {
            return result;
        }
        sleep(pause).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

/// One handshake for each wanted version; whether another try is worth its while.
async fn try_once(reach: &Reach, result: &mut TargetResult, expected: &Expected) -> bool {
    let addresses = match reach.addresses(&result.target).await {
        Ok(addresses) => addresses,
        Err(refusal) => {
            result.reason = Some(refusal.reason);
            return !refusal.lasting;
        }
    };
    let wanted: Vec<Option<String>> = match result.target.protocols.as_slice() {
        [] => vec![None],
        protocols => protocols.iter().cloned().map(Some).collect(),
    };
    let name = result.target.server_name.clone().unwrap_or_else(|| result.target.host.clone());
    for version in wanted {
        match handshake::with_any(&addresses, &name, version.as_deref()).await {
            Ok(seen) => {
                result.protocol = Some(seen.protocol.to_owned());
                result.thumbprint = Some(seen.leaf.thumbprint().to_string());
                let chain = seen.chain.iter().take(MAX_CHAIN);
                result.chain = chain.map(|issuer| issuer.thumbprint().to_string()).collect();
                if let Some(difference) = difference(result, expected) {
                    result.reason = Some(difference);
                    return true;
                }
            }
            Err(reason) => {
                let of_version = version.map_or(String::new(), |version| format!("TLS {version}: "));
                result.reason = Some(format!("{of_version}{reason}"));
                return true;
            }
        }
    }
    result.matches = true;
    false
}

/// What differs from what was installed.
fn difference(shown: &TargetResult, expected: &Expected) -> Option<String> {
    let leaf = shown.thumbprint.as_deref().unwrap_or_default();
    if leaf != expected.leaf {
        return Some(format!("shows certificate {leaf} and not {}", expected.leaf));
    }
    let missing = expected.chain.iter().find(|issuer| !shown.chain.contains(issuer))?;
    Some(format!("shows the certificate without {missing} of its installed chain"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_counts_as_installed() {
        let expected = Expected { leaf: "A".to_owned(), chain: vec!["B".to_owned()] };
        let shown = |leaf: &str, chain: &[&str]| TargetResult {
            thumbprint: Some(leaf.to_owned()),
            chain: chain.iter().map(|issuer| (*issuer).to_owned()).collect(),
            ..TargetResult::default()
        };
        assert_eq!(difference(&shown("A", &["B"]), &expected), None);
        assert_eq!(difference(&shown("A", &["B", "ROOT"]), &expected), None);
        assert!(difference(&shown("A", &[]), &expected).unwrap().contains("without B"));
        assert!(difference(&shown("C", &["B"]), &expected).unwrap().contains("C and not A"));
    }
}
