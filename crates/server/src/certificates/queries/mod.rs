//! The SQL statements of the slice: here what reads, records and revokes certificates; beside it, by noun, the rest.

pub(super) mod access;
pub(super) mod changes;
pub(super) mod collections;
pub(super) mod content;
pub(super) mod metadata;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sealift_protocol::StoreId;
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::error::Error;
use super::supply::CertificateFacts;
use crate::http::Failure;
use crate::http::filter_sql::{AnyField, Asker, Kind, push_filter};
use crate::http::list::ListQuery;
use crate::http::listing::{Column, Listing, Narrow, Order};

/// A certificate with what stands beside it.
#[derive(sqlx::FromRow)]
pub(super) struct CertificateRow {
    pub(super) id: i64,
    pub(super) thumbprint: String,
    pub(super) serial_number: String,
    pub(super) issued_dn: String,
    pub(super) issued_cn: Option<String>,
    pub(super) issuer_dn: String,
    pub(super) not_before: DateTime<Utc>,
    pub(super) not_after: DateTime<Utc>,
    pub(super) key_type: i16,
    pub(super) key_bits: i32,
    pub(super) signing_algorithm: String,
    pub(super) content: Vec<u8>,
    pub(super) imported_at: DateTime<Utc>,
    pub(super) authority_id: Option<i64>,
    pub(super) template_id: Option<i64>,
    pub(super) template_name: Option<String>,
    pub(super) requester: Option<String>,
    pub(super) state: i16,
    pub(super) revoked_at: Option<DateTime<Utc>>,
    pub(super) revoke_reason: Option<i16>,
    pub(super) revoke_comment: Option<String>,
    pub(super) metadata: Json<BTreeMap<String, String>>,
    pub(super) owner_role_id: Option<i64>,
    pub(super) owner_role_name: Option<String>,
    pub(super) has_key: bool,
    pub(super) request_id: Option<i64>,
}

/// A place where a certificate was found.
pub(super) struct LocationRow {
    pub(super) certificate_id: i64,
    pub(super) store_machine: String,
    pub(super) store_path: String,
    pub(super) store_type: i32,
    pub(super) store_type_name: String,
    pub(super) alias: String,
    pub(super) chain_level: i16,
    pub(super) store_id: StoreId,
    /// Places of this certificate in stores of this type, this one included.
    pub(super) of_type: i64,
}

/// What a target showed of a store that holds a certificate.
pub(super) struct ServedRow {
    pub(super) certificate_id: i64,
    pub(super) store_id: StoreId,
    pub(super) host: String,
    pub(super) port: i32,
    pub(super) server_name: String,
    /// Whether it showed this certificate.
    pub(super) matches: bool,
    pub(super) thumbprint: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) seen_at: DateTime<Utc>,
}

/// A certificate's bytes, and its sealed key where it is kept.
pub(super) struct ContentRow {
    pub(super) id: i64,
    pub(super) content: Vec<u8>,
    pub(super) authority_id: Option<i64>,
    pub(super) sealed_key: Option<Vec<u8>>,
}

/// Columns of certificates to be recorded, one element for each.
#[derive(Default)]
pub(super) struct CertificateColumns {
    pub(super) sha256: Vec<Vec<u8>>,
    pub(super) thumbprint: Vec<String>,
    pub(super) serial_number: Vec<String>,
    pub(super) issued_dn: Vec<String>,
    pub(super) issued_cn: Vec<Option<String>>,
    pub(super) issuer_dn: Vec<String>,
    pub(super) not_before: Vec<DateTime<Utc>>,
    pub(super) not_after: Vec<DateTime<Utc>>,
    pub(super) key_type: Vec<i16>,
    pub(super) key_bits: Vec<i32>,
    pub(super) signing_algorithm: Vec<String>,
    pub(super) content: Vec<Vec<u8>>,
    /// Lists of texts: arrays of arrays would have to be of one length.
    pub(super) dns_names: Vec<serde_json::Value>,
    pub(super) authority_id: Vec<Option<i64>>,
    pub(super) template_id: Vec<Option<i64>>,
    pub(super) requester: Vec<Option<String>>,
    pub(super) state: Vec<i16>,
    pub(super) metadata: Vec<serde_json::Value>,
}

