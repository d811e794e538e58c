//! `PUT /CertificateStores/DiscoveryJob`: an agent looks for stores, and what it finds waits for approval
//! (operator contract, chapter 6.6).

use chrono::{DateTime, Utc};
use sealift_protocol::agent::leases::{DiscoverWork, DiscoveredAnswer, DiscoveredStores, MAX_DISCOVERED};
use sealift_protocol::operator::certificate_stores::ScheduleDiscovery;
use sealift_protocol::{AgentId, JobId, StoreId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;

use super::error::Error;
use super::job_secrets::JobSecrets;
use super::queries::{self, stores};
use super::store::{MAX_MACHINE, MAX_PATH, bounded, given_secret};
use super::target::check_password;
use crate::agents::{self, Status};
use crate::floor::Floor;
use crate::http::Failure;
use crate::orchestrator_jobs::{self, Cause, NewJob, Operation, When, when};
use crate::security::{Principal, audit, permission};

/// Most entries of a list such as `Dirs`, and the longest list in characters.
const MAX_LIST: (usize, usize) = (100, 4_000);

/// What the job's row says of it. Never a secret.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct DiscoveryDetails {
    pub(super) store_type: i32,
    pub(super) short_name: String,
    #[serde(flatten)]
    pub(super) work: DiscoverWork,
}

/// Schedules the job.
pub(super) async fn schedule(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    request: &ScheduleDiscovery,
    now: DateTime<Utc>,
) -> Result<NewJob, Failure> {
    // What is found belongs to no container.
    caller.require(permission::STORES_MODIFY)?;
    let invalid = |message: String| Error::Invalid(message);
    let type_id = request.store_type.ok_or_else(|| invalid("Type is required".to_owned()))?;
    let client_machine = bounded("ClientMachine", request.client_machine.as_deref(), MAX_MACHINE)?;
    let agent_id = request.agent_id.ok_or_else(|| invalid("AgentId is required".to_owned()))?;
    let store_type = queries::store_type(db, type_id).await?;
    let store_type =
        store_type.ok_or_else(|| invalid(format!("Type: store type {type_id} was not found")))?;
    if !store_type.supports_discovery {
        let message = format!("Type: store type {} does not support discovery", store_type.short_name);
        return Err(invalid(message).into());
    }
    let agent = agents::facts(db, &[agent_id]).await?.pop();
    let agent = agent.ok_or_else(|| invalid(format!("AgentId: agent {agent_id} was not found")))?;
    if agent.status != Status::Approved {
        return Err(Error::UnfitAgent(format!("the agent {} is not approved", agent.client_machine)).into());
    }
    let wanted = format!("CertStores.{}.Discovery", store_type.capability);
    if !agent.capabilities.iter().any(|known| known.eq_ignore_ascii_case(&wanted)) {
        let message = format!("the agent {} does not have the capability {wanted}", agent.client_machine);
        return Err(Error::UnfitAgent(message).into());
    }
    let when = run_time(request, now)?;
    let id = JobId::generate();
    let details = DiscoveryDetails {
        store_type: type_id,
        short_name: store_type.short_name.clone(),
        work: work(request, client_machine)?,
    };
    let job = NewJob {
        id,
        agent_id,
        // It works on no store, and so waits behind none.
        store_id: StoreId::from(id.uuid()),
        operation: Operation::Discovery,
        run_at: when.run_at(now),
        scheduled: matches!(when, When::At(_)),
        certificate_id: None,
        sealed_secret: login(request)?.seal(&floor.sealing, id).map_err(Error::from)?,
        agent_machine: agent.client_machine,
        client_machine: client_machine.to_owned(),
        store_path: details.work.directories.join(",").chars().take(MAX_PATH).collect(),
        store_type: store_type.short_name,
        details: serde_json::to_value(&details).map_err(Failure::fault)?,
    };
    let queued = [(Cause::call(caller.name()), job.clone())];
    orchestrator_jobs::schedule(db, &queued, floor.configuration.jobs.max_attempts, now).await?;
    let message = format!("scheduled a discovery of {} stores on {client_machine}", job.store_type);
    let line = audit::Line::new(caller, audit::Operation::Scheduled, "CertificateStore", "", message);
    audit::record(db, &[line], now).await?;
    Ok(job)
}

/// The timestamp counts before the schedule; without either it is now.
fn run_time(request: &ScheduleDiscovery, now: DateTime<Utc>) -> Result<When, Error> {
    match (request.job_execution_timestamp, &request.keyfactor_schedule) {
        (Some(at), _) if at.utc() > now => Ok(When::At(at.utc())),
        (None, Some(schedule)) => Ok(when(Some(schedule), now)?),
        _ => Ok(When::Now),
    }
}

fn work(request: &ScheduleDiscovery, client_machine: &str) -> Result<DiscoverWork, Error> {
    Ok(DiscoverWork {
        client_machine: client_machine.to_owned(),
        directories: parts("Dirs", request.dirs.as_deref())?,
        ignored_directories: parts("IgnoredDirs", request.ignored_dirs.as_deref())?,
        extensions: parts("Extensions", request.extensions.as_deref())?,
        name_patterns: parts("NamePatterns", request.name_patterns.as_deref())?,
        follow_symbolic_links: request.symbolic_links,
        compatibility: request.compatibility,
        server_username: None,
        server_password: None,
        server_use_ssl: request.server_use_ssl,
    })
}

