//! When a schedule is due (operator contract, chapter 3.1).
//!
//! There is no local zone: a time with an offset is the moment it names, and what `Daily`, `Weekly` and `Monthly` keep
//! of it is its time of day in UTC; days of the week and of the month are days in UTC. So no hour is missing and none
//! comes twice. In a month without the day asked for, it is the last day. A later answer shows today's date with the
//! time of day, as existing servers do.

#[cfg(test)]
mod oracle;
mod short;

use chrono::{DateTime, Datelike as _, Days, NaiveDate, TimeDelta, Utc};
use sealift_protocol::operator::schedule::{Day, Schedule};

use super::error::Error;
pub(super) use short::{from_short, shown, to_short};

/// Longest interval, in minutes: a year.
const MAX_INTERVAL: i64 = 366 * 24 * 60;

/// When a one-off job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// At the next contact.
    Now,
    /// Not before this time.
    At(DateTime<Utc>),
}

impl When {
    /// The time from which the job may be leased.
    pub(crate) fn run_at(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::Now => now,
            Self::At(at) => at,
        }
    }
}

/// Reads the schedule of a one-off job: `Immediate` or `ExactlyOnce`. A past time means now.
///
/// # Errors
/// [`Error::Schedule`] when it is missing, of another kind, or several kinds at once.
pub(crate) fn when(schedule: Option<&Schedule>, now: DateTime<Utc>) -> Result<When, Error> {
    let missing = || {
        Error::Schedule("Schedule is required: {\"Immediate\": true} or {\"ExactlyOnce\": {\"Time\": ...}}")
    };
    let schedule = schedule.ok_or_else(missing)?;
    if kinds(schedule) > 1 {
        return Err(Error::Schedule("Schedule must have exactly one member"));
    }
    match schedule {
        Schedule { immediate: Some(true), .. } => Ok(When::Now),
        Schedule { exactly_once: Some(once), .. } if once.time.utc() > now => Ok(When::At(once.time.utc())),
        Schedule { exactly_once: Some(_), .. } => Ok(When::Now),
        schedule if kinds(schedule) == 0 => Err(missing()),
        _ => Err(Error::Schedule("Schedule must be Immediate or ExactlyOnce for this job")),
    }
}

/// When a job runs that may come again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// Once.
    Once(When),
    /// Again and again, first at this time.
    Recurring(DateTime<Utc>),
}

/// Reads the schedule of a job that may come again; without one it runs at the next contact.
///
/// # Errors
/// [`Error::Schedule`] when it is `Off`, out of bounds, or several kinds at once.
pub(super) fn plan(schedule: Option<&Schedule>, now: DateTime<Utc>) -> Result<Plan, Error> {
    let Some(schedule) = schedule.filter(|schedule| **schedule != Schedule::default()) else {
        return Ok(Plan::Once(When::Now));
    };
    if is_recurring(schedule) {
        let next = next_after(schedule, now)?;
        return next.map(Plan::Recurring).ok_or(Error::Schedule("Schedule has no next time"));
    }
    when(Some(schedule), now).map(Plan::Once)
}

/// Whether a schedule is one of those that come again.
pub(super) fn is_recurring(schedule: &Schedule) -> bool {
    schedule.interval.is_some()
        || schedule.daily.is_some()
        || schedule.weekly.is_some()
        || schedule.monthly.is_some()
}

