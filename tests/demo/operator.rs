//! The operator, who has nothing but the `sealift` command line and files.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use support::programs;
use tokio::process::Command;

use crate::narration::{Narration, typed};
use crate::stage::{Stage, without_own_settings};

/// Runs commands in the demo's directory, with a profile of its own.
pub(crate) struct Operator<'a> {
    stage: &'a Stage,
    narration: &'a Narration,
}

/// Whether a command is shown before it runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Yes,
    No,
}

impl<'a> Operator<'a> {
    /// An operator who has not logged in yet.
    pub(crate) fn new(stage: &'a Stage, narration: &'a Narration) -> Self {
        Self { stage, narration }
    }

    /// Runs a command; what it prints is seen.
    pub(crate) async fn run(&self, words: &[&str]) -> Result<()> {
        let mut command = self.command(words, Shown::Yes);
        let status = command.status().await.context("sealift does not start")?;
        ensure!(status.success(), "sealift {} failed: {status}", words[0]);
        Ok(())
    }

    /// Runs a command, shows what it prints, and answers it, too.
    pub(crate) async fn read(&self, words: &[&str]) -> Result<String> {
        let output = self.command(words, Shown::Yes).stderr(Stdio::inherit()).output().await;
        let output = output.context("sealift does not start")?;
        let printed = String::from_utf8(output.stdout)?;
        print!("{printed}");
        ensure!(output.status.success(), "sealift {} failed: {}", words[0], output.status);
        Ok(printed)
    }

    /// Runs a command with `--json` and answers what it prints.
    pub(crate) async fn ask(&self, words: &[&str]) -> Result<Value> {
        self.json(words, Shown::Yes).await
    }

    /// The same unseen, for what is asked again and again.
    pub(crate) async fn look(&self, words: &[&str]) -> Result<Value> {
        self.json(words, Shown::No).await
    }

    async fn json(&self, words: &[&str], shown: Shown) -> Result<Value> {
        let words: Vec<&str> = std::iter::once("--json").chain(words.iter().copied()).collect();
        let output = self.command(&words, shown).stderr(Stdio::inherit()).output().await;
        let output = output.context("sealift does not start")?;
        ensure!(output.status.success(), "sealift {} failed: {}", words[1], output.status);
        serde_json::from_slice(&output.stdout).context("sealift prints no JSON")
    }

    fn command(&self, words: &[&str], shown: Shown) -> Command {
        if shown == Shown::Yes {
            let words: Vec<String> =
                std::iter::once(&"sealift").chain(words).map(|word| (*word).to_owned()).collect();
            self.narration.command(&typed(&words));
        }
        let mut command = std::process::Command::new(programs::path("sealift"));
        without_own_settings(&mut command);
        command.args(words).current_dir(self.stage.directory()).stdin(Stdio::null());
        command.env("XDG_CONFIG_HOME", self.stage.path("operator"));
        let mut command = Command::from(command);
        command.kill_on_drop(true);
        command
    }
}

/// The value behind a name, in what a command prints of one thing.
pub(crate) fn value(printed: &str, name: &str) -> Result<String> {
    let found = printed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("  "));
    Ok(found.with_context(|| format!("sealift prints no {name}"))?.trim().to_owned())
}

/// A text of an answer.
pub(crate) fn text(value: &Value, name: &str) -> Result<String> {
    let found = value.get(name).with_context(|| format!("the answer has no {name}: {value}"))?;
    Ok(found.as_str().map_or_else(|| found.to_string(), str::to_owned))
}
