//! What can be configured: one typed structure, from the commented default file, an optional file, the
//! environment and the command line, in that order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use sealift_protocol::Secret;
use serde::Deserialize;
use toml::{Table, Value};

const DEFAULTS: &str = include_str!("default.toml");
const PREFIX: &str = "SEALIFT_";
/// Variables with the prefix that are meant for the other programs or for tests, not for this structure.
const FOREIGN: [&str; 6] = [
    "SEALIFT_AGENT_",
    "SEALIFT_TEST_",
    "SEALIFT_SERVER",
    "SEALIFT_CA_FILE",
    "SEALIFT_TOKEN",
    "SEALIFT_CREDENTIALS",
];

/// Why the configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("the configuration file {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{origin} is not valid TOML: {message}")]
    Syntax {
        /// Where it came from.
        origin: String,
        /// What is wrong, with line and column.
        message: String,
    },
    /// A key is unknown or has a wrong type.
    #[error("the configuration is not valid: {0}")]
    Invalid(String),
}

/// The server's configuration. Its keys are explained in `default.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml explains each key, and a test holds the two together")]
pub struct Configuration {
    pub listen: SocketAddr,
    pub public_url: String,
    pub data_dir: PathBuf,
    pub base_paths: Vec<String>,
    pub product_version: String,
    pub numeric_store_types: bool,
    pub plain_http: bool,
    pub workers: usize,
    pub stop_seconds: u64,
    pub tls: Tls,
    pub database: Database,
    pub sealing: Sealing,
    pub oidc: Oidc,
    pub agents: Agents,
    pub jobs: Jobs,
    pub limits: Limits,
    pub log: Log,
}

/// Section `tls`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml explains each key")]
pub struct Tls {
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
    pub names: Vec<String>,
}

/// Section `database`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml explains each key")]
pub struct Database {
    pub url: Secret,
    pub connections: u32,
    pub report_connections: u32,
    pub report_timeout_seconds: u64,
}

/// Section `sealing`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml explains each key")]
pub struct Sealing {
    pub key_file: PathBuf,
}

/// Section `oidc`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml explains each key")]
pub struct Oidc {
    pub issuer: String,
    pub audiences: Vec<String>,
    pub scheme: String,
    pub ca_file: PathBuf,
    pub name_claim: String,
    pub roles_claim: String,
    pub groups_claim: String,
    pub client_claim: String,
    pub object_claim: String,
}

impl Oidc {
    fn check(&self) -> Result<(), &'static str> {
        if self.issuer.is_empty() {
            return Ok(());
        }
        if !is_private_place(&self.issuer) {
            return Err("oidc.issuer must begin with https://, or be on a loopback address");
        }
        if self.audiences.iter().all(|audience| audience.is_empty()) {
            return Err("oidc.audiences must name what tokens for this server are made for");
        }
        if self.scheme.trim().is_empty() || self.scheme.contains('\\') || self.scheme.chars().count() > 100 {
            return Err("oidc.scheme must be a name of at most 100 characters without a backslash");
        }
        if self.name_claim.is_empty() {
            return Err("oidc.name_claim must name a claim, such as sub");
        }
        Ok(())
    }
}

/// Whether what is said to an address stays private: it is https, or on this machine.
pub(crate) fn is_private_place(address: &str) -> bool {
    let Ok(address) = reqwest::Url::parse(address) else { return false };
    let here = match address.host_str().unwrap_or_default() {
        "localhost" => true,
        host => host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
    };
    match address.scheme() {
        "https" => address.host_str().is_some(),
        "http" => here,
        _ => false,
    }
}

/// Section `agents`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml explains each key")]
pub struct Agents {
    pub virtual_directory: String,
    pub identity_days: u32,
    pub max_new: u32,
    pub heartbeat_minutes: u32,
    pub keys_to_published: bool,
    pub enroll_by_name: bool,
}

/// Section `jobs`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml explains each key")]
pub struct Jobs {
    pub lease_seconds: u32,
    pub max_attempts: i16,
    pub retry_seconds: u32,
    pub history_months: u32,
}

