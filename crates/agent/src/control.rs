//! What the machine's administrator says to a running agent, and is told: drain, resume, status.
//!
//! The agent listens at a socket in its data directory, which nobody but its user and root may enter. That it is drained
//! stands in a file beside it, so it holds over restarts, and can be said while no agent runs.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sealift_stores::atomic_file;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::{Agent, locked};

/// The socket, in the data directory.
const SOCKET: &str = "control.sock";
/// The file that says that the agent is drained.
const DRAINED: &str = "drained";
const FILE_MODE: u32 = 0o600;
/// Longest request or answer, in bytes.
const MAX_BYTES: usize = 16 * 1024;
/// Time for one exchange.
const PATIENCE: Duration = Duration::from_secs(5);

/// What can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// Finish what is held, and take no new jobs.
    Drain,
    /// Take jobs again.
    Resume,
    /// Say how things are.
    Status,
}

/// How an agent is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Status {
    /// Whether an agent runs on the data directory.
    pub running: bool,
    /// Whether it takes no new jobs, by the word of this machine's administrator.
    pub drained: bool,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The machine as the server knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The id that the server gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The job that runs now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Jobs that are held, the running one included.
    pub jobs_held: usize,
    /// Results that the server has not heard yet.
    pub results_waiting: usize,
    /// Seconds since the server answered last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard_seconds_ago: Option<u64>,
    /// How far the clock is ahead of the server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_offset_seconds: Option<i32>,
    /// What went wrong with the word that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Whether the agent is drained; on disk and in memory.
#[derive(Debug)]
pub(crate) struct Drain {
    file: PathBuf,
    drained: watch::Sender<bool>,
}

impl Drain {
    /// Reads what was said before.
    pub(crate) fn load(data_dir: &Path) -> Self {
        let file = data_dir.join(DRAINED);
        Self { drained: watch::Sender::new(file.exists()), file }
    }

    /// Whether it is drained now.
    pub(crate) fn is_on(&self) -> bool {
        *self.drained.borrow()
    }

    /// Returns when it is another way than it was.
    pub(crate) async fn changed_from(&self, was: bool) {
        // The sender lives as long as `self`.
        let _ = self.drained.subscribe().wait_for(|now| *now != was).await;
    }

    fn set(&self, drained: bool) -> io::Result<()> {
        write_flag(&self.file, drained)?;
        if self.drained.send_replace(drained) != drained {
            tracing::info!("the agent was {} on its machine", if drained { "drained" } else { "resumed" });
        }
        Ok(())
    }
}

fn write_flag(file: &Path, drained: bool) -> io::Result<()> {
    match drained {
        true => atomic_file::write(file, b"takes no new jobs\n", FILE_MODE).map_err(io::Error::other),
        false => match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

/// Listens for as long as the agent runs. Where it cannot, the file still counts at the next start.
pub(crate) async fn run(agent: &Agent) -> std::convert::Infallible {
    let path = agent.configuration.data_dir.join(SOCKET);
    // The lock of the data directory is ours, so nobody listens there any more.
    let _ = fs::remove_file(&path);
    let bound = UnixListener::bind(&path).and_then(|listener| {
        fs::set_permissions(&path, fs::Permissions::from_mode(FILE_MODE)).map(|()| listener)
    });
    let listener = match bound {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the agent cannot be spoken to on this machine");
            return std::future::pending().await;
        }
    };
    loop {
        match listener.accept().await {
            Ok((mut stream, _)) => {
                // One after another: each is a moment.
                if timeout(PATIENCE, exchange(agent, &mut stream)).await.is_err() {
                    tracing::debug!("a call at the control socket took too long");
                }
            }
            Err(error) => {
                tracing::debug!(%error, "a call at the control socket failed");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn exchange(agent: &Agent, stream: &mut tokio::net::UnixStream) {
    let mut request = Vec::new();
    let mut bounded = (&mut *stream).take(MAX_BYTES as u64);
    if bounded.read_to_end(&mut request).await.is_err() {
        return;
    }
    let mut answer = match serde_json::from_slice::<Word>(&request) {
        Ok(word) => obey(agent, word),
        Err(_) => Some("the word is not known to this version".to_owned()),
    };
    let status = Status { problem: answer.take(), ..status(agent) };
    if let Ok(text) = serde_json::to_vec(&status) {
        let _ = stream.write_all(&text).await;
        let _ = stream.shutdown().await;
    }
}

/// What went wrong, if anything.
fn obey(agent: &Agent, word: Word) -> Option<String> {
    let done = match word {
        Word::Drain => agent.drain.set(true),
        Word::Resume => agent.drain.set(false),
        Word::Status => Ok(()),
    };
    done.err().map(|error| error.to_string())
}

fn status(agent: &Agent) -> Status {
    Status {
        running: true,
        drained: agent.drain.is_on(),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        name: Some(agent.configuration.name.clone()),
        agent_id: Some(agent.id()).filter(|id| !id.is_empty()),
        job: locked(&agent.running_job).clone(),
        jobs_held: agent.leases.jobs().len(),
        results_waiting: agent.outbox.len(),
        heard_seconds_ago: agent.client.heard_seconds_ago(),
        clock_offset_seconds: agent.client.clock().seconds(),
        problem: None,
    }
}

/// Says a word to the agent of a data directory. When none runs, draining and resuming count from its next start.
///
/// # Errors
/// Nobody answers there as an agent does, or the directory may not be used.
pub fn say(data_dir: &Path, word: Word) -> io::Result<Status> {
    match UnixStream::connect(data_dir.join(SOCKET)) {
        Ok(stream) => ask(stream, word),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            let file = data_dir.join(DRAINED);
            match word {
                Word::Drain => write_flag(&file, true)?,
                Word::Resume => write_flag(&file, false)?,
                // Told apart from a directory that may not be looked into.
                Word::Status => fs::read_dir(data_dir).map(drop)?,
            }
            Ok(Status { drained: file.exists(), ..Status::default() })
        }
        Err(error) => Err(error),
    }
}

fn ask(mut stream: UnixStream, word: Word) -> io::Result<Status> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&serde_json::to_vec(&word)?)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.take(MAX_BYTES as u64).read_to_end(&mut answer)?;
    let status: Status = serde_json::from_slice(&answer)?;
    match status.problem {
        Some(problem) => Err(io::Error::other(problem)),
        None => Ok(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_word_said_while_no_agent_runs_counts_at_its_next_start() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!Drain::load(directory.path()).is_on());
        let said = say(directory.path(), Word::Drain).unwrap();
        assert!(said.drained && !said.running);
        let drain = Drain::load(directory.path());
        assert!(drain.is_on());
        drain.set(false).unwrap();
        drain.changed_from(true).await;
        assert!(!say(directory.path(), Word::Status).unwrap().drained);
        assert!(!say(directory.path(), Word::Resume).unwrap().drained);
        assert!(say(&directory.path().join("absent"), Word::Status).is_err());
    }
}
