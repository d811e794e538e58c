//! Permission sets: what the roles of a set may grant at most.

use chrono::{DateTime, Utc};
use sealift_protocol::operator::roles::{PermissionSet, WritePermissionSet};
use sqlx::PgConnection;
use uuid::Uuid;

use super::audit::{self, Line, Operation};
use super::error::Error;
use super::permission::covers;
use super::principal::Principal;
use super::queries::lock;
use super::queries::permission_sets::{self as queries, SetRow};
use super::queries::roles::RoleRow;
use super::{permission, roles, text};
use crate::http::Failure;
use crate::http::filter_sql::Asker;
use crate::http::list::ListQuery;

/// Characters of a set's name.
const MAX_NAME: usize = 100;

impl From<SetRow> for PermissionSet {
    fn from(row: SetRow) -> Self {
        Self { id: row.id, name: row.name, permissions: row.permissions }
    }
}

/// One page of sets, and how many match.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<PermissionSet>, i64), Failure> {
    caller.require(permission::SECURITY_READ)?;
    let (rows, total) = queries::list_sets(db, list, &Asker { name: caller.name(), now }).await?;
    Ok((rows.into_iter().map(PermissionSet::from).collect(), total))
}

/// The sets to which the caller's roles belong.
pub(super) async fn mine(db: &mut PgConnection, caller: &Principal) -> Result<Vec<PermissionSet>, Failure> {
    let rows = queries::sets_of_roles(db, caller.roles()).await?;
    Ok(rows.into_iter().map(PermissionSet::from).collect())
}

/// One set.
pub(super) async fn get(
    db: &mut PgConnection,
    caller: &Principal,
    id: Uuid,
) -> Result<PermissionSet, Failure> {
    caller.require(permission::SECURITY_READ)?;
    Ok(found(db, id).await?.into())
}

/// Makes a set, within what the caller has itself.
pub(super) async fn create(
    db: &mut PgConnection,
    caller: &Principal,
    request: WritePermissionSet,
    now: DateTime<Utc>,
) -> Result<PermissionSet, Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    let name = text::name("Name", request.name, MAX_NAME)?;
    let permissions = asked(request.permissions.as_deref())?;
    roles::require_held(caller, &permissions)?;
    lock(db).await?;
    let set = SetRow { id: Uuid::now_v7(), name, built_in: false, permissions };
    require_free(db, &set).await?;
    queries::insert_set(db, &set, now).await?;
    let message = format!("Permission set '{}' was created with {}", set.name, set.permissions.join(", "));
    let line = Line::new(caller, Operation::Created, "PermissionSet", set.id, message);
    audit::record(db, &[line], now).await?;
    Ok(set.into())
}

/// Changes a set. It cannot become narrower than what a role of it grants.
pub(super) async fn update(
    db: &mut PgConnection,
    caller: &Principal,
    request: WritePermissionSet,
    now: DateTime<Utc>,
) -> Result<PermissionSet, Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    let id = request.id.ok_or_else(|| Failure::invalid("Id is missing"))?;
    let permissions = asked(request.permissions.as_deref())?;
    lock(db).await?;
    let old = found(db, id).await?;
    if old.built_in {
        return Err(Error::BuiltIn(old.name).into());
    }
    roles::require_held(caller, &old.permissions)?;
    roles::require_held(caller, &permissions)?;
    let name = match request.name {
        Some(name) => text::name("Name", Some(name), MAX_NAME)?,
        None => old.name,
    };
    let set = SetRow { id, name, built_in: false, permissions };
    require_free(db, &set).await?;
    for role in queries::roles_of_set(db, id).await? {
        if let Some(outside) = outside(&set, &role.permissions) {
            let what = format!("{outside} of permission set '{}'", set.name);
            return Err(Error::InUse { what, by: format!("role '{}'", role.name) }.into());
        }
    }
    queries::update_set(db, &set).await?;
    let message = format!("Permission set '{}' was changed; it has {}", set.name, set.permissions.join(", "));
    audit::record(db, &[Line::new(caller, Operation::Updated, "PermissionSet", id, message)], now).await?;
    Ok(set.into())
}

/// Deletes a set that has no roles.
pub(super) async fn delete(
    db: &mut PgConnection,
    caller: &Principal,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    lock(db).await?;
    let set = found(db, id).await?;
    if set.built_in {
        return Err(Error::BuiltIn(set.name).into());
    }
    roles::require_held(caller, &set.permissions)?;
    let held: Vec<_> = queries::roles_of_set(db, id).await?;
    if !held.is_empty() {
        let names: Vec<_> = held.iter().take(10).map(|role| format!("role '{}'", role.name)).collect();
        let what = format!("permission set '{}'", set.name);
        return Err(Error::InUse { what, by: names.join(", ") }.into());
    }
    queries::delete_set(db, id).await?;
    let message = format!("Permission set '{}' was deleted", set.name);
    audit::record(db, &[Line::new(caller, Operation::Deleted, "PermissionSet", id, message)], now).await?;
    Ok(())
}

/// Refuses a role that grants more than its set allows, or whose set does not exist.
pub(super) async fn require_within(db: &mut PgConnection, role: &RoleRow) -> Result<(), Error> {
    let set = queries::set(db, role.permission_set_id).await?.ok_or_else(|| {
        Error::Invalid(format!("PermissionSetId: permission set {} was not found", role.permission_set_id))
    })?;
    match outside(&set, &role.permissions) {
        None => Ok(()),
        Some(outside) => Err(Error::OutsideSet { permission: outside.to_owned(), set: set.name }),
    }
}

/// The first permission that a set does not allow.
fn outside<'a>(set: &SetRow, permissions: &'a [String]) -> Option<&'a str> {
    let allowed = |path: &str| set.permissions.iter().any(|allowed| covers(allowed, path));
    permissions.iter().map(String::as_str).find(|path| !allowed(path))
}

fn asked(texts: Option<&[String]>) -> Result<Vec<String>, Error> {
    let texts = texts.ok_or_else(|| Error::Invalid("Permissions is missing".to_owned()))?;
    roles::permissions(texts)
}

async fn require_free(db: &mut PgConnection, set: &SetRow) -> Result<(), Error> {
    match queries::set_name_taken(db, &set.name, set.id).await? {
        true => Err(Error::Taken { name: set.name.clone(), by: "another permission set" }),
        false => Ok(()),
    }
}

async fn found(db: &mut PgConnection, id: Uuid) -> Result<SetRow, Error> {
    queries::set(db, id).await?.ok_or_else(|| Error::NotFound(format!("permission set {id}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_bounds_what_is_below_it() {
        let texts = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        let set = SetRow {
            id: Uuid::nil(),
            name: "Web farm".to_owned(),
            built_in: false,
            permissions: texts(&["/agents/", "/certificate_stores/read/3/"]),
        };
        assert_eq!(outside(&set, &texts(&["/agents/management/read/", "/certificate_stores/read/3/"])), None);
        for wide in ["/", "/certificate_stores/read/", "/certificate_stores/read/31/", "/security/read/"] {
            assert_eq!(outside(&set, &texts(&["/agents/", wide])), Some(wide));
        }
    }
}
