//! Enrollment of a certificate whose key the server makes (`POST /Enrollment/PFX`).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use sealift_pki::{Certificate, KeyAlgorithm, PrivateKey, SubjectPublicKey};
use sealift_protocol::operator::enrollment::{DeployStore, EnrollPfx, EnrolledPfx, PfxInformation};
use sealift_protocol::{Secret, Timestamp};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::Semaphore;

use super::delivery::{self, Target};
use super::draft::{self, ChainOrder, Draft};
use super::error::Error;
use super::filing::{self, Filed, Order, Recorded};
use super::format::Format;
use super::{access, deploy};
use crate::authority::Authority;
use crate::authority::template::{Admitted, EnrollmentKind, Template, Wish};
use crate::certificates;
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::NewJob;
use crate::security::{Principal, password, permission};

/// RSA keys that are made at a time; each holds a processor for up to seconds.
static RSA_KEYS: Semaphore = Semaphore::const_new(2);
/// Longest wait for the turn to make one.
const RSA_WAIT: Duration = Duration::from_secs(30);
/// Said of a request that waits.
pub(super) const WAITS: &str = "The request waits for approval.";

/// How a call of version 2 wants the certificate delivered at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Direct {
    pub(super) stores: Vec<DeployStore>,
    /// To all stores of the certificate that is followed.
    pub(super) where_it_is: bool,
    pub(super) job_time: Option<Timestamp>,
}

/// One call.
pub(super) struct Call {
    pub(super) request: EnrollPfx,
    pub(super) format: Format,
    /// Only in version 2, and only when it asks for stores.
    pub(super) direct: Option<Direct>,
}

/// What the call is answered with. No `Debug`: it holds the key and its password.
pub(super) struct Enrolled {
    pub(super) answer: EnrolledPfx,
    /// None while the request waits.
    pub(super) file_name: Option<String>,
    /// Whether the server keeps the key.
    pub(super) saved: bool,
    /// Jobs whose agents are to be woken.
    pub(super) jobs: Vec<NewJob>,
}

/// What was found before the key is made.
struct Prepared {
    template: Template,
    admitted: Admitted,
    algorithm: KeyAlgorithm,
    fields: std::collections::BTreeMap<String, String>,
    owner_role_id: Option<i64>,
}

/// Enrolls a certificate.
///
/// # Errors
/// Each member that is wrong by its name, what the template and the authority refuse, and a missing permission.
pub(super) async fn enroll(
    floor: &Floor,
    authority: &Authority,
    caller: &Principal,
    call: Call,
    now: DateTime<Utc>,
) -> Result<Enrolled, Error> {
    caller.require(permission::ENROLL_PFX)?;
    let mut draft = draft::read(call.request)?;
    authority.require_enrolling(draft.wishes.authority.as_deref())?;
    let (prepared, targets) = {
        let mut db = floor.database.main.acquire().await?;
        let prepared = prepare(&mut db, caller, &draft, now).await?;
        draft.wishes.metadata = certificates::metadata_of_new(&mut db, &draft.wishes.metadata).await?;
        let targets = match &call.direct {
            Some(direct) => places(&mut db, floor, caller, &draft, direct).await?,
            None => Vec::new(),
        };
        (prepared, targets)
    };
    let key = make_key(prepared.algorithm).await?;
    let order = order(prepared, &draft, &key);
    let saved = order.key.is_some();

    let mut db = floor.database.main.acquire().await?;
    let mut transaction = db.begin().await?;
    let filed = filing::file(&mut transaction, floor, authority, caller, &order, now).await?;
    let mut deployed = None;
    let mut jobs = Vec::new();
    if let Some(direct) = &call.direct {
        let source = (filed.issued.as_ref().map(|issued| issued.id), filed.request_id, saved);
        let terms = (draft.password.as_ref(), direct.job_time.map(Timestamp::utc));
        let sent = deploy::send_new(&mut transaction, floor, caller, source, &targets, terms, now).await?;
        (deployed, jobs) = (Some(sent.0), sent.1);
    }
    let mut enrolled = hand_out(authority, draft, call.format, filed, key, now).await?;
    transaction.commit().await?;
    if let Some(deployed) = deployed {
        enrolled.answer.successful_stores = Some(deployed.successful_stores);
        enrolled.answer.certificate_information.store_ids_invalid_for_renewal = deployed.failed_stores;
    }
    Ok(Enrolled { jobs, saved, ..enrolled })
}

/// Looks everything up, and decides.
async fn prepare(
    db: &mut PgConnection,
    caller: &Principal,
    draft: &Draft,
    now: DateTime<Utc>,
) -> Result<Prepared, Error> {
    let template = filing::template(db, &draft.wishes).await?;
    if let Some(id) = draft.renewal_of {
        access::require_usable(db, caller, id, now).await?;
        if certificates::facts(db, &[id]).await?.is_empty() {
            return Err(Error::invalid("RenewalCertificateId", format!("certificate {id} was not found")));
        }
    }
    let algorithm = draft.key.unwrap_or_else(|| template.default_key());
    let admitted = template.admit(Wish {
        roles: Some(caller.roles()),
        kind: EnrollmentKind::Pfx,
        subject: &draft.subject,
        names: &draft.wishes.names,
        key: algorithm,
    })?;
    let fields = filing::fields(&template, &draft.wishes.fields)?;
    let owner_role_id = filing::owner(db, &draft.wishes).await?.map(|role| role.id);
    Ok(Prepared { template, admitted, algorithm, fields, owner_role_id })
}

