//! Passwords of stores: sealed, and never answered (operator contract, chapters 3.2 and 6.3).

use chrono::{DateTime, Utc};
use sealift_protocol::operator::certificate_stores::{ChangePassword, MaskedSecret, SecretValue};
use sealift_protocol::{Secret, StoreId};
use sqlx::PgConnection;

use crate::certificate_stores::error::Error;
use crate::certificate_stores::queries::{self, stores};
use crate::certificate_stores::store_type::TypeRow;
use crate::certificate_stores::target::check_password;
use crate::floor::Floor;
use crate::http::Failure;
use crate::sealing::Place;
use crate::security::{Principal, audit, permission};

/// The secret that a request carries, where it carries one.
///
/// # Errors
/// [`Error::Invalid`] for one that an outside provider holds, or for the mask of one.
pub(in crate::certificate_stores) fn given_secret<'a>(
    member: &str,
    secret: Option<&'a SecretValue>,
) -> Result<Option<&'a Secret>, Error> {
    let Some(secret) = secret else { return Ok(None) };
    if secret.provider.is_some_and(|provider| provider != 0) {
        return Err(Error::Invalid(format!(
            "{member}.Provider: secrets in outside providers are not supported; send SecretValue"
        )));
    }
    let text = secret.secret_value.as_ref().filter(|secret| !secret.is_empty());
    if text.is_some_and(|text| text.expose() == MaskedSecret::MASK) {
        return Err(Error::Invalid(format!("{member} is the mask of a secret; send the secret itself")));
    }
    Ok(text)
}

/// Seals the password of a store that has none yet.
///
/// # Errors
/// [`Error::Invalid`] when its type needs one and none was given, or it is out of bounds.
pub(super) fn sealed(
    floor: &Floor,
    store_type: &TypeRow,
    id: StoreId,
    secret: Option<&SecretValue>,
) -> Result<Option<Vec<u8>>, Error> {
    match given_secret("Password", secret)? {
        Some(password) => seal(floor, id, password).map(Some),
        None if store_type.store_password => {
            Err(Error::Invalid(format!("Password is required by type {}", store_type.short_name)))
        }
        None => Ok(None),
    }
}

pub(super) fn seal(floor: &Floor, id: StoreId, password: &Secret) -> Result<Vec<u8>, Error> {
    check_password("the store's password", password)?;
    let place = Place { table: "certificate_stores", row: &id, column: "sealed_password" };
    Ok(floor.sealing.seal(place, password.expose().as_bytes())?)
}

/// What a change does to a password.
#[derive(Debug)]
pub(super) enum Change {
    /// What is stored stays.
    Keep,
    /// It goes.
    Clear,
    /// It is replaced.
    Set(Vec<u8>),
}

/// Decides what `PUT` does to a store's password. Answers never carry it, so that a client which reads a store, changes
/// it and sends it back has none to send: one that is not sent, or sent as its mask, stays. An object without a value
/// clears it where the type needs none.
pub(super) fn change(
    floor: &Floor,
    store_type: &TypeRow,
    id: StoreId,
    held: bool,
    secret: Option<&SecretValue>,
) -> Result<Change, Error> {
    let mask = |secret: &SecretValue| {
        secret.secret_value.as_ref().is_some_and(|text| text.expose() == MaskedSecret::MASK)
    };
    let given = match secret {
        None => None,
        Some(secret) if held && mask(secret) => None,
        Some(secret) => {
            if let Some(password) = given_secret("Password", Some(secret))? {
                return seal(floor, id, password).map(Change::Set);
            }
            Some(())
        }
    };
    match given {
        _ if store_type.store_password && !held => {
            Err(Error::Invalid(format!("Password is required by type {}", store_type.short_name)))
        }
        Some(()) if !store_type.store_password => Ok(Change::Clear),
        _ => Ok(Change::Keep),
    }
}

/// `PUT /CertificateStores/Password`.
pub(in crate::certificate_stores) async fn change_password(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    request: &ChangePassword,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let id = request.cert_store_id;
    let id = id.ok_or_else(|| Error::Invalid("CertStoreId is required".to_owned()))?;
    let held = stores::lock(db, &[id]).await?.pop().ok_or(Error::UnknownStore(id))?;
    caller.require_for(permission::STORES_MODIFY, held.container_id)?;
    let store_type = queries::store_type(db, held.store_type).await?;
    let store_type = store_type.ok_or(Error::UnknownStore(id))?;
    if !store_type.store_password {
        let message = format!("NewPassword: stores of type {} have no password", store_type.short_name);
        return Err(Error::Invalid(message).into());
    }
    let secret = request.new_password.as_ref().map(|password| &password.0);
    let password = given_secret("NewPassword", secret)?;
    let password = password.ok_or_else(|| Error::Invalid("NewPassword is required".to_owned()))?;
    stores::set_password(db, id, &seal(floor, id, password)?).await?;
    let message = format!("changed the password of the store {} on {}", held.store_path, held.client_machine);
    let line = audit::Line::new(caller, audit::Operation::Updated, "CertificateStore", id, message);
    audit::record(db, &[line], now).await?;
    Ok(())
}
