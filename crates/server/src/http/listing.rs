//! One page of a list, and how many rows there are (operator contract, chapter 2).
//!
//! Pages are found by keys and not by counting, see [`super::places`]. Totals are exact up to [`COUNT_BOUND`];
//! beyond it they are the planner's estimate and a tenth more, so that a client that reads as many pages as the
//! total promises sees all rows, and perhaps an empty page at the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::filter_sql::{AnyField, Asker, Kind, push_filter, sortable};
use super::list::{COUNT_BOUND, ListQuery};
use super::places::{Place, STRIDE, Value};
use super::problem::Failure;

/// Rows that are skipped by counting; beyond it, places are found first.
const SKIPPED: i64 = STRIDE;

/// What a list is made of. All texts are SQL of our own.
pub(crate) struct Listing<'a> {
    /// Name of its statement.
    pub(crate) name: &'static str,
    /// What is selected.
    pub(crate) columns: &'a str,
    /// ` FROM ... WHERE true`.
    pub(crate) from: &'a str,
    /// What filters and sort orders may name.
    pub(crate) fields: &'a [AnyField<'a>],
    /// What it is sorted by unless asked otherwise, and whether downwards. Never unset.
    pub(crate) order: Order<'a>,
    /// What breaks ties: unique, never unset.
    pub(crate) key: Column<'a>,
    /// Conditions beside the caller's filter.
    pub(crate) narrow: Vec<Narrow<'a>>,
}

/// A column and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column<'a> {
    /// Its SQL.
    pub(crate) sql: &'a str,
    /// What it holds.
    pub(crate) kind: Kind,
}

/// A sort order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    /// By what.
    pub(crate) by: Column<'a>,
    /// Whether the largest comes first.
    pub(crate) descending: bool,
}

/// Appends to a statement.
pub(crate) type Write<'a> = dyn Fn(&mut QueryBuilder<Postgres>) -> Result<(), Failure> + Send + Sync + 'a;