/// The first time after `now` of a schedule that was last due at `due`. Intervals are counted from there, so that a
/// look that comes late does not move them.
pub(super) fn next_from(
    schedule: &Schedule,
    due: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, Error> {
    let interval = schedule.interval.as_ref().filter(|_| kinds(schedule) == 1 && due <= now);
    let Some(minutes) = interval.map(|interval| interval.minutes) else { return next_after(schedule, now) };
    // Checks the bounds.
    next_after(schedule, now)?;
    let passed = (now - due).num_minutes() / minutes + 1;
    Ok(Some(due + TimeDelta::minutes(passed * minutes)))
}

/// The first time after `now` at which a schedule is due; `None` when it never is.
///
/// # Errors
/// [`Error::Schedule`] when a member is out of bounds.
pub(crate) fn next_after(schedule: &Schedule, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Error> {
    if kinds(schedule) > 1 {
        return Err(Error::Schedule("a schedule must have exactly one member"));
    }
    if let Some(interval) = &schedule.interval {
        if !(1..=MAX_INTERVAL).contains(&interval.minutes) {
            return Err(Error::Schedule("Interval.Minutes must be between 1 and 527040"));
        }
        return Ok(Some(now + TimeDelta::minutes(interval.minutes)));
    }
    if let Some(daily) = &schedule.daily {
        return Ok(first_day(now, daily.time.utc(), |_| true));
    }
    if let Some(weekly) = &schedule.weekly {
        if weekly.days.is_empty() {
            return Err(Error::Schedule("Weekly.Days must name at least one day"));
        }
        let days: Vec<u32> = weekly.days.iter().map(|day| number(*day)).collect();
        return Ok(first_day(now, weekly.time.utc(), |date| {
            days.contains(&date.weekday().num_days_from_sunday())
        }));
    }
    if let Some(monthly) = &schedule.monthly {
        let day = u32::try_from(monthly.day).ok().filter(|day| (1..=31).contains(day));
        let day = day.ok_or(Error::Schedule("Monthly.Day must be between 1 and 31"))?;
        // In a month without that day it is the last one: a store is not left out for a month.
        return Ok(first_day(now, monthly.time.utc(), |date| date.day() == day.min(days_in_month(date))));
    }
    if let Some(once) = &schedule.exactly_once {
        return Ok(Some(once.time.utc().max(now)));
    }
    Ok(schedule.immediate.filter(|immediate| *immediate).map(|_| now))
}

fn kinds(schedule: &Schedule) -> usize {
    [
        schedule.immediate == Some(true),
        schedule.interval.is_some(),
        schedule.daily.is_some(),
        schedule.weekly.is_some(),
        schedule.monthly.is_some(),
        schedule.exactly_once.is_some(),
        schedule.off == Some(true),
    ]
    .into_iter()
    .filter(|set| *set)
    .count()
}

fn first_day(
    now: DateTime<Utc>,
    time: DateTime<Utc>,
    fits: impl Fn(NaiveDate) -> bool,
) -> Option<DateTime<Utc>> {
    let start = now.date_naive();
    (0..=62)
        .filter_map(|days| start.checked_add_days(Days::new(days)))
        .filter(|date| fits(*date))
        .map(|date| date.and_time(time.time()).and_utc())
        .find(|at| *at > now)
}

fn days_in_month(date: NaiveDate) -> u32 {
    let next = date.with_day(1).and_then(|first| first.checked_add_months(chrono::Months::new(1)));
    next.and_then(|first| first.pred_opt()).map_or(31, |last| last.day())
}

const fn number(day: Day) -> u32 {
    match day {
        Day::Sunday => 0,
        Day::Monday => 1,
        Day::Tuesday => 2,
        Day::Wednesday => 3,
        Day::Thursday => 4,
        Day::Friday => 5,
        Day::Saturday => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, now: &str) -> String {
        let schedule: Schedule = serde_json::from_str(schedule).unwrap();
        next_after(&schedule, now.parse().unwrap())
            .unwrap()
            .unwrap()
            .to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    }

    #[test]
    fn recurring_schedules_find_their_next_time() {
        let daily = r#"{"Daily":{"Time":"2020-01-01T03:15:00Z"}}"#;
        assert_eq!(next(daily, "2026-05-04T03:14:59Z"), "2026-05-04T03:15:00Z");
        assert_eq!(next(daily, "2026-05-04T03:15:00Z"), "2026-05-05T03:15:00Z");
        let weekly = r#"{"Weekly":{"Days":["Tuesday",0],"Time":"2020-01-01T03:15:00Z"}}"#;
        assert_eq!(next(weekly, "2026-05-04T09:00:00Z"), "2026-05-05T03:15:00Z");
        assert_eq!(next(weekly, "2026-05-05T09:00:00Z"), "2026-05-10T03:15:00Z");
        let monthly = r#"{"Monthly":{"Day":31,"Time":"2020-01-01T00:00:00Z"}}"#;
        assert_eq!(next(monthly, "2028-02-03T00:00:00Z"), "2028-02-29T00:00:00Z");
        assert_eq!(next(monthly, "2026-03-31T00:00:00Z"), "2026-04-30T00:00:00Z");
        assert_eq!(next(r#"{"Interval":{"Minutes":60}}"#, "2026-05-04T03:14:59Z"), "2026-05-04T04:14:59Z");
    }

    #[test]
    fn a_one_off_job_is_now_or_later() {
        let now: DateTime<Utc> = "2026-05-04T03:00:00Z".parse().unwrap();
        let read = |text: &str| when(Some(&serde_json::from_str(text).unwrap()), now);
        assert_eq!(read(r#"{"Immediate":true}"#).unwrap(), When::Now);
        assert_eq!(read(r#"{"ExactlyOnce":{"Time":"2026-05-04T02:00:00Z"}}"#).unwrap(), When::Now);
        let later = read(r#"{"ExactlyOnce":{"Time":"2026-05-04T04:00:00Z"}}"#).unwrap();
        assert_eq!(later, When::At(now + TimeDelta::hours(1)));
        for refused in ["{}", r#"{"Immediate":false}"#, r#"{"Interval":{"Minutes":5}}"#] {
            assert!(read(refused).is_err(), "{refused}");
        }
        assert!(when(None, now).is_err());
        assert!(read(r#"{"Immediate":true,"ExactlyOnce":{"Time":"2026-05-04T04:00:00Z"}}"#).is_err());
    }
}
