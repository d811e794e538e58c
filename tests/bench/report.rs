//! The tables: ours beside its measure with ratio and bar, then what a unit of work cost.

use std::fmt::Write as _;

use crate::cases::{Case, Idle, Pages};
use crate::figures::Figures;

/// Goal 6: 1.5 GB for 50,000 held polls with TLS, in kB each; and a part of one processor for all of them.
const MOST_MEMORY: f64 = 1.5 * 1024.0 * 1024.0 / 50_000.0;
const MOST_PROCESSOR: f64 = 0.02;
/// A real agent at rest: memory in MB, and processor time in ms, where one tick is what the kernel can show.
const MOST_AGENT_MEMORY: f64 = 20.0;
const TICK: f64 = 10.0;
/// Goal 5, in milliseconds: beside twice the plain commit, and for the slowest of a hundred.
const PICK_UP: f64 = 1.0;
const PICK_UP_P99: f64 = 10.0;
/// Goal 8: pages at any depth beside the first.
const DEEP: f64 = 1.3;
/// Transactions within a look at idle agents that sweeps may differ by.
const SWEEPS_DIFFER: f64 = 10.0;

/// A figure of ours and what it is held against.
struct Line {
    goal: u8,
    what: String,
    ours: String,
    measure: String,
    least_or_most: String,
    ratio: f64,
    /// The same of processor time for each job, all processes together; foreign load hardly disturbs it.
    by_processor: Option<f64>,
    bar: String,
    met: bool,
}

/// The comparisons of all cases that ran, each on two rows.
pub(crate) fn goals(figures: &Figures, idle: Option<Idle>, pages: &[Pages]) -> String {
    let mut lines = rates(figures);
    lines.extend(single_latency(figures));
    lines.extend(delays(figures));
    lines.extend(idle.map(idle_lines).unwrap_or_default());
    lines.extend(pages.iter().flat_map(page_lines));
    lines.sort_by_key(|line| line.goal);
    let mut text = format!(
        "{:<6}{:<68}{:>13}{:>8}{:>8}  bar\n",
        "goal", "ours, and the measure below it", "", "ratio", "by cpu"
    );
    for line in lines {
        let Line { goal, what, ours, measure, least_or_most, ratio, by_processor, bar, met } = line;
        let by_processor = by_processor.map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let met = if met { "met" } else { "NOT MET" };
        let _ = writeln!(text, "{goal:<6}{what:<68}{ours:>13}");
        let _ = writeln!(
            text,
            "{:<6}{measure:<68}{least_or_most:>13}{ratio:>8.2}{by_processor:>8}  {bar}: {met}",
            ""
        );
    }
    text
}

fn rates(figures: &Figures) -> Vec<Line> {
    let bars = [
        (1, Case::FanOut, Case::PlainInsertHundred, 0.6),
        (1, Case::FanOutAlone, Case::PlainInsertHundred, 0.6),
        (2, Case::SingleAdds, Case::PlainInsertOne, 1.3),
        (3, Case::LifeCycle, Case::PlainCycleSingle, 1.5),
        (3, Case::LifeCycle, Case::PlainCycleBatch, 0.6),
        (3, Case::LifeCycleBare, Case::PlainCycleSingle, 1.5),
        (3, Case::LifeCycleBare, Case::PlainCycleBatch, 0.6),
        (4, Case::Drain, Case::PlainDrain, 0.6),
        (4, Case::DrainAdditions, Case::PlainDrain, 0.6),
        (7, Case::ShortPoll, Case::Hello, 0.5),
        (7, Case::ShortPoll, Case::AskingPoll, 8.0),
    ];
    let line = |(goal, ours, measure, least): (u8, Case, Case, f64)| {
        let (rate, beside) = (figures.rate(ours)?, figures.rate(measure)?);
        let ratio = rate / beside;
        Some(Line {
            goal,
            what: ours.name().to_owned(),
            ours: format!("{}/s", grouped(rate)),
            measure: measure.name().to_owned(),
            least_or_most: format!("{}/s", grouped(beside)),
            ratio,
            by_processor: figures
                .processor(measure)
                .zip(figures.processor(ours))
                .map(|(plain, ours)| plain / ours),
            bar: format!("≥ {least:.1}"),
            met: ratio >= least,
        })
    };
    bars.into_iter().filter_map(line).collect()
}

fn single_latency(figures: &Figures) -> Option<Line> {
    let (ours, beside) = (figures.p99(Case::SingleAdds)?, figures.p99(Case::PlainInsertOne)?);
    Some(Line {
        goal: 2,
        what: format!("{}, 99th percentile", Case::SingleAdds.name()),
        ours: format!("{ours:.2} ms"),
        measure: format!("{}, 99th percentile", Case::PlainInsertOne.name()),
        least_or_most: format!("{beside:.2} ms"),
        ratio: ours / beside,
        by_processor: None,
        bar: "≤ 1.0".to_owned(),
        met: ours <= beside,
    })
}