/// Records certificates and answers their ids in order; `None` for one that another transaction recorded at the same
/// time, which this statement can neither insert nor see. Rows are inserted in one order everywhere, so that such
/// transactions wait for each other and never in a circle.
pub(super) async fn record_certificates(
    db: &mut PgConnection,
    new: &CertificateColumns,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Option<i64>>> {
    sqlx::query_scalar!(
        r#"-- name: record_certificates
        WITH given AS (
            SELECT * FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                $7::timestamptz[], $8::timestamptz[], $9::smallint[], $10::integer[], $11::text[], $12::bytea[],
                $13::jsonb[], $14::bigint[], $15::bigint[], $16::text[], $17::smallint[], $18::jsonb[])
            WITH ORDINALITY AS given (sha256, thumbprint, serial_number, issued_dn, issued_cn, issuer_dn, not_before,
                not_after, key_type, key_bits, signing_algorithm, content, dns_names, authority_id, template_id,
                requester, state, metadata, position)
        ), inserted AS (
            INSERT INTO certificates (sha256, thumbprint, serial_number, issued_dn, issued_cn, issuer_dn, not_before,
                not_after, key_type, key_bits, signing_algorithm, content, dns_names, imported_at, authority_id,
                template_id, requester, state, metadata)
            SELECT DISTINCT ON (sha256) sha256, thumbprint, serial_number, issued_dn, issued_cn, issuer_dn, not_before,
                not_after, key_type, key_bits, signing_algorithm, content,
                ARRAY(SELECT jsonb_array_elements_text(dns_names)), $19, authority_id, template_id, requester, state,
                metadata
            FROM given
            WHERE NOT EXISTS (SELECT 1 FROM certificates known WHERE known.sha256 = given.sha256)
            ORDER BY sha256, position
            ON CONFLICT (sha256) DO NOTHING
            RETURNING id, sha256
        )
        SELECT COALESCE(inserted.id, known.id) AS id
        FROM given
        LEFT JOIN inserted ON inserted.sha256 = given.sha256
        LEFT JOIN certificates known ON known.sha256 = given.sha256
        ORDER BY given.position"#,
        &new.sha256,
        &new.thumbprint,
        &new.serial_number,
        &new.issued_dn,
        &new.issued_cn as &[Option<String>],
        &new.issuer_dn,
        &new.not_before,
        &new.not_after,
        &new.key_type,
        &new.key_bits,
        &new.signing_algorithm,
        &new.content,
        &new.dns_names,
        &new.authority_id as &[Option<i64>],
        &new.template_id as &[Option<i64>],
        &new.requester as &[Option<String>],
        &new.state,
        &new.metadata,
        now
    )
    .fetch_all(db)
    .await
}

