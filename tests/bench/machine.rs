//! What the figures were taken on.

use std::fs;

use anyhow::Result;
use sqlx::PgPool;

/// One line each.
pub(crate) async fn facts(database: &PgPool) -> Result<Vec<String>> {
    let version: String = sqlx::query_scalar("SHOW server_version").fetch_one(database).await?;
    let mut settings = Vec::new();
    for name in ["fsync", "synchronous_commit", "shared_buffers", "max_wal_size", "max_connections"] {
        let value: String =
            sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(database).await?;
        settings.push(format!("{name} {value}"));
    }
    let processors = std::thread::available_parallelism().map_or(0, |count| count.get());
    Ok(vec![
        format!("{processors} processors ({}), {} memory, Linux {}", model(), memory(), kernel()),
        format!("Postgres {version}: {}", settings.join(", ")),
        format!("load average {}; load, server and database share the machine", load_average()),
    ])
}

/// The first three figures of the load average.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

fn model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':'))
        .map_or("unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

fn memory() -> String {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = text.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
    kilobytes.map_or("unknown".to_owned(), |kilobytes| format!("{} GB", kilobytes.div_ceil(1024 * 1024)))
}

fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}
