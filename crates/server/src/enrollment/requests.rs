//! Enrollment requests as operators see them (operator contract, 9.10): those that wait, those that were denied, and
//! one by its id.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sealift_protocol::operator::enrollment as wire;
use serde_json::Value;
use sqlx::{FromRow, PgConnection, QueryBuilder};

use super::error::Error;
use super::filing::{DENIED, ISSUED, PENDING};
use super::queries;
use crate::authority::Authority;
use crate::http::filter_sql::{Asker, Field, Kind};
use crate::http::list::ListQuery;
use crate::http::listing::{Column, Listing, Narrow, Order};
use crate::security::{Principal, permission};

/// State that no request here is in: the embedded authority asks nobody outside.
pub(super) const EXTERNAL_VALIDATION: i16 = 8;

/// What filters and sort orders of requests may name.
pub(super) const FIELDS: &[Field] = &[
    Field { name: "Id", sql: "r.id", kind: Kind::Number },
    Field { name: "CommonName", sql: "r.common_name", kind: Kind::Text },
    Field { name: "DistinguishedName", sql: "r.subject", kind: Kind::Text },
    Field { name: "SubmissionDate", sql: "r.submitted_at", kind: Kind::Time },
    Field { name: "Requester", sql: "r.requester", kind: Kind::Text },
    Field { name: "Template", sql: "t.display_name", kind: Kind::Text },
    Field { name: "State", sql: "r.state", kind: Kind::Number },
];
const COLUMNS: &str =
    "r.id, r.common_name, r.subject, r.submitted_at, r.requester, r.state, r.metadata, r.authority_id,
    t.display_name AS template, r.comment, r.key_bits, r.curve, r.names";
const FROM: &str = " FROM enrollment_requests r JOIN templates t ON t.id = r.template_id WHERE true";

#[derive(FromRow)]
struct Row {
    id: i64,
    common_name: Option<String>,
    subject: String,
    submitted_at: DateTime<Utc>,
    requester: String,
    state: i16,
    metadata: Value,
    authority_id: i64,
    template: String,
    comment: Option<String>,
    key_bits: i32,
    curve: Option<String>,
    names: Value,
}

/// What requests are sorted by.
const KEY: Column = Column { sql: "r.id", kind: Kind::Number };

/// One page of the requests in a state, the newest first.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    authority: &Authority,
    state: i16,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<wire::CertificateRequest>, i64), Error> {
    caller.require(permission::WORKFLOW_READ)?;
    let asker = Asker { name: caller.name(), now };
    let listing = Listing {
        name: "requests",
        columns: COLUMNS,
        from: FROM,
        fields: FIELDS,
        order: Order { by: KEY, descending: true },
        key: KEY,
        narrow: vec![Narrow::Among("r.state", vec![state.into()])],
    };
    let (rows, total): (Vec<Row>, i64) = listing.page(db, list, &asker).await?;
    Ok((rows.into_iter().map(|row| answered(row, authority)).collect(), total))
}

/// Answers one request, whatever its state.
pub(super) async fn get(
    db: &mut PgConnection,
    caller: &Principal,
    authority: &Authority,
    id: i64,
) -> Result<wire::CertificateRequestDetails, Error> {
    caller.require(permission::WORKFLOW_READ)?;
    let mut sql = QueryBuilder::new(format!("-- name: request\nSELECT {COLUMNS}{FROM} AND r.id = "));
    let row: Option<Row> = sql.push_bind(id).build_query_as().fetch_optional(&mut *db).await?;
    let row = row.ok_or_else(|| Error::NotFound(format!("enrollment request {id}")))?;
    let stores = queries::request_stores(db, id).await?;
    let names: Vec<(String, String)> = serde_json::from_value(row.names.clone()).unwrap_or_default();
    let store = |(entry_name, client_machine, store_path)| wire::RequestStore {
        entry_name,
        client_machine,
        store_path,
    };
    Ok(wire::CertificateRequestDetails {
        denial_comment: (row.state == DENIED).then(|| row.comment.clone()).flatten(),
        key_length: row.key_bits,
        sans: names.into_iter().map(|(_, value)| value).collect(),
        cert_stores: stores.into_iter().map(store).collect(),
        curve: row.curve.clone(),
        request: answered(row, authority),
    })
}

fn answered(row: Row, authority: &Authority) -> wire::CertificateRequest {
    let metadata: BTreeMap<String, String> = serde_json::from_value(row.metadata).unwrap_or_default();
    wire::CertificateRequest {
        id: row.id,
        ca_request_id: row.id.to_string(),
        common_name: row.common_name,
        distinguished_name: row.subject,
        submission_date: row.submitted_at.into(),
        certificate_authority: authority.full_name(row.authority_id).unwrap_or_default(),
        template: row.template,
        requester: row.requester,
        state: row.state.into(),
        state_string: state_words(row.state),
        metadata,
    }
}

fn state_words(state: i16) -> String {
    let word = match state {
        ISSUED => "Active",
        DENIED => "Denied",
        PENDING => "Pending",
        _ => "Unknown",
    };
    format!("{word} ({state})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_a_word_and_its_number() {
        assert_eq!(state_words(PENDING), "Pending (5)");
        assert_eq!(state_words(DENIED), "Denied (3)");
    }
}
