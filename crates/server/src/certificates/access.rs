//! Who may do what with a certificate: role by role, and caller by caller (operator contract, 8.2).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sealift_protocol::operator::certificates::{
    AccessPermission, CertificateRole, CertificateSecurity, IdentityAccess,
};
use sqlx::PgConnection;

use super::error::Error;
use super::fields::Known;
use super::queries::access::{self, RoleRow};
use super::queries::{self, collections};
use super::supply;
use crate::http::filter_sql::Asker;
use crate::security::{Principal, permission};

/// Permissions about certificates, by the names of the older spelling.
const PERMISSIONS: [(&str, &str); 6] = [
    ("Read", permission::CERTIFICATES_READ),
    ("EditMetadata", permission::CERTIFICATES_METADATA),
    ("Recover", permission::PRIVATE_KEYS_READ),
    ("Revoke", permission::CERTIFICATES_REVOKE),
    ("Delete", permission::CERTIFICATES_DELETE),
    ("ChangeOwner", permission::CERTIFICATES_OWNER),
];
/// Collections that are looked at with one statement.
const COLLECTIONS_AT_ONCE: usize = 200;
/// Most callers that are answered.
const MAX_CALLERS: i64 = 10_000;

/// Answers the roles that may do something with a certificate.
///
/// # Errors
/// [`Error::NotFound`], a missing permission.
pub(super) async fn roles(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    collection_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<CertificateSecurity, Error> {
    supply::require_readable(db, caller, id, collection_id, now).await?;
    let granted = granted(db, caller, id, now).await?;
    let roles = granted.into_iter().map(|(name, permissions)| {
        let permissions = permissions.into_iter().map(str::to_owned).collect();
        CertificateRole { name, permissions }
    });
    Ok(CertificateSecurity { roles: roles.collect() })
}

/// Answers the callers that may do something with a certificate, and by which roles.
///
/// # Errors
/// [`Error::NotFound`], a missing permission.
pub(super) async fn callers(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    now: DateTime<Utc>,
) -> Result<Vec<IdentityAccess>, Error> {
    caller.require(permission::SECURITY_READ)?;
    let granted: BTreeMap<String, Vec<&str>> = granted(db, caller, id, now).await?.into_iter().collect();
    let roles: Vec<String> = granted.keys().cloned().collect();
    let rows = access::callers(db, &roles, MAX_CALLERS, now).await?;
    let answer = rows.into_iter().map(|row| {
        let permissions = PERMISSIONS.iter().filter_map(|(name, _)| {
            let gives = |role: &&String| granted.get(*role).is_some_and(|given| given.contains(name));
            let granted_by: Vec<String> = row.roles.iter().filter(gives).cloned().collect();
            let name = (*name).to_owned();
            (!granted_by.is_empty()).then_some(AccessPermission { name, granted_by })
        });
        IdentityAccess {
            id: row.id,
            permissions: permissions.collect(),
            account_name: row.name,
            identity_type: row.kind,
            sid: None,
        }
    });
    Ok(answer.collect())
}

/// The roles that have a permission for a certificate, everywhere or for a collection that holds it.
async fn granted(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    now: DateTime<Utc>,
) -> Result<Vec<(String, Vec<&'static str>)>, Error> {
    if queries::facts(db, &[id]).await?.is_empty() {
        return Err(Error::NotFound(id.to_string()));
    }
    let roles = access::roles(db).await?;
    let named: BTreeSet<i64> = roles.iter().flat_map(scopes).collect();
    let named: Vec<i64> = named.into_iter().collect();
    let known = Known::load(db).await?;
    let (fields, asker) = (known.fields(), Asker { name: caller.name(), now });
    let mut holders = Vec::new();
    for some in named.chunks(COLLECTIONS_AT_ONCE) {
        let collections = collections::queries_of(db, some).await?;
        if !collections.is_empty() {
            holders.extend(queries::holders(db, id, &collections, &fields, &asker).await?);
        }
    }
    Ok(decide(roles, &holders))
}

fn scopes(role: &RoleRow) -> impl Iterator<Item = i64> {
    role.permissions.iter().filter_map(|grant| {
        PERMISSIONS.iter().find_map(|(_, permission)| permission::narrowed_to(grant, permission))
    })
}

fn decide(roles: Vec<RoleRow>, holders: &[i64]) -> Vec<(String, Vec<&'static str>)> {
    let given = |role: RoleRow| {
        let gives = |permission| permission::gives(&role.permissions, permission, holders);
        let names = PERMISSIONS.iter().filter(|(_, permission)| gives(permission)).map(|(name, _)| *name);
        let names: Vec<&'static str> = names.collect();
        (role.name, names)
    };
    roles.into_iter().map(given).filter(|(_, names)| !names.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_count_everywhere_or_for_a_collection_that_holds_it() {
        let role = |name: &str, permissions: &[&str]| RoleRow {
            name: name.to_owned(),
            permissions: permissions.iter().map(|one| (*one).to_owned()).collect(),
        };
        let roles = || {
            vec![
                role("All", &["/"]),
                role("Shop", &["/certificates/collections/read/7/", "/certificates/collections/revoke/8/"]),
                role("Importers", &["/certificates/import/"]),
            ]
        };
        assert_eq!(roles().iter().flat_map(scopes).collect::<Vec<_>>(), [7, 8]);
        let given = decide(roles(), &[7]);
        assert_eq!(given.len(), 2);
        assert_eq!(given[0].1.len(), PERMISSIONS.len());
        assert_eq!(given[1], ("Shop".to_owned(), vec!["Read"]));
        assert_eq!(decide(roles(), &[]).len(), 1);
    }
}
