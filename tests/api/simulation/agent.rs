//! An agent as `sealift-agent` behaves: one write lane, an outbox on disk, leases kept and given up by its own measure
//! of durations, `Recover` until it is certain what it holds.

use std::collections::{BTreeMap, HashMap, VecDeque};

use sealift_protocol::StoreId;
use sealift_protocol::agent::leases::{Completion, LeaseKey, Outcome};
use uuid::Uuid;

use super::site::{LEASE, Post};

/// Milliseconds of virtual time.
pub(super) type Moment = u64;

/// How long a call may take before it counts as lost.
pub(super) const CALL_LIMIT: Moment = 10_000;
/// How long after a start or a lost call the server may still lease to a poll that nobody listens to.
const UNSETTLED: Moment = 25_000;

/// A lease in memory.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) key: LeaseKey,
    pub(super) store: StoreId,
    pub(super) inventory: bool,
    pub(super) certificate: Option<i64>,
    pub(super) place: (chrono::DateTime<chrono::Utc>, Uuid),
    pub(super) since: Moment,
    pub(super) lost: bool,
}

impl Held {
    /// Whether the next change may be made.
    pub(super) fn is_live(&self, now: Moment) -> bool {
        !self.lost && i64::try_from(now - self.since).unwrap() < LEASE.num_milliseconds()
    }
}

/// What a running process has in memory, and what its disk holds.
pub(super) struct Agent {
    pub(super) post: Post,
    /// Counts starts: events of an earlier process mean nothing.
    pub(super) epoch: u32,
    pub(super) runs: bool,
    /// Stopped by a signal until then.
    pub(super) paused_until: Moment,
    pub(super) unsettled_until: Moment,
    /// Leases by job.
    pub(super) held: BTreeMap<Uuid, Held>,
    /// Jobs to run, in order; the first is running.
    pub(super) lane: VecDeque<Uuid>,
    pub(super) reporting: bool,
    /// The last call that waits for its answer.
    pub(super) calls: HashMap<u64, Call>,
    /// On disk: what each store holds, and the place in the queue of the job that put it there.
    pub(super) stores: HashMap<StoreId, (i64, (chrono::DateTime<chrono::Utc>, Uuid))>,
    /// On disk: results that were not heard.
    pub(super) outbox: VecDeque<Completion>,
}

/// A call under way.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Call {
    Lease,
    Renew(Vec<LeaseKey>, Moment),
    Upload(Uuid),
    Complete,
}

impl Agent {
    pub(super) fn new(post: &Post) -> Self {
        Self {
            post: post.clone(),
            epoch: 0,
            runs: false,
            paused_until: 0,
            unsettled_until: 0,
            held: BTreeMap::new(),
            lane: VecDeque::new(),
            reporting: false,
            calls: HashMap::new(),
            stores: HashMap::new(),
            outbox: VecDeque::new(),
        }
    }

    /// A new process: memory is empty, the disk is as it was.
    pub(super) fn start(&mut self, now: Moment) {
        self.epoch += 1;
        self.runs = true;
        self.held.clear();
        self.lane.clear();
        self.calls.clear();
        self.reporting = false;
        self.unsettle(now);
    }

    /// The process is gone.
    pub(super) fn crash(&mut self) {
        self.epoch += 1;
        self.runs = false;
    }

    /// A call was lost: what the server leased meanwhile is not known.
    pub(super) fn unsettle(&mut self, now: Moment) {
        self.unsettled_until = now + UNSETTLED;
    }

    /// Jobs that are this agent's to report.
    pub(super) fn holding(&self) -> Vec<Uuid> {
        let mut jobs: Vec<Uuid> =
            self.held.values().filter(|held| !held.lost).map(|held| held.key.job_id.uuid()).collect();
        jobs.extend(self.outbox.iter().map(|report| report.lease.job_id.uuid()));
        jobs.sort_unstable();
        jobs.dedup();
        jobs
    }

    /// Leases to renew.
    pub(super) fn kept(&self) -> Vec<LeaseKey> {
        self.held.values().filter(|held| !held.lost).map(|held| held.key).collect()
    }

    /// The result of an earlier attempt that stands and was not heard.
    pub(super) fn standing(&self, job: Uuid) -> Option<Completion> {
        let found = self.outbox.iter().rev().find(|report| report.lease.job_id.uuid() == job)?;
        (found.outcome != Outcome::TransientFailure).then(|| found.clone())
    }

    /// Keeps a result until it is heard.
    pub(super) fn put(&mut self, completion: Completion) {
        self.outbox.push_back(completion);
    }

    /// Forgets what was heard.
    pub(super) fn heard(&mut self, reports: &[LeaseKey]) {
        for key in reports {
            self.outbox.retain(|report| report.lease != *key);
            if self.held.get(&key.job_id.uuid()).is_some_and(|held| held.key == *key) {
                self.held.remove(&key.job_id.uuid());
            }
        }
    }
}
