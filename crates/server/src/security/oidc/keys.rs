//! The keys of the identity provider: kept, and fetched again when they age or when one is not known.

use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;
use tokio::sync::{Mutex, Semaphore};

use super::fetch::Source;
use super::token::{ALGORITHMS, Head};
use crate::configuration::Oidc;
use crate::floor::Floor;
use crate::security::error::Error;

/// Keys younger than this are used without asking again.
const FRESH: TimeDelta = TimeDelta::minutes(10);
/// Keys that could not be fetched again for longer than this are believed no more.
const STALE: TimeDelta = TimeDelta::hours(24);
/// Least time between two fetches, so that tokens with made-up keys cannot make this server a nuisance.
const BETWEEN: TimeDelta = TimeDelta::seconds(10);
/// Callers that may wait for a fetch at a time.
const MAX_WAITING: usize = 64;
/// Keys of a provider that are looked at.
const MAX_KEYS: usize = 100;

/// The provider's keys.
pub(super) struct Keys {
    source: Source,
    current: RwLock<Option<Arc<KeySet>>>,
    /// When they were fetched last, whether that succeeded or not; held while they are fetched.
    fetched: Mutex<Option<DateTime<Utc>>>,
    waiting: Semaphore,
}

/// The keys as fetched at one time.
struct KeySet {
    keys: Vec<Key>,
    at: DateTime<Utc>,
}

struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl Keys {
    /// None fetched yet.
    pub(super) async fn new(configured: &Oidc) -> Result<Self, Error> {
        Ok(Self {
            source: Source::new(configured).await?,
            current: RwLock::default(),
            fetched: Mutex::default(),
            waiting: Semaphore::new(MAX_WAITING),
        })
    }

    /// The key that a token names.
    ///
    /// # Errors
    /// [`Error::NotAuthenticated`] when the provider has no such key, [`Error::ProviderUnavailable`] when its keys
    /// are not known, [`Error::Busy`].
    pub(super) async fn find(&self, head: &Head, floor: &Floor) -> Result<DecodingKey, Error> {
        let now = floor.now();
        let known = self.current();
        let found = known.as_ref().and_then(|set| set.find(head));
        match (known, found) {
            (Some(set), Some(key)) if set.age(now) < FRESH => return Ok(key),
            // Old keys go on working while someone else asks.
            (Some(set), Some(key)) if set.age(now) < STALE => {
                if let Ok(fetched) = self.fetched.try_lock() {
                    self.fetch(fetched, now).await;
                } else {
                    return Ok(key);
                }
            }
            _ => {
                let _place = self.waiting.try_acquire().map_err(|_| Error::Busy)?;
                let fetched = self.fetched.lock().await;
                self.fetch(fetched, now).await;
            }
        }
        let set = self.current().filter(|set| set.age(now) < STALE).ok_or(Error::ProviderUnavailable)?;
        set.find(head).ok_or(Error::NotAuthenticated(
            "the bearer token is not signed by a key that the identity provider has now",
        ))
    }

    fn current(&self) -> Option<Arc<KeySet>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fetches the keys unless that was tried a moment ago.
    async fn fetch(
        &self,
        mut fetched: tokio::sync::MutexGuard<'_, Option<DateTime<Utc>>>,
        now: DateTime<Utc>,
    ) {
        if fetched.is_some_and(|last| (now - last).abs() < BETWEEN) {
            return;
        }
        *fetched = Some(now);
        match self.source.keys().await.and_then(|keys| read(&keys)) {
            Ok(keys) => {
                let set = Some(Arc::new(KeySet { keys, at: now }));
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = set;
            }
            Err(reason) => tracing::warn!("the keys of the identity provider cannot be fetched: {reason}"),
        }
    }
}

impl KeySet {
    fn age(&self, now: DateTime<Utc>) -> TimeDelta {
        (now - self.at).abs()
    }

