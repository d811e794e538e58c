//! Follows jobs until they have ended: the live progress of `sealift jobs watch` and of `--wait`.
//!
//! It polls, soon after each change and less and less often while nothing changes. On a terminal one table is
//! redrawn; elsewhere each change is a line; with `--json` the last attempts are printed once all have ended.

use std::collections::HashMap;
use std::time::Duration;

use clap::Args;
use sealift_protocol::JobId;
use sealift_protocol::operator::orchestrator_jobs::{JobHistoryRow, ScheduledJob};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::newest_first;
use super::standing::{Outcome, Standing};
use crate::client::{Client, Query};
use crate::failure::Failure;
use crate::output::{Output, Table, fixed, flexible};

/// How long jobs are waited for when nothing else is said.
const PATIENCE_SECONDS: u64 = 600;
/// How long they can be waited for at most: a week.
const PATIENCE_SECONDS_MAX: u64 = 7 * 24 * 60 * 60;
/// Between two polls right after a change.
const INTERVAL_MIN: Duration = Duration::from_millis(150);
/// Between two polls when nothing has changed for long.
const INTERVAL_MAX: Duration = Duration::from_secs(5);
/// How much longer each poll without a change makes the interval, in percent.
const INTERVAL_GROWTH_PERCENT: u32 = 150;
/// How long the server may be out of reach, as during its restart.
const UNREACHABLE_MAX: Duration = Duration::from_secs(15);
/// How long a poll may take beyond the time to wait: a server that answers slowly is still heard.
const POLL_GRACE: Duration = Duration::from_secs(10);
/// Jobs that one query names; more would make too long a URL.
const JOBS_PER_QUERY: usize = 25;
/// Rows of one page.
const ROWS_PER_PAGE: usize = 100;
/// Pages that are read for one query.
const PAGES_MAX: u32 = 100;

/// How long to wait for jobs.
#[derive(Debug, Clone, Args)]
pub(in crate::commands) struct Patience {
    /// How long to wait for the jobs to end
    #[arg(long, value_name = "SECONDS", default_value_t = PATIENCE_SECONDS,
          value_parser = clap::value_parser!(u64).range(..=PATIENCE_SECONDS_MAX))]
    timeout: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { timeout: PATIENCE_SECONDS }
    }
}

/// A job that is followed.
struct Followed {
    job: JobId,
    standing: Option<Standing>,
    attempt: Option<Box<RawValue>>,
}

impl Followed {
    fn outcome(&self) -> Option<Outcome> {
        self.standing.as_ref().and_then(|standing| standing.outcome)
    }
}

/// The last attempt of each job, as it was answered and as it is read.
type Attempts = HashMap<JobId, (JobHistoryRow, Box<RawValue>)>;

/// Follows the jobs until all have ended; fails if one of them failed, and if it takes too long.
pub(in crate::commands) async fn watch(
    client: &Client,
    output: &Output,
    jobs: &[JobId],
    patience: &Patience,
) -> Result<(), Failure> {
    let deadline = Instant::now() + Duration::from_secs(patience.timeout);
    let mut followed: Vec<Followed> = Vec::new();
    for job in jobs {
        if !followed.iter().any(|known| known.job == *job) {
            followed.push(Followed { job: *job, standing: None, attempt: None });
        }
    }
    let mut progress = Progress { redraws: output.can_redraw(followed.len()), lines: 0 };
    let mut interval = INTERVAL_MIN;
    let mut unreachable_since = None;
    loop {
        let limit = deadline.max(Instant::now() + POLL_GRACE);
        let polled = tokio::time::timeout_at(limit, poll(client, &mut followed)).await;
        match polled.unwrap_or_else(|_| Err(timed_out(&followed, patience))) {
            Ok(changed) => {
                unreachable_since = None;
                interval = if changed.is_empty() { longer(interval) } else { INTERVAL_MIN };
                progress.show(output, &followed, &changed)?;
            }
            Err(failure @ Failure::Unreachable { .. }) => {
                if unreachable_since.is_none() {
                    output.note(&format!("{failure}; trying again for {} s", UNREACHABLE_MAX.as_secs()));
                    progress.lines = 0; // The note stands below the table: the next one starts anew.
                }
                if unreachable_since.get_or_insert(Instant::now()).elapsed() > UNREACHABLE_MAX {
                    return Err(failure);
                }
                interval = longer(interval);
            }
            Err(failure) => return Err(failure),
        }
        let now = Instant::now();
        if followed.iter().all(|job| job.outcome().is_some()) {
            return conclude(output, &followed);
        }
        if now >= deadline {
            return Err(timed_out(&followed, patience));
        }
        tokio::time::sleep(interval.min(deadline - now)).await;
    }
}

