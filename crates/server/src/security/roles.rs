//! Roles: named sets of permissions, and the rule that nobody gives or takes away what it does not have.

use chrono::{DateTime, Utc};
use sealift_protocol::operator::security::{CreateRole, Role};
use sqlx::PgConnection;

use super::audit::{self, Line, Operation};
use super::error::Error;
use super::principal::Principal;
use super::queries::{self, RoleRow};
use super::{permission, text};
use crate::http::Failure;
use crate::http::filter_sql::Asker;
use crate::http::list::ListQuery;
use crate::http::problem::shortened;

/// Characters of a role's name.
const MAX_NAME: usize = 100;
/// Characters of its description.
const MAX_DESCRIPTION: usize = 1_000;
/// Permissions of one role.
const MAX_PERMISSIONS: usize = 1_000;
/// Roles that one call may name.
const MAX_ROLES: usize = 100;

impl From<RoleRow> for Role {
    fn from(row: RoleRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            description: row.description,
            immutable: row.immutable,
            permissions: row.permissions,
        }
    }
}

/// One page of roles, and how many match.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<Role>, i64), Failure> {
    caller.require(permission::SECURITY_READ)?;
    let (rows, total) = queries::list_roles(db, list, &Asker { name: caller.name(), now }).await?;
    Ok((rows.into_iter().map(Role::from).collect(), total))
}

/// One role.
pub(super) async fn get(db: &mut PgConnection, caller: &Principal, id: i64) -> Result<Role, Failure> {
    caller.require(permission::SECURITY_READ)?;
    let row = queries::role(db, id).await?;
    Ok(row.ok_or_else(|| not_found(id))?.into())
}

/// Makes a role, with permissions that the caller has itself.
pub(super) async fn create(
    db: &mut PgConnection,
    caller: &Principal,
    request: CreateRole,
    now: DateTime<Utc>,
) -> Result<Role, Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    let name = text::name("Name", request.name, MAX_NAME)?;
    let description = text::line("Description", request.description.unwrap_or_default(), MAX_DESCRIPTION)?;
    let permissions = permissions(&request.permissions)?;
    require_held(caller, &permissions)?;
    queries::lock(db).await?;
    let id = queries::insert_role(db, &name, &description, &permissions, now).await?;
    let id = id.ok_or_else(|| Error::Taken { name: name.clone(), by: "another role" })?;
    let message = format!("Role '{name}' was created with {}", permissions.join(", "));
    audit::record(db, &[Line::new(caller, Operation::Created, "Role", id, message)], now).await?;
    Ok(Role { id, name, description, immutable: false, permissions })
}

/// Deletes a role that nobody has.
pub(super) async fn delete(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    queries::lock(db).await?;
    let role = queries::role(db, id).await?.ok_or_else(|| not_found(id))?;
    if role.immutable {
        return Err(Error::BuiltIn(role.name).into());
    }
    require_held(caller, &role.permissions)?;
    queries::retire_tokens(db, now).await?;
    if !queries::delete_role(db, id).await? {
        return Err(Error::InUse(role.name).into());
    }
    let message = format!("Role '{}' was deleted", role.name);
    audit::record(db, &[Line::new(caller, Operation::Deleted, "Role", id, message)], now).await?;
    Ok(())
}

/// The roles of these names, all of which must exist and hold nothing that the caller does not.
pub(super) async fn grantable(
    db: &mut PgConnection,
    caller: &Principal,
    names: &[String],
) -> Result<Vec<RoleRow>, Error> {
    if names.is_empty() || names.len() > MAX_ROLES {
        return Err(Error::Invalid(format!("Roles must name 1 to {MAX_ROLES} roles")));
    }
    if let Some(name) = names.iter().find(|name| name.contains('\0')) {
        return Err(Error::UnknownRole(shortened(&name.replace('\0', " "))));
    }
    let roles = queries::roles_by_name(db, names).await?;
    let known = |name: &str| roles.iter().any(|role| role.name.to_lowercase() == name.to_lowercase());
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        return Err(Error::UnknownRole(shortened(unknown)));
    }
    for role in &roles {
        require_held(caller, &role.permissions)?;
    }
    Ok(roles)
}

/// Refuses a caller that does not have every one of these permissions itself.
pub(super) fn require_held(caller: &Principal, permissions: &[String]) -> Result<(), Error> {
    match permissions.iter().find(|permission| !caller.permits(permission)) {
        None => Ok(()),
        Some(missing) => {
            Err(Error::NotHeld { caller: caller.name().to_owned(), permission: missing.clone() })
        }
    }
}

fn permissions(texts: &[String]) -> Result<Vec<String>, Error> {
    if texts.is_empty() || texts.len() > MAX_PERMISSIONS {
        return Err(Error::Invalid(format!("Permissions must have 1 to {MAX_PERMISSIONS} elements")));
    }
    let mut paths = texts.iter().map(|text| permission::parse(text)).collect::<Result<Vec<_>, _>>()?;
    paths.sort_unstable();
    paths.dedup();
    Ok(paths)
}

fn not_found(id: i64) -> Error {
    Error::NotFound(format!("role {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_grants_what_it_does_not_have() {
        let grants = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let caller = Principal::new(
            "ann".to_owned(),
            Vec::new(),
            grants(&["/security/", "/certificate_stores/read/31/"]),
        );
        require_held(&caller, &grants(&["/security/read/", "/certificate_stores/read/31/"])).unwrap();
        for wider in [
            "/",
            "/certificate_stores/",
            "/certificate_stores/read/",
            "/certificate_stores/read/3/",
            "/agents/",
        ] {
            let refusal = require_held(&caller, &grants(&["/security/read/", wider])).unwrap_err();
            assert!(matches!(refusal, Error::NotHeld { permission, .. } if permission == wider));
        }
    }

    #[test]
    fn permissions_are_kept_once_and_bounded() {
        let texts = ["AgentManagement:Read".to_owned(), "/agents/management/read".to_owned()];
        assert_eq!(permissions(&texts).unwrap(), [permission::AGENTS_READ]);
        assert!(permissions(&[]).is_err());
        assert!(permissions(&vec!["/".to_owned(); MAX_PERMISSIONS + 1]).is_err());
    }
}
