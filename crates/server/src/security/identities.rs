//! Identities: the users of this server as the contract's version 1 shows them (operator contract, chapter 9.4).
//!
//! An identity is a claim of the provider `Local`. It may be made, and given roles, before a user of that name has
//! a password here.

use chrono::{DateTime, Utc};
use sealift_protocol::operator::roles::{
    AccountReference, ClaimType, GrantedPermission, Identity, IdentityPermissions, Lookup,
};
use sqlx::PgConnection;

use super::audit::{self, Line, Operation};
use super::claims;
use super::error::Error;
use super::permission::{self, AREAS, ON_COLLECTIONS, ON_CONTAINERS, covers, split_narrowed};
use super::principal::Principal;
use super::queries::claims::{self as queries, ClaimRow, HeldRole, IdentityRow, LOCAL};
use super::queries::lock;
use super::{administrator, roles, users};
use crate::http::Failure;
use crate::http::filter_sql::Asker;
use crate::http::list::ListQuery;

/// One page of identities with their roles, and how many match. Whether each can log in is told unless
/// `Validate=false`.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<Identity>, i64), Failure> {
    caller.require(permission::SECURITY_READ)?;
    let (rows, total) = queries::list_identities(db, list, &Asker { name: caller.name(), now }).await?;
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let held = queries::roles_of(db, &ids).await?;
    let validate = list.parameter("Validate").is_none() || list.flag("Validate");
    let identities = rows.into_iter().map(|row| {
        let own: Vec<_> = held.iter().filter(|role| role.claim_id == row.id).collect();
        answered(row, &own, validate)
    });
    Ok((identities.collect(), total))
}

/// What an identity may do, and by which roles.
pub(super) async fn get(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
) -> Result<IdentityPermissions, Failure> {
    caller.require(permission::SECURITY_READ)?;
    let row = found(db, id).await?;
    let held = queries::roles_of(db, &[id]).await?;
    let held: Vec<_> = held.into_iter().filter(|role| role.enabled).collect();
    let scoped: Vec<i64> = held
        .iter()
        .flat_map(|role| &role.permissions)
        .filter_map(|path| split_narrowed(path).map(|(_, _, id)| id))
        .collect();
    let containers = queries::containers(db, &scoped).await?;
    let collections = queries::collections(db, &scoped).await?;
    let global =
        AREAS.iter().map(|(area, permission, path)| (format!("{area}:{permission}"), (*path).to_owned()));
    Ok(IdentityPermissions {
        identity: row.claim_value,
        secured_area_permissions: granted(&held, global),
        collection_permissions: granted(&held, on(&collections, ON_COLLECTIONS)),
        container_permissions: granted(&held, on(&containers, ON_CONTAINERS)),
    })
}

/// Whether somebody can log in here by a name.
pub(super) async fn lookup(
    db: &mut PgConnection,
    caller: &Principal,
    name: Option<&str>,
) -> Result<Lookup, Failure> {
    caller.require(permission::SECURITY_READ)?;
    let name = name.ok_or_else(|| Failure::invalid("accountName is missing"))?;
    match name.contains('\0') {
        true => Ok(Lookup { valid: false }),
        false => Ok(Lookup { valid: queries::can_log_in(db, name.trim()).await? }),
    }
}

/// Makes an identity, which has no role yet.
pub(super) async fn create(
    db: &mut PgConnection,
    caller: &Principal,
    request: AccountReference,
    now: DateTime<Utc>,
) -> Result<Identity, Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    if request.account_name.is_none() {
        return Err(Failure::invalid("AccountName is missing"));
    }
    let name = users::user_name(request.account_name)
        .map_err(|error| Failure::invalid(format!("AccountName: {error}")))?;
    lock(db).await?;
    let (id, made) = claims::of_user(db, &name, now).await?;
    if !made {
        return Err(Error::Taken { name, by: "another identity" }.into());
    }
    let message = format!("Identity '{name}' was created");
    audit::record(db, &[Line::new(caller, Operation::Created, "Claim", id, message)], now).await?;
    Ok(answered(IdentityRow { id, name, logs_in: false }, &[], true))
}

