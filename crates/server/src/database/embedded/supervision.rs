//! Keeps one Postgres running: starts it, notices when it dies by itself and starts it again on the same port,
//! and ends it. It knows nothing of passwords or of how the cluster was made.
//!
//! Everything happens on one thread that lives as long as Postgres is wanted, because the signal that ends
//! Postgres when we die follows the *thread* that spawned it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::account::Account;
use super::cluster::{Directory, PostmasterFile, not_spawned};
use super::error::Error;

/// How often files and processes that send no event are looked at.
const LOOK_EACH: Duration = Duration::from_millis(20);
/// How long a first start is tried again. After a kill the old children hold the shared memory for up to 2 s.
const RETRY_FOR: Duration = Duration::from_secs(20);
/// Pause between those tries, and the first one before a restart.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause before a restart; it doubles up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// After running this long, the pause begins small again.
const STEADY_AFTER: Duration = Duration::from_secs(30);
/// What ends Postgres, and how long each is given: fast shutdown, immediate shutdown, and death, which loses no
/// commit either but leaves the recovery to the next start.
const ENDINGS: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_secs(30)),
    (Signal::QUIT, Duration::from_secs(10)),
    (Signal::KILL, Duration::from_secs(10)),
];

/// One Postgres to be kept running.
#[derive(Debug)]
pub(super) struct Supervisor {
    /// The directory, ours as long as this lives.
    pub(super) directory: Directory,
    /// As whom to run.
    pub(super) account: Account,
    /// The server's binary.
    pub(super) postgres: PathBuf,
    /// Settings beside where it listens, as `name=value`.
    pub(super) settings: Vec<String>,
    /// How long the first start may take.
    pub(super) ready_within: Duration,
    /// What other threads see.
    pub(super) shared: Shared,
}

/// What the supervising thread and its owner tell each other.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The living Postgres. Cleared in the same step that reaps it, so it never names a stranger.
    process: Option<Pid>,
    port: u16,
    /// How often it became ready.
    starts: u64,
    stopping: bool,
    ended: bool,
    failure: Option<Error>,
}

/// Tells the owner that the thread is through, even if it panicked.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_all();
    }
}

/// What came of waiting for a start.
enum Outcome {
    Ready,
    Exited,
    TimedOut,
}

impl Supervisor {
    /// The thread's whole life.
    pub(super) fn run(&self) {
        let _says_so = Ended(&self.shared);
        match self.first_start() {
            Ok(child) => self.keep(child),
            Err(error) => self.shared.lock().failure = Some(error),
        }
    }

    /// Starts Postgres on a free port, trying again while something of an earlier run is in the way.
    fn first_start(&self) -> Result<Child, Error> {
        self.clear_leftovers()?;
        let began = Instant::now();
        loop {
            let port = free_port()?;
            let mut child = self.launch(port)?;
            match self.await_ready(&child, Some(self.ready_within)) {
                Outcome::Ready => return Ok(child),
                Outcome::Exited => {
                    let status = self.reap(&mut child);
                    if self.shared.lock().stopping || began.elapsed() >= RETRY_FOR {
                        return Err(self.not_ready(format!("ended at once ({status})")));
                    }
                    thread::sleep(FIRST_PAUSE);
                }
                Outcome::TimedOut => {
                    let error = self.not_ready(format!("was not ready within {:?}", self.ready_within));
                    let gone = |patience| exits_within(&child, patience);
                    end(|signal| self.shared.signal(signal), gone);
                    self.reap(&mut child);
                    return Err(error);
                }
            }
        }
    }

