//! How the agent becomes known and stays known: first registration, pending approval, renewal, and the way back when
//! its certificate is not accepted any more.
//!
//! With an identity the agent registers under it at every start, which tells the server its version and
//! capabilities. Without one it registers with a request for a certificate, always for the same staged key, for as
//! long as it takes; when the server turns down the one it has, with the id it has and for the key it has. Whether a
//! certificate has expired is never judged by this machine's clock; only the server's refusal counts.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sealift_pki::PrivateKey;
use sealift_protocol::agent::registration::{
    CallError as Refusal, Register, Registered, Session, pack_version, parameters,
};
use tokio::time::Instant;

use crate::backoff::Trouble;
use crate::identity::{self, Identity, IdentityError};
use crate::server_client::{CallError, SetupError};
use crate::{Agent, locked};

/// The protocol's number for native agents.
const PLATFORM: i32 = 5;
const TENANT: &str = "00000000-0000-0000-0000-000000000000";
/// The version of the extensions that this agent speaks.
const EXTENSIONS: &str = "1";
/// Answers that ask for a new certificate (agent protocol, chapter 3.1).
const RENEWAL_CODES: [&str; 2] = ["A0100007", "A0100008"];
/// The token of a session without rights (agent protocol, chapter 4.2): known, not approved.
const EMPTY_SESSION: &str = "c0ffee00-feed-f00d-cafe-c0ffeec0ffee";
/// Longest enrollment token, in bytes.
const MAX_TOKEN_BYTES: u64 = 4096;

/// What a registration led to.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// The server knows and accepts the agent.
    Accepted,
    /// There is a new identity, not yet shown to the server.
    Enrolled,
}

