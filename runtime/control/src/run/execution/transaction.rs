//! Writes a run's work to the store: at a commit point, at its end, or saved without effects.
//!
//! Invariant: `unsaved` is the part of the journal that the guest considers written and that is
//! not. The next write includes it, whatever the result of this one, so that a conflict or a store
//! failure leaves no gap.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use tidemill_core::clock::Stopwatch;
use tidemill_core::journal::JournalChange;
use tidemill_core::retry::ExhaustionPolicy;
use tidemill_core::run::{CancelRequest, Run, RunState};
use tidemill_core::{DeploymentName, Fuel, Timestamp, batch, failpoint};
use tidemill_engine::{Effects, MetricSamples, PendingCommit};
use tidemill_store::StoreError;
use tidemill_store::records::{CommitStart, FailedPart, FailureRecord, LogLine, RunCommit, RunCommitResult};
use tracing::Instrument as _;

use crate::deployment::contended_keys::KeyTurn;
use crate::error::ControlError;
use crate::run::children;
use crate::run::execution::channel::DrainedOutput;
use crate::run::execution::{EXCLUSIVE_MAX, Execution};

/// Maximum number of log lines kept at the end of a run whose commit was too large.
const END_LOG_LINES: usize = 1_000;
/// Maximum size of their text, in bytes.
const END_LOG_BYTES: usize = 1 << 20;

/// The changes of one commit of a run, besides its journal and buffered output.
pub(crate) struct RunChanges {
    /// The run's new record.
    pub(crate) run: Run,
    pub(crate) effects: Effects,
    pub(crate) output: Option<Bytes>,
    pub(crate) watermark: Option<Timestamp>,
    /// The input of the next generation.
    pub(crate) input: Option<Bytes>,
    pub(crate) now: Timestamp,
    /// Failures to record.
    pub(crate) failures: Vec<FailureRecord>,
}

impl RunChanges {
    /// Returns changes of the record alone.
    pub(crate) fn record(run: Run, now: Timestamp) -> Self {
        let (effects, failures) = (Effects::default(), Vec::new());
        Self { run, effects, output: None, watermark: None, input: None, now, failures }
    }
}

/// A commit that is ready to be sent to the store, with what a refusal must not lose.
struct OpenCommit {
    /// On the heap, because the futures that pass it on are copied with each run.
    commit: Box<RunCommit>,
    /// The turns on contended keys that the commit passes on.
    turns: Vec<KeyTurn>,
    /// Whether it writes to the deployment's state or to the ledger.
    writes: bool,
    /// The deployments of the runs that it starts.
    starts: Vec<DeploymentName>,
    samples: MetricSamples,
    /// The input of the next generation.
    input: Option<Bytes>,
    unwritten: UnwrittenOutput,
}

/// What a refused commit did not write, for the next one.
struct UnwrittenOutput {
    journal: Option<JournalChange>,
    logs: Vec<LogLine>,
    failures: Vec<FailureRecord>,
}

/// The result of a commit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CommitResult {
    /// Committed; this is the record after it.
    Committed(Box<Run>),
    /// A value that was read has changed; nothing was committed.
    Conflict,
    /// Another run has the idempotency key; nothing was committed.
    KeyTaken,
}

impl Execution {
    /// Records the progress of a guest up to a commit point.
    pub(crate) fn record_progress(&mut self, pending: &mut PendingCommit) {
        self.add_unsaved(pending.journal.take());
        self.snapshot = pending.snapshot.take();
        self.run.fuel = Fuel::new(self.fuel_base.get().saturating_add(pending.fuel.get()));
        self.run.peak_memory = self.run.peak_memory.max(pending.peak_memory);
        self.on_commit_point(pending.journal_entries);
        if pending.notified {
            self.note_cancel_notice(self.now());
        }
    }

    /// Records that the guest knows of its cancellation. The store has the time of the request.
    pub(crate) fn note_cancel_notice(&mut self, now: Timestamp) {
        let cancel = CancelRequest { at: now, terminate: false, notified: true };
        self.run.cancel.get_or_insert(cancel).notified = true;
    }

    /// Adds a change to the part of the journal that must be written.
    pub(crate) fn add_unsaved(&mut self, change: Option<JournalChange>) {
        self.unsaved = merge(self.unsaved.take(), change);
    }

    /// Records the length of the journal. A run that has made progress is no crash suspect any
    /// more.
    pub(crate) fn on_commit_point(&mut self, entries: u64) {
        if entries > self.run.journal_entries {
            self.run.takeovers = 0;
        }
        self.run.journal_entries = entries;
    }

