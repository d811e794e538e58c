//! What is served: the last result of each target of a store, taken from the evidence of its agent's attempts.

use std::cmp::Reverse;
use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sealift_protocol::StoreId;
use sealift_protocol::agent::verification::{Evidence, TargetResult, Verification};
use sealift_protocol::operator::certificate_stores::ServedTarget;
use sqlx::PgConnection;

use super::queries;
use crate::orchestrator_jobs::{Finished, Report, asked, offered, same_target};

/// Most results that are kept of one store.
pub(super) const MAX_SERVED: i64 = 1_000;

/// One result to be kept.
#[derive(Debug)]
pub(super) struct NewServed {
    pub(super) store_id: StoreId,
    pub(super) history_id: i64,
    /// What the target should have shown.
    pub(super) wanted: Option<String>,
    pub(super) result: TargetResult,
}

/// One result, as kept.
#[derive(Debug)]
pub(super) struct ServedRow {
    pub(super) host: String,
    pub(super) port: i32,
    pub(super) server_name: String,
    pub(super) matches: bool,
    pub(super) thumbprint: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) seen_at: DateTime<Utc>,
}

impl From<ServedRow> for ServedTarget {
    fn from(row: ServedRow) -> Self {
        Self {
            host: row.host,
            port: row.port,
            server_name: row.server_name,
            matches: row.matches,
            thumbprint: row.thumbprint,
            protocol: row.protocol,
            reason: row.reason,
            seen_at: row.seen_at.into(),
        }
    }
}

/// Keeps what the targets showed to attempts that have just ended. Targets that the store does not name are passed over.
pub(crate) async fn note_served(
    db: &mut PgConnection,
    finished: &[Finished],
    reports: &[Report],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let mut looked = Vec::new();
    for report in reports {
        let Some(evidence) = report.evidence.as_ref().filter(|evidence| !evidence.targets.is_empty()) else {
            continue;
        };
        let attempt = finished.iter().find(|attempt| {
            attempt.job_id == report.lease.job_id && attempt.lease_token == Some(report.lease.lease_token)
        });
        looked.extend(attempt.filter(|attempt| !attempt.dry_run).map(|attempt| (attempt, evidence)));
    }
    if looked.is_empty() {
        return Ok(());
    }
    let stores: Vec<StoreId> = looked.iter().map(|(attempt, _)| attempt.store_id).collect();
    let settings = queries::served::settings(db, &stores).await?;
    let results = looked.iter().filter_map(|(attempt, evidence)| {
        Some(results(attempt, evidence, &asked(settings.get(&attempt.store_id))?))
    });
    let mut found: Vec<NewServed> = results.flatten().collect();
    // A statement may touch each row once: the newest attempt counts.
    found.sort_by_key(|served| Reverse(served.history_id));
    let mut seen = HashSet::new();
    found.retain(|served| {
        let target = &served.result.target;
        seen.insert((served.store_id, target.host.clone(), target.port, offered(target).to_owned()))
    });
    queries::served::upsert(db, &found, now).await?;
    queries::served::trim(db, &stores, MAX_SERVED).await
}

/// The results of one attempt. Where the old state was put back, what was shown afterwards counts.
fn results(attempt: &Finished, evidence: &Evidence, verification: &Verification) -> Vec<NewServed> {
    let restored = evidence.restored.as_ref().filter(|restored| !restored.targets.is_empty());
    let (results, wanted) = match restored {
        Some(restored) => (&restored.targets, &evidence.before),
        None => (&evidence.targets, &evidence.after),
    };
    let named = |result: &&TargetResult| {
        verification.derive_from_names
            || verification.targets.iter().any(|target| same_target(target, &result.target))
    };
    let kept = results.iter().filter(named).map(|result| {
        let mut result = result.clone();
        result.target.host = result.target.host.to_ascii_lowercase();
        result.target.server_name = Some(offered(&result.target).to_ascii_lowercase());
        result.matches &= wanted.is_none() || result.thumbprint == *wanted;
        NewServed {
            store_id: attempt.store_id,
            history_id: attempt.history_id,
            wanted: wanted.clone(),
            result,
        }
    });
    kept.filter(|served| served.result.target.port > 0).collect()
}

/// What the targets of a store showed last.
pub(super) async fn of_store(
    db: &mut PgConnection,
    store: StoreId,
) -> Result<Vec<ServedTarget>, sqlx::Error> {
    let rows = queries::served::of_store(db, store, MAX_SERVED).await?;
    Ok(rows.into_iter().map(ServedTarget::from).collect())
}

/// Forgets the results of targets that a store no longer names. Those that follow from names stay: which they are is the
/// certificates' to say.
pub(super) async fn forget_others(
    db: &mut PgConnection,
    store: StoreId,
    verification: Option<&serde_json::Value>,
) -> Result<(), sqlx::Error> {
    let verification = asked(verification).unwrap_or_default();
    if verification.derive_from_names {
        return Ok(());
    }
    let kept = verification.targets.iter().map(|target| {
        (target.host.to_ascii_lowercase(), i32::from(target.port), offered(target).to_ascii_lowercase())
    });
    queries::served::keep_only(db, store, &kept.collect::<Vec<_>>()).await
}
