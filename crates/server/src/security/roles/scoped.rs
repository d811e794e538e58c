//! The permissions of a role by where they hold: everywhere, on containers, on collections (operator contract,
//! chapter 9.2), and the roles of one container (chapter 9.4).
//!
//! A role keeps one set of paths. The lists here are views of parts of it: `POST` adds to a part, `PUT` replaces it,
//! and the rest of the role stays.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sealift_protocol::operator::roles::{
    CollectionPermission, ContainerPermission, ContainerRole, RolePermission,
};
use sealift_protocol::operator::security::AreaPermission;
use sqlx::PgConnection;

use super::{MAX_PERMISSIONS, MAX_ROLES, found, require_held};
use crate::http::Failure;
use crate::http::problem::shortened;
use crate::security::audit::{self, Line, Operation};
use crate::security::error::Error;
use crate::security::permission::{
    self, AREAS, ON_COLLECTIONS, ON_CONTAINERS, STORES_MODIFY, STORES_READ, STORES_SCHEDULE, Scope, covers,
    narrowed, split_narrowed,
};
use crate::security::principal::Principal;
use crate::security::queries::roles::{RoleRow, roles_by_id, roles_holding, update_permissions};
use crate::security::queries::{claims as names, lock};
use crate::security::{administrator, permission_sets};

/// How a list changes a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::security) enum Change {
    /// What is listed comes to what is there.
    Add,
    /// What is listed takes the place of what is there.
    Replace,
}

/// Every permission of a role, with where it holds.
pub(in crate::security) async fn all(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
) -> Result<Vec<RolePermission>, Failure> {
    caller.require(permission::SECURITY_READ)?;
    let role = found(db, id).await?;
    let kind = |kind: &str, area: String, permission: String| RolePermission {
        kind: kind.to_owned(),
        area,
        permission,
    };
    let mut permissions: Vec<_> =
        global(&role).into_iter().map(|one| kind("Global", one.area, one.permission)).collect();
    let on_containers = named_containers(db, &role).await?;
    permissions.extend(on_containers.into_iter().map(|(_, name, what)| kind("Container", name, what)));
    let on_collections = named_collections(db, &role).await?;
    permissions.extend(on_collections.into_iter().map(|(_, name, what)| kind("Collection", name, what)));
    Ok(permissions)
}

/// What a role may do everywhere, in the older spelling.
pub(in crate::security) async fn list_global(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
) -> Result<Vec<AreaPermission>, Failure> {
    caller.require(permission::SECURITY_READ)?;
    Ok(global(&found(db, id).await?))
}

/// What a role may do with containers.
pub(in crate::security) async fn list_containers(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
) -> Result<Vec<ContainerPermission>, Failure> {
    caller.require(permission::SECURITY_READ)?;
    let role = found(db, id).await?;
    Ok(containers_answered(named_containers(db, &role).await?))
}

/// What a role may do with collections.
pub(in crate::security) async fn list_collections(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
) -> Result<Vec<CollectionPermission>, Failure> {
    caller.require(permission::SECURITY_READ)?;
    let role = found(db, id).await?;
    Ok(collections_answered(named_collections(db, &role).await?))
}

/// Changes what a role may do everywhere. Permissions that have no older spelling stay: the caller cannot list them.
pub(in crate::security) async fn change_global(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    asked: &[AreaPermission],
    change: Change,
    now: DateTime<Utc>,
) -> Result<Vec<AreaPermission>, Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    bounded(asked.len())?;
    let paths = asked
        .iter()
        .map(|one| permission::parse(&format!("{}:{}", one.area, one.permission)))
        .collect::<Result<Vec<_>, _>>()?;
    let part = |path: &str| split_narrowed(path).is_none() && !permission::has_no_area(path);
    let role = rewrite(db, caller, id, &paths, change, part, now).await?;
    Ok(global(&role))
}

/// Changes what a role may do with containers, all of which must exist.
pub(in crate::security) async fn change_containers(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    asked: &[ContainerPermission],
    change: Change,
    now: DateTime<Utc>,
) -> Result<Vec<ContainerPermission>, Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    bounded(asked.len())?;
    let mut paths = Vec::with_capacity(asked.len());
    for one in asked {
        let container =
            one.container_id.ok_or_else(|| Error::Invalid("ContainerId is missing".to_owned()))?;
        paths.push(narrowed(known(ON_CONTAINERS, one.permission.as_deref())?, container));
    }
    require_containers(db, &asked.iter().filter_map(|one| one.container_id).collect::<Vec<_>>()).await?;
    let part = |path: &str| matches!(split_narrowed(path), Some((_, Scope::Container, _)));
    let role = rewrite(db, caller, id, &paths, change, part, now).await?;
    require_whole(&role, &asked.iter().filter_map(|one| one.container_id).collect::<Vec<_>>())?;
    Ok(containers_answered(named_containers(db, &role).await?))
}

