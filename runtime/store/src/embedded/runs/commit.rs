//! Commits a run's transaction: checks what it read, then applies all of its effects or none. Does
//! not decide what a transaction contains; the engine does.
//!
//! Example: two runs of one deployment both read the state key `n`, which has the value 3 and the
//! version 70, and both write `n + 1`. The committer executes one operation after the other, each
//! on the state that the previous one left. The first finds version 70 and writes the value 4; the
//! version of `n` becomes the position of this commit, say 91. The second finds version 91 instead
//! of 70, so it writes nothing and returns `Conflict` with the key `n`. The engine executes its
//! transaction again: it reads the value 4 at version 91, writes 5, and its commit succeeds.
//!
//! Invariants:
//! - All checks of reads precede the first write, so a conflict writes nothing. A later error
//!   discards the whole transaction.
//! - A check of a scan compares every key and version of its page. A key that was added to or
//!   removed from that page is a conflict, too.
//! - The version of a value is the position of the commit that wrote it. Positions only increase,
//!   so two values of one key never have the same version.
//! - Only the owner of the run, under the current epoch, can commit.
//! - A cancellation that was requested while the transaction ran stays in the run's record.

use bytes::Bytes;
use tidemill_core::Code;
use tidemill_core::money::LedgerStream;
use tidemill_core::run::{CancelRequest, Run, RunState};

use crate::embedded::budgets::fuel;
use crate::embedded::ledger::credit::question::BalanceDecider;
use crate::embedded::ledger::{self, entries};
use crate::embedded::runs::admission::lanes;
use crate::embedded::runs::record::{self, RunRecord};
use crate::embedded::runs::{self, KeyLookup, children, failures, inbox, journal, transition, tree};
use crate::embedded::tables::{DEPLOYMENTS, INPUTS, OUTPUTS, WATERMARKS};
use crate::embedded::tx::{ReadTx, VisibilityGuard, WriteTx};
use crate::embedded::{state, topics};
use crate::error::{Result, StoreError};
use crate::records::{
    BalanceDecision, BalanceQuestion, CommitStart, FailedPart, FailureRecord, FloorAccount, NewRun, Publisher,
    ReadCheck, RunCommit, RunCommitResult,
};

/// Returns every value of a transaction that can exceed the inline size.
pub(crate) fn values(transaction: &RunCommit) -> impl Iterator<Item = &Bytes> {
    let fresh = match &transaction.begins {
        CommitStart::Fresh { input } => Some(input),
        CommitStart::Continues => None,
    };
    let chunks = transaction.journal.iter().flat_map(|change| &change.chunks);
    fresh
        .into_iter()
        .chain([&transaction.input, &transaction.output, &transaction.snapshot].into_iter().flatten())
        .chain(chunks)
        .chain(transaction.writes.iter().filter_map(|write| write.value.as_ref()))
        .chain(transaction.starts.iter().map(|new| &new.input))
        .chain(transaction.signals.iter().map(|signal| &signal.payload))
        .chain(transaction.events.iter().map(|event| &event.payload))
}

/// Commits a transaction, and makes its writes visible early if it was not refused.
pub(crate) fn commit_guarded(
    c: &mut WriteTx<'_, '_>,
    transaction: &RunCommit,
    guard: VisibilityGuard,
) -> Result<RunCommitResult> {
    let committed = commit(c, transaction)?;
    if matches!(committed, RunCommitResult::Done(_)) {
        c.publish_early(guard);
    }
    Ok(committed)
}

