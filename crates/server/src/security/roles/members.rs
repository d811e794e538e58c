//! Who has a role: users of this server in version 1, claims of any provider in version 2.

use chrono::{DateTime, Utc};
use sealift_protocol::operator::roles::{ClaimReference, ClaimType, Named, WriteRole};
use sqlx::PgConnection;

use crate::http::version::Version;
use crate::security::claims;
use crate::security::error::Error;
use crate::security::queries::claims::{LOCAL, members, roles_of};
use crate::security::queries::roles::{RoleRow, replace_members};

/// Members that one call may name.
const MAX_MEMBERS: usize = 1_000;

/// Gives a role to those that a request names, and takes it from all others that its version speaks of; changes
/// nothing when the request names none. Users and claims that are not known yet are made.
pub(super) async fn replace(
    db: &mut PgConnection,
    role: &RoleRow,
    request: &WriteRole,
    version: Version,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let (member, provider, references) = match version {
        Version::One => match &request.identities {
            None => return Ok(()),
            Some(accounts) => {
                let local = |name: &Option<String>| ClaimReference {
                    claim_type: Some(ClaimType::User),
                    claim_value: name.clone(),
                    ..ClaimReference::default()
                };
                let references = accounts.iter().map(|account| local(&account.account_name)).collect();
                ("Identities", Some(LOCAL), references)
            }
        },
        Version::Two => match &request.claims {
            None => return Ok(()),
            Some(references) => ("Claims", None, references.clone()),
        },
    };
    bounded(member, references.len())?;
    let claims = claims::found_or_made(db, member, &references, now).await?;
    Ok(replace_members(db, role.id, provider, &claims).await?)
}

/// Gives a role to exactly these users, all of which must exist.
pub(super) async fn replace_identities(
    db: &mut PgConnection,
    role: &RoleRow,
    ids: &[i64],
) -> Result<(), Error> {
    bounded("Ids", ids.len())?;
    claims::require_identities(db, ids).await?;
    Ok(replace_members(db, role.id, Some(LOCAL), ids).await?)
}

/// The users that have a role.
pub(super) async fn named(db: &mut PgConnection, role: i64) -> Result<Vec<Named>, Error> {
    let members = members(db, &[role]).await?;
    let users = members.into_iter().filter(|member| member.provider_id == LOCAL);
    Ok(users.map(|member| Named { id: member.id, name: member.claim_value }).collect())
}

/// Everything that the roles of a claim grant, whether they are enabled or not.
pub(in crate::security) async fn granted_by(db: &mut PgConnection, claim: i64) -> Result<Vec<String>, Error> {
    Ok(roles_of(db, &[claim]).await?.into_iter().flat_map(|role| role.permissions).collect())
}

fn bounded(member: &str, count: usize) -> Result<(), Error> {
    match count <= MAX_MEMBERS {
        true => Ok(()),
        false => Err(Error::Invalid(format!("{member} must have at most {MAX_MEMBERS} elements"))),
    }
}
