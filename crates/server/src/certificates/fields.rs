//! What filters and sort orders of certificates may name (operator contract, 2.3 and 8.1). Collections are written
//! in the same words.

use chrono::DateTime;
use sqlx::QueryBuilder;

use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind, push_filter};

const fn text(name: &'static str, sql: &'static str) -> Field {
    Field { name, sql, kind: Kind::Text }
}

const fn number(name: &'static str, sql: &'static str) -> Field {
    Field { name, sql, kind: Kind::Number }
}

const fn time(name: &'static str, sql: &'static str) -> Field {
    Field { name, sql, kind: Kind::Time }
}

/// The words for kinds of key, as `KeyTypeString` has them.
pub(super) const KEY_TYPE: &str = "(CASE c.key_type WHEN 1 THEN 'RSA' WHEN 2 THEN 'DSA' WHEN 3 THEN 'ECC' WHEN 4 THEN 'DH' WHEN 6 THEN 'Ed25519' ELSE 'Unknown' END)";

/// The fields of certificates. Everything named by the contract is here; what this server never sets is unset.
pub(super) const CERTIFICATES: &[Field] = &[
    number("CertId", "c.id"),
    number("Id", "c.id"),
    text("Thumbprint", "c.thumbprint"),
    text("SerialNumber", "c.serial_number"),
    text("IssuedCN", "c.issued_cn"),
    text("CN", "c.issued_cn"),
    text("IssuedDN", "c.issued_dn"),
    text("DN", "c.issued_dn"),
    text("IssuerDN", "c.issuer_dn"),
    time("NotBefore", "c.not_before"),
    time("NotAfter", "c.not_after"),
    time("ExpirationDate", "c.not_after"),
    time("ImportDate", "c.imported_at"),
    text("TemplateName", "t.display_name"),
    text("TemplateShortName", "t.short_name"),
    text("CA", "a.name"),
    text("CertificateAuthorityName", "a.name"),
    text("RequesterName", "c.requester"),
    text("KeyType", KEY_TYPE),
    number("KeySizeInBits", "c.key_bits"),
    number("KeySize", "c.key_bits"),
    text("SigningAlgorithm", "c.signing_algorithm"),
    number("CertState", "c.state"),
    text("SAN", "array_to_string(c.dns_names, ' ')"),
    Field {
        name: "HasPrivateKey",
        sql: "EXISTS (SELECT 1 FROM certificate_keys k WHERE k.certificate_id = c.id)",
        kind: Kind::Flag,
    },
    time("RevocationEffDate", "c.revoked_at"),
    number("RevocationReason", "c.revoke_reason"),
    number("CertRequestId", "NULL::bigint"),
    text("OwnerRoleName", "NULL::text"),
    text("PrincipalName", "NULL::text"),
];

/// The condition that a filter becomes, its values left out: what the fuzz target looks at.
pub(crate) fn filter_statement(filter: &str) -> Result<String, Failure> {
    let mut sql = QueryBuilder::new("");
    push_filter(&mut sql, CERTIFICATES, Some(filter), &Asker { name: "me", now: DateTime::UNIX_EPOCH })?;
    Ok(sql.into_string())
}