    /// Waits for Postgres to end and starts it again, until told to stop.
    fn keep(&self, mut child: Child) {
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            wait_for_exit(&child);
            let status = self.reap(&mut child);
            if began.elapsed() >= STEADY_AFTER {
                pause = FIRST_PAUSE;
            }
            let Some(next) = self.relaunch(status, &mut pause) else { return };
            child = next;
            if matches!(self.await_ready(&child, None), Outcome::Ready) {
                let State { port, process, .. } = *self.shared.lock();
                let process = process.map_or(0, Pid::as_raw_pid);
                tracing::info!(port, process, "embedded Postgres accepts connections again");
            }
        }
    }

    /// After a pause, the next Postgres; none once it is no longer wanted.
    fn relaunch(&self, status: ExitStatus, pause: &mut Duration) -> Option<Child> {
        let mut reason = format!("it ended by itself ({status})");
        loop {
            let port = self.shared.lock().port;
            if self.shared.lock().stopping {
                return None;
            }
            tracing::error!(port, reason, "embedded Postgres is down; starting it again in {pause:?}");
            if self.shared.stopped_within(*pause) {
                return None;
            }
            *pause = (*pause * 2).min(LONGEST_PAUSE);
            match self.launch(port) {
                Ok(child) => return Some(child),
                Err(error) => reason = error.to_string(),
            }
        }
    }

    /// Spawns Postgres, which by then may no longer be wanted: then it is told so at once.
    fn launch(&self, port: u16) -> Result<Child, Error> {
        let log = self.directory.open_log()?;
        let mut command = self.account.command(&self.postgres);
        command.arg("-D").arg(self.directory.data());
        let listen = ["listen_addresses=127.0.0.1".to_owned(), format!("port={port}")];
        for setting in listen.iter().chain(&self.settings) {
            command.args(["-c", setting]);
        }
        let errors = log.try_clone().map_err(Error::file("duplicate", self.directory.log()))?;
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().map_err(not_spawned)?;
        let mut state = self.shared.lock();
        state.process = Some(Pid::from_child(&child));
        state.port = port;
        let stopping = state.stopping;
        drop(state);
        if stopping {
            self.shared.signal(Signal::INT);
        }
        Ok(child)
    }

    fn await_ready(&self, child: &Child, within: Option<Duration>) -> Outcome {
        let began = Instant::now();
        let (data, process) = (self.directory.data(), Pid::from_child(child).as_raw_pid());
        loop {
            if has_exited(child) {
                return Outcome::Exited;
            }
            if PostmasterFile::read(&data) == Some(PostmasterFile { process, ready: true }) {
                self.shared.lock().starts += 1;
                self.shared.changed.notify_all();
                return Outcome::Ready;
            }
            if within.is_some_and(|within| began.elapsed() >= within) {
                return Outcome::TimedOut;
            }
            thread::sleep(LOOK_EACH);
        }
    }

    /// Takes the exit status. The process id becomes free for others only here, under the lock.
    fn reap(&self, child: &mut Child) -> ExitStatus {
        let mut state = self.shared.lock();
        state.process = None;
        child.wait().unwrap_or_else(|_not_a_child| ExitStatus::from_raw(0))
    }

    fn not_ready(&self, what: String) -> Error {
        Error::NotReady { what, log: self.directory.log(), tail: self.directory.log_tail() }
    }

    /// Ends a Postgres of an earlier run, and removes a `postmaster.pid` whose number now belongs to another
    /// program, as happens after a reboot or in a new container: Postgres would take it for a living server.
    fn clear_leftovers(&self) -> Result<(), Error> {
        let data = self.directory.data();
        let Some(file) = PostmasterFile::read(&data) else { return Ok(()) };
        let Some(process) = Pid::from_raw(file.process) else { return Ok(()) };
        if is_postgres_of(file.process, &data) {
            tracing::info!(process = file.process, "ending the embedded Postgres of an earlier run");
            // The number cannot pass to another program unnoticed: before each signal it is looked at again.
            let send = |signal| {
                if is_postgres_of(file.process, &data) {
                    // One that has just gone is what we want.
                    let _ = kill_process(process, signal);
                }
            };
            let gone = |patience| becomes_true(patience, || !is_postgres_of(file.process, &data));
            if !end(send, gone) {
                return Err(Error::StaysAlive { process: file.process, data });
            }
        } else if Path::new(&format!("/proc/{}", file.process)).exists() && !works_in(&data) {
            let path = PostmasterFile::path(&data);
            fs::remove_file(&path).map_err(Error::file("remove", path))?;
        }
        Ok(())
    }
}