    /// Commits `changes` together with the unsaved journal and the guest's buffered output. If the
    /// store knows the run, transient failures are retried until the commit succeeds or the host
    /// shuts down, because no other process may execute the run. With `last`, a commit that can
    /// never succeed ends the run without effects instead.
    ///
    /// # Example
    /// Runs A and B of one deployment both read `n` = 1 in version 7 and write `n` = 2.
    ///
    /// 1. A commits first. The store finds `n` still in version 7 and commits everything in one
    ///    batch; `n` is now 2 in version 8. The method returns `Committed`.
    /// 2. B's commit still names version 7 as read. The store refuses all of it, and `n` becomes a
    ///    contended key.
    /// 3. `give_back` restores B's unsaved journal, its log lines and its failures. The method
    ///    returns `Conflict`, and the caller executes B's transaction again. B reads 2 and writes
    ///    3.
    /// 4. After [`MAX_CONFLICTS`](super::MAX_CONFLICTS) conflicts B takes the deployment's write
    ///    lock. Other writers then wait, so that B is not starved.
    ///
    /// # Invariants
    /// - A commit takes effect completely or not at all.
    /// - A conflict loses no journal entry, log line or failure; only the effects are discarded.
    /// - State in memory (visibility, counters, effects on other runs) changes only after the
    ///   commit.
    /// - The turns on contended keys are passed on as soon as other runs can read the new values.
    ///
    /// # Errors
    /// What the store refuses permanently; for a run that it does not know yet, every failure.
    pub(crate) fn commit_changes(
        &mut self,
        changes: RunChanges,
        last: bool,
    ) -> impl Future<Output = Result<CommitResult, StoreError>> + Send {
        let open = self.open_commit(changes);
        self.commit_open(open, last)
    }

    /// Takes everything that the next commit writes.
    fn open_commit(&mut self, changes: RunChanges) -> OpenCommit {
        let RunChanges { mut run, effects, output, watermark, input, now, failures: ended_with } = changes;
        // A replay must receive the period that the collection started with, wherever the stream is
        // by then.
        let given = self.collects.clone().filter(|_| run.journal_entries > 0 && !run.state.has_ended());
        let input = input.or(given);
        let logs = self.drain_channel();
        let failures = self.sink.take_failures();
        run.progress.clone_from(&self.run.progress);
        run.status.clone_from(&self.run.status);
        let writes = !effects.writes.is_empty() || !effects.postings.is_empty();
        let journal = self.unsaved.take();
        // Logs are copied only if the commit can be refused.
        let refusable = !(effects.reads.is_empty() && effects.postings.is_empty() && effects.starts.is_empty());
        let unwritten = UnwrittenOutput {
            journal: journal.clone(),
            logs: if refusable { logs.clone() } else { Vec::new() },
            failures: failures.clone(),
        };
        let stream_fuel = (run.state.has_ended() && self.plan.grants.ledger).then_some(run.fuel);
        let commit = Box::new(RunCommit {
            stream_fuel,
            begins: if self.fresh { CommitStart::Fresh { input: self.input.clone() } } else { CommitStart::Continues },
            reads: effects.reads,
            writes: effects.writes,
            postings: effects.postings,
            keep_evidence_millis: self.plan.ledger.keep_evidence_millis,
            leaves_out_duplicates: self.refusal.is_some(),
            id_conflicts: effects.id_conflicts,
            starts: children::requests(&self.host, &run, effects.starts),
            signals: effects.signals,
            events: effects.events,
            taken: effects.taken,
            cancels: effects.cancels,
            observed: effects.observed,
            journal,
            snapshot: self.snapshot.clone(),
            customer: input.as_ref().and_then(|input| self.live.plan.fuel_customer(input)),
            input: input.clone(),
            logs,
            failures: failures.into_iter().chain(ended_with).collect(),
            output,
            watermark,
            ..RunCommit::of(self.host.owner.clone(), run, now)
        });
        let starts = commit.starts.iter().map(|start| start.deployment.clone()).collect();
        let turns = if commit.reads.is_empty() { Vec::new() } else { self.sink.take_turns() };
        OpenCommit { commit, turns, writes, starts, samples: effects.samples, input, unwritten }
    }