pub(super) async fn insert_key(
    db: &mut PgConnection,
    certificate_id: i64,
    sealed_key: &[u8],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "-- name: insert_key
        INSERT INTO certificate_keys (certificate_id, sealed_key, stored_at) VALUES ($1, $2, $3)
        ON CONFLICT (certificate_id) DO NOTHING",
        certificate_id,
        sealed_key,
        now
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn facts(db: &mut PgConnection, ids: &[i64]) -> sqlx::Result<Vec<CertificateFacts>> {
    sqlx::query_as!(
        CertificateFacts,
        r#"-- name: facts
        SELECT c.id, c.thumbprint,
            EXISTS (SELECT 1 FROM certificate_keys k WHERE k.certificate_id = c.id) AS "has_key!"
        FROM certificates c
        WHERE c.id = ANY ($1)"#,
        ids
    )
    .fetch_all(db)
    .await
}

pub(super) async fn contents(db: &mut PgConnection, ids: &[i64]) -> sqlx::Result<Vec<ContentRow>> {
    sqlx::query_as!(
        ContentRow,
        r#"-- name: contents
        SELECT c.id, c.content, c.authority_id,
            (SELECT k.sealed_key FROM certificate_keys k WHERE k.certificate_id = c.id) AS "sealed_key?"
        FROM certificates c
        WHERE c.id = ANY ($1)"#,
        ids
    )
    .fetch_all(db)
    .await
}

pub(super) async fn certificate(db: &mut PgConnection, id: i64) -> sqlx::Result<Option<CertificateRow>> {
    sqlx::query_as!(
        CertificateRow,
        r#"-- name: certificate
        SELECT c.id, c.thumbprint, c.serial_number, c.issued_dn, c.issued_cn, c.issuer_dn, c.not_before, c.not_after,
            c.key_type, c.key_bits, c.signing_algorithm, c.content, c.imported_at, c.authority_id, c.template_id,
            (SELECT t.display_name FROM templates t WHERE t.id = c.template_id) AS "template_name?",
            c.requester, c.state, c.revoked_at, c.revoke_reason, c.revoke_comment,
            c.metadata AS "metadata: Json<BTreeMap<String, String>>", c.owner_role_id,
            (SELECT r.name FROM roles r WHERE r.id = c.owner_role_id) AS "owner_role_name?",
            EXISTS (SELECT 1 FROM certificate_keys k WHERE k.certificate_id = c.id) AS "has_key!",
            (SELECT r.id FROM enrollment_requests r WHERE r.certificate_id = c.id) AS request_id
        FROM certificates c
        WHERE c.id = $1"#,
        id
    )
    .fetch_optional(db)
    .await
}

/// Which members of a collection a search is about.
#[derive(Debug, Clone)]
pub(super) struct Members {
    /// The query of the collection.
    pub(super) query: String,
    /// Of certificates that share a name, only the newest: 1 common name, 2 distinguished name.
    pub(super) duplication_field: i16,
}

/// What a search for certificates is about.
#[derive(Clone, Copy)]
pub(super) struct Search<'a> {
    /// What filters may name, metadata fields included.
    pub(super) fields: &'a [AnyField<'a>],
    pub(super) filter: Option<&'a str>,
    pub(super) members: Option<&'a Members>,
    pub(super) revoked: bool,
    pub(super) expired: bool,
    pub(super) asker: Asker<'a>,
}

const SEARCHED: &str = " FROM certificates c LEFT JOIN templates t ON t.id = c.template_id
    LEFT JOIN authorities a ON a.id = c.authority_id WHERE true";

fn push_search(sql: &mut QueryBuilder<Postgres>, search: &Search<'_>) -> Result<(), Error> {
    sql.push(SEARCHED);
    push_state(sql, search);
    if let Some(members) = search.members {
        push_members(sql, search, members)?;
    }
    push_filter(sql, search.fields, search.filter, &search.asker)?;
    Ok(())
}

fn push_state(sql: &mut QueryBuilder<Postgres>, search: &Search<'_>) {
    if !search.revoked {
        sql.push(" AND c.state <> 2");
    }
    if !search.expired {
        sql.push(" AND c.not_after > ").push_bind(search.asker.now);
    }
}

fn push_members(
    sql: &mut QueryBuilder<Postgres>,
    search: &Search<'_>,
    members: &Members,
) -> Result<(), Failure> {
    let name = match members.duplication_field {
        1 => "lower(c.issued_cn)",
        2 => "c.issued_dn",
        // No certificate of ours has a principal name, so none has another's.
        _ => return push_filter(sql, search.fields, Some(&members.query), &search.asker),
    };
    // One without the name is nobody's double.
    sql.push(format_args!(" AND ({name} IS NULL OR c.id IN (SELECT DISTINCT ON ({name}) c.id"));
    sql.push(SEARCHED);
    push_state(sql, search);
    push_filter(sql, search.fields, Some(&members.query), &search.asker)?;
    sql.push(format_args!(" ORDER BY {name}, c.not_before DESC, c.id DESC))"));
    push_filter(sql, search.fields, Some(&members.query), &search.asker)
}

