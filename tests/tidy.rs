//! What compilers do not check: the sizes, edges, names and owners that ARCHITECTURE.md promises.
//!
//! Each test lists all its findings, one to a line, as `file: what is wrong`. It reads files only; what a linter can
//! see is left to the linter. Released migrations are frozen by `migrations/CHECKSUMS`, which a release writes
//! (`cd migrations && sha256sum *.sql > CHECKSUMS`).

#[path = "tidy/error_codes.rs"]
mod error_codes;
#[path = "tidy/repository.rs"]
mod repository;
#[path = "tidy/rust_source.rs"]
mod rust_source;
#[path = "tidy/sql.rs"]
mod sql;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use error_codes::{codes, is_asserted};
use repository::{File, files, migrations, root, sources};
use rust_source::{Strings, is_word, words};
use sql::{created_table, table_definitions, unexplained_columns, written_tables};

/// ARCHITECTURE.md, section 3: which of our crates a crate may use.
const EDGES: [(&str, &[&str]); 6] = [
    ("sealift-protocol", &[]),
    ("sealift-pki", &[]),
    ("sealift-stores", &["sealift-pki"]),
    ("sealift-server", &["sealift-protocol", "sealift-pki"]),
    ("sealift-agent", &["sealift-protocol", "sealift-pki", "sealift-stores"]),
    ("sealift-cli", &["sealift-protocol"]),
];
/// The package that may use all of them, and that none may use.
const TESTS: &str = "sealift-tests";
/// What an agent never links.
const NOT_IN_AGENT: [&str; 2] = ["sqlx", "actix-web"];

/// ARCHITECTURE.md, section 4: under the slices, knowing none of them.
const FLOOR: [&str; 6] = ["configuration", "clock", "database", "sealing", "http", "floor"];
/// The slices, lowest first: each may name only those before it.
const SLICES: [&str; 12] = [
    "security",
    "authority",
    "agents",
    "certificates",
    "orchestrator_jobs",
    "certificate_stores",
    "blueprints",
    "web_servers",
    "enrollment",
    "rollouts",
    "agent_api",
    "console",
];
/// Over the slices, only assembling.
const ROOF: [&str; 2] = ["startup", "scheduler"];

/// ARCHITECTURE.md, section 8: lines of code in a file, blank and comment lines apart.
const MOST_LINES: usize = 600;
/// ARCHITECTURE.md, section 7: names that carry no meaning.
const REFUSED: [&str; 14] = [
    "util", "utils", "common", "misc", "core", "base", "manager", "service", "services", "data", "info",
    "impl", "helper", "helpers",
];
/// Words that promise work instead of doing it. Split, so that this file does not contain them.
const PROMISES: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

// ---- Crates

#[test]
fn crates_use_only_whom_they_may() -> Result<()> {
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1"])?)?;
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().context("cargo metadata lists no packages")? {
        let name = package["name"].as_str().unwrap_or_default();
        let allowed = EDGES.iter().find(|(from, _)| *from == name).map(|(_, to)| *to);
        if allowed.is_none() && name != TESTS {
            findings.push(format!("{name}: not in the table of crates"));
        }
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        for used in
            dependencies.filter_map(|one| one["name"].as_str()).filter(|one| one.starts_with("sealift-"))
        {
            if used == TESTS || allowed.is_some_and(|allowed| !allowed.contains(&used)) {
                findings.push(format!("{name}: may not use {used}"));
            }
        }
    }
    report(findings)
}

#[test]
fn the_agent_links_no_database_and_no_web_server() -> Result<()> {
    let tree = cargo(&["tree", "-p", "sealift-agent", "-e", "normal,build", "--prefix", "none", "--locked"])?;
    let linked: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    ensure!(linked.contains("sealift-agent"), "cargo tree says nothing of the agent:\n{tree}");
    let found = NOT_IN_AGENT.into_iter().filter(|name| linked.contains(name));
    report(found.map(|name| format!("sealift-agent: links {name}")).collect())
}

