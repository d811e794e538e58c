//! The decisions of a registration, as functions of what was loaded.

use chrono::{DateTime, TimeDelta, Utc};

use super::KnownAgent;
use super::answer::Refusal;
use super::asked::Asked;
use crate::agents::agent::Status;
use crate::agents::reenrollment::Reenrollment;

/// A last contact older than this is worth a write of its own.
const STALE: TimeDelta = TimeDelta::seconds(60);

/// How an agent was recognised, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// By its client certificate: it calls itself, now.
    Certificate,
    /// By the key that signed its request. Someone who saw an old request could show it again, so what else is
    /// said counts less.
    Key,
    /// By a token that an operator made for it.
    Token,
    /// By its login and the name of its machine.
    Login,
    /// By its name and address, while it waits for its first certificate.
    Name,
    /// Not at all.
    FirstContact,
}

/// An agent and how it was recognised.
#[derive(Debug)]
pub(super) struct Recognised {
    pub(super) agent: KnownAgent,
    pub(super) by: By,
}

/// Who is behind a client certificate and a key; refused when they are two agents'.
pub(super) fn recognise(
    rows: Vec<KnownAgent>,
    certificate: Option<&str>,
    key: Option<&[u8]>,
) -> Result<Option<Recognised>, Refusal> {
    let has_certificate = |agent: &KnownAgent| {
        certificate.is_some()
            && (agent.thumbprint.as_deref() == certificate
                || agent.legacy_thumbprint.as_deref() == certificate)
    };
    let has_key = |agent: &KnownAgent| key.is_some() && agent.key_fingerprint.as_deref() == key;
    let by_certificate = rows.iter().find(|agent| has_certificate(agent)).cloned();
    let by_key = rows.into_iter().find(has_key);
    match (by_certificate, by_key) {
        (Some(one), Some(other)) if one.id != other.id => Err(Refusal::anothers_key()),
        (Some(agent), _) => Ok(Some(Recognised { agent, by: By::Certificate })),
        (None, Some(agent)) => Ok(Some(Recognised { agent, by: By::Key })),
        (None, None) => Ok(None),
    }
}

/// Which of the agents of one login and name asks. With a request for a certificate it is one that never got
/// one: an agent that starts over makes a new key, and gets a new id (chapter 13, rule 6). Without it is one
/// that never had a key. A disapproved one stays disapproved, whatever key it makes.
pub(super) fn recognise_login(rows: Vec<KnownAgent>, asks_certificate: bool) -> Option<Recognised> {
    let disapproved = |agent: &KnownAgent| agent.status == Status::Disapproved.number();
    let fits = |agent: &KnownAgent| match asks_certificate {
        true => agent.certificate.is_none(),
        false => agent.key_fingerprint.is_none(),
    };
    let chosen = rows.iter().position(disapproved).or_else(|| rows.iter().position(fits))?;
    rows.into_iter().nth(chosen).map(|agent| Recognised { agent, by: By::Login })
}

/// Takes over what the agent says of itself; false when its proof is not good enough for that. A name is kept
/// once an operator has approved it.
pub(super) fn learn(agent: &mut KnownAgent, asked: &Asked, by: By) -> bool {
    let replayable = by == By::Key && agent.certificate.is_some();
    if replayable || by == By::FirstContact {
        return false;
    }
    if agent.status == Status::New.number() {
        agent.client_machine.clone_from(&asked.client_machine);
    }
    if (matches!(by, By::Login | By::Name) && agent.certificate.is_none() || by == By::Token)
        && let Some(key) = &asked.key
    {
        agent.key_fingerprint = Some(key.fingerprint.to_vec());
    }
    agent.platform = asked.platform;
    agent.version.clone_from(&asked.version);
    agent.speaks_extensions = asked.speaks_extensions;
    agent.capabilities.clone_from(&asked.capabilities);
    true
}

/// Whether the last contact is worth a write.
pub(super) fn is_stale(last_seen: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    last_seen.is_none_or(|seen| now - seen >= STALE)
}

/// Whether less than a third of an identity's life is left.
fn is_due(expires: Option<DateTime<Utc>>, days: u32, now: DateTime<Utc>) -> bool {
    expires.is_none_or(|expires| expires - now < TimeDelta::days(days.into()) / 3)
}

/// The identity that was issued for this key before, while most of its life is left: a lost answer is repeated,
/// and a request shown again by someone else changes nothing.
pub(super) fn reusable<'a>(
    agent: &'a KnownAgent,
    key: &[u8],
    days: u32,
    now: DateTime<Utc>,
) -> Option<&'a [u8]> {
    let same_key = agent.key_fingerprint.as_deref() == Some(key);
    agent.certificate.as_deref().filter(|_| same_key && !is_due(agent.identity_expires_at, days, now))
}

