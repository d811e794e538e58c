//! Which jobs a call means: a list of ids, or a query; exactly one of both (operator contract, chapter 5.4).
//!
//! No source tells whether one id that does not fit fails the call. Here it does, and nothing is changed; the answer
//! names each. A query is a filter: of what it matches, only what fits is meant.

use super::error::Error;

/// Most jobs that one call changes.
pub(super) const MAX_SELECTED: usize = 1_000;

/// The jobs that a call means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selection<T> {
    /// These, each once and in ascending order.
    Ids(Vec<T>),
    /// What matches, as far as it fits.
    Query(String),
}

impl<T: Ord> Selection<T> {
    /// Reads the two members; `ids_name` is that of the list.
    pub(super) fn parse(ids_name: &str, mut ids: Vec<T>, query: Option<String>) -> Result<Self, Error> {
        let query = query.filter(|query| !query.trim().is_empty());
        match (ids.is_empty(), query) {
            (true, None) => Err(Error::Invalid(format!("{ids_name} or Query is required"))),
            (false, Some(_)) => {
                Err(Error::Invalid(format!("{ids_name} and Query exclude each other; give one of them")))
            }
            (true, Some(query)) => Ok(Self::Query(query)),
            (false, None) if ids.len() > MAX_SELECTED => {
                Err(Error::Invalid(format!("{ids_name} must be at most {MAX_SELECTED} ids")))
            }
            (false, None) => {
                ids.sort_unstable();
                ids.dedup();
                Ok(Self::Ids(ids))
            }
        }
    }
}

/// Those of `ids` that were not found.
pub(super) fn missing<T: PartialEq + ToString>(ids: &[T], found: impl Fn(&T) -> bool) -> Vec<String> {
    ids.iter().filter(|id| !found(id)).map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_of_both_is_taken() {
        let parse = |ids: &[i64], query: Option<&str>| {
            Selection::parse("JobAuditIds", ids.to_vec(), query.map(str::to_owned))
        };
        assert_eq!(parse(&[3, 1, 3], None).unwrap(), Selection::Ids(vec![1, 3]));
        assert_eq!(parse(&[3], Some(" ")).unwrap(), Selection::Ids(vec![3]));
        assert_eq!(parse(&[], Some("Result -eq 4")).unwrap(), Selection::Query("Result -eq 4".to_owned()));
        for (ids, query) in [(&[][..], None), (&[][..], Some("")), (&[1][..], Some("x"))] {
            assert!(parse(ids, query).unwrap_err().to_string().contains("JobAuditIds"), "{ids:?} {query:?}");
        }
        assert!(parse(&vec![1; MAX_SELECTED + 1], None).is_err());
        assert_eq!(missing(&[1, 2, 3], |id| *id == 2), ["1", "3"]);
    }
}
