//! How fast agents of the published protocol may call. One with a bad schedule repeats its jobs without a pause, more
//! than a thousand calls a second (agent protocol, chapter 6.3); a pass over many jobs is a burst, too, and is let
//! through.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use sealift_pki::Thumbprint;

use super::identity::peer;
use super::wire::Refusal;
use crate::agents::registration::Proof;
use crate::configuration::Limits;
use crate::floor::Floor;
use crate::security::Principal;

/// Callers that are remembered; when there are more, those that were silent long enough are forgotten.
const MAX_CALLERS: usize = 100_000;

/// By what a caller is told from others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Caller {
    Certificate(Thumbprint),
    /// A login, and the address it comes from: several agents may share one.
    Login(String, Option<std::net::IpAddr>),
}

/// What a caller has left, and since when.
#[derive(Debug, Clone, Copy)]
struct Left {
    calls: f64,
    at: DateTime<Utc>,
}

/// Calls of agents, counted. Application data, one for each process.
#[derive(Debug)]
pub(crate) struct Pace {
    per_second: f64,
    burst: f64,
    left: Mutex<HashMap<Caller, Left>>,
}

impl Pace {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            per_second: limits.agent_calls_per_second.into(),
            burst: limits.agent_call_burst.into(),
            left: Mutex::default(),
        }
    }

    fn filled(&self, left: Left, now: DateTime<Utc>) -> f64 {
        let seconds = (now - left.at).num_milliseconds().max(0) as f64 / 1_000.0;
        (left.calls + seconds * self.per_second).min(self.burst)
    }

    /// Whether a caller may make one more call now.
    fn admits(&self, caller: Caller, now: DateTime<Utc>) -> bool {
        let mut all = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_CALLERS && !all.contains_key(&caller) {
            all.retain(|_, left| self.filled(*left, now) < self.burst);
            if all.len() >= MAX_CALLERS {
                return true;
            }
        }
        let left = all.entry(caller).or_insert(Left { calls: self.burst, at: now });
        let calls = self.filled(*left, now);
        let admitted = calls >= 1.0;
        *left = Left { calls: if admitted { calls - 1.0 } else { calls }, at: now };
        admitted
    }
}

/// Refuses a caller that calls too fast. Who proves nothing is bounded by the turns of registration.
pub(super) fn keep(request: &HttpRequest, floor: &Floor, login: Option<&Principal>) -> Result<(), Refusal> {
    let address = request.peer_addr().map(|address| address.ip());
    let caller = match (peer(request), login) {
        (Some(thumbprint), _) => Caller::Certificate(thumbprint),
        (None, Some(login)) => Caller::Login(login.name().to_owned(), address),
        (None, None) => return Ok(()),
    };
    match request.app_data::<Data<Pace>>() {
        Some(pace) if !pace.admits(caller, floor.now()) => {
            Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "the agent calls too fast"))
        }
        _ => Ok(()),
    }
}

/// What the connection and the login prove of a caller.
pub(super) fn proof<'a>(request: &HttpRequest, login: Option<&'a Principal>) -> Proof<'a> {
    Proof { certificate: peer(request), login, address: request.peer_addr().map(|address| address.ip()) }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_burst_passes_a_busy_loop_does_not_and_silence_helps() {
        let pace = Pace { per_second: 2.0, burst: 10.0, left: Mutex::default() };
        let one = || Caller::Certificate(Thumbprint::from_bytes([1; 20]));
        let now = DateTime::UNIX_EPOCH;
        assert_eq!((0..20).filter(|_| pace.admits(one(), now)).count(), 10);
        assert!(pace.admits(Caller::Login("edge".to_owned(), None), now), "another caller");
        let later = now + TimeDelta::seconds(3);
        assert_eq!((0..20).filter(|_| pace.admits(one(), later)).count(), 6);
        let much_later = now + TimeDelta::hours(1);
        assert_eq!((0..20).filter(|_| pace.admits(one(), much_later)).count(), 10);
        assert!(!pace.admits(one(), now), "a clock that is set back gives nothing");
    }
}
