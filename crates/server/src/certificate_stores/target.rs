//! Whether a certificate may go into a store: one decision, for Add and for Deploy alike.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sealift_protocol::agent::leases::AddWork;
use sealift_protocol::{AgentId, JobId, Secret, StoreId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;

use super::entry_parameters::{self, Occasion};
use super::error::Error;
use super::job_secrets::JobSecrets;
use super::queries;
use crate::certificates::CertificateFacts;
use crate::floor::Floor;
use crate::orchestrator_jobs::{NewJob, Operation, When};
use crate::security::{Principal, permission};

/// Longest alias, as in the table of entries.
pub(super) const MAX_ALIAS: usize = 512;
/// Longest password of an entry, in characters.
const MAX_PASSWORD: usize = 256;

/// Job property by which extensions learn which certificate is replaced (operator contract, 4.4).
const RENEWAL_THUMBPRINT: &str = "RenewalThumbprint";

/// What decisions about a store need to know.
#[derive(Debug, Clone)]
pub(crate) struct StoreFacts {
    pub(crate) id: StoreId,
    pub(crate) agent_id: AgentId,
    pub(crate) agent_machine: String,
    pub(crate) agent_status: i16,
    /// Whether its agent is ours, which can open sealed payloads.
    pub(crate) speaks_extensions: bool,
    pub(crate) capable: bool,
    pub(crate) client_machine: String,
    pub(crate) store_path: String,
    pub(crate) container_id: Option<i64>,
    pub(crate) approved: bool,
    pub(crate) create_if_missing: bool,
    pub(crate) store_type: i32,
    pub(crate) short_name: String,
    pub(crate) capability: String,
    pub(crate) supports_add: bool,
    pub(crate) supports_remove: bool,
    pub(crate) supports_create: bool,
    /// Whether its agent can say what it would do.
    pub(crate) can_plan: bool,
    pub(crate) supports_enrollment: bool,
    pub(crate) private_key: i16,
    pub(crate) custom_alias: i16,
    pub(crate) entry_password: bool,
    pub(crate) entry_parameters: Value,
}

/// Loads the facts of stores in one query; unknown ones are left out.
pub(crate) async fn load_facts(
    db: &mut PgConnection,
    stores: &[StoreId],
) -> Result<HashMap<StoreId, StoreFacts>, sqlx::Error> {
    let facts = queries::store_facts(db, stores).await?;
    Ok(facts.into_iter().map(|facts| (facts.id, facts)).collect())
}

impl StoreFacts {
    /// Refuses a caller without this permission for the store's container.
    pub(super) fn authorize(&self, caller: &Principal, permission: &str) -> Result<(), Error> {
        if caller.permits_for(permission, self.container_id) {
            return Ok(());
        }
        let permission = match self.container_id {
            None => permission.to_owned(),
            Some(container) => format!("{permission} or {permission}{container}/"),
        };
        Err(Error::StoreForbidden { store: self.id, permission })
    }

    /// Refuses a store whose agent would do what it is only asked about.
    pub(super) fn can_plan(&self) -> Result<(), Error> {
        match self.can_plan {
            true => Ok(()),
            false => Err(Error::CannotPlan { store: self.id, agent: self.agent_machine.clone() }),
        }
    }

    /// Refuses a store that can get no management job.
    pub(super) fn ready(&self) -> Result<(), Error> {
        if !self.approved {
            return Err(Error::StoreNotApproved(self.id));
        }
        if self.agent_status != 2 {
            return Err(Error::AgentNotApproved { store: self.id, agent: self.agent_machine.clone() });
        }
        if !self.capable {
            return Err(Error::NotCapable {
                store: self.id,
                agent: self.agent_machine.clone(),
                capability: format!("CertStores.{}.Management", self.capability),
            });
        }
        Ok(())
    }

    /// Whether its type has entry parameters.
    pub(super) fn has_entry_parameters(&self) -> bool {
        self.entry_parameters.as_array().is_some_and(|parameters| !parameters.is_empty())
    }

    pub(super) fn not_supported(&self, operation: &'static str) -> Error {
        Error::NotSupported { store: self.id, store_type: self.short_name.clone(), operation }
    }

    /// A job on this store.
    pub(super) fn job(&self, operation: Operation, when: When, now: DateTime<Utc>) -> NewJob {
        NewJob {
            id: JobId::generate(),
            agent_id: self.agent_id,
            store_id: self.id,
            operation,
            run_at: when.run_at(now),
            scheduled: matches!(when, When::At(_)),
            certificate_id: None,
            details: Value::Object(serde_json::Map::new()),
            sealed_secret: None,
            agent_machine: self.agent_machine.clone(),
            client_machine: self.client_machine.clone(),
            store_path: self.store_path.clone(),
            store_type: self.short_name.clone(),
        }
    }
}

/// What a caller wants for one store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Placement {
    pub(crate) alias: Option<String>,
    pub(crate) overwrite: bool,
    pub(crate) include_private_key: bool,
    pub(crate) job_fields: BTreeMap<String, Value>,
    pub(crate) entry_password: Option<Secret>,
    /// Thumbprint of the certificate that is replaced there, which store extensions of others look for.
    pub(crate) replaced: Option<String>,
    /// The agent only says what it would do.
    pub(crate) dry_run: bool,
}

