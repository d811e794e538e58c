//! Which agents have something to do, kept in memory.
//!
//! An idle agent's poll is answered from here without a query. Whoever commits work for an agent rings its
//! bell after the commit; a sweep rings for what other replicas committed. A bell that rings for nothing
//! costs one query, a bell that does not ring is healed by the next sweep.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use sealift_protocol::AgentId;
use tokio::sync::{Notify, watch};

/// The bells.
#[derive(Debug, Default)]
pub(crate) struct Dispatch {
    slots: Mutex<HashMap<AgentId, Slot>>,
    closed: watch::Sender<bool>,
}

#[derive(Debug)]
struct Slot {
    /// There may be work now.
    ready: bool,
    /// Work becomes due then.
    next: Option<DateTime<Utc>>,
    /// Polls held for this agent.
    held: usize,
    /// Number of the newest poll; older ones end, since their callers are gone.
    newest: u64,
    /// Held while jobs are leased or given up, so that an older poll never leases after a newer one began.
    turn: Arc<tokio::sync::Mutex<()>>,
    bell: Arc<Notify>,
}

impl Default for Slot {
    /// An agent not heard of since the start may have anything.
    fn default() -> Self {
        Self { ready: true, next: None, held: 0, newest: 0, turn: Arc::default(), bell: Arc::default() }
    }
}

/// What a held poll should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Ask the database.
    Now,
    /// Wait for the bell, or for this time.
    Wait(Option<DateTime<Utc>>),
}

impl Dispatch {
    fn slots(&self) -> MutexGuard<'_, HashMap<AgentId, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is work for this agent, due at `run_at`. Call it after the commit.
    pub(crate) fn ring(&self, agent: AgentId, run_at: DateTime<Utc>, now: DateTime<Utc>) {
        let mut slots = self.slots();
        let slot = slots.entry(agent).or_default();
        if run_at <= now {
            slot.ready = true;
        } else {
            slot.next = Some(slot.next.map_or(run_at, |next| next.min(run_at)));
        }
        slot.bell.notify_waiters();
    }

    /// There is work for these agents now.
    pub(crate) fn ring_all(&self, agents: impl IntoIterator<Item = AgentId>) {
        let mut slots = self.slots();
        for agent in agents {
            let slot = slots.entry(agent).or_default();
            slot.ready = true;
            slot.bell.notify_waiters();
        }
    }

    /// Begins to hold a poll, and ends older ones of the same agent: an agent has one, so theirs is a connection
    /// that broke unnoticed. Take the bell before looking, or a ring in between is lost.
    pub(crate) fn hold(self: &Arc<Self>, agent: AgentId) -> Held {
        let mut slots = self.slots();
        let slot = slots.entry(agent).or_default();
        slot.held += 1;
        slot.newest += 1;
        slot.bell.notify_waiters();
        let (bell, turn) = (Arc::clone(&slot.bell), Arc::clone(&slot.turn));
        Held { dispatch: Arc::clone(self), agent, number: slot.newest, bell, turn }
    }

    /// Ends all held polls, and those to come at once: the server is stopping.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Returns once [`Dispatch::close`] was called.
    pub(crate) async fn closed(&self) {
        let mut closed = self.closed.subscribe();
        // The sender lives as long as `self`.
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// Agents whose polls are held.
    pub(crate) fn held(&self) -> Vec<AgentId> {
        self.slots().iter().filter(|(_, slot)| slot.held > 0).map(|(agent, _)| *agent).collect()
    }
}

/// A held poll.
pub(crate) struct Held {
    dispatch: Arc<Dispatch>,
    agent: AgentId,
    number: u64,
    bell: Arc<Notify>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Held {
    /// Waits for the turn to lease or give up jobs of this agent; `None` when a newer poll has begun.
    pub(crate) async fn turn(&self) -> Option<tokio::sync::OwnedMutexGuard<()>> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let newest = self.dispatch.slots().get(&self.agent).is_some_and(|slot| slot.newest == self.number);
        newest.then_some(turn)
    }

    /// Whether a newer poll of the same agent has begun.
    pub(crate) fn is_superseded(&self) -> bool {
        self.dispatch.slots().get(&self.agent).is_none_or(|slot| slot.newest != self.number)
    }

    /// The agent's bell.
    pub(crate) fn bell(&self) -> &Notify {
        &self.bell
    }

    /// What to do now. Answering [`Look::Now`] resets the slot: say with [`Held::found`] what came of it.
    pub(crate) fn look(&self, now: DateTime<Utc>) -> Look {
        let mut slots = self.dispatch.slots();
        let slot = slots.entry(self.agent).or_default();
        if slot.next.is_some_and(|next| next <= now) {
            slot.next = None;
            slot.ready = true;
        }
        if std::mem::take(&mut slot.ready) { Look::Now } else { Look::Wait(slot.next) }
    }

    /// The database had work: there may be more.
    pub(crate) fn found(&self) {
        self.dispatch.slots().entry(self.agent).or_default().ready = true;
    }

    /// The database had nothing that can be leased now; the next becomes due at `next`.
    pub(crate) fn found_nothing(&self, next: Option<DateTime<Utc>>) {
        let mut slots = self.dispatch.slots();
        let slot = slots.entry(self.agent).or_default();
        slot.next = match (slot.next, next) {
            (Some(known), Some(next)) => Some(known.min(next)),
            (known, next) => known.or(next),
        };
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(slot) = self.dispatch.slots().get_mut(&self.agent) {
            slot.held -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[tokio::test]
    async fn a_newer_poll_ends_the_older_ones() {
        let dispatch = Arc::new(Dispatch::default());
        let agent = AgentId::generate();
        let older = dispatch.hold(agent);
        assert!(older.turn().await.is_some() && !older.is_superseded());
        let newer = dispatch.hold(agent);
        assert!(older.turn().await.is_none() && older.is_superseded());
        assert!(newer.turn().await.is_some());
    }

    #[test]
    fn an_idle_agent_asks_the_database_once() {
        let dispatch = Arc::new(Dispatch::default());
        let (agent, now) = (AgentId::generate(), DateTime::UNIX_EPOCH);
        let held = dispatch.hold(agent);
        assert_eq!(held.look(now), Look::Now);
        held.found_nothing(None);
        assert_eq!(held.look(now), Look::Wait(None));
        let later = now + TimeDelta::hours(1);
        dispatch.ring(agent, later, now);
        assert_eq!(held.look(now), Look::Wait(Some(later)));
        assert_eq!(held.look(later), Look::Now);
        assert_eq!(dispatch.held(), [agent]);
        drop(held);
        assert!(dispatch.held().is_empty());
    }
}
