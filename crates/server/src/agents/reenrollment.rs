//! An operator has agents renew their identities (operator contract, chapter 7: authentication certificate
//! reenrollment). The agent is asked when it registers; one whose renewal is required gets no job before.

use chrono::{DateTime, Utc};
use sealift_protocol::AgentId;
use sealift_protocol::operator::agents::{ReenrollmentAnswer, SetReenrollment};
use sqlx::PgConnection;

use super::agent::Status;
use super::approval;
use super::error::Error;
use super::queries::{self, RenewableRow};
use crate::http::Failure;
use crate::http::problem::shortened;
use crate::security::audit::{self, Line, Operation};
use crate::security::{Principal, permission};

/// Whether an agent is to renew its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub(super) enum Reenrollment {
    /// When it sees fit.
    None = 0,
    /// When it registers next.
    Requested = 1,
    /// Before it gets another job.
    Required = 2,
}

const NAMES: [(Reenrollment, &str); 3] = [
    (Reenrollment::None, "None"),
    (Reenrollment::Requested, "Requested"),
    (Reenrollment::Required, "Required"),
];

impl Reenrollment {
    /// From the column.
    pub(super) fn from_number(number: i16) -> Self {
        NAMES.iter().find(|(known, _)| *known as i16 == number).map_or(Self::None, |(known, _)| *known)
    }

    /// As answers show it.
    pub(super) fn name(self) -> &'static str {
        NAMES.iter().find(|(known, _)| *known == self).map_or("None", |(_, name)| name)
    }

    /// From a name, or from a number. The numbers of the last two are not confirmed by any source.
    fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let found = NAMES
            .iter()
            .find(|(known, name)| name.eq_ignore_ascii_case(text) || (*known as i16).to_string() == text);
        found.map(|(known, _)| *known).ok_or_else(|| {
            Error::Invalid(format!("Status must be None, Requested or Required, not '{}'", shortened(text)))
        })
    }
}

/// Sets it for the agents that can renew; the others are answered as failed. Tells which were changed, for the
/// directory to forget after the commit.
pub(super) async fn set(
    db: &mut PgConnection,
    caller: &Principal,
    request: &SetReenrollment,
    now: DateTime<Utc>,
) -> Result<(ReenrollmentAnswer, Vec<AgentId>), Failure> {
    caller.require(permission::AGENTS_MODIFY)?;
    let status = request.status.as_deref().ok_or_else(|| Error::Invalid("Status is required".to_owned()))?;
    let reenrollment = Reenrollment::parse(status)?;
    let ids = approval::ids(&request.orchestrator_ids)?;
    let rows = queries::renewable(db, &ids).await?;
    let able: Vec<&RenewableRow> = rows.iter().filter(|row| can(row, reenrollment)).collect();
    let changed: Vec<AgentId> = able.iter().map(|row| row.id).collect();
    queries::set_reenrollment(db, &changed, reenrollment as i16, now).await?;
    if reenrollment == Reenrollment::Required {
        // They register anew, and are asked then.
        queries::delete_sessions(db, &changed).await?;
    }
    let line = |row: &&RenewableRow| {
        let message = format!(
            "Renewal of the certificate of agent {} on {} was set to {}",
            row.id,
            row.client_machine,
            reenrollment.name()
        );
        Line::new(caller, Operation::Updated, "Agent", row.id, message)
    };
    audit::record(db, &able.iter().map(line).collect::<Vec<_>>(), now).await?;
    let failed = ids.into_iter().filter(|id| !changed.contains(id)).collect();
    Ok((ReenrollmentAnswer { failed_orchestrator_ids: failed, status: reenrollment as i32 }, changed))
}

/// Only an approved agent with a certificate has something to renew; the wish can be taken back from any.
fn can(row: &RenewableRow, reenrollment: Reenrollment) -> bool {
    reenrollment == Reenrollment::None || (row.has_identity && row.status == Status::Approved.number())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read_and_nothing_else() {
        for (text, expected) in [
            ("none", Reenrollment::None),
            (" Requested ", Reenrollment::Requested),
            ("2", Reenrollment::Required),
        ] {
            assert_eq!(Reenrollment::parse(text).unwrap(), expected);
            assert_eq!(Reenrollment::from_number(expected as i16), expected);
        }
        for text in ["", "3", "-1", "Soon"] {
            assert!(Reenrollment::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_an_approved_agent_with_a_certificate_is_asked() {
        let row = |status: Status, has_identity| RenewableRow {
            id: AgentId::generate(),
            client_machine: String::new(),
            status: status.number(),
            has_identity,
        };
        assert!(can(&row(Status::Approved, true), Reenrollment::Required));
        assert!(!can(&row(Status::Approved, false), Reenrollment::Requested));
        assert!(!can(&row(Status::Disapproved, true), Reenrollment::Requested));
        assert!(can(&row(Status::New, false), Reenrollment::None));
    }
}
