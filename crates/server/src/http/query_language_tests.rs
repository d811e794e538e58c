//! The query language and the pages of lists against a real Postgres, beside a plain evaluator in memory.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sqlx::{Connection as _, PgConnection, QueryBuilder};
use uuid::Uuid;

use super::filter::{self, Comparison, Expression, Operator};
use super::filter_sql::{Asker, Field, Kind, push_filter};
use super::list::ListQuery;
use super::listing::{Column, Listing, Narrow, Order};
use crate::database::embedded::{EmbeddedPostgres, Options};

const FIELDS: &[Field] = &[
    Field { name: "Id", sql: "id", kind: Kind::Number },
    Field { name: "Name", sql: "name", kind: Kind::Text },
    Field { name: "Size", sql: "size", kind: Kind::Number },
    Field { name: "Owner", sql: "owner", kind: Kind::Guid },
    Field { name: "Seen", sql: "seen", kind: Kind::Time },
    Field { name: "Active", sql: "active", kind: Kind::Flag },
];
const NAMES: [&str; 12] =
    ["", "a", "A", "ab", "aB%", "a_b", "back\\slash", "say \"so\"", "me", "naïve", "web.example.test", "AND"];
const WALKED: i64 = 3_000;

struct Thing {
    id: i64,
    name: Option<&'static str>,
    size: Option<i64>,
    owner: Option<Uuid>,
    seen: Option<DateTime<Utc>>,
    active: Option<bool>,
}

