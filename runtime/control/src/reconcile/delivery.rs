//! Delivers the events of a topic to each subscription, in order, as run requests that are
//! committed together with the subscription's position. So each event is delivered exactly once,
//! and a failed delivery is repeated by the next tick.
//!
//! A tick delivers a bounded batch per topic and subscription, all concurrently, so that many
//! subscriptions share commits. A subscription that is paused, or whose deployment is paused or has
//! a full queue, catches up later. Until then its events wait in their topics.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use tidemill_core::{Clock, Timestamp, Topic, failpoint};
use tidemill_store::records::{DeliveryCommit, Event, PageRequest};
use tidemill_store::{Store, StoreError};
use tokio::sync::OnceCell;

use crate::deployment::active::{ActiveDeployment, DeploymentRegistry};
use crate::error::ControlError;
use crate::metrics::Metrics;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::run::admission::Admission;
use crate::state::HostState;
use crate::store_failures::StoreFailures;
use crate::topic::deliveries::Deliveries;
use crate::topic::event_runs::{BATCH, SOON, first_batch, queue_room, requests};
use crate::topic::subscription_index::Subscriber;

/// Maximum number of concurrent deliveries. They share commits.
const CONCURRENCY: usize = 64;
/// Interval between sweeps of every topic and subscription, whatever woke the loop, in
/// milliseconds.
const SWEEP: u64 = 300_000;
/// Number of topics in one page of the store's list.
const PAGE: usize = 500;

/// The result of one delivery.
enum DeliveryResult {
    /// No event waits, or the deployment or the subscription is paused; resuming it wakes the loop.
    All,
    /// More events wait.
    Part,
    /// The queue of the deployment is full.
    NoRoom,
}

/// Batches of events that several subscriptions receive in one tick. Each batch is read once, and
/// kept while a delivery uses it.
#[derive(Default)]
struct EventBatches(Mutex<HashMap<(Topic, u64), Weak<EventBatch>>>);

/// Events of a topic from one position on, once they are read.
type EventBatch = OnceCell<Vec<Event>>;

impl EventBatches {
    fn batch(&self, topic: &Topic, position: u64) -> Arc<EventBatch> {
        let mut parts = self.0.lock();
        let part = parts.entry((topic.clone(), position)).or_default();
        part.upgrade().unwrap_or_else(|| {
            let fresh = Arc::default();
            *part = Arc::downgrade(&fresh);
            fresh
        })
    }
}

/// The loop that delivers events.
pub(crate) struct DeliveryReconciler {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    deployments: Arc<DeploymentRegistry>,
    deliveries: Arc<Deliveries>,
    admission: Arc<Admission>,
    metrics: Arc<Metrics>,
    store_failures: Arc<StoreFailures>,
    queue_max: u64,
}

impl DeliveryReconciler {
    pub(crate) fn new(host: &HostState) -> Self {
        Self {
            store: Arc::clone(&host.store),
            clock: Arc::clone(&host.clock),
            deployments: Arc::clone(&host.deployments),
            deliveries: Arc::clone(&host.deliveries),
            admission: Arc::clone(&host.admission),
            metrics: Arc::clone(&host.metrics),
            store_failures: Arc::clone(&host.store_failures),
            queue_max: host.config.queue_max,
        }
    }

    /// Returns every pair to deliver, with those of one topic next to each other.
    async fn pairs(&self, now: Timestamp) -> Result<Vec<(Topic, Arc<Subscriber>)>, ControlError> {
        let subscribers = self.deliveries.subscribers(&self.deployments);
        let (waits, sweep) = self.deliveries.take(now, SWEEP);
        let mut topics: BTreeSet<Topic> = waits.topics.iter().cloned().collect();
        topics.extend(waits.pairs.iter().map(|(topic, ..)| topic.clone()));
        let all_topics = sweep || !waits.deployments.is_empty();
        if all_topics {
            match self.topics().await {
                Ok(all) => topics.extend(all),
                Err(error) => {
                    self.deliveries.give_back(waits);
                    return Err(error);
                }
            }
        }
        let mut pairs = Vec::new();
        for topic in topics {
            let all = sweep || waits.topics.contains(&topic);
            for subscriber in subscribers.to(&topic) {
                let deployment = &subscriber.live.deployment.name;
                let pair = || (topic.clone(), deployment.clone(), subscriber.subscription.name.clone());
                if all || waits.deployments.contains(deployment) || waits.pairs.contains(&pair()) {
                    pairs.push((topic.clone(), Arc::clone(subscriber)));
                }
            }
        }
        Ok(pairs)
    }

    async fn topics(&self) -> Result<Vec<Topic>, ControlError> {
        let (mut topics, mut page) = (Vec::new(), PageRequest::first(PAGE));
        loop {
            let found = self.store.topics(page).await?;
            topics.extend(found.items.into_iter().map(|one| one.topic));
            match found.next {
                Some(cursor) => page = PageRequest { cursor: Some(cursor), limit: PAGE },
                None => return Ok(topics),
            }
        }
    }

