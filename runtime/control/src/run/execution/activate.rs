//! One activation: the guest runs, and meanwhile its driver commits and saves what it asks for, makes it visible, and stops
//! it when its time is over.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidemill_core::journal::Journal;
use tidemill_core::run::{Run, RunState};
use tidemill_core::{ComponentDigest, Policy, Timestamp};
use tidemill_engine::{ActivationResult, CancelToken, RunChannel, RunContext};
use tidemill_store::StoreError;
use tokio::time::{Instant, sleep_until};

use crate::control_plane::HostState;
use crate::deployment::active::{ActiveDeployment, ResolvedRevision};
use crate::guests::GuestJob;
use crate::run::execution::channel::{GuestChannel, GuestRequest};
use crate::run::execution::transaction::{CommitResult, RunChanges};
use crate::run::execution::{ExclusiveCommit, Execution, ExecutionEnd, SAVE_AFTER, VISIBLE_AFTER};

/// A guest that is stopped gets this long to be gone; it cannot run much longer, since its epoch is over.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// An alarm that is never meant to ring.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// How an activation came to its end.
pub(crate) enum ActivationEnd {
    /// By itself, or because it was cancelled or overran its lifetime.
    Ended(Box<ActivationResult>),
    /// The guest left memory; the run waits in the store.
    Suspended,
    /// The host stops: the run goes back into the queue.
    HandBack,
    /// There is nothing more to do for it here.
    Stopped(ExecutionEnd),
}

/// What the driver has to do at a time; all by the monotonic clock, as none of it is a date.
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
            .unwrap_or_else(|| Instant::now() + FAR)
    }
}

fn is_due(alarm: &mut Option<Instant>, now: Instant) -> bool {
    alarm.take_if(|at| *at <= now).is_some()
}

impl Execution {
    pub(crate) async fn activate(&mut self) -> ActivationEnd {
        let input = match self.guest_input().await {
            Ok(input) => input,
            Err(error) => return self.unreadable(error).await,
        };
        self.fuel_base = self.run.fuel;
        let mut alarms = Deadlines { lifetime: self.lifetime_deadline(), ..Deadlines::default() };
        if self.fresh {
            alarms.visible = Some(Instant::now() + VISIBLE_AFTER);
        }
        let sink = Arc::clone(&self.sink);
        let host = Arc::clone(&self.host);
        let cancel = self.handle.cancel.clone();
        let guest = host.guests.run(self.activation_job(input));
        tokio::pin!(guest);
        let stopping = host.stopping();
        tokio::pin!(stopping);
        let alarm = sleep_until(self.next_deadline(&alarms));
        tokio::pin!(alarm);
        let stop = loop {
            tokio::select! {
                biased;
                ended = &mut guest => {
                    // Lifetime and cancellation look alike to the guest; who asked for it is known here.
                    self.gone_while_waiting().await;
                    return self.ended(ended);
                }
                () = sink.woken() => {
                    if let Err(finish) = self.answer(&mut alarms).await { break finish; }
                }
                woken = Self::woken(&mut self.in_memory) => {
                    alarms.lifetime = self.wake(woken).await;
                }
                () = &mut alarm => {
                    let now = Instant::now();
                    if is_due(&mut alarms.visible, now) && let Err(finish) = self.show().await { break finish; }
                    if is_due(&mut alarms.save, now) { let _ = self.save().await; }
                    if is_due(&mut alarms.lifetime, now) {
                        self.overran = true;
                        cancel.terminate();
                    }
                    if self.in_memory.as_ref().is_some_and(|waits| waits.until <= now) { self.leave_memory().await; }
                    // Others have waited long enough; from here the stretch takes its chance.
                    self.hold.take_if(|hold| hold.until <= now);
                }
                () = &mut stopping => {
                    self.leave_memory().await;
                    cancel.terminate();
                    let _ = tokio::time::timeout(STOP_WITHIN, &mut guest).await;
                    self.gone_while_waiting().await;
                    return if self.is_suspended() { ActivationEnd::Suspended } else { ActivationEnd::HandBack };
                }
            }
            alarm.as_mut().reset(self.next_deadline(&alarms));
        };
        cancel.terminate();
        let _ = tokio::time::timeout(STOP_WITHIN, &mut guest).await;
        ActivationEnd::Stopped(stop)
    }

    fn ended(&mut self, ended: ActivationResult) -> ActivationEnd {
        if self.is_suspended() {
            return ActivationEnd::Suspended;
        }
        ActivationEnd::Ended(Box::new(ended))
    }

    fn is_suspended(&self) -> bool {
        self.run.state == RunState::Suspended
    }

    fn next_deadline(&self, alarms: &Deadlines) -> Instant {
        alarms.next(self.hold.as_ref(), self.in_memory.as_ref().map(|waits| waits.until))
    }

