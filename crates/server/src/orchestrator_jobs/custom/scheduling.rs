//! Custom jobs are put into the queue, once or again and again, for one agent or for many.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sealift_protocol::operator::custom_jobs::{
    CustomJob, CustomJobs, OrchestratorJobPair, ScheduleCustomJob, ScheduleCustomJobs,
};
use sealift_protocol::operator::schedule::Schedule;
use sealift_protocol::{AgentId, JobId, StoreId};
use serde_json::Value;
use sqlx::PgConnection;

use super::fields::Values;
use super::{Details, JobTypeRow, capability};
use crate::agents::{self, AgentFacts, Status};
use crate::floor::Floor;
use crate::http::Failure;
use crate::http::problem::shortened;
use crate::orchestrator_jobs::error::Error;
use crate::orchestrator_jobs::job::{Cause, NewJob, Operation};
use crate::orchestrator_jobs::queries::{self, NewRecurring};
use crate::orchestrator_jobs::recurrence::{Plan, plan, to_short};
use crate::sealing::Place;
use crate::security::audit::{self, Line};
use crate::security::{Principal, permission};

/// What a call asks for, checked.
struct Order {
    job_type: JobTypeRow,
    values: Values,
    schedule: Schedule,
    plan: Plan,
}

/// Schedules a custom job for one agent. Tells whom to ring after the commit, and when.
pub(in crate::orchestrator_jobs) async fn schedule(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    request: ScheduleCustomJob,
    now: DateTime<Utc>,
) -> Result<(CustomJob, Vec<NewJob>), Failure> {
    caller.require(permission::AGENTS_MODIFY)?;
    let agent = request.agent_id.ok_or_else(|| Error::Invalid("AgentId is required".to_owned()))?;
    let id: AgentId = agent
        .trim()
        .parse()
        .map_err(|_| Error::Invalid(format!("AgentId: '{}' is no GUID", shortened(&agent))))?;
    let order = order(db, request.job_type_name, request.schedule, &request.job_fields, now).await?;
    let facts = agents::facts(db, &[id]).await?;
    let agent = facts.first().ok_or_else(|| agents::Error::NotFound(vec![id]))?;
    able(agent, &order.job_type.name)?;
    let jobs = save(db, floor, caller, &order, &facts, now).await?;
    let job_id = jobs.first().map(|job| job.id).ok_or_else(|| Failure::fault("a job was not made"))?;
    let answer = CustomJob {
        job_id,
        orchestrator_id: id,
        job_type_name: order.job_type.name.clone(),
        schedule: order.schedule.clone(),
        job_fields: order.values.shown(),
        request_timestamp: now.into(),
    };
    Ok((answer, due(jobs, &order)))
}

/// Schedules a custom job for many agents; those that cannot run it are answered as failed.
pub(in crate::orchestrator_jobs) async fn schedule_bulk(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    request: ScheduleCustomJobs,
    now: DateTime<Utc>,
) -> Result<(CustomJobs, Vec<NewJob>), Failure> {
    caller.require(permission::AGENTS_MODIFY)?;
    let ids = agents::ids(&request.orchestrator_ids)?;
    let order = order(db, request.job_type_name, request.schedule, &request.job_fields, now).await?;
    let mut facts = agents::facts(db, &ids).await?;
    facts.retain(|agent| able(agent, &order.job_type.name).is_ok());
    facts.sort_by_key(|agent| agent.id);
    let jobs = save(db, floor, caller, &order, &facts, now).await?;
    let answer = CustomJobs {
        orchestrator_job_pairs: jobs
            .iter()
            .map(|job| OrchestratorJobPair { job_id: job.id, orchestrator_id: job.agent_id })
            .collect(),
        failed_orchestrator_ids: ids
            .into_iter()
            .filter(|id| !facts.iter().any(|agent| agent.id == *id))
            .collect(),
        job_type_name: order.job_type.name.clone(),
        schedule: order.schedule.clone(),
        job_fields: order.values.shown(),
        request_timestamp: now.into(),
    };
    Ok((answer, due(jobs, &order)))
}

/// Jobs that come again are put into the queue when they are due; nobody is rung for them now.
fn due(jobs: Vec<NewJob>, order: &Order) -> Vec<NewJob> {
    if matches!(order.plan, Plan::Once(_)) { jobs } else { Vec::new() }
}

async fn order(
    db: &mut PgConnection,
    type_name: Option<String>,
    schedule: Option<Schedule>,
    fields: &BTreeMap<String, Value>,
    now: DateTime<Utc>,
) -> Result<Order, Failure> {
    let type_name = type_name.ok_or_else(|| Error::Invalid("JobTypeName is required".to_owned()))?;
    let job_type = queries::custom_type_named(db, type_name.trim()).await?;
    let job_type = job_type.ok_or_else(|| Error::NotFound("custom job type", vec![shortened(&type_name)]))?;
    let values = Values::parse(&job_type.fields, fields)?;
    let plan = plan(schedule.as_ref(), now)?;
    let given = schedule.filter(|schedule| *schedule != Schedule::default());
    Ok(Order { job_type, values, schedule: given.unwrap_or_else(Schedule::immediate), plan })
}

