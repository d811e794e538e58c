//! One process works under an agent's identity at a time.
//!
//! Each process names itself by a random number and its machine by a hash. What is known of them stands in the agent's
//! row, so all replicas decide alike; it is written when a process begins, and an idle poll costs nothing.
//!
//! | who calls | what becomes of it |
//! |---|---|
//! | the process that has the place | goes on |
//! | a new process on the same machine | takes the place: the agent was restarted, also by force |
//! | a process that lost its place so | is told; if it lives it says so, which proves two: it gets the place back, and the newer one is a copy |
//! | a process on another machine, while the one in place was heard lately | is refused as a copy |
//! | a process on another machine, after that one fell silent | takes the place: the agent moved |
//!
//! A copy is marked on the agent and in the audit log. Approving the agent anew clears the mark, and for a while leaves
//! the place to the machine of the copy alone.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use sealift_protocol::AgentId;
use sealift_protocol::agent::leases::{LeaseRequest, MAX_HOST_NAME};
use sqlx::PgConnection;
use uuid::Uuid;

use super::directory::Directory;
use super::queries::{self, InstanceRow, Mark};
use crate::floor::Floor;
use crate::http::Failure;
use crate::security::audit::{self, Line, Operation};

/// How long a process may be unheard until another machine may take its place. Polls are held for up to a minute and
/// written down within another.
const SILENT: TimeDelta = TimeDelta::minutes(3);
/// How often the same copy is marked and told of again.
const REMIND: TimeDelta = TimeDelta::hours(1);
/// Digits of a machine's hash.
const HOST_DIGITS: usize = 64;

/// A process that asks for jobs.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    instance: Uuid,
    host: Option<String>,
    host_name: String,
    address: String,
    contested: bool,
}

impl Arrival {
    /// What a call says of its process, or what is wrong with that.
    pub(crate) fn parse(request: &LeaseRequest, address: Option<IpAddr>) -> Result<Self, &'static str> {
        let host = Some(request.host.clone()).filter(|host| !host.is_empty());
        let digits = |host: &String| {
            host.len() == HOST_DIGITS && host.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !host.as_ref().is_none_or(digits) {
            return Err("Host is no hash");
        }
        let printable = request.host_name.chars().filter(|c| !c.is_control());
        Ok(Self {
            instance: request.instance,
            host,
            host_name: printable.take(MAX_HOST_NAME).collect(),
            address: address.map(|address| address.to_canonical().to_string()).unwrap_or_default(),
            contested: request.contested,
        })
    }

    fn mark(&self) -> Mark<'_> {
        Mark {
            instance: self.instance,
            host: self.host.as_deref(),
            host_name: &self.host_name,
            address: &self.address,
        }
    }
}

/// What a process is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It may take jobs.
    Admitted,
    /// Another process has begun since; it may object.
    Superseded,
    /// It is a copy.
    Cloned,
}

/// What is to be done about an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Known,
    Begins { moved: bool },
    Returns,
    Superseded,
    Cloned,
}

/// Admits the process that has an agent's place, or gives it that place where it may have it. The one that is remembered
/// to have it passes at once.
///
/// # Errors
/// The database's.
pub(crate) async fn admit(
    floor: &Floor,
    directory: &Directory,
    (agent, remembered): (AgentId, Option<Uuid>),
    arrival: &Arrival,
) -> Result<Admission, Failure> {
    if remembered == Some(arrival.instance) {
        return Ok(Admission::Admitted);
    }
    let now = floor.now();
    let mut db = floor.database.main.begin().await?;
    let Some(row) = queries::instance(&mut db, agent).await? else { return Ok(Admission::Superseded) };
    let verdict = decide(&row, arrival, now);
    save(&mut db, agent, &row, arrival, verdict, now).await?;
    db.commit().await?;
    Ok(match verdict {
        Verdict::Known | Verdict::Begins { .. } | Verdict::Returns => {
            directory.forget(&[agent]);
            Admission::Admitted
        }
        Verdict::Superseded => Admission::Superseded,
        Verdict::Cloned => Admission::Cloned,
    })
}

fn decide(row: &InstanceRow, arrival: &Arrival, now: DateTime<Utc>) -> Verdict {
    if row.instance == Some(arrival.instance) {
        return Verdict::Known;
    }
    let silent = row.working_at.is_none_or(|at| now - at > SILENT);
    if row.refused_instance == Some(arrival.instance) && !silent {
        return Verdict::Cloned;
    }
    let same_host = match (&row.host, &arrival.host) {
        (Some(known), Some(host)) => known == host,
        // Nothing is known of one of them.
        _ => true,
    };
    if row.superseded.contains(&arrival.instance) {
        match (arrival.contested, same_host) {
            (false, _) => return Verdict::Superseded,
            (true, true) => return Verdict::Returns,
            (true, false) => {}
        }
    }
    match (same_host, silent) {
        (true, _) => Verdict::Begins { moved: false },
        (false, true) => Verdict::Begins { moved: true },
        (false, false) => Verdict::Cloned,
    }
}

