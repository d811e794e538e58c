//! Who is behind a client certificate, from memory, and who was seen.
//!
//! Every call of an agent asks; the database is asked once for each certificate. What changes in this process
//! is forgotten at once, what other replicas change is noticed by [`super::sweep::refresh`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use sealift_pki::Thumbprint;
use sealift_protocol::AgentId;
use sqlx::PgPool;
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use super::agent::Status;
use super::error::Error;
use super::queries::{self, IdentityRow};

/// Certificates kept in memory; when there are more, all are asked for anew.
const MAX_KNOWN: usize = 200_000;
/// Unknown certificates remembered as such.
const MAX_UNKNOWN: usize = 1_000;
/// How long a certificate is remembered as unknown.
const UNKNOWN_FOR: TimeDelta = TimeDelta::seconds(5);
/// Registrations under way at a time: they must not take all connections.
const REGISTERING: usize = 4;
/// Registrations that may wait for them.
const MAX_WAITING: usize = 1_000;

/// The agent behind a client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The agent.
    pub(crate) agent_id: AgentId,
    /// Whether it may work.
    pub(crate) status: Status,
    /// Whether it is our own agent, which leases jobs.
    pub(crate) speaks_extensions: bool,
    /// The name it gave itself.
    pub(crate) client_machine: Arc<str>,
    /// Whether it must renew its identity before it gets another job.
    pub(crate) must_renew: bool,
    /// The process that may take jobs.
    pub(crate) instance: Option<Uuid>,
    /// Whether it said that its machine's administrator drained it.
    pub(super) drained_on_machine: bool,
}

/// Agents by the thumbprints of their identities. Application data, one for each process.
pub(crate) struct Directory {
    memory: Mutex<Memory>,
    seen: Mutex<HashMap<AgentId, Seen>>,
    waiting: Semaphore,
    registering: Semaphore,
}

#[derive(Default)]
struct Memory {
    /// Grows when something is forgotten, so that what was loaded before is not remembered after.
    generation: u64,
    known: HashMap<Thumbprint, Identity>,
    by_agent: HashMap<AgentId, Vec<Thumbprint>>,
    unknown: HashMap<Thumbprint, DateTime<Utc>>,
    refreshed_at: Option<DateTime<Utc>>,
}

/// A call of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) thumbprint: Thumbprint,
    pub(super) at: DateTime<Utc>,
    /// When the process that may take jobs was heard, where it was.
    pub(super) working: Option<DateTime<Utc>>,
    /// How far its clock is ahead, where it said so.
    pub(super) clock_offset_seconds: Option<i32>,
}

/// A turn to register.
pub(super) struct Turn<'a>(#[expect(dead_code, reason = "held")] (SemaphorePermit<'a>, SemaphorePermit<'a>));

impl Default for Directory {
    fn default() -> Self {
        Self {
            memory: Mutex::default(),
            seen: Mutex::default(),
            waiting: Semaphore::new(REGISTERING + MAX_WAITING),
            registering: Semaphore::new(REGISTERING),
        }
    }
}

