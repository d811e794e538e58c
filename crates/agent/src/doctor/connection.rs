//! The way to the server, step by step, so that the first that fails is named: name, connection, TLS, HTTP, identity.
//! Its answer tells the offset of the clock, too.

use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::Findings;
use crate::clock_offset::{WRONG_SECONDS, offset};
use crate::configuration::Configuration;
use crate::identity::{Identity, wall_clock};
use crate::server_client::{CallError, ServerClient};

/// Time for a name or a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// Goes the way.
pub(super) async fn examine(
    findings: &mut Findings,
    configuration: &Configuration,
    identity: Option<&Identity>,
) {
    let client = match ServerClient::new(configuration) {
        Ok(client) => client,
        Err(error) => {
            return findings.problem("server", error.to_string(), "write the server's authority there");
        }
    };
    if !connected(findings, configuration).await {
        return;
    }
    match client.probe().await {
        Err(error) => return unanswered(findings, &error),
        Ok(answer) => {
            findings.ok(
                "server",
                format!("TLS is trusted by ca_file, and HTTP answers (status {})", answer.status),
            );
            if let Some(date) = answer.date.as_deref() {
                clock(findings, date);
            }
        }
    }
    let Some(identity) = identity else { return };
    if let Err(error) = client.identify(Some(identity)) {
        return findings.problem(
            "identity",
            error.to_string(),
            "restore it from a backup, or register the agent anew",
        );
    }
    match client.renew(&Default::default()).await {
        Ok(_) => findings.ok("identity", "the server accepts it"),
        Err(CallError::NotAccepted(reason)) => findings.problem(
            "identity",
            format!("the server does not accept it ({reason}): the agent is not approved, was reset, or the certificate is over"),
            "have an operator look at the agent with `sealift agents list`, and approve it",
        ),
        Err(error) => findings.warning("identity", format!("whether the server accepts it is not known: {error}"), "try again"),
    }
}

/// Name and connection, of the proxy where there is one.
async fn connected(findings: &mut Findings, configuration: &Configuration) -> bool {
    let (what, address) = match &configuration.proxy {
        Some(proxy) => ("the proxy", proxy),
        None => ("the server", &configuration.server_url),
    };
    let Ok(url) = reqwest::Url::parse(address) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let found = timeout(PATIENCE, lookup_host((host.as_str(), port))).await;
    let addresses: Vec<_> = match found {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => {
            let remedy = "correct the name in the configuration, or the machine's resolver";
            findings.problem(
                "server",
                format!("the name of {what}, '{host}', is not found: {error}"),
                remedy,
            );
            return false;
        }
        Err(_) => {
            findings.problem(
                "server",
                format!("the name of {what}, '{host}', was not answered in time"),
                "see the machine's resolver",
            );
            return false;
        }
    };
    let mut last = String::new();
    for address in &addresses {
        match timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {
                findings.ok(
                    "server",
                    format!("{what}, '{host}', is {} and takes connections at port {port}", address.ip()),
                );
                return true;
            }
            Ok(Err(error)) => last = format!("{address}: {error}"),
            Err(_) => last = format!("{address}: no answer in time"),
        }
    }
    findings.problem(
        "server",
        format!("{what}, '{host}', takes no connection: {last}"),
        "see whether it runs and listens there, and whether a firewall stands between",
    );
    false
}

fn unanswered(findings: &mut Findings, error: &CallError) {
    let text = error.to_string();
    let remedy = if text.contains("UnknownIssuer")
        || text.contains("BadSignature")
        || text.contains("CaUsedAsEndEntity")
    {
        "the server's certificate is from an authority that ca_file does not hold: fetch it from /ca/root.pem of the server, \
         compare its fingerprint, and write it there"
    } else if text.contains("NotValidForName") || text.contains("not valid for name") {
        "the server's certificate is for another name: correct server_url, or add the name to tls.names of the server"
    } else if text.contains("Expired") || text.contains("NotValidYet") || text.contains("expired") {
        "the server's certificate is over or not valid yet: see the clock of this machine, then the server"
    } else {
        "see whether the server runs, and whether something between answers in its place"
    };
    findings.problem("server", text, remedy);
}

fn clock(findings: &mut Findings, date: &str) {
    let Some(offset) = offset(date, wall_clock()) else { return };
    let seconds = offset.num_seconds();
    let message = format!("the clock of this machine is {seconds} s ahead of the server's");
    if seconds.abs() >= WRONG_SECONDS.into() {
        let remedy = "set it by NTP; jobs run all the same, but times in logs mislead";
        findings.warning("clock", message, remedy);
    } else {
        findings.ok("clock", message);
    }
}
