//! Statements about the audit log.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};

use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind, push_filter};
use crate::http::list::ListQuery;
use crate::http::listing::{Column, Listing, Narrow, Order};
use crate::security::audit::{CATEGORY_SQL, Kept};

/// A line of the log, as kept.
#[derive(Debug, Clone, FromRow)]
pub(in crate::security) struct AuditRow {
    pub(in crate::security) id: i64,
    pub(in crate::security) at: DateTime<Utc>,
    pub(in crate::security) actor: String,
    pub(in crate::security) operation: i16,
    pub(in crate::security) level: i16,
    pub(in crate::security) entity_type: String,
    pub(in crate::security) entity_id: String,
    pub(in crate::security) message: String,
    pub(in crate::security) signature: Vec<u8>,
}

const COLUMNS: &str = "id, at, actor, operation, level, entity_type, entity_id, message, signature";

/// What filters and sort orders of the log may name. A blank ends a name in the query language, so the
/// contract's `Acting User` is `ActingUser` here.
pub(in crate::security) const AUDIT_FIELDS: &[Field] = &[
    Field { name: "Id", sql: "id", kind: Kind::Number },
    Field { name: "Timestamp", sql: "at", kind: Kind::Time },
    Field { name: "ActingUser", sql: "actor", kind: Kind::Text },
    Field { name: "User", sql: "actor", kind: Kind::Text },
    Field { name: "Category", sql: CATEGORY_SQL, kind: Kind::Number },
    Field { name: "Operation", sql: "operation", kind: Kind::Number },
    Field { name: "Level", sql: "level", kind: Kind::Number },
    Field { name: "EntityType", sql: "entity_type", kind: Kind::Text },
    Field { name: "Name", sql: "entity_id", kind: Kind::Text },
    Field { name: "AuditIdentifier", sql: "entity_id", kind: Kind::Text },
    Field { name: "Message", sql: "message", kind: Kind::Text },
];

pub(in crate::security) async fn insert_audit_lines(
    db: &mut PgConnection,
    lines: &[Kept],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let column = |pick: fn(&Kept) -> &str| lines.iter().map(|line| pick(line).to_owned()).collect::<Vec<_>>();
    let operations: Vec<_> = lines.iter().map(|line| line.operation).collect();
    let levels: Vec<_> = lines.iter().map(|line| line.level).collect();
    let signatures: Vec<_> = lines.iter().map(|line| line.signature.to_vec()).collect();
    sqlx::query!(
        "-- name: insert_audit_lines
        INSERT INTO audit_log (at, actor, operation, level, entity_type, entity_id, message, signature)
        SELECT $1, actor, operation, level, entity_type, entity_id, message, signature
        FROM unnest($2::text[], $3::smallint[], $4::smallint[], $5::text[], $6::text[], $7::text[], $8::bytea[])
            AS line (actor, operation, level, entity_type, entity_id, message, signature)",
        now,
        &column(|line| &line.actor),
        &operations,
        &levels,
        &column(|line| line.entity_type),
        &column(|line| &line.entity_id),
        &column(|line| &line.message),
        &signatures
    )
    .execute(db)
    .await
    .map(drop)
}

pub(in crate::security) async fn audit_line(
    db: &mut PgConnection,
    id: i64,
) -> Result<Option<AuditRow>, sqlx::Error> {
    sqlx::query_as!(
        AuditRow,
        "-- name: audit_line
        SELECT id, at, actor, operation, level, entity_type, entity_id, message, signature FROM audit_log WHERE id = $1",
        id
    )
    .fetch_optional(db)
    .await
}

/// One page of the log, newest first unless asked otherwise, and how many lines match.
pub(in crate::security) async fn list_audit(
    db: &mut PgConnection,
    list: &ListQuery,
    asker: &Asker<'_>,
) -> Result<(Vec<AuditRow>, i64), Failure> {
    lines("list_audit", Vec::new()).page(db, list, asker).await
}

/// One page of everything that the log tells of the things that matching lines tell of, and how many lines.
pub(in crate::security) async fn list_related(
    db: &mut PgConnection,
    list: &ListQuery,
    asker: &Asker<'_>,
) -> Result<(Vec<AuditRow>, i64), Failure> {
    let related = |sql: &mut QueryBuilder<Postgres>| -> Result<(), Failure> {
        sql.push(" AND (entity_type, entity_id) IN (SELECT entity_type, entity_id FROM audit_log WHERE entity_id <> ''");
        push_filter(sql, AUDIT_FIELDS, list.filter.as_deref(), asker)?;
        sql.push(")");
        Ok(())
    };
    let told = list.filter.clone().unwrap_or_default();
    let narrow = vec![Narrow::Written { told, write: Box::new(related) }];
    let mut all = list.clone();
    all.filter = None;
    lines("list_related", narrow).page(db, &all, asker).await
}

/// A list of lines, newest first unless asked otherwise.
fn lines<'a>(name: &'static str, narrow: Vec<Narrow<'a>>) -> Listing<'a> {
    let key = Column { sql: "id", kind: Kind::Number };
    Listing {
        name,
        columns: COLUMNS,
        from: " FROM audit_log WHERE true",
        fields: AUDIT_FIELDS,
        order: Order { by: key, descending: true },
        key,
        narrow,
    }
}

/// Up to `bound` lines that match, newest first.
pub(in crate::security) async fn download_audit(
    db: &mut PgConnection,
    list: &ListQuery,
    asker: &Asker<'_>,
    bound: i64,
) -> Result<Vec<AuditRow>, Failure> {
    let mut sql = QueryBuilder::<Postgres>::new(format!(
        "-- name: download_audit\nSELECT {COLUMNS} FROM audit_log WHERE true"
    ));
    push_filter(&mut sql, AUDIT_FIELDS, list.filter.as_deref(), asker)?;
    sql.push(" ORDER BY id DESC LIMIT ").push_bind(bound);
    Ok(sql.build_query_as().fetch_all(db).await?)
}

pub(in crate::security) async fn audit_key(db: &mut PgConnection) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar!("-- name: audit_key\nSELECT sealed_key FROM audit_key").fetch_optional(db).await
}

pub(in crate::security) async fn insert_audit_key(
    db: &mut PgConnection,
    sealed: &[u8],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "-- name: insert_audit_key\nINSERT INTO audit_key (one, sealed_key, created_at) VALUES (true, $1, $2)",
        sealed,
        now
    )
    .execute(db)
    .await
    .map(drop)
}
