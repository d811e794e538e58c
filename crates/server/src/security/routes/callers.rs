//! Routes of claims, identities, permission sets and identity providers.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path};
use sealift_protocol::operator::roles::{
    AccountReference, Claim, ClaimReference, ClaimRole, ClaimType, Identity, IdentityPermissions,
    IdentityProvider, Lookup, PermissionSet, ProviderType, UpdateClaim, UpdateProvider, WritePermissionSet,
};

use super::{guid, number};
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::problem::shortened;
use crate::http::route::{Access, Endpoint, Parameter};
use crate::http::{Body, Failure, answer};
use crate::security::callers::Callers;
use crate::security::principal::Principal;
use crate::security::queries::claims::{CLAIM_FIELDS, IDENTITY_FIELDS};
use crate::security::queries::permission_sets::SET_FIELDS;
use crate::security::{claims, identities, permission, permission_sets, providers};

const READ: Access = Access::Permission(permission::SECURITY_READ);
const MODIFY: Access = Access::Permission(permission::SECURITY_MODIFY);

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = claims_and_identities();
    endpoints.extend([
        Endpoint::get("/PermissionSets", READ, || web::to(list_sets))
            .summary("Permission sets: what the roles of each may grant at most.")
            .list(SET_FIELDS)
            .answers_list::<PermissionSet>(),
        Endpoint::get("/PermissionSets/My", Access::Authenticated, || web::to(my_sets))
            .summary("The permission sets to which the caller's roles belong.")
            .answers_list::<PermissionSet>(),
        Endpoint::get("/PermissionSets/{id}", READ, || web::to(get_set))
            .summary("One permission set.")
            .answers::<PermissionSet>(),
        Endpoint::post("/PermissionSets", MODIFY, || web::to(create_set))
            .summary("Makes a permission set.")
            .body::<WritePermissionSet>()
            .answers::<PermissionSet>()
            .example(r#"{"Name": "Web farm", "Permissions": ["/certificate_stores/", "/agents/management/read/"]}"#),
        Endpoint::put("/PermissionSets", MODIFY, || web::to(update_set))
            .summary("Changes a permission set; it cannot become narrower than what a role of it grants.")
            .body::<WritePermissionSet>()
            .answers::<PermissionSet>()
            .example(r#"{"Id": "{{permission_set}}", "Permissions": ["/agents/"]}"#),
        Endpoint::delete("/PermissionSets/{id}", MODIFY, || web::to(delete_set))
            .summary("Deletes a permission set that has no roles."),
        Endpoint::get("/IdentityProviders", READ, || web::to(list_providers))
            .summary("Who vouches for callers: this server, and the configured OpenID Connect provider.")
            .answers_list::<IdentityProvider>(),
        Endpoint::get("/IdentityProviders/Types", READ, || web::to(provider_types))
            .summary("The kinds of identity provider, with their settings.")
            .answers_list::<ProviderType>(),
        Endpoint::get("/IdentityProviders/{id}", READ, || web::to(get_provider))
            .summary("One identity provider.")
            .answers::<IdentityProvider>(),
        Endpoint::put("/IdentityProviders/{id}", MODIFY, || web::to(update_provider))
            .summary("Changes the name of an identity provider for people; the rest stands in the configuration of the server.")
            .body::<UpdateProvider>()
            .answers::<IdentityProvider>()
            .example(r#"{"DisplayName": "Users with a password"}"#),
    ]);
    endpoints
}

fn claims_and_identities() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/Security/Claims", READ, || web::to(list_claims))
            .summary("Claims: statements about callers to which roles are given.")
            .list(CLAIM_FIELDS)
            .answers_list::<Claim>(),
        Endpoint::get("/Security/Claims/Roles", READ, || web::to(claim_roles))
            .summary("The roles to which a claim leads.")
            .query("ClaimType", Parameter::Text, "Type of the claim, as name or number.")
            .query("ClaimValue", Parameter::Text, "What it says.")
            .query("ProviderAuthenticationScheme", Parameter::Text, "The provider that says it.")
            .answers_list::<ClaimRole>(),
        Endpoint::get("/Security/Claims/{id}", READ, || web::to(get_claim))
            .summary("One claim.")
            .answers::<Claim>(),
        Endpoint::post("/Security/Claims", MODIFY, || web::to(create_claim))
            .summary("Makes a claim.")
            .body::<ClaimReference>()
            .answers::<Claim>()
            .example(
                r#"{"ClaimType": "User", "ClaimValue": "CORP\\operator",
                    "ProviderAuthenticationScheme": "Local", "Description": "The operator on duty"}"#,
            ),
        Endpoint::put("/Security/Claims", MODIFY, || web::to(update_claim))
            .summary("Changes the description of a claim.")
            .body::<UpdateClaim>()
            .answers::<Claim>()
            .example(r#"{"Id": {{claim}}, "Description": "The operator of the night"}"#),
        Endpoint::delete("/Security/Claims/{id}", MODIFY, || web::to(delete_claim))
            .summary("Deletes a claim that leads to no role."),
        Endpoint::get("/Security/Identities", READ, || web::to(list_identities))
            .summary("Users by name, with their roles.")
            .list(IDENTITY_FIELDS)
            .query(
                "Validate",
                Parameter::Flag,
                "Whether to tell in `Valid` that each can log in; true when absent.",
            )
            .answers_list::<Identity>(),
        Endpoint::get("/Security/Identities/Lookup", READ, || web::to(lookup))
            .summary("Whether somebody can log in here by a name.")
            .query("accountName", Parameter::Text, "The name.")
            .answers::<Lookup>(),
        Endpoint::get("/Security/Identities/{id}", READ, || web::to(get_identity))
            .summary("What a user may do, and by which roles.")
            .answers::<IdentityPermissions>(),
        Endpoint::post("/Security/Identities", MODIFY, || web::to(create_identity))
            .summary("Makes a user by name, without a password.")
            .body::<AccountReference>()
            .answers::<Identity>()
            .example(r#"{"AccountName": "CORP\\newcomer"}"#),
        Endpoint::delete("/Security/Identities/{id}", MODIFY, || web::to(delete_identity))
            .summary("Deletes a user that has no password here, with the roles given to it."),
    ]
}

async fn list_claims(
    floor: Data<Floor>,
    caller: Principal,
    list: ListQuery,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (rows, total) = claims::list(&mut db, &caller, &list, floor.now()).await?;
    Ok(answer::list(&rows, total))
}

async fn claim_roles(
    floor: Data<Floor>,
    caller: Principal,
    list: ListQuery,
) -> Result<HttpResponse, Failure> {
    let text = |name: &str| list.parameter(name).map(str::to_owned);
    let kind = text("ClaimType").map(|text| {
        let refused = || Failure::invalid(format!("ClaimType: '{}' is no type of claim", shortened(&text)));
        ClaimType::parse(&text).ok_or_else(refused)
    });
    let reference = ClaimReference {
        claim_type: kind.transpose()?,
        claim_value: text("ClaimValue"),
        provider_authentication_scheme: text("ProviderAuthenticationScheme"),
        description: None,
    };
    let mut db = floor.database.main.acquire().await?;
    Ok(answer::json(&claims::roles(&mut db, &caller, &reference).await?))
}

async fn get_claim(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    Ok(answer::json(&claims::get(&mut db, &caller, number("claim", &id)?).await?))
}

async fn create_claim(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<ClaimReference>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    let claim = claims::create(&mut db, &caller, request, floor.now()).await?;
    db.commit().await?;
    Ok(answer::json(&claim))
}

async fn update_claim(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<UpdateClaim>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    let claim = claims::update(&mut db, &caller, request, floor.now()).await?;
    db.commit().await?;
    Ok(answer::json(&claim))
}

async fn delete_claim(
    floor: Data<Floor>,
    callers: Data<Callers>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    claims::delete(&mut db, &caller, number("claim", &id)?, floor.now()).await?;
    db.commit().await?;
    callers.forget();
    Ok(answer::no_content())
}

async fn list_identities(
    floor: Data<Floor>,
    caller: Principal,
    list: ListQuery,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (rows, total) = identities::list(&mut db, &caller, &list, floor.now()).await?;
    Ok(answer::list(&rows, total))
}

async fn lookup(floor: Data<Floor>, caller: Principal, list: ListQuery) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    Ok(answer::json(&identities::lookup(&mut db, &caller, list.parameter("accountName")).await?))
}

