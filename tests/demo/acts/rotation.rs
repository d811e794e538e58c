//! The last act: the certificate is replaced while clients are connected, and they notice nothing.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::{ASKED, Cast, Enrolled, deployment};
use crate::hosts::{Host, NGINX};
use crate::stage;
use crate::witness::{OpenConnection, s_client};

/// Rotates the certificate under two open connections.
pub(super) async fn rotate(cast: &Cast<'_>, before: &Enrolled) -> Result<()> {
    cast.narration.act("Rotation, with connections open");
    let mut connections = Vec::new();
    for (host, _) in &cast.hosts {
        let mut connection = OpenConnection::open(&cast.door.ca_file, host, ASKED[0]).await?;
        cast.narration.say(&format!("{}: {}", host.what, connection.request().await?));
        // At a reload, nginx closes connections on which nothing is asked; so that one is in the midst of a request.
        if host.what == NGINX {
            connection.begin_request().await?;
        }
        connections.push(connection);
    }
    cast.narration
        .say("Both connections stay open. The one to nginx, which closes idle ones when it is reloaded,");
    cast.narration.say("has the first half of another request behind it.");

    let after = deployment::enroll(cast).await?;
    deployment::deploy(cast, &after).await?;
    ensure!(after.serial != before.serial, "the new certificate has the old serial number");

    for ((host, _), connection) in cast.hosts.iter().zip(&mut connections) {
        taken_up(cast, host, &after).await?;
        let answer = match host.what {
            NGINX => connection.finish_request().await?,
            _ => connection.request().await?,
        };
        cast.narration.say(&format!("{}: {answer}", host.what));
        cast.narration.say(&format!("  on the old connection, opened with serial {}", connection.serial));
        ensure!(
            connection.serial.eq_ignore_ascii_case(&before.serial),
            "the old connection shows another certificate"
        );
    }
    cast.narration.say("New connections get the new certificate:");
    for (host, _) in &cast.hosts {
        for name in ASKED {
            let seen = s_client(cast.stage, None, host, name).await?;
            deployment::check(&seen, &after)?;
            cast.narration.say(&format!("{:<9} {name:<18} serial={}", host.what, seen.value("serial")));
        }
    }
    Ok(())
}

/// Waits until new connections get the certificate.
async fn taken_up(cast: &Cast<'_>, host: &Host, enrolled: &Enrolled) -> Result<()> {
    let began = Instant::now();
    stage::until("the new certificate to be served", async || {
        let connection = OpenConnection::open(&cast.door.ca_file, host, ASKED[0]).await?;
        Ok(connection.serial.eq_ignore_ascii_case(&enrolled.serial).then_some(()))
    })
    .await?;
    let milliseconds = began.elapsed().as_millis();
    cast.narration
        .say(&format!("{}: serves the new certificate, {milliseconds} ms after the job's end", host.what));
    Ok(())
}
