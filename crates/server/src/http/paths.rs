//! Addresses and headers that every operator call shares (operator contract, chapters 1.1 and 1.4).
//!
//! Paths mean the same in any case, with or without the configured base path, with or without a slash at the
//! end; method names mean the same in any case. Every answer names the product's version and carries a fresh
//! correlation id.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::http::{Method, Uri, uri::PathAndQuery};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpResponse, ResponseError as _};

use super::answer;
use super::calls::Calls;
use super::problem::{self, Failure};

/// What is configured about addresses.
#[derive(Debug)]
pub(crate) struct Addresses {
    /// Base paths of the operator API, lower case, with a slash before and none behind.
    pub(crate) base_paths: Vec<String>,
    /// The agents' door, written likewise: its errors have no body.
    pub(crate) door: String,
    /// What `x-keyfactor-product-version` says.
    pub(crate) product_version: HeaderValue,
}

const PRODUCT_VERSION: HeaderName = HeaderName::from_static("x-keyfactor-product-version");
const API_VERSIONS: HeaderName = HeaderName::from_static("api-supported-versions");
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-keyfactor-correlation-id");

/// Rewrites the address before routing, and completes the answer after.
pub(crate) async fn normalize<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let addresses = request.app_data::<Data<Addresses>>().cloned();
    let bases = addresses.as_ref().map_or(&[][..], |addresses| &addresses.base_paths);
    if let Some(uri) = rewritten(request.uri(), bases) {
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
    if let Some(method) = upper_case(request.method()) {
        request.head_mut().method = method;
    }
    let running = request.app_data::<Data<Calls>>().map(|calls| calls.enter());
    let at_door = addresses.as_ref().is_some_and(|addresses| is_below(request.path(), &addresses.door));
    let mut response = match (&running, request.path().contains("%00")) {
        (Some(None), _) => request.into_response(Failure::stopping().error_response().map_into_boxed_body()),
        // No name and no id holds the character NUL, and the database would fail at it.
        (_, true) => {
            let nowhere = problem::no_such_route(request.path());
            let refused = answer::write(&mut HttpResponse::NotFound(), &nowhere);
            request.into_response(refused.map_into_boxed_body())
        }
        _ => next.call(request).await?.map_into_boxed_body(),
    };
    if at_door && !response.status().is_success() {
        // Agents append what they read to their next answer, and fail on both.
        response = response.map_body(|_, _| BoxBody::new(()));
        response.headers_mut().remove(CONTENT_TYPE);
    }
    let headers = response.headers_mut();
    if let Some(addresses) = &addresses {
        headers.insert(PRODUCT_VERSION, addresses.product_version.clone());
    }
    if !headers.contains_key(API_VERSIONS) {
        headers.insert(API_VERSIONS, HeaderValue::from_static("1.0"));
    }
    if let Ok(value) = HeaderValue::from_str(&uuid::Uuid::now_v7().to_string()) {
        headers.insert(CORRELATION_ID, value);
    }
    Ok(response)
}

fn is_below(path: &str, door: &str) -> bool {
    path.strip_prefix(door).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn upper_case(method: &Method) -> Option<Method> {
    let text = method.as_str();
    if !text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return None;
    }
    Method::from_bytes(text.to_ascii_uppercase().as_bytes()).ok()
}

/// The address that routing sees, when it differs from the one that came.
fn rewritten(uri: &Uri, bases: &[String]) -> Option<Uri> {
    let path = uri.path();
    let clean = path.len() == 1 || !path.ends_with('/');
    let lower = !path.bytes().any(|byte| byte.is_ascii_uppercase());
    let prefixed = bases.iter().any(|base| starts_with_ignoring_case(path, base));
    if clean && lower && !prefixed && !path.contains("//") {
        return None;
    }
    let mut path = path.to_ascii_lowercase();
    while path.contains("//") {
        path = path.replace("//", "/");
    }
    if let Some(rest) = bases.iter().find_map(|base| path.strip_prefix(base.as_str()))
        && (rest.is_empty() || rest.starts_with('/'))
    {
        path = rest.to_owned();
    }
    let path = format!("/{}", path.trim_matches('/'));
    let full = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(full).ok()?);
    Uri::from_parts(parts).ok()
}

fn starts_with_ignoring_case(path: &str, base: &str) -> bool {
    path.get(..base.len()).is_some_and(|start| start.eq_ignore_ascii_case(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(address: &str) -> String {
        let uri: Uri = address.parse().unwrap();
        let bases = ["/keyfactorapi".to_owned(), "/keyfactor/api".to_owned()];
        rewritten(&uri, &bases).unwrap_or(uri).to_string()
    }

    #[test]
    fn base_case_and_slashes_do_not_matter() {
        for address in
            ["/KeyfactorAPI/Agents", "/agents", "/Agents/", "/KEYFACTORAPI//agents/", "/Keyfactor/API/Agents"]
        {
            assert_eq!(routed(address), "/agents", "{address}");
        }
        assert_eq!(routed("/KeyfactorApi/Agents?pq.queryString=Name"), "/agents?pq.queryString=Name");
        assert_eq!(routed("/KeyfactorAPI"), "/");
        assert_eq!(routed("/KeyfactorAPIs/x"), "/keyfactorapis/x");
    }

    #[test]
    fn a_method_in_any_case_is_the_same_method() {
        assert_eq!(upper_case(&Method::from_bytes(b"Put").unwrap()), Some(Method::PUT));
        assert_eq!(upper_case(&Method::GET), None);
    }
}
