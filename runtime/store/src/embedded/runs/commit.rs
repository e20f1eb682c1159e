//! Committing a stretch: what it read is checked, and all that it did takes hold together.

use bytes::Bytes;
use tidemill_core::run::{CancelRequest, Run, RunState};

use crate::embedded::read_tx::ReadTx;
use crate::embedded::runs;
use crate::embedded::runs::KeyLookup;
use crate::embedded::runs::record;
use crate::embedded::runs::record::RunRecord;
use crate::embedded::runs::{failures, inbox, index, journal, lanes, tree};
use crate::embedded::tables::{DEPLOYMENTS, INPUTS, OUTPUTS, WATERMARKS};
use crate::embedded::write_tx::WriteTx;
use crate::embedded::{ledger, state, topics};
use crate::error::StoreError;
use crate::kv::VisibilityGuard;
use crate::records::{
    CommitStart, FailedPart, FailureRecord, NewRun, Publisher, ReadCheck, RunCommit, RunCommitResult,
};

type Result<T> = std::result::Result<T, StoreError>;

/// Every value of a stretch that may be long.
pub(crate) fn values(stretch: &RunCommit) -> impl Iterator<Item = &Bytes> {
    let fresh = match &stretch.begins {
        CommitStart::Fresh { input } => Some(input),
        CommitStart::Continues => None,
    };
    let chunks = stretch.journal.iter().flat_map(|change| &change.chunks);
    fresh
        .into_iter()
        .chain([&stretch.input, &stretch.output, &stretch.head].into_iter().flatten())
        .chain(chunks)
        .chain(stretch.writes.iter().filter_map(|write| write.value.as_ref()))
        .chain(stretch.starts.iter().map(|new| &new.input))
        .chain(stretch.signals.iter().map(|signal| &signal.payload))
        .chain(stretch.events.iter().map(|event| &event.payload))
}

/// Commits a stretch, and hands its turn on if it took hold.
pub(crate) fn commit_in_turn(
    c: &mut WriteTx<'_, '_>,
    stretch: &RunCommit,
    turn: VisibilityGuard,
) -> Result<RunCommitResult> {
    let committed = commit(c, stretch)?;
    if matches!(committed, RunCommitResult::Done(_)) {
        c.hand_on(turn);
    }
    Ok(committed)
}

pub(crate) fn commit(commit: &mut WriteTx<'_, '_>, stretch: &RunCommit) -> Result<RunCommitResult> {
    let run = &stretch.run;
    let before = match &stretch.begins {
        CommitStart::Continues => Some(record::owned(commit, &stretch.owner, run.id)?),
        CommitStart::Fresh { input } => {
            if let Some(key) = &run.key
                && let KeyLookup::Taken(winner) = runs::look_up_key(commit, &run.deployment, key, input, stretch.now)?
            {
                return Ok(RunCommitResult::KeyTaken(winner));
            }
            None
        }
    };
    if let Some((what, read)) = changed(commit, stretch)? {
        let key = match stretch.reads.get(read) {
            Some(ReadCheck::State { key, .. }) => Some(key.clone()),
            _ => None,
        };
        return Ok(RunCommitResult::Conflict { what, read, key });
    }
    commit.about = Some(run.id);
    let mut after = RunRecord::new(run.clone());
    if let Some(before) = &before {
        unchanged_identity(&before.run, run)?;
        after.marks = before.marks;
        after.run.cancel = asked(before.run.cancel, run.cancel);
    }
    if !matches!(run.state, RunState::Suspended) {
        after.run.waiting_for = None;
    }
    beside(commit, &mut after, stretch)?;
    match &stretch.begins {
        CommitStart::Fresh { input } => runs::insert(commit, &after, input, stretch.now)?,
        CommitStart::Continues => index::write(commit, before.as_ref().map(|before| &before.run), &after, stretch.now)?,
    }
    // After the first one, where that is new too.
    if let Some(input) = &stretch.input {
        commit.put_held(Some(&run.deployment), INPUTS, &run.id.to_bytes(), &[], input)?;
    }
    for write in &stretch.writes {
        state::write(commit, &run.deployment, write)?;
    }
    ledger::post(commit, run, &stretch.postings, stretch.now)?;
    runs::put_logs(commit, run, &stretch.logs)?;
    if let Some(output) = &stretch.output {
        commit.put_held(Some(&run.deployment), OUTPUTS, &run.id.to_bytes(), &[], output)?;
    }
    if let Some(mark) = stretch.watermark {
        let stream = run.deployment.as_str().as_bytes();
        if commit.record(WATERMARKS, stream)?.is_none_or(|present: tidemill_core::Timestamp| present < mark) {
            commit.put_record(WATERMARKS, stream, &mark)?;
        }
    }
    inbox::send(commit, run.id, &stretch.signals, stretch.now)?;
    if !stretch.events.is_empty() {
        let publisher = Publisher::Run { deployment: run.deployment.clone(), run: run.id };
        topics::publish(commit, &stretch.events, &publisher, stretch.now)?;
    }
    for id in &stretch.cancels {
        tree::cancel(commit, *id, false, stretch.now)?;
    }
    if after.run.cancel.is_some() {
        cancelled_meanwhile(commit, &after, stretch)?;
    }
    Ok(RunCommitResult::Done(tree::caused(commit, stretch.now)?))
}

