//! Trees of runs: the consequences of a run's end, cancellation and retry for its parent and
//! children.
//!
//! A cancellation goes down the tree as marks and comes up as ends: leaves are notified first, and
//! each parent when its last attached child has ended. One commit reaches a bounded number of runs;
//! the rest is queued, and `drain_cancels` continues it.

use serde::{Deserialize, Serialize};
use tidemill_core::journal::JournalChange;
use tidemill_core::run::{CancelRequest, Run, RunEvent, RunState, WaitCondition};
use tidemill_core::spawn::{self, DEPTH};
use tidemill_core::{Code, RunId, Timestamp};

use crate::embedded::read_tx::{ReadTx, prefix_range};
use crate::embedded::runs;
use crate::embedded::runs::record;
use crate::embedded::runs::record::RunRecord;
use crate::embedded::runs::{index, journal, waits};
use crate::embedded::tables::{CANCELS, CHILDREN, OPEN_CHILDREN, RUNS, pair, run_at_end};
use crate::embedded::write_tx::WriteTx;
use crate::error::StoreError;
use crate::records::{CommitEffects, NewRun, Page, PageRequest, RetryChange};

type Result<T> = std::result::Result<T, StoreError>;

/// Maximum number of runs that one commit cancels in addition to the requested one.
pub(crate) const AT_ONCE: usize = 256;
/// Maximum number of runs of a tree that one retry covers.
const RETRIED: usize = 256;
/// Value of the row of a child whose outcome its parent has not recorded.
const OPEN: &[u8] = &[0];
/// Value of the row of a child whose outcome its parent has recorded.
const OBSERVED: &[u8] = &[1];

/// The progress of the cancellation of a run's children.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingCancellation {
    terminate: bool,
    /// The last cancelled child.
    after: Option<RunId>,
}

/// Starts the children of a transaction, within the limits on children and of the queues that they
/// join.
pub(crate) fn start(commit: &mut WriteTx<'_, '_>, parent: &mut RunRecord, starts: &[NewRun]) -> Result<()> {
    if !starts.is_empty() && depth(commit, &parent.run)? >= DEPTH {
        return Err(limit_children(format!(
            "run {} is at the maximum depth of {DEPTH} and cannot start another run",
            parent.run.id
        )));
    }
    for new in starts {
        if new.trigger.parent != Some(parent.run.id) {
            return Err(StoreError::IllegalTransition(format!("run {} names another run as its parent", new.id)));
        }
        let key = pair(parent.run.id, new.id);
        if commit.bytes(CHILDREN, &key)?.is_some() {
            continue;
        }
        if !new.detached && parent.marks.open_children >= spawn::OPEN_CHILDREN {
            let message = format!("{} children of run {} have not ended", spawn::OPEN_CHILDREN, parent.run.id);
            return Err(limit_children(message));
        }
        if new.terms.queue_max < u64::MAX {
            let queued = index::queued(commit, &new.deployment)?;
            if queued >= new.terms.queue_max {
                return Err(StoreError::QueueFull { queued });
            }
        }
        runs::insert(commit, &RunRecord::new(new.to_run()), &new.input, new.now)?;
        commit.put(CHILDREN, &key, OPEN);
        parent.marks.children = parent.marks.children.saturating_add(1);
        if !new.detached {
            commit.put(OPEN_CHILDREN, &key, &[]);
            parent.marks.open_children = parent.marks.open_children.saturating_add(1);
        }
    }
    Ok(())
}

fn limit_children(detail: String) -> StoreError {
    StoreError::OverBound { code: Code::LimitChildren, detail }
}

/// Returns the depth of a run in its tree, counted up to [`DEPTH`]. A run without a parent has
/// depth 1.
fn depth(store: &impl ReadTx, run: &Run) -> Result<u32> {
    let (mut depth, mut above) = (1, run.trigger.parent);
    while let Some(id) = above.filter(|_| depth < DEPTH) {
        let Some(parent) = record::kept(store, id)? else { break };
        (depth, above) = (depth + 1, parent.run.trigger.parent);
    }
    Ok(depth)
}

/// Returns how many more attached children a run may start now. `None` if the run is at the maximum
/// depth, and may start no run.
pub(crate) fn child_room(store: &impl ReadTx, parent: RunId) -> Result<Option<u32>> {
    // A run that is not in the store yet has no parent.
    let Some(parent) = record::kept(store, parent)? else { return Ok(Some(spawn::OPEN_CHILDREN)) };
    if depth(store, &parent.run)? >= DEPTH {
        return Ok(None);
    }
    Ok(Some(spawn::OPEN_CHILDREN.saturating_sub(parent.marks.open_children)))
}

/// Marks children whose outcome the parent has recorded.
pub(crate) fn observed(commit: &mut WriteTx<'_, '_>, parent: RunId, children: &[RunId]) -> Result<()> {
    for child in children {
        let key = pair(parent, *child);
        if commit.bytes(CHILDREN, &key)?.is_some() {
            commit.put(CHILDREN, &key, OBSERVED);
        }
    }
    Ok(())
}