/// The parts of a text that commas separate.
fn parts(member: &str, text: Option<&str>) -> Result<Vec<String>, Error> {
    let text = text.unwrap_or_default();
    if text.chars().count() > MAX_LIST.1 || text.chars().any(char::is_control) {
        let message =
            format!("{member} is longer than {} characters or holds control characters", MAX_LIST.1);
        return Err(Error::Invalid(message));
    }
    let parts: Vec<String> =
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    match parts.len() > MAX_LIST.0 {
        true => Err(Error::Invalid(format!("{member} has more than {} entries", MAX_LIST.0))),
        false => Ok(parts),
    }
}

fn login(request: &ScheduleDiscovery) -> Result<JobSecrets, Error> {
    let username = given_secret("ServerUsername", request.server_username.as_ref())?;
    let password = given_secret("ServerPassword", request.server_password.as_ref())?;
    for (member, secret) in [("ServerUsername", username), ("ServerPassword", password)] {
        if let Some(secret) = secret {
            check_password(member, secret)?;
        }
    }
    Ok(JobSecrets {
        server_username: username.cloned(),
        server_password: password.cloned(),
        ..JobSecrets::default()
    })
}

/// What an agent reported, checked: what an agent says is never taken as it is.
///
/// # Errors
/// [`Error::Invalid`] when it is out of bounds.
pub(crate) fn checked(found: &DiscoveredStores) -> Result<Vec<String>, Error> {
    if found.store_paths.len() > MAX_DISCOVERED {
        return Err(Error::Invalid(format!("StorePaths has more than {MAX_DISCOVERED} entries")));
    }
    let mut paths: Vec<String> = Vec::with_capacity(found.store_paths.len());
    for path in &found.store_paths {
        let path = bounded("StorePaths", Some(path), MAX_PATH)?;
        if !paths.iter().any(|known| known == path) {
            paths.push(path.to_owned());
        }
    }
    Ok(paths)
}

/// Stores what a running discovery found as stores that wait for approval, in the caller's transaction.
pub(crate) async fn store_discovered(
    db: &mut PgConnection,
    agent: AgentId,
    found: &DiscoveredStores,
    paths: &[String],
    now: DateTime<Utc>,
) -> Result<DiscoveredAnswer, Failure> {
    let details = orchestrator_jobs::live_discovery(db, agent, found.lease).await?;
    let Some(details) = details.and_then(|details: Value| details_of(&details)) else {
        return Ok(DiscoveredAnswer { stored: false, new_stores: 0 });
    };
    let machine = &details.work.client_machine;
    let ids: Vec<StoreId> = paths.iter().map(|_| StoreId::generate()).collect();
    let made = stores::insert_discovered(db, agent, machine, details.store_type, &ids, paths, now).await?;
    tracing::info!(
        agent.id = %agent, job.id = %found.lease.job_id,
        "a discovery of {} stores on {machine} found {}, {made} of them new", details.short_name, paths.len()
    );
    Ok(DiscoveredAnswer { stored: true, new_stores: u32::try_from(made).unwrap_or(u32::MAX) })
}

/// The details in a job's row.
pub(super) fn details_of(details: &Value) -> Option<DiscoveryDetails> {
    serde_json::from_value(details.clone()).ok()
}

#[cfg(test)]
mod tests {
    use sealift_protocol::agent::leases::LeaseKey;

    use super::*;

    #[test]
    fn lists_are_parted_by_commas() {
        assert_eq!(parts("Dirs", Some(" /etc/a, ,/etc/b ")).unwrap(), ["/etc/a", "/etc/b"]);
        assert!(parts("Dirs", None).unwrap().is_empty());
        assert!(parts("Dirs", Some(&"a,".repeat(101))).unwrap_err().to_string().contains("Dirs"));
        assert!(parts("Dirs", Some("a\nb")).is_err());
    }

    #[test]
    fn the_timestamp_counts_before_the_schedule() {
        let now: DateTime<Utc> = "2026-05-04T09:30:00Z".parse().unwrap();
        let read = |text: &str| run_time(&serde_json::from_str(text).unwrap(), now);
        let at: DateTime<Utc> = "2026-05-04T10:00:00Z".parse().unwrap();
        let past = r#"{"JobExecutionTimestamp": "2026-05-04T09:00:00Z", "KeyfactorSchedule": {"Interval": {"Minutes": 5}}}"#;
        assert_eq!(read("{}").unwrap(), When::Now);
        assert_eq!(read(past).unwrap(), When::Now);
        assert_eq!(read(r#"{"JobExecutionTimestamp": "2026-05-04T10:00:00Z"}"#).unwrap(), When::At(at));
        let once = r#"{"KeyfactorSchedule": {"ExactlyOnce": {"Time": "2026-05-04T10:00:00Z"}}}"#;
        assert_eq!(read(once).unwrap(), When::At(at));
        assert!(read(r#"{"KeyfactorSchedule": {"Interval": {"Minutes": 5}}}"#).is_err());
    }

    #[test]
    fn what_an_agent_says_is_bounded() {
        let found = |store_paths: Vec<String>| DiscoveredStores {
            lease: LeaseKey { job_id: JobId::generate(), lease_token: uuid::Uuid::new_v4() },
            store_paths,
        };
        assert_eq!(checked(&found(vec!["/a".to_owned(), "/a".to_owned()])).unwrap(), ["/a"]);
        assert!(checked(&found(vec![String::new()])).is_err());
        assert!(checked(&found(vec!["x".repeat(MAX_PATH + 1)])).is_err());
        assert!(checked(&found(vec!["/a".to_owned(); MAX_DISCOVERED + 1])).is_err());
    }
}
