//! Putting what a run has done into the store: in the middle of it, at its end, or saved without taking hold.
//!
//! Invariant: `unsaved` is what the guest's journal believes to be written and is not. It goes along with the next write
//! whatever becomes of this one, so that a refused commit or a failing store leaves no gap.

use bytes::Bytes;
use tidemill_core::clock::Stopwatch;
use tidemill_core::journal::JournalChange;
use tidemill_core::retry::ExhaustionPolicy;
use tidemill_core::run::{CancelRequest, Run, RunState};
use tidemill_core::{Fuel, Timestamp, batch, failpoint};
use tidemill_engine::{Effects, PendingCommit};
use tidemill_store::StoreError;
use tidemill_store::records::{CommitStart, FailedPart, FailureRecord, LogLine, RunCommit, RunCommitResult};

use crate::control_plane::HostState;
use crate::deployment::contended_keys::KeyTurn;
use crate::error::ControlError;
use crate::run::children;
use crate::run::execution::channel::DrainedOutput;
use crate::run::execution::{Execution, HOLD};

/// The log lines that the end of a run keeps if its commit was too large: as many as these, and as these bytes of text.
const LINES_OF_END: usize = 1_000;
const BYTES_OF_END: usize = 1 << 20;

/// What one commit of a run is to leave, beside what it said and recorded.
pub(crate) struct RunChanges {
    /// The record as it is to stand.
    pub(crate) run: Run,
    pub(crate) effects: Effects,
    pub(crate) output: Option<Bytes>,
    pub(crate) watermark: Option<Timestamp>,
    /// The input of the next generation.
    pub(crate) input: Option<Bytes>,
    pub(crate) now: Timestamp,
    /// Failures of the run that are to be kept.
    pub(crate) failures: Vec<FailureRecord>,
}

impl RunChanges {
    /// Nothing but the record.
    pub(crate) fn record(run: Run, now: Timestamp) -> Self {
        let (effects, failures) = (Effects::default(), Vec::new());
        Self { run, effects, output: None, watermark: None, input: None, now, failures }
    }
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CommitResult {
    /// It took hold, and this is the record as it stands.
    Committed(Box<Run>),
    /// Something that was read has changed; nothing of it happened.
    Conflict,
    /// The idempotency key is another's; nothing of it happened.
    KeyTaken,
}

impl Execution {
    /// Takes note of what a guest has recorded up to here.
    pub(crate) fn note(&mut self, stretched: &mut PendingCommit) {
        self.note_change(stretched.journal.take());
        self.head = stretched.head.take();
        self.run.fuel = Fuel::new(self.fuel_base.get().saturating_add(stretched.fuel.get()));
        self.run.peak_memory = self.run.peak_memory.max(stretched.peak_memory);
        self.on_commit_point(stretched.journal_entries);
        if stretched.told {
            self.note_cancel_notice(self.now());
        }
    }

    /// Takes note that the guest knows of its cancellation. The store knows since when that was asked for.
    pub(crate) fn note_cancel_notice(&mut self, now: Timestamp) {
        let asked = CancelRequest { at: now, terminate: false, told: true };
        self.run.cancel.get_or_insert(asked).told = true;
    }

    /// What is to be written of the journal, beside what is to be written already.
    pub(crate) fn note_change(&mut self, change: Option<JournalChange>) {
        self.unsaved = merge(self.unsaved.take(), change);
    }

    /// A run that has got any further is no suspect any more.
    pub(crate) fn on_commit_point(&mut self, entries: u64) {
        if entries > self.run.journal_entries {
            self.run.takeovers = 0;
        }
        self.run.journal_entries = entries;
    }

