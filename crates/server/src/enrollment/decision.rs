//! Approval and denial of requests that wait (operator contract, 9.10). A request is decided once: its row is locked,
//! and whoever repeats a decision hears what was decided. With the approval the certificate is issued and put on record
//! with the key that waited, and its deliveries are scheduled; all of that, or nothing.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sealift_pki::{
    CertificateRequest, DistinguishedName, PrivateKey, SubjectAlternativeName, SubjectPublicKey,
};
use sealift_protocol::operator::enrollment::{DenyRequests, RequestDecision, RequestDecisions};
use sqlx::{Connection as _, PgConnection};

use super::delivery;
use super::error::Error;
use super::filing::{self, DENIED, ISSUED, Order, key_place};
use super::queries::{self, RequestRow};
use crate::authority::template::{self, EnrollmentKind, Wish};
use crate::authority::{Authority, names};
use crate::certificates;
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::NewJob;
use crate::security::{Principal, audit, permission};

/// Most requests that one call decides.
const MAX_REQUESTS: usize = 100;
/// Most characters of a comment.
const MAX_COMMENT: usize = 2_000;

/// Approves requests, each by itself.
pub(super) async fn approve(
    db: &mut PgConnection,
    floor: &Floor,
    authority: &Authority,
    caller: &Principal,
    ids: &[i64],
    now: DateTime<Utc>,
) -> Result<(RequestDecisions, Vec<NewJob>), Failure> {
    caller.require(permission::WORKFLOW_PARTICIPATE)?;
    let rows = locked(db, ids, "the body").await?;
    let mut decisions = RequestDecisions::default();
    let mut jobs = Vec::new();
    for id in in_order(ids) {
        let Some(row) = rows.iter().find(|row| row.id == id) else {
            decisions.failures.push(decision(
                authority,
                id,
                format!("enrollment request {id} was not found"),
            ));
            continue;
        };
        match row.state {
            ISSUED => {
                let mut repeated = decision(authority, id, "The request was issued before.".to_owned());
                repeated.certificate_id = row.certificate_id;
                decisions.successes.push(repeated);
            }
            DENIED => {
                decisions.failures.push(decision(authority, id, "the request was denied before".to_owned()))
            }
            _ => match issue(db, floor, authority, caller, row, now).await {
                Ok((certificate_id, made)) => {
                    let mut issued = decision(authority, id, "The certificate was issued.".to_owned());
                    issued.certificate_id = Some(certificate_id);
                    decisions.successes.push(issued);
                    jobs.extend(made);
                }
                Err(error) => {
                    let failure = Failure::from(error);
                    if failure.is_fault() {
                        return Err(failure);
                    }
                    decisions.failures.push(decision(authority, id, failure.message().to_owned()));
                }
            },
        }
    }
    Ok((decisions, jobs))
}

/// Denies requests, each by itself.
pub(super) async fn deny(
    db: &mut PgConnection,
    authority: &Authority,
    caller: &Principal,
    request: &DenyRequests,
    now: DateTime<Utc>,
) -> Result<RequestDecisions, Failure> {
    caller.require(permission::WORKFLOW_PARTICIPATE)?;
    let comment = request.comment.as_deref().map(str::trim).filter(|comment| !comment.is_empty());
    if comment.is_some_and(|text| text.chars().count() > MAX_COMMENT || text.contains('\0')) {
        return Err(Error::invalid("Comment", format!("expected at most {MAX_COMMENT} characters")).into());
    }
    let ids = &request.certificate_request_ids;
    let rows = locked(db, ids, "CertificateRequestIds").await?;
    let mut decisions = RequestDecisions::default();
    let mut lines = Vec::new();
    for id in in_order(ids) {
        match rows.iter().find(|row| row.id == id).map(|row| row.state) {
            None => {
                decisions.failures.push(decision(
                    authority,
                    id,
                    format!("enrollment request {id} was not found"),
                ));
            }
            Some(ISSUED) => {
                decisions.failures.push(decision(authority, id, "the request was issued before".to_owned()));
            }
            Some(DENIED) => {
                decisions.denials.push(decision(authority, id, "The request was denied before.".to_owned()));
            }
            Some(_) => {
                queries::decide_request(db, id, DENIED, None, caller.name(), comment, now).await?;
                delivery::call_off(db, id).await?;
                let message = format!("enrollment request {id} was denied");
                lines.push(audit::Line::new(
                    caller,
                    audit::Operation::Denied,
                    "CertificateRequest",
                    id,
                    message,
                ));
                decisions.denials.push(decision(authority, id, comment.unwrap_or_default().to_owned()));
            }
        }
    }
    audit::record(db, &lines, now).await?;
    Ok(decisions)
}

async fn locked(db: &mut PgConnection, ids: &[i64], member: &str) -> Result<Vec<RequestRow>, Failure> {
    if ids.is_empty() || ids.len() > MAX_REQUESTS {
        let reason = format!("expected 1 to {MAX_REQUESTS} ids of enrollment requests, found {}", ids.len());
        return Err(Error::invalid(member, reason).into());
    }
    Ok(queries::lock_requests(db, ids).await?)
}