    /// The key of this name and kind. A token that names none must leave no choice.
    fn find(&self, head: &Head) -> Option<DecodingKey> {
        let mut fitting = self.keys.iter().filter(|key| {
            key.algorithms.contains(&head.algorithm) && (head.key_id.is_none() || key.id == head.key_id)
        });
        let first = fitting.next()?;
        fitting.next().is_none().then(|| first.key.clone())
    }
}

/// The keys of a set (RFC 7517) that can sign tokens. What is not understood is passed over, as the standard says.
fn read(set: &Value) -> Result<Vec<Key>, String> {
    let entries = set["keys"].as_array().ok_or("the set of keys has no list 'keys'")?;
    if entries.len() > MAX_KEYS {
        return Err(format!("the set has {} keys, more than {MAX_KEYS}", entries.len()));
    }
    Ok(entries.iter().filter_map(key).collect())
}

fn key(entry: &Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(entry.clone()).ok()?;
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let family = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &ALGORITHMS[..6],
        AlgorithmParameters::EllipticCurve(curve) => match &curve.curve {
            jsonwebtoken::jwk::EllipticCurve::P256 => &ALGORITHMS[6..7],
            jsonwebtoken::jwk::EllipticCurve::P384 => &ALGORITHMS[7..8],
            _ => return None,
        },
        _ => return None,
    };
    let algorithms: Vec<_> = match jwk.common.key_algorithm {
        None => family.to_vec(),
        Some(only) => {
            let only = only.to_string().parse::<Algorithm>().ok()?;
            family.iter().copied().filter(|algorithm| *algorithm == only).collect()
        }
    };
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    (!algorithms.is_empty()).then_some(Key { id: jwk.common.key_id, algorithms, key })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The key of RFC 7517, appendix A.1.
    const MODULUS: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

    fn rsa(id: Option<&str>, more: &Value) -> Value {
        let mut key = json!({"kty": "RSA", "n": MODULUS, "e": "AQAB"});
        if let Some(id) = id {
            key["kid"] = json!(id);
        }
        for (name, value) in more.as_object().unwrap() {
            key[name] = value.clone();
        }
        key
    }

    fn set(keys: &[Value]) -> KeySet {
        KeySet { keys: read(&json!({"keys": keys})).unwrap(), at: DateTime::UNIX_EPOCH }
    }

    fn head(algorithm: Algorithm, id: Option<&str>) -> Head {
        Head { algorithm, key_id: id.map(str::to_owned) }
    }

    #[test]
    fn a_key_is_found_by_its_name_and_only_for_its_algorithms() {
        let nothing = json!({});
        let keys = set(&[rsa(Some("a"), &nothing), rsa(Some("b"), &json!({"alg": "PS256", "use": "sig"}))]);
        for (algorithm, id, there) in [
            (Algorithm::RS256, Some("a"), true),
            (Algorithm::PS512, Some("a"), true),
            (Algorithm::ES256, Some("a"), false),
            (Algorithm::PS256, Some("b"), true),
            (Algorithm::RS256, Some("b"), false),
            (Algorithm::RS256, Some("c"), false),
            (Algorithm::RS256, None, true),
            (Algorithm::PS256, None, false),
        ] {
            assert_eq!(keys.find(&head(algorithm, id)).is_some(), there, "{algorithm:?} {id:?}");
        }
    }

    #[test]
    fn what_cannot_sign_tokens_is_passed_over() {
        let entries = [
            rsa(Some("enc"), &json!({"use": "enc"})),
            rsa(Some("oaep"), &json!({"alg": "RSA-OAEP"})),
            rsa(Some("hs"), &json!({"alg": "HS256"})),
            json!({"kty": "oct", "k": "c2VjcmV0", "kid": "shared", "alg": "HS256"}),
            json!({"kty": "new", "kid": "later"}),
            json!("no key"),
        ];
        assert!(set(&entries).keys.is_empty());
        assert!(read(&json!({})).is_err());
        assert!(read(&json!({"keys": vec![json!({}); MAX_KEYS + 1]})).is_err());
    }
}
