//! Roles: named sets of permissions, and the rule that nobody gives or takes away what it does not have.
//!
//! Both versions of the contract speak of the same roles. Version 1 shows permissions in the older spelling where
//! they have one, and the users that have the role; version 2 shows paths, and every claim that leads to the role.

mod answer;
pub(super) mod members;
pub(super) mod scoped;

use chrono::{DateTime, Utc};
use sealift_protocol::operator::roles::{AnyRole, CopyRole, Named, RoleMembers, WriteRole};
use sqlx::PgConnection;

use super::audit::{self, Line, Operation};
use super::error::Error;
use super::principal::Principal;
use super::queries::roles::{self as queries, RoleRow};
use super::queries::{claims, lock, retire_tokens};
use super::{administrator, permission, permission_sets, text};
use crate::http::Failure;
use crate::http::filter_sql::Asker;
use crate::http::list::ListQuery;
use crate::http::problem::shortened;
use crate::http::version::Version;

pub(super) use answer::abbreviated;

/// Characters of a role's name.
const MAX_NAME: usize = 100;
/// Characters of its description.
const MAX_DESCRIPTION: usize = 1_000;
/// Characters of its address.
const MAX_ADDRESS: usize = 320;
/// Permissions of one role.
pub(super) const MAX_PERMISSIONS: usize = 1_000;
/// Roles that one call may name.
const MAX_ROLES: usize = 100;

/// One page of roles, and how many match.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
    version: Version,
    now: DateTime<Utc>,
) -> Result<(Vec<AnyRole>, i64), Failure> {
    caller.require(permission::SECURITY_READ)?;
    let (rows, total) = queries::list_roles(db, list, &Asker { name: caller.name(), now }).await?;
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let mut members = claims::members(db, &ids).await?;
    let validate = list.flag("Validate");
    let answered = rows.into_iter().map(|row| {
        let (own, rest) = std::mem::take(&mut members).into_iter().partition(|one| one.role_id == row.id);
        members = rest;
        answer::role(row, own, version, validate)
    });
    Ok((answered.collect(), total))
}

/// One role.
pub(super) async fn get(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    version: Version,
    validate: bool,
) -> Result<AnyRole, Failure> {
    caller.require(permission::SECURITY_READ)?;
    let role = found(db, id).await?;
    Ok(answered(db, role, version, validate).await?)
}

/// Makes a role, with permissions that the caller has itself.
pub(super) async fn create(
    db: &mut PgConnection,
    caller: &Principal,
    request: WriteRole,
    version: Version,
    now: DateTime<Utc>,
) -> Result<AnyRole, Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    lock(db).await?;
    let blank = RoleRow {
        id: 0,
        name: String::new(),
        description: String::new(),
        email_address: None,
        immutable: false,
        enabled: true,
        private: false,
        permission_set_id: super::queries::permission_sets::GLOBAL,
        permissions: Vec::new(),
    };
    let mut role = drafted(&blank, &request, version)?;
    require_held(caller, &role.permissions)?;
    permission_sets::require_within(db, &role).await?;
    let id = queries::insert_role(db, &role, now).await?;
    role.id = id.ok_or_else(|| Error::Taken { name: role.name.clone(), by: "another role" })?;
    members::replace(db, &role, &request, version, now).await?;
    let message = format!("Role '{}' was created with {}", role.name, role.permissions.join(", "));
    audit::record(db, &[Line::new(caller, Operation::Created, "Role", role.id, message)], now).await?;
    Ok(answered(db, role, version, false).await?)
}

