//! Claims: statements about callers to which roles are given (operator contract, chapter 9.4).
//!
//! A claim is a type, a value and the provider that says it. The provider `Local` is this server itself, which says
//! of a caller that logged in with a password which user it is, and nothing else; those claims are the identities of
//! the contract's version 1. The configured OpenID Connect provider says what its tokens say.

use chrono::{DateTime, Utc};
use sealift_protocol::operator::roles::{
    Claim, ClaimReference, ClaimRole, ClaimType, ProviderReference, UpdateClaim,
};
use sqlx::PgConnection;

use super::audit::{self, Line, Operation};
use super::error::Error;
use super::principal::Principal;
use super::queries::claims::{self as queries, ClaimRow, LOCAL, ProviderRow, Wanted};
use super::queries::lock;
use super::{permission, roles, text, users};
use crate::http::Failure;
use crate::http::filter_sql::Asker;
use crate::http::list::ListQuery;
use crate::http::problem::shortened;

/// Characters of what a claim says.
const MAX_VALUE: usize = 256;
/// Characters of its description.
const MAX_DESCRIPTION: usize = 1_000;

/// One page of claims, and how many match.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<Claim>, i64), Failure> {
    caller.require(permission::SECURITY_READ)?;
    let (rows, total) = queries::list_claims(db, list, &Asker { name: caller.name(), now }).await?;
    Ok((rows.into_iter().map(answered).collect(), total))
}

/// One claim.
pub(super) async fn get(db: &mut PgConnection, caller: &Principal, id: i64) -> Result<Claim, Failure> {
    caller.require(permission::SECURITY_READ)?;
    Ok(answered(found(db, id).await?))
}

/// Makes a claim, which leads to no role yet.
pub(super) async fn create(
    db: &mut PgConnection,
    caller: &Principal,
    request: ClaimReference,
    now: DateTime<Utc>,
) -> Result<Claim, Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    let scheme = request.provider_authentication_scheme.as_deref();
    scheme.ok_or_else(|| Failure::invalid("ProviderAuthenticationScheme is missing"))?;
    let wanted = wanted(db, "", std::slice::from_ref(&request)).await?;
    lock(db).await?;
    if queries::insert_claims(db, &wanted, now).await? == 0 {
        let name = shortened(&request.claim_value.unwrap_or_default());
        return Err(Error::Taken { name, by: "another claim of this type and provider" }.into());
    }
    let id = *queries::find_claims(db, &wanted)
        .await?
        .first()
        .ok_or_else(|| Error::NotFound("the claim".to_owned()))?;
    let row = found(db, id).await?;
    let message = format!("Claim {} was created", described(&row));
    audit::record(db, &[Line::new(caller, Operation::Created, "Claim", id, message)], now).await?;
    Ok(answered(row))
}

/// Changes what people read of a claim.
pub(super) async fn update(
    db: &mut PgConnection,
    caller: &Principal,
    request: UpdateClaim,
    now: DateTime<Utc>,
) -> Result<Claim, Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    let id = request.id.ok_or_else(|| Failure::invalid("Id is missing"))?;
    let description = text::line("Description", request.description.unwrap_or_default(), MAX_DESCRIPTION)?;
    lock(db).await?;
    let old = found(db, id).await?;
    roles::require_held(caller, &roles::members::granted_by(db, id).await?)?;
    queries::describe_claim(db, id, &description).await?;
    let row = ClaimRow { description, ..old };
    let message = format!("Claim {} was described as '{}'", described(&row), row.description);
    audit::record(db, &[Line::new(caller, Operation::Updated, "Claim", id, message)], now).await?;
    Ok(answered(row))
}

/// Deletes a claim that leads to no role.
pub(super) async fn delete(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    caller.require(permission::SECURITY_MODIFY)?;
    lock(db).await?;
    let row = found(db, id).await?;
    let what = || format!("claim {}", described(&row));
    if let Some(user) = queries::user_of_claim(db, id).await? {
        return Err(Error::InUse { what: what(), by: format!("user '{user}', who logs in by it") }.into());
    }
    let held = queries::roles_of(db, &[id]).await?;
    if !held.is_empty() {
        let names: Vec<_> = held.iter().take(10).map(|role| format!("role '{}'", role.name)).collect();
        return Err(Error::InUse { what: what(), by: names.join(", ") }.into());
    }
    queries::delete_claim(db, id).await?;
    let message = format!("Claim {} was deleted", described(&row));
    audit::record(db, &[Line::new(caller, Operation::Deleted, "Claim", id, message)], now).await?;
    Ok(())
}

