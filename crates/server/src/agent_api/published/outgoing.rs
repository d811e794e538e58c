//! The hard limits of agents of the published protocol (agent protocol, chapters 2.6 and 13), held in one place by
//! everything that leaves to them. They copy what they read into small buffers and trust it: what does not fit crashes
//! them. What can be made to fit is; the rest is answered as an error, and logged as a fault of ours.

use std::collections::HashSet;

use actix_web::HttpResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealift_protocol::agent::jobs::{Accepted, Configured, ConfiguredJob, ListedJob};
use sealift_protocol::agent::reenrollment::{Enrolled, ReenrollmentConfigured};
use sealift_protocol::agent::registration::{CallResult, HeartbeatAnswer, Registered, Session};
use serde::Serialize;
use serde_json::Value;

use crate::http::answer;

/// Bytes of a token or an id.
const MAX_ID: usize = 36;
/// Seven digits.
const MAX_HEARTBEAT: u32 = 9_999_999;
/// Largest number that a double holds exactly.
const MAX_AUDIT: i64 = 9_007_199_254_740_991;
/// Code of an answer that would not have fitted.
const UNFIT: &str = "A0160009";
/// Fewest characters of a schedule that means something; shorter ones mean now.
const SCHEDULE: usize = 3;

/// Something that is sent to an agent.
pub(in crate::agent_api) trait Outgoing: Serialize + Sized {
    /// Makes it fit; or says why it cannot be.
    fn fit(&mut self) -> Result<(), &'static str>;

    /// What is sent in its place.
    fn instead(self, result: CallResult) -> Self;
}

/// The answer as it leaves.
pub(in crate::agent_api) fn send<T: Outgoing>(mut outgoing: T) -> HttpResponse {
    match outgoing.fit() {
        Ok(()) => answer::json(&outgoing),
        Err(what) => {
            tracing::error!("an answer to an agent was held back, for it would crash it: {what}");
            answer::json(&outgoing.instead(CallResult::error(UNFIT, what)))
        }
    }
}

fn fit_result(result: &mut CallResult) -> Result<(), &'static str> {
    if let Some(error) = &mut result.error {
        for (text, most) in [
            (&mut error.message, CallResult::MESSAGE_LIMIT),
            (&mut error.code_string, CallResult::CODE_LIMIT),
            (&mut error.h_result, CallResult::CODE_LIMIT),
        ] {
            if let Some(text) = text {
                *text = CallResult::cut(text, most);
            }
        }
    }
    match result.status {
        1..=3 => Ok(()),
        _ => Err("Result.Status must be 1, 2 or 3"),
    }
}

/// Base64 of one DER certificate: never armour, which crashes agents.
fn is_der(text: &str) -> bool {
    STANDARD.decode(text).is_ok_and(|der| der.first() == Some(&0x30))
}

/// A path below the virtual directory. A full address is not understood.
fn is_endpoint(text: &str) -> bool {
    !text.is_empty() && !text.contains("://") && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a schedule is one that agents understand (chapter 6.3): any other makes a job due always, without a pause.
fn is_schedule(text: &str) -> bool {
    let digits =
        |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let within = |text: &str, from: u32, to: u32| {
        text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse().is_ok_and(|n| (from..=to).contains(&n))
    };
    let time = |text: &str| {
        let parts = text.split_once(':');
        parts.is_some_and(|(hour, minute)| {
            digits(hour, 2) && digits(minute, 2) && within(hour, 0, 23) && within(minute, 0, 59)
        })
    };
    let date = |text: &str| {
        let parts: Vec<&str> = text.split('-').collect();
        matches!(parts[..], [year, month, day]
            if digits(year, 4) && within(month, 1, 12) && within(day, 1, 31) && month.len() == 2 && day.len() == 2)
    };
    if text.len() < SCHEDULE {
        return true;
    }
    let parts: Vec<&str> = text.split('_').collect();
    match parts[..] {
        ["I", minutes] => within(minutes, 1, 525_600),
        ["D", at] => time(at),
        ["W", days, at] => {
            !days.is_empty() && days.bytes().all(|day| (b'1'..=b'7').contains(&day)) && time(at)
        }
        ["M", "L", at] => time(at),
        ["M", day, at] => within(day, 1, 31) && time(at),
        ["O", moment] => {
            moment.split_once('T').is_some_and(|(day, at)| date(day) && at.get(..5).is_some_and(time))
        }
        _ => false,
    }
}

fn fit_jobs(jobs: &mut Vec<ListedJob>) -> Result<(), &'static str> {
    let mut seen = HashSet::new();
    jobs.retain(|job| seen.insert(job.job_id));
    let fits = |job: &ListedJob| {
        is_endpoint(&job.configuration_endpoint)
            && is_endpoint(&job.completion_endpoint)
            && job.schedule.as_deref().is_none_or(is_schedule)
    };
    match jobs.iter().all(fits) {
        true => Ok(()),
        false => Err("a listed job has an endpoint or a schedule that agents do not understand"),
    }
}

