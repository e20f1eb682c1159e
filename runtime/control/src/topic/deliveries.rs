//! The pending deliveries of events to subscriptions, and the lags last seen.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tidemill_core::{DeploymentName, SubscriptionName, Timestamp, Topic};
use tokio::sync::Notify;

use crate::deployment::active::DeploymentRegistry;
use crate::metrics::Metrics;
use crate::topic::subscription_index::{Subscriber, Subscribers};

/// One topic of one subscription.
pub(crate) type SubscriptionTopic = (Topic, DeploymentName, SubscriptionName);
type LagTable = HashMap<(DeploymentName, SubscriptionName), HashMap<Topic, u64>>;

/// The pending deliveries, and the lags last seen.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    waits: Mutex<DeliveryWaits>,
    lags: Mutex<LagTable>,
    subscribers: ArcSwapOption<Subscribers>,
    wake: Notify,
}

/// What the next tick delivers.
#[derive(Debug, Default)]
pub(crate) struct DeliveryWaits {
    /// Topics with new events.
    pub(crate) topics: HashSet<Topic>,
    /// Deployments that were changed or resumed.
    pub(crate) deployments: HashSet<DeploymentName>,
    /// Pairs with events left by the last tick.
    pub(crate) pairs: HashSet<SubscriptionTopic>,
    /// When everything was last swept; `None` if it was not in this epoch.
    swept: Option<Timestamp>,
}

impl Deliveries {
    /// Records that events were published to these topics.
    pub(crate) fn note_published(&self, topics: Vec<Topic>) {
        self.waits.lock().topics.extend(topics);
        self.wake.notify_one();
    }

    /// Records that a deployment or one of its subscriptions was changed, paused or resumed.
    pub(crate) fn note_changed(&self, deployment: &DeploymentName) {
        self.waits.lock().deployments.insert(deployment.clone());
        self.wake.notify_one();
    }

    /// Takes what waits, and whether everything is to be swept: at `now`, `interval_millis` or more
    /// have passed since the last sweep.
    pub(crate) fn take(&self, now: Timestamp, interval_millis: u64) -> (DeliveryWaits, bool) {
        let mut waits = self.waits.lock();
        let sweep = waits.swept.is_none_or(|swept| now.millis_since(swept) >= interval_millis);
        let swept = if sweep { Some(now) } else { waits.swept };
        (std::mem::replace(&mut *waits, DeliveryWaits { swept, ..DeliveryWaits::default() }), sweep)
    }

    /// Puts back what was taken, to be delivered by a sweep.
    pub(crate) fn give_back(&self, taken: DeliveryWaits) {
        let mut waits = self.waits.lock();
        waits.topics.extend(taken.topics);
        waits.deployments.extend(taken.deployments);
        waits.pairs.extend(taken.pairs);
        waits.swept = None;
    }

    /// Has the next tick deliver a pair again.
    pub(crate) fn deliver_again(&self, pair: SubscriptionTopic) {
        self.waits.lock().pairs.insert(pair);
    }

    /// Waits until there is something to deliver.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Forgets a deleted deployment.
    pub(crate) fn forget(&self, deployment: &DeploymentName) {
        for topics in self.lags.lock().iter_mut().filter(|((of, _), _)| of == deployment).map(|(_, topics)| topics) {
            topics.clear();
        }
    }

    /// Sets the lag of each subscription, as last seen.
    pub(crate) fn measure(&self, deployments: &DeploymentRegistry, metrics: &Metrics) {
        let all = deployments.all();
        let there = |deployment: &DeploymentName, name: &SubscriptionName| {
            all.get(deployment).is_some_and(|live| live.plan.subscriptions.iter().any(|one| one.name == *name))
        };
        let mut lags = self.lags.lock();
        lags.retain(|(deployment, name), topics| {
            let there = there(deployment, name);
            let waiting = topics.values().sum();
            metrics.set_lag(deployment.as_str(), name.as_str(), there.then_some(waiting));
            there
        });
    }

    /// Returns the number of events that wait for the subscriptions of a deployment, as last seen.
    pub(crate) fn lag_of(&self, deployment: &DeploymentName) -> u64 {
        let lags = self.lags.lock();
        lags.iter().filter(|((of, _), _)| of == deployment).flat_map(|(_, topics)| topics.values()).sum()
    }

    /// Records the number of events of a topic that wait for a subscription.
    pub(crate) fn record_lag(&self, subscriber: &Subscriber, topic: &Topic, waiting: u64) {
        let of = (subscriber.live.deployment.name.clone(), subscriber.subscription.name.clone());
        let mut lags = self.lags.lock();
        let topics = lags.entry(of).or_default();
        if waiting > 0 {
            topics.insert(topic.clone(), waiting);
        } else {
            topics.remove(topic);
        }
    }

    /// Returns the index of all subscriptions.
    pub(crate) fn subscribers(&self, deployments: &DeploymentRegistry) -> Arc<Subscribers> {
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