/// Changes what a role may do with collections, all of which must exist.
pub(in crate::security) async fn change_collections(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    asked: &[CollectionPermission],
    change: Change,
    now: DateTime<Utc>,
) -> Result<Vec<CollectionPermission>, Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    bounded(asked.len())?;
    let (mut paths, mut ids) = (Vec::with_capacity(asked.len()), Vec::with_capacity(asked.len()));
    for one in asked {
        let collection =
            one.collection_id.ok_or_else(|| Error::Invalid("CollectionId is missing".to_owned()))?;
        paths.push(narrowed(known(ON_COLLECTIONS, one.permission.as_deref())?, collection));
        ids.push(collection);
    }
    let exist = names::collections(db, &ids).await?;
    if let Some(unknown) = ids.iter().find(|id| !exist.iter().any(|(known, _)| known == *id)) {
        return Err(Error::Invalid(format!("CollectionId: collection {unknown} was not found")).into());
    }
    // What else is narrowed to collections, such as the change of an owner, has no name in this list and stays.
    let part = |path: &str| {
        split_narrowed(path)
            .is_some_and(|(base, _, _)| ON_COLLECTIONS.iter().any(|(_, known)| *known == base))
    };
    let role = rewrite(db, caller, id, &paths, change, part, now).await?;
    Ok(collections_answered(named_collections(db, &role).await?))
}

/// The roles that may do something with one container, as far as they were given it alone.
pub(in crate::security) async fn roles_of_container(
    db: &mut PgConnection,
    caller: &Principal,
    container: i64,
) -> Result<Vec<ContainerRole>, Failure> {
    caller.require(permission::SECURITY_READ)?;
    if names::containers(db, &[container]).await?.is_empty() {
        return Err(Error::NotFound(format!("container {container}")).into());
    }
    let paths: Vec<_> = ON_CONTAINERS.iter().map(|(_, path)| narrowed(path, container)).collect();
    let roles = roles_holding(db, &paths).await?;
    Ok(roles.iter().map(|role| container_role(role, container)).collect())
}

/// Sets what each listed role may do with one container; roles that are not listed keep what they have.
pub(in crate::security) async fn change_roles_of_container(
    db: &mut PgConnection,
    caller: &Principal,
    container: i64,
    asked: &[ContainerRole],
    now: DateTime<Utc>,
) -> Result<Vec<ContainerRole>, Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    if asked.len() > MAX_ROLES {
        return Err(Failure::invalid(format!("at most {MAX_ROLES} roles can be set at a time")));
    }
    lock(db).await?;
    if names::containers(db, &[container]).await?.is_empty() {
        return Err(Error::NotFound(format!("container {container}")).into());
    }
    let mut ids = Vec::with_capacity(asked.len());
    for one in asked {
        ids.push(one.security_role_id.ok_or_else(|| Error::Invalid("SecurityRoleId is missing".to_owned()))?);
    }
    let mut roles = roles_by_id(db, &ids).await?;
    let (mut changed, mut lines) = (Vec::new(), Vec::new());
    for (one, id) in asked.iter().zip(&ids) {
        let position = roles.iter().position(|role| role.id == *id);
        let position = position.ok_or_else(|| {
            Error::Invalid(format!("SecurityRoleId: role {id} was not found, or is listed twice"))
        })?;
        let old = roles.swap_remove(position);
        let texts = one.permissions.as_deref().unwrap_or_default();
        let paths = texts
            .iter()
            .map(|text| known(ON_CONTAINERS, Some(text)).map(|path| narrowed(path, container)))
            .collect::<Result<Vec<_>, _>>()?;
        let part =
            |path: &str| matches!(split_narrowed(path), Some((_, Scope::Container, id)) if id == container);
        let role = rewritten(caller, &old, &paths, Change::Replace, part)?;
        permission_sets::require_within(db, &role).await?;
        require_whole(&role, &[container])?;
        let message = format!("Role '{}' was given {} on container {container}", role.name, texts.join(", "));
        lines.push(Line::new(caller, Operation::Updated, "Role", role.id, shortened(&message)));
        changed.push(role);
    }
    update_permissions(db, &changed).await?;
    audit::record(db, &lines, now).await?;
    roles_of_container(db, caller, container).await
}

/// Puts a part of a role's permissions anew.
async fn rewrite(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    paths: &[String],
    change: Change,
    part: impl Fn(&str) -> bool,
    now: DateTime<Utc>,
) -> Result<RoleRow, Failure> {
    lock(db).await?;
    let old = found(db, id).await?;
    let role = rewritten(caller, &old, paths, change, part)?;
    permission_sets::require_within(db, &role).await?;
    update_permissions(db, std::slice::from_ref(&role)).await?;
    administrator::require_one(db, &format!("this change of role '{}'", role.name)).await?;
    let message = format!("Role '{}' was changed; it has {}", role.name, role.permissions.join(", "));
    audit::record(db, &[Line::new(caller, Operation::Updated, "Role", id, message)], now).await?;
    Ok(role)
}

