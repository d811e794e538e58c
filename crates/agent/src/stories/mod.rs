//! Whole runs of the agent against a scripted door, one story for each test.

mod delivery;
mod inventory;
mod management;
mod reenrollment;
mod refusals;
mod transactions;

use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sealift_pki::{Certificate, Issuer, PrivateKey};
use sealift_protocol::agent::inventory::{InventoryDisposition, InventoryPage};
use sealift_protocol::agent::leases::{
    AddWork, Completion, LeasedJob, Outcome, RemoveWork, Step, StoreDescription, Work,
};
use sealift_protocol::{JobId, Secret, StoreId};
use sealift_stores::atomic_file;
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use crate::scripted_server::{
    Answer, Call, ScriptedServer, accept, authority, certify, host_certificate, text,
};
use crate::{Agent, locked, poll, report};

/// What the door does beside accepting everything.
#[derive(Default)]
struct Door {
    /// Answers to polls, in order; then polls are held.
    leases: Mutex<Vec<Value>>,
    /// Answers to inventory pages, in order; then pages are stored.
    dispositions: Mutex<Vec<InventoryDisposition>>,
    /// Statuses that completions are refused with, by a text in their body.
    refused: Mutex<Vec<(String, u16)>>,
    /// Jobs whose leases are lost when they are renewed.
    lost: Mutex<Vec<JobId>>,
    /// Whether keys are not certified.
    refuses_enrollment: std::sync::atomic::AtomicBool,
    authority: std::sync::OnceLock<Arc<Issuer>>,
}

impl Door {
    fn answer(&self, call: &Call) -> Answer {
        match call.path.as_str() {
            "Session/Register" => accept(self.authority.get().unwrap(), call),
            "Sealift/Lease" => {
                let mut leases = locked(&self.leases);
                if leases.is_empty() { Answer::Held } else { Answer::Json(leases.remove(0)) }
            }
            "Sealift/Inventory" => {
                let mut left = locked(&self.dispositions);
                let said = if left.is_empty() { InventoryDisposition::Stored } else { left.remove(0) };
                Answer::Json(json!({ "Disposition": said }))
            }
            "Sealift/Enroll" if self.refuses_enrollment.load(std::sync::atomic::Ordering::Relaxed) => {
                Answer::Json(json!({ "Refused": "not by this template" }))
            }
            "Sealift/Enroll" => {
                let leaf = certify(self.authority.get().unwrap(), call.body["CSR"].as_str().unwrap());
                Answer::Json(json!({ "Certificates": [STANDARD.encode(leaf.der())] }))
            }
            "Sealift/Complete" => self.receive(call),
            "Sealift/Renew" => {
                let jobs = call.body["Leases"].as_array().unwrap().iter().map(|lease| lease["JobId"].clone());
                let lost = json!(*locked(&self.lost));
                let (lost, renewed): (Vec<_>, Vec<_>) =
                    jobs.partition(|job| lost.as_array().unwrap().contains(job));
                Answer::Json(json!({ "Renewed": renewed, "Lost": lost, "LeaseSeconds": 90 }))
            }
            _ => Answer::Raw(204, "", String::new()),
        }
    }

    fn receive(&self, call: &Call) -> Answer {
        let body = call.body.to_string();
        if let Some((_, status)) = locked(&self.refused).iter().find(|(text, _)| body.contains(text)) {
            return Answer::Raw(*status, "", String::new());
        }
        let completions = call.body["Completions"].as_array().unwrap();
        let receipts =
            completions.iter().map(|one| json!({ "JobId": one["JobId"], "Disposition": "Recorded" }));
        Answer::Json(json!({ "Receipts": receipts.collect::<Vec<_>>() }))
    }
}

struct Story {
    door: Arc<Door>,
    server: ScriptedServer,
    agent: Agent,
    tell: watch::Sender<bool>,
    store: StoreId,
}

