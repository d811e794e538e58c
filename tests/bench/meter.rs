//! What the machine did meanwhile: processor time of each side, bytes of the write-ahead log, memory.

use std::fs;
use std::ops::Sub;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use sqlx::PgPool;

/// Microseconds of a tick in `/proc`: the kernel shows 100 to the second on every Linux that we build for.
const TICK_MICROSECONDS: f64 = 10_000.0;

/// Whose processor time is read.
pub(crate) struct Meter {
    pub(crate) server: u32,
    pub(crate) postgres: u32,
    /// Any connection to the cluster: the write-ahead log is one for all databases.
    pub(crate) database: PgPool,
}

/// A reading; all figures but the time only grow.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    at: Instant,
    server: f64,
    postgres: f64,
    load: f64,
    busy: f64,
    all: f64,
    bytes: f64,
}

/// What went between two readings.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    /// Processor time of the server, in µs.
    pub(crate) server: f64,
    /// Of Postgres, all processes.
    pub(crate) postgres: f64,
    /// Of the load: this program and pgbench.
    pub(crate) load: f64,
    /// Part of the machine's processor time that went to other programs.
    pub(crate) others: f64,
    /// Bytes of the write-ahead log.
    pub(crate) bytes: f64,
}

impl Meter {
    /// Reads everything.
    pub(crate) async fn read(&self) -> Result<Reading> {
        let query = "SELECT (pg_current_wal_insert_lsn() - '0/0')::float8";
        let bytes = sqlx::query_scalar(query).fetch_one(&self.database).await?;
        let (busy, all) = machine()?;
        Ok(Reading {
            at: Instant::now(),
            server: of_process(self.server)?.all(),
            postgres: of_cluster(self.postgres)?,
            load: of_process(std::process::id())?.all(),
            busy,
            all,
            bytes,
        })
    }

    /// Resident memory of the server, in kB.
    pub(crate) fn server_memory(&self) -> Result<u64> {
        memory(self.server)
    }
}

/// Resident memory of a process, in kB.
pub(crate) fn memory(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

/// Processor time that a process has used, in µs; it grows in steps of a tick, 10,000.
pub(crate) fn processor(process: u32) -> Result<f64> {
    Ok(of_process(process)?.all() * TICK_MICROSECONDS)
}

impl Sub for Reading {
    type Output = Cost;

    fn sub(self, before: Self) -> Cost {
        let spent = |after: f64, before: f64| (after - before).max(0.0);
        let (server, postgres) = (spent(self.server, before.server), spent(self.postgres, before.postgres));
        let load = spent(self.load, before.load);
        let all = spent(self.all, before.all).max(1.0);
        let others = (spent(self.busy, before.busy) - server - postgres - load).max(0.0) / all;
        Cost {
            seconds: self.at.duration_since(before.at).as_secs_f64(),
            server: server * TICK_MICROSECONDS,
            postgres: postgres * TICK_MICROSECONDS,
            load: load * TICK_MICROSECONDS,
            others,
            bytes: spent(self.bytes, before.bytes),
        }
    }
}

/// Ticks of a process.
struct Ticks {
    parent: u32,
    own: f64,
    /// Of children that have ended.
    children: f64,
}

impl Ticks {
    fn all(&self) -> f64 {
        self.own + self.children
    }
}

fn of_process(process: u32) -> Result<Ticks> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    ticks(&text).with_context(|| format!("{path} is not understood"))
}

/// Fields are counted from behind the name, which may hold anything.
fn ticks(text: &str) -> Option<Ticks> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<f64>().ok();
    Some(Ticks {
        parent: fields.get(1)?.parse().ok()?,
        own: number(11)? + number(12)?,
        children: number(13)? + number(14)?,
    })
}

/// The first process of Postgres with its ended children, and those that live.
fn of_cluster(first: u32) -> Result<f64> {
    let mut sum = of_process(first)?.all();
    for entry in fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name();
        let numbered = name.to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        // A process may end while it is being looked at.
        let stat =
            numbered.then(|| fs::read_to_string(Path::new("/proc").join(&name).join("stat")).ok()).flatten();
        if let Some(child) = stat.as_deref().and_then(ticks).filter(|child| child.parent == first) {
            sum += child.own;
        }
    }
    Ok(sum)
}

/// Busy ticks of all processors, and all of them.
fn machine() -> Result<(f64, f64)> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().context("/proc/stat is empty")?;
    let fields: Vec<f64> =
        line.split_whitespace().skip(1).take(8).filter_map(|field| field.parse().ok()).collect();
    let all: f64 = fields.iter().sum();
    let idle: f64 = fields.iter().skip(3).take(2).sum();
    Ok((all - idle, all))
}

#[test]
fn processor_time_is_found_behind_any_name() {
    let found = ticks("7 (a) b) S 3 7 7 0 -1 4 1 2 3 4 10 20 30 40 20 0 1").unwrap();
    assert_eq!((found.parent, found.own, found.children), (3, 30.0, 70.0));
}
