//! Making, changing and deleting store types. A type that is used keeps what its stores rest on.

use chrono::{DateTime, Utc};
use sealift_protocol::operator::certificate_stores::{StoreType, StoreTypeRequest};
use sqlx::PgConnection;

use super::request::NewType;
use super::{FIRST_CUSTOM, TypeRow};
use crate::certificate_stores::error::Error;
use crate::certificate_stores::queries::{self, types};
use crate::http::Failure;
use crate::security::{Principal, audit, permission};

/// Most types that one call deletes.
const MAX_DELETED: usize = 1_000;

/// What uses a type.
#[derive(Debug)]
pub(in crate::certificate_stores) struct Usage {
    pub(in crate::certificate_stores) id: i32,
    pub(in crate::certificate_stores) stores: i64,
    pub(in crate::certificate_stores) containers: i64,
    pub(in crate::certificate_stores) servers: i64,
}

impl Usage {
    /// For a refusal; `None` when nothing uses it.
    fn told(&self) -> Option<String> {
        let parts = [
            (self.stores, "certificate stores"),
            (self.containers, "containers"),
            (self.servers, "server entries"),
        ];
        let told: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        (!told.is_empty()).then(|| told.join(" and "))
    }
}

/// Makes a type.
pub(in crate::certificate_stores) async fn create(
    db: &mut PgConnection,
    caller: &Principal,
    request: &StoreTypeRequest,
    now: DateTime<Utc>,
) -> Result<StoreType, Failure> {
    caller.require(permission::STORES_MODIFY)?;
    let new = NewType::parse(request)?;
    let id = types::insert(db, &new).await.map_err(taken(&new))?;
    let message = format!("made store type {}", new.short_name);
    let line = audit::Line::new(caller, audit::Operation::Created, "CertificateStoreType", id, message);
    audit::record(db, &[line], now).await?;
    answer(db, id).await
}

/// Changes a type: what is not sent is reset.
pub(in crate::certificate_stores) async fn update(
    db: &mut PgConnection,
    caller: &Principal,
    request: &StoreTypeRequest,
    now: DateTime<Utc>,
) -> Result<StoreType, Failure> {
    caller.require(permission::STORES_MODIFY)?;
    let id = request.store_type.ok_or_else(|| Error::Invalid("StoreType is required".to_owned()))?;
    let old = types::lock(db, &[id]).await?.pop();
    let old = old.ok_or_else(|| Failure::not_found(format_args!("store type {id}")))?;
    refuse_built_in(&old)?;
    let new = NewType::parse(request)?;
    let usage = types::usage(db, &[id]).await?;
    let stores = usage.first().map_or(0, |usage| usage.stores);
    let fixed = new.fixed_by_stores(&old);
    if stores > 0 && !fixed.is_empty() {
        return Err(Error::InUse(format!(
            "store type {} is used by {stores} certificate stores; while it is, these cannot change: {}",
            old.short_name,
            fixed.join(", ")
        ))
        .into());
    }
    types::update(db, id, &new).await.map_err(taken(&new))?;
    let message = format!("changed store type {}", new.short_name);
    let line = audit::Line::new(caller, audit::Operation::Updated, "CertificateStoreType", id, message);
    audit::record(db, &[line], now).await?;
    answer(db, id).await
}

/// Deletes one type, unless something uses it.
pub(in crate::certificate_stores) async fn delete(
    db: &mut PgConnection,
    caller: &Principal,
    id: i32,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    caller.require(permission::STORES_MODIFY)?;
    let old = types::lock(db, &[id]).await?.pop();
    let old = old.ok_or_else(|| Failure::not_found(format_args!("store type {id}")))?;
    refuse_built_in(&old)?;
    if let Some(told) = types::usage(db, &[id]).await?.first().and_then(Usage::told) {
        let message = format!("store type {} is used by {told}; delete or change them first", old.short_name);
        return Err(Error::InUse(message).into());
    }
    remove(db, caller, &[old], now).await
}

/// Deletes those of several types that can be; the others are passed over, as the contract has it.
pub(in crate::certificate_stores) async fn delete_many(
    db: &mut PgConnection,
    caller: &Principal,
    ids: &[i32],
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    caller.require(permission::STORES_MODIFY)?;
    if ids.is_empty() || ids.len() > MAX_DELETED {
        return Err(Error::Invalid(format!("the body must be a list of 1 to {MAX_DELETED} ids")).into());
    }
    let mut rows = types::lock(db, ids).await?;
    let used = types::usage(db, ids).await?;
    rows.retain(|row| {
        let free = used.iter().all(|usage| usage.id != row.id || usage.told().is_none());
        row.id >= FIRST_CUSTOM && free
    });
    remove(db, caller, &rows, now).await
}

async fn remove(
    db: &mut PgConnection,
    caller: &Principal,
    rows: &[TypeRow],
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let ids: Vec<i32> = rows.iter().map(|row| row.id).collect();
    types::delete(db, &ids).await?;
    let line = |row: &TypeRow| {
        let message = format!("deleted store type {}", row.short_name);
        audit::Line::new(caller, audit::Operation::Deleted, "CertificateStoreType", row.id, message)
    };
    let lines: Vec<_> = rows.iter().map(line).collect();
    audit::record(db, &lines, now).await?;
    Ok(())
}

fn refuse_built_in(row: &TypeRow) -> Result<(), Error> {
    match row.id < FIRST_CUSTOM {
        true => Err(Error::BuiltIn(row.short_name.clone())),
        false => Ok(()),
    }
}

async fn answer(db: &mut PgConnection, id: i32) -> Result<StoreType, Failure> {
    let row = queries::store_type(db, id).await?;
    Ok(row.ok_or_else(|| Failure::not_found(format_args!("store type {id}")))?.into())
}

/// What a violated index means.
fn taken(new: &NewType) -> impl Fn(sqlx::Error) -> Failure {
    move |error| {
        let constraint = error.as_database_error().and_then(|error| error.constraint());
        let what = match constraint {
            Some("store_types_short_name") => {
                format!("a store type with the short name '{}'", new.short_name)
            }
            Some("store_types_capability") => {
                format!("a store type with the capability '{}'", new.capability)
            }
            _ => return error.into(),
        };
        Error::Exists(what).into()
    }
}