    async fn commit_open(&mut self, open: OpenCommit, last: bool) -> Result<CommitResult, StoreError> {
        let OpenCommit { commit, turns, writes, starts, samples, input, unwritten } = open;
        let shared = if writes && self.hold.is_none() { self.acquire_shared_commit().await } else { None };
        failpoint::hit("run/commit");
        let watch = Stopwatch::start();
        let done = self.send_commit(commit, turns, last).instrument(tracing::debug_span!("commit")).await;
        drop(shared);
        failpoint::hit("run/committed");
        match done {
            Ok((RunCommitResult::Done(mut caused), run)) => {
                self.host.metrics.observe_commit(watch.elapsed());
                if self.fresh {
                    self.on_first_commit();
                }
                // If its cancellation was requested, the store cancels the run instead of parking
                // it.
                let own = caused.settled.iter().position(|settled| settled.id == run.id);
                let run = own.map_or(run, |own| Box::new(caused.settled.swap_remove(own)));
                self.stored_snapshot = self.snapshot.clone();
                if let Some(input) = input {
                    self.input = input;
                }
                self.host.admission.count_queued(&starts);
                let (metrics, dropped) = samples.into_metrics();
                self.host.metrics.guest.commit(run.deployment.as_str(), metrics, dropped);
                self.host.effects.apply(caused);
                Ok(CommitResult::Committed(run))
            }
            Ok((RunCommitResult::Conflict { what, key, refusal, .. }, _)) => {
                if let Some(key) = key {
                    self.live.turns.mark_contended(key);
                }
                tracing::debug!(run = %self.run.id, what, conflicts = self.conflicts, "retrying transaction after a conflict");
                self.give_back(unwritten);
                self.refusal = refusal;
                Ok(CommitResult::Conflict)
            }
            Ok((RunCommitResult::KeyTaken(_), _)) => Ok(CommitResult::KeyTaken),
            Err(error) => {
                self.give_back(unwritten);
                Err(error)
            }
        }
    }

    /// Restores what a refused commit did not write, for the next one.
    fn give_back(&mut self, unwritten: UnwrittenOutput) {
        let UnwrittenOutput { journal, logs, failures } = unwritten;
        self.unsaved = journal;
        self.sink.give_back(DrainedOutput { logs, ..DrainedOutput::default() });
        self.sink.give_back_failures(failures);
    }

    /// Saves buffered output and what the open transaction has recorded. If the store fails, a
    /// later write includes it. Returns whether it was saved.
    pub(crate) async fn save(&mut self) -> bool {
        let logs = self.drain_channel();
        let journal = self.unsaved.take();
        failpoint::hit("run/save");
        let saved = if journal.is_none() && self.snapshot == self.stored_snapshot {
            self.host.store.save_progress(&self.host.owner, &self.run, logs.clone()).await
        } else {
            let snapshot = self.snapshot.clone();
            self.host.store.save(&self.host.owner, &self.run, journal.clone(), snapshot, logs.clone()).await
        };
        failpoint::hit("run/saved");
        match saved {
            Ok(()) => {
                self.stored_snapshot = self.snapshot.clone();
                true
            }
            Err(error) => {
                self.unsaved = journal;
                self.host.store_failures.record(&error);
                if error.is_transient() {
                    self.sink.give_back(DrainedOutput { logs, ..DrainedOutput::default() });
                }
                false
            }
        }
    }