fn longer(interval: Duration) -> Duration {
    (interval * INTERVAL_GROWTH_PERCENT / 100).min(INTERVAL_MAX)
}

/// Looks at the jobs that have not ended. Answers the places of those that stand elsewhere than before.
async fn poll(client: &Client, followed: &mut [Followed]) -> Result<Vec<usize>, Failure> {
    let open: Vec<usize> = (0..followed.len()).filter(|index| followed[*index].outcome().is_none()).collect();
    let mut changed = Vec::new();
    for places in open.chunks(JOBS_PER_QUERY) {
        let jobs: Vec<JobId> = places.iter().map(|place| followed[*place].job).collect();
        // In this order: see `Standing::of`.
        let scheduled = unfinished(client, &jobs).await?;
        let mut attempts = last_attempts(client, &jobs).await?;
        for place in places {
            let job = &mut followed[*place];
            let attempt = attempts.remove(&job.job);
            let (row, raw) = attempt.unzip();
            let standing = Standing::of(scheduled.get(&job.job), row.as_ref()).ok_or_else(|| {
                Failure::NotFound(format!("job {} is not known; `sealift jobs history` lists them", job.job))
            })?;
            job.attempt = raw;
            if job.standing.as_ref() != Some(&standing) {
                job.standing = Some(standing);
                changed.push(*place);
            }
        }
    }
    Ok(changed)
}

/// The unfinished rows of these jobs.
async fn unfinished(client: &Client, jobs: &[JobId]) -> Result<HashMap<JobId, ScheduledJob>, Failure> {
    let query = vec![("QueryString", named(jobs)), ("ReturnLimit", ROWS_PER_PAGE.to_string())];
    let answer = client.get(&["OrchestratorJobs", "ScheduledJobs"], &query).await?;
    Ok(answer.read::<Vec<ScheduledJob>>()?.into_iter().map(|job| (job.id, job)).collect())
}

/// The last attempts of these jobs.
async fn last_attempts(client: &Client, jobs: &[JobId]) -> Result<Attempts, Failure> {
    let mut attempts = Attempts::new();
    let mut rows_read = 0;
    for page in 1..=PAGES_MAX {
        let mut query: Query = vec![
            ("QueryString", named(jobs)),
            ("ReturnLimit", ROWS_PER_PAGE.to_string()),
            ("PageReturned", page.to_string()),
        ];
        query.extend(newest_first());
        let answer = client.get(&["OrchestratorJobs", "JobHistory"], &query).await?;
        let rows: Vec<Box<RawValue>> = answer.read()?;
        rows_read += rows.len() as u64;
        let last = rows.is_empty() || answer.total().is_none_or(|total| rows_read >= total);
        for raw in rows {
            let row: JobHistoryRow = serde_json::from_str(raw.get()).map_err(|error| {
                Failure::Operation(format!(
                    "job history is not understood (column {} of a row); the versions of server and program \
                     may differ",
                    error.column()
                ))
            })?;
            attempts.entry(row.job_id).or_insert((row, raw));
        }
        if last || attempts.len() == jobs.len() {
            break;
        }
    }
    Ok(attempts)
}

/// The filter for these jobs.
fn named(jobs: &[JobId]) -> String {
    jobs.iter().map(|job| format!("JobId -eq \"{job}\"")).collect::<Vec<_>>().join(" OR ")
}

/// What is on the screen.
struct Progress {
    redraws: bool,
    lines: usize,
}