fn fit_session(session: &mut Session) -> Result<(), &'static str> {
    session.heartbeat_interval = session.heartbeat_interval.clamp(1, MAX_HEARTBEAT);
    if session.token.len() > MAX_ID || session.agent_id.len() > MAX_ID {
        return Err("Session.Token and Session.AgentId have at most 36 characters");
    }
    if session.token.is_empty() || session.agent_id.is_empty() {
        return Err("a session has a token and an agent id");
    }
    if session.certificate.as_deref().is_some_and(|text| !is_der(text)) {
        return Err("Session.Certificate is base64 of DER");
    }
    fit_jobs(&mut session.jobs)
}

impl Outgoing for Registered {
    fn fit(&mut self) -> Result<(), &'static str> {
        fit_result(&mut self.result)?;
        self.session.as_mut().map_or(Ok(()), fit_session)
    }

    fn instead(self, result: CallResult) -> Self {
        Self { result, session: None, retry_after_seconds: None }
    }
}

impl Outgoing for HeartbeatAnswer {
    fn fit(&mut self) -> Result<(), &'static str> {
        self.heartbeat_interval = self.heartbeat_interval.clamp(1, MAX_HEARTBEAT);
        fit_result(&mut self.result)
    }

    fn instead(self, _: CallResult) -> Self {
        // After an error agents say nothing for half an hour (chapter 5).
        Self { result: CallResult::success(), session_valid: false, heartbeat_interval: 5 }
    }
}

fn fit_audit(audit_id: i64) -> Result<(), &'static str> {
    match (0..=MAX_AUDIT).contains(&audit_id) {
        true => Ok(()),
        false => Err("AuditId is below 2^53"),
    }
}

fn fit_change(job: &ConfiguredJob) -> Result<(), &'static str> {
    let contents = job.entry_contents.as_ref().map(|contents| contents.expose());
    match job.operation_type {
        Some(2) if !contents.is_some_and(is_der) => Err("EntryContents of an addition is base64 of DER"),
        Some(_) if job.alias.is_none() || contents.is_none() => Err("Alias and EntryContents are never null"),
        _ => Ok(()),
    }
}

impl Outgoing for Configured {
    fn fit(&mut self) -> Result<(), &'static str> {
        fit_result(&mut self.result)?;
        fit_audit(self.audit_id)?;
        if self.inventory_endpoint.as_deref().is_some_and(|endpoint| !is_endpoint(endpoint)) {
            return Err("InventoryEndpoint is a path below the virtual directory");
        }
        fit_change(&self.job)
    }

    fn instead(self, result: CallResult) -> Self {
        let ConfiguredJob { client_machine, store_path, .. } = self.job;
        // With a path, or the agent would report the job as refused (chapter 7.2).
        let job = ConfiguredJob { client_machine, store_path, ..ConfiguredJob::default() };
        Self {
            result,
            job_cancelled: true,
            inventory_endpoint: None,
            max_characters_to_return: None,
            job,
            ..self
        }
    }
}

/// `separatePrivateKey` is there as a string, or there are no properties at all.
fn has_separate_key(properties: &str) -> bool {
    let parsed = serde_json::from_str::<Value>(properties);
    parsed.is_ok_and(|properties| matches!(properties["separatePrivateKey"].as_str(), Some("true" | "false")))
}

impl Outgoing for ReenrollmentConfigured {
    fn fit(&mut self) -> Result<(), &'static str> {
        fit_result(&mut self.result)?;
        fit_audit(self.audit_id)?;
        if self.properties.as_ref().is_some_and(|properties| !has_separate_key(properties.expose())) {
            return Err("Properties of a reenrollment has separatePrivateKey as a string");
        }
        let runs = !self.job_cancelled && self.result.status == 1;
        match runs && !(matches!(self.key_type.as_str(), "RSA" | "ECC") && is_endpoint(&self.enroll_endpoint))
        {
            true => Err("KeyType is RSA or ECC, and EnrollEndpoint a path below the virtual directory"),
            false => Ok(()),
        }
    }

    fn instead(self, result: CallResult) -> Self {
        Self { result, job_cancelled: true, properties: None, ..self }
    }
}

impl Outgoing for Enrolled {
    fn fit(&mut self) -> Result<(), &'static str> {
        fit_result(&mut self.result)?;
        match (self.result.status, self.certificate.as_deref()) {
            // Agents take it as done, and throw the key away (chapter 10.2).
            (1, None) => Err("there is no success without a certificate"),
            (1, Some(text)) if !is_der(text) => Err("Certificate is base64 of DER"),
            (1, Some(_)) | (_, None) => Ok(()),
            (_, Some(_)) => Err("there is no certificate without success"),
        }
    }

    fn instead(self, result: CallResult) -> Self {
        Self { result, certificate: None }
    }
}

impl Outgoing for Accepted {
    fn fit(&mut self) -> Result<(), &'static str> {
        fit_result(&mut self.result)
    }

    fn instead(self, result: CallResult) -> Self {
        Self { result, inventory_job: None }
    }
}

#[cfg(test)]
#[path = "outgoing_tests.rs"]
mod tests;
