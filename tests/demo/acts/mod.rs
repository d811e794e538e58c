//! What happens in the demo, act by act.

mod deployment;
mod opening;
mod rotation;

use anyhow::Result;

use crate::hosts::{Host, Server};
use crate::narration::Narration;
use crate::operator::Operator;
use crate::stage::Stage;

/// The names in the certificate.
const NAMES: [&str; 3] = ["shop.example.test", "www.example.test", "*.example.test"];
/// The names that clients ask for; the last one is nowhere but in the wildcard.
const ASKED: [&str; 3] = ["shop.example.test", "www.example.test", "blog.example.test"];

/// Everything that plays along.
struct Cast<'a> {
    stage: &'a Stage,
    narration: &'a Narration,
    operator: Operator<'a>,
    /// The web servers, each with the id of its certificate store once it is known.
    hosts: Vec<(Host, String)>,
    /// Where the operator API is.
    base_url: String,
    /// What the agents are told of the server.
    door: Server,
}

/// A certificate as the server knows it.
struct Enrolled {
    id: String,
    thumbprint: String,
    serial: String,
}

/// Plays all acts. Whatever is shown has been checked; the first thing that is not as it should be ends the demo.
pub(crate) async fn play(stage: &Stage, narration: &Narration) -> Result<()> {
    let mut cast = opening::server(stage, narration).await?;
    opening::web_servers(&mut cast).await?;
    opening::certificate_stores(&mut cast).await?;
    let enrolled = deployment::first_certificate(&cast).await?;
    deployment::what_clients_see(&cast, &enrolled).await?;
    rotation::rotate(&cast, &enrolled).await?;
    narration.act("Where it all happened");
    narration.say(&format!("operator API    {}", cast.base_url));
    narration.say(&format!("data directory  {}", stage.path("server").display()));
    Ok(())
}

/// Tells how to go on with a demo that stays, and how to end it.
pub(crate) fn tell_what_is_kept(stage: &Stage, narration: &Narration) {
    narration.act("The end: everything goes on running");
    for (name, number) in stage.processes() {
        narration.say(&format!("{name:<15} process {number}"));
    }
    narration.say("To go on as the operator:");
    narration.command(&format!("cd {}", stage.directory().display()));
    narration.command(&format!("export XDG_CONFIG_HOME={}", stage.path("operator").display()));
    narration.command(&format!("{} status", support::programs::path("sealift").display()));
    narration.say("To end it all:");
    narration.command("make clean-demo");
    narration.total();
}
