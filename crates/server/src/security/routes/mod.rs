//! Routes of the slice, and the few that tell what the server offers and whether it lives: those of users and tokens
//! here, the rest in files of their own.

mod audit;
mod callers;
mod roles;

use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::web::{self, Data, Path};
use sealift_protocol::operator::audit::License;
use sealift_protocol::operator::security::{
    ApiToken, AreaPermission, CreateApiToken, CreateUser, Myself, User,
};

use super::callers::Callers;
use super::principal::Principal;
use super::{license, permission, queries, tokens, users};
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::route::{Access, Endpoint};
use crate::http::{Body, Failure, answer};

/// Every operation that the server serves: method, path as documented, and who may call it. Application data
/// for `GET /Status/Endpoints`.
pub(crate) struct EndpointList(pub(crate) Vec<(Method, &'static str, Access)>);

/// The endpoints of this slice.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let read = Access::Permission(permission::SECURITY_READ);
    let modify = Access::Permission(permission::SECURITY_MODIFY);
    let mut endpoints = vec![
        Endpoint::get("/Status/Endpoints", Access::Authenticated, || web::to(status_endpoints))
            .summary("The operations that the caller may use, as method and path.")
            .answers_list::<String>(),
        Endpoint::get("/Status/HealthCheck", Access::Authenticated, || web::to(health_check))
            .summary("Whether the database answers."),
        Endpoint::get("/License", Access::Authenticated, || web::to(licensed))
            .summary("What the server is licensed as.")
            .answers::<License>(),
        Endpoint::get("/Permissions", read, || web::to(permissions))
            .summary("Every permission that can be granted, as paths.")
            .answers_list::<String>(),
        Endpoint::get("/Security/My", Access::Authenticated, || web::to(myself))
            .summary("Roles and permissions of the caller.")
            .answers::<Myself>(),
        Endpoint::get("/Security/Users", read, || web::to(list_users))
            .summary("Users that log in with a password.")
            .list(queries::USER_FIELDS)
            .answers_list::<User>(),
        Endpoint::post("/Security/Users", modify, || web::to(create_user))
            .summary("Makes a user.")
            .body::<CreateUser>()
            .answers::<User>()
            .example(
                r#"{"Name": "CORP\\ann", "Password": "correct horse battery", "Roles": ["{{role_name}}"]}"#,
            ),
        Endpoint::delete("/Security/Users/{id}", modify, || web::to(delete_user)).summary("Deletes a user."),
        Endpoint::get("/Security/ApiTokens", read, || web::to(list_tokens))
            .summary("API tokens, without the tokens themselves.")
            .list(queries::TOKEN_FIELDS)
            .answers_list::<ApiToken>(),
        Endpoint::post("/Security/ApiTokens", modify, || web::to(create_token))
            .summary("Makes an API token; the answer shows it once.")
            .body::<CreateApiToken>()
            .answers::<ApiToken>()
            .example(r#"{"Name": "pipeline", "Roles": ["{{role_name}}"]}"#),
        Endpoint::delete("/Security/ApiTokens/{id}", modify, || web::to(revoke_token))
            .summary("Revokes an API token."),
    ];
    endpoints.extend(roles::endpoints());
    endpoints.extend(callers::endpoints());
    endpoints.extend(audit::endpoints());
    endpoints
}

async fn status_endpoints(caller: Principal, endpoints: Data<EndpointList>) -> HttpResponse {
    answer::json(&allowed(&caller, &endpoints.0))
}

/// `GET /Agents` and the like, for what the caller may use somewhere.
fn allowed(caller: &Principal, endpoints: &[(Method, &'static str, Access)]) -> Vec<String> {
    let may = |access: &Access| match access {
        Access::Public | Access::Authenticated => true,
        Access::AgentDoor => false,
        Access::Permission(permission) => caller.permits_somewhere(permission),
    };
    endpoints
        .iter()
        .filter(|(_, _, access)| may(access))
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect()
}

async fn health_check(floor: Data<Floor>) -> Result<HttpResponse, Failure> {
    queries::ping(&mut *floor.database.main.acquire().await?).await?;
    Ok(answer::no_content())
}

async fn licensed(floor: Data<Floor>, _caller: Principal) -> HttpResponse {
    answer::json(&license::license(&floor.configuration.product_version))
}

async fn permissions(caller: Principal) -> Result<HttpResponse, Failure> {
    caller.require(permission::SECURITY_READ)?;
    Ok(answer::json(&permission::all()))
}

async fn myself(caller: Principal) -> HttpResponse {
    let held = permission::AREAS.iter().filter(|(_, _, path)| caller.permits(path));
    let global_permissions = held
        .map(|(area, permission, _)| AreaPermission {
            area: (*area).to_owned(),
            permission: (*permission).to_owned(),
        })
        .collect();
    answer::json(&Myself { roles: caller.roles().to_vec(), global_permissions })
}

async fn list_users(floor: Data<Floor>, caller: Principal, list: ListQuery) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (rows, total) = users::list(&mut db, &caller, &list, floor.now()).await?;
    Ok(answer::list(&rows, total))
}

async fn create_user(
    floor: Data<Floor>,
    callers: Data<Callers>,
    caller: Principal,
    body: Body<CreateUser>,
) -> Result<HttpResponse, Failure> {
    Ok(answer::json(&users::create(&floor, &callers, &caller, body.0).await?))
}

async fn delete_user(
    floor: Data<Floor>,
    callers: Data<Callers>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    users::delete(&mut db, &caller, number("user", &id)?, floor.now()).await?;
    db.commit().await?;
    callers.forget();
    Ok(answer::no_content())
}

async fn list_tokens(
    floor: Data<Floor>,
    caller: Principal,
    list: ListQuery,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (rows, total) = tokens::list(&mut db, &caller, &list, floor.now()).await?;
    Ok(answer::list(&rows, total))
}

async fn create_token(
    floor: Data<Floor>,
    callers: Data<Callers>,
    caller: Principal,
    body: Body<CreateApiToken>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    let token = tokens::create(&mut db, &caller, body.0, floor.now()).await?;
    db.commit().await?;
    callers.forget();
    Ok(answer::json(&token))
}

async fn revoke_token(
    floor: Data<Floor>,
    callers: Data<Callers>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    tokens::revoke(&mut db, &caller, number("API token", &id)?, floor.now()).await?;
    db.commit().await?;
    callers.forget();
    Ok(answer::no_content())
}

/// The GUID in a path; one that is none names nothing that exists.
fn guid(kind: &str, text: &str) -> Result<uuid::Uuid, Failure> {
    text.parse()
        .map_err(|_| Failure::not_found(format_args!("{kind} '{}'", crate::http::problem::shortened(text))))
}

/// The number in a path; one that is none names nothing that exists.
fn number(kind: &str, text: &str) -> Result<i64, Failure> {
    text.parse()
        .map_err(|_| Failure::not_found(format_args!("{kind} '{}'", crate::http::problem::shortened(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_listed_as_far_as_the_caller_may_use_them() {
        let endpoints = [
            (Method::GET, "/Agents", Access::Permission(permission::AGENTS_READ)),
            (Method::POST, "/Agents/Approve", Access::Permission(permission::AGENTS_MODIFY)),
            (Method::GET, "/CertificateStores", Access::Permission(permission::STORES_READ)),
            (Method::GET, "/Security/My", Access::Authenticated),
            (Method::POST, "/KeyfactorAgents/Session/Register", Access::AgentDoor),
        ];
        let grants = vec![permission::AGENTS_READ.to_owned(), "/certificate_stores/read/31/".to_owned()];
        let caller = Principal::new("ann".to_owned(), Vec::new(), grants);
        assert_eq!(
            allowed(&caller, &endpoints),
            ["GET /Agents", "GET /CertificateStores", "GET /Security/My"]
        );
    }
}