async fn save(
    db: &mut PgConnection,
    agent: AgentId,
    row: &InstanceRow,
    arrival: &Arrival,
    verdict: Verdict,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let before = row.host_name.as_deref().unwrap_or_default();
    match verdict {
        Verdict::Known | Verdict::Superseded => {}
        Verdict::Begins { moved } => {
            queries::begin_instance(db, agent, &arrival.mark(), moved, now).await?;
            if moved {
                let message = format!(
                    "Agent {agent} on {} moved to the machine that names itself '{}' at {}; the one before, '{before}', \
                     had fallen silent",
                    row.client_machine, arrival.host_name, arrival.address
                );
                record(db, agent, row, Operation::Updated, message, now).await?;
            }
        }
        Verdict::Returns => {
            queries::return_instance(db, agent, arrival.instance, now).await?;
            let copy = Mark {
                instance: row.instance.unwrap_or_default(),
                host: row.host.as_deref(),
                host_name: before,
                address: row.host_address.as_deref().unwrap_or_default(),
            };
            mark(db, agent, row, &copy, now).await?;
        }
        Verdict::Cloned => mark(db, agent, row, &arrival.mark(), now).await?,
    }
    Ok(())
}

/// Marks a copy, unless one on the same machine was marked lately: it may begin again and again.
async fn mark(
    db: &mut PgConnection,
    agent: AgentId,
    row: &InstanceRow,
    copy: &Mark<'_>,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let lately = row.clone_seen_at.is_some_and(|at| now - at < REMIND);
    if lately && row.clone_host.as_deref() == copy.host {
        return Ok(());
    }
    queries::mark_clone(db, agent, copy, now).await?;
    let message = format!(
        "A second process with the identity of agent {agent} on {} was refused: it called from {}, its machine names \
         itself '{}'. If the agent was moved there, approve it anew; if not, the identity was copied",
        row.client_machine, copy.address, copy.host_name
    );
    tracing::warn!(agent.id = %agent, agent.machine = row.client_machine, "{message}");
    record(db, agent, row, Operation::Rejected, message, now).await
}

async fn record(
    db: &mut PgConnection,
    agent: AgentId,
    row: &InstanceRow,
    operation: Operation,
    message: String,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let line = Line {
        actor: row.client_machine.clone(),
        operation,
        entity_type: "Agent",
        entity_id: agent.to_string(),
        message,
    };
    audit::record(db, &[line], now).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    fn row(heard_seconds_ago: i64) -> InstanceRow {
        InstanceRow {
            client_machine: "web1.example.test".to_owned(),
            instance: Some(Uuid::from_u128(1)),
            superseded: vec![Uuid::from_u128(9)],
            refused_instance: Some(Uuid::from_u128(8)),
            host: Some("a".repeat(HOST_DIGITS)),
            host_name: Some("web1".to_owned()),
            host_address: None,
            working_at: Some(now() - TimeDelta::seconds(heard_seconds_ago)),
            clone_seen_at: None,
            clone_host: None,
        }
    }

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(1)
    }

    fn arrival(instance: u128, host: &str, contested: bool) -> Arrival {
        let host = Some(host.repeat(HOST_DIGITS)).filter(|host| !host.is_empty());
        let (host_name, address) = (String::new(), String::new());
        Arrival { instance: Uuid::from_u128(instance), host, host_name, address, contested }
    }

    #[test]
    fn one_process_has_the_place() {
        let (restart, moved) = (Verdict::Begins { moved: false }, Verdict::Begins { moved: true });
        for (instance, host, contested, ago, expected) in [
            (1, "a", false, 0, Verdict::Known),
            (1, "b", false, HOUR, Verdict::Known),
            (2, "a", false, 0, restart),
            (2, "", false, 0, restart),
            (2, "b", false, 0, Verdict::Cloned),
            (2, "b", true, 0, Verdict::Cloned),
            (2, "b", false, HOUR, moved),
            (8, "a", false, 0, Verdict::Cloned),
            (8, "a", false, HOUR, restart),
            (8, "b", false, HOUR, moved),
            (9, "a", false, 0, Verdict::Superseded),
            (9, "a", true, 0, Verdict::Returns),
            (9, "b", true, 0, Verdict::Cloned),
            (9, "b", false, 0, Verdict::Superseded),
        ] {
            let verdict = decide(&row(ago), &arrival(instance, host, contested), now());
            assert_eq!(verdict, expected, "{instance} on {host}, contested {contested}, after {ago} s");
        }
    }

    #[test]
    fn a_place_that_was_cleared_waits_for_the_machine_of_the_copy() {
        let cleared =
            InstanceRow { instance: None, superseded: Vec::new(), refused_instance: None, ..row(0) };
        assert_eq!(decide(&cleared, &arrival(5, "b", false), now()), Verdict::Cloned);
        assert_eq!(decide(&cleared, &arrival(5, "a", false), now()), Verdict::Begins { moved: false });
        let first = InstanceRow { host: None, working_at: None, ..cleared };
        assert_eq!(decide(&first, &arrival(5, "b", false), now()), Verdict::Begins { moved: false });
    }

    #[test]
    fn what_a_process_says_of_its_machine_is_bounded() {
        let said = |host: &str, name: &str| {
            let request =
                LeaseRequest { host: host.to_owned(), host_name: name.to_owned(), ..LeaseRequest::default() };
            Arrival::parse(&request, Some([192, 0, 2, 1].into()))
        };
        assert!(said("", "").unwrap().host.is_none());
        assert!(said("xyz", "").is_err() && said(&"A".repeat(64), "").is_err());
        let long = said(&"0".repeat(64), &"n\n".repeat(1000)).unwrap();
        assert_eq!((long.host_name.len(), long.address.as_str()), (MAX_HOST_NAME, "192.0.2.1"));
    }
}
