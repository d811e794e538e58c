//! Successors of certificates: which renewal is there for one, and renewal by one call (operator contract, 4.6 and
//! 4.7). A successor has the subject, the names and the metadata of the certificate it follows.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sealift_pki::{Certificate, PrivateKey, SubjectAlternativeName, SubjectPublicKey, Thumbprint};
use sealift_protocol::Secret;
use sealift_protocol::operator::enrollment::{AvailableRenewal, Renew, Renewed};
use sqlx::{Connection as _, PgConnection};

use super::error::Error;
use super::filing::{self, Filed, Order};
use super::queries::{self, PredecessorRow};
use super::{delivery, deploy, pfx};
use crate::authority::template::{self, EnrollmentKind, Template, Wish};
use crate::authority::{Authority, names};
use crate::certificates;
use crate::floor::Floor;
use crate::orchestrator_jobs::NewJob;
use crate::security::{Principal, permission};

/// State of a revoked certificate.
const REVOKED: i16 = 2;

/// How a certificate can be followed; the numbers are the contract's (3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Available {
    None = 0,
    /// By a new enrollment that starts from it.
    Seeded = 1,
    /// By one call.
    OneClick = 2,
}

/// The certificate that a call means.
#[derive(Debug, Clone)]
pub(super) enum Named {
    Id(i64),
    Thumbprint(String),
}