/// Changes a role that holds nothing that the caller does not, neither before nor after.
pub(super) async fn update(
    db: &mut PgConnection,
    caller: &Principal,
    request: WriteRole,
    version: Version,
    now: DateTime<Utc>,
) -> Result<AnyRole, Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    let id = request.id.ok_or_else(|| Failure::invalid("Id is missing"))?;
    lock(db).await?;
    let old = found(db, id).await?;
    require_held(caller, &old.permissions)?;
    let role = drafted(&old, &request, version)?;
    if old.immutable && old != role {
        return Err(Error::BuiltIn(old.name).into());
    }
    require_held(caller, &role.permissions)?;
    permission_sets::require_within(db, &role).await?;
    if queries::role_name_taken(db, &role.name, id).await? {
        return Err(Error::Taken { name: role.name, by: "another role" }.into());
    }
    queries::update_role(db, &role).await?;
    members::replace(db, &role, &request, version, now).await?;
    administrator::require_one(db, &format!("this change of role '{}'", role.name)).await?;
    let message = format!("Role '{}' was changed; it has {}", role.name, role.permissions.join(", "));
    audit::record(db, &[Line::new(caller, Operation::Updated, "Role", id, message)], now).await?;
    Ok(answered(db, role, version, false).await?)
}

/// Makes a role with the permissions of another, given to nobody: whom it is for is another decision.
pub(super) async fn copy(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    request: CopyRole,
    version: Version,
    now: DateTime<Utc>,
) -> Result<AnyRole, Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    lock(db).await?;
    let original = found(db, id).await?;
    require_held(caller, &original.permissions)?;
    let name = text::name("Name", request.name, MAX_NAME)?;
    let description = request.description.unwrap_or_else(|| original.description.clone());
    let description = text::line("Description", description, MAX_DESCRIPTION)?;
    let mut role = RoleRow { name, description, immutable: false, ..original.clone() };
    let made = queries::insert_role(db, &role, now).await?;
    role.id = made.ok_or_else(|| Error::Taken { name: role.name.clone(), by: "another role" })?;
    let message = format!("Role '{}' was created as a copy of '{}'", role.name, original.name);
    audit::record(db, &[Line::new(caller, Operation::Created, "Role", role.id, message)], now).await?;
    Ok(answered(db, role, version, false).await?)
}

/// Deletes a role that no user and no living token has. Claims of identity providers and users without a password
/// lose it with it: they are members of the role, and lists of its own body.
pub(super) async fn delete(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    lock(db).await?;
    let role = found(db, id).await?;
    if role.immutable {
        return Err(Error::BuiltIn(role.name).into());
    }
    require_held(caller, &role.permissions)?;
    retire_tokens(db, now).await?;
    let holders = queries::holders(db, id).await?;
    if !holders.is_empty() {
        let names: Vec<_> = holders.iter().map(|one| format!("{} '{}'", one.kind, one.name)).collect();
        return Err(Error::InUse { what: format!("role '{}'", role.name), by: names.join(", ") }.into());
    }
    queries::delete_role(db, id).await?;
    let message = format!("Role '{}' was deleted", role.name);
    audit::record(db, &[Line::new(caller, Operation::Deleted, "Role", id, message)], now).await?;
    Ok(())
}

/// The users that have a role.
pub(super) async fn identities(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
) -> Result<Vec<Named>, Failure> {
    caller.require(permission::SECURITY_READ)?;
    found(db, id).await?;
    Ok(members::named(db, id).await?)
}

/// Gives a role to exactly these users; claims of identity providers keep it.
pub(super) async fn set_identities(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    request: RoleMembers,
    now: DateTime<Utc>,
) -> Result<Vec<Named>, Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    let ids = request
        .ids
        .ok_or_else(|| Failure::invalid("Ids is missing; an empty list takes the role from all"))?;
    lock(db).await?;
    let role = found(db, id).await?;
    require_held(caller, &role.permissions)?;
    members::replace_identities(db, &role, &ids).await?;
    administrator::require_one(db, &format!("this change of who has role '{}'", role.name)).await?;
    let named = members::named(db, id).await?;
    let names: Vec<_> = named.iter().map(|one| one.name.as_str()).collect();
    let message = format!("Role '{}' was given to the users: {}", role.name, names.join(", "));
    audit::record(db, &[Line::new(caller, Operation::Updated, "Role", id, message)], now).await?;
    Ok(named)
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

