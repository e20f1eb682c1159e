//! The end of an attempt: one commit with everything that it leaves, or another turn.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use tidemill_core::run::{Run, RunEvent};
use tidemill_core::{Code, Timestamp};
use tidemill_engine::{Effects, Ended, Outcome};
use tidemill_store::StoreError;
use tidemill_store::records::{Begins, Committed, StretchCommit};

use super::verdict::{Attempt, Verdict, verdict};
use super::{Finish, HOLD, Work};
use crate::metrics::AttemptEnd;

/// What a commit led to: the run's end here; or something that was read has changed, and the stretch is done again.
pub(super) type Step = ControlFlow<Finish>;

impl Work {
    /// Commits how the activation ended.
    pub(super) async fn commit(&mut self, ended: Ended) -> Step {
        let now = self.now();
        let told = self.handle.was_told();
        let verdict = verdict(
            &ended.outcome,
            Attempt {
                number: self.run.attempt,
                retry: &self.live.plan.retry,
                child: self.run.trigger.parent.is_some(),
                told,
                overran: self.overran.then(|| self.live.plan.limits.lifetime_millis.unwrap_or_default()),
                now,
                random: crate::chance::number(),
            },
        );
        let output = match (ended.outcome, &verdict.event) {
            (Outcome::Output(output), RunEvent::Succeeded) => Some(output),
            _ => None,
        };
        let mut effects = if verdict.effects { ended.all.effects } else { ended.kept.effects };
        if !verdict.effects {
            effects.writes.clear();
            effects.postings.clear();
        }
        let step = self.commit_verdict(verdict, effects, output, now).await;
        match step {
            // A cancelled run is not done again; what it did in vain is left out.
            Step::Continue(()) if told => self.cancelled_untold().await,
            step => step,
        }
    }

    /// The host stops: back into the queue, with nothing of this attempt but its log lines.
    pub(super) async fn hand_back(&mut self) -> Step {
        let now = self.now();
        let verdict =
            Verdict { event: RunEvent::Requeued { not_before: now }, how: AttemptEnd::HandedBack, effects: false };
        self.commit_verdict(verdict, Effects::default(), None, now).await
    }

    /// Ends as cancelled with nothing done.
    pub(super) async fn cancelled_untold(&mut self) -> Step {
        let now = self.now();
        let verdict = Verdict { event: RunEvent::Cancelled, how: AttemptEnd::Cancelled, effects: false };
        self.commit_verdict(verdict, Effects::default(), None, now).await
    }

    fn now(&self) -> Timestamp {
        self.host.clock.now().max(self.run.started_at.unwrap_or_default())
    }

    /// The record after `verdict`.
    fn record(&self, verdict: &Verdict, now: Timestamp) -> Result<Run, StoreError> {
        let mut run = self.run.clone();
        run.state = run
            .state
            .next(verdict.event.clone())
            .map_err(|illegal| StoreError::IllegalTransition(illegal.to_string()))?;
        if run.state.has_ended() {
            run.ended_at = Some(now);
        }
        if verdict.how == AttemptEnd::Retried {
            run.attempt = run.attempt.saturating_add(1);
        }
        if verdict.how != AttemptEnd::HandedBack {
            run.takeovers = 0;
        }
        Ok(run)
    }

    async fn commit_verdict(
        &mut self,
        verdict: Verdict,
        effects: Effects,
        output: Option<Bytes>,
        now: Timestamp,
    ) -> Step {
        let logs = self.take_said();
        let run = match self.record(&verdict, now) {
            Ok(run) => run,
            Err(error) => {
                tracing::error!(run = %self.run.id, %error, "the run's own state forbids its end");
                return Step::Break(Finish::Abandoned);
            }
        };
        let begins = if self.fresh { Begins::Fresh { input: self.input.clone() } } else { Begins::Continues };
        let writes = !effects.writes.is_empty() || !effects.postings.is_empty();
        let watermark = self.collected_to.filter(|_| verdict.event == RunEvent::Succeeded);
        let commit = StretchCommit {
            begins,
            reads: effects.reads,
            writes: effects.writes,
            postings: effects.postings,
            logs,
            output,
            watermark,
            ..StretchCommit::of(self.host.owner.clone(), run, now)
        };
        let turn = if writes && self.hold.is_none() { self.turn().await } else { None };
        let committed = if self.fresh {
            let (run, output) = (commit.run.clone(), commit.output.clone());
            self.host.store.commit_stretch(commit).await.map(|committed| (committed, run, output, Vec::new()))
        } else {
            self.insist(commit).await
        };
        drop(turn);
        match committed {
            Ok((Committed::Done(_), run, output, _)) => {
                self.count(verdict.how);
                let (samples, dropped) = self.sink.take_samples();
                if verdict.effects {
                    self.host.metrics.guest.commit(run.deployment.as_str(), samples, dropped);
                }
                let (settled, run) = (run.state.is_settled(), Box::new(run));
                Step::Break(if settled { Finish::Settled(run, output) } else { Finish::Queued(run) })
            }
            Ok((Committed::Conflict { what, .. }, _, _, logs)) => {
                tracing::debug!(run = %self.run.id, what, refusals = self.refusals, "a stretch is done again");
                self.sink.give_back(crate::sink::Taken { logs, ..Default::default() });
                Step::Continue(())
            }
            Ok((Committed::KeyTaken(_), ..)) => Step::Break(Finish::KeyTaken),
            Err(error) if self.fresh => Step::Break(Finish::Refused(error)),
            Err(error) => {
                tracing::error!(run = %self.run.id, %error, "the run stays where it was");
                Step::Break(Finish::Abandoned)
            }
        }
    }

    /// A turn among those who write, where one of them has asked to be alone; at most a second is waited for it.
    async fn turn(&self) -> Option<tokio::sync::OwnedRwLockReadGuard<()>> {
        let lock = std::sync::Arc::clone(&self.live.contention);
        if let Ok(guard) = std::sync::Arc::clone(&lock).try_read_owned() {
            return Some(guard);
        }
        tokio::time::timeout(HOLD, lock.read_owned()).await.ok()
    }

    /// Commits a run that the store knows: what the machine fails is tried again until it is done or the host stops, as the
    /// run can be nowhere else meanwhile. What can never be committed ends the run with that as its failure.
    async fn insist(
        &self,
        mut commit: StretchCommit,
    ) -> Result<(Committed, Run, Option<Bytes>, Vec<tidemill_store::records::LogLine>), StoreError> {
        let mut failures = 0;
        loop {
            match self.host.store.commit_stretch(commit.clone()).await {
                Ok(committed) => return Ok((committed, commit.run, commit.output, commit.logs)),
                Err(StoreError::TooLarge(what) | StoreError::InboxFull { what, .. })
                    if !matches!(commit.run.state, tidemill_core::run::RunState::Parked(_)) =>
                {
                    let failure = Code::LimitHostCall.failure(what);
                    commit.run.state = tidemill_core::run::RunState::Parked(failure);
                    commit.run.ended_at = None;
                    commit.reads.clear();
                    commit.writes.clear();
                    commit.postings.clear();
                    commit.logs.truncate(1_000);
                    commit.output = None;
                    commit.watermark = None;
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
}

/// How long to leave a failing store alone, after so many failures in a row.
pub(crate) fn back_off(failures: u32) -> Duration {
    Duration::from_millis(100u64.saturating_mul(1 << failures.min(6))).min(Duration::from_secs(5))
}
