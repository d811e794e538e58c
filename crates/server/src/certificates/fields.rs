//! What filters and sort orders of certificates may name (operator contract, 2.3 and 8.1). Collections are written
//! in the same words.

use chrono::DateTime;
use sqlx::{PgConnection, QueryBuilder};

use super::queries::metadata::{self, FieldRow};
use crate::http::Failure;
use crate::http::filter_sql::{AnyField, Asker, Field, Kind, push_filter};

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
/// Metadata fields come beside them: see [`Known`].
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
    number("CertRequestId", "(SELECT r.id FROM enrollment_requests r WHERE r.certificate_id = c.id)"),
    text("OwnerRoleName", "(SELECT r.name FROM roles r WHERE r.id = c.owner_role_id)"),
    number("OwnerRoleId", "c.owner_role_id"),
    text("RevocationComment", "c.revoke_comment"),
    number("CertificateAuthorityId", "c.authority_id"),
    number("TemplateId", "c.template_id"),
    text("PrincipalName", "NULL::text"),
];

/// What filters about certificates may name: the fields of the source, and the metadata fields that operators defined.
#[derive(Debug, Default)]
pub(super) struct Known(Vec<(String, String, Kind)>);

impl Known {
    /// As the database has them now.
    pub(super) async fn load(db: &mut PgConnection) -> sqlx::Result<Self> {
        Ok(Self::of(&metadata::all(db).await?))
    }

    /// With these metadata fields.
    pub(super) fn of(fields: &[FieldRow]) -> Self {
        Self(
            fields
                .iter()
                .map(|field| {
                    let (sql, kind) = metadata_sql(&field.name, field.data_type);
                    (field.name.clone(), sql, kind)
                })
                .collect(),
        )
    }

    /// All of them; a field of the source wins over a metadata field of its name.
    pub(super) fn fields(&self) -> Vec<AnyField<'_>> {
        let defined = self.0.iter().map(|(name, sql, kind)| AnyField { name, sql, kind: *kind });
        CERTIFICATES.iter().copied().chain(defined).collect()
    }
}

/// Whether filters know a field of this name already.
pub(super) fn is_built_in(name: &str) -> bool {
    CERTIFICATES.iter().any(|field| field.name.eq_ignore_ascii_case(name))
}

/// The value of a metadata field. Values may be older than the field's type, so none of the casts can fail: what is no
/// number, date or flag counts as unset. Names hold letters, digits, `-` and `_` only, so they need no escape.
fn metadata_sql(name: &str, data_type: i16) -> (String, Kind) {
    let value = format!("(c.metadata ->> '{name}')");
    match data_type {
        2 => (format!("(CASE WHEN {value} ~ '^-?[0-9]{{1,18}}$' THEN {value}::bigint END)"), Kind::Number),
        3 => {
            let part = |from: u8, length: u8| format!("substr({value}, {from}, {length})::integer");
            let date = format!(
                "(make_timestamptz(greatest({}, 1), 1, 1, 0, 0, 0, 'UTC') + make_interval(months => {} - 1, days => {} - 1))",
                part(1, 4),
                part(6, 2),
                part(9, 2)
            );
            let test = format!("{value} ~ '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}'");
            (format!("(CASE WHEN {test} THEN {date} END)"), Kind::Time)
        }
        4 => {
            let sql = format!("(CASE lower({value}) WHEN 'true' THEN true WHEN 'false' THEN false END)");
            (sql, Kind::Flag)
        }
        _ => (value, Kind::Text),
    }
}

/// The condition that a filter becomes, its values left out: what the fuzz target looks at.
pub(crate) fn filter_statement(filter: &str) -> Result<String, Failure> {
    let mut sql = QueryBuilder::new("");
    push_filter(&mut sql, CERTIFICATES, Some(filter), &Asker { name: "me", now: DateTime::UNIX_EPOCH })?;
    Ok(sql.into_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_fields_stand_beside_those_of_the_source() {
        let field =
            |name: &str, data_type| FieldRow { name: name.to_owned(), data_type, ..FieldRow::default() };
        let known = Known::of(&[field("Cost-Center", 1), field("Seats", 2)]);
        let fields = known.fields();
        let find = |name: &str| fields.iter().find(|field| field.name == name).unwrap();
        assert_eq!(find("Cost-Center").sql, "(c.metadata ->> 'Cost-Center')");
        assert_eq!((find("Seats").kind, find("IssuedCN").kind), (Kind::Number, Kind::Text));
        assert!(is_built_in("issuedcn") && !is_built_in("Seats"));
    }
}