impl Directory {
    /// The agent with this client certificate, whatever its status; `None` when there is none.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn identify(
        &self,
        pool: &PgPool,
        thumbprint: &Thumbprint,
        now: DateTime<Utc>,
    ) -> Result<Option<Identity>, sqlx::Error> {
        let generation = {
            let memory = locked(&self.memory);
            if let Some(identity) = memory.known.get(thumbprint) {
                return Ok(Some(identity.clone()));
            }
            if memory.unknown.get(thumbprint).is_some_and(|since| (now - *since).abs() < UNKNOWN_FOR) {
                return Ok(None);
            }
            memory.generation
        };
        let row = queries::identity(&mut *pool.acquire().await?, &thumbprint.to_string()).await?;
        let identity = row.map(Identity::from);
        locked(&self.memory).remember(generation, *thumbprint, identity.clone(), now);
        Ok(identity)
    }

    /// Forgets agents. To be called after the commit of a change to their status or identity.
    pub(crate) fn forget(&self, agents: &[AgentId]) {
        let mut memory = locked(&self.memory);
        memory.generation += 1;
        memory.unknown.clear();
        for agent in agents {
            for thumbprint in memory.by_agent.remove(agent).unwrap_or_default() {
                memory.known.remove(&thumbprint);
            }
        }
    }

    /// Notes that an agent called with this client certificate; [`super::sweep::write_last_seen`] writes it.
    pub(crate) fn seen(&self, agent: AgentId, thumbprint: &Thumbprint, now: DateTime<Utc>) {
        let mut seen = locked(&self.seen);
        if seen.len() < MAX_KNOWN || seen.contains_key(&agent) {
            let before = seen.get(&agent).copied();
            let working = before.and_then(|before| before.working);
            let clock_offset_seconds = before.and_then(|before| before.clock_offset_seconds);
            seen.insert(agent, Seen { thumbprint: *thumbprint, at: now, working, clock_offset_seconds });
        }
    }

    /// Notes that the process that may take an agent's jobs was heard, after [`Directory::seen`], and what it said of
    /// its clock.
    pub(crate) fn working(&self, agent: AgentId, clock_offset_seconds: Option<i32>, now: DateTime<Utc>) {
        if let Some(seen) = locked(&self.seen).get_mut(&agent) {
            seen.working = Some(now);
            seen.clock_offset_seconds = clock_offset_seconds.or(seen.clock_offset_seconds);
        }
    }

    /// A turn to register, in order of arrival.
    pub(super) async fn turn(&self) -> Result<Turn<'_>, Error> {
        let place = self.waiting.try_acquire().map_err(|_| Error::Busy)?;
        let turn = self.registering.acquire().await.map_err(|_| Error::Busy)?;
        Ok(Turn((place, turn)))
    }

    /// Takes what [`Directory::seen`] noted.
    pub(super) fn take_seen(&self) -> HashMap<AgentId, Seen> {
        std::mem::take(&mut *locked(&self.seen))
    }

    /// Puts back what could not be written, unless something newer was noted.
    pub(super) fn put_back(&self, unwritten: HashMap<AgentId, Seen>) {
        let mut seen = locked(&self.seen);
        for (agent, older) in unwritten {
            let seen = seen.entry(agent).or_insert(older);
            seen.working = seen.working.max(older.working);
            seen.clock_offset_seconds = seen.clock_offset_seconds.or(older.clock_offset_seconds);
        }
    }

    /// Up to when other replicas' changes are known.
    pub(super) fn refreshed_at(&self) -> Option<DateTime<Utc>> {
        locked(&self.memory).refreshed_at
    }

    /// Takes over what was changed elsewhere up to a time. `None`: too much was, everything is forgotten.
    pub(super) fn refresh(&self, changed: Option<Vec<(IdentityRow, Vec<Thumbprint>)>>, until: DateTime<Utc>) {
        let mut memory = locked(&self.memory);
        memory.refreshed_at = Some(until);
        match changed {
            None => {
                *memory = Memory {
                    generation: memory.generation + 1,
                    refreshed_at: Some(until),
                    ..Memory::default()
                }
            }
            Some(changed) => {
                for (row, valid) in changed {
                    memory.replace(Identity::from(row), &valid);
                }
            }
        }
    }
}

impl Memory {
    fn remember(
        &mut self,
        generation: u64,
        thumbprint: Thumbprint,
        identity: Option<Identity>,
        now: DateTime<Utc>,
    ) {
        if self.generation != generation {
            return;
        }
        let Some(identity) = identity else {
            if self.unknown.len() >= MAX_UNKNOWN {
                self.unknown.clear();
            }
            self.unknown.insert(thumbprint, now);
            return;
        };
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
            self.by_agent.clear();
        }
        let thumbprints = self.by_agent.entry(identity.agent_id).or_default();
        if !thumbprints.contains(&thumbprint) {
            thumbprints.push(thumbprint);
        }
        self.known.insert(thumbprint, identity);
    }

    /// Brings what is remembered of one agent up to date; `valid` are the certificates it has now.
    fn replace(&mut self, identity: Identity, valid: &[Thumbprint]) {
        for thumbprint in valid {
            self.unknown.remove(thumbprint);
        }
        let Some(thumbprints) = self.by_agent.get_mut(&identity.agent_id) else { return };
        let known = &mut self.known;
        let mut changed = false;
        thumbprints.retain(|thumbprint| {
            let holds = valid.contains(thumbprint);
            if !holds {
                known.remove(thumbprint);
                changed = true;
            } else if known.get(thumbprint) != Some(&identity) {
                known.insert(*thumbprint, identity.clone());
                changed = true;
            }
            holds
        });
        if changed {
            self.generation += 1;
        }
    }
}