/// What a job row says of an addition or removal. Never a secret.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Details {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) alias: Option<String>,
    pub(super) overwrite: bool,
    pub(super) include_private_key: bool,
    pub(super) create_if_missing: bool,
    /// The agent only says what it would do.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) dry_run: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) job_fields: BTreeMap<String, String>,
}

impl Details {
    pub(super) fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The work as the agent gets it.
    pub(super) fn into_work(
        self,
        certificates: Vec<String>,
        key: Option<Secret>,
        password: Option<Secret>,
    ) -> AddWork {
        AddWork {
            alias: self.alias,
            certificates,
            private_key: key,
            entry_password: password,
            overwrite: self.overwrite,
            create_if_missing: self.create_if_missing,
            job_fields: self.job_fields,
        }
    }
}

/// Decides about one store, and makes the job.
///
/// # Errors
/// Each way in which the store, its type, its agent, the certificate or the placement is not fit.
pub(crate) fn decide_add(
    store: &StoreFacts,
    certificate: &CertificateFacts,
    placement: &Placement,
    caller: &Principal,
    floor: &Floor,
    when: When,
    now: DateTime<Utc>,
) -> Result<NewJob, Error> {
    store.authorize(caller, permission::STORES_SCHEDULE)?;
    if !store.supports_add {
        return Err(store.not_supported("adding certificates"));
    }
    store.ready()?;
    if placement.dry_run {
        store.can_plan()?;
    }
    let include_private_key = private_key_wanted(store, certificate, placement)?;
    if include_private_key && !store.speaks_extensions && !floor.configuration.agents.keys_to_published {
        return Err(Error::KeyNotSealable { store: store.id, agent: store.agent_machine.clone() });
    }
    let alias = alias_wanted(store, placement)?;
    let occasion = Occasion::Add { private_key: include_private_key };
    let mut fields = entry_parameters::read(store, "JobFields", &placement.job_fields, None, occasion)?;
    if let Some(thumbprint) = &placement.replaced {
        fields.plain.insert(RENEWAL_THUMBPRINT.to_owned(), thumbprint.clone());
    }
    let mut job = store.job(Operation::Add, when, now);
    job.certificate_id = Some(certificate.id);
    let secrets = JobSecrets {
        entry_password: entry_password(store, placement)?.cloned(),
        job_fields: fields.secrets,
        ..JobSecrets::default()
    };
    job.sealed_secret = secrets.seal(&floor.sealing, job.id)?;
    let details = Details {
        alias,
        overwrite: placement.overwrite,
        include_private_key,
        create_if_missing: store.create_if_missing && store.supports_create,
        dry_run: placement.dry_run,
        job_fields: fields.plain,
    };
    job.details = details.to_value();
    Ok(job)
}

fn private_key_wanted(
    store: &StoreFacts,
    certificate: &CertificateFacts,
    placement: &Placement,
) -> Result<bool, Error> {
    let wanted = match store.private_key {
        0 if placement.include_private_key => {
            return Err(Error::KeyForbidden { store: store.id, store_type: store.short_name.clone() });
        }
        0 => false,
        1 => placement.include_private_key,
        _ => true,
    };
    if wanted && !certificate.has_key {
        return Err(Error::KeyMissing { store: store.id, certificate: certificate.id });
    }
    Ok(wanted)
}

