//! Filing what was asked: a certificate is issued at once, or the request waits for approval. Either way one row tells
//! of it.
//!
//! Serial number, certificate, sealed key, request and audit line are written in the caller's transaction, which
//! commits only after the answer has been made: a caller never hears of a certificate that is not on record, and none
//! is on record that could not be handed out.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sealift_pki::{Certificate, CertificateRequest, PrivateKey, SubjectPublicKey};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::draft::Wishes;
use super::error::Error;
use super::queries::{self, NewRequest, RoleRow};
use crate::authority::template::{self, Admitted, EnrollmentKind, Template};
use crate::authority::{Authority, names};
use crate::certificates::{self, NewCertificate};
use crate::floor::Floor;
use crate::sealing::Place;
use crate::security::{Principal, audit};

/// States of a request, as certificates' states in the contract (3.5).
pub(super) const ISSUED: i16 = 1;
pub(super) const DENIED: i16 = 3;
pub(super) const PENDING: i16 = 5;

/// A certificate that was admitted, about to be issued or to wait. No `Debug`: it may hold a private key.
pub(super) struct Order {
    pub(super) kind: EnrollmentKind,
    pub(super) template: Template,
    pub(super) admitted: Admitted,
    pub(super) public_key: SubjectPublicKey,
    /// To be kept with the certificate.
    pub(super) key: Option<PrivateKey>,
    /// The caller's own request.
    pub(super) csr: Option<CertificateRequest>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) fields: BTreeMap<String, String>,
    pub(super) owner_role_id: Option<i64>,
    pub(super) renewal_of: Option<i64>,
}

/// What became of an order.
pub(super) struct Filed {
    pub(super) request_id: i64,
    pub(super) instance_id: Uuid,
    /// The certificate; none while it waits.
    pub(super) issued: Option<Recorded>,
}

/// A certificate on record.
pub(super) struct Recorded {
    pub(super) certificate: Certificate,
    pub(super) id: i64,
    pub(super) authority_id: i64,
}

/// The template that is wished for, by name or by the pattern that stands for it.
pub(super) async fn template(db: &mut PgConnection, wishes: &Wishes) -> Result<Template, Error> {
    let Some(pattern) = wishes.pattern else {
        return Ok(template::find(db, wishes.template.as_deref().unwrap_or_default()).await?);
    };
    let found = template::find_by_id(db, pattern).await?;
    let not_found =
        || Error::invalid("EnrollmentPatternId", format!("enrollment pattern {pattern} was not found"));
    let found = found.ok_or_else(not_found)?;
    match &wishes.template {
        Some(name) if !name.eq_ignore_ascii_case(&found.short_name) => Err(Error::invalid(
            "Template",
            format!(
                "enrollment pattern {pattern} is for template '{}'; leave Template out",
                found.short_name
            ),
        )),
        _ => Ok(found),
    }
}

/// The role that is to own the certificate, where one is wished for.
pub(super) async fn owner(db: &mut PgConnection, wishes: &Wishes) -> Result<Option<RoleRow>, Error> {
    if wishes.owner_id.is_none() && wishes.owner_name.is_none() {
        return Ok(None);
    }
    let ids: Vec<i64> = wishes.owner_id.into_iter().collect();
    let names: Vec<String> = wishes.owner_name.iter().map(|name| name.trim().to_owned()).collect();
    let roles = queries::roles(db, &ids, &names).await?;
    let fits = |role: &RoleRow| {
        wishes.owner_id.is_none_or(|id| id == role.id)
            && names.iter().all(|name| name.to_lowercase() == role.name.to_lowercase())
    };
    match roles.into_iter().find(fits) {
        Some(role) => Ok(Some(role)),
        None => Err(Error::invalid("OwnerRoleId, OwnerRoleName", "no role has this id and this name")),
    }
}

