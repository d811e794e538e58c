//! `Jobs/{id}/Complete`: the end of an attempt, as these agents tell it, and what it means.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data, Path};
use sealift_protocol::agent::jobs::{Accepted, CompleteJob};
use sealift_protocol::agent::leases::{Completion, Outcome};
use sealift_protocol::agent::registration::CallResult;

use super::{About, Door, job, send};
use crate::agent_api::completion::{Completions, Reported};
use crate::agent_api::wire::Refusal;
use crate::agents::session::native;
use crate::floor::Floor;
use crate::http::{Failure, body};
use crate::orchestrator_jobs::published::{RunningAttempt, running};
use crate::orchestrator_jobs::{AttemptData, JobType, Keep, Operation, inventory_after, seal};

/// `Jobs/{id}/Complete`. Too late, twice or unknown: heard, and without effect.
pub(in crate::agent_api) async fn complete(
    door: Door,
    completions: Data<Completions>,
    path: Path<String>,
    bytes: Bytes,
) -> Result<HttpResponse, Refusal> {
    let call: CompleteJob = body::parse(&bytes)?;
    let session = door.session(call.session_token.as_deref()).await?;
    let about = About { agent: session.agent, job: job(&path)?, native: native(session.platform) };
    let mut db = door.floor.database.main.acquire().await?;
    let running = running(&mut db, about.agent, about.job, audit_id(call.audit_id)).await?;
    drop(db);
    let mut inventory_job = None;
    match running {
        None => tracing::info!(
            job.id = %about.job, agent.id = %about.agent, status = call.status,
            "a report came for an attempt that does not run; nothing was changed"
        ),
        Some(attempt) => {
            let data = data(&door.floor, &about, &attempt, &call)?;
            let completion = judge(&about, &attempt, call);
            let follows = completion.outcome != Outcome::TransientFailure || !attempt.again;
            let job_type = attempt.operation().map(Operation::job_type);
            if matches!(job_type, Some(JobType::Management | JobType::Reenrollment)) && follows {
                inventory_job = Some(inventory_after(about.job));
            }
            let reported = Reported { agent: about.agent, completions: vec![completion], data };
            let stopping = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping");
            completions.submit(reported).await.ok_or_else(stopping)??;
        }
    }
    Ok(send(Accepted { result: CallResult::success(), inventory_job }))
}

/// The log or the result that the call brings.
fn data(
    floor: &Floor,
    about: &About,
    attempt: &RunningAttempt,
    call: &CompleteJob,
) -> Result<Vec<AttemptData>, Failure> {
    let (text, keep) = match attempt.operation() {
        Some(Operation::FetchLogs) => (&call.log, Keep::End),
        Some(Operation::Custom) => (&call.data, Keep::Beginning),
        _ => return Ok(Vec::new()),
    };
    let Some(text) = text.as_ref().filter(|text| !text.is_empty()) else { return Ok(Vec::new()) };
    Ok(vec![seal(floor, attempt.lease(about.job), attempt.history_id, text, keep)?])
}

/// Numbers pass through a double at the agent; what is none of ours is 0, which no attempt has.
fn audit_id(sent: f64) -> i64 {
    const EXACT: f64 = 9_007_199_254_740_991.0;
    // In this range every whole double is an i64.
    if sent.fract() == 0.0 && (1.0..=EXACT).contains(&sent) { sent as i64 } else { 0 }
}

fn judge(about: &About, attempt: &RunningAttempt, call: CompleteJob) -> Completion {
    let message = call.message.unwrap_or_default().trim().to_owned();
    let inventory = attempt.operation() == Some(Operation::Inventory);
    let proven = !inventory || attempt.inventoried;
    let (outcome, code) = verdict(call.status, proven, inventory, about.native, &message);
    let message = if message.is_empty() { "done, as the agent says".to_owned() } else { message };
    Completion {
        error_code: code.map(str::to_owned),
        ..Completion::new(attempt.lease(about.job), outcome, message)
    }
}

/// What a status means (chapter 7.3). `proven`: an inventory has stored an update. Native agents send 3 for refusals as
/// well as for \"already there\"; only the latter is said with that word.
fn verdict(
    status: i32,
    proven: bool,
    inventory: bool,
    native: bool,
    message: &str,
) -> (Outcome, Option<&'static str>) {
    match status {
        // Found hollow by the queue when nothing was stored, and tried again.
        2 => (Outcome::Success, None),
        3 if inventory && !proven => (Outcome::Failure, Some("refused_by_agent")),
        3 if !inventory && native && !message.to_ascii_lowercase().contains("already") => {
            (Outcome::Failure, Some("refused_by_agent"))
        }
        3 => (Outcome::Warning, Some("agent_warning")),
        // Done, though no answer of the server carried a status that the agent understood.
        1 if inventory && proven => (Outcome::Success, None),
        1 if !inventory => (Outcome::Warning, Some("agent_unsure")),
        4 => (Outcome::TransientFailure, Some("agent_failure")),
        _ => (Outcome::TransientFailure, Some("agent_unsure")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_mean_what_agents_mean_by_them() {
        let cases = [
            (2, true, true, Outcome::Success),
            (3, false, true, Outcome::Failure),
            (3, true, true, Outcome::Warning),
            (1, true, true, Outcome::Success),
            (1, false, true, Outcome::TransientFailure),
            (4, true, false, Outcome::TransientFailure),
            (1, true, false, Outcome::Warning),
            (0, true, false, Outcome::TransientFailure),
            (99, true, false, Outcome::TransientFailure),
        ];
        for (status, proven, inventory, outcome) in cases {
            assert_eq!(
                verdict(status, proven, inventory, true, "").0,
                outcome,
                "{status} {proven} {inventory}"
            );
        }
        assert_eq!(verdict(3, true, false, true, "x was ALREADY present").0, Outcome::Warning);
        assert_eq!(verdict(3, true, false, true, "does not exist yet").0, Outcome::Failure);
        assert_eq!(verdict(3, true, false, false, "look at the binding").0, Outcome::Warning);
    }

    #[test]
    fn only_whole_numbers_that_survive_a_double_are_ids() {
        assert_eq!(audit_id(4711.0), 4711);
        assert_eq!(audit_id(9_007_199_254_740_991.0), 9_007_199_254_740_991);
        for none in [0.0, -1.0, 0.5, 1e19, f64::NAN, f64::INFINITY] {
            assert_eq!(audit_id(none), 0, "{none}");
        }
    }
}
