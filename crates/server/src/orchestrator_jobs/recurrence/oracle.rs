//! A second, plainly written opinion on when schedules are due, which shares no code with the first: it knows only how
//! long months are, walks through the calendar minute by minute or day by day, and looks whether the schedule fits.

use chrono::{DateTime, TimeDelta, Utc};
use sealift_protocol::operator::schedule::Schedule;
use serde_json::{Value, json};

use super::{next_after, next_from};

const NAMES: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A minute on the wall calendar of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Minute {
    year: i64,
    month: i64,
    day: i64,
    /// 0 is Sunday.
    weekday: usize,
    hour: i64,
    minute: i64,
}

fn days_of(year: i64, month: i64) -> i64 {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl Minute {
    /// Minutes since 1970, a Thursday, counted off year by year, month by month, day by day.
    fn of(minutes: i64) -> Self {
        let mut days = minutes / 1440;
        let weekday = ((days + 4) % 7) as usize;
        let (mut year, mut month) = (1970, 1);
        while days >= days_of(year, month) {
            days -= days_of(year, month);
            month += 1;
            if month == 13 {
                (year, month) = (year + 1, 1);
            }
        }
        Self { year, month, day: days + 1, weekday, hour: minutes % 1440 / 60, minute: minutes % 60 }
    }

    fn next(mut self) -> Self {
        self.minute += 1;
        if self.minute == 60 {
            (self.minute, self.hour) = (0, self.hour + 1);
        }
        if self.hour == 24 {
            self.hour = 0;
            self = self.next_day();
        }
        self
    }

    fn next_day(mut self) -> Self {
        self.weekday = (self.weekday + 1) % 7;
        self.day += 1;
        if self.day > days_of(self.year, self.month) {
            (self.day, self.month) = (1, self.month + 1);
        }
        if self.month == 13 {
            (self.month, self.year) = (1, self.year + 1);
        }
        self
    }

    fn text(self) -> String {
        format!("{:04}-{:02}-{:02}T{:02}:{:02}:00Z", self.year, self.month, self.day, self.hour, self.minute)
    }
}

/// Numbers that follow from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound) as i64
    }
}

/// A minute and second between 1990 and 2110, often near the turn of a month.
fn moment(random: &mut Random) -> (i64, i64) {
    let mut minutes = (20 * 365 + random.below(120 * 365)) * 1440 + random.below(1440);
    if random.below(2) == 0 {
        // To within two days of the first of a month.
        let there = Minute::of(minutes);
        minutes += (1 - there.day) * 1440 + random.below(4) * 1440 - 2 * 1440;
    }
    (minutes, random.below(60))
}

/// A time of day in some zone: the text that a client sends, and hour and minute of the same moment in UTC.
fn time_of_day(random: &mut Random) -> (String, i64, i64) {
    // Whole, half and three-quarter hours, from -12:00 to +14:00.
    let offset = random.below(27 * 4) * 15 - 12 * 60;
    let (hour, minute) = (random.below(24), random.below(60));
    let utc = (hour * 60 + minute - offset).rem_euclid(1440);
    let sign = if offset < 0 { '-' } else { '+' };
    let (year, month) = (2000 + random.below(30), 1 + random.below(12));
    let text = format!(
        "{year}-{month:02}-{:02}T{hour:02}:{minute:02}:00{sign}{:02}:{:02}",
        1 + random.below(days_of(year, month) as u64),
        offset.abs() / 60,
        offset.abs() % 60
    );
    (text, utc / 60, utc % 60)
}