/// Deletes an identity with the roles given to it; not one by which a user logs in.
pub(super) async fn delete(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    lock(db).await?;
    let row = found(db, id).await?;
    if let Some(user) = queries::user_of_claim(db, id).await? {
        let what = format!("identity '{}'", row.claim_value);
        let by = format!("user '{user}', who logs in by it; DELETE /Security/Users removes both");
        return Err(Error::InUse { what, by }.into());
    }
    roles::require_held(caller, &roles::members::granted_by(db, id).await?)?;
    queries::delete_claim(db, id).await?;
    administrator::require_one(db, &format!("deleting identity '{}'", row.claim_value)).await?;
    let message = format!("Identity '{}' was deleted", row.claim_value);
    audit::record(db, &[Line::new(caller, Operation::Deleted, "Claim", id, message)], now).await?;
    Ok(())
}

async fn found(db: &mut PgConnection, id: i64) -> Result<ClaimRow, Error> {
    let row = queries::claim(db, id).await?.filter(|row| row.provider_id == LOCAL);
    row.ok_or_else(|| Error::NotFound(format!("identity {id}")))
}

fn answered(row: IdentityRow, roles: &[&HeldRole], validate: bool) -> Identity {
    Identity {
        id: row.id,
        account_name: row.name,
        identity_type: ClaimType::User.name().to_owned(),
        roles: roles.iter().map(|role| roles::abbreviated(role)).collect(),
        valid: validate.then_some(row.logs_in),
        sid: None,
    }
}

/// Each permission on each thing: how it is shown, and its path.
fn on<'a>(
    things: &'a [(i64, String)],
    table: &'a [(&'static str, &'static str)],
) -> impl Iterator<Item = (String, String)> + 'a {
    things.iter().flat_map(move |(id, name)| {
        let one = move |(permission, path): &(&str, &str)| {
            (format!("{name}:{permission}"), permission::narrowed(path, *id))
        };
        table.iter().map(one)
    })
}

/// Those that a role grants, with the names of the roles. Of what is narrowed only what was narrowed: a permission
/// that holds everywhere is among those that do.
fn granted(roles: &[HeldRole], asked: impl Iterator<Item = (String, String)>) -> Vec<GrantedPermission> {
    let permissions = asked.filter_map(|(permission, path)| {
        let grants = |role: &HeldRole| match split_narrowed(&path) {
            Some(_) => role.permissions.contains(&path),
            None => role.permissions.iter().any(|grant| covers(grant, &path)),
        };
        let granted_by_roles: Vec<_> =
            roles.iter().filter(|role| grants(role)).map(|role| role.name.clone()).collect();
        (!granted_by_roles.is_empty()).then_some(GrantedPermission { permission, granted_by_roles })
    });
    permissions.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_name_the_roles_that_grant_them() {
        let role = |name: &str, permissions: &[&str]| HeldRole {
            claim_id: 1,
            id: 1,
            name: name.to_owned(),
            description: String::new(),
            enabled: true,
            permission_set_id: uuid::Uuid::nil(),
            permissions: permissions.iter().map(|path| (*path).to_owned()).collect(),
        };
        let roles = [
            role("Readers", &["/agents/"]),
            role("Farm", &["/certificate_stores/read/3/", "/agents/management/"]),
        ];
        let global = AREAS.iter().map(|(area, name, path)| (format!("{area}:{name}"), (*path).to_owned()));
        let shown = granted(&roles, global);
        let both = shown.iter().find(|one| one.permission == "AgentManagement:Read").unwrap();
        assert_eq!(both.granted_by_roles, ["Readers", "Farm"]);
        assert!(shown.iter().all(|one| !one.permission.starts_with("CertificateStore")));
        let shown = granted(&roles, on(&[(3, "East".to_owned()), (4, "West".to_owned())], ON_CONTAINERS));
        assert_eq!(shown.len(), 1);
        assert_eq!((shown[0].permission.as_str(), &shown[0].granted_by_roles[0][..]), ("East:Read", "Farm"));
    }
}
