//! How demos end: their processes, found by what the demo wrote down, and their directories.
//!
//! A process counts as a demo's own only while its command line names the demo's directory, so a number that
//! the system has given to someone else is left alone.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, getuid, kill_process};

/// Directories of demos begin with this, in the system's directory for passing files.
pub(crate) const PREFIX: &str = "sealift-demo-";
/// Locked as long as a demo plays.
pub(crate) const LOCK: &str = "playing";
/// There when a demo stays after its end.
pub(crate) const KEPT: &str = "kept";
/// Lists the processes: number and name, one to a line.
pub(crate) const PROCESSES: &str = "processes";
/// The process that is ended last, since the others report to it.
pub(crate) const LAST: &str = "server";

/// How long processes may take to end when they are asked to.
const POLITELY: Duration = Duration::from_secs(15);
/// How long they may take to vanish when they are killed.
const FIRMLY: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Ends every demo but one that is playing.
pub(crate) fn clean() -> Result<()> {
    let mut ended = 0;
    for directory in directories() {
        if is_playing(&directory) {
            println!("{} belongs to a demo that is playing; end it with Ctrl-C", directory.display());
            continue;
        }
        end(&directory)?;
        println!("ended the demo in {}", directory.display());
        ended += 1;
    }
    if ended == 0 {
        println!("no demo was left");
    }
    Ok(())
}

/// Ends demos that were killed before they could clean up.
pub(crate) fn remove_abandoned() -> Result<()> {
    for directory in directories() {
        if !is_playing(&directory) && !directory.join(KEPT).exists() {
            end(&directory)?;
        }
    }
    Ok(())
}

/// Ends the processes of a demo and removes its directory.
pub(crate) fn end(directory: &Path) -> Result<()> {
    let listed = std::fs::read_to_string(directory.join(PROCESSES)).unwrap_or_default();
    let listed: Vec<(u32, &str)> = listed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(number, name)| Some((number.parse().ok()?, name)))
        .collect();
    let (last, first): (Vec<_>, Vec<_>) = listed.into_iter().partition(|(_, name)| *name == LAST);
    for part in [first, last] {
        let numbers: Vec<u32> = part.into_iter().map(|(number, _)| number).collect();
        end_processes(directory, &numbers);
    }
    // Processes that those have started, such as Postgres, end with them.
    let strays = wait_until_gone(|| of_demo(directory), POLITELY);
    let lines: Vec<String> =
        strays.iter().map(|number| format!("{number} {}", command_line(*number))).collect();
    ensure!(strays.is_empty(), "still running, please end by hand:\n{}", lines.join("\n"));
    std::fs::remove_dir_all(directory).with_context(|| format!("{} cannot be removed", directory.display()))
}

/// SIGTERM, patience, SIGKILL.
fn end_processes(directory: &Path, numbers: &[u32]) {
    let running = || -> Vec<u32> {
        let own = |number: &u32| names(&command_line(*number), directory);
        numbers.iter().copied().filter(own).collect()
    };
    for (kind, patience) in [(Signal::TERM, POLITELY), (Signal::KILL, FIRMLY)] {
        for number in running() {
            if let Some(process) = i32::try_from(number).ok().and_then(Pid::from_raw) {
                // It may have ended just now.
                let _ = kill_process(process, kind);
            }
        }
        if wait_until_gone(running, patience).is_empty() {
            return;
        }
    }
}

fn wait_until_gone(running: impl Fn() -> Vec<u32>, patience: Duration) -> Vec<u32> {
    let began = Instant::now();
    loop {
        let left = running();
        if left.is_empty() || began.elapsed() > patience {
            return left;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Every process whose command line names the directory.
fn of_demo(directory: &Path) -> Vec<u32> {
    let numbers = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let own = std::process::id();
    numbers.filter(|number| *number != own && names(&command_line(*number), directory)).collect()
}

/// Empty for a process that has ended, even when nobody has asked for its status yet.
fn command_line(number: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned()
}

/// Whether a command line names the directory or something in it.
fn names(command_line: &str, directory: &Path) -> bool {
    let path = directory.to_string_lossy();
    command_line.match_indices(path.as_ref()).any(|(at, _)| {
        let behind = command_line[at + path.len()..].chars().next();
        behind.is_none_or(|letter| letter == '/' || letter == ' ')
    })
}

/// The directories of demos that this user has played.
fn directories() -> Vec<PathBuf> {
    let place = std::env::temp_dir();
    let place = place.canonicalize().unwrap_or(place);
    let mut found: Vec<PathBuf> = std::fs::read_dir(place)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
        .filter(|entry| {
            entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == getuid().as_raw())
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

fn is_playing(directory: &Path) -> bool {
    File::open(directory.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_err())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_process_belongs_to_the_demo_that_its_command_line_names() {
        let directory = Path::new("/tmp/sealift-demo-abc");
        assert!(names("sealift-server serve --data-dir /tmp/sealift-demo-abc/server", directory));
        assert!(names("nginx: master process nginx -p /tmp/sealift-demo-abc -c x", directory));
        assert!(names("nginx -p /tmp/sealift-demo-abc", directory));
        assert!(!names("cat /tmp/sealift-demo-abcd/x", directory));
        assert!(!names("", directory));
    }

    #[test]
    fn ending_a_demo_ends_its_processes_and_no_other() {
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir().unwrap().keep();
        // Each waits for a line that never comes.
        let waiting = |named: &Path| {
            let mut shell = std::process::Command::new("sh");
            shell
                .args(["-c", "read line; exit 0"])
                .arg(named)
                .stdin(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        };
        let (mut own, mut other) = (waiting(&directory), waiting(Path::new("/nowhere")));
        let mut listed = File::create(directory.join(PROCESSES)).unwrap();
        writeln!(listed, "{} own\n{} other", own.id(), other.id()).unwrap();
        end(&directory).unwrap();
        assert!(!directory.exists());
        assert!(own.wait().unwrap().code().is_none(), "it was ended by a signal");
        assert!(other.try_wait().unwrap().is_none(), "its command line names no demo");
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
