//! Stories of changes that are proved by what is served, undone where they are not, and settled after a crash. The server
//! that serves is nginx as it is installed.

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command};

use sealift_protocol::agent::leases::LeaseKey;
use sealift_protocol::agent::verification::{Evidence, OnMismatch, Target, Verification, Verified};
use sealift_stores::snapshot::Snapshot;

use super::*;
use crate::jobs::settlement;
use crate::store_rule::AfterChange;
use crate::transaction::{Phase, Record};
use crate::verification::Expected;

fn nginx_program() -> std::path::PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).chain(["/usr/sbin".into()]).map(|place| place.join("nginx"));
    found.into_iter().find(|program| program.is_file()).expect("nginx is installed")
}

/// A running nginx that serves `tls/site.pem`.
struct Nginx {
    process: Child,
    port: u16,
    command: Vec<String>,
}

impl Nginx {
    async fn start(story: &Story) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = story.server.path("nginx");
        std::fs::create_dir(&directory).unwrap();
        let (home, pem) = (directory.display(), story.path());
        let settings = format!(
            "daemon off; pid {home}/pid; error_log stderr; events {{}}\nhttp {{ access_log off; \
             client_body_temp_path {home}/a; proxy_temp_path {home}/b; fastcgi_temp_path {home}/c; \
             uwsgi_temp_path {home}/d; scgi_temp_path {home}/e;\n\
             server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {pem}; ssl_certificate_key {pem}; \
             ssl_protocols TLSv1.2 TLSv1.3; }} }}\n",
            pem = pem.display(),
        );
        let file = directory.join("nginx.conf");
        atomic_file::write(&file, settings.as_bytes(), 0o600).unwrap();
        let command: Vec<String> = [
            nginx_program().to_str().unwrap(),
            "-p",
            directory.to_str().unwrap(),
            "-c",
            file.to_str().unwrap(),
            "-e",
            "stderr",
        ]
        .map(str::to_owned)
        .to_vec();
        let process = Command::new(&command[0])
            .args(&command[1..])
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::task::yield_now().await;
        }
        Self { process, port, command }
    }

    fn reload(&self) -> AfterChange {
        let command = [self.command.clone(), vec!["-s".to_owned(), "reload".to_owned()]].concat();
        AfterChange { command, timeout: std::time::Duration::from_secs(30) }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The quick end: the master takes its workers with it.
        let id = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let _ = self.process.wait();
    }
}

fn verification(port: u16, on_mismatch: OnMismatch) -> Option<Verification> {
    let target = Target {
        host: "127.0.0.1".to_owned(),
        port,
        server_name: Some("www.example.test".to_owned()),
        protocols: ["1.2", "1.3"].map(str::to_owned).to_vec(),
    };
    Some(Verification { targets: vec![target], on_mismatch, deadline_seconds: 2, ..Verification::default() })
}

/// A story whose store holds a certificate, as an operator left it; the thumbprint of that certificate.
async fn with_old(command: Option<&str>) -> (Story, String) {
    let story = Story::begin(command).await;
    let (certificate, key) = host_certificate(&authority(), "www.example.test");
    let pem = format!("{}{}", certificate.to_pem(), key.to_pem().as_str());
    atomic_file::write(&story.path(), pem.as_bytes(), 0o600).unwrap();
    std::fs::set_permissions(story.path(), std::fs::Permissions::from_mode(0o640)).unwrap();
    (story, certificate.thumbprint().to_string())
}

fn state(story: &Story) -> (String, u32) {
    (text(&story.path()), std::fs::metadata(story.path()).unwrap().permissions().mode() & 0o777)
}

fn adding(story: &Story, verification: Option<Verification>) -> (LeasedJob, Certificate) {
    let (certificate, key) = host_certificate(&authority(), "www.example.test");
    (LeasedJob { verification, ..story.job(add(&certificate, &key)) }, certificate)
}

fn evidence(completion: &Completion) -> &Evidence {
    completion.evidence.as_ref().unwrap_or_else(|| panic!("no evidence: {}", completion.message))
}

