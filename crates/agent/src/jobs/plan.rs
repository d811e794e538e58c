//! A dry run: what a management job would do, with nothing changed.

use sealift_pki::Certificate;
use sealift_protocol::agent::verification::{
    Evidence, MAX_PLAN_ITEMS, Plan, PlannedCertificate, Verification,
};
use sealift_stores::{Error, Planned};

use super::management::{Change, Prepared};
use super::preflight;
use crate::Agent;
use crate::allow_list::AllowedStore;
use crate::execution::{Attempt, Done, blocking};
use crate::failure::Failure;
use crate::jobs::settlement;

/// Says what the job would do. What would stop it is a note of the plan and no failure.
pub(crate) async fn run(
    agent: &Agent,
    attempt: Attempt,
    allowed: AllowedStore,
    change: Change,
    verification: Option<Verification>,
) -> Result<Done, Failure> {
    attempt.may_begin()?;
    let announced = !matches!(change, Change::Create);
    let prepared = match Prepared::parse(change) {
        Ok(prepared) => prepared,
        Err(failure) => return Ok(done(Plan { notes: vec![failure.message], ..Plan::default() })),
    };
    let mut plan = Plan { targets: prepared.targets(verification.as_ref()), ..Plan::default() };
    match prepared.preflight(verification.is_some()) {
        Ok(warnings) => plan.notes.extend(warnings),
        Err(failure) => plan.notes.push(failure.message),
    }
    if let Err(failure) = settlement::check_reach(agent, verification.as_ref(), &plan.targets).await {
        plan.notes.push(failure.message);
    }
    let command = allowed.after_change.clone().filter(|_| announced);
    let plan = blocking(move || {
        let path = allowed.settings.path.display().to_string();
        let driver = sealift_stores::open(allowed.store_type, allowed.settings)?;
        let planned = match prepared.ask(driver.as_ref()) {
            Err(Error::StoreMissing { .. }) if prepared.makes_store() => {
                plan.notes.push(format!("the store {path} would be made"));
                Planned { changes: true, files: vec![path.into()], ..Planned::default() }
            }
            Err(error) => {
                plan.notes.push(Failure::from(error).message);
                return Ok::<_, Failure>(plan);
            }
            Ok(planned) => planned,
        };
        let after = prepared.certificates().first();
        let (gained, lost) = preflight::names(planned.before.as_ref(), after);
        (plan.names_gained, plan.names_lost) = (gained, lost);
        plan.before = planned.before.as_ref().and_then(|entry| entry.certificates.first()).map(certificate);
        plan.after = after.map(certificate);
        plan.changes = planned.changes;
        plan.files = planned.files.iter().map(|file| file.display().to_string()).collect();
        plan.after_change = command.filter(|_| planned.changes).map(|command| command.to_string());
        Ok(plan)
    })
    .await??;
    Ok(done(plan))
}

fn certificate(certificate: &Certificate) -> PlannedCertificate {
    PlannedCertificate {
        thumbprint: certificate.thumbprint().to_string(),
        subject: certificate.subject().to_string(),
        not_after: certificate.not_after().to_rfc3339(),
        names: certificate.dns_names().into_iter().take(MAX_PLAN_ITEMS).map(str::to_owned).collect(),
    }
}

fn done(mut plan: Plan) -> Done {
    for list in [&mut plan.files, &mut plan.names_gained, &mut plan.names_lost, &mut plan.notes] {
        list.truncate(MAX_PLAN_ITEMS);
    }
    let message = match (plan.changes, plan.notes.len()) {
        (true, 0) => "the job would change the store; nothing was changed".to_owned(),
        (false, 0) => "the job would change nothing".to_owned(),
        (_, notes) => format!("{notes} notes on what the job would do; nothing was changed"),
    };
    let evidence = Evidence { plan: Some(plan), ..Evidence::default() };
    Done { message, evidence: Some(evidence), ..Done::default() }
}