/// Checks fields against those of the template, and answers them under its spelling.
pub(super) fn fields(
    template: &Template,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Error> {
    let mut fields = BTreeMap::new();
    for (name, value) in given {
        let member = format!("AdditionalEnrollmentFields.{name}");
        let known = template.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        let Some(known) = known else {
            let reason = format!("template '{}' has no such enrollment field", template.short_name);
            return Err(Error::invalid(member, reason));
        };
        let value = match known.options.is_empty() {
            true => Some(value),
            false => known.options.iter().find(|option| option.eq_ignore_ascii_case(value)),
        };
        let value = value
            .ok_or_else(|| Error::invalid(member, format!("expected one of {}", known.options.join(", "))))?;
        fields.insert(known.name.clone(), value.clone());
    }
    Ok(fields)
}

/// Issues an order, or has it wait where its template asks for approval.
pub(super) async fn file(
    db: &mut PgConnection,
    floor: &Floor,
    authority: &Authority,
    caller: &Principal,
    order: &Order,
    now: DateTime<Utc>,
) -> Result<Filed, Error> {
    let instance_id = Uuid::now_v7();
    if order.template.requires_approval {
        let request_id = hold(db, floor, authority, caller, order, instance_id, now).await?;
        return Ok(Filed { request_id, instance_id, issued: None });
    }
    let recorded = record(db, floor, authority, caller.name(), order, now).await?;
    let row = Row::of(order);
    let new = NewRequest {
        state: ISSUED,
        certificate_id: Some(recorded.id),
        ..row.insertable(order, authority, caller, instance_id)
    };
    let request_id = queries::insert_request(db, &new, now).await?;
    let message = format!(
        "certificate {} with thumbprint {} was enrolled by template '{}'",
        recorded.certificate.subject(),
        recorded.certificate.thumbprint(),
        order.template.short_name
    );
    let operation = match order.renewal_of {
        Some(_) => audit::Operation::Renewed,
        None => audit::Operation::Created,
    };
    let line = audit::Line::new(caller, operation, "Certificate", recorded.id, message);
    audit::record(db, &[line], now).await?;
    Ok(Filed { request_id, instance_id, issued: Some(recorded) })
}

/// Signs a certificate and puts it on record with its key.
pub(super) async fn record(
    db: &mut PgConnection,
    floor: &Floor,
    authority: &Authority,
    requester: &str,
    order: &Order,
    now: DateTime<Utc>,
) -> Result<Recorded, Error> {
    let leaf = order.admitted.clone().for_key(order.public_key.clone());
    let issued = authority.issue(db, &leaf, now).await?;
    let new = NewCertificate {
        certificate: issued.certificate.clone(),
        authority_id: Some(issued.authority_id),
        template_id: Some(order.template.id),
        requester: Some(requester.to_owned()),
        metadata: order.metadata.clone(),
    };
    let ids = certificates::record(db, &[new], now).await?;
    let id = ids.first().copied().ok_or(sqlx::Error::RowNotFound)?;
    if let Some(key) = &order.key {
        certificates::store_key(db, &floor.sealing, id, key, now).await?;
    }
    if let Some(role) = order.owner_role_id {
        certificates::assign_owner(db, id, role).await?;
    }
    Ok(Recorded { certificate: issued.certificate, id, authority_id: issued.authority_id })
}

/// Puts a request on record that waits. Its key, where the server made it, is sealed to its row.
async fn hold(
    db: &mut PgConnection,
    floor: &Floor,
    authority: &Authority,
    caller: &Principal,
    order: &Order,
    instance_id: Uuid,
    now: DateTime<Utc>,
) -> Result<i64, Error> {
    let id = queries::reserve_request_id(db).await?;
    let seal = |key: &PrivateKey| floor.sealing.seal(key_place(&id), &key.to_pkcs8_der());
    let sealed_key = order.key.as_ref().map(seal).transpose()?;
    let row = Row::of(order);
    let new = NewRequest {
        id: Some(id),
        state: PENDING,
        csr: order.csr.as_ref().map(CertificateRequest::der),
        sealed_key: sealed_key.as_deref(),
        ..row.insertable(order, authority, caller, instance_id)
    };
    queries::insert_request(db, &new, now).await?;
    let message = format!("{} was asked for by template '{}'", row.subject, order.template.short_name);
    let line = audit::Line::new(caller, audit::Operation::Created, "CertificateRequest", id, message);
    audit::record(db, &[line], now).await?;
    Ok(id)
}

/// Where the key of a request that waits is kept.
pub(super) fn key_place(request_id: &i64) -> Place<'_> {
    Place { table: "enrollment_requests", row: request_id, column: "sealed_key" }
}

/// What a row says of an order, in the forms of its columns.
struct Row {
    subject: String,
    common_name: Option<String>,
    key_algorithm: String,
    curve: Option<&'static str>,
    names: serde_json::Value,
    metadata: serde_json::Value,
    fields: serde_json::Value,
}

impl Row {
    fn of(order: &Order) -> Self {
        let subject = order.admitted.subject();
        let names: Vec<_> = order
            .admitted
            .names()
            .iter()
            .map(|name| (names::kind_of(name).to_owned(), name.to_string()))
            .collect();
        Self {
            subject: clean(&subject.to_string()),
            common_name: subject.common_name().map(clean),
            key_algorithm: order.public_key.algorithm().to_string(),
            curve: order.public_key.algorithm().curve_oid(),
            names: json!(names),
            metadata: json!(order.metadata),
            fields: json!(order.fields),
        }
    }

    fn insertable<'a>(
        &'a self,
        order: &Order,
        authority: &Authority,
        caller: &'a Principal,
        instance_id: Uuid,
    ) -> NewRequest<'a> {
        NewRequest {
            id: None,
            instance_id,
            kind: order.kind as i16,
            state: PENDING,
            template_id: order.template.id,
            authority_id: authority.enrolling().0,
            requester: caller.name(),
            subject: &self.subject,
            common_name: self.common_name.as_deref(),
            key_algorithm: &self.key_algorithm,
            key_bits: i32::try_from(order.public_key.algorithm().bits()).unwrap_or_default(),
            curve: self.curve,
            names: &self.names,
            csr: None,
            sealed_key: None,
            metadata: &self.metadata,
            enrollment_fields: &self.fields,
            owner_role_id: order.owner_role_id,
            renewal_of: order.renewal_of,
            certificate_id: None,
        }
    }
}

/// The database's texts hold no zero bytes, and names in requests may hold anything.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use sealift_protocol::operator::authority::EnrollmentField;

    use super::*;

    #[test]
    fn fields_are_those_of_the_template_under_its_spelling() {
        let field = |name: &str, options: &[&str]| EnrollmentField {
            id: 1,
            name: name.to_owned(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            data_type: if options.is_empty() { 1 } else { 2 },
        };
        let template = Template {
            fields: vec![field("Ticket", &[]), field("Zone", &["Inside", "Outside"])],
            ..template::tests::template()
        };
        let given = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        assert_eq!(fields(&template, &given("zone", "INSIDE")).unwrap(), given("Zone", "Inside"));
        assert_eq!(fields(&template, &given("ticket", "T-7")).unwrap(), given("Ticket", "T-7"));
        for (name, value) in [("Zone", "Elsewhere"), ("Colour", "blue")] {
            let refused = fields(&template, &given(name, value)).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("AdditionalEnrollmentFields.{name}: ")), "{refused}");
        }
    }
}
