//! `POST /CertificateStores/Reenrollment`: a job in which the agent makes a key in the store and has it certified
//! (operator contract, chapter 6.5).
//!
//! Subject, names, template and kind of key are decided when the job is asked for, by what its caller may have; of the
//! agent's request only the key counts (`signing`). What the job tells its agent is in `details`.

mod details;
mod signing;

pub(super) use self::details::{KEY_PATH, configured, work_of};
pub(crate) use self::signing::{Certified, certify};

use chrono::{DateTime, Utc};
use sealift_pki::{DistinguishedName, KeyAlgorithm, SubjectAlternativeName};
use sealift_protocol::operator::certificate_stores::{Reenroll, ReenrollmentStatus};
use sealift_protocol::{AgentId, StoreId};
use sqlx::PgConnection;

use self::details::ReenrollmentDetails;
use super::entry_parameters::{self, Occasion};
use super::error::Error;
use super::job_secrets::JobSecrets;
use super::store_type::entry_parameters as shown_parameters;
use super::target::{StoreFacts, allowed_alias, load_facts};
use crate::agents;
use crate::authority::template::{self, EnrollmentKind, Template, Wish};
use crate::authority::{Authority, names};
use crate::floor::Floor;
use crate::http::Failure;
use crate::http::problem::shortened;
use crate::orchestrator_jobs::{self, Cause, NewJob, Operation, When};
use crate::security::{Principal, audit, permission};

/// Longest subject, in characters.
const MAX_SUBJECT: usize = 1_024;
/// Entry parameter of several store types with names beside the subject: `dns=a.example&ip=192.0.2.7`.
const SAN: &str = "SAN";

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
    let template = chosen_template(db, caller, request.certificate_template.as_deref()).await?;
    let key = chosen_key(&template, request.key_algorithm.as_deref(), store.speaks_extensions)?;
    let parsed = distinguished(&subject)?;
    let names = alternative_names(request, fields.plain.get(SAN).map(String::as_str))?;
    let wish =
        Wish { roles: Some(caller.roles()), kind: EnrollmentKind::Csr, subject: &parsed, names: &names, key };
    let admitted = template.admit(wish)?;
    let mut job = store.job(Operation::Reenrollment, When::Now, now);
    let secrets = JobSecrets { job_fields: fields.secrets, ..JobSecrets::default() };
    job.sealed_secret = secrets.seal(&floor.sealing, job.id).map_err(Error::from)?;
    let details = ReenrollmentDetails {
        subject,
        names: admitted
            .names()
            .iter()
            .map(|name| (names::kind_of(name).to_owned(), name.to_string()))
            .collect(),
        key: template::word_of(key).unwrap_or_default().to_owned(),
        template: template.short_name,
        alias,
        job_fields: fields.plain,
    };
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
    distinguished(given)?;
    Ok(given.to_owned())
}

fn distinguished(text: &str) -> Result<DistinguishedName, Error> {
    DistinguishedName::parse(text)
        .map_err(|error| Error::Invalid(format!("SubjectName is no distinguished name: {error}")))
}

/// The template that is named; else the first by which the caller may have a request signed.
async fn chosen_template(
    db: &mut PgConnection,
    caller: &Principal,
    named: Option<&str>,
) -> Result<Template, Failure> {
    if let Some(named) = named.map(str::trim).filter(|named| !named.is_empty()) {
        return Ok(template::find(db, named).await?);
    }
    let fits = |template: &Template| {
        template.offers(EnrollmentKind::Csr) && template.allows_one_of(caller.roles()).is_ok()
    };
    let found = template::all(db, None).await?.into_iter().filter(fits).min_by_key(|template| template.id);
    let none = || Error::Invalid("CertificateTemplate is required: no template takes requests".to_owned());
    Ok(found.ok_or_else(none)?)
}

/// The key that is made: the one asked for, else the template's first that the agent can make. Agents of the published
/// protocol know RSA and ECDSA.
fn chosen_key(template: &Template, named: Option<&str>, ours: bool) -> Result<KeyAlgorithm, Error> {
    let makes = |key: KeyAlgorithm| ours || details::published_key(key).is_some();
    let invalid = |reason: String| Error::Invalid(format!("KeyAlgorithm: {reason}"));
    let Some(named) = named.map(str::trim).filter(|named| !named.is_empty()) else {
        let first = template.keys.iter().copied().find(|key| makes(*key));
        return first.ok_or_else(|| {
            let name = &template.short_name;
            invalid(format!("template '{name}' allows no key that the store's agent can make"))
        });
    };
    let key = template::key_of(named)
        .ok_or_else(|| invalid(format!("'{}' is no kind of key that templates know", shortened(named))))?;
    match makes(key) {
        true => Ok(key),
        false => Err(invalid(format!("the store's agent cannot make {key} keys"))),
    }
}

/// The names beside the subject, from the call and from the entry parameter of store types that have one.
fn alternative_names(
    request: &Reenroll,
    parameter: Option<&str>,
) -> Result<Vec<SubjectAlternativeName>, Error> {
    let mut found: Vec<SubjectAlternativeName> = Vec::new();
    let mut add = |member: &str, kind: &str, value: &str| {
        let refused = |reason: String| Error::Invalid(format!("{member}: {}: {reason}", shortened(kind)));
        let name = names::parse(kind, value).map_err(refused)?;
        if !found.contains(&name) {
            found.push(name);
        }
        Ok::<_, Error>(())
    };
    for (kind, values) in &request.sans {
        for value in values {
            add("SANs", kind, value)?;
        }
    }
    for pair in parameter.unwrap_or_default().split('&').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (kind, value) = pair.split_once('=').ok_or_else(|| {
            Error::Invalid("JobProperties: SAN must read dns=www.example.com&ip=192.0.2.7".to_owned())
        })?;
        add("JobProperties: SAN", kind.trim(), value)?;
    }
    Ok(found)
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
    use std::collections::BTreeMap;

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
    fn names_come_from_the_call_and_from_the_entry_parameter_once() {
        let sans = BTreeMap::from([("dns".to_owned(), vec!["WWW.example.test".to_owned()])]);
        let request = Reenroll { sans, ..Reenroll::default() };
        let read = |text| alternative_names(&request, text).map(|names| names.len());
        assert_eq!(read(None).unwrap(), 1);
        assert_eq!(read(Some("dns=www.example.test&ip=192.0.2.7 & dns=a.example.test")).unwrap(), 3);
        for bad in ["www.example.test", "dns=a b", "colour=blue"] {
            assert!(read(Some(bad)).unwrap_err().to_string().contains("SAN"), "{bad}");
        }
    }

    #[test]
    fn keys_are_those_that_template_and_agent_know() {
        let template = Template {
            keys: vec![KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa(3072)],
            ..template::tests::template()
        };
        let key = |named, ours| chosen_key(&template, named, ours);
        assert_eq!(key(None, true).unwrap(), KeyAlgorithm::Ed25519);
        assert_eq!(key(None, false).unwrap(), KeyAlgorithm::Rsa(3072));
        assert_eq!(key(Some("p-256"), false).unwrap(), KeyAlgorithm::EcdsaP256);
        assert!(key(Some("Ed25519"), false).is_err() && key(Some("DSA"), true).is_err());
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
