//! Goal 5: how long a committed job takes to its agent, whose poll is held.
//!
//! A few agents hold polls. Each gets one addition at a time, from an operator of its own, after a short pause of
//! random length. The time of the commit itself is not seen from outside: it lies between the sending of the call
//! and its answer, so the delay is taken from both. A job in hand before the answer counts as no delay.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Bench;
use crate::figures::{Measured, percentiles};
use crate::load::{Load, for_a_time};
use crate::operator::addition;

/// Agents that are probed; the rest may work beside them.
const PROBED: usize = 4;
/// Pause before each addition: long enough for the poll to be held.
const PAUSE_MILLISECONDS: (u64, u64) = (20, 40);
/// How long polls are held.
const WAIT_SECONDS: u16 = 55;

/// Answers both delays: from the answer of the addition, and from its sending.
pub(super) async fn run(bench: &Bench) -> Result<(Measured, Measured)> {
    let (answered, sent) = (Arc::new(Load::default()), Arc::new(Load::default()));
    let mut workers = Vec::new();
    for agent in bench.fleet.agents.iter().take(PROBED) {
        let (mut line, mut operator) = (agent.connect().await?, bench.site.operator.connect().await?);
        let (agent, answered, sent) = (Arc::clone(agent), Arc::clone(&answered), Arc::clone(&sent));
        let certificate = bench.fleet.certificate;
        workers.push(async move {
            let (mut from_answer, mut from_sending) = (Vec::new(), Vec::new());
            for store in agent.stores.chunks_exact(1).cycle() {
                if answered.is_over() {
                    break;
                }
                let body = addition(certificate, store);
                let leased = async {
                    let jobs = line.lease(1, WAIT_SECONDS).await?;
                    Ok::<_, anyhow::Error>((jobs, Instant::now()))
                };
                let added = async {
                    tokio::time::sleep(pause()).await;
                    let begun = Instant::now();
                    operator.add(&body).await?;
                    Ok::<_, anyhow::Error>((begun, Instant::now()))
                };
                let ((jobs, in_hand), (begun, ended)) = tokio::try_join!(leased, added)?;
                ensure!(jobs.len() == 1, "a held poll came back with {} jobs", jobs.len());
                from_answer.push(whole(in_hand.saturating_duration_since(ended)));
                from_sending.push(whole(in_hand.saturating_duration_since(begun)));
                answered.done(1);
                sent.done(1);
                line.run(&jobs[0]).await?;
                for job in line.lease(1, WAIT_SECONDS).await? {
                    line.run(&job).await?;
                }
            }
            answered.took(&from_answer);
            sent.took(&from_sending);
            Ok(())
        });
    }
    let mut measured = for_a_time(&bench.site.meter, bench.time(), &answered, workers).await?;
    // Delays say nothing of what a job costs.
    measured.cost = None;
    let also = Measured { latency: percentiles(sent.take()), ..measured.clone() };
    Ok((measured, also))
}

fn whole(delay: Duration) -> u32 {
    u32::try_from(delay.as_micros()).unwrap_or(u32::MAX)
}

fn pause() -> Duration {
    let (least, most) = PAUSE_MILLISECONDS;
    let random = uuid::Uuid::new_v4().as_u128() as u64;
    Duration::from_micros(least * 1_000 + random % ((most - least) * 1_000))
}
