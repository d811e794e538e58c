//! The program `sealift-server`: reads its configuration, serves, and stops when told to.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use sealift_server::clock::Clock;
use sealift_server::configuration::{Configuration, LogFormat};
use sealift_server::startup::{self, Application};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
#[command(name = "sealift-server", version, about = "Takes certificates to the places that serve them.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves operators and agents until it is told to stop.
    Serve(Options),
    /// Brings the database's schema up to date.
    Migrate(Options),
    /// Reads the configuration, says what is wrong with it, and ends.
    CheckConfiguration(Options),
}

#[derive(Args)]
struct Options {
    /// Configuration file (TOML); every key has a default.
    #[arg(long, value_name = "FILE")]
    configuration: Option<PathBuf>,
    /// Directory for the sealing key, the first credentials and the embedded Postgres.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Address and port to listen on; port 0 picks a free one.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Plain HTTP instead of HTTPS; on a loopback address only, and agents cannot connect.
    #[arg(long)]
    plain_http: bool,
}

impl Options {
    fn load(&self) -> anyhow::Result<Configuration> {
        let mut options = BTreeMap::new();
        if let Some(directory) = &self.data_dir {
            options.insert("data_dir", directory.clone());
        }
        if let Some(listen) = &self.listen {
            options.insert("listen", listen.clone());
        }
        if self.plain_http {
            options.insert("plain_http", "true".to_owned());
        }
        Ok(Configuration::load(self.configuration.as_deref(), std::env::vars(), &options)?)
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "sealift-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match arguments.command {
        Command::Serve(options) => {
            let configuration = options.load()?;
            start_log(&configuration)?;
            runtime.block_on(serve(configuration))
        }
        Command::Migrate(options) => Ok(runtime.block_on(startup::migrate(&options.load()?))?),
        Command::CheckConfiguration(options) => {
            options.load()?;
            writeln!(std::io::stdout(), "the configuration is valid")?;
            Ok(())
        }
    }
}

async fn serve(configuration: Configuration) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let application = Application::build(configuration, Clock::system()).await?;
    let line = serde_json::to_string(application.ready())?;
    let mut running = application.start().await?;
    writeln!(std::io::stdout(), "{line}")?;
    std::io::stdout().flush()?;
    tracing::info!("serving");
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: finishing what was begun"),
        _ = interrupt.recv() => tracing::info!("SIGINT: finishing what was begun"),
        ended = running.died() => return Ok(ended?),
    }
    running.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Log lines go to standard error; standard output is for the line that says where the server is.
fn start_log(configuration: &Configuration) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&configuration.log.filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match configuration.log.format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Text => builder.init(),
    }
    Ok(())
}
