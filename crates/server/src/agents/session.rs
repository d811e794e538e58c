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

/// Whose session this is; `None` when it is unknown or expired, bound to another certificate or login, or its
/// agent is not approved any more.
///
/// # Errors
/// The database's.
pub(crate) async fn find(
    db: &mut PgConnection,
    token: Uuid,
    proof: Proof<'_>,
    now: DateTime<Utc>,
) -> Result<Option<AgentId>, sqlx::Error> {
    let thumbprint = proof.certificate.map(|thumbprint| thumbprint.to_string());
    queries::find_session(db, &hash(token), thumbprint.as_deref(), proof.login.map(Principal::name), now)
        .await
}

fn hash(token: Uuid) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}
