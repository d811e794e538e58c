//! What the agent has finished and the server has not confirmed: one file for each attempt, written before it is sent.
//!
//! Reports are sent at least once; the server recognises a repeat by its lease token. The files hold no secret: a
//! completion has none. Sending is done in `report.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use sealift_protocol::JobId;
use sealift_protocol::agent::leases::{Completion, LeaseKey, Outcome};
use sealift_stores::atomic_file;
use tokio::sync::Notify;

use crate::locked;

/// Most reports that may wait; at this number the agent takes no more jobs.
pub(crate) const MAX_WAITING: usize = 500;
/// Most refused or unreadable reports that are kept for a look.
const MAX_SET_ASIDE: usize = 100;
const FILE_MODE: u32 = 0o600;
const EXTENSION: &str = "json";
const SET_ASIDE: &str = "refused";

/// The reports that wait.
#[derive(Debug)]
pub(crate) struct Outbox {
    directory: PathBuf,
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    reports: BTreeMap<u64, Report>,
}

#[derive(Debug, Clone)]
struct Report {
    lease: LeaseKey,
    outcome: Outcome,
    /// The report itself, where the disk would not take it.
    unsaved: Option<Completion>,
}

impl Outbox {
    /// Finds what an earlier run left. Files that cannot be read are set aside, since nobody could send them.
    pub(crate) fn open(directory: PathBuf) -> io::Result<Self> {
        let mut waiting = Waiting::default();
        for file in fs::read_dir(&directory)? {
            let path = file?.path();
            let Some(number) = number_of(&path) else { continue };
            waiting.next = waiting.next.max(number + 1);
            match read(&path) {
                Ok(Completion { lease, outcome, .. }) => {
                    waiting.reports.insert(number, Report { lease, outcome, unsaved: None });
                }
                Err(reason) => set_aside(&directory, &path, &reason),
            }
        }
        Ok(Self { directory, waiting: Mutex::new(waiting), changed: Notify::new() })
    }

    /// Keeps a report until it is heard; it is on disk when this returns. Where the disk takes nothing, the report
    /// is kept in memory: sent all the same, and at worst the job runs again to no effect. Blocks on the disk.
    pub(crate) fn put(&self, completion: Completion) {
        let number = {
            let mut waiting = locked(&self.waiting);
            waiting.next += 1;
            waiting.next - 1
        };
        let (lease, outcome, path) = (completion.lease, completion.outcome, self.file(number));
        let written = serde_json::to_vec(&completion)
            .map_err(|error| error.to_string())
            .and_then(|text| atomic_file::write(&path, &text, FILE_MODE).map_err(|error| error.to_string()));
        let unsaved = written.err().map(|error| {
            tracing::error!(job.id = %lease.job_id, error, "cannot save the result of a job; it is kept in memory");
            completion
        });
        locked(&self.waiting).reports.insert(number, Report { lease, outcome, unsaved });
        self.changed.notify_one();
    }

    /// How many reports wait.
    pub(crate) fn len(&self) -> usize {
        locked(&self.waiting).reports.len()
    }

    /// The jobs whose results wait.
    pub(crate) fn jobs(&self) -> Vec<JobId> {
        locked(&self.waiting).reports.values().map(|report| report.lease.job_id).collect()
    }

    /// Returns when something may have to be sent.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Says that sending may succeed again.
    pub(crate) fn ring(&self) {
        self.changed.notify_one();
    }

    /// The oldest reports, at most `most` of them. Blocks on the disk.
    pub(crate) fn oldest(&self, most: usize) -> Vec<(u64, Completion)> {
        let oldest: Vec<(u64, Report)> = locked(&self.waiting)
            .reports
            .iter()
            .take(most)
            .map(|(number, report)| (*number, report.clone()))
            .collect();
        let mut completions = Vec::with_capacity(oldest.len());
        for (number, report) in oldest {
            match report.unsaved.map_or_else(|| read(&self.file(number)), Ok) {
                Ok(completion) => completions.push((number, completion)),
                Err(reason) => self.refuse(number, &reason),
            }
        }
        completions
    }

    /// Forgets a report that the server has heard. Blocks on the disk.
    pub(crate) fn remove(&self, number: u64) {
        let path = self.file(number);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(file = %path.display(), %error, "cannot remove a report; it is sent again after a restart");
            }
            _ => {}
        }
        locked(&self.waiting).reports.remove(&number);
    }

    /// Puts a report aside that can never be delivered, so that it does not hold up the others. Blocks on the disk.
    pub(crate) fn refuse(&self, number: u64, reason: &str) {
        set_aside(&self.directory, &self.file(number), reason);
        locked(&self.waiting).reports.remove(&number);
    }

    /// What waits about a job that the server hands out again, if its result stands: the job must not run twice.
    /// A failure that may pass does not stand; then the new attempt is worth its while. Blocks on the disk.
    pub(crate) fn standing_result(&self, job: JobId) -> Option<Completion> {
        let latest = {
            let waiting = locked(&self.waiting);
            let found = waiting.reports.iter().rev().find(|(_, report)| report.lease.job_id == job);
            found.map(|(number, report)| (*number, report.clone()))
        };
        let (number, report) = latest?;
        if report.outcome == Outcome::TransientFailure {
            return None;
        }
        report.unsaved.or_else(|| read(&self.file(number)).ok())
    }

    fn file(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{number:020}.{EXTENSION}"))
    }
}