/// A condition of a list that the caller did not write.
pub(crate) enum Narrow<'a> {
    /// This holds.
    Holds(&'static str),
    /// A column is one of these numbers.
    Among(&'static str, Vec<i64>),
    /// A column is this text.
    Is(&'static str, String),
    /// A column lies after now.
    AfterNow(&'static str),
    /// What a slice writes itself.
    Written {
        /// Tells it apart from others: it must name every value that `write` binds.
        told: String,
        /// Appends ` AND ...`.
        write: Box<Write<'a>>,
    },
}

/// How one call's pages follow each other.
struct Walk<'a> {
    by: Column<'a>,
    key: Column<'a>,
    descending: bool,
    /// Whether what it is sorted by may be unset.
    nullable: bool,
}

impl<'a> Listing<'a> {
    /// The page that a call asks for, and how many rows match.
    pub(crate) async fn page<Row>(
        &self,
        db: &mut PgConnection,
        list: &ListQuery,
        asker: &Asker<'_>,
    ) -> Result<(Vec<Row>, i64), Failure>
    where
        Row: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let walk = self.walk(list)?;
        let signature = self.signature(list, asker, &walk);
        let now = Instant::now();
        let place = self.place(db, list, asker, &walk, &signature, now).await?;
        let from = place.as_ref().map_or(0, |(rows, _)| *rows);
        let mut sql = QueryBuilder::new(format!(
            "-- name: {}\nSELECT {}, {} AS place_value, {} AS place_key",
            self.name,
            self.columns,
            plain(walk.by),
            plain(walk.key)
        ));
        self.push_rows(&mut sql, list, asker)?;
        if let Some((_, place)) = &place {
            walk.push_after(&mut sql, place);
        }
        sql.push(format_args!(" ORDER BY {} LIMIT ", walk.order())).push_bind(list.limit);
        sql.push(" OFFSET ").push_bind(list.offset - from);
        let rows = sql.build().fetch_all(&mut *db).await?;
        let total = self.total(db, list, asker, rows.len(), &signature, now).await?;
        if let Some(last) = rows.last().filter(|_| rows.len() == usize::try_from(list.limit).unwrap_or(0)) {
            list.places.note(&signature, list.offset + list.limit, walk.place(last)?, now);
        }
        let rows: Result<Vec<_>, _> = rows.iter().map(Row::from_row).collect();
        Ok((rows?, total))
    }

    fn walk(&self, list: &ListQuery) -> Result<Walk<'a>, Failure> {
        let order = match &list.sort_field {
            None => self.order,
            Some(name) => {
                let field = sortable(self.fields, name)?;
                Order { by: Column { sql: field.sql, kind: field.kind }, descending: false }
            }
        };
        let descending = list.descending.unwrap_or(order.descending);
        let nullable = order.by != self.order.by && order.by != self.key;
        Ok(Walk { by: order.by, key: self.key, descending, nullable })
    }

    /// Tells apart what must not share places: another list, filter, order, caller's view, or day.
    fn signature(&self, list: &ListQuery, asker: &Asker<'_>, walk: &Walk<'_>) -> String {
        let mut text = format!(
            "{}\n{}\n{}\n{}\n{}\n",
            self.name,
            asker.name,
            asker.now.date_naive(),
            walk.order(),
            list.filter.as_deref().unwrap_or_default()
        );
        for narrow in &self.narrow {
            let _written = match narrow {
                Narrow::Holds(sql) | Narrow::AfterNow(sql) => writeln!(text, "{sql}"),
                Narrow::Among(sql, numbers) => writeln!(text, "{sql} {numbers:?}"),
                Narrow::Is(sql, value) => writeln!(text, "{sql} {value}"),
                Narrow::Written { told, .. } => writeln!(text, "{told}"),
            };
        }
        text
    }

    fn push_rows(
        &self,
        sql: &mut QueryBuilder<Postgres>,
        list: &ListQuery,
        asker: &Asker<'_>,
    ) -> Result<(), Failure> {
        sql.push(self.from);
        for narrow in &self.narrow {
            match narrow {
                Narrow::Holds(condition) => drop(sql.push(format_args!(" AND {condition}"))),
                Narrow::Among(column, numbers) => {
                    sql.push(format_args!(" AND {column} = ANY(")).push_bind(numbers.clone()).push(")");
                }
                Narrow::Is(column, value) => {
                    sql.push(format_args!(" AND {column} = ")).push_bind(value.clone());
                }
                Narrow::AfterNow(column) => {
                    sql.push(format_args!(" AND {column} > ")).push_bind(asker.now);
                }
                Narrow::Written { write, .. } => write(sql)?,
            }
        }
        push_filter(sql, self.fields, list.filter.as_deref(), asker)
    }

    /// A place near the page that is asked for. A jump beyond what is known looks through the list once, by its
    /// keys alone, and remembers a place every so many rows.
    async fn place(
        &self,
        db: &mut PgConnection,
        list: &ListQuery,
        asker: &Asker<'_>,
        walk: &Walk<'_>,
        signature: &str,
        now: Instant,
    ) -> Result<Option<(i64, Place)>, Failure> {
        let known = list.places.before(signature, list.offset, now);
        if list.offset - known.as_ref().map_or(0, |(rows, _)| *rows) <= SKIPPED {
            return Ok(known);
        }
        let mut sql = QueryBuilder::new(format!(
            "-- name: {}_places\nSELECT n, place_value, place_key FROM (SELECT row_number() OVER (ORDER BY {}) AS n,
                {} AS place_value, {} AS place_key",
            self.name,
            walk.order(),
            plain(walk.by),
            plain(walk.key)
        ));
        self.push_rows(&mut sql, list, asker)?;
        sql.push(") AS numbered WHERE n % ").push_bind(STRIDE).push(" = 0 AND n <= ");
        sql.push_bind(i64::from(u32::MAX));
        let rows = sql.build().fetch_all(db).await?;
        let mut places = BTreeMap::new();
        for row in &rows {
            places.insert(row.try_get::<i64, _>("n")?, walk.place(row)?);
        }
        list.places.note_all(signature, places, now);
        Ok(list.places.before(signature, list.offset, now))
    }

    async fn total(
        &self,
        db: &mut PgConnection,
        list: &ListQuery,
        asker: &Asker<'_>,
        rows: usize,
        signature: &str,
        now: Instant,
    ) -> Result<i64, Failure> {
        let rows = i64::try_from(rows).unwrap_or(list.limit);
        if rows < list.limit && (list.offset == 0 || rows > 0) {
            return Ok(list.offset + rows);
        }
        let seen = list.offset + rows;
        if let Some(total) = list.places.total(signature, now) {
            return Ok(if rows > 0 { total.max(seen) } else { total });
        }
        let mut sql =
            QueryBuilder::new(format!("-- name: {}_count\nSELECT count(*) FROM (SELECT 1", self.name));
        self.push_rows(&mut sql, list, asker)?;
        sql.push(" LIMIT ").push_bind(COUNT_BOUND + 1).push(") AS bounded");
        let counted: i64 = sql.build_query_scalar().fetch_one(&mut *db).await?;
        if counted <= COUNT_BOUND {
            return Ok(counted);
        }
        let mut sql = QueryBuilder::new("EXPLAIN (FORMAT JSON) SELECT 1");
        self.push_rows(&mut sql, list, asker)?;
        let plan: serde_json::Value = sql.build_query_scalar().fetch_one(db).await?;
        let estimate = plan.pointer("/0/Plan/Plan Rows").and_then(serde_json::Value::as_i64).unwrap_or(0);
        let total = estimate.saturating_add(estimate / 10).max(counted);
        list.places.note_total(signature, total, now);
        Ok(if rows > 0 { total.max(seen) } else { total })
    }
}

