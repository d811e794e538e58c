//! What agents do when something happens to them.

use sealift_protocol::agent::inventory::InventoryDisposition;
use sealift_protocol::agent::leases::{Completion, LeaseKey, Outcome};
use uuid::Uuid;

use super::agent::{Call, Held};
use super::world::{Answer, Body, Event, Sender, World};

impl World<'_> {
    pub(super) fn agent_event(&mut self, event: Event) {
        match event {
            Event::AgentStart(agent) => self.start_agent(agent),
            Event::AgentFault(agent) => self.agent_fault(agent),
            Event::Answer { to, answer } => self.answered(to, Some(answer)),
            Event::GiveUp(from) => self.answered(from, None),
            Event::Poll(agent, epoch) if self.is_alive(agent, epoch) => self.poll(agent),
            Event::Work(agent, epoch, job) if self.is_alive(agent, epoch) => self.work(agent, job),
            Event::Report(agent, epoch) if self.is_alive(agent, epoch) => self.report(agent),
            Event::Beat(agent, epoch) if self.is_alive(agent, epoch) => {
                let kept = self.agents[agent].kept();
                if !kept.is_empty() {
                    self.call(agent, Call::Renew(kept.clone(), self.now), Body::Renew(kept));
                }
                self.later(9_000, Event::Beat(agent, epoch));
            }
            _ => {}
        }
    }

    fn is_alive(&self, agent: usize, epoch: u32) -> bool {
        self.agents[agent].runs && self.agents[agent].epoch == epoch
    }

    fn start_agent(&mut self, agent: usize) {
        if self.agents[agent].runs {
            return;
        }
        self.agents[agent].start(self.now);
        let epoch = self.agents[agent].epoch;
        self.report(agent);
        self.later(20, Event::Poll(agent, epoch));
        self.later(9_000, Event::Beat(agent, epoch));
    }

    fn agent_fault(&mut self, agent: usize) {
        if self.calm || !self.agents[agent].runs {
            return;
        }
        if self.random.percent(50) {
            self.counts.agent_crashes += 1;
            self.crash_agent(agent);
        } else {
            self.counts.pauses += 1;
            self.agents[agent].paused_until = self.now + self.within(3_000, 90_000);
        }
    }

    fn crash_agent(&mut self, agent: usize) {
        self.agents[agent].crash();
        self.agents[agent].paused_until = 0;
        let pause = self.within(200, 50_000);
        self.later(pause, Event::AgentStart(agent));
    }

    fn call(&mut self, agent: usize, call: Call, body: Body) {
        let (epoch, number) = (self.agents[agent].epoch, self.next_call);
        self.next_call += 1;
        self.agents[agent].calls.insert(number, call);
        self.send(Sender { agent, epoch, call: number }, body);
    }

    fn poll(&mut self, agent: usize) {
        let recover = self.now < self.agents[agent].unsettled_until;
        let holding = if recover { self.agents[agent].holding() } else { Vec::new() };
        self.call(agent, Call::Lease, Body::Lease { recover, holding });
    }

    fn report(&mut self, agent: usize) {
        let one = &mut self.agents[agent];
        if one.reporting || one.outbox.is_empty() {
            return;
        }
        one.reporting = true;
        let reports: Vec<Completion> = one.outbox.iter().take(5).cloned().collect();
        self.call(agent, Call::Complete, Body::Complete(reports));
    }

    /// An answer has come, or nothing in time. Only the first of both counts.
    fn answered(&mut self, to: Sender, answer: Option<Answer>) {
        let agent = to.agent;
        if !self.is_alive(agent, to.epoch) {
            return;
        }
        let Some(call) = self.agents[agent].calls.remove(&to.call) else { return };
        match (call, answer) {
            (Call::Lease, Some(Answer::Leased(jobs))) => self.take(agent, jobs),
            (Call::Lease, _) => {
                self.agents[agent].unsettle(self.now);
                let pause = self.within(500, 4_000);
                self.later(pause, Event::Poll(agent, to.epoch));
            }
            (Call::Renew(asked, sent), Some(Answer::Renewed(answer))) => {
                for held in self.agents[agent].held.values_mut().filter(|held| asked.contains(&held.key)) {
                    if answer.lost.contains(&held.key.job_id) {
                        held.lost = true;
                    } else {
                        held.since = sent;
                    }
                }
            }
            (Call::Upload(job), answer) => {
                let stored = matches!(answer, Some(Answer::Uploaded(InventoryDisposition::Stored)));
                let outcome = if stored { Outcome::Success } else { Outcome::TransientFailure };
                self.finish(agent, job, outcome);
            }
            (Call::Complete, answer) => {
                self.agents[agent].reporting = false;
                if let Some(Answer::Heard(keys)) = answer {
                    self.agents[agent].heard(&keys);
                    self.report(agent);
                } else {
                    let pause = self.within(500, 4_000);
                    self.later(pause, Event::Report(agent, to.epoch));
                }
            }
            _ => {}
        }
    }

    /// Takes leases up; all are held from now on, and the jobs run one after another.
    fn take(&mut self, agent: usize, jobs: Vec<Held>) {
        for job in jobs {
            let id = job.key.job_id.uuid();
            let one = &mut self.agents[agent];
            if one.held.get(&id).is_some_and(|held| held.key == job.key) {
                continue;
            }
            one.held.insert(id, Held { since: self.now, ..job });
            one.lane.push_back(id);
        }
        self.next_job(agent);
    }

    fn next_job(&mut self, agent: usize) {
        let epoch = self.agents[agent].epoch;
        match self.agents[agent].lane.front().copied() {
            Some(job) => {
                let time = self.within(100, if self.calm { 2_000 } else { 12_000 });
                self.later(time, Event::Work(agent, epoch, job));
            }
            None => {
                let pause = self.within(1_000, 5_000);
                self.later(pause, Event::Poll(agent, epoch));
            }
        }
    }

    fn work(&mut self, agent: usize, job: Uuid) {
        let now = self.now;
        let Some(held) = self.agents[agent].held.get(&job).cloned() else {
            self.agents[agent].lane.pop_front();
            return self.next_job(agent);
        };
        if let Some(earlier) = self.agents[agent].standing(job) {
            if self.model.proved.contains(&earlier.lease.lease_token) {
                self.model.proved.insert(held.key.lease_token);
            }
            let outcome = earlier.outcome;
            return self.finish(agent, job, outcome);
        }
        if !held.is_live(now) {
            return self.finish(agent, job, Outcome::TransientFailure);
        }
        if held.inventory {
            let certificate = self.agents[agent].stores.get(&held.store).map(|(certificate, _)| *certificate);
            return self.call(agent, Call::Upload(job), Body::Upload { lease: held.key, certificate });
        }
        match if self.calm { 0 } else { self.random.below(20) } {
            0..=13 => {
                if !self.change(agent, &held) {
                    self.finish(agent, job, Outcome::Success);
                }
            }
            14..=16 => self.finish(agent, job, Outcome::TransientFailure),
            // The command after the change failed.
            17..=18 => {
                if !self.change(agent, &held) {
                    self.finish(agent, job, Outcome::TransientFailure);
                }
            }
            _ => self.finish(agent, job, Outcome::Failure),
        }
    }

    /// Writes the store; whether the agent died of it, before its result was kept.
    fn change(&mut self, agent: usize, held: &Held) -> bool {
        let place = held.place;
        let earlier = self.agents[agent].stores.get(&held.store).map(|(_, place)| *place);
        if self.clocks_agree && earlier.is_some_and(|earlier| earlier > place) {
            self.insist(Err(format!("an older job lands after a newer one: {held:?}")), "a change");
        }
        let certificate = held.certificate.unwrap_or_default();
        self.agents[agent].stores.insert(held.store, (certificate, place));
        self.model.proved.insert(held.key.lease_token);
        let dies = !self.calm && self.random.percent(5);
        if dies {
            self.counts.crashes_after_a_change += 1;
            self.crash_agent(agent);
        }
        dies
    }

    fn finish(&mut self, agent: usize, job: Uuid, outcome: Outcome) {
        let one = &mut self.agents[agent];
        if let Some(held) = one.held.get(&job) {
            let key: LeaseKey = held.key;
            one.put(Completion::new(key, outcome, "simulated"));
        }
        one.lane.pop_front();
        self.report(agent);
        self.next_job(agent);
    }
}
