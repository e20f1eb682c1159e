//! Replays deliveries: one, or all that match a filter, as an operation whose pages are committed
//! together with its progress.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use tidemill_core::delivery::{DeliveryOutcome, RUNS_MAX};
use tidemill_core::run::Run;
use tidemill_core::{Code, DeliveryId, DeploymentName, Timestamp};
use tidemill_store::StoreError;
use tidemill_store::records::{
    DeliveryFilter, DeliveryRecord, DeliveryReplay, DeliveryReplayResult, NewRun, Operation, OperationState,
    PageRequest, ReplayObstacle, Task,
};

use crate::deployment::active::ActiveDeployment;
use crate::error::ControlError;
use crate::hook::delivery_runs;
use crate::operation::{same_task, start_once};
use crate::random;
use crate::reconcile::NextTick;
use crate::run_to_completion::run_to_completion;
use crate::state::ControlPlane;
use crate::topic::event_runs::{SOON, queue_room};

/// Number of deliveries that one commit replays.
const PAGE: usize = 64;
/// Number of deliveries per page of a count.
const COUNT_PAGE: usize = 500;

/// Outcomes that a replay selects if its filter names none: those of deliveries that have settled
/// and that no person has to look at first.
const REPLAYED: [DeliveryOutcome; 4] =
    [DeliveryOutcome::Done, DeliveryOutcome::Failed, DeliveryOutcome::Ignored, DeliveryOutcome::Test];

impl ControlPlane {
    /// Starts a new run of a delivery, with the delivery as it was.
    ///
    /// # Errors
    /// `host/delivery-not-found`; `host/delivery-state` if it waits for a run, or was refused;
    /// `host/deployment-not-found`; `host/queue-full`.
    pub async fn replay_delivery(&self, id: DeliveryId) -> Result<Run, ControlError> {
        self.0.shutdown.check_open()?;
        let record = self.0.store.delivery(id).await?.ok_or_else(|| ControlError::no_delivery(id))?;
        let live = self.0.deployments.require(&record.delivery.deployment)?;
        let now = self.0.clock.now();
        let replay = DeliveryReplay { runs: vec![self.run_again(&live, &record, now)], operation: None, now };
        let most = live.queue_max(self.0.config.queue_max);
        let replayed = self.commit_replay(replay, vec![live]).await.map_err(|error| match error {
            ControlError::Store(StoreError::QueueFull { queued }) => {
                ControlError::queue_full(&record.delivery.deployment, queued, most)
            }
            error => error,
        })?;
        match replayed.skipped.first() {
            Some((_, obstacle)) => Err(self.refused(&record, *obstacle)),
            None => replayed.runs.into_iter().next().ok_or_else(|| ControlError::no_delivery(id)),
        }
    }

    /// Starts to replay all deliveries that match the filter and were received before now. If it
    /// names no outcome, those that succeeded, failed, or made no run are selected. The same `key`
    /// returns the same operation.
    ///
    /// # Errors
    /// `host/idempotency-mismatch` if the key started another operation; errors of the store.
    pub async fn replay_deliveries(
        &self,
        filter: DeliveryFilter,
        key: Option<String>,
    ) -> Result<Operation, ControlError> {
        self.0.shutdown.check_open()?;
        let now = self.0.clock.now();
        let task = |requested_at: Timestamp| Task::Deliveries { filter: bounded(filter.clone(), requested_at) };
        let begun = self.begin(start_once(task(now), "deliveries", key.as_deref(), now)?).await?;
        let task = task(begun.created_at);
        same_task(begun, &task)
    }

    /// Counts the deliveries that [`ControlPlane::replay_deliveries`] would select now, up to
    /// `most`.
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn count_replays(&self, filter: DeliveryFilter, most: u64) -> Result<u64, ControlError> {
        let filter = bounded(filter, self.0.clock.now());
        let (mut count, mut page) = (0, PageRequest::first(COUNT_PAGE));
        loop {
            let found = self.0.store.deliveries(filter.clone(), page).await?;
            count += found.items.len() as u64;
            match found.next {
                Some(cursor) if count < most => page = PageRequest { cursor: Some(cursor), limit: COUNT_PAGE },
                _ => return Ok(count.min(most)),
            }
        }
    }

