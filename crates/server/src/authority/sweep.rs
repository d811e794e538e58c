//! Periodic work: revocation lists are signed anew before they run out, and soon after a revocation.

use sqlx::Connection as _;

use super::error::Error;
use super::{Authority, Held, queries, revocation};
use crate::floor::Floor;

/// Signs every revocation list that is missing, stale, or near its end. May run on every server at once: each
/// list is signed by one of them. Answers how many were signed here.
///
/// # Errors
/// What signing and the database may fail with; lists signed before stay.
pub async fn publish_revocation_lists(floor: &Floor, authority: &Authority) -> Result<usize, Error> {
    let mut signed = 0;
    for held in authority.all().into_iter().filter(|held| held.issuer.is_some()) {
        signed += usize::from(publish(floor, held).await?);
    }
    Ok(signed)
}

async fn publish(floor: &Floor, held: &Held) -> Result<bool, Error> {
    let now = floor.now();
    let mut connection = floor.database.main.acquire().await?;
    let mut transaction = connection.begin().await?;
    let Some(before) = queries::take_due_list(&mut transaction, held.id, now + revocation::RENEWAL).await?
    else {
        return Ok(false);
    };
    revocation::sign_next(&mut transaction, held, before, now).await?;
    transaction.commit().await?;
    tracing::info!(authority.id = held.id, "revocation list {} of '{}' was signed", before + 1, held.name);
    Ok(true)
}