/// Each once, in the order of the call.
fn in_order(ids: &[i64]) -> Vec<i64> {
    let mut once = Vec::with_capacity(ids.len());
    for id in ids {
        if !once.contains(id) {
            once.push(*id);
        }
    }
    once
}

fn decision(authority: &Authority, id: i64, comment: String) -> RequestDecision {
    RequestDecision {
        ca_row_id: id,
        ca_request_id: id.to_string(),
        ca_host: authority.host().to_owned(),
        ca_logical_name: authority.enrolling().1.to_owned(),
        keyfactor_request_id: id,
        comment,
        certificate_id: None,
    }
}

/// Issues one request under a savepoint, so that one that fails leaves nothing behind.
async fn issue(
    db: &mut PgConnection,
    floor: &Floor,
    authority: &Authority,
    caller: &Principal,
    row: &RequestRow,
    now: DateTime<Utc>,
) -> Result<(i64, Vec<NewJob>), Error> {
    let mut savepoint = db.begin().await?;
    let order = order(&mut savepoint, floor, row).await?;
    let recorded = filing::record(&mut savepoint, floor, authority, &row.requester, &order, now).await?;
    queries::decide_request(&mut savepoint, row.id, ISSUED, Some(recorded.id), caller.name(), None, now)
        .await?;
    let facts = certificates::facts(&mut savepoint, &[recorded.id]).await?.pop();
    let facts = facts.ok_or(sqlx::Error::RowNotFound)?;
    let jobs = delivery::carry_out(&mut savepoint, floor, row.id, &facts, now).await?;
    let message = format!(
        "enrollment request {} of {} was approved: certificate {} with thumbprint {}",
        row.id,
        row.requester,
        recorded.id,
        recorded.certificate.thumbprint()
    );
    let line = audit::Line::new(caller, audit::Operation::Approved, "CertificateRequest", row.id, message);
    audit::record(&mut savepoint, &[line], now).await?;
    savepoint.commit().await?;
    Ok((recorded.id, jobs))
}

/// The order as it was asked for, admitted anew: the template may have changed meanwhile. Whether the requester may use
/// it was decided when it asked.
async fn order(db: &mut PgConnection, floor: &Floor, row: &RequestRow) -> Result<Order, Error> {
    let template = template::find_by_id(db, row.template_id).await?;
    let template = template.ok_or_else(|| Error::NotFound(format!("template {}", row.template_id)))?;
    let csr = row.csr.as_deref().map(CertificateRequest::parse).transpose()?;
    let open = |sealed: &Vec<u8>| floor.sealing.open(key_place(&row.id), sealed);
    let key = row.sealed_key.as_ref().map(open).transpose()?;
    let key = key.map(|der| PrivateKey::from_pkcs8_der(&der)).transpose()?;
    let (kind, subject, public_key) = match (&csr, &key) {
        (Some(csr), _) => (EnrollmentKind::Csr, csr.subject().clone(), csr.public_key().clone()),
        (None, Some(key)) => {
            let subject = DistinguishedName::parse(&row.subject).map_err(sealift_pki::Error::from)?;
            (EnrollmentKind::Pfx, subject, SubjectPublicKey::from(key))
        }
        (None, None) => return Err(Error::Damaged("an enrollment request without key")),
    };
    if kind as i16 != row.kind {
        return Err(Error::Damaged("an enrollment request of another kind"));
    }
    let names = names(row)?;
    let admitted = template.admit(Wish {
        roles: None,
        kind,
        subject: &subject,
        names: &names,
        key: public_key.algorithm(),
    })?;
    let metadata: BTreeMap<String, String> = serde_json::from_value(row.metadata.clone())
        .map_err(|_| Error::Damaged("metadata of an enrollment request"))?;
    Ok(Order {
        kind,
        template,
        admitted,
        public_key,
        key,
        csr: None,
        metadata,
        fields: BTreeMap::new(),
        owner_role_id: still_there(db, row.owner_role_id).await?,
        renewal_of: None,
    })
}

/// A role may be deleted while a request waits; the certificate has no owner then.
async fn still_there(db: &mut PgConnection, role: Option<i64>) -> Result<Option<i64>, Error> {
    let ids: Vec<i64> = role.into_iter().collect();
    Ok(queries::roles(db, &ids, &[]).await?.pop().map(|role| role.id))
}

fn names(row: &RequestRow) -> Result<Vec<SubjectAlternativeName>, Error> {
    let damaged = || Error::Damaged("names of an enrollment request");
    let pairs: Vec<(String, String)> = serde_json::from_value(row.names.clone()).map_err(|_| damaged())?;
    pairs.iter().map(|(kind, value)| names::parse(kind, value).map_err(|_| damaged())).collect()
}
