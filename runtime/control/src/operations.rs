//! Operations: one action on every run that a filter finds, worked off in the background a page at a time. Where it stands
//! is in the store, so that a restart goes on there.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use tidemill_core::{Code, RunId, Timestamp};
use tidemill_store::records::{Action, Operation, OperationState, PageRequest, RunFilter};

use crate::error::ControlError;
use crate::host::{Host, Inner, to_its_end};
use crate::looping::{Loop, Progress, Rest};
use crate::retry::RetryAsk;

/// Runs between two notes of where an operation stands.
const PAGE: usize = 200;
/// Runs that are acted on at once: they share commits.
const SIDE_BY_SIDE: usize = 32;
/// How often to look for operations that nobody knocked for, in milliseconds.
const EVERY: u64 = 30_000;

impl Host {
    /// Begins to act on all runs that the filter finds. Where it names no state, those in a state for the action are meant.
    /// Runs that are made later are not touched.
    ///
    /// # Errors
    /// The store's own.
    pub async fn act(&self, filter: RunFilter, action: Action) -> Result<Operation, ControlError> {
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
        let after = now.plus_millis(1);
        filter.until = Some(filter.until.map_or(after, |until| until.min(after)));
        let operation = Operation {
            id: format!("op_{}", crate::chance::run_id(now)?.to_string().trim_start_matches("run_")),
            action,
            filter,
            matched: 0,
            done: 0,
            failed: 0,
            cursor: None,
            state: OperationState::Running,
            created_at: now,
            ended_at: None,
        };
        let host = Arc::clone(&self.0);
        to_its_end(async move {
            host.store.put_operation(operation.clone()).await?;
            host.asked.notify_one();
            Ok(operation)
        })
        .await
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

/// The loop that works operations off.
pub(crate) struct Operations {
    host: Host,
}

impl Operations {
    pub(crate) fn new(host: Arc<Inner>) -> Self {
        Self { host: Host(host) }
    }

    /// One page of an operation; answers it as it stands then. What a crash cuts off is done again: a run that was acted on is
    /// in no state for it any more.
    async fn go_on(&self, mut operation: Operation) -> Result<Operation, ControlError> {
        let store = &self.host.0.store;
        let page = PageRequest { cursor: operation.cursor.take(), limit: PAGE };
        let found = store.runs(operation.filter.clone(), page).await?;
        let ids: Vec<RunId> = found.items.iter().map(|run| run.id).collect();
        let results: Vec<_> =
            stream::iter(ids).map(|id| self.one(id, operation.action)).buffer_unordered(SIDE_BY_SIDE).collect().await;
        for result in results {
            operation.matched += 1;
            if result? { operation.done += 1 } else { operation.failed += 1 }
        }
        operation.cursor = found.next;
        if operation.cursor.is_none() {
            operation.state = OperationState::Done;
            operation.ended_at = Some(self.host.0.clock.now());
        }
        store.put_operation(operation.clone()).await?;
        Ok(operation)
    }

    /// False where the run is in no state for it any more.
    async fn one(&self, id: RunId, action: Action) -> Result<bool, ControlError> {
        let done = match action {
            Action::Retry => self.host.retry(id, RetryAsk::default()).await.map(|_| ()),
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

impl Loop for Operations {
    const NAME: &'static str = "operations";

    async fn tick(&self, now: Timestamp) -> Result<Progress, ControlError> {
        let open = self.host.0.store.open_operations().await?;
        let found = open.len();
        let (mut done, mut failed, mut more) = (0, 0, false);
        for operation in open {
            let id = operation.id.clone();
            match self.go_on(operation).await {
                Ok(operation) => {
                    done += 1;
                    more |= operation.state == OperationState::Running;
                }
                Err(error) => {
                    failed += 1;
                    tracing::warn!(operation = id, %error, "an operation did not get any further and goes on later");
                }
            }
        }
        let rest = if more { Rest::None } else { Rest::Until(now.plus_millis(EVERY)) };
        Ok(Progress { found, done, failed, rest })
    }

    async fn knocked(&self) {
        self.host.0.asked.notified().await;
    }
}
