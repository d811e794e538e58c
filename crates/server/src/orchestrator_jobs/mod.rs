//! The queue: living jobs, leases, and job history. Of jobs on stores it knows no meaning; those that work on none are
//! its own.
//!
//! | state | is left by | for |
//! |---|---|---|
//! | 1 waiting | a lease, once `run_at` is reached and no other attempt is unfinished on its store | 2 |
//! | 2 in process | a report of success, warning or final failure; the end of the lease of the last attempt | history, *completed* |
//! | 2 in process | a report of a failure that may pass | 5, and a history row *completed, will retry* |
//! | 2 in process | an interruption: the end of the lease, its agent stopping or beginning anew without knowing of it | 1, and a history row *completed, will retry* |
//! | 5 will retry | `retry_at` | 1, at its old place in the queue |
//! | 1 or 5 | an operator unscheduling it, or resetting its agent | nothing; a last attempt in history becomes *completed* |
//!
//! Jobs of one store run one at a time and in order, so that an older certificate never lands after a newer
//! one. A job that works on no store (a log, a custom job) has its own id in place of the store's, and waits for nobody.
//! What comes again and again stays outside the queue (`custom/recurring.rs`); a run of it is put in when it is due.
//! Every change of state is one statement that names the state and the lease token it expects.

mod acknowledge;
mod agent_jobs;
mod custom;
mod dispatch;
mod error;
mod evidence;
mod history;
mod job;
mod leases;
pub(crate) mod published;
mod queries;
mod recurrence;
mod reschedule;
mod results;
mod retry;
mod routes;
mod scheduled;
mod selection;
pub mod sweep;
mod unschedule;
mod waiting;

pub(crate) use agent_jobs::log_retrieval;
pub(crate) use dispatch::{Dispatch, Look};
pub(crate) use error::Error;
pub(crate) use evidence::{asked, is_name, judge, offered, same_target};
pub(crate) use job::{Cause, JobType, NewJob, Operation, inventory_after};
pub(crate) use leases::{
    Finished, Leased, LiveLease, LiveReenrollment, Report, Steps, abandon, already_recorded, finish, lease,
    live_discovery, live_inventory_lease, live_reenrollment, lost_the_race, mark_enrolled, mark_inventoried,
    next_due, record_steps, renew, schedule, unfinished, withdraw,
};
pub(crate) use recurrence::{When, next_after, when};
pub(crate) use results::{AttemptData, Keep, seal, seal_log, store_data};
pub(crate) use routes::endpoints;
