//! The entries of the agent's allow-list, as they are written in the configuration and as they are used.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::configuration::{Error, absolute, invalid};

/// Most entries of the allow-list.
pub const MAX_STORES: usize = 1_000;
/// Longest time that a command after a change may be given, in seconds.
pub const MAX_AFTER_CHANGE_SECONDS: u64 = 600;

const DEFAULT_AFTER_CHANGE_SECONDS: u64 = 30;

/// One entry of the allow-list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreRule {
    /// Short name of the store type, as the drivers spell it.
    pub store_type: &'static str,
    /// Where such stores may be.
    pub place: Place,
    /// Further files that a job may name.
    pub extra_paths: Vec<PathBuf>,
    /// Run after each change.
    pub after_change: Option<AfterChange>,
}

/// Where the stores of a [`StoreRule`] may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Exactly here.
    Exact(PathBuf),
    /// Anywhere below this directory.
    Below(PathBuf),
}

/// A command that runs after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AfterChange {
    /// Program with its absolute path, then arguments.
    pub command: Vec<String>,
    /// Killed after this time.
    pub timeout: Duration,
}

impl fmt::Display for AfterChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.command.join(" "))
    }
}

/// An entry of the allow-list as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenStore {
    r#type: String,
    path: Option<PathBuf>,
    path_prefix: Option<PathBuf>,
    #[serde(default)]
    extra_paths: Vec<PathBuf>,
    after_change: Option<WrittenAfterChange>,
}

/// A command as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAfterChange {
    command: Vec<String>,
    timeout_seconds: Option<u64>,
}

/// Judges the whole list.
pub(crate) fn parse(written: Vec<WrittenStore>) -> Result<Vec<StoreRule>, Error> {
    if written.len() > MAX_STORES {
        return Err(invalid(
            "stores",
            format!("{} tables, at most {MAX_STORES}; use path_prefix", written.len()),
        ));
    }
    written.into_iter().enumerate().map(|(at, store)| rule(&format!("stores[{at}]"), store)).collect()
}

fn rule(key: &str, written: WrittenStore) -> Result<StoreRule, Error> {
    let known = sealift_stores::CAPABILITIES.iter().map(|capability| capability.short_name);
    let Some(store_type) = known.clone().find(|name| name.eq_ignore_ascii_case(&written.r#type)) else {
        let names = known.collect::<Vec<_>>().join(", ");
        return Err(invalid(format!("{key}.type"), format!("'{}' is not one of {names}", written.r#type)));
    };
    let place = match (written.path, written.path_prefix) {
        (Some(path), None) => Place::Exact(absolute(&format!("{key}.path"), path)?),
        (None, Some(prefix)) if prefix == Path::new("/") => {
            return Err(invalid(format!("{key}.path_prefix"), "must not be the whole file system"));
        }
        (None, Some(prefix)) => Place::Below(absolute(&format!("{key}.path_prefix"), prefix)?),
        _ => return Err(invalid(key, "needs either path or path_prefix, not both")),
    };
    let extra_paths = written
        .extra_paths
        .into_iter()
        .map(|path| absolute(&format!("{key}.extra_paths"), path))
        .collect::<Result<_, _>>()?;
    let after_change = written
        .after_change
        .map(|command| after_change(&format!("{key}.after_change"), command))
        .transpose()?;
    Ok(StoreRule { store_type, place, extra_paths, after_change })
}

fn after_change(key: &str, written: WrittenAfterChange) -> Result<AfterChange, Error> {
    if !written.command.first().is_some_and(|program| Path::new(program).is_absolute()) {
        return Err(invalid(format!("{key}.command"), "must begin with the absolute path of a program"));
    }
    if written.command.iter().any(|part| part.contains('\0')) {
        return Err(invalid(format!("{key}.command"), "must not hold a null character"));
    }
    let seconds = written.timeout_seconds.unwrap_or(DEFAULT_AFTER_CHANGE_SECONDS);
    if !(1..=MAX_AFTER_CHANGE_SECONDS).contains(&seconds) {
        let reason = format!("{seconds} is outside 1 to {MAX_AFTER_CHANGE_SECONDS}");
        return Err(invalid(format!("{key}.timeout_seconds"), reason));
    }
    Ok(AfterChange { command: written.command, timeout: Duration::from_secs(seconds) })
}
