//! How far this machine's clock is ahead of the server's: the median of what the last answers say. It is told to the
//! server and to the log, and nothing depends on it.

use std::collections::VecDeque;
use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};

use crate::locked;

/// Answers that count.
const SAMPLES: usize = 7;
/// From here on a clock is wrong enough to say so, in seconds.
pub(crate) const WRONG_SECONDS: i32 = 30;

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct ClockOffset {
    measured: Mutex<Measured>,
}

#[derive(Debug, Default)]
struct Measured {
    milliseconds: VecDeque<i64>,
    told_wrong: bool,
}

impl ClockOffset {
    /// Notes the `Date` of an answer that arrived just now.
    pub(crate) fn note(&self, date: &str, now: DateTime<Utc>) {
        let Some(offset) = offset(date, now) else { return };
        let mut measured = locked(&self.measured);
        measured.milliseconds.push_back(offset.num_milliseconds());
        if measured.milliseconds.len() > SAMPLES {
            measured.milliseconds.pop_front();
        }
        let seconds = median_seconds(&measured.milliseconds);
        let wrong = seconds.is_some_and(|seconds| seconds.abs() >= WRONG_SECONDS);
        if wrong != measured.told_wrong {
            measured.told_wrong = wrong;
            let seconds = seconds.unwrap_or_default();
            match wrong {
                true => tracing::warn!(
                    seconds,
                    "the clock of this machine is {seconds} s ahead of the server's; set it by NTP"
                ),
                false => tracing::info!(seconds, "the clock of this machine is right again"),
            }
        }
    }

    /// Whole seconds; `None` before the first answer.
    pub(crate) fn seconds(&self) -> Option<i32> {
        median_seconds(&locked(&self.measured).milliseconds)
    }
}

/// The offset that one answer says. Its `Date` is cut to whole seconds, so half of one is added.
pub(crate) fn offset(date: &str, now: DateTime<Utc>) -> Option<TimeDelta> {
    let date = DateTime::parse_from_rfc2822(date).ok()?;
    Some(now - date.with_timezone(&Utc) - TimeDelta::milliseconds(500))
}

fn median_seconds(milliseconds: &VecDeque<i64>) -> Option<i32> {
    let mut sorted: Vec<i64> = milliseconds.iter().copied().collect();
    sorted.sort_unstable();
    let median = *sorted.get(sorted.len() / 2)?;
    let seconds = (median as f64 / 1000.0).round() as i64;
    Some(i32::try_from(seconds).unwrap_or(if seconds < 0 { i32::MIN } else { i32::MAX }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_late_answer_does_not_move_the_clock() {
        let clock = ClockOffset::default();
        assert_eq!(clock.seconds(), None);
        let date = "Wed, 25 Nov 2026 12:00:00 GMT";
        let at = |milliseconds| {
            DateTime::parse_from_rfc3339("2026-11-25T12:00:00Z").unwrap().with_timezone(&Utc)
                + TimeDelta::milliseconds(milliseconds)
        };
        for milliseconds in [100, 900, 45_000, 700, 300] {
            clock.note(date, at(milliseconds));
        }
        assert_eq!(clock.seconds(), Some(0));
        for _ in 0..SAMPLES {
            clock.note(date, at(-90_000));
        }
        assert_eq!(clock.seconds(), Some(-91));
        clock.note("yesterday", at(0));
        assert_eq!(clock.seconds(), Some(-91));
    }
}
