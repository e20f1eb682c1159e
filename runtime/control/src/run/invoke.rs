//! Synchronous invocation: execute first, commit once, then answer.
//!
//! A run that can start at once is not stored first: its first commit has its result, and a crash
//! before it means that the caller got no answer. A run that cannot start at once is queued like
//! any other, and the caller waits for its completion. A caller that disconnects stops nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tidemill_core::RunId;
use tidemill_core::failpoint;
use tidemill_core::run::{Export, Run, RunState};
use tidemill_store::records::{NewRun, RunRequestResult};

use crate::deployment::active::ActiveDeployment;
use crate::deployment::breaker_control::circuit_open;
use crate::error::ControlError;
use crate::run::completion::InvokeResult;
use crate::run::execution::{Execution, ExecutionEnd};
use crate::run::request::RunRequest;
use crate::state::{ControlPlane, HostState};

/// How long to wait for a free slot before queueing. Runs are invisible for their first 50 ms
/// anyway.
const SLOT_WAIT_MAX: Duration = Duration::from_millis(50);
/// How often a waiting caller polls the store in case it missed the notification.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Maximum time that a caller waits.
pub const WAIT_MAX: Duration = Duration::from_secs(600);

impl ControlPlane {
    /// Requests a run and waits at most `wait` for its completion. The answer is durable, settled
    /// or not.
    ///
    /// # Errors
    /// Problems of the request, or errors of the store. Then nothing of the run was committed.
    pub async fn invoke(&self, request: RunRequest, wait: Duration) -> Result<InvokeResult, ControlError> {
        self.0.shutdown.check_open()?;
        let live = self.target_of(&request).await?;
        let delayed = request.delay.is_some_and(|delay| !delay.is_zero());
        let new = self.new_run(&live, request)?;
        let until = tokio::time::Instant::now() + wait.min(WAIT_MAX);
        // A run with this key is the answer, even if its record was removed. No run may start for
        // it.
        if let Some(key) = &new.key
            && self.has_key(&new.deployment, key).await?
        {
            return Box::pin(self.queue_and_wait(&live, new, until)).await;
        }
        if !delayed {
            self.check_breaker(&live)?;
        }
        match self.try_admit(&live, &new, delayed).await? {
            Some(work) => self.run_first(&live, work, new, until).await,
            None => Box::pin(self.queue_and_wait(&live, new, until)).await,
        }
    }

    /// Waits at most `wait` for the completion of an existing run.
    ///
    /// # Errors
    /// `host/run-not-found`; errors of the store.
    pub async fn outcome(&self, id: RunId, wait: Duration) -> Result<InvokeResult, ControlError> {
        self.wait_for(id, tokio::time::Instant::now() + wait.min(WAIT_MAX), false).await
    }

    /// Returns the execution of a run that can start now; `None` if it must be queued.
    ///
    /// # Errors
    /// `host/circuit-open`.
    async fn try_admit(
        &self,
        live: &Arc<ActiveDeployment>,
        new: &NewRun,
        delayed: bool,
    ) -> Result<Option<Box<Execution>>, ControlError> {
        let has_backlog = live.limiter.has_backlog.load(std::sync::atomic::Ordering::Acquire);
        // Rules that depend on the store's state require the queue.
        if delayed || has_backlog || !live.limiter.is_open() || live.plan.is_kept() {
            return Ok(None);
        }
        let collecting = match new.export {
            Export::RevenueStream => match Arc::clone(&live.collecting).try_lock_owned() {
                Ok(guard) => Some(guard),
                Err(_) => return Ok(None),
            },
            _ => None,
        };
        let Some(mut permit) = self.0.admission.node.admit_soon(&live.limiter, SLOT_WAIT_MAX).await else {
            return Ok(None);
        };
        let now = self.0.clock.now();
        let admission = live.limiter.breaker.admit(now).map_err(|refusal| circuit_open(live, refusal, now))?;
        permit.begin_attempt(admission);
        let run = running(&self.0, new);
        let work = Execution::fresh(Arc::clone(&self.0), Arc::clone(live), permit, run, new.input.clone());
        Ok(Some(Box::new(work.with_collecting(collecting))))
    }