    /// Delivers one batch of a topic to one subscription.
    async fn deliver(
        &self,
        topic: &Topic,
        subscriber: &Subscriber,
        parts: &EventBatches,
        now: Timestamp,
    ) -> Result<DeliveryResult, ControlError> {
        let Subscriber { live, subscription } = subscriber;
        let store = &self.store;
        let deployment = &live.deployment.name;
        let Some(progress) = store.subscription_lag(deployment, &subscription.name, topic).await? else {
            return Ok(DeliveryResult::All);
        };
        self.deliveries.record_lag(subscriber, topic, progress.waiting);
        if progress.waiting == 0 || progress.paused || !ActiveDeployment::is_open(&live.deployment, &live.plan) {
            return Ok(DeliveryResult::All);
        }
        let room = queue_room(&**store, live, self.queue_max).await?;
        if room == 0 {
            return Ok(DeliveryResult::NoRoom);
        }
        let part = parts.batch(topic, progress.position);
        let read = || async { store.events(topic, progress.position, BATCH).await };
        let events = first_batch(part.get_or_try_init(read).await?, room);
        let Some(last) = events.last() else { return Ok(DeliveryResult::All) };
        let runs = requests(self.queue_max, subscriber, events, progress.last_run, None, now)?;
        let made = runs.len() as u64;
        let given = events.len() as u64;
        let delivery = DeliveryCommit {
            deployment: deployment.clone(),
            subscription: subscription.name.clone(),
            revision: live.deployment.revision,
            topic: topic.clone(),
            from: progress.position,
            to: last.position + 1,
            runs,
            last: last.at,
        };
        failpoint::hit("event/deliver");
        let done = match store.deliver(delivery).await {
            // Other requests filled the queue first.
            Err(StoreError::QueueFull { .. } | StoreError::OverBound { .. }) => return Ok(DeliveryResult::NoRoom),
            done => done.inspect_err(|error| self.store_failures.record(error))?,
        };
        failpoint::hit("event/delivered");
        if !done {
            // The deployment was changed or the subscription was paused, which wakes the loop; or
            // the position has moved, which the next tick sees.
            return Ok(DeliveryResult::Part);
        }
        self.deliveries.record_lag(subscriber, topic, progress.waiting.saturating_sub(given));
        let committed = self.clock.now();
        for event in events {
            let late = Duration::from_millis(committed.millis_since(event.at));
            self.metrics.delivery.observe(late.as_secs_f64());
        }
        live.metrics.delivered.inc_by(made);
        live.metrics.filtered.inc_by(given - made);
        for _ in 0..made {
            self.admission.note_queued(live, now);
        }
        Ok(if progress.waiting > given { DeliveryResult::Part } else { DeliveryResult::All })
    }
}

#[async_trait]
impl Reconciler for DeliveryReconciler {
    fn name(&self) -> &'static str {
        "delivery"
    }

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let pairs = self.pairs(now).await?;
        let found = pairs.len();
        let parts = EventBatches::default();
        let results: Vec<_> = stream::iter(pairs)
            .map(|(topic, subscriber)| {
                let parts = &parts;
                async move {
                    let given = self.deliver(&topic, &subscriber, parts, now).await;
                    (topic, subscriber, given)
                }
            })
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        let (mut done, mut failed, mut more, mut soon) = (0, 0, false, false);
        for (topic, subscriber, given) in results {
            let Subscriber { live, subscription } = &*subscriber;
            match given {
                Ok(DeliveryResult::All) => {
                    done += 1;
                    continue;
                }
                Ok(DeliveryResult::Part) => (done, more) = (done + 1, true),
                Ok(DeliveryResult::NoRoom) => soon = true,
                Err(error) => {
                    failed += 1;
                    let deployment = &live.deployment.name;
                    tracing::warn!(%deployment, subscription = %subscription.name, %topic, %error, "event delivery failed; will retry");
                }
            }
            let pair = (topic, live.deployment.name.clone(), subscription.name.clone());
            self.deliveries.deliver_again(pair);
        }
        let next = match (more, soon) {
            (true, _) => NextTick::Now,
            (false, soon) => NextTick::At(now.plus_millis(if soon { SOON } else { SWEEP })),
        };
        Ok(TickReport { found, done, failed, next })
    }

    async fn woken(&self) {
        self.deliveries.woken().await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidemill_core::run::TriggerKind;

    use super::*;
    use crate::fixture::{LoopFixture, START};

    #[tokio::test]
    async fn a_tick_delivers_each_event_once() {
        let fixture = LoopFixture::with(json!({ "subscriptions": [{ "name": "s", "topic": "orders" }] })).await;
        let topic: Topic = "orders".parse().unwrap();
        let event = fixture.control().publish(topic, "7".into(), None).await.unwrap().event;
        let delivery = DeliveryReconciler::new(&fixture.host);
        let next = NextTick::At(START.plus_millis(SWEEP));
        assert_eq!(delivery.tick(START).await.unwrap(), TickReport { found: 1, done: 1, failed: 0, next });
        assert_eq!(delivery.tick(START).await.unwrap().found, 0);
        let runs = fixture.runs().await;
        let triggers: Vec<_> = runs.iter().map(|run| (run.trigger.kind, run.trigger.id.clone())).collect();
        assert_eq!(triggers, [(TriggerKind::Event, Some(event.to_string()))]);
    }
}
