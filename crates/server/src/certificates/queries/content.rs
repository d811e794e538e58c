//! Statements about the bytes of certificates: finding them by what identifies them, and their issuers.

use sqlx::PgConnection;

/// An issuer of a certificate, or an issuer of an issuer.
pub(in crate::certificates) struct IssuerRow {
    /// The certificate whose chain it may belong to.
    pub(in crate::certificates) leaf_id: i64,
    pub(in crate::certificates) content: Vec<u8>,
}

/// The first certificate that fits everything that is given.
pub(in crate::certificates) async fn find(
    db: &mut PgConnection,
    id: Option<i64>,
    thumbprint: Option<&str>,
    serial_number: Option<&str>,
    issuer_dn: Option<&str>,
) -> sqlx::Result<Option<i64>> {
    // Each given member alone decides how the row is looked up, so each way has its index.
    if let Some(id) = id {
        return sqlx::query_scalar!(
            "-- name: find_by_id
            SELECT id FROM certificates WHERE id = $1 AND ($2::text IS NULL OR thumbprint = $2)
                AND ($3::text IS NULL OR serial_number = $3) AND ($4::text IS NULL OR lower(issuer_dn) = lower($4))",
            id,
            thumbprint,
            serial_number,
            issuer_dn
        )
        .fetch_optional(db)
        .await;
    }
    if let Some(thumbprint) = thumbprint {
        return sqlx::query_scalar!(
            "-- name: find_by_thumbprint
            SELECT id FROM certificates WHERE thumbprint = $1 AND ($2::text IS NULL OR serial_number = $2)
                AND ($3::text IS NULL OR lower(issuer_dn) = lower($3)) ORDER BY id LIMIT 1",
            thumbprint,
            serial_number,
            issuer_dn
        )
        .fetch_optional(db)
        .await;
    }
    sqlx::query_scalar!(
        "-- name: find_by_serial_number
        SELECT id FROM certificates WHERE serial_number = $1 AND lower(issuer_dn) = lower($2) ORDER BY id LIMIT 1",
        serial_number,
        issuer_dn
    )
    .fetch_optional(db)
    .await
}

/// Ids of certificates on record, with the SHA-256 of their bytes.
pub(in crate::certificates) async fn by_sha256(
    db: &mut PgConnection,
    sha256: &[Vec<u8>],
) -> sqlx::Result<Vec<(i64, Vec<u8>)>> {
    let rows = sqlx::query!(
        "-- name: by_sha256\nSELECT id, sha256 FROM certificates WHERE sha256 = ANY ($1)",
        sha256
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.sha256)).collect())
}

/// What may stand above some certificates: every authority on record that has the issuer's name, up to `depth` levels,
/// and at most `limit` rows. Whose key signed is not looked at here.
pub(in crate::certificates) async fn issuers(
    db: &mut PgConnection,
    ids: &[i64],
    depth: i32,
    limit: i64,
) -> sqlx::Result<Vec<IssuerRow>> {
    sqlx::query_as!(
        IssuerRow,
        r#"-- name: issuers
        WITH RECURSIVE above (leaf_id, id, issued_dn, issuer_dn, level) AS (
            SELECT c.id, c.id, c.issued_dn, c.issuer_dn, 0 FROM certificates c WHERE c.id = ANY ($1)
            UNION
            SELECT below.leaf_id, i.id, i.issued_dn, i.issuer_dn, below.level + 1
            FROM above below
            JOIN certificates i ON i.issued_dn = below.issuer_dn AND i.state = 6
            WHERE below.level < $2 AND below.issuer_dn <> below.issued_dn
        )
        SELECT known.leaf_id AS "leaf_id!", c.content
        FROM (SELECT DISTINCT leaf_id, id FROM above WHERE level > 0) AS known
        JOIN certificates c ON c.id = known.id
        LIMIT $3"#,
        ids,
        depth,
        limit
    )
    .fetch_all(db)
    .await
}
