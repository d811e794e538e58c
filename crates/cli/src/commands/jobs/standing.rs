//! Where a job stands, told from its unfinished row and its last attempt.

use sealift_protocol::operator::orchestrator_jobs::{JobHistoryRow, JobResult, JobStatus, ScheduledJob};

/// The words for a job's status.
pub(super) fn status_word(status: i32) -> String {
    match STATUSES.iter().find(|(known, _)| *known as i32 == status) {
        Some((_, word)) => (*word).to_owned(),
        None => format!("unknown ({status})"),
    }
}

/// The words for an attempt's result.
pub(super) fn result_word(result: i32) -> String {
    match RESULTS.iter().find(|(known, _)| *known as i32 == result) {
        Some((_, word)) => (*word).to_owned(),
        None => format!("unknown ({result})"),
    }
}

const STATUSES: [(JobStatus, &str); 6] = [
    (JobStatus::Unknown, "unknown"),
    (JobStatus::Waiting, "waiting"),
    (JobStatus::InProcess, "in process"),
    (JobStatus::Completed, "completed"),
    (JobStatus::Acknowledged, "acknowledged"),
    (JobStatus::CompletedWillRetry, "completed (will retry)"),
];

const RESULTS: [(JobResult, &str); 4] = [
    (JobResult::Unknown, "-"),
    (JobResult::Success, "success"),
    (JobResult::Warning, "warning"),
    (JobResult::Failure, "failure"),
];

/// How a job ended for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// What was asked for is in place, perhaps with something to look at.
    Done,
    /// It is not, or nobody knows.
    Failed,
}

/// What is shown of a job that is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// Store type and operation.
    pub(super) job_type: String,
    /// Machine and path of the store.
    pub(super) place: String,
    /// Status, result and attempt in words.
    pub(super) words: String,
    /// What happened last, or why nothing happens.
    pub(super) message: String,
    /// Set once the job has ended.
    pub(super) outcome: Option<Outcome>,
}

impl Standing {
    /// Tells where the job stands. Nothing when neither row exists: then there is no such job.
    ///
    /// The unfinished row must be read before the last attempt. A job that ends between the two reads is
    /// then seen twice and never not at all, and the later read is right.
    pub(super) fn of(scheduled: Option<&ScheduledJob>, attempt: Option<&JobHistoryRow>) -> Option<Self> {
        match (scheduled, attempt) {
            (_, Some(attempt)) if ended(attempt.status) => Some(Self::of_ended(attempt)),
            (Some(job), attempt) => Some(Self::of_unfinished(job, attempt)),
            (None, Some(attempt)) => Some(Self::of_attempt(attempt)),
            (None, None) => None,
        }
    }

    fn of_ended(attempt: &JobHistoryRow) -> Self {
        let done = attempt.result == JobResult::Success as i32 || attempt.result == JobResult::Warning as i32;
        Self {
            job_type: attempt.job_type.clone(),
            place: place(&attempt.client_machine, &attempt.store_path),
            words: format!("{}: {}", status_word(attempt.status), result_word(attempt.result)),
            message: attempt.message.clone(),
            outcome: Some(if done { Outcome::Done } else { Outcome::Failed }),
        }
    }

    fn of_unfinished(job: &ScheduledJob, attempt: Option<&JobHistoryRow>) -> Self {
        let message = job.waiting_reason.clone().or_else(|| attempt.map(|attempt| attempt.message.clone()));
        Self {
            job_type: job.job_type.clone(),
            place: place(&job.client_machine, &job.target),
            words: with_attempt(job.status, job.attempt),
            message: message.unwrap_or_default(),
            outcome: None,
        }
    }

    fn of_attempt(attempt: &JobHistoryRow) -> Self {
        Self {
            job_type: attempt.job_type.clone(),
            place: place(&attempt.client_machine, &attempt.store_path),
            words: with_attempt(attempt.status, attempt.attempt),
            message: attempt.message.clone(),
            outcome: None,
        }
    }
}

fn ended(status: i32) -> bool {
    status == JobStatus::Completed as i32 || status == JobStatus::Acknowledged as i32
}

fn place(machine: &str, path: &str) -> String {
    format!("{machine} {path}")
}

