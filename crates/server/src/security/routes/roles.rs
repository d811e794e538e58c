//! Routes of roles and their parts, in both versions.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path};
use sealift_protocol::operator::roles::{
    AnyRole, CollectionPermission, ContainerPermission, ContainerRole, CopyRole, Named, RoleMembers,
    RolePermission, WriteRole,
};
use sealift_protocol::operator::security::AreaPermission;

use super::number;
use crate::floor::Floor;
use crate::http::list::ListQuery;
use crate::http::route::{Access, Endpoint, Parameter};
use crate::http::version::Version;
use crate::http::{Body, Failure, answer};
use crate::security::callers::Callers;
use crate::security::principal::Principal;
use crate::security::queries::roles::ROLE_FIELDS;
use crate::security::roles::scoped::{self, Change};
use crate::security::{permission, roles};

const READ: Access = Access::Permission(permission::SECURITY_READ);
const MODIFY: Access = Access::Permission(permission::SECURITY_MODIFY);
const VALIDATE: &str = "Whether to tell in `Valid` that this server knows everything that a role grants.";

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
        Endpoint::get("/Security/Roles", READ, || web::to(list))
            .summary("Roles, their permissions and who has them.")
            .list(ROLE_FIELDS)
            .query("Validate", Parameter::Flag, VALIDATE)
            .two_versions()
            .answers_list::<AnyRole>(),
        Endpoint::post("/Security/Roles", MODIFY, || web::to(create))
            .summary("Makes a role. Nobody can grant what he does not have.")
            .two_versions()
            .body::<WriteRole>()
            .answers::<AnyRole>()
            .example(
                r#"{"Name": "Deployers", "Description": "Deploy to the web farm",
                    "Permissions": ["/certificate_stores/schedule/", "Certificates:Read"],
                    "Identities": [{"AccountName": "CORP\\deployer"}]}"#,
            ),
        Endpoint::put("/Security/Roles", MODIFY, || web::to(update))
            .summary("Changes a role; lists that are absent stay as they are.")
            .two_versions()
            .body::<WriteRole>()
            .answers::<AnyRole>()
            .example(
                r#"{"Id": {{role}}, "Name": "{{role_name}}", "Description": "Read agents",
                    "Permissions": ["AgentManagement:Read", "AdminPortal:Read"]}"#,
            ),
        Endpoint::get("/Security/Roles/{id}", READ, || web::to(get))
            .summary("One role.")
            .query("Validate", Parameter::Flag, VALIDATE)
            .two_versions()
            .answers::<AnyRole>(),
        Endpoint::delete("/Security/Roles/{id}", MODIFY, || web::to(delete))
            .summary("Deletes a role that no user and no API token has."),
        Endpoint::post("/Security/Roles/{id}/Copy", MODIFY, || web::to(copy))
            .summary("Makes a role with the permissions of another, given to nobody.")
            .two_versions()
            .body::<CopyRole>()
            .answers::<AnyRole>()
            .example(r#"{"Name": "Copied readers", "Description": "A copy"}"#),
        Endpoint::get("/Security/Roles/{id}/Identities", READ, || web::to(identities))
            .summary("The users that have a role.")
            .answers_list::<Named>(),
        Endpoint::put("/Security/Roles/{id}/Identities", MODIFY, || web::to(set_identities))
            .summary("Gives a role to exactly these users; claims of an identity provider keep it.")
            .body::<RoleMembers>()
            .answers_list::<Named>()
            .example(r#"{"Ids": []}"#),
        Endpoint::get("/Security/Roles/{id}/Permissions", READ, || web::to(all_permissions))
            .summary("Every permission of a role, with where it holds.")
            .answers_list::<RolePermission>(),
        Endpoint::get("/Security/Containers/{id}/Roles", READ, || web::to(container_roles))
            .summary("The roles that were given something on one container.")
            .answers_list::<ContainerRole>(),
        Endpoint::post("/Security/Containers/{id}/Roles", MODIFY, || web::to(set_container_roles))
            .summary("Sets what each listed role may do with one container; other roles keep what they have.")
            .body_list::<ContainerRole>()
            .answers_list::<ContainerRole>()
            .example(r#"[{"SecurityRoleId": {{role}}, "Permissions": ["Read", "Schedule"]}]"#),
    ];
    endpoints.extend(parts());
    endpoints
}

/// The three parts of a role's permissions, each with the same three operations.
fn parts() -> Vec<Endpoint> {
    const GLOBAL: &str = "/Security/Roles/{id}/Permissions/Global";
    const CONTAINERS: &str = "/Security/Roles/{id}/Permissions/Containers";
    const COLLECTIONS: &str = "/Security/Roles/{id}/Permissions/Collections";
    vec![
        Endpoint::get(GLOBAL, READ, || web::to(global))
            .summary("What a role may do everywhere.")
            .answers_list::<AreaPermission>(),
        Endpoint::post(GLOBAL, MODIFY, || web::to(add_global))
            .summary("Adds to what a role may do everywhere.")
            .body_list::<AreaPermission>()
            .answers_list::<AreaPermission>()
            .example(r#"[{"Area": "AgentManagement", "Permission": "Modify"}]"#),
        Endpoint::put(GLOBAL, MODIFY, || web::to(replace_global))
            .summary("Replaces what a role may do everywhere.")
            .body_list::<AreaPermission>()
            .answers_list::<AreaPermission>()
            .example(r#"[{"Area": "AgentManagement", "Permission": "Read"}]"#),
        Endpoint::get(CONTAINERS, READ, || web::to(containers))
            .summary("What a role may do with the stores of containers.")
            .answers_list::<ContainerPermission>(),
        Endpoint::post(CONTAINERS, MODIFY, || web::to(add_containers))
            .summary("Adds to what a role may do with the stores of containers.")
            .body_list::<ContainerPermission>()
            .answers_list::<ContainerPermission>()
            .example(r#"[{"ContainerId": {{container}}, "Permission": "Read"}]"#),
        Endpoint::put(CONTAINERS, MODIFY, || web::to(replace_containers))
            .summary("Replaces what a role may do with the stores of containers.")
            .body_list::<ContainerPermission>()
            .answers_list::<ContainerPermission>()
            .example(
                r#"[{"ContainerId": {{container}}, "Permission": "Read"},
                    {"ContainerId": {{container}}, "Permission": "Schedule"}]"#,
            ),
        Endpoint::get(COLLECTIONS, READ, || web::to(collections))
            .summary("What a role may do with the certificates of collections.")
            .answers_list::<CollectionPermission>(),
        Endpoint::post(COLLECTIONS, MODIFY, || web::to(add_collections))
            .summary("Adds to what a role may do with the certificates of collections.")
            .body_list::<CollectionPermission>()
            .answers_list::<CollectionPermission>()
            .example(r#"[{"CollectionId": {{collection}}, "Permission": "Read"}]"#),
        Endpoint::put(COLLECTIONS, MODIFY, || web::to(replace_collections))
            .summary("Replaces what a role may do with the certificates of collections.")
            .body_list::<CollectionPermission>()
            .answers_list::<CollectionPermission>()
            .example(r#"[{"CollectionId": {{collection}}, "Permission": "Revoke"}]"#),
    ]
}

async fn list(
    floor: Data<Floor>,
    caller: Principal,
    list: ListQuery,
    version: Version,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.reports.acquire().await?;
    let (rows, total) = roles::list(&mut db, &caller, &list, version, floor.now()).await?;
    Ok(Version::told(answer::list(&rows, total)))
}

async fn get(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
    list: ListQuery,
    version: Version,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    let role = roles::get(&mut db, &caller, number("role", &id)?, version, list.flag("Validate")).await?;
    Ok(Version::told(answer::json(&role)))
}

async fn create(
    floor: Data<Floor>,
    callers: Data<Callers>,
    caller: Principal,
    version: Version,
    Body(request): Body<WriteRole>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    let role = roles::create(&mut db, &caller, request, version, floor.now()).await?;
    db.commit().await?;
    callers.forget();
    Ok(Version::told(answer::json(&role)))
}

async fn update(
    floor: Data<Floor>,
    callers: Data<Callers>,
    caller: Principal,
    version: Version,
    Body(request): Body<WriteRole>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    let role = roles::update(&mut db, &caller, request, version, floor.now()).await?;
    db.commit().await?;
    callers.forget();
    Ok(Version::told(answer::json(&role)))
}

async fn copy(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
    version: Version,
    Body(request): Body<CopyRole>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    let id = number("role", &id)?;
    let role = roles::copy(&mut db, &caller, id, request, version, floor.now()).await?;
    db.commit().await?;
    Ok(Version::told(answer::json(&role)))
}

async fn delete(
    floor: Data<Floor>,
    callers: Data<Callers>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    roles::delete(&mut db, &caller, number("role", &id)?, floor.now()).await?;
    db.commit().await?;
    callers.forget();
    Ok(Version::told(answer::no_content()))
}

async fn identities(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    Ok(answer::json(&roles::identities(&mut db, &caller, number("role", &id)?).await?))
}

async fn set_identities(
    floor: Data<Floor>,
    callers: Data<Callers>,
    caller: Principal,
    id: Path<String>,
    Body(request): Body<RoleMembers>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    let id = number("role", &id)?;
    let named = roles::set_identities(&mut db, &caller, id, request, floor.now()).await?;
    db.commit().await?;
    callers.forget();
    Ok(answer::json(&named))
}

async fn all_permissions(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    Ok(answer::json(&scoped::all(&mut db, &caller, number("role", &id)?).await?))
}

async fn container_roles(
    floor: Data<Floor>,
    caller: Principal,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.acquire().await?;
    Ok(answer::json(&scoped::roles_of_container(&mut db, &caller, number("container", &id)?).await?))
}

async fn set_container_roles(
    floor: Data<Floor>,
    callers: Data<Callers>,
    caller: Principal,
    id: Path<String>,
    Body(asked): Body<Vec<ContainerRole>>,
) -> Result<HttpResponse, Failure> {
    let mut db = floor.database.main.begin().await?;
    let id = number("container", &id)?;
    let roles = scoped::change_roles_of_container(&mut db, &caller, id, &asked, floor.now()).await?;
    db.commit().await?;
    callers.forget();
    Ok(answer::json(&roles))
}

/// Reads one part of a role's permissions.
macro_rules! read_part {
    ($name:ident, $operation:ident) => {
        async fn $name(
            floor: Data<Floor>,
            caller: Principal,
            id: Path<String>,
        ) -> Result<HttpResponse, Failure> {
            let mut db = floor.database.main.acquire().await?;
            Ok(answer::json(&scoped::$operation(&mut db, &caller, number("role", &id)?).await?))
        }
    };
}

/// Changes one part of a role's permissions.
macro_rules! change_part {
    ($name:ident, $operation:ident, $item:ty, $how:expr) => {
        async fn $name(
            floor: Data<Floor>,
            callers: Data<Callers>,
            caller: Principal,
            id: Path<String>,
            Body(asked): Body<Vec<$item>>,
        ) -> Result<HttpResponse, Failure> {
            let mut db = floor.database.main.begin().await?;
            let id = number("role", &id)?;
            let permissions = scoped::$operation(&mut db, &caller, id, &asked, $how, floor.now()).await?;
            db.commit().await?;
            callers.forget();
            Ok(answer::json(&permissions))
        }
    };
}

read_part!(global, list_global);
change_part!(add_global, change_global, AreaPermission, Change::Add);
change_part!(replace_global, change_global, AreaPermission, Change::Replace);
read_part!(containers, list_containers);
change_part!(add_containers, change_containers, ContainerPermission, Change::Add);
change_part!(replace_containers, change_containers, ContainerPermission, Change::Replace);
read_part!(collections, list_collections);
change_part!(add_collections, change_collections, CollectionPermission, Change::Add);
change_part!(replace_collections, change_collections, CollectionPermission, Change::Replace);
