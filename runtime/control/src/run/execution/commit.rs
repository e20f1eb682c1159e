//! The end of an attempt: one commit with all its changes, or a retry of its last transaction.

use tidemill_core::journal::{JournalChange, Position};
use tidemill_core::run::{Run, RunEvent, RunState, TriggerKind};
use tidemill_core::{Failure, Timestamp};
use tidemill_engine::{ActivationResult, Checkpoint, Outcome, Urgency};
use tidemill_store::StoreError;
use tidemill_store::records::{FailedPart, FailureRecord};

use crate::deployment::breaker::AttemptEvidence;
use crate::metrics::AttemptEnd;
use crate::run::execution::evidence::evidence;
use crate::run::execution::transaction::{CommitResult, RunChanges};
use crate::run::execution::verdict::{AttemptContext, AttemptVerdict, CancelStage, verdict};
use crate::run::execution::{Execution, ExecutionEnd, ExecutionStep};

/// What the end of an attempt commits, and where to continue if the commit conflicts.
struct AttemptConclusion {
    verdict: AttemptVerdict,
    changes: Box<RunChanges>,
    /// Where a repetition of the last transaction begins.
    again: Checkpoint,
    /// The position to which the commit keeps the journal.
    left_to: Position,
}

impl Execution {
    /// Commits the result of an activation. Returns if the transaction must be executed again after
    /// a conflict.
    pub(crate) async fn commit(&mut self, ended: Box<ActivationResult>) -> ExecutionStep {
        let AttemptConclusion { verdict, changes, again, left_to } = self.conclude(*ended)?;
        self.end(&verdict, changes).await?;
        if let Some(journal) = &mut self.journal {
            // If a retry keeps less than the transaction started with, it starts there.
            if again.journal_to <= left_to {
                journal.truncate(again.journal_to);
                self.snapshot = again.snapshot;
            }
            let change = journal.change();
            self.add_unsaved(change);
        }
        ExecutionStep::Continue(())
    }

    /// Decides what follows from the result of an activation.
    fn conclude(&mut self, ended: ActivationResult) -> ExecutionStep<AttemptConclusion> {
        let now = self.now();
        if ended.notified {
            self.note_cancel_notice(now);
        }
        let cancelled = self.cancel_stage(ended.notified);
        let ActivationResult { outcome, all, kept, again, journal, next_attempt, .. } = ended;
        let mut verdict = verdict(
            &outcome,
            AttemptContext {
                number: self.run.attempt,
                retry: &self.live.plan.retry,
                child: self.run.trigger.parent.is_some(),
                cancelled,
                nothing_again: journal.is_some() && kept.journal_to == all.journal_to,
                overran: self.overran.then(|| self.lifetime_millis().unwrap_or_default()),
                next: next_attempt,
                now,
                random: rand::random(),
            },
        );
        verdict.evidence = evidence(&outcome, verdict.how, cancelled.is_some(), self.overran, next_attempt);
        let left = if verdict.effects { all } else { kept };
        let left_to = left.journal_to;
        match journal {
            Some(mut journal) => {
                journal.truncate(left.journal_to);
                self.add_unsaved(journal.change());
                self.snapshot = left.snapshot;
                self.on_commit_point(journal.entries());
                self.journal = Some(journal);
            }
            // The stored state stays as it is.
            None => self.snapshot.clone_from(&self.stored_snapshot),
        }
        let (output, input) = match (outcome, verdict.how) {
            (Outcome::Output(output), AttemptEnd::Succeeded) => (Some(output), None),
            (Outcome::ContinueAsNew { input }, AttemptEnd::Continued) => (None, Some(input)),
            _ => (None, None),
        };
        if input.is_some() {
            // The journal of this generation is deleted, so nothing of it needs to be written.
            self.unsaved = Some(JournalChange { from: 0, chunks: Vec::new() });
            self.snapshot = None;
        }
        let watermark = self.collected_to.filter(|_| verdict.event == RunEvent::Succeeded);
        let run = self.record(&verdict, now)?;
        let failures = self.failures_of(&verdict, now);
        let changes = Box::new(RunChanges { run, effects: left.effects, output, watermark, input, now, failures });
        ExecutionStep::Continue(AttemptConclusion { verdict, changes, again, left_to })
    }

    /// Returns how far the run's cancellation has come. `known` is whether the guest knows of it.
    fn cancel_stage(&self, known: bool) -> Option<CancelStage> {
        let stopped = self.handle.cancel.urgency() == Urgency::Now && !self.overran;
        self.handle.was_notified().then_some(match (stopped, known) {
            (true, _) => CancelStage::Terminated,
            (false, true) => CancelStage::Notified,
            (false, false) => CancelStage::Requested,
        })
    }