/// A role with a part of its permissions anew. The caller must have what it gives and what it takes away.
fn rewritten(
    caller: &Principal,
    old: &RoleRow,
    paths: &[String],
    change: Change,
    part: impl Fn(&str) -> bool,
) -> Result<RoleRow, Error> {
    if old.immutable {
        return Err(Error::BuiltIn(old.name.clone()));
    }
    let before: BTreeSet<&str> = old.permissions.iter().map(String::as_str).collect();
    let kept = before.iter().copied().filter(|path| change == Change::Add || !part(path));
    let after: BTreeSet<&str> = kept.chain(paths.iter().map(String::as_str)).collect();
    let differing: Vec<_> = before.symmetric_difference(&after).map(|path| (*path).to_owned()).collect();
    require_held(caller, &differing)?;
    if after.len() > MAX_PERMISSIONS {
        return Err(Error::Invalid(format!("a role can have at most {MAX_PERMISSIONS} permissions")));
    }
    Ok(RoleRow { permissions: after.into_iter().map(str::to_owned).collect(), ..old.clone() })
}

/// Refuses a role that may schedule but not read, or modify but not schedule, on one of these containers.
fn require_whole(role: &RoleRow, containers: &[i64]) -> Result<(), Error> {
    let may = |permission: &str, container: i64| {
        let path = narrowed(permission, container);
        role.permissions.iter().any(|grant| covers(grant, &path))
    };
    for container in containers {
        let lacks = |permission| !may(permission, *container);
        let missing = match () {
            () if may(STORES_MODIFY, *container) && lacks(STORES_SCHEDULE) => ("Modify", "Schedule"),
            () if may(STORES_SCHEDULE, *container) && lacks(STORES_READ) => ("Schedule", "Read"),
            () => continue,
        };
        let (has, needs) = missing;
        return Err(Error::Invalid(format!("Permission: {has} on container {container} needs {needs}, too")));
    }
    Ok(())
}

async fn require_containers(db: &mut PgConnection, ids: &[i64]) -> Result<(), Error> {
    let exist = names::containers(db, ids).await?;
    match ids.iter().find(|id| !exist.iter().any(|(known, _)| known == *id)) {
        Some(unknown) => Err(Error::Invalid(format!("ContainerId: container {unknown} was not found"))),
        None => Ok(()),
    }
}

