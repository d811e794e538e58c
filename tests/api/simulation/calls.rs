//! Calls that reach a server: each is judged by the model; a server may crash before or after any statement of one.

use sealift_protocol::agent::inventory::{InventoryPage, StoreEntry};
use sealift_protocol::agent::leases::{LeaseKey, LeaseRequest, RenewRequest};
use sealift_protocol::operator::certificate_stores::{AddCertificate, AddToStore};
use sealift_protocol::operator::schedule::Schedule;
use sealift_protocol::{AgentId, JobId, StoreId};
use sealift_server::scheduler::Sweep;
use support::invariants::Snapshot;
use support::statement_proxy::Moment as Point;
use uuid::Uuid;

use super::agent::{CALL_LIMIT, Held};
use super::model::{Model, Step, What};
use super::site::SERVERS;
use super::world::{Answer, Body, Event, Sender, World};

/// Of a hundred calls so many meet a crash of their server, if they have enough statements.
const CRASHES: u32 = 8;
/// Statements of a call, roughly.
const STATEMENTS: u32 = 8;

impl World<'_> {
    /// An agent calls a server; the network does what it likes.
    pub(super) fn send(&mut self, from: Sender, body: Body) {
        let server = self.random.below(SERVERS as u32) as usize;
        self.later(CALL_LIMIT, Event::GiveUp(from));
        if !self.calm && self.random.percent(6) {
            self.counts.repeated_requests += 1;
            let (other, delay) = (self.random.below(SERVERS as u32) as usize, self.within(500, 40_000));
            self.later(delay, Event::Arrive { server: other, from, body: body.clone() });
        }
        if !self.calm && self.random.percent(5) {
            self.counts.lost_requests += 1;
            return;
        }
        let delay = self.delay();
        self.later(delay, Event::Arrive { server, from, body });
    }

    fn delay(&mut self) -> u64 {
        if !self.calm && self.random.percent(5) {
            self.counts.late_messages += 1;
            return self.within(2_000, 40_000);
        }
        self.within(5, 300)
    }

    /// Whether a server that is up meets a crash in this call; it is armed then.
    fn arm(&mut self, server: usize) -> Option<Point> {
        self.set_clock(server);
        if self.calm || !self.random.percent(CRASHES) {
            return None;
        }
        let point = if self.random.percent(50) { Point::Before } else { Point::After };
        let count = 1 + self.random.below(STATEMENTS);
        self.site.seats[server].proxy.arm_cut(count, point);
        Some(point)
    }

    /// Whether the server has crashed; then it is down for a while.
    async fn crashed(&mut self, server: usize, armed: Option<Point>) -> bool {
        let Some(point) = armed.filter(|_| !self.site.seats[server].proxy.disarm()) else { return false };
        match point {
            Point::Before => self.counts.crashes_before_a_statement += 1,
            Point::After => self.counts.crashes_after_a_statement += 1,
        }
        self.site.until_gone(server).await;
        self.site.restart(server, self.seed).await;
        self.down_until[server] = self.now + self.within(500, 30_000);
        true
    }

    /// Judges what a call did to the queue.
    async fn judge(&mut self, server: usize, what: What<'_>, place: &str) {
        self.counts.calls += 1;
        let after = Snapshot::take(&mut self.site.observer).await;
        let step = Step { what, now: self.site.seats[server].clock.now() };
        let judged = self.model.judge(&self.last, &after, &step);
        self.insist(judged, place);
        self.keep(after, place);
    }

    /// An operator adds a certificate to a store.
    pub(super) async fn operate(&mut self) {
        let server = self.random.below(SERVERS as u32) as usize;
        let agent = self.random.below(self.agents.len() as u32) as usize;
        let stores = &self.agents[agent].post.stores;
        let store = stores[self.random.below(stores.len() as u32) as usize];
        let certificate =
            self.site.certificates[self.random.below(self.site.certificates.len() as u32) as usize].id;
        if self.down_until[server] > self.now {
            return;
        }
        let armed = self.arm(server);
        let added = self.site.seats[server].replica.add(addition(certificate, store)).await;
        let crashed = self.crashed(server, armed).await;
        match added {
            Ok(jobs) => self.acknowledged.extend(jobs.into_iter().map(JobId::uuid)),
            Err(why) => self.insist(if crashed { Ok(()) } else { Err(why) }, "an addition fails"),
        }
        self.judge(server, What::Add, "an addition").await;
    }

    /// A server looks at its database.
    pub(super) async fn sweep(&mut self, server: usize) {
        let next = self.within(6_000, 14_000);
        self.later(next, Event::Sweep(server));
        for sweep in [Sweep::ExpireLeases, Sweep::ReleaseRetries, Sweep::RingDue] {
            if self.down_until[server] > self.now {
                return;
            }
            let armed = self.arm(server);
            let parts = std::sync::Arc::clone(self.site.seats[server].replica.parts());
            let swept = sweep.run(&parts).await.map_err(|error| error.to_string());
            let crashed = self.crashed(server, armed).await;
            self.insist(if crashed { Ok(()) } else { swept }, "a sweep fails");
            if sweep != Sweep::RingDue {
                self.judge(server, What::Sweep, "a sweep").await;
            }
        }
    }

    /// A call of an agent reaches a server.
    pub(super) async fn arrive(&mut self, server: usize, from: Sender, body: Body) {
        if self.down_until[server] > self.now {
            return self.answer(from, Answer::Failed);
        }
        let armed = self.arm(server);
        let id = self.agents[from.agent].post.id;
        let before = self.last.clone();
        let done = self.serve(server, id, &body).await;
        let crashed = self.crashed(server, armed).await;
        let agent = id.uuid();
        let (what, place) = match &body {
            Body::Lease { recover, holding } => {
                (What::Lease { agent, recover: *recover, holding }, "a lease")
            }
            Body::Renew(leases) => (What::Renew { agent, leases }, "a renewal"),
            Body::Upload { lease, .. } => (What::Upload { agent, lease: *lease }, "an upload"),
            Body::Complete(reports) => (What::Complete { agent, reports }, "a report"),
        };
        self.judge(server, what, place).await;
        let answer = match done {
            Ok(Served::Leased(count)) => {
                let new = self.newly_leased(&before, agent);
                let same = if new.len() == count { Ok(()) } else { Err(format!("{count} told, {new:?}")) };
                self.insist(same, "an answer does not tell what was leased");
                Answer::Leased(new)
            }
            Ok(Served::Answer(answer)) => answer,
            Ok(Served::Receipts(receipts)) => {
                let Body::Complete(reports) = &body else { return };
                match Model::receipts(&before, agent, reports, &receipts) {
                    Ok(stale) => self.counts.stale_reports += stale,
                    Err(why) => self.insist(Err(why), "receipts"),
                }
                Answer::Heard(reports.iter().map(|report| report.lease).collect())
            }
            Err(why) => {
                self.insist(if crashed { Ok(()) } else { Err(why) }, "a call fails");
                Answer::Failed
            }
        };
        if crashed {
            return self.answer(from, Answer::Failed);
        }
        self.answer(from, answer);
    }

    fn answer(&mut self, to: Sender, answer: Answer) {
        if !self.calm && self.random.percent(5) {
            self.counts.lost_answers += 1;
            return;
        }
        let delay = self.delay();
        self.later(delay, Event::Answer { to, answer });
    }

    async fn serve(&mut self, server: usize, agent: AgentId, body: &Body) -> Result<Served, String> {
        let replica = &self.site.seats[server].replica;
        Ok(match body {
            Body::Lease { recover, holding } => {
                let request = LeaseRequest {
                    max_jobs: 10,
                    recover: *recover,
                    holding: holding.iter().map(|job| JobId::from(*job)).collect(),
                    ..LeaseRequest::default()
                };
                Served::Leased(replica.lease(agent, request).await?.jobs.len())
            }
            Body::Renew(leases) => Served::Answer(Answer::Renewed(
                replica.renew(agent, &RenewRequest { leases: leases.clone() }).await?,
            )),
            Body::Upload { lease, certificate } => {
                let page = self.page(*lease, *certificate);
                let replica = &self.site.seats[server].replica;
                Served::Answer(Answer::Uploaded(replica.upload(agent, page).await?.disposition))
            }
            Body::Complete(reports) => {
                Served::Receipts(replica.complete(agent, reports.clone()).await?.receipts)
            }
        })
    }

    fn page(&self, lease: LeaseKey, certificate: Option<i64>) -> InventoryPage {
        let held = self.site.certificates.iter().find(|one| Some(one.id) == certificate);
        let entries = held.map(|one| StoreEntry {
            alias: "site".to_owned(),
            certificates: vec![one.der.clone()],
            private_key_entry: true,
            parameters: std::collections::BTreeMap::new(),
        });
        InventoryPage {
            lease,
            base: None,
            version: format!("holds {certificate:?}"),
            page: 1,
            last: true,
            entries: entries.into_iter().collect(),
            removed: Vec::new(),
        }
    }

    /// The leases that this call made, read from the table: the form of the answer is not ours to know.
    fn newly_leased(&self, before: &Snapshot, agent: Uuid) -> Vec<Held> {
        let known = |job: &Uuid| before.jobs.get(job).and_then(|row| row.lease_token);
        let mut new: Vec<_> = self
            .last
            .jobs
            .values()
            .filter(|row| row.agent_id == agent && row.state == 2 && row.lease_token != known(&row.id))
            .collect();
        new.sort_by_key(|row| (row.run_at, row.id));
        new.into_iter()
            .filter_map(|row| {
                Some(Held {
                    key: LeaseKey { job_id: JobId::from(row.id), lease_token: row.lease_token? },
                    store: StoreId::from(row.store_id),
                    inventory: row.operation == 1,
                    certificate: row.certificate_id,
                    place: (row.run_at, row.id),
                    since: 0,
                    lost: false,
                })
            })
            .collect()
    }
}

enum Served {
    Leased(usize),
    Receipts(Vec<sealift_protocol::agent::leases::Receipt>),
    Answer(Answer),
}

fn addition(certificate: i64, store: StoreId) -> AddCertificate {
    AddCertificate {
        certificate_id: Some(certificate),
        certificate_stores: vec![AddToStore {
            certificate_store_id: Some(store),
            overwrite: true,
            include_private_key: true,
            ..AddToStore::default()
        }],
        schedule: Some(Schedule { immediate: Some(true), ..Schedule::default() }),
        ..AddCertificate::default()
    }
}
