//! `sealift agents`: who may fetch jobs.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sealift_protocol::AgentId;
use sealift_protocol::operator::agents::{Agent, CreateEnrollmentToken, EnrollmentToken};

use super::{Listing, tokens};
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Output, Table, fixed, flexible, time_or_dash};

/// `Status` of an agent that waits for approval (operator contract, chapter 3.5).
const NEW: i32 = 1;

#[derive(Debug, Subcommand)]
pub(super) enum Agents {
    /// List agents; new ones with the fingerprint to compare before approving
    List(Listing),
    /// Approve agents: they get an identity and may fetch jobs
    Approve(Named),
    /// Disapprove agents: they get no jobs any more
    Disapprove(Named),
    /// Make a one-time enrollment token, which approves the agent that presents it
    Token(Token),
}

#[derive(Debug, Args)]
pub(super) struct Named {
    /// The agent
    #[arg(value_name = "GUID", required = true)]
    agents: Vec<AgentId>,
}

#[derive(Debug, Args)]
pub(super) struct Token {
    /// Only for an agent on this machine
    #[arg(long, value_name = "NAME")]
    client_machine: Option<String>,
    /// How long the token may be used [default: the server's, 60]
    #[arg(long, value_name = "MINUTES")]
    valid_minutes: Option<i64>,
    /// Write the token to a new file with mode 0600 instead of printing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Agents {
    pub(super) async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::List(listing) => {
                let answer = client.get(&["Agents"], &listing.query()).await?;
                output.page(&answer, |answer| Ok(table(&answer.read::<Vec<Agent>>()?)))
            }
            Self::Approve(named) => named.decide(client, output, "Approve", "approved").await,
            Self::Disapprove(named) => named.decide(client, output, "Disapprove", "disapproved").await,
            Self::Token(token) => token.run(client, output).await,
        }
    }
}

impl Named {
    /// `POST /Agents/Approve` or `/Disapprove`.
    async fn decide(
        self,
        client: &Client,
        output: &Output,
        decision: &str,
        decided: &str,
    ) -> Result<(), Failure> {
        let answer = client.post(&["Agents", decision], &self.agents).await?;
        if output.is_json() {
            return output.json(answer.body());
        }
        self.agents.iter().try_for_each(|agent| output.line(&format!("{agent} {decided}")))
    }
}

impl Token {
    /// `POST /Agents/EnrollmentTokens`.
    async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let destination = tokens::Destination::new(self.out, output)?;
        let request =
            CreateEnrollmentToken { client_machine: self.client_machine, valid_minutes: self.valid_minutes };
        let answer = client.post(&["Agents", "EnrollmentTokens"], &request).await?;
        let made: EnrollmentToken = answer.read()?;
        destination.hand_over(output, &answer, &made.token, made.expires)
    }
}

fn status(status: i32) -> String {
    match status {
        NEW => "new".to_owned(),
        2 => "approved".to_owned(),
        3 => "disapproved".to_owned(),
        other => format!("unknown ({other})"),
    }
}

fn table(agents: &[Agent]) -> Table {
    let mut table = Table::new(&[
        fixed("AGENT"),
        flexible("MACHINE"),
        fixed("STATUS"),
        fixed("LAST SEEN"),
        flexible("VERSION"),
        flexible("CAPABILITIES"),
        fixed("KEY FINGERPRINT"),
    ]);
    for agent in agents {
        // Whoever approves compares it with what the agent shows; later it is of no use.
        let fingerprint = if agent.status == NEW { agent.key_fingerprint.as_str() } else { "" };
        table.row([
            &agent.agent_id.to_string(),
            &agent.client_machine,
            &status(agent.status),
            &time_or_dash(agent.last_seen),
            &agent.version,
            &agent.capabilities.join(", "),
            fingerprint,
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::captured::Captured;
    use crate::responder::{Reply, Responder};

    const AGENT: &str = "4f8f1f0c-6b41-4a3e-9b2e-0b7a0f7f5c11";

    #[tokio::test]
    async fn approval_sends_the_ids_as_an_array() {
        let responder = Responder::start(vec![Reply::new(204, "")]);
        let captured = Captured::default();
        Agents::Approve(Named { agents: vec![AGENT.parse().unwrap()] })
            .run(&responder.client(), &captured.output(false, None))
            .await
            .unwrap();
        assert_eq!(captured.text(), format!("{AGENT} approved\n"));
        let asked = &responder.asked()[0];
        assert_eq!(asked.line, "POST /Agents/Approve");
        assert_eq!(asked.body, format!("[\"{AGENT}\"]"));
        assert!(asked.headers.contains("x-keyfactor-requested-with: apiclient"), "{}", asked.headers);
        assert!(asked.headers.contains("x-keyfactor-api-version: 1"), "{}", asked.headers);
        assert!(asked.headers.contains("authorization: bearer canary-token"), "{}", asked.headers);
    }

    #[tokio::test]
    async fn a_list_tells_how_much_more_there_is() {
        let agent = format!(
            r#"[{{"AgentId":"{AGENT}","ClientMachine":"web1.example.test","Username":"a","AgentPlatform":5,
                "Version":"0.1.0.0","Status":1,"Capabilities":["PEM","CCS"],"Blueprint":null,"Thumbprint":"",
                "LegacyThumbprint":"","LastThumbprintUsed":"","AuthCertificateReenrollment":"None",
                "LastErrorCode":null,"LastErrorMessage":null,"KeyFingerprint":"ab12"}}]"#
        );
        let responder = Responder::start(vec![Reply::new(200, &agent).with_header("x-total-count", "3")]);
        let captured = Captured::default();
        let listing = Listing { limit: Some(1), ..Listing::default() };
        Agents::List(listing).run(&responder.client(), &captured.output(false, None)).await.unwrap();
        let text = captured.text();
        assert!(text.contains("web1.example.test  new     -          0.1.0.0  PEM, CCS"), "{text}");
        assert!(text.ends_with("1 of 3; --page, --limit and --query show others\n"), "{text}");
        assert_eq!(responder.asked()[0].line, "GET /Agents?ReturnLimit=1");
    }
}