fn alias_wanted(store: &StoreFacts, placement: &Placement) -> Result<Option<String>, Error> {
    allowed_alias(store, placement.alias.as_ref(), placement.overwrite)
}

/// The alias of a new entry, as the store's type has it.
pub(super) fn allowed_alias(
    store: &StoreFacts,
    alias: Option<&String>,
    overwrite: bool,
) -> Result<Option<String>, Error> {
    let refuse = |reason: &str| Err(Error::Alias { store: store.id, reason: reason.to_owned() });
    match (alias, store.custom_alias) {
        // Clients send the thumbprint or the old alias along with Overwrite even where the agent chooses.
        (Some(_), 0) if !overwrite => refuse("this store type chooses the alias itself; leave it out"),
        (None, 2) => refuse("this store type needs one"),
        (Some(alias), _) if alias.chars().count() > MAX_ALIAS => refuse("it is longer than 512 characters"),
        (Some(alias), _) if alias.chars().any(char::is_control) => refuse("it holds control characters"),
        (alias, _) => Ok(alias.cloned()),
    }
}

fn entry_password<'a>(store: &StoreFacts, placement: &'a Placement) -> Result<Option<&'a Secret>, Error> {
    let Some(password) = placement.entry_password.as_ref().filter(|password| !password.is_empty()) else {
        return Ok(None);
    };
    check_password("the entry's password", password)?;
    // Where entries have no password of their own, the one that every Deploy must send has no use.
    Ok(store.entry_password.then_some(password))
}

/// Refuses passwords that PKCS#12 cannot carry.
pub(super) fn check_password(what: &str, password: &Secret) -> Result<(), Error> {
    let text = password.expose();
    let reason = if text.chars().count() > MAX_PASSWORD {
        "is longer than 256 characters"
    } else if text.chars().any(char::is_control) {
        "holds control characters"
    } else if text.chars().any(|c| u32::from(c) > 0xffff) {
        "holds characters outside the Basic Multilingual Plane, such as emoji, which PKCS#12 cannot carry"
    } else {
        return Ok(());
    };
    Err(Error::Invalid(format!("Password: {what} {reason}")))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A store that may get any job.
    pub(in crate::certificate_stores) fn facts() -> StoreFacts {
        StoreFacts {
            id: StoreId::generate(),
            agent_id: AgentId::generate(),
            agent_machine: "web1.example.test".to_owned(),
            agent_status: 2,
            speaks_extensions: true,
            capable: true,
            client_machine: "web1.example.test".to_owned(),
            store_path: "/a".to_owned(),
            container_id: None,
            approved: true,
            create_if_missing: false,
            store_type: 2,
            short_name: "PEM".to_owned(),
            capability: "PEM".to_owned(),
            supports_add: true,
            supports_remove: true,
            supports_create: true,
            can_plan: true,
            supports_enrollment: true,
            private_key: 1,
            custom_alias: 1,
            entry_password: false,
            entry_parameters: Value::Array(Vec::new()),
        }
    }

    #[test]
    fn aliases_are_the_types_to_allow() {
        let (name, long) = ("www".to_owned(), "x".repeat(MAX_ALIAS + 1));
        let allowed = |custom_alias: i16, alias: Option<&String>, overwrite: bool| {
            let store = StoreFacts { custom_alias, ..facts() };
            allowed_alias(&store, alias, overwrite).map_err(|error| error.to_string())
        };
        assert_eq!(allowed(1, Some(&name), false), Ok(Some(name.clone())));
        assert_eq!(allowed(0, None, false), Ok(None));
        assert_eq!(allowed(0, Some(&name), true), Ok(Some(name.clone())));
        assert!(allowed(0, Some(&name), false).is_err() && allowed(2, None, true).is_err());
        assert!(
            allowed(0, Some(&long), true).is_err() && allowed(1, Some(&"a\nb".to_owned()), true).is_err()
        );
    }
}