impl Story {
    /// An agent that may use PEM stores below `tls/`, with a command after a change where one is given, Java keystores
    /// there, the Central Certificate Store `share`, and the PKCS#12 file `tls/site.p12`.
    async fn begin(command: Option<&str>) -> Self {
        let door = Arc::new(Door::default());
        let server = ScriptedServer::start({
            let door = Arc::clone(&door);
            move |call| door.answer(call)
        })
        .await;
        door.authority.set(Arc::clone(&server.authority)).ok().unwrap();
        std::fs::create_dir(server.path("tls")).unwrap();
        let after = command.map_or(String::new(), |script| {
            format!("after_change = {{ command = ['/bin/sh', '-c', \"\"\"{script}\"\"\"] }}")
        });
        let lines = format!(
            "[[stores]]\ntype = 'PEM'\npath_prefix = '{}'\n{after}\n[[stores]]\ntype = 'JKS'\npath_prefix = '{}'\n\
             [[stores]]\ntype = 'CCS'\npath = '{}'\n[[stores]]\ntype = 'PKCS12'\npath = '{}'\n",
            server.path("tls").display(),
            server.path("tls").display(),
            server.path("share").display(),
            server.path("tls/site.p12").display(),
        );
        let (agent, tell) = server.known_agent(&lines, 0, 90);
        Self { door, server, agent, tell, store: StoreId::generate() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.server.path("tls/site.pem")
    }

    fn job(&self, work: Work) -> LeasedJob {
        LeasedJob {
            job_id: JobId::generate(),
            audit_id: 1,
            attempt: 1,
            lease_token: Uuid::new_v4(),
            lease_seconds: 90,
            store: StoreDescription {
                store_id: self.store,
                store_type: "PEM".to_owned(),
                path: self.path().to_str().unwrap().to_owned(),
                password: None,
                properties: [].into(),
                inventory_version: None,
            },
            work,
            verification: None,
            dry_run: false,
        }
    }

    fn give(&self, jobs: &[&LeasedJob]) {
        locked(&self.door.leases).push(json!({ "Jobs": jobs, "PauseSeconds": 0 }));
    }

    /// Runs the agent until so many attempts were reported, then stops it.
    async fn run_until_reported(&self, count: usize) -> Vec<Completion> {
        let reported = async {
            while self.reported().len() < count {
                self.server.changed().await;
            }
            while self.agent.outbox.len() > 0 {
                tokio::task::yield_now().await;
            }
            self.tell.send_replace(true);
            self.reported()
        };
        tokio::select! {
            (completions, ()) = async { tokio::join!(reported, poll::run(&self.agent)) } => completions,
            never = crate::heartbeat::run(&self.agent.leases, &self.agent.client) => match never {},
            never = report::run(&self.agent) => match never {},
        }
    }

    /// Attempts that were reported in calls that were not refused.
    fn reported(&self) -> Vec<Completion> {
        let refused = locked(&self.door.refused);
        let calls = self.server.calls().into_iter().filter(|call| call.path == "Sealift/Complete");
        let heard =
            calls.filter(|call| !refused.iter().any(|(text, _)| call.body.to_string().contains(text)));
        heard
            .flat_map(|call| {
                serde_json::from_value::<Vec<Completion>>(call.body["Completions"].clone()).unwrap()
            })
            .collect()
    }

    fn pages(&self) -> Vec<InventoryPage> {
        let calls = self.server.calls().into_iter().filter(|call| call.path == "Sealift/Inventory");
        calls.map(|call| serde_json::from_value(call.body).unwrap()).collect()
    }
}

fn add(certificate: &Certificate, key: &PrivateKey) -> Work {
    Work::Add(AddWork {
        alias: None,
        certificates: vec![STANDARD.encode(certificate.der())],
        private_key: Some(Secret::new(STANDARD.encode(key.to_pkcs8_der()))),
        entry_password: None,
        overwrite: true,
        create_if_missing: true,
        job_fields: [].into(),
    })
}

fn codes(steps: &[Step]) -> Vec<&str> {
    steps.iter().map(|step| step.code.as_str()).collect()
}

fn count_files(directory: &Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

/// Rewrites the relative names of a command, which runs in the root directory.
async fn story_with_marker(story: Story) -> Story {
    let mut story = story;
    let tls = story.server.path("tls");
    for rule in &mut story.agent.configuration.stores {
        if let Some(command) = &mut rule.after_change {
            command.command[2] = format!("cd '{}' && {}", tls.display(), command.command[2]);
        }
    }
    story
}
