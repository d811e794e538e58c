//! Parameters of list calls (operator contract, chapter 2.1).

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::web::{Data, Query};
use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::future::{Ready, ready};

use super::places::Places;
use super::problem::Failure;

/// Largest page.
pub(crate) const MAX_PAGE: i64 = 1_000;
/// Page size when none is given.
const DEFAULT_PAGE: i64 = 50;
/// Deepest row that a page number may reach; beyond it, narrow the query.
const MAX_OFFSET: i64 = 1_000_000_000;
/// Rows are counted exactly up to this many.
pub(crate) const COUNT_BOUND: i64 = 10_000;

/// What a list call asks for. Names may carry any prefix up to a dot, in any case; empty means absent.
#[derive(Default, Clone)]
pub(crate) struct ListQuery {
    parameters: HashMap<String, String>,
    /// The filter expression.
    pub(crate) filter: Option<String>,
    /// Rows to skip.
    pub(crate) offset: i64,
    /// Rows to answer.
    pub(crate) limit: i64,
    /// Column to sort by.
    pub(crate) sort_field: Option<String>,
    /// `SortAscending=1` means descending, whatever its name says.
    pub(crate) descending: Option<bool>,
    /// What earlier calls left for this one.
    pub(super) places: Arc<Places>,
}

impl ListQuery {
    /// Another parameter of the call.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(&name.to_ascii_lowercase()).map(String::as_str)
    }

    /// A parameter that is true or false; false when absent.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.parameter(name).is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
    }

    /// A parameter that is a whole number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, Failure> {
        let Some(value) = self.parameter(name) else { return Ok(None) };
        match value.trim().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Failure::invalid(format!("{name} must be a whole number"))),
        }
    }

    pub(super) fn parse(query: &str) -> Result<Self, Failure> {
        let pairs = Query::<Vec<(String, String)>>::from_query(query)
            .map_err(|_| Failure::invalid("the query string is not valid percent-encoding"))?;
        let mut list = Self::default();
        for (name, value) in pairs.into_inner() {
            let bare = name.rsplit('.').next().unwrap_or(&name).to_ascii_lowercase();
            if !value.is_empty() {
                list.parameters.insert(bare, value);
            }
        }
        let page = list.number("PageReturned")?.unwrap_or(1);
        list.limit = list.number("ReturnLimit")?.unwrap_or(DEFAULT_PAGE);
        if !(1..=MAX_PAGE).contains(&list.limit) {
            return Err(Failure::invalid(format!("ReturnLimit must be between 1 and {MAX_PAGE}")));
        }
        list.offset =
            page.checked_sub(1).and_then(|before| before.checked_mul(list.limit)).unwrap_or(i64::MAX);
        if !(0..=MAX_OFFSET).contains(&list.offset) {
            let message = format!(
                "PageReturned must be at least 1 and reach no further than row {MAX_OFFSET}; narrow QueryString instead"
            );
            return Err(Failure::invalid(message));
        }
        list.filter = list.parameter("QueryString").map(str::to_owned);
        list.sort_field = list.parameter("SortField").map(str::to_owned);
        list.descending = list.number("SortAscending")?.map(|flag| flag != 0);
        Ok(list)
    }
}

impl FromRequest for ListQuery {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let places = request.app_data::<Data<Places>>().map(|places| Arc::clone(places));
        ready(Self::parse(request.query_string()).map(|mut list| {
            list.places = places.unwrap_or_default();
            list
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_names_are_read() {
        let old =
            ListQuery::parse("pq.queryString=A%20-eq%20%221%22&pq.returnLimit=10&pq.pageReturned=3").unwrap();
        assert_eq!((old.filter.as_deref(), old.limit, old.offset), (Some("A -eq \"1\""), 10, 20));
        let new = ListQuery::parse("SortField=JobHistoryId&SortAscending=1&ReturnLimit=").unwrap();
        assert_eq!(
            (new.sort_field.as_deref(), new.descending, new.limit),
            (Some("JobHistoryId"), Some(true), 50)
        );
    }

    #[test]
    fn bounds_are_kept() {
        for query in [
            "ReturnLimit=0",
            "ReturnLimit=1001",
            "PageReturned=0",
            "PageReturned=99999999999",
            "ReturnLimit=x",
        ] {
            assert!(ListQuery::parse(query).is_err(), "{query}");
        }
    }
}