async fn get_identity(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    Ok(answer::json(&identities::get(&mut db, &caller, number("identity", &id)?).await?))
}

async fn create_identity(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<AccountReference>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    let identity = identities::create(&mut db, &caller, request, floor.now()).await?;
    db.commit().await?;
    Ok(answer::json(&identity))
}

async fn delete_identity(
    floor: Data<Floor>,
    callers: Data<Callers>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    identities::delete(&mut db, &caller, number("identity", &id)?, floor.now()).await?;
    db.commit().await?;
    callers.forget();
    Ok(answer::no_content())
}

async fn list_sets(floor: Data<Floor>, caller: Principal, list: ListQuery) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (rows, total) = permission_sets::list(&mut db, &caller, &list, floor.now()).await?;
    Ok(answer::list(&rows, total))
}

async fn my_sets(floor: Data<Floor>, caller: Principal) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    Ok(answer::json(&permission_sets::mine(&mut db, &caller).await?))
}

async fn get_set(floor: Data<Floor>, caller: Principal, id: Path<String>) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    Ok(answer::json(&permission_sets::get(&mut db, &caller, guid("permission set", &id)?).await?))
}

async fn create_set(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<WritePermissionSet>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    let set = permission_sets::create(&mut db, &caller, request, floor.now()).await?;
    db.commit().await?;
    Ok(answer::json(&set))
}

async fn update_set(
    floor: Data<Floor>,
    caller: Principal,
    Body(request): Body<WritePermissionSet>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    let set = permission_sets::update(&mut db, &caller, request, floor.now()).await?;
    db.commit().await?;
    Ok(answer::json(&set))
}

async fn delete_set(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    permission_sets::delete(&mut db, &caller, guid("permission set", &id)?, floor.now()).await?;
    db.commit().await?;
    Ok(answer::no_content())
}

async fn list_providers(
    floor: Data<Floor>,
    callers: Data<Callers>,
    caller: Principal,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    let oidc = &floor.configuration.oidc;
    let list = providers::list(&mut db, &caller, oidc, callers.provider()).await?;
    Ok(answer::list(&list, i64::try_from(list.len()).unwrap_or(i64::MAX)))
}

async fn provider_types(caller: Principal) -> Result<HttpResponse, Failure> {
    Ok(answer::json(&providers::types(&caller)?))
}

async fn get_provider(
    floor: Data<Floor>,
    callers: Data<Callers>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    let (oidc, id) = (&floor.configuration.oidc, guid("identity provider", &id)?);
    Ok(answer::json(&providers::get(&mut db, &caller, oidc, callers.provider(), id).await?))
}

async fn update_provider(
    floor: Data<Floor>,
    callers: Data<Callers>,
    caller: Principal,
    id: Path<String>,
    Body(request): Body<UpdateProvider>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    let (oidc, id) = (&floor.configuration.oidc, guid("identity provider", &id)?);
    let now = floor.now();
    let provider = providers::update(&mut db, &caller, oidc, callers.provider(), id, request, now).await?;
    db.commit().await?;
    Ok(answer::json(&provider))
}
