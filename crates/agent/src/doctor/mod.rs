//! `sealift-agent doctor`: looks at everything the agent depends on, and says of each what it means and what to do.
//!
//! It changes nothing on this machine and takes no lock, so the agent may run meanwhile. What it may not look at, since
//! it runs as another user, it says. Files and directories are judged in `places.rs`, the agent's own directory in
//! `own_directory.rs`, the way to the server in `connection.rs`.

mod connection;
mod own_directory;
mod places;

use std::path::Path;

use serde::Serialize;

use crate::configuration::Configuration;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Works, or will, with something to look at.
    Warning,
    /// Jobs fail, or none come.
    Problem,
}

impl Severity {
    /// The word of a line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Finding {
    /// How it is.
    pub severity: Severity,
    /// What was looked at: `configuration`, `data_dir`, `store`, `after_change`, `agent`, `outbox`, `journal`,
    /// `identity`, `server` or `clock`.
    pub subject: &'static str,
    /// What was found and what that means.
    pub message: String,
    /// What to do; left out where nothing is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// What was found so far.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, subject: &'static str, message: impl Into<String>) {
        self.0.push(Finding { severity: Severity::Ok, subject, message: message.into(), remedy: None });
    }

    fn warning(&mut self, subject: &'static str, message: impl Into<String>, remedy: impl Into<String>) {
        self.bad(Severity::Warning, subject, message, remedy);
    }

    fn problem(&mut self, subject: &'static str, message: impl Into<String>, remedy: impl Into<String>) {
        self.bad(Severity::Problem, subject, message, remedy);
    }

    fn bad(
        &mut self,
        severity: Severity,
        subject: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.0.push(Finding { severity, subject, message: message.into(), remedy: Some(remedy.into()) });
    }
}

/// Looks at everything. Without a usable configuration that is all there is to say.
pub async fn examine(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Vec<Finding> {
    let mut findings = Findings::default();
    let configuration = match Configuration::load(file, variables) {
        Ok(configuration) => configuration,
        Err(error) => {
            findings.problem(
                "configuration",
                error.to_string(),
                "correct the file or the environment; every key is explained by `sealift-agent check-configuration --explain`",
            );
            return findings.0;
        }
    };
    findings.ok(
        "configuration",
        format!(
            "agent '{}' of {}, {} entries in the allow-list",
            configuration.name,
            configuration.server_url,
            configuration.stores.len()
        ),
    );
    if configuration.stores.is_empty() {
        findings.warning(
            "configuration",
            "the allow-list is empty, so the agent may touch nothing and gets no jobs on stores",
            "add a [[stores]] table for each store or directory",
        );
    }
    let identity = own_directory::examine(&mut findings, &configuration);
    places::examine(&mut findings, &configuration);
    connection::examine(&mut findings, &configuration, identity.as_ref()).await;
    findings.0
}

/// The worst of them.
pub fn worst(findings: &[Finding]) -> Severity {
    findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok)
}

#[cfg(test)]
mod tests;