fn now() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn owner(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Every combination that matters, unset values among them.
fn things(count: i64) -> Vec<Thing> {
    (1..=count)
        .map(|id| {
            let n = usize::try_from(id).unwrap();
            Thing {
                id,
                name: (n % 13 != 0).then(|| NAMES[n % 13 % 12]),
                size: (n % 7 != 0).then(|| id % 7 - 3),
                owner: (n % 5 != 0).then(|| owner(u128::from(id.unsigned_abs() % 5))),
                seen: (n % 11 != 0).then(|| now() - TimeDelta::hours(id % 11 * 12)),
                active: (n % 3 != 0).then_some(n % 3 == 1),
            }
        })
        .collect()
}

fn holds(expression: &Expression, thing: &Thing) -> bool {
    match expression {
        Expression::And(parts) => parts.iter().all(|part| holds(part, thing)),
        Expression::Or(parts) => parts.iter().any(|part| holds(part, thing)),
        Expression::Not(inner) => !holds(inner, thing),
        Expression::Compare(comparison) => compare(comparison, thing),
    }
}

/// The meaning of a comparison, written down without SQL: an unset field equals nothing and contains nothing.
fn compare(comparison: &Comparison, thing: &Thing) -> bool {
    let Some(value) = comparison.value.as_deref() else {
        let unset = match comparison.field.as_str() {
            "Name" => thing.name.is_none(),
            "Size" => thing.size.is_none(),
            "Owner" => thing.owner.is_none(),
            "Seen" => thing.seen.is_none(),
            "Active" => thing.active.is_none(),
            _ => false,
        };
        return unset == (comparison.operator == Operator::Equal);
    };
    match comparison.field.as_str() {
        "Name" => {
            let value = if value == "%ME%" { "me" } else { value }.to_ascii_lowercase();
            let name = thing.name.map(str::to_ascii_lowercase);
            let has = |test: fn(&str, &str) -> bool| name.as_deref().is_some_and(|name| test(name, &value));
            match comparison.operator {
                Operator::Equal => has(|name, value| name == value),
                Operator::NotEqual => !has(|name, value| name == value),
                Operator::Contains => has(|name, value| name.contains(value)),
                Operator::NotContains => {
                    !has(|name, value| name.contains(value)) && (name.is_some() || !value.is_empty())
                }
                Operator::StartsWith => has(|name, value| name.starts_with(value)),
                Operator::EndsWith => has(|name, value| name.ends_with(value)),
                _ => unreachable!("texts have no order"),
            }
        }
        "Id" => ordered(comparison.operator, Some(thing.id), value.parse().unwrap()),
        "Size" => ordered(comparison.operator, thing.size, value.parse().unwrap()),
        "Owner" => ordered(comparison.operator, thing.owner, value.parse().unwrap()),
        "Active" => ordered(comparison.operator, thing.active, value == "true"),
        "Seen" => {
            let time = match value {
                "%TODAY%" => "2026-03-01T00:00:00Z",
                "%TODAY-1%" => "2026-02-28T00:00:00Z",
                "%TODAY-2%" => "2026-02-27T00:00:00Z",
                "%TODAY+1%" => "2026-03-02T00:00:00Z",
                "2026-02-27" => "2026-02-27T00:00:00Z",
                full => full,
            };
            ordered(comparison.operator, thing.seen, time.parse().unwrap())
        }
        other => unreachable!("{other}"),
    }
}

fn ordered<T: PartialOrd>(operator: Operator, held: Option<T>, value: T) -> bool {
    let Some(held) = held else { return operator == Operator::NotEqual };
    match operator {
        Operator::Equal => held == value,
        Operator::NotEqual => held != value,
        Operator::Less => held < value,
        Operator::LessOrEqual => held <= value,
        Operator::Greater => held > value,
        Operator::GreaterOrEqual => held >= value,
        _ => unreachable!("only texts contain"),
    }
}

fn comparison() -> impl Strategy<Value = Expression> {
    use Operator::{
        Contains, EndsWith, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotContains, NotEqual,
        StartsWith,
    };
    let any_order = prop::sample::select(vec![Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual]);
    let equality = prop::sample::select(vec![Equal, NotEqual]);
    let of_text = prop::sample::select(vec![Equal, NotEqual, Contains, NotContains, StartsWith, EndsWith]);
    let made = |field: &'static str, (operator, value): (Operator, Option<String>)| {
        Expression::Compare(Comparison { field: field.to_owned(), operator, value, position: 1 })
    };
    let texts: Vec<&str> =
        NAMES.into_iter().chain(["%ME%", "b", "%", "_", "\\", "\"", "WEB", "ï", ".test", "'; --"]).collect();
    let times =
        ["%TODAY%", "%TODAY-1%", "%TODAY-2%", "%TODAY+1%", "2026-02-27", "2026-02-28T12:00:00Z"].to_vec();
    let numbers = (-4_i64..5).prop_map(|number| number.to_string());
    let owners = (0_u128..6).prop_map(|number| owner(number).to_string());
    let flags = prop::sample::select(vec!["true", "false"]).prop_map(str::to_owned);
    let fields = prop::sample::select(vec!["Name", "Size", "Owner", "Seen", "Active", "Id"]);
    let chosen = |texts: Vec<&'static str>| prop::sample::select(texts).prop_map(str::to_owned);
    prop_oneof![
        4 => (of_text, chosen(texts).prop_map(Some)).prop_map(move |pair| made("Name", pair)),
        2 => (any_order.clone(), numbers.clone().prop_map(Some)).prop_map(move |pair| made("Size", pair)),
        1 => (any_order.clone(), numbers.prop_map(Some)).prop_map(move |pair| made("Id", pair)),
        1 => (equality.clone(), owners.prop_map(Some)).prop_map(move |pair| made("Owner", pair)),
        2 => (any_order, chosen(times).prop_map(Some)).prop_map(move |pair| made("Seen", pair)),
        1 => (equality.clone(), flags.prop_map(Some)).prop_map(move |pair| made("Active", pair)),
        1 => (fields, equality).prop_map(move |(field, operator)| made(field, (operator, None))),
    ]
}

fn expression() -> impl Strategy<Value = Expression> {
    comparison().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::Or),
            inner.prop_map(|inner| Expression::Not(Box::new(inner))),
        ]
    })
}