impl Progress {
    fn show(&mut self, output: &Output, followed: &[Followed], changed: &[usize]) -> Result<(), Failure> {
        if output.is_json() || changed.is_empty() {
            return Ok(());
        }
        if self.redraws {
            self.lines = output.redraw(&table(followed), self.lines)?;
            return Ok(());
        }
        for place in changed {
            output.line(&change(&followed[*place]))?;
        }
        Ok(())
    }
}

fn table(followed: &[Followed]) -> Table {
    let mut table = Table::new(&[
        fixed("JOB"),
        fixed("STATUS"),
        flexible("STORE"),
        flexible("TYPE"),
        flexible("MESSAGE"),
    ]);
    for job in followed {
        let name = job.job.to_string();
        match &job.standing {
            Some(at) => table.row([&name, &at.words, &at.place, &at.job_type, &at.message]),
            None => table.row([&name, "", "", "", ""]),
        }
    }
    table
}

fn change(job: &Followed) -> String {
    match &job.standing {
        Some(at) => format!("{}  {}  {}  {}  {}", job.job, at.job_type, at.place, at.words, at.message),
        None => job.job.to_string(),
    }
}

fn conclude(output: &Output, followed: &[Followed]) -> Result<(), Failure> {
    if output.is_json() {
        let rows: Vec<&str> = followed.iter().filter_map(|job| Some(job.attempt.as_ref()?.get())).collect();
        output.json(format!("[{}]", rows.join(",")).as_bytes())?;
    }
    let failed: Vec<&Followed> =
        followed.iter().filter(|job| job.outcome() == Some(Outcome::Failed)).collect();
    match failed.first() {
        None => Ok(()),
        Some(first) => Err(Failure::Operation(format!(
            "{} of {} jobs ended in failure; `sealift jobs steps {}` shows how far it came",
            failed.len(),
            followed.len(),
            first.job
        ))),
    }
}

