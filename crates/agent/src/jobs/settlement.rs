//! What settles a change that is written: the command, the proof by what is served, and putting the old state back where
//! the store asks for that. The same code settles, at the start of the agent, what a crash left open.
//!
//! A change that was written is settled whatever becomes of its lease: half of it must not stay. Only a stopping agent
//! leaves the proof to its next start.

use sealift_protocol::StoreId;
use sealift_protocol::agent::verification::{
    Evidence, OnMismatch, Restored, Target, TargetResult, Verification, Verified,
};

use crate::allow_list::allow;
use crate::execution::{self, Attempt, Done, blocking};
use crate::failure::{ErrorCode, Failure};
use crate::steps::code;
use crate::store_rule::AfterChange;
use crate::transaction::{Phase, Record};
use crate::verification::reach::Reach;
use crate::verification::{self, Expected};
use crate::{Agent, after_change};

/// Refuses a change that could never be proved, where the store asks for more than a warning.
pub(super) async fn check_reach(
    agent: &Agent,
    verification: Option<&Verification>,
    targets: &[Target],
) -> Result<(), Failure> {
    if verification.is_none_or(|verification| verification.on_mismatch == OnMismatch::Warn) {
        return Ok(());
    }
    let reach = Reach::new(&agent.configuration.verification_hosts);
    for target in targets {
        if let Err(refusal) = reach.addresses(target).await
            && refusal.lasting
        {
            let what = format!("{}:{} is {}", plain(&target.host), target.port, refusal.reason);
            return Err(Failure::new(ErrorCode::TargetNotAllowed, what));
        }
    }
    Ok(())
}

/// Runs the command that is owed, proves the change, and forgets it or undoes it.
pub(super) async fn settle(
    agent: &Agent,
    attempt: Option<&Attempt>,
    record: Record,
    owed: Option<AfterChange>,
    changed: bool,
) -> Result<Done, Failure> {
    let store = record.store.store_id;
    let mut done = Done { message: record.message.clone(), ..Done::default() };
    let mut evidence = Evidence {
        installed: true,
        before: record.before.as_ref().map(|before| before.leaf.clone()),
        after: record.after.as_ref().map(|after| after.leaf.clone()),
        ..Evidence::default()
    };
    let policy = record.verification.as_ref().map(|verification| verification.on_mismatch);
    let restores = changed && policy == Some(OnMismatch::Restore);
    if let Some(command) = &owed {
        if let Err(reason) = after_change::run(command).await {
            if restores {
                return Err(restore(agent, attempt, record, owed.as_ref(), &reason, evidence).await);
            }
            let what =
                format!("{}; the change of {} IS in place, but {reason}", done.message, record.store.path);
            let (journal, path) = (agent.journal.clone(), record.store.path.clone());
            blocking(move || journal.begin(store, path.as_ref())).await??;
            close(agent, store).await?;
            return Err(Failure::new(ErrorCode::AfterChangeFailed, what).with(evidence));
        }
        let journal = agent.journal.clone();
        blocking(move || journal.finish(store)).await?;
        note(attempt, code::AFTER_CHANGE, &format!("'{command}' succeeded"));
        done.message = format!("{}; '{command}' succeeded", done.message);
    }
    if let (Some(verification), Some(expected)) = (&record.verification, &record.after)
        && !record.targets.is_empty()
    {
        evidence.targets = look(agent, &record.targets, expected, verification).await?;
        let failed = unproved(&evidence.targets);
        let code = if failed.is_none() { code::VERIFIED } else { code::NOT_VERIFIED };
        let summary = failed.clone().unwrap_or_else(|| format!("{} targets show it", evidence.targets.len()));
        note(attempt, code, &summary);
        evidence.verified = if failed.is_none() { Verified::Verified } else { Verified::NotVerified };
        match (failed, verification.on_mismatch) {
            (None, _) => done.message = format!("{}; {summary}", done.message),
            (Some(reason), OnMismatch::Restore) if restores => {
                return Err(restore(agent, attempt, record, owed.as_ref(), &reason, evidence).await);
            }
            (Some(reason), OnMismatch::Warn) => {
                done.code = Some(ErrorCode::VerificationFailed);
                done.warnings.push(format!("installed, but not served: {reason}"));
            }
            (Some(reason), OnMismatch::Fail | OnMismatch::Restore) => {
                close(agent, store).await?;
                let what = format!("{}; the change IS in place, but {reason}", done.message);
                return Err(Failure::new(ErrorCode::VerificationFailed, what).with(evidence));
            }
        }
    }
    close(agent, store).await?;
    done.evidence = Some(evidence);
    Ok(done)
}

