//! The HTTP server: routes of all slices, shared state, limits.

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::{Server, ServerHandle};
use actix_web::http::header::HeaderValue;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, PayloadConfig, ServiceConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, ResponseError as _};
use sealift_pki::Thumbprint;

use super::listener::Tls;
use super::{Error, HEAD_TIMEOUT, KEEP_ALIVE, LAST_ANSWERS, Parts, api_reference};
use crate::agent_api::PeerCertificate;
use crate::configuration::Configuration;
use crate::http::body::BodyLimit;
use crate::http::openapi::document;
use crate::http::paths::{Addresses, normalize};
use crate::http::places::Places;
use crate::http::route::{Access, Endpoint, register};
use crate::http::{Failure, problem};
use crate::security::EndpointList;
use crate::security::permission::{self, Scope};
use crate::{
    agent_api, agents, authority, blueprints, certificate_stores, certificates, enrollment,
    orchestrator_jobs, security,
};

/// Connections that one worker holds; agents keep theirs open.
const CONNECTIONS: usize = 25_000;
/// TLS handshakes that one worker runs at a time, so that a storm of them does not starve reports.
const HANDSHAKES: usize = 256;

/// Every operation of the operator API, with what it takes to call it.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
        Endpoint::get("/healthz", Access::Public, || web::to(alive))
            .summary("Whether the process lives.")
            .answers_file("text/plain"),
        Endpoint::get("/readyz", Access::Public, || web::to(ready))
            .summary("Whether it can serve.")
            .answers_file("text/plain"),
    ];
    endpoints.extend(api_reference::endpoints());
    endpoints.extend(security::endpoints());
    endpoints.extend(authority::endpoints());
    endpoints.extend(agents::endpoints());
    endpoints.extend(certificates::endpoints());
    endpoints.extend(orchestrator_jobs::endpoints());
    endpoints.extend(certificate_stores::endpoints());
    endpoints.extend(blueprints::endpoints());
    endpoints.extend(enrollment::endpoints());
    endpoints
}

/// Starts listening; the returned server ends when its handle stops it.
pub(super) fn start(
    parts: &Arc<Parts>,
    listener: TcpListener,
    tls: Option<&Tls>,
) -> Result<(Server, ServerHandle), Error> {
    let configuration = Arc::clone(&parts.floor.configuration);
    let product_version = HeaderValue::from_str(&configuration.product_version)
        .map_err(|_| Error::Security("product_version is no header value".to_owned()))?;
    let base_paths = configuration.base_paths.iter().map(|path| path.to_ascii_lowercase()).collect();
    let door = door(&configuration);
    let addresses = Data::new(Addresses { base_paths, product_version, door });
    let operations =
        endpoints().into_iter().map(|endpoint| (endpoint.method, endpoint.path, endpoint.access));
    let list = Data::new(EndpointList(operations.collect()));
    let places = Data::new(Places::default());
    let shared = Arc::clone(parts);
    let mut server = HttpServer::new(move || {
        App::new()
            .app_data(addresses.clone())
            .app_data(Data::new(shared.calls.clone()))
            .app_data(list.clone())
            .app_data(places.clone())
            .configure(|config| configure(config, &shared))
            .default_service(web::to(nowhere))
            .wrap(from_fn(normalize))
    })
    .on_connect(|connection, data| {
        if let Some(peer) = peer_certificate(connection) {
            data.insert(peer);
        }
    })
    .disable_signals()
    .shutdown_timeout(LAST_ANSWERS)
    .client_request_timeout(HEAD_TIMEOUT)
    .keep_alive(KEEP_ALIVE)
    // Answers come in several writes; without this each waits for a delayed acknowledgement, some 40 ms.
    .tcp_nodelay(true)
    .max_connections(CONNECTIONS)
    .max_connection_rate(HANDSHAKES);
    if configuration.workers > 0 {
        server = server.workers(configuration.workers);
    }
    let address = configuration.listen;
    let server = match tls {
        Some(tls) => server.listen_rustls_0_23(listener, tls.config()),
        None => server.listen(listener),
    };
    let server = server.map_err(|source| Error::Listen { address, source })?.run();
    let handle = server.handle();
    Ok((server, handle))
}

/// The path of the agents' door, lower case, with a slash before and none behind.
fn door(configuration: &Configuration) -> String {
    format!("/{}", configuration.agents.virtual_directory.trim_matches('/').to_ascii_lowercase())
}

