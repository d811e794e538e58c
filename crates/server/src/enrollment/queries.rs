//! Every SQL statement of the slice, lists with filters apart. Certificates, stores and roles are only read here.

use chrono::{DateTime, Utc};
use sealift_protocol::StoreId;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// A row of `enrollment_requests` about to be inserted.
pub(super) struct NewRequest<'a> {
    /// Reserved when something is sealed to the row.
    pub(super) id: Option<i64>,
    pub(super) instance_id: Uuid,
    pub(super) kind: i16,
    pub(super) state: i16,
    pub(super) template_id: i64,
    pub(super) authority_id: i64,
    pub(super) requester: &'a str,
    pub(super) subject: &'a str,
    pub(super) common_name: Option<&'a str>,
    pub(super) key_algorithm: &'a str,
    pub(super) key_bits: i32,
    pub(super) curve: Option<&'a str>,
    pub(super) names: &'a Value,
    pub(super) csr: Option<&'a [u8]>,
    pub(super) sealed_key: Option<&'a [u8]>,
    pub(super) metadata: &'a Value,
    pub(super) enrollment_fields: &'a Value,
    pub(super) owner_role_id: Option<i64>,
    pub(super) renewal_of: Option<i64>,
    pub(super) certificate_id: Option<i64>,
}

/// A row of `enrollment_requests` that is decided about; its row is locked.
pub(super) struct RequestRow {
    pub(super) id: i64,
    pub(super) kind: i16,
    pub(super) state: i16,
    pub(super) template_id: i64,
    pub(super) requester: String,
    pub(super) subject: String,
    pub(super) names: Value,
    pub(super) csr: Option<Vec<u8>>,
    pub(super) sealed_key: Option<Vec<u8>>,
    pub(super) metadata: Value,
    pub(super) owner_role_id: Option<i64>,
    pub(super) certificate_id: Option<i64>,
}

/// What others need to know of a request.
pub(super) struct RequestFacts {
    pub(super) id: i64,
    pub(super) kind: i16,
    pub(super) state: i16,
    pub(super) requester: String,
    pub(super) certificate_id: Option<i64>,
    pub(super) keeps_keys: bool,
}

/// A certificate that may have a successor.
pub(super) struct PredecessorRow {
    pub(super) id: i64,
    pub(super) content: Vec<u8>,
    pub(super) state: i16,
    pub(super) template_id: Option<i64>,
    pub(super) has_key: bool,
    pub(super) metadata: Value,
    pub(super) owner_role_id: Option<i64>,
}

/// An entry of a store that holds a certificate.
pub(super) struct HolderRow {
    pub(super) store_id: StoreId,
    pub(super) alias: String,
    pub(super) private_key_entry: bool,
    pub(super) parameters: Value,
}

/// A row of `enrollment_deliveries` about to be inserted.
pub(super) struct NewDelivery<'a> {
    pub(super) id: i64,
    pub(super) request_id: i64,
    pub(super) store_id: StoreId,
    pub(super) alias: Option<&'a str>,
    pub(super) overwrite: bool,
    pub(super) properties: &'a Value,
    pub(super) replaced: Option<&'a str>,
    pub(super) with_key: bool,
    pub(super) sealed_password: Option<&'a [u8]>,
    pub(super) job_time: Option<DateTime<Utc>>,
    pub(super) requested_by: &'a str,
}

/// A delivery that waits.
pub(super) struct DeliveryRow {
    pub(super) id: i64,
    pub(super) request_id: i64,
    pub(super) store_id: StoreId,
    pub(super) alias: Option<String>,
    pub(super) overwrite: bool,
    pub(super) properties: Value,
    pub(super) replaced: Option<String>,
    pub(super) with_key: bool,
    pub(super) sealed_password: Option<Vec<u8>>,
    pub(super) job_time: Option<DateTime<Utc>>,
    pub(super) requested_by: String,
}

/// A role.
pub(super) struct RoleRow {
    pub(super) id: i64,
    pub(super) name: String,
}

pub(super) async fn reserve_request_id(db: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"-- name: reserve_request_id
        SELECT nextval(pg_get_serial_sequence('enrollment_requests', 'id')) AS "id!""#
    )
    .fetch_one(db)
    .await
}

pub(super) async fn insert_request(
    db: &mut PgConnection,
    new: &NewRequest<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "-- name: insert_request
        INSERT INTO enrollment_requests (id, instance_id, kind, state, template_id, authority_id, requester, subject,
            common_name, key_algorithm, key_bits, curve, names, csr, sealed_key, metadata, enrollment_fields,
            owner_role_id, renewal_of, certificate_id, submitted_at, decided_at)
        OVERRIDING SYSTEM VALUE
        VALUES (COALESCE($1, nextval(pg_get_serial_sequence('enrollment_requests', 'id'))), $2, $3, $4::smallint, $5,
            $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21::timestamptz,
            CASE WHEN $4::smallint = 5 THEN NULL ELSE $21::timestamptz END)
        RETURNING id",
        new.id,
        new.instance_id,
        new.kind,
        new.state,
        new.template_id,
        new.authority_id,
        new.requester,
        new.subject,
        new.common_name,
        new.key_algorithm,
        new.key_bits,
        new.curve,
        new.names,
        new.csr,
        new.sealed_key,
        new.metadata,
        new.enrollment_fields,
        new.owner_role_id,
        new.renewal_of,
        new.certificate_id,
        now
    )
    .fetch_one(db)
    .await
}

