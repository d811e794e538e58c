//! The only place that reads the wall clock.
//!
//! Everything else takes the time as an argument. Tests move the clock with [`Clock::advance`]; whoever
//! waits in [`Clock::sleep_until`] then looks again.

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

/// The time of this process: the wall clock, plus what a test added to it.
#[derive(Debug, Clone)]
pub struct Clock {
    offset: watch::Sender<TimeDelta>,
    /// Where a clock stands that does not run by itself.
    standing: Option<DateTime<Utc>>,
}

/// Longest single sleep; a clock that was set while we slept is noticed within this time.
const LONGEST_SLEEP: std::time::Duration = std::time::Duration::from_secs(60);

impl Clock {
    /// The wall clock.
    pub fn system() -> Self {
        Self { offset: watch::Sender::new(TimeDelta::zero()), standing: None }
    }

    /// A clock that moves only by [`Clock::advance`], for tests that choose every time themselves.
    pub fn standing(at: DateTime<Utc>) -> Self {
        Self { standing: Some(at), ..Self::system() }
    }

    /// The time now, cut to microseconds, which is what the database keeps.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
    pub fn now(&self) -> DateTime<Utc> {
        let now = self.standing.unwrap_or_else(Utc::now) + *self.offset.borrow();
        DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
    }

    /// Moves this clock forward, or back with a negative amount, and wakes everyone who waits for a time.
    pub fn advance(&self, by: TimeDelta) {
        self.offset.send_modify(|offset| *offset += by);
    }

    /// Returns once [`Clock::now`] has reached `until`.
    pub async fn sleep_until(&self, until: DateTime<Utc>) {
        let mut moved = self.offset.subscribe();
        while let Ok(left) = (until - self.now()).to_std() {
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left.min(LONGEST_SLEEP)) => {}
                _ = moved.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_clock_is_moved() {
        let clock = Clock::system();
        let until = clock.now() + TimeDelta::hours(1);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(until).await }
        });
        clock.advance(TimeDelta::hours(2));
        sleeper.await.unwrap();
        assert!(clock.now() >= until);
    }
}
