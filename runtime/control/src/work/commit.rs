//! The end of an attempt: one commit with everything that it leaves, or another turn.

use std::ops::ControlFlow;
use std::time::Duration;

use tidemill_core::journal::JournalChange;
use tidemill_core::run::{Run, RunEvent, RunState};
use tidemill_core::{Failure, Timestamp};
use tidemill_engine::{Ended, Outcome, Urgency};
use tidemill_store::StoreError;
use tidemill_store::records::{FailedPart, FailureRecord};

use super::stretch::{Leaves, Put};
use super::verdict::{Attempt, CancelStage, Verdict, verdict};
use super::{Finish, Work};
use crate::metrics::AttemptEnd;

/// What a commit led to: the run's end here; or something that was read has changed, and the stretch is done again.
pub(super) type Step = ControlFlow<Finish>;

impl Work {
    /// Commits how the activation ended.
    pub(super) async fn commit(&mut self, ended: Box<Ended>) -> Step {
        let now = self.now();
        if ended.told {
            self.note_told(now);
        }
        let cancelled = self.cancel_stage(ended.told);
        let Ended { outcome, all, kept, again, journal, next_attempt, .. } = *ended;
        let verdict = verdict(
            &outcome,
            Attempt {
                number: self.run.attempt,
                retry: &self.live.plan.retry,
                child: self.run.trigger.parent.is_some(),
                cancelled,
                nothing_again: journal.is_some() && kept.journal_to == all.journal_to,
                overran: self.overran.then(|| self.lifetime_millis().unwrap_or_default()),
                next: next_attempt,
                now,
                random: crate::chance::number(),
            },
        );
        let left = if verdict.effects { all } else { kept };
        let left_to = left.journal_to;
        match journal {
            Some(mut journal) => {
                journal.truncate(left.journal_to);
                self.note_change(journal.change());
                self.head = left.head;
                self.got_to(journal.entries());
                self.journal = Some(journal);
            }
            // What is stored stays as it is.
            None => self.head.clone_from(&self.stored_head),
        }
        let (output, input) = match (outcome, verdict.how) {
            (Outcome::Output(output), AttemptEnd::Succeeded) => (Some(output), None),
            (Outcome::ContinueAsNew { input }, AttemptEnd::Continued) => (None, Some(input)),
            _ => (None, None),
        };
        if input.is_some() {
            // Whatever was to be written of this generation's journal, it is gone.
            self.unsaved = Some(JournalChange { from: 0, chunks: Vec::new() });
            self.head = None;
        }
        let watermark = self.collected_to.filter(|_| verdict.event == RunEvent::Succeeded);
        let step = match self.record(&verdict, now) {
            Ok(run) => {
                let failures = self.failures_of(&verdict, now);
                let leaves = Leaves { run, effects: left.effects, output, watermark, input, now, failures };
                self.end(&verdict, leaves).await
            }
            Err(finish) => Step::Break(finish),
        };
        if let (Step::Continue(()), Some(journal)) = (&step, &mut self.journal) {
            // Where a retry keeps less than the stretch began with, it begins there.
            if again.journal_to <= left_to {
                journal.truncate(again.journal_to);
                self.head = again.head;
            }
            let change = journal.change();
            self.note_change(change);
        }
        step
    }

    /// How far a cancellation of the run has come; `known` says whether the guest knows of it.
    fn cancel_stage(&self, known: bool) -> Option<CancelStage> {
        let stopped = self.handle.cancel.urgency() == Urgency::Now && !self.overran;
        self.handle.was_told().then_some(match (stopped, known) {
            (true, _) => CancelStage::Terminated,
            (false, true) => CancelStage::Known,
            (false, false) => CancelStage::Asked,
        })
    }

    fn failures_of(&self, verdict: &Verdict, now: Timestamp) -> Vec<FailureRecord> {
        let record = |(part, failure): &(FailedPart, Failure)| {
            let (part, failure) = (part.clone(), failure.clone());
            FailureRecord { at: now, attempt: self.run.attempt, part, failure }.bounded()
        };
        verdict.failed.as_deref().map(record).into_iter().collect()
    }

    /// The host stops: back into the queue, with what is saved of this attempt.
    pub(super) async fn hand_back(&mut self) -> Step {
        self.hand_back_for(0).await
    }

    /// The same, not to be taken up again for so many milliseconds.
    pub(super) async fn hand_back_for(&mut self, pause: u64) -> Step {
        let now = self.now();
        self.leave_nothing(RunEvent::Requeued { not_before: now.plus_millis(pause) }, AttemptEnd::HandedBack, now).await
    }

    /// Ends as cancelled with nothing more done.
    pub(super) async fn cancelled_untold(&mut self) -> Step {
        let now = self.now();
        self.leave_nothing(RunEvent::Cancelled, AttemptEnd::Cancelled, now).await
    }

    async fn leave_nothing(&mut self, event: RunEvent, how: AttemptEnd, now: Timestamp) -> Step {
        let verdict = Verdict::of(event, how);
        match self.record(&verdict, now) {
            Ok(run) => self.end(&verdict, Leaves::record(run, now)).await,
            Err(finish) => Step::Break(finish),
        }
    }

    /// The run's own time: never before it began.
    pub(super) fn now(&self) -> Timestamp {
        self.host.clock.now().max(self.run.started_at.unwrap_or_default())
    }

    /// The record after `verdict`.
    fn record(&self, verdict: &Verdict, now: Timestamp) -> Result<Run, Finish> {
        let mut run = self.run.clone();
        run.state = run.state.next(verdict.event.clone()).map_err(|illegal| {
            tracing::error!(run = %run.id, error = %illegal, "the run's own state forbids its end");
            Finish::Abandoned
        })?;
        if run.state.has_ended() {
            run.ended_at = Some(now);
        }
        match verdict.how {
            AttemptEnd::HandedBack => return Ok(run),
            AttemptEnd::Retried => run.attempt = run.attempt.saturating_add(1),
            AttemptEnd::Continued => {
                let live = self.host.lives.get(&run.deployment);
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
        Ok(run)
    }

    async fn end(&mut self, verdict: &Verdict, leaves: Leaves) -> Step {
        let output = leaves.output.clone();
        match self.put(leaves, true).await {
            Ok(Put::Done(run)) => {
                self.count(verdict.how);
                let settled = run.state.is_settled();
                let output = output.filter(|_| run.state == RunState::Succeeded);
                Step::Break(if settled { Finish::Settled(run, output) } else { Finish::Queued(run) })
            }
            Ok(Put::Changed) => Step::Continue(()),
            Ok(Put::KeyTaken) => Step::Break(Finish::KeyTaken),
            Err(error) if self.fresh => Step::Break(Finish::Refused(error)),
            Err(error) => Step::Break(self.abandoned(&error)),
        }
    }

    /// Nothing more can be done for it here.
    pub(super) fn abandoned(&self, error: &StoreError) -> Finish {
        tracing::error!(run = %self.run.id, %error, "the run stays where it was");
        Finish::Abandoned
    }

    fn count(&self, how: AttemptEnd) {
        let fuel = self.run.fuel.get().saturating_sub(self.fuel_before.get());
        self.live.figures.ended(how, fuel, self.started.elapsed());
    }
}

/// How long to leave a failing store alone, after so many failures in a row.
pub(crate) fn back_off(failures: u32) -> Duration {
    Duration::from_millis(100u64.saturating_mul(1 << failures.min(6))).min(Duration::from_secs(5))
}
