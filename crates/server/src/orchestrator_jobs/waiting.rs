//! Why a job is not running: a stable code and a sentence, from what is known now. Nothing of it is stored.

use chrono::{DateTime, TimeDelta, Utc};
use sealift_protocol::{JobId, Timestamp};

use super::job::JobType;

/// An agent that was not seen for so long is silent: its polls last a minute, and its last sight is written each minute.
const SILENT: TimeDelta = TimeDelta::minutes(3);

/// What decides about a job that waits.
#[derive(Debug)]
pub(super) struct Waits<'a> {
    /// The agent's machine.
    pub(super) machine: &'a str,
    /// As in the table of jobs.
    pub(super) kind: i16,
    /// Short name of the store type, or name of the custom job's type.
    pub(super) type_name: &'a str,
    pub(super) run_at: DateTime<Utc>,
    /// When it is tried again, after which attempt, and with what code that ended.
    pub(super) retry: Option<(DateTime<Utc>, i16, Option<&'a str>)>,
    /// A job that has the store.
    pub(super) behind: Option<JobId>,
}

/// The agent that a job waits for.
#[derive(Debug, Clone)]
pub(super) struct WaitedFor {
    pub(super) status: i16,
    pub(super) last_seen_at: Option<DateTime<Utc>>,
    /// It must renew its identity before it gets another job.
    pub(super) must_renew: bool,
    /// It takes no work since then.
    pub(super) drained_at: Option<DateTime<Utc>>,
    /// Full names of what it can run.
    pub(super) capabilities: Vec<String>,
    /// Store types by their short names, each with the name that capabilities have for it.
    pub(super) store_types: Vec<String>,
    /// The job that it runs.
    pub(super) runs: Option<JobId>,
}

/// Why the job is not running. The first reason that holds, what needs a person before what passes.
pub(super) fn reason(
    job: &Waits<'_>,
    agent: Option<&WaitedFor>,
    now: DateTime<Utc>,
) -> (&'static str, String) {
    let machine = job.machine;
    let Some(agent) = agent else {
        return ("agent_gone", format!("its agent {machine} no longer exists"));
    };
    match agent.status {
        1 => return ("agent_not_approved", format!("its agent {machine} is not approved yet")),
        3 => return ("agent_disapproved", format!("its agent {machine} is disapproved")),
        _ => {}
    }
    if agent.must_renew {
        let text = format!("its agent {machine} must renew its identity before it gets another job");
        return ("identity_renewal_required", text);
    }
    if let Some(missing) = missing_capability(job, agent) {
        return ("not_capable", format!("its agent {machine} lacks the capability {missing}"));
    }
    if let Some(since) = agent.drained_at {
        let text = format!("its agent {machine} is drained since {}", Timestamp::from(since));
        return ("agent_drained", text);
    }
    if let Some((at, attempt, code)) = job.retry {
        let after = code.map(|code| format!(" with {code}")).unwrap_or_default();
        let text = format!("attempt {attempt} failed{after}; the next one is due at {}", Timestamp::from(at));
        return ("retry", text);
    }
    if job.run_at > now {
        return ("before_time", format!("before its time, {}", Timestamp::from(job.run_at)));
    }
    match agent.last_seen_at {
        None => return ("agent_silent", format!("for its agent {machine}, which has not been seen yet")),
        Some(seen) if seen + SILENT < now => {
            let text = format!("for its agent {machine}, silent since {}", Timestamp::from(seen));
            return ("agent_silent", text);
        }
        Some(_) => {}
    }
    if let Some(other) = job.behind {
        return ("behind", format!("behind job {other} on the same store"));
    }
    if let Some(other) = agent.runs {
        return ("lane_busy", format!("its agent {machine} runs job {other}"));
    }
    ("agent_asked", format!("for its agent {machine}, which is there and will take it next"))
}

/// The capability that the job needs and its agent does not have.
fn missing_capability(job: &Waits<'_>, agent: &WaitedFor) -> Option<String> {
    let of_store = |suffix: &str| {
        let capability = agent.store_types.iter().find_map(|known| {
            let (short_name, capability) = known.split_once('\n')?;
            short_name.eq_ignore_ascii_case(job.type_name).then_some(capability)
        });
        // A type that is gone has no name; the attempt will tell.
        capability.map(|capability| format!("CertStores.{capability}.{suffix}"))
    };
    let needed = match job.kind {
        kind if kind == JobType::Inventory as i16 => of_store("Inventory"),
        kind if kind == JobType::Management as i16 => of_store("Management"),
        kind if kind == JobType::Reenrollment as i16 => of_store("Reenrollment"),
        kind if kind == JobType::Discovery as i16 => of_store("Discovery"),
        kind if kind == JobType::FetchLogs as i16 => Some("Custom.FetchLogs".to_owned()),
        _ => Some(format!("Custom.{}", job.type_name)),
    }?;
    let has = agent.capabilities.iter().any(|known| known.eq_ignore_ascii_case(&needed));
    (!has).then_some(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Waits<'static> {
        Waits {
            machine: "web1",
            kind: 2,
            type_name: "PEM",
            run_at: DateTime::UNIX_EPOCH,
            retry: None,
            behind: None,
        }
    }

    fn agent() -> WaitedFor {
        WaitedFor {
            status: 2,
            last_seen_at: Some(DateTime::UNIX_EPOCH),
            must_renew: false,
            drained_at: None,
            capabilities: vec!["CertStores.Pem.Management".to_owned()],
            store_types: vec!["PEM\nPEM".to_owned()],
            runs: None,
        }
    }

    #[test]
    fn each_reason_has_its_code_and_the_first_that_holds_counts() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::minutes(2);
        let later = now + TimeDelta::hours(1);
        let (one, other) = (JobId::generate(), JobId::generate());
        let held = Waits { behind: Some(one), ..job() };
        let retried = Waits { retry: Some((later, 2, Some("write_failed"))), ..job() };
        let cases = [
            (job(), None, "agent_gone", "no longer exists"),
            (job(), Some(WaitedFor { status: 1, ..agent() }), "agent_not_approved", "not approved"),
            (job(), Some(WaitedFor { status: 3, ..agent() }), "agent_disapproved", "disapproved"),
            (job(), Some(WaitedFor { must_renew: true, ..agent() }), "identity_renewal_required", "renew"),
            (Waits { kind: 1, ..job() }, Some(agent()), "not_capable", "CertStores.PEM.Inventory"),
            (Waits { kind: 6, ..job() }, Some(agent()), "not_capable", "Custom.PEM"),
            (job(), Some(WaitedFor { drained_at: Some(now), ..agent() }), "agent_drained", "drained"),
            (retried, Some(agent()), "retry", "attempt 2 failed with write_failed"),
            (Waits { run_at: later, ..job() }, Some(agent()), "before_time", "01:02:00"),
            (job(), Some(WaitedFor { last_seen_at: None, ..agent() }), "agent_silent", "not been seen"),
            (held, Some(WaitedFor { runs: Some(other), ..agent() }), "behind", "on the same store"),
            (job(), Some(WaitedFor { runs: Some(other), ..agent() }), "lane_busy", "runs job"),
            (job(), Some(agent()), "agent_asked", "will take it next"),
        ];
        for (job, agent, code, part) in cases {
            let (found, text) = reason(&job, agent.as_ref(), now);
            assert_eq!(found, code, "{text}");
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(reason(&job(), Some(&agent()), later).0, "agent_silent");
    }
}