/// What lies beside the run's record: journal, head, inbox, children.
fn beside(commit: &mut WriteTx<'_, '_>, after: &mut RunRecord, stretch: &RunCommit) -> Result<()> {
    let id = after.run.id;
    if let Some(change) = &stretch.journal {
        journal::change(commit, after, change)?;
    }
    journal::set_head(commit, after, stretch.head.as_ref())?;
    inbox::take(commit, after, &stretch.taken)?;
    failures::add(commit, id, &stretch.failures)?;
    tree::observed(commit, id, &stretch.observed)?;
    tree::start(commit, after, &stretch.starts)
}

/// A cancellation that was asked for while the owner had the run in hands is not forgotten by what it commits.
fn asked(before: Option<CancelRequest>, after: Option<CancelRequest>) -> Option<CancelRequest> {
    match (before, after) {
        (Some(before), Some(after)) => Some(CancelRequest {
            at: before.at,
            terminate: before.terminate || after.terminate,
            told: before.told || after.told,
        }),
        (before, after) => before.or(after),
    }
}

/// A run whose cancellation was asked for starts nothing that stays, and is not set aside.
fn cancelled_meanwhile(commit: &mut WriteTx<'_, '_>, after: &RunRecord, stretch: &RunCommit) -> Result<()> {
    let terminate = after.run.cancel.is_some_and(|asked| asked.terminate);
    for new in stretch.starts.iter().filter(|new| !new.detached) {
        tree::cancel(commit, new.id, terminate, stretch.now)?;
    }
    match &after.run.state {
        RunState::Parked(failure) => {
            commit.about = None;
            let part = FailedPart::Cancellation;
            let record = FailureRecord { at: stretch.now, attempt: after.run.attempt, part, failure: failure.clone() };
            failures::add(commit, after.run.id, &[record])?;
            tree::cancel(commit, after.run.id, false, stretch.now)
        }
        // Asked for while the owner was on its way here, and not known to it.
        RunState::Running { .. } if stretch.run.cancel != after.run.cancel && (after.to_be_told() || terminate) => {
            commit.caused.cancelling.push(after.run.id);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The first of the stretch's reads that no longer holds, in words and by its place.
fn changed(store: &impl ReadTx, stretch: &RunCommit) -> Result<Option<(String, usize)>> {
    let deployment = &stretch.run.deployment;
    for (at, read) in stretch.reads.iter().enumerate() {
        let changed = match read {
            ReadCheck::State { key, version } => {
                (state::version(store, deployment, key)? != *version).then(|| format!("state key `{key}`"))
            }
            ReadCheck::Scan { request, seen, more } => {
                let page = state::scan(store, deployment, request)?;
                let same = page.more == *more
                    && page.entries.len() == seen.len()
                    && page.entries.iter().zip(seen).all(|((key, _, version), (k, v))| key == k && version == v);
                (!same).then(|| format!("the scan of state keys that begin with `{}`", request.prefix))
            }
            ReadCheck::ExternalId { external_id, version } => {
                let present = ledger::external_id(store, deployment, external_id)?;
                (present.version != *version).then(|| format!("external id `{external_id}`"))
            }
        };
        if let Some(what) = changed {
            return Ok(Some((what, at)));
        }
    }
    let elsewhere = stretch.reads.len();
    for posting in &stretch.postings {
        let id = &posting.entry.external_id;
        if ledger::external_id(store, deployment, id)?.posting.is_some() {
            return Ok(Some((format!("external id `{id}`"), elsewhere)));
        }
    }
    for new in &stretch.starts {
        if let Some(what) = unstartable(store, new)? {
            return Ok(Some((what, elsewhere)));
        }
    }
    Ok(None)
}

/// What keeps a run from being started, that was not so when the stretch looked.
fn unstartable(store: &impl ReadTx, new: &NewRun) -> Result<Option<String>> {
    if runs::run(store, new.id)?.is_some() {
        return Ok(None);
    }
    if store.bytes(DEPLOYMENTS, new.deployment.as_str().as_bytes())?.is_none() {
        return Ok(Some(format!("deployment `{}`", new.deployment)));
    }
    if let Some(parent) = new.trigger.parent
        && let Some((lane, _)) = lanes::behind_ancestor(store, parent, &new.deployment, &new.lanes)?
    {
        return Ok(Some(format!("lane `{lane}`")));
    }
    let Some(key) = &new.key else { return Ok(None) };
    Ok(match runs::look_up_key(store, &new.deployment, key, &new.input, new.now) {
        Ok(KeyLookup::Free) => None,
        Ok(KeyLookup::Taken(_)) | Err(StoreError::KeyMismatch { .. } | StoreError::KeyOutlivesRun { .. }) => {
            Some(format!("idempotency key `{key}`"))
        }
        Err(error) => return Err(error),
    })
}

/// A commit moves a run; it does not make another of it.
fn unchanged_identity(before: &Run, after: &Run) -> Result<()> {
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