pub(crate) fn commit(commit: &mut WriteTx<'_, '_>, transaction: &RunCommit) -> Result<RunCommitResult> {
    let run = &transaction.run;
    let before = match &transaction.begins {
        CommitStart::Continues => Some(record::get_owned(commit, &transaction.owner, run.id)?),
        CommitStart::Fresh { input } => {
            if let Some(key) = &run.key
                && let KeyLookup::Taken(winner) =
                    runs::look_up_key(commit, &run.deployment, key, input, transaction.now)?
            {
                return Ok(RunCommitResult::KeyTaken(winner));
            }
            None
        }
    };
    if let Some((what, read, refusal)) = find_changed_read(commit, transaction)? {
        let key = match transaction.reads.get(read) {
            Some(ReadCheck::State { key, .. }) => Some(key.clone()),
            _ => None,
        };
        return Ok(RunCommitResult::Conflict { what, read, key, refusal: refusal.map(Box::new) });
    }
    if let Some(refusal) = find_impossible_effect(commit, transaction)? {
        let (what, read) = (refusal.to_string(), transaction.reads.len());
        return Ok(RunCommitResult::Conflict { what, read, key: None, refusal: Some(Box::new(refusal)) });
    }
    commit.about = Some(run.id);
    let mut after = RunRecord::new(run.clone());
    if let Some(before) = &before {
        check_identity(&before.run, run)?;
        after.counters = before.counters;
        after.run.cancel = merge_cancel(before.run.cancel, run.cancel);
    }
    if !matches!(run.state, RunState::Suspended) {
        after.run.waiting_for = None;
    }
    write_side_records(commit, &mut after, transaction)?;
    match &transaction.begins {
        CommitStart::Fresh { input } => runs::insert(commit, &after, input, transaction.now)?,
        CommitStart::Continues => {
            transition::write(commit, before.as_ref().map(|before| &before.run), &after, transaction.now)?
        }
    }
    if let Some(customer) = transaction.customer.as_ref().filter(|_| after.counters.fuel) {
        fuel::continue_as(commit, run, customer)?;
    }
    // After `insert`, which writes the first input of a fresh run.
    if let Some(input) = &transaction.input {
        commit.put_value(Some(&run.deployment), INPUTS, &run.id.to_bytes(), &[], input)?;
    }
    for write in &transaction.writes {
        state::write(commit, &run.deployment, write)?;
    }
    if let Some(fuel) = transaction.stream_fuel {
        ledger::fuel::add(commit, &LedgerStream::of(&run.deployment), fuel, transaction.now)?;
    }
    ledger::post(commit, run, &transaction.postings, transaction.leaves_out_duplicates, transaction.now)?;
    let kept_until = transaction.now.plus_millis(transaction.keep_evidence_millis);
    ledger::evidence::note(commit, run.id, &transaction.postings, kept_until)?;
    if !transaction.id_conflicts.is_empty() {
        let stream = LedgerStream::of(&run.deployment);
        ledger::findings::raise_id_conflicts(commit, &stream, &transaction.id_conflicts, transaction.now)?;
    }
    runs::put_logs(commit, run, &transaction.logs)?;
    if let Some(output) = &transaction.output {
        commit.put_value(Some(&run.deployment), OUTPUTS, &run.id.to_bytes(), &[], output)?;
    }
    if let Some(mark) = transaction.watermark {
        let stream = run.deployment.as_str().as_bytes();
        if commit.record(WATERMARKS, stream)?.is_none_or(|present: tidemill_core::Timestamp| present < mark) {
            commit.put_record(WATERMARKS, stream, &mark)?;
        }
    }
    runs::send(commit, run.id, &transaction.signals, transaction.now)?;
    if !transaction.events.is_empty() {
        let publisher = Publisher::Run { deployment: run.deployment.clone(), run: run.id };
        topics::publish(commit, &transaction.events, &publisher, transaction.now)?;
    }
    for id in &transaction.cancels {
        tree::cancel(commit, *id, false, transaction.now)?;
    }
    if after.run.cancel.is_some() {
        apply_cancel(commit, &after, transaction)?;
    }
    Ok(RunCommitResult::Done(tree::effects(commit, transaction.now)?))
}

/// Writes the data stored next to the run's record: journal, replay snapshot, inbox, failures,
/// children.
fn write_side_records(commit: &mut WriteTx<'_, '_>, after: &mut RunRecord, transaction: &RunCommit) -> Result<()> {
    let id = after.run.id;
    if let Some(change) = &transaction.journal {
        journal::change(commit, after, change)?;
    }
    journal::set_snapshot(commit, after, transaction.snapshot.as_ref())?;
    inbox::take(commit, after, &transaction.taken)?;
    failures::add(commit, id, &transaction.failures)?;
    children::observed(commit, id, &transaction.observed)?;
    runs::start_children(commit, after, &transaction.starts)
}

/// Merges the stored cancellation request with the owner's, so that the commit does not lose a
/// request that arrived after the claim.
fn merge_cancel(before: Option<CancelRequest>, after: Option<CancelRequest>) -> Option<CancelRequest> {
    match (before, after) {
        (Some(before), Some(after)) => Some(CancelRequest {
            at: before.at,
            terminate: before.terminate || after.terminate,
            notified: before.notified || after.notified,
        }),
        (before, after) => before.or(after),
    }
}