/// What is selected of certificates.
const COLUMNS: &str = "c.id, c.thumbprint, c.serial_number, c.issued_dn, c.issued_cn, c.issuer_dn, c.not_before,
    c.not_after, c.key_type, c.key_bits, c.signing_algorithm, c.content, c.imported_at, c.authority_id, c.template_id,
    t.display_name AS template_name, c.requester, c.state, c.revoked_at, c.revoke_reason, c.revoke_comment, c.metadata,
    c.owner_role_id, (SELECT r.name FROM roles r WHERE r.id = c.owner_role_id) AS owner_role_name,
    EXISTS (SELECT 1 FROM certificate_keys k WHERE k.certificate_id = c.id) AS has_key,
    (SELECT r.id FROM enrollment_requests r WHERE r.certificate_id = c.id) AS request_id";

/// One page of certificates, and how many match.
pub(super) async fn certificates(
    db: &mut PgConnection,
    search: &Search<'_>,
    list: &ListQuery,
) -> Result<(Vec<CertificateRow>, i64), Error> {
    let mut narrow = Vec::new();
    if !search.revoked {
        narrow.push(Narrow::Holds("c.state <> 2"));
    }
    if !search.expired {
        narrow.push(Narrow::AfterNow("c.not_after"));
    }
    if let Some(members) = search.members {
        narrow.push(Narrow::Written {
            told: format!("{} {}", members.duplication_field, members.query),
            write: Box::new(|sql| push_members(sql, search, members)),
        });
    }
    let key = Column { sql: "c.id", kind: Kind::Number };
    let listing = Listing {
        name: "certificates",
        columns: COLUMNS,
        from: SEARCHED,
        fields: search.fields,
        order: Order { by: key, descending: false },
        key,
        narrow,
    };
    let mut list = list.clone();
    list.filter = search.filter.map(str::to_owned);
    Ok(listing.page(db, &list, &search.asker).await?)
}

/// How many match. It may have to look at every certificate: for sweeps.
pub(super) async fn count_certificates(db: &mut PgConnection, search: &Search<'_>) -> Result<i64, Error> {
    let mut sql = QueryBuilder::new("-- name: count_certificates\nSELECT count(*)");
    push_search(&mut sql, search)?;
    Ok(sql.build_query_scalar().fetch_one(db).await?)
}

/// Ids of those that match, in order, at most so many.
pub(super) async fn matching(
    db: &mut PgConnection,
    search: &Search<'_>,
    limit: i64,
) -> Result<Vec<i64>, Error> {
    let mut sql = QueryBuilder::new("-- name: matching\nSELECT c.id");
    push_search(&mut sql, search)?;
    sql.push(" ORDER BY c.id LIMIT ").push_bind(limit);
    Ok(sql.build_query_scalar().fetch_all(db).await?)
}

