//! Trees of runs: the consequences of a run's end, cancellation and retry for its parent and
//! children.
//!
//! A cancellation goes down the tree as marks and comes up as ends: leaves are notified first, and
//! each parent when its last attached child has ended. One commit reaches a bounded number of runs;
//! the rest is queued, and `drain_cancels` continues it.

use async_trait::async_trait;
use tidemill_core::journal::JournalChange;
use tidemill_core::run::{CancelRequest, Run, RunEvent, RunState};
use tidemill_core::{RunId, Timestamp};

use crate::embedded::runs::record::{self, PendingCancellation, RunRecord};
use crate::embedded::runs::{children, journal, transition};
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{CANCELS, OPEN_CHILDREN, RUNS, pair, run_at_end};
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::error::{Result, StoreError};
use crate::records::{CommitEffects, Page, PageRequest, RetryChange};
use crate::traits::RunTreeStore;

/// Maximum number of runs that one commit cancels in addition to the requested one.
const AT_ONCE: usize = 256;
/// Maximum number of runs of a tree that one retry covers.
pub(crate) const RETRIED: usize = 256;

#[async_trait]
impl RunTreeStore for EmbeddedStore {
    async fn child_room(&self, parent: RunId) -> Result<Option<u32>> {
        children::child_room(self.latest(), parent)
    }

    async fn children(&self, parent: RunId, page: PageRequest) -> Result<Page<Run>> {
        children::children(self.latest(), parent, &page)
    }

    async fn request_cancel(&self, id: RunId, terminate: bool, now: Timestamp) -> Result<(Run, CommitEffects)> {
        self.commit(move |c| request_cancel(c, id, terminate, now)).await
    }

    async fn drain_cancels(&self, limit: usize, now: Timestamp) -> Result<(bool, CommitEffects)> {
        self.commit(move |c| drain(c, limit, now)).await
    }

    async fn retry_run(&self, id: RunId, retry: RetryChange) -> Result<(Run, CommitEffects)> {
        let retried = move |c: &mut WriteTx<'_, '_>| {
            self::retry(c, id, &retry)?;
            let effects = effects(c, retry.now)?;
            Ok((record::get(c, id)?.run, effects))
        };
        self.commit(retried).await
    }
}

/// Cancels one run, and queues its children in `to_cancel`. Has no effect if the run has ended.
pub(crate) fn cancel(commit: &mut WriteTx<'_, '_>, id: RunId, terminate: bool, now: Timestamp) -> Result<()> {
    let Some(before) = record::find(commit, id)?.filter(|record| !record.run.state.has_ended()) else { return Ok(()) };
    let earlier = before.run.cancel;
    let request = CancelRequest {
        at: earlier.map_or(now, |cancel| cancel.at),
        terminate: terminate || earlier.is_some_and(|cancel| cancel.terminate),
        notified: earlier.is_some_and(|cancel| cancel.notified),
    };
    let at_once = match &before.run.state {
        RunState::Running { .. } => false,
        RunState::Parked(_) => true,
        RunState::Queued { .. } => request.terminate || before.is_untouched(),
        _ => request.terminate,
    };
    if at_once {
        return end_without_notice(commit, &before, Some(request), now);
    }
    let mut after = before.clone();
    after.run.cancel = Some(request);
    commit.put_record(RUNS, &id.to_bytes(), &after)?;
    let news = earlier.is_none_or(|cancel| cancel.terminate != request.terminate);
    if after.counters.open_children > 0 && news {
        commit.to_cancel.push((id, PendingCancellation { terminate: request.terminate, after: None }));
    }
    let running = matches!(after.run.state, RunState::Running { .. });
    if after.must_be_notified() || (running && request.terminate) { children::notify(commit, &after) } else { Ok(()) }
}

/// Ends a run that is not running, without notifying its guest.
pub(crate) fn end(commit: &mut WriteTx<'_, '_>, id: RunId, now: Timestamp) -> Result<()> {
    let before = record::get(commit, id)?;
    end_without_notice(commit, &before, before.run.cancel, now)
}

fn end_without_notice(
    commit: &mut WriteTx<'_, '_>,
    before: &RunRecord,
    earlier: Option<CancelRequest>,
    now: Timestamp,
) -> Result<()> {
    let mut after = before.after(RunEvent::Cancelled)?;
    after.run.cancel = earlier;
    after.run.waiting_for = None;
    after.run.ended_at = Some(now);
    transition::write(commit, Some(&before.run), &after, now)
}

/// Cancels a run and its attached descendants at the request of a caller.
fn request_cancel(
    commit: &mut WriteTx<'_, '_>,
    id: RunId,
    terminate: bool,
    now: Timestamp,
) -> Result<(Run, CommitEffects)> {
    let state = record::get(commit, id)?.run.state;
    if state.has_ended() {
        let state = state.name();
        return Err(StoreError::IllegalTransition(format!("a run that is {state} cannot be cancelled")));
    }
    commit.about = Some(id);
    cancel(commit, id, terminate, now)?;
    let effects = effects(commit, now)?;
    Ok((record::get(commit, id)?.run, effects))
}

/// Completes an operation that may have ended runs: cancels their children, and returns all
/// effects.
pub(crate) fn effects(commit: &mut WriteTx<'_, '_>, now: Timestamp) -> Result<CommitEffects> {
    if !commit.to_cancel.is_empty() {
        cancel_below(commit, AT_ONCE, now)?;
    }
    Ok(commit.take_effects())
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
fn drain(commit: &mut WriteTx<'_, '_>, limit: usize, now: Timestamp) -> Result<(bool, CommitEffects)> {
    let waiting = commit.range(CANCELS, prefix_range(&[]), false, limit.clamp(1, AT_ONCE))?;
    for (key, _) in &waiting {
        let (Some(parent), Some(to_cancel)) = (run_at_end(key), commit.record(CANCELS, key)?) else { continue };
        commit.to_cancel.push((parent, to_cancel));
    }
    if !waiting.is_empty() {
        cancel_below(commit, limit.clamp(1, AT_ONCE), now)?;
    }
    let more = !commit.range(CANCELS, prefix_range(&[]), false, 1)?.is_empty();
    Ok((more, commit.take_effects()))
}

/// Retries a run and its failed or parked descendants. Returns the number of runs. The caller
/// returns the [`effects`].
pub(crate) fn retry(commit: &mut WriteTx<'_, '_>, id: RunId, retry: &RetryChange) -> Result<usize> {
    let mut tried = 0;
    let mut below = vec![(id, retry.component, retry.from_start)];
    while let Some((id, component, from_start)) = below.pop() {
        let before = record::get(commit, id)?;
        if tried > 0 && !matches!(before.run.state, RunState::Parked(_) | RunState::Failed(_)) {
            continue;
        }
        let mut after = before.after(RunEvent::Retried { not_before: retry.now })?;
        tried += 1;
        if after.counters.children > 0 {
            let room = RETRIED.saturating_sub(tried + below.len());
            below.extend(
                children::failed_children(commit, id, from_start, room)?.into_iter().map(|child| (child, None, false)),
            );
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
            journal::set_snapshot(commit, &mut after, None)?;
        }
        transition::write(commit, Some(&before.run), &after, retry.now)?;
        if before.run.state.has_ended() {
            children::open_again(commit, &after.run)?;
        }
    }
    Ok(tried)
}
