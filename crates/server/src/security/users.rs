//! Users: callers that log in by HTTP Basic. Roles are given to the claim that a user makes (`claims.rs`).

use chrono::{DateTime, Utc};
use sealift_protocol::Secret;
use sealift_protocol::operator::security::{CreateUser, User};
use sqlx::PgConnection;

use super::audit::{self, Line, Operation};
use super::callers::Callers;
use super::error::Error;
use super::principal::Principal;
use super::queries::{self, UserRow};
use super::{administrator, claims, password, permission, roles, text};
use crate::floor::Floor;
use crate::http::Failure;
use crate::http::filter_sql::Asker;
use crate::http::list::ListQuery;

/// Characters of a user's name.
const MAX_NAME: usize = 256;

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        Self { id: row.id, name: row.name, roles: row.roles }
    }
}

/// One page of users, and how many match.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<User>, i64), Failure> {
    caller.require(permission::SECURITY_READ)?;
    let (rows, total) = queries::list_users(db, list, &Asker { name: caller.name(), now }).await?;
    Ok((rows.into_iter().map(User::from).collect(), total))
}

/// Makes a user. The password is hashed before the transaction begins, so that no lock waits for it.
pub(super) async fn create(
    floor: &Floor,
    callers: &Callers,
    caller: &Principal,
    request: CreateUser,
) -> Result<User, Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    let name = user_name(request.name)?;
    let password = request.password.ok_or_else(|| Failure::invalid("Password is missing"))?;
    password::check(&password)?;
    let hash = callers.hash(password).await?;
    let now = floor.now();
    let mut db = floor.database.main.begin().await?;
    let user = insert(&mut db, caller, name, &hash, &request.roles, now).await?;
    db.commit().await?;
    callers.forget();
    Ok(user)
}

async fn insert(
    db: &mut PgConnection,
    caller: &Principal,
    name: String,
    hash: &str,
    role_names: &[String],
    now: DateTime<Utc>,
) -> Result<User, Error> {
    queries::lock(db).await?;
    let roles = roles::grantable(db, caller, role_names).await?;
    require_free(db, &name, now).await?;
    let (claim, made) = claims::of_user(db, &name, now).await?;
    if !made {
        // The identity was there before and may have roles: who makes its password could become it.
        roles::require_held(caller, &roles::members::granted_by(db, claim).await?)?;
    }
    let ids: Vec<_> = roles.iter().map(|role| role.id).collect();
    let id = queries::insert_user(db, &name, claim, hash, now).await?;
    queries::roles::give_roles(db, &ids, &[claim]).await?;
    let mut names: Vec<_> =
        queries::claims::roles_of(db, &[claim]).await?.into_iter().map(|role| role.name).collect();
    names.sort_unstable();
    let message = format!("User '{name}' was created with the roles {}", names.join(", "));
    audit::record(db, &[Line::new(caller, Operation::Created, "User", id, message)], now).await?;
    Ok(User { id, name, roles: names })
}

/// Deletes a user; not the last one that has every permission, and not one that has more than the caller.
pub(super) async fn delete(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    queries::lock(db).await?;
    let user = queries::user_holding(db, id).await?.ok_or_else(|| Error::NotFound(format!("user {id}")))?;
    roles::require_held(caller, &user.permissions)?;
    queries::delete_user(db, id).await?;
    administrator::require_one(db, &format!("deleting user '{}'", user.name)).await?;
    let message = format!("User '{}' was deleted", user.name);
    audit::record(db, &[Line::new(caller, Operation::Deleted, "User", id, message)], now).await?;
    Ok(())
}

/// Refuses a name that a user or a living token has: names say in history and audit who it was.
pub(super) async fn require_free(db: &mut PgConnection, name: &str, now: DateTime<Utc>) -> Result<(), Error> {
    let taken = |by| Err(Error::Taken { name: name.to_owned(), by });
    match queries::name_taken_by(db, name, now).await?.as_deref() {
        None => Ok(()),
        Some("user") => taken("a user"),
        Some("provider") => taken("the callers of an identity provider"),
        Some(_) => taken("an API token"),
    }
}

/// A name to log in with. A colon would end it in HTTP Basic (RFC 7617, section 2).
pub(super) fn user_name(given: Option<String>) -> Result<String, Error> {
    let name = text::name("Name", given, MAX_NAME)?;
    match name.contains(':') || name.starts_with('\\') {
        true => Err(Error::Invalid("Name must not contain a colon nor begin with a backslash".to_owned())),
        false => Ok(name),
    }
}

/// The first user, made by the server itself.
pub(super) async fn insert_first(
    db: &mut PgConnection,
    name: &str,
    role: i64,
    password: Secret,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let hashed = tokio::task::spawn_blocking(move || password::hash(&password)).await;
    let hash = hashed.map_err(|error| Error::Hashing(error.to_string()))??;
    let (claim, _) = claims::of_user(db, name, now).await?;
    let id = queries::insert_user(db, name, claim, &hash, now).await?;
    queries::roles::give_roles(db, &[role], &[claim]).await?;
    let message = format!("User '{name}' was created, the first of this installation");
    let line = Line::new(&Principal::system("sealift-server"), Operation::Created, "User", id, message);
    audit::record(db, &[line], now).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_sent_by_basic() {
        assert_eq!(user_name(Some("CORP\\ann".to_owned())).unwrap(), "CORP\\ann");
        for bad in ["a:b", "\\ann", "", "a\u{7}"] {
            assert!(user_name(Some(bad.to_owned())).is_err(), "{bad}");
        }
    }
}
