//! Periodic work: each looks at the database or at memory, and may run on every replica.

use chrono::TimeDelta;
use sealift_pki::Thumbprint;

use super::directory::{Directory, Seen};
use super::queries::{self, ChangedRow, IdentityRow, SeenColumns};
use crate::floor::Floor;

/// How far back a refresh looks beyond the last one: for transactions that took long, and for replicas whose
/// clocks differ.
const OVERLAP: TimeDelta = TimeDelta::seconds(60);
/// Changes taken over one by one; when there are more, everything is asked for anew.
const MAX_CHANGES: i64 = 10_000;
/// Agents written as seen in one statement.
const MAX_SEEN: usize = 10_000;
/// How long spent and expired enrollment tokens are kept, so that an operator can see what became of them.
const KEEP_TOKENS: TimeDelta = TimeDelta::days(30);
/// How long an agent that nobody approved is kept after it was last heard of.
const KEEP_NEW: TimeDelta = TimeDelta::days(14);

/// Reads what other replicas changed, so that approvals and disapprovals count here within seconds.
///
/// # Errors
/// The database's; the next run looks as far back as this one would have.
pub(crate) async fn refresh(floor: &Floor, directory: &Directory) -> Result<(), sqlx::Error> {
    let now = floor.now();
    let since = directory.refreshed_at().unwrap_or(now).min(now) - OVERLAP;
    let changed =
        queries::changed_since(&mut *floor.database.main.acquire().await?, since, MAX_CHANGES).await?;
    let whole = i64::try_from(changed.len()).is_ok_and(|count| count < MAX_CHANGES);
    directory.refresh(whole.then(|| changed.into_iter().map(with_identities).collect()), now);
    Ok(())
}

fn with_identities(row: ChangedRow) -> (IdentityRow, Vec<Thumbprint>) {
    let texts = [row.thumbprint, row.legacy_thumbprint];
    let valid = texts.iter().flatten().filter_map(|text| text.parse().ok()).collect();
    let identity = IdentityRow {
        id: row.id,
        status: row.status,
        speaks_extensions: row.speaks_extensions,
        client_machine: row.client_machine,
        must_renew: row.must_renew,
        instance: row.instance,
        drained_on_machine: row.drained_on_machine,
    };
    (identity, valid)
}

/// Writes who was seen since the last time, in one statement for each ten thousand.
///
/// # Errors
/// The database's; what was not written is kept for the next run.
pub(crate) async fn write_last_seen(floor: &Floor, directory: &Directory) -> Result<(), sqlx::Error> {
    let mut left = directory.take_seen();
    while !left.is_empty() {
        let batch: Vec<_> = left.iter().take(MAX_SEEN).map(|(agent, seen)| (*agent, *seen)).collect();
        let mut columns = SeenColumns::default();
        for (agent, Seen { thumbprint, at, working, clock_offset_seconds }) in &batch {
            columns.ids.push(agent.uuid());
            columns.times.push(*at);
            columns.thumbprints.push(thumbprint.to_string());
            columns.working.push(*working);
            columns.offsets.push(*clock_offset_seconds);
        }
        if let Err(error) = write(floor, &columns).await {
            directory.put_back(left);
            return Err(error);
        }
        for (agent, _) in &batch {
            left.remove(agent);
        }
    }
    Ok(())
}

async fn write(floor: &Floor, columns: &SeenColumns) -> Result<(), sqlx::Error> {
    queries::write_last_seen(&mut *floor.database.main.acquire().await?, columns, floor.now()).await
}

/// Forgets sessions and enrollment tokens that are over, and agents that gave up before anyone approved them.
///
/// # Errors
/// The database's.
pub(crate) async fn forget(floor: &Floor) -> Result<(), sqlx::Error> {
    let now = floor.now();
    let mut db = floor.database.main.acquire().await?;
    let sessions = queries::delete_expired_sessions(&mut db, now).await?;
    let tokens = queries::delete_old_tokens(&mut db, now - KEEP_TOKENS).await?;
    let agents = queries::delete_abandoned(&mut db, now - KEEP_NEW).await?;
    if sessions + tokens + agents > 0 {
        tracing::info!(
            "forgot {sessions} sessions, {tokens} enrollment tokens and {agents} agents that gave up"
        );
    }
    Ok(())
}