#[tokio::test]
async fn what_nginx_does_not_serve_is_put_back_and_what_it_serves_is_verified() {
    let (mut story, old) = with_old(None).await;
    let nginx = Nginx::start(&story).await;
    let before = state(&story);
    let (job, new) = adding(&story, verification(nginx.port, OnMismatch::Restore));
    story.give(&[&job]);
    let first = story.run_until_reported(1).await.remove(0);
    assert_eq!(
        (first.outcome, first.error_code.as_deref()),
        (Outcome::Failure, Some("restored")),
        "{first:?}"
    );
    assert!(first.message.contains(&format!("shows certificate {old}")), "{}", first.message);
    assert!(
        codes(&first.steps).ends_with(&["not_verified", "restored", "failed"]),
        "{:?}",
        codes(&first.steps)
    );
    let found = evidence(&first);
    assert_eq!((found.installed, found.verified), (false, Verified::NotVerified));
    assert_eq!(found.targets[0].thumbprint.as_ref(), Some(&old));
    assert!(found.targets[0].tries > 1, "a reload takes a moment");
    let restored = found.restored.as_ref().unwrap();
    assert!(restored.complete && restored.targets[0].matches, "{restored:?}");
    assert_eq!(state(&story), before, "byte for byte, with its permissions");
    assert_eq!(count_files(&story.server.path("state/transactions")), 0);

    for rule in &mut story.agent.configuration.stores {
        rule.after_change = Some(nginx.reload());
    }
    story.tell.send_replace(false);
    let (job, _) = adding(&story, verification(nginx.port, OnMismatch::Restore));
    story.give(&[&job]);
    let second = story.run_until_reported(2).await.remove(1);
    assert_eq!(second.outcome, Outcome::Success, "{}", second.message);
    let found = evidence(&second);
    assert_eq!((found.installed, found.verified), (true, Verified::Verified));
    assert_eq!(found.before.as_ref(), Some(&old));
    assert_eq!(found.targets[0].thumbprint, found.after);
    assert_eq!(found.targets[0].protocol.as_deref(), Some("1.3"));
    assert_ne!(found.after.as_deref(), Some(new.thumbprint().to_string().as_str()));
    assert_eq!(count_files(&story.server.path("state/transactions")), 0);
}

#[tokio::test]
async fn without_leave_to_restore_the_change_stays_and_says_so() {
    let (story, _) = with_old(None).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (warned, _) = adding(&story, verification(closed, OnMismatch::Warn));
    let (failed, last) = adding(&story, verification(closed, OnMismatch::Fail));
    story.give(&[&warned, &failed]);
    let completions = story.run_until_reported(2).await;
    for (completion, outcome) in completions.iter().zip([Outcome::Warning, Outcome::Failure]) {
        let said = (completion.outcome, completion.error_code.as_deref());
        assert_eq!(said, (outcome, Some("verification_failed")), "{}", completion.message);
        let found = evidence(completion);
        assert_eq!((found.installed, found.verified), (true, Verified::NotVerified));
        assert_eq!(found.targets[0].reason.as_deref(), Some("TLS 1.2: the connection was refused"));
    }
    assert!(text(&story.path()).contains(last.to_pem().trim()));
}

#[tokio::test]
async fn a_target_elsewhere_is_not_connected_to() {
    let (story, _) = with_old(None).await;
    let before = state(&story);
    let elsewhere = |on_mismatch| {
        let mut wanted = verification(443, on_mismatch);
        wanted.as_mut().unwrap().targets[0].host = "192.0.2.1".to_owned();
        wanted
    };
    let (refused, _) = adding(&story, elsewhere(OnMismatch::Restore));
    story.give(&[&refused]);
    let completions = story.run_until_reported(1).await;
    assert_eq!(
        completions[0].error_code.as_deref(),
        Some("target_not_allowed"),
        "{}",
        completions[0].message
    );
    assert_eq!(state(&story), before);
    story.tell.send_replace(false);
    let (warned, _) = adding(&story, elsewhere(OnMismatch::Warn));
    story.give(&[&warned]);
    let completions = story.run_until_reported(2).await;
    let target = &evidence(&completions[1]).targets[0];
    assert!(
        target.reason.as_ref().unwrap().contains("target_not_allowed") && target.tries == 1,
        "{target:?}"
    );
}