/// Puts the snapshot back, runs the command again, and looks whether the old certificate is served.
async fn restore(
    agent: &Agent,
    attempt: Option<&Attempt>,
    mut record: Record,
    command: Option<&AfterChange>,
    reason: &str,
    mut evidence: Evidence,
) -> Failure {
    let store = record.store.store_id;
    if record.phase != Phase::Restoring {
        record.phase = Phase::Restoring;
        record.message = reason.to_owned();
    }
    let (transactions, kept) = (agent.transactions.clone(), record.clone());
    let put_back = blocking(move || {
        transactions.save(&kept)?;
        let snapshot = transactions.snapshot(store).ok_or_else(|| {
            Failure::new(ErrorCode::RestoreFailed, "the snapshot of the old files cannot be read")
        })?;
        Ok::<_, Failure>(snapshot.put_back()?)
    })
    .await
    .and_then(|done| done);
    let mut restored = Restored::default();
    match put_back {
        Ok(count) => {
            restored.complete = true;
            restored.message = format!("{count} files were put back");
            note(attempt, code::RESTORED, &restored.message);
        }
        Err(failure) => {
            restored.message = failure.message;
            let what = format!("{reason}; the old files could not be put back: {}", restored.message);
            evidence.restored = Some(restored);
            return Failure::new(ErrorCode::RestoreFailed, what).with(evidence);
        }
    }
    evidence.installed = false;
    evidence.after.clone_from(&evidence.before);
    if let Some(command) = command {
        let ran = after_change::run(command).await;
        restored.command_succeeded = Some(ran.is_ok());
        match ran {
            Ok(()) => restored.message.push_str("; the command succeeded"),
            Err(error) => restored.message = format!("{}; {error}", restored.message),
        }
    }
    if let (Some(verification), Some(old)) = (&record.verification, &record.before)
        && let Ok(results) = look(agent, &record.targets, old, verification).await
    {
        let said = unproved(&results).unwrap_or_else(|| "the old certificate is served".to_owned());
        restored.message = format!("{}; {said}", restored.message);
        restored.targets = results;
    }
    let what = format!("{reason}; the change was undone: {}", restored.message);
    evidence.restored = Some(restored);
    let failure = Failure::new(ErrorCode::Restored, what).with(evidence);
    let _ = close(agent, store).await;
    failure
}

/// Settles, before any new job, what a crash or a stop left open, and keeps what came of it to be reported. The lease may
/// be another attempt's by then: so the server takes the report, or answers that it came too late.
pub(crate) async fn recover_all(agent: &Agent) {
    let transactions = agent.transactions.clone();
    for record in blocking(move || transactions.all()).await.unwrap_or_default() {
        let (lease, store) = (record.lease, record.store.store_id);
        let Some(result) = recover(agent, record).await else { continue };
        let completion = match result {
            Ok(done) => execution::succeeded(lease, &done, Vec::new()),
            Err(failure) if failure.code == ErrorCode::AgentStopping => return,
            Err(failure) => execution::failed(lease, &failure, Vec::new()),
        };
        tracing::warn!(job.id = %lease.job_id, store.id = %store, "a change was left open and is settled: {}", completion.message);
        let outbox = std::sync::Arc::clone(&agent.outbox);
        let _ = blocking(move || outbox.put(completion)).await;
    }
}

/// Nothing is built on a store that is neither old nor new.
pub(super) async fn recover_before(agent: &Agent, store: StoreId) -> Result<(), Failure> {
    let transactions = agent.transactions.clone();
    let Some(record) = blocking(move || transactions.of(store)).await? else { return Ok(()) };
    match recover(agent, record).await {
        Some(Err(failure)) if failure.code == ErrorCode::RestoreFailed => Err(failure),
        _ => Ok(()),
    }
}

/// Settles one change that was left open; nothing where it is undone and its job simply comes again.
async fn recover(agent: &Agent, record: Record) -> Option<Result<Done, Failure>> {
    let store = record.store.store_id;
    let (rules, description) = (agent.configuration.stores.clone(), record.store.clone());
    let allowed = match blocking(move || allow(&rules, &description)).await.and_then(|allowed| allowed) {
        Ok(allowed) => allowed,
        Err(failure) => return Some(Err(Failure { code: ErrorCode::RestoreFailed, ..failure })),
    };
    let command = allowed.after_change;
    match record.phase {
        Phase::Written => Some(settle(agent, None, record, command, true).await),
        Phase::Restoring => {
            let reason = record.message.clone();
            let before = record.before.as_ref().map(|before| before.leaf.clone());
            let evidence = Evidence { before, ..Evidence::default() };
            Some(Err(restore(agent, None, record, command.as_ref(), &reason, evidence).await))
        }
        Phase::Writing => {
            let transactions = agent.transactions.clone();
            let put_back = blocking(move || {
                let snapshot =
                    transactions.snapshot(store).ok_or("the snapshot cannot be read".to_owned())?;
                let count = snapshot.put_back().map_err(|error| error.to_string())?;
                transactions.close(store);
                Ok::<_, String>(count)
            });
            match put_back.await {
                Ok(Ok(count)) => {
                    tracing::warn!(store.id = %store, files = count, "a change that was not written to its end is undone");
                    None
                }
                Ok(Err(reason)) => Some(Err(Failure::new(ErrorCode::RestoreFailed, reason))),
                Err(failure) => Some(Err(failure)),
            }
        }
    }
}

/// Looks at the targets; a stopping agent does not wait for them.
async fn look(
    agent: &Agent,
    targets: &[Target],
    expected: &Expected,
    verification: &Verification,
) -> Result<Vec<TargetResult>, Failure> {
    let reach = Reach::new(&agent.configuration.verification_hosts);
    tokio::select! {
        results = verification::look(&reach, targets, expected, verification::limit(verification)) => Ok(results),
        () = agent.stop.told() => Err(Failure::new(
            ErrorCode::AgentStopping,
            "the change is in place, and the agent was told to stop before it was proved; it goes on at its next start",
        )),
    }
}

/// What the first target that does not match shows.
fn unproved(results: &[TargetResult]) -> Option<String> {
    let result = results.iter().find(|result| !result.matches)?;
    let reason = result.reason.as_deref().unwrap_or("it shows something else");
    Some(format!("{}:{}: {reason}", plain(&result.target.host), result.target.port))
}

/// A host without what could confuse a log or a terminal.
fn plain(host: &str) -> String {
    host.chars().filter(|c| !c.is_control()).take(253).collect()
}

async fn close(agent: &Agent, store: StoreId) -> Result<(), Failure> {
    let transactions = agent.transactions.clone();
    blocking(move || transactions.close(store)).await
}

fn note(attempt: Option<&Attempt>, code: &str, message: &str) {
    if let Some(attempt) = attempt {
        attempt.lease.record(code, message);
    }
}
