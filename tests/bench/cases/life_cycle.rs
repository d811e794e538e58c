//! Goal 3: jobs from the operator's call to their row in history.
//!
//! An agent's ten stores get an addition each, in one call; the agent claims ten and reports each by itself; the
//! inventories that follow are claimed, uploaded and reported in the same way. Every job that reaches history is
//! counted, inventories too; an upload is a transaction of its own and is not counted.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sealift_protocol::agent::leases::Outcome;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{Bench, Case};
use crate::agent::{Agent, AgentLine};
use crate::figures::{Figures, Measured};
use crate::load::{Load, finish, for_a_time, spawn};
use crate::operator::{OperatorLine, addition};

/// Jobs of one call and of one claim.
const TEN: u16 = 10;
/// What follows from one call: an addition and an inventory for each store.
const JOBS_EACH: u64 = 2 * TEN as u64;
/// Longest wait for jobs that must be there.
const WAIT_SECONDS: u16 = 10;

/// What becomes of the inventories that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inventories {
    /// Uploaded, and reported as successes.
    Uploaded,
    /// Reported as failures: such a job costs what a job of the plain side does.
    Failed,
}

/// An agent and the operator that gives it work.
struct Pair {
    agent: Arc<Agent>,
    line: AgentLine,
    operator: OperatorLine,
    certificate: i64,
    inventories: Inventories,
    next: usize,
}

impl Pair {
    async fn connect(bench: &Bench, agent: &Arc<Agent>, inventories: Inventories) -> Result<Self> {
        Ok(Self {
            agent: Arc::clone(agent),
            line: agent.connect().await?,
            operator: bench.site.operator.connect().await?,
            certificate: bench.fleet.certificate,
            inventories,
            next: 0,
        })
    }

    /// Ten additions and ten inventories, from the call to history.
    async fn cycle(&mut self, load: &Load) -> Result<()> {
        let ten = usize::from(TEN);
        let stores = &self.agent.stores[self.next..self.next + ten];
        self.next = (self.next + ten) % (self.agent.stores.len() - ten);
        self.operator.add(&addition(self.certificate, stores)).await?;
        let mut left = JOBS_EACH;
        while left > 0 {
            let jobs = self.line.lease(TEN, WAIT_SECONDS).await?;
            ensure!(!jobs.is_empty(), "an agent was not given its jobs within {WAIT_SECONDS} s");
            for job in &jobs {
                match job.is_inventory() && self.inventories == Inventories::Failed {
                    true => self.line.report(std::slice::from_ref(job), Outcome::Failure).await?,
                    false => self.line.run(job).await?,
                }
                load.done(1);
                left -= 1;
            }
        }
        Ok(())
    }
}

/// All agents, as fast as they can.
pub(super) async fn run(bench: &Bench, inventories: Inventories) -> Result<Measured> {
    let load = Arc::new(Load::default());
    let mut workers = Vec::new();
    for agent in &bench.fleet.agents {
        let mut pair = Pair::connect(bench, agent, inventories).await?;
        let load = Arc::clone(&load);
        workers.push(async move {
            while !load.is_over() {
                pair.cycle(&load).await?;
            }
            Ok(())
        });
    }
    let measured = for_a_time(&bench.site.meter, bench.time(), &load, workers).await?;
    let recorded = bench.site.count("SELECT count(*) FROM job_history").await?;
    ensure!(recorded == load.units(), "{} reports were answered, {recorded} are recorded", load.units());
    Ok(measured)
}

/// Agents that work beside a measurement.
pub(super) struct Background {
    stop: tokio::sync::watch::Sender<bool>,
    running: JoinSet<Result<()>>,
}

impl Background {
    /// Ends it, and tells whether all went well.
    pub(super) async fn stop(self) -> Result<()> {
        self.stop.send_replace(true);
        finish(self.running).await
    }
}

/// Half of the rate that the life cycle reached, from the second half of the agents.
pub(super) async fn half_load(bench: &Bench, figures: &Figures) -> Result<Background> {
    let full = match figures.rate(Case::LifeCycle) {
        Some(rate) => rate,
        None => run(bench, Inventories::Uploaded).await?.rate(),
    };
    let agents = &bench.fleet.agents[bench.fleet.agents.len() / 2..];
    let between = Duration::try_from_secs_f64(JOBS_EACH as f64 * agents.len() as f64 / (full / 2.0))
        .context("the life cycle had no rate")?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let load = Arc::new(Load::default());
    let mut workers = Vec::new();
    for (place, agent) in agents.iter().enumerate() {
        let mut pair = Pair::connect(bench, agent, Inventories::Uploaded).await?;
        let (load, mut stopped) = (Arc::clone(&load), stopped.clone());
        let first = Instant::now() + between.mul_f64(place as f64 / agents.len() as f64);
        workers.push(async move {
            let mut times = interval_at(first, between);
            times.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = times.tick() => pair.cycle(&load).await?,
                    _ = stopped.changed() => return Ok(()),
                }
            }
        });
    }
    Ok(Background { stop, running: spawn(workers) })
}
