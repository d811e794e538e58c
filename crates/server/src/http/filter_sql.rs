//! The query language: tree to SQL. Values are always bound, never written into the statement.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sealift_protocol::Timestamp;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::filter::{self, Comparison, Expression, Operator};
use super::problem::{Failure, shortened};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Compared without regard to case.
    Text,
    /// A whole number.
    Number,
    /// A GUID.
    Guid,
    /// A point in time; `%TODAY%` and `%TODAY-30%` are understood.
    Time,
    /// True or false.
    Flag,
    /// Several whole numbers, of which one may equal the value; its SQL selects them. Not to be sorted by.
    Among,
}

/// A field of a table in the source that filters and sort orders may name.
pub(crate) type Field = AnyField<'static>;

/// A field that filters and sort orders may name. Those that operators define live as long as a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnyField<'a> {
    /// Its name, compared without regard to case.
    pub(crate) name: &'a str,
    /// The SQL expression behind it, never made of what a caller sent.
    pub(crate) sql: &'a str,
    /// What it holds.
    pub(crate) kind: Kind,
}

/// Who asks and when, for the tokens of the language.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    /// For `%ME%`.
    pub(crate) name: &'a str,
    /// For `%TODAY%`.
    pub(crate) now: DateTime<Utc>,
}

/// Appends ` AND (...)` for a filter, where there is one.
pub(crate) fn push_filter(
    sql: &mut QueryBuilder<Postgres>,
    fields: &[AnyField<'_>],
    filter: Option<&str>,
    asker: &Asker<'_>,
) -> Result<(), Failure> {
    let Some(filter) = filter.filter(|text| !text.trim().is_empty()) else { return Ok(()) };
    let expression = filter::parse(filter)?;
    sql.push(" AND (");
    push(sql, fields, &expression, asker)?;
    sql.push(")");
    Ok(())
}

/// The field that a list is asked to be sorted by.
pub(super) fn sortable<'a>(fields: &'a [AnyField<'a>], name: &str) -> Result<&'a AnyField<'a>, Failure> {
    let field = find(fields, name, None)?;
    match field.kind {
        Kind::Among => Err(Failure::invalid(format!("SortField: {} has no order", field.name))),
        _ => Ok(field),
    }
}

pub(super) fn find<'a>(
    fields: &'a [AnyField<'a>],
    name: &str,
    position: Option<usize>,
) -> Result<&'a AnyField<'a>, Failure> {
    fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
        let known: Vec<_> = fields.iter().map(|field| field.name).collect();
        let place = match position {
            Some(position) => format!("QueryString, character {position}"),
            None => "SortField".to_owned(),
        };
        Failure::invalid(format!(
            "{place}: '{}' is no field; known are {}",
            shortened(name),
            known.join(", ")
        ))
    })
}

