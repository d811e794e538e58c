//! From a credential to a [`Principal`], at a bounded cost.
//!
//! A credential that was right is remembered for a short time, under a hash that only this process can
//! compute, so most calls are authenticated without a query and without hashing a password. Whatever changes
//! users, roles or tokens in this process forgets everything at once; other replicas follow when their time
//! is over. Wrong credentials are never remembered, and only a few are checked at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::http::header::HeaderValue;
use aws_lc_rs::digest::{Context, SHA256};
use chrono::{DateTime, TimeDelta, Utc};
use sealift_protocol::Secret;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::credential::Credential;
use super::error::Error;
use super::oidc::Provider;
use super::principal::Principal;
use super::{password, queries};
use crate::floor::Floor;

/// How long a credential that was right is believed without looking again.
const REMEMBERED: TimeDelta = TimeDelta::seconds(60);
/// Credentials remembered at a time.
const MAX_REMEMBERED: usize = 10_000;
/// Passwords hashed at a time: each takes 19 MiB.
const HASHING: usize = 2;
/// Log-ins that may wait to be hashed; further ones are turned away.
const MAX_WAITING: usize = 64;
/// API tokens looked up at a time, so that a flood of wrong ones cannot take all connections.
const LOOKING_UP: usize = 4;
/// Refusals that are written down, per minute; the rest is counted.
const REFUSALS_PER_MINUTE: u32 = 60;

/// The callers of this process: what authenticates them, and what was remembered of it.
pub(crate) struct Callers {
    salt: [u8; 32],
    memory: Mutex<Memory>,
    waiting: Arc<Semaphore>,
    hashing: Arc<Semaphore>,
    looking_up: Semaphore,
    refusals: Mutex<Refusals>,
    provider: Option<Provider>,
}

#[derive(Default)]
struct Memory {
    /// Grows when everything is forgotten, so that what was loaded before is not remembered after.
    generation: u64,
    callers: HashMap<[u8; 32], Remembered>,
}

struct Remembered {
    caller: Principal,
    since: DateTime<Utc>,
    expires: Option<DateTime<Utc>>,
}

#[derive(Default)]
struct Refusals {
    minute: i64,
    count: u32,
}

impl Callers {
    /// Nobody remembered yet; `provider` vouches for callers that have no password here.
    ///
    /// # Errors
    /// [`Error::Random`].
    pub(crate) fn new(provider: Option<Provider>) -> Result<Self, Error> {
        let mut salt = [0; 32];
        aws_lc_rs::rand::fill(&mut salt).map_err(|_| Error::Random)?;
        Ok(Self {
            salt,
            memory: Mutex::default(),
            waiting: Arc::new(Semaphore::new(HASHING + MAX_WAITING)),
            hashing: Arc::new(Semaphore::new(HASHING)),
            looking_up: Semaphore::new(LOOKING_UP),
            refusals: Mutex::default(),
            provider,
        })
    }

    /// Who presents this `Authorization` header.
    ///
    /// # Errors
    /// [`Error::NotAuthenticated`], of a password without saying which part was wrong; [`Error::Busy`],
    /// [`Error::ProviderUnavailable`], and faults.
    pub(crate) async fn authenticate(
        &self,
        floor: &Floor,
        authorization: Option<&HeaderValue>,
    ) -> Result<Principal, Error> {
        let header = authorization.ok_or(Error::NotAuthenticated("no credentials were given"))?;
        let key = self.key(header);
        if let Some(caller) = self.remembered(&key, floor.now()) {
            return Ok(caller);
        }
        match Credential::parse(header)? {
            Credential::Basic { name, password } => self.log_in(floor, key, name, password).await,
            Credential::Token(hash) => self.look_up(floor, key, &hash).await,
            Credential::Vouched(token) => self.believe(floor, key, &token).await,
        }
    }

    /// Forgets every credential. To be called after the commit of any change to users, roles or tokens.
    pub(crate) fn forget(&self) {
        let mut memory = locked(&self.memory);
        memory.generation += 1;
        memory.callers.clear();
    }