/// Requests to be decided about, in one order, so that two callers with the same ones take turns.
pub(super) async fn lock_requests(db: &mut PgConnection, ids: &[i64]) -> sqlx::Result<Vec<RequestRow>> {
    sqlx::query_as!(
        RequestRow,
        "-- name: lock_requests
        SELECT id, kind, state, template_id, requester, subject, names, csr, sealed_key, metadata, owner_role_id,
            certificate_id
        FROM enrollment_requests WHERE id = ANY ($1) ORDER BY id FOR UPDATE",
        ids
    )
    .fetch_all(db)
    .await
}

/// Ends the wait of a request, which the caller has locked. Its key and its CSR go.
pub(super) async fn decide_request(
    db: &mut PgConnection,
    id: i64,
    state: i16,
    certificate_id: Option<i64>,
    decided_by: &str,
    comment: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "-- name: decide_request
        UPDATE enrollment_requests SET state = $2, certificate_id = $3, decided_by = $4, comment = $5, decided_at = $6,
            csr = NULL, sealed_key = NULL
        WHERE id = $1 AND state = 5",
        id,
        state,
        certificate_id,
        decided_by,
        comment,
        now
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn request_facts(db: &mut PgConnection, id: i64) -> sqlx::Result<Option<RequestFacts>> {
    sqlx::query_as!(
        RequestFacts,
        "-- name: request_facts
        SELECT r.id, r.kind, r.state, r.requester, r.certificate_id, t.keeps_keys OR t.requires_approval AS \"keeps_keys!\"
        FROM enrollment_requests r JOIN templates t ON t.id = r.template_id
        WHERE r.id = $1 FOR SHARE OF r",
        id
    )
    .fetch_optional(db)
    .await
}

/// The request behind a workflow instance.
pub(super) async fn request_of_instance(db: &mut PgConnection, instance: Uuid) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "-- name: request_of_instance\nSELECT id FROM enrollment_requests WHERE instance_id = $1",
        instance
    )
    .fetch_optional(db)
    .await
}

/// Deletes a request that was denied; false when it was not.
pub(super) async fn delete_denied(db: &mut PgConnection, id: i64) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "-- name: delete_denied\nDELETE FROM enrollment_requests WHERE id = $1 AND state = 3",
        id
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A certificate by its id or its thumbprint; the newest of several with the same thumbprint.
pub(super) async fn predecessor(
    db: &mut PgConnection,
    id: Option<i64>,
    thumbprint: Option<&str>,
) -> sqlx::Result<Option<PredecessorRow>> {
    sqlx::query_as!(
        PredecessorRow,
        r#"-- name: predecessor
        SELECT c.id, c.content, c.state, c.template_id, c.metadata, c.owner_role_id,
            EXISTS (SELECT 1 FROM certificate_keys k WHERE k.certificate_id = c.id) AS "has_key!"
        FROM certificates c
        WHERE CASE WHEN $1::bigint IS NULL THEN c.thumbprint = $2 ELSE c.id = $1 END
        ORDER BY c.id DESC LIMIT 1"#,
        id,
        thumbprint
    )
    .fetch_optional(db)
    .await
}

/// Who asked for a certificate.
pub(super) async fn requester_of(db: &mut PgConnection, certificate_id: i64) -> sqlx::Result<Option<String>> {
    let found = sqlx::query_scalar!(
        "-- name: requester_of\nSELECT requester FROM certificates WHERE id = $1",
        certificate_id
    )
    .fetch_optional(db)
    .await?;
    Ok(found.flatten())
}

/// Entries whose own certificate is this one, at most `limit`.
pub(super) async fn holders(
    db: &mut PgConnection,
    certificate_id: i64,
    limit: i64,
) -> sqlx::Result<Vec<HolderRow>> {
    sqlx::query_as!(
        HolderRow,
        r#"-- name: holders
        SELECT e.store_id AS "store_id: StoreId", e.alias, e.private_key_entry, e.parameters
        FROM store_entry_certificates p JOIN store_entries e ON e.id = p.entry_id
        WHERE p.certificate_id = $1 AND p.chain_level = 0
        ORDER BY e.id LIMIT $2"#,
        certificate_id,
        limit
    )
    .fetch_all(db)
    .await
}

pub(super) async fn reserve_delivery_ids(db: &mut PgConnection, count: i32) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"-- name: reserve_delivery_ids
        SELECT nextval(pg_get_serial_sequence('enrollment_deliveries', 'id')) AS "id!"
        FROM generate_series(1, $1::integer)"#,
        count
    )
    .fetch_all(db)
    .await
}

