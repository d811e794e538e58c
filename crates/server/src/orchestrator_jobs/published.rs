//! Leases for agents of the published protocol, which know of none: fetching a job's configuration begins an attempt,
//! and the attempt's history id, which they echo, takes the place of the lease token. The token itself never leaves the
//! server.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use sealift_protocol::agent::jobs::{Configured, ConfiguredJob, ListedJob};
use sealift_protocol::agent::leases::LeaseKey;
use sealift_protocol::agent::registration::CallResult;
use sealift_protocol::{AgentId, JobId, Secret};
use sqlx::PgConnection;
use uuid::Uuid;

use super::custom::Details;
use super::job::Operation;
use super::leases::{Finished, Leased};
use super::queries;
use crate::agents;
use crate::floor::Floor;
use crate::http::Failure;
use crate::sealing::Place;

/// How long an attempt may take: nothing renews it but an upload.
pub(crate) const LEASE: TimeDelta = TimeDelta::minutes(15);

/// A running attempt, found by its history id.
#[derive(Debug)]
pub(crate) struct RunningAttempt {
    /// Proves the lease to the rest of the queue.
    pub(super) lease_token: Uuid,
    pub(super) operation: i16,
    /// The attempt.
    pub(crate) history_id: i64,
    /// Whether it stored a whole inventory.
    pub(crate) inventoried: bool,
    /// Whether a failure that may pass is followed by another attempt.
    pub(crate) again: bool,
}

impl RunningAttempt {
    /// What the job does.
    pub(crate) fn operation(&self) -> Option<Operation> {
        Operation::from_number(self.operation)
    }

    /// The lease, as the rest of the queue knows it.
    pub(crate) fn lease(&self, job: JobId) -> LeaseKey {
        LeaseKey { job_id: job, lease_token: self.lease_token }
    }
}

/// Where a job works or worked.
#[derive(Debug)]
pub(crate) struct JobPlace {
    pub(crate) client_machine: String,
    pub(crate) store_path: String,
}

impl JobPlace {
    /// Of a job that is none of the agent's.
    pub(crate) fn none() -> Self {
        Self { client_machine: String::new(), store_path: String::new() }
    }
}

/// What became of the wish to begin an attempt.
#[derive(Debug)]
pub(crate) enum Begun {
    /// It runs.
    Attempt(Box<Leased>),
    /// It cannot run now: it is done, deleted, too early, or behind another one on its store.
    NotNow,
}

/// Begins an attempt of one job. One that runs already is given up first: its agent asks again, so it does not know of
/// it. The attempts that ended by that are answered, too.
pub(crate) async fn begin(
    db: &mut PgConnection,
    agent: AgentId,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<(Begun, Vec<Finished>), sqlx::Error> {
    let ended = queries::abandon(db, agent, &[], Some(job), now).await?;
    let leased = queries::lease_one(db, agent, job, now, now + LEASE).await?;
    Ok((leased.map_or(Begun::NotNow, |leased| Begun::Attempt(Box::new(leased))), ended))
}

/// The running attempt of a job with this history id.
pub(crate) async fn running(
    db: &mut PgConnection,
    agent: AgentId,
    job: JobId,
    history_id: i64,
) -> Result<Option<RunningAttempt>, sqlx::Error> {
    queries::running_attempt(db, agent, job, history_id).await
}

/// Where one of these jobs of an agent works or worked.
pub(crate) async fn place(
    db: &mut PgConnection,
    agent: AgentId,
    jobs: &[JobId],
) -> Result<Option<JobPlace>, sqlx::Error> {
    queries::path_of(db, agent, jobs).await
}

/// Most characters of a log that an agent is asked for.
const MAX_LOG_CHARACTERS: u32 = 1_000_000;
/// Most jobs that are listed at a time.
const MAX_LISTED: i64 = 100;
/// `Priority` of what is no addition.
const USUAL: i32 = 5;

/// Due jobs of an agent that work on no store.
pub(crate) async fn listed(
    db: &mut PgConnection,
    agent: AgentId,
    now: DateTime<Utc>,
) -> Result<Vec<ListedJob>, sqlx::Error> {
    let rows = queries::listable_alone(db, agent, MAX_LISTED, now).await?;
    let entry = |row: queries::AloneRow| {
        let job_type_id = match Operation::from_number(row.operation)? {
            Operation::FetchLogs => agents::FETCH_LOGS,
            _ => row.job_type_id?.parse().ok()?,
        };
        Some(ListedJob {
            job_id: row.id,
            job_type_id,
            configuration_endpoint: format!("Jobs/{}/Configure", row.id),
            completion_endpoint: format!("Jobs/{}/Complete", row.id),
            schedule: None,
            cron: None,
            priority: USUAL,
        })
    };
    Ok(rows.into_iter().filter_map(entry).collect())
}

/// What a leased job that works on no store tells its agent. How agents name the values of a custom job is not known;
/// they come as `JobProperties`, like entry parameters.
pub(crate) fn describe(floor: &Floor, leased: &Leased) -> Result<Configured, Failure> {
    let mut configured = Configured {
        result: CallResult::success(),
        audit_id: leased.history_id,
        job_cancelled: false,
        inventory_endpoint: None,
        max_characters_to_return: None,
        job: ConfiguredJob::default(),
    };
    if Operation::from_number(leased.operation) == Some(Operation::FetchLogs) {
        configured.max_characters_to_return = Some(MAX_LOG_CHARACTERS);
        return Ok(configured);
    }
    let details: Details = serde_json::from_value(leased.details.clone()).map_err(Failure::fault)?;
    let fields = details.fields.into_iter();
    configured.job.job_properties = fields.map(|(name, value)| (name, Secret::new(value))).collect();
    if let Some(sealed) = &leased.sealed_secret {
        let place = Place { table: "jobs", row: &leased.id, column: "sealed_secret" };
        let opened = floor.sealing.open(place, sealed).map_err(Failure::fault)?;
        let secrets: BTreeMap<String, Secret> = serde_json::from_slice(&opened).map_err(Failure::fault)?;
        configured.job.job_properties.extend(secrets);
    }
    Ok(configured)
}