fn timed_out(followed: &[Followed], patience: &Patience) -> Failure {
    let open: Vec<&Followed> = followed.iter().filter(|job| job.outcome().is_none()).collect();
    let first = open.first().map(|job| job.job.to_string()).unwrap_or_default();
    Failure::TimedOut(format!(
        "{} of {} jobs have not ended within {} s and go on; follow them with `sealift jobs watch {first}`",
        open.len(),
        followed.len(),
        patience.timeout
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::captured::Captured;
    use crate::responder::{Reply, Responder};

    const FIRST: &str = "c1d7b1d0-7b0e-4a6a-8f33-0a8b7b6e9d21";
    const SECOND: &str = "c1d7b1d0-7b0e-4a6a-8f33-0a8b7b6e9d22";

    fn scheduled(job: &str, status: i32, attempt: i32) -> String {
        format!(
            r#"{{"Id":"{job}","ClientMachine":"web1","Target":"/etc/tls","Requested":"2026-05-04T09:30:00Z",
            "JobType":"PEM Management","Status":{status},"Attempt":{attempt}}}"#
        )
    }

    fn attempt(job: &str, number: i32, status: i32, result: i32) -> String {
        format!(
            r#"{{"JobHistoryId":{number}, "AgentMachine":"web1","JobId":"{job}","JobType":"PEM Management",
            "OperationStart":"2026-05-04T09:30:00Z","Message":"attempt {number}","Result":{result},
            "Status":{status},"StorePath":"/etc/tls","ClientMachine":"web1","Attempt":{number},
            "StoreId":"{job}","AgentId":"{job}"}}"#
        )
        .replace("\n            ", "")
    }

    fn list(rows: &[String]) -> Reply {
        Reply::new(200, &format!("[{}]", rows.join(",")))
            .with_header("x-total-count", &rows.len().to_string())
    }

    async fn watched(
        replies: Vec<Reply>,
        jobs: &[&str],
        timeout: u64,
        json: bool,
    ) -> (Result<(), Failure>, String, Vec<String>) {
        let responder = Responder::start(replies);
        let captured = Captured::default();
        let jobs: Vec<JobId> = jobs.iter().map(|job| job.parse().unwrap()).collect();
        let output = captured.output(json, None);
        let outcome = watch(&responder.client(), &output, &jobs, &Patience { timeout }).await;
        let asked = responder.asked().into_iter().map(|asked| asked.line).collect();
        (outcome, captured.text(), asked)
    }

    #[tokio::test]
    async fn each_change_is_a_line_and_a_failed_job_fails_the_command() {
        let replies = vec![
            list(&[scheduled(FIRST, 1, 0), scheduled(SECOND, 2, 1)]),
            list(&[attempt(SECOND, 1, 2, 0)]),
            list(&[scheduled(FIRST, 1, 0)]),
            list(&[attempt(SECOND, 1, 3, 2)]),
            list(&[]),
            list(&[attempt(FIRST, 2, 3, 4), attempt(FIRST, 1, 5, 4)]),
        ];
        let (outcome, text, asked) = watched(replies, &[FIRST, SECOND, FIRST], 60, false).await;
        let lines: Vec<&str> = text.lines().collect();
        let line = |job: &str, rest: &str| format!("{job}  PEM Management  web1 /etc/tls  {rest}");
        assert_eq!(
            lines,
            [
                line(FIRST, "waiting"),
                line(SECOND, "in process  attempt 1"),
                line(SECOND, "completed: success  attempt 1"),
                line(FIRST, "completed: failure  attempt 2"),
            ]
        );
        let failure = outcome.unwrap_err();
        assert_eq!(failure.exit_code(), 1);
        assert!(failure.to_string().starts_with("1 of 2 jobs ended in failure"), "{failure}");
        assert!(asked[0].contains(&format!("JobId+-eq+%22{FIRST}%22+OR+JobId+-eq+%22{SECOND}%22")));
        assert!(!asked[5].contains(SECOND), "a job that ended is not asked for: {}", asked[5]);
    }

    #[tokio::test]
    async fn json_is_the_last_attempt_of_each_job_as_the_server_wrote_it() {
        let rows = [attempt(SECOND, 8, 3, 2), attempt(FIRST, 7, 3, 3)];
        let (outcome, text, _) = watched(vec![list(&[]), list(&rows)], &[FIRST, SECOND], 60, true).await;
        outcome.unwrap();
        assert_eq!(text, format!("[{},{}]\n", rows[1], rows[0]));
    }

    #[tokio::test]
    async fn patience_ends_with_an_exit_code_of_its_own() {
        let replies = vec![list(&[scheduled(FIRST, 1, 0)]), list(&[])];
        let (outcome, _, _) = watched(replies, &[FIRST], 0, false).await;
        let failure = outcome.unwrap_err();
        assert_eq!(failure.exit_code(), 6);
        assert!(failure.to_string().contains("1 of 1 jobs have not ended within 0 s"), "{failure}");
    }

    #[tokio::test]
    async fn a_job_that_does_not_exist_is_not_waited_for() {
        let (outcome, _, _) = watched(vec![list(&[]), list(&[])], &[FIRST], 60, false).await;
        assert_eq!(outcome.unwrap_err().exit_code(), 5);
    }

    #[tokio::test]
    async fn history_is_read_page_by_page_until_each_job_was_seen() {
        let total = |rows: &[String]| {
            Reply::new(200, &format!("[{}]", rows.join(","))).with_header("x-total-count", "2")
        };
        let replies = vec![list(&[]), total(&[attempt(FIRST, 2, 3, 2)]), total(&[attempt(SECOND, 1, 3, 2)])];
        let (outcome, _, asked) = watched(replies, &[FIRST, SECOND], 60, false).await;
        outcome.unwrap();
        assert!(asked[2].contains("PageReturned=2"), "{}", asked[2]);
    }

    #[tokio::test]
    async fn an_answer_that_is_lost_is_asked_for_again() {
        let replies = vec![Reply::lost(), list(&[]), list(&[attempt(FIRST, 1, 3, 2)])];
        let (outcome, text, _) = watched(replies, &[FIRST], 60, false).await;
        outcome.unwrap();
        assert!(text.contains("completed: success"), "{text}");
    }

    #[test]
    fn the_interval_grows_to_its_bound() {
        let mut interval = INTERVAL_MIN;
        for _ in 0..20 {
            assert!(longer(interval) >= interval);
            interval = longer(interval);
        }
        assert_eq!(interval, INTERVAL_MAX);
    }
}
