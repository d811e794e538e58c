//! Just enough of SQL's grammar: created tables, their columns, and written tables. It knows no files.

use std::collections::BTreeSet;

use super::rust_source::words;

/// First words of a line of `CREATE TABLE` that is no column.
const CONSTRAINTS: [&str; 7] = ["CONSTRAINT", "CHECK", "PRIMARY", "UNIQUE", "FOREIGN", "EXCLUDE", "LIKE"];

/// The table that a line begins to create.
pub(crate) fn created_table(line: &str) -> Option<&str> {
    let name = line.strip_prefix("CREATE TABLE ")?;
    words(name.strip_prefix("IF NOT EXISTS ").unwrap_or(name)).first().copied()
}

/// Tables that statements in the text insert into, update or delete from.
pub(crate) fn written_tables(text: &str) -> BTreeSet<String> {
    let words: Vec<String> = words(text).into_iter().map(str::to_lowercase).collect();
    let mut found = BTreeSet::new();
    for (at, word) in words.iter().enumerate() {
        let following: Vec<&str> = words[at + 1..].iter().map(String::as_str).take(5).collect();
        let table = match (word.as_str(), following.as_slice()) {
            ("insert" | "merge", ["into", table, ..]) => table,
            ("delete", ["from", "only", table, ..] | ["from", table, ..]) => table,
            ("truncate", ["table", table, ..] | [table, ..]) => table,
            ("update", ["only", table, rest @ ..] | [table, rest @ ..]) if rest.contains(&"set") => table,
            _ => continue,
        };
        found.insert((*table).to_owned());
    }
    found
}

/// Each `CREATE TABLE` with a list of columns: the name, and the lines within the outer brackets.
pub(crate) fn table_definitions(text: &str) -> Vec<(&str, &str)> {
    let starts =
        text.match_indices("CREATE TABLE ").filter(|(at, _)| *at == 0 || text[..*at].ends_with('\n'));
    let definitions = starts.filter_map(|(at, _)| {
        let whole = &text[at..];
        let statement = &whole[..whole.find(";").unwrap_or(whole.len())];
        let name = created_table(statement)?;
        let first_line = statement.lines().next()?;
        if !first_line.trim_end().ends_with('(') {
            return Some((name, ""));
        }
        let end = whole.find("\n)").unwrap_or(whole.len());
        Some((name, &whole[first_line.len()..end]))
    });
    definitions.collect()
}

/// Columns of a definition without a `--` beside or directly above them.
pub(crate) fn unexplained_columns(definition: &str) -> Vec<&str> {
    let (mut found, mut column, mut explained, mut depth) = (Vec::new(), None, false, 0_i32);
    for line in definition.lines() {
        let (code, comment) = line.split_once("--").map_or((line, false), |(code, _)| (code, true));
        explained |= comment;
        if code.trim().is_empty() {
            continue;
        }
        column = column.or_else(|| words(code).first().copied());
        depth += i32::try_from(code.matches('(').count()).unwrap_or(0);
        depth -= i32::try_from(code.matches(')').count()).unwrap_or(0);
        if depth == 0 && code.trim_end().ends_with(',') {
            found.extend(column.take().filter(|_| !explained));
            explained = false;
        }
    }
    found.extend(column.filter(|_| !explained));
    found.retain(|name| !CONSTRAINTS.contains(name));
    found
}

#[test]
fn writes_and_unexplained_columns_are_found() {
    let text = "INSERT INTO a SELECT 1 FROM b FOR UPDATE SKIP LOCKED; update only c AS x SET y = 1; \
                ON CONFLICT DO UPDATE SET z = 2; DELETE FROM d; could not update e";
    assert_eq!(written_tables(text).into_iter().collect::<Vec<_>>(), ["a", "c", "d"]);
    let table = "CREATE TABLE t (\n    a int, -- one\n    b text CHECK (b IN ('x', -- no\n 'y')),\n    -- three\n    c int,\n    d int,\n    CHECK (a > 0),\n    e int\n);";
    let [(name, definition)] = table_definitions(table)[..] else { unreachable!("one table") };
    assert_eq!((name, unexplained_columns(definition)), ("t", vec!["d", "e"]));
}