fn delays(figures: &Figures) -> Vec<Line> {
    let cases = [
        (Case::PickUpIdle, Case::PlainCommitAlone),
        (Case::PickUpIdleSent, Case::PlainCommitAlone),
        (Case::PickUpLoaded, Case::PlainCommit),
        (Case::PickUpLoadedSent, Case::PlainCommit),
    ];
    let lines = cases.into_iter().filter_map(|(case, measure)| {
        let (p50, p99, commit) = (figures.p50(case)?, figures.p99(case)?, figures.p50(measure)?);
        let most = 2.0 * commit + PICK_UP;
        let middle = Line {
            goal: 5,
            what: format!("{}, median", case.name()),
            ours: format!("{p50:.2} ms"),
            measure: format!("{}, median", measure.name()),
            least_or_most: format!("{commit:.2} ms"),
            ratio: p50 / commit,
            by_processor: None,
            bar: format!("≤ twice that and {PICK_UP:.0} ms: {most:.2} ms"),
            met: p50 <= most,
        };
        let slow = Line {
            goal: 5,
            what: format!("{}, 99th percentile", case.name()),
            ours: format!("{p99:.2} ms"),
            measure: "the bar".to_owned(),
            least_or_most: format!("{PICK_UP_P99:.2} ms"),
            ratio: p99 / PICK_UP_P99,
            by_processor: None,
            bar: "≤ 1.0".to_owned(),
            met: p99 <= PICK_UP_P99,
        };
        Some([middle, slow])
    });
    lines.flatten().collect()
}

fn idle_lines(idle: Idle) -> Vec<Line> {
    let line = |what: String, ours: f64, measure: &str, most: f64, unit: &str| Line {
        goal: 6,
        what,
        ours: format!("{ours:.1}{unit}"),
        measure: measure.to_owned(),
        least_or_most: format!("{most:.1}{unit}"),
        ratio: ours / most,
        by_processor: None,
        bar: "≤ 1.0".to_owned(),
        met: ours <= most,
    };
    let held = idle.held;
    let (alone, beside) = (idle.transactions.0 as f64, idle.transactions.1 as f64);
    let (least, most) = (idle.processor.0 * 100.0, idle.processor.1 * 100.0);
    vec![
        line(
            format!("memory of the server for each of {held} held polls"),
            idle.memory,
            "1.5 GB for 50,000 of them",
            MOST_MEMORY,
            " kB",
        ),
        line(
            format!("transactions in 10 s with {held} held polls"),
            beside,
            &format!("without polls {alone:.0}, and what sweeps may differ by"),
            alone + SWEEPS_DIFFER,
            "",
        ),
        line(
            format!("processor of the server with {held} held polls (without: {least:.1}%)"),
            most,
            "a part of one processor",
            MOST_PROCESSOR * 100.0,
            "%",
        ),
        line(
            "memory of a real agent at rest".to_owned(),
            idle.agent.0 as f64 / 1024.0,
            "20 MB",
            MOST_AGENT_MEMORY,
            " MB",
        ),
        line(
            "processor of a real agent at rest, in 21 s".to_owned(),
            idle.agent.1 / 1_000.0,
            "one tick of the kernel's clock",
            TICK,
            " ms",
        ),
    ]
}

fn page_lines(pages: &Pages) -> [Line; 2] {
    let rows = grouped(pages.rows as f64);
    let line = |which: &str, deep: f64, first: f64, more: String| Line {
        goal: 8,
        what: format!("{} of {rows} rows, pages at random depths, {which}", pages.list),
        ours: format!("{deep:.2} ms"),
        measure: format!("its first page, {which}{more}"),
        least_or_most: format!("{first:.2} ms"),
        ratio: deep / first,
        by_processor: None,
        bar: format!("≤ {DEEP:.1}"),
        met: deep <= DEEP * first,
    };
    let once = format!("; once: first look {:.0} ms, first jump {:.0} ms", pages.look, pages.jump);
    [
        line("median", pages.deep.0, pages.first.0, once),
        line("99th percentile", pages.deep.1, pages.first.1, String::new()),
    ]
}

/// What a unit of work cost each side, the figure that foreign load disturbs least.
pub(crate) fn costs(figures: &Figures) -> String {
    let mut text = format!(
        "{:<64}{:>9}{:>8}{:>9}{:>9}{:>8}{:>8}{:>8}{:>9}{:>7}\n",
        "medians; costs for each job or call",
        "rate/s",
        "spread",
        "p50 ms",
        "p99 ms",
        "db µs",
        "srv µs",
        "load µs",
        "WAL B",
        "others"
    );
    for case in figures.cases() {
        let show = |value: Option<f64>, places: usize| match value {
            Some(value) => format!("{value:.places$}"),
            None => "–".to_owned(),
        };
        let percent = |value: Option<f64>| match value {
            Some(value) => format!("{:.0}%", value * 100.0),
            None => "–".to_owned(),
        };
        let rate = figures.rate(case).map_or("–".to_owned(), grouped);
        let others = figures.median(case, |run| run.cost.map(|cost| cost.others));
        let _ = writeln!(
            text,
            "{:<64}{rate:>9}{:>8}{:>9}{:>9}{:>8}{:>8}{:>8}{:>9}{:>7}",
            case.name(),
            percent(figures.spread(case)),
            show(figures.p50(case), 2),
            show(figures.p99(case), 2),
            show(figures.per_unit(case, |cost| cost.postgres), 1),
            show(figures.per_unit(case, |cost| cost.server), 1),
            show(figures.per_unit(case, |cost| cost.load), 1),
            show(figures.per_unit(case, |cost| cost.bytes), 0),
            percent(others),
        );
    }
    text
}

/// Thousands apart.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[test]
fn thousands_stand_apart() {
    assert_eq!([0.4, 999.0, 1_000.0, 1_234_567.0].map(grouped), ["0", "999", "1,000", "1,234,567"]);
}