    /// Commits all of it, with what was recorded and said. Where the store knows the run, what the machine fails is tried again
    /// until it is done or the host shuts down, as the run can be nowhere else meanwhile; what can never be committed
    /// parks the run instead, where `last` says that it is out of hand then.
    ///
    /// # Errors
    /// What the store refuses for good; of a run that it does not know yet, anything.
    pub(crate) async fn commit_changes(&mut self, leaves: RunChanges, last: bool) -> Result<CommitResult, StoreError> {
        let RunChanges { mut run, effects, output, watermark, input, now, failures: ended_with } = leaves;
        // Replay is given what the collection began with, wherever the stream stands by then.
        let given = self.collects.clone().filter(|_| run.journal_entries > 0 && !run.state.has_ended());
        let input = input.or(given);
        let logs = self.drain_channel();
        let said = self.sink.take_failures();
        run.progress.clone_from(&self.run.progress);
        run.status.clone_from(&self.run.status);
        let writes = !effects.writes.is_empty() || !effects.postings.is_empty();
        let journal = self.unsaved.take();
        // What a refused commit must not lose; empty, and so for nothing, where nothing can refuse it.
        let refusable = !(effects.reads.is_empty() && effects.postings.is_empty() && effects.starts.is_empty());
        let kept = (journal.clone(), if refusable { logs.clone() } else { Vec::new() });
        let commit = RunCommit {
            begins: if self.fresh { CommitStart::Fresh { input: self.input.clone() } } else { CommitStart::Continues },
            reads: effects.reads,
            writes: effects.writes,
            postings: effects.postings,
            starts: children::requests(&self.host, &run, effects.starts),
            signals: effects.signals.into_iter().map(children::signal).collect(),
            events: effects.events.into_iter().map(children::event).collect(),
            taken: effects.taken,
            cancels: effects.cancels,
            observed: effects.observed,
            journal,
            head: self.head.clone(),
            input: input.clone(),
            logs,
            failures: said.iter().cloned().chain(ended_with).collect(),
            output,
            watermark,
            ..RunCommit::of(self.host.owner.clone(), run, now)
        };
        let starts: Vec<_> = commit.starts.iter().map(|start| start.deployment.clone()).collect();
        let samples = effects.samples;
        let in_turn = if commit.reads.is_empty() { Vec::new() } else { self.sink.take_turns() };
        let turn = if writes && self.hold.is_none() { self.commit_turn().await } else { None };
        failpoint::hit("run/commit");
        let watch = Stopwatch::start();
        let done = if self.fresh {
            self.commit_first(commit, in_turn, last).await
        } else {
            self.commit_with_retry(commit, in_turn, last).await
        };
        drop(turn);
        failpoint::hit("run/committed");
        match done {
            Ok((RunCommitResult::Done(mut caused), run)) => {
                self.host.metrics.commits.observe(watch.elapsed().as_secs_f64());
                if self.fresh {
                    self.on_first_commit();
                }
                // One whose cancellation was asked for is cancelled instead of parked.
                let own = caused.settled.iter().position(|settled| settled.id == run.id);
                let run = own.map_or(run, |own| caused.settled.swap_remove(own));
                self.stored_head = self.head.clone();
                if let Some(input) = input {
                    self.input = input;
                }
                children::count(&self.host, starts);
                let (metrics, dropped) = samples.into_metrics();
                self.host.metrics.guest.commit(run.deployment.as_str(), metrics, dropped);
                self.host.apply_effects(caused);
                Ok(CommitResult::Committed(Box::new(run)))
            }
            Ok((RunCommitResult::Conflict { what, key, .. }, _)) => {
                if let Some(key) = key {
                    self.live.turns.contended(key);
                }
                tracing::debug!(run = %self.run.id, what, refusals = self.refusals, "a stretch is done again");
                self.give_back(kept, said);
                Ok(CommitResult::Conflict)
            }
            Ok((RunCommitResult::KeyTaken(_), _)) => Ok(CommitResult::KeyTaken),
            Err(error) => {
                self.give_back(kept, said);
                Err(error)
            }
        }
    }

    /// What a refused commit did not keep goes along with the next.
    fn give_back(&mut self, (journal, logs): (Option<JournalChange>, Vec<LogLine>), failures: Vec<FailureRecord>) {
        self.unsaved = journal;
        self.sink.give_back(DrainedOutput { logs, ..DrainedOutput::default() });
        self.sink.give_back_failures(failures);
    }