/// Section `limits`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml explains each key")]
pub struct Limits {
    pub body_bytes: usize,
    pub agent_body_bytes: usize,
    pub stores_per_call: usize,
    pub agent_calls_per_second: u32,
    pub agent_call_burst: u32,
}

/// Section `log`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml explains each key")]
pub struct Log {
    pub filter: String,
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object for each line.
    Json,
}

impl Configuration {
    /// Reads defaults, then the file, then the environment, then `options` (dotted keys).
    ///
    /// # Errors
    /// Names the file, the key and what it may be.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        options: &BTreeMap<&str, String>,
    ) -> Result<Self, Error> {
        let mut table = parse(DEFAULTS, "default.toml")?;
        if let Some(path) = file {
            let text = std::fs::read_to_string(path)
                .map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
            merge(&mut table, parse(&text, &path.display().to_string())?);
        }
        for (name, value) in environment {
            if name == "DATABASE_URL" {
                set(&mut table, "database.url", &value)?;
            } else if let Some(key) = name.strip_prefix(PREFIX)
                && !FOREIGN.iter().any(|prefix| name.starts_with(prefix))
            {
                set(&mut table, &key.to_ascii_lowercase().replace("__", "."), &value)?;
            }
        }
        for (key, value) in options {
            set(&mut table, key, value)?;
        }
        let configuration: Self =
            table.try_into().map_err(|error: toml::de::Error| Error::Invalid(error.message().to_owned()))?;
        configuration.checked()
    }

    /// Where the sealing key is.
    pub fn sealing_key_file(&self) -> PathBuf {
        match self.sealing.key_file.as_os_str().is_empty() {
            true => self.data_dir.join("sealing.key"),
            false => self.sealing.key_file.clone(),
        }
    }

    fn checked(self) -> Result<Self, Error> {
        let refuse = |message: &str| Err(Error::Invalid(message.to_owned()));
        if self.plain_http && !self.listen.ip().is_loopback() {
            return refuse(
                "plain_http is allowed only when listen is a loopback address, such as 127.0.0.1:8080",
            );
        }
        if self.tls.certificate_file.as_os_str().is_empty() != self.tls.key_file.as_os_str().is_empty() {
            return refuse("tls.certificate_file and tls.key_file must be given together");
        }
        if let Err(reason) = self.oidc.check() {
            return refuse(reason);
        }
        if !(30..=86_400).contains(&self.jobs.lease_seconds) {
            return refuse("jobs.lease_seconds must be between 30 and 86400");
        }
        if !(1..=100).contains(&self.jobs.max_attempts) {
            return refuse("jobs.max_attempts must be between 1 and 100");
        }
        if !(1..=3650).contains(&self.agents.identity_days) {
            return refuse("agents.identity_days must be between 1 and 3650");
        }
        if !(1..=10_080).contains(&self.agents.heartbeat_minutes) {
            return refuse("agents.heartbeat_minutes must be between 1 and 10080");
        }
        if self.limits.agent_calls_per_second == 0 || self.limits.agent_call_burst == 0 {
            return refuse("limits.agent_calls_per_second and limits.agent_call_burst must be at least 1");
        }
        if self.jobs.history_months == 0 {
            return refuse("jobs.history_months must be at least 1");
        }
        if !(1..=10_000).contains(&self.limits.stores_per_call) {
            return refuse("limits.stores_per_call must be between 1 and 10000");
        }
        if self.base_paths.iter().any(|path| !path.starts_with('/') || path.ends_with('/')) {
            return refuse("base_paths must each begin with a slash and not end with one");
        }
        if self.database.report_connections == 0 {
            return refuse("database.report_connections must be at least 1");
        }
        Ok(self)
    }
}

