//! Schedules in short, as filters name them and agents of the published protocol read them (agent protocol, chapter
//! 6.3): `I_60`, `D_03:15`, `W_246_03:15` with 1 for Sunday, `M_31_03:15`, `O_2026-06-01T03:15`.

use chrono::{DateTime, NaiveTime, Utc};
use sealift_protocol::Timestamp;
use sealift_protocol::operator::schedule::{AtTime, Day, Interval, Monthly, Schedule, Weekly};

use super::number;

const DAYS: [Day; 7] =
    [Day::Sunday, Day::Monday, Day::Tuesday, Day::Wednesday, Day::Thursday, Day::Friday, Day::Saturday];

/// A schedule in short; `None` for one that is immediate, off or empty.
pub(in crate::orchestrator_jobs) fn to_short(schedule: &Schedule) -> Option<String> {
    let time = |time: Timestamp| time.utc().format("%H:%M").to_string();
    if let Some(interval) = &schedule.interval {
        return Some(format!("I_{}", interval.minutes));
    }
    if let Some(daily) = &schedule.daily {
        return Some(format!("D_{}", time(daily.time)));
    }
    if let Some(weekly) = &schedule.weekly {
        let mut days: Vec<u32> = weekly.days.iter().map(|day| number(*day) + 1).collect();
        days.sort_unstable();
        days.dedup();
        let days: String = days.iter().map(u32::to_string).collect();
        return Some(format!("W_{days}_{}", time(weekly.time)));
    }
    if let Some(monthly) = &schedule.monthly {
        return Some(format!("M_{}_{}", monthly.day, time(monthly.time)));
    }
    schedule.exactly_once.as_ref().map(|once| format!("O_{}", once.time.utc().format("%Y-%m-%dT%H:%M")))
}

/// Reads a recurring schedule in short, for an answer given `now`; `None` for a text that is none.
pub(in crate::orchestrator_jobs) fn from_short(text: &str, now: DateTime<Utc>) -> Option<Schedule> {
    let time = |text: &str| Some(today_at(NaiveTime::parse_from_str(text, "%H:%M").ok()?, now));
    let mut parts = text.split('_');
    let schedule = match (parts.next()?, parts.next()?, parts.next()) {
        ("I", minutes, None) => {
            Schedule { interval: Some(Interval { minutes: minutes.parse().ok()? }), ..Schedule::default() }
        }
        ("D", at, None) => Schedule { daily: Some(AtTime { time: time(at)? }), ..Schedule::default() },
        ("W", days, Some(at)) => {
            let day = |digit: char| DAYS.get(digit.to_digit(10)?.checked_sub(1)? as usize).copied();
            let weekly = Weekly { days: days.chars().map(day).collect::<Option<_>>()?, time: time(at)? };
            Schedule { weekly: Some(weekly), ..Schedule::default() }
        }
        ("M", day, Some(at)) => {
            let monthly = Monthly { day: day.parse().ok()?, time: time(at)? };
            Schedule { monthly: Some(monthly), ..Schedule::default() }
        }
        _ => return None,
    };
    Some(schedule)
}

/// A schedule as an answer given `now` shows it: of times that come again only the time of day is kept.
pub(in crate::orchestrator_jobs) fn shown(mut schedule: Schedule, now: DateTime<Utc>) -> Schedule {
    let today = |time: &mut Timestamp| *time = today_at(time.utc().time(), now);
    if let Some(daily) = &mut schedule.daily {
        today(&mut daily.time);
    }
    if let Some(weekly) = &mut schedule.weekly {
        today(&mut weekly.time);
    }
    if let Some(monthly) = &mut schedule.monthly {
        today(&mut monthly.time);
    }
    schedule
}

fn today_at(time: NaiveTime, now: DateTime<Utc>) -> Timestamp {
    now.date_naive().and_time(time).and_utc().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recurring_schedules_are_kept_in_short_and_come_back_with_todays_date() {
        let now: DateTime<Utc> = "2026-11-24T22:00:00Z".parse().unwrap();
        for (schedule, short, back) in [
            (r#"{"Interval":{"Minutes":60}}"#, "I_60", r#"{"Interval":{"Minutes":60}}"#),
            (
                r#"{"Daily":{"Time":"2020-01-01T05:15:00+02:00"}}"#,
                "D_03:15",
                r#"{"Daily":{"Time":"2026-11-24T03:15:00Z"}}"#,
            ),
            (
                r#"{"Weekly":{"Days":["Friday",0,"Friday"],"Time":"2020-01-01T03:15:00Z"}}"#,
                "W_16_03:15",
                r#"{"Weekly":{"Days":["Sunday","Friday"],"Time":"2026-11-24T03:15:00Z"}}"#,
            ),
            (
                r#"{"Monthly":{"Day":31,"Time":"2020-01-01T03:15:00Z"}}"#,
                "M_31_03:15",
                r#"{"Monthly":{"Day":31,"Time":"2026-11-24T03:15:00Z"}}"#,
            ),
        ] {
            let read: Schedule = serde_json::from_str(schedule).unwrap();
            assert_eq!(to_short(&read).unwrap(), short);
            let again = from_short(short, now).unwrap();
            assert_eq!(serde_json::to_string(&again).unwrap(), back);
            assert_eq!(to_short(&shown(read, now)).unwrap(), short);
        }
        let once = Schedule::exactly_once("2026-06-01T03:15:00Z".parse().unwrap());
        assert_eq!(to_short(&once).unwrap(), "O_2026-06-01T03:15");
        assert_eq!(to_short(&Schedule::immediate()), None);
        for none in ["", "X_1", "D_25:00", "W_8_03:15", "W_0_03:15", "M_1", "I_x", "O_2026-06-01T03:15"] {
            assert_eq!(from_short(none, now), None, "{none}");
        }
    }
}