    /// Replays one page of deliveries. Returns the operation after it, and when to continue.
    pub(crate) async fn replay_page(
        &self,
        operation: Operation,
        filter: DeliveryFilter,
        now: Timestamp,
    ) -> Result<(Operation, NextTick), ControlError> {
        let page = |limit| PageRequest { cursor: operation.cursor.clone(), limit };
        let mut found = self.0.store.deliveries(filter.clone(), page(PAGE)).await?;
        let fitting = self.fitting(&found.items).await?;
        if fitting < found.items.len() {
            if fitting == 0 {
                return Ok((operation, NextTick::At(now.plus_millis(SOON))));
            }
            found = self.0.store.deliveries(filter, page(fitting)).await?;
        }
        let (mut runs, mut lives, mut without_deployment) = (Vec::new(), Vec::new(), 0);
        for record in &found.items {
            match self.0.deployments.get(&record.delivery.deployment) {
                Some(live) => {
                    runs.push(self.run_again(&live, record, now));
                    lives.push(live);
                }
                None => without_deployment += 1,
            }
        }
        let mut after = Operation { cursor: found.next, ..operation.clone() };
        after.matched += without_deployment;
        after.failed += without_deployment;
        if after.cursor.is_none() {
            after.state = OperationState::Done;
            after.ended_at = Some(now);
        }
        let replay = DeliveryReplay { runs, operation: Some(after), now };
        match self.commit_replay(replay, lives).await {
            // Other requests filled a queue first.
            Err(ControlError::Store(StoreError::QueueFull { .. } | StoreError::OverBound { .. })) => {
                Ok((operation, NextTick::At(now.plus_millis(SOON))))
            }
            Err(error) => Err(error),
            Ok(replayed) => Ok((replayed.operation.unwrap_or(operation), NextTick::Now)),
        }
    }

    /// Returns how many of the first deliveries find room in the queues of their deployments.
    async fn fitting(&self, records: &[DeliveryRecord]) -> Result<usize, ControlError> {
        let mut rooms: HashMap<&DeploymentName, usize> = HashMap::new();
        for (fitting, record) in records.iter().enumerate() {
            let name = &record.delivery.deployment;
            let room = match rooms.entry(name) {
                Entry::Occupied(room) => room.into_mut(),
                Entry::Vacant(empty) => empty.insert(match self.0.deployments.get(name) {
                    Some(live) => queue_room(&*self.0.store, &live, self.0.config.queue_max).await?,
                    None => usize::MAX,
                }),
            };
            if *room == 0 {
                return Ok(fitting);
            }
            *room -= 1;
        }
        Ok(records.len())
    }

    async fn commit_replay(
        &self,
        replay: DeliveryReplay,
        lives: Vec<Arc<ActiveDeployment>>,
    ) -> Result<DeliveryReplayResult, ControlError> {
        let host = Arc::clone(&self.0);
        run_to_completion(async move {
            let now = replay.now;
            let replayed = host.store.replay_deliveries(replay).await;
            let replayed = replayed.inspect_err(|error| host.store_failures.record(error))?;
            for run in &replayed.runs {
                if let Some(live) = lives.iter().find(|live| live.deployment.name == run.deployment) {
                    host.admission.note_queued(live, now);
                }
            }
            Ok(replayed)
        })
        .await
    }

    fn run_again(&self, live: &ActiveDeployment, record: &DeliveryRecord, now: Timestamp) -> (DeliveryId, NewRun) {
        let (delivery, outcome) = (&record.delivery, record.progress.outcome);
        let (id, most) = (random::run_id(now), self.0.config.queue_max);
        (delivery.id, delivery_runs::request(live, delivery, id, Some(outcome), most, now))
    }

    /// Returns why a delivery cannot be replayed.
    fn refused(&self, record: &DeliveryRecord, obstacle: ReplayObstacle) -> ControlError {
        let id = record.delivery.id;
        let state = |detail: String, fix: &str| ControlError::refused_with(Code::DeliveryState, detail, fix);
        match obstacle {
            ReplayObstacle::Missing => ControlError::no_delivery(id),
            ReplayObstacle::Open if record.progress.outcome == DeliveryOutcome::Dead => {
                state(format!("the run of delivery {id} is parked"), "Retry or cancel that run.")
            }
            ReplayObstacle::Open => {
                state(format!("delivery {id} has a run that has not ended"), "Wait until it has ended.")
            }
            ReplayObstacle::Refused => state(
                format!("delivery {id} was refused and is kept as evidence only"),
                "Replay the first delivery with the same transmission id.",
            ),
            ReplayObstacle::RunsMax => {
                state(format!("delivery {id} has the maximum of {RUNS_MAX} runs"), "Find out why they do not help.")
            }
        }
    }
}

/// Returns the filter of a replay that was requested at that time.
fn bounded(filter: DeliveryFilter, requested_at: Timestamp) -> DeliveryFilter {
    let after = requested_at.plus_millis(1);
    let until = Some(filter.until.map_or(after, |until| until.min(after)));
    let outcomes = if filter.outcomes.is_empty() { REPLAYED.to_vec() } else { filter.outcomes.clone() };
    DeliveryFilter { outcomes, until, ..filter }
}
