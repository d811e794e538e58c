//! Who answers for a certificate: a role (operator contract, 8.2).

use chrono::{DateTime, Utc};
use sealift_protocol::operator::certificates::ChangeOwner;
use sqlx::PgConnection;

use super::error::Error;
use super::queries::changes;
use super::supply;
use crate::http::problem::shortened;
use crate::security::{Principal, audit, permission};

/// Makes a role the owner of a certificate.
///
/// # Errors
/// [`Error::Invalid`] without a role, or for one that is not known; [`Error::NotFound`]; a missing permission.
pub(super) async fn change(
    db: &mut PgConnection,
    caller: &Principal,
    id: i64,
    request: &ChangeOwner,
    collection_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let permission = permission::CERTIFICATES_OWNER;
    supply::require_each(db, caller, permission, &[id], collection_id, now).await?;
    let role_id = request.new_role_id.filter(|id| *id != 0);
    let name = request.new_role_name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let (member, shown) = match (role_id, name) {
        (Some(_), Some(_)) => {
            let reason = "give it or NewRoleName, not both".to_owned();
            return Err(Error::Invalid { member: "NewRoleId", reason });
        }
        (Some(id), None) => ("NewRoleId", id.to_string()),
        (None, Some(name)) => ("NewRoleName", shortened(name)),
        (None, None) => {
            let reason = "it is required, or NewRoleId".to_owned();
            return Err(Error::Invalid { member: "NewRoleName", reason });
        }
    };
    let found = match name.is_some_and(|name| name.contains('\0')) {
        true => None,
        false => changes::role(db, role_id, name).await?,
    };
    let reason = format!("role '{shown}' was not found");
    let (role_id, role) = found.ok_or(Error::Invalid { member, reason })?;
    if !changes::set_owner(db, id, role_id).await? {
        return Err(Error::NotFound(id.to_string()));
    }
    let message = format!("the role '{role}' became the owner of certificate {id}");
    let line = audit::Line::new(caller, audit::Operation::Updated, "Certificate", id, message);
    Ok(audit::record(db, &[line], now).await?)
}

/// Makes a role the owner of a certificate that was issued just now. Whether there is such a role was looked up.
///
/// # Errors
/// [`Error::Database`].
pub(crate) async fn assign_owner(db: &mut PgConnection, id: i64, role_id: i64) -> Result<(), Error> {
    changes::set_owner(db, id, role_id).await?;
    Ok(())
}
