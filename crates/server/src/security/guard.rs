//! The check before every handler: who calls, and may they call this at all?
//!
//! It answers refusals itself instead of passing an error on, so that they look like any other answer. What
//! a caller may do to which thing is decided by the operation behind the handler.

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::Data;
use actix_web::{HttpMessage as _, ResponseError as _, Route};

use super::audit::{self, Line, Operation};
use super::callers::Callers;
use super::error::Error;
use super::principal::Principal;
use crate::floor::Floor;
use crate::http::Failure;
use crate::http::problem::shortened;
use crate::http::route::Access;

/// Puts the check before a route. Its application needs `Data<Floor>` and `Data<Callers>`.
pub(crate) fn guard(route: Route, access: Access) -> Route {
    match access {
        Access::Public | Access::AgentDoor => route,
        Access::Authenticated => route.wrap(from_fn(|request, next| checked(request, next, None))),
        Access::Permission(permission) => {
            route.wrap(from_fn(move |request, next| checked(request, next, Some(permission))))
        }
    }
}

async fn checked(
    request: ServiceRequest,
    next: Next<BoxBody>,
    permission: Option<&'static str>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let (Some(floor), Some(callers)) =
        (request.app_data::<Data<Floor>>().cloned(), request.app_data::<Data<Callers>>().cloned())
    else {
        let failure = Failure::fault("the guard of a route was not given the floor and the callers");
        return Ok(request.into_response(failure.error_response()));
    };
    let called = format!("{} {}", request.method(), shortened(request.path()));
    let caller = match callers.authenticate(&floor, request.headers().get(AUTHORIZATION)).await {
        Ok(caller) => caller,
        Err(error) => {
            if matches!(error, Error::NotAuthenticated(_)) && callers.notes_refusal(floor.now()) {
                tracing::warn!(peer = ?request.peer_addr(), "{called} was refused: {error}");
            }
            return Ok(request.into_response(Failure::from(error).error_response()));
        }
    };
    if let Some(missing) = permission.filter(|permission| !caller.permits_somewhere(permission)) {
        let failure = Failure::from(Error::NotPermitted {
            caller: caller.name().to_owned(),
            missing: missing.to_owned(),
        });
        note_refusal(&floor, &callers, &caller, &called, failure.message()).await;
        return Ok(request.into_response(failure.error_response()));
    }
    request.extensions_mut().insert(caller.clone());
    let response = next.call(request).await?;
    if response.status() == StatusCode::FORBIDDEN {
        let reason = response.response().error().and_then(|error| error.as_error::<Failure>());
        let reason = reason.map_or("", Failure::message).to_owned();
        note_refusal(&floor, &callers, &caller, &called, &reason).await;
    }
    Ok(response)
}

/// Writes a refusal into the audit log, up to a bound.
async fn note_refusal(floor: &Floor, callers: &Callers, caller: &Principal, called: &str, reason: &str) {
    let now = floor.now();
    if !callers.notes_refusal(now) {
        return;
    }
    let message = format!("Authorization Failure: {called}: {reason}");
    tracing::warn!(caller = caller.name(), "{message}");
    let line = Line::new(caller, Operation::Rejected, "AuthorizationFailure", "", message);
    let written = match floor.database.main.acquire().await {
        Ok(mut db) => audit::record(&mut db, &[line], now).await,
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        tracing::error!("a refusal could not be written into the audit log: {error}");
    }
}
