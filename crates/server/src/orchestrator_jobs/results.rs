//! What attempts send back beside their message: results of custom jobs, and logs of agents. Logs can hold passwords,
//! so all of it is sealed.

use chrono::{DateTime, Utc};
use sealift_protocol::agent::leases::LeaseKey;
use sealift_protocol::operator::orchestrator_jobs::JobData;
use sealift_protocol::{AgentId, Secret};
use sqlx::PgConnection;

use super::error::Error;
use super::leases::Finished;
use super::queries;
use crate::floor::Floor;
use crate::http::Failure;
use crate::sealing::Place;
use crate::security::{Principal, permission};

/// Most octets that are kept of one result.
const MAX_DATA: usize = 2 * 1024 * 1024;

/// A result, sealed to the attempt that brought it.
#[derive(Debug, Clone)]
pub(crate) struct AttemptData {
    pub(crate) lease: LeaseKey,
    sealed: Vec<u8>,
}

/// What is kept of a text: its beginning or its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Results are cut behind.
    Beginning,
    /// Of a log the last lines count.
    End,
}

/// Seals a result to the attempt that brought it.
pub(crate) fn seal(
    floor: &Floor,
    lease: LeaseKey,
    history_id: i64,
    text: &Secret,
    keep: Keep,
) -> Result<AttemptData, Failure> {
    let place = Place { table: "job_data", row: &history_id, column: "sealed_data" };
    let sealed = floor.sealing.seal(place, bounded(text.expose(), keep).as_bytes());
    Ok(AttemptData { lease, sealed: sealed.map_err(Error::from)? })
}

fn bounded(text: &str, keep: Keep) -> &str {
    if text.len() <= MAX_DATA {
        return text;
    }
    match keep {
        Keep::Beginning => text.get(..text.floor_char_boundary(MAX_DATA)).unwrap_or_default(),
        Keep::End => text.get(text.ceil_char_boundary(text.len() - MAX_DATA)..).unwrap_or_default(),
    }
}

/// The log that a running attempt of ours brought, sealed; `None` when it is no retrieval of a log, or is over.
pub(crate) async fn seal_log(
    db: &mut PgConnection,
    floor: &Floor,
    agent: AgentId,
    lease: LeaseKey,
    log: &Secret,
) -> Result<Option<AttemptData>, Failure> {
    match queries::running_log(db, agent, lease).await? {
        Some(history_id) => seal(floor, lease, history_id, log, Keep::End).map(Some),
        None => Ok(None),
    }
}

/// Stores the results of attempts that have just ended; what belongs to no such attempt is dropped.
pub(crate) async fn store_data(
    db: &mut PgConnection,
    finished: &[Finished],
    data: Vec<AttemptData>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let of = |lease: &LeaseKey| {
        finished
            .iter()
            .find(|attempt| attempt.job_id == lease.job_id && attempt.lease_token == Some(lease.lease_token))
    };
    let results: Vec<(i64, Vec<u8>)> =
        data.into_iter().filter_map(|data| Some((of(&data.lease)?.history_id, data.sealed))).collect();
    if results.is_empty() {
        return Ok(());
    }
    queries::insert_data(db, &results, now).await
}

/// What an attempt sent back; empty when it sent nothing.
pub(super) async fn get(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    history_id: Option<i64>,
) -> Result<JobData, Failure> {
    caller.require(permission::AGENTS_READ)?;
    let id = history_id.ok_or_else(|| Error::Invalid("jobHistoryId is required".to_owned()))?;
    let found = queries::data(db, id).await?;
    let sealed = found.ok_or_else(|| Error::NotFound("job history entry", vec![id.to_string()]))?;
    let place = Place { table: "job_data", row: &id, column: "sealed_data" };
    let data = match sealed {
        Some(sealed) => floor.sealing.open_text(place, &sealed).map_err(Error::from)?,
        None => Secret::default(),
    };
    Ok(JobData { job_history_id: id, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_where_it_matters_less() {
        assert_eq!(bounded("short", Keep::End), "short");
        let long = format!("a{}z", "é".repeat(MAX_DATA / 2));
        let (beginning, end) = (bounded(&long, Keep::Beginning), bounded(&long, Keep::End));
        assert!(beginning.starts_with("aé") && beginning.ends_with('é') && beginning.len() <= MAX_DATA);
        assert!(end.starts_with('é') && end.ends_with("éz") && end.len() <= MAX_DATA);
    }
}