    /// Takes the buffered output: returns the log lines, and puts the rest into the record.
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
        self.host.runs.registry.add(self.run.id, std::sync::Arc::clone(&self.handle));
        self.sink.set_visible();
    }

    /// Waits at most [`EXCLUSIVE_MAX`] for the shared write lock, which another run may hold
    /// exclusively.
    async fn acquire_shared_commit(&self) -> Option<tokio::sync::OwnedRwLockReadGuard<()>> {
        let lock = std::sync::Arc::clone(&self.live.contention);
        if let Ok(guard) = std::sync::Arc::clone(&lock).try_read_owned() {
            return Some(guard);
        }
        tokio::time::timeout(EXCLUSIVE_MAX, lock.read_owned()).await.ok()
    }

    /// Sends a commit to the store, and returns the record of the run.
    async fn send_commit(
        &self,
        commit: Box<RunCommit>,
        turns: Vec<KeyTurn>,
        last: bool,
    ) -> Result<(RunCommitResult, Box<Run>), StoreError> {
        let done = match self.fresh {
            true => self.commit_first(commit, turns, last).await?,
            false => self.commit_with_retry(commit, turns, last).await?,
        };
        if let RunCommitResult::Done(_) = done.0 {
            tracing::debug!(state = done.1.state.name(), "committed run");
        }
        Ok(done)
    }

    /// Commits a run that the store does not know yet, and returns its record. The first failure of
    /// the store ends it, because its caller can retry.
    async fn commit_first(
        &self,
        commit: Box<RunCommit>,
        turns: Vec<KeyTurn>,
        last: bool,
    ) -> Result<(RunCommitResult, Box<Run>), StoreError> {
        // What is kept if it can never be committed. Effects, journal and output are not copied.
        let rest = Box::new(RunCommit {
            begins: commit.begins.clone(),
            logs: commit.logs.clone(),
            failures: commit.failures.clone(),
            ..RunCommit::of(commit.owner.clone(), commit.run.clone(), commit.now)
        });
        match self.commit_once(commit, turns).await {
            Ok(committed) => Ok((committed, Box::new(rest.run))),
            Err(error) if last && is_permanent_refusal(&error) => {
                let rest = self.without_effects(rest, error).await?;
                let run = Box::new(rest.run.clone());
                Ok((self.host.store.commit_run(*rest).await?, run))
            }
            Err(error) => Err(error),
        }
    }

    /// Commits a run that the store knows, and returns its record.
    async fn commit_with_retry(
        &self,
        mut commit: Box<RunCommit>,
        mut turns: Vec<KeyTurn>,
        last: bool,
    ) -> Result<(RunCommitResult, Box<Run>), StoreError> {
        let (mut failures, mut set_aside) = (0, false);
        loop {
            match self.commit_once(commit.clone(), std::mem::take(&mut turns)).await {
                Ok(committed) => return Ok((committed, Box::new(commit.run))),
                Err(error) if last && !set_aside && is_permanent_refusal(&error) => {
                    set_aside = true;
                    commit = self.without_effects(commit, error).await?;
                }
                Err(error) if error.is_transient() => {
                    failures += 1;
                    self.host.store_failures.record(&error);
                    if self.host.shutdown.is_closing() {
                        return Err(error);
                    }
                    self.host.shutdown.back_off(failures).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Commits once. The turns are passed on as soon as other runs can read what it wrote.
    ///
    /// # Errors
    /// Also a conflict of the same effect as the last time. An executed call sees the present
    /// state, so the effect is one of a step that ended before the transaction began. The step is
    /// not executed again, so the effect would be refused for ever.
    async fn commit_once(&self, commit: Box<RunCommit>, turns: Vec<KeyTurn>) -> Result<RunCommitResult, StoreError> {
        let committed = match turns.is_empty() {
            true => self.host.store.commit_run(*commit).await?,
            false => Box::pin(self.commit_in_turn(commit, turns)).await?,
        };
        match committed {
            RunCommitResult::Conflict { refusal: Some(refusal), .. } if self.refusal.as_ref() == Some(&refusal) => {
                Err(*refusal)
            }
            committed => Ok(committed),
        }
    }

    /// Commits a run that has turns, after the commits whose values it has read.
    async fn commit_in_turn(
        &self,
        commit: Box<RunCommit>,
        mut turns: Vec<KeyTurn>,
    ) -> Result<RunCommitResult, StoreError> {
        for turn in &mut turns {
            turn.wait_for_predecessor().await;
        }
        let submissions: Vec<_> = turns.iter_mut().filter_map(KeyTurn::take_submission).collect();
        let mut committing = self.host.store.commit_run_guarded(*commit, Box::new(turns));
        // The first poll puts the commit into the store's queue.
        let first = poll_fn(|context| Poll::Ready(committing.as_mut().poll(context))).await;
        drop(submissions);
        match first {
            Poll::Ready(committed) => committed,
            Poll::Pending => committing.await,
        }
    }

    /// Returns the end of a run whose last commit can never succeed: it has no effects, and the run
    /// records why.
    async fn without_effects(&self, commit: Box<RunCommit>, error: StoreError) -> Result<Box<RunCommit>, StoreError> {
        let error = ControlError::from(error);
        let failure = error.code().failure(error.to_string());
        tracing::warn!(run = %commit.run.id, code = %error.code(), %error, "could not commit the end of a run");
        let RunCommit { owner, begins, mut run, mut logs, mut failures, now, .. } = *commit;
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
        // The store has only what was saved before; of an unknown run, nothing.
        let stored = if self.fresh { None } else { self.host.store.run(run.id).await? };
        run.journal_entries = stored.map_or(0, |stored| stored.journal_entries);
        logs.truncate(batch::head(&logs, END_LOG_LINES, END_LOG_BYTES, |line| line.message.len()));
        failures.push(FailureRecord { at: now, attempt: run.attempt, part, failure }.bounded());
        let snapshot = self.stored_snapshot.clone();
        Ok(Box::new(RunCommit { begins, logs, failures, snapshot, ..RunCommit::of(owner, run, now) }))
    }
}

/// Returns whether a commit was refused for its content: it would be refused again, and a smaller
/// one may be accepted.
pub(crate) const fn is_permanent_refusal(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::TooLarge(_)
            | StoreError::InboxFull { .. }
            | StoreError::OverBound { .. }
            | StoreError::QueueFull { .. }
            | StoreError::NotFound { .. }
            | StoreError::IllegalTransition(_)
            | StoreError::ExternalIdTaken { .. }
            | StoreError::EffectImpossible { .. }
            | StoreError::KeyMismatch { .. }
            | StoreError::KeyOutlivesRun { .. }
    )
}

/// Merges two unwritten changes. Chunks in both are taken from the later one.
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

    /// Applies a change to stored chunks.
    fn apply(stored: &mut Vec<Bytes>, change: &JournalChange) {
        stored.truncate(usize::try_from(change.from).unwrap());
        stored.extend(change.chunks.iter().cloned());
    }

    proptest! {
        #[test]
        fn unwritten_changes_are_written_by_the_next(
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
