//! The programs as they are installed, started as processes.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The directory with the programs, built from this state of the sources.
///
/// Under `cargo test` they are built on the first use, with the same settings as the tests, so that a test never
/// meets an old program. `SEALIFT_TEST_PROGRAMS` names a directory to take them from instead.
pub fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        if let Some(given) = std::env::var_os("SEALIFT_TEST_PROGRAMS") {
            return given.into();
        }
        let own = std::env::current_exe().expect("a path");
        let profile =
            own.ancestors().find(|path| path.join(".cargo-lock").exists()).expect("a target directory");
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.args(["build", "--quiet", "--locked", "--workspace", "--bins"]);
        build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success(), "the programs are built");
        profile.to_owned()
    })
}

/// A program's path.
pub fn path(name: &str) -> PathBuf {
    directory().join(name)
}

/// A process that is killed when dropped.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a command.
    pub fn start(command: &mut Command) -> Self {
        Self { child: command.spawn().expect("the program starts") }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends SIGTERM and waits until it has ended.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        self.child.wait().expect("the program ends")
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        self.child.wait().expect("the program ends")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A server process, and what it said of itself.
pub struct ServerProcess {
    /// The process.
    pub process: Process,
    /// The line that it printed when it was ready.
    pub ready: Value,
}

impl ServerProcess {
    /// Starts `sealift-server serve` and waits until it is ready. Its log goes to `log`.
    pub fn start(data_dir: &Path, listen: &str, environment: &[(&str, &str)], log: &Path) -> Self {
        let mut command = Command::new(path("sealift-server"));
        command.arg("serve").arg("--data-dir").arg(data_dir).args(["--listen", listen]);
        command
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(append(log));
        let mut process = Process::start(&mut command);
        let output = process.child.stdout.take().expect("its output");
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).expect("a line");
        let ready = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("not ready: {}", std::fs::read_to_string(log).unwrap_or_default()));
        Self { process, ready }
    }

    /// A text of the ready line.
    pub fn text(&self, name: &str) -> &str {
        self.ready[name].as_str().expect("a text")
    }
}

/// Starts `sealift-agent run` with a configuration file.
pub fn start_agent(configuration: &Path, log: &Path) -> Process {
    let mut command = Command::new(path("sealift-agent"));
    command
        .args(["run", "--config"])
        .arg(configuration)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(append(log));
    Process::start(&mut command)
}

/// A file to append to.
pub fn append(path: &Path) -> std::fs::File {
    std::fs::File::options().create(true).append(true).open(path).expect("a log file")
}