fn configure(config: &mut ServiceConfig, parts: &Arc<Parts>) {
    let limits = &parts.floor.configuration.limits;
    config
        .app_data(Data::new(BodyLimit(limits.body_bytes)))
        .app_data(Data::new(parts.floor.clone()))
        .app_data(Data::from(Arc::clone(&parts.authority)))
        .app_data(Data::from(Arc::clone(&parts.directory)))
        .app_data(Data::from(Arc::clone(&parts.dispatch)))
        .app_data(Data::from(Arc::clone(&parts.callers)))
        .app_data(Data::from(Arc::clone(&parts.adds)))
        .app_data(Data::from(Arc::clone(&parts.pace)))
        .app_data(Data::from(Arc::clone(&parts.completions)));
    let door = door(&parts.floor.configuration);
    let agent_body = limits.agent_body_bytes;
    config.service(
        web::scope(&door)
            .app_data(PayloadConfig::new(agent_body))
            .configure(|config| register(config, agent_api::endpoints(), security::guard))
            .default_service(web::to(HttpResponse::NotFound)),
    );
    register(config, endpoints(), security::guard);
}

/// The client certificate of a TLS connection, where it has one. TLS has verified it.
fn peer_certificate(connection: &dyn std::any::Any) -> Option<PeerCertificate> {
    use actix_web::rt::net::TcpStream;
    let tls = connection.downcast_ref::<actix_tls::accept::rustls_0_23::TlsStream<TcpStream>>()?;
    let certificate = tls.get_ref().1.peer_certificates()?.first()?;
    Some(PeerCertificate(Thumbprint::of(certificate)))
}

async fn alive() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("alive\n")
}

/// Ready while the database answers.
async fn ready(floor: Data<crate::floor::Floor>) -> HttpResponse {
    match sqlx::query("SELECT 1").execute(&floor.database.main).await {
        Ok(_) => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ready\n"),
        Err(error) => Failure::from(error).error_response(),
    }
}

async fn nowhere(request: HttpRequest) -> HttpResponse {
    crate::http::answer::write(&mut HttpResponse::NotFound(), &problem::no_such_route(request.path()))
}

/// The OpenAPI document of the operator API.
pub fn openapi() -> serde_json::Value {
    serde_json::to_value(document(&endpoints(), "/KeyfactorAPI", env!("CARGO_PKG_VERSION")))
        .unwrap_or_default()
}

/// The condition that a filter of certificates becomes, its values left out; or why it is refused. For fuzzing.
///
/// # Errors
///
/// The words of the refusal.
pub fn filter_statement(filter: &str) -> Result<String, String> {
    certificates::filter_statement(filter).map_err(|failure| failure.message().to_owned())
}

/// One operation, for tests that walk all of them.
#[derive(Debug)]
pub struct RouteFacts {
    /// Its method.
    pub method: String,
    /// Its path as documented.
    pub path: &'static str,
    /// Whether it needs no credentials.
    pub public: bool,
    /// The permission it needs, where it needs one.
    pub permission: Option<&'static str>,
    /// What that permission can be narrowed to, where it can: `container` or `collection`.
    pub scope: Option<&'static str>,
    /// A body that works; words in double braces stand for ids.
    pub example: Option<&'static str>,
    /// Whether it reads a body.
    pub takes_body: bool,
}

/// Every operation of the operator API.
pub fn routes() -> Vec<RouteFacts> {
    let facts = |endpoint: Endpoint| RouteFacts {
        method: endpoint.method.to_string(),
        path: endpoint.path,
        public: endpoint.access == Access::Public,
        example: endpoint.doc.example,
        takes_body: endpoint.doc.body.is_some(),
        scope: match endpoint.access {
            Access::Permission(permission) => scope(permission),
            _ => None,
        },
        permission: match endpoint.access {
            Access::Permission(permission) => Some(permission),
            _ => None,
        },
    };
    endpoints().into_iter().map(facts).collect()
}

/// Every permission that may be granted, with what it can be narrowed to.
pub fn permissions() -> Vec<(&'static str, Option<&'static str>)> {
    permission::all().into_iter().map(|permission| (permission, scope(permission))).collect()
}

fn scope(permission: &str) -> Option<&'static str> {
    permission::scope_of(permission).map(|scope| match scope {
        Scope::Container => "container",
        Scope::Collection => "collection",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi::clashing_names;

    #[test]
    fn no_two_types_on_the_wire_bear_one_name() {
        let clashing = clashing_names(&endpoints());
        assert!(clashing.is_empty(), "{clashing:?}");
    }
}
