//! API tokens: how automation calls.

use chrono::{DateTime, TimeDelta, Utc};
use sealift_protocol::operator::security::{ApiToken, CreateApiToken};
use sqlx::PgConnection;

use super::audit::{self, Line, Operation};
use super::credential;
use super::error::Error;
use super::principal::Principal;
use super::queries::{self, NewToken, TokenRow};
use super::{permission, roles, text, users};
use crate::http::Failure;
use crate::http::filter_sql::Asker;
use crate::http::list::ListQuery;

/// Characters of a token's name.
const MAX_NAME: usize = 256;
/// How long a token lives at most, and when nothing is said.
const MAX_LIFE: TimeDelta = TimeDelta::days(365);

impl From<TokenRow> for ApiToken {
    fn from(row: TokenRow) -> Self {
        Self { id: row.id, name: row.name, roles: row.roles, expires: row.expires_at.into(), token: None }
    }
}

/// One page of tokens that were not revoked, and how many match.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<ApiToken>, i64), Failure> {
    caller.require(permission::SECURITY_READ)?;
    let (rows, total) = queries::list_tokens(db, list, &Asker { name: caller.name(), now }).await?;
    Ok((rows.into_iter().map(ApiToken::from).collect(), total))
}

/// Makes a token. Its text is in this answer and nowhere else.
pub(super) async fn create(
    db: &mut PgConnection,
    caller: &Principal,
    request: CreateApiToken,
    now: DateTime<Utc>,
) -> Result<ApiToken, Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    let name = text::name("Name", request.name, MAX_NAME)?;
    let expires_at = expiry(request.expires.map(|at| at.utc()), now)?;
    queries::lock(db).await?;
    let roles = roles::grantable(db, caller, &request.roles).await?;
    users::require_free(db, &name, now).await?;
    let (token, hash) = credential::new_token()?;
    let ids: Vec<_> = roles.iter().map(|role| role.id).collect();
    let new = NewToken { name: &name, hash: &hash, created_by: caller.name(), expires_at };
    let id = queries::insert_token(db, &new, &ids, now).await?;
    let names: Vec<_> = roles.into_iter().map(|role| role.name).collect();
    let message = format!("API token '{name}' was created with the roles {}", names.join(", "));
    audit::record(db, &[Line::new(caller, Operation::Created, "ApiToken", id, message)], now).await?;
    Ok(ApiToken { id, name, roles: names, expires: expires_at.into(), token: Some(token) })
}

/// Revokes a token; not one that can do more than the caller.
pub(super) async fn revoke(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    queries::lock(db).await?;
    let token =
        queries::token_holding(db, id).await?.ok_or_else(|| Error::NotFound(format!("API token {id}")))?;
    roles::require_held(caller, &token.permissions)?;
    queries::revoke_token(db, id, now).await?;
    let message = format!("API token '{}' was revoked", token.name);
    audit::record(db, &[Line::new(caller, Operation::Revoked, "ApiToken", id, message)], now).await?;
    Ok(())
}

fn expiry(asked: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Error> {
    let latest = now + MAX_LIFE;
    let expires = asked.unwrap_or(latest);
    match expires > now && expires <= latest {
        true => Ok(expires),
        false => Err(Error::Invalid(format!("Expires must lie in the next {} days", MAX_LIFE.num_days()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_within_a_year() {
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(expiry(None, now).unwrap(), now + MAX_LIFE);
        assert!(expiry(Some(now + TimeDelta::seconds(1)), now).is_ok());
        for bad in [now, now - TimeDelta::days(1), now + MAX_LIFE + TimeDelta::seconds(1)] {
            assert!(expiry(Some(bad), now).unwrap_err().to_string().starts_with("Expires"));
        }
    }
}
