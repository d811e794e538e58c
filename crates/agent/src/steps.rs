//! The steps of one attempt: what happened so far, and when, by the monotonic clock.

use std::sync::Mutex;

use sealift_protocol::agent::leases::{MAX_STEPS, Step};
use tokio::time::Instant;

use crate::failure::shorten;
use crate::locked;

/// Codes of the steps, as job history shows them.
pub(crate) mod code {
    /// The agent took the job up.
    pub(crate) const ACCEPTED: &str = "accepted";
    /// The allow-list permits the store, and its driver is ready.
    pub(crate) const STORE_OPENED: &str = "store_opened";
    /// The empty store was made, or was there.
    pub(crate) const STORE_CREATED: &str = "store_created";
    /// The files hold the entry now.
    pub(crate) const WRITTEN: &str = "written";
    /// There was nothing to change.
    pub(crate) const UNCHANGED: &str = "unchanged";
    /// The entry was taken out.
    pub(crate) const REMOVED: &str = "removed";
    /// What is on disk was read and is as it should be.
    pub(crate) const READ_BACK: &str = "read_back";
    /// A key is on disk, to be certified.
    pub(crate) const KEY_MADE: &str = "key_made";
    /// The certificate for it came and is what was asked for.
    pub(crate) const CERTIFIED: &str = "certified";
    /// What the files were is kept until the change is proved.
    pub(crate) const SNAPSHOT: &str = "snapshot";
    /// The new certificate lacks names that the old one has.
    pub(crate) const NAMES_LOST: &str = "names_lost";
    /// Every target shows the certificate.
    pub(crate) const VERIFIED: &str = "verified";
    /// A target shows something else.
    pub(crate) const NOT_VERIFIED: &str = "not_verified";
    /// The old files are in place again.
    pub(crate) const RESTORED: &str = "restored";
    /// The command after the change succeeded.
    pub(crate) const AFTER_CHANGE: &str = "after_change";
    /// The store was read.
    pub(crate) const INVENTORY_READ: &str = "inventory_read";
    /// The server has what was read.
    pub(crate) const INVENTORY_UPLOADED: &str = "inventory_uploaded";
    /// The attempt failed here.
    pub(crate) const FAILED: &str = "failed";
}

/// Steps in order, with a mark how far the server was told.
#[derive(Debug)]
pub(crate) struct StepLog {
    started: Instant,
    steps: Mutex<Steps>,
}

#[derive(Debug, Default)]
struct Steps {
    all: Vec<Step>,
    told: usize,
    untold_since: Option<Instant>,
}

impl StepLog {
    /// Begins to count time.
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), steps: Mutex::default() }
    }

    /// Adds a step; beyond [`MAX_STEPS`] nothing is added.
    pub(crate) fn record(&self, code: &str, message: &str) {
        let elapsed_milliseconds = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut steps = locked(&self.steps);
        let Some(ordinal) =
            u16::try_from(steps.all.len() + 1).ok().filter(|at| usize::from(*at) <= MAX_STEPS)
        else {
            return;
        };
        steps.all.push(Step {
            ordinal,
            code: code.to_owned(),
            message: shorten(message),
            elapsed_milliseconds,
            duration_milliseconds: None,
            before: None,
            after: None,
        });
        steps.untold_since.get_or_insert_with(Instant::now);
    }

    /// Every step so far.
    pub(crate) fn all(&self) -> Vec<Step> {
        locked(&self.steps).all.clone()
    }

    /// The steps the server was not told yet, at most `most`.
    pub(crate) fn untold(&self, most: usize) -> Vec<Step> {
        let steps = locked(&self.steps);
        steps.all[steps.told..].iter().take(most).cloned().collect()
    }

    /// Since when there is a step the server does not know.
    pub(crate) fn untold_since(&self) -> Option<Instant> {
        locked(&self.steps).untold_since
    }

    /// The server was told of so many more steps, or they are not worth another try.
    pub(crate) fn tell(&self, count: usize) {
        let mut steps = locked(&self.steps);
        steps.told = (steps.told + count).min(steps.all.len());
        steps.untold_since = (steps.told < steps.all.len()).then(Instant::now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_numbered_bounded_and_told_once() {
        let log = StepLog::start();
        assert!(log.untold_since().is_none());
        for _ in 0..MAX_STEPS + 10 {
            log.record(code::WRITTEN, "a file");
        }
        assert_eq!(log.all().len(), MAX_STEPS);
        assert_eq!(log.all().last().map(|step| usize::from(step.ordinal)), Some(MAX_STEPS));
        assert_eq!(log.untold(10).len(), 10);
        log.tell(10);
        assert_eq!(log.untold(MAX_STEPS).first().map(|step| step.ordinal), Some(11));
        assert!(log.untold_since().is_some());
        log.tell(MAX_STEPS);
        assert!(log.untold(1).is_empty() && log.untold_since().is_none());
    }
}
