//! The first acts: a server, two web servers with their agents, and the certificate stores.

use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;
use support::programs;

use super::Cast;
use crate::endings;
use crate::hosts::{self, Host, Server};
use crate::narration::{Narration, typed};
use crate::operator::{Operator, text};
use crate::stage::{self, Stage};

/// What an agent's status says once it is approved (operator contract, chapter 3.5).
const APPROVED: i64 = 2;
/// File with the password of the share.
const SHARE_PASSWORD: &str = "share-password";

/// Starts the server, and logs the operator in.
pub(super) async fn server<'a>(stage: &'a Stage, narration: &'a Narration) -> Result<Cast<'a>> {
    narration.act("A server, with a Postgres of its own");
    narration.say(&format!("Everything is in {}; commands run there.", stage.directory().display()));
    let arguments = ["serve", "--data-dir", "server", "--listen", "127.0.0.1:0"].map(str::to_owned);
    narration.command(&format!("sealift-server {}", typed(&arguments)));
    let mut command = Command::new(programs::path("sealift-server"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(stage.path("server"));
    let line = stage.start_and_hear(endings::LAST, &mut command).await?;
    let ready: Value = serde_json::from_str(&line).with_context(|| format!("the server says: {line}"))?;
    let base_url = text(&ready, "BaseUrl")?;
    narration.say(&format!("ready after {:.1} s: {base_url}", narration.elapsed().as_secs_f64()));

    let operator = Operator::new(stage, narration);
    let credentials = ["--ca-file", "server/ca.pem", "--credentials", "server/administrator.json"];
    operator.run(&[&["login", "--server", &base_url], &credentials[..]].concat()).await?;
    operator.run(&["status"]).await?;
    let door = Server { agent_url: text(&ready, "AgentUrl")?, ca_file: text(&ready, "CaFile")?.into() };
    Ok(Cast { stage, narration, operator, hosts: Vec::new(), base_url, door })
}

/// Starts both web servers, and an agent beside each, which a one-time token approves.
pub(super) async fn web_servers(cast: &mut Cast<'_>) -> Result<()> {
    let (stage, narration) = (cast.stage, cast.narration);
    narration.act("Two web servers, and an agent beside each");
    let password_file = stage.write(SHARE_PASSWORD, 0o600, &uuid::Uuid::new_v4().simple().to_string())?;
    let share = hosts::start_listener(stage, &password_file).await?;
    let nginx = hosts::start_nginx(stage).await?;
    narration.say(&format!(
        "{}: a TLS listener on {}, which opens share/<name>.pfx at",
        share.machine, share.address
    ));
    narration.say("each handshake, as IIS does with a Central Certificate Store. The share is empty.");
    narration.say(&format!(
        "{}: nginx on {}, with a certificate that nobody trusts.",
        nginx.machine, nginx.address
    ));

    let rules = [hosts::share_rule(&share), hosts::nginx_rule(stage, &nginx)?];
    for (host, rule) in [share, nginx].into_iter().zip(rules) {
        stage.make_directory(host.agent)?;
        let token = format!("{}/enrollment-token", host.agent);
        cast.operator.run(&["agents", "token", "--client-machine", host.machine, "--out", &token]).await?;
        narration.command(&format!("sealift-agent run --config {}/agent.toml", host.agent));
        hosts::start_agent(stage, &host, &cast.door, &rule)?;
        cast.hosts.push((host, String::new()));
    }
    stage::until("both agents to be approved", async || {
        let agents = cast.operator.look(&["agents", "list"]).await?;
        let approved = |agent: &&Value| agent["Status"] == APPROVED;
        let count = agents.as_array().map_or(0, |agents| agents.iter().filter(approved).count());
        Ok((count == cast.hosts.len()).then_some(()))
    })
    .await?;
    cast.operator.run(&["agents", "list"]).await
}

/// Makes a certificate store of each web server known.
pub(super) async fn certificate_stores(cast: &mut Cast<'_>) -> Result<()> {
    cast.narration.act("Their certificate stores");
    let agents = cast.operator.look(&["agents", "list"]).await?;
    for (host, store) in &mut cast.hosts {
        let agent =
            agents.as_array().into_iter().flatten().find(|agent| agent["ClientMachine"] == host.machine);
        let agent = text(agent.with_context(|| format!("{} has no agent", host.machine))?, "AgentId")?;
        let created = create(&cast.operator, host, &agent).await?;
        *store = text(&created, "Id")?;
        cast.narration.say(&format!("store {store} on {}", host.machine));
    }
    Ok(())
}

async fn create(operator: &Operator<'_>, host: &Host, agent: &str) -> Result<Value> {
    let path = host.store.display().to_string();
    let key = format!("PrivateKeyPath={}", host.store.with_extension("key").display());
    let kind = match host.store.is_dir() {
        true => ["--type", "CCS", "--password-file", SHARE_PASSWORD],
        false => ["--type", "PEM", "--property", &key],
    };
    let place = ["stores", "create", "--agent", agent, "--client-machine", host.machine, "--path", &path];
    operator.ask(&[&place[..], &kind[..]].concat()).await
}