/// The roles to which a claim leads; none when there is no such claim.
pub(super) async fn roles(
    db: &mut PgConnection,
    caller: &Principal,
    reference: &ClaimReference,
) -> Result<Vec<ClaimRole>, Failure> {
    caller.require(permission::SECURITY_READ)?;
    let scheme = reference.provider_authentication_scheme.as_deref();
    scheme.ok_or_else(|| Failure::invalid("ProviderAuthenticationScheme is missing"))?;
    let wanted = wanted(db, "", std::slice::from_ref(reference)).await?;
    let claims = queries::find_claims(db, &wanted).await?;
    let held = queries::roles_of(db, &claims).await?;
    let role = |role: queries::HeldRole| ClaimRole {
        id: role.id,
        name: role.name,
        description: role.description,
        permission_set_id: role.permission_set_id,
    };
    Ok(held.into_iter().map(role).collect())
}

/// Ids of the claims that a list of a request names. Those that there are none of yet are made.
pub(super) async fn found_or_made(
    db: &mut PgConnection,
    member: &str,
    references: &[ClaimReference],
    now: DateTime<Utc>,
) -> Result<Vec<i64>, Error> {
    if references.is_empty() {
        return Ok(Vec::new());
    }
    let wanted = wanted(db, member, references).await?;
    queries::insert_claims(db, &wanted, now).await?;
    Ok(queries::find_claims(db, &wanted).await?)
}

/// The claim of a user of this server, made when there is none yet, and whether it was.
pub(super) async fn of_user(
    db: &mut PgConnection,
    name: &str,
    now: DateTime<Utc>,
) -> Result<(i64, bool), Error> {
    let wanted = Wanted {
        providers: vec![LOCAL],
        types: vec![ClaimType::User.number()],
        values: vec![name.to_owned()],
        descriptions: vec![String::new()],
    };
    let made = queries::insert_claims(db, &wanted, now).await? == 1;
    let id = queries::find_claims(db, &wanted).await?.first().copied();
    Ok((id.ok_or_else(|| Error::NotFound(format!("identity '{name}'")))?, made))
}

/// Refuses ids that are no identities.
pub(super) async fn require_identities(db: &mut PgConnection, ids: &[i64]) -> Result<(), Error> {
    let known = queries::identities(db, ids).await?;
    match ids.iter().find(|id| !known.contains(id)) {
        None => Ok(()),
        Some(unknown) => Err(Error::Invalid(format!("Ids: identity {unknown} was not found"))),
    }
}

/// A claim as answered.
pub(super) fn answered(row: ClaimRow) -> Claim {
    Claim {
        id: row.id,
        description: row.description,
        claim_type: ClaimType::from_number(row.claim_type).unwrap_or(ClaimType::User),
        claim_value: row.claim_value,
        provider: ProviderReference {
            id: row.provider_id,
            authentication_scheme: row.scheme,
            display_name: row.display_name,
        },
    }
}

/// What a list of a request names, checked. A claim without a provider is one of this server.
async fn wanted(db: &mut PgConnection, member: &str, references: &[ClaimReference]) -> Result<Wanted, Error> {
    let providers = queries::providers(db).await?;
    let mut wanted = Wanted::default();
    for (index, reference) in references.iter().enumerate() {
        let place = if member.is_empty() { String::new() } else { format!("{member}[{index}].") };
        let (provider, kind, value) = checked(reference, &providers)
            .map_err(|(name, reason)| Error::Invalid(format!("{place}{name}{reason}")))?;
        let description = reference.description.clone().unwrap_or_default();
        wanted.providers.push(provider);
        wanted.types.push(kind.number());
        wanted.values.push(value);
        wanted.descriptions.push(text::line("Description", description, MAX_DESCRIPTION)?);
    }
    Ok(wanted)
}