/// Those of some certificates that match the query of a collection.
pub(super) async fn members(
    db: &mut PgConnection,
    certificate_ids: &[i64],
    query: &str,
    fields: &[AnyField<'_>],
    asker: &Asker<'_>,
) -> Result<Vec<i64>, Error> {
    let mut sql = QueryBuilder::new("-- name: members\nSELECT c.id");
    sql.push(SEARCHED).push(" AND c.id = ANY (").push_bind(certificate_ids.to_vec()).push(")");
    push_filter(&mut sql, fields, Some(query), asker)?;
    Ok(sql.build_query_scalar().fetch_all(db).await?)
}

/// Those of some collections, given by id and query, that hold a certificate.
pub(super) async fn holders(
    db: &mut PgConnection,
    certificate_id: i64,
    collections: &[(i64, String)],
    fields: &[AnyField<'_>],
    asker: &Asker<'_>,
) -> Result<Vec<i64>, Error> {
    let mut sql = QueryBuilder::new("-- name: holders\n");
    for (index, (id, query)) in collections.iter().enumerate() {
        sql.push(if index == 0 { "SELECT " } else { " UNION ALL SELECT " }).push_bind(*id).push("::bigint");
        sql.push(SEARCHED).push(" AND c.id = ").push_bind(certificate_id);
        push_filter(&mut sql, fields, Some(query), asker)?;
    }
    Ok(sql.build_query_scalar().fetch_all(db).await?)
}

/// A certificate that may be revoked.
pub(super) struct RevocableRow {
    pub(super) id: i64,
    pub(super) state: i16,
    pub(super) authority_id: Option<i64>,
    pub(super) serial_number: String,
    pub(super) revoke_reason: Option<i16>,
}

/// Loads certificates and holds them until the transaction ends, in one order everywhere.
pub(super) async fn lock_certificates(db: &mut PgConnection, ids: &[i64]) -> sqlx::Result<Vec<RevocableRow>> {
    sqlx::query_as!(
        RevocableRow,
        "-- name: lock_certificates
        SELECT id, state, authority_id, serial_number, revoke_reason FROM certificates WHERE id = ANY ($1)
        ORDER BY id FOR NO KEY UPDATE",
        ids
    )
    .fetch_all(db)
    .await
}

/// Marks certificates as revoked; those that are already keep their time and reason, unless they were on hold. Answers
/// how many changed.
pub(super) async fn revoke_certificates(
    db: &mut PgConnection,
    ids: &[i64],
    reason: i16,
    comment: Option<&str>,
    at: DateTime<Utc>,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "-- name: revoke_certificates
        UPDATE certificates SET state = 2, revoked_at = $4, revoke_reason = $2, revoke_comment = $3
        WHERE id = ANY ($1) AND (state = 1 OR revoke_reason = 6 AND $2::smallint <> 6)",
        ids,
        reason,
        comment,
        at
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Takes certificates off hold.
pub(super) async fn release_certificates(db: &mut PgConnection, ids: &[i64]) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "-- name: release_certificates
        UPDATE certificates SET state = 1, revoked_at = NULL, revoke_reason = NULL, revoke_comment = NULL
        WHERE id = ANY ($1) AND revoke_reason = 6",
        ids
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Where certificates were found, at most `limit` places of each.
pub(super) async fn locations(
    db: &mut PgConnection,
    ids: &[i64],
    limit: i64,
) -> sqlx::Result<Vec<LocationRow>> {
    sqlx::query_as!(
        LocationRow,
        r#"-- name: locations
        SELECT certificate_id AS "certificate_id!", store_machine AS "store_machine!", store_path AS "store_path!",
            store_type AS "store_type!", store_type_name AS "store_type_name!", alias AS "alias!",
            chain_level AS "chain_level!", store_id AS "store_id!: StoreId", of_type AS "of_type!"
        FROM (
            SELECT p.certificate_id, s.client_machine AS store_machine, s.store_path, s.store_type,
                y.short_name AS store_type_name, e.alias, p.chain_level, s.id AS store_id,
                count(*) OVER (PARTITION BY p.certificate_id, s.store_type) AS of_type,
                row_number() OVER (PARTITION BY p.certificate_id ORDER BY e.id, p.chain_level) AS position
            FROM store_entry_certificates p
            JOIN store_entries e ON e.id = p.entry_id
            JOIN certificate_stores s ON s.id = e.store_id
            JOIN store_types y ON y.id = s.store_type
            WHERE p.certificate_id = ANY ($1)
        ) AS places
        WHERE position <= $2
        ORDER BY certificate_id, position"#,
        ids,
        limit
    )
    .fetch_all(db)
    .await
}

/// What the targets of stores showed that show one of these certificates, or should; at most `limit` in all.
pub(super) async fn served(
    db: &mut PgConnection,
    ids: &[i64],
    stores: &[StoreId],
    limit: i64,
) -> sqlx::Result<Vec<ServedRow>> {
    let stores: Vec<uuid::Uuid> = stores.iter().map(|store| store.uuid()).collect();
    sqlx::query_as!(
        ServedRow,
        r#"-- name: served
        SELECT c.id AS certificate_id, v.store_id AS "store_id: StoreId", v.host, v.port, v.server_name,
            coalesce(v.thumbprint = c.thumbprint, false) AS "matches!", v.thumbprint, v.protocol, v.reason, v.seen_at
        FROM store_served v JOIN certificates c ON c.thumbprint IN (v.thumbprint, v.wanted)
        WHERE v.store_id = ANY ($2) AND c.id = ANY ($1)
        ORDER BY v.host, v.port, v.server_name LIMIT $3"#,
        ids,
        &stores,
        limit
    )
    .fetch_all(db)
    .await
}
