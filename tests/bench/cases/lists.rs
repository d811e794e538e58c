//! Goal 8: pages of lists at any depth, in a database as a large house has it after years.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use support::random::Random;

use super::Bench;
use crate::load::microseconds;
use crate::operator::OperatorLine;

/// Rows of a page.
const PAGE: u64 = 50;
/// Calls of each kind.
const CALLS: usize = 300;
/// Months of history that partitions are made for, beside the running one.
const MONTHS: u32 = 13;
const FILL: &str = include_str!("../sql/fill_lists.sql");

/// One list: how long its pages took, in milliseconds.
#[derive(Debug)]
pub(crate) struct Pages {
    pub(crate) list: &'static str,
    pub(crate) rows: u64,
    /// Median and 99th percentile of the first page.
    pub(crate) first: (f64, f64),
    /// The same of pages at random depths, after the first jump.
    pub(crate) deep: (f64, f64),
    /// The first jump into the list, which finds its places.
    pub(crate) jump: f64,
    /// The first look at the list, which finds its total.
    pub(crate) look: f64,
}

/// Fills the tables and reads the lists.
pub(crate) async fn lists(bench: &Bench) -> Result<Vec<Pages>> {
    fill(bench).await?;
    let site = &bench.site;
    let mut line = site.operator.connect().await?;
    let mut random = Random::seeded("lists");
    let mut pages = Vec::new();
    for (list, count) in [
        ("/OrchestratorJobs/JobHistory", "SELECT count(*) FROM job_history"),
        ("/Certificates", "SELECT count(*) FROM certificates"),
        ("/CertificateStores", "SELECT count(*) FROM certificate_stores"),
        ("/Agents", "SELECT count(*) FROM agents"),
    ] {
        let rows = site.count(count).await?;
        ensure!(rows > PAGE, "{list} was not filled");
        let last = u32::try_from(rows / PAGE).context("more pages than fit")?;
        let look = timed(&mut line, list, 1).await?;
        let jump = timed(&mut line, list, u64::from(last)).await?;
        let (mut first, mut deep) = (Vec::new(), Vec::new());
        for _ in 0..CALLS {
            first.push(timed(&mut line, list, 1).await?);
            deep.push(timed(&mut line, list, 2 + u64::from(random.below(last - 1))).await?);
        }
        pages.push(Pages {
            list,
            rows,
            first: middle_and_slow(first),
            deep: middle_and_slow(deep),
            jump,
            look,
        });
    }
    Ok(pages)
}

async fn timed(line: &mut OperatorLine, list: &str, page: u64) -> Result<f64> {
    let path = format!("{list}?PageReturned={page}&ReturnLimit={PAGE}");
    let begun = Instant::now();
    line.read(&path).await?;
    Ok(f64::from(microseconds(begun)) / 1_000.0)
}

fn middle_and_slow(mut took: Vec<f64>) -> (f64, f64) {
    took.sort_by(f64::total_cmp);
    let at = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default();
    (at(50), at(99))
}

async fn fill(bench: &Bench) -> Result<()> {
    let database = &bench.site.product;
    bench.site.clear().await?;
    for month in 0..MONTHS {
        let sql = format!(
            "DO $$ DECLARE first date := date_trunc('month', now() AT TIME ZONE 'UTC') - interval '{month} months';
            BEGIN EXECUTE format('CREATE TABLE IF NOT EXISTS job_history_%s PARTITION OF job_history
                FOR VALUES FROM (%L) TO (%L)', to_char(first, 'YYYY_MM_DD'), first::text || ' 00:00:00+00',
                (first + interval '1 month')::date::text || ' 00:00:00+00'); END $$"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(database).await?;
    }
    let size = u64::from(bench.arguments.list_rows);
    let numbers = [
        (":agents", (size / 500).max(100)),
        (":stores_of_agent", 5),
        (":certificates", size / 10),
        (":history", size),
    ];
    let sql =
        numbers.iter().fold(FILL.to_owned(), |sql, (word, number)| sql.replace(word, &number.to_string()));
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(database).await?;
    for table in ["agents", "certificate_stores", "certificates", "job_history"] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("VACUUM (ANALYZE) {table}"))).execute(database).await?;
    }
    Ok(())
}