    async fn run_first(
        &self,
        live: &Arc<ActiveDeployment>,
        work: Box<Execution>,
        new: NewRun,
        until: tokio::time::Instant,
    ) -> Result<InvokeResult, ControlError> {
        let sink = work.sink();
        let mut driven = InlineExecution::new(work);
        let finish = tokio::select! {
            biased;
            finish = &mut driven => finish,
            // Answer only once the run is stored, because the answer must be durable.
            () = async { tokio::time::sleep_until(until).await; sink.visible().await } => {
                drop(driven);
                return self.snapshot(new.id).await;
            }
        };
        failpoint::hit("run/answer");
        match finish {
            ExecutionEnd::Settled(run, output) => Ok(InvokeResult { run: *run, output, replayed: false }),
            ExecutionEnd::Queued(run) | ExecutionEnd::Suspended(run) if self.0.shutdown.is_closing() => {
                Ok(InvokeResult { run: *run, output: None, replayed: false })
            }
            // If the run waits, its caller waits too.
            ExecutionEnd::Queued(run) | ExecutionEnd::Suspended(run) => self.wait_for(run.id, until, false).await,
            // Answer with the winner's record, after a check that it had the same input.
            ExecutionEnd::KeyTaken => Box::pin(self.queue_and_wait(live, new, until)).await,
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

    /// Waits until the run is settled, or until `until`.
    async fn wait_for(
        &self,
        id: RunId,
        until: tokio::time::Instant,
        replayed: bool,
    ) -> Result<InvokeResult, ControlError> {
        let mut watch = self.0.runs.completions.watch(id);
        loop {
            let mut present = self.snapshot(id).await?;
            present.replayed = replayed;
            let closed = self.0.shutdown.is_closing();
            // If the host shuts down, the next epoch executes a waiting run.
            let left_to_next_epoch =
                closed && matches!(present.run.state, RunState::Queued { .. } | RunState::Suspended);
            if present.run.state.is_settled() || left_to_next_epoch || tokio::time::Instant::now() >= until {
                return Ok(present);
            }
            let poll_at = until.min(tokio::time::Instant::now() + POLL_INTERVAL);
            tokio::select! {
                notified = watch.outcome() => match notified {
                    Some(settled) => {
                        return Ok(InvokeResult { replayed, ..InvokeResult::clone(&settled) });
                    }
                    // The notification was consumed already. Read the store again.
                    None => watch = self.0.runs.completions.watch(id),
                },
                () = tokio::time::sleep_until(poll_at) => {}
                () = self.0.shutdown.closing.cancelled(), if !closed => {}
                // The store is about to close, so answer with the last state.
                () = self.0.shutdown.stopping.cancelled() => return Ok(present),
            }
        }
    }

    /// Returns the run in its stored state.
    async fn snapshot(&self, id: RunId) -> Result<InvokeResult, ControlError> {
        let run = self.stored_run(id).await?;
        let output = if run.state == RunState::Succeeded { self.0.store.output(id).await? } else { None };
        Ok(InvokeResult { run, output, replayed: false })
    }
}

/// Returns the record of a run that starts now, as the store will first have it.
fn running(host: &HostState, new: &NewRun) -> Run {
    Run {
        state: RunState::Running { node: host.owner.node.clone(), epoch: host.owner.epoch },
        started_at: Some(new.now),
        ..new.to_run()
    }
}

/// An execution that its caller's task drives, which saves a hop between threads. If it is dropped
/// before its end, it continues on a task of its own.
struct InlineExecution(Option<Pin<Box<dyn Future<Output = ExecutionEnd> + Send>>>);

impl InlineExecution {
    fn new(work: Box<Execution>) -> Self {
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
                // The runtime is shutting down. The run is lost as in a crash.
                Err(_) => drop(work),
            }
        }
    }
}
