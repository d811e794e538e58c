//! Containers: named groups of stores (operator contract, chapter 6.7).

use chrono::{DateTime, Utc};
use sealift_protocol::operator::certificate_stores::{Container, CreateContainer};
use sqlx::PgConnection;

use super::error::Error;
use super::list::visible;
use super::queries;
use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind};
use crate::http::list::ListQuery;
use crate::http::listing::{Column, Listing, Order};
use crate::security::{Principal, audit, permission};

pub(super) const FIELDS: &[Field] = &[
    Field { name: "Id", sql: "c.id", kind: Kind::Number },
    Field { name: "Name", sql: "c.name", kind: Kind::Text },
    Field { name: "CertStoreType", sql: "c.store_type", kind: Kind::Number },
];

/// One page of the containers that the caller may see, by name.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<Container>, i64), Failure> {
    let asker = Asker { name: caller.name(), now };
    let listing = Listing {
        name: "containers",
        columns: "c.id, c.name, c.store_type,
            (SELECT count(*) FROM certificate_stores s WHERE s.container_id = c.id)",
        from: " FROM containers c WHERE true",
        fields: FIELDS,
        order: Order { by: Column { sql: "c.name", kind: Kind::Text }, descending: false },
        key: Column { sql: "c.id", kind: Kind::Number },
        narrow: visible(caller, "c.id"),
    };
    let (rows, total): (Vec<(i64, String, i32, i64)>, i64) = listing.page(db, list, &asker).await?;
    let containers = rows.into_iter().map(|(id, name, cert_store_type, store_count)| Container {
        id,
        name,
        cert_store_type,
        store_count,
    });
    Ok((containers.collect(), total))
}

/// Makes a container.
pub(super) async fn create(
    db: &mut PgConnection,
    caller: &Principal,
    request: &CreateContainer,
    now: DateTime<Utc>,
) -> Result<Container, Failure> {
    caller.require(permission::STORES_MODIFY)?;
    let name = request.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Error::Invalid("Name is required".to_owned()))?;
    if name.chars().count() > 256 || name.chars().any(char::is_control) {
        return Err(Error::Invalid(
            "Name is longer than 256 characters or holds control characters".to_owned(),
        )
        .into());
    }
    let store_type = request.cert_store_type.unwrap_or(-1);
    let id = queries::insert_container(db, name, store_type, now).await?;
    let id = id.ok_or_else(|| Error::Exists(format!("a container named '{name}'")))?;
    let line = audit::Line {
        actor: caller.name().to_owned(),
        operation: audit::Operation::Created,
        entity_type: "Container",
        entity_id: id.to_string(),
        message: format!("made container '{name}'"),
    };
    audit::record(db, &[line], now).await?;
    Ok(Container { id, name: name.to_owned(), cert_store_type: store_type, store_count: 0 })
}
