//! What attempts found and proved, told by agents: made fit, held against what was asked, and kept beside history.
//!
//! An agent may say anything. What it says of a proof counts only where it names every target that it was given, and
//! only for the certificate that the job is about.

use std::collections::HashMap;

use sealift_protocol::agent::leases::{LeaseKey, MAX_MESSAGE};
use sealift_protocol::agent::verification::{
    Evidence, MAX_PLAN_ITEMS, MAX_TARGETS, Plan, PlannedCertificate, Restored, Target, TargetResult,
    Verification, Verified,
};
use sealift_protocol::operator::orchestrator_jobs::AttemptEvidence;
use sealift_protocol::{AgentId, JobId};
use serde_json::Value;
use sqlx::PgConnection;

use super::leases::{Finished, Report, clean_message};
use super::queries;
use crate::http::Failure;
use crate::security::{Principal, permission};

/// Longest name of a host, of a server or of a protocol.
const MAX_NAME: usize = 255;
/// Longest text of why a target differs.
const MAX_REASON: usize = 1_000;
/// Longest subject, file, command, name or note of a plan.
const MAX_PLAN_TEXT: usize = 1_024;
/// Most certificates of a chain that was shown, and most versions of TLS.
const MAX_CHAIN: usize = 16;

/// What an attempt was to prove.
#[derive(Debug)]
pub(super) struct Expectation {
    pub(super) job_id: JobId,
    pub(super) lease_token: uuid::Uuid,
    pub(super) verification: Value,
    /// Of the certificate that the job is about.
    pub(super) thumbprint: Option<String>,
    pub(super) names: Option<Vec<String>>,
}

/// Makes evidence fit, and holds claims of proof against what was asked. One statement for all, and none where nothing
/// is claimed.
pub(crate) async fn judge(
    db: &mut PgConnection,
    claims: Vec<(AgentId, LeaseKey, Evidence)>,
) -> Result<HashMap<LeaseKey, Evidence>, sqlx::Error> {
    let claimed: Vec<(AgentId, LeaseKey)> = claims
        .iter()
        .filter(|(_, _, evidence)| evidence.verified == Verified::Verified)
        .map(|(agent, lease, _)| (*agent, *lease))
        .collect();
    let expected = match claimed.is_empty() {
        true => Vec::new(),
        false => queries::expectations(db, &claimed).await?,
    };
    let expected: HashMap<LeaseKey, Expectation> = expected
        .into_iter()
        .map(|row| (LeaseKey { job_id: row.job_id, lease_token: row.lease_token }, row))
        .collect();
    let judged = claims.into_iter().map(|(_, lease, evidence)| {
        let mut evidence = fit(evidence);
        if evidence.verified == Verified::Verified {
            evidence.verified = match expected.get(&lease) {
                None => Verified::NotAsked,
                Some(expectation) if proves(&evidence, expectation) => Verified::Verified,
                Some(_) => Verified::NotVerified,
            };
        }
        (lease, evidence)
    });
    Ok(judged.collect())
}

/// Whether every target that was sent, and every name where names were to be looked at, showed the certificate.
fn proves(evidence: &Evidence, expectation: &Expectation) -> bool {
    let Some(verification) = asked(Some(&expectation.verification)) else { return false };
    let wanted = expectation.thumbprint.as_ref().or(evidence.after.as_ref());
    let contradicted = evidence.after.is_some() && evidence.after.as_ref() != wanted;
    let good = |result: &TargetResult| {
        result.matches
            && result.thumbprint.is_some()
            && (wanted.is_none() || result.thumbprint.as_ref() == wanted)
    };
    let all_good = !evidence.targets.is_empty() && evidence.targets.iter().all(good);
    let sent = verification
        .targets
        .iter()
        .all(|target| evidence.targets.iter().any(|result| same_target(&result.target, target)));
    let room = MAX_TARGETS.saturating_sub(verification.targets.len());
    let names = expectation.names.iter().flatten().filter(|name| !name.starts_with("*.")).take(room);
    let named = !verification.derive_from_names
        || names.into_iter().all(|name| {
            evidence.targets.iter().any(|result| offered(&result.target).eq_ignore_ascii_case(name))
        });
    !contradicted && all_good && sent && named
}

/// What an attempt was told to prove its result by; none when that was nothing.
pub(crate) fn asked(verification: Option<&Value>) -> Option<Verification> {
    let verification: Verification = serde_json::from_value(verification?.clone()).ok()?;
    (verification.derive_from_names || !verification.targets.is_empty()).then_some(verification)
}

/// The name that is offered to a target.
pub(crate) fn offered(target: &Target) -> &str {
    target.server_name.as_deref().unwrap_or(&target.host)
}

