//! Certificates as comma-separated values (RFC 4180), for spreadsheets.

use chrono::{DateTime, Utc};
use sealift_protocol::Timestamp;
use sqlx::PgConnection;

use super::error::Error;
use super::fields::Known;
use super::queries::{self, CertificateRow};
use super::search::Include;
use super::{collection, search};
use crate::authority::Authority;
use crate::http::filter_sql::Asker;
use crate::http::list::ListQuery;
use crate::security::{Principal, permission};

/// Most certificates of one answer.
const MAX_ROWS: i64 = 10_000;

const HEADINGS: [&str; 20] = [
    "Id",
    "Thumbprint",
    "SerialNumber",
    "IssuedCN",
    "IssuedDN",
    "IssuerDN",
    "NotBefore",
    "NotAfter",
    "ImportDate",
    "CertState",
    "KeyType",
    "KeySizeInBits",
    "SigningAlgorithm",
    "TemplateName",
    "CertificateAuthorityName",
    "RequesterName",
    "OwnerRoleName",
    "RevocationEffDate",
    "RevocationReason",
    "HasPrivateKey",
];

/// Answers the certificates that match `Query`, of a collection where one is named, with a column for each metadata
/// field. `SortName` and `SortOrder` sort; 1 or `DESC` means descending, as elsewhere in this API.
///
/// # Errors
/// What is wrong with a parameter, more matches than fit, a missing permission.
pub(super) async fn csv(
    db: &mut PgConnection,
    caller: &Principal,
    authority: &Authority,
    query: &ListQuery,
    now: DateTime<Utc>,
) -> Result<String, Error> {
    let collection_id = search::collection_id(query)?;
    caller.require_for(permission::CERTIFICATES_READ, collection_id)?;
    let members = match collection_id {
        Some(id) => Some(collection::members_of(db, id).await?),
        None => None,
    };
    let include = Include::of(query);
    let defined = queries::metadata::all(db).await?;
    let known = Known::of(&defined);
    let found = queries::Search {
        fields: &known.fields(),
        filter: query.parameter("Query").or(query.filter.as_deref()),
        members: members.as_ref(),
        revoked: include.revoked,
        expired: include.expired,
        asker: Asker { name: caller.name(), now },
    };
    let order = query
        .parameter("SortOrder")
        .map(|order| ["1", "desc", "descending"].iter().any(|word| order.trim().eq_ignore_ascii_case(word)));
    let mut page = ListQuery::default();
    page.limit = MAX_ROWS + 1;
    page.sort_field = query.parameter("SortName").map(str::to_owned);
    page.descending = order;
    let (rows, _) = queries::certificates(db, &found, &page).await?;
    if i64::try_from(rows.len()).unwrap_or(i64::MAX) > MAX_ROWS {
        let reason = format!("more than {MAX_ROWS} certificates match; narrow it");
        return Err(Error::Invalid { member: "Query", reason });
    }
    let names: Vec<&str> = defined.iter().map(|field| field.name.as_str()).collect();
    let mut text = line(HEADINGS.iter().chain(&names).map(|name| (*name).to_owned()));
    for row in rows {
        text.push_str(&line(cells(row, &names, authority).into_iter()));
    }
    Ok(text)
}

fn cells(row: CertificateRow, metadata: &[&str], authority: &Authority) -> Vec<String> {
    let time = |at: DateTime<Utc>| Timestamp::from(at).to_string();
    let kind = match row.key_type {
        1 => "RSA",
        2 => "DSA",
        3 => "ECC",
        4 => "DH",
        6 => "Ed25519",
        _ => "Unknown",
    };
    let authority_name = row.authority_id.and_then(|id| authority.full_name(id));
    let mut cells = vec![
        row.id.to_string(),
        row.thumbprint,
        row.serial_number,
        row.issued_cn.unwrap_or_default(),
        row.issued_dn,
        row.issuer_dn,
        time(row.not_before),
        time(row.not_after),
        time(row.imported_at),
        row.state.to_string(),
        kind.to_owned(),
        row.key_bits.to_string(),
        row.signing_algorithm,
        row.template_name.unwrap_or_default(),
        authority_name.unwrap_or_default(),
        row.requester.unwrap_or_default(),
        row.owner_role_name.unwrap_or_default(),
        row.revoked_at.map(time).unwrap_or_default(),
        row.revoke_reason.map(|reason| reason.to_string()).unwrap_or_default(),
        row.has_key.to_string(),
    ];
    cells.extend(metadata.iter().map(|name| row.metadata.0.get(*name).cloned().unwrap_or_default()));
    cells
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let mut text = cells.map(|text| cell(&text)).collect::<Vec<_>>().join(",");
    text.push_str("\r\n");
    text
}

/// One cell. Names in certificates come from outside, and spreadsheets run what begins like a formula: an apostrophe
/// before it makes it text.
fn cell(text: &str) -> String {
    let text = match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    };
    match text.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        for (text, expected) in [
            ("plain", "plain"),
            ("CN=a,O=b", "\"CN=a,O=b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
            ("-1", "'-1"),
            ("", ""),
        ] {
            assert_eq!(cell(text), expected);
        }
        assert_eq!(line(["a".to_owned(), "b".to_owned()].into_iter()), "a,b\r\n");
    }
}
