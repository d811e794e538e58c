//! Statements about who may do what with certificates, and what was done.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::certificates::error::Error;
use crate::certificates::history;
use crate::http::filter_sql::{Asker, Kind};
use crate::http::list::ListQuery;
use crate::http::listing::{Column, Listing, Narrow, Order};

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
        WHERE enabled AND EXISTS (SELECT 1 FROM unnest(permissions) AS p (permission)
                      WHERE p.permission LIKE '/certificates/%' OR p.permission = '/')
        ORDER BY lower(name)"
    )
    .fetch_all(db)
    .await
}

/// Callers that have one of these roles: users that are enabled, claims of other identity providers, and tokens that
/// still work.
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
        JOIN role_claims m ON m.claim_id = u.claim_id
        JOIN roles r ON r.id = m.role_id AND r.enabled AND r.name = ANY ($1)
        WHERE u.enabled
        GROUP BY u.id, u.name
        UNION ALL
        SELECT c.id, c.claim_value, 'Claim', array_agg(r.name ORDER BY r.name)
        FROM claims c
        JOIN role_claims m ON m.claim_id = c.id
        JOIN roles r ON r.id = m.role_id AND r.enabled AND r.name = ANY ($1)
        WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.claim_id = c.id)
        GROUP BY c.id, c.claim_value
        UNION ALL
        SELECT t.id, t.name, 'ApiToken', array_agg(r.name ORDER BY r.name)
        FROM api_tokens t
        JOIN api_token_roles m ON m.token_id = t.id
        JOIN roles r ON r.id = m.role_id AND r.enabled AND r.name = ANY ($1)
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

/// One page of what was done with a certificate, the newest first, and how many lines there are.
pub(in crate::certificates) async fn deeds(
    db: &mut PgConnection,
    certificate_id: i64,
    list: &ListQuery,
    asker: &Asker<'_>,
) -> Result<(Vec<DeedRow>, i64), Error> {
    let key = Column { sql: "id", kind: Kind::Number };
    let listing = Listing {
        name: "deeds",
        columns: "id, at, actor, operation, message",
        from: " FROM audit_log WHERE entity_type = 'Certificate'",
        fields: history::FIELDS,
        order: Order { by: key, descending: true },
        key,
        narrow: vec![Narrow::Is("entity_id", certificate_id.to_string())],
    };
    Ok(listing.page(db, list, asker).await?)
}