/// Where a call of version 2 wants the certificate.
async fn places(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    draft: &Draft,
    direct: &Direct,
) -> Result<Vec<Target>, Error> {
    delivery::require_scheduling(caller)?;
    let mut targets = match direct.stores.is_empty() {
        true => Vec::new(),
        false => delivery::targets(&direct.stores, floor.configuration.limits.stores_per_call)?,
    };
    if direct.where_it_is {
        let member = "InstallIntoExistingCertificateStores";
        let id = draft
            .renewal_of
            .ok_or_else(|| Error::invalid(member, "RenewalCertificateId is required with it"))?;
        let existing = certificates::facts(db, &[id]).await?.pop().ok_or(sqlx::Error::RowNotFound)?;
        let held = delivery::holders(db, floor, &existing).await?;
        // A store that the call names itself gets what the call says.
        let named: Vec<_> = targets.iter().map(|target| target.store).collect();
        targets.extend(held.into_iter().filter(|target| !named.contains(&target.store)));
    }
    Ok(targets)
}

/// The order for a key. The key of a certificate that waits must be kept, or nobody would ever have it.
fn order(prepared: Prepared, draft: &Draft, key: &PrivateKey) -> Order {
    let keep = prepared.template.keeps_keys || prepared.template.requires_approval;
    Order {
        kind: EnrollmentKind::Pfx,
        public_key: SubjectPublicKey::from(key),
        key: keep.then(|| key.clone()),
        csr: None,
        template: prepared.template,
        admitted: prepared.admitted,
        metadata: draft.wishes.metadata.clone(),
        fields: prepared.fields,
        owner_role_id: prepared.owner_role_id,
        renewal_of: draft.renewal_of,
    }
}

/// Makes a key on a thread of its own. RSA keys wait for their turn, others do not wait for them.
pub(super) async fn make_key(algorithm: KeyAlgorithm) -> Result<PrivateKey, Error> {
    let _turn = match algorithm {
        KeyAlgorithm::Rsa(_) => {
            let turn = tokio::time::timeout(RSA_WAIT, RSA_KEYS.acquire()).await;
            Some(turn.map_err(|_| Error::Busy)?.map_err(|_| Error::Busy)?)
        }
        _ => None,
    };
    Ok(tokio::task::spawn_blocking(move || PrivateKey::generate(algorithm)).await??)
}

/// The certificate, and what leads from it to the root where that was asked for.
pub(super) fn chain(
    authority: &Authority,
    recorded: &Recorded,
    include_chain: bool,
) -> Result<Vec<Certificate>, Error> {
    let mut certificates = vec![recorded.certificate.clone()];
    if include_chain {
        for der in authority.chain(recorded.authority_id) {
            certificates.push(Certificate::parse(&der)?);
        }
        certificates.push(authority.root().clone());
    }
    Ok(certificates)
}

async fn hand_out(
    authority: &Authority,
    draft: Draft,
    format: Format,
    filed: Filed,
    key: PrivateKey,
    now: DateTime<Utc>,
) -> Result<Enrolled, Error> {
    let mut information = PfxInformation {
        serial_number: String::new(),
        issuer_dn: String::new(),
        thumbprint: String::new(),
        keyfactor_id: 0,
        pkcs12_blob: Secret::default(),
        password: None,
        keyfactor_request_id: filed.request_id,
        request_disposition: "PENDING".to_owned(),
        disposition_message: WAITS.to_owned(),
        enrollment_context: None,
        workflow_instance_id: Some(filed.instance_id),
        workflow_reference_id: filed.request_id,
        store_ids_invalid_for_renewal: Vec::new(),
        chain_failed_to_build: false,
    };
    let mut file_name = None;
    if let Some(recorded) = filed.issued {
        let (password, made) = match draft.password {
            Some(given) => (given, None),
            None => {
                let made = password::made_up().map_err(Failure::from)?;
                (made.clone(), Some(made))
            }
        };
        let parcel = certificates::Parcel {
            key,
            certificates: chain(authority, &recorded, draft.include_chain)?,
            friendly_name: draft.friendly_name,
            password,
            format: format.key_format(),
            root_first: draft.chain_order == ChainOrder::RootFirst,
            legacy_encryption: draft.legacy_encryption,
            subject_header: draft.subject_header,
            created: now,
        };
        let blob = tokio::task::spawn_blocking(move || parcel.pack()).await??;
        let certificate = &recorded.certificate;
        file_name = Some(certificates::file_name(certificate, format.extension()));
        information.serial_number = certificate.serial_number().to_string();
        information.issuer_dn = certificate.issuer().to_string();
        information.thumbprint = certificate.thumbprint().to_string();
        information.keyfactor_id = recorded.id;
        information.pkcs12_blob = Secret::new(STANDARD.encode(&blob));
        information.password = made;
        information.keyfactor_request_id = 0;
        information.request_disposition = "ISSUED".to_owned();
        information.disposition_message = String::new();
    }
    Ok(Enrolled {
        file_name,
        answer: EnrolledPfx {
            successful_stores: None,
            certificate_information: information,
            metadata: draft.wishes.metadata,
        },
        saved: false,
        jobs: Vec::new(),
    })
}
