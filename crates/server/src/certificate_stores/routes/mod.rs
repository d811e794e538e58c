//! Routes of this slice, by noun.

mod containers;
mod entries;
mod servers;
mod stores;
mod types;

use sqlx::Connection as _;

pub(crate) use entries::submit_add;

use super::add::{AddCall, add_all};
use super::import;
use crate::database::batch::Batcher;
use crate::floor::Floor;
use crate::http::Failure;
use crate::http::route::Endpoint;
use crate::orchestrator_jobs::{Dispatch, NewJob};

/// Additions of one store or a few share transactions.
pub(crate) type Adds = Batcher<AddCall, Result<Vec<NewJob>, Failure>>;

/// The endpoints of this slice.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = entries::endpoints();
    endpoints.extend(stores::endpoints());
    endpoints.extend(stores::changes());
    endpoints.extend(servers::endpoints());
    endpoints.extend(containers::endpoints());
    endpoints.extend(containers::applications());
    endpoints.extend(types::endpoints());
    endpoints.push(import::endpoint());
    endpoints
}

/// Starts the grouping of additions.
pub(crate) fn start_adds(floor: Floor) -> Adds {
    Batcher::start(move |calls: Vec<AddCall>| {
        let floor = floor.clone();
        async move { add_group(&floor, calls).await }
    })
}

async fn add_group(floor: &Floor, calls: Vec<AddCall>) -> Vec<Result<Vec<NewJob>, Failure>> {
    match try_add(floor, &calls).await {
        Ok(answers) => answers,
        Err(failure) if calls.len() == 1 => vec![Err(failure)],
        // One call may have spoiled the others' transaction: each by itself.
        Err(_) => {
            let mut answers = Vec::with_capacity(calls.len());
            for call in &calls {
                let alone = try_add(floor, std::slice::from_ref(call)).await;
                answers.push(
                    alone.and_then(|mut one| one.pop().unwrap_or_else(|| Err(Failure::fault("no answer")))),
                );
            }
            answers
        }
    }
}

async fn try_add(floor: &Floor, calls: &[AddCall]) -> Result<Vec<Result<Vec<NewJob>, Failure>>, Failure> {
    let mut db = floor.database.main.acquire().await?;
    let mut transaction = db.begin().await?;
    let answers = add_all(&mut transaction, floor, calls, floor.now()).await?;
    transaction.commit().await?;
    Ok(answers)
}

fn ring(dispatch: &Dispatch, floor: &Floor, jobs: &[NewJob]) {
    let now = floor.now();
    for job in jobs {
        dispatch.ring(job.agent_id, job.run_at, now);
    }
}
