//! One activation: the guest runs while its driver commits and saves its work, makes the run
//! visible, and stops the guest when its lifetime is over.

use std::ops::ControlFlow::{Break, Continue};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidemill_core::journal::Journal;
use tidemill_core::run::{Run, RunState};
use tidemill_core::{ComponentDigest, Limits, Policy, Timestamp};
use tidemill_engine::{Activation, ActivationResult, CancelToken, RunChannel, RunContext};
use tidemill_store::StoreError;
use tokio::time::{Instant, sleep_until};

use crate::deployment::active::{ActiveDeployment, ResolvedRevision};
use crate::run::execution::channel::{GuestChannel, GuestRequest};
use crate::run::execution::transaction::{CommitResult, RunChanges};
use crate::run::execution::{ExclusiveCommit, Execution, ExecutionEnd, ExecutionStep, SAVE_AFTER, VISIBLE_AFTER};
use crate::state::HostState;

/// Time allowed for a stopped guest to end. It cannot run much longer, because its wasmtime epoch
/// is over.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// The delay of a deadline that is never reached.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// When the driver must act next. All deadlines use the monotonic clock, because none is a date.
#[derive(Default)]
struct Deadlines {
    visible: Option<Instant>,
    save: Option<Instant>,
    lifetime: Option<Instant>,
}

impl Deadlines {
    fn next(&self, hold: Option<&ExclusiveCommit>, waits: Option<Instant>) -> Instant {
        [self.visible, self.save, self.lifetime, hold.map(|hold| hold.until), waits]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| Instant::now() + NEVER)
    }
}

fn is_due(timer: &mut Option<Instant>, now: Instant) -> bool {
    timer.take_if(|at| *at <= now).is_some()
}

impl Execution {
    /// Runs the guest until it ends. Returns `None` if the host shuts down and the run returns to
    /// the queue.
    pub(crate) async fn activate(&mut self) -> ExecutionStep<Option<Box<ActivationResult>>> {
        let input = match self.guest_input().await {
            Ok(input) => input,
            Err(error) => return self.on_unreadable_input(error).await,
        };
        self.fuel_base = self.run.fuel;
        let mut deadlines = Deadlines { lifetime: self.lifetime_deadline(), ..Deadlines::default() };
        if self.fresh {
            deadlines.visible = Some(Instant::now() + VISIBLE_AFTER);
        }
        let sink = Arc::clone(&self.sink);
        let host = Arc::clone(&self.host);
        let cancel = self.handle.cancel.clone();
        let guest = host.guests.run(self.activation(input));
        tokio::pin!(guest);
        let stopping = host.shutdown.stopping.cancelled();
        tokio::pin!(stopping);
        let timer = sleep_until(self.next_deadline(&deadlines));
        tokio::pin!(timer);
        let stop = loop {
            tokio::select! {
                biased;
                ended = &mut guest => {
                    // To the guest, lifetime and cancellation look alike. The driver knows which
                    // one it was.
                    self.on_guest_ended_while_waiting().await;
                    return self.unless_suspended(Some(Box::new(ended)));
                }
                () = sink.woken() => {
                    if let Break(end) = self.answer_requests(&mut deadlines).await { break end; }
                }
                woken = Self::woken(&mut self.in_memory) => {
                    deadlines.lifetime = self.wake(woken).await;
                }
                () = &mut timer => {
                    let now = Instant::now();
                    if is_due(&mut deadlines.visible, now) && let Break(end) = self.publish_early().await { break end; }
                    if is_due(&mut deadlines.save, now) { let _ = self.save().await; }
                    if is_due(&mut deadlines.lifetime, now) {
                        self.overran = true;
                        cancel.terminate();
                    }
                    if self.in_memory.as_ref().is_some_and(|waits| waits.until <= now) { self.leave_memory().await; }
                    // Other runs have waited long enough. From here on the transaction can conflict
                    // again.
                    self.hold.take_if(|hold| hold.until <= now);
                }
                () = &mut stopping => {
                    self.leave_memory().await;
                    cancel.terminate();
                    let _ = tokio::time::timeout(STOP_TIMEOUT, &mut guest).await;
                    self.on_guest_ended_while_waiting().await;
                    return self.unless_suspended(None);
                }
            }
            timer.as_mut().reset(self.next_deadline(&deadlines));
        };
        cancel.terminate();
        let _ = tokio::time::timeout(STOP_TIMEOUT, &mut guest).await;
        Break(stop)
    }

    /// Ends the execution if the guest left memory and the run waits in the store.
    fn unless_suspended(&self, ended: Option<Box<ActivationResult>>) -> ExecutionStep<Option<Box<ActivationResult>>> {
        if self.is_suspended() { Break(ExecutionEnd::Suspended(Box::new(self.run.clone()))) } else { Continue(ended) }
    }

    fn is_suspended(&self) -> bool {
        self.run.state == RunState::Suspended
    }

    fn next_deadline(&self, deadlines: &Deadlines) -> Instant {
        deadlines.next(self.hold.as_ref(), self.in_memory.as_ref().map(|waits| waits.until))
    }

    /// Answers all requests of the guest.
    async fn answer_requests(&mut self, deadlines: &mut Deadlines) -> ExecutionStep {
        while let Some(request) = self.sink.take_request() {
            match request {
                GuestRequest::Commit(pending, reply) => {
                    self.commit_point(pending, reply).await?;
                    if !self.fresh {
                        deadlines.visible = None;
                    }
                    if self.is_suspended() {
                        (deadlines.lifetime, deadlines.save) = (None, None);
                    }
                }
                GuestRequest::Save(mut pending, reply) => {
                    self.record_progress(&mut pending);
                    // A run that is not visible yet is saved by the commit that makes it visible.
                    let saved = self.fresh || self.save().await;
                    let _ = reply.send(saved);
                }
            }
        }
        if deadlines.save.is_none() && !self.fresh && !self.is_suspended() && self.sink.is_unsaved() {
            deadlines.save = Some(Instant::now() + SAVE_AFTER);
        }
        Continue(())
    }

