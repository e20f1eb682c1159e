//! Operations: one action on many objects, executed in the background one page at a time. Its
//! progress is in the store, so that it resumes after a restart.
//!
//! The loop that executes them is in `reconcile/operations.rs`. Actions on schedules are in
//! `schedule/bulk.rs`, backfills in `schedule/backfill.rs`, replays in `topic/replay.rs`.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use tidemill_core::{Code, ComponentDigest, Timestamp};
use tidemill_store::records::{Action, Operation, OperationState, RunFilter, Task};

use crate::error::ControlError;
use crate::run_to_completion::run_to_completion;
use crate::state::ControlPlane;
use crate::validate::check_key;

impl ControlPlane {
    /// Starts an operation on all runs that match the filter. If it names no state, the states that
    /// allow the action are selected. Runs that are created later are not touched. The same `key`
    /// returns the same operation.
    ///
    /// # Errors
    /// `host/idempotency-mismatch` if the key started another action; errors of the store.
    pub async fn act(&self, filter: RunFilter, action: Action, key: Option<String>) -> Result<Operation, ControlError> {
        self.0.shutdown.check_open()?;
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

/// Returns a new operation, whose id derives from the caller's `key` within `scope` if there is
/// one.
pub(crate) fn start_once(
    task: Task,
    scope: &str,
    key: Option<&str>,
    now: Timestamp,
) -> Result<Operation, ControlError> {
    let id = match key {
        Some(key) => keyed(scope, key)?,
        None => format!("op_{}", crate::random::run_id(now)),
    };
    Ok(Operation::new(id, task, now))
}

/// Returns the id of the operation that a caller's key names within `scope`.
pub(crate) fn keyed(scope: &str, key: &str) -> Result<String, ControlError> {
    check_key(key)?;
    let digest = ComponentDigest::of(format!("{scope}\0{key}").as_bytes());
    Ok(format!("op_{}", HEXLOWER.encode(&digest.as_bytes()[..16])))
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