/// Applies a cancellation to the effects of this commit: cancels the attached children that it
/// starts, and ends the run if it parks.
fn apply_cancel(commit: &mut WriteTx<'_, '_>, after: &RunRecord, transaction: &RunCommit) -> Result<()> {
    let terminate = after.run.cancel.is_some_and(|cancel| cancel.terminate);
    for new in transaction.starts.iter().filter(|new| !new.detached) {
        tree::cancel(commit, new.id, terminate, transaction.now)?;
    }
    match &after.run.state {
        RunState::Parked(failure) => {
            commit.about = None;
            let part = FailedPart::Cancellation;
            let record =
                FailureRecord { at: transaction.now, attempt: after.run.attempt, part, failure: failure.clone() };
            failures::add(commit, after.run.id, &[record])?;
            tree::cancel(commit, after.run.id, false, transaction.now)
        }
        // The request arrived after the claim, and the owner does not know of it.
        RunState::Running { .. }
            if transaction.run.cancel != after.run.cancel && (after.must_be_notified() || terminate) =>
        {
            commit.effects.cancelling.push(after.run.id);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A read that has changed: its description and its index, and what prevents its effect if it has
/// one.
type ChangedRead = (String, usize, Option<StoreError>);

/// Returns the first read that has changed.
fn find_changed_read(store: &impl ReadTx, transaction: &RunCommit) -> Result<Option<ChangedRead>> {
    let deployment = &transaction.run.deployment;
    let mut decider = BalanceDecider::new(store, &transaction.postings, transaction.now);
    for (at, read) in transaction.reads.iter().enumerate() {
        let changed = match read {
            ReadCheck::State { key, version } => {
                (!state::is_current(store, deployment, key, *version)?).then(|| format!("state key `{key}`"))
            }
            ReadCheck::Scan { request, seen, more } => {
                let page = state::scan(store, deployment, request)?;
                let same = page.more == *more
                    && page.entries.len() == seen.len()
                    && page.entries.iter().zip(seen).all(|((key, _, version), (k, v))| key == k && version == v);
                (!same).then(|| format!("the scan of state keys that begin with `{}`", request.prefix))
            }
            ReadCheck::ExternalId { external_id, version } => {
                let stream = LedgerStream::of(deployment);
                let present = entries::external_id_version(store, &stream, external_id)?;
                (present != *version).then(|| format!("external id `{external_id}`"))
            }
            ReadCheck::Balance(check) => {
                let Some(decision) = decider.changed(check)? else { continue };
                let what = format!("what `{}` may take from its account", check.question.external_id);
                let refusal = check.covered.and_then(|_| refusal_of(&check.question, decision));
                return Ok(Some((what, at, refusal)));
            }
        };
        if let Some(what) = changed {
            return Ok(Some((what, at, None)));
        }
    }
    Ok(None)
}

/// Returns what prevents an entry that an account or a budget allowed when the transaction checked
/// it.
fn refusal_of(question: &BalanceQuestion, decision: BalanceDecision) -> Option<StoreError> {
    let BalanceQuestion { external_id, currency, account, .. } = question;
    let (code, detail) = match decision {
        BalanceDecision::Covered(_) => return None,
        BalanceDecision::Short { available, floor, needed } => (
            Code::InsufficientBalance,
            format!(
                "`{external_id}` needs {needed} minor units of {currency}, but {available} are available, and the floor is {floor}"
            ),
        ),
        BalanceDecision::OverBudget { limit, used, held, needed } => {
            let name = if let FloorAccount::Budget { name, .. } = account { name.as_str() } else { "" };
            (
                Code::BudgetExceeded,
                format!(
                    "`{external_id}` needs {needed} minor units of {currency}, but of the {limit} of budget `{name}` {used} are used and {held} held"
                ),
            )
        }
    };
    Some(StoreError::EffectImpossible { code, detail })
}

/// Returns what prevents an effect that was possible when the transaction checked it.
fn find_impossible_effect(store: &impl ReadTx, transaction: &RunCommit) -> Result<Option<StoreError>> {
    let RunCommit { postings, leaves_out_duplicates, now, .. } = transaction;
    if let Some(refusal) = ledger::impossible(store, postings, *leaves_out_duplicates, *now)? {
        return Ok(Some(refusal));
    }
    for new in &transaction.starts {
        if let Some(refusal) = impossible_start(store, new)? {
            return Ok(Some(refusal));
        }
    }
    Ok(None)
}

fn impossible_start(store: &impl ReadTx, new: &NewRun) -> Result<Option<StoreError>> {
    if runs::run(store, new.id)?.is_some() {
        return Ok(None);
    }
    if store.bytes(DEPLOYMENTS, new.deployment.as_str().as_bytes())?.is_none() {
        return Ok(Some(StoreError::NotFound { kind: "deployment", name: new.deployment.to_string() }));
    }
    if let Some(parent) = new.trigger.parent
        && let Some((lane, _)) = lanes::lane_deadlock(store, parent, &new.deployment, &new.lanes)?
    {
        let detail = format!("lane `{lane}` of {} is held by an ancestor of the run to start", new.deployment);
        return Ok(Some(StoreError::EffectImpossible { code: Code::WouldDeadlock, detail }));
    }
    let Some(key) = &new.key else { return Ok(None) };
    match runs::look_up_key(store, &new.deployment, key, &new.input, new.now) {
        Ok(KeyLookup::Free) => Ok(None),
        Ok(KeyLookup::Taken(run)) => {
            let detail = format!("run {} has taken the idempotency key `{key}`", run.id);
            Ok(Some(StoreError::EffectImpossible { code: Code::IdempotencyMismatch, detail }))
        }
        Err(refusal @ (StoreError::KeyMismatch { .. } | StoreError::KeyOutlivesRun { .. })) => Ok(Some(refusal)),
        Err(error) => Err(error),
    }
}

/// Refuses a commit that changes the identity of a run or reduces its counters.
fn check_identity(before: &Run, after: &Run) -> Result<()> {
    let same = before.deployment == after.deployment
        && before.created_at == after.created_at
        && before.fuel <= after.fuel
        && before.generation <= after.generation;
    if same && !before.state.has_ended() {
        Ok(())
    } else {
        Err(StoreError::IllegalTransition(format!("run {} cannot become another run", after.id)))
    }
}