fn number_of(path: &Path) -> Option<u64> {
    (path.extension()? == EXTENSION).then(|| path.file_stem()?.to_str()?.parse().ok())?
}

fn read(path: &Path) -> Result<Completion, String> {
    let text = fs::read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}

fn set_aside(directory: &Path, path: &Path, reason: &str) {
    tracing::error!(file = %path.display(), reason, "a report cannot be delivered and is set aside");
    let kept = fs::read_dir(directory).into_iter().flatten().flatten();
    let kept =
        kept.filter(|file| file.path().extension().is_some_and(|extension| extension == SET_ASIDE)).count();
    let done = if kept < MAX_SET_ASIDE {
        fs::rename(path, path.with_extension(SET_ASIDE))
    } else {
        fs::remove_file(path)
    };
    if let Err(error) = done
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(file = %path.display(), %error, "cannot set a report aside");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use uuid::Uuid;

    use super::*;

    fn completion(outcome: Outcome) -> Completion {
        let lease = LeaseKey { job_id: JobId::generate(), lease_token: Uuid::new_v4() };
        Completion::new(lease, outcome, "done")
    }

    fn files(directory: &Path, extension: &str) -> usize {
        let names = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
        names.filter(|path| path.extension().is_some_and(|found| found == extension)).count()
    }

    #[test]
    fn what_was_not_heard_is_found_again_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(directory.path().to_owned()).unwrap();
        let sent: Vec<Completion> = (0..3).map(|_| completion(Outcome::Success)).collect();
        sent.iter().cloned().for_each(|completion| outbox.put(completion));
        outbox.remove(outbox.oldest(1)[0].0);
        drop(outbox);

        let reopened = Outbox::open(directory.path().to_owned()).unwrap();
        let leases: Vec<LeaseKey> =
            reopened.oldest(100).into_iter().map(|(_, completion)| completion.lease).collect();
        assert_eq!(leases, [sent[1].lease, sent[2].lease]);
        reopened.put(completion(Outcome::Success));
        assert_eq!((reopened.len(), files(directory.path(), "json")), (3, 3));
    }

    #[test]
    fn a_crash_while_writing_leaves_nothing_that_is_sent() {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in [
            (".sealift-1234.part", "{\"JobId\":"),
            ("00000000000000000007.json", "{\"JobId\":"),
            ("x.json", ""),
        ] {
            fs::File::create(directory.path().join(name)).unwrap().write_all(text.as_bytes()).unwrap();
        }
        let outbox = Outbox::open(directory.path().to_owned()).unwrap();
        assert_eq!(outbox.len(), 0);
        assert_eq!(files(directory.path(), SET_ASIDE), 1);
        outbox.put(completion(Outcome::Success));
        assert_eq!(outbox.oldest(1)[0].0, 8);
    }

    #[test]
    fn a_file_that_vanishes_is_given_up_and_the_others_are_sent() {
        let directory = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(directory.path().to_owned()).unwrap();
        outbox.put(completion(Outcome::Success));
        outbox.put(completion(Outcome::Warning));
        fs::remove_file(outbox.file(0)).unwrap();
        assert_eq!(outbox.oldest(100).len(), 1);
        assert_eq!(outbox.len(), 1);
    }

    #[test]
    fn a_full_disk_does_not_lose_the_result() {
        let directory = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(directory.path().to_owned()).unwrap();
        fs::remove_dir(directory.path()).unwrap();
        outbox.put(completion(Outcome::Success));
        let (number, _) = outbox.oldest(100).remove(0);
        outbox.remove(number);
        assert_eq!(outbox.len(), 0);
    }

    #[test]
    fn only_results_that_stand_answer_a_second_lease() {
        let directory = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(directory.path().to_owned()).unwrap();
        for outcome in [Outcome::Success, Outcome::Warning, Outcome::Failure, Outcome::TransientFailure] {
            let completion = completion(outcome);
            outbox.put(completion.clone());
            let standing = outbox.standing_result(completion.lease.job_id);
            assert_eq!(standing.is_some(), outcome != Outcome::TransientFailure, "{outcome:?}");
        }
        assert!(outbox.standing_result(JobId::generate()).is_none());
    }

    #[test]
    fn reports_set_aside_are_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(directory.path().to_owned()).unwrap();
        for _ in 0..MAX_SET_ASIDE + 5 {
            outbox.put(completion(Outcome::Success));
            let (number, _) = outbox.oldest(1).remove(0);
            outbox.refuse(number, "test");
        }
        assert_eq!((outbox.len(), files(directory.path(), SET_ASIDE)), (0, MAX_SET_ASIDE));
    }
}
