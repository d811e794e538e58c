//! The allow-list as it is on disk: whether each store can be read, and replaced by a finished sibling that is renamed
//! over it, and whether the commands after a change can be run.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};

use super::Findings;
use crate::configuration::Configuration;
use crate::store_rule::{Place, StoreRule};

/// Below this a disk is nearly full.
const LOW_BYTES: u64 = 16 * 1024 * 1024;
/// Below this a change cannot be expected to succeed.
const FULL_BYTES: u64 = 1024 * 1024;
/// The store type whose stores are directories.
const DIRECTORY_TYPE: &str = "CCS";
/// Where files are seen as mounted.
const MOUNTS: &str = "/proc/self/mountinfo";

/// Looks at each entry of the allow-list.
pub(super) fn examine(findings: &mut Findings, configuration: &Configuration) {
    let mounts = fs::read_to_string(MOUNTS).unwrap_or_default();
    for rule in &configuration.stores {
        match &rule.place {
            Place::Exact(path) => exact(findings, rule, path, &mounts),
            Place::Below(prefix) => {
                directory(
                    findings,
                    &format!("{} stores below {}", rule.store_type, prefix.display()),
                    prefix,
                );
            }
        }
        for path in &rule.extra_paths {
            file(findings, &format!("file {} of a {} store", path.display(), rule.store_type), path, &mounts);
        }
        program(findings, rule);
    }
}

fn exact(findings: &mut Findings, rule: &StoreRule, path: &Path, mounts: &str) {
    let what = format!("{} store {}", rule.store_type, path.display());
    if rule.store_type == DIRECTORY_TYPE {
        directory(findings, &what, path);
    } else {
        file(findings, &what, path, mounts);
    }
}

/// A file that is replaced through its directory.
fn file(findings: &mut Findings, what: &str, path: &Path, mounts: &str) {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let Some(parent) = path.parent() else { return };
    let before = findings.0.len();
    match fs::metadata(&path) {
        Ok(metadata) if !metadata.is_file() => {
            findings.problem("store", format!("{what} is no file"), "correct the path in [[stores]]");
        }
        Ok(metadata) => {
            if access(&path, Access::READ_OK).is_err() {
                let remedy = "give the agent's user the right to read it";
                findings.problem("store", format!("{what} cannot be read"), remedy);
            }
            let apart = fs::metadata(parent).is_ok_and(|parent| parent.dev() != metadata.dev());
            if apart || is_mounted(&path, mounts) {
                findings.problem(
                    "store",
                    format!("{what} is mounted by itself, so no file can be renamed over it and it cannot be changed"),
                    "mount its directory instead of the file",
                );
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if parent.is_dir() {
                findings.warning(
                    "store",
                    format!("{what} is not there yet"),
                    "nothing, where a job is to create it",
                );
            }
        }
        Err(error) => {
            let remedy = "let the agent's user pass through the directories above it";
            findings.problem("store", format!("{what} cannot be looked at: {error}"), remedy);
        }
    }
    writable(findings, what, parent);
    if findings.0.len() == before {
        findings.ok("store", format!("{what} can be read and replaced"));
    }
}

/// A directory in which files are made and replaced.
fn directory(findings: &mut Findings, what: &str, path: &Path) {
    let before = findings.0.len();
    if path.is_file() {
        findings.problem("store", format!("{what}: that is a file"), "correct the path in [[stores]]");
    } else {
        writable(findings, what, path);
    }
    if findings.0.len() == before {
        findings.ok("store", format!("{what}: the directory can be read and written"));
    }
}

fn writable(findings: &mut Findings, what: &str, directory: &Path) {
    let shown = directory.display();
    match fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => {
            return findings.problem(
                "store",
                format!("{what}: {shown} is no directory"),
                "correct the path in [[stores]]",
            );
        }
        Err(error) => {
            let remedy = "make the directory, or correct the path in [[stores]]";
            return findings.problem("store", format!("{what}: {shown} cannot be used: {error}"), remedy);
        }
    }
    if access(directory, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_err() {
        findings.problem(
            "store",
            format!("{what}: the directory {shown} cannot be written, so no finished sibling can be put there"),
            "give the agent's user the right to write it, and list it under ReadWritePaths of the service unit",
        );
    }
    // Some network file systems do not say how large they are.
    if let Ok(space) = statvfs(directory)
        && space.f_blocks > 0
    {
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        let message = format!("{what}: {} KiB are free at {shown}", free / 1024);
        match free {
            0..FULL_BYTES => findings.problem("store", message, "make room on the file system"),
            FULL_BYTES..LOW_BYTES => findings.warning("store", message, "make room on the file system"),
            _ => {}
        }
    }
}

/// Whether a path is a mount point by itself, as files in containers often are.
fn is_mounted(path: &Path, mounts: &str) -> bool {
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    // The kernel writes blanks and backslashes as three octal digits.
    points
        .map(|point| point.replace("\\040", " ").replace("\\134", "\\"))
        .any(|point| PathBuf::from(point) == path)
}

fn program(findings: &mut Findings, rule: &StoreRule) {
    let Some(program) = rule.after_change.as_ref().and_then(|command| command.command.first()) else {
        return;
    };
    let refuse = |findings: &mut Findings, message: String| {
        let remedy = "install the program, or correct the command of after_change";
        findings.problem("after_change", message, remedy);
    };
    match fs::metadata(program) {
        Err(error) => refuse(findings, format!("'{program}' cannot be found: {error}")),
        Ok(metadata) if !metadata.is_file() => refuse(findings, format!("'{program}' is no file")),
        Ok(_) if access(program, Access::EXEC_OK).is_err() => {
            refuse(findings, format!("'{program}' may not be run"));
        }
        Ok(_) => findings.ok("after_change", format!("'{program}' can be run")),
    }
}
