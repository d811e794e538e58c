//! The authenticated caller of an operation.

use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use futures_util::future::{Ready, ready};

use super::error::Error;
use super::permission::{covers, narrowed};
use crate::http::Failure;

/// A caller, with the roles it has and what they grant. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Principal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    roles: Vec<String>,
    grants: Vec<String>,
}

impl Principal {
    /// A caller with these roles and the permissions they grant, in canonical form.
    pub(super) fn new(name: String, roles: Vec<String>, mut grants: Vec<String>) -> Self {
        grants.sort_unstable();
        grants.dedup();
        Self(Arc::new(Inner { name, roles, grants }))
    }

    /// The server itself, for sweeps: everything is permitted.
    pub(crate) fn system(name: &str) -> Self {
        Self::new(name.to_owned(), Vec::new(), vec!["/".to_owned()])
    }

    /// Its name, as history and audit show it.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// Names of its roles.
    pub(crate) fn roles(&self) -> &[String] {
        &self.0.roles
    }

    /// Whether it has a permission everywhere. Also right for a path that is narrowed already.
    pub(crate) fn permits(&self, permission: &str) -> bool {
        self.0.grants.iter().any(|grant| covers(grant, permission))
    }

    /// Whether it has a permission for one container or collection; `None` asks for it everywhere.
    pub(crate) fn permits_for(&self, permission: &str, scope: Option<i64>) -> bool {
        match scope {
            Some(scope) => self.permits(&narrowed(permission, scope)),
            None => self.permits(permission),
        }
    }

    /// Whether it has a permission everywhere or for some container or collection.
    pub(crate) fn permits_somewhere(&self, permission: &str) -> bool {
        self.permits(permission) || self.0.grants.iter().any(|grant| covers(permission, grant))
    }

    /// The containers or collections for which alone it has a permission; of no meaning when it has it
    /// everywhere.
    pub(crate) fn scopes(&self, permission: &str) -> Vec<i64> {
        let number = |grant: &String| grant.strip_prefix(permission)?.strip_suffix('/')?.parse().ok();
        self.0.grants.iter().filter_map(number).collect()
    }

    /// Refuses when it does not have a permission everywhere.
    pub(crate) fn require(&self, permission: &str) -> Result<(), Failure> {
        self.require_for(permission, None)
    }

    /// Refuses when it has a permission neither everywhere nor for this container or collection.
    pub(crate) fn require_for(&self, permission: &str, scope: Option<i64>) -> Result<(), Failure> {
        match self.permits_for(permission, scope) {
            true => Ok(()),
            false => {
                let missing =
                    scope.map_or_else(|| permission.to_owned(), |scope| narrowed(permission, scope));
                Err(Error::NotPermitted { caller: self.name().to_owned(), missing }.into())
            }
        }
    }
}

impl FromRequest for Principal {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let found = request.extensions().get::<Self>().cloned();
        ready(
            found
                .ok_or_else(|| Failure::fault("a route that needs a caller is registered without its guard")),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::permission::{AGENTS_READ, STORES_READ, STORES_SCHEDULE};
    use super::*;

    fn with(grants: &[&str]) -> Principal {
        Principal::new(
            "web-deployer".to_owned(),
            Vec::new(),
            grants.iter().map(|grant| (*grant).to_owned()).collect(),
        )
    }

    #[test]
    fn a_narrowed_grant_counts_for_its_container_alone() {
        let caller = with(&["/certificate_stores/read/31/", "/certificate_stores/read/4/"]);
        assert!(caller.permits_for(STORES_READ, Some(31)));
        for (permission, scope) in [
            (STORES_READ, Some(3)),
            (STORES_READ, Some(310)),
            (STORES_READ, None),
            (STORES_SCHEDULE, Some(31)),
        ] {
            assert!(!caller.permits_for(permission, scope), "{permission} {scope:?}");
        }
        assert!(caller.permits_somewhere(STORES_READ));
        assert!(!caller.permits_somewhere(STORES_SCHEDULE));
        assert_eq!(caller.scopes(STORES_READ), [31, 4]);
    }

    #[test]
    fn a_wide_grant_counts_for_every_container() {
        for grant in ["/", "/certificate_stores/", STORES_READ] {
            let caller = with(&[grant]);
            assert!(caller.permits(STORES_READ) && caller.permits_for(STORES_READ, Some(31)), "{grant}");
            assert!(caller.permits_somewhere(STORES_READ));
        }
        assert!(Principal::system("sweep").permits_for(STORES_READ, None));
    }

    #[test]
    fn without_a_grant_everything_is_refused_and_the_missing_path_is_named() {
        let caller = with(&["", "agents", "/agents/management/re"]);
        assert!(!caller.permits_somewhere(AGENTS_READ));
        let refusal = caller.require(AGENTS_READ).unwrap_err();
        assert!(
            refusal
                .message()
                .ends_with("does not have any of the required permissions: /agents/management/read/")
        );
        let refusal = caller.require_for(STORES_READ, Some(31)).unwrap_err();
        assert!(refusal.message().contains("/certificate_stores/read/31/"));
        assert_eq!(refusal.code(), crate::http::problem::NOT_PERMITTED);
    }
}
