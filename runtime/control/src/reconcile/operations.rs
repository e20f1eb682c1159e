//! Operations: one action on many objects, executed in the background one page at a time. Its
//! progress is in the store, so that it resumes after a restart.
//!
//! This file holds the loop and the actions on runs. Actions on schedules are in
//! `schedule/bulk.rs`, backfills in `schedule/backfill.rs`.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use tidemill_core::{Code, ComponentDigest, RunId, Timestamp};
use tidemill_store::records::{Action, Operation, OperationState, PageRequest, RunFilter, Task};

use crate::control_plane::{ControlPlane, HostState, run_to_completion};
use crate::error::ControlError;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::run::retry::RetryRequest;
use crate::validate::check_key;

/// Number of runs per page, after which an operation stores its progress.
const PAGE: usize = 200;
/// Maximum number of concurrent actions on runs. They share commits.
const CONCURRENCY: usize = 32;
/// Maximum interval between two looks for open operations, in milliseconds.
const INTERVAL: u64 = 30_000;

impl ControlPlane {
    /// Starts an operation on all runs that match the filter. If it names no state, the states that
    /// allow the action are selected. Runs that are created later are not touched. The same `key`
    /// returns the same operation.
    ///
    /// # Errors
    /// `host/idempotency-mismatch` if the key started another action; errors of the store.
    pub async fn act(&self, filter: RunFilter, action: Action, key: Option<String>) -> Result<Operation, ControlError> {
        self.0.check_open()?;
        let now = self.0.clock.now();
        let mut filter = filter;
        if filter.states.is_empty() {
            let states: &[&str] = match action {
                Action::Retry => &["parked"],
                Action::Cancel | Action::Terminate => &["queued", "running", "suspended", "parked"],
            };
            filter.states = states.iter().map(|state| (*state).to_owned()).collect();
        }
        // Select the runs that existed when the operation was requested; for a key, when it was
        // first used.
        let task = |requested_at: Timestamp| {
            let after = requested_at.plus_millis(1);
            let until = Some(filter.until.map_or(after, |until| until.min(after)));
            Task::Runs { action, filter: RunFilter { until, ..filter.clone() } }
        };
        let begun = self.begin(start_once(task(now), "runs", key.as_deref(), now)?).await?;
        let task = task(begun.created_at);
        same_task(begun, &task)
    }

    /// Stores an operation, unless its id exists, and returns the stored one.
    pub(crate) async fn begin(&self, operation: Operation) -> Result<Operation, ControlError> {
        let host = Arc::clone(&self.0);
        run_to_completion(async move {
            let operation = host.store.add_operation(operation).await?;
            host.operation_wake.notify_one();
            Ok(operation)
        })
        .await
    }

    /// Stores the progress of an operation after a page; without `next` it is done.
    pub(crate) async fn page_done(
        &self,
        mut operation: Operation,
        next: Option<Vec<u8>>,
    ) -> Result<Operation, ControlError> {
        operation.cursor = next;
        if operation.cursor.is_none() {
            operation.state = OperationState::Done;
            operation.ended_at = Some(self.0.clock.now());
        }
        Ok(self.0.store.put_operation(operation).await?)
    }

    /// Cancels an operation, which then does nothing more. Completed actions stay. An operation
    /// that is not running is returned unchanged.
    ///
    /// # Errors
    /// `host/path-not-found` if there is no such operation.
    pub async fn cancel_operation(&self, id: &str) -> Result<Operation, ControlError> {
        let before = self.operation(id).await?;
        let operation = self.0.store.cancel_operation(id, self.0.clock.now()).await?;
        if before.state == OperationState::Running && operation.state == OperationState::Cancelled {
            let (done, failed) = (operation.done, operation.failed);
            tracing::info!(operation = id, done, failed, "operation cancelled");
        }
        Ok(operation)
    }

    /// Returns an operation with its progress.
    ///
    /// # Errors
    /// `host/path-not-found` if there is no such operation.
    pub async fn operation(&self, id: &str) -> Result<Operation, ControlError> {
        let found = self.0.store.operation(id).await?;
        found.ok_or_else(|| ControlError::refused(Code::PathNotFound, format!("there is no operation `{id}`")))
    }
}

/// Returns a new operation.
pub(crate) fn started_operation(task: Task, now: Timestamp) -> Result<Operation, ControlError> {
    Ok(Operation::new(format!("op_{}", crate::random::run_id(now)?), task, now))
}

/// Returns a new operation, whose id derives from the caller's `key` within `scope` if there is
/// one.
pub(crate) fn start_once(
    task: Task,
    scope: &str,
    key: Option<&str>,
    now: Timestamp,
) -> Result<Operation, ControlError> {
    let id = key.map(|key| keyed(scope, key)).transpose()?;
    let operation = started_operation(task, now)?;
    Ok(match id {
        Some(id) => Operation { id, ..operation },
        None => operation,
    })
}

