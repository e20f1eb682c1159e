//! Replays: an operation that delivers the events of a time range to a subscription again. The runs
//! of each part are committed together with the progress, so that a restart duplicates none.

use std::sync::Arc;

use tidemill_core::{Code, DeploymentName, SubscriptionName, Timestamp};
use tidemill_store::StoreError;
use tidemill_store::records::{Operation, OperationState, ReplayCommit, SubscriptionReplay, Task};

use crate::error::ControlError;
use crate::operation::{same_task, start_once};
use crate::reconcile::NextTick;
use crate::run_to_completion::run_to_completion;
use crate::state::ControlPlane;
use crate::topic::event_runs::{BATCH, SOON, first_batch, queue_room, requests};
use crate::topic::subscription_index::Subscriber;

impl ControlPlane {
    /// Starts to create runs again for the events that were delivered to a subscription and
    /// published from `since` on, before `until` or now. Undelivered events arrive by themselves.
    /// The subscription's position does not change.
    ///
    /// The same `key` returns the same replay.
    ///
    /// # Errors
    /// `host/deployment-not-found`, `host/subscription-not-found`; `host/bad-field` if the range is
    /// empty; `host/idempotency-mismatch` if the key started a replay of another range.
    pub async fn replay(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
        since: Timestamp,
        until: Option<Timestamp>,
        key: Option<String>,
    ) -> Result<Operation, ControlError> {
        self.0.shutdown.check_open()?;
        self.check_replay(deployment, name, since, until)?;
        let now = self.0.clock.now();
        let task = Task::Replay { deployment: deployment.clone(), subscription: name.clone(), since, until };
        let scope = format!("replay\0{deployment}\0{name}");
        let operation = start_once(task.clone(), &scope, key.as_deref(), now)?;
        let host = Arc::clone(&self.0);
        run_to_completion(async move {
            let operation = host.store.begin_replay(operation).await?;
            host.operation_wake.notify_one();
            same_task(operation, &task)
        })
        .await
    }

    /// Returns the number of events that [`ControlPlane::replay`] would read. The subscription's
    /// filter decides which of them start runs.
    ///
    /// # Errors
    /// As [`ControlPlane::replay`], except for the key.
    pub async fn replay_size(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
        since: Timestamp,
        until: Option<Timestamp>,
    ) -> Result<u64, ControlError> {
        self.check_replay(deployment, name, since, until)?;
        Ok(self.0.store.replay_size(deployment, name, since, until).await?)
    }

    fn check_replay(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
        since: Timestamp,
        until: Option<Timestamp>,
    ) -> Result<(), ControlError> {
        self.subscribed(deployment, name)?;
        if until.is_some_and(|until| until <= since) {
            return Err(ControlError::refused(Code::BadField, "`until` is not later than `since`"));
        }
        Ok(())
    }

    /// Returns a subscription with its active deployment.
    pub(crate) fn subscribed(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
    ) -> Result<Subscriber, ControlError> {
        let live = self.0.deployments.require(deployment)?;
        let subscription = live.plan.subscriptions.iter().find(|one| one.name == *name).cloned();
        let subscription = subscription.ok_or_else(|| ControlError::no_subscription(deployment, name))?;
        Ok(Subscriber { live, subscription })
    }

    /// Executes one part of a replay. Returns the operation after it, and when to continue.
    pub(crate) async fn replay_part(
        &self,
        operation: Operation,
        deployment: &DeploymentName,
        name: &SubscriptionName,
        now: Timestamp,
    ) -> Result<(Operation, NextTick), ControlError> {
        let (host, store) = (&self.0, &self.0.store);
        let (Some(part), Ok(subscriber)) = (store.next_replay(&operation.id).await?, self.subscribed(deployment, name))
        else {
            // The replay is complete, or the subscription was deleted.
            let through = Operation { state: OperationState::Done, ended_at: Some(now), ..operation };
            return Ok((store.put_operation(through).await?, NextTick::Now));
        };
        let room = queue_room(&**store, &subscriber.live, host.config.queue_max).await?;
        if room == 0 {
            return Ok((operation, NextTick::At(now.plus_millis(SOON))));
        }
        let last_run = store.subscription(deployment, name).await?.and_then(|one| one.last_run);
        let found = store.events(&part.topic, part.from, BATCH).await?;
        let wanted = found.iter().take_while(|event| event.position < part.to).count();
        let events = first_batch(found.get(..wanted).unwrap_or_default(), room);
        // Events that are no longer stored are counted and skipped.
        let first = events.first().map_or(part.to, |event| event.position);
        let to = events.last().map_or(part.to, |event| event.position + 1);
        let runs = requests(host.config.queue_max, &subscriber, events, last_run, Some(&operation.id), now)?;
        let made = runs.len();
        let after = Operation {
            matched: operation.matched + (to - part.from),
            done: operation.done + made as u64,
            failed: operation.failed + (first - part.from),
            ..operation.clone()
        };
        let replayed = ReplayCommit { operation: after.clone(), part: SubscriptionReplay { to, ..part }, runs };
        let done = match store.replay(replayed).await {
            // Other requests filled the queue first.
            Err(StoreError::QueueFull { .. } | StoreError::OverBound { .. }) => {
                return Ok((operation, NextTick::At(now.plus_millis(SOON))));
            }
            done => done.inspect_err(|error| host.store_failures.record(error))?,
        };
        if !done {
            return Ok((operation, NextTick::Now));
        }
        for _ in 0..made {
            host.admission.note_queued(&subscriber.live, now);
        }
        Ok((after, NextTick::Now))
    }
}
