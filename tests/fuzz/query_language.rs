//! The fuzz target of the query language: any text is a filter, or a refusal that names its place.
//!
//! `make fuzz` builds it with coverage counters and runs it for ten minutes; what breaks it is written to a file,
//! whose name is printed. libFuzzer brings the `main`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match sealift_server::startup::filter_statement(text) {
        // Values are bound, so a quote in a statement is one of ours: all of them come in pairs.
        Ok(statement) => assert_eq!(statement.matches('\'').count() % 2, 0, "{statement}"),
        Err(refusal) => assert!(
            refusal.contains("QueryString, character ") || refusal.contains("is longer than"),
            "{refusal}"
        ),
    }
});