impl From<IdentityRow> for Identity {
    fn from(row: IdentityRow) -> Self {
        Self {
            agent_id: row.id,
            status: Status::from_number(row.status),
            speaks_extensions: row.speaks_extensions,
            client_machine: row.client_machine.into(),
            must_renew: row.must_renew,
            instance: row.instance,
            drained_on_machine: row.drained_on_machine,
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thumbprint(number: u8) -> Thumbprint {
        Thumbprint::from_bytes([number; 20])
    }

    fn row(agent: AgentId, status: Status) -> IdentityRow {
        IdentityRow {
            id: agent,
            status: status.number(),
            speaks_extensions: true,
            client_machine: "web1.example.test".to_owned(),
            must_renew: false,
            instance: None,
            drained_on_machine: false,
        }
    }

    fn remembering(directory: &Directory, generation: u64, number: u8, agent: AgentId) {
        let identity = Identity::from(row(agent, Status::Approved));
        locked(&directory.memory).remember(
            generation,
            thumbprint(number),
            Some(identity),
            DateTime::UNIX_EPOCH,
        );
    }

    fn status(directory: &Directory, number: u8) -> Option<Status> {
        locked(&directory.memory).known.get(&thumbprint(number)).map(|identity| identity.status)
    }

    #[test]
    fn what_was_loaded_before_a_change_is_not_remembered_after_it() {
        let (directory, agent) = (Directory::default(), AgentId::generate());
        remembering(&directory, 0, 1, agent);
        assert_eq!(status(&directory, 1), Some(Status::Approved));
        directory.forget(&[agent]);
        assert_eq!(status(&directory, 1), None);
        remembering(&directory, 0, 1, agent);
        assert_eq!(status(&directory, 1), None);
        remembering(&directory, 1, 1, agent);
        assert_eq!(status(&directory, 1), Some(Status::Approved));
    }

    #[test]
    fn another_replicas_change_is_taken_over_and_replaced_identities_go() {
        let (directory, agent, other) = (Directory::default(), AgentId::generate(), AgentId::generate());
        for number in [1, 2] {
            remembering(&directory, 0, number, agent);
        }
        remembering(&directory, 0, 3, other);
        let changed = vec![(row(agent, Status::Disapproved), vec![thumbprint(2), thumbprint(9)])];
        directory.refresh(Some(changed), DateTime::UNIX_EPOCH);
        assert_eq!(status(&directory, 1), None);
        assert_eq!(status(&directory, 2), Some(Status::Disapproved));
        assert_eq!(status(&directory, 3), Some(Status::Approved));
        assert_eq!(status(&directory, 9), None, "nobody asked for it yet");
        directory.refresh(None, DateTime::UNIX_EPOCH);
        assert_eq!(status(&directory, 3), None);
    }

    #[test]
    fn what_could_not_be_written_comes_back_unless_something_newer_was_seen() {
        let (directory, agent) = (Directory::default(), AgentId::generate());
        directory.seen(agent, &thumbprint(1), DateTime::UNIX_EPOCH);
        let taken = directory.take_seen();
        directory.put_back(taken.clone());
        let again = directory.take_seen();
        assert_eq!(again, taken);
        directory.seen(agent, &thumbprint(2), DateTime::UNIX_EPOCH + TimeDelta::seconds(1));
        directory.put_back(again);
        assert_eq!(directory.take_seen()[&agent].thumbprint, thumbprint(2));
    }

    #[test]
    fn unknown_certificates_are_bounded() {
        let directory = Directory::default();
        for number in 0..2 * MAX_UNKNOWN as u32 {
            let mut bytes = [0; 20];
            bytes[..4].copy_from_slice(&number.to_le_bytes());
            locked(&directory.memory).remember(0, Thumbprint::from_bytes(bytes), None, DateTime::UNIX_EPOCH);
        }
        assert!(locked(&directory.memory).unknown.len() <= MAX_UNKNOWN);
    }
}
