//! The agent's settings: one typed struct from the commented default file, the operator's file and the environment.
//!
//! Reading and judging them is all that happens here. The entries of the allow-list are in
//! `store_rule.rs`; what they mean for a job is decided in `allow_list.rs`. Every key is explained in `default.toml`, which is compiled in.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use sealift_protocol::agent::leases::{MAX_JOBS, MAX_WAIT_SECONDS};
use sealift_stores::Operation;

use crate::store_rule::{self, StoreRule, WrittenStore};

/// The commented default file.
pub const DEFAULT_FILE: &str = include_str!("default.toml");
/// Start of every environment variable that the agent reads.
pub const VARIABLE_PREFIX: &str = "SEALIFT_AGENT_";
/// Names the configuration file; not a key of it.
pub const FILE_VARIABLE: &str = "SEALIFT_AGENT_CONFIG";
/// Largest configuration file, in bytes.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Keys that the environment can set.
const VARIABLE_KEYS: [&str; 11] = [
    "server_url",
    "ca_file",
    "name",
    "data_dir",
    "enrollment_token_file",
    "max_jobs",
    "poll_wait_seconds",
    "proxy",
    "log_format",
    "log_level",
    "log_file_bytes",
];
const MAX_NAME: usize = 128;
/// Smallest and largest log in the data directory, in bytes.
const MIN_LOG_FILE_BYTES: u64 = 64 * 1024;
const MAX_LOG_FILE_BYTES: u64 = 1024 * 1024 * 1024;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("cannot read the configuration file {path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is larger than any sensible one.
    #[error("the configuration file {path} is larger than {MAX_FILE_BYTES} bytes; is it the right file?", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A key is unknown or has the wrong type.
    #[error("{origin}: {message}; every key is explained by `sealift-agent check-configuration --explain`")]
    Malformed {
        /// The file or the environment.
        origin: String,
        /// What the parser says, with the key.
        message: String,
    },
    /// A variable with our prefix names no key.
    #[error("environment variable {name} names no setting; remove it or correct its spelling")]
    UnknownVariable {
        /// The variable.
        name: String,
    },
    /// A key without default is missing.
    #[error("{key} is not set; write it into the configuration file or set {VARIABLE_PREFIX}{variable}", variable = key.to_uppercase())]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A value is outside what is allowed.
    #[error("{key}: {reason}")]
    Invalid {
        /// The key, with its place in a list.
        key: String,
        /// What is wrong and what is expected.
        reason: String,
    },
}

/// All settings, judged.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// Base of the agent door, without a slash at its end.
    pub server_url: String,
    /// PEM file with the only authorities that are trusted.
    pub ca_file: PathBuf,
    /// The client machine as the server knows it.
    pub name: String,
    /// Identity, outbox and records of the agent.
    pub data_dir: PathBuf,
    /// One-time enrollment token, if there is one.
    pub enrollment_token_file: Option<PathBuf>,
    /// Most jobs to take with one call.
    pub max_jobs: u16,
    /// How long a call for jobs may be held.
    pub poll_wait: Duration,
    /// Proxy to reach the server.
    pub proxy: Option<String>,
    /// Form of the log.
    pub log_format: LogFormat,
    /// Filter of the log.
    pub log_level: String,
    /// Most bytes of log that are kept in the data directory; none where 0.
    pub log_file_bytes: u64,
    /// What it may connect to beside its own machine, to see what is served.
    pub verification_hosts: Vec<VerificationHost>,
    /// What the agent may touch.
    pub stores: Vec<StoreRule>,
}

/// Most entries of `verification_hosts`.
pub const MAX_VERIFICATION_HOSTS: usize = 256;

/// A host that the agent may connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerificationHost {
    /// Name or address, in lower case.
    pub host: String,
    /// Port; any when absent.
    pub port: Option<u16>,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object for each event.
    Json,
}

impl Configuration {
    /// Reads the file (if one is given) and the variables over the defaults.
    pub fn load(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let mut layers = vec![Layer::parse(DEFAULT_FILE, "default.toml")?];
        if let Some(path) = file {
            layers.push(Layer::parse(&read_bounded(path)?, &path.display().to_string())?);
        }
        layers.push(Layer::from_variables(variables)?);
        Self::judge(layers.into_iter().reduce(Layer::under).unwrap_or_default())
    }

