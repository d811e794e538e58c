//! Whether a failed attempt is followed by another one.
//!
//! The code that the agent names decides, by its class in the catalogue; where it names none that is known, its outcome
//! does. How long the pause is stands in `finish.sql`.

use sealift_protocol::agent::error_catalogue::{FailureClass, find};
use sealift_protocol::agent::leases::Outcome;

use super::leases::Report;

/// What follows an attempt while its job has attempts left; the numbers are those of `finish.sql`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// Nothing.
    Never = 0,
    /// Another attempt after a pause.
    Later = 1,
    /// Another attempt as soon as an agent asks for it.
    AtOnce = 2,
}

/// What follows an attempt that ended so.
pub(super) fn retry(report: &Report) -> Retry {
    decide(report.outcome, report.error_code.as_deref())
}

fn decide(outcome: Outcome, code: Option<&str>) -> Retry {
    if matches!(outcome, Outcome::Success | Outcome::Warning) {
        return Retry::Never;
    }
    match (code.and_then(find).map(|entry| entry.class), outcome) {
        (Some(FailureClass::Interrupted), _) => Retry::AtOnce,
        (Some(FailureClass::Never), _) => Retry::Never,
        (Some(FailureClass::Transient), _) => Retry::Later,
        // An attempt may know better for its own case: a full disk passes, a missing permission does not.
        (Some(FailureClass::NeedsPerson) | None, Outcome::TransientFailure) => Retry::Later,
        (Some(FailureClass::NeedsPerson) | None, _) => Retry::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_of_the_code_decides_and_the_outcome_where_there_is_none() {
        use Outcome::{Failure, Success, TransientFailure, Warning};
        let cases = [
            (Failure, Some("agent_stopping"), Retry::AtOnce),
            (TransientFailure, Some("entry_refused"), Retry::Never),
            (Failure, Some("read_back_mismatch"), Retry::Later),
            (Failure, Some("write_failed"), Retry::Never),
            (TransientFailure, Some("write_failed"), Retry::Later),
            (Failure, Some("a_code_of_tomorrow"), Retry::Never),
            (TransientFailure, Some("a_code_of_tomorrow"), Retry::Later),
            (TransientFailure, None, Retry::Later),
            (Failure, None, Retry::Never),
            (Success, Some("read_back_mismatch"), Retry::Never),
            (Warning, Some("agent_unsure"), Retry::Never),
        ];
        for (outcome, code, expected) in cases {
            assert_eq!(decide(outcome, code), expected, "{outcome:?} {code:?}");
        }
    }
}
