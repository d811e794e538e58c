//! Goal 4: jobs that wait are claimed and reported by hundreds.

use std::sync::Arc;

use anyhow::{Result, ensure};
use sealift_protocol::JobId;
use sealift_protocol::agent::leases::{MAX_JOBS, Outcome};

use super::Bench;
use super::deliveries::STORES_EACH;
use crate::agent::{AgentLine, Job};
use crate::figures::Measured;
use crate::load::{Load, until_done};
use crate::operator::addition;

/// Additions in the drain that is followed by inventories.
const ADDITIONS: usize = 8_000;

/// One waiting inventory for each store, put there by SQL. They are reported as failures: nothing is uploaded and
/// nothing follows, so a job is a claim, a report and a row in history, as on the plain side.
pub(super) async fn inventories(bench: &Bench) -> Result<Measured> {
    let stores = bench.fleet.stores();
    sqlx::query(include_str!("../sql/fill_inventories.sql"))
        .bind(stores.iter().map(|_| JobId::generate().uuid()).collect::<Vec<_>>())
        .bind(stores.iter().map(|store| store.uuid()).collect::<Vec<_>>())
        .execute(&bench.site.product)
        .await?;
    run(bench, stores.len() as u64, Work::FailAll).await
}

/// Waiting additions, made by calls. Each is followed by an inventory, which is uploaded by itself.
pub(super) async fn additions(bench: &Bench) -> Result<Measured> {
    let stores = bench.fleet.stores();
    let mut operator = bench.site.operator.connect().await?;
    let calls = ADDITIONS.min(stores.len()) / STORES_EACH;
    for some in stores.chunks_exact(STORES_EACH).take(calls) {
        operator.add(&addition(bench.fleet.certificate, some)).await?;
    }
    run(bench, 2 * (calls * STORES_EACH) as u64, Work::Follow).await
}

#[derive(Clone, Copy)]
enum Work {
    FailAll,
    Follow,
}

async fn run(bench: &Bench, expected: u64, work: Work) -> Result<Measured> {
    bench.site.settle().await?;
    let load = Arc::new(Load::default());
    let mut workers = Vec::new();
    for agent in &bench.fleet.agents {
        let mut line = agent.connect().await?;
        let load = Arc::clone(&load);
        workers.push(async move {
            // The server has not heard of what SQL put there.
            let mut jobs = line.lease_anew(MAX_JOBS, 0, true).await?;
            while !jobs.is_empty() {
                match work {
                    Work::FailAll => line.report(&jobs, Outcome::Failure).await?,
                    Work::Follow => follow(&mut line, &jobs).await?,
                }
                load.done(jobs.len() as u64);
                jobs = line.lease(MAX_JOBS, 0).await?;
            }
            Ok(())
        });
    }
    let measured = until_done(&bench.site.meter, &load, workers).await?;
    let recorded = bench.site.count("SELECT count(*) FROM job_history").await?;
    ensure!(recorded == expected && load.units() == expected, "of {expected} jobs {recorded} were recorded");
    Ok(measured)
}

async fn follow(line: &mut AgentLine, jobs: &[Job]) -> Result<()> {
    for job in jobs.iter().filter(|job| job.is_inventory()) {
        line.upload(job).await?;
    }
    line.report(jobs, Outcome::Success).await
}
