//! Synchronous invocation: run first, commit once, then answer.
//!
//! Where a run can begin at once it is not put into the store before: its first commit carries its outcome, and a
//! crash before means that the caller got no answer. Where it cannot begin at once, it is queued like any other and
//! the caller waits for its outcome. A caller who leaves stops nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tidemill_core::RunId;
use tidemill_core::failpoint;
use tidemill_core::run::{Export, Run, RunState};
use tidemill_store::records::{NewRun, RunRequestResult};

use crate::control_plane::{ControlPlane, HostState};
use crate::deployment::active::ActiveDeployment;
use crate::error::ControlError;
use crate::run::execution::{Execution, ExecutionEnd};
use crate::run::request::RunRequest;

/// A place is waited for so long before a run goes into the queue: a run need not be visible before that anyway.
const PLACE_WITHIN: Duration = Duration::from_millis(50);
/// Somebody who waits looks into the store so often, should nobody tell him.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// No caller waits longer.
pub const WAIT_MAX: Duration = Duration::from_secs(600);

/// What a caller who waited gets.
#[derive(Debug, Clone, PartialEq)]
pub struct InvokeResult {
    /// The run as it stands.
    pub run: Run,
    /// Its output, where it succeeded.
    pub output: Option<Bytes>,
    /// Whether there is nothing more to wait for: it has ended, or is parked.
    pub settled: bool,
    /// Whether an earlier request with the same idempotency key had made it.
    pub replayed: bool,
}

impl ControlPlane {
    /// Asks for a run and waits for its outcome, at most `wait`. What is answered is durable, settled or not.
    ///
    /// # Errors
    /// What is wrong with the request, or the store's own: then nothing of the run has happened.
    pub async fn invoke(&self, ask: RunRequest, wait: Duration) -> Result<InvokeResult, ControlError> {
        self.0.check_open()?;
        let live = self.0.live(&ask.deployment)?;
        let delayed = ask.delay.is_some_and(|delay| !delay.is_zero());
        let new = self.new_run(&live, ask)?;
        let until = tokio::time::Instant::now() + wait.min(WAIT_MAX);
        // A run that has the key is the answer, and so is one whose record was removed: nothing must begin for it.
        if let Some(key) = &new.key
            && (self.0.store.run_by_key(&new.deployment, key).await?.is_some()
                || self.0.store.key_outlives(&new.deployment, key, new.now).await?.is_some())
        {
            return self.queue_and_wait(&live, new, until).await;
        }
        match self.try_admit(&live, &new, delayed).await {
            Some(work) => self.run_first(&live, work, new, until).await,
            None => self.queue_and_wait(&live, new, until).await,
        }
    }

    /// Waits for the outcome of a run that was asked for before, at most `wait`.
    ///
    /// # Errors
    /// `host/run-not-found`; the store's own.
    pub async fn outcome(&self, id: RunId, wait: Duration) -> Result<InvokeResult, ControlError> {
        self.wait_for(id, tokio::time::Instant::now() + wait.min(WAIT_MAX), false).await
    }

    /// The run in hand, where it can begin now.
    async fn try_admit(&self, live: &Arc<ActiveDeployment>, new: &NewRun, delayed: bool) -> Option<Execution> {
        let behind = live.gate.behind.load(std::sync::atomic::Ordering::Acquire);
        // What must be looked at or counted in the store goes through it.
        if delayed || behind || !live.gate.is_open() || live.plan.flow.is_kept() {
            return None;
        }
        let collecting = match new.export {
            Export::RevenueStream => Some(Arc::clone(&live.collecting).try_lock_owned().ok()?),
            _ => None,
        };
        let permit = self.0.node.admit_soon(&live.gate, PLACE_WITHIN).await?;
        let run = running(&self.0, new);
        let work = Execution::fresh(Arc::clone(&self.0), Arc::clone(live), permit, run, new.input.clone());
        Some(work.with_collecting(collecting))
    }