/// Whether two targets are the same server.
pub(crate) fn same_target(one: &Target, other: &Target) -> bool {
    one.port == other.port
        && one.host.eq_ignore_ascii_case(&other.host)
        && offered(one).eq_ignore_ascii_case(offered(other))
}

/// Evidence with every text and list within bounds, and thumbprints that are thumbprints.
fn fit(evidence: Evidence) -> Evidence {
    Evidence {
        installed: evidence.installed,
        verified: evidence.verified,
        before: thumbprint(evidence.before),
        after: thumbprint(evidence.after),
        targets: targets(evidence.targets),
        restored: evidence.restored.map(|restored| Restored {
            complete: restored.complete,
            command_succeeded: restored.command_succeeded,
            targets: targets(restored.targets),
            message: text(&restored.message, MAX_MESSAGE),
        }),
        plan: evidence.plan.map(plan),
    }
}

fn targets(results: Vec<TargetResult>) -> Vec<TargetResult> {
    results.into_iter().filter(|result| is_name(&result.target.host)).take(MAX_TARGETS).map(target).collect()
}

fn target(result: TargetResult) -> TargetResult {
    let shown = thumbprint(result.thumbprint);
    TargetResult {
        target: address(result.target),
        // What was not shown cannot match.
        matches: result.matches && shown.is_some(),
        thumbprint: shown,
        chain: result.chain.into_iter().filter_map(|one| thumbprint(Some(one))).take(MAX_CHAIN).collect(),
        protocol: result.protocol.filter(|version| is_version(version)),
        reason: result.reason.map(|reason| text(&reason, MAX_REASON)),
        tries: result.tries,
        elapsed_milliseconds: result.elapsed_milliseconds.min(i64::MAX.unsigned_abs()),
    }
}

fn address(target: Target) -> Target {
    Target {
        server_name: target.server_name.filter(|name| is_name(name)),
        protocols: target
            .protocols
            .into_iter()
            .filter(|version| is_version(version))
            .take(MAX_CHAIN)
            .collect(),
        ..target
    }
}

fn plan(plan: Plan) -> Plan {
    Plan {
        changes: plan.changes,
        before: plan.before.map(certificate),
        after: plan.after.map(certificate),
        files: texts(&plan.files),
        names_gained: texts(&plan.names_gained),
        names_lost: texts(&plan.names_lost),
        after_change: plan.after_change.map(|command| text(&command, MAX_PLAN_TEXT)),
        targets: plan
            .targets
            .into_iter()
            .filter(|target| is_name(&target.host))
            .take(MAX_TARGETS)
            .map(address)
            .collect(),
        notes: texts(&plan.notes),
    }
}

fn certificate(planned: PlannedCertificate) -> PlannedCertificate {
    PlannedCertificate {
        thumbprint: thumbprint(Some(planned.thumbprint)).unwrap_or_default(),
        subject: text(&planned.subject, MAX_PLAN_TEXT),
        not_after: text(&planned.not_after, 40),
        names: texts(&planned.names),
    }
}