/// A column as the type that its kind is read as.
fn plain(column: Column<'_>) -> String {
    let kind = match column.kind {
        Kind::Text => "text",
        Kind::Number | Kind::Among => "bigint",
        Kind::Guid => "uuid",
        Kind::Time => "timestamptz",
        Kind::Flag => "boolean",
    };
    format!("({})::{kind}", column.sql)
}

impl Walk<'_> {
    fn order(&self) -> String {
        let direction = if self.descending { "DESC" } else { "ASC" };
        if self.by == self.key {
            return format!("{} {direction}", self.by.sql);
        }
        format!("{} {direction}, {} {direction}", self.by.sql, self.key.sql)
    }

    fn place(&self, row: &PgRow) -> Result<Place, sqlx::Error> {
        Ok(Place {
            value: read(row, "place_value", self.by.kind)?,
            key: read(row, "place_key", self.key.kind)?,
        })
    }

    /// Narrows to the rows behind a place. Unset values come last upwards and first downwards, as Postgres has it.
    fn push_after(&self, sql: &mut QueryBuilder<Postgres>, place: &Place) {
        let (by, key) = (self.by.sql, self.key.sql);
        let sign = if self.descending { "<" } else { ">" };
        if self.by == self.key {
            sql.push(format_args!(" AND {key} {sign} "));
            push_value(sql, &place.key);
        } else if !self.nullable {
            sql.push(format_args!(" AND ({by}, {key}) {sign} ("));
            push_value(sql, &place.value);
            sql.push(", ");
            push_value(sql, &place.key);
            sql.push(")");
        } else if place.value == Value::Null {
            sql.push(format_args!(" AND (({by}) IS NULL AND {key} {sign} "));
            push_value(sql, &place.key);
            if self.descending {
                sql.push(format_args!(" OR ({by}) IS NOT NULL"));
            }
            sql.push(")");
        } else {
            sql.push(format_args!(" AND (({by}) {sign} "));
            push_value(sql, &place.value);
            sql.push(format_args!(" OR ({by}) = "));
            push_value(sql, &place.value);
            sql.push(format_args!(" AND {key} {sign} "));
            push_value(sql, &place.key);
            if !self.descending {
                sql.push(format_args!(" OR ({by}) IS NULL"));
            }
            sql.push(")");
        }
    }
}

fn read(row: &PgRow, column: &str, kind: Kind) -> Result<Value, sqlx::Error> {
    let value = match kind {
        Kind::Text => row.try_get::<Option<String>, _>(column)?.map(Value::Text),
        Kind::Number | Kind::Among => row.try_get::<Option<i64>, _>(column)?.map(Value::Number),
        Kind::Guid => row.try_get::<Option<Uuid>, _>(column)?.map(Value::Guid),
        Kind::Time => row.try_get::<Option<DateTime<Utc>>, _>(column)?.map(Value::Time),
        Kind::Flag => row.try_get::<Option<bool>, _>(column)?.map(Value::Flag),
    };
    Ok(value.unwrap_or(Value::Null))
}

/// A value in a statement of its own: were it in the open, the planner would look at the ends of every partition's index
/// to guess how many rows lie behind it, which took longer than to read a page.
fn push_value(sql: &mut QueryBuilder<Postgres>, value: &Value) {
    sql.push("(SELECT ");
    match value {
        Value::Null => sql.push("NULL"),
        Value::Text(text) => sql.push_bind(text.clone()),
        Value::Number(number) => sql.push_bind(*number),
        Value::Guid(id) => sql.push_bind(*id),
        Value::Time(time) => sql.push_bind(*time),
        Value::Flag(flag) => sql.push_bind(*flag),
    };
    sql.push(")");
}
