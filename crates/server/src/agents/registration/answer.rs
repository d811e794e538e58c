//! What a registration is answered. Agents of the published protocol copy parts of it into small buffers, so
//! tokens and ids are GUIDs, and messages are short (agent protocol, chapter 2.6).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealift_protocol::agent::registration::{CallResult, Registered, Session};
use uuid::Uuid;

use super::KnownAgent;
use super::asked::{self, Asked};
use crate::agents::list::fingerprint_text;
use crate::agents::reenrollment::Reenrollment;

/// Something in the request is missing or out of bounds.
const INVALID: &str = "A0150001";
/// The request for a certificate is not one.
const BAD_REQUEST: &str = "A0150002";
/// An operator has to approve the agent.
const WAITS: &str = "A0150003";
/// An operator disapproved the agent.
const DISAPPROVED: &str = "A0150004";
/// As many agents wait for approval as may.
const TOO_MANY: &str = "A0150005";
/// The key belongs to another agent than the client certificate.
const ANOTHERS_KEY: &str = "A0150006";
/// Nothing says who asks.
const NO_PROOF: &str = "A0150007";
/// Asks an agent to renew its certificate (chapter 3.1).
const RENEW: &str = "A0100007";
/// The same, where it gets no job before.
const MUST_RENEW: &str = "A0100008";
/// When an agent that waits is to try again, in seconds.
const RETRY_AFTER: u32 = 10;
/// `Result.Status`: the call ends here, but nothing is wrong.
const WARNING: i32 = 2;

/// A registration that ends without a session.
#[derive(Debug)]
pub(super) struct Refusal {
    code: &'static str,
    message: String,
    warning: bool,
    retry_after: Option<u32>,
}

impl Refusal {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), warning: false, retry_after: None }
    }

    pub(super) fn invalid(message: &str) -> Self {
        Self::new(INVALID, message)
    }

    pub(super) fn bad_request(reason: &str) -> Self {
        Self::new(BAD_REQUEST, format!("the CSR cannot be used: {reason}"))
    }

    pub(super) fn waits(asked: &Asked) -> Self {
        let token = match asked.enrollment_token {
            Some(_) => "the enrollment token is unknown, used, expired or for another machine; ",
            None => "",
        };
        let key = match &asked.key {
            Some(key) => format!("; its key has the fingerprint {}", fingerprint_text(&key.fingerprint)),
            None => String::new(),
        };
        let message = format!("{token}the agent waits for an operator to approve it{key}");
        Self { retry_after: Some(RETRY_AFTER), ..Self::new(WAITS, message) }
    }

    pub(super) fn disapproved() -> Self {
        Self::new(DISAPPROVED, "an operator disapproved this agent")
    }

    pub(super) fn too_many() -> Self {
        let message =
            "too many agents wait for approval, at all or under this name; ask an operator to decide on them";
        Self { retry_after: Some(6 * RETRY_AFTER), ..Self::new(TOO_MANY, message) }
    }

    pub(super) fn anothers_key() -> Self {
        Self::new(
            ANOTHERS_KEY,
            "the CSR's key belongs to another agent than the client certificate; make a new key",
        )
    }

    pub(super) fn no_proof() -> Self {
        Self::new(NO_PROOF, "nothing proves who asks: send a CSR, a client certificate or a login")
    }

    pub(super) fn renew(reenrollment: Reenrollment) -> Self {
        let message = "the agent's certificate is to be renewed: register again with a CSR";
        let code = if reenrollment == Reenrollment::Required { MUST_RENEW } else { RENEW };
        Self { warning: true, ..Self::new(code, message) }
    }

    /// On the wire: no token and no id.
    pub(super) fn answer(self) -> Registered {
        let mut result = CallResult::error(self.code, &self.message);
        if self.warning {
            result.status = WARNING;
        }
        Registered { result, session: None, retry_after_seconds: self.retry_after }
    }
}

/// A registration that succeeded.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) token: Uuid,
    /// DER, where one was asked for.
    pub(super) certificate: Option<Vec<u8>>,
    /// Whether the client certificate proved who it is.
    pub(super) by_certificate: bool,
    /// Whether what others remember of the agent is out of date.
    pub(super) changed: bool,
    /// Whether it is asked to renew its identity all the same.
    pub(super) asks_renewal: bool,
    agent_id: String,
    client_machine: String,
    heartbeat_minutes: u32,
}

impl Granted {
    pub(super) fn new(agent: &KnownAgent, heartbeat_minutes: u32, by_certificate: bool) -> Self {
        Self {
            token: asked::unused_token(),
            certificate: None,
            by_certificate,
            changed: false,
            asks_renewal: false,
            agent_id: agent.id.to_string(),
            client_machine: agent.client_machine.clone(),
            heartbeat_minutes,
        }
    }

    /// On the wire.
    pub(super) fn answer(self) -> Registered {
        let session = Session {
            token: self.token.to_string(),
            agent_id: self.agent_id,
            client_machine: self.client_machine,
            heartbeat_interval: self.heartbeat_minutes,
            certificate: self.certificate.map(|der| STANDARD.encode(der)),
            client_parameters: BTreeMap::new(),
            jobs: Vec::new(),
        };
        let result = match self.asks_renewal {
            true => Refusal::renew(Reenrollment::Requested).answer().result,
            false => CallResult::success(),
        };
        Registered { result, session: Some(session), retry_after_seconds: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_refusal_overflows_an_old_agent_or_tells_an_id() {
        let refusals = [
            Refusal::invalid(&"x".repeat(5_000)),
            Refusal::bad_request(&"x".repeat(5_000)),
            Refusal::disapproved(),
            Refusal::too_many(),
            Refusal::anothers_key(),
            Refusal::no_proof(),
            Refusal::renew(Reenrollment::None),
        ];
        for refusal in refusals {
            let answer = refusal.answer();
            let error = answer.result.error.unwrap();
            let (message, code) = (error.message.unwrap(), error.code_string.unwrap());
            assert!(message.chars().count() + code.len() < 1_000, "{code}");
            assert!(answer.session.is_none());
            assert_ne!(answer.result.status, 1);
        }
        for reenrollment in [Reenrollment::Requested, Reenrollment::Required] {
            assert_eq!(Refusal::renew(reenrollment).answer().result.status, WARNING);
        }
    }
}
