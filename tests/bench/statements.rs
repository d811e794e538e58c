//! Which statements of the server cost most, as Postgres counts them.

use anyhow::Result;
use sqlx::{PgPool, Row as _};

/// Statements in a list.
const MOST: i32 = 10;

/// Forgets what was counted.
pub(crate) async fn reset(database: &PgPool) -> Result<()> {
    sqlx::raw_sql("SELECT pg_stat_statements_reset()").execute(database).await?;
    Ok(())
}

/// The most expensive statements since the reset, one to a line.
pub(crate) async fn list(database: &PgPool) -> Result<Vec<String>> {
    let rows = sqlx::query(
        "SELECT coalesce(substring(query from '-- name: (\\w+)'), left(regexp_replace(query, '\\s+', ' ', 'g'), 60)) AS name,
            calls, rows, total_exec_time + total_plan_time AS milliseconds, total_plan_time AS planning,
            shared_blks_hit + shared_blks_read AS pages, wal_bytes::float8 AS bytes
         FROM pg_stat_statements
         WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
         ORDER BY 4 DESC LIMIT $1",
    )
    .bind(MOST)
    .fetch_all(database)
    .await?;
    let mut lines = vec![format!(
        "{:<60} {:>9} {:>9} {:>10} {:>9} {:>9} {:>10} {:>10}",
        "statement", "calls", "rows", "total ms", "plan ms", "µs/call", "pages/call", "WAL B/row"
    )];
    for row in rows {
        let (name, calls, moved): (String, i64, i64) = (row.get("name"), row.get("calls"), row.get("rows"));
        let (milliseconds, planning, bytes): (f64, f64, f64) =
            (row.get("milliseconds"), row.get("planning"), row.get("bytes"));
        let pages: i64 = row.get("pages");
        let each = calls.max(1) as f64;
        lines.push(format!(
            "{name:<60} {calls:>9} {moved:>9} {milliseconds:>10.0} {planning:>9.0} {:>9.0} {:>10.0} {:>10.0}",
            milliseconds * 1_000.0 / each,
            pages as f64 / each,
            bytes / moved.max(1) as f64,
        ));
    }
    Ok(lines)
}
