//! Commit points in the middle of a run: a request leaves, or the run waits, in memory or out of it.
//!
//! A run that waits is suspended in the store and holds no place. Its guest stays in memory for a while, so that it goes on
//! where it stands should it be claimed meanwhile; a wait that is known to be longer leaves memory at once.

use tidemill_core::run::{Run, RunState, Wait};
use tidemill_core::{Code, Failure, Timestamp};
use tidemill_engine::{CommitOutcome, CommitReason, Effects, PendingCommit};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::error::ControlError;
use crate::run::execution::transaction::{CommitResult, RunChanges, is_of_commit};
use crate::run::execution::{Execution, ExecutionEnd};
use crate::run::resident::{ResumedRun, WakeReason};

/// How a guest hears what became of its commit point.
type CommitReply = oneshot::Sender<Result<CommitOutcome, Failure>>;

/// A guest that waits in memory.
pub(crate) struct ResidentGuest {
    reply: CommitReply,
    woken: oneshot::Receiver<WakeReason>,
    /// It leaves memory then.
    pub(crate) until: Instant,
}

impl Execution {
    /// Commits what a guest has done up to a commit point, and answers it or keeps it waiting.
    pub(crate) async fn meet(&mut self, mut stretched: PendingCommit, reply: CommitReply) -> Result<(), ExecutionEnd> {
        let before = (self.unsaved.clone(), self.head.clone());
        self.note(&mut stretched);
        let now = self.now();
        let (wait, effects) = match stretched.point {
            CommitReason::Save | CommitReason::Leaving => (None, stretched.effects),
            CommitReason::Wait(wait) => (Some(wait), stretched.effects),
            // A step's back-off is within its stretch: nothing takes hold.
            CommitReason::BackOff { until } => (Some(Wait::until(until)), Effects::default()),
        };
        let kept = wait.as_ref().and_then(|wait| self.stays(wait, now));
        let mut run = self.run.clone();
        if let Some(wait) = wait {
            run.state = RunState::Suspended;
            run.waiting_for = Some(self.within_lifetime(wait));
        }
        let suspends = run.state == RunState::Suspended;
        // Before the commit: whatever wakes it from then on finds it here.
        let woken = kept.map(|until| (until, self.host.waiting.enter(run.id, self.host.config.waiting_max)));
        let put = self.commit_changes(RunChanges { effects, ..RunChanges::record(run, now) }, false).await;
        if !matches!(put, Ok(CommitResult::Committed(_))) {
            // The journal gives again what was not written; this head goes with what took hold, and nothing did.
            (self.unsaved, self.head) = before;
            if woken.is_some() {
                self.host.waiting.leave(self.run.id);
            }
        }
        let answer = match put {
            Ok(CommitResult::Committed(run)) => {
                self.run = *run;
                self.begin_stretch();
                match woken {
                    _ if !suspends => Ok(CommitOutcome::Continue),
                    Some((until, woken)) => {
                        self.permit = None;
                        self.in_memory = Some(ResidentGuest { reply, woken, until });
                        return Ok(());
                    }
                    None => {
                        self.permit = None;
                        Ok(CommitOutcome::Suspend)
                    }
                }
            }
            // The guest ends, and is done again.
            Ok(CommitResult::Conflict) => Ok(CommitOutcome::Retry),
            Ok(CommitResult::KeyTaken) => {
                drop(reply.send(Err(gone())));
                return Err(ExecutionEnd::KeyTaken);
            }
            // What was refused for what it holds is the guest's failure, as at its end.
            Err(error) if is_of_commit(&error) => {
                let error = ControlError::from(error);
                Err(error.code().failure(error.to_string()))
            }
            Err(error) => {
                drop(reply.send(Err(gone())));
                return Err(if self.fresh { ExecutionEnd::Refused(error) } else { self.abandoned(&error) });
            }
        };
        // A guest that no longer waits for the answer was stopped.
        drop(reply.send(answer));
        Ok(())
    }

    /// Until when a guest that waits so stays in memory; none where it need not.
    fn stays(&self, wait: &Wait, now: Timestamp) -> Option<Instant> {
        let most = self.host.config.keep_waiting;
        let known = wait.until.filter(|_| wait.any_of.is_empty());
        let long = known.is_some_and(|until| u128::from(until.millis_since(now)) > most.as_millis());
        (!long && !most.is_zero() && self.host.config.waiting_max > 0 && !self.host.is_closed())
            .then(|| Instant::now() + most)
    }

    /// A wait counts as lifetime: it ends when that is over, at the latest.
    fn within_lifetime(&self, wait: Wait) -> Wait {
        let Some(over) = self.lifetime_over() else { return wait };
        Wait { until: Some(wait.until.map_or(over, |until| until.min(over))), ..wait }
    }

    /// What befell a guest that waits in memory; never, where none does.
    pub(crate) async fn woken(waits: &mut Option<ResidentGuest>) -> WakeReason {
        match waits {
            // Nobody drops the sender without a word.
            Some(waits) => (&mut waits.woken).await.unwrap_or_default(),
            None => std::future::pending().await,
        }
    }

    /// Goes on as what it was claimed for, until its lifetime is over; or leaves memory.
    pub(crate) async fn wake(&mut self, woken: WakeReason) -> Option<Instant> {
        let ResidentGuest { reply, .. } = self.in_memory.take()?;
        let Some(resumed) = woken else {
            drop(reply.send(Ok(CommitOutcome::Suspend)));
            return None;
        };
        self.resume(*resumed).await;
        let alarm = self.lifetime_deadline();
        drop(reply.send(Ok(CommitOutcome::Continue)));
        alarm
    }

    /// Its time in memory is over, unless it is woken this moment.
    pub(crate) async fn leave_memory(&mut self) {
        if self.host.waiting.leave(self.run.id) {
            self.wake(None).await;
        }
    }

    /// The guest is gone while it waited. Where the run was claimed for it this moment, it is here all the same.
    pub(crate) async fn gone_while_waiting(&mut self) {
        if let Some(waits) = self.in_memory.take()
            && !self.host.waiting.leave(self.run.id)
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
        if let Err(error) = self.host.notify_claimed(&self.run, &self.handle).await {
            // It is to end either way.
            self.host.store_failed(&error);
            self.handle.request_stop(false);
        }
    }
}

/// For a guest that goes no further.
pub(crate) fn gone() -> Failure {
    Code::Cancelled.failure("the run does not go on: it could not be made durable, or its idempotency key is another's")
}