    /// The PHC string of a new password.
    pub(super) async fn hash(&self, password: Secret) -> Result<String, Error> {
        let turn = self.turn().await?;
        blocking(move || {
            let _turn = turn;
            password::hash(&password)
        })
        .await
    }

    /// Whether a refusal is to be written down, or one of too many in this minute.
    pub(super) fn notes_refusal(&self, now: DateTime<Utc>) -> bool {
        let mut refusals = locked(&self.refusals);
        let minute = now.timestamp().div_euclid(60);
        if refusals.minute != minute {
            *refusals = Refusals { minute, count: 0 };
        }
        refusals.count = refusals.count.saturating_add(1);
        if refusals.count == REFUSALS_PER_MINUTE + 1 {
            tracing::warn!(
                "more than {REFUSALS_PER_MINUTE} refused calls in a minute; the rest is not written down"
            );
        }
        refusals.count <= REFUSALS_PER_MINUTE
    }

    async fn log_in(
        &self,
        floor: &Floor,
        key: [u8; 32],
        name: String,
        password: Secret,
    ) -> Result<Principal, Error> {
        let turn = self.turn().await?;
        // Who waited behind a call with the same credential need not hash it again.
        if let Some(caller) = self.remembered(&key, floor.now()) {
            return Ok(caller);
        }
        let generation = locked(&self.memory).generation;
        let found = queries::load_user(&mut *floor.database.main.acquire().await?, &name).await?;
        let (hash, caller) = match found {
            Some(user) => {
                let caller = Principal::new(user.name, user.roles, user.permissions);
                (user.password_hash, user.enabled.then_some(caller))
            }
            None => (password::NOBODY.to_owned(), None),
        };
        let right = blocking(move || {
            let _turn = turn;
            password::matches(&password, &hash)
        })
        .await?;
        let caller = caller.filter(|_| right).ok_or(Error::NotAuthenticated("wrong name or password"))?;
        self.remember(key, generation, &caller, None, floor.now());
        Ok(caller)
    }

    async fn look_up(&self, floor: &Floor, key: [u8; 32], hash: &[u8; 32]) -> Result<Principal, Error> {
        let _turn = self.looking_up.acquire().await.map_err(|_| Error::Busy)?;
        if let Some(caller) = self.remembered(&key, floor.now()) {
            return Ok(caller);
        }
        let generation = locked(&self.memory).generation;
        let now = floor.now();
        let found = queries::load_token(&mut *floor.database.main.acquire().await?, hash, now).await?;
        let token = found.ok_or(Error::NotAuthenticated("the API token is unknown, expired or revoked"))?;
        let caller = Principal::new(token.name, token.roles, token.permissions);
        self.remember(key, generation, &caller, Some(token.expires_at), now);
        Ok(caller)
    }

    async fn believe(&self, floor: &Floor, key: [u8; 32], token: &Secret) -> Result<Principal, Error> {
        let none = Error::NotAuthenticated(
            "the bearer token is no API token, and no identity provider is configured (oidc.issuer)",
        );
        let provider = self.provider.as_ref().ok_or(none)?;
        let generation = locked(&self.memory).generation;
        let (caller, expires) = provider.authenticate(floor, token.expose()).await?;
        self.remember(key, generation, &caller, Some(expires), floor.now());
        Ok(caller)
    }

    /// The provider in use, by its row.
    pub(super) fn provider(&self) -> Option<uuid::Uuid> {
        self.provider.as_ref().map(Provider::id)
    }

