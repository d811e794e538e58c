//! One run: events in the order of virtual time, the calls of servers that they lead to, and what is judged after each.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use chrono::TimeDelta;
use sealift_protocol::agent::inventory::InventoryDisposition;
use sealift_protocol::agent::leases::{Completion, LeaseKey, RenewAnswer};
use support::invariants::Snapshot;
use support::random::Random;
use uuid::Uuid;

use super::agent::{Agent, Held, Moment};
use super::model::Model;
use super::site::{SERVERS, Site, start};

/// When faults end, and how long everything may then take to come to its end.
const FAULTS_END: Moment = 150_000;
const PATIENCE: Moment = 4 * 3_600_000;

/// What happens next.
#[derive(Debug)]
pub(super) enum Event {
    Operate,
    Sweep(usize),
    Jump(usize),
    Arrive { server: usize, from: Sender, body: Body },
    Answer { to: Sender, answer: Answer },
    GiveUp(Sender),
    Poll(usize, u32),
    Work(usize, u32, Uuid),
    Beat(usize, u32),
    Report(usize, u32),
    AgentFault(usize),
    AgentStart(usize),
}

/// A call of one process of an agent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender {
    pub(super) agent: usize,
    pub(super) epoch: u32,
    pub(super) call: u64,
}

/// What an agent asks.
#[derive(Debug, Clone)]
pub(super) enum Body {
    Lease { recover: bool, holding: Vec<Uuid> },
    Renew(Vec<LeaseKey>),
    Upload { lease: LeaseKey, certificate: Option<i64> },
    Complete(Vec<Completion>),
}

/// What it is answered.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Leased(Vec<Held>),
    Renewed(RenewAnswer),
    Uploaded(InventoryDisposition),
    Heard(Vec<LeaseKey>),
    Failed,
}

/// What happened in a run, or in many.
#[derive(Debug, Default, Clone)]
pub(super) struct Counts {
    pub(super) runs: u32,
    pub(super) calls: u32,
    pub(super) jobs: u32,
    pub(super) attempts: u32,
    pub(super) crashes_before_a_statement: u32,
    pub(super) crashes_after_a_statement: u32,
    pub(super) lost_requests: u32,
    pub(super) lost_answers: u32,
    pub(super) repeated_requests: u32,
    pub(super) late_messages: u32,
    pub(super) clock_jumps: u32,
    pub(super) agent_crashes: u32,
    pub(super) crashes_after_a_change: u32,
    pub(super) pauses: u32,
    pub(super) expired_leases: u32,
    pub(super) given_up_leases: u32,
    pub(super) stale_reports: u32,
    /// Says whether two runs went the same way.
    pub(super) trace: u64,
}

impl Counts {
    fn numbers(&mut self) -> [&mut u32; 17] {
        [
            &mut self.runs,
            &mut self.calls,
            &mut self.jobs,
            &mut self.attempts,
            &mut self.crashes_before_a_statement,
            &mut self.crashes_after_a_statement,
            &mut self.lost_requests,
            &mut self.lost_answers,
            &mut self.repeated_requests,
            &mut self.late_messages,
            &mut self.clock_jumps,
            &mut self.agent_crashes,
            &mut self.crashes_after_a_change,
            &mut self.pauses,
            &mut self.expired_leases,
            &mut self.given_up_leases,
            &mut self.stale_reports,
        ]
    }

    pub(super) fn add(&mut self, other: &Self) {
        let mut other = other.clone();
        for (mine, its) in self.numbers().into_iter().zip(other.numbers()) {
            *mine += *its;
        }
    }

    /// A kind of fault that never happens proves nothing.
    pub(super) fn each_fault_happened(mut self) {
        let shown = format!("{self:?}");
        assert!(self.numbers().into_iter().all(|count| *count > 0), "{shown}");
    }

