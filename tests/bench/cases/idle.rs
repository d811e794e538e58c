//! Goal 6: what agents cost that have nothing to do and hold their polls.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use support::Machine;
use tokio::task::JoinSet;

use super::Bench;
use crate::meter::{self, Cost};

/// How long polls are held: longer than the measurement.
const WAIT_SECONDS: u16 = 60;
/// How long the server is looked at, without and with the polls.
const WINDOW: Duration = Duration::from_secs(10);
/// Before each look: until Postgres has counted what went before. Idle connections report after ten seconds.
const SETTLE: Duration = Duration::from_secs(11);
/// Connections opened at a time.
const OPENING: usize = 16;

/// What was seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Idle {
    pub(crate) held: u32,
    /// Resident memory of the server for each held poll, in kB.
    pub(crate) memory: f64,
    /// Transactions within ten seconds: of sweeps alone, and with the polls held.
    pub(crate) transactions: (u64, u64),
    /// Processor time of the server meanwhile, as a part of one processor.
    pub(crate) processor: (f64, f64),
    /// A real agent at rest: its resident memory in kB, and its processor time meanwhile in µs.
    pub(crate) agent: (u64, f64),
}

/// Registers the agents, looks at the server without and with their polls.
pub(crate) async fn idle(bench: &Bench) -> Result<Idle> {
    let site = &bench.site;
    let machine =
        Machine::install(&site.admin, &site.agent_url, &site.ca_file, "idle.example.test", "").await;
    let agent = machine.start();
    machine.agent_id(&site.admin).await;
    let agents = bench.fleet.idlers(&bench.site, bench.arguments.held).await?;
    let (before, alone) = look(bench).await?;
    let memory = bench.site.meter.server_memory()?;
    let mut opening = JoinSet::new();
    let lanes = agents.len().div_ceil(OPENING);
    for lane in agents.chunks(lanes) {
        let lane = lane.to_vec();
        opening.spawn(async move {
            let mut lines = Vec::new();
            for agent in lane {
                lines.push(Arc::clone(&agent).connect().await?);
            }
            Ok::<_, anyhow::Error>(lines)
        });
    }
    let mut held = JoinSet::new();
    while let Some(lines) = opening.join_next().await {
        for mut line in lines?? {
            held.spawn(async move { line.lease(10, WAIT_SECONDS).await });
        }
    }
    let used = meter::processor(agent.id())?;
    let (during, beside) = look(bench).await?;
    let used = meter::processor(agent.id())? - used;
    let grown = bench.site.meter.server_memory()?.saturating_sub(memory);
    ensure!(held.try_join_next().is_none(), "a poll that should have been held came back");
    held.shutdown().await;
    let part = |cost: &Cost| cost.server / (cost.seconds * 1_000_000.0);
    Ok(Idle {
        held: bench.arguments.held,
        memory: grown as f64 / f64::from(bench.arguments.held),
        transactions: (before, during),
        processor: (part(&alone), part(&beside)),
        agent: (meter::memory(agent.id())?, used),
    })
}

/// Transactions of the product's database, and what the machine did, within the window.
async fn look(bench: &Bench) -> Result<(u64, Cost)> {
    tokio::time::sleep(SETTLE).await;
    let first = (transactions(bench).await?, bench.site.meter.read().await?);
    tokio::time::sleep(WINDOW).await;
    let last = (bench.site.meter.read().await?, transactions(bench).await?);
    Ok((last.1 - first.0, last.0 - first.1))
}

async fn transactions(bench: &Bench) -> Result<u64> {
    bench
        .site
        .count("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()")
        .await
}
