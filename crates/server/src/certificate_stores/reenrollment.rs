//! `POST /CertificateStores/Reenrollment`: a job in which the agent makes a key in the store and has it certified
//! (operator contract, chapter 6.5).

use chrono::{DateTime, Utc};
use sealift_pki::DistinguishedName;
use sealift_protocol::operator::certificate_stores::{Reenroll, ReenrollmentStatus};
use sealift_protocol::{AgentId, StoreId};
use serde::Serialize;
use sqlx::PgConnection;
use std::collections::BTreeMap;

use super::entry_parameters::{self, Occasion};
use super::error::Error;
use super::job_secrets::JobSecrets;
use super::store_type::entry_parameters as shown_parameters;
use super::target::{StoreFacts, allowed_alias, load_facts};
use crate::agents;
use crate::authority::{Authority, template};
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::{self, Cause, NewJob, Operation, When};
use crate::security::{Principal, audit, permission};

/// Longest subject, in characters.
const MAX_SUBJECT: usize = 1_024;

/// What the job's row says of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ReenrollmentDetails {
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    job_fields: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<String>,
}

/// Schedules the job.
pub(super) async fn reenroll(
    db: &mut PgConnection,
    floor: &Floor,
    authority: &Authority,
    caller: &Principal,
    request: &Reenroll,
    now: DateTime<Utc>,
) -> Result<NewJob, Failure> {
    let invalid = |message: String| Error::Invalid(message);
    let id = request.keystore_id.ok_or_else(|| invalid("KeystoreId is required".to_owned()))?;
    let facts = load_facts(db, &[id]).await?;
    let store = facts.get(&id).ok_or(Error::UnknownStore(id))?;
    store.authorize(caller, permission::STORES_SCHEDULE)?;
    if let Some(agent) = request.agent_guid.filter(|agent| *agent != store.agent_id) {
        let message = format!(
            "AgentGuid: agent {agent} does not serve certificate store {id}; agent {} ({}) does",
            store.agent_id, store.agent_machine
        );
        return Err(invalid(message).into());
    }
    refuse_impossible(store, &capabilities(db, store.agent_id).await?)?;
    let subject = subject(request.subject_name.as_deref())?;
    let alias = allowed_alias(store, request.alias.as_ref(), false)?;
    let fields = entry_parameters::read(
        store,
        "JobProperties",
        &request.job_properties,
        None,
        Occasion::Reenrollment,
    )?;
    authority.require_enrolling(request.certificate_authority.as_deref())?;
    let template = match &request.certificate_template {
        Some(named) => Some(template::find(db, named).await?.short_name),
        None => None,
    };
    let mut job = store.job(Operation::Reenrollment, When::Now, now);
    let secrets = JobSecrets { job_fields: fields.secrets, ..JobSecrets::default() };
    job.sealed_secret = secrets.seal(&floor.sealing, job.id).map_err(Error::from)?;
    let details = ReenrollmentDetails { subject, alias, job_fields: fields.plain, template };
    job.details = serde_json::to_value(&details).map_err(Failure::fault)?;
    let queued = [(Cause::call(caller.name()), job.clone())];
    orchestrator_jobs::schedule(db, &queued, floor.configuration.jobs.max_attempts, now).await?;
    let message = format!(
        "scheduled the reenrollment of {} in the store {} on {}",
        details.subject, store.store_path, store.client_machine
    );
    let line = audit::Line::new(caller, audit::Operation::Scheduled, "CertificateStore", id, message);
    audit::record(db, &[line], now).await?;
    Ok(job)
}

fn subject(given: Option<&str>) -> Result<String, Error> {
    let invalid = |reason: String| Error::Invalid(format!("SubjectName {reason}"));
    let given = given.map(str::trim).filter(|text| !text.is_empty());
    let given = given.ok_or_else(|| invalid("is required".to_owned()))?;
    if given.chars().count() > MAX_SUBJECT || given.chars().any(char::is_control) {
        return Err(invalid(format!("is longer than {MAX_SUBJECT} characters or holds control characters")));
    }
    DistinguishedName::parse(given).map_err(|error| invalid(format!("is no distinguished name: {error}")))?;
    Ok(given.to_owned())
}

async fn capabilities(db: &mut PgConnection, agent: AgentId) -> Result<Vec<String>, sqlx::Error> {
    let facts = agents::facts(db, &[agent]).await?;
    Ok(facts.into_iter().next().map(|facts| facts.capabilities).unwrap_or_default())
}

/// The capability's last part is written in two ways (agent protocol, chapters 6.2 and 12.3).
fn can_reenroll(store: &StoreFacts, capabilities: &[String]) -> bool {
    let wanted = format!("CertStores.{}.Reenrollment", store.capability);
    capabilities.iter().any(|known| known.eq_ignore_ascii_case(&wanted))
}

/// Why a reenrollment of the store is not possible.
fn refuse_impossible(store: &StoreFacts, capabilities: &[String]) -> Result<(), Error> {
    if !store.supports_enrollment {
        return Err(store.not_supported("reenrollment"));
    }
    if !store.approved {
        return Err(Error::StoreNotApproved(store.id));
    }
    if store.agent_status != 2 {
        return Err(Error::AgentNotApproved { store: store.id, agent: store.agent_machine.clone() });
    }
    if !can_reenroll(store, capabilities) {
        return Err(Error::NotCapable {
            store: store.id,
            agent: store.agent_machine.clone(),
            capability: format!("CertStores.{}.Reenrollment", store.capability),
        });
    }
    Ok(())
}

/// Whether a reenrollment of a store is possible, and what may be said of it (chapter 6.1).
pub(super) async fn status(
    db: &mut PgConnection,
    id: StoreId,
) -> Result<Option<ReenrollmentStatus>, sqlx::Error> {
    let facts = load_facts(db, &[id]).await?;
    let Some(store) = facts.get(&id) else { return Ok(None) };
    let refused = refuse_impossible(store, &capabilities(db, store.agent_id).await?).err();
    Ok(Some(ReenrollmentStatus {
        data: refused.is_none(),
        agent_id: refused.is_none().then_some(store.agent_id),
        message: refused.map(|error| error.to_string()).unwrap_or_default(),
        job_properties: None,
        custom_alias_allowed: store.custom_alias.into(),
        entry_parameters: shown_parameters(store.store_type, &store.entry_parameters),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate_stores::target::tests::facts;

    #[test]
    fn an_agent_must_be_able_to_make_keys() {
        let able = ["CertStores.PEM.ReEnrollment".to_owned()];
        assert!(refuse_impossible(&facts(), &able).is_ok());
        let without = refuse_impossible(&facts(), &[]).unwrap_err().to_string();
        assert!(without.contains("CertStores.PEM.Reenrollment") && without.contains("web1.example.test"));
        for store in [
            StoreFacts { supports_enrollment: false, ..facts() },
            StoreFacts { approved: false, ..facts() },
            StoreFacts { agent_status: 1, ..facts() },
        ] {
            assert!(refuse_impossible(&store, &able).is_err());
        }
    }

    #[test]
    fn subjects_are_names() {
        assert_eq!(
            subject(Some(" CN=www.example.test,O=Example ")).unwrap(),
            "CN=www.example.test,O=Example"
        );
        for text in [None, Some(""), Some("www.example.test"), Some("CN=a\nb")] {
            assert!(subject(text).unwrap_err().to_string().contains("SubjectName"), "{text:?}");
        }
    }
}