    fn judge(layer: Layer) -> Result<Self, Error> {
        let name = match layer.name {
            Some(name) => name,
            None => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        };
        if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(invalid(
                "name",
                format!("expected 1 to {MAX_NAME} characters, none a control character"),
            ));
        }
        let wait = layer.poll_wait_seconds.ok_or(Error::Missing { key: "poll_wait_seconds" })?;
        Ok(Self {
            server_url: server_url(layer.server_url.ok_or(Error::Missing { key: "server_url" })?)?,
            ca_file: absolute("ca_file", layer.ca_file.ok_or(Error::Missing { key: "ca_file" })?)?,
            name,
            data_dir: absolute("data_dir", layer.data_dir.ok_or(Error::Missing { key: "data_dir" })?)?,
            enrollment_token_file: layer
                .enrollment_token_file
                .map(|path| absolute("enrollment_token_file", path))
                .transpose()?,
            max_jobs: within("max_jobs", layer.max_jobs, MAX_JOBS)?,
            poll_wait: Duration::from_secs(within("poll_wait_seconds", Some(wait), MAX_WAIT_SECONDS)?.into()),
            proxy: layer.proxy.map(proxy).transpose()?,
            log_format: layer.log_format.ok_or(Error::Missing { key: "log_format" })?,
            log_level: layer.log_level.ok_or(Error::Missing { key: "log_level" })?,
            log_file_bytes: log_file_bytes(layer.log_file_bytes)?,
            verification_hosts: verification_hosts(layer.verification_hosts.unwrap_or_default())?,
            stores: store_rule::parse(layer.stores.unwrap_or_default())?,
        })
    }

    /// Names of the job types that the settings make possible, as the server expects them.
    pub fn capabilities(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .stores
            .iter()
            .flat_map(|rule| {
                let capability = sealift_stores::capability(rule.store_type);
                let makes_keys = capability.is_some_and(|it| it.operations.contains(&Operation::Reenroll));
                let jobs =
                    ["Inventory", "Management"].into_iter().chain(makes_keys.then_some("Reenrollment"));
                jobs.map(|job| format!("CertStores.{}.{job}", rule.store_type)).collect::<Vec<_>>()
            })
            .collect();
        if self.log_file_bytes > 0 {
            names.push("Custom.FetchLogs".to_owned());
        }
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// One source of settings: every key optional, none unknown.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layer {
    server_url: Option<String>,
    ca_file: Option<PathBuf>,
    name: Option<String>,
    data_dir: Option<PathBuf>,
    enrollment_token_file: Option<PathBuf>,
    max_jobs: Option<u16>,
    poll_wait_seconds: Option<u16>,
    proxy: Option<String>,
    log_format: Option<LogFormat>,
    log_level: Option<String>,
    log_file_bytes: Option<u64>,
    verification_hosts: Option<Vec<String>>,
    stores: Option<Vec<WrittenStore>>,
}

impl Layer {
    fn parse(text: &str, origin: &str) -> Result<Self, Error> {
        toml::from_str(text).map_err(|error| malformed(origin, &error))
    }

    fn from_variables(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, Error> {
        let ours: BTreeMap<String, String> = variables
            .into_iter()
            .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX) && name != FILE_VARIABLE)
            .collect();
        let mut table = toml::Table::new();
        for (name, value) in ours {
            let key = name[VARIABLE_PREFIX.len()..].to_lowercase();
            if !VARIABLE_KEYS.contains(&key.as_str()) {
                return Err(Error::UnknownVariable { name });
            }
            let value = match (key.as_str(), value.trim().parse::<i64>()) {
                ("max_jobs" | "poll_wait_seconds" | "log_file_bytes", Ok(number)) => {
                    toml::Value::Integer(number)
                }
                _ => toml::Value::String(value),
            };
            table.insert(key, value);
        }
        table.try_into().map_err(|error| malformed("environment", &error))
    }

    /// What `over` says, and what this layer says where `over` is silent.
    fn under(self, over: Self) -> Self {
        Self {
            server_url: over.server_url.or(self.server_url),
            ca_file: over.ca_file.or(self.ca_file),
            name: over.name.or(self.name),
            data_dir: over.data_dir.or(self.data_dir),
            enrollment_token_file: over.enrollment_token_file.or(self.enrollment_token_file),
            max_jobs: over.max_jobs.or(self.max_jobs),
            poll_wait_seconds: over.poll_wait_seconds.or(self.poll_wait_seconds),
            proxy: over.proxy.or(self.proxy),
            log_format: over.log_format.or(self.log_format),
            log_level: over.log_level.or(self.log_level),
            log_file_bytes: over.log_file_bytes.or(self.log_file_bytes),
            verification_hosts: over.verification_hosts.or(self.verification_hosts),
            stores: over.stores.or(self.stores),
        }
    }
}

