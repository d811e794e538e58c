//! What a call of a server may do to the queue, and nothing else: the state table of `orchestrator_jobs`, as a model.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use sealift_protocol::agent::leases::{Completion, Disposition, LeaseKey, Outcome, Receipt};
use support::invariants::{HistoryRow, JobRow, Snapshot};
use uuid::Uuid;

use super::site::LEASE;

/// A call of a server, with the time of its clock.
pub(super) struct Step<'a> {
    pub(super) what: What<'a>,
    pub(super) now: DateTime<Utc>,
}

/// Which call.
pub(super) enum What<'a> {
    Add,
    Lease { agent: Uuid, recover: bool, holding: &'a [Uuid] },
    Renew { agent: Uuid, leases: &'a [LeaseKey] },
    Upload { agent: Uuid, lease: LeaseKey },
    Complete { agent: Uuid, reports: &'a [Completion] },
    Sweep,
}

/// What is remembered of a run beside its last moment.
#[derive(Default)]
pub(super) struct Model {
    tokens: HashSet<Uuid>,
    /// Attempts under which the store on disk held what was asked for.
    pub(super) proved: HashSet<Uuid>,
    /// Ids in the order in which they were first seen, for the trace.
    labels: HashMap<Uuid, usize>,
    first_history: Option<i64>,
}

impl Model {
    /// Whether the call may have led from one moment to the other.
    pub(super) fn judge(&mut self, before: &Snapshot, after: &Snapshot, step: &Step) -> Result<(), String> {
        after.judge()?;
        after.judge_after(before)?;
        let mut new: HashMap<Uuid, Vec<&HistoryRow>> = HashMap::new();
        for (id, row) in &after.history {
            if !before.history.contains_key(id) {
                new.entry(row.job_id).or_default().push(row);
            }
        }
        for (id, was) in &before.jobs {
            let rows = new.remove(id).unwrap_or_default();
            let is = after.jobs.get(id);
            self.allowed(was, is, &rows, step)
                .map_err(|why| format!("{why}: {was:?} became {is:?}, {rows:?}"))?;
        }
        for (id, is) in &after.jobs {
            let may_make = matches!(step.what, What::Add) || is.operation == 1;
            // A lease that ends an attempt for good may hand out the inventory after it at once.
            let fresh = match (&step.what, is.state) {
                (What::Lease { agent, .. }, 2) => *agent == is.agent_id && is.attempt == 1,
                (_, state) => state == 1 && is.attempt == 0,
            };
            if !(before.jobs.contains_key(id) || may_make && fresh) {
                return Err(format!("a job out of nothing: {is:?}"));
            }
        }
        if let Some(rows) = new.values().next() {
            return Err(format!("history of a job that did not live: {rows:?}"));
        }
        for row in after.history.values().filter(|row| row.result == 2 && row.operation != 1) {
            if !row.lease_token.is_some_and(|token| self.proved.contains(&token)) {
                return Err(format!("success without evidence: {row:?}"));
            }
        }
        for job in after.jobs.values() {
            self.tokens.extend(job.lease_token);
        }
        Ok(())
    }

    fn allowed(
        &self,
        was: &JobRow,
        is: Option<&JobRow>,
        rows: &[&HistoryRow],
        step: &Step,
    ) -> Result<(), &'static str> {
        let ended = rows.len() == 1
            && rows[0].attempt == was.attempt
            && Some(rows[0].id) == was.history_id
            && rows[0].agent_id == was.agent_id;
        match (was.state, is, rows.is_empty()) {
            (_, Some(is), true) if is == was => Ok(()),
            (1, Some(is), true) if is.state == 2 => self.leased(was, is, step),
            (5, Some(is), true) if is.state == 1 => match (&step.what, was.retry_at) {
                (What::Sweep, Some(at)) if at <= step.now => Ok(()),
                _ => Err("a retry before its time"),
            },
            (2, Some(is), true) if is.state == 2 && is.lease_token == was.lease_token => kept(was, is, step),
            (2, Some(is), false) if is.state == waits_as(step) && ended && rows[0].status == 5 => {
                self.gave_up(was, rows[0], step)
            }
            (2, None, false) if ended && rows[0].status == 3 => self.gave_up(was, rows[0], step),
            (2, Some(is), false) if ended && rows[0].status == 5 && recovered(was, step) => match is.state {
                1 => Ok(()),
                2 => self.leased(was, is, step),
                _ => Err("a lost lease that does not wait"),
            },
            _ => Err("no such change of state"),
        }
    }

    fn leased(&self, was: &JobRow, is: &JobRow, step: &Step) -> Result<(), &'static str> {
        match step.what {
            What::Lease { agent, .. } if agent == was.agent_id => {}
            _ => return Err("a lease that its agent did not ask for"),
        }
        if is.lease_token.is_none_or(|token| self.tokens.contains(&token)) {
            return Err("a token used twice");
        }
        if is.attempt != was.attempt + 1 || is.lease_until != Some(step.now + LEASE) {
            return Err("an attempt with a wrong number or term");
        }
        if was.run_at > step.now { Err("a lease before its time") } else { Ok(()) }
    }

    fn gave_up(&self, was: &JobRow, row: &HistoryRow, step: &Step) -> Result<(), &'static str> {
        let last = was.attempt == was.max_attempts;
        match &step.what {
            What::Sweep => {
                let over = was.lease_until.is_some_and(|until| until < step.now);
                let fits = row.lease_token.is_none() && (row.status == 3) == last;
                if over && fits { Ok(()) } else { Err("a lease that was ended before its time") }
            }
            What::Lease { .. } if last && recovered(was, step) => Ok(()),
            What::Complete { agent, reports } => {
                let token = was.lease_token;
                let report = reports.iter().find(|report| Some(report.lease.lease_token) == token);
                let Some(report) = report.filter(|report| {
                    *agent == was.agent_id && report.lease.job_id.uuid() == was.id && row.lease_token == token
                }) else {
                    return Err("an attempt that another's report ended");
                };
                let hollow = was.operation == 1 && !was.inventoried && report.outcome == Outcome::Success;
                let fails = hollow || matches!(report.outcome, Outcome::Failure | Outcome::TransientFailure);
                let again = (hollow || report.outcome == Outcome::TransientFailure) && !last;
                let fits = (row.result == 4) == fails && (row.status == 5) == again;
                if fits { Ok(()) } else { Err("a result that was not reported") }
            }
            _ => Err("an attempt that nothing ended"),
        }
    }

    /// Which reports count, by what was there before the call.
    pub(super) fn receipts(
        before: &Snapshot,
        agent: Uuid,
        reports: &[Completion],
        got: &[Receipt],
    ) -> Result<u32, String> {
        if reports.len() != got.len() {
            return Err("receipts are missing".to_owned());
        }
        let mut stale = 0;
        for (report, receipt) in reports.iter().zip(got) {
            let (job, token) = (report.lease.job_id.uuid(), Some(report.lease.lease_token));
            let live = before
                .jobs
                .get(&job)
                .is_some_and(|row| row.state == 2 && row.lease_token == token && row.agent_id == agent);
            let recorded =
                before.attempts(job).iter().any(|row| row.lease_token == token && row.agent_id == agent);
            let expected = if live || recorded { Disposition::Recorded } else { Disposition::Stale };
            if receipt.disposition != expected {
                return Err(format!("{report:?} was answered {receipt:?}"));
            }
            stale += u32::from(expected == Disposition::Stale);
        }
        Ok(stale)
    }

    /// A moment in words that do not depend on ids and the time of day.
    pub(super) fn describe(&mut self, now: &Snapshot, start: DateTime<Utc>) -> String {
        let mut jobs: Vec<&JobRow> = now.jobs.values().collect();
        jobs.sort_by_key(|job| (job.requested_by.len(), job.run_at, job.store_id));
        let mut text = String::new();
        for job in jobs {
            let label = self.label(job.id);
            let times = [Some(job.run_at), job.retry_at, job.lease_until].map(|at| at.map(|at| at - start));
            text += &format!("{label} {} {} {} {times:?};", job.operation, job.state, job.attempt);
        }
        let first = self.first_history.or_else(|| now.history.keys().next().copied());
        self.first_history = first;
        for row in now.history.values() {
            let (label, id) = (self.label(row.job_id), row.id - first.unwrap_or_default());
            text += &format!("{label} {id} {} {} {};", row.attempt, row.status, row.result);
        }
        text
    }

    fn label(&mut self, id: Uuid) -> usize {
        let next = self.labels.len();
        *self.labels.entry(id).or_insert(next)
    }
}

