//! Runs the command that the agent's own configuration names after a change: no shell, a time limit, bounded output.
//!
//! The command gets a process group of its own and almost no environment. When its time is up, or when the agent is
//! told to stop at once, the whole group is killed, so nothing that it started stays behind. A command that ends by
//! itself may leave a daemon running; that is its business.

use std::collections::VecDeque;
use std::process::{ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::locked;
use crate::store_rule::AfterChange;

/// Most output that is kept, in bytes; the end counts.
const MAX_OUTPUT_BYTES: usize = 8 * 1024;
/// How long output is still awaited when the command has ended but something it started keeps its pipes open.
const OUTPUT_GRACE: Duration = Duration::from_millis(200);
/// Where programs are looked for by what the command runs in turn.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs the command to its end. The error is a sentence with the command, its exit status and its last output.
pub(crate) async fn run(after_change: &AfterChange) -> Result<(), String> {
    let mut child =
        spawn(after_change).map_err(|error| format!("'{after_change}' could not be started: {error}"))?;
    let group = ProcessGroup::of(&child);
    let tail = Tail::default();
    let ended = timeout(after_change.timeout, to_end(&mut child, &tail)).await;
    match ended {
        Ok(Ok(status)) => {
            group.leave();
            if status.success() {
                Ok(())
            } else {
                Err(format!("'{after_change}' ended with {status}{}", tail.shown()))
            }
        }
        Ok(Err(error)) => Err(format!("'{after_change}' could not be awaited: {error}")),
        Err(_) => {
            drop(group);
            let seconds = after_change.timeout.as_secs_f64();
            let reaped =
                child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
            Err(format!(
                "'{after_change}' did not end within {seconds} s and was killed ({reaped}){}",
                tail.shown()
            ))
        }
    }
}

fn spawn(after_change: &AfterChange) -> std::io::Result<Child> {
    let (program, arguments) = after_change.command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .env("LANG", "C.UTF-8")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

async fn to_end(child: &mut Child, tail: &Tail) -> std::io::Result<ExitStatus> {
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let reading = async { tokio::join!(drain(output, tail), drain(errors, tail)) };
    tokio::pin!(reading);
    tokio::select! {
        status = child.wait() => {
            let _ = timeout(OUTPUT_GRACE, reading).await;
            status
        }
        _ = &mut reading => child.wait().await,
    }
}

async fn drain(pipe: Option<impl AsyncRead + Unpin>, tail: &Tail) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
        tail.push(&buffer[..length]);
    }
}

/// The end of what a command wrote.
#[derive(Default)]
struct Tail(Mutex<VecDeque<u8>>);

impl Tail {
    fn push(&self, bytes: &[u8]) {
        let mut kept = locked(&self.0);
        kept.extend(bytes);
        let excess = kept.len().saturating_sub(MAX_OUTPUT_BYTES);
        kept.drain(..excess);
    }

    /// For the end of a sentence: nothing, or the last lines without control characters.
    fn shown(&self) -> String {
        let bytes: Vec<u8> = locked(&self.0).iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        if lines.is_empty() {
            return "; it wrote nothing".to_owned();
        }
        let last = lines[lines.len().saturating_sub(10)..].join(" | ");
        format!("; last output: {}", last.chars().filter(|c| !c.is_control()).collect::<String>())
    }
}

/// Kills the whole group when dropped, unless it was left in peace.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    fn leave(mut self) {
        self.0 = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may have ended by itself in this moment, which is as good.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::Path;

    use super::*;

    fn shell(script: &str, limit: Duration) -> AfterChange {
        AfterChange { command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(), timeout: limit }
    }

    #[tokio::test]
    async fn a_command_that_succeeds_is_silent() {
        run(&shell("echo fine; exit 0", Duration::from_secs(30))).await.unwrap();
    }

    #[tokio::test]
    async fn a_failure_tells_status_and_last_lines() {
        let script = "echo to stdout; echo 'bad directive' >&2; exit 3";
        let error = run(&shell(script, Duration::from_secs(30))).await.unwrap_err();
        assert!(error.contains("exit status: 3") && error.contains("bad directive"), "{error}");
        let error =
            run(&AfterChange { command: vec!["/nonexistent/reload".to_owned()], timeout: Duration::MAX })
                .await;
        assert!(error.unwrap_err().contains("could not be started"));
    }

    #[tokio::test]
    async fn only_the_end_of_a_flood_is_kept() {
        let script = "i=0; while [ $i -lt 3000 ]; do echo line-$i; i=$((i+1)); done; exit 1";
        let error = run(&shell(script, Duration::from_secs(30))).await.unwrap_err();
        assert!(error.contains("line-2999") && !error.contains("line-100 "), "{error}");
        assert!(error.len() < MAX_OUTPUT_BYTES + 1024);
    }

    #[tokio::test]
    async fn the_environment_is_not_inherited() {
        run(&shell("[ -z \"$CARGO_MANIFEST_DIR\" ] && [ \"$PWD\" = / ]", Duration::from_secs(30)))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_timeout_kills_the_whole_process_group() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("alive");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // The grandchild ignores the polite signals and holds the writing end; end of file means that it is dead.
        let watched = tokio::task::spawn_blocking({
            let pipe = pipe.clone();
            move || read_to_end(&pipe)
        });
        let script = format!(
            "trap '' HUP TERM; exec 3>'{}'; echo up >&3; (trap '' HUP TERM; while :; do read x </dev/zero; done) & wait",
            pipe.display()
        );
        let error = run(&shell(&script, Duration::from_millis(300))).await.unwrap_err();
        assert!(error.contains("did not end within 0.3 s and was killed"), "{error}");
        assert_eq!(watched.await.unwrap(), "up\n");
    }

    #[tokio::test]
    async fn a_daemon_left_behind_does_not_hold_the_job() {
        let directory = tempfile::tempdir().unwrap();
        let pid = directory.path().join("pid");
        // The daemon keeps the output pipe open; the command itself ends at once.
        let script = format!("tail -f /dev/null & echo $! > '{}'; exit 0", pid.display());
        run(&shell(&script, Duration::from_secs(600))).await.unwrap();
        let daemon = read_to_end(&pid).trim().parse::<i32>().unwrap();
        rustix::process::kill_process(Pid::from_raw(daemon).unwrap(), Signal::KILL).unwrap();
    }

    fn read_to_end(path: &Path) -> String {
        let mut text = String::new();
        std::fs::File::open(path).unwrap().read_to_string(&mut text).unwrap();
        text
    }
}
