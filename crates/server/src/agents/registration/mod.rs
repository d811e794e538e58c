//! `Session/Register`: who asks, may it work, and what does it get (agent protocol, chapters 4 and 13).
//!
//! An agent is recognised by its client certificate, else by the key that signed its request for one, else by a token
//! that an operator made for it; an agent of the published protocol also by its login and the name of its machine, or,
//! since it makes a new key for each try, by that name and its address until it has its first certificate. The agent's
//! id in the body proves nothing and is not looked at. Who is recognised in none of these ways is a first contact:
//! it gets a row that waits for an operator, unless a one-time enrollment token approves it. Where it probably is an
//! agent that lost its identity, its row names that one, and an operator may merge them.
//!
//! No id is told before the agent is approved: agents of the published protocol would lock themselves out with
//! it (chapter 4.4). A lost answer does no harm: the same key asks again and is answered the same.

mod answer;
mod asked;
mod decision;

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use sealift_pki::Thumbprint;
use sealift_protocol::AgentId;
use sealift_protocol::agent::registration::{Register, Registered};
use sqlx::PgConnection;

use self::answer::{Granted, Refusal};
use self::asked::Asked;
use self::decision::{By, Recognised, Renewal};
use super::agent::Status;
use super::capability;
use super::directory::Directory;
use super::error::Error;
use super::queries::{self, NewIdentity};
use super::reenrollment::Reenrollment;
use super::session::{self, Binding};
use crate::authority::Authority;
use crate::configuration;
use crate::floor::Floor;
use crate::http::Failure;
use crate::security::Principal;
use crate::security::audit::{self, Line, Operation};

/// Agents of one name that may wait for approval at a time.
const MAX_NEW_PER_MACHINE: i64 = 8;
/// Agents of one name and login that are looked at.
const MAX_BY_LOGIN: i64 = 20;
/// How long an approval by name and address may be used.
const APPROVED_BY_NAME: TimeDelta = TimeDelta::days(7);

/// What the connection proves of the one who registers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Proof<'a> {
    /// Thumbprint of the client certificate, verified by TLS against the agents' authority.
    pub(crate) certificate: Option<Thumbprint>,
    /// The user that logged in by HTTP Basic, with the right password.
    pub(crate) login: Option<&'a Principal>,
    /// Where the connection comes from.
    pub(crate) address: Option<IpAddr>,
}

/// An agent as its row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownAgent {
    pub(super) id: AgentId,
    pub(super) client_machine: String,
    pub(super) username: String,
    pub(super) platform: i16,
    pub(super) version: String,
    pub(super) speaks_extensions: bool,
    pub(super) status: i16,
    pub(super) capabilities: Vec<String>,
    pub(super) key_fingerprint: Option<Vec<u8>>,
    pub(super) certificate: Option<Vec<u8>>,
    pub(super) thumbprint: Option<String>,
    pub(super) legacy_thumbprint: Option<String>,
    pub(super) last_thumbprint_used: Option<String>,
    pub(super) identity_expires_at: Option<DateTime<Utc>>,
    pub(super) last_seen_at: Option<DateTime<Utc>>,
    pub(super) reenrollment: i16,
}

/// One registration.
struct Case<'a> {
    asked: &'a Asked,
    /// Thumbprint of the client certificate, as columns have it.
    certificate: Option<String>,
    login: Option<&'a Principal>,
    address: Option<String>,
    settings: &'a configuration::Agents,
    now: DateTime<Utc>,
}