    fn failures_of(&self, verdict: &AttemptVerdict, now: Timestamp) -> Vec<FailureRecord> {
        let record = |(part, failure): &(FailedPart, Failure)| {
            let (part, failure) = (part.clone(), failure.clone());
            FailureRecord { at: now, attempt: self.run.attempt, part, failure }.bounded()
        };
        verdict.failed.as_deref().map(record).into_iter().collect()
    }

    /// Returns the run to the queue with what was saved of this attempt. It cannot be claimed again
    /// for `pause` milliseconds.
    pub(crate) async fn hand_back(&mut self, pause: u64) -> ExecutionStep {
        let now = self.now();
        self.end_without_effects(RunEvent::Requeued { not_before: now.plus_millis(pause) }, AttemptEnd::HandedBack, now)
            .await
    }

    /// Cancels the run without executing it further.
    pub(crate) async fn cancel_without_notice(&mut self) -> ExecutionStep {
        let now = self.now();
        self.end_without_effects(RunEvent::Cancelled, AttemptEnd::Cancelled, now).await
    }

    async fn end_without_effects(&mut self, event: RunEvent, how: AttemptEnd, now: Timestamp) -> ExecutionStep {
        let verdict = AttemptVerdict::of(event, how);
        let run = self.record(&verdict, now)?;
        self.end(&verdict, Box::new(RunChanges::record(run, now))).await
    }

    /// Returns the run's own time, which is never before its start.
    pub(crate) fn now(&self) -> Timestamp {
        self.host.clock.now().max(self.run.started_at.unwrap_or_default())
    }

    /// Returns the run's record after `verdict`.
    fn record(&self, verdict: &AttemptVerdict, now: Timestamp) -> ExecutionStep<Run> {
        let mut run = self.run.clone();
        run.state = match run.state.next(verdict.event.clone()) {
            Ok(state) => state,
            Err(illegal) => {
                tracing::error!(run = %run.id, error = %illegal, "cannot end run: illegal state transition");
                return ExecutionStep::Break(ExecutionEnd::Abandoned);
            }
        };
        if run.state.has_ended() {
            run.ended_at = Some(now);
        }
        match verdict.how {
            AttemptEnd::HandedBack => return ExecutionStep::Continue(run),
            AttemptEnd::Retried => run.attempt = run.attempt.saturating_add(1),
            AttemptEnd::Continued => {
                let live = self.host.deployments.get(&run.deployment);
                let deployment = live.as_ref().map_or(&self.live.deployment, |live| &live.deployment);
                run.generation = run.generation.saturating_add(1);
                run.attempt = 1;
                run.revision = deployment.revision;
                run.component = deployment.component;
                run.journal_entries = 0;
            }
            _ => {}
        }
        run.takeovers = 0;
        ExecutionStep::Continue(run)
    }

    async fn end(&mut self, verdict: &AttemptVerdict, changes: Box<RunChanges>) -> ExecutionStep {
        let output = changes.output.clone();
        ExecutionStep::Break(match self.commit_changes(*changes, true).await {
            Ok(CommitResult::Committed(run)) => {
                self.count(verdict);
                let settled = run.state.is_settled();
                let output = output.filter(|_| run.state == RunState::Succeeded);
                if settled { ExecutionEnd::Settled(run, output) } else { ExecutionEnd::Queued(run) }
            }
            Ok(CommitResult::Conflict) => return ExecutionStep::Continue(()),
            Ok(CommitResult::KeyTaken) => ExecutionEnd::KeyTaken,
            Err(error) if self.fresh => ExecutionEnd::Refused(error),
            Err(error) => self.abandon(&error),
        })
    }

    /// Logs that the run cannot continue here.
    pub(crate) fn abandon(&self, error: &StoreError) -> ExecutionEnd {
        tracing::error!(run = %self.run.id, %error, "could not commit run; it keeps its stored state");
        ExecutionEnd::Abandoned
    }

    /// Counts the attempt, and records what it shows about its deployment.
    fn count(&mut self, verdict: &AttemptVerdict) {
        let fuel = self.run.fuel.get().saturating_sub(self.fuel_before.get());
        let took = self.started.elapsed();
        self.live.metrics.ended(verdict.how, fuel, took);
        let health = &self.live.metrics.health;
        if verdict.how == AttemptEnd::Parked && self.run.trigger.kind == TriggerKind::Webhook {
            health.count_dead_delivery();
        }
        // A run that began with an earlier revision shows nothing about the present one.
        if let Some(evidence) = verdict.evidence
            && self.plan.revision == self.live.plan.revision
        {
            let within = self.plan.slo.latency.map(|(_, millis)| millis);
            health.count_attempt(evidence == AttemptEvidence::Failed, took, within, fuel, self.run.peak_memory);
            if let (AttemptEvidence::Failed, Some(failed)) = (evidence, &verdict.failed) {
                health.remember_failure(self.run.id, &failed.1.code);
            }
            if let Some(permit) = &mut self.permit {
                permit.attempt_ended(evidence, self.run.attempt == 1, self.host.clock.now());
            }
        }
    }
}