    fn activation(&mut self, input: Bytes) -> Activation {
        Activation {
            export: self.run.export,
            input,
            run: Arc::new(RunContext {
                redone: self.conflicts,
                ..context(&self.run, &self.plan, &self.live, &self.host.config.policy.now(), self.sink.next_seq())
            }),
            journal: self.journal.take().unwrap_or_else(Journal::empty),
            snapshot: self.snapshot.clone(),
            fuel_used: self.fuel_used,
            cancel: self.handle.cancel.clone(),
            channel: Arc::clone(&self.sink) as Arc<dyn RunChannel>,
        }
    }

    /// Returns when the run's lifetime is over.
    pub(crate) fn lifetime_over(&self) -> Option<Timestamp> {
        let since = self.run.started_at.unwrap_or(self.run.created_at);
        self.lifetime_millis().map(|lifetime| since.plus_millis(lifetime))
    }

    /// Returns the run's maximum lifetime, in milliseconds.
    pub(crate) fn lifetime_millis(&self) -> Option<u64> {
        let policy = self.host.config.policy.now();
        policy.bounded(self.run.deployment.as_str(), &self.live.plan.limits).lifetime_millis
    }

    /// Returns when to stop the run because of its lifetime. If it is over already, stops the run
    /// at once, so that it does not begin another wait.
    pub(crate) fn lifetime_deadline(&mut self) -> Option<Instant> {
        let left = self.lifetime_over()?.millis_since(self.host.clock.now());
        if left == 0 {
            self.overran = true;
            self.handle.cancel.terminate();
            return None;
        }
        Some(Instant::now() + Duration::from_millis(left))
    }

    /// Stores a new run as running, which makes it visible.
    async fn publish_early(&mut self) -> ExecutionStep {
        if !self.fresh {
            return Continue(());
        }
        let leaves = RunChanges::record(self.run.clone(), self.host.clock.now());
        match self.commit_changes(leaves, false).await {
            Ok(CommitResult::Committed(run)) => {
                self.run = *run;
                Continue(())
            }
            Ok(CommitResult::KeyTaken) => Break(ExecutionEnd::KeyTaken),
            // It has read nothing, so this conflict is an error of the store and is not retried.
            Ok(CommitResult::Conflict) => {
                Break(ExecutionEnd::Refused(StoreError::Io("conflict without a read".into())))
            }
            Err(error) => Break(ExecutionEnd::Refused(error)),
        }
    }

    async fn on_unreadable_input(&mut self, error: StoreError) -> ExecutionStep<Option<Box<ActivationResult>>> {
        self.host.store_failures.record(&error);
        if self.fresh {
            return Break(ExecutionEnd::Refused(error));
        }
        // The guest's input is computed from the store, so the run cannot continue without it.
        self.host.shutdown.back_off(1).await;
        if !self.host.shutdown.is_stopping() && error.is_transient() {
            return Continue(None);
        }
        Break(ExecutionEnd::Abandoned)
    }
}

fn context(
    run: &Run,
    plan: &ResolvedRevision,
    live: &ActiveDeployment,
    policy: &Policy,
    next_log_seq: u64,
) -> RunContext {
    RunContext {
        id: run.id,
        deployment: run.deployment.clone(),
        revision: run.revision,
        component: run.component,
        key: run.key.clone(),
        trigger: run.trigger.clone(),
        created_at: run.created_at,
        attempt: run.attempt,
        generation: run.generation,
        config: Arc::clone(&plan.config),
        limits: policy.bounded(run.deployment.as_str(), &live.plan.limits),
        grants: Arc::clone(&live.plan.grants),
        ledger: live.plan.ledger.clone(),
        budgets: live.plan.budgets.clone(),
        step_retry: live.plan.retry.policy,
        seed: run.seed,
        next_log_seq,
        redone: 0,
    }
}

/// Returns the activation of a health check, which has no record and no journal.
pub(crate) fn check_activation(
    host: &HostState,
    live: &ActiveDeployment,
    run: &Run,
    limits: Limits,
    cancel: CancelToken,
    channel: Arc<dyn RunChannel>,
) -> Activation {
    let context = RunContext { limits, ..context(run, &live.plan, live, &host.config.policy.now(), 0) };
    Activation {
        export: run.export,
        input: Bytes::from_static(b"null"),
        run: Arc::new(context),
        journal: Journal::empty(),
        snapshot: None,
        fuel_used: run.fuel,
        cancel,
        channel,
    }
}

/// Returns an activation that only replays the journal of a run, on the given component and
/// revision.
pub(crate) async fn dry_activation(
    host: &Arc<HostState>,
    live: &ActiveDeployment,
    plan: &ResolvedRevision,
    run: &Run,
    component: ComponentDigest,
    recorded: (Journal, Option<Bytes>),
) -> Result<Activation, StoreError> {
    let input = host.store.input(run.id).await?.unwrap_or_default();
    let (journal, snapshot) = recorded;
    let context = RunContext { component, ..context(run, plan, live, &host.config.policy.now(), 0) };
    Ok(Activation {
        export: run.export,
        input: crate::run::execution::period::input_of(host, live, run, input).await?,
        run: Arc::new(context),
        journal,
        snapshot,
        fuel_used: run.fuel,
        cancel: CancelToken::new(),
        channel: Arc::new(GuestChannel::new(Arc::clone(host), run.deployment.clone(), 0, true)),
    })
}