/// Provider, type and value of a claim that can be made by a caller; else the member and what is wrong with it.
fn checked(
    reference: &ClaimReference,
    providers: &[ProviderRow],
) -> Result<(uuid::Uuid, ClaimType, String), (&'static str, String)> {
    let provider = match reference.provider_authentication_scheme.as_deref() {
        None => LOCAL,
        Some(scheme) => {
            let found = providers.iter().find(|one| one.scheme.eq_ignore_ascii_case(scheme.trim()));
            let unknown = || {
                let known: Vec<_> = providers.iter().map(|one| one.scheme.as_str()).collect();
                let reason =
                    format!(": '{}' is no provider; known are {}", shortened(scheme), known.join(", "));
                ("ProviderAuthenticationScheme", reason)
            };
            found.ok_or_else(unknown)?.id
        }
    };
    let kind = reference.claim_type.ok_or_else(|| ("ClaimType", " is missing".to_owned()))?;
    let value = reference.claim_value.clone();
    let value = match provider == LOCAL {
        true if kind != ClaimType::User => {
            return Err((
                "ClaimType",
                ": this server knows of its own users only that they are users".to_owned(),
            ));
        }
        true => users::user_name(value).map_err(|error| ("ClaimValue", format!(": {error}")))?,
        false if kind == ClaimType::Computer => {
            return Err(("ClaimType", ": no token says that its holder is a computer".to_owned()));
        }
        false => text::name("ClaimValue", value, MAX_VALUE).map_err(|error| ("", error.to_string()))?,
    };
    Ok((provider, kind, value))
}

fn described(row: &ClaimRow) -> String {
    let kind = ClaimType::from_number(row.claim_type).unwrap_or(ClaimType::User);
    format!("{} '{}' of {}", kind.name(), row.claim_value, row.scheme)
}

async fn found(db: &mut PgConnection, id: i64) -> Result<ClaimRow, Error> {
    queries::claim(db, id).await?.ok_or_else(|| Error::NotFound(format!("claim {id}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn providers() -> Vec<ProviderRow> {
        let one = |id, scheme: &str, issuer: Option<&str>| ProviderRow {
            id,
            scheme: scheme.to_owned(),
            display_name: scheme.to_owned(),
            issuer: issuer.map(str::to_owned),
        };
        vec![one(LOCAL, "Local", None), one(uuid::Uuid::nil(), "Corp", Some("https://id.example.test"))]
    }

    fn claim(scheme: Option<&str>, kind: Option<ClaimType>, value: &str) -> ClaimReference {
        ClaimReference {
            claim_type: kind,
            claim_value: Some(value.to_owned()),
            provider_authentication_scheme: scheme.map(str::to_owned),
            description: None,
        }
    }

    #[test]
    fn only_what_a_caller_can_say_is_a_claim() {
        let check = |claim: &ClaimReference| checked(claim, &providers());
        assert_eq!(check(&claim(None, Some(ClaimType::User), "CORP\\ann")).unwrap().0, LOCAL);
        let (provider, _, value) =
            check(&claim(Some("corp"), Some(ClaimType::OAuthSubject), " a:b ")).unwrap();
        assert_eq!((provider, value.as_str()), (uuid::Uuid::nil(), "a:b"));
        for (bad, member) in [
            (claim(Some("AD"), Some(ClaimType::User), "ann"), "ProviderAuthenticationScheme"),
            (claim(Some("Corp"), None, "ann"), "ClaimType"),
            (claim(None, Some(ClaimType::Group), "admins"), "ClaimType"),
            (claim(Some("Corp"), Some(ClaimType::Computer), "pc"), "ClaimType"),
            (claim(None, Some(ClaimType::User), "a:b"), "ClaimValue"),
        ] {
            assert_eq!(check(&bad).unwrap_err().0, member, "{bad:?}");
        }
        let (_, reason) = check(&claim(Some("Corp"), Some(ClaimType::User), " ")).unwrap_err();
        assert!(reason.starts_with("ClaimValue is missing"), "{reason}");
    }
}