/// Whether an agent is asked to renew its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewal {
    /// It is not.
    No,
    /// It is, and has its session meanwhile.
    Asked,
    /// It is, and has no session before.
    First,
}

/// Whether an agent is asked to renew: because an operator wants it, or, for one of the published protocol, since ours
/// does so by itself, because it is time.
pub(super) fn renewal(agent: &KnownAgent, asked: &Asked, days: u32, now: DateTime<Utc>) -> Renewal {
    if asked.key.is_some() {
        return Renewal::No;
    }
    let due = !asked.speaks_extensions && is_due(agent.identity_expires_at, days, now);
    match Reenrollment::from_number(agent.reenrollment) {
        Reenrollment::Required => Renewal::First,
        _ if due => Renewal::First,
        Reenrollment::Requested => Renewal::Asked,
        Reenrollment::None => Renewal::No,
    }
}

/// What an agent was called before it lost its identity and put a time in place of what stood behind its last
/// underscore, as `YYYYMMDDHHMMSS` (agent protocol, 4.7).
pub(super) fn stem(machine: &str) -> Option<&str> {
    let (stem, time) = machine.rsplit_once('_')?;
    let is_time = time.len() == 14 && time.bytes().all(|byte| byte.is_ascii_digit());
    (is_time && !stem.is_empty()).then_some(stem)
}

/// The identity that stays valid beside a new one: the one the agent surely holds. Not simply the newest, whose
/// answer may have been lost.
pub(super) fn next_legacy<'a>(agent: &'a KnownAgent, presented: Option<&str>) -> Option<&'a str> {
    let held = [agent.thumbprint.as_deref(), agent.legacy_thumbprint.as_deref()];
    let among = |wanted: Option<&str>| held.into_iter().flatten().find(|known| Some(*known) == wanted);
    among(presented).or_else(|| among(agent.last_thumbprint_used.as_deref())).or(held[0])
}

#[cfg(test)]
mod tests {
    use sealift_protocol::AgentId;

    use super::*;