fn read_bounded(path: &Path) -> Result<String, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    if fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE_BYTES {
        return Err(Error::TooLarge { path: path.to_owned() });
    }
    fs::read_to_string(path).map_err(unreadable)
}

fn malformed(origin: &str, error: &toml::de::Error) -> Error {
    Error::Malformed { origin: origin.to_owned(), message: error.to_string().trim().to_owned() }
}

pub(crate) fn invalid(key: impl Into<String>, reason: impl Into<String>) -> Error {
    Error::Invalid { key: key.into(), reason: reason.into() }
}

fn server_url(text: String) -> Result<String, Error> {
    let url = reqwest::Url::parse(&text)
        .map_err(|error| invalid("server_url", format!("'{text}' is no URL: {error}")))?;
    if url.scheme() != "https" || url.host_str().is_none_or(str::is_empty) {
        return Err(invalid("server_url", format!("'{text}' must begin with https:// and name a host")));
    }
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(invalid("server_url", "must hold no user, password, query or fragment"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn verification_hosts(written: Vec<String>) -> Result<Vec<VerificationHost>, Error> {
    if written.len() > MAX_VERIFICATION_HOSTS {
        return Err(invalid("verification_hosts", format!("more than {MAX_VERIFICATION_HOSTS} entries")));
    }
    let read = |text: String| {
        let refused = || invalid("verification_hosts", format!("'{text}' must be host:port or host:*"));
        let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
        let port = match port {
            "*" => None,
            port => Some(port.parse().ok().filter(|port| *port != 0).ok_or_else(refused)?),
        };
        let host = host.trim_matches(['[', ']']).to_lowercase();
        if host.is_empty() || host.contains(char::is_whitespace) || host.contains('*') {
            return Err(refused());
        }
        Ok(VerificationHost { host, port })
    };
    written.into_iter().map(read).collect()
}

fn proxy(text: String) -> Result<String, Error> {
    match reqwest::Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(text),
        _ => Err(invalid("proxy", "must be a URL that begins with http:// or https://")),
    }
}

pub(crate) fn absolute(key: &str, path: PathBuf) -> Result<PathBuf, Error> {
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return Err(invalid(key, format!("'{}' must be an absolute path without '..'", path.display())));
    }
    Ok(path)
}

fn log_file_bytes(value: Option<u64>) -> Result<u64, Error> {
    match value.ok_or(Error::Missing { key: "log_file_bytes" })? {
        value if value == 0 || (MIN_LOG_FILE_BYTES..=MAX_LOG_FILE_BYTES).contains(&value) => Ok(value),
        value => {
            let reason = format!("{value} is neither 0 nor {MIN_LOG_FILE_BYTES} to {MAX_LOG_FILE_BYTES}");
            Err(invalid("log_file_bytes", reason))
        }
    }
}

fn within(key: &'static str, value: Option<u16>, most: u16) -> Result<u16, Error> {
    match value.ok_or(Error::Missing { key })? {
        value if (1..=most).contains(&value) => Ok(value),
        value => Err(invalid(key, format!("{value} is outside 1 to {most}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../../deploy/agent.toml");
    const REQUIRED: &str =
        "server_url = 'https://sealift.example.test:8443/KeyfactorAgents/'\nca_file = '/etc/ca.pem'\n";

    fn read(text: &str, variables: &[(&str, &str)]) -> Result<Configuration, Error> {
        let layers = [DEFAULT_FILE, text].map(|text| Layer::parse(text, "test"));
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut judged = Layer::default();
        for layer in layers {
            judged = judged.under(layer?);
        }
        Configuration::judge(judged.under(Layer::from_variables(variables)?))
    }

    fn refusal(text: &str) -> String {
        read(&format!("{REQUIRED}{text}"), &[]).unwrap_err().to_string()
    }

    /// The commented-out lines of a file, as settings.
    fn uncommented(text: &str) -> String {
        let setting =
            |line: &&str| line.starts_with("# ") && line.contains(" = ") || line.starts_with("# [[");
        text.lines().filter(setting).map(|line| format!("{}\n", &line[2..])).collect()
    }

    #[test]
    fn the_sample_for_operators_is_a_complete_configuration() {
        let configuration = read(SAMPLE, &[]).unwrap();
        assert!(!configuration.stores.is_empty());
        let capabilities = configuration.capabilities();
        for name in ["CertStores.PEM.Management", "CertStores.PEM.Reenrollment", "CertStores.CCS.Management"]
        {
            assert!(capabilities.contains(&name.to_owned()), "{name}");
        }
        assert!(!capabilities.contains(&"CertStores.CCS.Reenrollment".to_owned()));
    }

    #[test]
    fn the_default_file_and_the_sample_explain_every_key() {
        for (name, text) in [("default.toml", DEFAULT_FILE), ("agent.toml", SAMPLE)] {
            for key in VARIABLE_KEYS {
                assert!(
                    text.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = "))),
                    "{name}: {key}"
                );
            }
            for key in ["type", "path", "path_prefix", "extra_paths", "after_change"] {
                assert!(
                    text.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = "))),
                    "{name}: {key}"
                );
            }
        }
    }

    #[test]
    fn what_the_default_file_shows_in_comments_is_valid() {
        let stores = uncommented(DEFAULT_FILE);
        let stores =
            stores.lines().filter(|line| !line.starts_with("path_prefix")).collect::<Vec<_>>().join("\n");
        let stores = stores.replace("[[stores]]", "\n[[stores]]");
        let configuration = read(&stores, &[]).unwrap_or_else(|error| panic!("{error}\n{stores}"));
        assert_eq!(configuration.stores.len(), 1);
        assert_eq!(configuration.proxy.as_deref(), Some("http://proxy.example.test:3128"));
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
        let variables = [("SEALIFT_AGENT_MAX_JOBS", "7"), ("SEALIFT_AGENT_CONFIG", "/x"), ("PATH", "/bin")];
        let configuration = read(&format!("{REQUIRED}max_jobs = 5\nname = 'web1'"), &variables).unwrap();
        assert_eq!((configuration.max_jobs, configuration.name.as_str()), (7, "web1"));
        assert_eq!(configuration.poll_wait, Duration::from_secs(55));
        assert_eq!(configuration.server_url, "https://sealift.example.test:8443/KeyfactorAgents");
    }

    #[test]
    fn unknown_keys_and_variables_stop_the_start_and_are_named() {
        assert!(refusal("max_job = 5").contains("max_job"));
        assert!(refusal("[[stores]]\ntype = 'PEM'\npath = '/a'\nafter = 1").contains("after"));
        let error = read(REQUIRED, &[("SEALIFT_AGENT_MAXJOBS", "5")]).unwrap_err();
        assert!(error.to_string().contains("SEALIFT_AGENT_MAXJOBS"));
    }

    #[test]
    fn values_outside_their_bounds_are_refused_by_key() {
        for (text, key) in [
            ("max_jobs = 0", "max_jobs"),
            ("poll_wait_seconds = 61", "poll_wait_seconds"),
            ("log_format = 'xml'", "log_format"),
            ("log_file_bytes = 1000", "log_file_bytes"),
            ("data_dir = 'relative'", "data_dir"),
            ("name = ''", "name"),
            ("proxy = 'socks5://p.example.test'", "proxy"),
            ("verification_hosts = ['a.example.test']", "verification_hosts"),
            ("verification_hosts = ['*:443']", "verification_hosts"),
            ("[[stores]]\ntype = 'BCFKS'\npath = '/a'", "stores[0].type"),
            ("[[stores]]\ntype = 'PEM'", "stores[0]"),
            ("[[stores]]\ntype = 'PEM'\npath = '/a'\npath_prefix = '/b'", "stores[0]"),
            ("[[stores]]\ntype = 'PEM'\npath_prefix = '/'", "stores[0].path_prefix"),
            ("[[stores]]\ntype = 'PEM'\npath = 'a'", "stores[0].path"),
            (
                "[[stores]]\ntype = 'PEM'\npath = '/a'\nafter_change = { command = [] }",
                "after_change.command",
            ),
            (
                "[[stores]]\ntype = 'PEM'\npath = '/a'\nafter_change = { command = ['nginx'] }",
                "after_change.command",
            ),
            (
                "[[stores]]\ntype = 'PEM'\npath = '/a'\nafter_change = { command = ['/bin/true'], timeout_seconds = 0 }",
                "timeout_seconds",
            ),
        ] {
            assert!(refusal(text).contains(key), "{text}: {}", refusal(text));
        }
    }

    #[test]
    fn only_https_without_credentials_is_a_server() {
        for url in [
            "http://a.example.test/K",
            "ftp://a",
            "https://u:p@a.example.test/",
            "https://a.example.test/?q=1",
            "a",
        ] {
            let text = format!("server_url = '{url}'\nca_file = '/etc/ca.pem'");
            assert!(read(&text, &[]).unwrap_err().to_string().contains("server_url"), "{url}");
        }
        assert!(read("ca_file = '/etc/ca.pem'", &[]).unwrap_err().to_string().contains("server_url"));
        assert!(
            read("server_url = 'https://a.example.test'", &[]).unwrap_err().to_string().contains("ca_file")
        );
    }
}
