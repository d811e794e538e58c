//! The benchmark: starts everything it needs, lets the product and plain Postgres take turns, prints what both
//! reached and the ratios that the goals ask for, and removes everything again.

mod agent;
mod arguments;
mod cases;
mod connection;
mod figures;
mod fleet;
mod load;
mod machine;
mod meter;
mod operator;
mod plain;
mod report;
mod site;
mod statements;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Parser as _, ValueEnum as _};
use tokio::signal::unix::{SignalKind, signal};

use arguments::{Arguments, Group};
use cases::{Bench, Idle, Pages};
use figures::Figures;
use fleet::Fleet;
use plain::Plain;
use site::Site;

/// Threads of the load: as many as pgbench gets.
const THREADS: usize = 2;

/// What a reader must know to judge the figures.
const NOTES: &str = "\
Both sides ran in turns on one cluster, each case on emptied tables; figures are medians over the rounds.
Ours: one server process with its default configuration, HTTPS with client certificates, every call on a kept
connection. Stores were made by SQL, and so were the waiting inventories of the drain; all else by calls. A job counts
when its call was answered, and the number was compared with the rows. A life cycle counts each job that reached
history: an addition and the inventory that follows it are two; an inventory's upload is a further transaction that is
not counted. An inventory reported as failed costs its row two more index entries than a success.
Jobs of ours carry names, machine, path and audit line, and no two jobs of a store run at a time; plain ones have none
of it. Where other programs use the machine, the side with more processes gets more of it: then look at `by cpu`, the
ratio of processor time for each job with load, server and database together. Peers are not measured here.";

fn main() -> ExitCode {
    let arguments = Arguments::parse().settled();
    let done = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .context("no threads")
        .and_then(|runtime| runtime.block_on(run(arguments)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Ends early, and tidily, when told to.
async fn run(arguments: Arguments) -> Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        done = measure(arguments) => done,
        _ = terminate.recv() => Err(anyhow::anyhow!("ended by SIGTERM")),
        _ = interrupt.recv() => Err(anyhow::anyhow!("ended by SIGINT")),
    }
}

async fn measure(arguments: Arguments) -> Result<()> {
    let begun = Instant::now();
    say(&format!("starting Postgres, a server and {} agents", arguments.agents));
    let site = Site::start(arguments.directory.as_deref(), arguments.statements).await?;
    let fleet = Fleet::make(&site, &arguments).await?;
    let plain = Plain::prepare(site.plain_url.expose(), site.plain.clone(), site.path("plain")).await?;
    say(&format!("ready after {:.1} s", begun.elapsed().as_secs_f64()));
    let bench = Bench { site, fleet, plain, arguments };
    let facts = machine::facts(&bench.site.product).await?;
    let ended = all(&bench).await;
    let complaints = bench.site.complaints();
    if !complaints.is_empty() {
        say(&format!("the server's log:\n{complaints}"));
    }
    let Arguments { agents, rounds, seconds, .. } = bench.arguments;
    bench.site.stop().await;
    let (figures, idle, pages) = ended?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{}", facts.join("\n"))?;
    writeln!(
        out,
        "{agents} agents, {rounds} rounds of {seconds} s, {:.0} s in all",
        begun.elapsed().as_secs_f64()
    )?;
    writeln!(out, "load average at the end {}", machine::load_average())?;
    writeln!(out, "\n{}\n{}\n{NOTES}", report::goals(&figures, idle, &pages), report::costs(&figures))?;
    Ok(())
}

/// Idle agents first: memory that a busy server has once used hides what they take. Lists last: they fill the disk.
async fn all(bench: &Bench) -> Result<(Figures, Option<Idle>, Vec<Pages>)> {
    let idle = idle_agents(bench).await?;
    let figures = rounds(bench).await?;
    if !bench.arguments.wants(Group::Lists) {
        return Ok((figures, idle, Vec::new()));
    }
    say(&format!("filling the tables of lists, {} rows of history", bench.arguments.list_rows));
    Ok((figures, idle, cases::lists(bench).await?))
}

async fn rounds(bench: &Bench) -> Result<Figures> {
    let mut figures = Figures::default();
    for round in 1..=bench.arguments.rounds {
        for group in Group::value_variants().iter().filter(|group| bench.arguments.wants(**group)) {
            for case in group.cases() {
                let listed = bench.arguments.statements && bench.is_ours(*case);
                if listed {
                    statements::reset(&bench.site.product).await?;
                }
                let ran = bench.run(*case, &figures).await.with_context(|| case.name().to_owned())?;
                for (case, measured) in ran {
                    let latency =
                        measured.latency.map(|(p50, p99)| format!(", p50 {p50:.2} ms, p99 {p99:.2} ms"));
                    let (name, rate) = (case.name(), measured.rate());
                    say(&format!("round {round}: {name}: {rate:.0}/s{}", latency.unwrap_or_default()));
                    figures.add(case, measured);
                }
                if listed {
                    say(&statements::list(&bench.site.product).await?.join("\n"));
                }
            }
        }
    }
    Ok(figures)
}

async fn idle_agents(bench: &Bench) -> Result<Option<Idle>> {
    if !bench.arguments.wants(Group::Idle) {
        return Ok(None);
    }
    say(&format!("registering and holding {} idle agents", bench.arguments.held));
    bench.site.clear().await?;
    Ok(Some(cases::idle(bench).await?))
}

/// Progress goes to standard error; standard output is for the result.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
