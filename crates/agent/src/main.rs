//! The program `sealift-agent`: its command line, its log and its signals. Everything else is in the library.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use sealift_agent::configuration::{self, Configuration, DEFAULT_FILE, FILE_VARIABLE, LogFormat};
use sealift_agent::doctor::{self, Severity};
use sealift_agent::{LogFile, Status, Word};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::MakeWriterExt as _;

/// Threads for disk work; jobs use one at a time, name resolution and the outbox another.
const BLOCKING_THREADS: usize = 4;
/// Exit status when only a change of the configuration can help; also that of a command line nobody understands.
const UNUSABLE_CONFIGURATION: u8 = 2;

/// Runs the certificate jobs of this machine for a Sealift server.
#[derive(Parser)]
#[command(name = "sealift-agent", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Ask for jobs and run them until told to stop (SIGTERM or SIGINT; a second signal stops at once).
    Run {
        #[command(flatten)]
        file: ConfigurationFile,
    },
    /// Have the agent of this machine finish what it has and take no new jobs, also after a restart.
    Drain(Talk),
    /// Have it take jobs again.
    Resume(Talk),
    /// Say how it is: what runs, what waits, when the server was heard. Exit code 1 when none runs.
    Status(Talk),
    /// Look at everything the agent depends on, and say what to do. Exit code 0 in order, 1 warnings, 2 problems.
    Doctor(Talk),
    /// Read the configuration, say what is wrong with it, and end.
    CheckConfiguration {
        #[command(flatten)]
        file: ConfigurationFile,
        /// Print every key with its explanation and default instead.
        #[arg(long)]
        explain: bool,
    },
}

#[derive(clap::Args)]
struct Talk {
    #[command(flatten)]
    file: ConfigurationFile,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct ConfigurationFile {
    /// The configuration file. Without one, defaults and environment alone are used.
    #[arg(long = "config", value_name = "FILE", env = FILE_VARIABLE)]
    path: Option<PathBuf>,
}

fn main() -> ExitCode {
    match execute(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sealift-agent: {error:#}");
            let unusable = error.is::<configuration::Error>() || error.is::<sealift_agent::SetupError>();
            if unusable { ExitCode::from(UNUSABLE_CONFIGURATION) } else { ExitCode::FAILURE }
        }
    }
}

fn execute(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run { file } => run(load(file.path.as_deref())?).map(|()| ExitCode::SUCCESS),
        Command::Drain(talk) => say(&talk, Word::Drain),
        Command::Resume(talk) => say(&talk, Word::Resume),
        Command::Status(talk) => say(&talk, Word::Status),
        Command::Doctor(talk) => examine(&talk),
        Command::CheckConfiguration { explain: true, .. } => {
            print!("{DEFAULT_FILE}");
            Ok(ExitCode::SUCCESS)
        }
        Command::CheckConfiguration { file, .. } => {
            let configuration = load(file.path.as_deref())?;
            sealift_agent::check(&configuration)?;
            filter(&configuration)?;
            println!(
                "the configuration is good: agent '{}' of {}, {} entries in the allow-list, capabilities {}",
                configuration.name,
                configuration.server_url,
                configuration.stores.len(),
                configuration.capabilities().join(", "),
            );
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn load(file: Option<&Path>) -> anyhow::Result<Configuration> {
    Ok(Configuration::load(file, variables())?)
}

/// Says a word to the agent of this machine, and prints how it is then.
fn say(talk: &Talk, word: Word) -> anyhow::Result<ExitCode> {
    let directory = load(talk.file.path.as_deref())?.data_dir;
    let status = sealift_agent::say(&directory, word).with_context(|| {
        format!("the agent of {} cannot be spoken to; its user or root can", directory.display())
    })?;
    if talk.json {
        println!("{}", serde_json::to_string(&status)?);
    } else {
        print_status(&status);
    }
    let silent = word == Word::Status && !status.running;
    Ok(if silent { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print_status(status: &Status) {
    let name = status.name.as_deref().unwrap_or_default();
    match (status.running, status.drained) {
        (true, true) => {
            println!("agent '{name}' runs, drained: it finishes what it has and takes no new jobs")
        }
        (true, false) => println!("agent '{name}' runs and takes jobs"),
        (false, true) => println!("no agent runs; its next start will be drained"),
        (false, false) => println!("no agent runs"),
    }
    if !status.running {
        return;
    }
    println!("job: {}", status.job.as_deref().unwrap_or("none"));
    println!("jobs held: {}, results waiting: {}", status.jobs_held, status.results_waiting);
    match status.heard_seconds_ago {
        Some(seconds) => println!("the server answered {seconds} s ago"),
        None => println!("the server has not answered yet"),
    }
    if let Some(seconds) = status.clock_offset_seconds {
        println!("the clock is {seconds} s ahead of the server's");
    }
}

/// Prints a line for each finding, and what to do where something is to be done.
fn examine(talk: &Talk) -> anyhow::Result<ExitCode> {
    let findings = runtime()?.block_on(doctor::examine(talk.file.path.as_deref(), variables()));
    if talk.json {
        println!("{}", serde_json::to_string(&findings)?);
    } else {
        for finding in &findings {
            println!("{:<8} {:<14} {}", finding.severity.word(), finding.subject, finding.message);
            if let Some(remedy) = &finding.remedy {
                println!("{:<8} {:<14} -> {remedy}", "", "");
            }
        }
    }
    Ok(ExitCode::from(match doctor::worst(&findings) {
        Severity::Ok => 0,
        Severity::Warning => 1,
        Severity::Problem => 2,
    }))
}

fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .context("the runtime cannot be started")
}

fn run(configuration: Configuration) -> anyhow::Result<()> {
    let log = LogFile::default();
    start_log(&configuration, &log)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(until_stopped(configuration, log));
    // A second signal leaves disk work unfinished; each file is whole at any moment.
    runtime.shutdown_background();
    ended
}

async fn until_stopped(configuration: Configuration, log: LogFile) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be watched")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be watched")?;
    let (stop, stopped) = watch::channel(false);
    let agent = sealift_agent::run(configuration, stopped, log);
    tokio::pin!(agent);
    tokio::select! {
        ended = &mut agent => return Ok(ended?),
        () = any(&mut terminate, &mut interrupt) => {}
    }
    tracing::info!(
        "told to stop: the running job ends its step and results are reported; a second signal stops at once"
    );
    stop.send_replace(true);
    tokio::select! {
        ended = &mut agent => Ok(ended?),
        () = any(&mut terminate, &mut interrupt) => anyhow::bail!("stopped at once by a second signal"),
    }
}

async fn any(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn filter(configuration: &Configuration) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(&configuration.log_level)
        .with_context(|| format!("log_level: '{}' is no filter", configuration.log_level))
}

fn start_log(configuration: &Configuration, file: &LogFile) -> anyhow::Result<()> {
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter(configuration)?)
        .with_writer(std::io::stderr.and(file.clone()))
        .with_target(false);
    match configuration.log_format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}