    const A: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const B: &str = "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";
    const DAYS: u32 = 90;

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
    }

    fn asked(speaks_extensions: bool) -> Asked {
        Asked {
            client_machine: "web1.example.test".to_owned(),
            platform: 5,
            version: "2.0.0.0".to_owned(),
            speaks_extensions,
            capabilities: vec!["CertStores.PEM.Inventory".to_owned()],
            key: None,
            enrollment_token: None,
        }
    }

    fn agent(status: Status, thumbprint: Option<&str>, key: u8) -> KnownAgent {
        KnownAgent {
            status: status.number(),
            thumbprint: thumbprint.map(str::to_owned),
            certificate: thumbprint.map(|_| vec![1]),
            identity_expires_at: thumbprint.map(|_| now() + TimeDelta::days(80)),
            key_fingerprint: Some(vec![key; 32]),
            ..asked(true).first_row(AgentId::generate(), "")
        }
    }

    #[test]
    fn a_certificate_counts_before_a_key_and_two_agents_are_never_mixed() {
        let (one, other) = (agent(Status::Approved, Some(A), 1), agent(Status::Approved, Some(B), 2));
        let both = || vec![one.clone(), other.clone()];
        let found = recognise(both(), Some(A), None).unwrap().unwrap();
        assert_eq!((found.agent.id, found.by), (one.id, By::Certificate));
        let found = recognise(both(), None, Some(&[2; 32])).unwrap().unwrap();
        assert_eq!((found.agent.id, found.by), (other.id, By::Key));
        assert!(recognise(both(), Some(A), Some(&[2; 32])).is_err(), "one's certificate, the other's key");
        let found = recognise(vec![one.clone()], Some(A), Some(&[9; 32])).unwrap().unwrap();
        assert_eq!((found.agent.id, found.by), (one.id, By::Certificate));
        assert!(recognise(Vec::new(), Some(A), Some(&[9; 32])).unwrap().is_none());
    }

    #[test]
    fn the_identity_before_counts_until_it_is_replaced() {
        let mut one = agent(Status::Approved, Some(B), 1);
        one.legacy_thumbprint = Some(A.to_owned());
        assert_eq!(recognise(vec![one], Some(A), None).unwrap().unwrap().by, By::Certificate);
    }

    #[test]
    fn agents_without_certificate_and_key_are_nobody() {
        let without = KnownAgent { key_fingerprint: None, ..agent(Status::Approved, None, 0) };
        assert!(recognise(vec![without], None, None).unwrap().is_none());
    }

    #[test]
    fn a_login_finds_the_agent_that_still_waits_for_its_certificate() {
        let enrolled = agent(Status::Approved, Some(A), 1);
        let waiting = agent(Status::Approved, None, 2);
        let found = recognise_login(vec![enrolled.clone(), waiting.clone()], true).unwrap();
        assert_eq!(found.agent.id, waiting.id);
        assert!(recognise_login(vec![enrolled.clone()], true).is_none(), "starting over is a first contact");
        assert!(
            recognise_login(vec![enrolled.clone(), waiting], false).is_none(),
            "a key is not laid down again"
        );
        let keyless = KnownAgent { key_fingerprint: None, ..agent(Status::Approved, None, 0) };
        assert_eq!(recognise_login(vec![enrolled, keyless.clone()], false).unwrap().agent.id, keyless.id);
        let disapproved = agent(Status::Disapproved, Some(B), 3);
        let found = recognise_login(vec![keyless, disapproved.clone()], true).unwrap();
        assert_eq!(found.agent.id, disapproved.id);
    }

    #[test]
    fn a_request_shown_again_changes_nothing_of_an_agent_that_has_its_identity() {
        let mut known = agent(Status::Approved, Some(A), 1);
        let before = known.clone();
        assert!(!learn(&mut known, &asked(false), By::Key));
        assert_eq!(known, before);
        assert!(reusable(&known, &[1; 32], DAYS, now()).is_some());
        assert!(learn(&mut known, &asked(false), By::Certificate));
        assert!(!known.speaks_extensions);
    }

    #[test]
    fn a_name_is_kept_once_it_was_approved() {
        for (status, expected) in [(Status::New, "web1.example.test"), (Status::Approved, "old.example.test")]
        {
            let mut known =
                KnownAgent { client_machine: "old.example.test".to_owned(), ..agent(status, None, 1) };
            assert!(learn(&mut known, &asked(true), By::Key));
            assert_eq!(known.client_machine, expected);
        }
    }

    #[test]
    fn a_lost_answer_is_repeated_for_the_same_key_until_renewal_is_due() {
        let known = agent(Status::Approved, Some(A), 1);
        assert!(reusable(&known, &[2; 32], DAYS, now()).is_none());
        assert!(reusable(&known, &[1; 32], DAYS, now() + TimeDelta::days(49)).is_some());
        assert!(reusable(&known, &[1; 32], DAYS, now() + TimeDelta::days(51)).is_none());
        assert!(reusable(&known, &[1; 32], DAYS, now() + TimeDelta::days(500)).is_none());
        assert!(reusable(&agent(Status::Approved, None, 1), &[1; 32], DAYS, now()).is_none());
    }

    #[test]
    fn published_agents_are_asked_to_renew_in_the_last_third() {
        let known = agent(Status::Approved, Some(A), 1);
        let late = now() + TimeDelta::days(51);
        assert_eq!(renewal(&known, &asked(false), DAYS, now()), Renewal::No);
        assert_eq!(renewal(&known, &asked(false), DAYS, late), Renewal::First);
        assert_eq!(renewal(&known, &asked(true), DAYS, late), Renewal::No);
        let wanted = KnownAgent { reenrollment: 1, ..known.clone() };
        assert_eq!(renewal(&wanted, &asked(true), DAYS, now()), Renewal::Asked, "an operator asks ours, too");
        assert_eq!(renewal(&wanted, &asked(false), DAYS, late), Renewal::First);
        let required = KnownAgent { reenrollment: 2, ..known };
        assert_eq!(renewal(&required, &asked(false), DAYS, now()), Renewal::First);
    }

    #[test]
    fn a_name_with_a_time_behind_it_has_a_stem() {
        assert_eq!(stem("web_20261125063000"), Some("web"));
        assert_eq!(stem("a_b_20261125063000"), Some("a_b"));
        for plain in ["web_01", "web", "_20261125063000", "web_2026112506300x", ""] {
            assert_eq!(stem(plain), None, "{plain}");
        }
    }

    #[test]
    fn the_identity_that_the_agent_holds_stays_valid() {
        let mut known = agent(Status::Approved, Some(A), 1);
        assert_eq!(next_legacy(&known, Some(A)), Some(A));
        assert_eq!(next_legacy(&known, None), Some(A));
        // B was issued and its answer lost: the agent still calls with A.
        known.thumbprint = Some(B.to_owned());
        known.legacy_thumbprint = Some(A.to_owned());
        assert_eq!(next_legacy(&known, Some(A)), Some(A));
        assert_eq!(next_legacy(&known, Some(B)), Some(B));
        known.last_thumbprint_used = Some(A.to_owned());
        assert_eq!(next_legacy(&known, None), Some(A));
        assert_eq!(next_legacy(&agent(Status::New, None, 1), None), None);
    }
}
