//! The program `sealift-agent`: its command line, its log and its signals. Everything else is in the library.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use sealift_agent::configuration::{self, Configuration, DEFAULT_FILE, FILE_VARIABLE, LogFormat};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

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
struct ConfigurationFile {
    /// The configuration file. Without one, defaults and environment alone are used.
    #[arg(long = "config", value_name = "FILE", env = FILE_VARIABLE)]
    path: Option<PathBuf>,
}

fn main() -> ExitCode {
    match execute(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sealift-agent: {error:#}");
            let unusable = error.is::<configuration::Error>() || error.is::<sealift_agent::SetupError>();
            if unusable { ExitCode::from(UNUSABLE_CONFIGURATION) } else { ExitCode::FAILURE }
        }
    }
}

fn execute(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run { file } => run(load(file.path.as_deref())?),
        Command::CheckConfiguration { explain: true, .. } => {
            print!("{DEFAULT_FILE}");
            Ok(())
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
            Ok(())
        }
    }
}

fn load(file: Option<&Path>) -> anyhow::Result<Configuration> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(Configuration::load(file, variables)?)
}

fn run(configuration: Configuration) -> anyhow::Result<()> {
    start_log(&configuration)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .context("the runtime cannot be started")?;
    let ended = runtime.block_on(until_stopped(configuration));
    // A second signal leaves disk work unfinished; each file is whole at any moment.
    runtime.shutdown_background();
    ended
}

async fn until_stopped(configuration: Configuration) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be watched")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be watched")?;
    let (stop, stopped) = watch::channel(false);
    let agent = sealift_agent::run(configuration, stopped);
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

fn start_log(configuration: &Configuration) -> anyhow::Result<()> {
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter(configuration)?)
        .with_writer(std::io::stderr)
        .with_target(false);
    match configuration.log_format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}
