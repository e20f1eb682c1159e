//! The loop that executes operations, and their actions on runs.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use tidemill_core::{Code, RunId, Timestamp};
use tidemill_store::records::{Action, Operation, OperationState, PageRequest, RunFilter, Task};

use crate::error::ControlError;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::run::retry::RetryRequest;
use crate::state::{ControlPlane, HostState};

/// Number of runs per page, after which an operation stores its progress.
const PAGE: usize = 200;
/// Maximum number of concurrent actions on runs. They share commits.
const CONCURRENCY: usize = 32;
/// Maximum interval between two looks for open operations, in milliseconds.
const INTERVAL: u64 = 30_000;

/// The loop that executes operations.
pub(crate) struct OperationReconciler {
    host: ControlPlane,
}

impl OperationReconciler {
    pub(crate) fn new(host: &Arc<HostState>) -> Self {
        Self { host: ControlPlane(Arc::clone(host)) }
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
            Task::Deliveries { filter } => return self.host.replay_page(operation, filter, now).await,
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

#[async_trait]
impl Reconciler for OperationReconciler {
    fn name(&self) -> &'static str {
        "operations"
    }

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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidemill_core::run::RunState;

    use super::*;
    use crate::fixture::{LoopFixture, START};

    #[tokio::test]
    async fn a_tick_acts_on_a_page_of_runs_and_stores_the_progress() {
        let fixture = LoopFixture::with(json!({})).await;
        fixture.queue().await;
        fixture.queue().await;
        let operations = OperationReconciler::new(&fixture.host);
        assert_eq!(operations.tick(START).await.unwrap().found, 0);
        let begun = fixture.control().act(RunFilter::default(), Action::Cancel, None).await.unwrap();
        let report = operations.tick(START).await.unwrap();
        let next = NextTick::At(START.plus_millis(INTERVAL));
        assert_eq!(report, TickReport { found: 1, done: 1, failed: 0, next });
        let stored = fixture.control().operation(&begun.id).await.unwrap();
        assert_eq!((stored.state, stored.matched, stored.done, stored.failed), (OperationState::Done, 2, 2, 0));
        assert!(fixture.runs().await.iter().all(|run| run.state == RunState::Cancelled));
    }
}
