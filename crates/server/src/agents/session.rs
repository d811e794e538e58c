//! Sessions of the published protocol: a token that counts only together with the identity it was given to.

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, TimeDelta, Utc};
use sealift_protocol::AgentId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::queries::{self, NewSession};
use super::registration::Proof;
use crate::security::Principal;

/// How long a session lasts: longer than the longest run of an agent, which cannot renew it.
const LIFE: TimeDelta = TimeDelta::hours(24);
/// `AgentPlatform` of the vendor's native agent.
const NATIVE: i16 = 5;
/// Sessions kept for each agent; one that runs each minute opens many.
const MAX_PER_AGENT: i64 = 32;

/// What a session is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binding<'a> {
    /// Thumbprint of a client certificate.
    Certificate(&'a str),
    /// Name of a user that logged in.
    Login(&'a str),
}

/// Opens a session and answers its token, which has 36 characters: agents copy it into 37 bytes (2.6).
pub(super) async fn open(
    db: &mut PgConnection,
    agent: AgentId,
    binding: Binding<'_>,
    now: DateTime<Utc>,
) -> Result<Uuid, sqlx::Error> {
    let token = Uuid::new_v4();
    let (thumbprint, username) = match binding {
        Binding::Certificate(thumbprint) => (Some(thumbprint), None),
        Binding::Login(username) => (None, Some(username)),
    };
    let session =
        NewSession { token_hash: &hash(token), agent, thumbprint, username, expires_at: now + LIFE };
    queries::insert_session(db, &session, MAX_PER_AGENT - 1, now).await?;
    Ok(token)
}

/// A live session.
#[derive(Debug, Clone)]
pub(crate) struct LiveSession {
    /// Whose it is.
    pub(crate) agent: AgentId,
    /// Kind of agent: 5 native, 7 Universal Orchestrator, ... (agent protocol, chapter 4.1).
    pub(crate) platform: i16,
    pub(super) version: String,
    pub(super) listed: i16,
}

impl LiveSession {
    /// Whether the agent may be told that its session is over while it lives: native agents before 2.18 crash on the
    /// list that they still hold (chapter 5).
    pub(crate) fn may_be_ended(&self) -> bool {
        let mut parts = self.version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        !native(self.platform) || version >= (2, 18) || self.listed == 0
    }
}

/// Whether this platform is the vendor's native agent.
pub(crate) fn native(platform: i16) -> bool {
    platform == NATIVE
}

/// Notes how many jobs the list of a session named.
pub(crate) async fn note_listed(
    db: &mut PgConnection,
    token: &str,
    listed: usize,
) -> Result<(), sqlx::Error> {
    let Ok(token) = token.parse() else { return Ok(()) };
    queries::note_listed(db, &hash(token), i16::try_from(listed).unwrap_or(i16::MAX)).await
}

/// Whose session this is; `None` when it is unknown or expired, bound to another certificate or login, or its
/// agent is not approved any more.
///
/// # Errors
/// The database's.
pub(crate) async fn find(
    db: &mut PgConnection,
    token: &str,
    proof: Proof<'_>,
    now: DateTime<Utc>,
) -> Result<Option<LiveSession>, sqlx::Error> {
    let Ok(token) = token.trim().parse() else { return Ok(None) };
    let thumbprint = proof.certificate.map(|thumbprint| thumbprint.to_string());
    queries::find_session(db, &hash(token), thumbprint.as_deref(), proof.login.map(Principal::name), now)
        .await
}

fn hash(token: Uuid) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_native_agent_is_left_alone_while_it_holds_a_list() {
        for (platform, version, listed, may) in [
            (5, "2.17.0.0", 3, false),
            (5, "2.17.0.0", 0, true),
            (5, "2.18.0.0", 3, true),
            (5, "10.1.0.0", 3, true),
            (5, "", 3, false),
            (7, "1.0.0.0", 3, true),
        ] {
            let session =
                LiveSession { agent: AgentId::generate(), platform, version: version.to_owned(), listed };
            assert_eq!(session.may_be_ended(), may, "{platform} {version} {listed}");
        }
    }
}
