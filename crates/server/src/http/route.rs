//! The routing table: each operation once, with what it takes to call it.
//!
//! Slices list their endpoints here instead of registering routes by hand, so that the list that the
//! permission test walks, the list that `GET /Status/Endpoints` answers and the list that serves calls are
//! one and the same.

use actix_web::http::Method;
use actix_web::web::ServiceConfig;
use actix_web::{HttpResponse, Resource, Route};

/// What a caller needs to call an endpoint at all. The operation behind it decides the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing.
    Public,
    /// An agent's client certificate, or nothing yet: the agents' door judges by itself.
    AgentDoor,
    /// Any valid credentials.
    Authenticated,
    /// This permission, globally or for some container or collection.
    Permission(&'static str),
}

/// One operation.
pub(crate) struct Endpoint {
    /// Its method.
    pub(crate) method: Method,
    /// Its path as documented, with parameters in braces. Routed in lower case.
    pub(crate) path: &'static str,
    /// Who may call it.
    pub(crate) access: Access,
    route: fn() -> Route,
}

impl Endpoint {
    pub(crate) const fn get(path: &'static str, access: Access, route: fn() -> Route) -> Self {
        Self { method: Method::GET, path, access, route }
    }

    pub(crate) const fn post(path: &'static str, access: Access, route: fn() -> Route) -> Self {
        Self { method: Method::POST, path, access, route }
    }

    pub(crate) const fn delete(path: &'static str, access: Access, route: fn() -> Route) -> Self {
        Self { method: Method::DELETE, path, access, route }
    }
}

/// Serves the endpoints; `guard` puts the check of [`Access`] before each.
pub(crate) fn register(
    config: &mut ServiceConfig,
    endpoints: Vec<Endpoint>,
    guard: fn(Route, Access) -> Route,
) {
    let mut resources: Vec<(String, Resource)> = Vec::new();
    for endpoint in endpoints {
        let path = routed_path(endpoint.path);
        let route = guard((endpoint.route)().method(endpoint.method), endpoint.access);
        let position = resources.iter().position(|(known, _)| *known == path);
        let resource = match position {
            Some(position) => resources.swap_remove(position).1,
            None => Resource::new(&path).default_service(actix_web::web::to(wrong_method)),
        };
        resources.push((path, resource.route(route)));
    }
    // Fixed paths before those with parameters, or `/agents/{id}` would swallow `/agents/approve`.
    resources.sort_by_key(|(path, _)| (path.matches('{').count(), path.clone()));
    for (_, resource) in resources {
        config.service(resource);
    }
}

/// The path in lower case, names of parameters kept.
fn routed_path(path: &str) -> String {
    path.trim_start_matches('/')
        .split('/')
        .map(
            |segment| {
                if segment.starts_with('{') { segment.to_owned() } else { segment.to_ascii_lowercase() }
            },
        )
        .fold(String::new(), |path, segment| path + "/" + &segment)
}

async fn wrong_method() -> HttpResponse {
    HttpResponse::MethodNotAllowed().finish()
}
