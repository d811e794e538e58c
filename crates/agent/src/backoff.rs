//! How long to wait before trying again: exponential with full jitter, so that a thousand agents that lost their
//! server together do not come back together.

use std::time::Duration;

/// Shortest pause.
pub(crate) const SHORTEST: Duration = Duration::from_millis(500);
/// Longest pause of our own choice.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);
/// Longest pause that the server can ask for.
pub(crate) const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next pause: between [`SHORTEST`] and a bound that doubles up to [`LONGEST`], chosen by `fraction`, which
    /// lies in 0 to 1. A pause that the server asked for is kept at the least, spread over a quarter more.
    pub(crate) fn next(&mut self, asked: Option<Duration>, fraction: f64) -> Duration {
        let bound =
            SHORTEST.saturating_mul(2_u32.saturating_pow(self.failures.saturating_add(1))).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let own = SHORTEST + (bound - SHORTEST).mul_f64(fraction);
        match asked {
            Some(asked) => asked.clamp(SHORTEST, LONGEST_ASKED).mul_f64(1.0 + fraction / 4.0),
            None => own,
        }
    }

    /// Something succeeded: the next pause is short again.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A trouble that may go on for days: paced by a [`Backoff`], and told in the log once for each change of its state.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    backoff: Backoff,
    told: Option<String>,
}

impl Trouble {
    /// Notes that it goes on, and says how long to wait.
    pub(crate) fn pause(&mut self, state: &str, asked: Option<Duration>) -> Duration {
        let pause = self.backoff.next(asked, random_fraction());
        if self.told.as_deref() == Some(state) {
            tracing::debug!(pause = ?pause, "still: {state}");
        } else {
            tracing::warn!("{state}; trying again until it changes");
            self.told = Some(state.to_owned());
        }
        pause
    }

    /// It is over, or there was none.
    pub(crate) fn over(&mut self) {
        self.backoff.reset();
        if let Some(state) = self.told.take() {
            tracing::info!("no longer: {state}");
        }
    }
}

/// A number from 0 to 1, from the system's random source; a half where that fails.
pub(crate) fn random_fraction() -> f64 {
    let mut bytes = [0; 4];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_to_its_bound_and_is_short_again_after_a_success() {
        let mut backoff = Backoff::default();
        let longest: Vec<u64> = (0..9).map(|_| backoff.next(None, 1.0).as_secs()).collect();
        assert_eq!(longest, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff.next(None, 0.0), SHORTEST);
        backoff.reset();
        assert_eq!(backoff.next(None, 1.0), Duration::from_secs(1));
        for _ in 0..100 {
            backoff.next(None, 1.0);
        }
        assert_eq!(backoff.next(None, 1.0), LONGEST);
    }

    #[test]
    fn the_server_can_ask_for_a_bounded_pause() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next(Some(Duration::from_secs(8)), 1.0), Duration::from_secs(10));
        assert_eq!(backoff.next(Some(Duration::from_secs(8)), 0.0), Duration::from_secs(8));
        assert_eq!(backoff.next(Some(Duration::ZERO), 0.0), SHORTEST);
        assert_eq!(backoff.next(Some(Duration::MAX), 0.0), LONGEST_ASKED);
    }

    #[test]
    fn random_fractions_lie_within_their_bounds() {
        assert!((0..100).map(|_| random_fraction()).all(|fraction| (0.0..=1.0).contains(&fraction)));
    }
}
