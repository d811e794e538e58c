//! Containers: named groups of stores (operator contract, chapter 6.7).

use chrono::{DateTime, Utc};
use sealift_protocol::operator::certificate_stores::{Container, CreateContainer};
use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::error::Error;
use super::queries;
use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind, push_filter, push_order};
use crate::http::list::{COUNT_BOUND, ListQuery};
use crate::security::{Principal, audit, permission};

pub(super) const FIELDS: &[Field] = &[
    Field { name: "Id", sql: "c.id", kind: Kind::Number },
    Field { name: "Name", sql: "c.name", kind: Kind::Text },
    Field { name: "CertStoreType", sql: "c.store_type", kind: Kind::Number },
];
const FROM: &str = " FROM containers c WHERE true";

/// One page of the containers that the caller may see, by name.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<Container>, i64), Failure> {
    let asker = Asker { name: caller.name(), now };
    let filter = list.filter.as_deref();
    let mut page = QueryBuilder::new(format!(
        "-- name: containers\nSELECT c.id, c.name, c.store_type,
            (SELECT count(*) FROM certificate_stores s WHERE s.container_id = c.id){FROM}"
    ));
    push_visible(&mut page, caller);
    push_filter(&mut page, FIELDS, filter, &asker)?;
    push_order(&mut page, FIELDS, list, ("c.name", false), "c.id")?;
    let rows: Vec<(i64, String, i32, i64)> = page.build_query_as().fetch_all(&mut *db).await?;
    let mut count =
        QueryBuilder::new(format!("-- name: count_containers\nSELECT count(*) FROM (SELECT 1{FROM}"));
    push_visible(&mut count, caller);
    push_filter(&mut count, FIELDS, filter, &asker)?;
    count.push(" LIMIT ").push_bind(COUNT_BOUND + 1).push(") AS bounded");
    let total = count.build_query_scalar().fetch_one(&mut *db).await?;
    let containers = rows.into_iter().map(|(id, name, cert_store_type, store_count)| Container {
        id,
        name,
        cert_store_type,
        store_count,
    });
    Ok((containers.collect(), total))
}

fn push_visible(sql: &mut QueryBuilder<Postgres>, caller: &Principal) {
    if !caller.permits(permission::STORES_READ) {
        sql.push(" AND c.id = ANY(").push_bind(caller.scopes(permission::STORES_READ)).push(")");
    }
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
