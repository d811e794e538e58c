//! A server without its sockets and timers: each call comes when a simulation says so, at the time that its clock then
//! shows. Statements, transactions, groups of calls and bells are those of the program; what is missing is HTTP, TLS,
//! and the recognition of callers. Only tests use it; nothing of it can be reached from outside.

use std::sync::Arc;

use sealift_protocol::agent::inventory::{InventoryAnswer, InventoryPage};
use sealift_protocol::agent::leases::{
    CompleteAnswer, Completion, LeaseAnswer, LeaseRequest, RenewAnswer, RenewRequest,
};
use sealift_protocol::operator::certificate_stores::AddCertificate;
use sealift_protocol::{AgentId, JobId};

use super::{Application, Parts};
use crate::agents::Directory;
use crate::http::calls::Calls;
use crate::orchestrator_jobs::Dispatch;
use crate::security::Principal;
use crate::{agent_api, certificate_stores};

/// One of several servers on one database.
pub struct Replica {
    parts: Arc<Parts>,
}

impl Replica {
    /// The server that was built, which never listens.
    pub fn of(application: &Application) -> Self {
        Self { parts: Arc::clone(application.parts()) }
    }

    /// The same server after a crash: what it had in memory is gone.
    #[must_use]
    pub fn restarted(&self) -> Self {
        let floor = self.parts.floor.clone();
        let dispatch = Arc::new(Dispatch::default());
        let parts = Parts {
            adds: Arc::new(certificate_stores::start_adds(floor.clone())),
            completions: Arc::new(agent_api::start_completions(floor.clone(), Arc::clone(&dispatch))),
            directory: Arc::new(Directory::default()),
            calls: Calls::default(),
            callers: Arc::clone(&self.parts.callers),
            authority: Arc::clone(&self.parts.authority),
            pace: Arc::new(agent_api::Pace::new(&floor.configuration.limits)),
            dispatch,
            floor,
        };
        Self { parts: Arc::new(parts) }
    }

    /// Its shared parts, for sweeps by name.
    pub fn parts(&self) -> &Arc<Parts> {
        &self.parts
    }

    /// An operator who may do everything adds a certificate to stores.
    ///
    /// # Errors
    /// Why it was refused, or what failed.
    pub async fn add(&self, request: AddCertificate) -> Result<Vec<JobId>, String> {
        let parts = &self.parts;
        let caller = Principal::system("simulation");
        let added =
            certificate_stores::submit_add(&parts.floor, &parts.adds, &parts.dispatch, caller, request);
        added.await.map_err(|failure| failure.to_string())
    }

    /// An agent asks for jobs.
    ///
    /// # Errors
    /// Why it was refused, or what failed.
    pub async fn lease(&self, agent: AgentId, request: LeaseRequest) -> Result<LeaseAnswer, String> {
        let parts = &self.parts;
        let (floor, directory) = (&parts.floor, &parts.directory);
        let leased = agent_api::lease(floor, &parts.authority, directory, &parts.dispatch, agent, request);
        leased.await.map_err(|refusal| refusal.to_string())
    }

    /// An agent keeps its leases.
    ///
    /// # Errors
    /// Why it was refused, or what failed.
    pub async fn renew(&self, agent: AgentId, request: &RenewRequest) -> Result<RenewAnswer, String> {
        agent_api::renew(&self.parts.floor, agent, request).await.map_err(|refusal| refusal.to_string())
    }

    /// An agent uploads a page of an inventory.
    ///
    /// # Errors
    /// Why it was refused, or what failed.
    pub async fn upload(&self, agent: AgentId, page: InventoryPage) -> Result<InventoryAnswer, String> {
        agent_api::upload_page(&self.parts.floor, agent, page).await.map_err(|refusal| refusal.to_string())
    }

    /// An agent reports finished attempts.
    ///
    /// # Errors
    /// Why it was refused, or what failed.
    pub async fn complete(&self, agent: AgentId, reports: Vec<Completion>) -> Result<CompleteAnswer, String> {
        let completed = agent_api::complete(&self.parts.completions, agent, reports);
        completed.await.map_err(|failure| failure.to_string())
    }
}
