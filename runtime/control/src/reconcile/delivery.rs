//! Delivers the events of a topic to each subscription, in order, as run requests that are
//! committed together with the subscription's position. So each event is delivered exactly once,
//! and a failed delivery is repeated by the next tick.
//!
//! A tick delivers a bounded batch per topic and subscription, all concurrently, so that many
//! subscriptions share commits. A subscription that is paused, or whose deployment is paused or has
//! a full queue, falls behind and catches up later. Until then its events wait in their topics.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tidemill_core::run::{Export, Trigger, TriggerKind};
use tidemill_core::{DeploymentName, RunId, SubscriptionName, Timestamp, Topic, batch, failpoint};
use tidemill_store::StoreError;
use tidemill_store::records::{AdmissionTerms, DeliveryCommit, Event, NewRun, PageRequest, Publisher};
use tokio::sync::{Notify, OnceCell};

use crate::control_plane::HostState;
use crate::deployment::active::{ActiveDeployment, DeploymentRegistry};
use crate::error::ControlError;
use crate::metrics::Metrics;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::run::execution::collection::period;
use crate::topic::subscription_index::{Subscriber, Subscribers};

/// Maximum number of events of one topic that one commit delivers to a subscription.
pub(crate) const BATCH: usize = 64;
/// Payload size after which a commit takes no further event, in bytes.
const BATCH_BYTES: usize = 1 << 20;
/// Maximum number of concurrent deliveries. They share commits.
const CONCURRENCY: usize = 64;
/// Interval between checks whether a full queue has room, in milliseconds.
pub(crate) const SOON: u64 = 500;
/// Interval between sweeps of every topic and subscription, whatever woke the loop, in
/// milliseconds.
const SWEEP: u64 = 300_000;
/// Number of topics in one page of the store's list.
const PAGE: usize = 500;

/// One topic of one subscription.
type SubscriptionTopic = (Topic, DeploymentName, SubscriptionName);
type LagTable = HashMap<(DeploymentName, SubscriptionName), HashMap<Topic, u64>>;

/// The pending deliveries, and the lags last seen.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    waits: Mutex<DeliveryWaits>,
    lags: Mutex<LagTable>,
    subscribers: ArcSwapOption<Subscribers>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct DeliveryWaits {
    /// Topics with new events.
    topics: HashSet<Topic>,
    /// Deployments that were changed or resumed.
    deployments: HashSet<DeploymentName>,
    /// Pairs with events left by the last tick.
    pairs: HashSet<SubscriptionTopic>,
    /// When everything was last swept; `None` if it was not in this epoch.
    swept: Option<Timestamp>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Deliveries {
    /// Records that events were published to these topics.
    pub(crate) fn note_published(&self, topics: Vec<Topic>) {
        locked(&self.waits).topics.extend(topics);
        self.wake.notify_one();
    }

    /// Records that a deployment or one of its subscriptions was changed, paused or resumed.
    pub(crate) fn note_changed(&self, deployment: &DeploymentName) {
        locked(&self.waits).deployments.insert(deployment.clone());
        self.wake.notify_one();
    }

    /// Forgets a deleted deployment.
    pub(crate) fn forget(&self, deployment: &DeploymentName) {
        for topics in locked(&self.lags).iter_mut().filter(|((of, _), _)| of == deployment).map(|(_, topics)| topics) {
            topics.clear();
        }
    }

    /// Sets the lag of each subscription, as last seen.
    pub(crate) fn measure(&self, deployments: &DeploymentRegistry, metrics: &Metrics) {
        let all = deployments.all();
        let there = |deployment: &DeploymentName, name: &SubscriptionName| {
            all.get(deployment).is_some_and(|live| live.plan.subscriptions.iter().any(|one| one.name == *name))
        };
        let mut lags = locked(&self.lags);
        lags.retain(|(deployment, name), topics| {
            let there = there(deployment, name);
            let waiting = topics.values().sum();
            metrics.set_lag(deployment.as_str(), name.as_str(), there.then_some(waiting));
            there
        });
    }

    fn record_lag(&self, subscriber: &Subscriber, topic: &Topic, waiting: u64) {
        let of = (subscriber.live.deployment.name.clone(), subscriber.subscription.name.clone());
        let mut lags = locked(&self.lags);
        let topics = lags.entry(of).or_default();
        if waiting > 0 {
            topics.insert(topic.clone(), waiting);
        } else {
            topics.remove(topic);
        }
    }

    fn subscribers(&self, deployments: &DeploymentRegistry) -> Arc<Subscribers> {
        let all = deployments.all();
        match self.subscribers.load_full().filter(|known| known.is_of(&all)) {
            Some(known) => known,
            None => {
                let made = Arc::new(Subscribers::of(all));
                self.subscribers.store(Some(Arc::clone(&made)));
                made
            }
        }
    }
}

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
        let mut parts = locked(&self.0);
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
    host: Arc<HostState>,
}

impl DeliveryReconciler {
    pub(crate) fn new(host: Arc<HostState>) -> Self {
        Self { host }
    }