    /// Saves what was said and what the open stretch has recorded; where the store cannot, it goes along later. Says whether it
    /// is saved.
    pub(crate) async fn save(&mut self) -> bool {
        let logs = self.drain_channel();
        let journal = self.unsaved.take();
        failpoint::hit("run/save");
        let saved = if journal.is_none() && self.head == self.stored_head {
            self.host.store.save_progress(&self.host.owner, &self.run, logs.clone()).await
        } else {
            let head = self.head.clone();
            self.host.store.save(&self.host.owner, &self.run, journal.clone(), head, logs.clone()).await
        };
        failpoint::hit("run/saved");
        match saved {
            Ok(()) => {
                self.stored_head = self.head.clone();
                true
            }
            Err(error) => {
                self.unsaved = journal;
                self.host.store_failed(&error);
                if error.is_transient() {
                    self.sink.give_back(DrainedOutput { logs, ..DrainedOutput::default() });
                }
                false
            }
        }
    }

    /// What was said, the log lines for a commit and the rest into the record.
    fn drain_channel(&mut self) -> Vec<LogLine> {
        let DrainedOutput { logs, progress, status } = self.sink.take();
        if progress.is_some() {
            self.run.progress = progress;
        }
        if status.is_some() {
            self.run.status = status;
        }
        logs
    }

    fn on_first_commit(&mut self) {
        self.fresh = false;
        self.host.going.add(self.run.id, std::sync::Arc::clone(&self.handle));
        self.sink.set_visible();
    }

    /// A turn among those who write, where one of them has asked to be alone; at most a second is waited for it.
    async fn commit_turn(&self) -> Option<tokio::sync::OwnedRwLockReadGuard<()>> {
        let lock = std::sync::Arc::clone(&self.live.contention);
        if let Ok(guard) = std::sync::Arc::clone(&lock).try_read_owned() {
            return Some(guard);
        }
        tokio::time::timeout(HOLD, lock.read_owned()).await.ok()
    }

    /// Commits a run that the store does not know yet; answers with the record as it stands then. It is given up at the first failure of
    /// the machine: its caller can ask again.
    async fn commit_first(
        &self,
        commit: RunCommit,
        in_turn: Vec<KeyTurn>,
        last: bool,
    ) -> Result<(RunCommitResult, Run), StoreError> {
        // What is left of it if it can never be committed. Effects, journal and output are not copied.
        let rest = RunCommit {
            begins: commit.begins.clone(),
            logs: commit.logs.clone(),
            failures: commit.failures.clone(),
            ..RunCommit::of(commit.owner.clone(), commit.run.clone(), commit.now)
        };
        match self.host.commit_in_turn(commit, in_turn).await {
            Ok(committed) => Ok((committed, rest.run)),
            Err(error) if last && is_of_commit(&error) => {
                let rest = Box::pin(self.without_effects(rest, error)).await?;
                let run = rest.run.clone();
                Ok((self.host.store.commit_stretch(rest).await?, run))
            }
            Err(error) => Err(error),
        }
    }

