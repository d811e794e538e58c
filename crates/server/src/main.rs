//! The program `sealift-server`: reads its configuration, serves, and stops when told to.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use sealift_server::authority::Import;
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
    /// Takes an issuing authority of your own, before the first start; without it one is made.
    ImportAuthority(ImportAuthority),
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

#[derive(Args)]
struct ImportAuthority {
    #[command(flatten)]
    options: Options,
    /// Certificate of the root (PEM). Its key stays where it is.
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// Certificate of the issuing authority (PEM), signed by the root.
    #[arg(long, value_name = "FILE")]
    issuing: PathBuf,
    /// Private key of the issuing authority (PEM, PKCS#8, not encrypted). Delete the file afterwards.
    #[arg(long, value_name = "FILE")]
    issuing_key: PathBuf,
}

impl ImportAuthority {
    fn run(&self, runtime: &tokio::runtime::Runtime) -> anyhow::Result<()> {
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path)
                .map(zeroize::Zeroizing::new)
                .with_context(|| format!("{} cannot be read", path.display()))
        };
        let (root, issuing, key) = (read(&self.root)?, read(&self.issuing)?, read(&self.issuing_key)?);
        let files = Import { root: &root, issuing: &issuing, issuing_key: &key };
        runtime.block_on(startup::import_authority(self.options.load()?, &files, Clock::system()))?;
        writeln!(std::io::stdout(), "the authority was imported; its key is sealed in the database")?;
        Ok(())
    }
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
        Command::ImportAuthority(import) => import.run(&runtime),
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