    fn note(&mut self, text: &str) {
        for byte in text.bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// A run under way.
pub(super) struct World<'a> {
    pub(super) site: &'a mut Site,
    pub(super) seed: u64,
    pub(super) random: Random,
    pub(super) now: Moment,
    /// No more faults.
    pub(super) calm: bool,
    /// Whether every clock has told the same all along.
    pub(super) clocks_agree: bool,
    pub(super) agents: Vec<Agent>,
    /// How far each server's clock is off, in milliseconds.
    pub(super) skews: [i64; SERVERS],
    pub(super) down_until: [Moment; SERVERS],
    pub(super) model: Model,
    pub(super) last: Snapshot,
    pub(super) acknowledged: Vec<Uuid>,
    pub(super) counts: Counts,
    pub(super) next_call: u64,
    furthest: i64,
    queue: BinaryHeap<Reverse<(Moment, u64)>>,
    events: HashMap<u64, Event>,
    next_event: u64,
}

impl<'a> World<'a> {
    /// Runs a seed; fails with its number when something does not hold.
    pub(super) async fn run(site: &'a mut Site, seed: u64) -> Counts {
        site.clear(seed).await;
        let agents = site.posts.iter().map(Agent::new).collect();
        let mut world = Self {
            site,
            seed,
            random: Random::from_seed(seed),
            now: 0,
            calm: false,
            clocks_agree: true,
            agents,
            skews: [0; SERVERS],
            down_until: [0; SERVERS],
            model: Model::default(),
            last: Snapshot::default(),
            acknowledged: Vec::new(),
            counts: Counts { runs: 1, ..Counts::default() },
            next_call: 1,
            furthest: 0,
            queue: BinaryHeap::new(),
            events: HashMap::new(),
            next_event: 0,
        };
        world.plan();
        world.go_on(FAULTS_END).await;
        world.calm_down();
        world.go_on(FAULTS_END + PATIENCE).await;
        world.judge_the_end().await;
        world.counts
    }

    /// So far from now, a number of milliseconds between two bounds.
    pub(super) fn within(&mut self, from: u32, to: u32) -> Moment {
        Moment::from(from + self.random.below(to - from))
    }

    /// Something happens later.
    pub(super) fn later(&mut self, delay: Moment, event: Event) {
        self.queue.push(Reverse((self.now + delay, self.next_event)));
        self.events.insert(self.next_event, event);
        self.next_event += 1;
    }

    fn plan(&mut self) {
        for agent in 0..self.agents.len() {
            let at = self.within(0, 8_000);
            self.later(at, Event::AgentStart(agent));
            for _ in 0..self.random.below(4) {
                let at = self.within(5_000, 140_000);
                self.later(at, Event::AgentFault(agent));
            }
        }
        for server in 0..SERVERS {
            let at = self.within(0, 10_000);
            self.later(at, Event::Sweep(server));
        }
        for _ in 0..2 + self.random.below(5) {
            let at = self.within(0, 110_000);
            self.later(at, Event::Operate);
        }
        if self.random.percent(50) {
            for _ in 0..1 + self.random.below(3) {
                let (at, server) = (self.within(0, 140_000), self.random.below(SERVERS as u32) as usize);
                self.later(at, Event::Jump(server));
            }
        }
    }

    async fn go_on(&mut self, until: Moment) {
        while let Some(Reverse((at, _))) = self.queue.peek() {
            if *at > until || (self.calm && self.is_over()) {
                return;
            }
            let Some(Reverse((at, number))) = self.queue.pop() else { return };
            self.now = at;
            if let Some(event) = self.events.remove(&number) {
                self.happen(event).await;
            }
        }
    }

    /// Faults are over: every server is up and tells the same time, which no job is ahead of for long.
    fn calm_down(&mut self) {
        self.now = FAULTS_END;
        self.calm = true;
        self.skews = [self.furthest; SERVERS];
        self.down_until = [0; SERVERS];
    }

    fn is_over(&self) -> bool {
        self.last.jobs.is_empty()
            && self.agents.iter().all(|agent| agent.outbox.is_empty() && agent.lane.is_empty())
    }

    /// Puts something off while the agent is stopped by a signal.
    fn is_paused(&mut self, agent: usize, event: Event) -> Option<Event> {
        let until = self.agents[agent].paused_until;
        if until <= self.now {
            return Some(event);
        }
        self.later(until - self.now, event);
        None
    }

