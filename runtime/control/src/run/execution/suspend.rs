//! Commit points within a run: a request leaves, or the run waits, in memory or not.
//!
//! A waiting run is suspended in the store and holds no permit. Its guest stays in memory for a
//! while, so that it resumes without a replay if it is claimed in time. A guest whose wait is known
//! to be longer leaves memory at once.

use tidemill_core::run::{Run, RunState, Wait};
use tidemill_core::{Code, Failure, Timestamp};
use tidemill_engine::{CommitOutcome, CommitReason, Effects, PendingCommit};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::error::ControlError;
use crate::run::execution::transaction::{CommitResult, RunChanges, is_permanent_refusal};
use crate::run::execution::{Execution, ExecutionEnd, ExecutionStep};
use crate::run::resident::{ResumedRun, WakeReason};

/// The channel on which a guest receives the result of its commit point.
type CommitReply = oneshot::Sender<Result<CommitOutcome, Failure>>;

/// A guest that waits in memory.
pub(crate) struct ResidentGuest {
    reply: CommitReply,
    woken: oneshot::Receiver<WakeReason>,
    /// When it leaves memory.
    pub(crate) until: Instant,
}

impl Execution {
    /// Commits a guest's work up to a commit point, and answers the guest or keeps it waiting.
    pub(crate) async fn commit_point(&mut self, mut pending: Box<PendingCommit>, reply: CommitReply) -> ExecutionStep {
        let before = (self.unsaved.clone(), self.snapshot.clone());
        self.record_progress(&mut pending);
        let now = self.now();
        let (wait, effects) = match pending.point {
            CommitReason::Save | CommitReason::Leaving => (None, pending.effects),
            CommitReason::Wait(wait) => (Some(wait), pending.effects),
            // A step's back-off is within its transaction: no effects are committed.
            CommitReason::BackOff { until } => (Some(Wait::until(until)), Effects::default()),
        };
        let kept = wait.as_ref().and_then(|wait| self.resident_until(wait, now));
        let mut run = self.run.clone();
        if let Some(wait) = wait {
            run.state = RunState::Suspended;
            run.waiting_for = Some(self.within_lifetime(wait));
        }
        let suspends = run.state == RunState::Suspended;
        // Register before the commit, so that no wake-up misses the guest.
        let most = self.host.config.waiting_max;
        let woken = kept.map(|until| (until, self.host.runs.resident.enter(run.id, run.deployment.clone(), most)));
        let committed = self.commit_changes(RunChanges { effects, ..RunChanges::record(run, now) }, false).await;
        if !matches!(committed, Ok(CommitResult::Committed(_))) {
            // Nothing was committed, so restore the replay snapshot of the last commit. The journal
            // repeats what was not written.
            (self.unsaved, self.snapshot) = before;
            if woken.is_some() {
                self.host.runs.resident.leave(self.run.id);
            }
        }
        let answer = match committed {
            Ok(CommitResult::Committed(run)) => {
                self.run = *run;
                self.begin_transaction();
                match woken {
                    _ if !suspends => Ok(CommitOutcome::Continue),
                    Some((until, woken)) => {
                        self.permit = None;
                        self.in_memory = Some(ResidentGuest { reply, woken, until });
                        return ExecutionStep::Continue(());
                    }
                    None => {
                        self.permit = None;
                        Ok(CommitOutcome::Suspend)
                    }
                }
            }
            // The guest ends, and its transaction is executed again.
            Ok(CommitResult::Conflict) => Ok(CommitOutcome::Retry),
            Ok(CommitResult::KeyTaken) => {
                drop(reply.send(Err(cannot_continue())));
                return ExecutionStep::Break(ExecutionEnd::KeyTaken);
            }
            // If the commit was refused for its content, the guest fails, as at its end.
            Err(error) if is_permanent_refusal(&error) => {
                let error = ControlError::from(error);
                Err(error.code().failure(error.to_string()))
            }
            Err(error) => {
                drop(reply.send(Err(cannot_continue())));
                let end = if self.fresh { ExecutionEnd::Refused(error) } else { self.abandon(&error) };
                return ExecutionStep::Break(end);
            }
        };
        // A guest that no longer waits for the answer was stopped.
        drop(reply.send(answer));
        ExecutionStep::Continue(())
    }

    /// Returns until when a waiting guest stays in memory; `None` if it leaves at once.
    fn resident_until(&self, wait: &Wait, now: Timestamp) -> Option<Instant> {
        let max = self.host.config.keep_waiting;
        let known = wait.until.filter(|_| wait.any_of.is_empty());
        let long = known.is_some_and(|until| u128::from(until.millis_since(now)) > max.as_millis());
        (!long && !max.is_zero() && self.host.config.waiting_max > 0 && !self.host.shutdown.is_closing())
            .then(|| Instant::now() + max)
    }

    /// Bounds a wait by the run's lifetime, because waiting counts as lifetime.
    fn within_lifetime(&self, wait: Wait) -> Wait {
        let Some(over) = self.lifetime_over() else { return wait };
        Wait { until: Some(wait.until.map_or(over, |until| until.min(over))), ..wait }
    }

    /// Waits until a resident guest is woken; never resolves without one.
    pub(crate) async fn woken(waits: &mut Option<ResidentGuest>) -> WakeReason {
        match waits {
            // The sender always sends a reason before it is dropped.
            Some(waits) => (&mut waits.woken).await.unwrap_or_default(),
            None => std::future::pending().await,
        }
    }

    /// Resumes the guest if its run was claimed, and returns its lifetime deadline; else has it
    /// leave memory.
    pub(crate) async fn wake(&mut self, woken: WakeReason) -> Option<Instant> {
        let ResidentGuest { reply, .. } = self.in_memory.take()?;
        let Some(resumed) = woken else {
            drop(reply.send(Ok(CommitOutcome::Suspend)));
            return None;
        };
        self.resume(*resumed).await;
        let deadline = self.lifetime_deadline();
        drop(reply.send(Ok(CommitOutcome::Continue)));
        deadline
    }

    /// Has the guest leave memory, unless it is being woken.
    pub(crate) async fn leave_memory(&mut self) {
        if self.host.runs.resident.leave(self.run.id) {
            self.wake(None).await;
        }
    }

    /// Handles a guest that ended while it waited. If the run was claimed at the same moment, takes
    /// its permit over.
    pub(crate) async fn on_guest_ended_while_waiting(&mut self) {
        if let Some(waits) = self.in_memory.take()
            && !self.host.runs.resident.leave(self.run.id)
            && let Ok(Some(resumed)) = waits.woken.await
        {
            self.resume(*resumed).await;
        }
    }

    async fn resume(&mut self, resumed: ResumedRun) {
        let ResumedRun { run, live, permit } = resumed;
        self.live = live;
        self.permit = Some(permit);
        self.run = Run { waiting_for: None, ..run };
        if let Err(error) = self.host.effects.notify_claimed(&self.run, &self.handle).await {
            // The run must end in either case.
            self.host.store_failures.record(&error);
            self.handle.request_stop(false);
        }
    }
}

/// Returns the failure of a guest that cannot continue.
pub(crate) fn cannot_continue() -> Failure {
    Code::Cancelled
        .failure("the run cannot continue: it could not be made durable, or another run has its idempotency key")
}