/// Whether the call gives up this lease because its agent does not know of it.
fn recovered(was: &JobRow, step: &Step) -> bool {
    matches!(step.what, What::Lease { agent, recover: true, holding }
        if agent == was.agent_id && !holding.contains(&was.id))
}

/// A running attempt may be renewed, and may upload its inventory.
/// What a job is after an attempt that another follows: one whose lease ended waits at once, a reported failure pauses.
fn waits_as(step: &Step) -> i16 {
    if matches!(step.what, What::Sweep) { 1 } else { 5 }
}

fn kept(was: &JobRow, is: &JobRow, step: &Step) -> Result<(), &'static str> {
    let named =
        |lease: &LeaseKey| lease.job_id.uuid() == was.id && Some(lease.lease_token) == was.lease_token;
    match step.what {
        What::Renew { agent, leases } if agent == was.agent_id && leases.iter().any(named) => {
            let renewed = JobRow { lease_until: is.lease_until, ..was.clone() };
            let longer = is.lease_until >= was.lease_until;
            let bounded = is.lease_until <= was.lease_until.max(Some(step.now + LEASE + TimeDelta::zero()));
            if renewed == *is && longer && bounded {
                Ok(())
            } else {
                Err("a renewal that did something else")
            }
        }
        What::Upload { agent, lease } if agent == was.agent_id && named(&lease) => {
            let uploaded = JobRow { inventoried: true, ..was.clone() };
            if uploaded == *is { Ok(()) } else { Err("an upload that did something else") }
        }
        _ => Err("a lease that was touched by another"),
    }
}