/// Answers which renewal there is for a certificate.
pub(super) async fn available(
    db: &mut PgConnection,
    caller: &Principal,
    named: &Named,
    collection_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<AvailableRenewal, Error> {
    let row = find(db, caller, named, collection_id, now).await?;
    let template = template_of(db, &row).await?;
    let (kind, message) = decide(&row, template.as_ref());
    Ok(AvailableRenewal { available_renewal_type: kind as i32, message: message.to_owned() })
}

/// Finds the certificate, for a caller that may read it.
async fn find(
    db: &mut PgConnection,
    caller: &Principal,
    named: &Named,
    collection_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<PredecessorRow, Error> {
    let row = match named {
        Named::Id(id) => queries::predecessor(db, Some(*id), None).await?,
        Named::Thumbprint(text) => {
            let thumbprint = Thumbprint::parse(text).map_err(|error| Error::invalid("Thumbprint", error))?;
            queries::predecessor(db, None, Some(&thumbprint.to_string())).await?
        }
    };
    let what = match named {
        Named::Id(id) => format!("certificate {id}"),
        Named::Thumbprint(text) => {
            format!("certificate with thumbprint {}", crate::http::problem::shortened(text))
        }
    };
    let Some(row) = row else {
        // A caller that may not read all learns no more than that.
        caller.require_for(permission::CERTIFICATES_READ, collection_id)?;
        return Err(Error::NotFound(what));
    };
    certificates::require_readable(db, caller, row.id, collection_id, now).await?;
    Ok(row)
}

async fn template_of(db: &mut PgConnection, row: &PredecessorRow) -> Result<Option<Template>, Error> {
    match row.template_id {
        Some(id) => Ok(template::find_by_id(db, id).await?),
        None => Ok(None),
    }
}

fn decide(row: &PredecessorRow, template: Option<&Template>) -> (Available, &'static str) {
    if row.state == REVOKED {
        return (Available::None, "The certificate is revoked.");
    }
    let Some(template) = template else {
        return (Available::Seeded, "The certificate was not issued by a template of this server.");
    };
    if !template.offers(EnrollmentKind::Pfx) {
        return (Available::None, "The template does not enroll with keys that the server makes.");
    }
    if !row.has_key {
        return (Available::Seeded, "The server does not keep the certificate's private key.");
    }
    if !template.renews_by_one_click() {
        return (Available::Seeded, "The template or the authority does not allow renewal by one call.");
    }
    (Available::OneClick, "")
}

/// Issues the successor of a certificate.
///
/// # Errors
/// What is wrong with the call, what template and authority refuse, and a missing permission.
pub(super) async fn renew(
    floor: &Floor,
    authority: &Authority,
    caller: &Principal,
    request: &Renew,
    collection_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<(Renewed, Vec<NewJob>), Error> {
    caller.require(permission::ENROLL_PFX)?;
    let named = match (request.certificate_id.filter(|id| *id > 0), &request.thumbprint) {
        (Some(id), _) => Named::Id(id),
        (None, Some(text)) => Named::Thumbprint(text.clone()),
        (None, None) => return Err(Error::Invalid("CertificateId or Thumbprint is required".to_owned())),
    };
    authority.require_enrolling(request.certificate_authority.as_deref())?;
    let mut db = floor.database.main.acquire().await?;
    let row = find(&mut db, caller, &named, collection_id, now).await?;
    let template = chosen(&mut db, &row, request.template.as_deref()).await?;
    let targets = match request.install_into_existing_certificate_stores {
        false => Vec::new(),
        true => {
            delivery::require_scheduling(caller)?;
            let existing = certificates::facts(&mut db, &[row.id]).await?.pop();
            delivery::holders(&mut db, floor, &existing.ok_or(sqlx::Error::RowNotFound)?).await?
        }
    };
    let key = match request.reuse_key {
        true => Some(kept_key(&mut db, floor, authority, &row, &template).await?),
        false => None,
    };
    drop(db);
    let order = order(caller, &row, template, key).await?;

    let mut db = floor.database.main.acquire().await?;
    let mut transaction = db.begin().await?;
    let filed = filing::file(&mut transaction, floor, authority, caller, &order, now).await?;
    let (mut stores, mut jobs) = (None, Vec::new());
    if request.install_into_existing_certificate_stores {
        let source = (filed.issued.as_ref().map(|issued| issued.id), filed.request_id, order.key.is_some());
        let terms = (None, request.job_time.map(|time| time.utc()));
        let sent = deploy::send_new(&mut transaction, floor, caller, source, &targets, terms, now).await?;
        (stores, jobs) = (Some(sent.0), sent.1);
    }
    transaction.commit().await?;
    let mut renewed = answer(filed);
    if let Some(deployed) = stores {
        renewed.successful_stores = deployed.successful_stores;
        renewed.store_ids_invalid_for_renewal = deployed.failed_stores;
    }
    Ok((renewed, jobs))
}

/// The template of the successor: the one that the call names, or the certificate's own where that renews by one call.
async fn chosen(db: &mut PgConnection, row: &PredecessorRow, named: Option<&str>) -> Result<Template, Error> {
    let own = template_of(db, row).await?;
    match named.map(str::trim).filter(|name| !name.is_empty()) {
        Some(name) => {
            if row.state == REVOKED {
                return Err(Error::State(format!("certificate {} is revoked and cannot be renewed", row.id)));
            }
            Ok(template::find(db, name).await?)
        }
        None => match (decide(row, own.as_ref()), own) {
            ((Available::OneClick, _), Some(own)) => Ok(own),
            ((Available::None, reason), _) => {
                Err(Error::State(format!("certificate {} cannot be renewed: {reason}", row.id)))
            }
            ((_, reason), _) => Err(Error::invalid(
                "Template",
                format!("certificate {} is not renewed by one call; name a template. {reason}", row.id),
            )),
        },
    }
}

async fn kept_key(
    db: &mut PgConnection,
    floor: &Floor,
    authority: &Authority,
    row: &PredecessorRow,
    template: &Template,
) -> Result<PrivateKey, Error> {
    if !template.allow_key_reuse {
        let reason = format!("template '{}' does not allow a key to be used again", template.short_name);
        return Err(Error::invalid("ReuseKey", reason));
    }
    let bundle = certificates::bundles(db, floor, authority, &[row.id]).await?.remove(&row.id);
    let der = bundle.and_then(|bundle| bundle.private_key);
    let der = der.ok_or_else(|| {
        Error::invalid("ReuseKey", "the server does not keep the certificate's private key")
    })?;
    Ok(PrivateKey::from_pkcs8_der(&der)?)
}

async fn order(
    caller: &Principal,
    row: &PredecessorRow,
    template: Template,
    key: Option<PrivateKey>,
) -> Result<Order, Error> {
    let certificate = Certificate::parse(&row.content)?;
    let names: Vec<SubjectAlternativeName> =
        certificate.subject_alternative_names().iter().map(names::asked).collect::<Result<_, _>>().map_err(
            |reason| Error::State(format!("certificate {} cannot be renewed as it is: {reason}", row.id)),
        )?;
    let algorithm = match &key {
        Some(key) => key.algorithm(),
        // The same kind of key, unless the template does not allow it any more.
        None if template.keys.contains(&certificate.key_algorithm()) => certificate.key_algorithm(),
        None => template.default_key(),
    };
    let admitted = template.admit(Wish {
        roles: Some(caller.roles()),
        kind: EnrollmentKind::Pfx,
        subject: certificate.subject(),
        names: &names,
        key: algorithm,
    })?;
    let key = match key {
        Some(key) => key,
        None => pfx::make_key(algorithm).await?,
    };
    let metadata: BTreeMap<String, String> = serde_json::from_value(row.metadata.clone())
        .map_err(|_| Error::Damaged("metadata of a certificate"))?;
    Ok(Order {
        kind: EnrollmentKind::Pfx,
        template,
        admitted,
        public_key: SubjectPublicKey::from(&key),
        // Nothing else hands the key out, so it is kept whatever the template says.
        key: Some(key),
        csr: None,
        metadata,
        fields: BTreeMap::new(),
        owner_role_id: row.owner_role_id,
        renewal_of: Some(row.id),
    })
}

fn answer(filed: Filed) -> Renewed {
    let mut renewed = Renewed {
        keyfactor_id: 0,
        keyfactor_request_id: filed.request_id,
        thumbprint: String::new(),
        serial_number: String::new(),
        issuer_dn: String::new(),
        request_disposition: "PENDING".to_owned(),
        disposition_message: pfx::WAITS.to_owned(),
        password: Secret::default(),
        successful_stores: Vec::new(),
        store_ids_invalid_for_renewal: Vec::new(),
    };
    if let Some(recorded) = filed.issued {
        let certificate = recorded.certificate;
        renewed.keyfactor_id = recorded.id;
        renewed.keyfactor_request_id = 0;
        renewed.thumbprint = certificate.thumbprint().to_string();
        renewed.serial_number = certificate.serial_number().to_string();
        renewed.issuer_dn = certificate.issuer().to_string();
        renewed.request_disposition = "ISSUED".to_owned();
        renewed.disposition_message = String::new();
    }
    renewed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_follows_from_state_template_and_key() {
        let row = |state, has_key| PredecessorRow {
            id: 1,
            content: Vec::new(),
            state,
            template_id: Some(1),
            has_key,
            metadata: serde_json::json!({}),
            owner_role_id: None,
        };
        let own = template::tests::template();
        let seeded = own.clone().without_one_click();
        let csr_only = Template { enrollment_types: 2, ..own.clone() };
        for (row, template, expected) in [
            (row(1, true), Some(&own), Available::OneClick),
            (row(1, false), Some(&own), Available::Seeded),
            (row(1, true), Some(&seeded), Available::Seeded),
            (row(1, true), None, Available::Seeded),
            (row(1, true), Some(&csr_only), Available::None),
            (row(REVOKED, true), Some(&own), Available::None),
        ] {
            let (kind, message) = decide(&row, template);
            assert_eq!(kind, expected);
            assert_eq!(message.is_empty(), kind == Available::OneClick);
        }
    }
}
