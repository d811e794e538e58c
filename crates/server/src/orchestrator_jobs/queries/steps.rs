//! Statements of the steps of attempts.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::orchestrator_jobs::leases::{Steps, clean_code, clean_message};

/// Longest text of what was there before and afterwards, in characters.
const MAX_STATE: usize = 400;

pub(in crate::orchestrator_jobs) async fn insert_steps(
    db: &mut PgConnection,
    attempts: &[Steps],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let flat: Vec<_> =
        attempts.iter().flat_map(|attempt| attempt.steps.iter().map(move |step| (attempt, step))).collect();
    let agents: Vec<Uuid> = flat.iter().map(|(attempt, _)| attempt.agent.uuid()).collect();
    let (jobs, tokens) = super::keys(&flat.iter().map(|(attempt, _)| attempt.lease).collect::<Vec<_>>());
    let ordinals: Vec<i16> = flat.iter().map(|(_, step)| step.ordinal.clamp(1, 64) as i16).collect();
    let codes: Vec<String> = flat.iter().map(|(_, step)| clean_code(&step.code)).collect();
    let messages: Vec<String> = flat.iter().map(|(_, step)| clean_message(&step.message)).collect();
    let elapsed: Vec<i64> = flat.iter().map(|(_, step)| whole(step.elapsed_milliseconds)).collect();
    let durations: Vec<Option<i64>> =
        flat.iter().map(|(_, step)| step.duration_milliseconds.map(whole)).collect();
    let before: Vec<Option<String>> = flat.iter().map(|(_, step)| state(step.before.as_ref())).collect();
    let after: Vec<Option<String>> = flat.iter().map(|(_, step)| state(step.after.as_ref())).collect();
    sqlx::query!(
        "-- name: insert_steps
        INSERT INTO job_steps (job_id, attempt, ordinal, code, message, elapsed_ms, received_at, duration_ms, before,
            after)
        SELECT jobs.id, jobs.attempt, s.ordinal, s.code, s.message, s.elapsed, $8, s.duration, s.before, s.after
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::smallint[], $5::text[], $6::text[], $7::bigint[],
                $9::bigint[], $10::text[], $11::text[])
            AS s(agent, job, token, ordinal, code, message, elapsed, duration, before, after)
        JOIN jobs ON jobs.id = s.job AND jobs.state = 2 AND jobs.lease_token = s.token AND jobs.agent_id = s.agent
        ON CONFLICT DO NOTHING",
        &agents,
        &jobs,
        &tokens,
        &ordinals,
        &codes,
        &messages,
        &elapsed,
        now,
        &durations as &[Option<i64>],
        &before as &[Option<String>],
        &after as &[Option<String>],
    )
    .execute(db)
    .await
    .map(drop)
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn state(text: Option<&String>) -> Option<String> {
    text.map(|text| clean_message(text).chars().take(MAX_STATE).collect())
}
