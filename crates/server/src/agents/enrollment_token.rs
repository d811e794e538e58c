//! One-time tokens that approve the agent that presents them, or give a known one a new identity.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use sealift_protocol::Secret;
use sealift_protocol::operator::agents::{CreateEnrollmentToken, EnrollmentToken};
use sqlx::PgConnection;
use zeroize::Zeroizing;

use super::error::Error;
use super::queries;
use super::reset;
use crate::http::Failure;
use crate::security::audit::{self, Line, Operation};
use crate::security::{Principal, permission};

/// Minutes that a token may be used when nothing is said.
const DEFAULT_MINUTES: i64 = 60;
/// Most minutes that a token may be used.
const MAX_MINUTES: i64 = 10_080;
/// Tokens that may wait for their agents.
const MAX_WAITING: i64 = 10_000;
/// Characters of a machine's name.
const MAX_MACHINE: usize = 256;
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// What a token begins with.
const PREFIX: &str = "sle_";

/// Makes a token. Its text is in this answer and nowhere else.
pub(super) async fn create(
    db: &mut PgConnection,
    caller: &Principal,
    request: CreateEnrollmentToken,
    now: DateTime<Utc>,
) -> Result<EnrollmentToken, Failure> {
    caller.require(permission::AGENTS_MODIFY)?;
    let machine = machine(request.client_machine)?;
    if let Some(agent) = request.agent_id {
        if machine.is_some() {
            let message =
                "AgentId and ClientMachine: a token is for a known agent or for a machine, not both";
            return Err(Error::Invalid(message.to_owned()).into());
        }
        reset::existing(db, &[agent]).await?;
    }
    let expires_at = now + validity(request.valid_minutes)?;
    let token = made_up()?;
    let (hash, valid) = (hash(token.expose()), (now, expires_at));
    let whose = (machine.as_deref(), request.agent_id);
    if !queries::insert_token(db, &hash, whose, caller.name(), valid, MAX_WAITING).await? {
        return Err(Error::TooManyTokens(MAX_WAITING).into());
    }
    let message = match (&machine, request.agent_id) {
        (_, Some(agent)) => format!("An enrollment token for a new identity of agent {agent} was created"),
        (Some(machine), None) => format!("An enrollment token for an agent on {machine} was created"),
        (None, None) => "An enrollment token for any agent was created".to_owned(),
    };
    audit::record(db, &[Line::new(caller, Operation::Created, "EnrollmentToken", "", message)], now).await?;
    Ok(EnrollmentToken { token, expires: expires_at.into() })
}

/// What is stored of a token: it has 256 random bits, so no slow hash.
pub(super) fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

fn made_up() -> Result<Secret, Error> {
    let mut bytes = Zeroizing::new([0u8; TOKEN_BYTES]);
    aws_lc_rs::rand::fill(bytes.as_mut()).map_err(|_| Error::Random)?;
    Ok(Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes.as_ref()))))
}

fn machine(given: Option<String>) -> Result<Option<String>, Error> {
    let Some(machine) = given.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if machine.chars().count() > MAX_MACHINE || machine.chars().any(char::is_control) {
        return Err(Error::Invalid(format!(
            "ClientMachine must be at most {MAX_MACHINE} printable characters"
        )));
    }
    Ok(Some(machine))
}

fn validity(minutes: Option<i64>) -> Result<TimeDelta, Error> {
    let minutes = minutes.unwrap_or(DEFAULT_MINUTES);
    match (1..=MAX_MINUTES).contains(&minutes) {
        true => Ok(TimeDelta::minutes(minutes)),
        false => Err(Error::Invalid(format!("ValidMinutes must be between 1 and {MAX_MINUTES}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_random_and_stored_as_its_hash() {
        let token = made_up().unwrap();
        assert_eq!(token.expose().len(), PREFIX.len() + 43);
        assert!(token != made_up().unwrap());
        assert_eq!(hash(token.expose()), hash(token.expose()));
    }

    #[test]
    fn its_time_and_its_machine_have_bounds() {
        assert_eq!(validity(None).unwrap(), TimeDelta::minutes(60));
        for bad in [0, -1, MAX_MINUTES + 1, i64::MAX] {
            assert!(validity(Some(bad)).unwrap_err().to_string().starts_with("ValidMinutes"));
        }
        assert_eq!(machine(Some("  ".to_owned())).unwrap(), None);
        assert!(machine(Some("x".repeat(257))).is_err());
    }
}