#[tokio::test]
async fn a_failing_command_puts_the_old_files_back_where_the_store_asks_for_it() {
    let (story, old) = with_old(Some("exit 3")).await;
    let before = state(&story);
    let (job, _) =
        adding(&story, Some(Verification { on_mismatch: OnMismatch::Restore, ..Verification::default() }));
    story.give(&[&job]);
    let completion = story.run_until_reported(1).await.remove(0);
    assert_eq!(completion.error_code.as_deref(), Some("restored"), "{}", completion.message);
    let found = evidence(&completion);
    assert_eq!((found.installed, found.before.as_ref()), (false, Some(&old)));
    let restored = found.restored.as_ref().unwrap();
    assert_eq!((restored.complete, restored.command_succeeded), (true, Some(false)));
    assert_eq!(state(&story), before);
    assert!(!story.agent.journal.is_pending(story.store));
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_changes_nothing() {
    let (story, old) = with_old(Some("exit 3")).await;
    let before = state(&story);
    let (mut job, new) = adding(&story, verification(443, OnMismatch::Restore));
    job.dry_run = true;
    let mut refused = job.clone();
    refused.job_id = JobId::generate();
    let Work::Add(work) = &mut refused.work else { unreachable!() };
    work.overwrite = false;
    story.give(&[&job, &refused]);
    let completions = story.run_until_reported(2).await;
    let plan = evidence(&completions[0]).plan.as_ref().unwrap();
    assert_eq!(completions[0].outcome, Outcome::Success, "{}", completions[0].message);
    assert!(plan.changes && plan.notes.is_empty(), "{plan:?}");
    assert_eq!(plan.before.as_ref().map(|found| &found.thumbprint), Some(&old));
    assert_eq!(plan.after.as_ref().unwrap().thumbprint, new.thumbprint().to_string());
    assert_eq!(plan.files, [story.path().display().to_string()]);
    assert!(plan.after_change.as_ref().unwrap().contains("exit 3") && plan.targets.len() == 1);
    let plan = evidence(&completions[1]).plan.as_ref().unwrap();
    assert!(!plan.changes && plan.notes[0].contains(&old), "{plan:?}");
    assert_eq!(state(&story), before);
    assert_eq!(count_files(&story.server.path("state/transactions")), 0);
}

/// Leaves a change as a crash in this phase does: the record, the snapshot and new bytes on disk.
fn crashed(story: &Story, old: &str, phase: Phase, bytes: &str) -> LeaseKey {
    let (job, _) = adding(story, None);
    let lease = LeaseKey { job_id: job.job_id, lease_token: job.lease_token };
    let record = Record {
        phase,
        lease,
        store: job.store,
        verification: Some(Verification { on_mismatch: OnMismatch::Restore, ..Verification::default() }),
        before: Some(Expected { leaf: old.to_owned(), chain: Vec::new() }),
        after: Some(Expected::default()),
        targets: Vec::new(),
        message: "what was done".to_owned(),
    };
    story.agent.transactions.begin(&record, &Snapshot::take(&[story.path()]).unwrap()).unwrap();
    atomic_file::write(&story.path(), bytes.as_bytes(), 0o600).unwrap();
    lease
}

#[tokio::test]
async fn a_crash_in_any_phase_ends_wholly_old_or_wholly_new() {
    for (phase, script, is_new, code) in [
        (Phase::Writing, "echo ran >> ../ran", false, None),
        (Phase::Written, "echo ran >> ../ran", true, Some(None)),
        (Phase::Written, "echo ran >> ../ran; exit 1", false, Some(Some("restored"))),
        (Phase::Restoring, "echo ran >> ../ran", false, Some(Some("restored"))),
    ] {
        let (story, old) = with_old(Some(script)).await;
        let story = story_with_marker(story).await;
        let before = state(&story);
        let lease = crashed(&story, &old, phase, "the new bytes");
        settlement::recover_all(&story.agent).await;
        let expected = if is_new { "the new bytes" } else { before.0.as_str() };
        assert_eq!(text(&story.path()), expected, "{phase:?} {script}");
        assert!(is_new || state(&story) == before, "{phase:?} {script}");
        let told = story.agent.outbox.oldest(10);
        let told: Vec<_> = told.iter().map(|(_, one)| (one.lease, one.error_code.as_deref())).collect();
        let expected: Vec<_> = code.into_iter().map(|code| (lease, code)).collect();
        assert_eq!(told, expected, "{phase:?} {script}");
        assert_eq!(story.server.path("ran").exists(), phase != Phase::Writing, "{phase:?} {script}");
        assert_eq!(count_files(&story.server.path("state/transactions")), 0, "{phase:?} {script}");
        settlement::recover_all(&story.agent).await;
        assert_eq!(story.agent.outbox.len(), usize::from(code.is_some()), "settled once");
    }
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_read_stops_later_jobs_on_the_store() {
    let (story, old) = with_old(None).await;
    crashed(&story, &old, Phase::Restoring, "neither old nor new");
    let snapshot = story.server.path(&format!("state/transactions/{}.snapshot", story.store));
    std::fs::remove_file(snapshot).unwrap();
    let (job, _) = adding(&story, None);
    story.give(&[&job]);
    let completions = story.run_until_reported(2).await;
    for completion in &completions {
        let said = (completion.outcome, completion.error_code.as_deref());
        assert_eq!(said, (Outcome::Failure, Some("restore_failed")), "{}", completion.message);
    }
    assert_eq!(text(&story.path()), "neither old nor new");
}
