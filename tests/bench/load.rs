//! Drives workers for a time, or until they are done, and measures meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

use crate::figures::{Measured, percentiles};
use crate::meter::Meter;

/// What the workers of one run share.
#[derive(Default)]
pub(crate) struct Load {
    units: AtomicU64,
    over: AtomicBool,
    latencies: Mutex<Vec<u32>>,
}

impl Load {
    /// Whether workers should come to an end.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Units done, those after the end included.
    pub(crate) fn units(&self) -> u64 {
        self.units.load(Ordering::Relaxed)
    }

    /// So many units are done.
    pub(crate) fn done(&self, units: u64) {
        self.units.fetch_add(units, Ordering::Relaxed);
    }

    /// Takes down latencies in microseconds.
    pub(crate) fn took(&self, latencies: &[u32]) {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(latencies);
    }

    /// Takes the latencies away.
    pub(crate) fn take(&self) -> Vec<u32> {
        std::mem::take(&mut *self.latencies.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn latency(&self) -> Option<(f64, f64)> {
        percentiles(self.take())
    }
}

/// Microseconds since then.
pub(crate) fn microseconds(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX)
}

/// Runs workers for a time; what they finish after it is done, but not counted.
pub(crate) async fn for_a_time<W>(
    meter: &Meter,
    time: Duration,
    load: &Arc<Load>,
    workers: Vec<W>,
) -> Result<Measured>
where
    W: Future<Output = Result<()>> + Send + 'static,
{
    let before = meter.read().await?;
    let running = spawn(workers);
    tokio::time::sleep(time).await;
    load.over.store(true, Ordering::Relaxed);
    let units = load.units();
    let cost = meter.read().await? - before;
    finish(running).await?;
    Ok(Measured { units: units as f64, seconds: cost.seconds, latency: load.latency(), cost: Some(cost) })
}

/// Runs workers until all of them are done.
pub(crate) async fn until_done<W>(meter: &Meter, load: &Arc<Load>, workers: Vec<W>) -> Result<Measured>
where
    W: Future<Output = Result<()>> + Send + 'static,
{
    let before = meter.read().await?;
    finish(spawn(workers)).await?;
    let cost = meter.read().await? - before;
    Ok(Measured {
        units: load.units() as f64,
        seconds: cost.seconds,
        latency: load.latency(),
        cost: Some(cost),
    })
}

/// Starts workers that run beside a measurement.
pub(crate) fn spawn<W>(workers: Vec<W>) -> JoinSet<Result<()>>
where
    W: Future<Output = Result<()>> + Send + 'static,
{
    let mut running = JoinSet::new();
    for worker in workers {
        running.spawn(worker);
    }
    running
}

/// Waits for workers; the first failure ends the run.
pub(crate) async fn finish(mut running: JoinSet<Result<()>>) -> Result<()> {
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}