/// Why the agent is not registered yet.
#[derive(Debug, thiserror::Error)]
enum Obstacle {
    #[error("the server has not approved this agent yet: {message}")]
    Pending { message: String, retry_after: Option<Duration> },
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Setup(#[from] SetupError),
}

impl Obstacle {
    const fn asked_pause(&self) -> Option<Duration> {
        match self {
            Self::Pending { retry_after, .. } => *retry_after,
            Self::Call(error) => error.asked_pause(),
            Self::Identity(_) | Self::Setup(_) => None,
        }
    }
}

/// Registers until it is accepted; false when the agent was told to stop before.
pub(crate) async fn establish(agent: &Agent) -> bool {
    let mut trouble = Trouble::default();
    let mut enrolled = false;
    loop {
        let attempt = tokio::select! {
            () = agent.stop.told() => return false,
            attempt = register(agent) => attempt,
        };
        let state = match attempt {
            Ok(Standing::Accepted) => {
                trouble.over();
                tracing::info!(agent.id = agent.id(), "registered with the server");
                agent.outbox.ring();
                return true;
            }
            // The new identity is shown at once, but not again and again should the server not know it.
            Ok(Standing::Enrolled) if !enrolled => {
                enrolled = true;
                continue;
            }
            Ok(Standing::Enrolled) => {
                ("the server gives certificates that it does not accept".to_owned(), None)
            }
            Err(obstacle) => (obstacle.to_string(), obstacle.asked_pause()),
        };
        if agent.stop.told_within(trouble.pause(&state.0, state.1)).await {
            return false;
        }
    }
}

async fn register(agent: &Agent) -> Result<Standing, Obstacle> {
    let current = locked(&agent.identity).clone();
    let Some(identity) = current else {
        return enroll(agent, "", &agent.identity_files.staged_key().map_err(Obstacle::Identity)?).await;
    };
    let answer = agent.client.register(&request(agent, &identity.agent_id, None)).await;
    match answer {
        Err(CallError::NotAccepted(reason)) => {
            tracing::debug!(
                agent.id = identity.agent_id,
                reason,
                "the identity was turned down; asking for another"
            );
            enroll_again(agent, &identity).await
        }
        Err(error) => Err(error.into()),
        Ok(answer) if asks_for_renewal(&answer) => {
            renew(agent, &identity).await?;
            Ok(Standing::Enrolled)
        }
        Ok(answer) => {
            let session = accepted(answer)?;
            keep_id(agent, &identity, &session)?;
            Ok(Standing::Accepted)
        }
    }
}

/// Asks for another certificate with the key that the server knows, since an id proves nothing. That is the key in
/// use; or the staged one, where the server answered a renewal and the answer was lost.
async fn enroll_again(agent: &Agent, identity: &Identity) -> Result<Standing, Obstacle> {
    let first = enroll(agent, &identity.agent_id, identity.key()).await;
    match (first, agent.identity_files.staged()?) {
        (Err(Obstacle::Pending { .. }), Some(staged)) => enroll(agent, &identity.agent_id, &staged).await,
        (first, _) => first,
    }
}

/// Registers without a client certificate and with a request for one.
async fn enroll(agent: &Agent, agent_id: &str, key: &PrivateKey) -> Result<Standing, Obstacle> {
    let csr = identity::request(key, &agent.configuration.name)?;
    let mut request = request(agent, agent_id, Some(csr));
    if let Some(token) = agent.configuration.enrollment_token_file.as_deref().and_then(read_token) {
        request.client_parameters.insert(parameters::ENROLLMENT_TOKEN.to_owned(), token);
    }
    let session = accepted(agent.client.register_anonymously(&request).await?)?;
    take_certificate(agent, &session)?;
    tracing::info!(agent.id = agent.id(), "the server gave this agent its identity");
    Ok(Standing::Enrolled)
}

/// Asks for a new certificate under the old identity.
async fn renew(agent: &Agent, identity: &Identity) -> Result<(), Obstacle> {
    let csr = identity::request(&agent.identity_files.staged_key()?, &agent.configuration.name)?;
    let session = accepted(agent.client.register(&request(agent, &identity.agent_id, Some(csr))).await?)?;
    take_certificate(agent, &session)?;
    tracing::info!(agent.id = agent.id(), "the certificate of this agent was renewed");
    Ok(())
}

/// When a renewal was last asked for, so that a wrong clock cannot make it a flood.
#[derive(Debug, Default)]
pub(crate) struct RenewalClock {
    asked: Option<Instant>,
}

/// Asks for a new certificate when two thirds of the life of the present one are over. A failure is not pressing:
/// the present one still works, and it is asked again after a while.
pub(crate) async fn renew_if_due(agent: &Agent, clock: &mut RenewalClock) {
    let current = locked(&agent.identity).clone();
    let Some(identity) = current.filter(|identity| identity.renewal_due(identity::wall_clock())) else {
        return;
    };
    if clock.asked.is_some_and(|asked| asked.elapsed() < identity.renewal_pause()) {
        return;
    }
    clock.asked = Some(Instant::now());
    if let Err(obstacle) = renew(agent, &identity).await {
        tracing::warn!(
            agent.id = identity.agent_id,
            "the certificate of this agent was not renewed: {obstacle}"
        );
    }
}

fn request(agent: &Agent, agent_id: &str, csr: Option<String>) -> Register {
    Register {
        agent_platform: PLATFORM,
        agent_version: version(),
        tenant_id: TENANT.to_owned(),
        client_machine: agent.configuration.name.clone(),
        csr,
        agent_id: agent_id.to_owned(),
        capabilities: agent.configuration.capabilities(),
        client_parameters: BTreeMap::from([(parameters::EXTENSIONS.to_owned(), EXTENSIONS.to_owned())]),
    }
}

fn version() -> u64 {
    let part = |text: &str| text.parse().unwrap_or(0);
    pack_version(
        part(env!("CARGO_PKG_VERSION_MAJOR")),
        part(env!("CARGO_PKG_VERSION_MINOR")),
        part(env!("CARGO_PKG_VERSION_PATCH")),
        0,
    )
}

/// The session of an answer, or what stands in its way.
fn accepted(answer: Registered) -> Result<Session, Obstacle> {
    let retry_after = answer.retry_after_seconds.map(|seconds| Duration::from_secs(seconds.into()));
    match answer.session {
        Some(session) if answer.result.status < 3 && !session.token.eq_ignore_ascii_case(EMPTY_SESSION) => {
            Ok(session)
        }
        _ => {
            let said = answer.result.error.and_then(|error: Refusal| error.message).unwrap_or_default();
            let said: String = said.chars().filter(|c| !c.is_control()).collect();
            let message = if said.is_empty() { "an operator has to approve it".to_owned() } else { said };
            Err(Obstacle::Pending { message, retry_after })
        }
    }
}

fn asks_for_renewal(answer: &Registered) -> bool {
    let code = answer.result.error.as_ref().and_then(|error| error.code_string.as_deref());
    answer.result.status >= 2
        && code.is_some_and(|code| RENEWAL_CODES.iter().any(|renewal| renewal.eq_ignore_ascii_case(code)))
}

fn take_certificate(agent: &Agent, session: &Session) -> Result<(), Obstacle> {
    let Some(certificate) = session.certificate.as_deref() else {
        let message = "it answered without a certificate".to_owned();
        return Err(Obstacle::Pending { message, retry_after: None });
    };
    let identity = agent.identity_files.accept(&session.agent_id, certificate, identity::wall_clock())?;
    use_identity(agent, identity)
}

fn use_identity(agent: &Agent, identity: Identity) -> Result<(), Obstacle> {
    agent.client.identify(Some(&identity))?;
    *locked(&agent.identity) = Some(identity);
    Ok(())
}

/// The server may give a known agent another id; without one in the answer the old id stays.
fn keep_id(agent: &Agent, identity: &Identity, session: &Session) -> Result<(), Obstacle> {
    if session.agent_id.is_empty() || session.agent_id == identity.agent_id {
        return Ok(());
    }
    tracing::warn!(
        agent.id = identity.agent_id,
        "the server gave this agent another id: {}",
        session.agent_id
    );
    *locked(&agent.identity) = Some(agent.identity_files.rename(identity, &session.agent_id)?);
    Ok(())
}

/// The enrollment token, where its file is there; it may be deleted once it has served.
fn read_token(path: &Path) -> Option<String> {
    static TOLD: AtomicBool = AtomicBool::new(false);
    let problem = match fs::metadata(path) {
        Ok(found) if found.len() > MAX_TOKEN_BYTES => format!("larger than {MAX_TOKEN_BYTES} bytes"),
        Ok(found) => {
            if found.permissions().mode() & 0o004 != 0 && !TOLD.swap(true, Ordering::Relaxed) {
                tracing::warn!(path = %path.display(), "the enrollment token can be read by every user of this machine");
            }
            match fs::read_to_string(path) {
                Ok(text) => return Some(text.trim().to_owned()).filter(|token| !token.is_empty()),
                Err(error) => error.to_string(),
            }
        }
        Err(error) => error.to_string(),
    };
    if !TOLD.swap(true, Ordering::Relaxed) {
        tracing::warn!(path = %path.display(), problem, "there is no enrollment token; an operator has to approve the agent");
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use sealift_pki::SubjectPublicKey;

    use super::*;
    use crate::scripted_server::{
        AGENT_ID, Answer, Call, ScriptedServer, accept, authority, client_certificate, pending, text,
    };

    /// A server whose authority the script can use.
    async fn server(
        script: impl Fn(usize, &Call, &sealift_pki::Issuer) -> Answer + Send + 'static,
    ) -> ScriptedServer {
        let issuer: Arc<std::sync::OnceLock<Arc<sealift_pki::Issuer>>> = Arc::default();
        let late = Arc::clone(&issuer);
        let mut count = 0;
        let server = ScriptedServer::start(move |call| {
            count += 1;
            script(count, call, late.get().unwrap())
        })
        .await;
        issuer.set(Arc::clone(&server.authority)).ok().unwrap();
        server
    }

    fn requested_key(call: &Call) -> SubjectPublicKey {
        let csr = STANDARD.decode(call.body["CSR"].as_str().unwrap()).unwrap();
        sealift_pki::CertificateRequest::parse(&csr).unwrap().public_key().clone()
    }

    #[tokio::test]
    async fn a_pending_agent_asks_again_with_the_same_key_and_then_shows_its_certificate() {
        let server =
            server(|count, call, authority| if count == 1 { pending() } else { accept(authority, call) })
                .await;
        let token = server.path("token");
        sealift_stores::atomic_file::write(&token, b"canary-token\n", 0o600).unwrap();
        let (agent, _tell) = server.agent(&format!("enrollment_token_file = '{}'", token.display()));
        assert!(establish(&agent).await);

        let calls = server.calls();
        assert_eq!(calls.len(), 3);
        assert!(calls.iter().all(|call| call.path == "Session/Register" && call.body["AgentPlatform"] == 5));
        let keys = calls[..2].iter().map(|call| {
            assert_eq!((call.body["AgentId"].as_str(), call.client.is_none()), (Some(""), true));
            assert_eq!(call.body["ClientParameters"]["EnrollmentToken"], "canary-token");
            requested_key(call)
        });
        let keys: Vec<_> = keys.collect();
        assert_eq!(keys[0], keys[1]);
        assert_eq!(calls[2].body["AgentId"], AGENT_ID);
        assert!(
            calls[2].body["CSR"].is_null() && calls[2].body["ClientParameters"]["EnrollmentToken"].is_null()
        );
        assert_eq!(calls[2].client.as_ref().unwrap().public_key(), keys[0].der());
        for name in ["identity.key", "identity.pem", "identity.json"] {
            let mode = fs::metadata(server.path("state").join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert!(text(&server.path("state/identity.json")).contains(AGENT_ID));
    }

    #[tokio::test]
    async fn a_certificate_for_another_key_is_refused_and_changes_nothing() {
        let server = server(|_, _, authority| {
            let stranger = PrivateKey::generate(sealift_pki::KeyAlgorithm::EcdsaP256).unwrap();
            let certificate = client_certificate(authority, &SubjectPublicKey::from(&stranger), 0, 90);
            Answer::Json(serde_json::json!({
                "Result": { "Status": 1 },
                "Session": { "Token": "t", "AgentId": AGENT_ID, "Certificate": certificate },
            }))
        })
        .await;
        let (agent, _tell) = server.agent("");
        assert!(matches!(register(&agent).await, Err(Obstacle::Identity(IdentityError::Answer(_)))));
        assert!(agent.id().is_empty() && !server.path("state/identity.json").exists());
    }

    #[tokio::test]
    async fn an_expired_identity_keeps_its_id_and_asks_without_it() {
        let server = server(|_, call, authority| accept(authority, call)).await;
        let (agent, _tell) = server.known_agent("", -90, -1);
        let key = locked(&agent.identity).as_ref().unwrap().key().clone();
        assert!(establish(&agent).await);
        let calls = server.calls();
        assert_eq!(calls.len(), 2, "the handshake of the first try does not get through");
        assert!(calls[0].client.is_none() && calls[0].body["CSR"].is_string());
        assert_eq!(calls[0].body["AgentId"], AGENT_ID);
        assert_eq!(requested_key(&calls[0]).der(), calls[1].client.as_ref().unwrap().public_key());
        assert!(requested_key(&calls[0]).der() == key.public_key(), "the key that the server knows");
        assert!(calls[1].client.is_some() && calls[1].body["CSR"].is_null());
    }

    #[tokio::test]
    async fn a_disapproved_identity_is_tried_again_before_another_is_asked_for() {
        let server = server(|count, call, authority| match count {
            1 => Answer::Raw(401, "", String::new()),
            2 => pending(),
            _ => accept(authority, call),
        })
        .await;
        let (agent, _tell) = server.known_agent("", 0, 90);
        assert!(establish(&agent).await);
        let shown: Vec<bool> = server.calls().iter().map(|call| call.client.is_some()).collect();
        assert_eq!(shown, [true, false, true]);
    }

    #[tokio::test]
    async fn a_renewal_whose_answer_was_lost_is_found_by_its_staged_key() {
        let server =
            server(|count, call, authority| if count == 1 { pending() } else { accept(authority, call) })
                .await;
        let (agent, _tell) = server.known_agent("", -90, -1);
        let (old, staged) = (
            locked(&agent.identity).as_ref().unwrap().key().clone(),
            agent.identity_files.staged_key().unwrap(),
        );
        assert!(establish(&agent).await);
        let calls = server.calls();
        let keys: Vec<SubjectPublicKey> = calls[..2].iter().map(requested_key).collect();
        assert_eq!([keys[0].der(), keys[1].der()], [old.public_key(), staged.public_key()]);
        assert_eq!(calls[2].client.as_ref().unwrap().public_key(), staged.public_key());
    }

    #[tokio::test]
    async fn two_thirds_through_its_life_the_identity_is_renewed_under_the_old_one() {
        let server = server(|_, call, authority| accept(authority, call)).await;
        let (agent, _tell) = server.known_agent("", -61, 30);
        let old = server.path("state/identity.pem");
        let before = text(&old);
        let mut clock = RenewalClock::default();
        renew_if_due(&agent, &mut clock).await;
        renew_if_due(&agent, &mut clock).await;
        let calls = server.calls();
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0].body["AgentId"], AGENT_ID);
        assert_eq!(calls[0].client.as_ref().unwrap().to_pem().trim(), before.trim());
        assert_ne!(text(&old), before);
        assert!(establish(&agent).await);
        assert_eq!(server.calls()[1].client.as_ref().unwrap().to_pem().trim(), text(&old).trim());
    }

    #[tokio::test]
    async fn the_server_can_ask_for_a_renewal() {
        let server = server(|count, call, authority| match count {
            1 => Answer::Json(serde_json::json!({
                "Result": { "Status": 2, "Error": { "CodeString": "a0100007" } }, "Session": null,
            })),
            _ => accept(authority, call),
        })
        .await;
        let (agent, _tell) = server.known_agent("", 0, 90);
        assert!(establish(&agent).await);
        let asked: Vec<bool> = server.calls().iter().map(|call| call.body["CSR"].is_string()).collect();
        assert_eq!(asked, [false, true, false]);
    }

    #[tokio::test]
    async fn a_stop_ends_the_waiting() {
        let server = server(|_, _, _| pending()).await;
        let (agent, tell) = server.agent("");
        let (stopped, ()) = tokio::join!(establish(&agent), async {
            server.wait_for("Session/Register", 1).await;
            tell.send_replace(true);
        });
        assert!(!stopped);
    }

    #[test]
    fn an_empty_session_and_an_error_with_a_session_are_pending() {
        let authority = authority();
        let call = Call { path: String::new(), body: serde_json::json!({}), client: None };
        let Answer::Json(mut accepting) = accept(&authority, &call) else { unreachable!() };
        let judge = |value: &serde_json::Value| accepted(serde_json::from_value(value.clone()).unwrap());
        assert!(judge(&accepting).is_ok());
        accepting["Result"]["Status"] = 3.into();
        assert!(judge(&accepting).is_err());
        accepting["Result"]["Status"] = 1.into();
        accepting["Session"]["Token"] = EMPTY_SESSION.to_uppercase().into();
        assert!(judge(&accepting).is_err());
    }
}
