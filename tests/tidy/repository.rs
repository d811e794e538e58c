//! The repository's text files and what their paths say. It judges nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::height;
use super::rust_source::{Strings, first_segments, is_word, without_comments};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A text file of the repository.
pub(crate) struct File {
    /// Its path from the root, with `/`.
    pub(crate) name: String,
    /// What it holds.
    pub(crate) text: String,
}

/// Every text file, build directories and hidden ones apart.
pub(crate) fn files() -> Result<Vec<File>> {
    let (root, mut found) = (root(), Vec::new());
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            let name = path.strip_prefix(&root)?.to_string_lossy().into_owned();
            let hidden = name.starts_with('.') && !name.starts_with(".ci") && !name.starts_with(".sqlx/");
            if hidden || path.is_symlink() || path.join("CACHEDIR.TAG").exists() || name == "target" {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
            } else if let Ok(text) = String::from_utf8(fs::read(&path)?) {
                found.push(File { name, text });
            }
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

pub(crate) fn sources() -> Result<Vec<File>> {
    Ok(files()?.into_iter().filter(|file| file.name.ends_with(".rs")).collect())
}

pub(crate) fn migrations() -> Result<Vec<File>> {
    let named = |file: &File| file.name.starts_with("migrations/") && file.name.ends_with(".sql");
    let found: Vec<File> = files()?.into_iter().filter(named).collect();
    ensure!(!found.is_empty(), "there are no migrations");
    Ok(found)
}

impl File {
    /// The text without comments.
    pub(crate) fn code(&self, strings: Strings) -> String {
        if self.name.ends_with(".sql") {
            return self
                .text
                .lines()
                .map(|line| line.split("--").next().unwrap_or_default().to_owned() + "\n")
                .collect();
        }
        without_comments(&self.text, strings)
    }

    /// Its path inside the server's sources.
    pub(crate) fn in_server(&self) -> Option<&str> {
        self.name.strip_prefix("crates/server/src/")
    }

    /// The server's modules that lead to this file; none for `lib.rs` and `main.rs`.
    pub(crate) fn module_path(&self) -> Vec<String> {
        let Some(path) = self.in_server().and_then(|path| path.strip_suffix(".rs")) else {
            return Vec::new();
        };
        let parts = path.split('/').filter(|part| !["mod", "lib", "main"].contains(part));
        parts.map(str::to_owned).collect()
    }

    /// The server's top modules that the source names, with their heights: after `crate::`, or after so many
    /// `super::` that they lead there from a file at this depth.
    pub(crate) fn calls(&self, depth: usize) -> Vec<(String, usize)> {
        let code: String = self.code(Strings::Dropped).split_whitespace().collect::<Vec<_>>().join(" ");
        let mut named = BTreeSet::new();
        for (at, _) in code.match_indices("crate::").filter(|(at, _)| !code[..*at].ends_with(is_word)) {
            named.extend(first_segments(&code[at + "crate::".len()..]));
        }
        let way_up = "super::".repeat(depth);
        for (at, _) in code.match_indices(&way_up) {
            named.extend(first_segments(code[at + way_up.len()..].trim_start_matches("super::")));
        }
        named.into_iter().filter_map(|name| Some((name.clone(), height(&name)?))).collect()
    }

    pub(crate) fn holds_queries_of(&self, slice: &str) -> bool {
        let inside = self.in_server().and_then(|path| path.strip_prefix(slice)?.strip_prefix('/'));
        inside.is_some_and(|path| {
            path.ends_with(".sql") || path.ends_with("queries.rs") || path.contains("queries/")
        })
    }
}

#[test]
fn calls_are_found_in_groups_and_through_super() {
    let text =
        "use crate::{agents::{self, x}, clock::Clock};\nfn f() { super::super::security::g(mycrate::http) }";
    let file = File { name: "crates/server/src/certificates/routes.rs".to_owned(), text: text.to_owned() };
    let calls: Vec<String> = file.calls(2).into_iter().map(|(name, _)| name).collect();
    assert_eq!(calls, ["agents", "clock", "security"]);
}
