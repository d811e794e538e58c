//! What every handler stands on: problems, lenient bodies, lists, the query language, and the routing table.
//!
//! It knows no slice.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod calls;
mod filter;
pub(crate) mod filter_sql;
mod lenient_json;
mod links;
pub(crate) mod list;
pub(crate) mod listing;
pub(crate) mod openapi;
pub(crate) mod paths;
pub(crate) mod places;
pub(crate) mod problem;
#[cfg(test)]
mod query_language_tests;
mod responses;
pub(crate) mod route;
pub(crate) mod version;

pub(crate) use answer::json;
pub(crate) use body::Body;
pub(crate) use problem::{Code, Failure};