    /// Returns every pair to deliver, with those of one topic next to each other.
    async fn pairs(&self, now: Timestamp) -> Result<Vec<(Topic, Arc<Subscriber>)>, ControlError> {
        let deliveries = &self.host.deliveries;
        let subscribers = deliveries.subscribers(&self.host.deployments);
        let (waits, sweep) = {
            let mut waits = locked(&deliveries.waits);
            let sweep = waits.swept.is_none_or(|swept| now.millis_since(swept) >= SWEEP);
            let swept = if sweep { Some(now) } else { waits.swept };
            (std::mem::replace(&mut *waits, DeliveryWaits { swept, ..DeliveryWaits::default() }), sweep)
        };
        let mut topics: BTreeSet<Topic> = waits.topics.iter().cloned().collect();
        topics.extend(waits.pairs.iter().map(|(topic, ..)| topic.clone()));
        let all_topics = sweep || !waits.deployments.is_empty();
        if all_topics {
            match self.topics().await {
                Ok(all) => topics.extend(all),
                Err(error) => {
                    let mut again = locked(&deliveries.waits);
                    again.topics.extend(waits.topics);
                    again.deployments.extend(waits.deployments);
                    again.pairs.extend(waits.pairs);
                    again.swept = None;
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
            let found = self.host.store.topics(page).await?;
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
        let store = &self.host.store;
        let deployment = &live.deployment.name;
        let Some(progress) = store.subscription_lag(deployment, &subscription.name, topic).await? else {
            return Ok(DeliveryResult::All);
        };
        self.host.deliveries.record_lag(subscriber, topic, progress.waiting);
        if progress.waiting == 0 || progress.paused || !ActiveDeployment::is_open(&live.deployment, &live.plan) {
            return Ok(DeliveryResult::All);
        }
        let room = queue_room(&self.host, live).await?;
        if room == 0 {
            return Ok(DeliveryResult::NoRoom);
        }
        let part = parts.batch(topic, progress.position);
        let read = || async { store.events(topic, progress.position, BATCH).await };
        let events = first_batch(part.get_or_try_init(read).await?, room);
        let Some(last) = events.last() else { return Ok(DeliveryResult::All) };
        let runs = requests(&self.host, subscriber, events, progress.last_run, None, now)?;
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
            done => done.inspect_err(|error| self.host.store_failed(error))?,
        };
        failpoint::hit("event/delivered");
        if !done {
            // The deployment was changed or the subscription was paused, which wakes the loop; or
            // the position has moved, which the next tick sees.
            return Ok(DeliveryResult::Part);
        }
        self.host.deliveries.record_lag(subscriber, topic, progress.waiting.saturating_sub(given));
        let committed = self.host.clock.now();
        for event in events {
            let late = Duration::from_millis(committed.millis_since(event.at));
            self.host.metrics.delivery.observe(late.as_secs_f64());
        }
        live.metrics.delivered.inc_by(made);
        live.metrics.filtered.inc_by(given - made);
        for _ in 0..made {
            self.host.note_queued(live, now);
        }
        Ok(if progress.waiting > given { DeliveryResult::Part } else { DeliveryResult::All })
    }
}

/// Returns how many more runs may wait for a deployment.
pub(crate) async fn queue_room(host: &HostState, live: &ActiveDeployment) -> Result<usize, ControlError> {
    let queued = host.store.waiting(&live.deployment.name).await?;
    Ok(usize::try_from(live.queue_max(host.config.queue_max).saturating_sub(queued)).unwrap_or(usize::MAX))
}

/// Returns the first events that one commit takes: at least one.
pub(crate) fn first_batch(events: &[Event], most: usize) -> &[Event] {
    let fits = batch::head(events, most.max(1), BATCH_BYTES, |event| event.payload.len());
    events.get(..fits).unwrap_or(events)
}

/// Returns a run request for each event that passes the subscription's filter. Their ids are in the
/// order of the events and follow `last_run`.
pub(crate) fn requests(
    host: &HostState,
    subscriber: &Subscriber,
    events: &[Event],
    last_run: Option<RunId>,
    replay: Option<&str>,
    now: Timestamp,
) -> Result<Vec<NewRun>, ControlError> {
    let Subscriber { live, subscription } = subscriber;
    let export = crate::deployment::exports::of_event(&live.plan.exports, subscription.export)?;
    let after = last_run.map_or(now, |last| last.made_at().plus_millis(1));
    let mut id = crate::random::run_id(now.max(after))?;
    let mut runs = Vec::with_capacity(events.len());
    for event in events.iter().filter(|event| subscription.filter.passes_text(&event.payload)) {
        let mut details = json!({ "subscription": subscription.name });
        if let Publisher::Run { deployment, run } = &event.publisher {
            details["publisher"] = json!({ "deployment": deployment, "run": run });
        }
        if let Some(replay) = replay {
            details["replay"] = replay.into();
        }
        let trigger = Trigger {
            kind: TriggerKind::Event,
            name: Some(event.topic.to_string()),
            id: Some(event.id.to_string()),
            at: Some(event.at),
            parent: None,
            details: Some(details.to_string()),
        };
        let input = match export {
            Export::RevenueStream => period(None, event.at),
            _ => event.payload.clone(),
        };
        id = id.next();
        // Each event makes a run of its own: it is never debounced.
        let terms = AdmissionTerms { queue_max: live.queue_max(host.config.queue_max), ..AdmissionTerms::default() };
        runs.push(NewRun { terms, ..live.new_run(id, export, trigger, input, now)? });
    }
    Ok(runs)
}

impl Reconciler for DeliveryReconciler {
    const NAME: &'static str = "delivery";

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
            locked(&self.host.deliveries.waits).pairs.insert(pair);
        }
        let next = match (more, soon) {
            (true, _) => NextTick::Now,
            (false, soon) => NextTick::At(now.plus_millis(if soon { SOON } else { SWEEP })),
        };
        Ok(TickReport { found, done, failed, next })
    }

    async fn woken(&self) {
        self.host.deliveries.wake.notified().await;
    }
}