fn push(
    sql: &mut QueryBuilder<Postgres>,
    fields: &[AnyField<'_>],
    expression: &Expression,
    asker: &Asker<'_>,
) -> Result<(), Failure> {
    match expression {
        Expression::And(parts) => push_all(sql, fields, parts, " AND ", asker),
        Expression::Or(parts) => push_all(sql, fields, parts, " OR ", asker),
        Expression::Not(inner) => {
            // COALESCE: in the language a comparison with an unset field is false, and its opposite true.
            sql.push("NOT COALESCE(");
            push(sql, fields, inner, asker)?;
            sql.push(", false)");
            Ok(())
        }
        Expression::Compare(comparison) => push_comparison(
            sql,
            find(fields, &comparison.field, Some(comparison.position))?,
            comparison,
            asker,
        ),
    }
}

fn push_all(
    sql: &mut QueryBuilder<Postgres>,
    fields: &[AnyField<'_>],
    parts: &[Expression],
    between: &str,
    asker: &Asker<'_>,
) -> Result<(), Failure> {
    for (index, part) in parts.iter().enumerate() {
        sql.push(if index == 0 { "(" } else { between });
        push(sql, fields, part, asker)?;
    }
    sql.push(")");
    Ok(())
}

fn refuse(comparison: &Comparison, reason: &str) -> Failure {
    Failure::invalid(format!("QueryString, character {}: {} {reason}", comparison.position, comparison.field))
}

fn push_comparison(
    sql: &mut QueryBuilder<Postgres>,
    field: &AnyField<'_>,
    comparison: &Comparison,
    asker: &Asker<'_>,
) -> Result<(), Failure> {
    let Some(value) = &comparison.value else {
        let test = match comparison.operator {
            Operator::Equal => "IS NULL",
            Operator::NotEqual => "IS NOT NULL",
            _ => return Err(refuse(comparison, "can be compared with NULL only by -eq and -ne")),
        };
        if field.kind == Kind::Among {
            let not = if test == "IS NULL" { "NOT " } else { "" };
            sql.push(format_args!("{not}EXISTS ({})", field.sql));
            return Ok(());
        }
        sql.push(format_args!("{} {test}", field.sql));
        return Ok(());
    };
    if field.kind == Kind::Text {
        let value = if value.eq_ignore_ascii_case("%ME%") { asker.name } else { value };
        return push_text(sql, field, comparison, value);
    }
    let symbol = match comparison.operator {
        Operator::Equal => "=",
        Operator::NotEqual => "IS DISTINCT FROM",
        Operator::Less => "<",
        Operator::LessOrEqual => "<=",
        Operator::Greater => ">",
        Operator::GreaterOrEqual => ">=",
        _ => return Err(refuse(comparison, "is no text; use -eq, -ne, -lt, -le, -gt or -ge")),
    };
    let ordered = !matches!(comparison.operator, Operator::Equal | Operator::NotEqual);
    if ordered && matches!(field.kind, Kind::Guid | Kind::Flag) {
        return Err(refuse(comparison, "has no order; use -eq or -ne"));
    }
    if field.kind == Kind::Among {
        return push_among(sql, field, comparison, value);
    }
    sql.push(format_args!("{} {symbol} ", field.sql));
    match field.kind {
        Kind::Number => sql.push_bind(
            value
                .trim()
                .parse::<i64>()
                .map_err(|_| refuse(comparison, "is compared with no whole number"))?,
        ),
        Kind::Guid => sql.push_bind(
            Uuid::try_parse(value.trim()).map_err(|_| refuse(comparison, "is compared with no GUID"))?,
        ),
        Kind::Time => sql
            .push_bind(time(value, asker.now).ok_or_else(|| refuse(comparison, "is compared with no date"))?),
        Kind::Flag => sql.push_bind(
            flag(value).ok_or_else(|| refuse(comparison, "is compared with neither true nor false"))?,
        ),
        Kind::Text | Kind::Among => sql,
    };
    Ok(())
}

fn push_among(
    sql: &mut QueryBuilder<Postgres>,
    field: &AnyField<'_>,
    comparison: &Comparison,
    value: &str,
) -> Result<(), Failure> {
    let test = match comparison.operator {
        Operator::Equal => "IN",
        Operator::NotEqual => "NOT IN",
        _ => return Err(refuse(comparison, "has no order; use -eq or -ne")),
    };
    let number: i64 =
        value.trim().parse().map_err(|_| refuse(comparison, "is compared with no whole number"))?;
    sql.push_bind(number);
    sql.push(format_args!(" {test} ({})", field.sql));
    Ok(())
}

fn push_text(
    sql: &mut QueryBuilder<Postgres>,
    field: &AnyField<'_>,
    comparison: &Comparison,
    value: &str,
) -> Result<(), Failure> {
    let (symbol, pattern) = match comparison.operator {
        Operator::Equal => ("=", None),
        Operator::NotEqual => ("IS DISTINCT FROM", None),
        Operator::Contains => ("LIKE", Some(format!("%{}%", escaped(value)))),
        Operator::NotContains => ("NOT LIKE", Some(format!("%{}%", escaped(value)))),
        Operator::StartsWith => ("LIKE", Some(format!("{}%", escaped(value)))),
        Operator::EndsWith => ("LIKE", Some(format!("%{}", escaped(value)))),
        _ => {
            return Err(refuse(comparison, "is a text, which has no order; use -eq, -contains and the like"));
        }
    };
    if value.contains('\0') {
        return Err(refuse(comparison, "is compared with a text that holds a zero byte"));
    }
    let nullable = if comparison.operator == Operator::NotContains { "COALESCE" } else { "" };
    match nullable {
        "" => sql.push(format_args!("lower({}) {symbol} lower(", field.sql)),
        _ => sql.push(format_args!("COALESCE(lower({}), '') {symbol} lower(", field.sql)),
    };
    sql.push_bind(pattern.unwrap_or_else(|| value.to_owned()));
    sql.push(")");
    Ok(())
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

fn flag(value: &str) -> Option<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

fn time(value: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let value = value.trim();
    let token = value.to_ascii_uppercase();
    if let Some(days) = token.strip_prefix("%TODAY").and_then(|rest| rest.strip_suffix('%')) {
        let days: i64 = if days.is_empty() { 0 } else { days.parse().ok()? };
        let midnight = now.date_naive().and_hms_opt(0, 0, 0)?.and_utc();
        return midnight.checked_add_signed(TimeDelta::try_days(days)?);
    }
    if let Ok(date) = NaiveDate::parse_from_str(value, "%Y-%m-%d") {
        return Some(date.and_hms_opt(0, 0, 0)?.and_utc());
    }
    value.parse::<Timestamp>().ok().map(Timestamp::utc)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[Field] = &[
        Field { name: "Name", sql: "name", kind: Kind::Text },
        Field { name: "Id", sql: "id", kind: Kind::Number },
        Field { name: "Seen", sql: "seen_at", kind: Kind::Time },
        Field { name: "Part", sql: "SELECT n FROM parts", kind: Kind::Among },
    ];

    fn sql(filter: &str) -> Result<String, String> {
        let mut sql = QueryBuilder::new("SELECT 1 WHERE true");
        let asker = Asker { name: "me", now: DateTime::UNIX_EPOCH };
        push_filter(&mut sql, FIELDS, Some(filter), &asker)
            .map_err(|failure| failure.message().to_owned())?;
        Ok(sql.into_string())
    }

    #[test]
    fn values_are_bound() {
        let text = sql(r#"name -eq "'; DROP TABLE agents" AND (id -gt 3 OR seen -ge %TODAY-30%)"#).unwrap();
        assert_eq!(
            text,
            "SELECT 1 WHERE true AND ((lower(name) = lower($1) AND (id > $2 OR seen_at >= $3)))"
        );
    }

    #[test]
    fn one_of_several_may_equal() {
        let where_ = |filter: &str| sql(filter).unwrap().replace("SELECT 1 WHERE true AND ", "");
        assert_eq!(where_("part -eq 3"), "($1 IN (SELECT n FROM parts))");
        assert_eq!(where_("part -ne 3"), "($1 NOT IN (SELECT n FROM parts))");
        assert_eq!(where_("part -eq NULL"), "(NOT EXISTS (SELECT n FROM parts))");
        assert!(sql("part -lt 3").unwrap_err().contains("has no order"));
        assert!(sql("part -eq x").unwrap_err().contains("no whole number"));
    }

    #[test]
    fn refusals_name_field_and_place() {
        assert!(
            sql("color -eq 1").unwrap_err().contains("'color' is no field; known are Name, Id, Seen, Part")
        );
        assert!(
            sql("id -contains 1").unwrap_err().contains("Id is no text") || sql("id -contains 1").is_err()
        );
        assert!(sql("seen -lt soon").unwrap_err().contains("no date"));
        assert!(sql("id -lt NULL").unwrap_err().contains("NULL"));
    }

    #[test]
    fn dates_relative_to_today_start_at_midnight() {
        let now: DateTime<Utc> = "2026-05-04T09:30:00Z".parse().unwrap();
        assert_eq!(time("%TODAY-4%", now).unwrap().to_rfc3339(), "2026-04-30T00:00:00+00:00");
        assert_eq!(time("%today%", now).unwrap().to_rfc3339(), "2026-05-04T00:00:00+00:00");
        assert!(time("%TODAY-99999999999%", now).is_none());
    }
}
