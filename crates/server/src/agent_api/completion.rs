//! Completions: reports of many agents share a transaction, and none is answered before its commit.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sealift_protocol::AgentId;
use sealift_protocol::agent::leases::{
    CompleteAnswer, Completion, Disposition, LeaseKey, MAX_STEPS, Receipt,
};
use sqlx::PgConnection;

use crate::certificate_stores;
use crate::database::batch::Batcher;
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::{self, AttemptData, Dispatch, Finished, Report, Steps};

/// The reports of one call.
#[derive(Debug, Clone)]
pub(crate) struct Reported {
    pub(crate) agent: AgentId,
    pub(crate) completions: Vec<Completion>,
    /// What attempts of the published protocol sent back.
    pub(crate) data: Vec<AttemptData>,
}

/// Completions share transactions.
pub(crate) type Completions = Batcher<Reported, Result<CompleteAnswer, Failure>>;

/// Starts the grouping of completions.
pub(crate) fn start_completions(floor: Floor, dispatch: Arc<Dispatch>) -> Completions {
    Batcher::start(move |calls: Vec<Reported>| {
        let (floor, dispatch) = (floor.clone(), Arc::clone(&dispatch));
        async move { complete_group(&floor, &dispatch, calls).await }
    })
}

async fn complete_group(
    floor: &Floor,
    dispatch: &Dispatch,
    calls: Vec<Reported>,
) -> Vec<Result<CompleteAnswer, Failure>> {
    match try_complete(floor, dispatch, &calls).await {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        Err(failure) if calls.len() == 1 => vec![Err(failure)],
        // One call may have spoiled the others' transaction: each by itself.
        Err(_) => {
            let mut answers = Vec::with_capacity(calls.len());
            for call in &calls {
                let alone = try_complete(floor, dispatch, std::slice::from_ref(call)).await;
                answers.push(alone.map(|mut one| one.pop().unwrap_or_default()));
            }
            answers
        }
    }
}

async fn try_complete(
    floor: &Floor,
    dispatch: &Dispatch,
    calls: &[Reported],
) -> Result<Vec<CompleteAnswer>, Failure> {
    let now = floor.now();
    let mut transaction = floor.database.main.begin().await?;
    let finished = finish(&mut transaction, floor, calls, now).await?;
    let data = calls.iter().flat_map(|call| call.data.iter().cloned()).collect();
    orchestrator_jobs::store_data(&mut transaction, &finished, data, now).await?;
    let mut recorded: HashSet<LeaseKey> = finished
        .iter()
        .filter_map(|attempt| Some(LeaseKey { job_id: attempt.job_id, lease_token: attempt.lease_token? }))
        .collect();
    let leftovers: Vec<(AgentId, LeaseKey)> = calls
        .iter()
        .flat_map(|call| call.completions.iter().map(|completion| (call.agent, completion.lease)))
        .filter(|(_, lease)| !recorded.contains(lease))
        .collect();
    recorded.extend(orchestrator_jobs::already_recorded(&mut transaction, &leftovers).await?);
    certificate_stores::follow_with_inventory(
        &mut transaction,
        &finished,
        floor.configuration.jobs.max_attempts,
        now,
    )
    .await?;
    transaction.commit().await?;
    // The store is free again: what waited behind the job may run, and so may the inventory that follows.
    dispatch.ring_all(finished.iter().map(|attempt| attempt.agent_id).collect::<HashSet<_>>());
    Ok(calls.iter().map(|call| answer(call, &recorded)).collect())
}

async fn finish(
    db: &mut PgConnection,
    floor: &Floor,
    calls: &[Reported],
    now: DateTime<Utc>,
) -> Result<Vec<Finished>, Failure> {
    let claims = calls.iter().flat_map(|call| {
        call.completions.iter().filter_map(|one| Some((call.agent, one.lease, one.evidence.clone()?)))
    });
    let mut evidence = orchestrator_jobs::judge(db, claims.collect()).await?;
    let mut reports = Vec::new();
    let mut steps = Vec::new();
    for call in calls {
        for completion in &call.completions {
            reports.push(Report {
                agent: call.agent,
                lease: completion.lease,
                outcome: completion.outcome,
                message: completion.message.clone(),
                error_code: completion.error_code.clone(),
                evidence: evidence.remove(&completion.lease),
            });
            steps.push(Steps {
                agent: call.agent,
                lease: completion.lease,
                steps: completion.steps.iter().take(MAX_STEPS).cloned().collect(),
            });
        }
    }
    orchestrator_jobs::record_steps(db, &steps, now).await?;
    let retry_seconds = floor.configuration.jobs.retry_seconds;
    let finished = orchestrator_jobs::finish(db, &reports, retry_seconds, now).await?;
    certificate_stores::note_served(db, &finished, &reports, now).await?;
    Ok(finished)
}

fn answer(call: &Reported, recorded: &HashSet<LeaseKey>) -> CompleteAnswer {
    let receipts = call
        .completions
        .iter()
        .map(|completion| Receipt {
            job_id: completion.lease.job_id,
            disposition: match recorded.contains(&completion.lease) {
                true => Disposition::Recorded,
                false => Disposition::Stale,
            },
        })
        .collect();
    CompleteAnswer { receipts }
}
