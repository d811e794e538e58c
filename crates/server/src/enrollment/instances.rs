//! Workflow instances: each enrollment as a run of the one workflow there is (operator contract, 9.10). An instance is
//! its request under another name; a signal or a stop decides the request.

use chrono::{DateTime, Utc};
use sealift_protocol::operator::enrollment as wire;
use sqlx::{FromRow, PgConnection, QueryBuilder};
use uuid::Uuid;

use super::error::Error;
use super::filing::{DENIED, PENDING};
use super::{decision, queries};
use crate::authority::Authority;
use crate::floor::Floor;
use crate::http::Failure;
use crate::http::filter_sql::{Asker, Field, Kind};
use crate::http::list::ListQuery;
use crate::http::listing::{Column, Listing, Narrow, Order};
use crate::orchestrator_jobs::NewJob;
use crate::security::{Principal, audit, permission};

/// Id of the one workflow.
const DEFINITION: Uuid = Uuid::from_u128(0x5ea1_1f70_0000_4000_8000_0000_0000_0001);
/// Id of its one step at which a request may wait.
const APPROVAL: Uuid = Uuid::from_u128(0x5ea1_1f70_0000_4000_8000_0000_0000_0002);
const APPROVAL_NAME: &str = "RequireApproval";

/// What filters and sort orders of instances may name.
pub(super) const FIELDS: &[Field] = &[
    Field { name: "Id", sql: "r.instance_id", kind: Kind::Guid },
    Field { name: "ReferenceId", sql: "r.id", kind: Kind::Number },
    Field { name: "StartDate", sql: "r.submitted_at", kind: Kind::Time },
    Field { name: "LastModified", sql: "COALESCE(r.decided_at, r.submitted_at)", kind: Kind::Time },
    Field { name: "Status", sql: STATUS, kind: Kind::Number },
    Field { name: "Initiator", sql: "r.requester", kind: Kind::Text },
];
/// As [`status`] says it.
const STATUS: &str = "(CASE r.state WHEN 5 THEN 2 WHEN 3 THEN 5 ELSE 4 END)";
const COLUMNS: &str =
    "r.id, r.instance_id, r.state, r.requester, r.subject, r.submitted_at, r.decided_at, r.comment";
const FROM: &str = " FROM enrollment_requests r WHERE true";

#[derive(FromRow)]
struct Row {
    id: i64,
    instance_id: Uuid,
    state: i16,
    requester: String,
    subject: String,
    submitted_at: DateTime<Utc>,
    decided_at: Option<DateTime<Utc>>,
    comment: Option<String>,
}

/// Whose instances are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// Everyone's.
    All,
    /// Those that the caller began.
    Mine,
    /// Those that wait for someone who may decide.
    Assigned,
}

/// One page of instances, the newest first.
pub(super) async fn list(
    db: &mut PgConnection,
    caller: &Principal,
    whose: Whose,
    list: &ListQuery,
    now: DateTime<Utc>,
) -> Result<(Vec<wire::WorkflowInstance>, i64), Error> {
    caller.require(match whose {
        Whose::All => permission::INSTANCES_READ_ALL,
        Whose::Mine => permission::INSTANCES_READ_MY,
        Whose::Assigned => permission::INSTANCES_READ_ASSIGNED,
    })?;
    let asker = Asker { name: caller.name(), now };
    let narrow = match whose {
        Whose::All => Vec::new(),
        Whose::Mine => vec![Narrow::Is("r.requester", caller.name().to_owned())],
        Whose::Assigned if caller.permits(permission::WORKFLOW_PARTICIPATE) => {
            vec![Narrow::Holds("r.state = 5")]
        }
        Whose::Assigned => vec![Narrow::Holds("false")],
    };
    let key = Column { sql: "r.id", kind: Kind::Number };
    let listing = Listing {
        name: "instances",
        columns: COLUMNS,
        from: FROM,
        fields: FIELDS,
        order: Order { by: key, descending: true },
        key,
        narrow,
    };
    let (rows, total): (Vec<Row>, i64) = listing.page(db, list, &asker).await?;
    Ok((rows.into_iter().map(answered).collect(), total))
}

/// Answers one instance, to those who may read all and to the one who began it.
pub(super) async fn get(
    db: &mut PgConnection,
    caller: &Principal,
    id: Uuid,
) -> Result<wire::WorkflowInstance, Error> {
    let mut sql =
        QueryBuilder::new(format!("-- name: instance\nSELECT {COLUMNS}{FROM} AND r.instance_id = "));
    let row: Option<Row> = sql.push_bind(id).build_query_as().fetch_optional(&mut *db).await?;
    let mine = row.as_ref().is_some_and(|row| row.requester == caller.name());
    if !(mine && caller.permits(permission::INSTANCES_READ_MY)) {
        caller.require(permission::INSTANCES_READ_ALL)?;
    }
    row.map(answered).ok_or_else(|| unknown(id))
}