fn known(table: &[(&str, &'static str)], text: Option<&str>) -> Result<&'static str, Error> {
    let text = text.unwrap_or_default().trim();
    let found = table.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, path)| *path).ok_or_else(|| {
        let names: Vec<_> = table.iter().map(|(name, _)| *name).collect();
        Error::Invalid(format!("Permission: '{}' is none of {}", shortened(text), names.join(", ")))
    })
}

fn bounded(count: usize) -> Result<(), Error> {
    match count <= MAX_PERMISSIONS {
        true => Ok(()),
        false => {
            Err(Error::Invalid(format!("at most {MAX_PERMISSIONS} permissions can be listed at a time")))
        }
    }
}

/// What a role may do everywhere, wide grants spelled out.
fn global(role: &RoleRow) -> Vec<AreaPermission> {
    let held = AREAS.iter().filter(|(_, _, path)| role.permissions.iter().any(|grant| covers(grant, path)));
    let spelled = held.map(|(area, permission, _)| AreaPermission {
        area: (*area).to_owned(),
        permission: (*permission).to_owned(),
    });
    spelled.collect()
}

/// Ids, names and permissions of the things of one kind to which a role's permissions are narrowed.
fn narrowed_to<'a>(
    role: &'a RoleRow,
    table: &'a [(&'static str, &'static str)],
) -> impl Iterator<Item = (i64, &'static str)> + 'a {
    role.permissions.iter().filter_map(|path| {
        let (base, _, id) = split_narrowed(path)?;
        table.iter().find(|(_, known)| *known == base).map(|(name, _)| (id, *name))
    })
}

type NamedPermission = (i64, String, String);

async fn named_containers(db: &mut PgConnection, role: &RoleRow) -> Result<Vec<NamedPermission>, Error> {
    let held: Vec<_> = narrowed_to(role, ON_CONTAINERS).collect();
    let ids: Vec<_> = held.iter().map(|(id, _)| *id).collect();
    Ok(with_names(held, &names::containers(db, &ids).await?))
}

async fn named_collections(db: &mut PgConnection, role: &RoleRow) -> Result<Vec<NamedPermission>, Error> {
    let held: Vec<_> = narrowed_to(role, ON_COLLECTIONS).collect();
    let ids: Vec<_> = held.iter().map(|(id, _)| *id).collect();
    Ok(with_names(held, &names::collections(db, &ids).await?))
}

/// Only what still exists: ids are never used again, so a grant for what is gone grants nothing.
fn with_names(mut held: Vec<(i64, &'static str)>, names: &[(i64, String)]) -> Vec<NamedPermission> {
    held.sort_by_key(|(id, _)| *id);
    let named = held.into_iter().filter_map(|(id, permission)| {
        let (_, name) = names.iter().find(|(known, _)| *known == id)?;
        Some((id, name.clone(), permission.to_owned()))
    });
    named.collect()
}

fn containers_answered(named: Vec<NamedPermission>) -> Vec<ContainerPermission> {
    let one = |(id, name, permission)| ContainerPermission {
        container_id: Some(id),
        name: Some(name),
        permission: Some(permission),
    };
    named.into_iter().map(one).collect()
}

fn collections_answered(named: Vec<NamedPermission>) -> Vec<CollectionPermission> {
    let one = |(id, name, permission)| CollectionPermission {
        collection_id: Some(id),
        name: Some(name),
        permission: Some(permission),
    };
    named.into_iter().map(one).collect()
}

fn container_role(role: &RoleRow, container: i64) -> ContainerRole {
    let held = narrowed_to(role, ON_CONTAINERS).filter(|(id, _)| *id == container);
    ContainerRole {
        security_role_id: Some(role.id),
        name: Some(role.name.clone()),
        permissions: Some(held.map(|(_, permission)| permission.to_owned()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(permissions: &[&str]) -> RoleRow {
        RoleRow {
            id: 1,
            name: "Deployers".to_owned(),
            description: String::new(),
            email_address: None,
            immutable: false,
            enabled: true,
            private: false,
            permission_set_id: uuid::Uuid::nil(),
            permissions: permissions.iter().map(|path| (*path).to_owned()).collect(),
        }
    }

    fn caller(grants: &[&str]) -> Principal {
        Principal::new("ann".to_owned(), Vec::new(), grants.iter().map(|grant| (*grant).to_owned()).collect())
    }

    #[test]
    fn a_part_is_replaced_and_the_rest_stays() {
        let old =
            role(&["/agents/management/read/", "/certificate_stores/read/3/", "/certificate_stores/read/4/"]);
        let part = |path: &str| matches!(split_narrowed(path), Some((_, Scope::Container, _)));
        let paths = ["/certificate_stores/read/4/".to_owned(), "/certificate_stores/schedule/4/".to_owned()];
        let ann = caller(&["/certificate_stores/"]);
        let new = rewritten(&ann, &old, &paths, Change::Replace, part).unwrap();
        assert_eq!(
            new.permissions,
            ["/agents/management/read/", "/certificate_stores/read/4/", "/certificate_stores/schedule/4/"]
        );
        let new = rewritten(&ann, &old, &paths, Change::Add, part).unwrap();
        assert_eq!(new.permissions.len(), 4);
        let poor = caller(&["/certificate_stores/read/4/", "/certificate_stores/schedule/4/"]);
        rewritten(&poor, &old, &paths, Change::Add, part).unwrap();
        let refused = rewritten(&poor, &old, &paths, Change::Replace, part).unwrap_err();
        assert!(matches!(refused, Error::NotHeld { permission, .. } if permission.ends_with("/3/")));
        let built_in = RoleRow { immutable: true, ..old };
        assert!(matches!(rewritten(&ann, &built_in, &paths, Change::Add, part), Err(Error::BuiltIn(_))));
    }

    #[test]
    fn each_right_on_a_container_needs_the_ones_before_it() {
        require_whole(&role(&["/certificate_stores/read/3/", "/certificate_stores/schedule/3/"]), &[3])
            .unwrap();
        require_whole(&role(&["/certificate_stores/read/", "/certificate_stores/schedule/3/"]), &[3])
            .unwrap();
        for lacking in
            [&["/certificate_stores/schedule/3/"][..], &["/certificate_stores/modify/3/", STORES_READ]]
        {
            let refused = require_whole(&role(lacking), &[3]).unwrap_err().to_string();
            assert!(refused.contains("container 3 needs"), "{refused}");
        }
    }

    #[test]
    fn wide_grants_are_spelled_out() {
        let spelled = global(&role(&["/agents/"]));
        assert!(spelled.iter().all(|one| one.area.starts_with("Agent")) && spelled.len() == 4);
        assert_eq!(global(&role(&["/"])).len(), AREAS.len());
        assert!(global(&role(&["/certificate_stores/read/3/"])).is_empty());
    }
}