/// Why a registration ends without a session.
enum Stop {
    /// As decided; nothing was changed.
    Refused(Refusal),
    /// As decided, and what was learned is to be kept.
    Waits(Refusal),
    /// The server failed.
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Registers an agent. That it has to wait, or is not wanted, is an answer too.
///
/// # Errors
/// Faults, too many registrations at a time (503), and a client certificate that belongs to no agent where
/// nothing else says who asks (401).
pub(crate) async fn register(
    floor: &Floor,
    authority: &Authority,
    directory: &Directory,
    request: Register,
    proof: Proof<'_>,
) -> Result<Registered, Failure> {
    let mut asked = match Asked::parse(request) {
        Ok(asked) => asked,
        Err(refusal) => return Ok(refusal.answer()),
    };
    let _turn = directory.turn().await?;
    let mut db = floor.database.main.begin().await?;
    if capability::unresolved(&asked.capabilities) {
        let store_types = queries::store_types(&mut db).await?;
        asked.capabilities = capability::resolve(asked.capabilities, &store_types);
    }
    let case = Case {
        asked: &asked,
        certificate: proof.certificate.map(|thumbprint| thumbprint.to_string()),
        login: proof.login,
        address: proof.address.map(|address| address.to_canonical().to_string()),
        settings: &floor.configuration.agents,
        now: floor.now(),
    };
    match decide_and_save(&mut db, authority, &case).await {
        Ok((agent, granted)) => {
            db.commit().await?;
            if granted.changed {
                directory.forget(&[agent]);
            }
            if let Some(thumbprint) = proof.certificate.filter(|_| granted.by_certificate) {
                directory.seen(agent, &thumbprint, case.now);
            }
            Ok(granted.answer())
        }
        Err(Stop::Waits(refusal)) => {
            db.commit().await?;
            Ok(refusal.answer())
        }
        Err(Stop::Refused(refusal)) => Ok(refusal.answer()),
        Err(Stop::Failed(failure)) => Err(failure),
    }
}

async fn decide_and_save(
    db: &mut PgConnection,
    authority: &Authority,
    case: &Case<'_>,
) -> Result<(AgentId, Granted), Stop> {
    let found = match find(db, case).await? {
        Some(found) => found,
        None => first_contact(db, case).await?,
    };
    let Recognised { mut agent, by } = found;
    if by == By::Token {
        spend_bound_token(db, case, &agent).await?;
    }
    let vouched = by == By::Token || spend_needed(by, &agent) && spend_token(db, case, &agent).await?;
    if agent.status == Status::New.number() && vouched {
        queries::set_status(db, &[agent.id], Status::Approved.number(), case.now).await?;
        agent.status = Status::Approved.number();
    }
    let changed = update(db, case, &mut agent, by).await?;
    match Status::from_number(agent.status) {
        Status::Disapproved => return Err(Stop::Refused(Refusal::disapproved())),
        Status::New => return Err(Stop::Waits(Refusal::waits(case.asked))),
        Status::Approved => {}
    }
    let renewal = match by {
        By::Certificate => decision::renewal(&agent, case.asked, case.settings.identity_days, case.now),
        _ => Renewal::No,
    };
    if renewal == Renewal::First {
        return Err(Stop::Waits(Refusal::renew(Reenrollment::from_number(agent.reenrollment))));
    }
    let id = agent.id;
    let mut granted = grant(db, authority, case, agent, by).await?;
    granted.changed |= changed;
    granted.asks_renewal = renewal == Renewal::Asked;
    Ok((id, granted))
}

fn spend_needed(by: By, agent: &KnownAgent) -> bool {
    agent.status == Status::New.number() && by != By::FirstContact
}

/// The agent that asks, if it is known; its row is locked.
async fn find(db: &mut PgConnection, case: &Case<'_>) -> Result<Option<Recognised>, Stop> {
    let fingerprint = case.asked.key.as_ref().map(|key| key.fingerprint.as_slice());
    let rows = queries::known_by_proof(db, case.certificate.as_deref(), fingerprint).await?;
    let proven =
        decision::recognise(rows, case.certificate.as_deref(), fingerprint).map_err(Stop::Refused)?;
    if let Some(found) = by_token(db, case, proven.as_ref()).await? {
        return Ok(Some(found));
    }
    if proven.is_some() || case.asked.speaks_extensions {
        return Ok(proven);
    }
    let Some(login) = case.login else { return by_name(db, case).await };
    let rows = queries::known_by_login(db, &case.asked.client_machine, login.name(), MAX_BY_LOGIN).await?;
    Ok(decision::recognise_login(rows, fingerprint.is_some()))
}

/// The agent for which an operator made the token of this registration. A row that the same key waits under goes: it
/// stands for the same agent. An agent that shows its certificate needs no token.
async fn by_token(
    db: &mut PgConnection,
    case: &Case<'_>,
    proven: Option<&Recognised>,
) -> Result<Option<Recognised>, Stop> {
    let (Some(hash), Some(_)) = (&case.asked.enrollment_token, &case.asked.key) else { return Ok(None) };
    if proven.is_some_and(|found| found.by == By::Certificate) {
        return Ok(None);
    }
    let Some(agent) = queries::known_by_token(db, hash, case.now).await? else { return Ok(None) };
    if let Some(other) = proven.map(|found| &found.agent).filter(|other| other.id != agent.id) {
        if other.status != Status::New.number() || other.certificate.is_some() {
            return Err(Stop::Refused(Refusal::anothers_key()));
        }
        queries::delete(db, other.id).await?;
    }
    Ok(Some(Recognised { agent, by: By::Token }))
}

/// An agent of the published protocol that waits for its first certificate, by its name and address: it makes a new key
/// for each try (agent protocol, 4.5).
async fn by_name(db: &mut PgConnection, case: &Case<'_>) -> Result<Option<Recognised>, Stop> {
    let Some(address) = case.address.as_deref().filter(|_| case.settings.enroll_by_name) else {
        return Ok(None);
    };
    if case.asked.key.is_none() || case.certificate.is_some() {
        return Ok(None);
    }
    let since = case.now - APPROVED_BY_NAME;
    let rows = queries::known_by_name(db, &case.asked.client_machine, address, since).await?;
    Ok(rows.into_iter().next().map(|agent| Recognised { agent, by: By::Name }))
}

/// Makes a row for an agent that nobody knows; it waits for an operator unless its token approves it.
async fn first_contact(db: &mut PgConnection, case: &Case<'_>) -> Result<Recognised, Stop> {
    let login = case.login.filter(|_| !case.asked.speaks_extensions);
    if case.asked.key.is_none() && login.is_none() {
        return Err(match case.certificate {
            Some(_) => Stop::Failed(Error::UnknownCertificate.into()),
            None => Stop::Refused(Refusal::no_proof()),
        });
    }
    queries::lock_first_contacts(db).await?;
    // Another call of the same agent may have been first.
    if let Some(found) = find(db, case).await? {
        return Ok(found);
    }
    let mut agent = case.asked.first_row(AgentId::generate(), login.map_or("", Principal::name));
    if spend_token(db, case, &agent).await? {
        agent.status = Status::Approved.number();
    } else {
        let max_new = i64::from(case.settings.max_new);
        let (all, here) = queries::count_new(db, &agent.client_machine, max_new).await?;
        if all >= max_new || here >= MAX_NEW_PER_MACHINE {
            return Err(Stop::Refused(Refusal::too_many()));
        }
    }
    queries::insert_agent(db, &agent, case.now).await?;
    let stem = decision::stem(&agent.client_machine);
    let ours = agent.speaks_extensions;
    let previous = queries::probable_previous(db, &agent.client_machine, stem, ours).await?;
    let address = case.address.as_deref().filter(|_| !ours && login.is_none());
    if previous.is_some() || address.is_some() {
        queries::set_origin(db, agent.id, previous, address).await?;
    }
    tracing::info!(agent.id = %agent.id, agent.machine = agent.client_machine, "an agent registered for the first time");
    Ok(Recognised { agent, by: By::FirstContact })
}

/// Spends the token of this registration, if it brought a good one, and records who vouched for the agent.
async fn spend_token(db: &mut PgConnection, case: &Case<'_>, agent: &KnownAgent) -> Result<bool, Stop> {
    let Some(hash) = &case.asked.enrollment_token else { return Ok(false) };
    let Some(maker) = queries::use_token(db, hash, &agent.client_machine, agent.id, case.now).await? else {
        return Ok(false);
    };
    let line = Line {
        actor: maker,
        operation: Operation::Approved,
        entity_type: "Agent",
        entity_id: agent.id.to_string(),
        message: format!(
            "Agent {} on {} was approved by its enrollment token",
            agent.id, agent.client_machine
        ),
    };
    audit::record(db, &[line], case.now).await?;
    Ok(true)
}

/// Spends the token that names this agent. What it held before counts no more.
async fn spend_bound_token(db: &mut PgConnection, case: &Case<'_>, agent: &KnownAgent) -> Result<(), Stop> {
    if agent.status == Status::Disapproved.number() {
        return Err(Stop::Refused(Refusal::disapproved()));
    }
    let hash = case.asked.enrollment_token.as_ref().map_or(&[][..], |hash| hash);
    let Some(maker) = queries::use_bound_token(db, hash, agent.id, case.now).await? else {
        return Err(Stop::Refused(Refusal::waits(case.asked)));
    };
    queries::delete_sessions(db, &[agent.id]).await?;
    let line = Line {
        actor: maker,
        operation: Operation::Updated,
        entity_type: "Agent",
        entity_id: agent.id.to_string(),
        message: format!(
            "Agent {} on {} got a new identity by the token that was made for it",
            agent.id, agent.client_machine
        ),
    };
    audit::record(db, &[line], case.now).await?;
    Ok(())
}

/// Writes what the agent says of itself, where its proof is good enough; whether others must notice.
async fn update(
    db: &mut PgConnection,
    case: &Case<'_>,
    agent: &mut KnownAgent,
    by: By,
) -> Result<bool, Stop> {
    let before = agent.clone();
    if !decision::learn(agent, case.asked, by) {
        return Ok(false);
    }
    let changed =
        before.client_machine != agent.client_machine || before.speaks_extensions != agent.speaks_extensions;
    if before != *agent || decision::is_stale(before.last_seen_at, case.now) {
        queries::update_agent(db, agent, changed, case.now).await?;
    }
    Ok(changed)
}

/// Gives an approved agent what it asked for: its identity, and a session.
async fn grant(
    db: &mut PgConnection,
    authority: &Authority,
    case: &Case<'_>,
    agent: KnownAgent,
    by: By,
) -> Result<Granted, Stop> {
    let mut granted = Granted::new(&agent, case.settings.heartbeat_minutes, by == By::Certificate);
    let mut thumbprint = case.certificate.clone().filter(|_| by == By::Certificate);
    if case.asked.key.is_some() {
        let (certificate, issued) = identity(db, authority, case, &agent, by).await?;
        thumbprint = Some(Thumbprint::of(&certificate).to_string());
        granted.changed = issued;
        granted.certificate = Some(certificate);
    }
    if agent.speaks_extensions {
        // Ours leases by its certificate alone; the token only says that there is a session.
        return Ok(granted);
    }
    let binding = match (&thumbprint, case.login) {
        (Some(thumbprint), _) => Binding::Certificate(thumbprint),
        (None, Some(login)) => Binding::Login(login.name()),
        (None, None) => return Err(Stop::Refused(Refusal::no_proof())),
    };
    granted.token = session::open(db, agent.id, binding, case.now).await?;
    Ok(granted)
}

/// The certificate for the key that asks, and whether it was issued just now. The one that the agent holds
/// stays valid until the new one is seen.
async fn identity(
    db: &mut PgConnection,
    authority: &Authority,
    case: &Case<'_>,
    agent: &KnownAgent,
    by: By,
) -> Result<(Vec<u8>, bool), Stop> {
    let Some(key) = &case.asked.key else { return Err(Stop::Refused(Refusal::no_proof())) };
    let days = case.settings.identity_days;
    if let Some(certificate) = decision::reusable(agent, &key.fingerprint, days, case.now) {
        return Ok((certificate.to_vec(), false));
    }
    let machine = &agent.client_machine;
    let issued = authority.issue_identity(db, &key.public_key, agent.id, machine, days, case.now).await;
    let certificate = issued.map_err(Failure::from)?;
    let thumbprint = certificate.thumbprint().to_string();
    let new = NewIdentity {
        certificate: certificate.der(),
        thumbprint: &thumbprint,
        legacy_thumbprint: match by {
            By::Token => None,
            _ => decision::next_legacy(agent, case.certificate.as_deref()),
        },
        expires_at: certificate.not_after(),
        key_fingerprint: &key.fingerprint,
    };
    if !queries::store_identity(db, agent.id, &new, case.now).await? {
        return Err(Stop::Refused(Refusal::disapproved()));
    }
    tracing::info!(agent.id = %agent.id, agent.machine = agent.client_machine, "an agent got identity {thumbprint}");
    Ok((certificate.der().to_vec(), true))
}
