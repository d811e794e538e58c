//! Which store a job may touch: the agent's own list, which the server cannot widen.
//!
//! Every path that a job names is resolved first, symbolic links included, and only the resolved path is compared
//! with the list and handed to a driver. So a link inside an allowed directory cannot lead out of it, `..` is
//! refused as such, and `/a/bc` is not below `/a/b`. The list guards against the server, not against a local
//! user who may write into the allowed directories while the job runs.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use sealift_protocol::agent::leases::StoreDescription;
use sealift_stores::{Secret, Settings};

use crate::failure::{ErrorCode, Failure};
use crate::store_rule::{AfterChange, Place, StoreRule};

/// Store properties that name a file; relative ones are relative to the directory of the store.
const PATH_PROPERTIES: [&str; 2] = ["privateKeyPath", "chainPath"];
/// Longest path that is looked at, in bytes (PATH_MAX of Linux).
const MAX_PATH_BYTES: usize = 4096;

/// A store that may be touched, with every path in it resolved.
#[derive(Debug)]
pub(crate) struct AllowedStore {
    /// Short name of its type.
    pub(crate) store_type: &'static str,
    /// For its driver.
    pub(crate) settings: Settings,
    /// To be run after a change.
    pub(crate) after_change: Option<AfterChange>,
}

/// Finds the entry of the list that allows the store, and resolves its paths.
pub(crate) fn allow(rules: &[StoreRule], store: &StoreDescription) -> Result<AllowedStore, Failure> {
    let path = resolve(Path::new(&store.path)).map_err(|reason| refused(&store.path, &reason))?;
    let rule = best_rule(rules, &store.store_type, &path).ok_or_else(|| {
        refused(&store.path, &format!("no entry of the allow-list covers this {} store", shown(store)))
    })?;
    let properties = allowed_properties(rule, &path, &store.properties)?;
    let settings = Settings {
        allowed_directories: directories(rule, &path),
        path,
        password: store
            .password
            .as_ref()
            .filter(|secret| !secret.is_empty())
            .map(|secret| Secret::new(secret.expose())),
        properties,
    };
    Ok(AllowedStore { store_type: rule.store_type, settings, after_change: rule.after_change.clone() })
}

/// The matching entry that says most: an exact path, then the longest prefix.
fn best_rule<'a>(rules: &'a [StoreRule], store_type: &str, path: &Path) -> Option<&'a StoreRule> {
    let matching = rules.iter().filter(|rule| rule.store_type.eq_ignore_ascii_case(store_type));
    let ranked = matching.filter_map(|rule| match &rule.place {
        Place::Exact(exact) => (resolve(exact).ok()? == path).then_some((usize::MAX, rule)),
        Place::Below(prefix) => is_below(path, prefix).then(|| (prefix.components().count(), rule)),
    });
    // The first of equals wins, so the order in the file decides what is left.
    ranked.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, rule)| rule)
}

fn is_below(path: &Path, prefix: &Path) -> bool {
    resolve(prefix).is_ok_and(|prefix| path.starts_with(&prefix) && path != prefix)
}

/// The properties with each path in them resolved, or the first that leads out of the list.
fn allowed_properties(
    rule: &StoreRule,
    store: &Path,
    properties: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut allowed = properties.clone();
    for (name, value) in &mut allowed {
        let is_path = PATH_PROPERTIES.iter().any(|property| property.eq_ignore_ascii_case(name));
        if !is_path || value.trim().is_empty() {
            continue;
        }
        let written = store.parent().unwrap_or(store).join(value.trim());
        let named = resolve(&written).map_err(|reason| refused(value, &format!("{name}: {reason}")))?;
        let listed = named == store
            || rule.extra_paths.iter().any(|extra| resolve(extra).is_ok_and(|extra| extra == named))
            || matches!(&rule.place, Place::Below(prefix) if is_below(&named, prefix));
        if !listed {
            return Err(refused(value, &format!("{name} is neither in extra_paths nor below path_prefix")));
        }
        *value = named
            .into_os_string()
            .into_string()
            .map_err(|_| refused(value, &format!("{name} resolves to a path that is not UTF-8")))?;
    }
    Ok(allowed)
}