// ---- Sources

#[test]
fn files_are_short() -> Result<()> {
    let mut findings = Vec::new();
    for file in sources()? {
        let lines = file.code(Strings::Kept).lines().filter(|line| !line.trim().is_empty()).count();
        if lines > MOST_LINES {
            findings.push(format!("{}: {lines} lines of code, more than {MOST_LINES}", file.name));
        }
    }
    report(findings)
}

#[test]
fn files_open_with_a_sentence() -> Result<()> {
    let mut findings = Vec::new();
    for file in sources()? {
        let opening: Vec<&str> = file.text.lines().map_while(|line| line.strip_prefix("//!")).collect();
        let opening = opening.join(" ");
        if opening.split_whitespace().count() < 2 || !opening.contains(['.', ':', '?']) {
            findings.push(format!("{}: begins with no `//!` sentence that says what it owns", file.name));
        }
    }
    report(findings)
}

#[test]
fn names_carry_meaning() -> Result<()> {
    let mut findings = Vec::new();
    for file in files()? {
        for part in Path::new(&file.name).with_extension("").iter().filter_map(|part| part.to_str()) {
            if REFUSED.contains(&part) {
                findings.push(format!("{}: `{part}` says nothing", file.name));
            }
        }
    }
    for file in sources()? {
        let code = file.code(Strings::Dropped);
        let words = words(&code);
        for pair in words.windows(2).filter(|pair| pair[0] == "mod" && REFUSED.contains(&pair[1])) {
            findings.push(format!("{}: module `{}` says nothing", file.name, pair[1]));
        }
    }
    report(findings)
}

#[test]
fn nothing_is_promised_and_no_machine_is_named() -> Result<()> {
    let mut findings = Vec::new();
    for file in files()? {
        for (number, line) in file.text.lines().enumerate() {
            let promised = words(line).into_iter().filter(|word| PROMISES.contains(word));
            let named = MACHINE_PATHS.into_iter().filter(|path| names_path(line, path));
            findings.extend(promised.chain(named).map(|it| format!("{}:{}: {it}", file.name, number + 1)));
        }
    }
    report(findings)
}

// ---- Slices

#[test]
fn slices_call_only_downwards() -> Result<()> {
    let mut findings = Vec::new();
    for file in sources()?.iter().filter(|file| file.in_server().is_some()) {
        let path = file.module_path();
        let Some(own) = path.first().map(String::as_str) else { continue };
        let Some(height) = height(own) else {
            findings
                .push(format!("{}: module `{own}` is in no table of ARCHITECTURE.md, section 4", file.name));
            continue;
        };
        for (named, called) in file.calls(path.len()) {
            if named != own && called > height {
                findings.push(format!("{}: `{own}` may not call `{named}`", file.name));
            }
        }
    }
    report(findings)
}

#[test]
fn each_table_has_one_writer() -> Result<()> {
    let (mut findings, mut owners) = (Vec::new(), BTreeMap::new());
    for migration in migrations()? {
        let lines: Vec<&str> = migration.text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let Some(table) = created_table(line) else { continue };
            let above = number.checked_sub(1).map_or("", |above| lines[above]);
            match above.strip_prefix("-- owner: ").filter(|owner| SLICES.contains(owner)) {
                Some(owner) => drop(owners.insert(table.to_owned(), owner.to_owned())),
                None => findings.push(format!("{}: no `-- owner: <slice>` above {table}", migration.name)),
            }
        }
    }
    let in_crates = files()?.into_iter().filter(|file| file.name.starts_with("crates/"));
    for file in in_crates.filter(|file| file.name.ends_with(".rs") || file.name.ends_with(".sql")) {
        for table in written_tables(&file.code(Strings::Kept)) {
            let Some(owner) = owners.get(&table) else { continue };
            if !file.holds_queries_of(owner) {
                findings.push(format!("{}: writes {table}, which only queries of {owner} may", file.name));
            }
        }
    }
    report(findings)
}

