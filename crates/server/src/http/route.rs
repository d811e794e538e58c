//! The routing table: each operation once, with what it takes to call it.
//!
//! Slices list their endpoints here instead of registering routes by hand, so that the list that the
//! permission test walks, the list that `GET /Status/Endpoints` answers and the list that serves calls are
//! one and the same.

use std::collections::BTreeMap;
use std::future::ready;

use actix_web::http::Method;
use actix_web::web::ServiceConfig;
use actix_web::{Resource, Route};
use utoipa::ToSchema;

use super::filter_sql::Field;
use super::openapi::Shape;
use super::problem;

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
    /// What it is, for people and their tools.
    pub(crate) doc: Doc,
    route: fn() -> Route,
}

/// What an operation takes and gives: the source of the OpenAPI document.
#[derive(Default)]
pub(crate) struct Doc {
    /// One sentence.
    pub(crate) summary: &'static str,
    /// Query parameters, those of lists apart: name, kind and meaning.
    pub(crate) query: Vec<(&'static str, Parameter, &'static str)>,
    /// For a list: the fields that filters and sort orders may name.
    pub(crate) fields: Option<&'static [Field]>,
    /// Its body, where it has one.
    pub(crate) body: Option<Shape>,
    /// Its answer; 204 without one.
    pub(crate) answer: Option<Shape>,
    /// A body that works, as JSON; words in double braces stand for ids.
    pub(crate) example: Option<&'static str>,
    /// Whether it has a second version, chosen by `x-keyfactor-api-version`.
    pub(crate) two_versions: bool,
    /// What it answers, where that is no JSON of ours: a media type.
    pub(crate) media: Option<&'static str>,
    /// Whether it sends its callers elsewhere.
    pub(crate) redirects: bool,
}

/// What a query parameter holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parameter {
    /// True or false.
    Flag,
    /// A whole number.
    Number,
    /// A text.
    Text,
}

impl Endpoint {
    const fn new(method: Method, path: &'static str, access: Access, route: fn() -> Route) -> Self {
        let doc = Doc {
            summary: "",
            query: Vec::new(),
            fields: None,
            body: None,
            answer: None,
            example: None,
            two_versions: false,
            media: None,
            redirects: false,
        };
        Self { method, path, access, doc, route }
    }

    pub(crate) const fn get(path: &'static str, access: Access, route: fn() -> Route) -> Self {
        Self::new(Method::GET, path, access, route)
    }

    pub(crate) const fn post(path: &'static str, access: Access, route: fn() -> Route) -> Self {
        Self::new(Method::POST, path, access, route)
    }

    pub(crate) const fn put(path: &'static str, access: Access, route: fn() -> Route) -> Self {
        Self::new(Method::PUT, path, access, route)
    }

    pub(crate) const fn delete(path: &'static str, access: Access, route: fn() -> Route) -> Self {
        Self::new(Method::DELETE, path, access, route)
    }

    /// Says in one sentence what the operation does.
    pub(crate) const fn summary(mut self, summary: &'static str) -> Self {
        self.doc.summary = summary;
        self
    }

    /// A list, with the parameters of chapter 2.1 and these fields.
    pub(crate) const fn list(mut self, fields: &'static [Field]) -> Self {
        self.doc.fields = Some(fields);
        self
    }

    /// A query parameter beside those of lists.
    pub(crate) fn query(mut self, name: &'static str, kind: Parameter, meaning: &'static str) -> Self {
        self.doc.query.push((name, kind, meaning));
        self
    }

    /// The body that it reads.
    pub(crate) fn body<T: ToSchema>(mut self) -> Self {
        self.doc.body = Some(Shape::one::<T>());
        self
    }

    /// A body that is a list.
    pub(crate) fn body_list<T: ToSchema>(mut self) -> Self {
        self.doc.body = Some(Shape::list::<T>());
        self
    }

    /// The body that it answers.
    pub(crate) fn answers<T: ToSchema>(mut self) -> Self {
        self.doc.answer = Some(Shape::one::<T>());
        self
    }

    /// An answer that is a list.
    pub(crate) fn answers_list<T: ToSchema>(mut self) -> Self {
        self.doc.answer = Some(Shape::list::<T>());
        self
    }

    /// It has a second version, which the header `x-keyfactor-api-version` asks for.
    pub(crate) const fn two_versions(mut self) -> Self {
        self.doc.two_versions = true;
        self
    }

    /// It answers a file of this media type.
    pub(crate) const fn answers_file(mut self, media: &'static str) -> Self {
        self.doc.media = Some(media);
        self
    }

    /// It sends its callers elsewhere.
    pub(crate) const fn redirects(mut self) -> Self {
        self.doc.redirects = true;
        self
    }

    /// A body that works. `{{store}}` and the like stand for ids; the test that sends it knows them.
    pub(crate) const fn example(mut self, body: &'static str) -> Self {
        self.doc.example = Some(body);
        self
    }
}

/// Serves the endpoints; `guard` puts the check of [`Access`] before each.
pub(crate) fn register(
    config: &mut ServiceConfig,
    endpoints: Vec<Endpoint>,
    guard: fn(Route, Access) -> Route,
) {
    let mut methods: BTreeMap<String, Vec<Method>> = BTreeMap::new();
    for endpoint in &endpoints {
        methods.entry(routed_path(endpoint.path)).or_default().push(endpoint.method.clone());
    }
    let mut resources: Vec<(String, Resource)> = Vec::new();
    for endpoint in endpoints {
        let path = routed_path(endpoint.path);
        let allowed = methods.get(&path).cloned().unwrap_or_default();
        let route = guard((endpoint.route)().method(endpoint.method), endpoint.access);
        let position = resources.iter().position(|(known, _)| *known == path);
        let resource = match position {
            Some(position) => resources.swap_remove(position).1,
            None => Resource::new(&path)
                .default_service(actix_web::web::to(move || ready(problem::wrong_method(&allowed)))),
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