fn parse(text: &str, origin: &str) -> Result<Table, Error> {
    text.parse().map_err(|error: toml::de::Error| Error::Syntax {
        origin: origin.to_owned(),
        message: error.to_string(),
    })
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(more)) => merge(inner, more),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// Sets a dotted key from text, in the type its default has.
fn set(table: &mut Table, key: &str, text: &str) -> Result<(), Error> {
    let unknown = || Error::Invalid(format!("{key} is no key; default.toml lists them"));
    let mut place = table;
    let mut steps = key.split('.').peekable();
    while let Some(step) = steps.next() {
        let entry = place.get_mut(step).ok_or_else(unknown)?;
        if steps.peek().is_none() {
            let expected = |kind: &str| Error::Invalid(format!("{key} must be {kind}"));
            *entry = match entry {
                Value::Boolean(_) => Value::Boolean(text.parse().map_err(|_| expected("true or false"))?),
                Value::Integer(_) => Value::Integer(text.parse().map_err(|_| expected("a whole number"))?),
                Value::Array(_) => {
                    Value::Array(text.split(',').map(|item| Value::String(item.trim().to_owned())).collect())
                }
                Value::Table(_) => return Err(unknown()),
                _ => Value::String(text.to_owned()),
            };
            return Ok(());
        }
        place = entry.as_table_mut().ok_or_else(unknown)?;
    }
    Err(unknown())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(environment: &[(&str, &str)]) -> Result<Configuration, Error> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Configuration::load(None, environment, &BTreeMap::new())
    }

    #[test]
    fn the_defaults_are_valid_and_every_key_is_explained() {
        load(&[]).unwrap();
        let mut explained = false;
        for line in DEFAULTS.lines() {
            if line.contains(" = ") && !line.starts_with('#') {
                assert!(explained, "no comment above: {line}");
            }
            explained = line.starts_with('#') || (line.contains(" = ") && line.starts_with("key_file"));
            explained |= line.contains("certificate_file = ");
        }
    }

    #[test]
    fn the_environment_overrides_in_the_type_of_the_default() {
        let configuration = load(&[
            ("SEALIFT_JOBS__LEASE_SECONDS", "60"),
            ("SEALIFT_LISTEN", "127.0.0.1:0"),
            ("DATABASE_URL", "postgres://u:p@h/d"),
            ("SEALIFT_AGENT_NAME", "ignored"),
            ("SEALIFT_TOKEN", "ignored"),
        ])
        .unwrap();
        assert_eq!(configuration.jobs.lease_seconds, 60);
        assert_eq!(configuration.database.url.expose(), "postgres://u:p@h/d");
        assert!(!format!("{configuration:?}").contains("postgres://u"));
    }

    #[test]
    fn unknown_keys_and_bad_values_are_named() {
        assert!(load(&[("SEALIFT_JOBS__LEASES", "1")]).unwrap_err().to_string().contains("jobs.leases"));
        assert!(
            load(&[("SEALIFT_JOBS__LEASE_SECONDS", "x")]).unwrap_err().to_string().contains("whole number")
        );
        let open = load(&[("SEALIFT_PLAIN_HTTP", "true"), ("SEALIFT_LISTEN", "0.0.0.0:80")]);
        assert!(open.unwrap_err().to_string().contains("loopback"));
        for (issuer, audiences, word) in [
            ("http://id.example.test", "sealift", "oidc.issuer"),
            ("https://", "sealift", "oidc.issuer"),
            ("https://id.example.test", "", "oidc.audiences"),
        ] {
            let loaded = load(&[("SEALIFT_OIDC__ISSUER", issuer), ("SEALIFT_OIDC__AUDIENCES", audiences)]);
            assert!(loaded.unwrap_err().to_string().contains(word), "{issuer} {audiences}");
        }
        load(&[("SEALIFT_OIDC__ISSUER", "http://127.0.0.1:9"), ("SEALIFT_OIDC__AUDIENCES", "a,b")]).unwrap();
    }

    #[test]
    fn a_private_place_is_https_or_here() {
        for (address, private) in [
            ("https://id.example.test/realms/a", true),
            ("http://localhost:8080", true),
            ("http://127.0.0.2/x", true),
            ("http://[::1]:80", true),
            ("http://127.0.0.1.example.test", false),
            ("http://localhost.example.test", false),
            ("http://10.0.0.1", false),
            ("file:///etc/passwd", false),
            ("ftp://127.0.0.1", false),
            ("", false),
        ] {
            assert_eq!(is_private_place(address), private, "{address}");
        }
    }
}