#[test]
fn statements_take_the_time_as_an_argument() -> Result<()> {
    let server = files()?.into_iter().filter(|file| file.in_server().is_some());
    let queries = server.filter(|file| file.name.ends_with(".sql") || file.name.contains("queries"));
    let told = |file: &File| {
        let code = file.code(Strings::Kept).to_lowercase();
        ["now()", "clock_timestamp()", "current_timestamp"].into_iter().find(|clock| code.contains(clock))
    };
    let found = queries
        .filter_map(|file| Some(format!("{}: asks Postgres for the time: {}", file.name, told(&file)?)));
    report(found.collect())
}

// ---- Migrations

#[test]
fn tables_and_columns_are_explained() -> Result<()> {
    let migrations = migrations()?;
    let all: String = migrations.iter().map(|migration| migration.text.as_str()).collect();
    let mut findings = Vec::new();
    for migration in &migrations {
        for (table, definition) in table_definitions(&migration.text) {
            if !all.contains(&format!("COMMENT ON TABLE {table} IS")) {
                findings.push(format!("{}: table {table} is not explained", migration.name));
            }
            let columns = unexplained_columns(definition).into_iter();
            let unexplained =
                columns.filter(|one| !all.contains(&format!("COMMENT ON COLUMN {table}.{one} IS")));
            findings
                .extend(unexplained.map(|one| format!("{}: {table}.{one} is not explained", migration.name)));
        }
        for line in migration.text.lines().filter(|line| line.contains("ADD COLUMN") && !line.contains("--"))
        {
            findings.push(format!("{}: not explained: {}", migration.name, line.trim()));
        }
    }
    report(findings)
}

/// Error codes that no test produces yet, all of them the agent's. The list may only shrink.
const UNPRODUCED: [&str; 3] = ["store_type_unknown", "read_back_mismatch", "store_damaged"];

#[test]
fn every_error_code_is_produced_by_a_test() -> Result<()> {
    let files = files()?;
    let found: Vec<String> = codes(&files)?.into_iter().filter(|code| !is_asserted(&files, code)).collect();
    let told = found.iter().map(|code| format!("{code}: no test asserts that something ends with it"));
    let produced = UNPRODUCED.iter().filter(|code| !found.iter().any(|found| found == *code));
    report(
        told.filter(|line| !UNPRODUCED.iter().any(|code| line.starts_with(&format!("{code}:"))))
            .chain(produced.map(|code| format!("{code}: is produced now; take it off the list")))
            .collect(),
    )
}

#[test]
fn released_migrations_are_frozen() -> Result<()> {
    let directory = root().join("migrations");
    if !directory.join("CHECKSUMS").exists() {
        return Ok(());
    }
    let check = Command::new("sha256sum")
        .args(["--check", "--quiet", "CHECKSUMS"])
        .current_dir(directory)
        .output()?;
    ensure!(
        check.status.success(),
        "a released migration was changed; write a new one instead:\n{}{}",
        String::from_utf8_lossy(&check.stdout),
        String::from_utf8_lossy(&check.stderr)
    );
    Ok(())
}

// ---- What the checks share

fn report(findings: Vec<String>) -> Result<()> {
    ensure!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
    Ok(())
}

fn cargo(arguments: &[&str]) -> Result<String> {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output()?;
    ensure!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Whether a path in the line begins so, rather than goes on so.
fn names_path(line: &str, start: &str) -> bool {
    line.match_indices(start)
        .any(|(at, _)| !line[..at].ends_with(|before| is_word(before) || "/.-".contains(before)))
}

/// Where a module of the server stands: the floor at 0, then the slices, then the roof.
fn height(module: &str) -> Option<usize> {
    if FLOOR.contains(&module) {
        return Some(0);
    }
    let slice = SLICES.iter().position(|slice| *slice == module).map(|position| position + 1);
    slice.or_else(|| ROOF.contains(&module).then_some(SLICES.len() + 1))
}
