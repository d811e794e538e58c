//! `sealift jobs`: what is to be done, what was done, and how far it is.

mod evidence;
mod standing;
mod watch;

use clap::{Args, Subcommand};
use sealift_protocol::JobId;
use sealift_protocol::operator::orchestrator_jobs::{JobHistoryRow, JobStep, ScheduledJob};

use super::{Listing, stores};
use crate::client::{Client, Query};
use crate::failure::Failure;
use crate::output::{Output, Table, fixed, flexible, or_dash, time, time_or_dash};

pub(super) use evidence::follow;
use standing::{result_word, status_word};
pub(super) use watch::{Patience, watch};

#[derive(Debug, Subcommand)]
pub(super) enum Jobs {
    /// List the jobs that are not finished
    List(Listing),
    /// List the attempts of jobs, the newest first
    History(History),
    /// Follow jobs until all have ended
    Watch(Watch),
    /// List the steps that the agent reported for a job
    Steps(Named),
    /// Show what the attempts of a job found and proved
    Evidence(Named),
}

#[derive(Debug, Args)]
pub(super) struct History {
    /// Only the attempts of this job
    #[arg(long, value_name = "GUID")]
    job: Option<JobId>,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, Args)]
pub(super) struct Watch {
    /// The job
    #[arg(value_name = "GUID", required = true)]
    jobs: Vec<JobId>,
    #[command(flatten)]
    patience: Patience,
}

#[derive(Debug, Args)]
pub(super) struct Named {
    /// The job
    #[arg(value_name = "GUID")]
    job: JobId,
}

impl Jobs {
    pub(super) async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::List(listing) => {
                let answer = client.get(&["OrchestratorJobs", "ScheduledJobs"], &listing.query()).await?;
                output.page(&answer, |answer| Ok(scheduled(&answer.read::<Vec<ScheduledJob>>()?)))
            }
            Self::History(history) => {
                let answer = client.get(&["OrchestratorJobs", "JobHistory"], &history.query()).await?;
                output.page(&answer, |answer| Ok(attempts(&answer.read::<Vec<JobHistoryRow>>()?)))
            }
            Self::Watch(asked) => watch(client, output, &asked.jobs, &asked.patience).await,
            Self::Steps(named) => {
                let path = ["OrchestratorJobs", &named.job.to_string(), "Steps"];
                let answer = client.get(&path, &Query::new()).await?;
                output.page(&answer, |answer| Ok(steps(&answer.read::<Vec<JobStep>>()?)))
            }
            Self::Evidence(named) => evidence::show(client, output, named.job).await,
        }
    }
}

impl History {
    fn query(self) -> Query {
        let own = self.job.map(|job| format!("JobId -eq \"{job}\""));
        let query = match (own, self.listing.query) {
            (Some(own), Some(given)) => Some(format!("{own} AND ({given})")),
            (own, given) => own.or(given),
        };
        let mut query = Listing { query, ..self.listing }.query();
        query.extend(newest_first());
        query
    }
}

/// The order of job history in which the last attempt of a job comes first. In this API 1 means descending
/// (operator contract, chapter 2.1).
pub(super) fn newest_first() -> [(&'static str, String); 2] {
    [("SortField", "JobHistoryId".to_owned()), ("SortAscending", "1".to_owned())]
}

fn scheduled(jobs: &[ScheduledJob]) -> Table {
    let mut table = Table::new(&[
        fixed("JOB"),
        flexible("TYPE"),
        flexible("MACHINE"),
        flexible("STORE PATH"),
        fixed("STATUS"),
        fixed("ATTEMPT"),
        fixed("REQUESTED"),
        flexible("SCHEDULE"),
        flexible("WAITS FOR"),
    ]);
    for job in jobs {
        table.row([
            &job.id.to_string(),
            &job.job_type,
            &job.client_machine,
            &job.target,
            &status_word(job.status),
            &job.attempt.to_string(),
            &time(job.requested),
            &or_dash(job.schedule.as_ref().map(stores::schedule)),
            &or_dash(job.waiting_reason.as_ref()),
        ]);
    }
    table
}

fn attempts(rows: &[JobHistoryRow]) -> Table {
    let mut table = Table::new(&[
        fixed("JOB"),
        flexible("TYPE"),
        flexible("MACHINE"),
        flexible("STORE PATH"),
        fixed("ATTEMPT"),
        fixed("STATUS"),
        fixed("RESULT"),
        fixed("START"),
        fixed("END"),
        flexible("MESSAGE"),
    ]);
    for row in rows {
        table.row([
            &row.job_id.to_string(),
            &row.job_type,
            &row.client_machine,
            &row.store_path,
            &row.attempt.to_string(),
            &status_word(row.status),
            &result_word(row.result),
            &time(row.operation_start),
            &time_or_dash(row.operation_end),
            &row.message,
        ]);
    }
    table
}

fn steps(steps: &[JobStep]) -> Table {
    let mut table = Table::new(&[
        fixed("ATTEMPT"),
        fixed("STEP"),
        fixed("AFTER MS"),
        fixed("TOOK MS"),
        fixed("RECEIVED"),
        fixed("CODE"),
        flexible("MESSAGE"),
    ]);
    for step in steps {
        table.row([
            &step.attempt.to_string(),
            &step.ordinal.to_string(),
            &step.elapsed_milliseconds.to_string(),
            &or_dash(step.duration_milliseconds),
            &time(step.received),
            &step.code,
            &step.message,
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_narrows_the_query_and_the_newest_comes_first() {
        let job = "c1d7b1d0-7b0e-4a6a-8f33-0a8b7b6e9d21";
        let listing =
            Listing { query: Some("Result -eq 4 OR Result -eq 3".to_owned()), ..Listing::default() };
        let history = History { job: Some(job.parse().unwrap()), listing };
        let query = history.query();
        let expected = format!("JobId -eq \"{job}\" AND (Result -eq 4 OR Result -eq 3)");
        assert_eq!(query[0], ("QueryString", expected));
        assert_eq!(query[1..], newest_first());
    }
}
