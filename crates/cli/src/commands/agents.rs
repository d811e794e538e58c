//! `sealift agents`: who may fetch jobs.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use sealift_protocol::AgentId;
use sealift_protocol::operator::agents::{Agent, CreateEnrollmentToken, EnrollmentToken};
use sealift_protocol::operator::orchestrator_jobs::{JobData, JobHistoryRow};
use tokio::time::Instant;

use super::jobs::newest_first;
use super::{Listing, tokens};
use crate::client::{Client, Query};
use crate::failure::Failure;
use crate::output::{Output, Table, fixed, flexible, time_or_dash};

/// How long a log is waited for when nothing else is said: longer than an idle agent's poll.
const LOG_SECONDS: u64 = 120;
/// How long it can be waited for at most: a day.
const LOG_SECONDS_MAX: u64 = 24 * 60 * 60;
/// Between two looks for it.
const LOG_INTERVAL: Duration = Duration::from_millis(500);
/// From here on the clock of an agent is told of.
const WRONG_CLOCK_SECONDS: i32 = 30;
/// `Result` of an attempt that failed.
const FAILED: i32 = 4;
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
    /// Have agents finish what they have and take no new jobs
    Drain(Named),
    /// Have drained agents take jobs again
    Resume(Named),
    /// Have an agent send the end of its log, wait for it, and print it
    Logs(Logs),
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
pub(super) struct Logs {
    /// The agent
    #[arg(value_name = "GUID")]
    agent: AgentId,
    /// How long to wait for the log
    #[arg(long, value_name = "SECONDS", default_value_t = LOG_SECONDS,
          value_parser = clap::value_parser!(u64).range(..=LOG_SECONDS_MAX))]
    timeout: u64,
}

#[derive(Debug, Args)]
pub(super) struct Token {
    /// The known agent that gets a new identity under its id, after it lost its own
    #[arg(long, value_name = "GUID", conflicts_with = "client_machine")]
    agent: Option<AgentId>,
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
            Self::Drain(named) => named.decide(client, output, "Drain", "drained").await,
            Self::Resume(named) => named.decide(client, output, "Resume", "resumed").await,
            Self::Logs(logs) => logs.run(client, output).await,
            Self::Token(token) => token.run(client, output).await,
        }
    }
}

impl Named {
    /// `POST /Agents/Approve`, `/Disapprove`, `/Drain` or `/Resume`.
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

impl Logs {
    /// `POST /Agents/{id}/FetchLogs`, then `GET /OrchestratorJobs/JobStatus/Data` of the attempt that ends next.
    async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let agent = self.agent.to_string();
        let before = self.last(client).await?.map_or(0, |row| row.job_history_id);
        client.post(&["Agents", &agent, "FetchLogs"], &serde_json::Value::Null).await?;
        let deadline = Instant::now() + Duration::from_secs(self.timeout);
        let row = loop {
            match self.last(client).await?.filter(|row| row.job_history_id > before) {
                Some(row) => break row,
                None if Instant::now() >= deadline => {
                    return Err(Failure::Operation(format!(
                        "agent {agent} has not sent its log within {} s; it does so when it takes jobs again, \
                         then `sealift jobs history` shows it",
                        self.timeout
                    )));
                }
                None => tokio::time::sleep(LOG_INTERVAL).await,
            }
        };
        if row.result == FAILED {
            return Err(Failure::Operation(format!("agent {agent} did not send its log: {}", row.message)));
        }
        let query = vec![("jobHistoryId", row.job_history_id.to_string())];
        let answer = client.get(&["OrchestratorJobs", "JobStatus", "Data"], &query).await?;
        if output.is_json() {
            return output.json(answer.body());
        }
        let sent: JobData = answer.read()?;
        sent.data.expose().lines().try_for_each(|line| output.line(line))
    }

    /// The last retrieval that ended.
    async fn last(&self, client: &Client) -> Result<Option<JobHistoryRow>, Failure> {
        let filter = format!("AgentId -eq \"{}\" AND JobType -eq \"FetchLogs\" AND Status -eq 3", self.agent);
        let mut query: Query = vec![("QueryString", filter), ("ReturnLimit", "1".to_owned())];
        query.extend(newest_first());
        let answer = client.get(&["OrchestratorJobs", "JobHistory"], &query).await?;
        Ok(answer.read::<Vec<JobHistoryRow>>()?.into_iter().next())
    }
}