/// Whether an agent may get a job of this type.
fn able(agent: &AgentFacts, type_name: &str) -> Result<(), Error> {
    if agent.status != Status::Approved {
        let message = format!("agent {} on {} is not approved", agent.id, agent.client_machine);
        return Err(Error::NotCapable(message));
    }
    let wanted = capability(type_name);
    if agent.capabilities.iter().any(|known| known.eq_ignore_ascii_case(&wanted)) {
        return Ok(());
    }
    let message =
        format!("agent {} on {} does not report the capability {wanted}", agent.id, agent.client_machine);
    Err(Error::NotCapable(message))
}

async fn save(
    db: &mut PgConnection,
    floor: &Floor,
    caller: &Principal,
    order: &Order,
    agents: &[AgentFacts],
    now: DateTime<Utc>,
) -> Result<Vec<NewJob>, Failure> {
    let cause = Cause::call(caller.name());
    let jobs: Vec<NewJob> =
        agents.iter().map(|agent| job(floor, order, agent, now)).collect::<Result<_, Error>>()?;
    match order.plan {
        Plan::Once(_) => {
            let rows: Vec<(Cause, NewJob)> = jobs.iter().map(|job| (cause.clone(), job.clone())).collect();
            let max_attempts = floor.configuration.jobs.max_attempts;
            crate::orchestrator_jobs::schedule(db, &rows, max_attempts, now).await?;
        }
        Plan::Recurring(next_at) => {
            let rhythm = NewRecurring {
                job_type: order.job_type.id,
                schedule: serde_json::to_value(&order.schedule).map_err(Failure::fault)?,
                recurrence: to_short(&order.schedule).unwrap_or_default(),
                next_at,
            };
            queries::insert_recurring(db, &cause, &jobs, &rhythm, now).await?;
        }
    }
    let line = |job: &NewJob| {
        let message = format!(
            "Custom job {} of type '{}' was scheduled for agent {}",
            job.id, order.job_type.name, job.agent_machine
        );
        Line::new(caller, audit::Operation::Scheduled, "OrchestratorJob", job.id, message)
    };
    audit::record(db, &jobs.iter().map(line).collect::<Vec<_>>(), now).await?;
    Ok(jobs)
}

fn job(floor: &Floor, order: &Order, agent: &AgentFacts, now: DateTime<Utc>) -> Result<NewJob, Error> {
    let id = JobId::generate();
    let (run_at, scheduled) = match order.plan {
        Plan::Once(when) => (when.run_at(now), when.run_at(now) > now),
        Plan::Recurring(next_at) => (next_at, true),
    };
    let details = Details { job_type_id: order.job_type.id, fields: order.values.open.clone() };
    Ok(NewJob {
        id,
        agent_id: agent.id,
        store_id: StoreId::from(id.uuid()),
        operation: Operation::Custom,
        run_at,
        scheduled,
        certificate_id: None,
        details: serde_json::to_value(&details).unwrap_or_default(),
        sealed_secret: sealed(floor, id, &order.values)?,
        agent_machine: agent.client_machine.clone(),
        client_machine: agent.client_machine.clone(),
        store_path: String::new(),
        store_type: order.job_type.name.clone(),
    })
}

/// The secret values as one JSON object, sealed to the row of the job.
fn sealed(floor: &Floor, id: JobId, values: &Values) -> Result<Option<Vec<u8>>, Error> {
    if values.secret.is_empty() {
        return Ok(None);
    }
    let place = Place { table: "jobs", row: &id, column: "sealed_secret" };
    let text = zeroize::Zeroizing::new(serde_json::to_vec(&values.secret).unwrap_or_default());
    Ok(Some(floor.sealing.seal(place, &text)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_approved_agent_with_the_capability_gets_a_custom_job() {
        let agent = |status, capabilities: &[&str]| AgentFacts {
            id: AgentId::generate(),
            client_machine: "web1".to_owned(),
            status,
            capabilities: capabilities.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert!(able(&agent(Status::Approved, &["custom.restart"]), "Restart").is_ok());
        for (status, capabilities) in [
            (Status::New, &["Custom.Restart"][..]),
            (Status::Disapproved, &["Custom.Restart"]),
            (Status::Approved, &["CertStores.PEM.Inventory", "Custom.RestartAll", "Restart"]),
        ] {
            assert!(able(&agent(status, capabilities), "Restart").is_err(), "{status:?} {capabilities:?}");
        }
    }
}
