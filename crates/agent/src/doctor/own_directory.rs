//! The agent's own directory: its rights, who uses it, its identity, and what waits in it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{Access, access};
use rustix::process::geteuid;

use super::Findings;
use crate::configuration::Configuration;
use crate::control::{self, Word};
use crate::identity::{Identity, IdentityFiles, wall_clock};
use crate::outbox::MAX_WAITING;

/// Locks of the system, one a line.
const LOCKS: &str = "/proc/locks";

/// Looks at the directory; answers the identity, where there is one that can be read.
pub(super) fn examine(findings: &mut Findings, configuration: &Configuration) -> Option<Identity> {
    let root = &configuration.data_dir;
    if !rights(findings, root) {
        return None;
    }
    process(findings, root);
    waiting(findings, root);
    identity(findings, configuration)
}

/// Whether the directory can be looked into.
fn rights(findings: &mut Findings, root: &Path) -> bool {
    let shown = root.display();
    let metadata = match fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => {
            findings.problem("data_dir", format!("{shown} is no directory"), "correct data_dir");
            return false;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            findings.warning(
                "data_dir",
                format!("{shown} is not there: no agent has run with it yet"),
                "start the agent, which makes it; its user must be able to",
            );
            return false;
        }
        Err(error) => {
            let remedy = "run this command as the agent's user or as root";
            findings.warning("data_dir", format!("{shown} cannot be looked at: {error}"), remedy);
            return false;
        }
    };
    let (owner, user) = (metadata.uid(), geteuid().as_raw());
    if fs::read_dir(root).is_err() {
        let remedy = "run this command as the agent's user or as root";
        findings.warning(
            "data_dir",
            format!("{shown} belongs to user {owner} and cannot be looked into by user {user}"),
            remedy,
        );
        return false;
    }
    let before = findings.0.len();
    if metadata.permissions().mode() & 0o077 != 0 {
        let remedy = "close it with chmod 700; the agent does so at its next start";
        findings.warning(
            "data_dir",
            format!("{shown} is open to other users, and holds the agent's key"),
            remedy,
        );
    }
    if access(root, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let remedy = "give the directory to the agent's user, on a file system that can be written";
        findings.problem("data_dir", format!("{shown} cannot be written by user {user}"), remedy);
    }
    if owner != user {
        findings.warning(
            "data_dir",
            format!("{shown} belongs to user {owner}; what follows was tried as user {user}, who may have other rights"),
            "run this command as the agent's user, for example with runuser",
        );
    }
    if findings.0.len() == before {
        findings.ok("data_dir", format!("{shown} belongs to user {owner} and is closed to others"));
    }
    true
}

fn process(findings: &mut Findings, root: &Path) {
    let holder = lock_holder(root);
    let status = control::say(root, Word::Status).ok();
    match (holder, status.filter(|status| status.running)) {
        (_, Some(status)) => {
            let job = status.job.map_or_else(|| "no job runs".to_owned(), |job| format!("it runs: {job}"));
            findings.ok("agent", format!("an agent runs on this data_dir; {job}"));
            if let Some(seconds) = status.heard_seconds_ago.filter(|seconds| *seconds > 180) {
                let remedy = "see the findings about the server, and the agent's log";
                findings.warning("agent", format!("the server answered it last {seconds} s ago"), remedy);
            }
        }
        (Some(process), None) => findings.warning(
            "agent",
            format!(
                "process {process} holds the lock of this data_dir and does not answer at its control socket"
            ),
            "see the agent's log; no second agent can be started on this data_dir",
        ),
        (None, None) => {
            let remedy = "start it: systemctl start sealift-agent";
            findings.warning("agent", "no agent runs on this data_dir", remedy);
        }
    }
    if control::Drain::load(root).is_on() {
        let remedy = "sealift-agent resume, when it shall take jobs again";
        findings.warning("agent", "the agent is drained: it takes no new jobs", remedy);
    }
}

/// The process that holds the lock, as the system tells it: taking the lock to find out could stop an agent that starts.
fn lock_holder(root: &Path) -> Option<String> {
    let inode = fs::metadata(root.join("lock")).ok()?.ino().to_string();
    let locks = fs::read_to_string(LOCKS).ok()?;
    let fields = locks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut held = fields.filter(|fields| fields.get(1) == Some(&"FLOCK"));
    let ours =
        held.find(|fields| fields.get(5).and_then(|place| place.rsplit(':').next()) == Some(&inode))?;
    ours.get(4).map(|process| (*process).to_owned())
}

fn waiting(findings: &mut Findings, root: &Path) {
    let count = |directory: &str, extension: &str| {
        let files = fs::read_dir(root.join(directory)).into_iter().flatten().flatten();
        files.filter(|file| file.path().extension().is_some_and(|known| known == extension)).count()
    };
    let (results, refused, owed) =
        (count("outbox", "json"), count("outbox", "refused"), count("journal", "pending"));
    match results {
        0 => findings.ok("outbox", "every result has been heard"),
        MAX_WAITING.. => findings.problem(
            "outbox",
            format!("{results} results wait to be heard, so the agent takes no jobs"),
            "see the findings about the server; they are sent when it answers",
        ),
        _ => findings.warning(
            "outbox",
            format!("{results} results wait to be heard"),
            "nothing while the agent runs and the server answers: they are sent then",
        ),
    }
    if refused > 0 {
        findings.warning(
            "outbox",
            format!("{refused} results were refused or unreadable and are set aside"),
            "look at the files outbox/*.refused and at the server's log, then remove them",
        );
    }
    match owed {
        0 => findings.ok("journal", "no command after a change is owed"),
        _ => findings.warning(
            "journal",
            format!("{owed} stores were changed and the command after the change has not succeeded since"),
            "see the files journal/*.pending; the next job on the store runs it, or run it by hand and remove the file",
        ),
    }
}

fn identity(findings: &mut Findings, configuration: &Configuration) -> Option<Identity> {
    let files = IdentityFiles::new(configuration.data_dir.clone());
    match files.peek() {
        Err(error) => {
            findings.problem(
                "identity",
                error.to_string(),
                "restore it from a backup, or register the agent anew",
            );
            None
        }
        Ok(None) => {
            let token = configuration.enrollment_token_file.as_deref();
            let message = "the agent has no identity yet: it has not been approved";
            match token.map(|token| (token, access(token, Access::READ_OK))) {
                Some((token, Err(error))) => findings.problem(
                    "identity",
                    format!(
                        "{message}, and the enrollment token {} cannot be read: {error}",
                        token.display()
                    ),
                    "write a fresh token there, readable for the agent's user",
                ),
                Some((_, Ok(()))) => {
                    findings.warning("identity", message, "start the agent, which has a token")
                }
                None => {
                    findings.warning("identity", message, "start the agent, then have an operator approve it")
                }
            }
            None
        }
        Ok(Some(identity)) => {
            lifetime(findings, &identity);
            Some(identity)
        }
    }
}

fn lifetime(findings: &mut Findings, identity: &Identity) {
    let (now, ends) = (wall_clock(), identity.expires());
    let message = format!("agent {}, its certificate matches its key and ends at {ends}", identity.agent_id);
    if now >= ends {
        findings.problem(
            "identity",
            format!("{message}, which is over by this machine's clock"),
            "start the agent: it asks for another with its key; if the server refuses that, approve it anew",
        );
    } else if identity.renewal_due(now) {
        let remedy = "nothing while the agent runs: it renews it by itself";
        findings.warning("identity", format!("{message}; two thirds of its life are over"), remedy);
    } else {
        findings.ok("identity", message);
    }
}
