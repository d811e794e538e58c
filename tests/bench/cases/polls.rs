//! Goal 7: polls of agents that have nothing to do, beside the least that the server can answer, and beside an
//! answer that takes one trip to the database.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::Bench;
use crate::figures::Measured;
use crate::load::{Load, for_a_time, microseconds};

/// Connections.
const CONNECTIONS: usize = 64;

/// Polls that are not held.
pub(super) async fn short(bench: &Bench) -> Result<Measured> {
    let load = Arc::new(Load::default());
    let mut workers = Vec::new();
    for agent in bench.fleet.agents.iter().cycle().take(CONNECTIONS) {
        let mut line = agent.connect().await?;
        // The first one asks the database, and is not timed.
        line.lease(10, 0).await?;
        let load = Arc::clone(&load);
        workers.push(async move {
            let mut took = Vec::new();
            while !load.is_over() {
                let begun = Instant::now();
                ensure!(line.lease(10, 0).await?.is_empty(), "an idle agent got a job");
                took.push(microseconds(begun));
                load.done(1);
            }
            load.took(&took);
            Ok(())
        });
    }
    for_a_time(&bench.site.meter, bench.time(), &load, workers).await
}

/// `GET` of a path.
pub(super) async fn get(bench: &Bench, path: &'static str) -> Result<Measured> {
    let load = Arc::new(Load::default());
    let mut workers = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut operator = bench.site.operator.connect().await?;
        let load = Arc::clone(&load);
        workers.push(async move {
            let mut took = Vec::new();
            while !load.is_over() {
                let begun = Instant::now();
                operator.get(path).await?;
                took.push(microseconds(begun));
                load.done(1);
            }
            load.took(&took);
            Ok(())
        });
    }
    for_a_time(&bench.site.meter, bench.time(), &load, workers).await
}
