//! Inventory schedules as clients see them (operator contract, chapter 3.1).

use chrono::{DateTime, Utc};
use sealift_protocol::Timestamp;
use sealift_protocol::operator::schedule::{AtTime, Day, Schedule};
use serde_json::Value;

use super::container::ContainerRow;
use super::error::Error;
use crate::orchestrator_jobs::next_after;

/// A schedule to be kept, with its next time.
#[derive(Debug, Clone, Default)]
pub(super) struct Planned {
    pub(super) schedule: Option<Value>,
    pub(super) next: Option<DateTime<Utc>>,
}

/// Decides a store's schedule: the container's where it overwrites, or where the store has none of its own.
///
/// # Errors
/// What is out of bounds in the schedule.
pub(super) fn planned(
    given: Option<&Schedule>,
    container: Option<&ContainerRow>,
    now: DateTime<Utc>,
) -> Result<Planned, Error> {
    let own = plan(given, now)?;
    let Some(container) = container else { return Ok(own) };
    let theirs = container.schedule.as_ref().and_then(read);
    match theirs {
        Some(theirs) if container.overwrite_schedules || own.schedule.is_none() => plan(Some(&theirs), now),
        _ => Ok(own),
    }
}

/// A schedule with its next time; none for one that is empty or off.
///
/// # Errors
/// What is out of bounds in the schedule.
pub(super) fn plan(given: Option<&Schedule>, now: DateTime<Utc>) -> Result<Planned, Error> {
    let Some(given) = given else { return Ok(Planned::default()) };
    let next = next_after(given, now)?;
    let schedule = next.and_then(|_| serde_json::to_value(given).ok());
    Ok(Planned { schedule, next })
}

pub(super) fn read(value: &Value) -> Option<Schedule> {
    serde_json::from_value(value.clone()).ok()
}

/// As a later call sees it: of recurring schedules only the time of day is kept, and shown with today's date.
pub(super) fn shown(value: &Value, now: DateTime<Utc>) -> Option<Schedule> {
    let mut schedule = read(value)?;
    let today = |at: Timestamp| Timestamp::from(now.date_naive().and_time(at.utc().time()).and_utc());
    if let Some(AtTime { time }) = &mut schedule.daily {
        *time = today(*time);
    }
    if let Some(weekly) = &mut schedule.weekly {
        weekly.time = today(weekly.time);
    }
    if let Some(monthly) = &mut schedule.monthly {
        monthly.time = today(monthly.time);
    }
    Some(schedule)
}

/// The short text that stands in lists, in the form in which agents read schedules (agent protocol, chapter 6.3).
pub(super) fn text(value: &Value) -> Option<String> {
    let schedule = read(value)?;
    let time = |at: Timestamp| at.utc().format("%H:%M").to_string();
    if let Some(interval) = &schedule.interval {
        return Some(format!("I_{}", interval.minutes));
    }
    if let Some(daily) = &schedule.daily {
        return Some(format!("D_{}", time(daily.time)));
    }
    if let Some(weekly) = &schedule.weekly {
        let days: String = weekly.days.iter().map(|day| digit(*day)).collect();
        return Some(format!("W_{days}_{}", time(weekly.time)));
    }
    if let Some(monthly) = &schedule.monthly {
        return Some(format!("M_{}_{}", monthly.day, time(monthly.time)));
    }
    schedule.exactly_once.map(|once| once.time.utc().format("O_%Y-%m-%dT%H:%M").to_string())
}

/// 1 for Sunday.
const fn digit(day: Day) -> char {
    match day {
        Day::Sunday => '1',
        Day::Monday => '2',
        Day::Tuesday => '3',
        Day::Wednesday => '4',
        Day::Thursday => '5',
        Day::Friday => '6',
        Day::Saturday => '7',
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-05-04T09:30:00Z".parse().unwrap()
    }

    #[test]
    fn lists_show_a_short_text() {
        for (schedule, expected) in [
            (json!({"Interval": {"Minutes": 60}}), "I_60"),
            (json!({"Daily": {"Time": "2020-01-01T03:15:00Z"}}), "D_03:15"),
            (
                json!({"Weekly": {"Days": ["Tuesday", "Friday"], "Time": "2020-01-01T03:15:00Z"}}),
                "W_36_03:15",
            ),
            (json!({"Monthly": {"Day": 31, "Time": "2020-01-01T03:15:00Z"}}), "M_31_03:15"),
            (json!({"ExactlyOnce": {"Time": "2026-06-01T03:15:00Z"}}), "O_2026-06-01T03:15"),
        ] {
            assert_eq!(text(&schedule).as_deref(), Some(expected));
        }
        assert_eq!(text(&json!({})), None);
    }

    #[test]
    fn a_later_look_shows_the_time_of_day_with_todays_date() {
        let daily = shown(&json!({"Daily": {"Time": "2020-01-01T03:15:00Z"}}), now()).unwrap();
        assert_eq!(daily.daily.unwrap().time.to_string(), "2026-05-04T03:15:00Z");
        let once = json!({"ExactlyOnce": {"Time": "2026-06-01T03:15:00Z"}});
        assert_eq!(serde_json::to_value(shown(&once, now()).unwrap()).unwrap(), once);
    }

    #[test]
    fn a_container_gives_its_schedule_where_it_may() {
        let own: Schedule = serde_json::from_value(json!({"Interval": {"Minutes": 5}})).unwrap();
        let theirs = json!({"Interval": {"Minutes": 60}});
        let container = |overwrite_schedules| ContainerRow {
            schedule: Some(theirs.clone()),
            overwrite_schedules,
            ..ContainerRow::default()
        };
        let minutes = |given: Option<&Schedule>, overwrites| {
            let planned = planned(given, Some(&container(overwrites)), now()).unwrap();
            planned.schedule.unwrap()["Interval"]["Minutes"].as_i64().unwrap()
        };
        assert_eq!(
            (minutes(Some(&own), false), minutes(Some(&own), true), minutes(None, false)),
            (5, 60, 60)
        );
        assert!(planned(None, None, now()).unwrap().schedule.is_none());
    }
}