/// Returns the id of the operation that a caller's key names within `scope`.
pub(crate) fn keyed(scope: &str, key: &str) -> Result<String, ControlError> {
    check_key(key)?;
    let digest = ComponentDigest::of(format!("{scope}\0{key}").as_bytes());
    let text = digest.as_bytes().iter().take(16).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    Ok(format!("op_{text}"))
}

/// Returns the operation that a request started now or its key started earlier.
///
/// # Errors
/// `host/idempotency-mismatch` if the key started an operation with another task.
pub(crate) fn same_task(operation: Operation, task: &Task) -> Result<Operation, ControlError> {
    if operation.task == *task {
        return Ok(operation);
    }
    let detail = format!("the key belongs to operation {}, which does something else", operation.id);
    Err(ControlError::refused(Code::IdempotencyMismatch, detail))
}

/// The loop that executes operations.
pub(crate) struct OperationReconciler {
    host: ControlPlane,
}

impl OperationReconciler {
    pub(crate) fn new(host: Arc<HostState>) -> Self {
        Self { host: ControlPlane(host) }
    }

    /// Executes one page of an operation. Returns the operation after it, and when to continue.
    /// After a crash, an idempotent page is repeated; any other page was committed together with
    /// the operation.
    async fn resume_operation(
        &self,
        operation: Operation,
        now: Timestamp,
    ) -> Result<(Operation, NextTick), ControlError> {
        match operation.task.clone() {
            Task::Runs { action, filter } => self.act_on_runs(operation, action, filter).await,
            Task::Schedules { pause, deployment, labels } => {
                self.host.update_schedule_page(operation, pause, deployment.as_ref(), &labels).await
            }
            Task::Resync { deployment, labels } => self.host.resync_page(operation, deployment.as_ref(), &labels).await,
            Task::Backfill { deployment, schedule, start, end, .. } => {
                return self.host.backfill_part(operation, (&deployment, &schedule), start..end, now).await;
            }
            Task::Replay { deployment, subscription, .. } => {
                return self.host.replay_part(operation, &deployment, &subscription, now).await;
            }
        }
        .map(|operation| (operation, NextTick::Now))
    }

    /// Applies the action to one page of runs. A run that was acted on is no longer in a state for
    /// it.
    async fn act_on_runs(
        &self,
        mut operation: Operation,
        action: Action,
        filter: RunFilter,
    ) -> Result<Operation, ControlError> {
        let page = PageRequest { cursor: operation.cursor.take(), limit: PAGE };
        let found = self.host.0.store.runs(filter, page).await?;
        let ids: Vec<RunId> = found.items.iter().map(|run| run.id).collect();
        let results: Vec<_> =
            stream::iter(ids).map(|id| self.act_on_run(id, action)).buffer_unordered(CONCURRENCY).collect().await;
        for result in results {
            operation.matched += 1;
            if result? { operation.done += 1 } else { operation.failed += 1 }
        }
        self.host.page_done(operation, found.next).await
    }

    /// Applies the action to one run. Returns `false` if the run is no longer in a state for it.
    async fn act_on_run(&self, id: RunId, action: Action) -> Result<bool, ControlError> {
        let done = match action {
            Action::Retry => self.host.retry(id, RetryRequest::default()).await.map(|_| ()),
            Action::Cancel => self.host.cancel(id, false).await.map(|_| ()),
            Action::Terminate => self.host.cancel(id, true).await.map(|_| ()),
        };
        match done {
            Ok(()) => Ok(true),
            Err(ControlError::Store(error)) if error.is_transient() => Err(error.into()),
            Err(error) if error.code() == Code::ShuttingDown => Err(error),
            Err(error) => {
                tracing::info!(run = %id, %error, "operation skipped a run");
                Ok(false)
            }
        }
    }
}

impl Reconciler for OperationReconciler {
    const NAME: &'static str = "operations";

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let open = self.host.0.store.open_operations().await?;
        let found = open.len();
        let (mut done, mut failed, mut more) = (0, 0, false);
        let mut later = now.plus_millis(INTERVAL);
        for operation in open {
            let id = operation.id.clone();
            match self.resume_operation(operation, now).await {
                Ok((operation, next)) => {
                    done += 1;
                    match next {
                        NextTick::At(at) => later = later.min(at),
                        _ => more |= operation.state == OperationState::Running,
                    }
                }
                Err(error) => {
                    failed += 1;
                    tracing::warn!(operation = id, %error, "operation made no progress; will retry");
                }
            }
        }
        let next = if more { NextTick::Now } else { NextTick::At(later) };
        Ok(TickReport { found, done, failed, next })
    }

    async fn woken(&self) {
        self.host.0.operation_wake.notified().await;
    }
}
