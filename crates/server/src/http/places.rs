//! What lists remember between calls: where pages begin, and how many rows there are.
//!
//! A page number says how many rows to skip, and skipping costs as much as reading. Each page that was answered
//! leaves the place of its last row, so that the next page starts there by an index, however deep it lies. What is
//! remembered is a hint of this process alone: without it a page costs more and says the same.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Places and totals older than this are found anew.
const AGE: Duration = Duration::from_secs(60);
/// Places of all lists together; some 100 bytes each.
const MOST_PLACES: usize = 200_000;
/// Lists that are remembered at a time.
const MOST_LISTS: usize = 500;
/// Rows between two places that are kept.
pub(super) const STRIDE: i64 = 100;

/// A value that rows are sorted by.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Text(String),
    Number(i64),
    Guid(Uuid),
    Time(DateTime<Utc>),
    Flag(bool),
}

/// A row of a list, by what the list is sorted by and the key that breaks ties.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    pub(super) value: Value,
    pub(super) key: Value,
}

struct Remembered {
    /// Last rows, by how many rows end with them.
    places: BTreeMap<i64, Place>,
    total: Option<i64>,
    since: Instant,
}

/// What lists remember, by a text that tells one list, filter, order and visibility from another.
#[derive(Default)]
pub(crate) struct Places(Mutex<HashMap<String, Remembered>>);

impl Places {
    fn open(&self) -> MutexGuard<'_, HashMap<String, Remembered>> {
        // What is remembered is replaced whole under the lock, so a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nearest place at or before this many rows.
    pub(super) fn before(&self, list: &str, rows: i64, now: Instant) -> Option<(i64, Place)> {
        let lists = self.open();
        let known = lists.get(list).filter(|known| now.duration_since(known.since) < AGE)?;
        known.places.range(..=rows).next_back().map(|(rows, place)| (*rows, place.clone()))
    }

    /// The number of rows, where it was found lately.
    pub(super) fn total(&self, list: &str, now: Instant) -> Option<i64> {
        let lists = self.open();
        lists.get(list).filter(|known| now.duration_since(known.since) < AGE)?.total
    }

    /// Notes the number of rows.
    pub(super) fn note_total(&self, list: &str, total: i64, now: Instant) {
        Self::known(&mut self.open(), list, now).total = Some(total);
    }

    /// Notes where a page ended. What was known beyond it is forgotten when the list has changed before it, or a
    /// walk through the pages would miss the rows that moved.
    pub(super) fn note(&self, list: &str, rows: i64, place: Place, now: Instant) {
        let mut lists = self.open();
        let known = Self::known(&mut lists, list, now);
        if known.places.get(&rows).is_some_and(|old| *old != place) {
            known.places.split_off(&rows);
        }
        known.places.insert(rows, place);
        let mut earlier = known.places.range(..rows).rev().map(|(rows, _)| *rows);
        if let (Some(middle), Some(first)) = (earlier.next(), earlier.next())
            && rows - first <= STRIDE
        {
            known.places.remove(&middle);
        }
        drop(lists);
    }

    /// Notes places all over a list, found at once.
    pub(super) fn note_all(&self, list: &str, places: BTreeMap<i64, Place>, now: Instant) {
        let mut lists = self.open();
        let known = Self::known(&mut lists, list, now);
        known.places = places;
        known.since = now;
        drop(lists);
    }

    fn known<'a>(lists: &'a mut HashMap<String, Remembered>, list: &str, now: Instant) -> &'a mut Remembered {
        let places: usize = lists.values().map(|known| known.places.len()).sum();
        if !lists.contains_key(list) && (lists.len() >= MOST_LISTS || places >= MOST_PLACES) {
            let oldest = lists.iter().min_by_key(|(_, known)| known.since).map(|(list, _)| list.clone());
            if let Some(oldest) = oldest {
                lists.remove(&oldest);
            }
        }
        let fresh = || Remembered { places: BTreeMap::new(), total: None, since: now };
        let known = lists.entry(list.to_owned()).or_insert_with(fresh);
        if now.duration_since(known.since) >= AGE || known.places.len() >= MOST_PLACES {
            *known = fresh();
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: i64) -> Place {
        Place { value: Value::Number(number), key: Value::Number(number) }
    }

    #[test]
    fn the_nearest_place_before_is_found_until_it_is_old() {
        let (places, now) = (Places::default(), Instant::now());
        places.note("a", 50, place(1), now);
        places.note("a", 1_000, place(2), now);
        assert_eq!(places.before("a", 49, now), None);
        assert_eq!(places.before("a", 999, now), Some((50, place(1))));
        assert_eq!(places.before("a", 5_000, now), Some((1_000, place(2))));
        assert_eq!(places.before("b", 5_000, now), None);
        assert_eq!(places.before("a", 5_000, now + AGE), None);
    }

    #[test]
    fn a_list_that_changed_is_not_continued_from_what_it_was() {
        let (places, now) = (Places::default(), Instant::now());
        for page in 1..=4 {
            places.note("a", page * 1_000, place(page), now);
        }
        places.note("a", 2_000, place(2), now);
        assert_eq!(places.before("a", 9_000, now), Some((4_000, place(4))));
        places.note("a", 2_000, place(7), now);
        assert_eq!(places.before("a", 9_000, now), Some((2_000, place(7))));
    }

    #[test]
    fn what_is_remembered_has_bounds() {
        let (places, now) = (Places::default(), Instant::now());
        for page in 1..=100 {
            places.note("a", page * 50, place(page), now);
        }
        let kept = places.open()["a"].places.len();
        assert!((25..=60).contains(&kept), "{kept}");
        for list in 0..2 * MOST_LISTS {
            places.note_total(&list.to_string(), 1, now);
        }
        assert_eq!(places.open().len(), MOST_LISTS);
    }
}