    async fn run_first(
        &self,
        live: &Arc<ActiveDeployment>,
        work: Execution,
        new: NewRun,
        until: tokio::time::Instant,
    ) -> Result<InvokeResult, ControlError> {
        let sink = work.sink();
        let mut driven = InlineExecution::new(work);
        let finish = tokio::select! {
            biased;
            finish = &mut driven => finish,
            // Not before it is in the store: what is answered must be durable.
            () = async { tokio::time::sleep_until(until).await; sink.visible().await } => {
                drop(driven);
                return self.snapshot(new.id).await;
            }
        };
        failpoint::hit("run/answer");
        match finish {
            ExecutionEnd::Settled(run, output) => {
                Ok(InvokeResult { run: *run, output, settled: true, replayed: false })
            }
            ExecutionEnd::Queued(run) | ExecutionEnd::Suspended(run) if self.0.is_closed() => {
                Ok(InvokeResult { run: *run, output: None, settled: false, replayed: false })
            }
            // Where it waits, so does its caller.
            ExecutionEnd::Queued(run) | ExecutionEnd::Suspended(run) => self.wait_for(run.id, until, false).await,
            // The winner's record, with the check that it had the same input.
            ExecutionEnd::KeyTaken => self.queue_and_wait(live, new, until).await,
            ExecutionEnd::Refused(error) => Err(error.into()),
            ExecutionEnd::Abandoned => self.snapshot(new.id).await,
        }
    }

    async fn queue_and_wait(
        &self,
        live: &Arc<ActiveDeployment>,
        new: NewRun,
        until: tokio::time::Instant,
    ) -> Result<InvokeResult, ControlError> {
        match self.enqueue(live, new).await? {
            RunRequestResult::Created(run) | RunRequestResult::Joined(run) => self.wait_for(run.id, until, false).await,
            RunRequestResult::Existing(run) => self.wait_for(run.id, until, true).await,
        }
    }

    /// Waits until the run is settled, or `until`.
    async fn wait_for(
        &self,
        id: RunId,
        until: tokio::time::Instant,
        replayed: bool,
    ) -> Result<InvokeResult, ControlError> {
        let mut watch = self.0.outcomes.watch(id);
        loop {
            let mut stands = self.snapshot(id).await?;
            stands.replayed = replayed;
            let closed = self.0.is_closed();
            // What waits when the host closes, another life goes on with.
            let for_another_life = closed && matches!(stands.run.state, RunState::Queued { .. } | RunState::Suspended);
            if stands.settled || for_another_life || tokio::time::Instant::now() >= until {
                return Ok(stands);
            }
            let look_again = until.min(tokio::time::Instant::now() + LOOK_AGAIN);
            tokio::select! {
                told = watch.outcome() => match told {
                    Some(settled) => {
                        let (run, output) = (settled.run.clone(), settled.output.clone());
                        return Ok(InvokeResult { run, output, settled: true, replayed });
                    }
                    // Told already, to a loop that did not listen; the store knows.
                    None => watch = self.0.outcomes.watch(id),
                },
                () = tokio::time::sleep_until(look_again) => {}
                () = self.0.closing(), if !closed => {}
                // The store closes any moment: what was read last must do.
                () = self.0.stopping() => return Ok(stands),
            }
        }
    }

    /// The run as the store has it.
    async fn snapshot(&self, id: RunId) -> Result<InvokeResult, ControlError> {
        let run = self.0.store.run(id).await?.ok_or_else(|| ControlError::no_run(id))?;
        let output = if run.state == RunState::Succeeded { self.0.store.output(id).await? } else { None };
        Ok(InvokeResult { settled: run.state.is_settled(), run, output, replayed: false })
    }
}

/// The record of a run that begins now, as the store will first have it.
fn running(host: &HostState, new: &NewRun) -> Run {
    Run {
        state: RunState::Running { node: host.owner.node.clone(), epoch: host.owner.epoch },
        started_at: Some(new.now),
        ..new.to_run()
    }
}

/// A run in hand that its caller drives himself, which spares a hop between threads; dropped before its end, it goes on as a
/// task of its own.
struct InlineExecution(Option<Pin<Box<dyn Future<Output = ExecutionEnd> + Send>>>);

impl InlineExecution {
    fn new(work: Execution) -> Self {
        Self(Some(Box::pin(work.drive())))
    }
}

impl Future for InlineExecution {
    type Output = ExecutionEnd;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<ExecutionEnd> {
        let Some(work) = self.0.as_mut() else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

impl Drop for InlineExecution {
    fn drop(&mut self) {
        if let Some(work) = self.0.take() {
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(work)),
                // The runtime ends: the run is gone as after a crash.
                Err(_) => drop(work),
            }
        }
    }
}