fn asked(schedule: &Value, now: DateTime<Utc>) -> String {
    let schedule: Schedule = serde_json::from_value(schedule.clone()).unwrap();
    let next = next_after(&schedule, now).unwrap().unwrap();
    next.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

fn at(minutes: i64, second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(minutes * 60 + second, 0).unwrap()
}

/// Walks from the first whole minute after `now` until a minute fits.
fn walk(minutes: i64, fits: impl Fn(&Minute) -> bool) -> String {
    let mut there = Minute::of(minutes + 1);
    for _ in 0..32 * 1440 {
        if fits(&there) {
            return there.text();
        }
        there = there.next();
    }
    panic!("no minute of a month fits");
}

#[test]
fn daily_and_weekly_agree_with_a_walk_through_every_minute() {
    let mut random = Random(20_261_124);
    for round in 0..800 {
        let (minutes, second) = moment(&mut random);
        let (text, hour, minute) = time_of_day(&mut random);
        let daily = json!({"Daily": {"Time": text}});
        let expected = walk(minutes, |there| (there.hour, there.minute) == (hour, minute));
        assert_eq!(
            asked(&daily, at(minutes, second)),
            expected,
            "round {round}: {daily} at {minutes}:{second}"
        );

        let days: Vec<usize> = (0..=random.below(7)).map(|_| random.below(7) as usize).collect();
        let names: Vec<Value> = days
            .iter()
            .map(|day| if random.below(2) == 0 { json!(NAMES[*day]) } else { json!(day) })
            .collect();
        let weekly = json!({"Weekly": {"Days": names, "Time": text}});
        let expected = walk(minutes, |there| {
            days.contains(&there.weekday) && (there.hour, there.minute) == (hour, minute)
        });
        assert_eq!(
            asked(&weekly, at(minutes, second)),
            expected,
            "round {round}: {weekly} at {minutes}:{second}"
        );
    }
}

#[test]
fn monthly_agrees_with_a_walk_through_every_day() {
    let mut random = Random(4_711);
    for round in 0..20_000 {
        let (minutes, second) = moment(&mut random);
        let (text, hour, minute) = time_of_day(&mut random);
        let day = 1 + random.below(31);
        let monthly = json!({"Monthly": {"Day": day, "Time": text}});
        let now = Minute::of(minutes);
        let mut there = Minute { hour, minute, ..now };
        // The day asked for, or the last one of a month that has no such day.
        let fits = |there: &Minute| {
            there.day == day || (there.day == days_of(there.year, there.month) && there.day < day)
        };
        // Today counts only when its minute is yet to come.
        if (hour, minute) <= (now.hour, now.minute) || !fits(&there) {
            there = there.next_day();
        }
        while !fits(&there) {
            there = there.next_day();
        }
        assert_eq!(
            asked(&monthly, at(minutes, second)),
            there.text(),
            "round {round}: {monthly} at {}",
            now.text()
        );
    }
}

#[test]
fn every_day_of_four_centuries_has_the_next_one_in_its_daily_schedule() {
    let mut there = Minute { year: 1970, month: 1, day: 1, weekday: 4, hour: 3, minute: 15 };
    let mut now = at(3 * 60 + 15, 0);
    for _ in 0..146_097 {
        there = there.next_day();
        let next = next_after(
            &serde_json::from_value(json!({"Daily": {"Time": "2020-02-29T03:15:00Z"}})).unwrap(),
            now,
        );
        now = next.unwrap().unwrap();
        assert_eq!(now.timestamp() % 86_400, (3 * 60 + 15) * 60);
    }
    assert_eq!(now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true), there.text());
}

#[test]
fn intervals_are_counted_from_their_last_time_whenever_one_looks() {
    let mut random = Random(8_128);
    for round in 0..5_000 {
        let (minutes, _) = moment(&mut random);
        let interval = 1 + random.below(3_000);
        let schedule: Schedule = serde_json::from_value(json!({"Interval": {"Minutes": interval}})).unwrap();
        let (due, late) = (at(minutes, 0), random.below(20_000));
        let now = due + TimeDelta::seconds(late);
        let mut expected = due;
        while expected <= now {
            expected += TimeDelta::minutes(interval);
        }
        let next = next_from(&schedule, due, now).unwrap();
        assert_eq!(next, Some(expected), "round {round}: {interval} minutes, looked {late} s late");
    }
}

#[test]
fn what_never_or_no_longer_comes_has_no_next_time_and_nonsense_is_refused() {
    let now = at(29_000_000, 0);
    let next = |text: &str| next_after(&serde_json::from_str(text).unwrap(), now);
    for none in ["{}", r#"{"Off":true}"#, r#"{"Off":{}}"#, r#"{"Immediate":false}"#] {
        assert_eq!(next(none).unwrap(), None, "{none}");
    }
    for bad in [
        r#"{"Interval":{"Minutes":0}}"#,
        r#"{"Interval":{"Minutes":-5}}"#,
        r#"{"Interval":{"Minutes":9223372036854775807}}"#,
        r#"{"Weekly":{"Days":[],"Time":"2026-01-01T00:00:00Z"}}"#,
        r#"{"Monthly":{"Day":0,"Time":"2026-01-01T00:00:00Z"}}"#,
        r#"{"Monthly":{"Day":32,"Time":"2026-01-01T00:00:00Z"}}"#,
        r#"{"Off":true,"Interval":{"Minutes":5}}"#,
        r#"{"Daily":{"Time":"2026-01-01T00:00:00Z"},"Interval":{"Minutes":5}}"#,
    ] {
        assert!(next(bad).is_err(), "{bad}");
    }
}