/// How clients might write it. `style` varies case, blanks, quotes and needless brackets.
fn written(expression: &Expression, style: usize) -> String {
    let keyword = |word: &str| if style.is_multiple_of(2) { word.to_owned() } else { word.to_lowercase() };
    let joined = |parts: &[Expression], word: &str| {
        let parts: Vec<_> = parts.iter().map(|part| format!("({})", written(part, style / 2))).collect();
        let blank = if style.is_multiple_of(3) { "" } else { "  " };
        parts.join(&format!("{blank}{}{blank}", keyword(word)))
    };
    match expression {
        Expression::And(parts) => joined(parts, "AND"),
        Expression::Or(parts) => joined(parts, "OR"),
        Expression::Not(inner) => format!("{} ({})", keyword("NOT"), written(inner, style / 2)),
        Expression::Compare(comparison) => {
            let operator = match comparison.operator {
                Operator::Equal => "-eq",
                Operator::NotEqual => "-NE",
                Operator::Less => "-lt",
                Operator::LessOrEqual => "-Le",
                Operator::Greater => "-gt",
                Operator::GreaterOrEqual => "-ge",
                Operator::Contains => "-Contains",
                Operator::NotContains => "-notcontains",
                Operator::StartsWith => "-startswith",
                Operator::EndsWith => "-ENDSWITH",
            };
            let value = match &comparison.value {
                None => keyword("NULL"),
                Some(value) if comparison.field == "Size" && style.is_multiple_of(2) => value.clone(),
                Some(value) => format!("\"{}\"", value.replace('"', "\"\"")),
            };
            format!("{} {operator} {value}", comparison.field)
        }
    }
}

async fn found(db: &mut PgConnection, filter: &str) -> Vec<i64> {
    let mut sql = QueryBuilder::new("SELECT id FROM things WHERE id <= 400");
    let asker = Asker { name: "me", now: now() };
    push_filter(&mut sql, FIELDS, Some(filter), &asker)
        .unwrap_or_else(|failure| panic!("{filter}: {failure}"));
    sql.push(" ORDER BY id");
    sql.build_query_scalar().fetch_all(db).await.unwrap_or_else(|error| panic!("{filter}: {error}"))
}

async fn fill(db: &mut PgConnection) {
    let table = "CREATE TEMPORARY TABLE things (id bigint PRIMARY KEY, name text, size int, owner uuid,
        seen timestamptz, active boolean)";
    sqlx::query(table).execute(&mut *db).await.unwrap();
    let mut insert = QueryBuilder::new("INSERT INTO things ");
    insert.push_values(things(WALKED), |mut row, thing| {
        row.push_bind(thing.id).push_bind(thing.name).push_bind(thing.size.map(|size| size as i32));
        row.push_bind(thing.owner).push_bind(thing.seen).push_bind(thing.active);
    });
    insert.build().execute(db).await.unwrap();
}