fn with_attempt(status: i32, attempt: i32) -> String {
    let word = status_word(status);
    if status == JobStatus::InProcess as i32 {
        return if attempt > 1 { format!("{word} (attempt {attempt})") } else { word };
    }
    if attempt > 0 { format!("{word} (after attempt {attempt})") } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "c1d7b1d0-7b0e-4a6a-8f33-0a8b7b6e9d21";

    fn scheduled(status: JobStatus, attempt: i32, reason: Option<&str>) -> ScheduledJob {
        let mut value = serde_json::json!({
            "Id": JOB, "ClientMachine": "web1", "Target": "/etc/tls", "Requested": "2026-05-04T09:30:00Z",
            "JobType": "PEM Management", "Status": status as i32, "Attempt": attempt,
        });
        if let Some(reason) = reason {
            value["WaitingReason"] = reason.into();
        }
        serde_json::from_value(value).unwrap()
    }

    fn attempt(status: JobStatus, result: JobResult, number: i32) -> JobHistoryRow {
        serde_json::from_value(serde_json::json!({
            "JobHistoryId": 9, "AgentMachine": "web1", "JobId": JOB, "JobType": "PEM Management",
            "OperationStart": "2026-05-04T09:30:00Z", "Message": "told by the agent", "Result": result as i32,
            "Status": status as i32, "StorePath": "/etc/tls", "ClientMachine": "web1", "Attempt": number,
            "StoreId": JOB, "AgentId": JOB,
        }))
        .unwrap()
    }

    fn outcome(status: JobStatus, result: JobResult) -> Option<Outcome> {
        Standing::of(None, Some(&attempt(status, result, 1))).unwrap().outcome
    }

    #[test]
    fn only_completed_and_acknowledged_end_a_job() {
        assert_eq!(outcome(JobStatus::Completed, JobResult::Success), Some(Outcome::Done));
        assert_eq!(outcome(JobStatus::Completed, JobResult::Warning), Some(Outcome::Done));
        assert_eq!(outcome(JobStatus::Completed, JobResult::Failure), Some(Outcome::Failed));
        assert_eq!(outcome(JobStatus::Completed, JobResult::Unknown), Some(Outcome::Failed));
        assert_eq!(outcome(JobStatus::Acknowledged, JobResult::Failure), Some(Outcome::Failed));
        assert_eq!(outcome(JobStatus::InProcess, JobResult::Unknown), None);
        assert_eq!(outcome(JobStatus::CompletedWillRetry, JobResult::Failure), None);
    }

    #[test]
    fn a_job_that_waits_says_for_what() {
        let job = scheduled(JobStatus::Waiting, 0, Some("its agent is offline"));
        let standing = Standing::of(Some(&job), None).unwrap();
        assert_eq!(standing.words, "waiting");
        assert_eq!(standing.message, "its agent is offline");
    }

    #[test]
    fn a_job_between_two_attempts_is_not_ended() {
        let job = scheduled(JobStatus::Waiting, 1, None);
        let last = attempt(JobStatus::CompletedWillRetry, JobResult::Failure, 1);
        let standing = Standing::of(Some(&job), Some(&last)).unwrap();
        assert_eq!(standing.words, "waiting (after attempt 1)");
        assert_eq!(standing.message, "told by the agent");
        assert_eq!(standing.outcome, None);
    }

    #[test]
    fn a_job_that_ended_between_two_reads_has_ended() {
        let job = scheduled(JobStatus::InProcess, 1, None);
        let last = attempt(JobStatus::Completed, JobResult::Success, 1);
        let standing = Standing::of(Some(&job), Some(&last)).unwrap();
        assert_eq!(standing.words, "completed: success");
        assert_eq!(standing.outcome, Some(Outcome::Done));
    }

    #[test]
    fn a_job_without_any_row_does_not_exist() {
        assert_eq!(Standing::of(None, None), None);
    }

    #[test]
    fn numbers_without_a_name_are_shown() {
        assert_eq!(status_word(7), "unknown (7)");
        assert_eq!(result_word(1), "unknown (1)");
        assert_eq!(status_word(5), "completed (will retry)");
    }
}
