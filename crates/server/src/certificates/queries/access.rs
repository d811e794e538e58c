//! Statements about who may do what with certificates, and what was done.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, QueryBuilder};

use crate::certificates::error::Error;
use crate::certificates::history;
use crate::http::filter_sql::{Asker, push_filter, push_order};
use crate::http::list::{COUNT_BOUND, ListQuery};

/// A role with its permissions.
pub(in crate::certificates) struct RoleRow {
    pub(in crate::certificates) name: String,
    pub(in crate::certificates) permissions: Vec<String>,
}

/// A caller with the names of its roles.
pub(in crate::certificates) struct CallerRow {
    pub(in crate::certificates) id: i64,
    pub(in crate::certificates) name: String,
    pub(in crate::certificates) kind: String,
    pub(in crate::certificates) roles: Vec<String>,
}

/// Something that was done with a certificate.
#[derive(sqlx::FromRow)]
pub(in crate::certificates) struct DeedRow {
    pub(in crate::certificates) id: i64,
    pub(in crate::certificates) at: DateTime<Utc>,
    pub(in crate::certificates) actor: String,
    pub(in crate::certificates) operation: i16,
    pub(in crate::certificates) message: String,
}

/// Every role that has a permission about certificates.
pub(in crate::certificates) async fn roles(db: &mut PgConnection) -> sqlx::Result<Vec<RoleRow>> {
    sqlx::query_as!(
        RoleRow,
        "-- name: roles_about_certificates
        SELECT name, permissions FROM roles
        WHERE EXISTS (SELECT 1 FROM unnest(permissions) AS p (permission)
                      WHERE p.permission LIKE '/certificates/%' OR p.permission = '/')
        ORDER BY lower(name)"
    )
    .fetch_all(db)
    .await
}

/// Callers that have one of these roles: users that are enabled, and tokens that still work.
pub(in crate::certificates) async fn callers(
    db: &mut PgConnection,
    roles: &[String],
    limit: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<CallerRow>> {
    sqlx::query_as!(
        CallerRow,
        r#"-- name: callers_with_roles
        SELECT u.id AS "id!", u.name AS "name!", 'User' AS "kind!", array_agg(r.name ORDER BY r.name) AS "roles!"
        FROM users u
        JOIN user_roles m ON m.user_id = u.id
        JOIN roles r ON r.id = m.role_id AND r.name = ANY ($1)
        WHERE u.enabled
        GROUP BY u.id, u.name
        UNION ALL
        SELECT t.id, t.name, 'ApiToken', array_agg(r.name ORDER BY r.name)
        FROM api_tokens t
        JOIN api_token_roles m ON m.token_id = t.id
        JOIN roles r ON r.id = m.role_id AND r.name = ANY ($1)
        WHERE t.revoked_at IS NULL AND t.expires_at > $2
        GROUP BY t.id, t.name
        ORDER BY 3 DESC, 2, 1
        LIMIT $3"#,
        roles,
        now,
        limit
    )
    .fetch_all(db)
    .await
}

fn push_deeds(
    sql: &mut QueryBuilder<Postgres>,
    certificate_id: i64,
    list: &ListQuery,
    asker: &Asker<'_>,
) -> Result<(), Error> {
    sql.push(" FROM audit_log WHERE entity_type = 'Certificate' AND entity_id = ")
        .push_bind(certificate_id.to_string());
    push_filter(sql, history::FIELDS, list.filter.as_deref(), asker)?;
    Ok(())
}

/// What was done with a certificate, the newest first.
pub(in crate::certificates) async fn deeds(
    db: &mut PgConnection,
    certificate_id: i64,
    list: &ListQuery,
    asker: &Asker<'_>,
) -> Result<Vec<DeedRow>, Error> {
    let mut sql = QueryBuilder::new("-- name: deeds\nSELECT id, at, actor, operation, message");
    push_deeds(&mut sql, certificate_id, list, asker)?;
    push_order(&mut sql, history::FIELDS, list, ("id", true), "id")?;
    Ok(sql.build_query_as().fetch_all(db).await?)
}

/// How many such lines there are, up to the bound of lists.
pub(in crate::certificates) async fn count_deeds(
    db: &mut PgConnection,
    certificate_id: i64,
    list: &ListQuery,
    asker: &Asker<'_>,
) -> Result<i64, Error> {
    let mut sql = QueryBuilder::new("-- name: count_deeds\nSELECT count(*) FROM (SELECT 1");
    push_deeds(&mut sql, certificate_id, list, asker)?;
    sql.push(" LIMIT ").push_bind(COUNT_BOUND + 1).push(") AS bounded");
    Ok(sql.build_query_scalar().fetch_one(db).await?)
}