    /// Commits a run that the store knows; answers with the record as it stands then.
    async fn commit_with_retry(
        &self,
        mut commit: RunCommit,
        mut in_turn: Vec<KeyTurn>,
        last: bool,
    ) -> Result<(RunCommitResult, Run), StoreError> {
        let (mut failures, mut set_aside) = (0, false);
        loop {
            match self.host.commit_in_turn(commit.clone(), std::mem::take(&mut in_turn)).await {
                Ok(committed) => return Ok((committed, commit.run)),
                Err(error) if last && !set_aside && is_of_commit(&error) => {
                    set_aside = true;
                    commit = Box::pin(self.without_effects(commit, error)).await?;
                }
                Err(error) if error.is_transient() => {
                    failures += 1;
                    self.host.store_failed(&error);
                    if self.host.is_closed() {
                        return Err(error);
                    }
                    self.host.pause_after_failure(failures).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The end of a run whose last commit can never be made: nothing of it takes hold, and the run keeps why.
    async fn without_effects(&self, commit: RunCommit, error: StoreError) -> Result<RunCommit, StoreError> {
        let error = ControlError::from(error);
        let failure = error.code().failure(error.to_string());
        tracing::warn!(run = %commit.run.id, code = %error.code(), %error, "the end of a run could not be committed");
        let RunCommit { owner, begins, mut run, mut logs, mut failures, now, .. } = commit;
        let child = run.trigger.parent.is_some();
        let then =
            self.live.plan.retry.then.unwrap_or(if child { ExhaustionPolicy::Fail } else { ExhaustionPolicy::Park });
        let (state, part) = match (&run.state, then) {
            (RunState::Cancelled, _) => (RunState::Cancelled, FailedPart::Cancellation),
            (_, ExhaustionPolicy::Park) => (RunState::Parked(failure.clone()), FailedPart::Attempt),
            (_, ExhaustionPolicy::Fail) => (RunState::Failed(failure.clone()), FailedPart::Attempt),
        };
        run.state = state;
        run.ended_at = run.state.has_ended().then_some(now);
        // The store has only what was saved before. A run that it does not know has nothing there.
        let stored = if self.fresh { None } else { self.host.store.run(run.id).await? };
        run.journal_entries = stored.map_or(0, |stored| stored.journal_entries);
        logs.truncate(batch::head(&logs, LINES_OF_END, BYTES_OF_END, |line| line.message.len()));
        failures.push(FailureRecord { at: now, attempt: run.attempt, part, failure }.bounded());
        let head = self.stored_head.clone();
        Ok(RunCommit { begins, logs, failures, head, ..RunCommit::of(owner, run, now) })
    }
}

/// Whether a commit was refused for what it holds, so that the same would be refused again, and another may be taken.
pub(crate) const fn is_of_commit(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::TooLarge(_)
            | StoreError::InboxFull { .. }
            | StoreError::OverBound { .. }
            | StoreError::QueueFull { .. }
            | StoreError::NotFound { .. }
            | StoreError::IllegalTransition(_)
    )
}

impl HostState {
    /// Commits a stretch; the turns are handed on as soon as others can read what it wrote.
    fn commit_in_turn(
        &self,
        commit: RunCommit,
        turns: Vec<KeyTurn>,
    ) -> impl Future<Output = Result<RunCommitResult, StoreError>> + Send {
        if turns.is_empty() {
            self.store.commit_stretch(commit)
        } else {
            self.store.commit_stretch_in_turn(commit, Box::new(turns))
        }
    }
}

/// What must be written where `first` was to be written, and then `next`: chunks that both name are the later one's.
fn merge(first: Option<JournalChange>, next: Option<JournalChange>) -> Option<JournalChange> {
    match (first, next) {
        (Some(mut first), Some(next)) if next.from >= first.from => {
            let kept = usize::try_from(next.from - first.from).unwrap_or(usize::MAX);
            first.chunks.truncate(kept);
            first.chunks.extend(next.chunks);
            Some(first)
        }
        (first, next) => next.or(first),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is stored after a change.
    fn apply(stored: &mut Vec<Bytes>, change: &JournalChange) {
        stored.truncate(usize::try_from(change.from).unwrap());
        stored.extend(change.chunks.iter().cloned());
    }

    proptest! {
        #[test]
        fn a_change_that_was_not_written_is_made_good_by_the_next(
            changes in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..4)), 1..20),
            unwritten in prop::collection::vec(any::<bool>(), 20),
        ) {
            let (mut believed, mut stored, mut unsaved) = (Vec::new(), Vec::new(), None);
            for ((from, bytes), unwritten) in changes.into_iter().zip(unwritten) {
                let chunks = bytes.into_iter().map(|byte| Bytes::from(vec![byte])).collect();
                let change = JournalChange { from: u32::try_from(from.index(believed.len() + 1)).unwrap(), chunks };
                apply(&mut believed, &change);
                unsaved = merge(unsaved, Some(change));
                if !unwritten {
                    apply(&mut stored, &unsaved.take().unwrap());
                    prop_assert_eq!(&stored, &believed);
                }
            }
        }
    }
}