pub(super) async fn insert_deliveries(
    db: &mut PgConnection,
    new: &[NewDelivery<'_>],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let column = |of: fn(&NewDelivery<'_>) -> i64| new.iter().map(of).collect::<Vec<i64>>();
    let aliases: Vec<Option<String>> = new.iter().map(|one| one.alias.map(str::to_owned)).collect();
    let replaced: Vec<Option<String>> = new.iter().map(|one| one.replaced.map(str::to_owned)).collect();
    let stores: Vec<Uuid> = new.iter().map(|one| one.store_id.uuid()).collect();
    let overwrite: Vec<bool> = new.iter().map(|one| one.overwrite).collect();
    let with_key: Vec<bool> = new.iter().map(|one| one.with_key).collect();
    let properties: Vec<Value> = new.iter().map(|one| one.properties.clone()).collect();
    let passwords: Vec<Option<Vec<u8>>> =
        new.iter().map(|one| one.sealed_password.map(<[u8]>::to_vec)).collect();
    let times: Vec<Option<DateTime<Utc>>> = new.iter().map(|one| one.job_time).collect();
    let callers: Vec<String> = new.iter().map(|one| one.requested_by.to_owned()).collect();
    sqlx::query!(
        "-- name: insert_deliveries
        INSERT INTO enrollment_deliveries (id, request_id, store_id, alias, overwrite, properties, replaced, with_key,
            sealed_password, job_time, requested_by, requested_at)
        OVERRIDING SYSTEM VALUE
        SELECT id, request_id, store_id, alias, overwrite, properties, replaced, with_key, sealed_password, job_time,
            requested_by, $12
        FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::text[], $5::boolean[], $6::jsonb[], $7::text[],
            $8::boolean[], $9::bytea[], $10::timestamptz[], $11::text[])
            AS new (id, request_id, store_id, alias, overwrite, properties, replaced, with_key, sealed_password,
                job_time, requested_by)",
        &column(|one| one.id),
        &column(|one| one.request_id),
        &stores,
        &aliases as &[Option<String>],
        &overwrite,
        &properties,
        &replaced as &[Option<String>],
        &with_key,
        &passwords as &[Option<Vec<u8>>],
        &times as &[Option<DateTime<Utc>>],
        &callers,
        now
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Deliveries of a request that wait, in the order in which they were asked for.
pub(super) async fn waiting_deliveries(
    db: &mut PgConnection,
    request_id: i64,
) -> sqlx::Result<Vec<DeliveryRow>> {
    sqlx::query_as!(
        DeliveryRow,
        r#"-- name: waiting_deliveries
        SELECT id, request_id, store_id AS "store_id: StoreId", alias, overwrite, properties, replaced, with_key,
            sealed_password, job_time, requested_by
        FROM enrollment_deliveries WHERE request_id = $1 AND outcome IS NULL ORDER BY id"#,
        request_id
    )
    .fetch_all(db)
    .await
}

pub(super) async fn count_deliveries(db: &mut PgConnection, request_id: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"-- name: count_deliveries
        SELECT count(*) AS "count!" FROM enrollment_deliveries WHERE request_id = $1"#,
        request_id
    )
    .fetch_one(db)
    .await
}

/// Ends deliveries, each with what came of it. Their passwords go.
pub(super) async fn end_deliveries(
    db: &mut PgConnection,
    ids: &[i64],
    outcomes: &[String],
) -> sqlx::Result<()> {
    sqlx::query!(
        "-- name: end_deliveries
        UPDATE enrollment_deliveries d SET outcome = ended.outcome, sealed_password = NULL
        FROM unnest($1::bigint[], $2::text[]) AS ended (id, outcome)
        WHERE d.id = ended.id",
        ids,
        outcomes
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Stores that are to get the certificate of a request, with the alias that was asked for.
pub(super) async fn request_stores(
    db: &mut PgConnection,
    request_id: i64,
) -> sqlx::Result<Vec<(String, String, String)>> {
    let rows = sqlx::query!(
        r#"-- name: request_stores
        SELECT COALESCE(d.alias, '') AS "alias!", s.client_machine, s.store_path
        FROM enrollment_deliveries d JOIN certificate_stores s ON s.id = d.store_id
        WHERE d.request_id = $1 ORDER BY d.id LIMIT 1000"#,
        request_id
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.alias, row.client_machine, row.store_path)).collect())
}

/// Roles by their ids or, in any case, their names.
pub(super) async fn roles(
    db: &mut PgConnection,
    ids: &[i64],
    names: &[String],
) -> sqlx::Result<Vec<RoleRow>> {
    sqlx::query_as!(
        RoleRow,
        "-- name: roles_by_id_or_name
        SELECT id, name FROM roles
        WHERE id = ANY ($1) OR lower(name) = ANY (SELECT lower(given) FROM unnest($2::text[]) AS given)
        ORDER BY id",
        ids,
        names
    )
    .fetch_all(db)
    .await
}
