//! The demo: one certificate for two web servers through two real agents, and its rotation under open connections.
//!
//! It starts everything it shows, checks what it prints, and ends everything it started. What happens is in
//! `acts/`; what it happens on is in `stage.rs` and `hosts.rs`; who looks at it from outside is in `witness.rs`.

mod acts;
mod arguments;
mod endings;
mod hosts;
mod narration;
mod operator;
mod stage;
mod witness;

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::signal::unix::{SignalKind, signal};

use arguments::{Asked, USAGE};
use narration::Narration;
use stage::Stage;

/// The exit code after Ctrl-C, as shells give it.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let asked = match arguments::read(std::env::args_os().skip(1)) {
        Ok(asked) => asked,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let ended = match asked {
        Asked::Usage => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        Asked::Clean => endings::clean().map(|()| ExitCode::SUCCESS),
        Asked::Listen(listen) => hosts::listen(&listen).map(|()| ExitCode::SUCCESS),
        Asked::Play { keep } => play(keep),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("demo: {error:#}");
        ExitCode::FAILURE
    })
}

/// Builds, plays, and cleans up, whatever happened.
fn play(keep: bool) -> Result<ExitCode> {
    build()?;
    endings::remove_abandoned()?;
    // An error means that a provider is installed already, which is what is wanted.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let narration = Narration::begin();
    let stage = Stage::set()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(until_interrupted(&stage, &narration));
    drop(runtime);
    match ended {
        Ok(true) if keep => {
            stage.keep()?;
            acts::tell_what_is_kept(&stage, &narration);
            Ok(ExitCode::SUCCESS)
        }
        Ok(true) => {
            narration.act("The end: everything is stopped");
            stage.strike()?;
            narration.say("No process of the demo is left, and its directory is removed.");
            narration.total();
            Ok(ExitCode::SUCCESS)
        }
        Ok(false) => {
            narration.act("Interrupted: everything is stopped");
            stage.strike()?;
            Ok(ExitCode::from(INTERRUPTED))
        }
        Err(error) => {
            eprintln!("\ndemo: {error:#}\n");
            stage.print_log_tails();
            stage.strike()?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Plays all acts; false when a signal came first.
async fn until_interrupted(stage: &Stage, narration: &Narration) -> Result<bool> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        played = acts::play(stage, narration) => played.map(|()| true),
        died = stage.first_death() => Err(died),
        _ = interrupt.recv() => Ok(false),
        _ = terminate.recv() => Ok(false),
        _ = hangup.recv() => Ok(false),
    }
}

/// Builds the programs with cargo's own progress, which the support library would hide.
fn build() -> Result<()> {
    for program in ["nginx", "openssl"] {
        ensure!(hosts::find(program).is_some(), "{program} is not installed: apt-get install {program}");
    }
    if std::env::var_os("SEALIFT_TEST_PROGRAMS").is_some() {
        return Ok(());
    }
    println!("Building the programs, which takes some minutes the first time.");
    let began = Instant::now();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--locked", "--workspace", "--bins"]).env("SQLX_OFFLINE", "true");
    if cfg!(not(debug_assertions)) {
        cargo.arg("--release");
    }
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    if !cargo.status().context("cargo cannot be run")?.success() {
        bail!("the programs were not built; cargo says above why");
    }
    let directory = support::programs::directory();
    println!("Programs in {}, after {:.1} s.\n", directory.display(), began.elapsed().as_secs_f64());
    Ok(())
}