/// Ends an instance that waits: its request is denied.
pub(super) async fn stop(
    db: &mut PgConnection,
    authority: &Authority,
    caller: &Principal,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    caller.require(permission::INSTANCES_MANAGE)?;
    let request = request(db, id).await?;
    let denial = wire::DenyRequests {
        comment: Some("The workflow was stopped.".to_owned()),
        certificate_request_ids: vec![request],
    };
    decided(decision::deny(db, authority, caller, &denial, now).await?)
}

/// Refuses to begin an instance anew: enrollments wait, or are issued or denied, and never fail half-way.
pub(super) async fn restart(db: &mut PgConnection, caller: &Principal, id: Uuid) -> Result<(), Failure> {
    caller.require(permission::INSTANCES_MANAGE)?;
    request(db, id).await?;
    let message =
        format!("workflow instance {id} cannot be restarted: it did not fail; enroll again instead");
    Err(Error::State(message).into())
}

/// Decides the request of an instance.
pub(super) async fn signal(
    db: &mut PgConnection,
    floor: &Floor,
    authority: &Authority,
    caller: &Principal,
    (id, signal): (Uuid, &wire::WorkflowSignal),
    now: DateTime<Utc>,
) -> Result<Vec<NewJob>, Failure> {
    caller.require(permission::WORKFLOW_PARTICIPATE)?;
    let key = signal.signal_key.as_deref().map(str::trim).unwrap_or_default();
    let key = key.rsplit('.').next().unwrap_or_default();
    if !key.eq_ignore_ascii_case("ApprovalStatus") {
        return Err(Error::invalid("SignalKey", "expected ApprovalStatus").into());
    }
    let said = signal.data.clone().unwrap_or_default();
    let approved = said.approved.ok_or_else(|| Error::invalid("Data.Approved", "expected true or false"))?;
    let request = request(db, id).await?;
    if approved {
        let (decisions, jobs) = decision::approve(db, floor, authority, caller, &[request], now).await?;
        decided(decisions)?;
        return Ok(jobs);
    }
    let denial = wire::DenyRequests { comment: said.comment, certificate_request_ids: vec![request] };
    decided(decision::deny(db, authority, caller, &denial, now).await?)?;
    Ok(Vec::new())
}

/// Deletes an instance whose request was denied. Others are the record of what is to be issued, or was.
pub(super) async fn delete(
    db: &mut PgConnection,
    caller: &Principal,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    caller.require(permission::INSTANCES_MANAGE)?;
    let request = request(db, id).await?;
    if !queries::delete_denied(db, request).await? {
        let message = format!(
            "workflow instance {id} cannot be deleted: its request {request} was issued or still waits; deny one that \
             waits first"
        );
        return Err(Error::State(message).into());
    }
    let message = format!("workflow instance {id} of request {request} was deleted");
    let line = audit::Line::new(caller, audit::Operation::Deleted, "WorkflowInstance", id, message);
    Ok(audit::record(db, &[line], now).await?)
}

/// A decision about one request is a refusal when it failed.
fn decided(decisions: wire::RequestDecisions) -> Result<(), Failure> {
    match decisions.failures.into_iter().next() {
        None => Ok(()),
        Some(failed) => {
            let message = format!("enrollment request {}: {}", failed.keyfactor_request_id, failed.comment);
            Err(Error::State(message).into())
        }
    }
}

async fn request(db: &mut PgConnection, id: Uuid) -> Result<i64, Error> {
    queries::request_of_instance(db, id).await?.ok_or_else(|| unknown(id))
}

fn unknown(id: Uuid) -> Error {
    Error::NotFound(format!("workflow instance {id}"))
}

/// The numbers of the contract's states are not confirmed by any source: 2 suspended, 4 complete, 5 rejected.
const fn status(state: i16) -> (i32, &'static str) {
    match state {
        PENDING => (2, "Waits for approval."),
        DENIED => (5, "The request was denied."),
        _ => (4, "The certificate was issued."),
    }
}

fn answered(row: Row) -> wire::WorkflowInstance {
    let (status, message) = status(row.state);
    let waits = row.state == PENDING;
    wire::WorkflowInstance {
        id: row.instance_id,
        status,
        current_step_id: waits.then_some(APPROVAL),
        status_message: match row.comment.filter(|_| row.state == DENIED) {
            Some(comment) => format!("{message} {comment}"),
            None => message.to_owned(),
        },
        definition: wire::WorkflowDefinition {
            id: DEFINITION,
            display_name: "Enrollment".to_owned(),
            version: 1,
            workflow_type: "Enrollment".to_owned(),
        },
        current_step_display_name: waits.then(|| "Require approval".to_owned()),
        current_step_unique_name: waits.then(|| APPROVAL_NAME.to_owned()),
        title: format!("{} is enrolling a certificate with {}.", row.requester, row.subject),
        last_modified: row.decided_at.unwrap_or(row.submitted_at).into(),
        start_date: row.submitted_at.into(),
        reference_id: row.id,
    }
}