/// The text of a SHA-1 thumbprint, in upper case; anything else is none.
fn thumbprint(text: Option<String>) -> Option<String> {
    text.map(|text| text.to_ascii_uppercase())
        .filter(|text| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_version(text: &str) -> bool {
    matches!(text, "1.2" | "1.3")
}

/// Whether a text may be the name of a host or its address.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn text(text: &str, limit: usize) -> String {
    clean_message(text).chars().take(limit).collect()
}

fn texts(list: &[String]) -> Vec<String> {
    list.iter().take(MAX_PLAN_ITEMS).map(|one| text(one, MAX_PLAN_TEXT)).collect()
}

/// Keeps the evidence of attempts that have just ended.
pub(super) async fn store(
    db: &mut PgConnection,
    finished: &[Finished],
    reports: &[Report],
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(), sqlx::Error> {
    let mut rows = Vec::new();
    for report in reports {
        let Some(evidence) = &report.evidence else { continue };
        let of_report = |attempt: &&Finished| {
            attempt.job_id == report.lease.job_id && attempt.lease_token == Some(report.lease.lease_token)
        };
        let Some(attempt) = finished.iter().find(of_report) else { continue };
        // History has the last word: it knows of targets that the agent passed over.
        let evidence =
            Evidence { verified: verified(attempt.verified).unwrap_or_default(), ..evidence.clone() };
        rows.push((attempt, serde_json::to_value(&evidence).unwrap_or_default()));
    }
    if rows.is_empty() {
        return Ok(());
    }
    queries::insert_evidence(db, &rows, now).await
}

/// What history says of a proof, as a word.
pub(super) fn verified(number: Option<i16>) -> Option<Verified> {
    match number? {
        1 => Some(Verified::Verified),
        2 => Some(Verified::NotVerified),
        _ => Some(Verified::NotAsked),
    }
}

/// What the attempts of a job found and proved, the oldest first. One that told nothing has no row.
pub(super) async fn of_job(
    db: &mut PgConnection,
    caller: &Principal,
    job: JobId,
) -> Result<Vec<AttemptEvidence>, Failure> {
    caller.require(permission::AGENTS_READ)?;
    let rows = queries::evidence_of(db, job).await?;
    let shown = rows.into_iter().map(|(history_id, attempt, evidence)| AttemptEvidence {
        job_history_id: history_id,
        attempt: attempt.into(),
        evidence: serde_json::from_value(evidence).unwrap_or_default(),
    });
    Ok(shown.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "0123456789ABCDEF0123456789ABCDEF01234567";

    fn target_at(host: &str, port: u16) -> Target {
        Target { host: host.to_owned(), port, ..Target::default() }
    }

    fn shown(target: Target, thumbprint: &str) -> TargetResult {
        TargetResult {
            target,
            matches: true,
            thumbprint: Some(thumbprint.to_owned()),
            ..TargetResult::default()
        }
    }

    fn expectation(verification: &Verification, names: &[&str]) -> Expectation {
        Expectation {
            job_id: JobId::generate(),
            lease_token: uuid::Uuid::new_v4(),
            verification: serde_json::to_value(verification).unwrap(),
            thumbprint: Some(GOOD.to_owned()),
            names: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        }
    }

    #[test]
    fn a_proof_names_every_target_and_the_right_certificate() {
        let targets = vec![target_at("www.example.test", 443), target_at("10.0.0.1", 8443)];
        let verification = Verification { targets: targets.clone(), ..Verification::default() };
        let expected = expectation(&verification, &["www.example.test"]);
        let claim = |results: Vec<TargetResult>| Evidence { targets: results, ..Evidence::default() };
        let all: Vec<_> = targets.iter().cloned().map(|target| shown(target, GOOD)).collect();
        assert!(proves(&claim(all.clone()), &expected));
        assert!(!proves(&claim(all[..1].to_vec()), &expected), "one is missing");
        assert!(!proves(&claim(Vec::new()), &expected));
        let other = GOOD.replace('0', "1");
        let mut wrong = all.clone();
        wrong[1].thumbprint = Some(other.clone());
        assert!(!proves(&claim(wrong), &expected), "another certificate");
        let mut failed = all.clone();
        failed.push(TargetResult { matches: false, ..shown(target_at("b", 443), GOOD) });
        assert!(!proves(&claim(failed), &expected), "one more that differs");
        assert!(
            !proves(&Evidence { after: Some(other), ..claim(all) }, &expected),
            "the store holds another"
        );
    }

    #[test]
    fn names_are_to_be_looked_at_where_that_was_asked_for() {
        let verification = Verification { derive_from_names: true, ..Verification::default() };
        let expected = expectation(&verification, &["a.example.test", "B.example.test", "*.example.test"]);
        let at = |name: &str| {
            let target = Target { server_name: Some(name.to_owned()), ..target_at("127.0.0.1", 443) };
            shown(target, GOOD)
        };
        let claim = |results: Vec<TargetResult>| Evidence { targets: results, ..Evidence::default() };
        assert!(proves(&claim(vec![at("a.example.test"), at("b.example.test")]), &expected));
        assert!(!proves(&claim(vec![at("a.example.test")]), &expected));
    }

    #[test]
    fn what_an_agent_tells_is_made_fit() {
        let bad = TargetResult {
            matches: true,
            thumbprint: Some("beef".to_owned()),
            ..shown(target_at("a", 1), GOOD)
        };
        let told = Evidence {
            before: Some("<script>".to_owned()),
            after: Some(GOOD.to_ascii_lowercase()),
            targets: std::iter::once(shown(target_at("a b\n", 1), GOOD))
                .chain(std::iter::repeat_n(bad, 1_000))
                .collect(),
            restored: Some(Restored { message: "\u{0}".repeat(9_000), ..Restored::default() }),
            plan: Some(Plan { notes: vec!["n".repeat(5_000); 5_000], ..Plan::default() }),
            ..Evidence::default()
        };
        let told = fit(told);
        assert_eq!((told.before, told.after.as_deref()), (None, Some(GOOD)));
        assert_eq!(told.targets.len(), MAX_TARGETS);
        assert!(told.targets.iter().all(|result| !result.matches && result.thumbprint.is_none()));
        assert_eq!(told.restored.unwrap().message, " ".repeat(MAX_MESSAGE));
        let notes = told.plan.unwrap().notes;
        assert_eq!((notes.len(), notes[0].len()), (MAX_PLAN_ITEMS, MAX_PLAN_TEXT));
    }
}
