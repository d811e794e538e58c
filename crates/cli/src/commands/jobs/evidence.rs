//! What attempts found and proved, and what they would do: `sealift jobs evidence` and `--plan`.

use sealift_protocol::JobId;
use sealift_protocol::agent::verification::{Plan, PlannedCertificate, Verified};
use sealift_protocol::operator::orchestrator_jobs::AttemptEvidence;

use super::watch;
use crate::client::{Client, Query};
use crate::commands::{Planning, Waiting};
use crate::failure::Failure;
use crate::output::{Output, Table, fixed, flexible, or_dash, yes_or_no};

/// Waits for the jobs that a command made where that was asked for, and prints their plans where those are wanted.
pub(in crate::commands) async fn follow(
    client: &Client,
    output: &Output,
    jobs: &[JobId],
    waiting: &Waiting,
    planning: Planning,
) -> Result<(), Failure> {
    if jobs.is_empty() || !(waiting.wait || planning.plan) {
        return Ok(());
    }
    let ended = watch(client, output, jobs, &waiting.patience).await;
    // A job that failed may have told why before, and the others have plans.
    if planning.plan && matches!(ended, Ok(()) | Err(Failure::Operation(_))) {
        for job in jobs {
            plan(client, output, *job).await?;
        }
    }
    ended
}

async fn plan(client: &Client, output: &Output, job: JobId) -> Result<(), Failure> {
    let answer = client.get(&["OrchestratorJobs", &job.to_string(), "Evidence"], &Query::new()).await?;
    if output.is_json() {
        return output.json(answer.body());
    }
    let attempts: Vec<AttemptEvidence> = answer.read()?;
    match attempts.last().and_then(|last| last.evidence.plan.as_ref()) {
        Some(plan) => output.table(&plan_table(job, plan)),
        None => output.line(&format!("job {job} brought no plan")),
    }
}

/// `GET /OrchestratorJobs/{id}/Evidence`.
pub(super) async fn show(client: &Client, output: &Output, job: JobId) -> Result<(), Failure> {
    let answer = client.get(&["OrchestratorJobs", &job.to_string(), "Evidence"], &Query::new()).await?;
    output.show(&answer, |answer| Ok(table(&answer.read::<Vec<AttemptEvidence>>()?)))
}

fn plan_table(job: JobId, plan: &Plan) -> Table {
    let list = |texts: &[String]| or_dash((!texts.is_empty()).then(|| texts.join(", ")));
    let targets: Vec<String> =
        plan.targets.iter().map(|target| format!("{}:{}", target.host, target.port)).collect();
    Table::pairs([
        ("Job", job.to_string()),
        ("Changes anything", yes_or_no(plan.changes)),
        ("Certificate before", or_dash(plan.before.as_ref().map(certificate))),
        ("Certificate after", or_dash(plan.after.as_ref().map(certificate))),
        ("Names gained", list(&plan.names_gained)),
        ("Names lost", list(&plan.names_lost)),
        ("Files", list(&plan.files)),
        ("Command afterwards", or_dash(plan.after_change.as_ref())),
        ("Targets", list(&targets)),
        ("Notes", list(&plan.notes)),
    ])
}

fn certificate(planned: &PlannedCertificate) -> String {
    format!("{} ({}), until {}", planned.subject, planned.thumbprint, planned.not_after)
}

fn table(attempts: &[AttemptEvidence]) -> Table {
    let mut table = Table::new(&[
        fixed("ATTEMPT"),
        fixed("INSTALLED"),
        fixed("VERIFIED"),
        flexible("TARGET"),
        fixed("SHOWS"),
        flexible("REASON"),
    ]);
    for attempt in attempts {
        let (number, evidence) = (attempt.attempt.to_string(), &attempt.evidence);
        let (installed, verified) = (yes_or_no(evidence.installed), word(evidence.verified));
        if evidence.targets.is_empty() {
            table.row([&number, &installed, verified, "-", "-", "-"]);
        }
        for result in &evidence.targets {
            let name = result.target.server_name.as_ref().unwrap_or(&result.target.host);
            let target = format!("{}:{} as {name}", result.target.host, result.target.port);
            let (shown, reason) = (or_dash(result.thumbprint.as_ref()), or_dash(result.reason.as_ref()));
            table.row([&number, &installed, verified, &target, &shown, &reason]);
        }
    }
    table
}

fn word(verified: Verified) -> &'static str {
    match verified {
        Verified::NotAsked => "not asked",
        Verified::Verified => "yes",
        Verified::NotVerified => "no",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::captured::Captured;
    use crate::responder::{Reply, Responder};

    const JOB: &str = "c1d7b1d0-7b0e-4a6a-8f33-0a8b7b6e9d21";
    const EVIDENCE: &str = r#"[{"JobHistoryId":7,"Attempt":1,"Installed":false,"Verified":"NotAsked","Plan":
        {"Changes":true,"Before":{"Thumbprint":"AA","Subject":"CN=old","NotAfter":"2026-05-04T09:30:00Z","Names":[]},
         "Files":["/etc/tls/a.pem"],"NamesGained":[],"NamesLost":["old.example.test"],"Notes":[]}}]"#;

    #[tokio::test]
    async fn a_plan_names_both_certificates_and_the_names_lost() {
        let responder = Responder::start(vec![Reply::new(200, EVIDENCE), Reply::new(200, "[]")]);
        let captured = Captured::default();
        let (client, output) = (responder.client(), captured.output(false, None));
        plan(&client, &output, JOB.parse().unwrap()).await.unwrap();
        plan(&client, &output, JOB.parse().unwrap()).await.unwrap();
        let text = captured.text();
        for part in ["CN=old (AA), until 2026", "old.example.test", "/etc/tls/a.pem", "brought no plan"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(responder.asked()[0].line, format!("GET /OrchestratorJobs/{JOB}/Evidence"));
    }
}