/// Directories in which the driver may follow what it finds: of an exact store its own directory, of others the
/// whole prefix, and those of the further files.
fn directories(rule: &StoreRule, store: &Path) -> Vec<PathBuf> {
    let parent = |file: &Path| file.parent().map(Path::to_owned);
    let own = match &rule.place {
        Place::Below(prefix) => resolve(prefix).ok(),
        Place::Exact(_) if store.is_dir() => Some(store.to_owned()),
        Place::Exact(_) => parent(store),
    };
    let further = rule.extra_paths.iter().filter_map(|extra| parent(&resolve(extra).ok()?));
    let mut directories: Vec<PathBuf> = own.into_iter().chain(further).collect();
    directories.sort_unstable();
    directories.dedup();
    directories
}

/// The path with every symbolic link followed; what does not exist yet is kept as written.
fn resolve(path: &Path) -> Result<PathBuf, String> {
    let text = path.as_os_str().as_encoded_bytes();
    if text.len() > MAX_PATH_BYTES || text.contains(&0) {
        return Err(format!("the path is longer than {MAX_PATH_BYTES} bytes or holds a null character"));
    }
    if !path.is_absolute() {
        return Err("the path is not absolute".to_owned());
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err("the path holds '..'".to_owned());
    }
    let mut missing = Vec::new();
    for ancestor in path.ancestors() {
        match fs::canonicalize(ancestor) {
            Ok(found) => return Ok(missing.into_iter().rev().fold(found, |path, name| path.join(name))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if fs::symlink_metadata(ancestor).is_ok() {
                    return Err(format!("'{}' is a symbolic link that leads nowhere", ancestor.display()));
                }
                missing.extend(ancestor.file_name());
            }
            Err(error) => return Err(format!("'{}' cannot be resolved: {error}", ancestor.display())),
        }
    }
    Err("the path cannot be resolved".to_owned())
}

fn shown(store: &StoreDescription) -> String {
    store.store_type.chars().filter(|c| !c.is_control()).take(40).collect()
}