    /// A turn to hash a password. Held by the hashing itself, so that a caller that went away still counts.
    async fn turn(&self) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), Error> {
        let place = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| Error::Busy)?;
        let turn = Arc::clone(&self.hashing).acquire_owned().await.map_err(|_| Error::Busy)?;
        Ok((place, turn))
    }

    fn key(&self, header: &HeaderValue) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        context.update(&self.salt);
        context.update(header.as_bytes());
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        key
    }

    fn remembered(&self, key: &[u8; 32], now: DateTime<Utc>) -> Option<Principal> {
        let memory = locked(&self.memory);
        memory
            .callers
            .get(key)
            .filter(|remembered| remembered.holds(now))
            .map(|remembered| remembered.caller.clone())
    }

    fn remember(
        &self,
        key: [u8; 32],
        generation: u64,
        caller: &Principal,
        expires: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) {
        let mut memory = locked(&self.memory);
        if memory.generation != generation {
            return;
        }
        if memory.callers.len() >= MAX_REMEMBERED {
            memory.callers.retain(|_, remembered| remembered.holds(now));
        }
        if memory.callers.len() >= MAX_REMEMBERED {
            memory.callers.clear();
        }
        memory.callers.insert(key, Remembered { caller: caller.clone(), since: now, expires });
    }
}

impl Remembered {
    /// Whether it is believed now; a clock that was set back does not make it last longer.
    fn holds(&self, now: DateTime<Utc>) -> bool {
        (now - self.since).abs() < REMEMBERED && self.expires.is_none_or(|expires| now < expires)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Hashing(error.to_string()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    #[test]
    fn what_is_remembered_ends_with_its_time_its_expiry_or_a_change() {
        let callers = Callers::new(None).unwrap();
        let key = callers.key(&header("Basic YTpi"));
        let caller = Principal::system("ann");
        let now = DateTime::UNIX_EPOCH;
        callers.remember(key, 0, &caller, Some(now + TimeDelta::seconds(30)), now);
        assert!(callers.remembered(&key, now).is_some());
        assert!(callers.remembered(&key, now + TimeDelta::seconds(30)).is_none());
        callers.remember(key, 0, &caller, None, now);
        assert!(callers.remembered(&key, now + TimeDelta::seconds(59)).is_some());
        assert!(callers.remembered(&key, now + REMEMBERED).is_none());
        assert!(callers.remembered(&key, now - REMEMBERED).is_none());
        callers.forget();
        assert!(callers.remembered(&key, now).is_none());
        callers.remember(key, 0, &caller, None, now);
        assert!(callers.remembered(&key, now).is_none(), "loaded before the change");
    }

    #[test]
    fn headers_are_told_apart_and_processes_do_not_share_keys() {
        let (one, other) = (Callers::new(None).unwrap(), Callers::new(None).unwrap());
        assert_ne!(one.key(&header("Basic YTpi")), one.key(&header("Basic YTpj")));
        assert_ne!(one.key(&header("Basic YTpi")), other.key(&header("Basic YTpi")));
    }

    #[test]
    fn memory_is_bounded() {
        let callers = Callers::new(None).unwrap();
        let caller = Principal::system("ann");
        for number in 0..=MAX_REMEMBERED as u64 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_le_bytes());
            callers.remember(key, 0, &caller, None, DateTime::UNIX_EPOCH);
        }
        assert!(locked(&callers.memory).callers.len() <= MAX_REMEMBERED);
    }

    #[test]
    fn refusals_are_written_down_up_to_a_bound() {
        let callers = Callers::new(None).unwrap();
        let now = DateTime::UNIX_EPOCH;
        let noted = (0..1_000).filter(|_| callers.notes_refusal(now)).count();
        assert_eq!(noted, REFUSALS_PER_MINUTE as usize);
        assert!(callers.notes_refusal(now + TimeDelta::seconds(60)));
    }

    #[tokio::test]
    async fn log_ins_beyond_the_bound_are_turned_away() {
        let callers = Callers::new(None).unwrap();
        let mut turns = vec![callers.turn().await.unwrap(), callers.turn().await.unwrap()];
        let places = Arc::clone(&callers.waiting).try_acquire_many_owned(MAX_WAITING as u32).unwrap();
        assert!(matches!(callers.turn().await, Err(Error::Busy)));
        drop(places);
        drop(turns.pop());
        assert!(callers.turn().await.is_ok());
    }
}
