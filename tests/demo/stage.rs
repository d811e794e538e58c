//! What the demo stands on: one directory, the processes started for it, and their logs.
//!
//! Each process is in a group of its own, so that Ctrl-C reaches the demo alone, which then ends them in order;
//! how, is in `endings.rs`.

use std::cell::RefCell;
use std::fs::{DirBuilder, File, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use support::programs::append;

use crate::endings;

/// Between two looks at something that is awaited.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long one thing may be awaited.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of each log that are shown after a failure.
const TAIL_LINES: usize = 20;
/// Variables with this beginning belong to whoever starts the demo, not to its programs.
const OURS: &str = "SEALIFT_";

/// The directory and the processes of one demo.
pub(crate) struct Stage {
    directory: PathBuf,
    processes: RefCell<Vec<Started>>,
    /// Held as long as this demo plays.
    _lock: File,
}

struct Started {
    name: &'static str,
    child: Child,
}

impl Stage {
    /// Makes the directory.
    pub(crate) fn set() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix(endings::PREFIX).tempdir()?.keep().canonicalize()?;
        // The embedded Postgres of a server that root runs has a user of its own, which must pass through.
        std::fs::set_permissions(&directory, Permissions::from_mode(0o711))?;
        let lock = File::create_new(directory.join(endings::LOCK))?;
        lock.try_lock()?;
        let stage = Self { directory, processes: RefCell::new(Vec::new()), _lock: lock };
        stage.make_directory("logs")?;
        Ok(stage)
    }

    /// A path below the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The directory itself.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes a directory below it, for its owner alone.
    pub(crate) fn make_directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .with_context(|| path.display().to_string())?;
        Ok(path)
    }

    /// Writes a new file with this mode.
    pub(crate) fn write(&self, name: &str, mode: u32, content: &str) -> Result<PathBuf> {
        let path = self.path(name);
        let mut options = File::options();
        let file = options.write(true).create_new(true).mode(mode).open(&path);
        file.and_then(|mut file| file.write_all(content.as_bytes()))
            .with_context(|| path.display().to_string())?;
        Ok(path)
    }

    /// Starts a process that runs until the end. Its log is `logs/NAME.log`.
    pub(crate) fn start(&self, name: &'static str, command: &mut Command) -> Result<Option<ChildStdout>> {
        without_own_settings(command);
        let log = self.log(name);
        command.stdin(Stdio::null()).stderr(append(&log)).process_group(0).current_dir(&self.directory);
        let mut child = command.spawn().with_context(|| format!("{name} does not start"))?;
        let output = child.stdout.take();
        writeln!(append(&self.path(endings::PROCESSES)), "{} {name}", child.id())?;
        self.processes.borrow_mut().push(Started { name, child });
        Ok(output)
    }

    /// Starts a process that says on its first line where it is.
    pub(crate) async fn start_and_hear(&self, name: &'static str, command: &mut Command) -> Result<String> {
        let output = self.start(name, command.stdout(Stdio::piped()))?.context("no standard output")?;
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(output).read_line(&mut line).map(|_| line)
        });
        let line = tokio::time::timeout(PATIENCE, line)
            .await
            .with_context(|| format!("{name} says nothing"))???;
        ensure!(!line.is_empty(), "{name} ended before it was ready");
        Ok(line)
    }

    /// The processes, by name.
    pub(crate) fn processes(&self) -> Vec<(&'static str, u32)> {
        self.processes.borrow().iter().map(|started| (started.name, started.child.id())).collect()
    }

    /// Returns when a process has ended by itself, saying which.
    pub(crate) async fn first_death(&self) -> anyhow::Error {
        loop {
            for started in self.processes.borrow_mut().iter_mut() {
                if let Ok(Some(status)) = started.child.try_wait() {
                    return anyhow!("{} ended by itself: {status}", started.name);
                }
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Prints the end of each log.
    pub(crate) fn print_log_tails(&self) {
        for (name, _) in self.processes() {
            let text = std::fs::read(self.log(name)).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("--- the end of the log of {name}");
            for line in lines.iter().skip(lines.len().saturating_sub(TAIL_LINES)) {
                eprintln!("{line}");
            }
        }
        eprintln!();
    }

    /// Marks everything as wanted after the demo's end.
    pub(crate) fn keep(&self) -> Result<()> {
        self.write(endings::KEPT, 0o600, "").map(drop)
    }

    /// Ends all processes and removes the directory.
    pub(crate) fn strike(&self) -> Result<()> {
        let ended = endings::end(&self.directory);
        for started in self.processes.borrow_mut().iter_mut() {
            let _ = started.child.try_wait();
        }
        ended
    }

    fn log(&self, name: &str) -> PathBuf {
        self.path("logs").join(format!("{name}.log"))
    }
}

impl Drop for Stage {
    /// After a panic; else there is nothing left to do.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.strike();
        }
    }
}

/// Takes from a command what the caller's environment says of other servers and databases.
pub(crate) fn without_own_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with(OURS) || text == "DATABASE_URL" {
            command.env_remove(name);
        }
    }
    // Everything is on this machine, whatever the proxy of the way out.
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
}

/// Asks again and again until there is an answer, or too much time has passed.
pub(crate) async fn until<T>(awaited: &str, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let looking = async {
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let limit = format!("waited {} s in vain for {awaited}", PATIENCE.as_secs());
    tokio::time::timeout(PATIENCE, looking).await.context(limit)?
}
