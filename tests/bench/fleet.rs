//! The simulated agents, their stores, and the certificate that is brought to them.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealift_protocol::{Secret, StoreId};
use serde_json::json;
use support::client::http;
use tokio::task::JoinSet;

use crate::agent::{Agent, Manner};
use crate::arguments::Arguments;
use crate::site::Site;

/// Stores in all, so that a case can have a job waiting on each.
const STORES: u32 = 32_000;
/// Stores of one agent, at least: a claim takes at most one job of each.
const LEAST_STORES: u32 = 100;
/// Registrations under way at a time.
const REGISTERING: u32 = 8;
/// What the server believes the stores hold.
const KNOWN: &str = "known-from-the-start";

/// The fleet.
pub(crate) struct Fleet {
    pub(crate) agents: Vec<Arc<Agent>>,
    /// The certificate, as the server names it.
    pub(crate) certificate: i64,
    manner: Arc<Manner>,
}

impl Fleet {
    /// Enrolls a certificate, registers the agents through one-time tokens, and gives them stores.
    pub(crate) async fn make(site: &Site, arguments: &Arguments) -> Result<Self> {
        let certificate = support::story::enroll(&site.admin, &["www.example.test", "*.example.test"]).await;
        let changed = match arguments.changed_inventories {
            true => Some(certificate_text(site, certificate).await?),
            false => None,
        };
        let manner = Arc::new(Manner { steps: arguments.steps, changed });
        let mut agents = register(site, &manner, "agent", arguments.agents).await?;
        let each = (STORES / arguments.agents).max(LEAST_STORES);
        for agent in &mut agents {
            agent.stores = (0..each).map(|_| StoreId::generate()).collect();
        }
        insert_stores(site, &agents).await?;
        Ok(Self { agents: agents.into_iter().map(Arc::new).collect(), certificate, manner })
    }

    /// More agents, which have nothing to do.
    pub(crate) async fn idlers(&self, site: &Site, count: u32) -> Result<Vec<Arc<Agent>>> {
        let agents = register(site, &self.manner, "idle", count).await?;
        Ok(agents.into_iter().map(Arc::new).collect())
    }

    /// All stores, neighbours on different agents.
    pub(crate) fn stores(&self) -> Vec<StoreId> {
        let each = self.agents.first().map_or(0, |agent| agent.stores.len());
        (0..each)
            .flat_map(|place| self.agents.iter().filter_map(move |agent| agent.stores.get(place).copied()))
            .collect()
    }
}

async fn certificate_text(site: &Site, certificate: i64) -> Result<String> {
    let query = "SELECT content FROM certificates WHERE id = $1";
    let der: Vec<u8> = sqlx::query_scalar(query).bind(certificate).fetch_one(&site.product).await?;
    Ok(STANDARD.encode(der))
}

async fn register(site: &Site, manner: &Arc<Manner>, name: &'static str, count: u32) -> Result<Vec<Agent>> {
    let mut workers = JoinSet::new();
    for worker in 0..REGISTERING {
        let (admin, door, agent_url) = (site.admin.clone(), Arc::clone(&site.door), site.agent_url.clone());
        let (manner, anonymous) = (Arc::clone(manner), http(&site.ca_file, None));
        workers.spawn(async move {
            let mut agents = Vec::new();
            for number in (worker..count).step_by(REGISTERING as usize) {
                let machine = format!("{name}-{number}.example.test");
                let made =
                    admin.post("/Agents/EnrollmentTokens", &json!({"ClientMachine": machine})).await.ok();
                let token = Secret::new(made["Token"].as_str().context("no enrollment token")?);
                agents.push(Agent::enroll(&anonymous, (&door, &agent_url), &machine, &token, &manner).await?);
            }
            Ok::<_, anyhow::Error>(agents)
        });
    }
    let mut agents = Vec::new();
    while let Some(some) = workers.join_next().await {
        agents.extend(some??);
    }
    ensure!(agents.len() == count as usize, "not all agents were registered");
    Ok(agents)
}

async fn insert_stores(site: &Site, agents: &[Agent]) -> Result<()> {
    let rows = || agents.iter().flat_map(|agent| agent.stores.iter().map(move |store| (store, agent)));
    sqlx::query(include_str!("sql/make_stores.sql"))
        .bind(rows().map(|(store, _)| store.uuid()).collect::<Vec<_>>())
        .bind(rows().map(|(_, agent)| agent.id.uuid()).collect::<Vec<_>>())
        .bind(rows().map(|(_, agent)| agent.machine.clone()).collect::<Vec<_>>())
        .bind(KNOWN)
        .execute(&site.product)
        .await?;
    sqlx::raw_sql("VACUUM (ANALYZE) certificate_stores").execute(&site.product).await?;
    Ok(())
}
