//! A simulated agent: it has an identity and stores, leases and reports as the real one does, and touches no file.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sealift_pki::{KeyAlgorithm, PrivateKey};
use sealift_protocol::agent::inventory::{InventoryAnswer, InventoryDisposition, InventoryPage, StoreEntry};
use sealift_protocol::agent::leases::{
    CompleteAnswer, CompleteRequest, Completion, Disposition, LeaseKey, LeaseRequest, Outcome, Step,
};
use sealift_protocol::agent::registration::Registered;
use sealift_protocol::agent::{VIRTUAL_DIRECTORY, paths};
use sealift_protocol::{AgentId, JobId, Secret, StoreId};
use serde::{Deserialize, Serialize};
use tokio_rustls::TlsConnector;
use uuid::Uuid;

use crate::connection::{Connection, Door};

/// An agent.
pub(crate) struct Agent {
    pub(crate) id: AgentId,
    pub(crate) machine: String,
    pub(crate) stores: Vec<StoreId>,
    door: Arc<Door>,
    tls: TlsConnector,
    manner: Arc<Manner>,
}

/// How simulated agents report.
pub(crate) struct Manner {
    /// Steps of each report.
    pub(crate) steps: u16,
    /// Base64 DER of what a changed inventory finds; none for inventories that find nothing changed.
    pub(crate) changed: Option<String>,
}

/// A leased job, as far as a simulated agent reads it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Job {
    job_id: JobId,
    lease_token: Uuid,
    store: Store,
    work: Work,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Store {
    inventory_version: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Work {
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Leased {
    jobs: Vec<Job>,
}

impl Job {
    /// Whether it is an inventory.
    pub(crate) fn is_inventory(&self) -> bool {
        self.work.kind == "Inventory"
    }

    fn lease(&self) -> LeaseKey {
        LeaseKey { job_id: self.job_id, lease_token: self.lease_token }
    }
}

impl Agent {
    /// Registers with a one-time token, which approves it.
    pub(crate) async fn enroll(
        anonymous: &reqwest::Client,
        site: (&Arc<Door>, &str),
        machine: &str,
        token: &Secret,
        manner: &Arc<Manner>,
    ) -> Result<Self> {
        let (door, agent_url) = site;
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
        let request = support::agent::registration(machine, &key, Some(token.expose()));
        let address = format!("{agent_url}/{}", paths::REGISTER);
        let answer = anonymous.post(address).json(&request).send().await?.error_for_status()?;
        let session = answer.json::<Registered>().await?.session.context("an agent was not approved")?;
        let certificate = STANDARD.decode(session.certificate.context("an agent got no certificate")?)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_pkcs8_der().to_vec()));
        Ok(Self {
            id: session.agent_id.parse()?,
            machine: machine.to_owned(),
            stores: Vec::new(),
            tls: door.tls(Some((CertificateDer::from(certificate), key)))?,
            door: Arc::clone(door),
            manner: Arc::clone(manner),
        })
    }

    /// Connects.
    pub(crate) async fn connect(&self) -> Result<AgentLine> {
        let connection = Connection::open(&self.door, &self.tls).await?;
        Ok(AgentLine { connection, instance: Uuid::new_v4(), manner: Arc::clone(&self.manner) })
    }
}

/// A kept connection of an agent.
pub(crate) struct AgentLine {
    connection: Connection,
    instance: Uuid,
    manner: Arc<Manner>,
}

impl AgentLine {
    async fn call<T: Serialize>(&mut self, path: &str, request: &T) -> Result<&[u8]> {
        let body = serde_json::to_vec(request)?;
        self.connection.call(&format!("POST /{VIRTUAL_DIRECTORY}/{path}"), "", &body).await?.body()
    }

    /// Leases due jobs; waits for at most so many seconds.
    pub(crate) async fn lease(&mut self, max_jobs: u16, wait_seconds: u16) -> Result<Vec<Job>> {
        self.lease_anew(max_jobs, wait_seconds, false).await
    }

    /// The same; with `recover` the server looks at the database whatever it believes.
    pub(crate) async fn lease_anew(
        &mut self,
        max_jobs: u16,
        wait_seconds: u16,
        recover: bool,
    ) -> Result<Vec<Job>> {
        let instance = self.instance;
        let request = LeaseRequest { max_jobs, wait_seconds, instance, recover, ..LeaseRequest::default() };
        let answer: Leased = serde_json::from_slice(self.call(paths::LEASE, &request).await?)?;
        Ok(answer.jobs)
    }

    /// Reports jobs in one call; each is durable when this returns.
    pub(crate) async fn report(&mut self, jobs: &[Job], outcome: Outcome) -> Result<()> {
        let steps = |ordinal| Step {
            ordinal,
            code: "certificate_written".to_owned(),
            message: "wrote the file beside the old one and renamed it".to_owned(),
            elapsed_milliseconds: ordinal.into(),
            duration_milliseconds: None,
            before: None,
            after: None,
        };
        let completions = jobs.iter().map(|job| Completion {
            steps: (1..=self.manner.steps).map(steps).collect(),
            ..Completion::new(job.lease(), outcome, "certificate added to store")
        });
        let request = CompleteRequest { completions: completions.collect() };
        let answer: CompleteAnswer = serde_json::from_slice(self.call(paths::COMPLETE, &request).await?)?;
        let recorded = answer.receipts.iter().filter(|receipt| receipt.disposition == Disposition::Recorded);
        ensure!(recorded.count() == jobs.len(), "a report was not recorded");
        Ok(())
    }

    /// Uploads an inventory in one page.
    pub(crate) async fn upload(&mut self, job: &Job) -> Result<()> {
        let base = job.store.inventory_version.clone();
        let entry = self.manner.changed.as_ref().map(|certificate| StoreEntry {
            alias: "www".to_owned(),
            certificates: vec![certificate.clone()],
            private_key_entry: true,
            parameters: Default::default(),
        });
        let version = match (&entry, &base) {
            (None, Some(base)) => base.clone(),
            _ => job.job_id.to_string(),
        };
        let entries = entry.into_iter().collect();
        let page = InventoryPage {
            lease: job.lease(),
            base,
            version,
            page: 1,
            last: true,
            entries,
            removed: Vec::new(),
        };
        let answer: InventoryAnswer = serde_json::from_slice(self.call(paths::INVENTORY, &page).await?)?;
        ensure!(answer.disposition == InventoryDisposition::Stored, "an inventory was not stored");
        Ok(())
    }

    /// Runs a job as the real agent would, with a report of its own.
    pub(crate) async fn run(&mut self, job: &Job) -> Result<()> {
        if job.is_inventory() {
            self.upload(job).await?;
        }
        self.report(std::slice::from_ref(job), Outcome::Success).await
    }
}
