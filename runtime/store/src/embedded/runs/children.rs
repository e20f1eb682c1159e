//! The rows of children under their parents.

use tidemill_core::run::{Run, RunState, WaitCondition};
use tidemill_core::spawn::DEPTH;
use tidemill_core::{RunId, spawn};

use crate::embedded::runs::record::{PendingCancellation, RunRecord};
use crate::embedded::runs::{index, record};
use crate::embedded::tables::{CHILDREN, OPEN_CHILDREN, RUNS, pair, run_at_end};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;
use crate::records::{NewRun, Page, PageRequest};

/// Value of the row of a child whose outcome its parent has not recorded.
const OPEN: &[u8] = &[0];
/// Value of the row of a child whose outcome its parent has recorded.
const OBSERVED: &[u8] = &[1];

/// Returns the depth of a run in its tree, counted up to [`DEPTH`]. A run without a parent has
/// depth 1.
pub(crate) fn depth(store: &impl ReadTx, run: &Run) -> Result<u32> {
    let (mut depth, mut above) = (1, run.trigger.parent);
    while let Some(id) = above.filter(|_| depth < DEPTH) {
        let Some(parent) = record::find(store, id)? else { break };
        (depth, above) = (depth + 1, parent.run.trigger.parent);
    }
    Ok(depth)
}

/// Returns how many more attached children a run may start now. `None` if the run is at the maximum
/// depth, and may start no run.
pub(crate) fn child_room(store: &impl ReadTx, parent: RunId) -> Result<Option<u32>> {
    // A run that is not in the store yet has no parent.
    let Some(parent) = record::find(store, parent)? else { return Ok(Some(spawn::OPEN_CHILDREN)) };
    if depth(store, &parent.run)? >= DEPTH {
        return Ok(None);
    }
    Ok(Some(spawn::OPEN_CHILDREN.saturating_sub(parent.counters.open_children)))
}

/// Adds the rows of a child that `parent` starts.
pub(crate) fn add(commit: &mut WriteTx<'_, '_>, parent: &mut RunRecord, child: &NewRun) {
    let key = pair(parent.run.id, child.id);
    commit.put(CHILDREN, &key, OPEN);
    parent.counters.children = parent.counters.children.saturating_add(1);
    if !child.detached {
        commit.put(OPEN_CHILDREN, &key, &[]);
        parent.counters.open_children = parent.counters.open_children.saturating_add(1);
    }
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
pub(crate) fn ended(commit: &mut WriteTx<'_, '_>, record: &RunRecord) -> Result<()> {
    if record.counters.open_children > 0 {
        let terminate = record.run.cancel.as_ref().is_some_and(|cancel| cancel.terminate);
        commit.to_cancel.push((record.run.id, PendingCancellation { terminate, after: None }));
    }
    let Some(id) = record.run.trigger.parent else { return Ok(()) };
    let Some(mut parent) = record::find(commit, id)? else { return Ok(()) };
    let key = pair(id, record.run.id);
    if commit.bytes(OPEN_CHILDREN, &key)?.is_some() {
        commit.delete(OPEN_CHILDREN, &key);
        parent.counters.open_children = parent.counters.open_children.saturating_sub(1);
        commit.put_record(RUNS, &id.to_bytes(), &parent)?;
        if parent.must_be_notified() {
            notify(commit, &parent)?;
        }
    }
    index::fulfil(commit, &parent, &WaitCondition::Run(record.run.id))
}

/// Makes sure that a run is notified of its cancellation.
pub(crate) fn notify(commit: &mut WriteTx<'_, '_>, record: &RunRecord) -> Result<()> {
    match &record.run.state {
        RunState::Running { .. } => commit.effects.cancelling.push(record.run.id),
        RunState::Suspended | RunState::Queued { .. } => index::wake(commit, record)?,
        _ => {}
    }
    Ok(())
}

/// Attaches a retried child to its parent again, which has not recorded its new outcome.
pub(crate) fn open_again(commit: &mut WriteTx<'_, '_>, run: &Run) -> Result<()> {
    let Some(parent) = run.trigger.parent else { return Ok(()) };
    let key = pair(parent, run.id);
    // Also if the parent has ended: it can be retried later.
    let Some(mut record) = record::find(commit, parent)? else { return Ok(()) };
    if commit.bytes(CHILDREN, &key)?.is_none() {
        return Ok(());
    }
    commit.put(CHILDREN, &key, OPEN);
    if !run.detached {
        commit.put(OPEN_CHILDREN, &key, &[]);
        record.counters.open_children = record.counters.open_children.saturating_add(1);
        commit.put_record(RUNS, &parent.to_bytes(), &record)?;
    }
    Ok(())
}

/// Returns parked children, and failed ones whose failure the parent has not recorded or, if `all`,
/// every failed one.
pub(crate) fn failed_children(store: &impl ReadTx, parent: RunId, all: bool, max: usize) -> Result<Vec<RunId>> {
    let mut found = Vec::new();
    for (key, row) in store.scan_prefix(CHILDREN, &parent.to_bytes(), usize::MAX)? {
        if found.len() == max {
            break;
        }
        let Some(child) = run_at_end(&key) else { continue };
        let tried = record::find(store, child)?.is_some_and(|record| match record.run.state {
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

/// Lists the children of a run, oldest first.
pub(crate) fn children(store: &impl ReadTx, parent: RunId, page: &PageRequest) -> Result<Page<Run>> {
    let found = store.page(CHILDREN, &parent.to_bytes(), false, page)?;
    let mut children = Page { items: Vec::with_capacity(found.items.len()), next: found.next };
    for (key, _) in found.items {
        let Some(id) = run_at_end(&key) else { continue };
        children.items.extend(record::find(store, id)?.map(|record| record.run));
    }
    Ok(children)
}