    /// Answers all that the guest asks for.
    async fn answer(&mut self, alarms: &mut Deadlines) -> Result<(), ExecutionEnd> {
        while let Some(asked) = self.sink.take_request() {
            match asked {
                GuestRequest::Commit(stretched, reply) => {
                    self.meet(*stretched, reply).await?;
                    if !self.fresh {
                        alarms.visible = None;
                    }
                    if self.is_suspended() {
                        (alarms.lifetime, alarms.save) = (None, None);
                    }
                }
                GuestRequest::Save(mut stretched, reply) => {
                    self.note(&mut stretched);
                    // A run that nobody has seen yet is saved with the commit that shows it.
                    let saved = self.fresh || self.save().await;
                    let _ = reply.send(saved);
                }
            }
        }
        if alarms.save.is_none() && !self.fresh && !self.is_suspended() && self.sink.is_unsaved() {
            alarms.save = Some(Instant::now() + SAVE_AFTER);
        }
        Ok(())
    }

    fn activation_job(&mut self, input: Bytes) -> GuestJob {
        GuestJob {
            component: self.run.component,
            export: self.run.export,
            input,
            run: Arc::new(RunContext {
                redone: self.refusals,
                ..context(&self.run, &self.plan, &self.live, &self.host.config.policy.now(), self.sink.next_seq())
            }),
            journal: self.journal.take().unwrap_or_else(Journal::empty),
            head: self.head.clone(),
            fuel_used: self.fuel_used,
            cancel: self.handle.cancel.clone(),
            sink: Arc::clone(&self.sink) as Arc<dyn RunChannel>,
        }
    }

    /// When the run has lived for as long as it may.
    pub(crate) fn lifetime_over(&self) -> Option<Timestamp> {
        let since = self.run.started_at.unwrap_or(self.run.created_at);
        self.lifetime_millis().map(|lifetime| since.plus_millis(lifetime))
    }

    /// How long the run may live, in milliseconds.
    pub(crate) fn lifetime_millis(&self) -> Option<u64> {
        let policy = self.host.config.policy.now();
        policy.bounded(self.run.deployment.as_str(), &self.live.plan.limits).lifetime_millis
    }

    /// When to end it for that; at once, where it is over already: it is not to begin another wait.
    pub(crate) fn lifetime_deadline(&mut self) -> Option<Instant> {
        let left = self.lifetime_over()?.millis_since(self.host.clock.now());
        if left == 0 {
            self.overran = true;
            self.handle.cancel.terminate();
            return None;
        }
        Some(Instant::now() + Duration::from_millis(left))
    }

    /// Puts a run that runs first into the store, as running.
    async fn show(&mut self) -> Result<(), ExecutionEnd> {
        if !self.fresh {
            return Ok(());
        }
        let leaves = RunChanges::record(self.run.clone(), self.host.clock.now());
        match self.commit_changes(leaves, false).await {
            Ok(CommitResult::Committed(run)) => {
                self.run = *run;
                Ok(())
            }
            Ok(CommitResult::KeyTaken) => Err(ExecutionEnd::KeyTaken),
            // It has read nothing; a store that says so all the same is asked again by nobody.
            Ok(CommitResult::Conflict) => Err(ExecutionEnd::Refused(StoreError::Io("conflict without a read".into()))),
            Err(error) => Err(ExecutionEnd::Refused(error)),
        }
    }

    async fn unreadable(&mut self, error: StoreError) -> ActivationEnd {
        self.host.store_failed(&error);
        if self.fresh {
            return ActivationEnd::Stopped(ExecutionEnd::Refused(error));
        }
        // Its input is computed from the store; without the store there is nothing to run on.
        self.host.pause_after_failure(1).await;
        if !self.host.is_stopping() && error.is_transient() {
            return ActivationEnd::HandBack;
        }
        ActivationEnd::Stopped(ExecutionEnd::Abandoned)
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
        step_retry: live.plan.retry.policy,
        seed: run.seed,
        next_log_seq,
        redone: 0,
    }
}

/// A job that replays what a run has recorded, on that component and as of that plan, and goes no further.
pub(crate) async fn dry_job(
    host: &Arc<HostState>,
    live: &ActiveDeployment,
    plan: &ResolvedRevision,
    run: &Run,
    component: ComponentDigest,
    recorded: (Journal, Option<Bytes>),
) -> Result<GuestJob, StoreError> {
    let input = host.store.input(run.id).await?.unwrap_or_default();
    let (journal, head) = recorded;
    let context = RunContext { component, ..context(run, plan, live, &host.config.policy.now(), 0) };
    Ok(GuestJob {
        component,
        export: run.export,
        input: crate::run::execution::period::input_of(host, live, run, input).await?,
        run: Arc::new(context),
        journal,
        head,
        fuel_used: run.fuel,
        cancel: CancelToken::new(),
        sink: Arc::new(GuestChannel::new(Arc::clone(host), run.deployment.clone(), 0, true)),
    })
}
