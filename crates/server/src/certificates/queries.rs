//! Every SQL statement of the slice.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sealift_protocol::StoreId;
use sqlx::types::Json;
use sqlx::{PgConnection, QueryBuilder};

use super::error::Error;
use super::supply::CertificateFacts;
use super::{collection, fields};
use crate::http::filter_sql::{Asker, Kind, push_filter};
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
    pub(super) has_key: bool,
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

/// A certificate's bytes, and its sealed key where it is kept.
pub(super) struct ContentRow {
    pub(super) id: i64,
    pub(super) content: Vec<u8>,
    pub(super) authority_id: Option<i64>,
    pub(super) sealed_key: Option<Vec<u8>>,
}

/// A collection.
#[derive(sqlx::FromRow)]
pub(super) struct CollectionRow {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) query: String,
}

/// A collection to be made.
#[derive(Debug)]
pub(super) struct NewCollection {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) query: String,
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
            c.metadata AS "metadata: Json<BTreeMap<String, String>>",
            EXISTS (SELECT 1 FROM certificate_keys k WHERE k.certificate_id = c.id) AS "has_key!"
        FROM certificates c
        WHERE c.id = $1"#,
        id
    )
    .fetch_optional(db)
    .await
}

/// What a list of certificates is asked for.
pub(super) struct Search<'a> {
    pub(super) list: &'a ListQuery,
    /// Query of the collection that they must be members of.
    pub(super) members: Option<&'a str>,
    pub(super) revoked: bool,
    pub(super) expired: bool,
    pub(super) asker: Asker<'a>,
}

const SEARCHED: &str = " FROM certificates c LEFT JOIN templates t ON t.id = c.template_id
    LEFT JOIN authorities a ON a.id = c.authority_id WHERE true";

const COLUMNS: &str = "c.id, c.thumbprint, c.serial_number, c.issued_dn, c.issued_cn, c.issuer_dn, c.not_before,
    c.not_after, c.key_type, c.key_bits, c.signing_algorithm, c.content, c.imported_at, c.authority_id, c.template_id,
    t.display_name AS template_name, c.requester, c.state, c.revoked_at, c.revoke_reason, c.revoke_comment, c.metadata,
    EXISTS (SELECT 1 FROM certificate_keys k WHERE k.certificate_id = c.id) AS has_key";

/// One page of certificates, and how many match.
pub(super) async fn certificates(
    db: &mut PgConnection,
    search: &Search<'_>,
) -> Result<(Vec<CertificateRow>, i64), Error> {
    let mut narrow = Vec::new();
    if !search.revoked {
        narrow.push(Narrow::Holds("c.state <> 2"));
    }
    if !search.expired {
        narrow.push(Narrow::AfterNow("c.not_after"));
    }
    narrow.extend(search.members.map(Narrow::Matches));
    let key = Column { sql: "c.id", kind: Kind::Number };
    let listing = Listing {
        name: "certificates",
        columns: COLUMNS,
        from: SEARCHED,
        fields: fields::CERTIFICATES,
        order: Order { by: key, descending: false },
        key,
        narrow,
    };
    Ok(listing.page(db, search.list, &search.asker).await?)
}

/// Those of some certificates that match the query of a collection.
pub(super) async fn members(
    db: &mut PgConnection,
    certificate_ids: &[i64],
    query: &str,
    asker: &Asker<'_>,
) -> Result<Vec<i64>, Error> {
    let mut sql = QueryBuilder::new("-- name: members\nSELECT c.id");
    sql.push(SEARCHED).push(" AND c.id = ANY (").push_bind(certificate_ids.to_vec()).push(")");
    push_filter(&mut sql, fields::CERTIFICATES, Some(query), asker)?;
    Ok(sql.build_query_scalar().fetch_all(db).await?)
}

/// A certificate that may be revoked.
pub(super) struct RevocableRow {
    pub(super) id: i64,
    pub(super) state: i16,
    pub(super) authority_id: Option<i64>,
    pub(super) serial_number: String,
}

/// Loads certificates and holds them until the transaction ends, in one order everywhere.
pub(super) async fn lock_certificates(db: &mut PgConnection, ids: &[i64]) -> sqlx::Result<Vec<RevocableRow>> {
    sqlx::query_as!(
        RevocableRow,
        "-- name: lock_certificates
        SELECT id, state, authority_id, serial_number FROM certificates WHERE id = ANY ($1)
        ORDER BY id FOR NO KEY UPDATE",
        ids
    )
    .fetch_all(db)
    .await
}

/// Marks certificates as revoked; those that are already keep their time and reason. Answers how many changed.
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
        WHERE id = ANY ($1) AND state = 1",
        ids,
        reason,
        comment,
        at
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

pub(super) async fn collection(db: &mut PgConnection, id: i64) -> sqlx::Result<Option<CollectionRow>> {
    sqlx::query_as!(
        CollectionRow,
        "-- name: collection
        SELECT id, name, description, query FROM collections WHERE id = $1",
        id
    )
    .fetch_optional(db)
    .await
}

pub(super) async fn collection_by_name(
    db: &mut PgConnection,
    name: &str,
) -> sqlx::Result<Option<CollectionRow>> {
    sqlx::query_as!(
        CollectionRow,
        "-- name: collection_by_name
        SELECT id, name, description, query FROM collections WHERE lower(name) = lower($1)",
        name
    )
    .fetch_optional(db)
    .await
}

/// Makes a collection; `None` when its name is taken.
pub(super) async fn insert_collection(
    db: &mut PgConnection,
    new: &NewCollection,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "-- name: insert_collection
        INSERT INTO collections (name, description, query, created_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (lower(name)) DO NOTHING RETURNING id",
        new.name,
        new.description,
        new.query,
        now
    )
    .fetch_optional(db)
    .await
}

/// One page of collections, of these ids only where some are given, and how many match.
pub(super) async fn collections(
    db: &mut PgConnection,
    only: Option<&[i64]>,
    list: &ListQuery,
    asker: &Asker<'_>,
) -> Result<(Vec<CollectionRow>, i64), Error> {
    let listing = Listing {
        name: "collections",
        columns: "id, name, description, query",
        from: " FROM collections WHERE true",
        fields: collection::FIELDS,
        order: Order { by: Column { sql: "name", kind: Kind::Text }, descending: false },
        key: Column { sql: "id", kind: Kind::Number },
        narrow: only.map(|ids| Narrow::Among("id", ids.to_vec())).into_iter().collect(),
    };
    Ok(listing.page(db, list, asker).await?)
}
