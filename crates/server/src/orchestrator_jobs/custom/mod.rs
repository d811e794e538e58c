//! Custom jobs: operators describe their kinds and parameters, agents that are not ours bring the programs. An agent
//! that can run one says so by the capability `Custom.` and the name of its type; no other gets it. Nothing that the
//! server sends is a program.

mod fields;
mod job_type;
mod recurring;
mod scheduling;

pub(super) use job_type::{FIELDS, create, delete, get, list, update};
pub(super) use recurring::start_due;
pub(super) use scheduling::{schedule, schedule_bulk};

use std::collections::BTreeMap;

use sealift_protocol::operator::custom_jobs::JobTypeField;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A kind of custom job.
#[derive(Debug, Clone)]
pub(super) struct JobTypeRow {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) fields: Vec<JobTypeField>,
}

/// What the row of a custom job says. Never a secret.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Details {
    pub(super) job_type_id: Uuid,
    pub(super) fields: BTreeMap<String, String>,
}

/// The capability of agents that can run jobs of a type.
pub(super) fn capability(type_name: &str) -> String {
    format!("Custom.{type_name}")
}