/// Applies the end of a run to its children and its parent.
pub(crate) fn ended(commit: &mut WriteTx<'_, '_>, kept: &RunRecord) -> Result<()> {
    if kept.marks.open_children > 0 {
        let terminate = kept.run.cancel.as_ref().is_some_and(|asked| asked.terminate);
        commit.to_cancel.push((kept.run.id, PendingCancellation { terminate, after: None }));
    }
    let Some(id) = kept.run.trigger.parent else { return Ok(()) };
    let Some(mut parent) = record::kept(commit, id)? else { return Ok(()) };
    let key = pair(id, kept.run.id);
    if commit.bytes(OPEN_CHILDREN, &key)?.is_some() {
        commit.delete(OPEN_CHILDREN, &key);
        parent.marks.open_children = parent.marks.open_children.saturating_sub(1);
        commit.put_record(RUNS, &id.to_bytes(), &parent)?;
        if parent.must_be_notified() {
            notify(commit, &parent)?;
        }
    }
    waits::fulfil(commit, &parent, &WaitCondition::Run(kept.run.id))
}

/// Makes sure that a run is notified of its cancellation.
fn notify(commit: &mut WriteTx<'_, '_>, kept: &RunRecord) -> Result<()> {
    match &kept.run.state {
        RunState::Running { .. } => commit.caused.cancelling.push(kept.run.id),
        RunState::Suspended | RunState::Queued { .. } => index::wake(commit, kept)?,
        _ => {}
    }
    Ok(())
}

/// Cancels one run, and queues its children in `to_cancel`. Has no effect if the run has ended.
pub(crate) fn cancel(commit: &mut WriteTx<'_, '_>, id: RunId, terminate: bool, now: Timestamp) -> Result<()> {
    let Some(before) = record::kept(commit, id)?.filter(|kept| !kept.run.state.has_ended()) else { return Ok(()) };
    let asked = before.run.cancel;
    let asks = CancelRequest {
        at: asked.map_or(now, |asked| asked.at),
        terminate: terminate || asked.is_some_and(|asked| asked.terminate),
        notified: asked.is_some_and(|asked| asked.notified),
    };
    let at_once = match &before.run.state {
        RunState::Running { .. } => false,
        RunState::Parked(_) => true,
        RunState::Queued { .. } => asks.terminate || before.is_untouched(),
        _ => asks.terminate,
    };
    if at_once {
        return end_without_notice(commit, &before, Some(asks), now);
    }
    let mut after = before.clone();
    after.run.cancel = Some(asks);
    commit.put_record(RUNS, &id.to_bytes(), &after)?;
    let news = asked.is_none_or(|asked| asked.terminate != asks.terminate);
    if after.marks.open_children > 0 && news {
        commit.to_cancel.push((id, PendingCancellation { terminate: asks.terminate, after: None }));
    }
    let running = matches!(after.run.state, RunState::Running { .. });
    if after.must_be_notified() || (running && asks.terminate) { notify(commit, &after) } else { Ok(()) }
}

/// Ends a run that is not running, without notifying its guest.
pub(crate) fn end(commit: &mut WriteTx<'_, '_>, id: RunId, now: Timestamp) -> Result<()> {
    let before = record::existing(commit, id)?;
    end_without_notice(commit, &before, before.run.cancel, now)
}

fn end_without_notice(
    commit: &mut WriteTx<'_, '_>,
    before: &RunRecord,
    asked: Option<CancelRequest>,
    now: Timestamp,
) -> Result<()> {
    let mut after = before.after(RunEvent::Cancelled)?;
    after.run.cancel = asked;
    after.run.waiting_for = None;
    after.run.ended_at = Some(now);
    index::write(commit, Some(&before.run), &after, now)
}

/// Cancels a run and its attached descendants at the request of a caller.
pub(crate) fn request_cancel(
    commit: &mut WriteTx<'_, '_>,
    id: RunId,
    terminate: bool,
    now: Timestamp,
) -> Result<(Run, CommitEffects)> {
    let state = record::existing(commit, id)?.run.state;
    if state.has_ended() {
        let state = state.name();
        return Err(StoreError::IllegalTransition(format!("a run that is {state} cannot be cancelled")));
    }
    commit.about = Some(id);
    cancel(commit, id, terminate, now)?;
    let caused = caused(commit, now)?;
    Ok((record::existing(commit, id)?.run, caused))
}

/// Completes an operation that may have ended runs: cancels their children, and returns all
/// effects.
pub(crate) fn caused(commit: &mut WriteTx<'_, '_>, now: Timestamp) -> Result<CommitEffects> {
    if !commit.to_cancel.is_empty() {
        cancel_below(commit, AT_ONCE, now)?;
    }
    Ok(commit.take_caused())
}

