//! Operations: one action on many things, worked off in the background a page at a time. Where it stands is in the store, so that a
//! restart goes on there. Here are the loop and the actions on runs; those on schedules are in `steering`, backfills in `backfill`.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use tidemill_core::{Code, ComponentDigest, RunId, Timestamp};
use tidemill_store::records::{Action, Operation, OperationState, PageRequest, RunFilter, Task};

use crate::control_plane::{ControlPlane, HostState, run_to_completion};
use crate::error::ControlError;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::run::retry::RetryRequest;
use crate::validate::check_key;

/// Runs between two notes of where an operation stands.
const PAGE: usize = 200;
/// Runs that are acted on at once: they share commits.
const SIDE_BY_SIDE: usize = 32;
/// How often to look for operations that nobody knocked for, in milliseconds.
const EVERY: u64 = 30_000;

impl ControlPlane {
    /// Begins to act on all runs that the filter finds. Where it names no state, those in a state for the action are meant.
    /// Runs that are made later are not touched. The same `key` again is the same operation.
    ///
    /// # Errors
    /// `host/idempotency-mismatch` if the key began another action; the store's own.
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
        // The runs that were there when the operation was asked for, which for a key was the first time.
        let task = |asked: Timestamp| {
            let after = asked.plus_millis(1);
            let until = Some(filter.until.map_or(after, |until| until.min(after)));
            Task::Runs { action, filter: RunFilter { until, ..filter.clone() } }
        };
        let begun = self.begin(start_once(task(now), "runs", key.as_deref(), now)?).await?;
        let task = task(begun.created_at);
        same_task(begun, &task)
    }

    /// Has an operation worked off, unless there is one of its id; answers the one that is there then.
    pub(crate) async fn begin(&self, operation: Operation) -> Result<Operation, ControlError> {
        let host = Arc::clone(&self.0);
        run_to_completion(async move {
            let operation = host.store.add_operation(operation).await?;
            host.asked.notify_one();
            Ok(operation)
        })
        .await
    }

    /// A page of an operation is done: keeps where it goes on.
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

    /// Cancels an operation: nothing more of it is done. What it has done stays, and so does one that is not running.
    ///
    /// # Errors
    /// `host/path-not-found` if there is none of that id.
    pub async fn cancel_operation(&self, id: &str) -> Result<Operation, ControlError> {
        let before = self.operation(id).await?;
        let operation = self.0.store.cancel_operation(id, self.0.clock.now()).await?;
        if before.state == OperationState::Running && operation.state == OperationState::Cancelled {
            let (done, failed) = (operation.done, operation.failed);
            tracing::info!(operation = id, done, failed, "operation cancelled");
        }
        Ok(operation)
    }

    /// How far an operation has come.
    ///
    /// # Errors
    /// `host/path-not-found` where there is none of that id.
    pub async fn operation(&self, id: &str) -> Result<Operation, ControlError> {
        let found = self.0.store.operation(id).await?;
        found.ok_or_else(|| ControlError::refused(Code::PathNotFound, format!("there is no operation `{id}`")))
    }
}

/// An operation that begins.
pub(crate) fn started_operation(task: Task, now: Timestamp) -> Result<Operation, ControlError> {
    Ok(Operation::new(format!("op_{}", crate::random::run_id(now)?), task, now))
}

/// The same, with the id that the caller's `key` names within `scope`, if there is a key.
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

/// The id of the operation that a caller's key names within `scope`.
pub(crate) fn keyed(scope: &str, key: &str) -> Result<String, ControlError> {
    check_key(key)?;
    let digest = ComponentDigest::of(format!("{scope}\0{key}").as_bytes());
    let text = digest.as_bytes().iter().take(16).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    Ok(format!("op_{text}"))
}

/// The operation that a request began, or that its key had begun before.
///
/// # Errors
/// `host/idempotency-mismatch` if the key had begun one with another task.
pub(crate) fn same_task(operation: Operation, task: &Task) -> Result<Operation, ControlError> {
    if operation.task == *task {
        return Ok(operation);
    }
    let detail = format!("the key belongs to operation {}, which does something else", operation.id);
    Err(ControlError::refused(Code::IdempotencyMismatch, detail))
}

/// The loop that works operations off.
pub(crate) struct OperationReconciler {
    host: ControlPlane,
}

impl OperationReconciler {
    pub(crate) fn new(host: Arc<HostState>) -> Self {
        Self { host: ControlPlane(host) }
    }

    /// One page of an operation; answers it as it stands then, and when it is to go on. What a crash cuts off is done again where that
    /// changes nothing, and otherwise committed with the operation itself.
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

    /// A run that was acted on is in no state for it any more.
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
            stream::iter(ids).map(|id| self.one(id, action)).buffer_unordered(SIDE_BY_SIDE).collect().await;
        for result in results {
            operation.matched += 1;
            if result? { operation.done += 1 } else { operation.failed += 1 }
        }
        self.host.page_done(operation, found.next).await
    }

    /// False where the run is in no state for it any more.
    async fn one(&self, id: RunId, action: Action) -> Result<bool, ControlError> {
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
                tracing::info!(run = %id, %error, "an operation leaves out a run");
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
        let mut later = now.plus_millis(EVERY);
        for operation in open {
            let id = operation.id.clone();
            match self.resume_operation(operation, now).await {
                Ok((operation, rest)) => {
                    done += 1;
                    match rest {
                        NextTick::At(at) => later = later.min(at),
                        _ => more |= operation.state == OperationState::Running,
                    }
                }
                Err(error) => {
                    failed += 1;
                    tracing::warn!(operation = id, %error, "an operation did not get any further and goes on later");
                }
            }
        }
        let rest = if more { NextTick::Now } else { NextTick::At(later) };
        Ok(TickReport { found, done, failed, rest })
    }

    async fn woken(&self) {
        self.host.0.asked.notified().await;
    }
}
