//! Periodic work: counting what collections hold, so that reading a list of them does not.

use chrono::TimeDelta;

use super::error::Error;
use super::fields::Known;
use super::queries::{self, Members, Search, changes};
use crate::floor::Floor;
use crate::http::filter_sql::Asker;
use crate::security::Principal;

/// How old a count may become.
const MAX_AGE: TimeDelta = TimeDelta::minutes(30);
/// Most collections of one run.
const MAX_COLLECTIONS: i64 = 20;

/// Counts the collections whose counts are missing or old.
///
/// # Errors
/// The database's.
pub async fn count_collections(floor: &Floor) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let now = floor.now();
    let mut db = floor.database.reports.acquire().await?;
    let due = changes::uncounted(&mut db, now - MAX_AGE, MAX_COLLECTIONS).await?;
    let known = Known::load(&mut db).await?;
    let (fields, caller) = (known.fields(), Principal::system("sweep"));
    for (id, query) in due {
        let members = Members { query, duplication_field: 0 };
        let search = Search {
            fields: &fields,
            filter: None,
            members: Some(&members),
            revoked: true,
            expired: true,
            asker: Asker { name: caller.name(), now },
        };
        let counted = match queries::count_certificates(&mut db, &search).await {
            Ok(counted) => i32::try_from(counted).unwrap_or(i32::MAX),
            Err(Error::Database(error)) => return Err(error.into()),
            // Its query names a field that is not there any more; it is counted again when it is changed.
            Err(error) => {
                tracing::warn!(collection.id = id, "collection {id} cannot be counted: {error}");
                0
            }
        };
        let mut main = floor.database.main.acquire().await?;
        changes::keep_count(&mut main, id, counted, now).await?;
    }
    Ok(())
}