fn runner(cases: u32) -> TestRunner {
    let cases = std::env::var("SEALIFT_TEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(cases);
    let seed: u64 =
        std::env::var("SEALIFT_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_124);
    println!("SEALIFT_TEST_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

#[test]
fn filters_and_pages_are_what_a_plain_evaluator_says() {
    let root = tempfile::tempdir().unwrap();
    let options = Options { shared_buffers_mb: 16, max_connections: 20, ..Options::from_environment() };
    let mut postgres = EmbeddedPostgres::start(root.path(), &options).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let db = runtime.block_on(async {
        let mut db = PgConnection::connect(postgres.url().expose()).await.unwrap();
        fill(&mut db).await;
        db
    });
    let db = std::cell::RefCell::new(db);
    let things = things(400);
    runner(600)
        .run(&(expression(), any::<usize>()), |(expression, style)| {
            let filter = written(&expression, style);
            prop_assume!(filter.len() < 4_000);
            let expected: Vec<i64> =
                things.iter().filter(|thing| holds(&expression, thing)).map(|thing| thing.id).collect();
            let found = runtime.block_on(found(&mut db.borrow_mut(), &filter));
            prop_assert_eq!(found, expected, "{}", filter);
            Ok(())
        })
        .unwrap();
    let sorted = prop::sample::select(vec!["", "Id", "Name", "Size", "Owner", "Seen", "Active"]);
    let filters = prop::sample::select(vec!["", "Size -gt 0", "Name -contains \"a\" OR Active -eq NULL"]);
    runner(40)
        .run(
            &(sorted, any::<bool>(), filters, 40_i64..400, any::<u64>()),
            |(sort, down, filter, limit, jump)| {
                runtime.block_on(walked(&mut db.borrow_mut(), sort, down, filter, limit, jump));
                Ok(())
            },
        )
        .unwrap();
    drop(db);
    postgres.stop();
}

/// Walks through all pages, then jumps, and compares with the whole list in one answer.
async fn walked(db: &mut PgConnection, sort: &str, down: bool, filter: &str, limit: i64, jump: u64) {
    let listing = Listing {
        name: "things",
        columns: "id",
        from: " FROM things WHERE true",
        fields: FIELDS,
        order: Order { by: Column { sql: "id", kind: Kind::Number }, descending: false },
        key: Column { sql: "id", kind: Kind::Number },
        narrow: vec![Narrow::Holds("id > 10")],
    };
    let asker = Asker { name: "me", now: now() };
    let column = FIELDS.iter().find(|field| field.name == sort).map_or("id", |field| field.sql);
    let direction = if down { "DESC" } else { "ASC" };
    let mut whole = QueryBuilder::new("SELECT id FROM things WHERE id > 10");
    push_filter(&mut whole, FIELDS, Some(filter), &asker).unwrap();
    whole.push(format_args!(" ORDER BY {column} {direction}, id {direction}"));
    let whole: Vec<i64> = whole.build_query_scalar().fetch_all(&mut *db).await.unwrap();
    let places = Arc::default();
    let ask = |page: i64| {
        let query = format!(
            "PageReturned={page}&ReturnLimit={limit}&SortAscending={}&SortField={sort}",
            i32::from(down)
        );
        let mut list = ListQuery::parse(&query).unwrap();
        list.filter = Some(filter.to_owned());
        list.places = Arc::clone(&places);
        list
    };
    let rows = |page: i64| {
        let start = usize::try_from((page - 1) * limit).unwrap().min(whole.len());
        &whole[start..(start + usize::try_from(limit).unwrap()).min(whole.len())]
    };
    let pages = i64::try_from(whole.len()).unwrap() / limit + 2;
    let order: Vec<i64> = if jump.is_multiple_of(2) {
        (1..=pages).collect()
    } else {
        (0..8)
            .map(|turn| 1 + i64::try_from((jump >> turn) % u64::try_from(pages).unwrap()).unwrap())
            .collect()
    };
    for page in order {
        let (found, total): (Vec<(i64,)>, i64) = listing.page(&mut *db, &ask(page), &asker).await.unwrap();
        let found: Vec<i64> = found.into_iter().map(|(id,)| id).collect();
        assert_eq!(found, rows(page), "page {page} of {limit}, {sort} {direction}, {filter}");
        assert_eq!(total, i64::try_from(whole.len()).unwrap());
    }
}

#[test]
fn any_text_is_a_filter_or_a_refusal_that_names_its_place() {
    let pieces = prop::sample::select(vec![
        "Name",
        "Size",
        "-eq",
        "-ne",
        "-contains",
        "-lt",
        "AND",
        "or",
        "NOT",
        "(",
        ")",
        "\"",
        "\"x\"",
        "NULL",
        "%TODAY-3%",
        "1",
        " ",
        "\t",
        "\u{0}",
        "ß",
        "-",
        "%",
        "--",
        "'",
        "\\",
        "\u{1F512}",
        "Seen",
        "99999999999999999999",
    ]);
    let text = prop_oneof![
        prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat()),
        any::<String>(),
    ];
    runner(20_000)
        .run(&text, |text| {
            let mut sql = QueryBuilder::new("");
            if let Err(failure) =
                push_filter(&mut sql, FIELDS, Some(&text), &Asker { name: "me", now: now() })
            {
                prop_assert!(failure.message().contains("QueryString, character "), "{text:?}: {failure}");
            }
            Ok(())
        })
        .unwrap();
    assert!(filter::parse(&"x".repeat(5_000)).unwrap_err().message().contains("longer"));
}
