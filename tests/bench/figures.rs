//! Figures of cases over rounds: medians, percentiles, and what a unit of work cost.

use std::collections::BTreeMap;

use crate::cases::Case;
use crate::meter::Cost;

/// One run of a case.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// Jobs, requests or polls within `seconds`.
    pub(crate) units: f64,
    pub(crate) seconds: f64,
    /// Median and 99th percentile, in milliseconds.
    pub(crate) latency: Option<(f64, f64)>,
    pub(crate) cost: Option<Cost>,
}

impl Measured {
    /// Units per second.
    pub(crate) fn rate(&self) -> f64 {
        self.units / self.seconds.max(f64::EPSILON)
    }
}

/// Everything measured so far.
#[derive(Debug, Default)]
pub(crate) struct Figures(BTreeMap<Case, Vec<Measured>>);

impl Figures {
    /// Takes a run down.
    pub(crate) fn add(&mut self, case: Case, measured: Measured) {
        self.0.entry(case).or_default().push(measured);
    }

    /// The cases that ran.
    pub(crate) fn cases(&self) -> impl Iterator<Item = Case> {
        self.0.keys().copied()
    }

    /// Median over the rounds.
    pub(crate) fn median(&self, case: Case, of: impl Fn(&Measured) -> Option<f64>) -> Option<f64> {
        median(self.0.get(&case)?.iter().filter_map(of).collect())
    }

    /// Units per second.
    pub(crate) fn rate(&self, case: Case) -> Option<f64> {
        self.median(case, |run| Some(run.rate()))
    }

    /// Median latency, in milliseconds.
    pub(crate) fn p50(&self, case: Case) -> Option<f64> {
        self.median(case, |run| run.latency.map(|latency| latency.0))
    }

    /// 99th percentile, in milliseconds.
    pub(crate) fn p99(&self, case: Case) -> Option<f64> {
        self.median(case, |run| run.latency.map(|latency| latency.1))
    }

    /// Something of the cost, for each unit.
    pub(crate) fn per_unit(&self, case: Case, of: impl Fn(&Cost) -> f64) -> Option<f64> {
        self.median(case, |run| Some(of(run.cost.as_ref()?) / run.units.max(1.0)))
    }

    /// Processor time of all processes, load included, for each unit.
    pub(crate) fn processor(&self, case: Case) -> Option<f64> {
        self.per_unit(case, |cost| cost.postgres + cost.server + cost.load)
    }

    /// Half the range of the rates, as a part of their median.
    pub(crate) fn spread(&self, case: Case) -> Option<f64> {
        let rates: Vec<f64> = self.0.get(&case)?.iter().map(Measured::rate).collect();
        let (least, most) =
            rates.iter().fold((f64::MAX, 0.0_f64), |(least, most), rate| (least.min(*rate), most.max(*rate)));
        Some((most - least) / 2.0 / median(rates)?.max(f64::EPSILON))
    }
}

/// The middle one; of an even number the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        count if count % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

/// Median and 99th percentile of latencies in microseconds, in milliseconds.
pub(crate) fn percentiles(mut microseconds: Vec<u32>) -> Option<(f64, f64)> {
    microseconds.sort_unstable();
    let at = |part: usize| {
        microseconds.get(microseconds.len() * part / 100).map(|time| f64::from(*time) / 1_000.0)
    };
    Some((at(50)?, at(99)?))
}

#[test]
fn the_middle_is_found() {
    assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    assert_eq!(median(Vec::new()), None);
    assert_eq!(percentiles((1..=1_000).collect()), Some((0.501, 0.991)));
    assert_eq!(percentiles(Vec::new()), None);
}