fn cancel_below(commit: &mut WriteTx<'_, '_>, mut left: usize, now: Timestamp) -> Result<()> {
    while let Some((parent, mut to_cancel)) = commit.to_cancel.pop() {
        let mut range = prefix_range(&parent.to_bytes());
        if let Some(after) = to_cancel.after {
            range.start = pair(parent, after);
            range.start.push(0);
        }
        let children = commit.range(OPEN_CHILDREN, range, false, left + 1)?;
        let more = children.len() > left;
        for (key, _) in children.iter().take(left) {
            let Some(child) = run_at_end(key) else { continue };
            cancel(commit, child, to_cancel.terminate, now)?;
            to_cancel.after = Some(child);
            left -= 1;
        }
        if more {
            commit.put_record(CANCELS, &parent.to_bytes(), &to_cancel)?;
        } else {
            commit.delete(CANCELS, &parent.to_bytes());
        }
    }
    Ok(())
}

/// Continues cancellations that exceeded one commit. Returns whether more are left.
pub(crate) fn drain(commit: &mut WriteTx<'_, '_>, limit: usize, now: Timestamp) -> Result<(bool, CommitEffects)> {
    let waiting = commit.range(CANCELS, prefix_range(&[]), false, limit.clamp(1, AT_ONCE))?;
    for (key, _) in &waiting {
        let (Some(parent), Some(to_cancel)) = (run_at_end(key), commit.record(CANCELS, key)?) else { continue };
        commit.to_cancel.push((parent, to_cancel));
    }
    if !waiting.is_empty() {
        cancel_below(commit, limit.clamp(1, AT_ONCE), now)?;
    }
    let more = !commit.range(CANCELS, prefix_range(&[]), false, 1)?.is_empty();
    Ok((more, commit.take_caused()))
}

/// Retries a run and its failed or parked descendants.
pub(crate) fn retry(commit: &mut WriteTx<'_, '_>, id: RunId, retry: &RetryChange) -> Result<(Run, CommitEffects)> {
    let mut tried = 0;
    let mut below = vec![(id, retry.component, retry.from_start)];
    while let Some((id, component, from_start)) = below.pop() {
        let before = record::existing(commit, id)?;
        if tried > 0 && !matches!(before.run.state, RunState::Parked(_) | RunState::Failed(_)) {
            continue;
        }
        let mut after = before.after(RunEvent::Retried { not_before: retry.now })?;
        tried += 1;
        if after.marks.children > 0 {
            let room = RETRIED.saturating_sub(tried + below.len());
            below.extend(failed_children(commit, id, from_start, room)?.into_iter().map(|child| (child, None, false)));
        }
        let run = &mut after.run;
        // A manual retry: the retry policy starts from the beginning, and the host's crashes do not
        // count.
        run.attempt = run.attempt.saturating_add(1);
        run.takeovers = 0;
        run.ended_at = None;
        run.cancel = None;
        if let Some((revision, component)) = component {
            (run.revision, run.component) = (revision, component);
        }
        if from_start {
            run.journal_entries = 0;
            journal::change(commit, &mut after, &JournalChange::emptied())?;
            journal::set_head(commit, &mut after, None)?;
        }
        index::write(commit, Some(&before.run), &after, retry.now)?;
        if before.run.state.has_ended() {
            open_again(commit, &after.run)?;
        }
    }
    let caused = caused(commit, retry.now)?;
    Ok((record::existing(commit, id)?.run, caused))
}

/// Returns parked children, and failed ones whose failure the parent has not recorded or, if `all`,
/// every failed one.
fn failed_children(store: &impl ReadTx, parent: RunId, all: bool, max: usize) -> Result<Vec<RunId>> {
    let mut found = Vec::new();
    for (key, row) in store.scan_prefix(CHILDREN, &parent.to_bytes(), usize::MAX)? {
        if found.len() == max {
            break;
        }
        let Some(child) = run_at_end(&key) else { continue };
        let tried = record::kept(store, child)?.is_some_and(|kept| match kept.run.state {
            RunState::Parked(_) => true,
            RunState::Failed(_) => all || &*row == OPEN,
            _ => false,
        });
        if tried {
            found.push(child);
        }
    }
    Ok(found)
}

/// Attaches a retried child to its parent again, which has not recorded its new outcome.
fn open_again(commit: &mut WriteTx<'_, '_>, run: &Run) -> Result<()> {
    let Some(parent) = run.trigger.parent else { return Ok(()) };
    let key = pair(parent, run.id);
    // Also if the parent has ended: it can be retried later.
    let Some(mut kept) = record::kept(commit, parent)? else { return Ok(()) };
    if commit.bytes(CHILDREN, &key)?.is_none() {
        return Ok(());
    }
    commit.put(CHILDREN, &key, OPEN);
    if !run.detached {
        commit.put(OPEN_CHILDREN, &key, &[]);
        kept.marks.open_children = kept.marks.open_children.saturating_add(1);
        commit.put_record(RUNS, &parent.to_bytes(), &kept)?;
    }
    Ok(())
}

/// Lists the children of a run, oldest first.
pub(crate) fn children(store: &impl ReadTx, parent: RunId, page: &PageRequest) -> Result<Page<Run>> {
    let found = store.page(CHILDREN, &parent.to_bytes(), false, page)?;
    let mut children = Page { items: Vec::with_capacity(found.items.len()), next: found.next };
    for (key, _) in found.items {
        let Some(id) = run_at_end(&key) else { continue };
        children.items.extend(record::kept(store, id)?.map(|kept| kept.run));
    }
    Ok(children)
}