impl Token {
    /// `POST /Agents/EnrollmentTokens`.
    async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let destination = tokens::Destination::new(self.out, output)?;
        let request = CreateEnrollmentToken {
            client_machine: self.client_machine,
            agent_id: self.agent,
            valid_minutes: self.valid_minutes,
        };
        let answer = client.post(&["Agents", "EnrollmentTokens"], &request).await?;
        let made: EnrollmentToken = answer.read()?;
        destination.hand_over(output, &answer, &made.token, made.expires)
    }
}

/// Approval, and what an operator should know beside it.
fn status(agent: &Agent) -> String {
    let mut status = match agent.status {
        NEW => "new".to_owned(),
        2 => "approved".to_owned(),
        3 => "disapproved".to_owned(),
        other => format!("unknown ({other})"),
    };
    if agent.drained.is_some() {
        status.push_str(", drained");
    }
    if agent.clone_seen.is_some() {
        status.push_str(", COPY SEEN");
    }
    if agent.clock_offset_seconds.is_some_and(|seconds| seconds.abs() >= WRONG_CLOCK_SECONDS) {
        status.push_str(", wrong clock");
    }
    status
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
            &status(agent),
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
    async fn the_log_that_comes_after_the_call_is_printed() {
        let row = |id: i64| {
            format!(
                r#"[{{"JobHistoryId":{id},"AgentMachine":"web1","JobId":"{AGENT}","JobType":"FetchLogs",
                    "OperationStart":"2026-11-25T02:00:00Z","Message":"","Result":2,"Status":3,"StorePath":"",
                    "ClientMachine":"web1","Attempt":1,"AgentId":"{AGENT}"}}]"#
            )
        };
        let responder = Responder::start(vec![
            Reply::new(200, &row(7)),
            Reply::new(204, ""),
            Reply::new(200, &row(7)),
            Reply::new(200, &row(8)),
            Reply::new(200, r#"{"JobHistoryId":8,"Data":"one\ntwo\n"}"#),
        ]);
        let captured = Captured::default();
        let logs = Logs { agent: AGENT.parse().unwrap(), timeout: 60 };
        Agents::Logs(logs).run(&responder.client(), &captured.output(false, None)).await.unwrap();
        assert_eq!(captured.text(), "one\ntwo\n");
        let asked: Vec<_> = responder.asked().iter().map(|asked| asked.line.clone()).collect();
        assert_eq!(asked[1], format!("POST /Agents/{AGENT}/FetchLogs"));
        assert_eq!(asked[4], "GET /OrchestratorJobs/JobStatus/Data?jobHistoryId=8");
    }

    #[tokio::test]
    async fn a_list_tells_how_much_more_there_is() {
        let agent = format!(
            r#"[{{"AgentId":"{AGENT}","ClientMachine":"web1.example.test","Username":"a","AgentPlatform":5,
                "Version":"0.1.0.0","Status":1,"Capabilities":["PEM","CCS"],"Blueprint":null,"Thumbprint":"",
                "LegacyThumbprint":"","LastThumbprintUsed":"","AuthCertificateReenrollment":"None",
                "LastErrorCode":null,"LastErrorMessage":null,"KeyFingerprint":"ab12",
                "Drained":{{"Since":"2026-11-25T02:00:00Z","OnMachine":true}}}}]"#
        );
        let responder = Responder::start(vec![Reply::new(200, &agent).with_header("x-total-count", "3")]);
        let captured = Captured::default();
        let listing = Listing { limit: Some(1), ..Listing::default() };
        Agents::List(listing).run(&responder.client(), &captured.output(false, None)).await.unwrap();
        let text = captured.text();
        assert!(text.contains("web1.example.test  new, drained  -          0.1.0.0  PEM, CCS"), "{text}");
        assert!(text.ends_with("1 of 3; --page, --limit and --query show others\n"), "{text}");
        assert_eq!(responder.asked()[0].line, "GET /Agents?ReturnLimit=1");
    }
}