    async fn happen(&mut self, event: Event) {
        let of = match &event {
            Event::Answer { to, .. } => Some(to.agent),
            Event::GiveUp(from) => Some(from.agent),
            Event::Poll(agent, _)
            | Event::Work(agent, ..)
            | Event::Beat(agent, _)
            | Event::Report(agent, _) => Some(*agent),
            _ => None,
        };
        let event = match of {
            Some(agent) => self.is_paused(agent, event),
            None => Some(event),
        };
        match event {
            None => {}
            Some(Event::Operate) => self.operate().await,
            Some(Event::Sweep(server)) => self.sweep(server).await,
            Some(Event::Jump(server)) => self.jump(server),
            Some(Event::Arrive { server, from, body }) => self.arrive(server, from, body).await,
            Some(event) => self.agent_event(event),
        }
    }

    fn jump(&mut self, server: usize) {
        let by = match self.random.below(4) {
            0 => i64::from(self.random.below(86_400_000)),
            1 => -i64::from(self.random.below(86_400_000)),
            2 => i64::from(self.random.below(40_000)),
            _ => -i64::from(self.random.below(40_000)),
        };
        self.skews[server] += by;
        self.furthest = self.furthest.max(self.skews[server]);
        self.clocks_agree = false;
        self.counts.clock_jumps += 1;
    }

    /// Fails with what makes it happen again.
    pub(super) fn insist(&self, judged: Result<(), String>, place: &str) {
        if let Err(why) = judged {
            panic!(
                "SEALIFT_TEST_SEED={} SEALIFT_TEST_SEEDS=1: at {} ms, {place}: {why}",
                self.seed, self.now
            );
        }
    }

    /// Notes a moment that was judged.
    pub(super) fn keep(&mut self, moment: Snapshot, place: &str) {
        let described = self.model.describe(&moment, start());
        self.counts.note(&format!("{} {place} {described}", self.now));
        self.last = moment;
    }

    /// What an outsider finds when everything has come to rest.
    async fn judge_the_end(&mut self) {
        let place = "the end";
        let over = match self.is_over() {
            true => Ok(()),
            false => Err(format!("work does not come to its end: {:?}", self.last.jobs)),
        };
        self.insist(over, place);
        for job in &self.acknowledged {
            let ended = self.last.attempts(*job).last().is_some_and(|row| row.status == 3);
            self.insist(ended.then_some(()).ok_or(format!("acknowledged job {job} is lost")), place);
        }
        let shown: Vec<(Uuid, i64)> = sqlx::query_as(
            "SELECT store_id, certificate_id FROM store_entries JOIN store_entry_certificates ON entry_id = id",
        )
        .fetch_all(&mut self.site.observer)
        .await
        .unwrap();
        for (agent, store) in
            self.agents.iter().flat_map(|agent| agent.post.stores.iter().map(move |store| (agent, *store)))
        {
            let newest = |inventory: bool| {
                let rows = self.last.history.values().filter(|row| row.store_id == store.uuid());
                rows.filter(|row| (row.operation == 1) == inventory && (!inventory || row.result == 2))
                    .map(|row| row.id)
                    .max()
            };
            let shown = shown.iter().find(|(of, _)| *of == store.uuid()).map(|(_, certificate)| *certificate);
            let held = agent.stores.get(&store).map(|(certificate, _)| *certificate);
            let stale = newest(true).is_none() || newest(true) < newest(false);
            let same = stale || shown == held;
            self.insist(
                same.then_some(()).ok_or(format!("{store} holds {held:?} and shows {shown:?}")),
                place,
            );
        }
        for row in self.last.history.values() {
            self.counts.attempts += 1;
            self.counts.jobs += u32::from(row.attempt == 1);
            self.counts.expired_leases += u32::from(row.error_code.as_deref() == Some("lease_expired"));
            self.counts.given_up_leases += u32::from(row.error_code.as_deref() == Some("agent_restarted"));
        }
    }

    /// Sets a server's clock.
    pub(super) fn set_clock(&mut self, server: usize) {
        let clock = &self.site.seats[server].clock;
        let told = start() + TimeDelta::milliseconds(self.now as i64 + self.skews[server]);
        clock.advance(told - clock.now());
    }
}