/// Reads permission strings: each once, in canonical form and order.
pub(super) fn permissions(texts: &[String]) -> Result<Vec<String>, Error> {
    if texts.len() > MAX_PERMISSIONS {
        return Err(Error::Invalid(format!("Permissions must have at most {MAX_PERMISSIONS} elements")));
    }
    let mut paths = texts.iter().map(|text| permission::parse(text)).collect::<Result<Vec<_>, _>>()?;
    paths.sort_unstable();
    paths.dedup();
    Ok(paths)
}

/// A role that must exist.
pub(super) async fn found(db: &mut PgConnection, id: i64) -> Result<RoleRow, Error> {
    queries::role(db, id).await?.ok_or_else(|| Error::NotFound(format!("role {id}")))
}

async fn answered(
    db: &mut PgConnection,
    role: RoleRow,
    version: Version,
    validate: bool,
) -> Result<AnyRole, Error> {
    let members = claims::members(db, &[role.id]).await?;
    Ok(answer::role(role, members, version, validate))
}

/// The role that a request asks for. What version 1 does not know stays as it was; so do lists that are absent.
fn drafted(old: &RoleRow, request: &WriteRole, version: Version) -> Result<RoleRow, Error> {
    let name = text::name("Name", request.name.clone(), MAX_NAME)?;
    let description =
        text::line("Description", request.description.clone().unwrap_or_default(), MAX_DESCRIPTION)?;
    let permissions = match &request.permissions {
        Some(texts) => permissions(texts)?,
        None => old.permissions.clone(),
    };
    let permission_set_id = match (request.permission_set_id, version) {
        (Some(id), _) => id,
        (None, Version::One) => old.permission_set_id,
        (None, Version::Two) => {
            return Err(Error::Invalid(
                "PermissionSetId is missing; GET /PermissionSets lists them".to_owned(),
            ));
        }
    };
    let (email_address, enabled, private) = match version {
        Version::One => (
            old.email_address.clone(),
            request.enabled.unwrap_or(old.enabled),
            request.private.unwrap_or(old.private),
        ),
        Version::Two => {
            let given = request.email_address.clone();
            let address = given.map(|text| text::line("EmailAddress", text, MAX_ADDRESS)).transpose()?;
            (address, old.enabled, old.private)
        }
    };
    Ok(RoleRow {
        name,
        description,
        email_address,
        enabled,
        private,
        permission_set_id,
        permissions,
        id: old.id,
        immutable: old.immutable,
    })
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
        assert!(permissions(&[]).unwrap().is_empty());
        assert!(permissions(&vec!["/".to_owned(); MAX_PERMISSIONS + 1]).is_err());
    }

    #[test]
    fn what_a_version_does_not_speak_of_stays() {
        let old = RoleRow {
            id: 7,
            name: "Readers".to_owned(),
            description: "Read".to_owned(),
            email_address: Some("ops@example.test".to_owned()),
            immutable: false,
            enabled: false,
            private: true,
            permission_set_id: uuid::Uuid::nil(),
            permissions: vec![permission::AGENTS_READ.to_owned()],
        };
        let named = WriteRole { name: Some("Readers".to_owned()), ..WriteRole::default() };
        let one = drafted(&old, &named, Version::One).unwrap();
        assert_eq!((one.enabled, one.private, &one.email_address), (false, true, &old.email_address));
        assert_eq!((one.permissions.len(), one.description.as_str()), (1, ""));
        assert!(drafted(&old, &named, Version::Two).unwrap_err().to_string().starts_with("PermissionSetId"));
        let two =
            WriteRole { permission_set_id: Some(uuid::Uuid::nil()), permissions: Some(Vec::new()), ..named };
        let two = drafted(&old, &two, Version::Two).unwrap();
        assert_eq!((two.email_address, two.permissions.len(), two.private), (None, 0, true));
    }
}