fn refused(path: &str, reason: &str) -> Failure {
    Failure::new(ErrorCode::StoreNotAllowed, format!("{path:?} is not allowed on this agent: {reason}"))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::symlink;

    use sealift_protocol::{Secret as WireSecret, StoreId};

    use super::*;

    fn rule(place: Place, extra_paths: &[&Path]) -> StoreRule {
        let extra_paths = extra_paths.iter().map(|path| (*path).to_owned()).collect();
        StoreRule { store_type: "PEM", place, extra_paths, after_change: None }
    }

    fn store(path: impl AsRef<Path>, properties: &[(&str, &str)]) -> StoreDescription {
        StoreDescription {
            store_id: StoreId::generate(),
            store_type: "PEM".to_owned(),
            path: path.as_ref().to_str().unwrap().to_owned(),
            password: Some(WireSecret::new("canary-password")),
            properties: properties
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            inventory_version: None,
        }
    }

    fn directory() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        (directory, path)
    }

    fn code(rules: &[StoreRule], store: &StoreDescription) -> Option<ErrorCode> {
        allow(rules, store).err().map(|failure| failure.code)
    }

    #[test]
    fn only_the_exact_path_or_what_lies_below_the_prefix_is_allowed() {
        let (_kept, root) = directory();
        fs::create_dir_all(root.join("b/deep")).unwrap();
        fs::create_dir_all(root.join("bc")).unwrap();
        let rules = [rule(Place::Below(root.join("b")), &[]), rule(Place::Exact(root.join("one.pem")), &[])];
        for good in ["b/a.pem", "b/deep/a.pem", "b/not/there/yet.pem", "one.pem", "b//a.pem", "b/./a.pem"] {
            assert_eq!(code(&rules, &store(root.join(good), &[])), None, "{good}");
        }
        for bad in
            ["bc/a.pem", "b", "b/", "two.pem", "one.pem.bak", "b/../two.pem", "b/deep/../../bc/a.pem", "."]
        {
            let refused = code(&rules, &store(root.join(bad), &[]));
            assert_eq!(refused, Some(ErrorCode::StoreNotAllowed), "{bad}");
        }
        for bad in ["", "b/a.pem", "/", "/etc/shadow", "/proc/self/root/etc/shadow", "/b\0/a.pem"] {
            assert_eq!(code(&rules, &store(bad, &[])), Some(ErrorCode::StoreNotAllowed), "{bad:?}");
        }
        let long = format!("{}/{}", root.join("b").display(), "a/".repeat(MAX_PATH_BYTES));
        assert_eq!(code(&rules, &store(long, &[])), Some(ErrorCode::StoreNotAllowed));
    }

    #[test]
    fn the_store_type_belongs_to_the_permission() {
        let (_kept, root) = directory();
        let rules = [rule(Place::Below(root.clone()), &[])];
        let mut other = store(root.join("a.pem"), &[]);
        other.store_type = "CCS".to_owned();
        assert_eq!(code(&rules, &other), Some(ErrorCode::StoreNotAllowed));
        other.store_type = "pem".to_owned();
        assert_eq!(allow(&rules, &other).unwrap().store_type, "PEM");
    }

    #[test]
    fn a_symbolic_link_cannot_lead_out() {
        let (_kept, root) = directory();
        for name in ["allowed", "secret"] {
            fs::create_dir(root.join(name)).unwrap();
            File::create(root.join(name).join("a.pem")).unwrap();
        }
        symlink(root.join("secret"), root.join("allowed/door")).unwrap();
        symlink(root.join("secret/a.pem"), root.join("allowed/link.pem")).unwrap();
        symlink(root.join("secret/absent.pem"), root.join("allowed/dangling.pem")).unwrap();
        symlink(root.join("allowed/loop.pem"), root.join("allowed/loop.pem")).unwrap();
        symlink(root.join("allowed/a.pem"), root.join("allowed/inside.pem")).unwrap();
        let rules = [rule(Place::Below(root.join("allowed")), &[])];
        for bad in ["door/a.pem", "door/new.pem", "link.pem", "dangling.pem", "loop.pem"] {
            let refused = code(&rules, &store(root.join("allowed").join(bad), &[]));
            assert_eq!(refused, Some(ErrorCode::StoreNotAllowed), "{bad}");
        }
        let inside = allow(&rules, &store(root.join("allowed/inside.pem"), &[])).unwrap();
        assert_eq!(inside.settings.path, root.join("allowed/a.pem"));
    }

    #[test]
    fn an_operator_may_list_a_path_that_is_a_link() {
        let (_kept, root) = directory();
        fs::create_dir(root.join("current")).unwrap();
        symlink(root.join("current"), root.join("tls")).unwrap();
        let rules = [rule(Place::Below(root.join("tls")), &[])];
        let allowed = allow(&rules, &store(root.join("tls/a.pem"), &[])).unwrap();
        assert_eq!(allowed.settings.path, root.join("current/a.pem"));
    }

    #[test]
    fn path_properties_are_bound_like_the_store_in_any_spelling() {
        let (_kept, root) = directory();
        let key = root.join("keys/site.key");
        let exact = [rule(Place::Exact(root.join("site.pem")), &[&key])];
        let named =
            |name, value: &str| store(root.join("site.pem"), &[(name, value), ("includeChain", "true")]);
        let allowed = allow(&exact, &named("PRIVATEKEYPATH", "keys/site.key")).unwrap();
        assert_eq!(allowed.settings.property("privateKeyPath"), key.to_str());
        assert_eq!(allowed.settings.allowed_directories, [root.clone(), root.join("keys")]);
        for bad in ["/etc/shadow", "../site.key", "other.key", "keys/../other.key", "keys"] {
            for name in ["privateKeyPath", "ChainPath", "chainpath"] {
                assert_eq!(code(&exact, &named(name, bad)), Some(ErrorCode::StoreNotAllowed), "{name} {bad}");
            }
        }
        let below = [rule(Place::Below(root.clone()), &[])];
        assert_eq!(code(&below, &named("chainPath", "any/chain.pem")), None);
        assert_eq!(code(&below, &named("chainPath", "/etc/ssl/chain.pem")), Some(ErrorCode::StoreNotAllowed));
    }

    #[test]
    fn the_entry_that_says_most_decides() {
        let (_kept, root) = directory();
        let mut near = rule(Place::Below(root.join("a/b")), &[]);
        near.after_change =
            Some(AfterChange { command: vec!["/near".to_owned()], timeout: std::time::Duration::ZERO });
        let rules =
            [rule(Place::Below(root.join("a")), &[]), near, rule(Place::Exact(root.join("a/b/x.pem")), &[])];
        assert!(allow(&rules, &store(root.join("a/b/y.pem"), &[])).unwrap().after_change.is_some());
        assert!(allow(&rules, &store(root.join("a/b/x.pem"), &[])).unwrap().after_change.is_none());
        assert!(allow(&rules, &store(root.join("a/y.pem"), &[])).unwrap().after_change.is_none());
    }

    #[test]
    fn passwords_are_not_shown() {
        let (_kept, root) = directory();
        let allowed =
            allow(&[rule(Place::Below(root.clone()), &[])], &store(root.join("a.pem"), &[])).unwrap();
        assert!(allowed.settings.password.is_some());
        assert!(!format!("{allowed:?}").contains("canary"));
    }
}
