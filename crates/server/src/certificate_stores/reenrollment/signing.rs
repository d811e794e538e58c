//! Certifies the key of a running reenrollment. One attempt gets one certificate: the same key is answered the same,
//! another key is refused.

use chrono::{DateTime, Utc};
use sealift_pki::{Certificate, CertificateRequest, DistinguishedName};
use sealift_protocol::AgentId;
use sealift_protocol::agent::leases::LeaseKey;
use sqlx::PgConnection;

use super::details::ReenrollmentDetails;
use crate::authority::template::{self, EnrollmentKind, Wish};
use crate::authority::{Authority, Issued};
use crate::certificates::{self, NewCertificate};
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::{self, LiveReenrollment};
use crate::security::audit::{self, Line, Operation};

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Certified {
    /// DER, leaf first, then its chain without the root.
    Issued(Vec<Vec<u8>>),
    /// The attempt is not running any more; nothing was changed.
    Stale,
    /// Why there is no certificate.
    Refused(String),
}

/// Has the key of a request certified for a running reenrollment, in the caller's transaction. Subject and names are
/// the job's, whatever the request says of itself; its self-signature has been verified.
///
/// # Errors
/// The server's own faults.
pub(crate) async fn certify(
    db: &mut PgConnection,
    floor: &Floor,
    authority: &Authority,
    (agent, lease): (AgentId, LeaseKey),
    request: &CertificateRequest,
    now: DateTime<Utc>,
) -> Result<Certified, Failure> {
    let Some(live) = orchestrator_jobs::live_reenrollment(db, agent, lease).await? else {
        return Ok(Certified::Stale);
    };
    if let Some(id) = live.certificate_id {
        return repeated(db, floor, authority, id, request).await;
    }
    let issued = match issue(db, authority, &live, request, now).await {
        Ok(issued) => issued,
        Err(failure) if failure.is_fault() => return Err(failure),
        Err(refusal) => return Ok(Certified::Refused(refusal.message().to_owned())),
    };
    let (template_id, Issued { certificate, authority_id }) = issued;
    // Agents install what they get without a look at its key (agent protocol, chapter 10.2).
    if certificate.public_key() != request.public_key().der() {
        return Err(Failure::fault("the certificate of a reenrollment is not for the key that asked"));
    }
    let new = NewCertificate {
        authority_id: Some(authority_id),
        template_id: Some(template_id),
        requester: Some(live.requested_by.clone()),
        ..NewCertificate::from(certificate.clone())
    };
    let ids = certificates::record(db, &[new], now).await?;
    let id = ids.first().copied().ok_or(sqlx::Error::RowNotFound)?;
    if !orchestrator_jobs::mark_enrolled(db, agent, lease, id).await? {
        return Err(Failure::fault("a locked reenrollment was lost"));
    }
    let line = Line {
        actor: live.requested_by,
        operation: Operation::Created,
        entity_type: "Certificate",
        entity_id: id.to_string(),
        message: format!(
            "certificate {} with thumbprint {} was enrolled for a key made in the store {} on {}",
            certificate.subject(),
            certificate.thumbprint(),
            live.store_path,
            live.client_machine
        ),
    };
    audit::record(db, &[line], now).await?;
    let mut chain = vec![certificate.der().to_vec()];
    chain.extend(authority.chain(authority_id));
    Ok(Certified::Issued(chain))
}

async fn issue(
    db: &mut PgConnection,
    authority: &Authority,
    live: &LiveReenrollment,
    request: &CertificateRequest,
    now: DateTime<Utc>,
) -> Result<(i64, Issued), Failure> {
    let details = ReenrollmentDetails::read(&live.details).map_err(Failure::fault)?;
    let template = template::find(db, &details.template).await?;
    if template.requires_approval {
        let message = format!(
            "template '{}' asks for approval, and an agent cannot wait for it; choose another template",
            template.short_name
        );
        return Err(Failure::invalid(message));
    }
    let subject = DistinguishedName::parse(&details.subject).map_err(Failure::fault)?;
    let names = details.alternative_names().map_err(Failure::fault)?;
    let wish = Wish {
        // Looked at when the job was asked for.
        roles: None,
        kind: EnrollmentKind::Csr,
        subject: &subject,
        names: &names,
        key: request.key_algorithm(),
    };
    let leaf = template.admit(wish)?.for_key(request.public_key().clone());
    Ok((template.id, authority.issue(db, &leaf, now).await?))
}

/// The certificate that this attempt got before.
async fn repeated(
    db: &mut PgConnection,
    floor: &Floor,
    authority: &Authority,
    id: i64,
    request: &CertificateRequest,
) -> Result<Certified, Failure> {
    let bundle = certificates::bundles(db, floor, authority, &[id]).await?.remove(&id);
    let Some(bundle) = bundle else {
        return Ok(Certified::Refused("the certificate of this attempt was deleted".to_owned()));
    };
    let leaf = bundle.certificates.first().and_then(|der| Certificate::parse(der).ok());
    match leaf.is_some_and(|leaf| leaf.public_key() == request.public_key().der()) {
        true => Ok(Certified::Issued(bundle.certificates)),
        false => Ok(Certified::Refused(
            "this attempt has its certificate, for another key; one attempt gets one certificate".to_owned(),
        )),
    }
}
