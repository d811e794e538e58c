//! Which error codes of the catalogue a test asserts.

use anyhow::{Context as _, Result, ensure};

use super::repository::File;

const CATALOGUE: &str = "crates/protocol/src/agent/error_catalogue.rs";

/// The codes of the catalogue, in its order.
pub(crate) fn codes(files: &[File]) -> Result<Vec<String>> {
    let catalogue = files.iter().find(|file| file.name == CATALOGUE).context("there is no catalogue")?;
    let codes: Vec<String> = catalogue
        .text
        .split("    entry(")
        .skip(1)
        .filter_map(|entry| Some(entry.split_once('"')?.1.split_once('"')?.0.to_owned()))
        .collect();
    ensure!(codes.len() > 20, "the catalogue cannot be read: {codes:?}");
    Ok(codes)
}

/// The part of a source that tests are made of.
fn test_code(file: &File) -> &str {
    let tests = file.name.starts_with("tests/") && !file.name.starts_with("tests/tidy");
    match tests || file.name.contains("/stories/") || file.name.contains("/tests/") {
        true => &file.text,
        false => file.text.split_once("#[cfg(test)]").map_or("", |(_, tests)| tests),
    }
}

/// Whether a test asserts a code that what it tests has produced. It stands in an assertion as it travels, or by the
/// name that the agent has for it. Tests of the API send codes of agents themselves: there only the server's count.
pub(crate) fn is_asserted(files: &[File], code: &str) -> bool {
    let of_server = files.iter().any(|file| {
        let server = file.name.starts_with("crates/server/src/");
        let produces =
            file.text.split("#[cfg(test)]").next().is_some_and(|text| {
                text.contains(&format!("\"{code}\"")) || text.contains(&format!("'{code}'"))
            });
        server && produces
    });
    let name: String = code
        .split('_')
        .map(|word| {
            word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect::<String>()
        })
        .collect();
    let written = [format!("\"{code}\""), format!("ErrorCode::{name}")];
    let counts = |file: &&File| {
        file.name.ends_with(".rs")
            && file.name != CATALOGUE
            && (of_server || !file.name.starts_with("tests/api/"))
    };
    files.iter().filter(counts).any(|file| {
        let assertions = test_code(file).split("assert").skip(1).filter_map(|rest| rest.split(';').next());
        assertions.into_iter().any(|assertion| written.iter().any(|written| assertion.contains(written)))
    })
}
