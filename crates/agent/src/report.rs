//! Sends what is finished until the server has heard it: in batches, oldest first, at least once.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use sealift_protocol::agent::leases::{CompleteRequest, Completion, Disposition, MAX_BATCH, Receipt};
use tokio::time::timeout;

use crate::Agent;
use crate::backoff::Trouble;
use crate::execution::blocking;
use crate::server_client::CallError;

/// How long a stopping agent tries to report.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Sends for as long as it runs, from the first ring on.
pub(crate) async fn run(agent: &Agent) -> Infallible {
    let mut trouble = Trouble::default();
    loop {
        agent.outbox.changed().await;
        while let Err(error) = send_all(agent).await {
            let pause = trouble.pause(&format!("results are not reported: {error}"), error.asked_pause());
            // A ring does not cut the pause short: it comes with every finished job.
            tokio::time::sleep(pause).await;
        }
        trouble.over();
    }
}

/// One try for what waits when the agent stops; the rest is sent at the next start.
pub(crate) async fn last_words(agent: &Agent) {
    match timeout(LAST_WORDS, send_all(agent)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("results stay in the outbox: {error}"),
        Err(_) => tracing::warn!("results stay in the outbox: the server did not take them in time"),
    }
}

/// Sends batch after batch until nothing waits. One at a time does so.
pub(crate) async fn send_all(agent: &Agent) -> Result<(), CallError> {
    let _turn = agent.reporting.lock().await;
    // How many of the oldest are sent one by one, since together they were refused.
    let mut singly: usize = 0;
    loop {
        let batch = oldest(agent, if singly > 0 { 1 } else { MAX_BATCH }).await;
        if batch.is_empty() {
            return Ok(());
        }
        let completions = batch.iter().map(|(_, completion)| completion.clone()).collect();
        match agent.client.complete(&CompleteRequest { completions }).await {
            Ok(answer) if settle(agent, &batch, &answer.receipts).await => singly = singly.saturating_sub(1),
            Ok(_) => return Err(CallError::Unreadable("no receipt matches a report".to_owned())),
            // One report spoils the batch: it must not hold up the others for ever.
            Err(CallError::Refused(status @ (400 | 413 | 422))) => {
                if let [(number, completion)] = batch.as_slice() {
                    give_up(agent, *number, completion, status).await;
                    singly = singly.saturating_sub(1);
                } else {
                    singly = batch.len();
                }
            }
            Err(error) => return Err(error),
        }
    }
}

async fn give_up(agent: &Agent, number: u64, completion: &Completion, status: u16) {
    let outbox = Arc::clone(&agent.outbox);
    let _ = blocking(move || outbox.refuse(number, &format!("the server answered {status}"))).await;
    agent.leases.release(completion.lease);
}

async fn oldest(agent: &Agent, most: usize) -> Vec<(u64, Completion)> {
    let outbox = Arc::clone(&agent.outbox);
    blocking(move || outbox.oldest(most)).await.unwrap_or_default()
}

/// Forgets what the server has heard; whether there was any.
async fn settle(agent: &Agent, batch: &[(u64, Completion)], receipts: &[Receipt]) -> bool {
    let heard: Vec<(u64, Completion, Disposition)> = batch
        .iter()
        .zip(receipts)
        .filter(|((_, completion), receipt)| completion.lease.job_id == receipt.job_id)
        .map(|((number, completion), receipt)| (*number, completion.clone(), receipt.disposition))
        .collect();
    for (_, completion, disposition) in &heard {
        agent.leases.release(completion.lease);
        match disposition {
            Disposition::Recorded => {
                tracing::debug!(job.id = %completion.lease.job_id, "the server has the result")
            }
            Disposition::Stale => {
                tracing::warn!(job.id = %completion.lease.job_id, "the result came too late; the job is another attempt's");
            }
        }
    }
    let (outbox, any) = (Arc::clone(&agent.outbox), !heard.is_empty());
    let _ = blocking(move || heard.iter().for_each(|(number, ..)| outbox.remove(*number))).await;
    any
}
