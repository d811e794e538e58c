//! Goals 1 and 2: additions of a certificate to many stores at once, and to one store each.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::Bench;
use crate::figures::Measured;
use crate::load::{Load, for_a_time, microseconds};
use crate::operator::addition;

/// Stores of one large addition.
pub(super) const STORES_EACH: usize = 1_000;
/// Connections that send small ones.
const CONNECTIONS: usize = 64;

/// Large additions from some connections; jobs are counted, and latencies are those of calls.
pub(super) async fn fan_out(bench: &Bench, connections: usize) -> Result<Measured> {
    let stores = bench.fleet.stores();
    let bodies =
        stores.chunks_exact(STORES_EACH).map(|some| addition(bench.fleet.certificate, some)).collect();
    run(bench, Arc::new(bodies), connections, STORES_EACH as u64).await
}

/// Additions to one store each.
pub(super) async fn single(bench: &Bench) -> Result<Measured> {
    let stores = bench.fleet.stores();
    let bodies = stores.chunks_exact(1).map(|one| addition(bench.fleet.certificate, one)).collect();
    run(bench, Arc::new(bodies), CONNECTIONS, 1).await
}

async fn run(
    bench: &Bench,
    bodies: Arc<Vec<Vec<u8>>>,
    connections: usize,
    jobs_each: u64,
) -> Result<Measured> {
    let load = Arc::new(Load::default());
    let mut workers = Vec::new();
    for first in 0..connections {
        let mut operator = bench.site.operator.connect().await?;
        let (load, bodies) = (Arc::clone(&load), Arc::clone(&bodies));
        workers.push(async move {
            let mut took = Vec::new();
            for body in bodies.iter().cycle().skip(first * bodies.len() / connections) {
                if load.is_over() {
                    break;
                }
                let begun = Instant::now();
                operator.add(body).await?;
                took.push(microseconds(begun));
                load.done(jobs_each);
            }
            load.took(&took);
            Ok(())
        });
    }
    let measured = for_a_time(&bench.site.meter, bench.time(), &load, workers).await?;
    let stored = bench.site.count("SELECT count(*) FROM jobs").await?;
    ensure!(stored == load.units(), "{} jobs were answered, {stored} are stored", load.units());
    Ok(measured)
}