impl Shared {
    /// Waits until Postgres has become ready for the first time, or failed to.
    pub(super) fn first_start(&self) -> Result<(), Error> {
        let waiting = |state: &mut State| state.starts == 0 && !state.ended;
        let mut state = self.changed.wait_while(self.lock(), waiting).unwrap_or_else(PoisonError::into_inner);
        state.failure.take().map_or(Ok(()), Err)
    }

    /// Waits until Postgres has become ready so many times; says whether it did.
    pub(super) fn await_starts(&self, starts: u64, within: Duration) -> bool {
        self.wait(within, |state| state.starts >= starts || state.ended).starts >= starts
    }

    /// How often Postgres became ready.
    pub(super) fn starts(&self) -> u64 {
        self.lock().starts
    }

    /// Its port on 127.0.0.1.
    pub(super) fn port(&self) -> u16 {
        self.lock().port
    }

    /// Its process id, if it lives.
    pub(super) fn process(&self) -> Option<u32> {
        self.lock().process.and_then(|process| process.as_raw_pid().try_into().ok())
    }

    /// Ends Postgres and waits for the supervising thread to be done with it.
    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.changed.notify_all();
        let gone = |patience| self.wait(patience, |state| state.ended).ended;
        if !end(|signal| self.signal(signal), gone) {
            tracing::error!("embedded Postgres does not end");
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = self.lock().process {
            // Until it is reaped, which takes the same lock, the number is its own.
            let _ = kill_process(process, signal);
        }
    }

    fn stopped_within(&self, pause: Duration) -> bool {
        self.wait(pause, |state| state.stopping).stopping
    }

    fn wait(&self, within: Duration, done: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_timeout_while(self.lock(), within, |state| !done(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends one signal after another until the process is gone; says whether it is.
fn end(send: impl Fn(Signal), gone: impl Fn(Duration) -> bool) -> bool {
    ENDINGS.into_iter().any(|(signal, patience)| {
        send(signal);
        gone(patience)
    })
}

/// Blocks until the child has ended, and leaves it to be reaped.
fn wait_for_exit(child: &Child) {
    let id = WaitId::Pid(Pid::from_child(child));
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while matches!(waitid(id.clone(), options), Err(rustix::io::Errno::INTR)) {}
}

fn has_exited(child: &Child) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    !matches!(waitid(WaitId::Pid(Pid::from_child(child)), options), Ok(None))
}

fn exits_within(child: &Child, within: Duration) -> bool {
    becomes_true(within, || has_exited(child))
}

fn becomes_true(within: Duration, fact: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while !fact() {
        if began.elapsed() >= within {
            return false;
        }
        thread::sleep(LOOK_EACH);
    }
    true
}

/// Whether the process is a Postgres server of this cluster: its arguments say so, even to another user.
fn is_postgres_of(process: i32, data: &Path) -> bool {
    let arguments = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    let mut arguments = arguments.split(|byte| *byte == 0).map(|argument| Path::new(as_os(argument)));
    let program = arguments.next().and_then(Path::file_name);
    program.is_some_and(|name| name == "postgres") && arguments.any(|argument| argument == data)
}

fn as_os(bytes: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}

/// Whether any process works in the cluster, as each Postgres process does.
fn works_in(data: &Path) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.into_iter().any(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == data))
}

fn free_port() -> Result<u16, Error> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    bound
        .map(|address| address.port())
        .map_err(|source| Error::Process { program: "a listener on 127.0.0.1".to_owned(), source })
}
